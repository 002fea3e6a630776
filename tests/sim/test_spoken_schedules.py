"""What is said of scheduled drills is compared with the records: true sentences pass, and false ones are noticed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.core import records as r
from orchestrator.core.commands import NoticeKind
from orchestrator.core.reasons import Reason
from orchestrator.core.schedules import Tells
from orchestrator.core.sentences import heard
from orchestrator.sim.facts import Facts
from orchestrator.sim.spoken_drills import JUDGES
from tests.core.drill_stage import stage
from tests.core.world import World
from tests.drills.plans import Desk, plan

AT = "2026-11-03T21:00:00Z"


def judged(world: World) -> list[str]:
    """What the judges say of every notice of schedules, as they are told."""
    facts, found = Facts(), []
    for _, entry in world.entries:
        for x in entry:
            facts.record(x)
            if isinstance(x, r.NoticeDue) and x.kind in (NoticeKind.DRILL_AHEAD, NoticeKind.DRILL_MISSED):
                found.append(said(facts, x))
    return found


def said(facts: Facts, notice: r.NoticeDue) -> str:
    """What is wrong with it."""
    read = heard(notice.text)
    assert read is not None, notice.text
    return JUDGES[read[0]](facts, read[1], notice)


def one_missed() -> World:
    """A schedule of which one was announced, and then missed."""
    world = stage()
    world.bad("erp-transaction")
    desk = Desk(world, "2026-11-03T20:50", plan(tells=Tells.OWNERS, tells_before_s=500.0))
    desk.run(2000, every=300)
    return world


def test_what_is_said_is_true() -> None:
    world = one_missed()
    assert judged(world) == ["", ""]


def test_what_is_said_of_several_is_true() -> None:
    world = stage()
    desk = Desk(world, "2026-11-03T20:50", plan())
    world.crash()
    world.now += 3 * 86400.0
    world.start(same_boot=False)
    desk.look()
    assert judged(world) == [""]


@pytest.mark.parametrize(
    ("was", "says"),
    [
        (f"due {AT}", "due 2026-11-04T21:00:00Z"),
        ("acme/geo due", "acme/other due"),
        ("missed: ", "missed: held: "),
        (f"the drill of acme/geo due {AT} was", f"2 drills of acme/geo due {AT} to {AT} were"),
    ],
)
def test_what_is_false_is_noticed(was: str, says: str) -> None:
    world, facts = one_missed(), Facts()
    notice = None
    for _, entry in world.entries:
        for x in entry:
            facts.record(x)
            if isinstance(x, r.NoticeDue) and x.kind is NoticeKind.DRILL_MISSED:
                notice = x
    assert notice is not None
    assert was in notice.text
    assert said(facts, replace(notice, text=notice.text.replace(was, says)))


def test_the_time_of_a_surprises_period_is_not_told_as_its_hour() -> None:
    world, facts = stage(), Facts()
    desk = Desk(world, "2026-11-03T20:58", plan(surprise=True))
    world.bad("erp-transaction")
    desk.run(4000, every=300)
    for _, entry in world.entries:
        for x in entry:
            facts.record(x)
    (notice,) = [x for x in world.told if x.kind is NoticeKind.DRILL_MISSED]
    due = r.NoticeDue(0.0, "n", notice.kind, "acme", "acme/erp", notice.text)
    assert said(facts, due) == ""
    (missed,) = facts.missed.values()
    why = f"{missed.reason.value}: {missed.evidence}"
    as_its_hour = f"acme/erp: the drill of acme/geo due {missed.occurrence} was missed: {why}"
    assert said(facts, replace(due, text=as_its_hour)) == f"{missed.occurrence} is its period"


def test_one_that_began_was_not_missed() -> None:
    world, facts = stage(), Facts()
    Desk(world, "2026-11-03T20:55", plan()).run(600)
    for _, entry in world.entries:
        for x in entry:
            facts.record(x)
    missed = r.DrillMissed(0.0, "acme/geo", AT, Reason.HELD, "x")
    facts.record(missed)
    text = f"acme/erp: the drill of acme/geo due {AT} was missed: held: x"
    notice = r.NoticeDue(0.0, "n", NoticeKind.DRILL_MISSED, "acme", "acme/erp", text)
    assert said(facts, notice) == f"d1 of {AT} began"
