"""Schedules: what becomes of every time of every schedule, one rule taken out a mutant.

The one rule it keeps: calendars are left alone; only what is made of what they say is another.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from orchestrator.core import engine
from orchestrator.core import events as e
from orchestrator.core import records as r
from orchestrator.core.deciding import scheduling
from orchestrator.core.events import WordKind
from orchestrator.core.schedules import Pick
from orchestrator.core.state import fold, scheduled
from orchestrator.core.state.decided import Decided, DueDrill, ScheduleState
from orchestrator.core.transaction import Transaction
from orchestrator.drills.times import at, read, written
from orchestrator.sim.faults import Fault, FaultKind
from tests.mutants.mutant import BESIDE, DEATHS, Mutant, put

SCHEDULED = FaultKind.DRILLS.value
AWAY = f"{DEATHS}|{FaultKind.CLOCK.value}"
OF_SCHEDULES = (BESIDE,)


@contextmanager
def late() -> Iterator[None]:
    """What could not begin in its window begins after it."""

    def anyhow(tx: Transaction, state: ScheduleState) -> None:
        if state.due is not None and not tx.decided.unfinished_drills():
            scheduling._begin(tx, state.plan, state.due.came, state.due.came.picks[0], [])

    with put(scheduling, "_too_late", anyhow):
        yield


@contextmanager
def again() -> Iterator[None]:
    """What has come due is not dealt with by that."""

    def came_due(d: Decided, x: r.DrillCameDue) -> None:
        d.schedules[x.schedule].due = DueDrill(x)

    with put(fold._APPLY, r.DrillCameDue, came_due):
        yield


@contextmanager
def dropped() -> Iterator[None]:
    """What nobody saw pass is on no record."""

    def forgotten(tx: Transaction, event: e.DrillsPassed) -> bool:
        state = tx.decided.schedules.get(event.schedule)
        if state is not None:
            state.dealt = max(state.dealt, *event.occurrences)
        return state is not None

    with put(engine.HEAR, e.DrillsPassed, forgotten):
        yield


@contextmanager
def in_silence() -> Iterator[None]:
    """What was held up until its window was over is on no record."""

    def forgotten(tx: Transaction, state: ScheduleState, which: tuple[str, ...], *_why: object) -> None:
        state.due, state.dealt = None, max(state.dealt, *which)

    with put(scheduling, "_miss", forgotten):
        yield


@contextmanager
def made_up_for() -> Iterator[None]:
    """What nobody saw pass is made as soon as somebody sees it."""

    def anyhow(tx: Transaction, event: e.DrillsPassed) -> bool:
        state, last = tx.decided.schedules.get(event.schedule), max(event.occurrences)
        if state is None or last <= state.upto:  # what is made up for is due
            return False
        first = state.plan.of[0]
        pick, closes_at = Pick(first.service, first.move), tx.now() + state.plan.schedule.length_s
        tx.record(r.DrillCameDue(tx.now(), event.schedule, last, closes_at, (pick,)))
        return True

    with put(engine.HEAR, e.DrillsPassed, anyhow):
        yield


@contextmanager
def begun_twice() -> Iterator[None]:
    """What has begun is due as long as its window is open."""
    began = scheduled.began

    def still_due(d: Decided, x: r.DrillBegan) -> None:
        due = d.schedules[x.scheduled].due
        began(d, x)
        d.schedules[x.scheduled].due = due

    with put(scheduled, "began", still_due):
        yield


@contextmanager
def from_before() -> Iterator[None]:
    """A schedule that comes into force fires what it would have had before."""
    read_calendar = scheduling.read

    def since_an_hour(tx: Transaction, event: e.CalendarRead) -> bool:
        return read_calendar(tx, e.CalendarRead(written(at(read(event.wall).timestamp() - 3600.0))))

    with put(engine.HEAR, e.CalendarRead, since_an_hour):
        yield


@contextmanager
def unguarded() -> Iterator[None]:
    """Nothing stands against a drill whose time has come."""
    with put(scheduling, "_against", lambda *_: None):
        yield


DRILLS = Fault(2.0, FaultKind.DRILLS, "quay/line", 240.0, 60.0, "", {"move": "quay/detour", "window_s": 15.0})
HELD = Fault(1.0, FaultKind.WORD, "quay/line", word=WordKind.HOLD.value)
ABSENT = Fault(140.0, FaultKind.KILLED, "", 65.0)  # for the whole window of one of them

SCHEDULES = (
    Mutant("schedule: late", "what was held up begins after its window", OF_SCHEDULES, late,
           needs=(SCHEDULED, "hold|maintenance|suspect"), story=("estuary", (HELD, DRILLS))),
    Mutant("schedule: silent", "what was held up is missed, and on no record", OF_SCHEDULES, in_silence,
           needs=(SCHEDULED, "hold|maintenance|suspect"), rest=True, story=("estuary", (HELD, DRILLS))),
    Mutant("schedule: twice", "one time comes due twice", OF_SCHEDULES, again, needs=(SCHEDULED,),
           story=("estuary", (DRILLS,))),
    Mutant("schedule: begun twice", "one window has two drills", OF_SCHEDULES, begun_twice, needs=(SCHEDULED,),
           story=("estuary", (DRILLS,))),
    Mutant("schedule: dropped", "what passed unseen is dropped", OF_SCHEDULES, dropped, needs=(SCHEDULED, AWAY),
           rest=True, story=("estuary", (DRILLS, ABSENT))),
    Mutant("schedule: made up for", "what passed unseen is made later", OF_SCHEDULES, made_up_for,
           needs=(SCHEDULED, AWAY), story=("estuary", (DRILLS, ABSENT))),
    Mutant("schedule: edited", "a schedule fires what was before it", OF_SCHEDULES, from_before, needs=(SCHEDULED,)),
    Mutant("schedule: unguarded", "nothing stands against a scheduled drill", (23,), unguarded,
           needs=(SCHEDULED, "hold|maintenance|suspect")),
)  # fmt: skip
