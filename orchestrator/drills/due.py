"""What is due: from the schedules on record, what was dealt with of them, and the wall clock, and from nothing else.

The one rule it keeps: it is asked again and again, says the same of the same, and remembers nothing. So a restart, or
a clock that is put on or back, neither doubles a drill nor drops one: what was dealt with is on record (`upto`), and
what lies between that and now is due, or its time has passed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from orchestrator.core import events as e
from orchestrator.core.schedules import Calendar, Candidate, DrillPlan, Pick, Tells
from orchestrator.core.state.decided import ScheduleState
from orchestrator.drills import surprise
from orchestrator.drills.calendars import admits
from orchestrator.drills.occurrences import EVER, Occurrence, occurrences
from orchestrator.drills.times import FAILURES, at, read, why_not, written
from orchestrator.drills.worth import RESTS_S, Exposures, key, ranked

AT_ONCE = 500  # of those that have passed, in one event
AGAIN = timedelta(minutes=5)  # a schedule that cannot be worked out is tried again
Seeds = Callable[[str, str], str]  # of a schedule and an occurrence: the seed of its draw


@dataclass(slots=True)
class Looked:
    """What is to be told the core now, and the wall time at which to look again if nothing happens before.

    A schedule that cannot be worked out says nothing, and keeps no other one from being looked at.
    """

    events: list[e.Event] = field(default_factory=list)
    again_at: float = float("inf")
    unknown: dict[str, str] = field(default_factory=dict)  # schedules that cannot be worked out here, and why

    def again(self, moment: datetime) -> None:
        """Look again then, or sooner."""
        self.again_at = min(self.again_at, moment.timestamp())


def look(
    states: Mapping[str, ScheduleState],
    plans: Mapping[str, DrillPlan],
    wall: float,
    axis: float,
    seeds: Seeds,
    exposures: Exposures,
) -> Looked:
    """What the calendars say now. `wall`: seconds since 1970; `axis`: of the journal, at the same moment."""
    looked, now = Looked(), at(wall)
    for name in sorted(states):
        one = Looked()
        try:
            _look_at(one, states[name], now, axis, seeds, exposures)
        except FAILURES as unknown:
            looked.unknown[name] = why_not(unknown)
            looked.again(now + AGAIN)
            continue
        looked.events += one.events
        looked.again_at = min(looked.again_at, one.again_at)
    known = {name: state.plan.digest for name, state in states.items()}
    edited = known != {name: plan.digest for name, plan in plans.items()}
    if edited or any(x.since > written(now) for x in states.values()):
        looked.events.append(e.CalendarRead(written(now)))
    return looked


def _look_at(
    looked: Looked, state: ScheduleState, now: datetime, axis: float, seeds: Seeds, exposures: Exposures
) -> None:
    plan = state.plan
    if state.due is not None:
        opens, closes = _window(state, seeds)
        if opens <= now < closes:
            looked.again(closes)
            return  # where the clock was put back to before its window, it is none of its time either
        looked.events.append(e.DrillsPassed(plan.id, (state.due.came.occurrence,)))
    passed: list[str] = []
    for one in _named(plan, read(state.upto), now + EVER):
        if one.named_at > now:
            _ahead(looked, plan, one, now)
            break
        drawn = drawn_at(state, one, seeds) if plan.surprise else None
        opens, closes = (drawn.opens, drawn.closes) if drawn is not None else (one.opens, one.closes)
        if closes <= now:
            sealed = drawn is not None and state.seal is not None and state.seal.occurrence == one.name
            if sealed and drawn is not None:
                _tell_passed(looked, plan, passed)
                looked.events.append(e.DrillsPassed(plan.id, (one.name,), drawn.told))
            else:
                passed.append(one.name)
            continue
        _tell_passed(looked, plan, passed)
        if drawn is not None:
            looked.events.append(e.DrillSealed(plan.id, one.name, surprise.seal_of(plan, one, drawn)))
        if opens > now:
            looked.again(opens)
            return
        looked.again(closes)
        closes_at = axis + (closes - now).total_seconds()
        looked.events.append(e.DrillDue(plan.id, one.name, closes_at, picks(state, one, drawn, exposures)))
        return
    _tell_passed(looked, plan, passed)


def _ahead(looked: Looked, plan: DrillPlan, one: Occurrence, now: datetime) -> None:
    """It is yet to come: whoever is to know of it is told so long before."""
    looked.again(one.named_at)
    if plan.tells is Tells.NOBODY:
        return
    tell_at = one.named_at - timedelta(seconds=plan.tells_before_s)
    if tell_at > now:
        looked.again(tell_at)
    else:
        looked.events.append(e.DrillNear(plan.id, one.name))


def _tell_passed(looked: Looked, plan: DrillPlan, passed: list[str]) -> None:
    """Together, and not too many of them in one event."""
    for first in range(0, len(passed), AT_ONCE):
        looked.events.append(e.DrillsPassed(plan.id, tuple(passed[first : first + AT_ONCE])))
    passed.clear()


def _window(state: ScheduleState, seeds: Seeds) -> tuple[datetime, datetime]:
    """From when to when the one that is due may begin, by the wall clock."""
    named_at = read(state.due.came.occurrence if state.due is not None else state.upto)
    one = next(_named(state.plan, named_at - timedelta(seconds=1), named_at), None)
    if one is None:
        return named_at, named_at
    drawn = drawn_at(state, one, seeds) if state.plan.surprise else None
    return (drawn.opens, drawn.closes) if drawn is not None else (one.opens, one.closes)


def _named(plan: DrillPlan, after: datetime, until: datetime) -> Iterator[Occurrence]:
    return occurrences(plan.schedule, everybodys(plan), after, until, whole=plan.surprise)


def everybodys(plan: DrillPlan) -> tuple[Calendar, ...]:
    """Calendars of owners that bind every candidate of the plan."""
    first, *others = plan.of or (Candidate("", ""),)
    return tuple(x for x in first.calendars if all(x in other.calendars for other in others))


def available(state: ScheduleState) -> list[Candidate]:
    """What may be drilled next: not the same service twice running, where the plan says so."""
    plan = state.plan
    return [x for x in plan.of if not (plan.not_twice_running and x.service == state.latest)]


def drawn_at(state: ScheduleState, one: Occurrence, seeds: Seeds) -> surprise.Drawn | None:
    """What is drawn for one period of a surprise."""
    return surprise.draw(state.plan, available(state), one, seeds(state.plan.id, one.name))


def picks(
    state: ScheduleState, one: Occurrence, drawn: surprise.Drawn | None, exposures: Exposures
) -> tuple[Pick, ...]:
    """What to drill at that time, the best first; with what speaks for it, where there is a choice."""
    plan = state.plan
    if plan.surprise:
        if drawn is None:
            return ()
        return (Pick(drawn.candidate.service, drawn.candidate.move, drawn.told, drawn.number),)
    open_ = [x for x in available(state) if admits(x.calendars, one.opens)]
    if plan.by_value:
        lately = written(one.opens - timedelta(seconds=RESTS_S))
        best, found = ranked(open_, exposures, state.drilled, lately), []
        for n, x in enumerate(best):
            known = exposures.get(key(x.service, x.move))
            among = f"{_most(state, best, lately)}: " if len(best) > 1 and not n else ""
            found.append(Pick(x.service, x.move, f"{among}{known}" if known is not None else "nothing is known of it"))
        return tuple(found)
    oldest = sorted(open_, key=lambda x: state.drilled.get(key(x.service, x.move), ""))
    return tuple(
        Pick(x.service, x.move, _longest_ago(state, x, len(open_)) if len(open_) > 1 and not n else "")
        for n, x in enumerate(oldest)
    )


def _most(state: ScheduleState, best: Sequence[Candidate], lately: str) -> str:
    """Of how many the first is worth most: what was drilled lately gives way, whatever it is worth."""
    resting = sum(1 for x in best if state.drilled.get(key(x.service, x.move), "") >= lately)
    days = f"drilled in the last {RESTS_S / 86400:.0f} days"
    if resting == len(best):
        return f"worth most of {resting}, all {days}"
    more = f", beside {resting} {days}" if resting else ""
    return f"worth most of {len(best) - resting}{more}"


def _longest_ago(state: ScheduleState, x: Candidate, of: int) -> str:
    """Why it comes first: by this schedule's own drills, for it knows of no others."""
    when = "drilled longest ago" if key(x.service, x.move) in state.drilled else "never drilled yet"
    return f"of {of}: {when} by this schedule"
