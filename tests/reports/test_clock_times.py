"""Each time of day says how far from UTC it is, and one file alone writes it."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.reports.clock_times import hour, minute, span, stamp, when, zone

PACKAGE = Path(__file__).parents[2] / "orchestrator"
OTHERS = {  # in UTC and said to be so, or a day, or for no person
    "cli/finding_remedies.py": "a day",
    "cli/findings.py": "a day",
    "config/last_read.py": "UTC, written out",
    "core/deciding/findings.py": "a day",
    "drills/calendars.py": "a day",
    "drills/times.py": "as records have it: UTC, with its Z",
    "journal/anchors.py": "UTC, with its Z",
    "journal/models_kept.py": "a month",
    "lab/programs/backup.py": "a file's name",
    "probes/aws_calls.py": "no text",
    "reports/clock_times.py": "the one that does",
    "reports/data_age.py": "a day",
    "reports/dated.py": "a day",
    "reports/papers/excerpt.py": "as records have it",
    "reports/papers/tongue.py": "UTC, written out",
}


@pytest.fixture
def paris(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whoever looks is in Paris."""
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("paris")
def test_the_hour_that_comes_twice_is_told_apart() -> None:
    assert stamp(1_792_886_400.0) == "2026-10-25 02:00:00 UTC+2"
    assert stamp(1_792_890_000.0) == "2026-10-25 02:00:00 UTC+1"
    assert minute(1_792_890_000.0) == "2026-10-25 02:00 UTC+1"
    assert when(1_792_890_000.0, 1_792_890_000.0 + 12 * 3600 - 1) == "02:00:00 UTC+1"
    assert when(1_792_890_000.0, 1_792_890_000.0 + 12 * 3600) == "2026-10-25 02:00:00 UTC+1"
    assert hour(1_792_886_400.0 + 1800.0) == (2, "02:00 UTC+2")


@pytest.mark.usefixtures("paris")
def test_what_both_ends_of_a_window_have_in_common_is_said_once() -> None:
    """But where clocks are set in it."""
    opens = 1_792_886_400.0 - 3600.0
    assert span(opens, opens + 1200.0) == "2026-10-25 01:00 until 01:20 UTC+2"
    assert span(opens - 7200.0, opens) == "2026-10-24 23:00 until 2026-10-25 01:00 UTC+2"
    assert span(opens, opens + 7200.0) == "2026-10-25 01:00 UTC+2 until 2026-10-25 02:00 UTC+1"


def test_a_zone_is_said_as_its_distance() -> None:
    assert [zone(x) for x in (0, 3600, -12600, 20700)] == ["UTC", "UTC+1", "UTC-3:30", "UTC+5:45"]


def test_nobody_else_turns_a_time_into_text() -> None:
    writes = re.compile(r"\b(strftime|localtime|isoformat|ctime|asctime|fromtimestamp)\(")
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).as_posix()
        if writes.search(path.read_text(encoding="utf-8")) and name not in OTHERS:
            pytest.fail(f"{name} turns a time into text: ask reports/clock_times.py, so that it says its zone")
