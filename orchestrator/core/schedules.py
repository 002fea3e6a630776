"""What `schedules.yml` compiles to: which drills are to be made when, and when work is announced. Plain data.

The one rule it keeps: it says when, and never that it is time. A time of a calendar is text, `2026-11-03T21:00:00Z`
(always UTC, always so long): such texts sort as the times that they name. What a calendar means is worked out in
`drills/`, and the core is told of it by events.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class DrillKind(StrEnum):
    """How much of a move a drill makes."""

    FUNCTIONAL = "functional"  # rehearsed beside what serves, as its author says, and cleaned up
    FULL_SCALE = "full-scale"  # the real move, and the real way back


class Tells(StrEnum):
    """Who is told beforehand that a drill is ahead."""

    NOBODY = "nobody"
    OWNERS = "owners"  # of the service
    CLIENT = "client"  # those on call for the client


@dataclass(frozen=True, slots=True)
class Hours:
    """Hours of some days of the week (0: Monday), in seconds of local time of day.

    `closes_s` at or before `opens_s`: on the day after. Both 0: the whole day.
    """

    days: tuple[int, ...]
    opens_s: int = 0
    closes_s: int = 0


@dataclass(frozen=True, slots=True)
class Days:
    """From this day to that one, both included: `2026-12-24`, or each year `12-24`."""

    first: str
    last: str


@dataclass(frozen=True, slots=True)
class Calendar:
    """When something may be: within `windows` (none: at any hour), on no day of `blackout`, on no public holiday.

    `time_zone`: by its IANA name. `holidays`: a country, `FR`, or a part of one, `FR-57`; empty: none are kept.
    """

    time_zone: str = "UTC"
    windows: tuple[Hours, ...] = ()
    blackout: tuple[Days, ...] = ()
    holidays: str = ""


@dataclass(frozen=True, slots=True)
class Schedule:
    """The times of a drill or of announced work. `cron`: five fields, in the time zone of the first calendar.

    Without `cron`: at the first opening of the first calendar's windows on each day. `length_s`: for so long after
    each of its times it may begin, or it lasts. Every calendar has to admit it.
    """

    cron: str
    length_s: float
    calendars: tuple[Calendar, ...] = (Calendar(),)

    @property
    def time_zone(self) -> str:
        """In which its times are written."""
        return self.calendars[0].time_zone


@dataclass(frozen=True, slots=True)
class Candidate:
    """A move of a service that a schedule may have drilled. `calendars`: of those who own the service."""

    service: str
    move: str
    calendars: tuple[Calendar, ...] = ()


@dataclass(frozen=True, slots=True)
class DrillPlan:
    """A schedule of drills. At each of its times one of its candidates is drilled.

    `by_value`: that which is worth most. `surprise`: one that is drawn, at an hour that is drawn. `at_most`: drills at
    once, of all clients. `stays_s`, `within_s`: see `records.DrillBegan`; None: as for any drill. `digest`: of all
    that.
    """

    id: str
    client: str
    name: str
    kind: DrillKind
    schedule: Schedule
    of: tuple[Candidate, ...]
    by_value: bool = False
    surprise: bool = False
    at_most: int | None = None
    not_twice_running: bool = False
    tells: Tells = Tells.NOBODY
    tells_before_s: float = 86400.0
    stays_s: float | None = None
    within_s: float | None = None
    digest: str = ""


@dataclass(frozen=True, slots=True)
class MaintenancePlan:
    """Work that is announced again and again; `subjects` as in words: service ids, or the client."""

    id: str
    client: str
    name: str
    subjects: tuple[str, ...]
    schedule: Schedule


@dataclass(frozen=True, slots=True)
class Pick:
    """What is to be drilled at one time of a schedule, and by what it was chosen; empty: there was no choice.

    `draw`: of a surprise a number of at least 0 and less than 1, by which its playbooks choose, say, a backup.
    """

    service: str
    move: str
    drawn: str = ""
    draw: float = 0.0
