"""Checks names from outside: hosts and groups of an inventory, people.

The one rule it keeps: a name that cannot be shown, said and compared as it is, is a fault where it stands. So later
code can rely on it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.config.faults import Faults, Position
from orchestrator.core.outside import evidence, name_fault

if TYPE_CHECKING:
    from orchestrator.config.inventory import Inventory

PLAIN_NAME = "a name without control, invisible or direction characters"
CLIENT_NAME = "a name without '#', and not '*'"
_TOLD_MAX = 10  # of one client: an inventory that is all wrong is said to be so


def spoken(value: Any) -> str:
    """A text that is said to people. Raises ValueError."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{value!r} is no text")
    if why := name_fault(value):
        raise ValueError(f"{value!r} {why}")
    return value


def client_fault(name: str) -> str | None:
    """What is wrong with a client's name; None: nothing. What we write behind a name begins with `#`; `*` is all."""
    return name_fault(name) or ("holds '#'" if "#" in name else "means every client" if name == "*" else None)


def check_names(workspace: Path, inventory: Inventory, faults: Faults) -> None:
    """Note a fault for each host and group whose name is none."""
    source = inventory.sources[0]
    file = str(source.relative_to(workspace)) if source.is_relative_to(workspace) else str(source)
    named = [("host", name) for name in inventory.hosts] + [("group", name) for name in inventory.groups]
    wrong = [(kind, name, why) for kind, name in named if (why := name_fault(name))]
    for kind, name, why in wrong[:_TOLD_MAX]:
        faults.add(Position(file), f"{kind} '{evidence(name, 80)}' {why}", PLAIN_NAME)
    if len(wrong) > _TOLD_MAX:
        faults.add(Position(file), f"{len(wrong) - _TOLD_MAX} more names of hosts and groups are none", PLAIN_NAME)
