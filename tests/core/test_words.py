"""What operators say: each word accepted or refused once, by a named rule, on evidence that says what would lift it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.core import events as e
from orchestrator.core import records as r
from orchestrator.core.commands import NoticeKind
from orchestrator.core.deciding import words
from orchestrator.core.events import WordKind
from orchestrator.core.model import Tier
from orchestrator.core.reasons import Reason
from tests.core.stage import geo_loses_power, hq_loses_power, isp_a_dies, lab
from tests.core.world import World


def waiting_for_approval() -> World:
    """Everything at hq is silent and its console says that the power is on."""
    world = lab()
    world.silent("erp-transaction", "hq-internet", "isp-b-path")
    world.run(30)
    return world


def at_geo() -> World:
    """Act 2 is over, and hq is whole again."""
    world = lab()
    hq_loses_power(world)
    world.run(60)
    world.bad("hq-dark", "hq-off")
    world.good("isp-b-path", "hq-internet")
    world.run(60)
    return world


@pytest.mark.parametrize(
    ("kind", "subject", "options", "reason", "says"),
    [
        (WordKind.FAILOVER, "acme/nosuch", {}, Reason.NO_SUCH_SERVICE, "there are acme/erp, acme/hq-internet"),
        (WordKind.FAILOVER, "acme/erp", {"move": "nosuch"}, Reason.NO_SUCH_MOVE, "it has backup-isp, geo-site"),
        (WordKind.FAILOVER, "acme/erp", {"move": "geo-site"}, Reason.FENCE_NOT_AUTOMATIC, "say --fence to fence it"),
        (WordKind.FAILOVER, "acme/erp", {"move": "geo-site", "fenced": "cloud"}, Reason.WRONG_PLACE, "acme/hq, not"),
        (WordKind.FAILBACK, "acme/erp", {}, Reason.AT_HOME, "ways back declared: acme/backup-isp.back"),
        (WordKind.FAILBACK, "acme/erp", {"move": "nosuch"}, Reason.NO_SUCH_MOVE, "no way back 'nosuch'"),
        (WordKind.FAILBACK, "acme/nosuch", {}, Reason.NO_SUCH_SERVICE, "no service 'acme/nosuch'"),
        (WordKind.APPROVE, "r9", {}, Reason.NO_SUCH_RUN, "no run 'r9'"),
        (WordKind.REJECT, "r9", {}, Reason.NO_SUCH_RUN, "no run 'r9'"),
        (WordKind.ABORT, "r9", {}, Reason.NO_SUCH_RUN, "no run 'r9'"),
        (WordKind.HOLD, "nobody", {}, Reason.NO_SUCH_SERVICE, "no service 'nobody'"),
        (WordKind.RESUME, "acme/erp", {}, Reason.NOT_HELD, "acme/erp is not held by that name; held: nothing"),
        (WordKind.MAINTENANCE, "acme", {}, Reason.INCOMPLETE, "--for 2h"),
        (WordKind.MAINTENANCE, "acme", {"for_s": 0}, Reason.INCOMPLETE, "--for 2h"),
    ],
)
def test_refusals_name_the_rule_and_the_evidence(
    kind: WordKind, subject: str, options: dict[str, object], reason: Reason, says: str
) -> None:
    world = lab()
    answer = world.say(kind, subject, **options)
    assert not answer.accepted
    assert answer.reason == reason.value
    assert says in answer.evidence
    assert world.played == []
    assert len(list(world.records(r.WordRefused))) == 1


def test_nothing_is_at_home_that_has_no_home() -> None:
    answer = lab(home=None, exclusive=False, failback=("acme/backup-isp.back",)).say(WordKind.FAILBACK, "acme/erp")
    assert answer.reason == Reason.NO_WAY_BACK.value
    assert "no home is declared and no move is in effect" in answer.evidence


def test_every_kind_of_word_is_heard() -> None:
    assert set(words._HEARD) == set(WordKind), "give it a row in _HEARD, or let it be one of STANDING in core/events.py"


@pytest.mark.parametrize("kind", list(WordKind))
def test_a_word_needs_a_name(kind: WordKind) -> None:
    world = lab()
    world.hears(e.WordSpoken("w", kind, "  ", "acme/erp", "", {"for_s": 60.0}))
    assert world.answered[-1].reason == Reason.NOBODY_NAMED.value


@pytest.mark.parametrize("kind", [WordKind.HOLD, WordKind.SUSPECT, WordKind.MAINTENANCE])
@pytest.mark.parametrize("subject", ["acme/erp", "acme", "*"])
def test_standing_words_take_a_service_a_client_or_everything(kind: WordKind, subject: str) -> None:
    world = lab()
    assert world.say(kind, subject, for_s=60.0).accepted
    decided = world.decided()
    kept = {WordKind.HOLD: decided.holds, WordKind.SUSPECT: decided.suspected}.get(kind, decided.maintenance)
    assert subject in kept
    ends = {WordKind.HOLD: WordKind.RESUME, WordKind.SUSPECT: WordKind.CLEAR}.get(kind, WordKind.MAINTENANCE_END)
    assert world.say(ends, subject).accepted
    assert subject not in kept


def test_a_refused_word_repeats_its_refusal_even_if_it_could_be_done_by_now() -> None:
    world = lab()
    world.bad("isp-b-path")
    world.run(10)
    first = world.say(WordKind.FAILOVER, "acme/hq-internet", word="same")
    assert first.reason == Reason.NOT_VIABLE.value
    world.good("isp-b-path")
    world.run(10)
    assert world.say(WordKind.FAILOVER, "acme/hq-internet", word="same") == first
    assert world.say(WordKind.FAILOVER, "acme/hq-internet", word="another").accepted


def test_an_accepted_failover_runs_once_however_often_it_is_repeated() -> None:
    world = lab()
    first = world.say(WordKind.FAILOVER, "acme/hq-internet", word="same")
    world.run(30)
    assert world.say(WordKind.FAILOVER, "acme/hq-internet", word="same") == first
    world.run(30)
    assert world.played == ["backup-isp"]
    assert first.run == "r1"


def test_a_failover_while_another_run_has_not_ended_is_refused_and_says_what_that_one_does() -> None:
    world = waiting_for_approval()
    answer = world.say(WordKind.FAILOVER, "acme/erp", move="cloud-instance")
    assert answer.reason == Reason.RESOURCE_BUSY.value
    assert answer.evidence == "r1 (acme/geo-site for acme/erp) waits for a person"


def test_the_first_tier_that_can_is_taken_and_all_refusals_are_told() -> None:
    world = lab()
    world.bad("isp-b-path", "geo-ready")
    world.run(10)
    answer = world.say(WordKind.FAILOVER, "acme/erp")
    assert answer.reason == Reason.NO_TIER_LEFT.value
    for said in ("backup-isp: not viable", "geo-site: not viable", "cloud-instance: fence not automatic"):
        assert said in answer.evidence
    assert world.say(WordKind.FAILOVER, "acme/erp", fence=True).accepted
    world.run(30)
    assert world.played == ["power_off_hq", "cloud-instance"]


def test_a_named_person_may_state_that_the_place_cannot_act() -> None:
    world = lab()
    assert world.say(WordKind.FAILOVER, "acme/erp", move="geo-site", fenced="hq").accepted
    world.run(30)
    assert world.played == ["geo-site"]
    removed = [x for x in world.records(r.MayActRemoved) if isinstance(x, r.MayActRemoved)]
    assert [(x.place, x.reason) for x in removed] == [("acme/hq", Reason.FENCED_BY_HAND)]
    assert "Ada states that acme/hq cannot act" in removed[0].evidence


def test_what_a_word_begins_is_not_told_with_why_an_earlier_run_failed() -> None:
    """A fence may be proven by now, so the tier is tried again; what is on record of the word is of now."""
    world = lab()
    hq_loses_power(world)
    world.effects["power_off_hq"] = lambda: None
    world.run(200)
    failed = [x for x in world.records(r.TierJudged) if isinstance(x, r.TierJudged)]
    assert any(x.reason is Reason.FENCE_UNPROVEN and x.state is r.TierState.FAILED for x in failed)
    answer = world.say(WordKind.FAILOVER, "acme/erp", fenced="hq")
    assert answer.accepted
    assert "proof" not in answer.evidence, answer.evidence


def test_a_hold_says_which_run_it_does_not_stop() -> None:
    world = lab()
    isp_a_dies(world)
    world.takes["backup-isp"] = 60.0
    world.run(20)
    (run,) = world.decided().unfinished_runs()
    assert run.committed
    told = f"{run.id} goes on, to stop it: bascule abort {run.id}"
    assert world.say(WordKind.HOLD, "acme").evidence.endswith(told)
    assert told not in world.say(WordKind.HOLD, "acme/erp").evidence, "another service's"


def test_to_vouch_for_one_place_does_not_vouch_for_its_namesake() -> None:
    world = lab()
    hq2 = replace(world.model.places["acme/hq"], id="acme/hq2", name="hq2")
    world.hears(e.ConfigurationLoaded(replace(world.model, digest="two", places={**world.model.places, hq2.id: hq2})))
    world.decided().services["acme/erp"].may_act.add("acme/hq2")
    answer = world.say(WordKind.FAILOVER, "acme/erp", move="geo-site", fenced="hq")
    assert answer.reason == Reason.FENCE_NOT_AUTOMATIC.value
    assert "acme/hq2 is not dark" in answer.evidence


def test_blind_refuses_and_can_be_overridden_by_name() -> None:
    world = lab()
    world.silent("ref", "ref2")
    world.run(10)
    answer = world.say(WordKind.FAILOVER, "acme/hq-internet")
    assert answer.reason == Reason.BLIND.value
    answer = world.say(WordKind.FAILOVER, "acme/hq-internet", override=["blind"])
    assert answer.reason == Reason.VIABILITY_UNKNOWN.value  # the next rule, which the word did not put aside
    assert world.say(WordKind.FAILOVER, "acme/hq-internet", override=["blind", "viability_unknown"]).accepted


def test_old_data_refuses_and_can_be_overridden_by_name() -> None:
    world = lab()
    world.measures["acme/geo-replica"] = {"data_age_s": 45.0}
    world.run(5)
    wanted = {"move": "geo-site", "fence": True}
    assert world.say(WordKind.FAILOVER, "acme/erp", **wanted).reason == Reason.RPO_EXCEEDED.value
    assert world.say(WordKind.FAILOVER, "acme/erp", override=["RPO exceeded"], **wanted).accepted
    world.run(30)
    assert world.decided().services["acme/erp"].place == "acme/geo"


def test_a_person_may_try_a_failed_tier_again_by_naming_it() -> None:
    world = lab()
    world.outcomes["backup-isp"] = e.AttemptEnd.FAILED
    world.bad("geo-ready", "cloud-ready")
    world.run(10)
    isp_a_dies(world)
    world.run(40)
    assert world.say(WordKind.FAILOVER, "acme/hq-internet").reason == Reason.PLAYBOOK_FAILED.value
    del world.outcomes["backup-isp"]  # the playbook has been mended
    assert world.say(WordKind.FAILOVER, "acme/hq-internet", move="backup-isp").accepted
    world.run(40)
    assert world.decided().open_incidents() == []


def test_failback_is_refused_in_an_open_incident() -> None:
    world = at_geo()
    world.bad("cloud-ready", "isp-b-path")
    world.run(10)
    geo_loses_power(world)
    world.run(10)
    answer = world.say(WordKind.FAILBACK, "acme/erp")
    assert answer.reason == Reason.IN_INCIDENT.value
    assert "is open; recover first" in answer.evidence


def test_failback_wants_its_preconditions() -> None:
    world = at_geo()
    world.bad("hq-ready")
    world.run(10)
    assert world.say(WordKind.FAILBACK, "acme/erp").reason == Reason.NOT_VIABLE.value
    world.good("hq-ready")
    world.run(10)
    assert world.say(WordKind.FAILBACK, "acme/erp").accepted


def test_a_failover_by_hand_to_a_way_back_names_it() -> None:
    world = at_geo()
    assert world.say(WordKind.FAILOVER, "acme/erp", move="return-hq").accepted
    world.run(60)
    assert world.decided().services["acme/erp"].place == "acme/hq"


def test_a_hand_over_is_not_taken_for_granted_in_an_open_incident() -> None:
    """Its plan would have the place's own fence: that has to be said."""
    world = at_geo()
    world.say(WordKind.HOLD, "acme/erp")
    world.bad("erp-transaction")
    world.run(10)
    services = dict(world.model.services)
    services["acme/erp"] = replace(services["acme/erp"], rpo_s=None, ladder=(Tier("acme/return-hq"),))
    world.hears(e.ConfigurationLoaded(replace(world.model, digest="home", services=services)))
    answer = world.say(WordKind.FAILOVER, "acme/erp", move="return-hq")
    assert answer.reason == Reason.FENCE_NOT_AUTOMATIC.value


def test_approvals_are_for_what_waits() -> None:
    world = waiting_for_approval()
    assert world.say(WordKind.APPROVE, "r1", fenced="geo").reason == Reason.WRONG_PLACE.value
    assert world.say(WordKind.APPROVE, "r1", fenced="hq").accepted
    assert world.say(WordKind.APPROVE, "r1").reason == Reason.NOT_WAITING.value
    world.run(30)
    assert world.say(WordKind.APPROVE, "r1").reason == Reason.ALREADY_ENDED.value
    assert world.say(WordKind.ABORT, "r1").reason == Reason.ALREADY_ENDED.value
    assert world.say(WordKind.REJECT, "r1").reason == Reason.NOT_WAITING.value


def test_an_approval_of_what_another_workspace_showed_is_none() -> None:
    """Two workspaces, or an older journal that was put back, have runs of one id: what was shown tells them apart."""
    world = waiting_for_approval()
    (asked,) = (told.say for told in world.told if told.kind is NoticeKind.APPROVAL_NEEDED)
    shown = asked.removeprefix("bascule approve r1 --plan ")
    for other in ("0123456789abcdef", shown[:4], "", 7):
        answer = world.say(WordKind.APPROVE, "r1", plan=other)
        assert (answer.accepted, answer.reason) == (False, Reason.ANOTHER_PLAN.value)
        assert f"r1 is acme/geo-site for acme/erp, plan {shown}, and not plan" in answer.evidence
    assert world.decided().runs["r1"].approved is None
    assert world.say(WordKind.APPROVE, "r1", plan=shown, fenced="hq").accepted


def test_an_approval_of_an_earlier_run_of_this_id_is_none() -> None:
    """A move has the same plan each time. In a journal that was put back the id is given again, for another outage."""
    earlier, later = waiting_for_approval(), lab()
    later.run(3600)
    later.silent("erp-transaction", "hq-internet", "isp-b-path")
    later.run(30)
    (asked,) = (told.say for told in earlier.told if told.kind is NoticeKind.APPROVAL_NEEDED)
    runs = [world.decided().runs["r1"].started for world in (earlier, later)]
    assert runs[0].plan_digest == runs[1].plan_digest
    answer = later.say(WordKind.APPROVE, "r1", plan=asked.removeprefix("bascule approve r1 --plan "))
    assert (answer.accepted, answer.reason) == (False, Reason.ANOTHER_PLAN.value)


def test_no_is_an_answer_and_the_next_tier_is_asked_for() -> None:
    world = waiting_for_approval()
    assert world.say(WordKind.REJECT, "r1").accepted
    world.run(5)
    tiers = world.decided().incidents["i2"].tiers
    assert (tiers[2].state, tiers[2].reason) == (r.TierState.FAILED, Reason.NOT_APPROVED)
    assert world.decided().unfinished_runs()[0].started.move == "acme/cloud-instance"


def test_the_preconditions_are_asked_again_after_an_approval() -> None:
    world = waiting_for_approval()
    world.bad("geo-ready")
    world.run(10)
    world.say(WordKind.APPROVE, "r1", fenced="hq")
    world.run(10)
    assert world.decided().runs["r1"].step("recheck").reason is Reason.PREFLIGHT_FAILED
    assert "geo-site" not in world.played


def test_another_word_under_the_same_id_is_not_taken_for_a_repeat() -> None:
    world = lab()
    assert world.say(WordKind.HOLD, "acme/erp", word="w-7").accepted
    for kind, subject in ((WordKind.RESUME, "acme/erp"), (WordKind.HOLD, "acme/hq-internet")):
        answer = world.say(kind, subject, word="w-7")
        assert (answer.accepted, answer.reason) == (False, Reason.ID_IN_USE.value)
        assert "w-7 is Ada's hold of acme/erp" in answer.evidence
    assert set(world.decided().holds) == {"acme/erp"}


def test_another_persons_word_under_the_same_id_is_not_taken_for_a_repeat() -> None:
    """They would be told that they were heard, and the record has somebody else's name."""
    world = waiting_for_approval()
    first = e.WordSpoken("w-7", WordKind.APPROVE, "Ada", "r1")
    world.hears(first)
    assert world.answered[-1].accepted
    world.hears(replace(first, who="Grace"))
    assert (world.answered[-1].accepted, world.answered[-1].reason) == (False, Reason.ID_IN_USE.value)
    world.hears(first)
    assert world.answered[-1].accepted


def test_what_is_away_and_has_no_way_back_is_not_at_home() -> None:
    """Its only declared way back starts from elsewhere: the refusal says where it is, and where home is."""
    world = at_geo()
    erp = replace(world.model.services["acme/erp"], failback=())
    world.model = replace(world.model, digest="no way", services={**world.model.services, erp.id: erp})
    world.hears(e.ConfigurationLoaded(world.model))
    world.hears(e.WordSpoken("w9", WordKind.FAILBACK, "Ann Example", "acme/erp"))
    said = world.decided().words["w9"]
    assert said.reason is Reason.NO_WAY_BACK
    assert "acme/erp is at acme/geo, home is acme/hq" in said.evidence


def test_what_stands_against_the_service_is_not_told_tier_by_tier() -> None:
    """No tier would help by its name either."""
    world = lab()
    world.silent("erp-transaction", "hq-internet", "isp-b-path")
    world.run(30)
    (run,) = [x.id for x in world.decided().unfinished_runs()]
    answer = world.say(WordKind.FAILOVER, "acme/erp")
    assert (answer.reason, answer.evidence) == (
        "resource busy",
        f"{run} (acme/geo-site for acme/erp) waits for a person",
    )


@pytest.mark.parametrize(
    ("end", "state"), [(WordKind.MAINTENANCE_END, "in maintenance"), (WordKind.CLEAR, "suspected")]
)
def test_nothing_ends_that_had_not_begun(end: WordKind, state: str) -> None:
    world = lab()
    refused = world.say(end, "acme")
    assert (refused.accepted, refused.reason) == (False, "not held")
    assert refused.evidence == f"acme is not {state} by that name; {state}: nothing"
    world.say(WordKind.MAINTENANCE if end is WordKind.MAINTENANCE_END else WordKind.SUSPECT, "acme", for_s=600.0)
    refused = world.say(end, "acme/erp")
    assert refused.evidence == f"acme/erp is not {state} by that name; {state}: acme"
    assert world.say(end, "acme").accepted


def test_whoever_lets_go_is_told_what_goes_on_to_hold_it() -> None:
    world = lab()
    world.hears(e.WordSpoken("w-bob", WordKind.HOLD, "Bob", "*", "a new line"))
    world.say(WordKind.HOLD, "acme")
    assert world.say(WordKind.RESUME, "acme").evidence == "resume: acme; still: * is held by Bob"
    assert world.say(WordKind.RESUME, "*").evidence == "resume: *"
    world.hears(e.MaintenanceBegan("acme", "patches", world.now + 600))
    world.say(WordKind.MAINTENANCE, "acme", for_s=600.0)
    ended = world.say(WordKind.MAINTENANCE_END, "acme")
    assert ended.evidence == "maintenance end: acme; still: acme#patches is in maintenance"


@pytest.mark.parametrize(
    ("begin", "end"),
    [
        (WordKind.HOLD, WordKind.RESUME),
        (WordKind.MAINTENANCE, WordKind.MAINTENANCE_END),
        (WordKind.SUSPECT, WordKind.CLEAR),
    ],
)
@pytest.mark.parametrize("subject", ["acme/erp", "acme"])
def test_what_stands_by_the_name_of_a_service_or_client_that_is_gone_can_be_ended(
    begin: WordKind, end: WordKind, subject: str
) -> None:
    """It is renamed: what was said of it stops nothing any more, and is ended by the name by which it was said."""
    world = lab()
    assert world.say(begin, subject, for_s=600.0).accepted
    services = {f"{x.client}s/{x.name}": x for x in world.model.services.values()}
    model = replace(
        world.model,
        digest="renamed",
        services={n: replace(x, id=n, client=n.partition("/")[0], depends_on=()) for n, x in services.items()},
    )
    world.hears(e.ConfigurationLoaded(model))
    assert world.decided().configuration == "renamed"
    assert world.say(begin, subject, for_s=600.0).reason == "no such service"
    assert world.say(end, subject).accepted
    assert world.say(end, subject).reason == "no such service"
