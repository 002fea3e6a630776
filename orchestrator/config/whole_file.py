"""Writes a file as a whole or not at all, readable by nobody else.

The one rule it keeps: a reader finds the old content or the new content, also after a crash or on a full disk. A failed
write leaves nothing beside the file.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def make_private(folder: Path) -> None:
    """Have this folder, and those above it that are not there, with mode 0700. Raises OSError."""
    for each in (*reversed(folder.parents), folder):  # `parents=True` would give those above the usual mode
        if not each.is_dir():
            each.mkdir(mode=0o700, exist_ok=True)


def write_whole(path: Path, text: str) -> None:
    """Put this text there, in UTF-8; folders are made where there are none, mode 0700. Raises OSError."""
    make_private(path.parent)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
