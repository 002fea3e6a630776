"""Times of day as a terminal and a page show them: in the time zone of whoever runs the command.

The one rule it keeps: each time says how far from UTC it is, `2026-10-25 02:00:00 UTC+2`. Whoever reads it may be
elsewhere, and one hour of each autumn comes twice. Nobody else turns a time into text; reports on paper have UTC
(`papers/tongue.py`), as calendar files do.
"""

from __future__ import annotations

import time

NEAR_S = 12 * 3600.0  # a time so near needs no date


def stamp(wall: float) -> str:
    """Date and time, to the second."""
    return _told("%Y-%m-%d %H:%M:%S", wall)


def minute(wall: float) -> str:
    """Date and time, to the minute: of what is planned, and of days long past."""
    return _told("%Y-%m-%d %H:%M", wall)


def span(opens: float, closes: float) -> str:
    """From when to when, to the minute; what both have in common is said once."""
    first, last = time.localtime(opens), time.localtime(closes)
    if first.tm_gmtoff != last.tm_gmtoff:
        return f"{minute(opens)} until {minute(closes)}"
    until = _told("%H:%M" if first[:3] == last[:3] else "%Y-%m-%d %H:%M", closes)
    return f"{time.strftime('%Y-%m-%d %H:%M', first)} until {until}"


def when(wall: float, now: float) -> str:
    """The time alone where it is near to `now`; else with its date."""
    return _told("%H:%M:%S", wall) if abs(now - wall) < NEAR_S else stamp(wall)


def hour(wall: float) -> tuple[int, str]:
    """The hour of the day, and how it is shown."""
    return time.localtime(wall).tm_hour, _told("%H:00", wall)


def _told(form: str, wall: float) -> str:
    there = time.localtime(wall)
    return f"{time.strftime(form, there)} {zone(there.tm_gmtoff)}"


def zone(ahead_s: int) -> str:
    """`UTC`, `UTC+2`, `UTC-3:30`."""
    if not ahead_s:
        return "UTC"
    hours, minutes = divmod(abs(ahead_s) // 60, 60)
    return f"UTC{'-' if ahead_s < 0 else '+'}{hours}" + (f":{minutes:02d}" if minutes else "")
