"""Going back: why a failback by itself still waits, as the status shows it and as a person's word goes against it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.core import events as e
from orchestrator.core import records as r
from orchestrator.core.awareness.readiness import Lack, assess
from orchestrator.core.commands import NoticeKind
from orchestrator.core.events import WordKind
from orchestrator.core.kinds import effect_of_undone
from orchestrator.core.model import Combine, Condition, Fence, FenceBy, Mode, Move, Tier
from orchestrator.core.reasons import Reason
from orchestrator.core.rules import failback
from orchestrator.reports.status import status_now
from orchestrator.shell.dry_run import plan_of
from tests.core.stage import geo_loses_power, hq_loses_power, isp_a_dies, lab
from tests.core.test_incident import returning
from tests.core.world import World, acme, all_of, book, check, story


def wait_of(world: World) -> failback.Wait | None:
    """Why erp does not go back by itself yet."""
    return failback.waits(world.decided(), world.model, world.model.services["acme/erp"], world.now)


def notes(world: World) -> str:
    """What the status says beside erp."""
    status = status_now(world.decided(), world.model, world.now, 0.0)
    return "; ".join(next(s for s in status.services if s.id == "acme/erp").notes)


def test_it_is_healthy_for_too_short_a_time_and_says_so() -> None:
    world = returning(cool_down_s=60.0)
    world.run(100)
    wait = wait_of(world)
    assert wait is not None
    assert wait.reason is Reason.HOLD_DOWN
    assert wait.evidence == "healthy for 2:33 of 5:00"
    assert notes(world) == "goes back automatically in 2:27 at the earliest: hold down: healthy for 2:33 of 5:00"
    world.run(wait.until - world.now + 30)
    assert world.decided().services["acme/erp"].place == "acme/hq"


def test_where_it_goes_back_to_has_just_failed_and_it_says_so() -> None:
    world = returning()
    world.run(400)
    wait = wait_of(world)
    assert wait is not None
    assert wait.reason is Reason.COOLING_DOWN
    assert wait.evidence == "acme/hq was given up 7:33 ago, 15:00 wanted"
    assert "cooling down: acme/hq was given up" in notes(world)


def test_a_way_back_that_failed_is_waited_for_too() -> None:
    world = returning()
    world.outcomes["rebuild_hq"] = e.AttemptEnd.FAILED
    world.run(1100)
    wait = wait_of(world)
    assert wait is not None
    assert wait.reason is Reason.COOLING_DOWN
    assert wait.evidence.startswith("r2 (acme/return-hq) failed")


def test_a_failover_by_hand_is_not_told_as_a_way_back() -> None:
    """Nor one that was stopped before anything of it was begun as one that failed."""
    world = returning()
    world.run(60)
    world.hang.add("cloud-instance")
    world.say(WordKind.FAILOVER, "acme/erp", move="cloud-instance", fence=True)
    (at_work,) = world.decided().unfinished_runs()
    world.say(WordKind.ABORT, at_work.id)
    world.run(10)
    assert at_work.id not in {x.id for x in world.decided().unfinished_runs()}
    told = [w.evidence for w in failback.too_soon(world.decided(), world.model.services["acme/erp"], world.now)]
    assert not any("way back" in x for x in told), told
    assert any(f"{at_work.id} (acme/cloud-instance) " in x for x in told), told


def test_a_place_that_was_never_held_is_not_told_as_given_up() -> None:
    """The move there failed, and the service is well there: nothing was given up."""
    world = lab()
    del world.effects["geo-site"]
    world.bad("cloud-ready")
    hq_loses_power(world)
    world.run(120)
    world.good("erp-transaction", "erp-at-geo")
    world.run(10)
    assert world.decided().services["acme/erp"].place == "acme/geo"
    erp = world.model.services["acme/erp"]
    (cooling,) = [w for w in failback.too_soon(world.decided(), erp, world.now) if w.reason is Reason.COOLING_DOWN]
    assert cooling.evidence.startswith("r1 to acme/geo failed"), cooling
    assert "was given up" not in cooling.evidence


@pytest.mark.parametrize("changed", [{"automatic_failback": False}, {"mode": Mode.ASK}])
def test_what_never_goes_back_by_itself_waits_for_nothing(changed: dict[str, object]) -> None:
    world = returning()
    erp = replace(world.model.services["acme/erp"], **changed)  # type: ignore[arg-type]
    assert failback.waits(world.decided(), world.model, erp, world.now) is None
    world.run(1200)
    assert wait_of(world) is None, "it is at home"


def half_made() -> World:
    """Erp is well at geo, and may act at the cloud too: a move there was stopped while it prepared."""
    world = returning(cool_down_s=60.0, hold_down_s=120.0)
    cloud = Fence(book("stop_cloud"), all_of("cloud-off"), FenceBy.NEVER)
    places = {**world.model.places, "acme/cloud": replace(world.model.places["acme/cloud"], fence=cloud)}
    checks = {**world.model.checks, "acme/cloud-off": check("cloud-off")}
    to_cloud = replace(world.model.moves["acme/cloud-instance"], prepare=book("make_cloud"))
    moves = {**world.model.moves, to_cloud.id: to_cloud}
    world.model = replace(world.model, digest="fenced", places=places, checks=checks, moves=moves)
    world.hears(e.ConfigurationLoaded(world.model))
    world._every["acme/cloud-off"] = 1.0
    world.bad("cloud-off")
    world.effects["stop_cloud"] = lambda: world.good("cloud-off")
    world.run(20)
    world.hang.add("make_cloud")
    world.say(WordKind.FAILOVER, "acme/erp", move="cloud-instance", fence=True)
    world.run(10)
    world.say(WordKind.ABORT, world.decided().unfinished_runs()[0].id)
    world.run(10)
    assert world.decided().services["acme/erp"].may_act == {"acme/geo", "acme/cloud"}, "\n".join(story(world))
    return world


def test_what_hands_over_is_no_leave_to_fence_another_place_that_may_be_alive() -> None:
    world = half_made()
    refused = world.say(WordKind.FAILBACK, "acme/erp")
    assert refused.reason == Reason.FENCE_NOT_AUTOMATIC.value
    assert "acme/cloud may be alive; its fence is never automatic" in refused.evidence
    assert "acme/geo" not in refused.evidence, "it hands over"
    assert world.say(WordKind.FAILBACK, "acme/erp", fence=True).accepted
    world.run(120)
    assert "stop_cloud" in world.played
    assert world.decided().services["acme/erp"].place == "acme/hq", "\n".join(story(world))


def test_by_itself_it_asks_before_it_fences_a_place_that_does_not_hand_over() -> None:
    world = half_made()
    world.run(300)
    (waits,) = world.decided().unfinished_runs()
    assert waits.started.asks == ("fence not automatic: acme/cloud may be alive; its fence is never automatic",)
    assert "stop_cloud" not in world.played
    assert world.say(WordKind.APPROVE, waits.id).accepted
    world.run(120)
    assert world.decided().services["acme/erp"].place == "acme/hq", "\n".join(story(world))


def test_people_are_told_that_it_goes_back_by_itself() -> None:
    world = returning()
    world.run(1100)
    told = [t.text for t in world.told if t.kind is NoticeKind.TIER_CHOSEN]
    assert told[-1].startswith("acme/erp goes back automatically: acme/return-hq (r2), after 15:00 in good health")


def over(world: World) -> list[tuple[str, str]]:
    """What people were told at the end of runs."""
    return [(t.kind.value, t.text) for t in world.told if t.id.endswith("/ended")]


def goes_back(world: World) -> None:
    """Its way back has just begun, and nothing answers for its preconditions yet."""
    wait = wait_of(world)
    while wait is not None:
        world.run(max(0.1, wait.until - world.now - 0.6))
        world.nothing(*(["hq-ready"] if wait.until - world.now < 1.0 else []))
        wait = wait_of(world)
    world.run(0.2)


def test_people_are_told_that_it_has_gone_back() -> None:
    world = returning()
    world.run(1200)
    assert world.decided().services["acme/erp"].place == "acme/hq"
    ((kind, text),) = over(world)
    assert kind == "move done"
    assert text.startswith("acme/erp went back automatically: acme/return-hq (r2) done: acme/erp-transaction")


def test_people_are_told_that_it_has_not_gone_back_after_all() -> None:
    world = returning()
    world.outcomes["rebuild_hq"] = e.AttemptEnd.FAILED
    world.run(1200)
    ((kind, text),) = over(world)
    assert kind == "human needed", "something was begun there"
    assert text.startswith("acme/erp: acme/return-hq failed, and no incident is open: playbook failed: prepare")
    assert [t.say for t in world.told if t.text == text] == ["bascule report r2"]


def test_a_way_back_that_was_stopped_before_anything_was_begun_was_not_made() -> None:
    world = returning()
    goes_back(world)
    run = world.decided().run_for("acme/erp")
    assert run is not None
    world.say(WordKind.ABORT, run.id)
    ((kind, text),) = over(world)
    assert (kind, text) == (
        "not made",
        "acme/erp did not go back: acme/return-hq (r2) was not made: aborted: by Ada: a reason",
    )


def test_a_way_back_that_an_outage_ends_is_not_told_as_if_no_incident_was_open() -> None:
    world = returning()
    world.hang.add("rebuild_hq")
    world.run(960)
    assert world.decided().run_for("acme/erp") is not None
    geo_loses_power(world)
    world.run(60)
    incident = world.last(r.IncidentOpened)
    assert isinstance(incident, r.IncidentOpened)
    (text,) = [t for _, t in over(world) if "return-hq" in t]
    assert text == (
        f"acme/erp: acme/return-hq (r2) failed: aborted: prepare stopped by bascule: {incident.incident} is open:"
        " no automatic failback meanwhile"
    )


def finishes() -> World:
    """It has gone back, works, and the other side is being rebuilt, which takes long."""
    world = returning()
    world.hang.add("rebuild_geo")
    world.run(1000)
    run = world.decided().run_for("acme/erp")
    assert run is not None
    assert run.verified_at is not None
    world.silent("erp-transaction")
    return world


def test_an_outage_while_a_run_still_finishes_is_an_incident_at_once() -> None:
    world = finishes()
    world.run(10)
    opened = world.last(r.IncidentOpened)
    assert isinstance(opened, r.IncidentOpened)
    assert opened.at < world.now
    assert [t.text for t in world.told if t.id == f"{opened.incident}.1/opened"]
    judged = world.last(r.ServiceJudged)
    assert isinstance(judged, r.ServiceJudged)
    assert (judged.decision, judged.reason) == (r.Decision.WAIT, Reason.RESOURCE_BUSY)
    assert judged.evidence == "r2 (acme/return-hq) finishes; to stop it: bascule abort r2"
    assert world.say(WordKind.ABORT, "r2").accepted
    world.run(60)
    ended = world.last(r.IncidentEnded)
    assert isinstance(ended, r.IncidentEnded)
    assert (ended.incident, ended.run, ended.reason) == (opened.incident, "r3", Reason.VERIFIED)


def test_what_comes_back_while_an_earlier_run_still_finishes_is_not_put_down_to_that() -> None:
    world = finishes()
    world.run(10)
    world.good("erp-transaction")
    world.run(10)
    ended = world.last(r.IncidentEnded)
    assert isinstance(ended, r.IncidentEnded)
    assert (ended.reason, ended.run) == (Reason.RECOVERED_BY_ITSELF, None)
    assert ended.rta_s < 15.0
    run = world.decided().run_for("acme/erp")
    assert run is not None
    assert run.id == "r2", "it goes on to finish"


def test_a_named_person_may_go_at_once_and_the_record_says_against_what() -> None:
    world = returning()
    world.run(60)
    answer = world.say(WordKind.FAILBACK, "acme/erp")
    assert answer.accepted
    assert "against hold down: healthy for 1:53 of 5:00" in answer.evidence
    assert "against cooling down: acme/hq was given up 1:53 ago, 15:00 wanted" in answer.evidence


@pytest.mark.parametrize("kind", [WordKind.FAILBACK, WordKind.FAILOVER])
def test_a_dry_run_of_a_failback_shows_what_it_would_wait_for(kind: WordKind, tmp_path: Path) -> None:
    world = returning()
    world.run(60)
    word = e.WordSpoken("w", kind, "Ada", "acme/erp", options={"move": "return-hq"})
    guards = {g.guard: g for g in plan_of(world.engine, word, world.now, tmp_path, {}).guards}
    if kind is WordKind.FAILBACK:
        assert (guards["hold down"].passes, guards["hold down"].evidence) == (False, "healthy for 1:53 of 5:00")
        assert not guards["cooling down"].passes
    else:
        assert "hold down" not in guards


def sharing_a_way_back() -> World:
    """The lab after its first uplink died; erp and the link both go back by themselves, by the same move."""
    model = acme(automatic_failback=True)
    link = replace(model.services["acme/hq-internet"], automatic_failback=True, cool_down_s=0.0)
    back = replace(model.moves["acme/backup-isp.back"], safe_to_repeat=False)
    services, moves = {**model.services, link.id: link}, {**model.moves, back.id: back}
    world = World(replace(model, services=services, moves=moves))
    world.effects["backup-isp"] = lambda: world.good("hq-internet", "erp-transaction", "edge-uses-isp-b")
    world.effects["backup-isp.back"] = lambda: world.bad("edge-uses-isp-b")
    world.bad("edge-uses-isp-b")
    world.run(20)
    isp_a_dies(world)
    world.run(60)
    return world


def test_a_way_back_that_another_service_is_on_is_waited_for() -> None:
    world = sharing_a_way_back()
    world.takes["backup-isp.back"] = 40.0
    world.run(400)
    assert world.played.count("backup-isp.back") == 1


def test_a_way_back_whose_resource_a_person_has_is_left_alone() -> None:
    world = sharing_a_way_back()
    world.hang.add("backup-isp.back")
    world.say(WordKind.FAILBACK, "acme/hq-internet")
    world.run(900)
    run = world.decided().run_for("acme/hq-internet")
    assert run is not None
    assert run.human is not None
    world.say(WordKind.ABORT, run.id)
    world.hang.clear()
    world.run(60)
    assert world.played.count("backup-isp.back") == 2, "it is free, and a way back is taken"


def test_what_crashed_before_it_was_handed_over_is_handed_over_all_the_same() -> None:
    """It looks stopped, and nobody has stopped it: it may come back, and what it wrote last may be there alone."""
    world = returning()
    world.run(60)
    world.takes["rebuild_hq"] = 20.0
    assert world.say(WordKind.FAILBACK, "acme/erp").accepted
    world.bad("erp-transaction", "erp-at-geo")
    world.good("geo-handed-over")
    world.run(120)
    assert "hand_over" in world.played
    assert world.decided().services["acme/erp"].place == "acme/hq"


def test_what_was_verified_before_a_long_finish_is_told_as_of_then() -> None:
    """It has fallen again since, and whoever hears that the run is done hears nothing of now."""
    world = lab()
    world.takes["rebuild_geo"] = 60.0
    world.effects["power_off_hq"] = lambda: world.good("hq-off")
    world.say(WordKind.FAILOVER, "acme/erp", move="geo-site", fence=True)
    world.run(10)
    world.say(WordKind.FAILBACK, "acme/erp")
    world.run(10)
    world.silent("erp-transaction")
    world.run(80)
    told = [t.text for t in world.told if t.kind is NoticeKind.MOVE_DONE and "return-hq" in t.text]
    assert [t.partition("acme/erp-transaction: ")[2] for t in told] == ["good (1:00 before its end)"]


def test_a_dry_run_tells_a_tier_that_was_not_made_from_one_that_failed_and_one_that_waits(tmp_path: Path) -> None:
    world = lab(Mode.ASK)
    hq_loses_power(world)
    world.run(10)
    world.say(WordKind.REJECT, "r1")
    world.run(10)
    word = e.WordSpoken("w", WordKind.FAILOVER, "Ada", "acme/erp")
    found = plan_of(world.engine, word, world.now, tmp_path, {})
    assert [(t.tier, t.state) for t in found.tiers] == [(1, "ineligible"), (2, "not made"), (3, "eligible")]


def test_a_way_home_takes_back_the_move_that_it_undoes_too() -> None:
    """Else the status says `by backup-isp` of a service that is home, and the next way back takes it back once more."""
    world = lab()
    home = replace(world.model.moves["acme/return-hq"], undoes="acme/backup-isp")
    world.model = replace(world.model, digest="undoes", moves={**world.model.moves, home.id: home})
    world.hears(e.ConfigurationLoaded(world.model))
    world.run(10)
    isp_a_dies(world)
    world.run(60)
    hq_loses_power(world)
    world.run(1000)
    assert (world.decided().services["acme/erp"].place, [*world.decided().engaged]) == ("acme/geo", ["acme/backup-isp"])
    world.good("hq-internet", "isp-b-path", "erp-transaction", "hq-ready")
    world.bad("hq-dark", "hq-off")
    world.run(60)
    assert world.say(WordKind.FAILBACK, "acme/erp", move="return-hq").accepted
    world.run(60)
    assert world.decided().services["acme/erp"].place == "acme/hq"
    assert not world.decided().engaged
    assert world.say(WordKind.FAILBACK, "acme/erp").reason == Reason.AT_HOME.value


def test_a_restart_is_over_when_it_is_done() -> None:
    """It keeps nothing in place: the service is at home, and where it could not be restarted again that is told."""
    model = acme(Mode.AUTO)
    restart = Move(
        "acme/restart", "acme", "restart", book("restart"), all_of("hq-internet"), viable_when=all_of("hq-ready")
    )
    internet = replace(model.services["acme/hq-internet"], ladder=(Tier(restart.id),), failback=())
    world = World(
        replace(model, moves={**model.moves, restart.id: restart}, services={**model.services, internet.id: internet})
    )
    world.effects["restart"] = lambda: world.good("hq-internet")
    world.run(20)
    world.silent("hq-internet")
    world.run(60)
    assert world.played == ["restart"]
    assert not list(world.records(r.MoveEngaged))
    for engaged in (False, True):  # as journals of before have it
        if engaged:
            world.decided().engaged[restart.id] = "r1"
        status = status_now(world.decided(), world.model, world.now, 0.0)
        assert next(s for s in status.services if s.id == internet.id).engaged == ()
        assert world.say(WordKind.FAILBACK, internet.id).reason == Reason.AT_HOME.value
    world.bad("hq-ready")
    world.run(20)
    lacks = [x.subject for x in assess(world.engine.transaction(world.now)) if x.lack is Lack.TIER]
    assert "acme/hq-internet tier 1" in lacks


def test_a_move_in_place_that_is_in_effect_was_not_given_up() -> None:
    """What it stands in for has failed, and it has not."""
    world = lab()
    isp_a_dies(world)
    world.run(60)
    assert world.decided().engaged
    said = world.say(WordKind.FAILBACK, "acme/hq-internet").evidence
    assert "given up" not in said
    assert re.search(r"; against cooling down: acme/backup-isp was needed [\d:.]+s? ago, 15:00 wanted$", said), said


@pytest.mark.parametrize(
    ("says", "told"),
    [
        (World.good, "what it takes back is still there"),
        (World.nothing, "nothing shows that what it takes back is gone"),
    ],
)
def test_a_way_back_that_does_not_take_it_back_is_none(says: Callable[[World, str], None], told: str) -> None:
    """The service works by the second uplink too: that it works shows nothing."""
    world = sharing_a_way_back()
    world.effects["backup-isp.back"] = lambda: says(world, "edge-uses-isp-b")
    world.say(WordKind.FAILBACK, "acme/hq-internet")
    world.run(60)
    (ended,) = [x for x in world.records(r.RunEnded) if x.run == "r2"]  # type: ignore[attr-defined]
    assert (ended.ok, ended.reason) == (False, Reason.VERIFY_FAILED)  # type: ignore[attr-defined]
    assert ended.evidence.startswith(f"verify: {told}: acme/edge-uses-isp-b: ")  # type: ignore[attr-defined]
    assert [*world.decided().engaged] == ["acme/backup-isp"]


@pytest.mark.parametrize("works", [True, False])
def test_it_is_taken_back_once_it_is_shown_to_be_gone(works: bool) -> None:
    """Also where the service does not work then."""
    world = sharing_a_way_back()
    after = ["edge-uses-isp-b", *([] if works else ["hq-internet"])]
    world.effects["backup-isp.back"] = lambda: world.bad(*after)
    world.hang.add("backup-isp")  # it is not taken again meanwhile
    world.say(WordKind.FAILBACK, "acme/hq-internet")
    world.run(45)
    (ended,) = [x for x in world.records(r.RunEnded) if x.run == "r2"]  # type: ignore[attr-defined]
    assert ended.ok is works  # type: ignore[attr-defined]
    assert not world.decided().engaged
    changed = [x for x in world.records(r.MoveEngaged, r.StepFinished) if x.run == "r2"]  # type: ignore[attr-defined]
    assert [type(x).__name__ for x in changed][-2:] == ["MoveEngaged", "StepFinished"], "as its verification ends"


@pytest.mark.parametrize("there", [True, False])
def test_what_fails_with_the_service_does_not_show_that_a_detour_is_gone(there: bool) -> None:
    """Its `done_when` may ask for more than the detour: what the way back promises is bad, and the detour stands."""
    world = sharing_a_way_back()
    forth = replace(world.model.moves["acme/backup-isp"], done_when=all_of("hq-internet", "edge-uses-isp-b"))
    world.model = replace(world.model, digest="more", moves={**world.model.moves, forth.id: forth})
    world.hears(e.ConfigurationLoaded(world.model))
    world.run(10)
    world.effects["backup-isp.back"] = lambda: world.bad("hq-internet", *([] if there else ["edge-uses-isp-b"]))
    world.hang.add("backup-isp")
    world.say(WordKind.FAILBACK, "acme/hq-internet")
    world.run(45)
    (ended,) = [x for x in world.records(r.RunEnded) if x.run == "r2"]  # type: ignore[attr-defined]
    assert (ended.ok, ended.reason) == (False, Reason.VERIFY_FAILED)  # type: ignore[attr-defined]
    assert [*world.decided().engaged] == (["acme/backup-isp"] if there else [])


def test_an_effect_that_is_told_by_one_of_several_is_asked_by_those_that_can_deny_it() -> None:
    moves = acme().moves
    forth, back = moves["acme/backup-isp"], moves["acme/backup-isp.back"]
    route, nat, works = (f"acme/{x}" for x in ("edge-uses-isp-b", "edge-nat", "hq-internet"))
    for combine, need, terms, left in [
        (Combine.ANY, 0, (works, route), None),  # never bad while the way back has what it promises
        (Combine.QUORUM, 2, (works, route, nat), Condition(Combine.QUORUM, (route, nat), 1)),
        (Combine.QUORUM, 1, (works, route, nat), None),
        (Combine.ALL, 0, (works, Condition(Combine.ANY, (works, nat)), route), Condition(Combine.ALL, (route,), 0)),
    ]:
        asked = replace(forth, done_when=Condition(combine, terms, need))
        assert effect_of_undone({asked.id: asked}, back) == left


def test_a_way_back_that_is_stopped_once_its_effect_is_shown_has_taken_it_back() -> None:
    world = sharing_a_way_back()
    world.effects["backup-isp.back"] = lambda: world.bad("edge-uses-isp-b", "hq-internet")
    world.hang.add("backup-isp")
    world.say(WordKind.FAILBACK, "acme/hq-internet")
    world.run(15)
    run = world.decided().runs["r2"]
    assert run.verify is not None
    assert (run.verify.state, [*world.decided().engaged]) == (r.StepState.RUNNING, ["acme/backup-isp"])
    assert world.say(WordKind.ABORT, "r2").accepted
    assert not world.decided().engaged


def test_a_way_home_that_has_nothing_to_take_back_asks_for_no_effect() -> None:
    """The service went elsewhere by another move: what its detour's check says now is not its business."""
    world = returning()
    home = replace(world.model.moves["acme/return-hq"], undoes="acme/backup-isp")
    world.model = replace(world.model, digest="undoes", moves={**world.model.moves, home.id: home})
    world.hears(e.ConfigurationLoaded(world.model))
    world.nothing("edge-uses-isp-b")
    world.run(30)
    assert world.say(WordKind.FAILBACK, "acme/erp", move="return-hq").accepted
    world.run(90)
    assert [x.ok for x in world.records(r.RunEnded)][-1]  # type: ignore[attr-defined]
    assert world.decided().services["acme/erp"].place == "acme/hq"
