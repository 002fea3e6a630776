"""Compares the files of a plan on disk with those that were loaded.

The one rule it keeps: the same reader reads them anew each time. A difference is told by its name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from orchestrator.config.faults import Faults, Position
from orchestrator.config.manifest import Manifest
from orchestrator.config.ownership import unsafe_parts
from orchestrator.config.playbooks import Reader
from orchestrator.config.surroundings import label


def playbook_digest(workspace: Path, name: str, inventory: Sequence[Path]) -> str | None:
    """The digest of `playbooks/NAME` as it is now, to be compared with the one in the model; None if it is gone.

    `inventory` is `Loaded.inventories[client]`.
    """
    reader = Reader(workspace.resolve(), Faults())
    return reader.digest(name, inventory) if reader.check(name, Position(name)) else None


def differences(
    workspace: Path, wanted: Sequence[tuple[str, Sequence[Path], str]], loaded: Mapping[str, Manifest]
) -> dict[str, str]:
    """What differs on disk from what was loaded: a sentence for each digest, empty where nothing does.

    `wanted`: playbook, inventory sources of its client, digest in force. `loaded` is `Loaded.manifests`.
    """
    reader = Reader(workspace.resolve(), Faults())
    found: dict[str, str] = {}
    for name, inventory, digest in wanted:
        if not reader.check(name, Position(name)):
            found[digest] = f"playbooks/{name} cannot be read any more"
        elif (now := reader.manifest(name, inventory)).digest == digest:
            found[digest] = "; ".join(f"{label(reader.workspace, path)}: {why}" for path, why in _unsafe(reader)[:1])
        elif digest in loaded:
            found[digest] = now.differs_from(loaded[digest])
        else:
            found[digest] = f"playbooks/{name}, or something that it uses, is not what was decided upon"
    return found


def _unsafe(reader: Reader) -> list[tuple[Path, str]]:
    return unsafe_parts(reader.covered())
