"""What names this workspace's epochs on targets: they keep the largest epoch seen under this name.

The one rule it keeps: a new journal, whose epochs begin at 1 again, has a new name; the name of an old one is replaced
as a whole or not at all.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def identity_of(workspace: Path, epoch: int) -> str:
    """The workspace's identity; a new one with a journal's first epoch, or where none can be read.

    Raises OSError where it cannot be kept.
    """
    path = workspace / ".bascule" / "identity"
    kept = path.read_text(encoding="utf-8").strip() if epoch > 1 and path.exists() else ""
    if kept:
        return kept
    identity = secrets.token_hex(8)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    _replace(path, identity + "\n")
    return identity


def _replace(path: Path, text: str) -> None:
    """Half a name would be another name: a later controller would not know its own epochs on targets any more."""
    fresh = path.with_name(path.name + ".new")
    with fresh.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
