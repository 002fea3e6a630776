"""One vantage alone never triggers: a majority must see it down, and who is blind sees nothing."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from orchestrator.core import events as e
from orchestrator.core import records as r
from orchestrator.core.awareness.readiness import Lack, assess
from orchestrator.core.commands import NoticeKind
from orchestrator.core.deciding import incident
from orchestrator.core.events import WordKind
from orchestrator.core.model import Combine, Condition, Dependency, Limits, Mode, Model, Move, Service, Tier
from orchestrator.core.reasons import Reason
from orchestrator.core.rules import policy
from orchestrator.core.runs import steps
from orchestrator.reports.status import status_now
from orchestrator.reports.status_parts import Live
from orchestrator.reports.status_text import status_lines
from orchestrator.reports.text import plain
from tests.core.test_invariants import run_of, waiting_run, wrong
from tests.core.test_policy import judged
from tests.core.world import World, book, check, story

VANTAGES = ("noc", "branch", "paris")


def shop(*vantages: str, limits: Limits | None = None, gated: bool = False) -> World:
    """A shop that is asked from so many places, each with a reference of its own; a restart brings it back."""
    checks = {}
    for name in vantages:
        checks[f"acme/ref-{name}"] = check(f"ref-{name}", reference=True, vantage=name)
        checks[f"acme/shop-{name}"] = check(f"shop-{name}", vantage=name, domains=frozenset({"acme/shop"}))
    move = Move(
        "acme/restart", "acme", "restart", book("restart"), Condition(Combine.ALL, (f"acme/shop-{vantages[0]}",))
    )
    if gated:
        checks["acme/gate"] = check("gate", vantage=vantages[0])
        move = replace(move, viable_when=Condition(Combine.ALL, ("acme/gate",)))
    health = Condition(Combine.ALL, tuple(f"acme/shop-{name}" for name in vantages))
    plain = Service("acme/shop", "acme", "shop", health, (Tier(move.id),), rto_s=600.0, mode=Mode.AUTO)
    model = Model("shop", checks, {}, {move.id: replace(move, safe_to_repeat=True)}, {plain.id: plain})
    world = World(replace(model, limits=limits or Limits()))
    world.effects["restart"] = lambda: world.good(*(f"shop-{name}" for name in vantages))
    world.run(20)
    return world


def reasons(world: World) -> list[Reason]:
    """How the shop was judged, in order."""
    return [x.reason for x in world.records(r.ServiceJudged) if isinstance(x, r.ServiceJudged)]


def test_one_vantage_alone_does_nothing_and_then_a_named_human_is_told() -> None:
    world = shop(*VANTAGES)
    world.silent("shop-noc")
    world.run(50)
    assert world.played == []
    found = judged(world, Reason.NO_QUORUM, "acme/shop")
    assert found.decision is r.Decision.WAIT
    assert found.evidence == "2 of 3 vantages needed: branch sees it up, noc sees it down, paris sees it up"
    assert NoticeKind.HUMAN_NEEDED not in {t.kind for t in world.told}
    world.run(600)
    told = [t for t in world.told if t.kind is NoticeKind.HUMAN_NEEDED]
    assert len(told) == 1
    assert "too few vantages see it down" in told[0].text
    assert told[0].say == "bascule failover acme/shop"
    assert world.played == []


def opened(world: World) -> list[str]:
    """What people were told of an outage."""
    return [t.text for t in world.told if t.kind is NoticeKind.INCIDENT_OPENED]


def test_what_one_vantage_sees_is_not_told_as_down_until_enough_of_them_see_it() -> None:
    """Two of three see it up: "is down" would be false. And whoever was told so learns that it is down after all."""
    world = shop(*VANTAGES)
    world.say(WordKind.HOLD, "acme")  # nothing else would tell them
    world.silent("shop-noc")
    world.run(30)
    (seen,) = opened(world)
    assert seen.startswith(
        "acme/shop has been seen down for 2.0s, but it is not known whether it is down: 2 of 3 vantages needed"
    )
    world.bad("shop-paris")
    world.run(30)
    _, down = opened(world)
    assert down.startswith("acme/shop has been down at its place for ")
    world.run(3600)
    assert len(opened(world)) == 2


def test_the_status_and_the_mtd_say_no_more_than_that_it_is_seen_down() -> None:
    world = shop(*VANTAGES)
    service = replace(world.model.services["acme/shop"], mtd_s=100.0)
    world.model = replace(world.model, digest="m2", services={service.id: service})
    world.hears(e.ConfigurationLoaded(world.model))
    world.silent("shop-noc")
    world.run(30)
    text = plain(status_lines(status_now(world.decided(), world.model, world.now, 0.0, Live(daemon=True))))
    assert re.search(r"acme/shop  SEEN DOWN for 0:\d\d, by too few vantages", text)
    world.run(100)
    mtd = [t.text for t in world.told if "maximum tolerable downtime" in t.text]
    assert mtd
    assert all(re.match(r"i1 of acme/shop has been open for ", x) for x in mtd), mtd


def test_a_majority_acts() -> None:
    world = shop(*VANTAGES)
    world.silent("shop-noc")
    world.run(30)
    world.bad("shop-paris")
    world.run(30)
    assert world.played == ["restart"], "\n".join(story(world))
    assert reasons(world)[:2] == [Reason.NO_QUORUM, Reason.TIER_CHOSEN]


def test_of_two_vantages_both_must_see_it() -> None:
    world = shop("noc", "branch")
    world.silent("shop-noc")
    world.run(30)
    assert world.played == []
    world.silent("shop-branch")
    world.run(30)
    assert world.played == ["restart"]


def test_a_single_vantage_needs_no_quorum() -> None:
    world = shop("noc")
    world.silent("shop-noc")
    world.run(30)
    assert world.played == ["restart"]


def test_a_blind_vantage_counts_for_nothing_and_stops_no_majority() -> None:
    world = shop(*VANTAGES)
    world.silent("ref-branch", "shop-branch", "shop-noc")
    world.run(30)
    assert world.played == []
    assert "branch is blind" in judged(world, Reason.NO_QUORUM, "acme/shop").evidence
    world.silent("shop-paris")
    world.run(30)
    assert world.played == ["restart"]


def test_two_blind_of_three_leave_no_quorum() -> None:
    world = shop(*VANTAGES)
    world.silent("ref-branch", "shop-branch", "ref-paris", "shop-paris", "shop-noc")
    world.run(50)
    assert world.played == []
    assert Reason.NO_QUORUM in reasons(world)


def test_all_blind_is_blind() -> None:
    world = shop("noc", "branch")
    world.bad("shop-noc", "shop-branch")
    world.silent("ref-noc", "ref-branch")
    world.run(30)
    tx = world.engine.transaction(world.now)
    finding = policy.blind(tx, tx.model.services["acme/shop"])
    assert finding is not None
    assert finding.evidence == (
        "vantage branch: none of acme/ref-branch answers; vantage noc: none of acme/ref-noc answers"
    )


def test_how_many_are_needed_is_the_authors_to_say_but_never_one() -> None:
    world = shop(*VANTAGES, limits=Limits(quorum=3))
    world.silent("shop-noc", "shop-paris")
    world.run(30)
    assert world.played == []
    world.silent("shop-branch")
    world.run(30)
    assert world.played == ["restart"]
    world = shop(*VANTAGES, limits=Limits(quorum=1))
    world.silent("shop-noc")
    world.run(30)
    assert world.played == []


def test_how_long_the_doubt_may_last_is_the_authors_to_say() -> None:
    world = shop(*VANTAGES, limits=Limits(doubt_s=10.0))
    world.silent("shop-noc")
    world.run(20)
    assert NoticeKind.HUMAN_NEEDED in {t.kind for t in world.told}


def test_an_incident_in_which_the_controller_goes_blind_is_told_too() -> None:
    world = shop("noc")
    world.hang.add("restart")
    world.say(WordKind.HOLD, "acme")
    world.bad("shop-noc")
    world.run(10)
    world.silent("ref-noc")
    world.run(5)
    world.say(WordKind.RESUME, "acme")
    world.run(90)
    assert world.played == []
    of_the_hold, told = [t for t in world.told if t.kind is NoticeKind.HUMAN_NEEDED]
    assert "Ada holds acme" in of_the_hold.text
    assert "this vantage itself may be cut off" in told.text


def test_of_a_hold_people_hear_once_enough_vantages_see_it_down() -> None:
    world = shop(*VANTAGES)
    world.say(WordKind.HOLD, "acme")
    world.silent("shop-noc")
    world.run(100)
    assert not [t for t in world.told if t.kind is NoticeKind.HUMAN_NEEDED], "one vantage may itself be cut off"
    world.silent("shop-branch")
    world.run(30)
    (told,) = [t for t in world.told if t.kind is NoticeKind.HUMAN_NEEDED]
    assert told.text.startswith("acme/shop is down and nothing is done automatically: ")


def test_a_quorum_lost_during_the_preflight_stops_the_run_and_blames_no_tier() -> None:
    world = shop("noc", "branch", gated=True)
    world.silent("shop-noc", "shop-branch")
    tx = waiting_run(world)
    tx.rows()["acme/shop-branch"].verdict = r.Verdict.UP
    run = tx.decided.runs["r1"]
    assert steps.begin(tx, run, run.step("execute"))
    assert run.ended is not None
    assert run.ended.reason is Reason.NO_QUORUM
    assert run.ended.reason in incident.NOT_THE_TIERS_FAULT


def test_a_named_person_may_move_it_without_a_quorum() -> None:
    world = shop(*VANTAGES)
    world.silent("shop-noc")
    world.run(30)
    assert world.say(WordKind.FAILOVER, "acme/shop").accepted
    world.run(10)
    assert world.played == ["restart"]


def test_what_stands_on_it_waits_no_longer_than_the_doubt() -> None:
    world = shop(*VANTAGES)
    own = check("till", vantage="noc")
    move = replace(world.model.moves["acme/restart"], id="acme/till-restart", name="till-restart")
    till = Service("acme/till", "acme", "till", Condition(Combine.ALL, (own.id,)), (Tier(move.id),), rto_s=600.0)
    till = replace(till, mode=Mode.AUTO, depends_on=(Dependency("acme/shop"),))
    world.model = replace(
        world.model,
        digest="till",
        checks={**world.model.checks, own.id: own},
        moves={**world.model.moves, move.id: replace(move, playbook=book("restart_till"))},
        services={**world.model.services, till.id: till},
    )
    world.hears(e.ConfigurationLoaded(world.model))
    world.run(20)
    world._every[own.id] = 1.0
    world.at(world.now, lambda: world._beat(own.id, world._life))
    world.run(10)
    world.silent("shop-noc", "till")
    world.run(30)
    assert world.played == []
    world.run(60)
    assert world.played == ["restart_till"], "\n".join(story(world))


def test_10_an_automatic_run_without_a_quorum_is_never_begun() -> None:
    world = shop(*VANTAGES)
    world.silent("shop-noc")
    world.run(30)
    open_ = world.decided().services["acme/shop"].incident
    record = run_of(world, service="acme/shop", incident=open_, tier=1, to_place=None, resources=())
    assert "one of several vantages never triggers alone" in wrong(world, record)


def test_a_stale_down_of_one_vantage_is_no_witness_of_a_new_outage() -> None:
    """After a recovery, a check that has not risen yet still says down: it has seen nothing of what comes next."""
    world = shop("noc", "branch")
    world.say(WordKind.HOLD, "acme")
    world.silent("shop-noc", "shop-branch")
    world.run(10)
    service = world.model.services["acme/shop"]
    assert policy.no_quorum(world.engine.transaction(world.now), service) is None
    world.decided().services["acme/shop"].recovered_at = world.now
    world.engine.rows["acme/shop-branch"].first_bad_at = world.now + 0.5
    finding = policy.no_quorum(world.engine.transaction(world.now + 4), service)
    assert finding is not None
    assert finding.evidence.endswith("branch sees it down, noc sees it unknown")


@pytest.mark.parametrize("others", [True, False])
def test_what_too_few_vantages_saw_down_has_missed_no_rto_for_that_time(others: bool) -> None:
    """One of three sees it down for longer than its RTO; then a second one does, or it is well for all."""
    world = shop(*VANTAGES)
    world.silent("shop-noc")
    world.run(700)
    status = status_now(world.decided(), world.model, world.now, 0.0, Live(daemon=True))
    assert "RTO perhaps missed" in plain(status_lines(status, 200))
    if others:
        world.silent("shop-branch")
        world.run(3)
        assert [
            t.text for t in world.told if t.text.startswith("acme/shop has been down at its place for at most 11:4")
        ]
    else:
        world.good("shop-noc")
    world.run(30)
    ended = world.last(r.IncidentEnded)
    assert isinstance(ended, r.IncidentEnded)
    assert ended.doubted_s == pytest.approx(698.0, abs=4.0)
    (told,) = [t.text for t in world.told if t.kind is NoticeKind.RECOVERED]
    assert "after at most 11:4" in told
    assert told.endswith("perhaps beyond its RTO of 10:00")


def test_who_sees_it_down_is_told_as_of_now() -> None:
    world = shop(*VANTAGES)
    world.silent("shop-noc")
    world.run(30)
    world.silent("ref-branch", "shop-branch")
    world.run(10)
    found = world.last(r.ServiceJudged)
    assert isinstance(found, r.ServiceJudged)
    assert (found.reason, "branch is blind" in found.evidence) == (Reason.NO_QUORUM, True)


def lacks(world: World, lack: Lack) -> dict[str, str]:
    """What follows from each thing of this kind that cannot be seen."""
    return {x.subject: x.means for x in assess(world.engine.transaction(world.now)) if x.lack is lack}


def test_of_a_blind_vantage_it_is_said_that_nothing_is_done_only_where_that_follows() -> None:
    world = shop(*VANTAGES)
    world.silent("ref-branch", "shop-branch")
    world.run(20)
    counts = "silence of acme/shop-branch counts for nothing"
    assert lacks(world, Lack.BLIND) == {"branch": f"{counts}; acme/shop is judged by its other vantages"}
    assert world.played == []
    world.silent("shop-noc", "shop-paris")
    world.run(20)
    assert world.played == ["restart"], "and they do"
    world.silent("ref-noc", "shop-noc")
    world.run(60)
    means = lacks(world, Lack.BLIND)
    assert means["branch"] == f"{counts}; nothing is done automatically for acme/shop"
    assert means["noc"].endswith("nothing is done automatically for acme/shop")


def test_a_silent_service_is_said_to_stay_unknown_only_where_no_vantage_of_it_has_a_reference() -> None:
    world = shop(*VANTAGES)
    without = {name: c for name, c in world.model.checks.items() if name != "acme/ref-branch"}
    world.model = replace(world.model, digest="one fewer", checks=without)
    world.hears(e.ConfigurationLoaded(world.model))
    world.run(20)
    assert lacks(world, Lack.NO_REFERENCE) == {"branch": "silence of acme/shop-branch takes nothing down"}
    world.silent("shop-noc", "shop-branch", "shop-paris")
    world.run(20)
    assert world.played == ["restart"]
