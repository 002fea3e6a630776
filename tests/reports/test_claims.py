"""What a report claims, it has from a record of that very thing: each kind of false sentence, and the true one."""

from __future__ import annotations

import json
import re
import time
from dataclasses import asdict, replace

import pytest

from orchestrator.core import records as r
from orchestrator.core.awareness.sight import ServiceSeen, Sight, sight
from orchestrator.core.commands import NoticeKind
from orchestrator.core.events import AttemptEnd, ConfigurationLoaded, WordKind
from orchestrator.core.model import Mode
from orchestrator.core.reasons import Reason
from orchestrator.journal import slices
from orchestrator.reports.account import account
from orchestrator.reports.clock_times import stamp, when
from orchestrator.reports.evidence import evidence as ledger
from orchestrator.reports.evidence_text import evidence_lines
from orchestrator.reports.incident_text import account_lines, list_lines
from orchestrator.reports.page import page
from orchestrator.reports.papers.lessons import worked
from orchestrator.reports.shape import Account, Known
from orchestrator.reports.status import only, status_now
from orchestrator.reports.status_parts import Live
from orchestrator.reports.status_text import status_lines
from orchestrator.reports.stories import Stories
from orchestrator.reports.summary import rows
from orchestrator.reports.text import plain
from orchestrator.sim.report_lines import MOVED
from tests.core.stage import hq_loses_power, lab
from tests.core.world import World, all_of
from tests.reports.sample import FAILOVER, WALL, K, Tape, Written, approve, asked_act, first_act, second_act

ASKING = (("preflight", K.PREFLIGHT), ("approval", K.APPROVAL), *FAILOVER[1:])


@pytest.fixture
def tape() -> Tape:
    """A controller has begun, all is well."""
    return Tape().begin().after(20.0)


def told(tape: Tape, incident: str) -> Account:
    """The account of an incident, at the tape's end."""
    stories = tape.read()
    return account(stories.stories[incident], stories.clock, tape.now)


def all_texts(a: Account) -> list[str]:
    """Everything that is shown of it."""
    shown = re.sub(r"<[^>]+>", " ", page([a], wall=WALL))
    return [plain(account_lines(a)), plain(list_lines([a])), shown, json.dumps(asdict(a))]


def tiers_now(tape: Tape) -> dict[int, str]:
    """How erp's tiers stand in the status."""
    stories = tape.read()
    now = status_now(stories.decided, stories.model, tape.now, WALL, Live(daemon=True))
    return {t.tier: t.state for s in now.services if s.id == "acme/erp" for t in s.tiers}


def end(tape: Tape, reason: Reason, bad: float) -> None:
    """i4 is over."""
    tape.write(r.IncidentEnded(tape.now, "i4", reason, "HTTP 200", tape.now, tape.now - bad))


def begun(tape: Tape, steps: object = FAILOVER) -> float:
    """i4: tier 2 is to lead erp from hq to geo, and its preflight is over."""
    bad = tape.now
    tape.after(2.0).incident("i4", "acme/hq", "no reply", first_bad=bad, last_good=None)
    tape.tier("i4", 2, "geo-site", r.TierState.RUNNING, Reason.TIER_CHOSEN, "geo-ready up")
    tape.run(
        "r4", "geo-site", steps,  # type: ignore[arg-type]
        incident="i4", tier=2, from_place="acme/hq", to_place="acme/geo", deadline=bad + 120.0,
    )  # fmt: skip
    tape.step("r4", "preflight", 0.3, "geo-ready good", data_age_s=0.9)
    return bad


def stop(tape: Tape, names: list[str], reason: Reason, *, ok: bool = False) -> None:
    """What has not begun is left out, and the run is over."""
    for name in names:
        tape.write(r.StepFinished(tape.now, "r4", name, 0, r.StepState.SKIPPED, reason, "the run ended before"))
    tape.write(r.RunEnded(tape.now, "r4", ok, reason, "because"))


def fails(tape: Tape, name: str, took: float, reason: Reason) -> None:
    """A step that began and failed."""
    tape.write(r.StepBegan(tape.now, "r4", name, 1))
    tape.after(took).write(r.StepFinished(tape.now, "r4", name, 1, r.StepState.FAILED, reason, "a task failed"))


def test_a_run_rejected_before_its_fence_moved_fenced_and_lost_nothing(tape: Tape) -> None:
    bad = begun(tape, ASKING)
    tape.write(r.StepBegan(tape.now, "r4", "approval", 1))
    tape.after(60.0)
    stop(tape, ["approval", "fence:acme/hq", "proof:acme/hq", "execute", "verify"], Reason.NOT_APPROVED)
    tape.after(2.0)
    end(tape, Reason.RECOVERED_BY_ITSELF, bad)
    a = told(tape, "i4")
    assert (a.from_place, a.to_place) == ("acme/hq", None)
    assert (a.rpa.seconds, a.rpa.known, a.rpo_met) == (None, Known.UNKNOWN, None)
    assert {k for k, v in a.milestones.items() if v is not None} == {"first_bad", "detected", "recovered"}
    assert a.runs[0].state == "stopped"
    for text in all_texts(a):
        assert "→ acme/geo" not in text
        assert "proven unable to act" not in text
    assert "geo-site stopped" in plain(list_lines([a]))


def test_a_tier_whose_run_was_rejected_has_not_failed(tape: Tape) -> None:
    """The report and the status say so in the same words."""
    begun(tape, ASKING)
    tape.write(r.StepBegan(tape.now, "r4", "approval", 1))
    tape.after(60.0)
    stop(tape, ["approval", "fence:acme/hq", "proof:acme/hq", "execute", "verify"], Reason.NOT_APPROVED)
    tape.tier("i4", 2, "geo-site", r.TierState.FAILED, Reason.NOT_APPROVED, "by Ann")
    assert next(t.state for t in told(tape, "i4").tiers if t.tier == 2) == "not made"
    assert tiers_now(tape)[2] == "not made"


def test_a_tier_that_a_person_has_made_runs_whatever_it_was_judged_before(tape: Tape) -> None:
    bad = tape.now
    tape.after(2.0).incident("i4", "acme/hq", "no reply", first_bad=bad, last_good=None)
    tape.tier("i4", 2, "geo-site", r.TierState.INELIGIBLE, Reason.RPO_EXCEEDED, "data 7s old, 3s allowed")
    tape.write(r.ServiceJudged(tape.now, "i4", r.Decision.ASK, Reason.NO_TIER_LEFT, "tier 2: too old"))
    tape.run(
        "r4", "geo-site", FAILOVER, incident="i4", tier=2, origin=r.Origin.MANUAL, who="Ann",
        from_place="acme/hq", to_place="acme/geo", deadline=bad + 120.0,
    )  # fmt: skip
    found = next(t for t in told(tape, "i4").tiers if t.tier == 2)
    assert (found.state, found.evidence) == ("running", "r4 is at work")
    waits = Tape(tape.now, list(tape.entries))
    waits.write(r.RunNeedsHuman(tape.now, "r4", Reason.UNDETERMINED, "execute: the runner was killed"))
    assert next(t.evidence for t in told(waits, "i4").tiers if t.tier == 2) == "r4 waits for a person"
    assert tiers_now(tape)[2] == "running"
    stories = tape.read()
    now = status_now(stories.decided, stories.model, tape.now, WALL, Live(daemon=True))
    assert "no tier left" not in plain(status_lines(now, 100))


def test_nobody_is_asked_any_more_once_it_is_approved(tape: Tape) -> None:
    begun(tape, ASKING)
    tape.write(r.ServiceJudged(tape.now, "i4", r.Decision.ASK, Reason.TIER_CHOSEN, "no history: assumed to fit"))
    tape.write(r.StepBegan(tape.now, "r4", "approval", 1))

    def shown() -> str:
        stories = tape.read()
        return plain(status_lines(status_now(stories.decided, stories.model, tape.now, WALL, Live(daemon=True)), 100))

    assert "ask: tier chosen" in shown()
    tape.write(r.RunApproved(tape.now, "r4", "Ann", ""))
    tape.write(r.StepFinished(tape.now, "r4", "approval", 1, r.StepState.DONE, Reason.APPROVED, "by Ann"))
    tape.write(r.StepBegan(tape.now, "r4", "fence:acme/hq", 1))
    assert "ask: tier chosen" not in shown()


def test_nothing_is_said_to_run_while_nobody_watches(tape: Tape) -> None:
    begun(tape)
    tape.write(r.StepBegan(tape.now, "r4", "fence:acme/hq", 1))
    stories = tape.read()
    now = status_now(stories.decided, stories.model, tape.now + 60.0, WALL, Live(daemon=False, silent_s=58.0))
    (run,) = now.runs
    step = next(s for s in run.steps if s.name == "fence:acme/hq")
    assert step.state == "unseen"
    assert step.took_s == pytest.approx(2.0)
    assert "whether it still runs is not known" in plain(status_lines(now, 100))
    a = account(stories.stories["i4"], stories.clock, tape.now + 60.0, unwatched_s=58.0)
    assert "nobody has watched for 58s: what is open or running here was so then" in plain(account_lines(a))


def test_a_relapse_takes_nothing_back_that_an_earlier_move_lost(tape: Tape) -> None:
    second_act(tape)
    before = told(tape, "i2")
    assert before.rpa.seconds is not None
    bad = tape.after(60.0).now
    tape.after(2.0).write(r.IncidentReopened(tape.now, "i2", bad, "acme/geo", "no reply", bad - 1.0))
    after = told(tape, "i2")
    assert (after.rpa, after.rpo_met) == (before.rpa, None), "another move of this outage may open older data"
    tape.after(3.0).write(r.IncidentEnded(tape.now, "i2", Reason.RECOVERED_BY_ITSELF, "good", tape.now, 120.9))
    over = told(tape, "i2")
    assert (over.rpa, over.rpo_met) == (before.rpa, before.rpo_met)


def test_an_outage_that_may_have_begun_before_anybody_looked_says_so(tape: Tape) -> None:
    """After a full disk or a restart: the first bad answer that was kept is not the first that there was."""
    first_act(tape)
    bad = tape.after(600.0).now
    tape.after(2.0).incident("i4", "acme/hq", "no reply", first_bad=bad, last_good=bad - 400.0)
    said = "the last good answer came 6:40 before the first bad one: whether it worked then is not known"
    assert said in told(tape, "i4").remarks
    assert not [x for x in told(tape, "i1").remarks if "whether it worked then" in x]
    tape.after(3.0).write(r.IncidentEnded(tape.now, "i4", Reason.RECOVERED_BY_ITSELF, "good", tape.now, 5.0))
    assert (told(tape, "i4").rto_met, told(tape, "i1").rto_met) == (None, True), "nor whether its RTO was met"


def test_a_fence_that_failed_has_proven_nothing(tape: Tape) -> None:
    begun(tape)
    fails(tape, "fence:acme/hq", 2.0, Reason.PLAYBOOK_FAILED)
    stop(tape, ["proof:acme/hq", "execute", "verify"], Reason.PLAYBOOK_FAILED)
    a = told(tape, "i4")
    assert a.milestones["fenced"] is None
    assert a.milestones["acted"] is None
    assert a.rpa.seconds is None
    assert a.runs[0].state == "failed"
    assert not [text for text in all_texts(a) if "proven unable to act" in text]


def test_a_move_that_failed_half_way_says_that_its_data_is_not_known(tape: Tape) -> None:
    begun(tape)
    tape.step("r4", "fence:acme/hq", 2.0)
    tape.step("r4", "proof:acme/hq", 1.0)
    fails(tape, "execute", 5.0, Reason.PLAYBOOK_FAILED)
    stop(tape, ["verify"], Reason.PLAYBOOK_FAILED)
    a = told(tape, "i4")
    assert a.milestones["fenced"] is not None
    assert a.milestones["acted"] is None
    assert a.to_place is None
    assert "what data was opened at acme/geo is not known" in a.rpa.source


def test_a_move_that_was_not_verified_says_so_beside_where_it_led(tape: Tape) -> None:
    begun(tape)
    tape.step("r4", "fence:acme/hq", 2.0)
    tape.step("r4", "proof:acme/hq", 1.0)
    tape.step("r4", "execute", 5.0)
    tape.write(r.MayActAdded(tape.now, "acme/erp", "acme/geo", "r4"))
    tape.write(r.PlacementChanged(tape.now, "acme/erp", "acme/hq", "acme/geo", "r4"))
    fails(tape, "verify", 5.0, Reason.VERIFY_FAILED)
    stop(tape, [], Reason.VERIFY_FAILED)
    a = told(tape, "i4")
    assert (a.from_place, a.to_place, a.move_verified) == ("acme/hq", "acme/geo", False)
    assert a.milestones["verified"] is None
    assert "acme/hq → acme/geo (not verified)" in plain(list_lines([a]))
    assert "from acme/hq to acme/geo (not verified)" in plain(account_lines(a))


def test_what_a_person_stated_is_told_as_their_statement(tape: Tape) -> None:
    asked_act(tape)
    tape.after(10.0)
    approve(tape)
    a = told(tape, "i3")
    assert a.rpa.known is Known.ASSUMED
    assert "later Ann Example stated that the place left cannot act" in a.rpa.source
    assert not [text for text in all_texts(a) if "proven unable to act" in text]


def test_what_one_person_stated_is_not_told_as_the_statement_of_whoever_approved_later(tape: Tape) -> None:
    asked_act(tape)
    tape.after(10.0)
    approve(tape)
    (at,) = [n for n, x in enumerate(tape.entries) if any(isinstance(y, r.RunApproved) for y in x.records)]
    later = r.RunApproved(tape.entries[at].at, "r3", "Bob Durand", "try it again")
    tape.entries[at] = replace(tape.entries[at], records=(*tape.entries[at].records, later))
    a = told(tape, "i3")
    assert "later Ann Example stated that the place left cannot act" in a.rpa.source


def test_a_tier_that_nobody_has_come_to_is_not_called_needless_while_the_incident_is_open(tape: Tape) -> None:
    begun(tape)
    states = {t.tier: t.state for t in told(tape, "i4").tiers}
    assert states == {1: "not judged yet", 2: "running", 3: "not judged yet"}


def test_no_tier_runs_in_an_incident_that_is_over(tape: Tape) -> None:
    """Also not in one that an earlier version left so in the journal."""
    bad = begun(tape)
    stop(tape, ["fence:acme/hq", "proof:acme/hq", "execute", "verify"], Reason.RECOVERED_BY_ITSELF)
    end(tape, Reason.RECOVERED_BY_ITSELF, bad)
    states = {t.tier: t.state for t in told(tape, "i4").tiers}
    assert states == {1: "not needed", 2: "stopped", 3: "not needed"}


def test_the_rta_of_a_relapse_is_the_sum_of_its_phases_and_says_what_it_includes(tape: Tape) -> None:
    first_act(tape)
    tape.after(110.0)
    bad = tape.now
    tape.after(2.0).write(r.IncidentReopened(tape.now, "i1", bad, "acme/hq", "no reply", bad - 1.0))
    tape.after(3.0).write(r.IncidentEnded(tape.now, "i1", Reason.RECOVERED_BY_ITSELF, "good", tape.now, 120.9))
    a = told(tape, "i1")
    assert a.rta.seconds == pytest.approx(sum(p.seconds for p in a.phases))
    assert a.rta.seconds == pytest.approx(10.9)
    assert a.rto_met is True
    assert "of 2 outages (5.9s, 5.0s); it worked for 1:50.0 in between" in a.rta.source
    assert [round(x.seconds, 3) for x in a.outages] == [5.9, 5.0]
    assert a.rto_at_s == pytest.approx(bad - a.outages[0].seconds + 120.0 - (tape.now - 5.0 - 110.0 - 5.9))


@pytest.mark.parametrize("restarted", [False, True])
def test_between_two_outages_it_worked_for_no_longer_than_somebody_looked(tape: Tape, restarted: bool) -> None:
    """A controller that was away, or whose machine was: the last good answer is from before it, or forgotten."""
    first_act(tape)
    well_at = tape.now
    tape.after(200.0)
    bad = tape.now
    last_good = None if restarted else well_at + 1.0
    tape.after(2.0).write(r.IncidentReopened(tape.now, "i1", bad, "acme/hq", "no reply", last_good))
    tape.after(3.0).write(r.IncidentEnded(tape.now, "i1", Reason.RECOVERED_BY_ITSELF, "good", tape.now, 210.9))
    a = told(tape, "i1")
    assert "it worked for at most 3:20 in between" in a.rta.source
    gap = "3:20" if restarted else "3:19"
    assert f"the last good answer came {gap} before the first bad one: whether it worked then is not known" in a.remarks


def test_the_status_counts_the_present_outage_and_says_what_came_before(tape: Tape) -> None:
    first_act(tape)
    tape.after(110.0)
    bad = tape.now
    tape.verdict("acme/erp-transaction", r.Verdict.DOWN, "no reply", bad)
    tape.after(4.0).write(r.IncidentReopened(tape.now, "i1", bad, "acme/hq", "no reply", bad - 1.0))
    stories = tape.read()
    now = status_now(stories.decided, stories.model, tape.now, WALL, Live(daemon=True))
    erp = next(s for s in now.services if s.id == "acme/erp")
    assert erp.down_s == pytest.approx(4.0)
    assert erp.budget_left_s == pytest.approx(120.0 - 4.0 - 5.9)
    shown = plain(status_lines(now, 100))
    assert "DOWN for 0:04 (0:09 in 2 outages)" in shown
    assert f"i1, outage 2, since {when(now.wall - 4.0, now.wall)}: " in shown  # the incident is older


def test_the_status_does_not_call_down_what_answers_while_its_run_goes_on(tape: Tape) -> None:
    begun(tape)
    tape.verdict("acme/erp-transaction", r.Verdict.UP, "HTTP 200")
    stories = tape.read()
    now = status_now(stories.decided, stories.model, tape.now, WALL, Live(daemon=True))
    head = plain(status_lines(now, 100)).splitlines()[0]
    assert "DOWN" not in head
    assert "UP again; i4 not over" in head


def test_without_a_fence_the_data_ages_until_the_service_runs_elsewhere(tape: Tape) -> None:
    """Nothing was proven out: whoever runs at the place left may have written until then."""
    steps = (("preflight", K.PREFLIGHT), ("execute", K.EXECUTE), ("verify", K.VERIFY))
    begun(tape, steps)
    tape.step("r4", "execute", 5.0)
    tape.write(r.PlacementChanged(tape.now, "acme/erp", "acme/hq", "acme/geo", "r4"))
    tape.step("r4", "verify", 1.0)
    a = told(tape, "i4")
    assert a.milestones["fenced"] is None
    assert a.rpa.seconds == pytest.approx(0.9 + 5.0)
    assert "5.0s later acme/geo-site had ended" in a.rpa.source


def test_the_place_is_proven_out_only_when_every_place_is(tape: Tape) -> None:
    second_act(tape)
    story = tape.read().stories["i2"]
    proof = story.runs[0].steps["proof:acme/hq"]
    story.runs[0].steps["fence:acme/geo"] = replace(proof, planned=r.PlannedStep("x", K.FENCE, "acme/geo"))
    a = account(story, tape.read().clock, tape.now)
    assert a.milestones["fenced"] is None


def test_a_step_that_never_began_has_no_times(tape: Tape) -> None:
    bad = begun(tape, ASKING)
    tape.write(r.StepBegan(tape.now, "r4", "approval", 1))
    tape.after(60.0)
    stop(tape, ["approval", "fence:acme/hq", "proof:acme/hq", "execute", "verify"], Reason.NOT_APPROVED)
    end(tape, Reason.RECOVERED_BY_ITSELF, bad)
    a = told(tape, "i4")
    steps = {s.step: s for s in a.steps}
    tier = next(t for t in a.tiers if t.tier == 2)
    assert (tier.state, tier.reason, tier.evidence) == ("stopped", "not approved", "because"), "not why it was chosen"
    assert list(steps) == [name for name, _ in ASKING], "each is there, with why it was left out"
    assert (steps["approval"].from_s, steps["approval"].took_s) == (pytest.approx(2.3), pytest.approx(60.0))
    never = steps["fence:acme/hq"]
    assert (never.state, never.reason) == ("skipped", "not approved")
    assert (never.from_s, never.to_s, never.took_s, never.share, never.budget_left_s) == (None,) * 5
    row = next(x for x in plain(account_lines(a)).splitlines() if x.startswith("    fence:acme/hq"))
    assert row.split() == ["fence:acme/hq", "–", "–", "–", "–"], "the last is the mark of what was left out"
    assert "fence:acme/hq</th><td>–</td><td>–</td><td>–</td><td></td><td></td>" in page([a], wall=WALL)


def test_a_step_that_could_not_begin_has_failed_and_has_no_times(tape: Tape) -> None:
    begun(tape)
    failed = r.StepFinished(tape.now, "r4", "fence:acme/hq", 0, r.StepState.FAILED, Reason.PLAN_CHANGED, "edited")
    tape.write(failed)
    a = told(tape, "i4")
    assert next(s.from_s for s in a.steps if s.state == "failed") is None
    assert "fence:hq" not in re.sub(r"<title>.*?</title>", "", page([a], wall=WALL)), "no bar of it in the timeline"


def test_an_rto_that_is_over_is_missed_before_the_outage_is(tape: Tape) -> None:
    begun(tape)
    assert told(tape, "i4").rto_met is None
    tape.after(120.0)
    a = told(tape, "i4")
    assert (a.rta.seconds, a.rto_met) == (None, False)
    assert "RTA not known  MISSED" in plain(account_lines(a))
    assert "RTO missed" in plain(list_lines([a]))


def test_times_of_a_planned_move_count_from_its_start(tape: Tape) -> None:
    tape.run("r5", "geo-site", FAILOVER, origin=r.Origin.MANUAL, from_place="acme/hq", to_place="acme/geo")
    text = page([told(tape, "r5")], wall=WALL)
    assert "after the first bad answer" not in text
    assert "of a planned move: from its start" in text


def with_another(tape: Tape) -> None:
    """Mail has been down, and came back with erp's move, which leads to geo."""
    bad = begun(tape)
    tape.write(r.IncidentOpened(tape.now, "i5", "acme/mail", bad, "acme/hq", "no reply"))
    tape.step("r4", "execute", 5.0, "6 ok")
    tape.write(r.PlacementChanged(tape.now, "acme/erp", "acme/hq", "acme/geo", "r4"))
    why = Reason.RECOVERED_WITH_ANOTHER
    tape.write(r.IncidentEnded(tape.now, "i5", why, "220 ready", tape.now, 7.0, 7.0, 7.0, "r4"))


@pytest.mark.parametrize("shared", [True, False])
def test_a_place_that_anothers_move_made_doubtful_is_told_so(tape: Tape, shared: bool) -> None:
    """The record of the place is from before, if both have that move; one that only stands on the other stays."""
    with_another(tape)
    stories = tape.read()
    story, model = stories.stories["i5"], stories.model
    assert model is not None
    if shared:
        mail = replace(model.services["acme/mail"], ladder=model.services["acme/erp"].ladder)
        model = story.model = replace(model, services={**model.services, "acme/mail": mail})
    said = (
        "acme/hq is its place from before, and it came back with r4 (acme/geo-site), made for acme/erp, led to acme/geo"
    )
    report = plain(account_lines(account(story, stories.clock, tape.now), 200))
    status = plain(status_lines(status_now(stories.decided, model, tape.now, WALL, Live(daemon=True)), 200))
    assert (said in report, said in status) == (shared, shared)


def unknown_now(tape: Tape, live: Live) -> str:
    stories = tape.read()
    return plain(status_lines(status_now(stories.decided, stories.model, tape.now, WALL, live), 100))


def test_what_was_well_when_last_seen_is_not_told_as_down(tape: Tape) -> None:
    """Back by itself while its run was at work; then the controller is killed."""
    begun(tape)
    assert "UNKNOWN, down when last seen; i4 not over" in unknown_now(tape, Live(daemon=False))
    tape.verdict("acme/erp-transaction", r.Verdict.UP, "HTTP 200")
    text = unknown_now(tape, Live(daemon=False))
    assert "UNKNOWN, up when last seen; i4 not over" in text
    assert "not down any more" not in text
    assert "nothing is known of its checks" in text


def test_of_a_service_whose_controller_is_blind_it_is_not_said_that_it_was_down(tape: Tape) -> None:
    begun(tape)
    blind = Live(daemon=True, sight=Sight(tape.now, (), {"acme/erp": ServiceSeen("unknown", ("blind",))}))
    assert "UNKNOWN, down when last seen" in unknown_now(tape, blind)
    tape.verdict("acme/erp-transaction", r.Verdict.UNKNOWN, "no answer")
    assert "UNKNOWN; i4 not over" in unknown_now(tape, blind)
    assert "nothing is known of its checks" in unknown_now(tape, Live(daemon=True))


def test_what_was_not_delivered_for_one_client_stands_in_no_status_of_another(tape: Tape) -> None:
    begun(tape)
    whole = r.NoticeDue(tape.now, "n9", NoticeKind.CANNOT_ACT, "", "", "the configuration is invalid")
    tape.write(whole)
    stories = tape.read()
    now = status_now(stories.decided, stories.model, tape.now, WALL, Live(daemon=True))
    assert [len(only(now, [x]).undelivered) for x in ("acme", "acme/mail", "bistro")] == [2, 2, 1]
    assert "acme" not in plain(status_lines(only(now, ["bistro"]), 100))


def test_a_notice_is_told_in_the_account_of_what_it_is_about(tape: Tape) -> None:
    """Not in that of the service's last incident: a run may end after its own is over, and another one is open."""
    first_act(tape)
    tape.after(60.0).run("r2", "go-back", FAILOVER, from_place="acme/geo", to_place="acme/hq")
    bad = tape.now
    tape.after(3.0).incident("i2", "acme/geo", "erp-transaction: no reply", first_bad=bad, last_good=bad - 1.0)

    def due(notice: str, text: str) -> None:
        kind = NoticeKind.HUMAN_NEEDED
        tape.after(1.0).write(r.NoticeDue(tape.now, notice, kind, "acme", "acme/erp", text, "", ()))

    due("r1/ended", "of the first run")
    due("i1.1/mtd 80%", "of the first outage")
    due("r2/ended", "of the way back")
    due("i2.1/opened", "of the second outage")
    tape.write(r.IncidentEnded(tape.now, "i2", Reason.RECOVERED_BY_ITSELF, "HTTP 200", tape.now, tape.now - bad))
    due("something else", "of neither")

    stories = tape.read().stories
    said = {
        name: [due.text for due, _ in story.notices if due.text.startswith("of ")] for name, story in stories.items()
    }
    assert said == {
        "i1": ["of the first run", "of the first outage"],
        "r2": ["of the way back"],
        "i2": ["of the second outage"],
    }


def test_the_bar_shows_what_is_spent_of_the_rto_in_all_outages(tape: Tape) -> None:
    """As the budget that stands beside it."""
    bad = tape.now
    tape.after(2.0).incident("i4", "acme/hq", "no reply", first_bad=bad, last_good=None)
    tape.after(58.0)
    end(tape, Reason.RECOVERED_BY_ITSELF, bad)
    tape.after(60.0)
    tape.write(r.IncidentReopened(tape.now, "i4", tape.now, "acme/hq", "no reply", tape.now))
    stories = tape.read()
    (top, *_) = plain(
        status_lines(status_now(stories.decided, stories.model, tape.now, WALL, Live(daemon=True)))
    ).splitlines()
    assert "budget left 1:00" in top
    assert "▕██████░░░░░░▏" in top


def relapse_during_a_way_back(tape: Tape) -> None:
    """i4 was ended by tier 2; erp fails again while Ann's way back is being prepared, and comes back by that."""
    bad = begun(tape)
    for name in ("fence:acme/hq", "proof:acme/hq", "execute", "verify"):
        tape.step("r4", name, 1.0)
    tape.write(r.RunEnded(tape.now, "r4", True, Reason.VERIFIED, "good"))
    tape.write(r.PlacementChanged(tape.now, "acme/erp", "acme/hq", "acme/geo", "r4"))
    end(tape, Reason.VERIFIED, bad)
    tape.after(60.0).run(
        "r5", "return-hq", (("prepare", K.PREPARE), ("execute", K.EXECUTE), ("verify", K.VERIFY)),
        origin=r.Origin.MANUAL, who="Ann", from_place="acme/geo", to_place="acme/hq",
    )  # fmt: skip
    tape.write(r.StepBegan(tape.now, "r5", "prepare", 1))
    tape.after(20.0).write(r.IncidentReopened(tape.now, "i4", tape.now - 2.0, "acme/geo", "no reply", None))
    tape.after(30.0).write(
        r.StepFinished(tape.now, "r5", "prepare", 1, r.StepState.DONE, Reason.CONDITIONS_MET, "", (), {})
    )


def test_a_run_that_was_at_work_before_the_outage_is_told_with_it(tape: Tape) -> None:
    relapse_during_a_way_back(tape)
    a = told(tape, "i4")
    assert (a.reason, a.evidence) == ("tier chosen", "r5 (acme/return-hq) is at work")
    for name in ("execute", "verify"):
        tape.step("r5", name, 5.0)
    tape.write(r.PlacementChanged(tape.now, "acme/erp", "acme/geo", "acme/hq", "r5"))
    tape.write(r.IncidentEnded(tape.now, "i4", Reason.VERIFIED, "", tape.now, 0.0, 0.0, 0.0, "r5"))
    tape.write(r.RunEnded(tape.now, "r5", True, Reason.VERIFIED, "good"))
    a = told(tape, "i4")
    phases = {p.phase: p.seconds for p in a.phases}
    assert phases["execute"] == pytest.approx(1.0 + 30.0 + 5.0)
    assert "return-hq" in plain(list_lines([a]))
    assert a.milestones["decided"] is None, "it was at work before"
    assert a.milestones["verified"] is not None


def test_data_opened_once_more_unmeasured_keep_no_rpo(tape: Tape) -> None:
    relapse_during_a_way_back(tape)
    tape.step("r5", "execute", 5.0)
    a = told(tape, "i4")
    assert (a.rpa.seconds, a.rpo_met) == (None, None)
    assert a.rpa.source.startswith("r5 (acme/return-hq): not measured; before it ")


def test_while_it_is_held_a_person_is_waited_for(tape: Tape) -> None:
    bad = tape.now
    tape.after(2.0).incident("i4", "acme/hq", "no reply", first_bad=bad, last_good=None)
    tape.write(r.ServiceJudged(tape.now, "i4", r.Decision.REFRAIN, Reason.HELD, "Ann holds acme"))
    tape.after(60.0)
    phases = {p.phase: p.seconds for p in told(tape, "i4").phases}
    assert phases["wait for a human"] == pytest.approx(60.0)
    assert phases["decide"] == pytest.approx(0.0)


def test_a_ladder_that_was_changed_in_an_open_incident_keeps_what_was_judged_with_its_move() -> None:
    """Tier 1 was taken out; what was said of tier 2 is not said of another, and its RTO is the one in force."""
    world = lab()
    service = world.model.services["acme/erp"]
    changed = replace(service, ladder=service.ladder[1:], rto_s=60.0)
    later = replace(world.model, digest="model-2", services={**world.model.services, "acme/erp": changed})
    models = {m.digest: m for m in (world.model, later)}
    world.silent("erp-transaction", "hq-internet", "isp-b-path")
    world.run(30)
    for _ in range(2):
        world.run(2)
        (run,) = [x.id for x in world.decided().unfinished_runs()]
        world.say(WordKind.REJECT, run)
    world.model = later
    world.hears(ConfigurationLoaded(later))
    world.run(40)
    stories = Stories(models.get).read(
        Written(n, at, WALL + at, 1, records) for n, (at, records) in enumerate(world.entries, 1)
    )
    a = account(stories.stories["i2"], stories.clock, world.now)
    assert [(t.tier, t.move, t.state) for t in a.tiers] == [
        (1, "acme/geo-site", "not made"),
        (2, "acme/cloud-instance", "not made"),
        (1, "acme/backup-isp", "ineligible"),
    ]
    assert a.tiers[2].evidence.endswith("no tier of the present ladder")
    assert (a.rto_s, a.rto_met) == (60.0, False)
    now = status_now(world.decided(), later, world.now, WALL, Live(daemon=True))
    erp = next(s for s in now.services if s.id == "acme/erp")
    assert [(t.move, t.state) for t in erp.tiers] == [
        ("acme/geo-site", "not made"),
        ("acme/cloud-instance", "not made"),
    ]


@pytest.mark.parametrize(("unseen_s", "rto_met"), [(0.0, False), (100.0, None), (30.0, False)])
def test_an_rto_is_not_missed_for_a_time_in_which_nobody_looked(unseen_s: float, rto_met: bool | None) -> None:
    tape = Tape().begin()
    bad = tape.now
    tape.after(2.0).incident("i4", "acme/hq", "no reply", first_bad=bad, last_good=bad - 1.0)
    tape.after(198.0)
    why = Reason.RECOVERED_BY_ITSELF
    tape.write(r.IncidentEnded(tape.now, "i4", why, "HTTP 200", tape.now, 200.0, 200.0, 200.0, None, unseen_s))
    a = told(tape, "i4")
    assert (a.rta.seconds, a.rto_met) == (200.0, rto_met)
    shown = plain(list_lines([a]))
    assert ("RTA at most 3:20" in shown) is bool(unseen_s)
    assert ("at most 3:20" in rows([a])[1]) is bool(unseen_s)
    assert ("RTO missed" in shown) is (rto_met is False)
    if unseen_s:
        assert a.rta.at_most
        assert a.rta.source.startswith("nothing was heard of its checks for ")


@pytest.mark.parametrize(("unwatched_s", "rto_met"), [(None, False), (30.0, False), (600.0, None)])
def test_nor_is_it_of_an_outage_that_nobody_watches_any_more(unwatched_s: float | None, rto_met: bool | None) -> None:
    tape = Tape().begin()
    tape.after(2.0).incident("i4", "acme/hq", "no reply", first_bad=tape.now - 2.0, last_good=None)
    stories = tape.after(700.0).read()
    assert account(stories.stories["i4"], stories.clock, tape.now, unwatched_s=unwatched_s).rto_met is rto_met


def test_a_run_that_waits_for_an_approval_is_told_as_that(tape: Tape) -> None:
    """Nothing is at work until somebody says so: "running" would have them wait for nothing."""
    asked_act(tape)
    now = told(tape, "i3")
    for state, reason, evidence in ((x.state, x.reason, x.evidence) for x in (now, *now.runs)):
        assert (state, reason) == ("with a person", Reason.APPROVAL_NEEDED.value)
        assert evidence == "hq may be alive: its console does not answer"
    assert all("with a person" in text for text in all_texts(now))
    approve(tape)
    assert told(tape, "i3").state == "recovered"


def test_a_report_says_of_which_clock_its_times_are(tape: Tape, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is read elsewhere, and where clocks are set back an hour comes twice."""
    first_act(tape)
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    try:
        shown = [plain(account_lines(told(tape, "i1"))), page([told(tape, "i1")], wall=WALL + 86400.0 * 180)]
        assert stamp(1_792_886_400.0) == "2026-10-25 02:00:00 UTC+2"
        assert stamp(1_792_890_000.0) == "2026-10-25 02:00:00 UTC+1"
    finally:
        monkeypatch.undo()
        time.tzset()
    assert all(re.search(r"2026-11-18 \d\d:\d\d:\d\d UTC\+1", x) for x in shown)
    assert re.search(r"Made by bascule, 2027-05-17 \d\d:\d\d:\d\d UTC\+2", shown[1])


def test_what_fell_for_a_relapse_is_told_with_it_and_once(tape: Tape) -> None:
    """It fell in the entry that opened the incident again: without it nothing in the report says why."""
    first_act(tape)
    tape.after(30.0).verdict("acme/isp-b-path", r.Verdict.UP, "good answers")
    bad = tape.after(8.0).now
    tape.after(2.0).verdict("acme/erp-transaction", r.Verdict.DOWN, "no reply 3 times", bad)
    tape.write(r.IncidentReopened(tape.now, "i1", bad, "acme/hq", "no reply 3 times", bad - 1.0))
    tape.after(5.0).verdict("acme/erp-transaction", r.Verdict.UP, "HTTP 201")
    checks = told(tape, "i1").checks
    fell = [x for x in checks if x.kind == "down" and "acme/erp-transaction" in x.what]
    assert [x.at_s for x in fell] == [pytest.approx(2.2), pytest.approx(bad + 2.0 - 120.0)]
    assert len(checks) == len(set(checks))
    assert checks[-1].kind == "up"


@pytest.mark.parametrize("verified", [True, False])
def test_a_planned_move_between_two_outages_is_told_as_verified_if_it_was(tape: Tape, verified: bool) -> None:
    first_act(tape)
    tape.after(30.0).run(
        "r5", "geo-site", FAILOVER, origin=r.Origin.MANUAL, who="Ann", from_place="acme/hq", to_place="acme/geo"
    )
    tape.step("r5", "execute", 2.0)
    tape.write(r.MayActAdded(tape.now, "acme/erp", "acme/geo", "r5"))
    tape.write(r.PlacementChanged(tape.now, "acme/erp", "acme/hq", "acme/geo", "r5"))
    if verified:
        tape.step("r5", "verify", 1.0)
    tape.write(r.RunEnded(tape.now, "r5", verified, Reason.VERIFIED if verified else Reason.VERIFY_FAILED, ""))
    bad = tape.after(20.0).now
    tape.after(2.0).write(r.IncidentReopened(tape.now, "i1", bad, "acme/geo", "no reply", bad - 1.0))
    now = told(tape, "i1")
    assert (now.from_place, now.to_place, now.move_verified) == ("acme/hq", "acme/geo", verified)
    assert ("(not verified)" in plain(list_lines([now]))) is not verified


def test_a_move_in_effect_that_was_renamed_is_not_lost_from_sight(tape: Tape) -> None:
    """Nothing in the configuration takes it back any more: whoever looks has to know."""
    first_act(tape)
    tape.write(r.MoveEngaged(tape.now, "acme/backup-isp", True, "r1"))
    stories = tape.read()
    model = stories.model
    assert model is not None
    erp = model.services["acme/erp"]
    left = {name: x for name, x in model.moves.items() if name != "acme/backup-isp"}
    renamed = replace(model, moves=left, services={**model.services, erp.id: replace(erp, ladder=erp.ladder[1:])})
    said = "acme/backup-isp is in effect since r1, and is no move of the configuration any more"
    for known, services in ((model, []), (renamed, ["acme/erp"])):
        now = status_now(stories.decided, known, tape.now, WALL, Live(daemon=True))
        assert [s.id for s in now.services if said in s.notes] == services


def test_what_a_client_left_behind_is_told_though_nothing_is_configured_of_it_any_more(tape: Tape) -> None:
    """Under a new name its services are at home by declaration alone."""
    first_act(tape)
    tape.write(r.MoveEngaged(tape.now, "acme/backup-isp", True, "r1"))
    tape.write(r.PlacementChanged(tape.now, "acme/erp", "acme/hq", "acme/geo", "r1"))
    stories = tape.read()
    model = stories.model
    assert model is not None
    others = {x.id: x for x in model.services.values() if x.client != "acme"}
    now = status_now(stories.decided, replace(model, services=others), tape.now, WALL, Live(daemon=True))
    assert "\n".join(now.left) in plain(status_lines(now, 200))
    assert [x for x in now.left if "backup-isp" in x] == [
        "acme/backup-isp is in effect since r1, and its client is none of the configuration any more"
    ]
    assert next(x for x in now.left if "erp" in x).startswith(
        "acme/erp is no service of the configuration any more; it was last "
    )
    assert status_now(stories.decided, model, tape.now, WALL, Live(daemon=True)).left == ()


def half_promoted(fenced: str | None = None) -> World:
    """hq is out, geo's playbook failed half way, and the service works all the same: at geo, if anywhere."""
    world = lab()
    world.silent("erp-transaction", "hq-internet", "isp-b-path")
    world.outcomes["geo-site"] = AttemptEnd.FAILED
    if fenced is None:
        world.good("hq-dark")
    else:
        world.run(15)
        world.say(WordKind.APPROVE, "r1", fenced=fenced)
    world.at(world.now + 5.0, lambda: world.good("erp-transaction", "erp-at-geo"))
    world.run(10)
    return world


@pytest.mark.parametrize(
    ("fenced", "head", "out"),
    [(None, "hq is out", "was taken out"), ("hq", "hq out, Ada states", "cannot act, as Ada states")],
)
def test_what_is_out_is_not_told_as_where_the_service_is(fenced: str | None, head: str, out: str) -> None:
    world = half_promoted(fenced)
    now = status_now(world.decided(), world.model, world.now, WALL, Live(daemon=True))
    lines = plain(status_lines(now, 200)).splitlines()
    told = f"acme/hq, its place on record, {out}, and no move has led it elsewhere; it may be acting: acme/geo"
    assert f"acme/erp          up        {head}   RTO 15:00" in lines
    assert f"  {told}" in lines
    stories = Stories({world.model.digest: world.model}.get).read(
        Written(n, at, WALL + at, 1, x) for n, (at, x) in enumerate(world.entries, start=1)
    )
    a = account(next(x for x in stories.stories.values() if x.service == "acme/erp"), stories.clock, world.now)
    text = plain(account_lines(a, 200)).splitlines()
    assert "  was at acme/hq" in text
    assert f"  note: {told}" in text


def test_a_place_that_it_was_led_to_and_that_is_out_by_now_is_told_so_in_the_head(tape: Tape) -> None:
    """Not only in a note below it."""
    begun(tape, FAILOVER)
    tape.write(r.MayActRemoved(tape.now, "acme/erp", "acme/hq", Reason.CONDITIONS_MET, "dark"))
    tape.write(r.MayActAdded(tape.now, "acme/erp", "acme/geo", "r4"))
    tape.write(r.PlacementChanged(tape.now, "acme/erp", "acme/hq", "acme/geo", "r4"))
    assert "  from acme/hq to acme/geo (not verified)" in plain(account_lines(told(tape, "i4"), 200))
    tape.write(r.MayActRemoved(tape.now, "acme/erp", "acme/geo", Reason.CONDITIONS_MET, "dark"))
    assert "  from acme/hq to acme/geo (not verified, out by now)" in plain(account_lines(told(tape, "i4"), 200))
    found = next(m for x in plain(account_lines(told(tape, "i4"), 200)).splitlines() if (m := MOVED.fullmatch(x)))
    assert found.groups() == ("acme/hq", "acme/geo", "not verified"), "the simulator's judge reads it back"
    assert "acme/geo (not verified, out by now)" in page([told(tape, "i4")], wall=0.0)


def test_nor_is_anybody_told_that_it_is_there_or_at_home() -> None:
    world = half_promoted()
    out = "acme/erp is on record at acme/hq, which counts as out, and acme/geo may act"
    for kind, more, refused in (
        (WordKind.FAILBACK, {}, Reason.NO_WAY_BACK),
        (WordKind.FAILOVER, {"move": "return-hq"}, Reason.WRONG_PLACE),
    ):
        answer = world.say(kind, "acme/erp", **more)
        assert (answer.accepted, answer.reason) == (False, refused.value)
        assert answer.evidence.startswith(out)
    world.silent("erp-transaction")
    world.run(5)
    assert any(x.text.startswith("acme/erp has been down again at acme/geo for") for x in world.told)


@pytest.mark.parametrize(
    ("well", "rto_met", "shown"), [(True, None, "RTO perhaps missed"), (False, False, "RTO missed by")]
)
def test_what_works_again_while_its_run_waits_has_not_missed_its_rto(
    tape: Tape, well: bool, rto_met: bool | None, shown: str
) -> None:
    begun(tape)
    tape.write(r.StepBegan(tape.now, "r4", "execute", 1), r.RunNeedsHuman(tape.now, "r4", Reason.UNDETERMINED, "lost"))
    if well:
        rose = r.VerdictChanged(tape.now + 5.0, "acme/erp-transaction", r.Verdict.DOWN, r.Verdict.UP, None, "HTTP 200")
        tape.after(5.0).write(rose)
    tape.after(600.0)
    a = told(tape, "i4")
    assert (a.state, a.rto_met) == ("with a person", rto_met)
    stories = tape.read()
    now = status_now(stories.decided, stories.model, tape.now, WALL, Live(daemon=True))
    assert shown in plain(status_lines(now, 200)).splitlines()[0]


def test_a_run_whose_plan_was_edited_before_its_first_step_began_decided_and_failed_nothing(tape: Tape) -> None:
    begun(tape)
    tape.write(r.StepBegan(tape.now, "r4", "fence:acme/hq", 1))
    tape.write(r.StepFinished(tape.now, "r4", "fence:acme/hq", 1, r.StepState.FAILED, Reason.PLAN_CHANGED, "edited"))
    stop(tape, [n for n, _ in FAILOVER[2:]], Reason.PLAN_CHANGED)
    a = told(tape, "i4")
    assert [x.state for x in a.runs] == ["stopped"]
    assert a.milestones["decided"] is None


def spoken_of(world: World) -> Account:
    """The account of erp's incident."""
    stories = Stories({world.model.digest: world.model}.get).read(
        Written(n, at, WALL + at, 1, x) for n, (at, x) in enumerate(world.entries, start=1)
    )
    found = [x for x in stories.stories.values() if x.service == "acme/erp" and x.episodes]
    return account(found[-1], stories.clock, world.now)


def test_what_fell_by_a_run_that_was_asked_for_was_detected_when_it_fell() -> None:
    """Its incident is opened when that run is over: until then the run was at work, and nobody was still detecting."""
    world = lab()
    world.takes["geo-site"] = 30.0
    world.effects["power_off_hq"] = lambda: (world.good("hq-off"), world.silent("erp-transaction"))  # type: ignore[assignment,return-value]
    world.say(WordKind.FAILOVER, "acme/erp", move="geo-site", fence=True)
    world.run(15)
    world.say(WordKind.ABORT, "r1")
    a = spoken_of(world)
    seconds = {p.phase: p.seconds for p in a.phases}
    assert a.milestones["detected"] == seconds["detect"] == pytest.approx(2.0, abs=0.1)
    assert seconds["execute"] == pytest.approx(10.5, abs=0.1)
    assert sum(seconds.values()) == pytest.approx(12.5)


def test_what_fell_long_before_its_run_was_over_was_detected_when_it_fell() -> None:
    """Minutes before, and other checks have fallen since: its own fall is told, and no phase is taken for detecting."""
    world = lab()
    world.takes["geo-site"] = 200.0
    world.effects["power_off_hq"] = lambda: (world.good("hq-off"), world.silent("erp-transaction"))  # type: ignore[assignment,return-value]
    world.say(WordKind.FAILOVER, "acme/erp", move="geo-site", fence=True)
    world.run(100)
    world.silent("isp-b-path")
    world.run(50)
    world.say(WordKind.ABORT, "r1")
    a = spoken_of(world)
    seconds = {p.phase: p.seconds for p in a.phases}
    assert a.milestones["detected"] == seconds["detect"] == pytest.approx(2.0, abs=0.1)
    assert [x.at_s for x in a.checks if x.kind == "down" and "erp-transaction" in x.what] == [a.milestones["detected"]]


def test_a_run_that_goes_against_a_hold_is_at_work_also_when_nothing_is_seen_any_more() -> None:
    """That it is not known to be down any more is noted with what was judged before the run; nobody judges it anew."""
    world = lab()
    world.say(WordKind.HOLD, "acme/erp")
    world.silent("erp-transaction")
    world.run(20)
    world.takes["geo-site"] = 120.0
    world.say(WordKind.FAILOVER, "acme/erp", move="geo-site", fence=True)
    world.nothing("erp-transaction")
    world.run(30)
    assert world.decided().incidents["i1"].dark_since is not None
    a = spoken_of(world)
    assert (a.reason, a.evidence) == ("asked by operator", "r1 (acme/geo-site) is at work")
    assert [x.reason for x in a.decisions] == ["held"]


@pytest.mark.parametrize("ends", [AttemptEnd.OK, AttemptEnd.FAILED])
def test_data_that_a_run_opened_elsewhere_in_an_outage_has_not_stayed(ends: AttemptEnd) -> None:
    """The run was asked for before, and its incident is opened when it has failed."""
    world = lab()
    world.takes["geo-site"] = 30.0
    world.outcomes["geo-site"] = ends
    world.effects["power_off_hq"] = lambda: (world.good("hq-off"), world.silent("erp-transaction"))  # type: ignore[assignment,return-value]
    world.effects["geo-site"] = lambda: world.silent("erp-transaction")
    world.say(WordKind.FAILOVER, "acme/erp", move="geo-site", fence=True)
    world.run(120)
    a = spoken_of(world)
    assert world.decided().runs["r1"].ended is not None
    if ends is AttemptEnd.OK:
        assert (a.rpa.seconds, a.rpo_met) == (pytest.approx(1.0, abs=1.0), True)
    else:
        assert (a.rpa.seconds, a.rpo_met) == (None, None)


def test_what_a_run_took_while_nobody_watched_is_a_bound() -> None:
    """Its playbook may have ended at any moment of these two minutes: no forecast counts it, and no text takes it."""
    world = lab()
    world.run(20)
    world.silent("erp-transaction")
    world.takes["backup-isp"] = 20.0
    world.run(10)
    world.crash()
    world.run(120)
    world.start()
    world.run(60)
    stories = Stories({world.model.digest: world.model}.get).read(
        Written(n, at, WALL + at, 1, x) for n, (at, x) in enumerate(world.entries, start=1)
    )
    tiers = ledger(stories, world.model, world.now, lambda name: name == "acme/erp")
    assert "took at most 2:" in plain(evidence_lines(tiers, 200))
    story = next(x for x in stories.stories.values() if x.service == "acme/erp")
    said = [x.text for x in worked(story, account(story, stories.clock, world.now))]
    assert "{run}: {move} was made and verified in at most {took_s}, not counting waits for a person" in said


def test_an_approval_that_ran_out_while_nobody_was_there_is_not_asked_for_any_more() -> None:
    world = lab(Mode.ASK)
    world.silent("erp-transaction")
    world.run(10)
    world.crash()
    for away_s, asked in ((800.0, True), (200.0, False)):
        world.run(away_s)
        now = status_now(world.decided(), world.model, world.now, WALL, Live(daemon=False, silent_s=away_s))
        text = plain(status_lines(now, 200))
        assert ("type: bascule approve r1" in text) is asked
        assert ("which nobody gave within 15:00: it is not made" in text) is not asked


def test_a_tier_whose_run_was_stopped_says_so_until_it_is_judged_again(tape: Tape) -> None:
    """The word of somebody who was alone with it has stopped the run, and nobody has looked at the ladder since."""
    begun(tape)
    stop(tape, [n for n, _ in FAILOVER[1:]], Reason.APPROVAL_EXPIRED)
    a = told(tape, "i4")
    assert (a.state, a.reason) == ("open", "approval expired")
    tier = next(t for t in a.tiers if t.tier == 2)
    assert (tier.state, tier.reason, tier.evidence) == ("waiting", "approval expired", "because")
    stories = tape.read()
    now = status_now(stories.decided, stories.model, tape.now, WALL, Live(daemon=True))
    shown = next(t for s in now.services if s.id == "acme/erp" for t in s.tiers if t.tier == 2)
    assert (shown.state, shown.reason) == ("waiting", "approval expired")


@pytest.mark.parametrize(("since", "shown"), [(20.0, "RTO perhaps missed"), (150.0, "RTO missed by")])
def test_an_rto_is_not_missed_for_a_time_in_which_nothing_is_known(tape: Tape, since: float, shown: str) -> None:
    """Blind from some time on: before its RTO of two minutes was over, or after it."""
    bad = begun(tape)
    tape.after(300.0)
    seen = ServiceSeen("unknown", ("acme/erp-transaction: no reply",), bad + since, "acme/erp-transaction")
    stories = tape.read()
    live = Live(daemon=True, sight=Sight(tape.now, services={"acme/erp": seen}))
    now = status_now(stories.decided, stories.model, tape.now, WALL, live)
    assert shown in plain(status_lines(now, 200)).splitlines()[0]


def test_a_move_that_has_not_ended_has_not_ended_badly(tape: Tape) -> None:
    begun(tape)
    assert told(tape, "i4").rpa.source == "acme/geo-site has not been made yet"
    tape.write(r.StepBegan(tape.now, "r4", "execute", 1))
    assert told(tape, "i4").rpa.source == "acme/geo-site has not ended: what data was opened at acme/geo is not known"


def test_a_tier_that_was_not_viable_when_it_was_judged_is_not_told_as_if_it_was_not_now() -> None:
    """While another tier's run is at work nobody judges it."""
    world = lab()
    hq_loses_power(world)
    world.takes["geo-site"] = 600.0
    world.run(20)
    world.good("isp-b-path")
    world.run(20)
    live = Live(daemon=True, sight=sight(world.engine.transaction(world.now)))
    now = status_now(world.decided(), world.model, world.now, WALL, live)
    tier = next(t for s in now.services if s.id == "acme/erp" for t in s.tiers if t.tier == 1)
    assert (tier.state, tier.reason) == ("ineligible", "not viable")
    assert tier.evidence.endswith("; by now its preconditions hold")


def test_a_report_read_near_what_is_told_says_the_same_of_the_rto() -> None:
    """Of a check that was well long before, nothing is read; another that flaps has filled the journal since."""
    world = lab(Mode.ASK, rto_s=60.0, healthy_when=all_of("erp-transaction", "hq-ready"))
    for _ in range(150):
        world.bad("geo-handed-over")
        world.run(5)
        world.good("geo-handed-over")
        world.run(5)
    hq_loses_power(world)
    world.run(20)
    (run,) = world.decided().unfinished_runs()
    assert world.say(WordKind.APPROVE, run.id).accepted
    world.takes["geo-site"] = 300.0
    world.run(10)
    world.good("erp-transaction")
    world.run(120)
    entries = [Written(n, at, WALL + at, 1, records) for n, (at, records) in enumerate(world.entries, 1)]
    spans = slices.Spans()
    for entry in entries:
        if slices.opens_or_ends(entry.records):
            spans.add(entry.seq, entry.records)
    read = slices.plan([x.seq for x in entries if slices.is_told(x.records)], spans, len(entries))
    assert len(entries) > sum(last - first + 1 for first, last in read) + 50
    for chosen in (entries, [x for x in entries if slices.within(read, x.seq)]):
        stories = Stories(lambda _digest: world.model).read(chosen)
        story = next(x for x in stories.stories.values() if x.service == "acme/erp")
        a = account(story, stories.clock, world.now)
        assert (a.state, a.rto_met) == ("open", None)
