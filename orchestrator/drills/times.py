"""Local times and the one time that they name.

The one rule it keeps: a local time that a calendar names is one instant, whatever the clocks do. One that the clocks
skip in spring is the instant at which they skip it; one that they repeat in autumn is the first of the two. So Debian's
cron has it for jobs at fixed hours, and here it holds for every schedule: nothing is doubled, and nothing is skipped.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

SECOND = timedelta(seconds=1)


class CalendarUnknown(Exception):
    """A calendar that cannot be worked out here, and why: what it names is not known to this machine any more."""


FAILURES = (CalendarUnknown, ImportError, LookupError, ValueError, ArithmeticError, OSError)
"""What keeps one schedule from being worked out, and must keep no other one."""


def why_not(failure: Exception) -> str:
    """In a few words."""
    return str(failure) if isinstance(failure, CalendarUnknown) else f"{type(failure).__name__}: {failure}"


@lru_cache(maxsize=256)
def zone(name: str) -> ZoneInfo:
    """The time zone of this IANA name. Raises CalendarUnknown."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise CalendarUnknown(f"this machine knows no time zone {name!r}") from None


def instant(local: datetime, where: ZoneInfo) -> datetime:
    """The instant, in UTC, of a local time without a zone."""
    there = local.replace(tzinfo=where)
    first = there.astimezone(UTC)
    if first.astimezone(where).replace(tzinfo=None) == local:
        return first
    low, high = sorted((first, there.replace(fold=1).astimezone(UTC)))
    if low == high:
        return first
    before = low.astimezone(where).utcoffset()  # the clocks skip it: find where
    while high - low > SECOND:
        middle = low + (high - low) // 2
        middle = middle.replace(microsecond=0)
        if middle <= low:
            break
        if middle.astimezone(where).utcoffset() == before:
            low = middle
        else:
            high = middle
    return high


def at(wall: float) -> datetime:
    """Seconds since 1970 as a time in UTC."""
    return datetime.fromtimestamp(wall, UTC)


def written(moment: datetime) -> str:
    """As times of calendars are written; whole seconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def read(text: str) -> datetime:
    """The time that `written` wrote. Raises ValueError."""
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
