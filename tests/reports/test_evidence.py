"""The ledger of evidence: measured, predicted, void or unproven; by which run, since when, and because of what."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest

from orchestrator.core import records as r
from orchestrator.core.ages import Ages, Kept
from orchestrator.core.kinds import BESIDE
from orchestrator.core.model import Model, Playbook
from orchestrator.core.reasons import Reason
from orchestrator.reports.clock_times import minute
from orchestrator.reports.cost import Cost
from orchestrator.reports.evidence import Standing, TierEvidence, evidence
from orchestrator.reports.evidence_text import evidence_lines
from orchestrator.reports.proofs import basis, changed
from orchestrator.reports.stories import Stories
from orchestrator.reports.text import plain
from tests.reports.sample import FAILOVER, WALL, K, Tape, first_act, second_act, small_model

GEO = "acme/geo-site"


@pytest.fixture
def tape() -> Tape:
    return Tape().begin().after(20.0)


def ledger(tape: Tape, *models: Model, wants: str = "acme/erp") -> dict[str, TierEvidence]:
    """By move, with the last of these models in force."""
    kept = {m.digest: m for m in (small_model(), *models)}
    stories = Stories(kept.get).read(tape.entries)
    assert stories.model is not None
    return {x.move: x for x in evidence(stories, stories.model, tape.now, lambda s: s == wants)}


def load(tape: Tape, digest: str, **moves: Any) -> Model:
    """A model in which this move is another one is in force now."""
    before = small_model()
    model = replace(before, digest=digest, moves={**before.moves, GEO: replace(before.moves[GEO], **moves)})
    tape.write(r.Configured(tape.now, digest, {}))
    return model


def test_what_never_ran_is_unproven(tape: Tape) -> None:
    found = ledger(tape)
    assert [x.rto for x in found.values()] == [Standing.UNPROVEN] * 3
    assert found[GEO].since is None
    assert found[GEO].rto_said == "no run of it was ever verified"


def test_an_incident_that_it_ended_measures_rto_and_rpo(tape: Tape) -> None:
    first_act(tape)
    tape.after(600.0)
    second_act(tape)
    at = WALL + tape.now
    geo, isp = ledger(tape)[GEO], ledger(tape)["acme/backup-isp"]
    assert (geo.rto, geo.rto_said, geo.times) == (Standing.MEASURED, "RTA 12.0s in i2", 1)
    assert geo.since == pytest.approx(at)
    assert (geo.rpo, geo.rpo_said) == (Standing.MEASURED, "RPA at most 3.9s in r2")
    assert (isp.rto, isp.rpo, isp.rpo_said) == (Standing.MEASURED, None, "the service stays where its data is")
    assert geo.forecast is not None
    assert geo.forecast.runs == 1


def test_a_relapse_that_it_did_not_end_is_no_time_of_its_own(tape: Tape) -> None:
    first_act(tape)
    tape.after(600.0)
    second_act(tape)
    tape.after(30.0)
    tape.write(r.IncidentReopened(tape.now, "i2", tape.now - 5.0, "acme/geo", "down again", None))
    tape.after(3600.0)
    end = (tape.now, "i2", Reason.RECOVERED_BY_ITSELF, "good", tape.now, 9999.0, 3605.0, 3617.0)
    tape.write(r.IncidentEnded(*end))
    geo = ledger(tape)[GEO]
    assert (geo.rto, geo.rto_said) == (Standing.MEASURED, "RTA 12.0s in i2, outage 1 of 2")
    assert geo.rto_met
    assert geo.rpo_said == "RPA at most 3.9s in r2"
    assert geo.proof is not None
    assert geo.proof.rta.source == "first bad answer to the good answer that ended it"  # nothing of the other outage


def test_a_planned_move_predicts_and_does_not_measure(tape: Tape) -> None:
    tape.run("r7", "geo-site", FAILOVER, from_place="acme/hq", to_place="acme/geo", origin=r.Origin.MANUAL, who="Ann")
    for step, _ in FAILOVER:
        tape.step("r7", step, 2.0, "good")
    tape.write(r.RunEnded(tape.now, "r7", True, Reason.VERIFIED, "good"))
    geo = ledger(tape)[GEO]
    assert (geo.rto, geo.proof is not None and geo.proof.took_s) == (Standing.PREDICTED, 10.0)
    assert geo.rto_said == "r7 took 10s; no detection is in it, for nothing had failed"
    assert geo.rto_met is None  # with a detection it may be longer
    assert (geo.rpo, geo.rpo_said) == (Standing.UNPROVEN, "not measured")


def test_what_an_outage_cost_is_said_where_that_outage_is_named(tape: Tape) -> None:
    first_act(tape)
    second_act(tape)
    costly = replace(ledger(tape)[GEO], outage_cost=Cost(36.0, "EUR"))
    assert "RTA 12.0s in i2; that outage cost 36 EUR" in told(costly)
    assert costly.proof is not None
    bound = replace(costly, proof=replace(costly.proof, rta=replace(costly.proof.rta, at_most=True)))
    assert "that outage cost at most 36 EUR" in told(bound)
    for other in (Standing.VOID, Standing.UNPROVEN):
        assert "that outage cost" not in told(replace(costly, rto=other, rto_said="r9 failed: timed out"))


def told(row: TierEvidence) -> str:
    """Its lines."""
    return plain(evidence_lines([row], 140))


def in_vain(tape: Tape) -> None:
    """Tier 1 is verified by what it promises itself, and the service does not come back with it."""
    bad = tape.now
    tape.after(2.0)
    tape.incident("i1", "acme/hq", "no reply 3 times", first_bad=bad, last_good=bad - 1.0)
    tape.tier("i1", 1, "backup-isp", r.TierState.RUNNING, Reason.TIER_CHOSEN, "isp-b-path up")
    steps = (("preflight", K.PREFLIGHT), ("execute", K.EXECUTE), ("verify", K.VERIFY))
    tape.run("r1", "backup-isp", steps, incident="i1", tier=1, from_place="acme/hq", to_place=None)
    for step, _ in steps:
        tape.step("r1", step, 2.0, "good")
    tape.write(r.RunEnded(tape.now, "r1", True, Reason.VERIFIED, "isp-b-path good"))
    tape.after(15.0)
    tape.tier("i1", 1, "backup-isp", r.TierState.FAILED, Reason.VERIFY_FAILED, "erp-transaction: HTTP 503")


def test_a_move_that_did_not_bring_the_service_back_is_no_proof(tape: Tape) -> None:
    in_vain(tape)
    isp = ledger(tape)["acme/backup-isp"]
    assert (isp.rto, isp.proof, isp.times) == (Standing.UNPROVEN, None, 0)
    assert isp.rto_said == "r1 was verified, and the service did not come back with it"


def test_a_move_in_an_outage_that_ended_otherwise_says_so(tape: Tape) -> None:
    in_vain(tape)
    failed = tape.entries.pop()
    assert isinstance(failed.records[0], r.TierJudged)
    end = r.IncidentEnded(tape.now, "i1", Reason.RECOVERED_UNVERIFIED, "good", tape.now, 23.0)
    tape.write(end)
    assert ledger(tape)["acme/backup-isp"].rto_said.endswith("for its outage did not end by it")


def test_what_a_move_waited_for_a_person_in_its_middle_is_no_time_of_the_move(tape: Tape) -> None:
    tape.run("r7", "geo-site", FAILOVER, from_place="acme/hq", to_place="acme/geo", origin=r.Origin.MANUAL, who="Ann")
    for step, _ in FAILOVER[:-1]:
        tape.step("r7", step, 2.0, "good")
    tape.write(r.RunNeedsHuman(tape.now, "r7", Reason.UNDETERMINED, "lost"))
    tape.after(1800.0).write(r.RunApproved(tape.now, "r7", "Ann", "it is there"))
    tape.step("r7", FAILOVER[-1][0], 2.0, "good")
    tape.write(r.RunEnded(tape.now, "r7", True, Reason.VERIFIED, "good"))
    geo = ledger(tape)[GEO]
    assert geo.proof is not None
    assert (geo.proof.took_s, geo.rto_met) == (10.0, None)


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        ({"playbook": Playbook("geo-site.yml", "1" * 64)}, "the playbook geo-site.yml"),
        ({"playbook": Playbook("geo-site.yml", "0" * 64, {"x": 1})}, "the playbook geo-site.yml"),
        ({"timeout_s": 77.0}, "the move geo-site"),
        ({"viable_when": None}, "what geo-site needs before it begins"),
        ({"prepare": Playbook("early.yml", "2" * 64)}, "its preparation early.yml"),
        ({"finish": Playbook("late.yml", "2" * 64)}, "its finish late.yml"),
    ],
)
def test_what_it_rests_on_is_edited_and_it_is_void_since_then(tape: Tape, edit: dict[str, Any], told: str) -> None:
    first_act(tape)
    second_act(tape)
    tape.after(3600.0)
    since = WALL + tape.now
    model = load(tape, "m2", **edit)
    tape.after(60.0)
    again = replace(model, digest="m3")  # another reload, which changes nothing of it
    tape.write(r.Configured(tape.now, "m3", {}))
    found = ledger(tape, model, again)
    assert (found[GEO].rto, found[GEO].rpo, found[GEO].since) == (Standing.VOID, Standing.VOID, since)
    assert told in found[GEO].void
    assert found[GEO].rto_said.startswith("changed since r2: ")
    assert found["acme/backup-isp"].rto is Standing.MEASURED  # exactly its proofs


@pytest.mark.parametrize("name", BESIDE)
def test_every_playbook_that_a_move_declares_is_part_of_its_proofs(name: str) -> None:
    """A new kind of step that has one is part of them too."""
    model = small_model()
    move = replace(model.moves[GEO], **{name: Playbook("new.yml", "2" * 64)})
    told = changed(basis(model, "acme/erp", GEO), basis(replace(model, moves={GEO: move}), "acme/erp", GEO))
    assert [x for x in told if x.endswith(" new.yml")] == list(told)


def test_the_same_move_of_another_service_proves_nothing(tape: Tape) -> None:
    second_act(tape)
    before = small_model()
    mail = replace(before.services["acme/mail"], ladder=before.services["acme/erp"].ladder)
    model = replace(before, digest="m2", services={**before.services, "acme/mail": mail})
    tape.write(r.Configured(tape.now, "m2", {}))
    assert ledger(tape, model)[GEO].rto is Standing.MEASURED
    assert ledger(tape, model, wants="acme/mail")[GEO].rto is Standing.UNPROVEN


def test_what_is_put_back_holds_again(tape: Tape) -> None:
    second_act(tape)
    model = load(tape, "m2", timeout_s=77.0)
    tape.after(5.0).write(r.Configured(tape.now, "m1", {}))
    assert ledger(tape, model)[GEO].rto is Standing.MEASURED


def test_another_objective_voids_nothing(tape: Tape) -> None:
    second_act(tape)
    before = small_model()
    erp = replace(before.services["acme/erp"], rto_s=5.0)
    model = replace(before, digest="m2", services={**before.services, "acme/erp": erp})
    tape.write(r.Configured(tape.now, "m2", {}))
    geo = ledger(tape, model)[GEO]
    assert (geo.rto, geo.rto_s, geo.rto_met) == (Standing.MEASURED, 5.0, False)
    told = " ".join(plain(evidence_lines([geo], 200)).split())
    assert ", beyond its RTO RTO: RTA 12.0s in i2" in told
    assert told.endswith("; that is longer than the RTO")


def test_a_run_that_failed_since_leaves_it_unproven(tape: Tape) -> None:
    second_act(tape)
    tape.run("r9", "geo-site", FAILOVER, from_place="acme/hq", to_place="acme/geo", origin=r.Origin.MANUAL, who="Ann")
    tape.step("r9", "preflight", 1.0)
    tape.write(r.StepBegan(tape.now, "r9", "fence:acme/hq", 1))
    tape.write(r.StepFinished(tape.now, "r9", "fence:acme/hq", 1, r.StepState.FAILED, Reason.PLAYBOOK_FAILED, "rc 2"))
    tape.write(r.RunEnded(tape.now, "r9", False, Reason.PLAYBOOK_FAILED, "rc 2"))
    geo = ledger(tape)[GEO]
    assert (geo.rto, geo.rto_said) == (Standing.UNPROVEN, "r9 failed: playbook failed")
    assert geo.since == WALL + tape.now


def test_a_model_that_is_not_kept_any_more_proves_nothing(tape: Tape) -> None:
    second_act(tape)
    now = replace(small_model(), digest="m2")
    tape.write(r.Configured(tape.now, "m2", {}))
    stories = Stories({"m2": now}.get).read(tape.entries)
    (geo,) = [x for x in evidence(stories, now, tape.now, lambda s: s == "acme/erp") if x.move == GEO]
    assert (geo.rto, geo.void) == (Standing.VOID, ("what it rested on is not kept any more",))


def test_the_worst_comes_first_and_the_text_says_it(tape: Tape) -> None:
    first_act(tape)
    second_act(tape)
    told = plain(evidence_lines(list(ledger(tape).values()), 100))
    assert told.splitlines()[0] == "acme/erp  RTO 2:00, RPO 30s"
    assert f"  2 geo-site: measured since {minute(WALL + tape.now)}, within its RTO" in told.splitlines()
    assert "      RPO: measured, within its RPO: RPA at most 3.9s in r2" in told.splitlines()
    assert "      next run: at most 10s (1 live run: bounds the 90th percentile with 10%, 28 runs missing for" in told
    assert "  3 cloud-instance: unproven" in told


def test_each_part_of_a_basis_is_compared() -> None:
    """Everything of the move, of its checks and of the fence that it uses, and nothing of what it does not use."""
    model = small_model()
    before = basis(model, "acme/erp", GEO)
    fence = replace(model.places["acme/hq"], fence=None)
    unused = replace(model.checks["acme/cloud-ready"], fall=9)
    assert changed(before, before) == ()
    assert changed(before, basis(replace(model, places={**model.places, "acme/hq": fence}), "acme/erp", GEO))
    assert not changed(before, basis(replace(model, checks={**model.checks, unused.id: unused}), "acme/erp", GEO))
    for name in ("acme/geo-ready", "acme/geo-lag", "acme/erp-transaction", "acme/hq-power-off"):
        check = replace(model.checks[name], timeout_s=9.0)
        edited = basis(replace(model, checks={**model.checks, name: check}), "acme/erp", GEO)
        assert changed(before, edited) == (f"the check {name.partition('/')[2]}",)
    assert K.FENCE in {kind for _, kind in FAILOVER}


def test_how_old_its_data_was_in_the_last_week_is_told_in_a_line(tape: Tape) -> None:
    """The check told 40 s for a quarter of an hour's answers: the RPO is 30 s."""
    hour = int(WALL // 3600)
    one = Ages()
    for n in range(100):
        one.note(40.0 if n < 25 else 1.0, 30.0, hour * 3600.0 + n * 36.0)
    one.note(None, 30.0, hour * 3600.0 + 3600.0)
    stories = Stories({"m1": small_model()}.get).read(tape.entries)
    ages = {Kept(s, "acme/geo-lag", "data_age_s", hour): one for s in ("acme/erp", "bistro/erp")}
    found = {x.move: x for x in evidence(stories, small_model(), tape.now, lambda s: s == "acme/erp", ages)}
    (age,) = found[GEO].data_age
    assert (age.whole.count, age.whole.outside, age.whole.unmeasured, age.share_outside) == (100, 25, 1, 0.25)
    assert age.outside_s == pytest.approx(0.25 * 99 * 36.0)
    assert found["acme/cloud-instance"].data_age == ()
    told = " ".join(plain(evidence_lines([found[GEO]], 300)).split())
    day_ = time.strftime("%A", time.localtime(hour * 3600.0))
    assert (
        "data: age by geo-lag in the last week: median 1.0s, p99 40.0s, most 40.0s; 1 answer told none;"
        f" above the RPO in 25.0% of the answers, 14:51 on {day_}"
    ) in told


def test_what_cannot_be_met_stands_with_its_tier_and_what_concerns_the_service_once(tape: Tape) -> None:
    second_act(tape)
    before = small_model()
    slow = replace(before.checks["acme/erp-transaction"], fast_s=2.0, timeout_s=3.0)
    erp = replace(before.services["acme/erp"], rto_s=6.0)
    model = replace(
        before,
        digest="m2",
        checks={**before.checks, slow.id: slow},
        services={**before.services, "acme/erp": erp},
    )
    tape.write(r.Configured(tape.now, "m2", {}))
    found = ledger(tape, model)
    assert [x.lack.value for x in found["acme/backup-isp"].findings] == ["detected too late"]
    assert [x.said for x in found[GEO].findings] == ["RTO 6.0s, but geo-site took 10s (r2)"]
    told = plain(evidence_lines(list(found.values()), 200)).splitlines()
    assert told[1].startswith("  cannot be met: detection alone takes 7.0s of an RTO of 6.0s")
    assert "      cannot be met: RTO 6.0s, but geo-site took 10s (r2)" in told


def test_what_an_outage_cost_and_what_hangs_on_what_is_unproven(tape: Tape) -> None:
    """12 s at 180 EUR a minute; nothing is said of a service of which an author says no cost."""
    before = small_model()
    erp = replace(before.services["acme/erp"], downtime_cost=180.0)
    model = replace(before, digest="m2", services={**before.services, "acme/erp": erp})
    tape.write(r.Configured(tape.now, "m2", {}))
    unproven = plain(evidence_lines(list(ledger(tape, model).values()), 200)).splitlines()
    assert unproven[1:3] == [
        "  a minute costs 180 EUR/min",
        "  unproven: an outage of the RTO costs 360 EUR; that it ends by then is not shown",
    ]
    second_act(tape)
    found = ledger(tape, model)
    assert found[GEO].outage_cost is not None
    assert found[GEO].outage_cost.amount == pytest.approx(36.0)
    told = plain(evidence_lines(list(found.values()), 200)).splitlines()
    assert "      RTO: RTA 12.0s in i2; that outage cost 36 EUR" in told
    assert not any("unproven: " in x for x in told[:3])
    free = ledger(Tape().begin())
    assert "cost" not in plain(evidence_lines(list(free.values()), 200))
