"""Scheduled drills: what becomes of one whose time has come.

The one rule it keeps: a drill of a schedule begins in its time and against no guard, or it is missed, on record, and
somebody is told. It never runs late.

    a time of a schedule       goes on when                                       with
    -----------------------    -----------------------------------------------    ----------------------------
    has come                   nothing stands against one of its picks            the drill
    has come                   its window is over, or the schedule is another     missed, by what stood against it
    passed unseen              the shell looks at the calendar again              missed

When it is time is worked out from the calendar and from `Decided.schedules` alone (`drills/due.py`).
"""

from __future__ import annotations

import re

from orchestrator.core import events as e
from orchestrator.core import records as r
from orchestrator.core.commands import NoticeKind
from orchestrator.core.deciding import drilling
from orchestrator.core.durations import counted
from orchestrator.core.model import DrillKind, Mode, Service
from orchestrator.core.reasons import Reason
from orchestrator.core.rules import policy
from orchestrator.core.rules.drilling import Objection, objection
from orchestrator.core.schedules import DrillPlan, Pick, Tells
from orchestrator.core.sentences import Sentence
from orchestrator.core.state.decided import ScheduleState
from orchestrator.core.state.drills_decided import DueDrill
from orchestrator.core.transaction import Transaction

AGAIN_S = 15.0  # what stands against it is asked again after so long, if nothing happens before
_COUNTED = re.compile(r"(?<!\w)\d[\d.:]*")  # numbers, but for those of names: i1, web10
EDITED = "its schedule was edited, or taken out, before it could begin"
UNSEEN = "no controller saw its window open: none was at work then, or the clock was put on or back"


def read(tx: Transaction, event: e.CalendarRead) -> bool:
    """Have the schedules of the model in force count from now on; `attend` has ended what was due of others.

    One that came into force under a clock that was ahead does so anew: its times until then are its times.
    """
    wanted, known = tx.model.drills, tx.decided.schedules
    for name in sorted({*wanted, *known}):
        plan, state = wanted.get(name), known.get(name)
        stays = state is not None and plan is not None and plan.digest == state.plan.digest
        if stays and state is not None and state.since <= event.wall:
            continue
        tx.record(r.ScheduleInForce(tx.now(), name, event.wall, plan))
    return True


def seal(tx: Transaction, event: e.DrillSealed) -> bool:
    """A surprise was drawn, or drawn anew."""
    state = tx.decided.schedules.get(event.schedule)
    known = state.seal if state is not None else None
    if state is None or event.occurrence <= state.upto:
        return False
    if known is None or (known.occurrence, known.seal) != (event.occurrence, event.seal):
        tx.record(r.DrillDrawn(tx.now(), event.schedule, event.occurrence, event.seal))
    return True


def near(tx: Transaction, event: e.DrillNear) -> bool:
    """Tell those who are to know of it beforehand."""
    state = tx.decided.schedules.get(event.schedule)
    if state is None or state.plan.tells is Tells.NOBODY:
        return False
    plan, moves = state.plan, dict[str, list[str]]()
    for candidate in plan.of:
        about = candidate.service if plan.tells is Tells.OWNERS else plan.client
        moves.setdefault(about, []).append(f"{candidate.move} of {candidate.service}")
    for about, those in moves.items():
        text = Sentence.DRILL_AHEAD.say(
            about=about, kind=plan.kind.value, when=event.occurrence, schedule=plan.id, what=" or ".join(those)
        )
        notice = f"{plan.id}@{event.occurrence}/ahead/{about}"
        tx.tell(notice, NoticeKind.DRILL_AHEAD, about, text, say="bascule drill due")
    return True


def due(tx: Transaction, event: e.DrillDue) -> bool:
    """Its time has come: once, whatever a clock or a restart makes of it."""
    state = tx.decided.schedules.get(event.schedule)
    if state is None or state.due is not None or event.occurrence <= state.upto:
        return False
    tx.record(r.DrillCameDue(tx.now(), event.schedule, event.occurrence, event.closes_at, event.picks))
    return True


def passed(tx: Transaction, event: e.DrillsPassed) -> bool:
    """Their time is over; one that was due is missed by what stood against it, the others were not seen."""
    state = tx.decided.schedules.get(event.schedule)
    if state is None:
        return False
    if state.due is not None and state.due.came.occurrence in event.occurrences:
        _too_late(tx, state)
    drawn = f"; {event.drawn}" if event.drawn else ""
    unseen = tuple(x for x in sorted(event.occurrences) if x > state.upto)
    if unseen and state.due is None:
        _miss(tx, state, unseen, Reason.WINDOW_UNSEEN, UNSEEN + drawn)
    return True


def attend(tx: Transaction, state: ScheduleState) -> None:
    """Begin what is due of this schedule, if nothing stands against it."""
    if state.due is None:
        return
    came, plan = state.due.came, tx.model.drills.get(state.plan.id)
    if plan is None or plan.digest != state.plan.digest:
        _miss(tx, state, (came.occurrence,), Reason.SCHEDULE_CHANGED, EDITED + _opened(state.due))
        return
    if tx.now() >= came.closes_at:
        _too_late(tx, state)
        return
    refused: list[tuple[Pick, Objection]] = []
    for pick in came.picks:
        against = _against(tx, plan, pick)
        if against is None:
            _begin(tx, plan, came, pick, refused)
            return
        refused.append((pick, against))
    reason, evidence = (
        refused[0][1] if refused else (Reason.NOTHING_TO_DRILL, f"{plan.id} had nothing that it could choose")
    )
    held = state.due.held
    if held is None or held.reason is not reason or _told(held.evidence) != _told(evidence):
        tx.record(r.DrillHeldUp(tx.now(), plan.id, came.occurrence, reason, evidence))
    tx.wake(min(came.closes_at, tx.now() + AGAIN_S))


def _told(evidence: str) -> str:
    """What it tells, without how often and for how long: another hold, incident or check is news, a count is none."""
    return _COUNTED.sub("", evidence)


def _against(tx: Transaction, plan: DrillPlan, pick: Pick) -> Objection | None:
    service, move = tx.model.services.get(pick.service), tx.model.moves.get(pick.move)
    if service is None or move is None:
        return Reason.SCHEDULE_CHANGED, f"{pick.move} of {pick.service} is not declared any more"
    at_work = tx.decided.unfinished_drills()
    if plan.at_most is not None and len(at_work) >= plan.at_most:
        are, may = ("is" if n == 1 else "are" for n in (len(at_work), plan.at_most))
        evidence = f"{counted(len(at_work), 'drill')} {are} under way, and at most {plan.at_most} {may} to be"
        return Reason.DRILL_UNDER_WAY, evidence
    return objection(tx, service, move, plan.kind, by_hand=False)


def _begin(
    tx: Transaction, plan: DrillPlan, came: r.DrillCameDue, pick: Pick, refused: list[tuple[Pick, Objection]]
) -> None:
    service, full = tx.model.services[pick.service], plan.kind is DrillKind.FULL_SCALE
    not_these = [f"{p.service} {p.move} was refused ({reason.value}: {said})" for p, (reason, said) in refused]
    drilling.begin(
        tx,
        service,
        pick.move,
        plan.kind,
        reason=Reason.DRILL_DUE,
        stays_s=drilling.STAYS_S if plan.stays_s is None else plan.stays_s,
        within_s=drilling.WITHIN_S if plan.within_s is None else plan.within_s,
        asks=_asks(tx, service, full=full),
        scheduled=plan.id,
        occurrence=came.occurrence,
        closes_at=came.closes_at,
        drawn="; ".join(x for x in [pick.drawn, *not_these] if x),
        draw=pick.draw,
    )


def _asks(tx: Transaction, service: Service, *, full: bool) -> tuple[str, ...]:
    """Why a named person is asked before anything is played: a schedule is no person, and a mode is honoured.

    In mode observe a rehearsal asks as well; at full scale it is refused there.
    """
    found = policy.asks(tx, service)
    if service.mode is Mode.OBSERVE and not full:
        found.append(f"of a schedule, and {service.id} is in mode observe")
    return tuple(found)


def _too_late(tx: Transaction, state: ScheduleState) -> None:
    """What is due may not begin any more."""
    if state.due is None:
        return
    held, occurrence = state.due.held, state.due.came.occurrence
    opened = _opened(state.due)
    if held is None:
        _miss(tx, state, (occurrence,), Reason.WINDOW_UNSEEN, UNSEEN + opened)
    else:
        _miss(tx, state, (occurrence,), held.reason, held.evidence + opened)


def _opened(due: DueDrill) -> str:
    """What opens the seal of a surprise; empty: none was drawn."""
    return "".join(f"; {x.drawn}" for x in due.came.picks if x.drawn and x.draw)


def _miss(tx: Transaction, state: ScheduleState, which: tuple[str, ...], reason: Reason, evidence: str) -> None:
    """Keep each on record, and tell of all together: after a long absence they are many."""
    plan = state.plan
    services = tuple(sorted({c.service for c in plan.of}))
    for occurrence in which:
        tx.record(r.DrillMissed(tx.now(), plan.id, occurrence, reason, evidence, services))
    about = services[0] if len(services) == 1 else plan.client
    slots = {"about": about, "schedule": plan.id, "when": which[0], "why": f"{reason.value}: {evidence}"}
    one, several = Sentence.DRILL_MISSED, Sentence.DRILLS_MISSED
    if plan.surprise:  # its time names the period: the hour is another
        one, several = Sentence.SURPRISE_MISSED, Sentence.SURPRISES_MISSED
    text = one.say(**slots) if len(which) == 1 else several.say(**slots, times=len(which), until=which[-1])
    tx.tell(f"{plan.id}@{which[-1]}/missed", NoticeKind.DRILL_MISSED, about, text, say="bascule drill due")
