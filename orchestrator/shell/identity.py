"""The name under which targets keep the largest epoch that they have seen of a workspace.

The one rule it keeps: it is recorded with the epochs themselves. A new journal, whose epochs begin at 1 again, has a
new name. A journal that was moved elsewhere keeps its own.
"""

from __future__ import annotations

import secrets
from pathlib import Path


def identity_for(workspace: Path, epoch: int) -> str:
    """What to put on record where nothing is: what a file told older versions, or a new name with a first epoch."""
    path = workspace / ".bascule" / "identity"
    kept = path.read_text(encoding="utf-8").strip() if epoch > 1 and path.exists() else ""
    return kept or secrets.token_hex(8)
