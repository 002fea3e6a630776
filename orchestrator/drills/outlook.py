"""How schedules stand, for people: what is due, what is ahead, what was missed.

The one rule it keeps: of a surprise it says the period, which its author wrote, and nothing of what was drawn.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from orchestrator.core.schedules import DrillPlan
from orchestrator.core.state.decided import ScheduleState
from orchestrator.drills.due import everybodys
from orchestrator.drills.occurrences import EVER, occurrences
from orchestrator.drills.times import at, read, written


@dataclass(frozen=True, slots=True)
class Outlook:
    """One schedule of drills. Times as in records, UTC. `state`: due, ahead, in a period (of a surprise), never.

    `held_by`: what stands against one that is due. `in_force`: whether a controller goes by it as it stands now.
    """

    schedule: str
    kind: str
    what: tuple[str, ...]
    state: str
    opens: str
    closes: str
    held_by: str
    latest: str
    in_force: bool


def outlook(states: Mapping[str, ScheduleState], plans: Mapping[str, DrillPlan], wall: float) -> list[Outlook]:
    """Every schedule of the plans, what is due first, then by time."""
    found = [_of(plan, states.get(name), wall) for name, plan in plans.items()]
    return sorted(found, key=lambda x: (x.state != "due", not x.opens, x.opens, x.schedule))


def _of(plan: DrillPlan, known: ScheduleState | None, wall: float) -> Outlook:
    now = at(wall)
    state = known if known is not None and known.plan.digest == plan.digest else None
    what = tuple(f"{x.service} {x.move}" for x in plan.of)
    latest = max(known.drilled.values(), default="") if known is not None else ""
    due = state.due if state is not None else None
    if due is not None and not plan.surprise:
        named_at = read(due.came.occurrence)
        one = next(occurrences(plan.schedule, everybodys(plan), named_at - timedelta(seconds=1), named_at), None)
        held = f"{due.held.reason.value}: {due.held.evidence}" if due.held is not None else ""
        closes = written(one.closes) if one is not None else ""
        opens = written(one.opens) if one is not None else due.came.occurrence
        return Outlook(plan.id, plan.kind.value, what, "due", opens, closes, held, latest, True)
    after = read(state.upto) if state is not None else now
    if plan.surprise:
        after = min(after, now) - timedelta(seconds=plan.schedule.length_s)
    for one in occurrences(plan.schedule, everybodys(plan), after, now + EVER, whole=plan.surprise):
        if one.closes <= now or (plan.surprise and state is not None and one.name <= state.upto and due is None):
            continue
        opens, closes = written(one.opens), written(one.closes)
        label = "in a period" if plan.surprise else "ahead"
        return Outlook(plan.id, plan.kind.value, what, label, opens, closes, "", latest, state is not None)
    return Outlook(plan.id, plan.kind.value, what, "never", "", "", "", latest, state is not None)
