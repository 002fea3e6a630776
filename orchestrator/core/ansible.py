"""How Ansible is started, whoever starts it: to read an inventory, to check a playbook, to run one.

The one rule it keeps: there is one answer. Which ansible.cfg applies, in which directory Ansible starts, what its paths
mean and which locale it has is decided here, from texts alone. Code that reads or runs looks on disk and then asks
here.

    which ansible.cfg                                               where Ansible starts
    ------------------------------------------------------------------------------------------------------
    $ANSIBLE_CONFIG, a file or a directory with ansible.cfg         its directory if in the workspace, else the
    playbooks/ansible.cfg, ansible.cfg (a call: its own directory)  workspace (a call: where it was made)
    ~/.ansible.cfg, /etc/ansible/ansible.cfg
"""

from __future__ import annotations

import configparser
import re
import shlex
from collections.abc import Callable, Mapping

FILE = "ansible.cfg"
SYSTEM_FILE = "/etc/ansible/ansible.cfg"
UTF_8 = "C.UTF-8"
# Ansible's own list (INVENTORY_IGNORE_EXTS) of what beside an inventory is none: what editors and Python leave.
IGNORED_EXTENSIONS = (".pyc", ".pyo", ".swp", ".bak", "~", ".rpm", ".md", ".txt", ".rst", ".orig", ".cfg", ".retry")
# To read: what an author set so as to see more of a run would stand between the lines of what we read.
SILENT = {
    "ANSIBLE_VERBOSITY": "0",
    "ANSIBLE_DEBUG": "0",
    "ANSIBLE_NOCOLOR": "1",
    "ANSIBLE_INVENTORY_EXPORT": "0",  # said with each reading
}
_VARIABLE = re.compile(r"\$(?:\{([^}]*)\}|(\w+))")


def configuration_places(
    workspace: str, environment: Mapping[str, str], home: str, directory: str | None = None
) -> tuple[str, ...]:
    """Where an ansible.cfg is looked for, first choice first; with a `directory`, for a call made there."""
    named = environment.get("ANSIBLE_CONFIG", "")
    if named:
        named = absolute(named, directory or workspace, environment, home)
    first = (named, f"{named.rstrip('/')}/{FILE}") if named else ()
    own = (
        (f"{directory}/{FILE}",) if directory is not None else (f"{workspace}/playbooks/{FILE}", f"{workspace}/{FILE}")
    )
    return (*first, *own, f"{home}/.{FILE}", SYSTEM_FILE)


def start_directory(configuration: str | None, workspace: str) -> str:
    """Where Ansible is started with this ansible.cfg: relative paths and {{CWD}} begin there."""
    if configuration is not None and configuration.startswith(f"{workspace}/"):
        return configuration.rpartition("/")[0]
    return workspace


def settings(text: str) -> dict[str, dict[str, str]]:
    """Sections of an ansible.cfg and their keys; what cannot be read is Ansible's to complain about."""
    parser = configparser.ConfigParser(interpolation=None, strict=False, inline_comment_prefixes=(";",))
    try:
        parser.read_string(text)
    except (ValueError, configparser.Error):
        return {}
    return {section: dict(parser.items(section)) for section in parser.sections()}


def absolute(
    path: str, base: str, environment: Mapping[str, str], home: str, *, start: str = "", ansible_home: str = ""
) -> str:
    """A path of a setting as Ansible has it: variables, ~ and its own words replaced, relative ones from `base`."""
    ansible_home = ansible_home or f"{home}/.ansible"
    path = re.sub(r"\{\{\s*CWD\s*\}\}", lambda _: start or base, path)
    path = re.sub(r"\{\{\s*ANSIBLE_HOME\s*\}\}", lambda _: ansible_home, path)
    known = {**environment, "PWD": start or base}
    path = _VARIABLE.sub(lambda found: known.get(found[1] or found[2], found[0]), path)
    if path == "~" or path.startswith("~/"):
        path = home + path[1:]
    return path if path.startswith("/") else f"{base}/{path}"


def playbook_places(name: str) -> tuple[str, str]:
    """Where in a workspace a playbook of this name may be, first choice first."""
    return (name, name) if name.startswith("/") else (f"playbooks/{name}", name)


def is_ignored(name: str) -> bool:
    """Whether Ansible passes over a file of this name in a directory of inventories."""
    return name.startswith(".") or name.endswith(IGNORED_EXTENSIONS)


def locale_that_does(environment: Mapping[str, str], installed: Callable[[], bool] = lambda: True) -> dict[str, str]:
    """Variables that give Ansible a locale in UTF-8, without which it does not start; none where the caller's will do.

    `installed`: whether this machine has the locale that the caller names.
    """
    name = environment.get("LC_ALL") or environment.get("LC_CTYPE") or environment.get("LANG") or ""
    in_utf_8 = re.search(r"\.utf-?8(@|$)", name, re.IGNORECASE) is not None
    if in_utf_8 and not installed():
        return {"LC_ALL": UTF_8}
    if in_utf_8:
        return {}
    return {"LC_ALL": UTF_8} if environment.get("LC_ALL") else {"LC_CTYPE": UTF_8}


def ssh_includes(text: str) -> list[str]:
    """The patterns of files that a configuration of ssh includes, as they stand there."""
    found: list[str] = []
    for line in text.splitlines():
        word, _, rest = line.strip().replace("=", " ", 1).replace("\t", " ").partition(" ")
        if word.lower() == "include":
            try:
                found += shlex.split(rest)
            except ValueError:
                continue
    return found
