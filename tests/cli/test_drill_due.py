"""`bascule drill due` and `bascule calendar`: whom they are asked about, and the calendar file as bytes."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest
from icalendar import Calendar as Ics

from orchestrator.core import records as r
from orchestrator.core.codec import encode
from orchestrator.core.schedules import Calendar, Candidate, MaintenancePlan, Schedule
from orchestrator.reports import reader
from tests.cli.conftest import Bascule, Kept
from tests.drills.plans import plan
from tests.reports.papers.drills import functional
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


@pytest.fixture(params=["from the first entry", "from a checkpoint"])
def missed(kept: Kept, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of acme's drill seven evenings were missed; of bistro's one, which could have been acme's; one was made.

    The journal is not read through: it may have millions of entries.
    """
    both = (Candidate("acme/erp", "acme/geo-site"), Candidate("bistro/erp", "bistro/geo-site"))
    shared = replace(plan(), id="bistro/all", client="bistro", of=both)
    model = replace(small_model(), drills={"acme/geo": plan(), "bistro/all": shared})
    kept.journal.store_model("m2", encode(model))
    tape = Tape().begin().after(5.0)
    tape.write(r.Configured(tape.now, "m2", {"acme/erp": "acme/hq"}))
    for one in model.drills.values():
        tape.write(r.ScheduleInForce(tape.now, one.id, "2026-11-01T00:00:00Z", one))
    for day in range(1, 8):
        at = f"2026-11-{day:02d}T21:00:00Z"
        tape.after(86400.0).write(r.DrillMissed(tape.now, "acme/geo", at, r.Reason.HELD, f"Ada holds acme, day {day}"))
    at = "2026-11-08T21:00:00Z"
    tape.after(86400.0).write(r.DrillMissed(tape.now, "bistro/all", at, r.Reason.WINDOW_UNSEEN, "nobody looked"))
    functional(tape)
    tape.after(60.0).write(r.WindowOpened(tape.now, "bistro", "patches", tape.now + 1.0))
    tape.entries[-1] = replace(tape.entries[-1], wall=tape.entries[-1].wall + 3600.0)  # the clock was put on since
    kept.keep(tape)
    if "checkpoint" in request.param:
        kept.journal.checkpoint(kept.journal.last_seq(), encode(tape.read().decided))
    monkeypatch.delattr(reader, "Stories")


@pytest.mark.usefixtures("missed")
@pytest.mark.parametrize("verb", ["due", "list"])
def test_what_was_missed_is_shown_with_its_window_and_why(
    verb: str, bascule: Bascule, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The latest, the last one first."""
    monkeypatch.setenv("TZ", "Etc/GMT-1")
    time.tzset()
    try:
        assert bascule("drill", verb) == 0
        told = capsys.readouterr().out.splitlines()
    finally:
        monkeypatch.undo()
        time.tzset()
    first = told.index("missed, the latest first:")
    window = "2026-11-08 22:00 until 22:20 UTC+1"
    assert told[first + 1] == f"  bistro/all, {window}: window unseen: nobody looked"
    window = "2026-11-07 22:00 until 22:20 UTC+1"
    assert f"  acme/geo, {window}: held: Ada holds acme, day 7" in told
    assert told[-1] == "  and 3 before; bascule report CLIENT --from DAY tells of all"
    assert not any("day 3" in x for x in told)


@pytest.mark.usefixtures("missed")
def test_what_was_missed_is_told_to_whoever_asks_for_the_client(
    bascule: Bascule, capsys: pytest.CaptureFixture[str]
) -> None:
    for words, wanted in ((("acme",), True), (("bistro",), False), (("acme/mail",), False)):
        assert bascule("drill", "list", *words) == 0
        assert ("acme/geo, " in capsys.readouterr().out) is wanted
    assert bascule("drill", "due", "bistro") == 0
    told = capsys.readouterr().out
    assert "bistro/all, " in told
    assert "acme/geo, " not in told


@pytest.mark.usefixtures("missed")
def test_programs_are_told_what_was_missed(bascule: Bascule, kept: Kept, capsys: pytest.CaptureFixture[str]) -> None:
    assert bascule("drill", "due", "--json") == 0
    found = {x["schedule"]: x for x in json.loads(capsys.readouterr().out)}
    assert [x["occurrence"] for x in found["bistro/all"]["missed"]] == ["2026-11-08T21:00:00Z"]
    assert [x["evidence"][-1] for x in found["acme/geo"]["missed"]] == ["7", "6", "5", "4", "3"]
    assert bascule("drill", "list", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert [x["drill"] for x in told["drills"]] == ["d1"]
    records = {type(x): e.wall for e in kept.journal.entries() for x in e.records}
    assert (told["drills"][0]["began"], told["drills"][0]["ended"]) == (records[r.DrillBegan], records[r.DrillEnded])
    assert bascule("drill", "show", "d1", "--json") == 0
    assert json.loads(capsys.readouterr().out) == told["drills"][0]
    assert told["missed"][0] == {
        "schedule": "bistro/all",
        "kind": "functional",
        "what": ["acme/erp acme/geo-site", "bistro/erp bistro/geo-site"],
        "occurrence": "2026-11-08T21:00:00Z",
        "opens": "2026-11-08T21:00:00Z",
        "closes": "2026-11-08T21:20:00Z",
        "reason": "window unseen",
        "evidence": "nobody looked",
    }


def test_one_that_cannot_be_worked_out_here_is_named_and_the_others_are_shown(
    kept: Kept, bascule: Bascule, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """The machine has lost a time zone: of a drill, and of another client's announced work."""
    zone = (Calendar("Mars/Olympus"),)
    works = [
        MaintenancePlan(f"{x}/patches", x, "patches", (f"{x}/erp",), Schedule("0 2 * * *", 7200.0, of))
        for x, of in (("bistro", zone), ("acme", (Calendar("UTC"),)))
    ]
    drills = {"acme/geo": plan(), "acme/lost": plan("lost", zone="Mars/Olympus")}
    model = replace(small_model(), drills=drills, maintenance={x.id: x for x in works})
    kept.journal.store_model("m2", encode(model))
    tape = Tape().begin().after(5.0)
    tape.write(r.Configured(tape.now, "m2", {"acme/erp": "acme/hq", "acme/mail": "acme/hq", "bistro/erp": None}))
    kept.keep(tape)
    assert bascule("calendar", "--days", "3") == 0
    shown = capfdbinary.readouterr()
    assert b"Drill acme/geo" in shown.out
    assert b"Maintenance acme/patches" in shown.out
    assert b"Mars" not in shown.out
    assert sorted(shown.err.decode().splitlines()) == [
        "acme/lost is left out: this machine knows no time zone 'Mars/Olympus'",
        "bistro/patches is left out: this machine knows no time zone 'Mars/Olympus'",
    ]
    assert bascule("drill", "due") == 0
    text = " ".join(capfdbinary.readouterr().out.decode().split())
    assert "acme/geo: functional, acme/erp acme/geo-site: next " in text
    assert "acme/lost: functional, acme/erp acme/geo-site: its times cannot be worked out" in text
    assert "this machine knows no time zone 'Mars/Olympus'" in text
