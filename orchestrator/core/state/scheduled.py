"""The part of the fold about schedules of drills: which are in force, what is due of them, what was missed.

The one rule it keeps: it is called by `fold.apply` alone. A time of a schedule comes due, or is missed, once: whatever
a clock or a restart does, a record of one that was dealt with before cannot follow.
"""

from __future__ import annotations

from orchestrator.core import records as r
from orchestrator.core.state.decided import Decided, DueDrill, IllegalRecord, ScheduleState


def _known(d: Decided, name: str) -> ScheduleState:
    state = d.schedules.get(name)
    if state is None:
        raise IllegalRecord(f"a record speaks of the schedule {name!r}, which is not in force")
    return state


def _due(d: Decided, name: str, occurrence: str) -> DueDrill:
    due = _known(d, name).due
    if due is None or due.came.occurrence != occurrence:
        raise IllegalRecord(f"the drill of {name} at {occurrence} is not due")
    return due


def in_force(d: Decided, x: r.ScheduleInForce) -> None:
    """Another schedule by this name, or none."""
    before = d.schedules.get(x.schedule)
    if before is not None and before.due is not None:
        raise IllegalRecord(f"the drill of {x.schedule} at {before.due.came.occurrence} is due: it has no end yet")
    if x.plan is None:
        d.schedules.pop(x.schedule, None)
    elif before is None:
        d.schedules[x.schedule] = ScheduleState(x.plan, x.since, "")
    else:
        before.plan, before.since, before.seal = x.plan, x.since, None


def drawn(d: Decided, x: r.DrillDrawn) -> None:
    """What a surprise will be is drawn."""
    _known(d, x.schedule).seal = x


def came_due(d: Decided, x: r.DrillCameDue) -> None:
    """Its time has come; once."""
    state = _known(d, x.schedule)
    if state.due is not None or x.occurrence <= state.upto:
        raise IllegalRecord(f"the drill of {x.schedule} at {x.occurrence} cannot come due: up to {state.upto} all is")
    state.due, state.dealt = DueDrill(x), x.occurrence


def held_up(d: Decided, x: r.DrillHeldUp) -> None:
    """Something stands against it."""
    _due(d, x.schedule, x.occurrence).held = x


def missed(d: Decided, x: r.DrillMissed) -> None:
    """It does not begin any more: one that was due, or one whose time nobody saw."""
    state = _known(d, x.schedule)
    if state.due is not None:
        _due(d, x.schedule, x.occurrence)
        state.due = None
    elif x.occurrence <= state.upto:
        raise IllegalRecord(f"the drill of {x.schedule} at {x.occurrence} cannot be missed: up to {state.upto} all is")
    state.dealt = max(state.dealt, x.occurrence)


def began(d: Decided, x: r.DrillBegan) -> None:
    """A drill of a schedule began."""
    _due(d, x.scheduled, x.occurrence)
    state = d.schedules[x.scheduled]
    state.due, state.seal, state.latest = None, None, x.service
    state.drilled[f"{x.service} {x.move}"] = x.occurrence
    for gone in [key for key in state.drilled if key not in {f"{c.service} {c.move}" for c in state.plan.of}]:
        del state.drilled[gone]
