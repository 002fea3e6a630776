"""The clean-up of a rehearsal is the one that was shown when it began; another one waits for a person."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.cli.remedies import remedies
from orchestrator.core import events as e
from orchestrator.core import records as r
from orchestrator.core.commands import NoticeKind
from orchestrator.core.events import WordKind
from orchestrator.core.invariant_broken import InvariantBroken
from orchestrator.core.model import Mode, Playbook, Rehearsal
from orchestrator.core.reasons import Reason
from orchestrator.core.runs import cleaning
from orchestrator.core.runs.plan import SHOWN, approving, as_shown
from tests.core.drill_stage import over, rehearse, stage, the_drill
from tests.core.test_drills_under_failure import changed, told, with_move
from tests.core.world import World, book, story

EDITED = "playbooks/clean_scratch.yml was changed since it was loaded"
ANOTHER = Playbook("wipe.yml", "edited since")


def rehearsing(mode: Mode) -> World:
    """The tier is being restored beside what serves, for half a minute."""
    world = stage(mode)
    world.takes["restore_scratch"] = 30.0
    assert rehearse(world).accepted
    world.run(10)
    assert world.played[-1] == "restore_scratch"
    return world


def loads(world: World, **parts: object) -> None:
    """A rehearsal is declared otherwise, and that is loaded."""
    declared = world.model.moves["acme/geo-site"].rehearse
    assert isinstance(declared, Rehearsal)
    with_move(world, "acme/geo-site", rehearse=replace(declared, **parts))  # type: ignore[arg-type]


def asked(world: World) -> str:
    """What a person is asked."""
    run = world.decided().runs["r1"]
    assert run.human is not None, "\n".join(story(world))
    return run.human.evidence


@pytest.mark.parametrize("mode", [Mode.ASK, Mode.OBSERVE])
@pytest.mark.parametrize(
    "parts",
    [
        {"clean_up": ANOTHER},
        {"clean_up": replace(book("clean_scratch"), limit="others")},
        {"clean_up": replace(book("clean_scratch"), extra_vars={"what": "all"})},
        {"survey": ANOTHER},
    ],
    ids=["playbook", "hosts", "variables", "survey"],
)
def test_a_clean_up_that_was_loaded_since_waits_for_a_person(mode: Mode, parts: dict[str, object]) -> None:
    world = rehearsing(mode)
    loads(world, **parts)
    world.run(60)
    assert world.played[-1] == "restore_scratch", "nothing of it is played"
    assert "was loaded since d1 was shown, and is another" in asked(world)
    (text,) = told(world)
    assert asked(world) in text
    says = [x.say for x in world.told if x.kind is NoticeKind.HUMAN_NEEDED]
    assert says == [approving(world.decided().runs["r1"])]
    named = says[0].rpartition(" ")[2]
    assert world.say(WordKind.APPROVE, "r1", plan=named).accepted
    world.run(60)
    assert over(world).reason is not Reason.PLAN_CHANGED, "\n".join(story(world))
    assert len(world.played) > 3


@pytest.mark.parametrize(
    ("at_work", "part", "reason", "what"),
    [
        ("prepare_scratch", "apart_when", Reason.NOT_APART, "it cannot reach what serves"),
        ("restore_scratch", "verify", Reason.NOT_CONFIRMED, "what was rehearsed is well"),
    ],
)
def test_what_nothing_shows_any_more_is_not_shown(at_work: str, part: str, reason: Reason, what: str) -> None:
    """A reload took the proof out while the rehearsal was at work: there was "nothing to ask", and so it was met."""
    world = stage()
    world.takes[at_work] = 30.0
    assert rehearse(world).accepted
    world.run(10)
    assert world.played[-1] == at_work
    loads(world, **{part: None})
    world.run(90)
    (step,) = (s for s in world.decided().runs["r1"].steps if s.traits.fails_as is reason)
    assert (step.state, step.reason) == (r.StepState.FAILED, reason)
    assert step.evidence == f"nothing in the plan can show any more that {what}"
    assert not over(world).ok
    assert world.played[-2:] == ["clean_scratch", "survey"]


def test_approved_it_is_played_once_and_the_drill_ends_well() -> None:
    world = rehearsing(Mode.ASK)
    world.effects["wipe"] = world.effects["clean_scratch"]
    loads(world, clean_up=ANOTHER)
    world.run(30)
    assert world.say(WordKind.APPROVE, "r1").accepted
    world.run(60)
    assert world.played[-2:] == ["wipe", "survey"]
    assert over(world).ok, "\n".join(story(world))


def test_what_was_approved_is_not_what_is_loaded_after_that() -> None:
    world = rehearsing(Mode.ASK)
    loads(world, clean_up=ANOTHER)
    world.run(30)
    first = as_shown(world.decided().runs["r1"])[:SHOWN]
    loads(world, clean_up=Playbook("wipe.yml", "edited once more"))
    second = as_shown(world.decided().runs["r1"])[:SHOWN]
    assert first != second
    assert len(told(world)) == 2, "whoever was asked is asked about what there is now"
    assert world.say(WordKind.APPROVE, "r1", plan=first).reason == Reason.ANOTHER_PLAN
    assert world.say(WordKind.APPROVE, "r1", plan=second).accepted
    world.run(60)
    assert "wipe" in world.played


def test_what_was_shown_and_is_loaded_again_is_told_as_that() -> None:
    world = rehearsing(Mode.ASK)
    before = world.model.moves
    loads(world, clean_up=ANOTHER)
    world.run(30)
    changed(world, moves=before)
    assert asked(world).startswith("what cleans up is again what was shown with d1")
    assert world.say(WordKind.APPROVE, "r1").accepted
    world.run(60)
    assert over(world).ok


def test_a_person_may_leave_all_as_it_is() -> None:
    world = rehearsing(Mode.ASK)
    loads(world, clean_up=ANOTHER)
    world.run(30)
    assert world.say(WordKind.ABORT, "r1").accepted
    world.run(60)
    assert over(world).reason is Reason.NOT_CLEAN
    assert "wipe" not in world.played


@pytest.mark.parametrize("how", ["drill cancelled", "run aborted"])
def test_who_stopped_the_rehearsal_before_has_not_said_that_it_may_be_left(how: str) -> None:
    world = rehearsing(Mode.ASK)
    loads(world, clean_up=ANOTHER)
    if how == "drill cancelled":
        assert world.say(WordKind.DRILL_CANCEL, "d1").accepted
    else:
        assert world.say(WordKind.ABORT, "r1").accepted
    world.run(60)
    assert "is another" in asked(world)
    assert the_drill(world).ended is None
    if how == "drill cancelled":
        again = world.say(WordKind.DRILL_CANCEL, "d1")
        assert "waits for a person: r1 is at its clean-up" in again.evidence


def test_an_incident_meanwhile_is_no_answer_to_it_and_does_not_wait() -> None:
    world = rehearsing(Mode.ASK)
    loads(world, clean_up=ANOTHER)
    world.run(30)
    world.bad("hq-internet")
    world.good("isp-b-path")
    world.run(60)
    assert the_drill(world).ended is None
    assert "is another" in asked(world)
    assert [x.started.move for x in world.decided().unfinished_runs()][-1] == "acme/backup-isp"


def test_in_mode_auto_a_reload_is_enough_and_people_are_told() -> None:
    world = rehearsing(Mode.AUTO)
    world.effects["wipe"] = world.effects["clean_scratch"]
    loads(world, clean_up=ANOTHER)
    world.run(60)
    assert world.played[-2:] == ["wipe", "survey"]
    assert told(world, NoticeKind.DRILL_CHANGED) == [
        "acme/erp: drill d1 (r1) is cleaned up by what was loaded since it was shown: clean-up (wipe.yml)"
    ]
    assert over(world).ok


@pytest.mark.parametrize("mode", [Mode.AUTO, Mode.ASK])
def test_what_was_only_edited_is_not_played_and_put_back_it_is(mode: Mode) -> None:
    world = rehearsing(mode)
    world.outcomes["clean_scratch"] = e.AttemptEnd.PLAN_CHANGED
    world.run(60)
    assert "put it back, or reload" in asked(world)
    assert f"then: {approving(world.decided().runs['r1'])};" in asked(world)  # its own question, named before it is put
    assert [x.say for x in world.told if x.kind is NoticeKind.HUMAN_NEEDED] == ["bascule reload"]
    assert the_drill(world).ended is None
    digest = book("clean_scratch").digest
    world.hears(e.PlaybooksRead({digest: EDITED}))
    refused = world.say(WordKind.APPROVE, "r1")
    assert (refused.accepted, refused.reason) == (False, Reason.PLAN_CHANGED)
    world.hears(e.PlaybooksRead({digest: ""}))
    del world.outcomes["clean_scratch"]
    assert world.say(WordKind.APPROVE, "r1").accepted
    world.run(60)
    assert over(world).ok, "\n".join(story(world))


def test_a_question_put_while_another_waits_names_itself_and_not_the_one_before() -> None:
    """It is with a person, for it takes too long, and then the runner finds another file than was loaded."""
    world = stage(Mode.ASK)
    world.takes["clean_scratch"] = 100_000.0
    assert rehearse(world).accepted
    world.run(60)
    world.stand_still(3300)
    world.run(10)
    assert "longer than" in asked(world)
    world.run(10)
    world.hears(e.StepEnded(e.StepKey("r1", "clean-up", 1), e.AttemptEnd.PLAN_CHANGED, EDITED))
    assert f"then: {approving(world.decided().runs['r1'])};" in asked(world)


def test_who_gives_a_clean_up_more_time_has_not_said_that_another_may_be_played() -> None:
    world = stage(Mode.ASK)
    world.takes["clean_scratch"] = 100_000.0
    assert rehearse(world).accepted
    world.run(60)
    loads(world, clean_up=ANOTHER)
    world.stand_still(3300)
    world.run(10)
    assert "longer than" in asked(world)
    assert world.say(WordKind.APPROVE, "r1").accepted
    world.hears(e.StepEnded(e.StepKey("r1", "clean-up", 1), e.AttemptEnd.LOST, "its end was not seen"))
    world.run(60)
    assert "wipe" not in world.played
    assert "was loaded since d1 was shown, and is another" in asked(world)


def test_of_an_edited_clean_up_the_remedies_name_what_works() -> None:
    world = rehearsing(Mode.ASK)
    world.outcomes["clean_scratch"] = e.AttemptEnd.PLAN_CHANGED
    world.run(60)
    word = e.WordSpoken("w", WordKind.APPROVE, "Ada", "r1", "", {})
    found = remedies(Reason.PLAN_CHANGED, word, world.decided(), world.model)
    assert [x.command for x in found] == ["bascule reload", "bascule abort r1"]


def test_the_core_would_notice_a_clean_up_that_nobody_was_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    world = rehearsing(Mode.ASK)
    monkeypatch.setattr(cleaning, "waits_for_a_person", lambda *_: False)
    loads(world, clean_up=ANOTHER)
    with pytest.raises(InvariantBroken, match="what cleans up was shown, or approved"):
        world.run(60)


def test_a_controller_that_dies_meanwhile_asks_no_second_time_and_plays_nothing() -> None:
    world = rehearsing(Mode.ASK)
    loads(world, clean_up=ANOTHER)
    world.run(30)
    world.crash()
    world.start()
    world.run(60)
    assert len(list(world.records(r.RunNeedsHuman))) == 1
    assert "wipe" not in world.played
