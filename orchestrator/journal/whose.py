"""Whose state a workspace's `.bascule` is, where that is a link: one to another disk is as good as a folder here.

The one rule it keeps: no workspace uses another's journal, daemon or state. Two configurations would decide by turns,
each of what the other has moved, and what one shows would be told of the other.
"""

from __future__ import annotations

import os
from pathlib import Path

FOLDER = ".bascule"
REMEDY = "Each workspace has state of its own: take the link away"


def of_another(workspace: Path) -> str:
    """What is wrong, in a sentence without its full stop; empty: it is this workspace's own."""
    led = Path(os.path.realpath(workspace / FOLDER))
    own = led.name != FOLDER or led.parent == Path(os.path.realpath(workspace))
    if own or not (led.parent / "inventories").is_dir():
        return ""
    return f"{workspace / FOLDER} is a link to {led}, which is another workspace's"
