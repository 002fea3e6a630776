"""Drills when things go wrong around them: no outage is longer for one, and what is left is told."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.core import events as e
from orchestrator.core import records as r
from orchestrator.core.commands import NoticeKind
from orchestrator.core.deciding import drilling
from orchestrator.core.events import WordKind
from orchestrator.core.model import (
    Combine,
    Condition,
    Dependency,
    DrillKind,
    Limits,
    Mode,
    Move,
    Playbook,
    Service,
    Tier,
)
from orchestrator.core.reasons import Reason
from orchestrator.core.rules import failback
from orchestrator.core.runs.replacing import objections
from tests.core.drill_stage import drill, over, rehearse, stage, the_drill
from tests.core.stage import hq_loses_power
from tests.core.world import World, all_of, book, check, story


def told(world: World, kind: NoticeKind = NoticeKind.HUMAN_NEEDED) -> list[str]:
    """What people were told of this kind."""
    return [x.text for x in world.told if x.kind is kind]


def changed(world: World, **changes: object) -> None:
    """Another model is loaded."""
    world.model = replace(world.model, digest=f"{world.model.digest}*", **changes)  # type: ignore[arg-type]
    world.hears(e.ConfigurationLoaded(world.model))
    world.run(20)


def with_service(world: World, name: str, **changes: object) -> None:
    """One service is declared otherwise."""
    service = replace(world.model.services[name], **changes)  # type: ignore[arg-type]
    changed(world, services={**world.model.services, name: service})


def with_move(world: World, name: str, **changes: object) -> None:
    """One move is declared otherwise."""
    move = replace(world.model.moves[name], **changes)  # type: ignore[arg-type]
    changed(world, moves={**world.model.moves, name: move})


def away(world: World) -> None:
    """A drill that stays at the other place."""
    assert drill(world, stays_s=600.0).accepted
    world.run(30)
    assert world.decided().services["acme/erp"].place == "acme/geo"


def alone(world: World) -> float:
    """How long the outage of the service took."""
    return next(x for x in world.records(r.IncidentEnded)).rta_s  # type: ignore[attr-defined, no-any-return]


# ---- an outage while the drill has not stopped anything yet


def test_an_outage_while_a_drill_waits_for_its_approval_is_recovered_at_once() -> None:
    world = stage()
    with_service(world, "acme/erp", mode=Mode.ASK)
    tx = world.engine.transaction(world.now)
    erp = world.model.services["acme/erp"]
    drilling.begin(tx, erp, "acme/geo-site", DrillKind.FULL_SCALE, reason=Reason.DRILL_DUE, asks=("in mode ask",))
    world.entries.append((world.now, tuple(tx.records)))
    changed(world)
    assert world.decided().runs["r1"].asks_a_person
    hq_loses_power(world)
    world.run(30)
    assert list(world.records(r.IncidentOpened)), "\n".join(story(world))
    assert world.decided().runs["r1"].ended is not None


def test_an_outage_while_the_way_back_is_prepared_does_not_wait_for_it() -> None:
    world = stage()
    away(world)
    world.takes["rebuild_hq"] = 3600.0
    world.say(WordKind.DRILL_CANCEL, "d1")
    world.run(20)
    assert world.played[-1] == "rebuild_hq"
    world.silent("erp-transaction", "geo-ready", "geo-replica", "erp-at-geo")
    world.good("geo-dark")
    world.run(120)
    assert alone(world) < 60.0, "\n".join(story(world))
    assert over(world).reason is Reason.OVERTAKEN


# ---- other recoveries


def test_a_rehearsal_does_not_count_among_the_recoveries_at_once() -> None:
    world = stage()
    changed(world, limits=Limits(concurrent_failovers=1))
    world.takes["clean_scratch"] = 300.0
    assert rehearse(world).accepted
    world.run(12)
    hq_loses_power(world)
    world.run(100)
    assert world.decided().services["acme/erp"].place == "acme/geo", "\n".join(story(world))


def neighbour(world: World) -> None:
    """Another service whose only move needs what the uplink's moves hold."""
    move = Move("acme/mend", "acme", "mend", book("mend"), all_of("wiki"), holds=("acme/route",), safe_to_repeat=True)
    wiki = Service("acme/wiki", "acme", "wiki", all_of("wiki"), (Tier("acme/mend"),), rto_s=300.0, mode=Mode.AUTO,
                   home="acme/hq")  # fmt: skip
    world.effects["mend"] = lambda: world.good("wiki")
    changed(
        world,
        checks={**world.model.checks, "acme/wiki": check("wiki")},
        moves={**world.model.moves, move.id: move},
        services={**world.model.services, wiki.id: wiki},
    )
    world._every.setdefault("acme/wiki", 1.0)
    world.at(world.now, lambda: world._beat("acme/wiki", world._life))
    world.run(10)


def test_whoever_waits_for_what_a_drill_holds_comes_before_its_way_back() -> None:
    world = stage()
    neighbour(world)
    world.takes["backup-isp"] = 20.0
    world.takes["backup-isp.back"] = 20.0
    assert drill(world, service="acme/hq-internet", move="backup-isp", stays_s=60.0).accepted
    world.run(5)
    world.bad("wiki")
    world.run(120)
    assert world.played[:3] == ["backup-isp", "mend", "backup-isp.back"], "\n".join(story(world))


def test_what_depends_on_a_service_waits_while_its_drill_moves_it() -> None:
    world = stage()
    neighbour(world)
    with_service(world, "acme/wiki", depends_on=(Dependency("acme/erp"),), settle_s=5.0)
    world.takes["geo-site"] = 60.0
    hand_over = world.effects["hand_over_hq"]
    geo_site = world.effects["geo-site"]
    world.effects["hand_over_hq"] = lambda: (hand_over(), world.bad("wiki"))  # type: ignore[func-returns-value]
    world.effects["geo-site"] = lambda: (geo_site(), world.good("wiki"))  # type: ignore[func-returns-value]
    assert drill(world, stays_s=10.0).accepted
    world.run(200)
    assert "mend" not in world.played, "\n".join(story(world))
    assert over(world).reason is Reason.RETURNED, over(world)


def test_another_service_that_shares_the_move_does_not_take_it_back() -> None:
    world = stage()
    with_service(world, "acme/erp", automatic_failback=True, hold_down_s=5.0, cool_down_s=1.0)
    assert drill(world, service="acme/hq-internet", move="backup-isp", stays_s=60.0).accepted
    world.run(30)
    assert world.decided().engaged, "\n".join(story(world))
    world.run(90)
    assert over(world).ok
    assert [x.origin for x in world.records(r.RunStarted)] == [r.Origin.DRILL] * 2  # type: ignore[attr-defined]


# ---- people at work


def test_a_failback_by_hand_that_is_at_work_is_waited_for() -> None:
    world = stage()
    assert drill(world, stays_s=20.0).accepted
    world.run(20)
    world.nothing("hq-ready")  # its preflight waits for it
    assert world.say(WordKind.FAILBACK, "acme/erp").accepted
    world.run(3)
    world.good("hq-ready")
    world.run(120)
    assert world.decided().services["acme/erp"].place == "acme/hq", "\n".join(story(world))
    assert over(world).reason is Reason.OVERTAKEN
    assert over(world).returned is True
    assert not told(world)


def test_a_preflight_by_hand_at_the_end_of_the_stay_breaks_nothing() -> None:
    world = stage()
    with_move(world, "acme/return-hq", preflight_timeout_s=60.0)
    assert drill(world, stays_s=20.0).accepted
    world.run(20)
    assert world.say(WordKind.FAILBACK, "acme/erp").accepted
    assert world.decided().runs["r2"].current().name == "preflight"  # type: ignore[union-attr]
    world.nothing("hq-ready")  # its stay is over while that is waited for
    world.run(70)
    assert world.decided().runs["r2"].ended is not None
    world.good("hq-ready")
    world.run(100)
    assert the_drill(world).ended is not None, "\n".join(story(world))


def test_somebody_who_stops_the_way_back_is_not_gone_against() -> None:
    world = stage()
    away(world)
    world.takes["rebuild_hq"] = 600.0
    world.say(WordKind.DRILL_CANCEL, "d1")
    world.run(10)
    back = world.decided().runs["r2"]
    assert world.say(WordKind.ABORT, back.id).accepted
    world.run(200)
    assert world.played.count("rebuild_hq") == 1
    assert over(world).reason is Reason.NOT_RETURNED
    assert told(world)


def test_a_hold_that_stops_a_way_back_is_no_failed_try() -> None:
    world = stage()
    away(world)
    world.say(WordKind.DRILL_CANCEL, "d1")
    for _ in range(4):
        while not any(x.ended is None for x in world.decided().runs.values()):
            world.go()
        world.nothing("hq-ready")
        world.say(WordKind.HOLD, "acme/erp")
        world.good("hq-ready")
        world.run(60)
        world.say(WordKind.RESUME, "acme/erp")
    world.run(200)
    assert over(world).returned is True, "\n".join(story(world))
    assert world.decided().services["acme/erp"].place == "acme/hq"


def test_what_is_suspected_meanwhile_is_not_carried_back() -> None:
    world = stage()
    away(world)
    world.say(WordKind.SUSPECT, "acme/erp")
    world.say(WordKind.DRILL_CANCEL, "d1")
    world.run(120)
    assert world.decided().services["acme/erp"].place == "acme/geo"
    world.run(900)
    assert "compromise suspected" in told(world)[0]
    world.say(WordKind.CLEAR, "acme/erp")
    world.run(120)
    assert world.decided().services["acme/erp"].place == "acme/hq"


# ---- what is late is told, and what is not late is not


def test_a_way_back_that_lasts_too_long_is_told() -> None:
    world = stage()
    world.takes["rebuild_hq"] = 7200.0
    with_move(world, "acme/return-hq", timeout_s=9000.0)
    drill(world, within_s=60.0)
    world.run(200)
    assert the_drill(world).ended is None
    assert len(told(world)) == 1
    assert "should be over" in told(world)[0]
    assert "r2 (acme/return-hq) is at work" in told(world)[0]


def test_a_way_back_that_fails_while_the_service_is_down_is_told_once_and_as_that() -> None:
    world = stage()
    away(world)
    world.outcomes["return-hq"] = e.AttemptEnd.FAILED
    world.effects["return-hq"] = lambda: world.bad("erp-transaction")
    world.say(WordKind.DRILL_CANCEL, "d1")
    world.run(60)
    (back,) = (x for x in world.decided().runs.values() if x.started.move == "acme/return-hq" and x.started.drill)
    assert back.ended is not None
    assert world.decided().incidents["i1"].episode_first_bad_at <= world.now, "\n".join(story(world))
    about = told(world, NoticeKind.DRILL_NOT_BACK)
    start = f"acme/erp: i1 is open, and the way back of drill d1 failed: acme/return-hq ({back.id}): "
    assert len(about) == 1, "\n".join(story(world))
    assert about[0].startswith(start)
    assert back.ended.evidence in about[0]
    world.run(600)
    assert told(world, NoticeKind.DRILL_NOT_BACK) == about


def test_what_was_late_is_not_told_again_once_it_is_over() -> None:
    world = stage()
    drill(world, within_s=60.0)
    world.run(15)
    world.say(WordKind.HOLD, "acme/erp")
    world.nobody_there = True
    world.run(120)
    assert len(told(world)) >= 1
    world.say(WordKind.RESUME, "acme/erp")
    world.run(100)
    assert over(world).ok
    before = len([x for x in told(world) if "should be over" in x])
    world.run(1000)
    assert len([x for x in told(world) if "should be over" in x]) == before


@pytest.mark.parametrize("same_boot", [True, False])
def test_a_controller_that_was_away_for_long_asks_before_it_says_that_nothing_is_shown(same_boot: bool) -> None:
    for n in range(1, 40):
        world = stage()
        first = len(world.entries)
        drill(world)
        while len(world.entries) < first + n and world.now < 120:
            world.go()
        if the_drill(world).ended is not None:
            break
        world.crash()
        world.run(1200.0)
        world.start(same_boot=same_boot)
        world.run(600)
        text = f"killed after entry {n}\n" + "\n".join(story(world))
        assert the_drill(world).ended is not None, text
        assert the_drill(world).ended.returned is not False, text  # type: ignore[union-attr]
        assert over(world).ok, text
        assert not told(world), text


# ---- what cannot be taken back is not begun, and what is left is told


def test_a_way_back_that_would_fence_a_place_that_works_is_none() -> None:
    world = stage()
    with_move(world, "acme/return-hq", hand_over=None, data_age="acme/geo-replica")
    answer = drill(world)
    assert answer.reason == Reason.FENCE_NOT_AUTOMATIC.value, answer
    assert "acme/return-hq" in answer.evidence
    assert drill(world, fence=True).accepted
    world.run(200)
    assert over(world).reason is Reason.RETURNED


def test_a_third_place_that_may_act_is_not_fenced_for_a_drill() -> None:
    world = stage()
    tx = world.engine.transaction(world.now)
    tx.record(r.MayActAdded(world.now, "acme/erp", "acme/cloud", "r0"))
    world.entries.append((world.now, tuple(tx.records)))
    assert drill(world).evidence == "nothing can prove that acme/cloud is out, which acme/geo-site leaves"


def test_a_service_without_a_home_has_no_way_back() -> None:
    world = stage()
    with_service(world, "acme/hq-internet", home=None, ladder=(Tier("acme/geo-site"),))
    world.decided().services["acme/hq-internet"].place = None
    answer = drill(world, service="acme/hq-internet")
    assert answer.reason == Reason.NO_WAY_BACK.value, answer


@pytest.mark.parametrize("outcome", [e.AttemptEnd.FAILED, e.AttemptEnd.UNREACHABLE])
def test_a_move_in_place_that_fails_half_way_is_taken_back(outcome: e.AttemptEnd) -> None:
    world = stage()
    world.outcomes["backup-isp"] = outcome
    assert drill(world, service="acme/hq-internet", move="backup-isp").accepted
    world.run(120)
    assert world.played == ["backup-isp", "backup-isp.back"], "\n".join(story(world))
    assert not over(world).ok
    assert over(world).returned is True


def test_a_restart_that_fails_half_way_is_told() -> None:
    world = stage()
    neighbour(world)
    world.outcomes["mend"] = e.AttemptEnd.FAILED
    assert drill(world, service="acme/wiki", move="mend").accepted
    world.run(120)
    assert not over(world).ok
    assert told(world), over(world)


def test_what_was_prepared_and_not_used_is_told() -> None:
    world = stage()
    with_move(world, "acme/cloud-instance", prepare=Playbook("make_cloud.yml", "x"), hand_over=None)
    world.takes["make_cloud"] = 60.0
    assert drill(world, move="cloud-instance", fence=True).reason is not None
    if not world.answered[-1].accepted:
        pytest.skip(world.answered[-1].evidence)
    world.run(10)
    world.say(WordKind.DRILL_CANCEL, "d1")
    world.run(120)
    assert not over(world).ok
    assert told(world)


# ---- rehearsals


def test_a_reload_of_another_playbook_does_not_keep_a_rehearsal_from_its_clean_up() -> None:
    world = stage()
    world.takes["restore_scratch"] = 30.0
    assert rehearse(world).accepted
    world.run(10)
    assert world.played[-1] == "restore_scratch"
    with_move(world, "acme/geo-site", playbook=Playbook("geo-site.yml", "edited"))
    world.run(60)
    assert world.played[-2:] == ["clean_scratch", "survey"], "\n".join(story(world))
    assert over(world).reason is not Reason.NOT_CLEAN


def test_the_rehearsal_is_not_taken_out_while_it_goes_on() -> None:
    world = stage()
    rehearse(world)
    world.run(5)
    geo = replace(world.model.moves["acme/geo-site"], rehearse=None)
    without = replace(world.model, moves={**world.model.moves, geo.id: geo})
    assert objections(world.decided(), without) == [
        "run r1 rehearses acme/geo-site: what it has still to play cannot be removed"
    ]


def test_a_rehearsal_that_is_with_a_person_can_be_ended_by_them() -> None:
    world = stage()
    rehearse(world)
    world.run(5)
    world.deaf = True
    world.run(4000)
    run = world.decided().runs["r1"]
    assert run.human is not None
    world.deaf = False
    assert world.say(WordKind.ABORT, "r1").accepted
    world.crash()
    world.start()
    world.run(60)
    assert over(world).reason is Reason.NOT_CLEAN


def test_a_rehearsal_that_failed_says_nothing_of_the_move_itself() -> None:
    world = stage()
    world.outcomes["restore_scratch"] = e.AttemptEnd.FAILED
    rehearse(world)
    world.run(60)
    assert not over(world).ok
    assert not list(failback.too_soon(world.decided(), world.model.services["acme/erp"], world.now))


def test_runs_of_a_drill_that_is_not_over_are_remembered() -> None:
    world = stage()
    away(world)
    world.say(WordKind.HOLD, "acme/erp")
    tx = world.engine.transaction(world.now)
    for n in range(300):
        at = world.now
        name = f"r{n + 100}"
        step = (r.PlannedStep("verify", r.StepKind.VERIFY),)
        tx.record(
            r.RunStarted(
                at, name, "acme/hq-internet", "acme/backup-isp", r.Origin.MANUAL, step, "", "", Reason.ASKED_BY_OPERATOR
            )
        )
        tx.record(r.RunEnded(at, name, True, Reason.VERIFIED, ""))
    assert "r1" in world.decided().runs


def test_each_check_of_a_service_has_to_be_heard_after_the_return() -> None:
    world = stage()
    with_service(world, "acme/erp", healthy_when=Condition(Combine.ANY, ("acme/erp-transaction", "acme/cloud-ready")))
    assert drill(world, stays_s=5.0).accepted
    while not any(x.ended is not None and x.started.move == "acme/return-hq" for x in world.decided().runs.values()):
        world.go()
    assert the_drill(world).ended is None
    world.run(10)
    assert over(world).ok
    back = world.decided().runs["r2"].ended
    assert back is not None
    assert all(world.engine.rows[c].last_sent_at >= back.at for c in ("acme/erp-transaction", "acme/cloud-ready"))


# ---- the controller, at each entry


def dies_before_its_commands(kind: DrillKind, n: int) -> World | None:
    """A drill whose controller writes the n-th entry and dies before any of its commands; None: it had ended before."""
    world = stage()
    until = len(world.entries) + n
    carry_out = world._carry_out
    world._carry_out = lambda command: carry_out(command) if len(world.entries) < until else None  # type: ignore[method-assign]
    said = {"move": "geo-site", "kind": kind.value, "stays_s": 10.0, "within_s": 300.0}
    world.hears(e.WordSpoken("w", WordKind.DRILL, "Ada", "acme/erp", "a reason", said))  # type: ignore[arg-type]
    while len(world.entries) < until and world.now < 300:
        world.go()
    if the_drill(world).ended is not None:
        return None
    world._carry_out = carry_out  # type: ignore[method-assign]
    world.crash()
    world.run(3.0)
    world.start()
    return world


@pytest.mark.parametrize("kind", list(DrillKind))
def test_the_controller_dies_before_it_carries_out_what_it_wrote(kind: DrillKind) -> None:
    for n in range(1, 60):
        world = dies_before_its_commands(kind, n)
        if world is None:
            return
        world.run(900)
        text = f"after entry {n}\n" + "\n".join(story(world))
        assert the_drill(world).ended is not None, text
        state = world.decided().services["acme/erp"]
        assert (state.place, state.may_act) == ("acme/hq", {"acme/hq"}), text
        assert over(world).reason is not Reason.NOT_CLEAN, text
        assert over(world).returned is not False, text
        assert not told(world), text
    raise AssertionError("it was never over")
