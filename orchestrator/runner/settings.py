"""The environment in which Ansible runs.

The one rule it keeps: what the author's `ansible.cfg` or the operator's environment says, stands. We only add what is
needed to watch a playbook, and a few defaults (pipelining, long-lived connections) if nobody said anything.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestrator.core import ansible
from orchestrator.runner import connections

MARK = "LC_BASCULE_ATTEMPT"
"""Every process of an attempt carries this variable, here and (sent by ssh, kept by sudo) on the targets.

Debian's sshd accepts `LC_*` and sudo keeps it, as long as the value has neither `/` nor `%`.
"""

NO_MARK = "0" * 24
"""Stands in the environment of what belongs to no attempt; an attempt's mark has the same length."""

SSH_ARGS = "-C -o ControlMaster=auto -o ControlPersist=1800s"


COMPILED = Path(".bascule") / "compiled"
PREFIX = "PYTHONPYCACHEPREFIX"
OURS = "bascule"  # below the folder that an operator names for all that Python compiles


def _is_ours_alone(folder: Path) -> bool:
    """Whether nobody but this login, and root, can put there what Python would run; so it has to be there already."""
    try:
        real = folder.resolve(strict=True)
        found = [place.stat() for place in (real, real / OURS) if place == real or place.exists()]
        above = [place.stat() for place in real.parents]
    except OSError:
        return False
    closed = all(not x.st_mode & 0o022 for x in found)
    reached = all(not x.st_mode & 0o022 or x.st_mode & stat.S_ISVTX for x in above)
    return closed and reached and all(x.st_uid in (0, os.geteuid()) for x in (*found, *above))


@dataclass(frozen=True, slots=True)
class Settings:
    """What holds for a playbook: `configuration` is the ansible.cfg, if any; in `directory` Ansible starts."""

    configuration: Path | None
    directory: Path
    ours: bool  # we found the file (by the workspace), so Ansible has to be told
    called: bool = False  # by a person, in `directory`
    compiled: Path | None = None  # where Python keeps what it compiles, and looks for it

    @classmethod
    def find(cls, workspace: Path, environment: Mapping[str, str], directory: str | None = None) -> Settings:
        """The operator's ansible.cfg, else that of the workspace's playbooks, else the workspace's, else Ansible's own.

        With a `directory`, it is as if `ansible-playbook` had been called there.
        """
        places = ansible.configuration_places(str(workspace), environment, str(Path.home()), directory)
        found = next((Path(place) for place in places if Path(place).is_file()), None)
        inside = found is not None and found.is_relative_to(workspace)
        start = directory or ansible.start_directory(str(found) if found else None, str(workspace))
        # Beside a plug-in anybody may have put what runs in its place: compiled, and said to be unchecked.
        said = environment.get(PREFIX)
        compiled = Path(os.path.abspath(said), OURS) if said and _is_ours_alone(Path(said)) else workspace / COMPILED
        called = directory is not None
        return cls(found, Path(start), inside and not called, called, None if called else compiled)

    def ssh_program(self, environment: Mapping[str, str]) -> str:
        """The program that Ansible calls for ssh, where no host variable names another."""
        sections = read_configuration(self.configuration).values()
        said = {key: value for section in sections for key, value in section.items()}
        return environment.get("ANSIBLE_SSH_EXECUTABLE") or said.get("ssh_executable") or "ssh"

    def ssh_timeout(self, environment: Mapping[str, str]) -> int:
        """Seconds that Ansible waits for a connection by ssh, where no host variable says otherwise."""
        sections = read_configuration(self.configuration)
        inside = (sections.get(section, {}).get("timeout", "") for section in ("ssh_connection", "defaults"))
        said = (environment.get("ANSIBLE_SSH_TIMEOUT", ""), environment.get("ANSIBLE_TIMEOUT", ""), *inside)
        return next((int(each) for each in said if each.strip().isdecimal()), int(connections.CONNECT_S))

    def tags(self, environment: Mapping[str, str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """What of a playbook Ansible runs, and what it skips, by tags: as its settings say."""
        said = read_configuration(self.configuration).get("tags", {})
        run = environment.get("ANSIBLE_RUN_TAGS", said.get("run", ""))
        skip = environment.get("ANSIBLE_SKIP_TAGS", said.get("skip", ""))
        return _names(run), _names(skip)

    def environment(
        self, environment: Mapping[str, str], *, mark: str, temporary: Path, kept_for: str = ""
    ) -> dict[str, str]:
        """The environment for ansible-playbook.

        `temporary` receives what Ansible would leave under ~/.ansible/tmp when it is killed. `kept_for`: whose
        connections and facts it may find, see `connections`; empty: that is still to be said.
        """
        given = _environment(self, environment, mark, temporary)
        if kept_for:
            connections.keep_apart(given, kept_for)
        return given

    def inventory(self) -> str:
        """The inventory that the configuration names, as a path or as it stands; empty: none."""
        named = read_configuration(self.configuration).get("defaults", {}).get("inventory", "")
        inside = self.configuration is not None and named and "," not in named
        return _absolute(named, self.configuration.parent, os.environ) if inside and self.configuration else named


def _environment(settings: Settings, environment: Mapping[str, str], mark: str, temporary: Path) -> dict[str, str]:
    configuration = settings.configuration
    sections = read_configuration(configuration)
    said = {key: value for section in sections.values() for key, value in section.items()}
    given = dict(environment)
    given.update(ansible.locale_that_does(environment))
    given[MARK] = mark
    own, path = str(Path(sys.executable).parent), environment.get("PATH", os.defpath)
    # A person's local tasks find the programs that he finds; ours only where he has none of that name.
    given["PATH"] = os.pathsep.join([path, own] if settings.called else [own, path])
    given["ANSIBLE_LOCAL_TEMP"] = str(temporary)
    given["ANSIBLE_NOCOLOR"] = "1"
    given.pop("ANSIBLE_FORCE_COLOR", None)
    if not settings.called:
        given["PWD"] = str(settings.directory)  # which a setting may name
    if configuration is not None and settings.ours:
        given["ANSIBLE_CONFIG"] = str(configuration)

    if settings.compiled is not None:
        given[PREFIX] = str(settings.compiled)

    def unsaid(variable: str, *keys: str) -> bool:
        return variable not in environment and not any(key in said for key in keys)

    if unsaid("ANSIBLE_PIPELINING", "pipelining") and "ANSIBLE_SSH_PIPELINING" not in environment:
        given["ANSIBLE_PIPELINING"] = "1"
    if unsaid("ANSIBLE_SSH_ARGS", "ssh_args"):
        given["ANSIBLE_SSH_ARGS"] = SSH_ARGS
    if unsaid("ANSIBLE_SSH_EXTRA_ARGS", "ssh_extra_args"):
        given["ANSIBLE_SSH_EXTRA_ARGS"] = f"-o SendEnv={MARK}"
    _say_what_is_kept(given, sections, configuration)
    # ansible-runner adds its own directory through this variable, which would hide the author's.
    if "callback_plugins" in said and "ANSIBLE_CALLBACK_PLUGINS" not in environment and configuration is not None:
        paths = (part for part in said["callback_plugins"].split(os.pathsep) if part)
        given["ANSIBLE_CALLBACK_PLUGINS"] = os.pathsep.join(
            _absolute(part, configuration.parent, given) for part in paths
        )
    return given


def _say_what_is_kept(
    given: dict[str, str], sections: Mapping[str, Mapping[str, str]], configuration: Path | None
) -> None:
    """Where Ansible keeps things, as the author has it: what is kept for one client is told apart behind it."""
    given.pop(connections.KEPT_FOR, None)
    for variable, section, key in _KEPT:
        said = sections.get(section, {}).get(key)
        if said and variable not in given:
            path = variable == connections.PERSISTENT and configuration is not None
            given[variable] = _absolute(said, configuration.parent, given) if path and configuration else said


_KEPT = (
    ("ANSIBLE_CACHE_PLUGIN_PREFIX", "defaults", "fact_caching_prefix"),
    (connections.PERSISTENT, "persistent_connection", "control_path_dir"),
)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name for part in text.split(",") if (name := part.strip()))


def _absolute(path: str, base: Path, environment: Mapping[str, str]) -> str:
    return ansible.absolute(path, str(base), environment, str(Path.home()))


def read_configuration(path: Path | None) -> dict[str, dict[str, str]]:
    """Sections of an ansible.cfg and their keys; a file that cannot be read is Ansible's to complain about."""
    if path is None:
        return {}
    try:
        return ansible.settings(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
