"""How schedules stand, for people: what is due, what is ahead, what was missed.

The one rule it keeps: of a surprise it says the period, which its author wrote, and nothing of what was drawn.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from orchestrator.core.records import DrillMissed
from orchestrator.core.schedules import DrillPlan
from orchestrator.core.state.decided import ScheduleState
from orchestrator.drills.due import everybodys
from orchestrator.drills.occurrences import EVER, Occurrence, occurrences
from orchestrator.drills.times import FAILURES, at, read, why_not, written


@dataclass(frozen=True, slots=True)
class Missed:
    """A scheduled drill that did not begin. Times as in records, UTC: from when to when it might have; of a surprise,
    of its period. `what`: what could have been drilled.
    """

    schedule: str
    kind: str
    what: tuple[str, ...]
    occurrence: str
    opens: str
    closes: str
    reason: str
    evidence: str


@dataclass(frozen=True, slots=True)
class Outlook:
    """One schedule of drills. Times as in records, UTC. `state`: due, ahead, in a period (of a surprise), never, or
    unknown (its times cannot be worked out here).

    `held_by`: what stands against one that is due; why it is unknown. `in_force`: whether a controller goes by it as it
    stands now. `missed`: the last ones that were, the latest first.
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
    missed: tuple[Missed, ...] = ()


LATEST = 5  # so many that were missed are shown


def outlook(states: Mapping[str, ScheduleState], plans: Mapping[str, DrillPlan], wall: float) -> list[Outlook]:
    """Every schedule of the plans, what is due first, then by time."""
    found = []
    for name, plan in plans.items():
        try:
            found.append(_of(plan, states.get(name), wall))
        except FAILURES as unknown:
            what = _what(plan)
            found.append(
                Outlook(plan.id, plan.kind.value, what, "unknown", "", "", why_not(unknown), "", name in states)
            )
    return sorted(found, key=lambda x: (x.state != "due", not x.opens, x.opens, x.schedule))


def missed(found: Iterable[tuple[DrillMissed, DrillPlan]]) -> list[Missed]:
    """What was missed, the latest first; each with the schedule as it was then."""
    made = [_missed(x, plan) for x, plan in found]
    return sorted(made, key=lambda x: (x.occurrence, x.schedule), reverse=True)


def _missed(x: DrillMissed, plan: DrillPlan) -> Missed:
    one = _at(plan, read(x.occurrence))
    opens, closes = (written(one.opens), written(one.closes)) if one is not None else (x.occurrence, "")
    return Missed(plan.id, plan.kind.value, _what(plan), x.occurrence, opens, closes, x.reason.value, x.evidence)


def _at(plan: DrillPlan, named_at: datetime) -> Occurrence | None:
    before = named_at - timedelta(seconds=1)
    try:
        return next(occurrences(plan.schedule, everybodys(plan), before, named_at, whole=plan.surprise), None)
    except FAILURES:
        return None


def _what(plan: DrillPlan) -> tuple[str, ...]:
    return tuple(f"{x.service} {x.move}" for x in plan.of)


def _of(plan: DrillPlan, known: ScheduleState | None, wall: float) -> Outlook:
    now = at(wall)
    state = known if known is not None and known.plan.digest == plan.digest else None
    what = _what(plan)
    latest = max(known.drilled.values(), default="") if known is not None else ""
    due = state.due if state is not None else None
    if due is not None and not plan.surprise:
        one = _at(plan, read(due.came.occurrence))
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
