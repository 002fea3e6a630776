"""The simulator's calendars: scheduled drills begin, or are missed; work is announced; and the judges are awake."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import pytest

from orchestrator.core import records as r
from orchestrator.core.commands import NoticeKind
from orchestrator.core.events import WordKind
from orchestrator.core.model import DrillKind
from orchestrator.core.reasons import Reason
from orchestrator.core.schedules import Calendar, Candidate, DrillPlan, Hours, Schedule
from orchestrator.drills.times import at, written
from orchestrator.sim.drill_truth import DrillTruth
from orchestrator.sim.faults import Fault, FaultKind
from orchestrator.sim.planning import planned, with_schedules
from orchestrator.sim.schedule_truth import ScheduleTruth
from orchestrator.sim.simulation import Result, Simulation, quiet
from orchestrator.sim.timeline import DAY_ONE_WALL_S
from tests.sim import acts, models

GEO = "lab/geo-site"
EVERY_S = 120.0


def drills(at_s: float = 0.0, for_s: float = 600.0, **options: object) -> Fault:
    """The second tier, every two minutes, within a minute."""
    return Fault(at_s, FaultKind.DRILLS, acts.ERP, for_s, EVERY_S, "", {"move": GEO, "window_s": 60.0, **options})  # type: ignore[dict-item]


def work(lasts_s: float, at_s: float = 0.0, for_s: float = 600.0) -> Fault:
    """Announced every two minutes."""
    return Fault(at_s, FaultKind.WORK, "lab", for_s, EVERY_S, "", {"lasts_s": lasts_s})


def played(*faults: Fault, length_s: float = 600.0) -> Result:
    quiet()
    usual_s = dict.fromkeys((f"{m}/{k}" for m in models.lab().moves for k in ("prepare", "fence", "execute")), 1.0)
    simulation = Simulation(models.lab(), faults, "calendars", usual_s=usual_s, nature=models.nature("lab"))
    result = simulation.play(length_s, 300.0)
    assert [str(x) for x in result.violations] == []
    return result


def of(result: Result, *kinds: type) -> list[object]:
    return [x for entry in result.entries for x in entry.records if isinstance(x, kinds)]


@cache
def undisturbed() -> Result:
    return played(drills(stays_s=5.0))


def test_scheduled_drills_run_there_and_back() -> None:
    result = undisturbed()
    began = of(result, r.DrillBegan)
    times = [x.occurrence for x in began]  # type: ignore[attr-defined]
    assert times == [written(at(DAY_ONE_WALL_S + n * EVERY_S)) for n in range(1, 6)]
    assert {x.scheduled for x in began} == {"lab/drills-1"}  # type: ignore[attr-defined]
    assert [x.ok for x in of(result, r.DrillEnded)] == [True] * 5  # type: ignore[attr-defined]
    assert not of(result, r.DrillMissed)


def test_announced_work_keeps_them_away_and_they_are_missed_and_never_late() -> None:
    result = played(drills(for_s=640.0), work(90.0, for_s=640.0), length_s=700.0)
    opened = of(result, r.WindowOpened)
    assert len(opened) == len(of(result, r.WindowClosed)) == 6  # the first at once
    assert not of(result, r.DrillBegan)
    assert {x.reason for x in of(result, r.DrillHeldUp)} == {Reason.IN_MAINTENANCE}  # type: ignore[attr-defined]
    missed = of(result, r.DrillMissed)
    assert [x.reason for x in missed] == [Reason.IN_MAINTENANCE] * 5  # type: ignore[attr-defined]
    assert len([n for _, n in result.told if n.kind is NoticeKind.DRILL_MISSED]) == 5


def test_work_that_is_over_within_the_window_only_delays_them() -> None:
    result = played(drills(), work(20.0))
    assert len(of(result, r.DrillBegan)) == 5
    came = {x.occurrence: x.at for x in of(result, r.DrillCameDue)}  # type: ignore[attr-defined]
    assert all(x.at - came[x.occurrence] >= 20.0 for x in of(result, r.DrillBegan))  # type: ignore[attr-defined]


@pytest.mark.parametrize("word", [WordKind.HOLD, WordKind.SUSPECT])
def test_what_people_say_keeps_them_away(word: WordKind) -> None:
    result = played(Fault(1.0, FaultKind.WORD, acts.ERP, None, 1.0, word.value), drills(2.0))
    assert not of(result, r.DrillBegan)
    assert len(of(result, r.DrillMissed)) == 5


def test_a_schedule_that_is_taken_out_while_one_is_due_makes_no_drill_of_it() -> None:
    held = Fault(1.0, FaultKind.WORD, acts.ERP, None, 1.0, WordKind.HOLD.value)
    result = played(held, drills(2.0, 128.0), length_s=300.0)
    assert [x.reason for x in of(result, r.DrillMissed)] == [Reason.SCHEDULE_CHANGED]  # type: ignore[attr-defined]


def test_a_controller_that_was_away_misses_what_nobody_saw() -> None:
    result = played(drills(), Fault(100.0, FaultKind.KILLED, "", 200.0))
    assert [x.reason for x in of(result, r.DrillMissed)] == [Reason.WINDOW_UNSEEN]  # type: ignore[attr-defined]
    assert len(of(result, r.DrillBegan)) == 4


@pytest.mark.parametrize("by_s", [86400.0, -7200.0, 40.0])
def test_a_clock_that_jumps_neither_doubles_nor_drops_one(by_s: float) -> None:
    """The judges count; here is that it was a test of them: a day ahead, every drill of that day is missed."""
    result = played(drills(), Fault(200.0, FaultKind.CLOCK, "", None, by_s), length_s=900.0)
    missed = len(of(result, r.DrillMissed))
    assert missed >= (700 if by_s > 3600.0 else 0)
    assert of(result, r.DrillBegan)


def test_one_by_value_is_chosen_by_what_is_proven() -> None:
    """Both tiers in turn: what was just drilled is worth less than what never was."""
    moves = (GEO, "lab/backup-isp")
    nights = Schedule("*/2 * * * *", 60.0, (Calendar(),))
    plan = DrillPlan("lab/v", "lab", "v", DrillKind.FUNCTIONAL, nights, tuple(Candidate(acts.ERP, m) for m in moves))
    plan = replace(plan, by_value=True, digest="by value")
    model = with_schedules(models.lab(), [plan])
    quiet()
    usual_s = dict.fromkeys((f"{m}/{k}" for m in model.moves for k in ("prepare", "fence", "execute")), 1.0)
    simulation = Simulation(model, (), "value", usual_s=usual_s, nature=models.nature("lab"))
    simulation.run(300.0)
    began = of(simulation.result(), r.DrillBegan)
    assert {x.move for x in began[:2]} == set(moves)  # type: ignore[attr-defined]
    assert "unproven" in began[0].drawn  # type: ignore[attr-defined]


# ---- the judges


NAME, FIRST = "lab/drills-1", written(at(DAY_ONE_WALL_S + EVERY_S))
SECOND = written(at(DAY_ONE_WALL_S + 2 * EVERY_S))
SINCE = written(at(DAY_ONE_WALL_S + 5.0))
PLAN = planned(drills(), 1)


def said(records: Sequence[r.Record], wall: float | None = None, now: float = 0.0) -> list[str]:
    """What is wrong with these, at rest; by this time of the world, and of the axis."""
    found: list[str] = []
    known = [wall]
    judge = ScheduleTruth(lambda: known[-1], lambda _number, rule, evidence: found.append(f"{rule}: {evidence}"))
    for x in records:
        in_force = isinstance(x, r.ScheduleInForce) and wall is not None
        known.append(DAY_ONE_WALL_S + x.at if in_force else wall)
        judge.record(x)
    known.append(wall)
    judge.at_rest(now)
    return found


def force() -> r.ScheduleInForce:
    assert isinstance(PLAN, DrillPlan)
    return r.ScheduleInForce(5.0, NAME, SINCE, PLAN)


def came(occurrence: str = FIRST, at_s: float = 120.0, closes_s: float = 180.0) -> r.DrillCameDue:
    return r.DrillCameDue(at_s, NAME, occurrence, closes_s, ())


def began(at_s: float = 121.0, occurrence: str = FIRST) -> r.DrillBegan:
    return r.DrillBegan(
        at_s, "d1", DrillKind.FUNCTIONAL, acts.ERP, GEO, "m", Reason.DRILL_DUE, scheduled=NAME, occurrence=occurrence
    )


def missed(occurrence: str = FIRST) -> r.DrillMissed:
    return r.DrillMissed(180.0, NAME, occurrence, Reason.HELD, "x")


def test_what_is_due_has_an_end_once_its_window_is_over() -> None:
    assert said([force(), came()], now=200.0) == []
    assert said([force(), came()], now=300.0) == [f"what is due ends with its window: {NAME} at {FIRST}"]


def test_what_is_as_it_should_be_passes() -> None:
    assert said([force(), came(), began(), came(SECOND, 240.0, 300.0), missed(SECOND)]) == []
    assert said([force(), came(), began()], wall=DAY_ONE_WALL_S + 130.0) == []


@pytest.mark.parametrize(
    ("records", "wall", "rule"),
    [
        ([force(), came(), began(), missed()], None, "a time of a schedule has one end"),
        ([force(), came(), missed(), began()], None, "a drill of a schedule was due"),
        ([force(), came(), began(), came()], None, "a drill comes due once"),
        ([force(), came(), began(181.0)], None, "a drill is missed, and never late"),
        ([force(), came(), began()], DAY_ONE_WALL_S + 300.0, "a drill is missed, and never late"),
        ([force(), came(closes_s=400.0), began()], None, "a window is no longer than its schedule says"),
        (
            [force(), came(SECOND, 240.0, 300.0), began(241.0, SECOND)],
            None,
            "no time of a schedule is dropped silently",
        ),
        ([force()], DAY_ONE_WALL_S + 400.0, "no time of a schedule is dropped silently"),
        ([force(), came(), replace(force(), at=130.0, plan=None)], None, "what is due ends before its schedule does"),
        ([missed()], None, "what is missed is of a schedule that is in force"),
        ([replace(force(), at=500.0)], DAY_ONE_WALL_S, "a schedule counts from when it came into force"),
    ],
)
def test_what_is_not_is_noticed(records: list[r.Record], wall: float | None, rule: str) -> None:
    assert any(x.startswith(rule) for x in said(records, wall)), said(records, wall)


def test_times_that_are_not_counted_are_not_claimed_to_be_dropped() -> None:
    """Within windows of a calendar a schedule has fewer times than its cron says."""
    assert isinstance(PLAN, DrillPlan)
    nights = Calendar("UTC", (Hours((0,), 0, 3600),))
    some = replace(PLAN, schedule=replace(PLAN.schedule, calendars=(nights,)))
    assert said([replace(force(), plan=some)], wall=DAY_ONE_WALL_S + 9000.0) == []


@pytest.mark.parametrize("subject", ["lab", acts.ERP])
@pytest.mark.parametrize("closed", [False, True])
def test_a_drill_that_begins_within_announced_work_is_noticed(subject: str, closed: bool) -> None:
    found = drill_said([r.WindowOpened(100.0, subject, "patches@x", 300.0), *closing(subject, closed), began()])
    assert [x for x in found if "is in maintenance" in x] == ([] if closed else found)
    assert bool(found) is not closed


def closing(subject: str, closed: bool) -> list[r.Record]:
    return [r.WindowClosed(110.0, subject, "patches@x")] if closed else []


def test_a_drill_that_begins_while_its_service_is_frozen_is_noticed() -> None:
    frozen = r.ServiceFrozen(50.0, acts.ERP, Reason.FLAPPING, "three times")
    assert drill_said([frozen, began()]) == [f"d1: {acts.ERP} is frozen"]
    resumed = r.WordAccepted(60.0, "w1", WordKind.RESUME, "ann", "lab", "", Reason.ASKED_BY_OPERATOR, "")
    assert drill_said([frozen, resumed, began()]) == []


def drill_said(records: Sequence[r.Record]) -> list[str]:
    """What statement 23's judge says of the beginning of a drill, in a world where all is well."""
    simulation = Simulation(models.lab(), (), "judge", nature=models.nature("lab"))
    simulation.run(60.0)
    found: list[str] = []
    oracles = simulation.oracles
    judge = DrillTruth(
        simulation.world, simulation.targets, oracles._answers, lambda n, _rule, x: found.append(x) if n == 23 else None
    )
    for x in records:
        judge.record(x)
    return found


def test_who_waits_for_the_lease_does_not_hear_how_an_attempt_ends_in_place_of_who_decides() -> None:
    """A short stop, shorter than the lease: the standby stays one, and the drill's playbook ends meanwhile."""
    result = played(drills(stays_s=5.0), *(Fault(90.2 + n * 0.7, FaultKind.FROZEN, "", 0.5) for n in range(20)))
    assert [x.ok for x in of(result, r.DrillEnded)] == [True] * 5  # type: ignore[attr-defined]
