"""The endings of our files: `.yml` or `.yaml`.

The one rule it keeps: no file of ours is ignored silently because of how its name ends.
"""

from __future__ import annotations

from pathlib import Path

from orchestrator.config.faults import Faults, Position


def either(folder: Path, stem: str, where: str = "", faults: Faults | None = None) -> Path:
    """STEM.yml or STEM.yaml, whichever is there; two of them are a fault. `where`: what the folder is called."""
    short, long = folder / f"{stem}.yml", folder / f"{stem}.yaml"
    if not long.is_file():
        return short
    at = Position(f"{where}{long.name}")
    if short.is_file():
        if faults is not None:
            faults.add(
                at, f"{short.name} is there, too: only one of them can hold", f"one of {short.name}, {long.name}"
            )
        return short
    if faults is not None:
        faults.warn(at, f"{long.name} is read as {short.name} would be")
    return long
