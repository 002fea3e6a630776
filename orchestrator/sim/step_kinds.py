"""What the simulator holds of each kind of playbook step: its own opinion, apart from the rows in `core/kinds.py`.

The one rule it keeps: whoever in the simulator tells kinds apart reads this table. So a new kind is judged by one row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from orchestrator.core.records import StepKind


@dataclass(frozen=True, slots=True)
class Played:
    """`towards`: it works at the destination. `first`: it may be the first effect of a run. `destroys`: something may
    stop for good. `key`: what a move calls its playbook; empty: a place's, or a hand-over's.
    """

    key: str = ""
    towards: bool = False
    first: bool = True
    destroys: bool = False


PLAYED: Mapping[StepKind, Played] = {
    StepKind.ISOLATE: Played(first=False),
    StepKind.PREPARE: Played("prepare", towards=True),
    StepKind.FENCE: Played(destroys=True),
    StepKind.EXECUTE: Played("playbook", towards=True, destroys=True),
    StepKind.FINISH: Played("finish", first=False),
}
TOWARDS = tuple(kind for kind, row in PLAYED.items() if row.towards)
CHANGES = tuple(kind for kind, row in PLAYED.items() if row.first)
EFFECTS = (*CHANGES, StepKind.FINISH)
DESTROYS = tuple(kind for kind, row in PLAYED.items() if row.destroys)
OF_MOVES = tuple(row.key for row in PLAYED.values() if row.key)
