"""Who is told: once, or again and again until somebody has been reached."""

from __future__ import annotations

from orchestrator.core import events as e
from orchestrator.core import records as r
from orchestrator.core.commands import NoticeKind, TellPeople
from orchestrator.core.events import WordKind
from orchestrator.core.model import Limits, Mode
from orchestrator.reports.status import status_now
from orchestrator.reports.status_parts import Live
from tests.core.stage import isp_a_dies, lab
from tests.core.test_policy import farm
from tests.core.world import World, story


def called(world: World) -> list[TellPeople]:
    """The calls for a person."""
    return [x for x in world.told if x.kind is NoticeKind.HUMAN_NEEDED and x.subject == "acme/hq-internet"]


def nobody_answers() -> World:
    """No tier is left for the head office's internet, and nobody can be reached."""
    world = lab()
    world.nobody_there = True
    world.silent("isp-b-path")
    isp_a_dies(world)
    world.run(20)
    return world


def test_a_call_for_a_person_that_reached_nobody_is_made_again_until_it_reaches_somebody() -> None:
    world = nobody_answers()
    assert len(called(world)) == 1
    world.run(60)
    assert len(called(world)) == 2
    world.run(60)
    assert len(called(world)) == 2, "at a slower beat each time"
    world.run(300)
    tried = len(called(world))
    assert tried > 2
    world.nobody_there = False
    world.run(700)
    assert len(called(world)) == tried + 1
    world.run(900)
    assert len(called(world)) == tried + 1


def test_news_that_reached_nobody_stays_unsaid() -> None:
    world = nobody_answers()
    world.run(900)
    opened = [x for x in world.told if x.kind is NoticeKind.INCIDENT_OPENED and x.subject == "acme/hq-internet"]
    assert len(opened) == 1


def test_a_restarted_controller_goes_on_calling() -> None:
    world = nobody_answers()
    world.crash()
    world.nobody_there = False
    world.start()
    world.run(5)
    assert len(called(world)) == 2
    assert not [n for n in world.decided().notices.values() if n.due.kind is NoticeKind.HUMAN_NEEDED]
    assert [x for x in world.records(r.NoticeSettled) if isinstance(x, r.NoticeSettled) and x.delivered]


def test_a_call_is_not_made_again_when_nothing_calls_for_it_any_more() -> None:
    """It works again: that no tier is left is not so, and nobody is told it a minute later."""
    world = nobody_answers()
    world.good("erp-transaction", "hq-internet", "isp-b-path")
    world.run(30)
    world.nobody_there = False
    world.run(700)
    assert len(called(world)) == 1
    assert not [n for n in world.decided().notices.values() if n.due.kind is NoticeKind.HUMAN_NEEDED]
    assert any(isinstance(x, r.NoticeDropped) for x in world.records(r.NoticeDropped))


def test_an_approval_that_was_given_is_not_asked_for_again() -> None:
    world = lab()
    world.nobody_there = True
    world.silent("erp-transaction", "hq-internet", "isp-b-path")
    world.run(20)
    run = next(x for x in world.decided().unfinished_runs() if x.started.service == "acme/erp")
    asked = [x for x in world.told if x.kind is NoticeKind.APPROVAL_NEEDED]
    world.hears(e.WordSpoken("w1", WordKind.REJECT, "Ann Example", run.id))
    world.run(700)
    assert [x for x in world.told if x.kind is NoticeKind.APPROVAL_NEEDED and x.id == asked[0].id] == asked[:1]


def test_what_is_over_is_not_told_after_a_restart_nor_shown_as_to_be_told() -> None:
    """The line hung, the run was approved all the same, and the controller died: nothing waits any more."""
    world = lab(Mode.ASK)
    world.lines_hang = True
    isp_a_dies(world)
    world.run(20)
    assert _untold(world) >= {"approval needed", "incident opened"}
    world.say(WordKind.APPROVE, "r1")
    assert "approval needed" not in _untold(world)
    world.crash()
    tried = len(world.told)
    world.start()
    assert "approval needed" not in {x.kind.value for x in world.told[tried:]}
    assert "incident opened" in {x.kind.value for x in world.told[tried:]}
    dropped = [x for x in world.records(r.NoticeDropped) if isinstance(x, r.NoticeDropped)]
    assert ("r1/approval", "r1 does not wait for an approval any more", True) in {
        (x.notice, x.evidence, x.unseen) for x in dropped
    }, "somebody may have been told before the controller died"


# ---- a hold that keeps an outage from being recovered


def held_down(*said: tuple[WordKind, str], **more: float) -> World:
    """The head office's internet fails after these words."""
    world = lab()
    for kind, subject in said:
        world.say(kind, subject, **more)
    world.run(10)
    isp_a_dies(world)
    world.run(30)
    return world


def test_a_hold_is_told_once_an_outage_with_the_word_that_ends_it() -> None:
    world = held_down((WordKind.HOLD, "acme"))
    (told,) = called(world)
    assert told.text.endswith(
        "is down and nothing is done automatically: a named person holds automatic action: Ada holds acme: a reason"
    )
    assert told.say == "bascule resume acme"
    world.say(WordKind.HOLD, "acme/hq-internet")
    world.run(30)
    world.say(WordKind.RESUME, "acme/hq-internet")
    world.crash()
    world.start()
    world.run(60)
    assert called(world) == [told], "the hold that holds it is the same as before"
    world.say(WordKind.RESUME, "acme")
    world.say(WordKind.HOLD, "acme")
    world.run(60)
    assert len(called(world)) == 2, "this is another hold"


def test_a_hold_is_nobodys_alarm_before_announced_work_has_ended() -> None:
    world = held_down((WordKind.HOLD, "acme"), (WordKind.MAINTENANCE, "acme"), for_s=300.0)
    world.run(200)
    assert called(world) == []
    world.run(100)
    assert len(called(world)) == 1


def test_of_a_hold_that_is_over_nobody_is_told_when_the_line_is_back() -> None:
    world = lab()
    world.nobody_there = True
    world.say(WordKind.HOLD, "acme")
    isp_a_dies(world)
    world.hang.add("backup_isp")
    world.run(30)
    assert len(called(world)) == 1
    world.say(WordKind.RESUME, "acme")
    world.run(20)
    world.nobody_there = False
    world.run(200)
    assert len(called(world)) == 1
    dropped = [(x.evidence, x.unseen) for x in world.records(r.NoticeDropped) if isinstance(x, r.NoticeDropped)]
    assert ("the hold that it is about is over", False) in dropped


def _untold(world: World) -> set[str]:
    """The kinds of notices that the status shows as not delivered yet."""
    shown = status_now(world.decided(), world.model, world.now, 0.0, Live(daemon=True)).undelivered
    return {text.partition(":")[0] for text in shown}


def braked() -> tuple[World, list[TellPeople]]:
    """Eight services fail at once, nobody can be reached; and the calls about one that is held up by that."""
    world = farm(8, Limits(concurrent_failovers=9))
    world.nobody_there = True
    world.bad(*(f"web{n}" for n in range(8)))
    world.run(20)
    return world, calls(world)


def calls(world: World) -> list[TellPeople]:
    return [x for x in world.told if x.subject == "acme/web7" and x.kind is NoticeKind.HUMAN_NEEDED]


def restarted(world: World) -> None:
    """People can be reached, when another controller takes over."""
    world.crash()
    world.nobody_there = False
    world.start()
    world.run(5)


def test_what_a_person_had_go_on_is_not_told_as_held_up_by_another_controller() -> None:
    world, told = braked()
    assert [x.say for x in told] == ["bascule resume acme/web7"]
    world.hang.add("restart_web7")
    assert world.say(WordKind.RESUME, "acme").accepted
    restarted(world)
    assert calls(world) == told
    dropped = [x.evidence for x in world.records(r.NoticeDropped) if isinstance(x, r.NoticeDropped)]
    assert "acme/web7 was resumed since" in dropped


def test_what_flapped_and_was_resumed_is_not_told_as_frozen() -> None:
    world = farm(1, Limits(moves_per_service=1, relapse_s=600.0))
    world.nobody_there = True
    del world.effects["restart_web0"]
    world.bad("web0")
    world.run(15)
    world.good("web0")
    world.run(20)
    world.bad("web0")
    world.run(20)
    told = [x for x in world.told if "frozen" in x.text]
    assert len(told) == 1, "\n".join(story(world))
    world.hang.add("restart_web0")
    assert world.say(WordKind.RESUME, "acme/web0").accepted
    restarted(world)
    assert [x for x in world.told if "frozen" in x.text] == told


def test_a_mass_failure_that_has_let_go_is_not_told_again_and_the_next_one_is() -> None:
    world, told = braked()
    world.hang.add("restart_web7")
    world.good(*(f"web{n}" for n in range(7)))
    world.run(70)
    assert world.played[-1] == "restart_web7"
    world.run(120)
    assert calls(world) == told, "it is being recovered"
    assert world.say(WordKind.ABORT, world.decided().unfinished_runs()[0].id).accepted
    world.nobody_there = False
    world.bad(*(f"web{n}" for n in range(7)))
    world.run(20)
    assert [x.text for x in calls(world)[len(told) :] if "mass failure" in x.text.lower() or "at once" in x.text]
