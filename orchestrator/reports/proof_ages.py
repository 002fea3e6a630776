"""Since when a tier is shown to work, by what is in force now: by the ledger's proof, or by a good rehearsal.

The one rule it keeps: only what was live and rests on what is in force now shows anything. What became void, or was
simulated, is no age of a proof.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from orchestrator.core.model import Model
from orchestrator.reports.drills import holding
from orchestrator.reports.evidence import Standing, evidence
from orchestrator.reports.stories import Stories

PROVEN = (Standing.MEASURED, Standing.PREDICTED)
Tier = tuple[str, str]
"""A service and a move of its ladder."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What shows it last. `wall`: when, seconds since 1970. `by`: the run or the drill, with what it was."""

    wall: float
    by: str


def last_shown(stories: Stories, model: Model, now: float) -> Mapping[Tier, Shown]:
    """Every tier that is shown to work. `now`: on the journal's axis."""
    found: dict[Tier, Shown] = {}
    for x in evidence(stories, model, now, lambda _service: True):
        if x.rto in PROVEN and x.proof is not None:
            found[x.service, x.move] = Shown(x.proof.wall, f"proven by {x.proof.run} ({x.proof.by})")
    for drill, runs in holding(stories, model, lambda _service: True):
        if runs and drill.ended is not None and not any(step.simulated for run in runs for step in run.steps):
            tier, wall = (drill.began.service, drill.began.move), stories.clock.wall(drill.ended.at)
            if tier not in found or wall > found[tier].wall:
                found[tier] = Shown(wall, f"drilled well by {drill.id}")
    return found
