"""Drills as an operator reads them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.core.events import ConfigurationLoaded, WordKind
from orchestrator.reports.drills import DrillStep, DrillTold, StepMade, list_lines, one_lines, told
from orchestrator.reports.entries import WallClock
from orchestrator.reports.text import plain
from tests.core import drill_stage


def drill(*made: StepMade) -> DrillTold:
    """A rehearsal that ended well, with one step of each of these."""
    steps = tuple(DrillStep("r1", f"step{n}", x, 1.0, "", "") for n, x in enumerate(made, 1))
    return DrillTold(
        "d1", "functional", "acme/erp", "acme/geo-site", 0.0, 2.0, True, "conditions met", "", None, "over", "ann", "",
        "", ("r1",), steps,
    )  # fmt: skip


def test_how_many_steps_were_live_is_counted_in_words() -> None:
    def last(*made: StepMade) -> str:
        return "".join(part.text for part in one_lines(drill(*made), 100)[-1])

    assert last(StepMade.LIVE, StepMade.SIMULATED) == "  proves nothing of: step2 (simulated); live: 1 step"
    assert last(StepMade.LIVE, StepMade.LIVE, StepMade.SKIPPED).endswith("step3 (skipped); live: 2 steps")
    assert last(StepMade.SIMULATED).endswith("step1 (simulated); live: no step")


def text(x: DrillTold) -> str:
    """It in full."""
    return plain(one_lines(x, 160))


def test_what_goes_back_already_is_not_to_be_cancelled() -> None:
    going = replace(drill(StepMade.LIVE), ok=None, ended=None, stage="it stays there")
    assert "under way: it stays there; to stop it: bascule drill cancel d1" in text(going)
    back = replace(going, stage="on its way back: r2 is at work", turned_back="stayed")
    assert "under way: on its way back: r2 is at work (stayed)\n" in text(back)
    assert "cancel" not in text(back)


def test_that_a_service_is_where_it_was_is_said_of_what_was_shown() -> None:
    over = replace(drill(StepMade.LIVE), returned=True)
    assert "ok, conditions met; the service is where it was" in text(over)
    failed = replace(over, ok=False, reason="overtaken")
    assert "failed, overtaken; on record the service is where it was" in text(failed)


def test_with_nobody_there_nothing_is_told_as_going_on_now() -> None:
    going = replace(drill(StepMade.LIVE), ok=None, ended=None, stage="it stays there")
    told = plain(one_lines(going, 160, 30.0))
    assert "nobody has watched for 30s: what is open or running here was so then. Start it: bascule daemon" in told
    assert "cancel" not in told  # nobody would hear it
    assert "nobody has watched for 30s" in plain(list_lines([going], 160, 30.0))
    assert "nobody has watched" not in plain(list_lines([drill(StepMade.LIVE)], 160, 30.0))


def test_that_there_is_none_is_said_of_what_was_asked() -> None:
    assert plain(list_lines([])).startswith("no drill was ever made here; ")
    assert plain(list_lines([], of="acme")).startswith("no drill was ever made of acme; ")


def test_a_drill_whose_run_waits_for_a_person_is_at_no_work() -> None:
    """How a step of its way back ended was not seen: that is not under way, and nothing goes on by itself."""
    world = drill_stage.stage()
    moves = {k: replace(m, done_when=None, safe_to_repeat=False) for k, m in world.model.moves.items()}
    world.model = replace(world.model, moves=moves, digest="cannot look")
    world.hears(ConfigurationLoaded(world.model))
    drill_stage.drill(world)
    world.hang.add("return-hq")
    world.run(30)
    world.crash()
    world.start()
    world.run(5)
    found = told(world.decided(), WallClock(()), drill_stage.the_drill(world))
    assert found.stage == "on its way back: r2 waits for a person"
    assert {s.name: s.made for s in found.steps if s.run == "r2"}["execute"] is StepMade.UNSEEN


def test_what_keeps_it_from_going_back_is_told_and_since_when_it_is_late() -> None:
    world = drill_stage.stage()
    drill_stage.drill(world)
    world.run(8)
    world.say(WordKind.HOLD, "acme/erp")
    world.run(500)
    found = told(world.decided(), WallClock(()), drill_stage.the_drill(world))
    assert found.stage == "it is to go back; Ada holds acme/erp"
    turned = drill_stage.the_drill(world).turned_back
    assert turned is not None
    assert found.back_by == pytest.approx(turned.at + 300.0, abs=0.1)
    assert "\n  it is to be back by 1970-01-01 00:" in text(found)
    world.say(WordKind.SUSPECT, "acme")
    world.say(WordKind.MAINTENANCE, "acme/erp", for_s=600.0)
    found = told(world.decided(), WallClock(()), drill_stage.the_drill(world))
    kept = "Ada holds acme/erp; Ada suspects a compromise of acme; work on acme/erp is announced"
    assert found.stage == f"it is to go back; {kept}"
    for word in (WordKind.RESUME, WordKind.CLEAR):
        world.say(word, "acme/erp" if word is WordKind.RESUME else "acme")
    world.say(WordKind.MAINTENANCE_END, "acme/erp")
    world.run(100)
    over = told(world.decided(), WallClock(()), drill_stage.the_drill(world))
    assert "to be back by" not in text(over)


def test_what_was_skipped_in_one_run_is_not_told_of_another() -> None:
    two = (
        DrillStep("r1", "execute", StepMade.LIVE, 1.0, "", ""),
        DrillStep("r3", "execute", StepMade.SKIPPED, None, "", ""),
    )
    found = text(replace(drill(), steps=two, runs=("r1", "r3")))
    assert "proves nothing of: r3 execute (skipped); live: 1 step" in found


def test_what_a_person_leads_back_meanwhile_does_not_stay_there() -> None:
    world = drill_stage.stage()
    drill_stage.drill(world, stays_s=600.0)
    world.run(20)
    assert told(world.decided(), WallClock(()), drill_stage.the_drill(world)).stage == "it stays there"
    assert world.say(WordKind.FAILBACK, "acme/erp").accepted
    world.run(3)
    found = told(world.decided(), WallClock(()), drill_stage.the_drill(world))
    assert found.stage == "r2 (acme/return-hq), which is none of its runs, is at work"
