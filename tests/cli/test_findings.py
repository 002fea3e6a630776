"""`bascule findings`: said to the daemon, and listed from the journal."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from orchestrator.core import records as r
from orchestrator.core.events import WordKind
from tests.cli.conftest import Bascule, Kept, Straw
from tests.reports.sample import Tape, first_act


@pytest.fixture
def tape(kept: Kept) -> Tape:
    """One incident is over, and two things were found; one of them was seen to."""
    found = Tape().begin().after(20.0)
    first_act(found)
    at = found.after(60.0).now
    found.write(
        r.FindingOpened(at, "f1", "i1", "acme/erp", "too slow", "acme/ann", "2026-11-20", at + 100.0, "Ann Example"),
        r.FindingOpened(at, "f2", "i1", "acme/erp", "no spare", "noc", "2099-12-31", at + 9e8, "Ann Example", True),
    )
    found.write(r.FindingClosed(at, "f2", "i1", "acme/erp", "Nora Night", "bought", True))
    kept.keep(found)
    return found


def test_what_is_open_is_listed_and_what_is_overdue_marked(
    tape: Tape, bascule: Bascule, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bascule("findings") == 0
    told = capsys.readouterr().out
    assert told.split() == ["f1", "i1", "acme/erp", "acme/ann", "2026-11-20", "overdue", "too", "slow"]
    assert bascule("findings", "--closed") == 0
    assert "f2  i1 acme/erp  noc       2099-12-31  closed by Nora Night  no spare: bought" in capsys.readouterr().out
    assert bascule("findings", "bistro") == 0
    assert "nothing on record of bistro is to be improved" in capsys.readouterr().out
    assert bascule("findings", "i1", "--json") == 0
    (one,) = json.loads(capsys.readouterr().out)
    assert (one["finding"], one["overdue"], one["closed"]) == ("f1", True, None)


@pytest.mark.usefixtures("tape")
def test_a_bare_name_is_that_of_a_service_and_a_wrong_one_is_a_fault(
    bascule: Bascule, capsys: pytest.CaptureFixture[str]
) -> None:
    """That nothing is to be improved would be said of nobody."""
    assert bascule("findings", "acme/erp") == 0
    assert "too slow" in capsys.readouterr().out
    assert bascule("findings", "mail") == 0
    assert "nothing on record of acme/mail is to be improved" in capsys.readouterr().out
    assert bascule("findings", "i9") == 0
    assert "nothing on record of i9 is to be improved" in capsys.readouterr().out
    assert bascule("findings", "erp") == 2
    assert "erp is a service of several clients" in capsys.readouterr().err
    assert bascule("findings", "acne") == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert "there is no service or client acne" in told.err


def test_a_finding_is_a_word(tape: Tape, straw: Straw, bascule: Bascule) -> None:
    argv = ("findings", "open", "i1", "a bigger disk", "--owner", "ann", "--due", "2099-12-31", "--internal")
    assert bascule(*argv) == 0
    assert bascule("findings", "close", "f1", "--reason", "it is in") == 0
    assert bascule("findings", "none", "i1") == 0
    opened, closed, nothing = straw.heard
    assert (opened.kind, opened.subject, opened.why) == (WordKind.FINDING, "i1", "a bigger disk")
    days = (float(str(opened.options["in_s"])) - (4102444800.0 - time.time())) / 86400.0
    assert abs(days) < 0.01, "the end of the last day of 2099, UTC"
    assert {n: v for n, v in opened.options.items() if n != "in_s"} == {
        "owner": "ann", "due": "2099-12-31", "internal": True,
    }  # fmt: skip
    assert (closed.kind, closed.subject, closed.why) == (WordKind.FINDING_CLOSE, "f1", "it is in")
    assert (nothing.kind, nothing.subject) == (WordKind.NO_FINDINGS, "i1")


def test_a_day_that_is_none_is_a_wrong_call(
    tape: Tape, straw: Straw, bascule: Bascule, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bascule("findings", "open", "i1", "x", "--owner", "ann", "--due", "soon") == 2
    assert "--due soon is no day" in capsys.readouterr().err
    assert straw.heard == []


def test_a_report_is_final_once_its_findings_are_there(
    tape: Tape, kept: Kept, tmp_path: Path, bascule: Bascule, capsys: pytest.CaptureFixture[str]
) -> None:
    """And the client's edition tells of none that is internal."""
    data = tmp_path / "i1.json"
    assert bascule("report", "i1", "--json", str(data)) == 0
    told = json.loads(data.read_text())["report"]
    assert (told["draft"], told["empty"]) == (False, [])
    assert [(x["id"], x["closed_by"], x["overdue"]) for x in told["findings"]] == [
        ("f1", "", True), ("f2", "Nora Night", False),
    ]  # fmt: skip
    assert bascule("report", "i1", "--json", str(data), "--for", "client") == 0
    told = json.loads(data.read_text())["report"]
    assert [(x["id"], x["text"], x["owner"]) for x in told["findings"]] == [("f1", "too slow", "the provider")]
    assert "Nora Night" not in data.read_text()
    assert "no spare" not in data.read_text()
    assert bascule("report", "verify", str(data), "--workspace", str(tmp_path)) == 0
