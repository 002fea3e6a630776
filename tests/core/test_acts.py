"""The three acts of the main job, and what may go wrong in them, told to the pure core."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace

import pytest

from orchestrator.core import events as e
from orchestrator.core import records as r
from orchestrator.core.commands import NoticeKind
from orchestrator.core.events import WordKind
from orchestrator.core.invariant_broken import InvariantBroken
from orchestrator.core.model import Mode
from orchestrator.core.reasons import Reason
from orchestrator.core.runs import stopping
from orchestrator.core.runs.plan import approving
from orchestrator.core.state.fold import fold
from tests.core.stage import geo_loses_power, hq_loses_power, isp_a_dies, lab
from tests.core.world import World, acme, story
from tests.mutants.mutant import put


def test_nothing_happens_while_all_is_well() -> None:
    world = lab()
    world.run(900)
    assert not list(world.records(r.IncidentOpened))
    assert world.played == []


def test_act_1_the_link_move_runs_once_for_all_that_need_it() -> None:
    world = lab()
    isp_a_dies(world)
    world.run(30)
    assert world.played == ["backup-isp"], story(world)
    ended = {world.decided().incidents[x.incident].service: x.reason for x in world.records(r.IncidentEnded)}
    assert ended == {"acme/hq-internet": Reason.VERIFIED, "acme/erp": Reason.RECOVERED_WITH_ANOTHER}, story(world)
    assert world.decided().engaged == {"acme/backup-isp": "r1"}


def test_acts_2_and_3_climb_the_ladder_with_reasons() -> None:
    world = lab()
    isp_a_dies(world)
    world.run(30)
    hq_loses_power(world)
    world.run(40)
    assert world.played == ["backup-isp", "power_off_hq", "geo-site"], "\n".join(story(world))
    assert world.decided().services["acme/erp"].place == "acme/geo"
    assert world.decided().services["acme/erp"].may_act == {"acme/geo"}
    tiers = {
        x.tier: x for x in world.records(r.TierJudged) if world.decided().incidents[x.incident].service == "acme/erp"
    }
    assert (tiers[1].state, tiers[1].reason) == (r.TierState.INELIGIBLE, Reason.NOT_VIABLE)
    assert tiers[2].state is r.TierState.RECOVERED
    geo_loses_power(world)
    world.run(40)
    assert world.played[3:] == ["power_off_geo", "cloud-instance"], "\n".join(story(world))
    assert world.decided().services["acme/erp"].may_act == {"acme/cloud"}
    erp = [i for i in world.decided().incidents.values() if i.service == "acme/erp"]
    assert len(erp) == 1
    assert erp[0].episodes == 3
    assert erp[0].ended is not None
    assert not world.decided().unfinished_runs()


def test_decided_is_the_fold_of_its_records() -> None:
    world = lab()
    isp_a_dies(world)
    world.run(30)
    hq_loses_power(world)
    world.run(40)
    assert fold(world.records()) == world.engine.decided


def test_a_console_that_cannot_be_asked_means_a_named_person_must_decide() -> None:
    world = lab()
    world.nothing("hq-dark", "hq-off")
    world.run(10)
    world.silent("erp-transaction", "hq-internet", "isp-b-path")
    world.run(60)
    assert world.played == []
    asked = [t for t in world.told if t.kind is NoticeKind.APPROVAL_NEEDED]
    assert [t.say for t in asked] == [approving(world.engine.decided.runs["r1"])]
    assert "unknown" in asked[0].text
    assert world.say(WordKind.APPROVE, "r1", fenced="hq").accepted
    world.run(30)
    assert world.played == ["geo-site"]
    assert Reason.FENCED_BY_HAND in {x.reason for x in world.records(r.MayActRemoved)}


def test_both_isps_cut_with_power_on_asks_and_does_not_fence() -> None:
    world = lab()
    world.silent("erp-transaction", "hq-internet", "isp-b-path")
    world.run(60)
    assert world.played == []
    asked = [t for t in world.told if t.kind is NoticeKind.APPROVAL_NEEDED]
    assert "not dark" in asked[0].text
    world.good("hq-dark")  # and now the power goes as well: no person is needed any more
    world.run(30)
    assert world.played == ["power_off_hq", "geo-site"]


def test_an_outage_that_passes_while_a_person_is_asked_holds_nothing_against_the_place_that_was_ready() -> None:
    """Nothing had been begun there: the second site has not failed, and is tier 2 still when the power goes."""
    world = lab()
    world.silent("erp-transaction", "hq-internet", "isp-b-path")
    world.run(20)
    world.good("erp-transaction", "hq-internet", "isp-b-path")
    world.run(20)
    assert [x.reason for x in world.records(r.RunEnded)] == [Reason.RECOVERED_BY_ITSELF], story(world)
    assert not world.decided().services["acme/erp"].left
    hq_loses_power(world)
    world.run(30)
    assert world.played == ["power_off_hq", "geo-site"], "\n".join(story(world))


def test_nobody_approves_and_no_reply_is_no() -> None:
    world = lab(approval_expires_s=60.0)
    world.silent("erp-transaction", "hq-internet", "isp-b-path")
    world.run(400)
    assert world.played == []
    assert Reason.APPROVAL_EXPIRED in {x.reason for x in world.records(r.RunEnded)}
    assert NoticeKind.HUMAN_NEEDED in {t.kind for t in world.told if t.subject == "acme/erp"}
    assert world.decided().services["acme/erp"].incident is not None


def test_what_nobody_approved_was_not_made_and_has_not_failed() -> None:
    """Nothing of it was begun: it is told as a rejected one is, to people and in the report."""
    world = lab(approval_expires_s=60.0)
    world.silent("erp-transaction", "hq-internet", "isp-b-path")
    world.run(100)
    told = [t for t in world.told if "approval expired" in t.text and t.kind is not NoticeKind.TIER_CHOSEN]
    first = next(t for t in told if t.kind is not NoticeKind.HUMAN_NEEDED)
    assert (first.kind, first.text) == (
        NoticeKind.NOT_MADE,
        "acme/erp: tier 2 acme/geo-site was not made: approval expired: no reply within 1:00",
    )
    assert not [t for t in world.told if t.kind is NoticeKind.TIER_FAILED]
    assert not next(x for x in world.decided().runs.values() if x.started.move == "acme/geo-site").failed


def test_observe_writes_what_it_would_have_done_and_does_nothing() -> None:
    world = lab(Mode.OBSERVE)
    isp_a_dies(world)
    world.run(60)
    assert world.played == []
    judged = [x for x in world.records(r.ServiceJudged) if x.reason is Reason.OBSERVE_ONLY]
    assert "would run tier 1 acme/backup-isp" in judged[0].evidence


def test_a_blind_controller_does_nothing() -> None:
    world = lab()
    world.silent(*(c.removeprefix("acme/") for c in world.model.checks))
    world.run(120)
    assert not list(world.records(r.IncidentOpened))
    assert not [x for x in world.records(r.VerdictChanged) if x.verdict is r.Verdict.DOWN and x.at > 20]


def test_an_unreported_replica_blocks_the_promotion() -> None:
    world = lab()
    world.measures["acme/geo-replica"] = {"data_age_s": 45.0}
    world.run(5)
    hq_loses_power(world)
    world.run(60)
    assert world.played == ["power_off_hq", "cloud-instance"], "\n".join(story(world))
    tiers = {
        x.tier: x.reason
        for x in world.records(r.TierJudged)
        if x.incident == world.decided().services["acme/erp"].last_incident
    }
    assert tiers[2] is Reason.RPO_EXCEEDED


def test_a_failed_tier_hands_over_to_the_next() -> None:
    world = lab()
    world.outcomes["geo-site"] = e.AttemptEnd.FAILED
    hq_loses_power(world)
    world.run(20)
    world.good("geo-dark")
    world.run(60)
    assert world.played == ["power_off_hq", "geo-site", "power_off_geo", "cloud-instance"], "\n".join(story(world))


def test_failback_hands_over_and_comes_home() -> None:
    world = lab()
    hq_loses_power(world)
    world.run(60)
    world.bad("hq-dark", "hq-off")
    world.good("isp-b-path", "hq-internet")
    world.run(60)
    answer = world.say(WordKind.FAILBACK, "acme/erp")
    assert answer.accepted, answer
    world.run(60)
    assert world.played == ["power_off_hq", "geo-site", "rebuild_hq", "hand_over", "return-hq", "rebuild_geo"]
    assert world.decided().services["acme/erp"].place == "acme/hq"
    assert world.decided().services["acme/erp"].may_act == {"acme/hq"}


def test_a_word_is_answered_once_and_repeats_its_answer() -> None:
    world = lab()
    first = world.say(WordKind.HOLD, "acme/erp", word="same")
    again = world.say(WordKind.HOLD, "acme/erp", word="same")
    assert first == again
    assert len(list(world.records(r.WordAccepted))) == 1


def test_held_services_are_left_alone_until_resumed() -> None:
    world = lab()
    world.say(WordKind.HOLD, "*")
    isp_a_dies(world)
    world.run(60)
    assert world.played == []
    world.say(WordKind.RESUME, "*")
    world.run(60)
    assert world.played == ["backup-isp"]


@pytest.mark.parametrize("when", range(1, 60))
def test_killed_between_any_two_entries_it_recovers_and_repeats_nothing_done(when: int) -> None:
    """The controller dies after the n-th entry of act 2 and comes back five seconds later."""
    world = lab()
    done: list[str] = []
    start = len(world.entries)
    hq_loses_power(world)
    while len(world.entries) < start + when and world.now < 200:
        world.go()
    world.crash()
    world.run(5)
    world.start()
    world.run(120)
    assert world.decided().services["acme/erp"].place == "acme/geo", "\n".join(story(world))
    assert not world.decided().unfinished_runs()
    assert not [i for i in world.decided().open_incidents() if i.service == "acme/erp"]
    done = [f"{x.run}/{x.step}" for x in world.records(r.StepFinished) if x.state is r.StepState.DONE]
    assert len(done) == len(set(done))


def test_a_step_that_never_began_is_simply_begun() -> None:
    """The controller dies between the intent and the act: nothing has to be looked at, nobody has to be asked."""
    model = acme()
    moves = {k: replace(m, safe_to_repeat=False, done_when=None) for k, m in model.moves.items()}
    world = World(replace(model, moves=moves))
    world.good("erp-transaction")
    world.run(20)
    world.silent("hq-internet")
    while not list(world.records(r.RunStarted)):
        world.run(0.05)
    while world.decided().runs["r1"].step("execute").state is not r.StepState.RUNNING:
        world.go()
    world.crash()
    world.start()
    key = e.StepKey("r1", "execute", 1)
    world._step(e.StepEnded(key, e.AttemptEnd.NEVER_BEGUN, "there is no trace of it"))
    assert world.decided().runs["r1"].step("execute").attempt == 2
    assert world.played == ["backup-isp", "backup-isp"]


@pytest.mark.parametrize("away_s", [20.0, 3600.0])
def test_an_approval_from_long_before_the_controller_began_is_asked_for_anew(away_s: float) -> None:
    """Given, and then nobody was there for an hour: it was meant for then. Nothing had begun, the tier is there."""
    world = lab(approval_expires_s=60.0)
    world.silent("erp-transaction", "hq-internet", "isp-b-path")
    world.run(20)
    (run,) = (x for x in world.decided().unfinished_runs() if x.asks_a_person)
    assert world.say(WordKind.APPROVE, run.id).accepted
    assert world.decided().runs[run.id].approved is not None
    world.crash()
    world.run(away_s)
    world.start()
    world.run(50)
    ended = world.decided().runs[run.id].ended
    if away_s < 60.0:
        assert ended is None or ended.ok
        assert world.played
        return
    assert ended is not None
    assert (ended.reason, ended.evidence) == (
        Reason.SAID_LONG_AGO, "Ada's word was 1:00:00 old when this controller began, 1:00 allowed",
    )  # fmt: skip
    assert world.played == []
    assert [x.id for x in world.decided().unfinished_runs() if x.asks_a_person and x.id != run.id]


def test_what_is_wanted_anew_after_a_long_absence_is_made() -> None:
    """A preparation's end was not seen, nobody was there for an hour: whoever has it tried again now wants it now."""
    model = acme()
    prepared = {k: replace(m, prepare=m.playbook, safe_to_repeat=False) for k, m in model.moves.items()}
    world = World(replace(model, moves=prepared))
    world.good(*world.model.checks)
    world.run(20)
    assert world.say(WordKind.FAILOVER, "acme/hq-internet", move="backup-isp").accepted
    while not world.played:
        world.go()
    world.crash()
    world.run(3600)
    world.start()
    world._step(e.StepEnded(e.StepKey("r1", "prepare", 1), e.AttemptEnd.LOST, "its worker was killed"))
    world.run(30)
    assert world.decided().runs["r1"].human is not None, "\n".join(story(world))
    assert world.say(WordKind.APPROVE, "r1").accepted
    world.run(60)
    ended = world.decided().runs["r1"].ended
    assert ended is not None
    assert ended.reason is not Reason.SAID_LONG_AGO, "\n".join(story(world))


def test_a_move_that_was_wanted_long_before_the_controller_began_is_not_made() -> None:
    """Without the rule the core's own statement stops it."""
    for rule in (True, False):
        world = lab(approval_expires_s=60.0)
        assert world.say(WordKind.FAILOVER, "acme/hq-internet", move="backup-isp").accepted
        assert not world.played
        world.crash()
        world.run(3600)
        broken = put(stopping, "_said_long_ago", lambda _tx, _run: "")
        noticed = pytest.raises(InvariantBroken, match="a word is about the present")
        with nullcontext() if rule else broken, nullcontext() if rule else noticed:
            world.start()
            world.run(30)
        assert world.played == []


def test_a_place_said_to_be_dark_that_answers_is_not_fenced_by_itself() -> None:
    """The console says that the power is gone, and a host of the place has just answered: a person decides."""
    model = acme()
    places = dict(model.places)
    places["acme/hq"] = replace(places["acme/hq"], domains=frozenset({"acme/isp-b-path"}))
    world = World(replace(model, places=places))
    world.bad("hq-dark")
    world.run(20)
    world.silent("erp-transaction", "hq-internet")
    world.outcomes["backup-isp"] = e.AttemptEnd.FAILED
    world.good("hq-dark")
    world.run(60)
    assert "power_off_hq" not in world.played
    asked = [t for t in world.told if t.kind is NoticeKind.APPROVAL_NEEDED]
    assert "seen alive" in asked[0].text
