"""One folder for the temporary files of a whole run of the tests, removed at its end.

The one rule it keeps: what a program that was killed had no time to remove (Ansible's modules, ssh's agents) goes too;
of a run that was itself killed, the next one removes it. pytest's own folders stay where they are looked for.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

PREFIX = "bt-"  # short: a socket's path is


def begin() -> Path:
    """Make the folder, for this process and whatever it starts; remove those of runs that are over."""
    usual = Path(tempfile.gettempdir())
    for left in usual.glob(f"{PREFIX}*-*"):
        of = left.name.removeprefix(PREFIX).partition("-")[0]
        with suppress(FileNotFoundError):  # another run, which begins now, removes it too
            if left.lstat().st_uid == os.geteuid() and not _runs(of):
                shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))
    folder.chmod(0o1777)  # some of them work as another user
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(usual))
    os.environ["TMPDIR"] = tempfile.tempdir = str(folder)
    return folder


def end(folder: Path) -> None:
    """Remove it."""
    shutil.rmtree(folder, ignore_errors=True)


def _runs(pid: str) -> bool:
    with suppress(ValueError, PermissionError):
        try:
            os.kill(int(pid), 0)
        except ProcessLookupError:
            return False
    return True
