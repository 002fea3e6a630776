"""By what a report was made: the program's version, and a digest of what works its values out and lays them out.

The one rule it keeps: two programs that may say otherwise of the same records are not called the same.
"""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.metadata import version
from pathlib import Path

PARTS = ("core", "drills", "reports")  # of the package


@cache
def made_by() -> str:
    """What stands in a report's file, and on its pages."""
    return f"bascule {version('bascule')} ({digest_of(Path(__file__).parents[2])[:8]})"


def digest_of(package: Path) -> str:
    """Of every file of these parts, by name and contents; what Python has compiled is none of them."""
    digest = hashlib.sha256()
    for path in sorted(x for part in PARTS for x in (package / part).rglob("*") if x.is_file()):
        if path.suffix != ".pyc":
            digest.update(f"{path.relative_to(package)}\n".encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
