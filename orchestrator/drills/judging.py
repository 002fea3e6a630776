"""What is wrong with a calendar that somebody wrote: for the configuration, which says it with file, line and column.

The one rule it keeps: it goes by nine years from a fixed day on, and by no clock: the same file has the same faults
whenever it is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.resources import files
from itertools import islice, pairwise

from orchestrator.core.schedules import Calendar, Schedule
from orchestrator.drills.calendars import stretches
from orchestrator.drills.occurrences import EVER, next_after, occurrences
from orchestrator.drills.occurrences import wrong_cron as wrong_cron

FROM = datetime(2024, 1, 1, tzinfo=UTC)
FAR = 2099  # a year
LOOKED_AT = 24  # times of a schedule, for the shortest time between two
SOON, YEAR = timedelta(days=15), timedelta(days=370)


def zones_if_not(name: str) -> Sequence[str]:
    """Every time zone there is, where this is none of them; else nothing.

    What a machine has beside (`localtime`, `right/Europe/Paris`) is none: elsewhere it means another time, or nothing.
    """
    return () if name in (known := _zones()) else sorted(known)


@cache
def _zones() -> frozenset[str]:
    """Those of the IANA's database; `Factory` is the one of a machine that nobody has set up."""
    return frozenset((files("tzdata") / "zones").read_text(encoding="utf-8").split()) - {"Factory"}


def holidays_if_not(where: str) -> Sequence[str]:
    """Every country, or part of this country, whose public holidays are known, where this is none of them."""
    from holidays import country_holidays, list_supported_countries

    country, _, part = where.partition("-")
    known = list_supported_countries(include_aliases=True)
    if country not in known:
        return sorted(known)
    try:
        country_holidays(country, subdiv=part or None, years=FROM.year)
    except NotImplementedError:
        return [country, *(f"{country}-{x}" for x in known[country])]
    return ()


def holidays_end(where: str) -> int | None:
    """The last year of which its public holidays are known; None: as far as anybody plans."""
    from holidays import country_holidays

    country, _, part = where.partition("-")
    end = country_holidays(country, subdiv=part or None).end_year
    return end if end < FAR else None


def never_opens(calendars: Sequence[Calendar]) -> bool:
    """Whether no moment of a year is admitted by all of them."""
    return not any(stretches(calendars, FROM, FROM + time) for time in (SOON, YEAR))


def never_runs(schedule: Schedule, also: Sequence[Calendar] = (), *, whole: bool = False) -> bool:
    """Whether it has no time at all."""
    return next_after(schedule, tuple(also), FROM, whole) is None


def period_s(schedule: Schedule, also: Sequence[Calendar] = (), *, whole: bool = False) -> float:
    """The shortest time between two of its times, of the next ones; infinite where it has one alone."""
    times = islice(occurrences(schedule, also, FROM, FROM + EVER, whole=whole), LOOKED_AT)
    return min(((b.named_at - a.named_at).total_seconds() for a, b in pairwise(times)), default=float("inf"))
