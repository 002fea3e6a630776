"""What the simulator holds of each kind of playbook step: its own opinion, apart from the rows in `core/kinds.py`.

The one rule it keeps: whoever in the simulator tells kinds apart reads this table. What a move declares beside its own
playbook, and what has no row here, is judged strictly: it may be the first effect of a run, on hosts that are always
there. So a row is for what is known of a kind beyond that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from orchestrator.core.kinds import TRAITS
from orchestrator.core.records import StepKind, StepState


@dataclass(frozen=True, slots=True)
class Played:
    """`towards`: it works at the destination. `first`: it may be the first effect of a run. `destroys`: something may
    stop for good. `key`: what a move calls its playbook; empty: a place's, a hand-over's, or a rehearsal's. `apart`: it
    acts upon a rehearsal's hosts alone. `leaves`: something of it is there until it is cleaned up. `always`: it is
    made whatever became of those before. `anywhere`: its hosts are where nothing fails. `again`: whether it may be
    repeated though nobody knows what it did; None: as its move says, or its fence.
    """

    key: str = ""
    towards: bool = False
    first: bool = True
    destroys: bool = False
    apart: bool = False
    leaves: bool = False
    always: bool = False
    anywhere: bool = False
    again: bool | None = None


PLAYED: Mapping[StepKind, Played] = {
    **{kind: Played(row.declared, anywhere=True) for kind, row in TRAITS.items() if row.beside and row.played},
    StepKind.ISOLATE: Played(first=False),
    StepKind.PREPARE: Played("prepare", towards=True),
    StepKind.FENCE: Played(destroys=True),
    StepKind.EXECUTE: Played("playbook", towards=True, destroys=True),
    StepKind.FINISH: Played("finish", first=False, anywhere=True),
    StepKind.SURVEY: Played(first=False, apart=True, again=True),
    StepKind.SET_UP: Played(first=False, apart=True, leaves=True, again=False),
    StepKind.REHEARSE: Played(first=False, apart=True, leaves=True, again=False),
    StepKind.CLEAN_UP: Played(first=False, apart=True, always=True, again=True),
    StepKind.RESURVEY: Played(first=False, apart=True, always=True, again=True),
}
TOWARDS = tuple(kind for kind, row in PLAYED.items() if row.towards)
CHANGES = tuple(kind for kind, row in PLAYED.items() if row.first)
EFFECTS = (*CHANGES, StepKind.FINISH)
DESTROYS = tuple(kind for kind, row in PLAYED.items() if row.destroys)
APART = tuple(kind for kind, row in PLAYED.items() if row.apart)
ANYWHERE = tuple(kind for kind, row in PLAYED.items() if row.anywhere)
LEAVES = tuple(kind for kind, row in PLAYED.items() if row.leaves)
OF_MOVES = tuple(row.key for row in PLAYED.values() if row.key)


def rests_on(kind: StepKind) -> tuple[StepState, ...]:
    """How those before it have to have ended."""
    well = (StepState.DONE, StepState.SKIPPED)
    return (*well, StepState.FAILED) if kind in PLAYED and PLAYED[kind].always else well
