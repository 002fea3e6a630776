"""The part of the fold about drills: what has begun, is on its way back, and is over.

The one rule it keeps: it is called by `fold.apply` alone. A drill is not over while a run of it is not.
"""

from __future__ import annotations

from orchestrator.core import records as r
from orchestrator.core.state import scheduled
from orchestrator.core.state.decided import Decided, Drill, IllegalRecord, Run
from orchestrator.core.state.retention import KEPT_RUNS, forget


def unfinished(d: Decided, name: str) -> Drill:
    """The drill of this id. Raises IllegalRecord where nothing more can happen in it."""
    drill = d.drills.get(name)
    if drill is None or drill.ended is not None:
        state = "was never begun" if drill is None else "has ended"
        raise IllegalRecord(f"a record speaks of drill {name!r}, which {state}")
    return drill


def began(d: Decided, x: r.DrillBegan) -> None:
    """A drill began."""
    if x.drill in d.drills:
        raise IllegalRecord(f"drill {x.drill} has begun already")
    if x.scheduled:
        scheduled.began(d, x)
    d.drill_count += 1
    _forget_stats(d)
    d.drills[x.drill] = Drill(x)
    forget(d.drills, lambda drill: drill.ended.at if drill.ended else None, KEPT_RUNS)


def _forget_stats(d: Decided) -> None:
    """Drop what the surveys of drills that are over published: the journal keeps it, a checkpoint need not."""
    over = [name for drill in d.drills.values() if drill.ended is not None for name in drill.runs]
    for run in (d.runs[name] for name in over if name in d.runs):
        for step in run.steps:
            step.stats = {}


def turned_back(d: Decided, x: r.DrillTurnedBack) -> None:
    """It is on its way to how things were before; once."""
    drill = unfinished(d, x.drill)
    if drill.turned_back is not None:
        raise IllegalRecord(f"drill {x.drill} is on its way back already")
    drill.turned_back = x


def ended(d: Decided, x: r.DrillEnded) -> None:
    """It is over, and so are its runs."""
    drill = unfinished(d, x.drill)
    if open_ := [name for name in drill.runs if name in d.runs and d.runs[name].ended is None]:
        raise IllegalRecord(f"drill {x.drill} cannot end: {', '.join(open_)} of it has not")
    drill.ended = x


def broken(d: Decided, x: r.RunBroken) -> None:
    """A rehearsal failed: what is left of it is its clean-up; once."""
    run = d.runs.get(x.run)
    if run is None or run.ended is not None or run.broken is not None or not run.rehearses:
        raise IllegalRecord(f"run {x.run} cannot be broken off for its clean-up: it is over, is already, or has none")
    run.broken = x


def durations(d: Decided, run: Run) -> dict[str, list[float]]:
    """Where what this run took is kept: a drill is no measure of a worst day, and is kept apart."""
    return d.drilled if run.started.origin is r.Origin.DRILL else d.durations


def goes_on(d: Decided, run: Run) -> bool:
    """Whether it is of a drill that is not over, which goes on from it."""
    drill = d.drills.get(run.started.drill)
    return drill is not None and drill.ended is None
