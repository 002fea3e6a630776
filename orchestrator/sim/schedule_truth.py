"""Schedules of drills, judged by records and the world's time: missed and never late, never twice, none dropped.

The one rule it keeps: it never asks what the controller believes to be due. It counts the times of a schedule itself,
where they are so many minutes apart, as those of the simulator's own are.

    of a schedule, of each time        there is
    -----------------------------      ---------------------------------------------------------------------
    that comes into force              no time before that
    since it came into force           one end: a drill that began, or one that was missed
    whose drill began                  its coming due before, and its window still open, on axis and in the world
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from orchestrator.core import records as r
from orchestrator.core.schedules import Calendar, DrillPlan
from orchestrator.drills.times import at, read, written
from orchestrator.sim.violation import BESIDE, Report

LATE_S = 30.0  # a slow disk, between deciding and the entry
SOON_S = 60.0  # until what has passed is on record
TrueWall = Callable[[], float | None]


@dataclass(slots=True)
class Running:
    """A schedule since it is as it is. `ends`: of each of its times how it ended."""

    since: str
    plan: DrillPlan
    ends: dict[str, str] = field(default_factory=dict)
    due: r.DrillCameDue | None = None


class ScheduleTruth:
    """What became of every time of every schedule."""

    def __init__(self, true_wall: TrueWall, report: Report) -> None:
        """`true_wall`: the world's time, seconds since 1970; None: the controller's clock was ever wrong."""
        self._true_wall = true_wall
        self._report = report
        self._known: dict[str, Running] = {}
        self._ends: dict[tuple[str, str], str] = {}  # of every schedule and time, whatever the schedule was then

    def record(self, record: r.Record) -> None:
        """One record became durable."""
        told = _TOLD.get(type(record))
        if told is not None:
            told(self, record)

    def at_rest(self, now: float) -> None:
        """Every time whose window is over has its end; `now`: by the axis."""
        wall = self._true_wall()
        for name, known in self._known.items():
            if known.due is not None and now > known.due.closes_at + SOON_S:
                self._say("what is due ends with its window", name, known.due.occurrence)
            upto = max(known.ends, default="")
            if wall is not None:
                upto = max(upto, written(at(wall - known.plan.schedule.length_s - SOON_S)))
            self._complete(name, known, upto)

    def _in_force(self, x: r.ScheduleInForce) -> None:
        before = self._known.pop(x.schedule, None)
        if before is not None:
            if before.due is not None:
                self._say("what is due ends before its schedule does", x.schedule, before.due.occurrence)
            self._complete(x.schedule, before, max(before.ends, default=""))
        wall = self._true_wall()
        if wall is not None and x.since < written(at(wall - SOON_S)):
            self._say("a schedule counts from when it came into force", x.schedule, x.since)
        if x.plan is not None:
            self._known[x.schedule] = Running(x.since, x.plan)

    def _came_due(self, x: r.DrillCameDue) -> None:
        known = self._known.get(x.schedule)
        if known is None or known.due is not None or x.occurrence in known.ends or x.occurrence <= known.since:
            self._say("a drill comes due once, of a schedule that is in force", x.schedule, x.occurrence)
            return
        known.due = x
        if x.closes_at - x.at > known.plan.schedule.length_s:
            self._say("a window is no longer than its schedule says", x.schedule, x.occurrence)

    def _began(self, x: r.DrillBegan) -> None:
        if not x.scheduled:
            return
        known = self._known.get(x.scheduled)
        due = known.due if known is not None else None
        if known is None or due is None or due.occurrence != x.occurrence:
            self._say("a drill of a schedule was due", x.scheduled, x.occurrence)
            return
        known.due = None
        if x.at >= due.closes_at or self._is_late(known.plan, x.occurrence):
            self._say("a drill is missed, and never late", x.scheduled, x.occurrence)
        self._end(known, x.scheduled, x.occurrence, f"{x.drill} began")

    def _is_late(self, plan: DrillPlan, occurrence: str) -> bool:
        """By the world's own time; where calendars close sooner, that is the axis' affair."""
        wall, opens = self._true_wall(), read(occurrence).timestamp()
        return wall is not None and not plan.surprise and not opens <= wall <= opens + plan.schedule.length_s + LATE_S

    def _missed(self, x: r.DrillMissed) -> None:
        known = self._known.get(x.schedule)
        if known is None:
            self._say("what is missed is of a schedule that is in force", x.schedule, x.occurrence)
            return
        if known.due is not None and known.due.occurrence == x.occurrence:
            known.due = None
        self._end(known, x.schedule, x.occurrence, "missed")

    def _end(self, known: Running, schedule: str, occurrence: str, how: str) -> None:
        was = self._ends.get((schedule, occurrence))
        if was is not None:
            self._say("a time of a schedule has one end", schedule, f"{occurrence}: {was}, and {how}")
        self._ends[schedule, occurrence] = known.ends[occurrence] = how

    def _complete(self, name: str, known: Running, upto: str) -> None:
        """No time between the first and this one is without an end."""
        due = known.due.occurrence if known.due is not None else ""
        for occurrence in _times(known.plan, known.since, upto):
            if occurrence not in known.ends and occurrence != due and (name, occurrence) not in self._ends:
                self._say("no time of a schedule is dropped silently", name, occurrence)

    def _say(self, rule: str, schedule: str, what: str) -> None:
        self._report(BESIDE, rule, f"{schedule} at {what}")


def _times(plan: DrillPlan, since: str, upto: str) -> Iterator[str]:
    """The times after the one and up to the other, of a schedule whose times are so many minutes apart."""
    step, slash, minutes = plan.schedule.cron.partition(" ")[0].partition("/")
    rest = plan.schedule.cron.partition(" ")[2]
    plain = plan.schedule.calendars == (Calendar(),) and not plan.surprise and not plan.of[0].calendars
    if not (plain and step == "*" and slash and rest == "* * * *" and 60 % int(minutes) == 0 and since < upto):
        return
    last, period = read(upto), timedelta(minutes=int(minutes))
    moment = read(since).replace(minute=0, second=0)
    while moment <= last:
        if written(moment) > since:
            yield written(moment)
        moment += period


_TOLD: dict[type, Callable[[ScheduleTruth, Any], None]] = {
    r.ScheduleInForce: ScheduleTruth._in_force,
    r.DrillCameDue: ScheduleTruth._came_due,
    r.DrillBegan: ScheduleTruth._began,
    r.DrillMissed: ScheduleTruth._missed,
}
