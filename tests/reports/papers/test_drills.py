"""The report of a drill: one report of its runs, what was live, and nothing proven that was not made."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.reports.papers.edition import for_client
from orchestrator.reports.papers.printing import Papers, verified
from orchestrator.reports.papers.shape import Report, ReportKind
from tests.reports.papers.drills import full_scale, functional, of
from tests.reports.papers.told import SECRET
from tests.reports.sample import Tape, second_act

BY = "bascule 0"


def begun() -> Tape:
    """A controller at work."""
    return Tape().begin().after(20.0)


def report(tape: Tape, name: str = "d1") -> Report:
    """What its slice tells, which its own file proves."""
    papers = Papers(of(tape, name), BY)
    assert verified(papers.file, BY).wrong == ()
    assert verified(papers.html(), BY).wrong == ()
    client = Papers(for_client(of(tape, name)), BY, "fr")
    assert verified(client.file, BY).wrong == ()
    for text in (papers.file, client.file, client.html()):
        assert SECRET not in text
    assert "scratch_hosts" not in client.file
    assert "Nora Night" not in client.file
    return papers.report


def said(found: Report) -> dict[str, list[str]]:
    """Its sentences, filled as English has them."""
    from orchestrator.reports.papers.tongue import Tongue

    t = Tongue()
    parts = {"scenario": found.scenario, "worked": found.worked, "failed": found.failed, "proven": found.proven}
    return {name: [t.say(x).replace("\N{NO-BREAK SPACE}", " ") for x in each] for name, each in parts.items()}


def test_a_full_scale_drill_is_one_report_of_there_and_back() -> None:
    tape = begun()
    full_scale(tape)
    found = report(tape.after(60.0))
    assert (found.kind, found.id) == (ReportKind.DRILL, "d1")
    assert [a.id for a in found.parts] == ["r1", "r2"]
    assert {s.done.value for s in found.steps} == {"live"}
    told = said(found)
    assert told["scenario"][0] == "a drill of acme/geo-site for acme/erp: full-scale"
    assert "the real move, and the real way back by acme/home after 1 min, within 30 min" in told["scenario"]
    assert "acme/erp is back at acme/hq" in told["worked"]
    assert told["proven"][0] == "acme/geo-site restores acme/erp: verified in 8 s"
    assert "detection is not in it: nothing had failed, or it came back otherwise" in told["proven"]
    rto = [x for x in found.objectives if x.objective == "RTO"]
    assert [(x.of_s, x.actual.seconds, x.actual.known.value, x.met) for x in rto] == [
        (120.0, pytest.approx(8.0), "predicted", None)
    ]
    back = next(x for x in found.objectives if x.objective == "return")
    assert back.of_s == 1800.0
    assert back.actual.seconds == pytest.approx(1.2 + 60.0 + 0.3 + 2.0 + 0.5 + 4.0)
    assert back.met is True
    assert ("Nora Night", "asked for the drill") in [(p.name, p.did.text) for p in found.participants]
    assert found.empty == ("findings",)
    assert found.scope.to_wall is not None


def test_a_rehearsal_proves_the_rehearsal_and_not_the_move() -> None:
    tape = begun()
    functional(tape)
    found = report(tape.after(60.0))
    told = said(found)
    assert told["proven"] == ["acme/geo-site was rehearsed beside what serves, and confirmed, in 14 s"]
    assert "the move geo-site" in found.until
    assert "how it is rehearsed" in found.until
    assert [x for x in found.until if x.startswith("its rehearsal's playbook ")]
    assert "r1: after the clean-up the same was found at the target as before" in told["worked"]
    assert "it was due by the schedule weekly: 2026-11-18T11:00:00Z" in told["scenario"]
    assert not [x for x in found.objectives if x.met is not None]


def test_in_check_mode_next_to_nothing_is_proven() -> None:
    tape = begun()
    functional(tape, simulated=True)
    found = report(tape.after(60.0))
    assert [(s.step, s.done.value) for s in found.steps] == [("preflight", "live"), ("rehearse", "simulated")]
    assert said(found)["proven"] == ["that the playbook of acme/geo-site can be played in check mode; no more"]


def test_a_rehearsal_that_failed_proves_nothing_though_it_was_cleaned_up() -> None:
    tape = begun()
    functional(tape, ok=False)
    found = report(tape.after(60.0))
    told = said(found)
    assert told["proven"] == ["nothing: the drill did not show what it was to show"]
    assert found.until == ()
    assert "the drill did not show what it was to show: not confirmed" in told["failed"]
    assert "r1: after the clean-up the same was found at the target as before" in told["worked"]


def test_a_drill_that_goes_on_is_a_draft() -> None:
    tape = begun()
    full_scale(tape)
    cut_off = next(n for n, e in enumerate(tape.entries) if type(e.records[0]).__name__ == "DrillTurnedBack")
    tape.entries = tape.entries[:cut_off]
    tape.now = tape.entries[-1].at + 5.0
    found = report(tape)
    assert "end" in found.empty
    assert found.scope.to_wall is None
    assert not [x for x in said(found)["worked"] if "back at" in x]


def test_the_second_drill_is_compared_with_the_first_and_not_with_an_incident() -> None:
    tape = begun()
    full_scale(tape, "d1", 11)
    second_act(tape.after(600.0))
    full_scale(tape.after(600.0), "d2", 21)
    found = report(tape.after(60.0), "d2")
    assert found.last is not None
    assert (found.last.id, found.last.run) == ("r11", "r11")


def test_an_incident_in_the_middle_is_told() -> None:
    tape = begun()
    full_scale(tape)
    at = next(n for n, e in enumerate(tape.entries) if type(e.records[0]).__name__ == "DrillTurnedBack")
    struck = begun()
    struck.now = tape.entries[at].at - 30.0
    struck.entries = []
    struck.incident("i7", "acme/geo", "no reply", first_bad=struck.now - 2.0, last_good=struck.now - 3.0)
    middle = struck.entries
    tape.entries = [*tape.entries[:at], *middle, *tape.entries[at:]]
    tape.entries = [replace(e, seq=n) for n, e in enumerate(tape.entries, 1)]
    assert "i7 was opened while the drill went on" in said(report(tape.after(60.0)))["failed"]
