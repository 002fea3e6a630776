# SPDX-License-Identifier: GPL-3.0-or-later
"""What a zygote is built from, and whether that has changed since.

The one rule it keeps: whatever ansible-core freezes when it is imported is compared with each call. So a child never
runs under a configuration that its caller does not have.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from orchestrator.runner import environment, settings


class Built:
    """An imported ansible-core and the configuration that it was imported with."""

    def __init__(self, directory: Path, cwd: str, given: Mapping[str, str], mark_at: int) -> None:
        from ansible import constants

        self.directory = directory
        self.cwd = cwd
        self.mark_at = mark_at
        self.names = frozenset(_names_in_configuration(constants.config)) | frozenset(environment.ALWAYS_FROZEN)
        self.frozen = self.frozen_in(given)
        self.files = _files()
        self.mitogen: Any = None

    def described(self) -> dict[str, Any]:
        """For the owner's log."""
        from ansible.release import __version__

        return {"pid": os.getpid(), "ansible": __version__, "mitogen": self.mitogen.version if self.mitogen else ""}

    def frozen_in(self, given: Mapping[str, str]) -> dict[str, str]:
        """The part of an environment that ansible-core reads once."""
        return environment.frozen(given, self.names)

    def changed(self) -> str:
        """What is not any more what it was when this was built; empty: nothing."""
        if _identity(".") != _identity(self.cwd):  # and what asks for the directory in here would break
            return f"{self.cwd} was removed or replaced"
        if (now := _files()) != self.files:
            changed = sorted(set(now.items()) ^ set(self.files.items()))
            return f"{changed[0][0]} has changed"
        return self.mitogen.changed() if self.mitogen else ""

    def refusal(self, cwd: str, given: Mapping[str, str]) -> str:
        """Why a call with this environment must not be served; empty: it may."""
        asked = self.frozen_in(given)
        if asked != self.frozen:
            names = sorted(name for name in {*asked, *self.frozen} if asked.get(name) != self.frozen.get(name))
            return "its environment differs: " + ", ".join(names[:5])
        if os.path.realpath(cwd) != os.path.realpath(self.cwd):
            return f"it starts in {cwd}, not in {self.cwd}"
        return self.changed()

    def lost(self, pid: int) -> None:
        """A child that is no playbook has ended."""
        if self.mitogen:
            self.mitogen.lost(pid)

    def close(self) -> None:
        """Leave nothing."""
        if self.mitogen:
            self.mitogen.close()


def build(workspace: Path, directory: Path, mitogen: bool, *, as_it_is: bool = False) -> Built:
    """Import ansible-core as a playbook of this workspace would have it. Raises whatever it raises.

    `as_it_is`: as `ansible-playbook` would, were it started in this process's place.
    """
    mark_at = find_mark()
    given, cwd = environment.of_workspace(workspace, directory) if not as_it_is else (dict(os.environ), os.getcwd())
    os.environ.clear()
    os.environ.update(given)
    os.chdir(cwd)
    sys.pycache_prefix = given.get(settings.PREFIX) or None
    sys.argv = ["ansible-playbook"]
    from orchestrator.runner.warm.zygote import archives, connection_names, loading, local_modules, upstream_fixes

    text = "\n".join(map(_text_of, sorted((workspace / "playbooks").rglob("*.y*ml"))))
    local_modules.prepare(text)
    loading.load()
    connection_names.install()
    local_modules.install()
    upstream_fixes.end_workers_whole()
    archives.install(text)
    built = Built(directory, cwd, given, mark_at)
    if mitogen:
        from orchestrator.runner.warm.zygote import multiplexer

        built.mitogen = multiplexer.start()
    loading.settle()
    if built.mitogen:
        from orchestrator.runner.warm.zygote import mitogen_tasks

        mitogen_tasks.know_its_own()
    return built


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""  # whoever plays it will say so


def find_mark() -> int:
    """Where in this process's memory the mark's placeholder stands in its environment. Raises RuntimeError."""
    import ctypes

    fields = Path("/proc/self/stat").read_bytes().rpartition(b")")[2].split()
    start, end = int(fields[47]), int(fields[48])  # env_start and env_end: fields 50 and 51, counted from 1
    block = ctypes.string_at(start, end - start)
    wanted = f"{settings.MARK}={settings.NO_MARK}".encode() + b"\0"
    at = block.find(b"\0" + wanted) + 1 if not block.startswith(wanted) else 0
    if at == 0 and not block.startswith(wanted):
        raise RuntimeError(f"{settings.MARK} is not in its environment")
    return start + at + len(settings.MARK) + 1


def _names_in_configuration(config: Any) -> Iterable[str]:
    for definition in config.get_configuration_definitions().values():
        for variable in definition.get("env") or ():
            yield variable["name"]


def _files() -> dict[str, str]:
    """Everything on disk that an import has frozen, each with what names its state."""
    import ansible
    from ansible import constants
    from ansible.config.manager import find_ini_config_file

    release = Path(ansible.__file__).with_name("release.py")
    found: dict[str, str] = {
        "the Python interpreter": _state(Path(sys.executable).resolve()),
        str(release): _state(release),
        "what is installed beside ansible-core": _state(release.parent.parent),
        "the place of ansible.cfg": str(find_ini_config_file(set())),
    }
    if constants.CONFIG_FILE:
        found[str(constants.CONFIG_FILE)] = _digest(Path(constants.CONFIG_FILE))
    for path in constants.COLLECTIONS_PATHS:
        found[f"{path}/ansible_collections"] = _state(Path(path, "ansible_collections"))
    return found


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _state(path: Path) -> str:
    try:
        found = path.stat()
    except OSError:
        return "none"
    return f"{found.st_dev} {found.st_ino} {found.st_mtime_ns} {found.st_size}"


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return "none"
