"""Ten years of schedules in three time zones: no drill is doubled, none is dropped without a word, none runs late.

The clocks are put on and back every year in two of them; controllers start, stop and are away for weeks; the wall clock
jumps. What stands against a drill comes and goes. The guards and the fold are the real ones.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.core import events as e
from orchestrator.core import records as r
from orchestrator.core.codec import decode, encode
from orchestrator.core.deciding import scheduling
from orchestrator.core.events import WordKind
from orchestrator.core.reasons import Reason
from orchestrator.core.schedules import DrillPlan
from orchestrator.core.state.decided import Decided, ScheduleState
from orchestrator.core.state.fold import apply
from orchestrator.core.transaction import Transaction
from orchestrator.drills import due
from orchestrator.drills.occurrences import occurrences
from orchestrator.drills.times import read
from orchestrator.drills.times import zone as zone_of
from tests.core.drill_stage import stage
from tests.drills.plans import moment, plan, seeds

BEGINS, ENDS = moment("2026-01-01T12:00"), moment("2036-01-01T12:00")
ZONES = ("Europe/Paris", "Australia/Sydney", "Asia/Kolkata")


class Years:
    """Time passes in leaps, around the real guards of schedules and the real fold."""

    def __init__(self, seed: int, *plans: DrillPlan) -> None:
        self.random = random.Random(seed)
        world = stage()
        self.rows, self.decided = world.engine.rows, world.decided()
        self.before, self.records = decode(Decided, encode(self.decided)), list[r.Record]()
        self.model = replace(world.model, drills={p.id: p for p in plans})
        self.axis, self.wall = world.now, BEGINS.timestamp()
        self.begun: list[tuple[str, str, float]] = []
        self.words = 0

    def transaction(self) -> Transaction:
        """In which every check has just answered well."""
        for row in self.rows.values():
            at = max(self.axis - 0.1, 0.0)
            row.last_sent_at = row.last_good_at = at
        return Transaction(self.model, self.decided, self.rows, self.axis)

    def hear(self, *events: e.Event) -> None:
        """As the engine does; what begins ends at once."""
        hears = {
            e.CalendarRead: scheduling.read,
            e.DrillDue: scheduling.due,
            e.DrillsPassed: scheduling.passed,
        }
        for event in [*events, e.Ticked()]:
            tx = self.transaction()
            if (hear := hears.get(type(event))) is not None:
                hear(tx, event)  # type: ignore[operator]
            for state in list(self.decided.schedules.values()):
                scheduling.attend(tx, state)
            for drill in self.decided.unfinished_drills():
                self.begun.append((drill.began.scheduled, drill.began.occurrence, self.wall))
                for run in drill.runs:
                    tx.record(r.RunEnded(self.axis, run, False, Reason.ABORTED, "for this test"))
                tx.record(r.DrillEnded(self.axis, drill.id, False, Reason.ABORTED, "for this test"))
            self.records += tx.records

    def hold(self, kind: WordKind) -> None:
        """Somebody stops, or allows, automatic action."""
        self.words += 1
        said = r.WordAccepted(self.axis, f"w{self.words}", kind, "Ada", "acme/erp", "", Reason.ASKED_BY_OPERATOR, "")
        tx = self.transaction()
        tx.record(said)
        self.records += tx.records

    def look(self) -> float:
        """As the shell does; when to look again."""
        looked = due.look(self.decided.schedules, self.model.drills, self.wall, self.axis, seeds, {})
        self.hear(*looked.events)
        return looked.again_at

    def pass_by(self, seconds: float) -> None:
        """It is later."""
        self.axis += seconds
        self.wall += seconds

    def live(self, jumps: bool) -> None:
        """To the end, and a while after it: what is still due then has its end."""
        dice = self.random
        while self.wall < ENDS.timestamp():
            again_at = self.look()
            happens = dice.random()
            if happens < 0.75:
                self.pass_by(min(max(again_at - self.wall, 1.0), 3 * 86400.0) + dice.uniform(0, 120))
            elif happens < 0.85:
                self.pass_by(dice.uniform(0, 20 * 86400))  # nobody is there
            elif happens < 0.90:
                for name, state in self.decided.schedules.items():  # another controller, by what is kept
                    self.decided.schedules[name] = decode(ScheduleState, encode(state))
            elif happens < 0.95:
                self.hold(WordKind.RESUME if self.decided.holds else WordKind.HOLD)
            elif jumps:
                self.wall += dice.uniform(-3, 3) * 86400.0
        self.pass_by(10 * 86400.0)
        self.look()


def named(one: DrillPlan) -> list[str]:
    """Its times in these years."""
    return [x.name for x in occurrences(one.schedule, (), BEGINS, ENDS)]


@pytest.mark.parametrize("jumps", [False, True], ids=["clocks stand by", "clocks jump"])
@pytest.mark.parametrize(
    ("cron", "seed"), [("30 2 * * sun", 1), ("30 2 * * sun", 2), ("30 2 * * *", 3)], ids=["weekly", "again", "daily"]
)
def test_none_is_doubled_and_none_is_dropped(cron: str, seed: int, jumps: bool) -> None:
    plans = [plan(zone.rpartition("/")[2].lower(), cron, zone) for zone in ZONES]
    years = Years(seed, *plans)
    years.live(jumps)
    missed = [(x.schedule, x.occurrence) for x in years.records if isinstance(x, r.DrillMissed)]
    begun = [(schedule, occurrence) for schedule, occurrence, _ in years.begun]
    assert max(Counter([*begun, *missed]).values()) == 1, "doubled"
    for one in plans:
        accounted = {o for s, o in [*begun, *missed] if s == one.id}
        assert set(named(one)) <= accounted, "dropped"
    windows = {p.id: p.schedule.length_s for p in plans}
    late = [x for x in years.begun if not 0 <= x[2] - read(x[1]).timestamp() < windows[x[0]]]
    assert not late
    assert len(begun) > 100
    assert len(missed) > 100
    for record in years.records:
        apply(years.before, record)
    assert years.decided == years.before


@pytest.mark.parametrize("zone", ZONES)
def test_each_day_has_one_time_of_a_daily_schedule(zone: str) -> None:
    """What the clocks skip is where they skip it; what they repeat is the first of the two."""
    one = plan("daily", "30 2 * * *", zone)
    where = one.schedule.time_zone
    times = [read(x).astimezone(zone_of(where)) for x in named(one)]
    assert len(times) == len({x.date() for x in times}) == 3652
    moved = [x for x in times if (x.hour, x.minute) != (2, 30)]
    assert all(x.fold == 0 for x in times)
    for x in moved:
        before = (x.astimezone(UTC) - timedelta(seconds=1)).astimezone(x.tzinfo)
        assert x.utcoffset() != before.utcoffset()
        assert (x.hour, x.minute) == (3, 0)
    assert len(moved) == (0 if zone == "Asia/Kolkata" else 10)


@pytest.mark.parametrize("zone", ZONES)
def test_half_hours_are_not_doubled_in_autumn(zone: str) -> None:
    one = plan("often", "*/30 * * * *", zone)
    for month in (3, 4, 10, 11):
        after = datetime(2027, month, 1, tzinfo=UTC)
        whole = occurrences(one.schedule, (), after, after + timedelta(days=30))
        found = [read(x.name).astimezone(zone_of(zone)).replace(tzinfo=None) for x in whole]
        assert len(found) == len(set(found))
        assert len(found) in (30 * 48, 30 * 48 - 2)
