"""Which move next: why a tier is passed over, what it waits for, and what the budget does."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.core import events as e
from orchestrator.core import records as r
from orchestrator.core.commands import NoticeKind
from orchestrator.core.deciding.incident import ASKED_FOR
from orchestrator.core.events import WordKind
from orchestrator.core.model import FenceBy, Model, Move, Tier
from orchestrator.core.reasons import Reason
from orchestrator.core.rules import ladder
from orchestrator.core.rules.ladder import Assessment
from tests.core.stage import geo_loses_power, hq_loses_power, isp_a_dies, lab
from tests.core.world import World, acme, all_of, book, story


def changed(model: Model, *moves: Move, **others: object) -> Model:
    """The model with these moves instead, under another digest."""
    known = {**model.moves, **{m.id: m for m in moves}}
    return replace(model, digest=f"{model.digest}'", moves=known, **others)  # type: ignore[arg-type]


def assessed(world: World, move: str, accept_loss_s: float | None = None) -> Assessment:
    """What the ladder says of this move for erp now, patience being over."""
    tx = world.engine.transaction(world.now)
    tier = Tier(f"acme/{move}", accept_loss_s)
    return ladder.assess(tx, tx.model.services["acme/erp"], tier, world.now - ladder.PATIENCE_S)


def test_a_tier_that_can_help_says_so() -> None:
    found = assessed(lab(), "geo-site")
    assert (found.state, found.reason) == (r.TierState.WAITING, Reason.TIER_CHOSEN)
    assert found.evidence == "no history: assumed to fit"
    assert "is not dark, it may be alive" in found.asks[0]


def test_not_viable() -> None:
    world = lab()
    world.bad("geo-ready")
    world.run(10)
    found = assessed(world, "geo-site")
    assert (found.state, found.reason) == (r.TierState.INELIGIBLE, Reason.NOT_VIABLE)
    assert found.evidence.startswith("acme/geo-ready: bad")


def test_an_unknown_precondition_is_not_viable() -> None:
    world = lab()
    world.nothing("geo-ready")
    world.run(10)
    assert assessed(world, "geo-site").reason is Reason.VIABILITY_UNKNOWN


def test_an_unknown_precondition_may_delay_the_choice_for_a_moment_only() -> None:
    world = lab()
    world.nothing("isp-b-path")
    world.run(10)
    isp_a_dies(world)
    world.run(60)
    waited = [x for x in world.records(r.TierJudged) if x.reason is Reason.VIABILITY_UNKNOWN]
    assert [x.state for x in waited][:2] == [r.TierState.WAITING, r.TierState.INELIGIBLE]
    assert waited[1].at - waited[0].at == pytest.approx(ladder.PATIENCE_S, abs=0.1)


def test_already_engaged_and_engaged_no_more() -> None:
    world = lab()
    isp_a_dies(world)
    world.run(30)
    assert assessed(world, "backup-isp").reason is Reason.ALREADY_ENGAGED
    world.bad("edge-uses-isp-b")  # somebody changed the route by hand: re-checked, not believed
    world.run(10)
    assert assessed(world, "backup-isp").reason is Reason.TIER_CHOSEN


def test_a_restart_that_nothing_takes_back_may_be_done_again() -> None:
    world = lab()
    plain = replace(world.model.moves["acme/backup-isp"], done_when=None)
    moves = {k: m for k, m in changed(world.model, plain).moves.items() if k != "acme/backup-isp.back"}
    services = {k: replace(s, failback=()) for k, s in world.model.services.items()}
    world.hears(e.ConfigurationLoaded(replace(world.model, digest="no way back", moves=moves, services=services)))
    isp_a_dies(world)
    world.run(30)
    assert not world.decided().engaged
    assert assessed(world, "backup-isp").reason is Reason.TIER_CHOSEN


def test_already_there_and_wrong_place() -> None:
    world = lab()
    assert assessed(world, "return-hq").reason is Reason.ALREADY_THERE
    only_from_geo = replace(world.model.moves["acme/cloud-instance"], leaves=frozenset({"acme/geo"}))
    world.hears(e.ConfigurationLoaded(changed(world.model, only_from_geo)))
    found = assessed(world, "cloud-instance")
    assert found.reason is Reason.WRONG_PLACE
    assert found.evidence == "acme/erp is at acme/hq, the move starts from acme/geo"


def test_cooling_down_blocks_going_back_and_ends() -> None:
    world = lab()
    hq_loses_power(world)
    world.run(60)
    world.bad("hq-dark", "hq-off")
    world.good("isp-b-path", "hq-internet")
    world.run(30)
    assert assessed(world, "return-hq").reason is Reason.COOLING_DOWN
    world.run(900)
    assert assessed(world, "return-hq").reason is not Reason.COOLING_DOWN


def test_cooling_down_does_not_block_leaving_a_newly_failed_place() -> None:
    world = lab()
    hq_loses_power(world)
    world.run(40)
    geo_loses_power(world)
    world.run(60)
    assert world.decided().services["acme/erp"].place == "acme/cloud"


@pytest.mark.parametrize(
    ("measures", "accept_loss_s", "reason"),
    [
        ({"data_age_s": 5.0}, None, Reason.TIER_CHOSEN),
        ({"lag_s": 5.0}, None, Reason.TIER_CHOSEN),
        ({"data_age_s": 45.0}, None, Reason.RPO_EXCEEDED),
        ({"data_age_s": 45.0}, 60.0, Reason.TIER_CHOSEN),  # the author accepts it here
        ({"data_age_s": 65.0}, 60.0, Reason.RPO_EXCEEDED),
        ({"rtt_s": 0.1}, None, Reason.RPO_UNKNOWN),
    ],
)
def test_the_age_of_the_data_decides(measures: dict[str, float], accept_loss_s: float | None, reason: Reason) -> None:
    world = lab()
    world.measures["acme/geo-replica"] = measures
    world.run(5)
    assert assessed(world, "geo-site", accept_loss_s).reason is reason


def test_the_age_of_the_data_grows_while_nothing_new_is_heard() -> None:
    world = lab()
    world.measures["acme/geo-replica"] = {"data_age_s": 20.0}
    world.run(5)
    world.measures["acme/geo-replica"] = {}
    world.silent("geo-replica")
    world.run(15)
    assert assessed(world, "geo-site").reason is Reason.RPO_EXCEEDED


def test_a_move_that_names_no_age_of_its_data_is_not_promoted_blindly() -> None:
    world = lab()
    world.hears(e.ConfigurationLoaded(changed(world.model, replace(world.model.moves["acme/geo-site"], data_age=None))))
    assert assessed(world, "geo-site").reason is Reason.RPO_UNKNOWN


def test_a_busy_resource_is_waited_for() -> None:
    world = lab()
    world.hang.add("backup-isp")
    isp_a_dies(world)
    world.run(10)
    found = assessed(world, "backup-isp")
    assert (found.state, found.reason) == (r.TierState.WAITING, Reason.RESOURCE_BUSY)
    assert found.evidence == "acme/route is held by r1 (acme/backup-isp for acme/hq-internet)"


def test_a_resource_that_a_person_keeps_is_not_waited_for() -> None:
    """The shared move hangs, nobody can tell what it did, a person has it: erp climbs its own ladder."""
    world = lab()
    book_ = replace(world.model.moves["acme/backup-isp"], safe_to_repeat=False, done_when=None, timeout_s=20.0)
    world.hears(e.ConfigurationLoaded(changed(world.model, book_)))
    world.hang.add("backup-isp")
    isp_a_dies(world)
    world.run(60)
    assert world.decided().runs["r1"].human is not None
    asked = [t for t in world.told if t.kind is NoticeKind.APPROVAL_NEEDED]
    assert [t.subject for t in asked] == ["acme/erp"], "\n".join(story(world))
    tier1 = [x for x in world.records(r.TierJudged) if x.tier == 1][-1]
    assert (tier1.state, tier1.reason) == (r.TierState.INELIGIBLE, Reason.RESOURCE_BUSY)
    assert tier1.evidence.endswith("which waits for a person")


def test_a_shared_move_that_failed_for_another_is_not_run_again() -> None:
    world = lab()
    world.outcomes["backup-isp"] = e.AttemptEnd.FAILED
    isp_a_dies(world)
    world.run(60)
    assert world.played.count("backup-isp") == 1
    erp = world.decided().services["acme/erp"].last_incident or ""
    tier1 = world.decided().incidents[erp].tiers[1]
    assert (tier1.state, tier1.reason) == (r.TierState.INELIGIBLE, Reason.PLAYBOOK_FAILED)
    assert tier1.evidence.startswith("failed for acme/hq-internet (r1)")


def test_a_place_without_a_fence_needs_a_persons_word() -> None:
    world = lab()
    places = {**world.model.places, "acme/hq": replace(world.model.places["acme/hq"], fence=None)}
    world.hears(e.ConfigurationLoaded(changed(world.model, places=places)))
    assert assessed(world, "geo-site").asks == ("no fence: nothing in the plan can prove that acme/hq is out",)


def test_a_place_taken_out_of_the_configuration_may_still_act() -> None:
    world = lab()
    places = {k: p for k, p in world.model.places.items() if k != "acme/hq"}
    services = {k: replace(s, home=None) for k, s in world.model.services.items()}
    world.hears(e.ConfigurationLoaded(changed(world.model, places=places, services=services)))
    hq_loses_power(world)
    world.run(30)
    assert world.played == []
    assert world.say(WordKind.APPROVE, "r1", fenced="hq").accepted
    world.run(30)
    assert world.decided().services["acme/erp"].may_act == {"acme/geo"}


def test_a_fence_may_be_always_or_never_automatic() -> None:
    for automatic, asks in ((FenceBy.ALWAYS, ()), (FenceBy.NEVER, ("never automatic",))):
        world = lab()
        hq = world.model.places["acme/hq"]
        fence = replace(hq.fence, automatic=automatic) if hq.fence else None
        places = {**world.model.places, "acme/hq": replace(hq, fence=fence)}
        world.hears(e.ConfigurationLoaded(changed(world.model, places=places)))
        found = assessed(world, "geo-site").asks
        assert len(found) == len(asks)
        assert all(said in f for said, f in zip(asks, found, strict=True))


def spent(usual_s: dict[str, float], rto_s: float = 60.0) -> World:
    """Hq is dark and tier 1 cannot help; moves usually take so long."""
    world = lab(rto_s=rto_s)
    for move, took_s in usual_s.items():
        world.decided().durations[f"acme/{move}"] = [took_s] * 5
    hq_loses_power(world)
    world.run(60)
    return world


def tiers(world: World) -> dict[int, tuple[str, str]]:
    """State and reason of erp's tiers."""
    incident = world.decided().incidents[world.decided().services["acme/erp"].last_incident or ""]
    return {n: (t.state.value, t.reason.value) for n, t in sorted(incident.tiers.items())}


def test_a_tier_that_no_longer_fits_is_passed_over_while_another_fits() -> None:
    world = spent({"geo-site": 300.0, "cloud-instance": 10.0})
    assert tiers(world)[2] == ("ineligible", "budget too small")
    assert tiers(world)[3] == ("recovered", "verified")


def test_no_history_counts_as_fits() -> None:
    assert tiers(spent({"geo-site": 300.0}))[3] == ("recovered", "verified")
    assert tiers(spent({"cloud-instance": 300.0}))[2] == ("recovered", "verified")


def test_if_none_fits_the_authors_order_stands_and_the_breach_is_predicted() -> None:
    world = spent({"geo-site": 300.0, "cloud-instance": 200.0})
    assert tiers(world)[2] == ("recovered", "verified")
    chosen = [x for x in world.records(r.ServiceJudged) if x.reason is Reason.TIER_CHOSEN]
    assert "predicted to miss the RTO" in chosen[-1].evidence


def test_every_refusal_has_evidence() -> None:
    world = spent({})
    assert all(x.evidence for x in world.records(r.TierJudged, r.ServiceJudged, r.StepFinished))


def test_to_fence_is_every_place_that_might_act_but_the_destination() -> None:
    world = World(acme())
    tx = world.engine.transaction(world.now)
    erp = tx.model.services["acme/erp"]
    assert ladder.to_fence(tx, erp, tx.model.moves["acme/geo-site"]) == ["acme/hq"]
    assert ladder.to_fence(tx, erp, tx.model.moves["acme/return-hq"]) == []
    assert ladder.to_fence(tx, replace(erp, exclusive=False), tx.model.moves["acme/geo-site"]) == []
    assert ladder.to_fence(tx, erp, Move("acme/x", "acme", "x", book("x"), all_of("erp-transaction"))) == []


def muted_preflights(monkeypatch: pytest.MonkeyPatch, runs: int) -> World:
    """The second line is well when it is chosen; as soon as a run asks, nothing answers for it, so many times."""
    world = lab()
    asks = world._ask

    def ask(name: str) -> None:
        asked = len(list(world.records(r.RunStarted))) <= runs and world.decided().unfinished_runs()
        world.answers["acme/isp-b-path"] = e.Answer.NONE if asked else e.Answer.GOOD
        asks(name)

    monkeypatch.setattr(world, "_ask", ask)
    isp_a_dies(world)
    return world


def test_a_move_that_could_not_be_asked_for_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that has just come up is slow to answer: that is no failure of the tier for the whole outage."""
    world = muted_preflights(monkeypatch, 1)
    world.run(90)
    assert [x.move for x in world.records(r.RunStarted)][:2] == ["acme/backup-isp"] * 2  # type: ignore[attr-defined]
    ends = [x.reason for x in world.records(r.RunEnded)]  # type: ignore[attr-defined]
    assert ends == [Reason.VIABILITY_UNKNOWN, Reason.VERIFIED], "\n".join(story(world))


def test_a_move_whose_preconditions_never_answer_in_time_fails_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Well whenever it is chosen, mute whenever it is asked: it does not go round for ever."""
    world = muted_preflights(monkeypatch, 99)
    world.run(300)
    runs = [x for x in world.records(r.RunStarted) if x.move == "acme/backup-isp"]  # type: ignore[attr-defined]
    assert len(runs) == ASKED_FOR, "\n".join(story(world))
    assert any(x.state is r.TierState.FAILED for x in world.records(r.TierJudged))  # type: ignore[attr-defined]


def two_rungs() -> World:
    """A ladder of a promotion and, below it, a restart where the service is; hq has a fence that works."""
    model = acme(depends_on=(), ladder=(Tier("acme/geo-site"), Tier("acme/restart")))
    verify = all_of("erp-transaction")
    restart = Move("acme/restart", "acme", "restart", book("restart_erp"), verify, safe_to_repeat=True)
    world = World(changed(model, restart))
    world.effects["power_off_hq"] = lambda: world.good("hq-off")
    world.run(20)
    return world


def test_what_was_fenced_for_a_promotion_that_failed_half_way_is_not_started_again_beside_it() -> None:
    world = two_rungs()
    world.outcomes["geo-site"] = e.AttemptEnd.FAILED
    hq_loses_power(world)
    world.run(100)
    assert world.decided().services["acme/erp"].may_act == {"acme/geo"}
    assert world.played == ["power_off_hq", "geo-site"], "at hq it would be the second to act"
    (incident,) = [i for i in world.decided().incidents.values() if i.service == "acme/erp"]
    ledger = incident.tiers[2]
    assert ledger.reason is Reason.WRONG_PLACE
    assert ledger.evidence == "acme/hq is out, and acme/geo may act: nothing is started at both"
    refused = world.say(WordKind.FAILOVER, "acme/erp", move="restart", override=["wrong place"])
    assert not refused.accepted


def test_a_place_that_was_taken_out_is_on_record_again_before_anything_is_started_there() -> None:
    world = two_rungs()
    hq_loses_power(world)
    world.run(3.5)
    assert world.played == ["power_off_hq"]
    edited = replace(world.model.moves["acme/geo-site"], playbook=replace(book("geo-site"), digest="edited"))
    world.hears(e.ConfigurationLoaded(changed(world.model, edited)))
    world.bad("geo-ready")
    world.run(30)
    assert world.played == ["power_off_hq", "restart_erp"]
    kinds = [(type(x), getattr(x, "place", "")) for x in world.records(r.MayActAdded, r.MayActRemoved)]
    assert kinds == [(r.MayActRemoved, "acme/hq"), (r.MayActAdded, "acme/hq")]


def test_nothing_is_assumed_to_fit_into_an_rto_that_is_over() -> None:
    world = lab(rto_s=60.0)
    world.say(WordKind.HOLD, "acme")
    world.silent("erp-transaction", "hq-internet", "isp-b-path")
    world.good("hq-dark")
    world.run(120)
    world.say(WordKind.RESUME, "acme")
    world.run(5)
    (chosen,) = [x.text for x in world.told if x.subject == "acme/erp" and "tier 2 acme/geo-site chosen" in x.text]
    assert "chosen (r1), no history; tier 1" in chosen


def test_a_place_that_was_given_up_is_told_so_for_as_long_as_it_counts() -> None:
    """Read an hour later, "12s ago" would be false."""
    world = lab()
    hq_loses_power(world)
    world.run(60)
    world.silent("erp-transaction", "erp-at-geo", "geo-ready")
    world.bad("cloud-ready")
    world.run(60)
    assert world.decided().services["acme/erp"].place == "acme/geo"
    service = world.model.services["acme/erp"]
    back = replace(service, ladder=(*service.ladder, Tier("acme/return-hq")))
    found = ladder.assess(world.engine.transaction(world.now), back, Tier("acme/return-hq"), 0.0)
    assert (found.reason, found.evidence) == (Reason.COOLING_DOWN, "acme/hq was given up less than 15:00 ago")


@pytest.mark.parametrize(
    ("slowest_s", "tier_2"),  # nine quick ones and one slow: the nearest rank of their 90th percentile is a quick one
    [(300.0, ("ineligible", "budget too small")), (20.0, ("recovered", "verified"))],
)
def test_of_few_runs_the_longest_decides(slowest_s: float, tier_2: tuple[str, str]) -> None:
    world = lab(rto_s=60.0)
    world.decided().durations["acme/geo-site"] = [5.0] * 9 + [slowest_s]
    world.decided().durations["acme/cloud-instance"] = [10.0]
    hq_loses_power(world)
    world.run(60)
    assert tiers(world)[2] == tier_2
    if slowest_s > 60.0:
        (judged,) = [x for x in world.records(r.TierJudged) if x.reason is Reason.BUDGET_TOO_SMALL][:1]
        assert judged.evidence.startswith(
            "at most 5:00 (the largest of 10 live runs: bounds the 90th percentile with 65%, 19 runs missing for 95%), "
        )


def test_of_many_runs_one_that_was_slow_does_not_decide() -> None:
    world = lab(rto_s=60.0)
    world.decided().durations["acme/geo-site"] = [5.0] * 49 + [300.0]
    world.decided().durations["acme/cloud-instance"] = [10.0]
    hq_loses_power(world)
    world.run(60)
    assert tiers(world)[2] == ("recovered", "verified")


def test_what_drills_took_decides_nothing() -> None:
    """They are kept apart, and the text of a choice says that no live run of it is known."""
    world = lab(rto_s=60.0)
    world.decided().drilled["acme/geo-site"] = [300.0] * 5
    hq_loses_power(world)
    world.run(60)
    assert tiers(world)[2] == ("recovered", "verified")
    chosen = [x for x in world.records(r.ServiceJudged) if x.reason is Reason.TIER_CHOSEN]
    assert "no live run (drills: at most 5:00 (the largest of 5 drills: bounds" in chosen[-1].evidence
