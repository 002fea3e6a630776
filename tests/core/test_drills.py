"""Drills: a move and the way back, or a rehearsal that leaves nothing behind; whatever happens in between."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.cli.plan_text import plan_lines
from orchestrator.core import events as e
from orchestrator.core import records as r
from orchestrator.core.codec import encode
from orchestrator.core.commands import NoticeKind
from orchestrator.core.events import WordKind
from orchestrator.core.model import DrillKind, Json, Mode
from orchestrator.core.reasons import Reason
from orchestrator.core.runs.replacing import objections
from orchestrator.reports.drills import stage as stage_of
from orchestrator.reports.text import plain
from orchestrator.shell.dry_run import plan_of
from tests.core.drill_stage import drill, over, rehearsal, rehearse, stage, the_drill
from tests.core.stage import geo_loses_power, hq_loses_power
from tests.core.world import World, story

FUNCTIONAL = ["survey", "prepare_scratch", "restore_scratch", "clean_scratch", "survey"]


def steps(world: World, run: str) -> list[tuple[str, str]]:
    """How each step of a run ended."""
    return [(x.step, x.state.value) for x in world.records(r.StepFinished) if x.run == run]  # type: ignore[attr-defined]


def told(world: World, kind: NoticeKind) -> list[str]:
    """What people were told of this kind."""
    return [x.text for x in world.told if x.kind is kind]


# ---- full-scale


def test_a_full_scale_drill_moves_the_service_and_leads_it_back() -> None:
    world = stage()
    answer = drill(world)
    assert answer.accepted, answer
    assert answer.evidence == "d1: full-scale, acme/geo-site, back by acme/return-hq after 10s"
    world.run(120)
    assert world.played == ["hand_over_hq", "geo-site", "rebuild_hq", "hand_over", "return-hq", "rebuild_geo"]
    assert over(world).ok
    assert over(world).reason is Reason.RETURNED
    assert over(world).returned is True
    state = world.decided().services["acme/erp"]
    assert (state.place, state.may_act) == ("acme/hq", {"acme/hq"})
    assert [x.reason for x in world.records(r.DrillTurnedBack)] == [Reason.STAYED]  # type: ignore[attr-defined]
    assert not list(world.records(r.IncidentOpened))
    assert [x.origin for x in world.records(r.RunStarted)] == [r.Origin.DRILL] * 2  # type: ignore[attr-defined]
    assert all(x.facts["bascule_drill"] is True for x in world.commanded)
    assert told(world, NoticeKind.DRILL_ENDED)[0].startswith(
        "acme/erp: drill d1 is over and showed what it was to show"
    )


def test_a_move_in_place_is_drilled_and_taken_back() -> None:
    world = stage()
    assert drill(world, service="acme/hq-internet", move="backup-isp").accepted
    world.run(60)
    assert world.played == ["backup-isp", "backup-isp.back"]
    assert over(world).ok
    assert not world.decided().engaged


@pytest.mark.parametrize(("service", "move"), [("acme/erp", "acme/geo-site"), ("acme/hq-internet", "acme/backup-isp")])
def test_a_plan_shows_the_steps_of_the_way_back_as_they_come(service: str, move: str, tmp_path: Path) -> None:
    world = stage()
    options: dict[str, Json] = {"kind": "full-scale", "move": move, "stays_s": 10.0}
    word = e.WordSpoken("w", WordKind.DRILL, "Ada", service, options=options)
    plan = plan_of(world.engine, word, world.now, tmp_path, {})
    assert drill(world, service=service, move=move.partition("/")[2]).accepted
    world.run(120)
    assert over(world).ok
    there, back = world.records(r.RunStarted)
    for started, shown in ((there, plan.steps), (back, plan.back_steps)):
        assert [x.name for x in shown] == [x.name for x in started.steps]  # type: ignore[attr-defined]
    assert plan.back == back.move  # type: ignore[attr-defined]
    shown_back = [x.playbook.removesuffix(".yml") for x in plan.back_steps if x.playbook]
    assert shown_back == world.played[-len(shown_back) :]
    assert f"  then back by {plan.back}, in this order" in plain(plan_lines(encode(plan))).splitlines()


def test_it_stays_for_as_long_as_it_was_to() -> None:
    world = stage()
    drill(world, stays_s=45.0)
    world.run(30)
    assert world.decided().services["acme/erp"].place == "acme/geo"
    there = next(x for x in world.records(r.RunEnded))
    world.run(120)
    turned = next(x for x in world.records(r.DrillTurnedBack))
    assert turned.at - there.at == pytest.approx(45.0, abs=0.2)
    assert over(world).ok


def test_what_a_drill_took_is_kept_apart() -> None:
    world = stage()
    drill(world)
    rehearse(world, move="geo-site")
    world.run(120)
    assert not world.decided().durations
    assert set(world.decided().drilled) >= {"acme/geo-site", "acme/return-hq", "acme/geo-site/execute"}


def test_a_drill_is_no_automatic_move_and_no_giving_up() -> None:
    world = stage()
    drill(world)
    world.run(120)
    state = world.decided().services["acme/erp"]
    assert not state.automatic_moves
    assert not state.left


# ---- functional


def test_a_rehearsal_touches_nothing_that_serves_and_cleans_up() -> None:
    world = stage()
    assert rehearse(world).accepted
    world.run(60)
    assert world.played == FUNCTIONAL
    assert [s for s, _ in steps(world, "r1")] == [
        "preflight", "survey", "set-up", "apart", "rehearse", "confirm", "clean-up", "survey-again",
    ]  # fmt: skip
    assert over(world).ok
    assert over(world).returned is None
    assert not list(world.records(r.PlacementChanged, r.MayActAdded, r.MayActRemoved, r.MoveEngaged))
    assert all(x.stats for x in world.commanded)


def test_without_a_rehearsal_the_playbook_is_played_in_check_mode_and_told_as_simulated(tmp_path: Path) -> None:
    world = stage(rehearse=None)
    options: dict[str, Json] = {"kind": DrillKind.FUNCTIONAL.value, "move": "acme/geo-site"}
    word = e.WordSpoken("w", WordKind.DRILL, "Ada", "acme/erp", options=options)
    planned = plan_of(world.engine, word, world.now, tmp_path, {})
    assert {s.name: s.simulated for s in planned.steps} == {"preflight": False, "rehearse": True}
    assert rehearse(world).accepted
    world.run(30)
    assert [(x.playbook.path, x.simulated) for x in world.commanded] == [("geo-site.yml", True)]
    assert over(world).ok
    assert over(world).evidence == "simulated: rehearse"
    assert "acme/geo-site/rehearse" not in world.decided().drilled  # nothing was made that took any time


@pytest.mark.parametrize("kind", DrillKind)
def test_a_plan_shows_what_each_guard_over_drills_says(kind: DrillKind, tmp_path: Path) -> None:
    world = stage()
    options: dict[str, Json] = {"kind": kind.value, "move": "acme/geo-site"}
    word = e.WordSpoken("w", WordKind.DRILL, "Ada", "acme/erp", options=options)
    guards = {g.guard: (g.passes, g.evidence) for g in plan_of(world.engine, word, world.now, tmp_path, {}).guards}
    of_the_kind = {
        "functional": {"touches what serves"},
        "full-scale": {"no way back", "no fence", "fence not automatic"},
    }
    own = {
        "in an incident",
        "compromise suspected",
        "resource busy",
        "drill under way",
        "not at home",
        "not well",
        "place down",
    }
    assert {n: guards[n] for n in own | of_the_kind[kind]} == dict.fromkeys(own | of_the_kind[kind], (True, ""))
    assert "mass failure" in guards, "those over every automatic action, too"
    other = of_the_kind["full-scale" if kind is DrillKind.FUNCTIONAL else "functional"]
    assert not other & guards.keys()
    world.say(WordKind.SUSPECT, "acme")
    plan = plan_of(world.engine, word, world.now, tmp_path, {})
    assert not plan.accepted
    found = {g.guard: (g.passes, g.reason, g.evidence) for g in plan.guards}
    assert found["compromise suspected"] == (False, "compromise suspected", "Ada suspects acme")


@pytest.mark.parametrize("outcome", [e.AttemptEnd.FAILED, e.AttemptEnd.UNREACHABLE, e.AttemptEnd.COULD_NOT_START])
@pytest.mark.parametrize("book", ["prepare_scratch", "restore_scratch"])
def test_a_rehearsal_that_fails_is_cleaned_up_all_the_same(book: str, outcome: e.AttemptEnd) -> None:
    world = stage()
    world.outcomes[book] = outcome
    rehearse(world)
    world.run(60)
    assert world.played[-2:] == ["clean_scratch", "survey"]
    assert not over(world).ok
    assert over(world).evidence.startswith(("set-up: ", "rehearse: "))
    assert not told(world, NoticeKind.HUMAN_NEEDED)


def test_one_whose_end_was_not_seen_is_cleaned_up_and_asks_nobody() -> None:
    world = stage()
    world.hang.add("restore_scratch")
    rehearse(world)
    world.run(400)
    assert world.played[-2:] == ["clean_scratch", "survey"]
    assert over(world).reason is Reason.TIMED_OUT
    assert not told(world, NoticeKind.HUMAN_NEEDED)


def test_what_is_not_apart_is_not_rehearsed() -> None:
    world = stage()
    world.bad("scratch-apart")
    rehearse(world)
    world.run(60)
    assert "restore_scratch" not in world.played
    assert over(world).reason is Reason.NOT_APART
    assert world.played[-2:] == ["clean_scratch", "survey"]


@pytest.mark.parametrize("asked", [True, False])
def test_a_rehearsal_is_called_well_only_where_a_check_was_asked(asked: bool) -> None:
    world = stage(**({} if asked else {"rehearse": rehearsal(verify=None)}))
    rehearse(world)
    world.run(120)
    assert over(world).ok
    assert over(world).evidence == (
        "what was rehearsed is well, and the target is as it was"
        if asked
        else "the rehearsal went to its end, no check was asked what came of it, and the target is as it was"
    )


def test_what_does_not_answer_after_it_is_not_proven() -> None:
    world = stage()
    del world.effects["restore_scratch"]
    rehearse(world)
    world.run(90)
    assert over(world).reason is Reason.NOT_CONFIRMED
    assert world.played == FUNCTIONAL


def test_something_left_behind_fails_the_drill_and_a_person_is_told() -> None:
    world = stage()
    del world.effects["clean_scratch"]
    rehearse(world)
    world.run(60)
    assert not over(world).ok
    assert over(world).reason is Reason.NOT_CLEAN
    assert "scratch: processes: left behind: postgres scratch" in over(world).evidence
    assert "it is not shown that all is as it was before" in told(world, NoticeKind.HUMAN_NEEDED)[0]


def test_a_clean_up_that_fails_is_told_with_what_is_left() -> None:
    world = stage()
    world.outcomes["clean_scratch"] = e.AttemptEnd.FAILED
    rehearse(world)
    world.run(60)
    assert world.played == FUNCTIONAL
    assert over(world).reason is Reason.NOT_CLEAN
    assert told(world, NoticeKind.HUMAN_NEEDED)


def test_a_survey_that_published_nothing_proves_nothing() -> None:
    world = stage()
    del world.stats["survey"]
    rehearse(world)
    world.run(60)
    assert world.played == ["survey"]
    assert over(world).reason is Reason.NOT_CLEAN
    assert "published no bascule_survey" in over(world).evidence
    assert not told(world, NoticeKind.HUMAN_NEEDED)  # nothing was begun that could have been left


def test_what_a_survey_published_is_kept_by_the_journal_and_not_for_ever_in_the_state() -> None:
    world = stage()
    for _ in range(2):
        rehearse(world)
        world.run(60)
    published = [bool(s.stats) for run in world.decided().runs.values() for s in run.steps if s.traits.surveys]
    assert published == [False, False, True, True]  # the last one's, and of no drill before it
    assert sum(bool(x.stats) for x in world.records(r.StepFinished)) == 4  # type: ignore[attr-defined]


# ---- what forbids a drill


def held(world: World) -> None:
    world.say(WordKind.HOLD, "acme/erp")


def all_held(world: World) -> None:
    world.say(WordKind.HOLD, "*")


def announced(world: World) -> None:
    world.say(WordKind.MAINTENANCE, "acme", for_s=600.0)


def suspected(world: World) -> None:
    world.say(WordKind.SUSPECT, "acme")


def blind(world: World) -> None:
    world.silent("ref", "ref2")
    world.run(30)


def frozen(world: World) -> None:
    for _ in range(8):  # as many moves by itself as it may make in a while, and one more
        world.silent("erp-transaction", "hq-internet")
        world.run(60)
        world.good("erp-transaction", "hq-internet")
        world.run(200)
    assert world.decided().services["acme/erp"].frozen is not None


def in_an_incident(world: World) -> None:
    world.say(WordKind.HOLD, "acme")
    hq_loses_power(world)
    world.run(30)


def in_a_drill(world: World) -> None:
    assert drill(world).accepted


def cloud_is_down(world: World) -> None:
    world.silent("cloud-ready")
    world.run(30)


def geo_is_not_ready(world: World) -> None:
    world.silent("geo-ready")
    world.run(30)


def hq_cannot_be_gone_back_to(world: World) -> None:
    world.bad("hq-ready")
    world.run(30)


def ailing(world: World) -> None:
    erp = replace(world.model.checks["acme/erp-transaction"], fall=30)
    world.model = replace(world.model, digest="slow", checks={**world.model.checks, erp.id: erp})
    world.nothing("erp-transaction")
    world.hears(e.ConfigurationLoaded(world.model))
    world.run(5)


REFUSALS: dict[Callable[[World], None], Reason] = {
    held: Reason.HELD,
    all_held: Reason.HELD,
    announced: Reason.IN_MAINTENANCE,
    suspected: Reason.COMPROMISE_SUSPECTED,
    blind: Reason.BLIND,
    frozen: Reason.FLAPPING,
    in_an_incident: Reason.IN_INCIDENT,
    in_a_drill: Reason.RESOURCE_BUSY,
    cloud_is_down: Reason.PLACE_DOWN,
    geo_is_not_ready: Reason.NOT_VIABLE,
    hq_cannot_be_gone_back_to: Reason.NOT_VIABLE,
    ailing: Reason.NOT_WELL,
}


@pytest.mark.parametrize("case", REFUSALS, ids=lambda case: case.__name__)
def test_no_drill_begins_where(case: Callable[[World], None]) -> None:
    world = stage()
    case(world)
    before = list(world.played)
    answer = drill(world)
    assert not answer.accepted
    assert answer.reason == REFUSALS[case].value, answer
    assert answer.evidence
    assert world.played == before


def test_a_service_that_is_not_at_home_is_not_drilled() -> None:
    world = stage()
    world.say(WordKind.FAILOVER, "acme/erp", move="geo-site")
    world.run(60)
    assert drill(world, move="cloud-instance").reason == Reason.NOT_AT_HOME.value


def test_a_move_in_effect_forbids_a_drill() -> None:
    world = stage()
    world.say(WordKind.FAILOVER, "acme/hq-internet", move="backup-isp")
    world.run(30)
    assert drill(world).reason == Reason.NOT_AT_HOME.value


def test_a_move_that_lasts_no_more_by_the_configuration_is_not_in_effect() -> None:
    """As the status says: a restart is over when it is done."""
    world = stage()
    world.say(WordKind.FAILOVER, "acme/hq-internet", move="backup-isp")
    world.run(30)
    moves = {n: replace(m, via=None, done_when=None, undoes="") for n, m in world.model.moves.items()}
    world.model = replace(world.model, digest="other", moves=moves)
    world.hears(e.ConfigurationLoaded(world.model))
    assert not world.model.lasts("acme/backup-isp")
    assert drill(world).reason != Reason.NOT_AT_HOME.value


def test_a_place_that_works_is_not_fenced_for_a_drill() -> None:
    world = stage(hand_over=None)
    answer = drill(world)
    assert answer.reason == Reason.FENCE_NOT_AUTOMATIC.value
    assert (
        answer.evidence
        == "acme/hq would be fenced, and acme/geo-site declares no hand_over; say --fence to have it fenced"
    )


def test_what_cannot_be_taken_back_is_not_drilled() -> None:
    world = stage()
    erp = replace(world.model.services["acme/erp"], failback=("acme/backup-isp.back",))
    world.model = replace(world.model, digest="other", services={**world.model.services, erp.id: erp})
    world.hears(e.ConfigurationLoaded(world.model))
    world.run(20)
    assert drill(world).reason == Reason.NO_WAY_BACK.value


@pytest.mark.parametrize("exclusive", [True, False])
def test_what_its_rpo_would_keep_from_coming_back_is_not_drilled(exclusive: bool) -> None:
    """Its way back hands nothing over, and names no check for the age of its data: each try would be refused."""
    world = stage()
    erp = replace(world.model.services["acme/erp"], exclusive=exclusive)
    back = replace(world.model.moves["acme/return-hq"], hand_over=None)
    moves = {**world.model.moves, back.id: back}
    world.model = replace(world.model, digest="other", services={**world.model.services, erp.id: erp}, moves=moves)
    world.hears(e.ConfigurationLoaded(world.model))
    world.run(20)
    answer = drill(world, fence=True)
    assert answer.reason == Reason.NO_WAY_BACK.value, answer
    assert "acme/return-hq names no check for the age of its data" in answer.evidence
    moves[back.id] = replace(back, data_age="acme/geo-replica")
    world.model = replace(world.model, digest="measured", moves=moves)
    world.hears(e.ConfigurationLoaded(world.model))
    world.run(20)
    assert drill(world, fence=True).accepted


def test_a_rehearsal_where_the_service_is_is_refused() -> None:
    world = stage(rehearse=rehearsal(places=frozenset({"acme/hq"})))
    answer = rehearse(world)
    assert answer.reason == Reason.TOUCHES_WHAT_SERVES.value
    assert answer.evidence == "scratch has hosts in acme/hq, where it serves"


def test_two_rehearsals_of_one_client_are_not_made_at_once() -> None:
    world = stage()
    assert rehearse(world).accepted
    assert rehearse(world).reason == Reason.DRILL_UNDER_WAY.value


def test_a_drill_is_wanted_by_a_move_of_the_ladder_alone() -> None:
    world = stage()
    answer = drill(world, move="return-hq")
    assert answer.reason == Reason.NO_SUCH_MOVE.value
    assert answer.evidence == "acme/erp has no tier 'return-hq' to drill; it has backup-isp, geo-site, cloud-instance"
    assert drill(world, kind=DrillKind.FULL_SCALE, service="acme/mail").reason == Reason.NO_SUCH_SERVICE.value


@pytest.mark.parametrize("options", [{"stays_s": -1.0}, {"stays_s": 1e9}, {"within_s": "soon"}, {"kind": "loud"}])
def test_what_makes_no_sense_is_refused(options: dict[str, object]) -> None:
    world = stage()
    said = {"move": "geo-site", "kind": "full-scale", **options}
    world.hears(e.WordSpoken("w", WordKind.DRILL, "Ada", "acme/erp", "", said))  # type: ignore[arg-type]
    assert not world.answered[-1].accepted
    assert not world.decided().drills


# ---- harm


def test_harm_that_it_did_not_announce_leads_it_back_at_once() -> None:
    world = stage()
    drill(world, stays_s=600.0)
    world.run(30)
    assert world.decided().services["acme/erp"].place == "acme/geo"
    world.bad("hq-internet")  # not what the drill moved
    world.run(3.5)
    turned = next(x for x in world.records(r.DrillTurnedBack))
    assert turned.reason is Reason.HARM  # type: ignore[attr-defined]
    world.run(200)
    assert not over(world).ok
    assert over(world).reason is Reason.HARM
    assert over(world).returned is True
    assert world.decided().services["acme/erp"].place == "acme/hq"


def test_harm_before_anything_was_changed_stops_it_there() -> None:
    world = stage()
    world.model = replace(world.model)
    drill(world)
    world.say(WordKind.DRILL_CANCEL, "d1")
    world.run(60)
    assert over(world).returned in (None, True)
    assert world.decided().services["acme/erp"].place == "acme/hq"


def test_a_cancelled_drill_goes_back_from_where_it_is() -> None:
    world = stage()
    drill(world, stays_s=600.0)
    world.run(30)
    answer = world.say(WordKind.DRILL_CANCEL, "d1")
    assert answer.evidence == "d1 goes back now"
    world.run(120)
    assert over(world).reason is Reason.ABORTED
    assert over(world).returned is True
    assert world.say(WordKind.DRILL_CANCEL, "d1").reason == Reason.ALREADY_ENDED.value
    assert world.say(WordKind.DRILL_CANCEL, "d9").reason == Reason.NO_SUCH_DRILL.value


@pytest.mark.parametrize(
    ("after_s", "answer", "again"),
    [
        (0.5, "d1 goes back once r1 (acme/geo-site) has ended; r1 is at work", "goes back once r1"),
        (3.0, "d1 goes back once r1 (acme/geo-site) has ended; r1 is at work", "goes back once r1"),
        (20.0, "d1 goes back now", "is on its way back: r2 (acme/return-hq) is at work"),
    ],
)
def test_whoever_cancels_is_told_what_goes_on_first(after_s: float, answer: str, again: str) -> None:
    """A run that has begun to move the service goes to its end there: nothing is on its way back meanwhile."""
    world = stage()
    drill(world, stays_s=600.0)
    world.run(after_s)
    assert world.say(WordKind.DRILL_CANCEL, "d1").evidence == answer
    told = stage_of(world.decided(), the_drill(world))
    assert told == ("r1 is at work; then it goes back" if after_s < 10.0 else "on its way back: r2 is at work")
    world.run(0.5)
    assert again in world.say(WordKind.DRILL_CANCEL, "d1").evidence
    world.run(200)
    assert over(world).reason is Reason.ABORTED


def test_whoever_cancels_what_a_hold_keeps_away_is_told_so() -> None:
    world = stage()
    drill(world, stays_s=600.0)
    world.run(20)
    world.say(WordKind.HOLD, "acme/erp")
    answer = world.say(WordKind.DRILL_CANCEL, "d1")
    assert answer.evidence == "d1 goes back as soon as it may: held: Ada holds acme/erp: a reason"
    world.run(5)
    assert stage_of(world.decided(), the_drill(world)) == "it is to go back; Ada holds acme/erp"
    assert "as soon as it may" in world.say(WordKind.DRILL_CANCEL, "d1").evidence


@pytest.mark.parametrize(
    ("after_s", "answer"),
    [
        (0.0, "d1 ends: there is nothing to clean up"),
        (0.5, "d1 is stopped: there is nothing to clean up"),
        (5.0, "d1 is cleaned up now"),
        (9.0, "d1 is being cleaned up"),
    ],
)
def test_whoever_cancels_a_rehearsal_is_told_whether_anything_is_cleaned_up(after_s: float, answer: str) -> None:
    world = stage()
    rehearse(world)
    world.run(after_s)
    assert world.say(WordKind.DRILL_CANCEL, "d1").evidence == answer
    if the_drill(world).ended is None:
        again = world.say(WordKind.DRILL_CANCEL, "d1")
        assert again.evidence == "nothing new: d1 is being cleaned up (aborted)"
    world.run(60)
    assert ("clean_scratch" in world.played) is (after_s > 1.0)


def test_a_cancelled_rehearsal_is_cleaned_up() -> None:
    world = stage()
    rehearse(world)
    world.run(4)
    assert "prepare_scratch" in world.played
    world.say(WordKind.DRILL_CANCEL, "d1")
    world.run(60)
    assert world.played[-2:] == ["clean_scratch", "survey"]
    assert over(world).reason is Reason.ABORTED


def test_a_hold_keeps_it_away_and_a_person_is_told() -> None:
    world = stage()
    drill(world, within_s=60.0)
    world.run(15)
    world.say(WordKind.HOLD, "acme/erp")
    world.run(120)
    assert the_drill(world).ended is None
    assert "should be over and is not" in told(world, NoticeKind.HUMAN_NEEDED)[0]
    assert "held: Ada holds acme/erp" in told(world, NoticeKind.HUMAN_NEEDED)[0]
    world.say(WordKind.RESUME, "acme/erp")
    world.run(120)
    assert over(world).ok
    assert world.decided().services["acme/erp"].place == "acme/hq"


def test_a_way_back_that_fails_is_tried_again_and_then_is_a_persons() -> None:
    world = stage()
    world.outcomes["rebuild_hq"] = e.AttemptEnd.FAILED
    drill(world)
    world.run(300)
    assert world.played.count("rebuild_hq") == 3
    assert not over(world).ok
    assert over(world).reason is Reason.NOT_RETURNED
    assert over(world).returned is False
    assert world.decided().services["acme/erp"].place == "acme/geo"
    assert any("it is not shown that all is as it was before" in x for x in told(world, NoticeKind.HUMAN_NEEDED))


def test_a_move_that_fails_before_it_changed_anything_ends_it_at_home() -> None:
    world = stage()
    world.outcomes["hand_over_hq"] = e.AttemptEnd.COULD_NOT_START
    drill(world)
    world.run(120)
    assert not over(world).ok
    assert world.decided().services["acme/erp"].place == "acme/hq"


# ---- an incident strikes in the middle


@pytest.mark.parametrize("after_s", [0.1, 1.0, 3.0, 4.0, 5.0, 7.0, 12.0, 18.0, 20.0, 22.0, 24.0, 26.0, 28.0, 30.0])
@pytest.mark.parametrize("strikes", [hq_loses_power, geo_loses_power])
def test_an_incident_in_the_middle_is_recovered_as_such(strikes: Callable[[World], None], after_s: float) -> None:
    world = stage()
    assert drill(world).accepted
    world.run(after_s)
    where = world.decided().services["acme/erp"].place
    strikes(world)
    world.run(400)
    state = world.decided().services["acme/erp"]
    story_ = "\n".join(story(world))
    assert the_drill(world).ended is not None or told(world, NoticeKind.APPROVAL_NEEDED), story_
    if strikes is geo_loses_power and where == "acme/hq" and not list(world.records(r.IncidentOpened)):
        return  # it was at home, and stayed there
    opened, ended = list(world.records(r.IncidentOpened)), list(world.records(r.IncidentEnded))
    human = told(world, NoticeKind.HUMAN_NEEDED)
    assert state.incident is None or human, story_
    assert len(opened) == len(ended) or human, story_


@pytest.mark.parametrize("after_s", [0.1, 2.5, 4.5, 6.5, 8.5])
def test_a_rehearsal_does_not_stand_in_the_way_of_a_recovery(after_s: float) -> None:
    world = stage()
    assert rehearse(world).accepted
    world.run(after_s)
    hq_loses_power(world)
    world.run(120)
    assert world.decided().services["acme/erp"].place == "acme/geo", "\n".join(story(world))
    assert world.played[-1] == "survey" or "survey" in world.played[-4:]
    assert the_drill(world).ended is not None
    alone = lab_recovery()
    recovered = next(x for x in world.records(r.IncidentEnded))
    assert recovered.rta_s <= alone + 0.5  # type: ignore[attr-defined]


def lab_recovery() -> float:
    """How long the same outage takes without a drill."""
    world = stage()
    hq_loses_power(world)
    world.run(120)
    return next(x for x in world.records(r.IncidentEnded)).rta_s  # type: ignore[attr-defined, no-any-return]


# ---- the controller dies


def entries_of(kind: DrillKind) -> int:
    """How many entries such a drill writes."""
    world = stage()
    before = len(world.entries)
    drill(world, kind)
    world.run(120)
    assert over(world).ok
    return len(world.entries) - before


@pytest.mark.parametrize("same_boot", [True, False])
@pytest.mark.parametrize("kind", list(DrillKind))
def test_the_controller_dies_after_each_entry_and_it_returns_all_the_same(kind: DrillKind, same_boot: bool) -> None:
    for n in range(1, entries_of(kind)):
        world = stage()
        first = len(world.entries)
        drill(world, kind)
        while len(world.entries) < first + n and world.now < 400:
            world.go()
        world.crash()
        world.run(3.0)
        world.start(same_boot=same_boot)
        world.run(600)
        ended = the_drill(world).ended
        text = f"killed after entry {n}\n" + "\n".join(story(world))
        assert ended is not None, text
        state = world.decided().services["acme/erp"]
        assert (state.place, state.may_act) == ("acme/hq", {"acme/hq"}), text
        if kind is DrillKind.FUNCTIONAL:
            assert ended.reason is not Reason.NOT_CLEAN, text
            began = [x for x in world.played if x in ("prepare_scratch", "restore_scratch")]
            assert not began or world.played[-1] == "survey", text
            assert world.played.count("restore_scratch") <= 1, text
        else:
            assert ended.returned is not False, text
        assert not told(world, NoticeKind.HUMAN_NEEDED), text


# ---- what else must hold


def test_what_a_drill_needs_is_not_taken_out_of_the_configuration() -> None:
    world = stage()
    drill(world, stays_s=600.0)
    world.run(30)
    without = replace(world.model, moves={k: v for k, v in world.model.moves.items() if k != "acme/return-hq"})
    said = objections(world.decided(), without)
    assert said == ["drill d1 needs acme/erp, acme/geo-site, acme/return-hq: they cannot be removed"]


def test_a_service_in_mode_ask_is_drilled_by_a_persons_word() -> None:
    world = stage(Mode.ASK)
    assert drill(world).accepted
    world.run(120)
    assert over(world).ok


def test_the_service_does_not_go_back_by_itself_while_its_drill_lasts() -> None:
    world = stage()
    erp = replace(world.model.services["acme/erp"], automatic_failback=True, hold_down_s=5.0, cool_down_s=1.0)
    world.model = replace(world.model, digest="own", services={**world.model.services, erp.id: erp})
    world.hears(e.ConfigurationLoaded(world.model))
    world.run(10)
    drill(world, stays_s=60.0)
    world.run(50)
    assert world.decided().services["acme/erp"].place == "acme/geo"
    world.run(120)
    assert [x.origin for x in world.records(r.RunStarted)] == [r.Origin.DRILL] * 2  # type: ignore[attr-defined]


def test_verify_counts_only_what_is_asked_through_checks_that_are_good_after_the_return() -> None:
    world = stage()
    world.effects["rebuild_geo"] = lambda: world.bad("erp-transaction")  # the finish breaks what was verified
    drill(world)
    world.run(400)
    assert not over(world).ok, "\n".join(story(world))


def test_a_switchover_by_hand_that_was_verified_is_not_taken_for_an_outage() -> None:
    """Its verify does not wait for `rise`: until its settling time is over, what was asked before says nothing."""
    world = stage()
    assert world.say(WordKind.FAILOVER, "acme/erp", move="geo-site").accepted
    world.run(60)
    assert world.played == ["hand_over_hq", "geo-site"]
    assert world.decided().services["acme/erp"].place == "acme/geo"
    assert not list(world.records(r.IncidentOpened))
