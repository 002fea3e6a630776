"""The calendar file: read back by icalendar, every time in UTC, no rule of recurrence."""

from __future__ import annotations

from datetime import timedelta

from icalendar import Calendar as Ics

from orchestrator.core import events as e
from orchestrator.core.schedules import Calendar, MaintenancePlan, Schedule
from orchestrator.drills import ics, maintenance
from tests.drills.plans import moment, plan

PATCHES = MaintenancePlan(
    "acme/patches", "acme", "patches", ("acme/erp", "acme/web"),
    Schedule("0 2 * * sun", 7200.0, (Calendar("Europe/Paris"),)),
)  # fmt: skip


def test_it_is_a_calendar_that_others_read() -> None:
    now = moment("2026-10-20T00:00")
    found, _ = ics.ahead({"acme/geo": plan()}, {PATCHES.id: PATCHES}, now, now + timedelta(days=7))
    file = ics.written(found, now)
    assert b"RRULE" not in file
    events = Ics.from_ical(file).walk("VEVENT")
    assert len(events) == 7 + 1
    assert len({x["UID"] for x in events}) == len(events)
    for event in events:
        assert event["DTSTART"].to_ical().endswith(b"Z")
    (work,) = [x for x in events if "Maintenance" in x["SUMMARY"]]
    assert work.decoded("dtstart") == moment("2026-10-25T00:00")  # the first 02:00 of that night
    assert work.decoded("dtend") - work.decoded("dtstart") == timedelta(hours=2)
    drill = next(x for x in events if "Drill" in x["SUMMARY"])
    assert drill["SUMMARY"] == "Drill acme/geo: acme/geo-site of acme/erp"


def test_what_is_open_now_is_in_it_until_it_closes() -> None:
    opens = moment("2026-10-25T00:00")
    for minutes, kept in ((-1, True), (0, True), (119, True), (120, False)):
        now = opens + timedelta(minutes=minutes)
        found, _ = ics.ahead({}, {PATCHES.id: PATCHES}, now, now + timedelta(days=3))
        assert [x.opens for x in found] == ([opens] if kept else [])


def test_two_workspaces_have_no_uid_in_common() -> None:
    now = moment("2026-10-20T00:00")
    found, _ = ics.ahead({}, {PATCHES.id: PATCHES}, now, now + timedelta(days=7))
    files = [ics.written(found, now, name) for name in ("4f00", "4f01")]
    ids = [{str(x["UID"]) for x in Ics.from_ical(file).walk("VEVENT")} for file in files]
    assert ids == [{"20261025T000000Z-acme.patches-m@4f00.bascule"}, {"20261025T000000Z-acme.patches-m@4f01.bascule"}]


def test_a_window_of_announced_work_is_open_from_its_beginning_to_its_end() -> None:
    plans = {PATCHES.id: PATCHES}
    before = maintenance.look({}, plans, moment("2026-11-01T00:59").timestamp(), 100.0)
    assert before.events == []
    assert before.again_at == moment("2026-11-01T01:00").timestamp()
    within = maintenance.look({}, plans, moment("2026-11-01T02:00").timestamp(), 100.0)
    name = "patches@2026-11-01T01:00:00Z"
    assert within.events == [e.MaintenanceBegan(x, name, 3700.0) for x in ("acme/erp", "acme/web")]
    assert within.again_at == moment("2026-11-01T03:00").timestamp()
    announced = {f"{x}#{name}": 3700.0 for x in ("acme/erp", "acme/web")} | {"acme/mail": 5.0}
    assert maintenance.look(announced, plans, moment("2026-11-01T02:01").timestamp(), 160.0).events == []
    after = maintenance.look(announced, plans, moment("2026-11-01T03:00").timestamp(), 3700.0)
    assert after.events == [e.MaintenanceEnded(x, name) for x in ("acme/erp", "acme/web")]
    assert maintenance.look(announced, {}, moment("2026-11-01T02:01").timestamp(), 160.0).events == after.events
