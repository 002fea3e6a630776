"""Whether one configuration can replace another.

The one rule it keeps: a configuration does not take away what an open incident or a run under way rests on.
"""

from __future__ import annotations

from orchestrator.core.durations import named
from orchestrator.core.kinds import Subject
from orchestrator.core.model import Model
from orchestrator.core.records import DrillBegan
from orchestrator.core.state.decided import Decided, Run


def objections(decided: Decided, model: Model) -> list[str]:
    """Why this model cannot replace the present one now; empty if it can."""
    incidents = [i for i in decided.open_incidents() if i.service not in model.services]
    started = [x.started for x in decided.unfinished_runs()]
    needed = [x for x in started if x.service not in model.services or x.move not in model.moves]
    drills = [
        x.began
        for x in decided.unfinished_drills()
        if x.began.service not in model.services
        or any(m is not None and m not in model.moves for m in (x.began.move, x.began.back))
    ]
    rehearsals = [x for x in decided.unfinished_runs() if x.rehearses and _lost(x, model)]
    return [
        *(f"{i.service} has incident {i.id} open and cannot be removed" for i in incidents),
        *(f"drill {x.drill} needs {_needed(x)}: they cannot be removed" for x in drills),
        *(f"run {x.id} rehearses {x.started.move}: what it has still to play cannot be removed" for x in rehearsals),
        *(f"run {x.run} needs {x.service} and {x.move}: they cannot be removed" for x in needed),
    ]


def _needed(began: DrillBegan) -> str:
    return named(x for x in (began.service, began.move, began.back) if x)


def _lost(run: Run, model: Model) -> bool:
    """Whether it has a step before it of which nothing says any more how it is made: also its clean-up."""
    move = model.moves.get(run.started.move)
    left = [s.traits for s in run.steps if s.traits.rehearses and s.traits.played and not s.over]
    return move is not None and any(x.work(Subject(model, move)) is None for x in left)
