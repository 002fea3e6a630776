"""A drill that was approved: the way back is a part of what was shown, and what was not approved does not run."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.core import events as e
from orchestrator.core.commands import NoticeKind
from orchestrator.core.deciding import drilling
from orchestrator.core.events import WordKind
from orchestrator.core.model import Condition, DrillKind, Mode, Playbook
from orchestrator.core.reasons import Reason
from orchestrator.core.rules.approving import consequences
from orchestrator.core.runs import plan
from orchestrator.sim.way_back_truth import WayBackTruth
from tests.core.drill_stage import over, stage, the_drill
from tests.core.test_drills_under_failure import changed, told, with_move, with_service
from tests.core.world import World, all_of, book, story

BACK = "acme/return-hq"
OTHER = Playbook("return-hq.yml", "edited since")


def asked(mode: Mode = Mode.ASK, kind: DrillKind = DrillKind.FULL_SCALE, **how: object) -> World:
    """A drill of a schedule, at full scale unless it is said otherwise; in mode ask it waits for its approval."""
    world = stage(mode)
    tx = world.engine.transaction(world.now)
    erp = world.model.services["acme/erp"]
    asks = ("acme/erp is in mode ask",) if mode is Mode.ASK else ()
    more: dict[str, object] = {"stays_s": 60.0, **how}
    drilling.begin(tx, erp, "acme/geo-site", kind, reason=Reason.DRILL_DUE, asks=asks, **more)  # type: ignore[arg-type]
    world.entries.append((world.now, tuple(tx.records)))
    changed(world)
    return world


def away(world: World) -> None:
    """It is approved, and stays at the other place."""
    assert world.say(WordKind.APPROVE, "r1").accepted, "\n".join(story(world))
    world.run(20)
    assert world.decided().services["acme/erp"].place == "acme/geo", "\n".join(story(world))


def test_whoever_approves_is_told_that_it_is_a_drill_and_what_leads_back() -> None:
    world = asked()
    (text,) = told(world, NoticeKind.APPROVAL_NEEDED)
    assert "it is the drill d1: after 1:00 acme/return-hq leads back" in text


@pytest.mark.parametrize("kind", DrillKind)
def test_whoever_approves_what_is_held_is_told_that_it_ends(kind: DrillKind) -> None:
    world = asked(kind=kind)
    world.say(WordKind.HOLD, "acme/erp")
    world.run(2)
    tx, run = world.engine.transaction(world.now), world.decided().runs["r1"]
    (told,) = consequences(tx, run)
    assert told == "as things stand r1 ends, and nothing is fenced or moved: held: Ada holds acme/erp: a reason"
    answer = world.say(WordKind.APPROVE, "r1")
    assert answer.evidence == (
        "r1 is approved, and as things stand it ends and changes nothing: held: Ada holds acme/erp: a reason"
    )
    world.run(20)
    assert over(world).reason is Reason.HELD
    assert not world.played


def test_a_way_back_that_was_loaded_since_is_not_what_was_asked_about() -> None:
    world = asked()
    with_move(world, BACK, playbook=OTHER)
    answer = world.say(WordKind.APPROVE, "r1")
    assert not answer.accepted
    assert not world.played
    assert world.decided().runs["r1"].ended is not None


def test_a_way_back_that_is_edited_on_disk_is_not_approved() -> None:
    world = asked()
    world.hears(e.PlaybooksRead({world.model.moves[BACK].playbook.digest: "return-hq.yml was edited"}))
    answer = world.say(WordKind.APPROVE, "r1")
    assert (answer.accepted, answer.reason) == (False, Reason.PLAN_CHANGED.value)
    assert "return-hq.yml was edited" in answer.evidence


@pytest.mark.parametrize("how", ["playbook", "prepare", "hand_over"])
def test_another_way_back_than_the_approved_one_asks_before_anything_of_it_runs(how: str) -> None:
    world = asked()
    away(world)
    back = world.model.moves[BACK]
    assert back.hand_over is not None
    other = OTHER if how != "hand_over" else replace(back.hand_over, playbook=Playbook("hand_over.yml", "edited since"))
    with_move(world, BACK, **{how: other})
    before = list(world.played)
    world.run(100)
    assert world.played == before, "\n".join(story(world))
    text = told(world, NoticeKind.APPROVAL_NEEDED)[-1]
    assert f"the way back, {BACK}, is another one than was shown with d1" in text
    assert world.say(WordKind.APPROVE, "r2").accepted
    world.run(120)
    assert over(world).returned is True, "\n".join(story(world))
    assert world.decided().services["acme/erp"].place == "acme/hq"


@pytest.mark.parametrize("other", [None, all_of("geo-app-ready")])
def test_what_shows_that_a_rehearsal_is_apart_was_approved_too(other: Condition | None) -> None:
    world = asked(kind=DrillKind.FUNCTIONAL)
    rehearse = world.model.moves["acme/geo-site"].rehearse
    assert rehearse is not None
    with_move(world, "acme/geo-site", rehearse=replace(rehearse, apart_when=other))
    answer = world.say(WordKind.APPROVE, "r1")
    assert (answer.accepted, answer.reason) == (False, Reason.PLAN_CHANGED.value)
    world.run(60)
    assert not world.played


def test_what_nobody_was_shown_is_not_played_because_the_mode_became_stricter() -> None:
    world = asked()
    away(world)
    with_move(world, BACK, playbook=OTHER)
    with_service(world, "acme/erp", mode=Mode.OBSERVE)
    before = list(world.played)
    world.run(100)
    assert world.played == before, "\n".join(story(world))
    assert f"the way back, {BACK}, is another one than was shown with d1" in told(world, NoticeKind.APPROVAL_NEEDED)[-1]
    assert world.say(WordKind.APPROVE, "r2").accepted
    world.run(120)
    assert over(world).returned is True, "\n".join(story(world))


@pytest.mark.parametrize("how", ["by another answer", "by another question"])
def test_what_proves_the_place_out_that_is_left_on_the_way_back_was_approved_too(how: str) -> None:
    world = asked()
    away(world)
    back = world.model.moves[BACK].hand_over
    assert back is not None
    (asks,) = back.proven_when.checks()
    if how == "by another answer":
        with_move(world, BACK, hand_over=replace(back, proven_when=all_of("geo-app-ready")))
    else:
        other = replace(world.model.checks[asks], options={"target": "127.0.0.1"})
        changed(world, checks={**world.model.checks, asks: other})
    before = list(world.played)
    world.run(100)
    assert world.played == before, "\n".join(story(world))
    text = told(world, NoticeKind.APPROVAL_NEEDED)[-1]
    assert f"the way back, {BACK}, is another one than was shown with d1" in text


@pytest.mark.parametrize("how", ["as it is", "never noticed"])
def test_the_simulators_judge_sees_a_way_back_that_nobody_was_shown(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if how == "never noticed":
        monkeypatch.setattr(plan, "another_way_back", lambda *_: "")
    world = asked()
    models = dict.fromkeys((world.model.digest, world.model.digest.removesuffix("*")), world.model)
    away(world)
    back = world.model.moves[BACK].hand_over
    assert back is not None
    (asks,) = back.proven_when.checks()
    other = replace(world.model.checks[asks], options={"target": "127.0.0.1"})
    changed(world, checks={**world.model.checks, asks: other})
    models[world.model.digest] = world.model
    world.run(100)
    found: list[str] = []
    judge = WayBackTruth(models, lambda number, _rule, what: found.append(f"{number} {what}"))
    for _, records in world.entries:
        for record in records:
            judge.record(record)
    assert found[:1] == ([] if how == "as it is" else ["19 r2/prepare"])


def test_a_way_back_that_was_approved_and_failed_is_tried_again_without_another_question() -> None:
    world = asked()
    away(world)
    with_move(world, BACK, playbook=OTHER)
    world.run(60)
    world.outcomes["rebuild_hq"] = e.AttemptEnd.FAILED
    assert world.say(WordKind.APPROVE, "r2").accepted
    world.run(60)
    assert world.decided().runs["r2"].ended is not None
    del world.outcomes["rebuild_hq"]
    world.run(120)
    assert over(world).returned is True, "\n".join(story(world))
    assert [x.asks_a_person for x in world.decided().runs.values()].count(True) == 0
    assert len(told(world, NoticeKind.APPROVAL_NEEDED)) == 2


def test_whoever_rejects_it_is_asked_no_more_and_it_is_a_persons() -> None:
    world = asked()
    away(world)
    with_move(world, BACK, playbook=OTHER)
    world.run(60)
    assert world.say(WordKind.REJECT, "r2").accepted
    world.run(300)
    assert over(world).reason is Reason.NOT_RETURNED
    assert len(world.decided().drills["d1"].runs) == 2
    (text,) = told(world)
    assert text.endswith("not returned: r2 (acme/return-hq): by Ada: a reason")


def test_the_way_back_as_it_was_approved_asks_nobody() -> None:
    world = asked()
    away(world)
    with_service(world, "acme/erp", priority=7)
    with_move(world, "acme/cloud-instance", playbook=OTHER)
    world.run(120)
    assert over(world).ok, "\n".join(story(world))
    assert len(told(world, NoticeKind.APPROVAL_NEEDED)) == 1


def test_in_mode_auto_a_reload_is_enough() -> None:
    world = asked(Mode.AUTO)
    world.run(30)
    assert world.decided().services["acme/erp"].place == "acme/geo"
    with_move(world, BACK, playbook=book("another_return"))
    world.effects["another_return"] = world.effects["return-hq"]
    world.run(120)
    assert over(world).ok, "\n".join(story(world))
    assert not told(world, NoticeKind.APPROVAL_NEEDED)


def test_a_drill_of_an_earlier_version_goes_back_as_it_would_have(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its record says nothing of the way back that was shown."""
    with monkeypatch.context() as earlier:
        earlier.setattr(plan, "back_digest", lambda *_: "")
        world = asked()
    assert the_drill(world).began.back_digest == ""
    away(world)
    with_move(world, BACK, prepare=None)
    world.run(150)
    assert over(world).ok, "\n".join(story(world))
    assert len(told(world, NoticeKind.APPROVAL_NEEDED)) == 1
