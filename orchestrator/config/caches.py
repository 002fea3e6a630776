"""Which caches a workspace has: those of the clients that are there.

The one rule it keeps: a client that is gone leaves nothing behind; a cache that cannot be removed harms nobody.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from pathlib import Path

OF_A_CLIENT = ("inventory", "syntax")  # `inventory-CLIENT.json`


def forget_the_gone(cache: Path, clients: Collection[str]) -> None:
    """Remove what is cached of clients that have no folder any more."""
    for kind in OF_A_CLIENT:
        for path in cache.glob(f"{kind}-*.json"):
            if path.stem.removeprefix(f"{kind}-") not in clients:
                with contextlib.suppress(OSError):
                    path.unlink()
