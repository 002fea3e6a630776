"""A plan whose files are edited while somebody is asked: it is not approved, nothing has failed, it is asked anew."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from orchestrator.core import events as e
from orchestrator.core import records as r
from orchestrator.core.commands import NoticeKind
from orchestrator.core.events import WordKind
from orchestrator.core.model import Move
from orchestrator.core.reasons import Reason
from tests.core.stage import hq_loses_power, lab
from tests.core.test_isolation import isolating
from tests.core.world import World, all_of, book

EDITED = "playbooks/geo-site.yml was changed since it was loaded"


def asked() -> World:
    """Everything at hq is silent and its console says that the power is on."""
    world = lab()
    world.silent("erp-transaction", "hq-internet", "isp-b-path")
    world.run(30)
    return world


def digest_of(world: World) -> str:
    run = world.decided().runs["r1"]
    return world.model.moves[run.started.move].playbook.digest


def test_an_edited_plan_is_not_approved_and_the_one_who_was_asked_is_told() -> None:
    world = asked()
    before = len(world.told)
    world.hears(e.PlaybooksRead({digest_of(world): EDITED}))
    told = world.told[before:]
    assert [(t.kind, t.say) for t in told] == [(NoticeKind.HUMAN_NEEDED, "bascule reload")]
    assert EDITED in told[0].text
    refused = world.say(WordKind.APPROVE, "r1")
    assert (refused.accepted, refused.reason) == (False, Reason.PLAN_CHANGED)
    assert EDITED in refused.evidence
    assert world.decided().runs["r1"].ended is None, "it may be put back"


def test_put_back_it_is_approved() -> None:
    world = asked()
    digest = digest_of(world)
    world.hears(e.PlaybooksRead({digest: EDITED}))
    world.hears(e.PlaybooksRead({digest: ""}))
    assert world.say(WordKind.APPROVE, "r1").accepted
    assert world.decided().edited == {}


def test_what_is_as_it_was_is_no_record() -> None:
    world = asked()
    before = len(world.entries)
    world.hears(e.PlaybooksRead({digest_of(world): ""}))
    assert len(world.entries) == before


@pytest.mark.parametrize(
    "new", [{"probe": "nagios"}, {"options": {"command": ["true"]}}, {"host": "another"}, {"vantage": "elsewhere"}]
)
def test_what_proves_the_place_out_by_another_question_is_another_plan(new: dict[str, object]) -> None:
    """It was approved that hq is fenced: a proof that is always good would leave that out."""
    world = asked()
    shown = world.decided().runs["r1"].started.plan_digest
    checks = {**world.model.checks, "acme/hq-off": replace(world.model.checks["acme/hq-off"], **new)}  # type: ignore[arg-type]
    world.hears(e.ConfigurationLoaded(replace(world.model, digest="m2", checks=checks)))
    assert world.say(WordKind.APPROVE, "r1").reason == Reason.PLAN_CHANGED
    world.run(5)
    second = world.decided().runs["r2"]
    assert second.started.move == world.decided().runs["r1"].started.move
    assert second.started.plan_digest != shown


def test_how_often_the_proof_is_asked_is_nothing_of_the_plan() -> None:
    world = asked()
    checks = {**world.model.checks, "acme/hq-off": replace(world.model.checks["acme/hq-off"], every_s=7.0)}
    world.hears(e.ConfigurationLoaded(replace(world.model, digest="m2", checks=checks)))
    assert world.say(WordKind.APPROVE, "r1").accepted


def test_after_a_reload_the_move_is_asked_about_anew_and_its_place_has_not_failed() -> None:
    world = asked()
    move = world.decided().runs["r1"].started.move
    world.hears(e.PlaybooksRead({digest_of(world): EDITED}))
    new = replace(world.model.moves[move], playbook=replace(book("geo-site"), digest="new"))
    world.hears(e.ConfigurationLoaded(replace(world.model, digest="m2", moves={**world.model.moves, move: new})))
    world.run(5)
    first, second = world.decided().runs["r1"], world.decided().runs["r2"]
    assert first.ended is not None
    assert first.ended.reason is Reason.PLAN_CHANGED
    assert second.started.move == move
    assert second.started.plan_digest != first.started.plan_digest
    step = second.current()
    assert step is not None
    assert step.kind is r.StepKind.APPROVAL
    assert not [t for t in world.records(r.TierJudged) if isinstance(t, r.TierJudged) and t.state is r.TierState.FAILED]
    assert world.decided().services["acme/erp"].left == {}
    refused = world.say(WordKind.APPROVE, "r1")
    assert refused.reason == Reason.PLAN_CHANGED, "the old question has an answer that says why"


def test_a_playbook_refused_by_the_runner_makes_its_tier_ineligible_and_no_place_fails() -> None:
    world = asked()
    world.outcomes["geo-site"] = e.AttemptEnd.PLAN_CHANGED
    assert world.say(WordKind.APPROVE, "r1", fenced="acme/hq").accepted
    world.run(30)
    assert world.decided().runs["r1"].ended is not None
    assert world.decided().services["acme/erp"].left == {}
    judged = [t for t in world.records(r.TierJudged) if isinstance(t, r.TierJudged) and t.reason is Reason.PLAN_CHANGED]
    assert [t.state for t in judged] == [r.TierState.WAITING, r.TierState.INELIGIBLE]
    assert world.played.count("geo-site") == 1, "it is not begun again and again"


OTHER: dict[str, Callable[[Move], Move]] = {
    "variables": lambda m: replace(m, playbook=replace(m.playbook, extra_vars={"line": "b"})),
    "hosts": lambda m: replace(m, playbook=replace(m.playbook, limit="other-hosts")),
}


@pytest.mark.parametrize("change", OTHER.values(), ids=OTHER)
def test_what_was_approved_is_not_played_with_other_variables_or_on_other_hosts(change: Callable[[Move], Move]) -> None:
    world = asked()
    move = world.decided().runs["r1"].started.move
    new = change(world.model.moves[move])
    world.hears(e.ConfigurationLoaded(replace(world.model, digest="m2", moves={**world.model.moves, move: new})))
    refused = world.say(WordKind.APPROVE, "r1")
    assert (refused.accepted, refused.reason) == (False, Reason.PLAN_CHANGED)
    world.run(5)
    assert world.decided().runs["r2"].started.move == move, "it is asked about as it is now"


def test_what_was_approved_is_not_fenced_by_another_proof() -> None:
    world = asked()
    hq = world.model.places["acme/hq"]
    assert hq.fence is not None
    new = replace(hq, fence=replace(hq.fence, proven_when=all_of("hq-dark")))
    world.hears(e.ConfigurationLoaded(replace(world.model, digest="m2", places={**world.model.places, hq.id: new})))
    assert world.say(WordKind.APPROVE, "r1").reason == Reason.PLAN_CHANGED


@pytest.mark.parametrize("refused", ["power_off_hq", "geo-site"])
def test_a_run_that_was_refused_before_its_first_step_began_was_not_made(refused: str) -> None:
    """The runner compares before it begins: with the fence nothing had begun, with the move itself the fence had."""
    world = lab()
    world.outcomes[refused] = e.AttemptEnd.PLAN_CHANGED
    assert world.say(WordKind.FAILOVER, "acme/erp", move="geo-site", fence=True).accepted
    world.run(10)
    begun = refused == "geo-site"
    assert world.decided().runs["r1"].failed is begun
    sentence = "failed" if begun else "was not made"
    assert [t.text.partition(", asked by")[0] for t in world.told] == [f"acme/erp: acme/geo-site {sentence}"]


def test_with_no_tier_left_for_edited_plans_the_one_thing_to_type_is_to_read_them() -> None:
    world = lab()
    for name in ("backup-isp", "power_off_hq"):
        world.outcomes[name] = e.AttemptEnd.PLAN_CHANGED
    hq_loses_power(world)
    world.good("isp-b-path")
    world.run(10)
    said = [t for t in world.told if "no tier is left" in t.text and "plan changed" in t.text]
    assert said
    assert {t.say for t in said} == {"bascule reload"}


# ---- another ladder, in an outage


def without_the_second_tier(world: World) -> None:
    """A reload takes the second tier out: the third has its number by now."""
    erp = world.model.services["acme/erp"]
    fewer = replace(erp, ladder=(erp.ladder[0], erp.ladder[2]))
    world.model = replace(world.model, digest="fewer", services={**world.model.services, erp.id: fewer})
    world.hears(e.ConfigurationLoaded(world.model))


@pytest.mark.parametrize("when_s", [60.0, 3.0], ids=["when it has failed", "while it is at work"])
@pytest.mark.parametrize("outcome", [e.AttemptEnd.FAILED, e.AttemptEnd.OK], ids=["failed", "not verified"])
def test_a_tier_that_is_taken_out_of_the_ladder_once_it_has_failed_is_not_booked_for_ever(
    when_s: float, outcome: e.AttemptEnd
) -> None:
    """It was booked under its old number, the tier that has the number now was judged there, and so on: no decision
    came to rest, for any client, also after a restart.
    """
    world = lab()
    hq_loses_power(world)
    world.bad("cloud-ready")
    world.outcomes["geo-site"] = outcome
    world.effects.pop("geo-site")
    world.run(when_s)
    without_the_second_tier(world)
    world.run(300)
    world.crash()
    world.start()
    world.run(60)
    booked = [x for x in world.records(r.TierJudged) if x.move == "acme/geo-site" and x.state is r.TierState.FAILED]
    assert len(booked) == 1
    assert len([t for t in world.told if t.id == "r1/failed"]) == 1
    last = world.decided().incidents["i2"].tiers[2]
    assert (last.move, last.state) == ("acme/cloud-instance", r.TierState.INELIGIBLE)


# ---- what proves a place to be out is taken out of the plan while it is fenced


def without_a_fence(world: World) -> None:
    places = {**world.model.places, "acme/hq": replace(world.model.places["acme/hq"], fence=None, isolate=None)}
    world.model = replace(world.model, digest="unfenced", places=places)
    world.hears(e.ConfigurationLoaded(world.model))


def test_a_fence_of_which_nothing_shows_any_more_that_it_holds_is_not_proven() -> None:
    """Its proof had "nothing to ask", and so was met: the place would have been out, had no invariant stopped it, and
    with it every decision, for all clients.
    """
    world = lab()
    world.takes["power_off_hq"] = 20.0
    hq_loses_power(world)
    world.run(10)
    assert world.played == ["power_off_hq"]
    without_a_fence(world)
    world.run(60)
    run = world.decided().runs["r1"]
    assert run.ended is not None
    assert (run.ended.ok, run.ended.reason) == (False, Reason.FENCE_UNPROVEN)
    assert run.ended.evidence.endswith("nothing in the plan can show any more that acme/hq is out")
    assert world.decided().services["acme/erp"].may_act == {"acme/hq"}
    assert "geo-site" not in world.played
    asked = [t for t in world.told if t.kind is NoticeKind.APPROVAL_NEEDED and t.subject == "acme/erp"]
    assert "no fence: nothing in the plan can prove that acme/hq is out" in asked[-1].text


def test_an_isolation_of_which_nothing_shows_any_more_that_it_holds_is_not_shown() -> None:
    world = isolating()
    world.takes["close_hq"] = 20.0
    assert world.say(WordKind.SUSPECT, "acme").accepted
    hq_loses_power(world)
    world.run(10)
    assert world.played == ["close_hq"]
    without_a_fence(world)
    world.run(60)
    shown = {s.name: s for x in world.decided().runs.values() for s in x.steps if s.traits.contains}
    assert (shown["contained-hq"].state, shown["contained-hq"].reason) == (r.StepState.FAILED, Reason.NOT_CONTAINED)
    assert shown["contained-hq"].evidence == "nothing in the plan can show any more that acme/hq is isolated"
