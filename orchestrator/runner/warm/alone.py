"""A zygote that nobody owns: for playbooks that a person starts, one after another, from one place.

The one rule it keeps: it serves only what would have been the same without it. It has a name in a directory of the
user's own. The name is made of everything that a playbook inherits from where it is started: who starts it, in which
directory, with which environment, in which namespaces, within which limits. So whoever finds it would have made the
same one.
`ansible-playbook` itself runs what it cannot serve.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestrator.runner import settings, steering
from orchestrator.runner.connections import replaceable
from orchestrator.runner.environment import frozen
from orchestrator.runner.warm import directories
from orchestrator.runner.warm.inherited import inherited

KEY = 24  # hexadecimal digits of what such a zygote is made of
PATH_MAX = 107  # bytes of a socket's path, on Linux
NAMESPACES = ("cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts")


@dataclass(frozen=True, slots=True)
class Alone:
    """Where such a zygote is found, if there is one."""

    home: Path
    key: str
    mitogen: bool  # used where it is installed

    @property
    def door(self) -> Path:
        """Where it takes calls."""
        return self.home / f"{self.key}.socket"

    def call(self) -> socket.socket | None:
        """A stream to it; None where there is none that takes calls."""
        stream = socket.socket(socket.AF_UNIX)
        try:
            stream.settimeout(1.0)
            stream.connect(str(self.door))
        except OSError:
            stream.close()
            return None
        return stream

    def start(self, environment: Mapping[str, str]) -> None:
        """Start one in the background, in this directory and with this environment, unless one is being started.

        Never raises: it is an accelerator.
        """
        try:
            one = os.open(self.home / f"{self.key}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError:
            return
        try:
            fcntl.flock(one, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._spawn(one, environment)
        except OSError:
            pass  # there is one, or there can be none
        finally:
            os.close(one)

    def _spawn(self, one: int, environment: Mapping[str, str]) -> None:
        self.door.unlink(missing_ok=True)
        directory, held = directories.made()
        try:
            with socket.socket(socket.AF_UNIX) as listening, (directory / "log").open("wb") as log:
                listening.bind(str(self.door))
                words = ["-P", "-m", "orchestrator.runner.warm.zygote", os.getcwd(), str(directory)]
                subprocess.Popen(  # reaped by whoever adopts it: it outlives this command
                    [sys.executable, *words, "mitogen" if self.mitogen else "plain", str(held), str(one)],
                    stdin=listening.fileno(),
                    stdout=subprocess.DEVNULL,
                    stderr=log,
                    env={**environment, settings.MARK: settings.NO_MARK, "ANSIBLE_LOCAL_TEMP": str(directory)},
                    pass_fds=[held, one],
                    start_new_session=True,
                )
        finally:
            os.close(held)


def find(environment: Mapping[str, str], mitogen: bool = True) -> Alone | None:
    """The one for a playbook started here and now; None where there is no private place for it."""
    home = _private_directory()
    if home is None:
        return None
    root = os.stat("/")
    taken_over = {
        "python": sys.executable,
        "mitogen": mitogen,
        "directory": os.getcwd(),
        "environment": dict(sorted(frozen(environment).items())),
        "agents": [environment.get(name) for name in steering.AGENTS],
        "user": [os.getuid(), os.getgid(), *sorted(os.getgroups())],
        "root": [root.st_dev, root.st_ino],
        "namespaces": [_namespace(name) for name in NAMESPACES],
        "inherited": inherited(),
    }
    return Alone(home, hashlib.sha256(json.dumps(taken_over).encode()).hexdigest()[:KEY], mitogen)


def _namespace(name: str) -> str:
    try:
        return os.readlink(f"/proc/self/ns/{name}")
    except OSError:
        return ""


def _private_directory() -> Path | None:
    uid = os.getuid()
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    places = [Path(runtime) / "bascule-warm"] if runtime else []
    places.append(Path("/run/bascule-warm") if uid == 0 else Path(f"/tmp/bascule-calls-{uid}"))  # noqa: S108 (checked)
    for place in places:
        if len(os.fsencode(place)) + len("/.socket") + KEY > PATH_MAX:
            continue
        try:
            if replaceable(place.parent):
                continue
            place.mkdir(mode=0o700, exist_ok=True)
            found = place.lstat()
        except OSError:
            continue
        if stat.S_ISDIR(found.st_mode) and found.st_uid == uid and not found.st_mode & 0o077:
            return place
    return None
