"""Where zygotes keep their temporary files, and what becomes of those that were killed.

The one rule it keeps: a directory belongs to whoever holds its lock; one that nobody holds is removed.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from pathlib import Path

PREFIX = "bascule-warm-"
LEFT_S = 60.0  # a directory that nobody holds is younger only while it is being made


def tidy() -> None:
    """Remove what zygotes left that were killed."""
    for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
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
