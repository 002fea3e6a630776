"""Temporary directories of zygotes and of playbooks that a person starts.

The one rule it keeps: a directory belongs to whoever holds its lock. One that nobody holds, because its program was
killed, is removed.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from orchestrator.runner.connections import replaceable

PREFIX = "bascule-warm-"
OF_A_CALL = "bascule-playbook-"
ELSEWHERE = "/tmp"  # noqa: S108 (a private directory is made in it)
SOCKET_MAX = 107 - len("/mitogen_unix_12345678.sock")  # bytes of a directory's path that Mitogen can listen in
LEFT_S = 60.0  # a directory that nobody holds is younger only while it is being made


@contextmanager
def of_a_call() -> Iterator[Path]:
    """One that is there while a person's playbook runs. Raises OSError."""
    path, held = made(OF_A_CALL)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(held)


def made(prefix: str = PREFIX) -> tuple[Path, int]:
    """A new one, and its lock, to be closed by the caller. Raises OSError.

    Where the path of temporary files is too long for a socket, or another user's (`su` keeps TMPDIR), it is in /tmp:
    what a playbook sends to its hosts, and a vault's files in clear, lie in here.
    """
    tidy()
    usual = tempfile.gettempdir()
    fits = len(os.fsencode(usual)) + len(f"/{prefix}12345678") <= SOCKET_MAX and not replaceable(usual)
    path = Path(tempfile.mkdtemp(prefix=prefix, dir=usual if fits else ELSEWHERE))
    held = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    fcntl.flock(held, fcntl.LOCK_EX)
    return path, held


def tidy() -> None:
    """Remove what was left by those that were killed."""
    places = dict.fromkeys((Path(tempfile.gettempdir()), Path(ELSEWHERE)))
    for path in [found for place in places for prefix in (PREFIX, OF_A_CALL) for found in place.glob(f"{prefix}*")]:
        try:
            if path.stat().st_uid != os.geteuid() or time.time() - path.stat().st_mtime < LEFT_S:
                continue
            held = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path, ignore_errors=True)
        except OSError:
            pass  # its zygote lives, or a playbook of it
        finally:
            os.close(held)
