"""`bascule calendar`: findings, proofs and certificates beside drills; each client's own, and the client's edition."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from icalendar import Calendar as Ics
from icalendar import Component

from orchestrator.core import records as r
from orchestrator.core.codec import encode
from orchestrator.core.health.detector import Row
from orchestrator.core.model import Check, Speaker
from orchestrator.core.reasons import Reason
from orchestrator.core.schedules import Calendar, MaintenancePlan, Schedule, Tells
from tests.cli.conftest import Bascule, Kept
from tests.drills.plans import plan
from tests.reports.sample import WALL, Tape, first_act, small_model

DAY_S = 86400.0
WEEKLY = "0 22 * * mon"
SOON = (datetime.now(UTC) + timedelta(days=20)).date().isoformat()
FAR = 3000  # days: whatever the clock says, what is dated from WALL on is within it, or over its day
LONG = "the second disk; restore it, “à chaud”, from Zürich → Köln " * 4


def day(wall: float) -> datetime:
    """The beginning of its day, UTC."""
    return datetime.fromtimestamp(wall, UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def finding(tape: Tape, name: str, service: str, owner: str, due: str, text: str, *, internal: bool = False) -> None:
    """Somebody found something after i1."""
    tape.write(
        r.FindingOpened(tape.now, name, "i1", service, text, owner, due, tape.now + 9.0, "Ann Example", internal)
    )


@pytest.fixture
def told(kept: Kept) -> None:
    """acme has had an outage, findings, a certificate and schedules; bistro a finding and a certificate."""
    model = small_model()
    site = Check("acme/site@web1", "acme", "site@web1", "web1.internal", "http", {})
    till = Check("bistro/till", "bistro", "till", "till", "http", {})
    people = [Speaker("acme/zoe", "acme", "Zoe Client"), Speaker("ann", "", "Ann Example")]
    known = plan("known", WEEKLY, tells=Tells.CLIENT)
    hidden = plan("hidden", WEEKLY, surprise=True)
    work = MaintenancePlan(
        "bistro/patches", "bistro", "patches", ("bistro/erp",), Schedule("0 2 * * sun", 60.0, (Calendar(),))
    )
    model = replace(
        model,
        checks={**model.checks, site.id: site, till.id: till},
        speakers={x.id: x for x in people},
        drills={"acme/geo": plan(cron=WEEKLY), "acme/known": known, "acme/hidden": hidden},
        maintenance={work.id: work},
    )
    model = replace(model, digest="m2")
    kept.journal.store_model("m2", encode(model))
    tape = Tape().begin().after(5.0)
    first_act(tape)
    tape.after(5.0)
    tape.write(r.Configured(tape.now, "m2", {"acme/erp": "acme/hq", "acme/mail": "acme/hq", "bistro/erp": None}))
    finding(tape, "f1", "acme/erp", "acme/zoe", SOON, LONG)
    finding(tape, "f2", "acme/erp", "ann", "2020-02-29", "as at bistro,\nonce more")
    finding(tape, "f3", "acme/erp", "ann", "2199-12-31", "our own plans", internal=True)
    finding(tape, "f4", "bistro/erp", "ann", "2199-12-31", "the till")
    finding(tape, "f5", "acme/erp", "ann", "2199-12-31", "it is done")
    tape.write(r.FindingClosed(tape.now, "f5", "i1", "acme/erp", "Ann Example", "done"))
    kept.keep(tape)
    rows = {
        site.id: Row(measures={"cert_days_left": 30.5}, measured_at=tape.now),
        till.id: Row(measures={"cert_days_left": -2.0}, measured_at=tape.now),
        "acme/geo-ready": Row(measures={"rtt_s": 0.1}, measured_at=tape.now),
    }
    kept.journal.append(kept.lease, tape.now + 1, WALL + tape.now + 1, [], {n: encode(x) for n, x in rows.items()})


def events(printed: bytes) -> list[Component]:
    return Ics.from_ical(printed).walk("VEVENT")


def by_kind(found: list[Component], kind: str) -> dict[str, Component]:
    """Those of a kind, by UID without what the workspace is known by."""
    return {str(x["UID"]).partition("@")[0]: x for x in found if str(x["CATEGORIES"].cats[0]) == kind}


@pytest.mark.usefixtures("told")
def test_findings_proofs_and_certificates_are_in_it(
    bascule: Bascule, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert bascule("calendar", "--days", str(FAR)) == 0
    found = events(capfdbinary.readouterr().out)
    due = by_kind(found, "finding")
    assert sorted(due) == ["finding-f1", "finding-f2"]  # 2199 is too far ahead
    assert due["finding-f2"].decoded("dtstart") == datetime(2020, 2, 29, tzinfo=UTC)
    assert due["finding-f2"].decoded("dtend") == datetime(2020, 3, 1, tzinfo=UTC)
    assert due["finding-f2"]["SUMMARY"].startswith("Finding f2 was due, and nobody has closed it: as at bistro")
    assert "owner: Ann Example (ann)" in due["finding-f2"]["DESCRIPTION"]
    proofs = by_kind(found, "proof")
    assert sorted(proofs) == ["proof-acme.erp-acme.backup-isp"]
    (proof,) = proofs.values()
    assert proof["DESCRIPTION"].startswith("proven by r1 (incident i1) on ")
    proven_on = re.search(r"on (\S+), and", proof["DESCRIPTION"])
    assert proven_on is not None
    assert proof.decoded("dtstart").date() == datetime.fromisoformat(proven_on[1]).date() + timedelta(days=365)
    ends = sorted(by_kind(found, "certificate").values(), key=lambda x: str(x["SUMMARY"]))
    assert ["till" in x["SUMMARY"] for x in ends] == [False, True]
    assert [x.decoded("dtend") - x.decoded("dtstart") for x in ends] == [timedelta(days=1)] * 2


@pytest.mark.usefixtures("told")
def test_a_certificates_day_follows_from_when_it_was_measured(
    bascule: Bascule, capfdbinary: pytest.CaptureFixture[bytes], kept: Kept
) -> None:
    assert bascule("calendar", "acme", "--days", str(FAR)) == 0
    (ends,) = by_kind(events(capfdbinary.readouterr().out), "certificate").values()
    (*_, last) = kept.journal.entries()
    at = last.at - 1
    assert ends.decoded("dtstart") == day(WALL + at + 30.5 * DAY_S)
    assert "with 30.5 days left" in ends["DESCRIPTION"]


@pytest.mark.usefixtures("told")
def test_the_same_thing_has_the_same_uid_and_no_other_has_it(
    bascule: Bascule, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    files = []
    for _ in range(2):
        assert bascule("calendar", "--days", "40") == 0
        files.append([str(x["UID"]) for x in events(capfdbinary.readouterr().out)])
    assert files[0] == files[1]
    assert len(set(files[0])) == len(files[0])


@pytest.mark.usefixtures("told")
def test_a_time_that_was_dealt_with_is_not_ahead(
    kept: Kept, bascule: Bascule, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """It began, or was missed: it does not begin any more, though its window is open."""

    def ahead() -> list[str]:
        assert bascule("calendar", "--days", "30") == 0
        drills = by_kind(events(capfdbinary.readouterr().out), "drill").values()
        return sorted(
            x.decoded("dtstart").strftime("%Y-%m-%dT%H:%M:%SZ") for x in drills if "acme/geo:" in x["SUMMARY"]
        )

    first, *others = ahead()
    schedule = plan(cron=WEEKLY)
    at = 9000.0
    records = [
        r.ScheduleInForce(at, "acme/geo", "2020-01-01T00:00:00Z", schedule),
        r.DrillMissed(at, "acme/geo", first, Reason.SCHEDULE_CHANGED, "edited"),
    ]
    kept.journal.append(kept.lease, at, WALL + at, records, {})
    assert ahead() == others


@pytest.mark.usefixtures("told")
def test_a_clients_calendar_names_no_other_client_and_no_surprise(
    bascule: Bascule, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert bascule("calendar", "bistro", "--days", "400") == 0
    other = capfdbinary.readouterr().out
    assert b"acme" not in other
    assert b"bistro/patches" in other
    assert bascule("calendar", "acme", "--days", "400", "--for", "client") == 0
    printed = capfdbinary.readouterr().out
    assert b"bistro" not in printed  # nor in the free text of a finding
    assert b"hidden" not in printed
    assert b"web1" not in printed
    assert b"our own plans" not in printed
    assert b"Ann Example" not in printed
    found = events(printed)
    assert {str(x["SUMMARY"]) for x in by_kind(found, "drill").values()} == {
        "Drill acme/known: acme/geo-site of acme/erp"
    }
    due = by_kind(found, "finding")
    assert due["finding-f1"]["SUMMARY"] == "Finding f1 due"
    assert due["finding-f1"]["DESCRIPTION"] == "after i1 of acme/erp\nowner: Zoe Client (acme/zoe)"
    assert due["finding-f2"]["SUMMARY"] == "Finding f2 was due, and nobody has closed it"
    assert "owner: the provider" in due["finding-f2"]["DESCRIPTION"]
    assert by_kind(found, "certificate")


@pytest.mark.usefixtures("told")
def test_no_line_is_longer_than_75_octets_and_none_is_cut_within_a_letter(
    bascule: Bascule, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """RFC 5545, 3.1 and 3.3.11: lines are folded by octets; commas, semicolons and line ends of a text are escaped."""
    assert bascule("calendar", "acme", "--days", "40") == 0
    printed = capfdbinary.readouterr().out
    lines = printed.split(b"\r\n")
    assert max(map(len, lines)) <= 75
    for line in lines:
        line.decode()
    whole = printed.replace(b"\r\n ", b"").decode()
    assert "second disk\\; restore it\\, “à chaud”\\, from" in whole
    found = by_kind(events(printed), "finding")
    assert str(found["finding-f1"]["SUMMARY"]).startswith("Finding f1 due: the second disk; restore it, “à chaud”")
    assert "\n" in found["finding-f1"]["DESCRIPTION"]
    assert "after i1 of acme/erp\\nowner: Zoe Client (acme/zoe)\\n" in whole


@pytest.mark.usefixtures("told")
@pytest.mark.parametrize("clients", [(), ("acme", "bistro")])
def test_the_clients_edition_is_of_one_client(
    clients: tuple[str, ...], bascule: Bascule, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bascule("calendar", *clients, "--for", "client") == 2
    assert "Name one: bascule calendar CLIENT --for client" in capsys.readouterr().err
