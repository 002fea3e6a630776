"""The shape of `schedules.yml`: keys, types and units.

The one rule it keeps: as `shapes.py`. What a time zone, a cron expression or a holiday calendar means is judged apart,
by whoever works with them (`Judge` in `schedules.py`).
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, WithJsonSchema

from orchestrator.config.shape import Count, Duration, Shape, Text
from orchestrator.config.shapes import Flag, Name
from orchestrator.core.schedules import Days, Hours

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_HOURS = re.compile(r"(?:([a-z,-]+)(?:\s+|$))?(?:(\d\d):(\d\d)-(\d\d):(\d\d))?")
_DAY = re.compile(r"(?:(\d{4})-)?(\d\d)-(\d\d)")
_WINDOW_HELP = "write days, hours or both, like mon-fri 20:00-06:00"
_DAYS_HELP = "write 2026-12-24, 2026-12-24..2027-01-02, or without years for every year: 12-24..01-02"


def _hours(value: Any) -> Hours:
    found = _HOURS.fullmatch(value.strip()) if isinstance(value, str) and value.strip() else None
    if found is None:
        raise ValueError(f"{value!r} is no window: {_WINDOW_HELP}")
    days = _days_of(found[1]) if found[1] else tuple(range(len(DAYS)))
    if days is None:
        raise ValueError(f"{value!r} has no such day: {_WINDOW_HELP}")
    if found[2] is None:
        return Hours(days)
    opens, closes = int(found[2]) * 60 + int(found[3]), int(found[4]) * 60 + int(found[5])
    if opens >= 24 * 60 or closes > 24 * 60 or int(found[3]) > 59 or int(found[5]) > 59:
        raise ValueError(f"{value!r} has no such hour: write 00:00 to 24:00")
    if opens == closes:
        raise ValueError(f"{value!r} never opens: write other hours, or the days alone for whole days")
    return Hours(days, opens * 60, closes % (24 * 60) * 60)


def _days_of(text: str) -> tuple[int, ...] | None:
    found: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        if first not in DAYS or (last or first) not in DAYS:
            return None
        a, b = DAYS.index(first), DAYS.index(last or first)
        found.update(range(a, b + 1) if a <= b else [*range(a, len(DAYS)), *range(b + 1)])
    return tuple(sorted(found))


def _days(value: Any) -> Days:
    first, dots, last = value.strip().partition("..") if isinstance(value, str) else ("", "", "")
    of = [_DAY.fullmatch(x) for x in (first, last if dots else first)]
    if not all(x is not None and 1 <= int(x[2]) <= 12 and 1 <= int(x[3]) <= _LONGEST[int(x[2])] for x in of):
        raise ValueError(f"{value!r} is no day: {_DAYS_HELP}")
    if len(first) != len(last or first):
        raise ValueError(f"{value!r} has a year at one end alone: {_DAYS_HELP}")
    if len(first) > len("12-24") and (last or first) < first:
        raise ValueError(f"{value!r} ends before it begins: {_DAYS_HELP}")
    return Days(first, last or first)


_LONGEST = (0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)

Window = Annotated[
    Hours, BeforeValidator(_hours), WithJsonSchema({"type": "string", "examples": ["mon-fri 20:00-06:00", "sat"]})
]
DaysOut = Annotated[
    Days, BeforeValidator(_days), WithJsonSchema({"type": "string", "examples": ["2026-12-24", "12-24..01-02"]})
]


class CalendarShape(Shape):
    """When drills may be."""

    time_zone: Text | None = None
    windows: list[Window] | None = None
    blackout: list[DaysOut] | None = None
    holidays: Text | None = None


class CandidateShape(Shape):
    """What may be drilled: one tier of a service, or (without `move`) each of its tiers."""

    REQUIRED = ("service",)
    service: Name | None = None
    move: Name | None = None


class DrillShape(CalendarShape):
    """A schedule of drills."""

    REQUIRED = ("schedule",)
    schedule: Text | None = None
    window: Duration | None = None
    service: Name | None = None
    move: Name | None = None
    of: list[CandidateShape] | None = None
    kind: Literal["functional", "full-scale"] = "functional"
    surprise: Flag = False
    at_most: Count | None = None
    not_twice_running: Flag = False
    tells: Literal["nobody", "owners", "client"] = "nobody"
    tells_before: Duration | None = None
    stays: Duration | None = None
    return_within: Duration | None = None


class MaintenanceShape(CalendarShape):
    """Work that is announced again and again."""

    REQUIRED = ("schedule", "lasts")
    schedule: Text | None = None
    lasts: Duration | None = None
    of: list[Name] | None = None


class SchedulesFileShape(Shape):
    """inventories/CLIENT/schedules.yml."""

    time_zone: Text | None = None
    calendar: dict[str, Any] | None = None
    people: dict[str, Any] | None = None
    drills: dict[str, Any] | None = None
    maintenance: dict[str, Any] | None = None
