"""The report of a drill: one report of its runs, what was live, and nothing proven that was not made."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.core import records as r
from orchestrator.core.events import WordKind
from orchestrator.core.reasons import Reason
from orchestrator.reports.incident_text import list_lines
from orchestrator.reports.papers.edition import for_client
from orchestrator.reports.papers.printing import Papers, verified
from orchestrator.reports.papers.shape import Report, ReportKind
from orchestrator.reports.text import plain
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
    assert told["scenario"][0] == "a full-scale drill of acme/geo-site for acme/erp"
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
    assert back.actual.seconds == pytest.approx(0.3 + 2.0 + 0.5 + 4.0)  # the minute that it stayed is not in it
    assert back.met is True
    asked = [(p.name, p.did.text) for p in found.participants if p.did.text.startswith("asked")]
    assert asked == [("Nora Night", "asked for the drill")]  # and for neither of its runs
    assert [x.actual.source[:4] for x in found.objectives if x.objective == "RPO"] == ["at m", "r2: "]
    assert found.empty == ("findings",)
    assert found.scope.to_wall is not None


def test_a_return_within_its_time_is_met_however_long_it_stayed() -> None:
    tape = begun()
    full_scale(tape)
    tape.entries = [
        replace(e, records=tuple(replace(x, within_s=10.0) if isinstance(x, r.DrillBegan) else x for x in e.records))
        for e in tape.entries
    ]
    back = next(x for x in report(tape.after(60.0)).objectives if x.objective == "return")
    assert (back.of_s, back.met) == (10.0, True)


def test_a_drill_that_was_cancelled_says_by_whom() -> None:
    tape = begun()
    full_scale(tape)
    at = next(n for n, e in enumerate(tape.entries) if isinstance(e.records[0], r.DrillTurnedBack))
    now = tape.entries[at].at
    word = r.WordAccepted(now, "w9", WordKind.DRILL_CANCEL, "Ann Example", "d1", "", Reason.ABORTED, "d1 goes back now")
    turned = r.DrillTurnedBack(now, "d1", Reason.ABORTED, "by Ann Example: a call came in")
    tape.entries[at] = replace(tape.entries[at], records=(word, turned))
    found = report(tape.after(60.0))
    assert "it was turned back: aborted: by Ann Example: a call came in" in said(found)["failed"]
    told = [
        (p.name, p.did.slots["what"], p.did.slots["subject"]) for p in found.participants if "subject" in p.did.slots
    ]
    assert told == [("Ann Example", "drill cancel", "d1")]


def test_a_drill_that_never_moved_is_not_told_as_back() -> None:
    """What was turned back before its fence was proven has gone nowhere; its place on record is what it was."""
    tape = begun()
    full_scale(tape)
    kept = [e for e in tape.entries if not any(isinstance(x, r.PlacementChanged) for x in e.records)]
    tape.entries = [replace(e, seq=n) for n, e in enumerate(kept, 1)]
    found = report(tape.after(60.0))
    assert not [x for x in said(found)["worked"] if "is back" in x]
    assert [x.actual.seconds for x in found.objectives if x.objective == "return"] == [None]


def test_of_a_move_in_place_the_return_is_that_it_was_taken_back() -> None:
    tape = begun()
    full_scale(tape)
    entries = []
    for e in tape.entries:
        engaged = [
            r.MoveEngaged(x.at, "acme/geo-site", x.place != "acme/hq", x.run)
            for x in e.records
            if isinstance(x, r.PlacementChanged)
        ]
        entries.append(replace(e, records=tuple(engaged) or e.records))
    tape.entries = entries
    found = report(tape.after(60.0))
    back = next(x for x in found.objectives if x.objective == "return")
    assert back.actual.seconds == pytest.approx(0.3 + 2.0 + 0.5 + 4.0)
    assert "acme/geo-site is not in effect any more" in said(found)["worked"]


def test_a_rehearsal_proves_the_rehearsal_and_not_the_move() -> None:
    tape = begun()
    functional(tape)
    found = report(tape.after(60.0))
    told = said(found)
    assert told["proven"] == ["acme/geo-site was rehearsed beside what serves, and confirmed, in 10 s"]
    assert "the move geo-site" in found.until
    assert "how it is rehearsed" in found.until
    assert [x for x in found.until if x.startswith("its rehearsal's playbook ")]
    assert "r1: after the clean-up the same was found at the target as before" in told["worked"]
    assert "it was due by the schedule weekly: 2026-11-18T11:00:00Z" in told["scenario"]
    assert not [x for x in found.objectives if x.met is not None]


def test_a_rehearsal_of_which_no_check_was_asked_is_not_told_to_be_confirmed() -> None:
    tape = begun()
    functional(tape)
    entries = []
    for e in tape.entries:  # as the author of `rehearse` writes no `verify`
        kept = [x for x in e.records if getattr(x, "step", "") != "confirm"]
        kept = [
            replace(x, steps=tuple(s for s in x.steps if s.name != "confirm")) if isinstance(x, r.RunStarted) else x
            for x in kept
        ]
        entries.append(replace(e, records=tuple(kept)))
    tape.entries = entries
    told = said(report(tape.after(60.0)))["proven"]
    text = "acme/geo-site was rehearsed beside what serves, in 8 s; no check was asked what came of it"
    assert told == [text]


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
    assert "r1: the rehearsal of acme/geo-site failed: not confirmed" in told["failed"]
    assert "  rehearsal of geo-site failed" in plain(list_lines(found.parts))  # and not: the move
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
    assert found.last_said.slots["id"] == "d1"  # and not: r11 of r11


@pytest.mark.parametrize("service", ["acme/erp", "acme/mail"])
def test_an_incident_in_the_middle_is_told(service: str) -> None:
    """Also one of another service, which shares nothing with it; of another client nothing is told."""
    tape = begun()
    full_scale(tape)
    at = next(n for n, e in enumerate(tape.entries) if type(e.records[0]).__name__ == "DrillTurnedBack")
    struck = begun()
    struck.now = tape.entries[at].at + 3.0  # on its way back
    struck.entries = []
    for name, whose in (("i7", service), ("i8", "bistro/erp")):
        struck.write(r.IncidentOpened(struck.now, name, whose, struck.now - 2.0, None, "no reply", struck.now - 3.0))
    tape.entries = sorted([*tape.entries, *struck.entries], key=lambda e: e.at)
    tape.entries = [replace(e, seq=n) for n, e in enumerate(tape.entries, 1)]
    failed = said(report(tape.after(60.0)))["failed"]
    assert [x for x in failed if "while the drill went on" in x] == [
        f"i7 of {service} was open while the drill went on"
    ]
