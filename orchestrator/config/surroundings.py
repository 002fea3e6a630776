"""What Ansible loads beside the playbook: its configuration, what that names, its environment, what is installed.

The one rule it keeps: everything is covered that could make other code run, or other variables apply, without a change
to the playbook. Each thing has a label and a digest, so that a change can be told by its name.

    what                                                  covered by
    ---------------------------------------------------------------------------------------------------------------
    each place an ansible.cfg is looked for, also empty   contents
    paths that the one in force names                     contents; vault passwords and keys by size and times alone
    what ssh reads (usually, or by -F), with its Includes contents; programs named there by size and times, and what it
                                                          loads as code (PKCS11Provider and the like)
    environment: ANSIBLE_*, PYTHONPATH and its like       values, and the paths they name
    ~/.ansible, /usr/share/ansible, /etc/ansible          size and times of each plug-in, role, collection file
    installed packages of Ansible and Mitogen             their version's record, by size and times

Left out: what Ansible itself writes (logs, caches, temporary files, known hosts, control sockets) and how it looks on a
terminal.
"""

from __future__ import annotations

import glob
import hashlib
import os
import pwd
import re
import sysconfig
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from orchestrator.config import trees
from orchestrator.core import ansible

SYSTEM = ("/usr/share/ansible", "/etc/ansible")
LOADED_FROM = ("plugins", "roles", "collections")
PROGRAM = "program "
NO_FILE = ("environment: ", "package ", PROGRAM)  # how labels begin of what is no file
PYTHON = ("PYTHONPATH", "PYTHONHOME", "PYTHONUSERBASE")  # where modules are loaded from
PACKAGES = ("ansible", "ansible_core", "ansible_runner", "mitogen")
SSH_FILES_MAX = 64
_OF_THE_SYSTEM = ("/bin", "/sbin", "/lib", "/usr/bin", "/usr/sbin", "/usr/lib", "/usr/libexec")
_SCRIPTS = (
    ".sh",
    ".bash",
    ".py",
    ".pl",
    ".rb",
    ".js",
    ".jar",
    ".php",
    ".tf",
)  # that an interpreter is given: `sh /opt/fence.sh`
_LIBRARY = re.compile(r"\.(?:so|dylib)(?:\.[\d.]+)?$")  # what ssh or another program loads into itself
_LOADED = re.compile(  # what ssh loads or starts as code, however the file is called
    r"(?i)(?:\b|(?<=-o))(?:PKCS11Provider|SecurityKeyProvider|XAuthLocation)(?:\s*=\s*|\s+)[\"']*([^\s\"'#]+)"
    r"|(?:^|(?<=[\s\"']))(?-i:-I)\s*([^\s\"'-][^\s\"']*)"
)
_OF_SSH = ("SSH_SK_PROVIDER", "SSH_SK_HELPER", "SSH_PKCS11_HELPER")  # variables that name the same
_CODE = (".py", ".ps1", ".sh", ".yml", ".yaml", "")
_LOOKS = re.compile(r"ANSIBLE_(FORCE_COLOR|NOCOLOR|COLOR_\w+|COW_\w+|NOCOWS|DISPLAY_\w+|VERBOSITY|LOG_PATH)")
_WRITTEN = re.compile(
    r"te?mp|cach|cp_dir|control_path|log_path|retry_files|token|known_hosts|async_dir|^home$|^inventory$"
)
_SECRET = re.compile(r"vault|password|private_key")
_HOME = re.compile(r"^(?:%d|\$HOME|\$\{HOME\})(?=/)")  # as ssh, or a shell that it starts, writes `~`


def configuration_places(workspace: Path, environment: Mapping[str, str]) -> list[Path]:
    """Where an ansible.cfg is looked for, in the order in which the runner looks."""
    return [Path(p) for p in ansible.configuration_places(str(workspace), environment, str(Path.home()))]


def configured(workspace: Path, environment: Mapping[str, str]) -> tuple[Path | None, dict[str, str]]:
    """The ansible.cfg in force, and all its settings whatever their section; empty where it cannot be read."""
    found = next((p for p in configuration_places(workspace, environment) if p.is_file()), None)
    try:
        sections = ansible.settings(found.read_text(encoding="utf-8") if found else "")
    except (OSError, ValueError):
        return found, {}
    return found, {key: value for section in sections.values() for key, value in section.items()}


def start_directory(workspace: Path, file: Path | None) -> Path:
    """Where Ansible starts, were it started with this ansible.cfg."""
    return Path(ansible.start_directory(str(file) if file else None, str(workspace)))


def ansible_home(workspace: Path, environment: Mapping[str, str]) -> Path:
    """Where Ansible looks for an operator's own plug-ins, roles and collections."""
    file, settings = configured(workspace, environment)
    home, start = str(Path.home()), str(start_directory(workspace, file))
    if said := environment.get("ANSIBLE_HOME"):
        return Path(ansible.absolute(said, start, environment, home))
    if said := settings.get("home"):
        return Path(ansible.absolute(said, str(file.parent) if file else start, environment, home, start=start))
    return Path(home) / ".ansible"


def paths_in(value: str, base: Path, start: Path | None = None, own: Path | None = None) -> Iterator[Path]:
    """The paths that a setting's value names, as Ansible expands them; `base` is what relative ones start from."""
    for part in re.split(r"[:,\n]", value):
        name = part.strip()
        name = name.partition("@")[2] if re.fullmatch(r"[\w.-]*@.+", name) else name  # a vault identity
        if not name or name in (".", "..", "/"):
            continue
        home = str(Path.home())
        begin, kept = str(start or base), str(own or "")
        yield Path(ansible.absolute(name, str(base), os.environ, home, start=begin, ansible_home=kept))


def roles_path(workspace: Path, environment: Mapping[str, str]) -> list[Path]:
    """Where roles are looked for beside the playbook's own folder: what is said stands in place of what is usual."""
    file, settings = configured(workspace, environment)
    start, own = start_directory(workspace, file), ansible_home(workspace, environment)
    if said := environment.get("ANSIBLE_ROLES_PATH"):
        return list(paths_in(said, start, start, own))
    if said := settings.get("roles_path"):
        return list(paths_in(said, file.parent if file else start, start, own))
    return [own / "roles", *(Path(top) / "roles" for top in SYSTEM)]


def computes_variables(workspace: Path, environment: Mapping[str, str]) -> bool:
    """Whether plug-ins that are none of Ansible's own add variables: what they say is only known by asking."""
    _file, settings = configured(workspace, environment)
    if settings.get("vars_plugins") or environment.get("ANSIBLE_VARS_PLUGINS"):
        return True
    if settings.get("vars_plugins_enabled") or environment.get("ANSIBLE_VARS_ENABLED"):
        return True
    usual = (ansible_home(workspace, environment), Path("/usr/share/ansible"))
    return any(next(trees.files(top / "plugins" / "vars"), None) is not None for top in usual)


def surroundings(workspace: Path, environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Label to digest of all that is loaded whatever the playbook."""
    found: dict[str, str] = {}
    for place in configuration_places(workspace, environment):
        if place.is_file():
            found[label(workspace, place)] = trees.read_digest(place)
    file, settings = configured(workspace, environment)
    start, own = start_directory(workspace, file), ansible_home(workspace, environment)
    steering = {k: v for k, v in environment.items() if k.startswith("ANSIBLE_") or k in PYTHON}
    for name, value in steering.items():
        if _LOOKS.match(name):
            continue
        found[f"environment: {name}"] = hashlib.sha256(value.encode("utf-8", "surrogateescape")).hexdigest()[:32]
        setting = name.removeprefix("ANSIBLE_").lower()
        found.update(_named(workspace, setting, value, start, start))
    for setting, value in settings.items():
        found.update(_named(workspace, setting, value, file.parent if file else start, start))
    for top in (str(own), *SYSTEM):
        found.update((f"{top}/{part}", trees.look_digest(Path(top, part))) for part in LOADED_FROM)
    found.update(of_ssh(workspace, ssh_files(None)))
    found.update(programs(files_among(environment.get(name, "") for name in _OF_SSH)))
    found.update(_packages())
    return found


def said(workspace: Path, environment: Mapping[str, str] = os.environ) -> Iterator[str]:
    """What settings say that may name what Ansible loads or starts, programs that tell a password among them.

    A password itself is no script, and nobody looks for names in it.
    """
    file, settings = configured(workspace, environment)
    start, own = start_directory(workspace, file), ansible_home(workspace, environment)
    steering = {k.removeprefix("ANSIBLE_").lower(): v for k, v in environment.items() if k.startswith("ANSIBLE_")}
    for setting, value, base in (
        *((setting, value, start) for setting, value in steering.items()),
        *((setting, value, file.parent if file else start) for setting, value in settings.items()),
    ):
        if _WRITTEN.search(setting) or setting.endswith(("plugins", "path", "paths")):
            continue  # folders that count as a whole
        if _SECRET.search(setting):
            yield from (str(p) for p in paths_in(value, base, start, own) if p.is_file() and os.access(p, os.X_OK))
        else:
            yield value


def label(workspace: Path, path: Path) -> str:
    """What a path is called in a sentence."""
    return str(path.relative_to(workspace)) if path.is_relative_to(workspace) else str(path)


def files_of(workspace: Path, labels: Iterable[str]) -> set[Path]:
    """The files and folders among what has a label."""
    return {workspace / name for name in labels if not name.startswith(NO_FILE)}


def cover(workspace: Path, tops: Iterable[Path]) -> dict[str, str]:
    """Label to digest of every file at or below these paths, by its contents."""
    found: dict[str, str] = {}
    for top in tops:
        for path, looked in trees.walk(top):
            found[label(workspace, path)] = trees.read_digest(path, looked)
    return found


def _named(workspace: Path, setting: str, value: str, base: Path, start: Path) -> dict[str, str]:
    """What one setting names on disk."""
    if "ssh" in setting and "args" in setting:
        files = ssh_files_in(value, start)
        return of_ssh(workspace, files) | programs(programs_in(value, start))
    if _WRITTEN.search(setting) and not setting.endswith("plugins"):
        return {}
    if setting.endswith(("plugins", "library", "modules", "module_utils")):
        value += "," + ",".join(_of_a_folder_above(workspace, value, base))
    tops = [p for p in paths_in(value, base, start) if p.exists() and not workspace.is_relative_to(p)]
    if _SECRET.search(setting):
        return {label(workspace, top): trees.look_digest(top, secret=True) for top in tops}
    return cover(workspace, (p for top in tops for p in _importable(top)) if setting == "pythonpath" else tops)


def _importable(top: Path) -> list[Path]:
    """What Python may look up there: a module has no name that begins with a dot, as a checkout's `.venv` has."""
    try:
        return [top / name for name in sorted(os.listdir(top)) if not name.startswith(".")]
    except OSError:
        return [top]  # an archive


def _of_a_folder_above(workspace: Path, value: str, base: Path) -> list[str]:
    """Where plug-ins are to be found in the workspace itself or above it: what a loader sees there, a level deep."""
    found: list[str] = []
    for part in re.split(r"[:,\n]", value):
        top = Path(os.path.normpath(base / Path(part.strip()).expanduser())) if part.strip() else None
        if top is not None and workspace.is_relative_to(top):
            found += [str(p) for pattern in ("*", "*/*") for p in sorted(top.glob(pattern)) if p.suffix in _CODE]
    return [name for name in found if Path(name).is_file()]


def ssh_files_in(value: str, base: Path) -> list[Path]:
    """The configuration that arguments of ssh name (-F), with what it includes."""
    found = re.findall(r"(?:^|[\s\"'])-F[\s\"']*([^\s\"']+)", value)
    named = [base / Path(name).expanduser() for name in found]
    return [path for name in named if name.is_file() for path in ssh_files(name)]


def ssh_files(given: Path | None) -> list[Path]:
    """The files that ssh reads: this one, else the operator's and the machine's; and what they include."""
    home = Path(_home_of_ssh())
    wanted = [given] if given is not None else [home / ".ssh" / "config", Path("/etc/ssh/ssh_config")]
    found: list[Path] = []
    while wanted and len(found) < SSH_FILES_MAX:
        path = wanted.pop(0)
        if path in found or not path.is_file():
            continue
        found.append(path)
        base = Path("/etc/ssh") if path.is_relative_to("/etc") else home / ".ssh"
        for pattern in ansible.ssh_includes(text_of(path)):
            said = _HOME.sub("~", pattern)
            named = str(home) + said[1:] if said.startswith("~/") else os.path.expandvars(said)
            wanted += [Path(name) for name in sorted(glob.glob(str(base / named)))]
    return found


def of_ssh(workspace: Path, files: Iterable[Path]) -> dict[str, str]:
    """Label to digest of files of ssh: a ProxyCommand in there is a program that runs here."""
    found: dict[str, str] = {}
    for path in files:
        found[label(workspace, path)] = trees.read_digest(path)
        found |= programs(programs_in(text_of(path)))
    return found


def programs(paths: Iterable[Path]) -> dict[str, str]:
    """Label to digest of programs outside of the workspace; whose they are is not asked: a target may be meant."""
    return {f"{PROGRAM}{path}": trees.look_digest(path) for path in paths}


def programs_in(text: str, start: Path | None = None) -> list[Path]:
    """Programs and scripts that a text names by a path (a relative one from `start`), but for the system's folders."""
    named = (found[1] or found[2] for found in _LOADED.finditer(text))
    said = [os.environ.get(name[1:], "") if re.fullmatch(r"\$\w+", name) else name for name in named]
    return [*programs_among(re.split(r"[\s\"'=;|()<>,`]+", text), start), *files_among(said, start)]


def programs_among(words: Iterable[str], start: Path | None = None) -> list[Path]:
    """The same of single words."""
    found = files_among(words, start)
    return [p for p in found if p.name.endswith(_SCRIPTS) or _LIBRARY.search(p.name) or os.access(p, os.X_OK)]


def files_among(words: Iterable[str], start: Path | None = None) -> list[Path]:
    """Every file that words name by a path, but for those in the system's folders: code by what names it."""
    found = []
    for word in sorted({word for word in words if "/" in word.strip("/")}):
        if any(word.startswith(f"{top}/") for top in _OF_THE_SYSTEM):
            continue
        path = _HOME.sub("~", word)
        if start is not None and not path.startswith("~"):
            path = os.path.normpath(start / Path(path))
        try:
            path = os.path.expanduser(path)
            if os.path.isabs(path) and os.path.isfile(path):
                found.append(Path(path))
        except (OSError, ValueError):
            continue
    return found


def _home_of_ssh() -> str:
    """Of the password file, whatever HOME says."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_dir
    except KeyError:
        return str(Path.home())


def text_of(path: Path) -> str:
    """Its text, whatever is in it; empty if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _packages() -> dict[str, str]:
    """The versions of Ansible that are beside this Python: whoever may write there owns this program too."""
    where = Path(sysconfig.get_path("purelib"))
    found: dict[str, str] = {}
    for package in PACKAGES:
        for record in sorted(where.glob(f"{package}-*.dist-info")):
            found[f"package {record.name.removesuffix('.dist-info')}"] = trees.look_digest(record)
    return found
