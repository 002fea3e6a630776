"""`bascule drill due` and `bascule calendar`: whom they are asked about, and the calendar file as bytes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from icalendar import Calendar as Ics

from orchestrator.core import records as r
from orchestrator.core.codec import encode
from orchestrator.core.schedules import Calendar, MaintenancePlan, Schedule
from tests.cli.conftest import Bascule, Kept
from tests.drills.plans import plan
from tests.reports.sample import Tape, small_model


@pytest.fixture
def scheduled(kept: Kept) -> None:
    """One drill of acme each evening, and one window of bistro's each night."""
    work = MaintenancePlan(
        "bistro/patches", "bistro", "patches", ("bistro/erp",), Schedule("0 2 * * *", 7200.0, (Calendar("UTC"),))
    )
    model = replace(small_model(), drills={"acme/geo": plan()}, maintenance={work.id: work})
    kept.journal.store_model("m2", encode(model))
    tape = Tape().begin().after(5.0)
    tape.write(r.Configured(tape.now, "m2", {"acme/erp": "acme/hq", "acme/mail": "acme/hq", "bistro/erp": None}))
    kept.keep(tape)


@pytest.mark.usefixtures("scheduled")
def test_into_a_pipe_the_calendar_is_the_file_byte_by_byte(
    bascule: Bascule, capfdbinary: pytest.CaptureFixture[bytes], tmp_path: Path
) -> None:
    """Its lines end in CR LF, as calendar programs want them, and no other CR is in it."""
    assert bascule("calendar", "--days", "3") == 0
    printed = capfdbinary.readouterr().out
    assert printed.startswith(b"BEGIN:VCALENDAR\r\nVERSION:2.0\r\n")
    assert printed.endswith(b"END:VCALENDAR\r\n")
    assert b"\\r" not in printed
    found = Ics.from_ical(printed).walk("VEVENT")
    assert len([x for x in found if x.decoded("dtstart") > x.decoded("dtstamp")]) == 3 + 3  # beside what is open now
    assert bascule("calendar", "--days", "3", "--out", str(tmp_path / "ahead.ics")) == 0
    stamp = b"DTSTAMP:"
    lines = (tmp_path / "ahead.ics").read_bytes().split(b"\r\n")
    assert [x for x in lines if not x.startswith(stamp)] == [
        x for x in printed.split(b"\r\n") if not x.startswith(stamp)
    ]


@pytest.mark.usefixtures("scheduled")
def test_only_the_clients_that_were_named(bascule: Bascule, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert bascule("calendar", "bistro", "--days", "3") == 0
    printed = capfdbinary.readouterr().out
    assert printed.count(b"Maintenance bistro/patches") in (3, 4)  # one may be open now
    assert b"Drill acme/geo" not in printed
    assert bascule("drill", "due", "bistro") == 0
    assert capfdbinary.readouterr().out == (
        b"no drill of bistro is scheduled; they are written in inventories/CLIENT/schedules.yml\n"
    )
    assert bascule("drill", "due", "acme") == 0
    told = capfdbinary.readouterr().out
    assert told.startswith(b"acme/geo: functional, acme/erp acme/geo-site: ")
    assert b", and none of them begins until somebody does. Start it: bascule daemon\n" in told  # nobody watches


@pytest.mark.usefixtures("scheduled")
@pytest.mark.parametrize("verb", [("calendar",), ("drill", "due")])
def test_a_client_that_is_not_there_is_a_fault(
    verb: tuple[str, ...], bascule: Bascule, capsys: pytest.CaptureFixture[str]
) -> None:
    """An empty calendar would say that nothing is ahead of it."""
    assert bascule(*verb, "acne") == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert "there is no client acne" in told.err
    assert "Nearest: acme" in told.err


@pytest.mark.usefixtures("scheduled")
@pytest.mark.parametrize("days", ["0", "-1", "99999999"])
def test_so_many_days_cannot_be_shown(days: str, bascule: Bascule, capsys: pytest.CaptureFixture[str]) -> None:
    assert bascule("calendar", "--days", days) == 2
    assert "Say 1 to 3660" in capsys.readouterr().err
