"""What a report says of what was proven, by whom, and for how long: each from a record of that very thing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.core import records as r
from orchestrator.core.commands import NoticeKind
from orchestrator.core.reasons import Reason
from orchestrator.reports.papers.composition import compose
from orchestrator.reports.papers.excerpt import cut, subject_of
from orchestrator.reports.papers.printing import Papers
from orchestrator.reports.papers.shape import Done, Report, ReportKind, Said
from orchestrator.reports.papers.tongue import Tongue
from tests.reports.papers.drills import drilled_model
from tests.reports.papers.told import asked, linked, once_more, sliced, stories_of
from tests.reports.sample import FAILOVER, K, Tape, asked_act, first_act, second_act
from tests.reports.test_evidence import in_vain
from tests.reports.test_feasibility import moved


def begun() -> Tape:
    """A controller at work."""
    return Tape().begin().after(20.0)


def report(tape: Tape, name: str = "i1") -> Report:
    """The provider's, of one story."""
    return compose(sliced(tape.after(30.0), name))


def said(found: tuple[Said, ...]) -> list[str]:
    """Its sentences, as English has them."""
    return [Tongue().say(x).replace("\N{NO-BREAK SPACE}", " ") for x in found]


def test_a_move_with_which_the_service_did_not_come_back_proves_nothing() -> None:
    tape = begun()
    in_vain(tape)
    found = report(tape)
    assert said(found.proven) == ["nothing: acme/backup-isp was verified, and acme/erp did not come back with it"]
    assert found.until == ()


def test_the_outage_that_a_move_ended_counts_though_another_followed() -> None:
    tape = begun()
    bad = tape.now
    first_act(tape)
    took_s = tape.now - bad
    tape.after(30.0)
    tape.write(r.IncidentReopened(tape.now, "i1", tape.now - 5.0, "acme/hq", "down again", None))
    tape.after(10.0)
    tape.write(r.IncidentEnded(tape.now, "i1", Reason.RECOVERED_BY_ITSELF, "good", tape.now, 15.0))
    told = said(report(tape).proven)
    tail = "from the first bad answer to the good one that ended it: detection included"
    assert f"{Tongue().duration(took_s)} {tail}".replace("\N{NO-BREAK SPACE}", " ") in told


@pytest.mark.parametrize("answer", [False, True])
def test_who_decided_and_who_acted(answer: bool) -> None:
    """What waits for an approval, or was rejected, was not acted on."""
    tape = begun()
    asked_act(tape)
    if answer:
        tape.write(r.RunApproved(tape.now, "r3", "Ann Example", "seen dark", "acme/hq"))
        tape.write(r.StepFinished(tape.now, "r3", "approval", 1, r.StepState.DONE, Reason.APPROVED, "by Ann Example"))
        tape.write(
            r.StepFinished(
                tape.now, "r3", "fence:acme/hq", 0, r.StepState.SKIPPED, Reason.FENCED_BY_HAND, "stated by Ann Example"
            )
        )
        tape.step("r3", "execute", 5.0, "6 ok")
    (own,) = [p.did.text for p in report(tape, "i3").participants if p.name == "bascule"]
    wanted = "decided, and acted once it was approved" if answer else "decided what to do, and began nothing of it"
    assert own == wanted


def test_what_is_a_bound_is_told_as_one() -> None:
    tape = begun()
    bad = tape.now
    tape.after(2.0)
    tape.incident("i1", "acme/hq", "no reply", first_bad=bad, last_good=bad - 1.0)
    tape.after(10.0)
    end = r.IncidentEnded(tape.now, "i1", Reason.RECOVERED_BY_ITSELF, "good", tape.now, 12.0, unseen_s=8.0)
    tape.write(end)
    found = report(tape)
    assert "the RTO of 2 min was met: at most 12 s" in said(found.worked)


def test_what_goes_on_is_told_so_far() -> None:
    tape = begun()
    bad = tape.now
    tape.after(2.0)
    tape.incident("i1", "acme/hq", "no reply", first_bad=bad, last_good=bad - 1.0)
    found = report(tape.after(200.0))
    assert "the RTO of 2 min is missed: 3 min 52 s so far" in said(found.failed)


def test_a_cost_that_goes_on_while_nobody_watches_is_told_as_a_bound() -> None:
    tape = begun()
    bad = tape.now
    tape.after(2.0)
    tape.incident("i1", "acme/hq", "no reply", first_bad=bad, last_good=bad - 1.0)
    tape.after(118.0)
    found = sliced(tape, "i1")
    watched, unwatched = (Papers(x, "bascule 0").markdown() for x in (found, replace(found, unwatched_s=60.0)))
    assert "360.00 EUR so far: 2 min without the service" in watched.replace("\N{NO-BREAK SPACE}", " ")
    bound = "at most 360.00 EUR so far: at most 2 min without the service"
    assert bound in unwatched.replace("\N{NO-BREAK SPACE}", " ")


def test_the_age_of_data_is_a_bound() -> None:
    """What was found was so old, and nobody saw how much of it the copy had by then."""
    tape = begun()
    second_act(tape)
    told = [x for x in said(report(tape, "i2").worked) if "RPO" in x]
    assert told == ["the RPO of 30 s was met: at most 3.9 s"]


def test_what_is_compared_with_a_bound_has_no_difference() -> None:
    tape = begun()
    second_act(tape)
    tape.entries = [
        replace(e, records=tuple(replace(x, unseen_s=3.0) if isinstance(x, r.IncidentEnded) else x for x in e.records))
        for e in tape.entries
    ]
    once_more(tape.after(600.0))
    papers = Papers(sliced(tape.after(30.0), "i8"), "bascule 0")
    assert papers.report.last is not None
    assert papers.report.last.bounds == ("rta_s", "rpa_s", "rpa_now_s")
    lines = papers.markdown().replace("\N{NO-BREAK SPACE}", " ").splitlines()
    assert "| RTA | ≤ 12 s | 12 s | – |" in lines
    assert any(x.startswith("| the move, without waits for a person | ") and x.endswith(" | 0 s |") for x in lines)


def test_a_move_that_was_approved_by_nobody_is_acted_on_by_itself() -> None:
    tape = begun()
    first_act(tape)
    (own,) = [p.did.text for p in report(tape).participants if p.name == "bascule"]
    assert own == "decided and acted by itself"


def down(tape: Tape, *, last_good: float | None = None, for_s: float = 10.0) -> None:
    """An outage of acme/erp, over by itself."""
    bad = tape.now
    tape.after(2.0)
    tape.incident("i1", "acme/hq", "no reply", first_bad=bad, last_good=last_good)
    tape.after(for_s)
    tape.write(r.IncidentEnded(tape.now, "i1", Reason.RECOVERED_BY_ITSELF, "good", tape.now, for_s + 2.0))


def test_what_was_never_seen_good_is_not_told_as_within_its_rto() -> None:
    """After a restart of the machine no good answer is known: it may have failed long before."""
    tape = begun()
    down(tape)
    found = report(tape)
    assert [x.met for x in found.objectives if x.objective == "RTO"] == [None]
    told = "no good answer is on record before the first bad one: whether it worked then is not known"
    assert told in found.parts[0].remarks


def test_a_clock_that_was_set_meanwhile_is_told() -> None:
    tape = begun()
    down(tape, last_good=tape.now - 1.0)
    ended = tape.entries[-1]
    tape.entries[-1] = replace(ended, wall=ended.wall + 3600.0)
    tape.write(r.NoticeDue(tape.now, "x", NoticeKind.RECOVERED, "acme", "acme/erp", "good", "", (), {}))
    tape.entries[-1] = replace(tape.entries[-1], wall=ended.wall + 3600.0)
    told = "the controller's clock was set forward by 1:00:00 meanwhile: no duration has that in it"
    assert told in report(tape).parts[0].remarks


@pytest.mark.parametrize(("unseen", "known"), [(False, ""), (True, "known to be ")])
def test_a_notice_that_was_dropped_is_not_awaited(unseen: bool, known: str) -> None:
    """Of one that a controller was at when it died, nobody says that it reached nobody."""
    tape = begun()
    down(tape, last_good=tape.now - 1.0)
    tape.write(r.NoticeDropped(tape.now, "i1-opened", "the outage that it is about is over: i1", unseen))
    (notice,) = report(tape).parts[0].notices
    assert (notice.reason, notice.evidence) == (
        f"not {known}delivered: no longer so", "the outage that it is about is over: i1",
    )  # fmt: skip


def test_where_it_was_down_is_where_it_may_act_once_its_place_is_out() -> None:
    tape = begun()
    tape.write(
        r.MayActRemoved(tape.now, "acme/erp", "acme/hq", Reason.CONDITIONS_MET, "off"),
        r.MayActAdded(tape.now, "acme/erp", "acme/geo", "r9"),
    )
    down(tape, last_good=tape.now - 1.0)
    assert said(report(tape).scenario) == ["acme/erp went down at acme/geo: no reply"]  # it may still be


def test_what_is_told_of_a_drill_is_in_no_incident() -> None:
    tape = begun()
    bad = tape.now
    tape.after(2.0)
    tape.incident("i1", "acme/hq", "no reply", first_bad=bad, last_good=bad - 1.0)
    over = r.NoticeDue(tape.now, "d4/ended", NoticeKind.DRILL_ENDED, "acme", "acme/erp", "over", "", (), {})
    tape.write(over)
    assert [n.kind for n in report(tape).parts[0].notices] == [NoticeKind.INCIDENT_OPENED.value]


def test_of_an_outage_that_goes_on_the_mtd_is_over_too() -> None:
    tape = begun()
    bad = tape.now
    tape.after(2.0).incident("i1", "acme/hq", "no reply", first_bad=bad, last_good=bad - 1.0)
    for wait_s, met in ((3000.0, None), (700.0, False)):
        found = report(tape.after(wait_s))
        assert {x.objective: x.met for x in found.objectives}["MTD"] is met


def test_an_mtd_is_no_better_known_than_the_rto() -> None:
    """Nobody looked before its first bad answer: it may have failed long before."""
    tape = begun()
    down(tape)
    found = report(tape)
    assert {x.objective: x.met for x in found.objectives} == {"RTO": None, "RPO": None, "MTD": None}


def test_a_step_that_was_begun_and_given_up_was_not_skipped() -> None:
    """A run is aborted while its verification is awaited: that was live, and what came after it never began."""
    tape = begun()
    bad = tape.now
    tape.incident("i1", "acme/hq", "no reply", first_bad=bad, last_good=bad - 1.0)
    steps = (("preflight", K.PREFLIGHT), ("execute", K.EXECUTE), ("verify", K.VERIFY), ("finish", K.FINISH))
    tape.run("r1", "backup-isp", steps, incident="i1", tier=1, deadline=bad + 120.0)
    tape.step("r1", "preflight", 0.2)
    tape.step("r1", "execute", 2.0)
    tape.write(r.StepBegan(tape.now, "r1", "verify", 1))
    tape.after(8.0)
    for name, attempt in (("verify", 1), ("finish", 0)):
        tape.write(r.StepFinished(tape.now, "r1", name, attempt, r.StepState.SKIPPED, Reason.ABORTED, "by Ann"))
    tape.write(r.RunEnded(tape.now, "r1", False, Reason.ABORTED, "by Ann"))
    made = {x.step: (x.done, x.state) for x in report(tape, "i1").steps}
    assert made["verify"] == (Done.LIVE, "skipped")
    assert made["finish"] == (Done.SKIPPED, "skipped")


def test_a_move_that_takes_longer_than_the_rto_by_itself_is_told_as_what_did_not_work() -> None:
    """Nothing had failed: no outage missed it, and the next one will."""
    tape = begun()
    moved(tape, "r7", 21600.0)
    found = report(tape, "r7")
    assert [(x.objective, x.met) for x in found.objectives if x.objective == "RTO"] == [("RTO", False)]
    assert said(found.failed)[0] == "the move alone took 6 h, and the RTO is 2 min"
    assert "la manœuvre seule a pris 6 h, et le RTO est de 2 min" in Tongue("fr").say(found.failed[0]).replace(
        "\N{NO-BREAK SPACE}", " "
    )


def test_the_rto_says_nothing_of_a_way_back() -> None:
    """It may take an hour: the service works meanwhile, where it is."""
    tape = begun()
    steps = FAILOVER
    tape.run("r7", "home", steps, from_place="acme/geo", to_place="acme/hq", origin=r.Origin.MANUAL, who="Ann")
    for step, _ in steps:
        tape.step("r7", step, 3600.0)
    tape.write(r.RunEnded(tape.now, "r7", True, Reason.VERIFIED, "good"))
    stories = stories_of(tape.after(30.0), drilled_model())
    subject = subject_of([stories.stories["r7"]], stories, tape.now, ReportKind.PLANNED_MOVE, "r7")
    whole = cut(subject, stories, lambda: linked(tape), asked(tape))
    assert "of the RTO" not in Papers(whole, "bascule 1").markdown()
    found = compose(whole)
    (line,) = (x for x in found.objectives if x.objective == "RTO")
    assert (line.met, line.actual.seconds) == (None, None)
    assert line.actual.source == "it is a way back: the RTO says nothing of it"
    assert found.failed == ()
    assert "objectives" not in found.empty
