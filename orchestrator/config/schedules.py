"""One client's `schedules.yml`: drills and announced work, compiled to the core's model.

The one rule it keeps: what can never come to pass is a fault. A schedule that never runs is worse than none: people
believe that they are drilled.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from orchestrator.config.client import ClientFile
from orchestrator.config.faults import Faults, nearest
from orchestrator.config.odd_drills import BY_VALUE, REMEDIES, left_out, odd_drill
from orchestrator.config.schedule_shapes import (
    CalendarShape,
    CandidateShape,
    DrillShape,
    MaintenanceShape,
    SchedulesFileShape,
)
from orchestrator.config.shapes import written
from orchestrator.config.shaping import take_shape
from orchestrator.config.spelling import either
from orchestrator.config.strict_yaml import Document, Path_, read_yaml
from orchestrator.core.codec import dumps, encode
from orchestrator.core.model import Model, Service, default_of
from orchestrator.core.reasons import Reason
from orchestrator.core.rules.drilling import refused_each_time, way_back
from orchestrator.core.schedules import Calendar, Candidate, DrillKind, DrillPlan, MaintenancePlan, Schedule, Tells

WINDOW_S = 3600.0  # in which a drill may begin, where nobody says otherwise
LEAST_S = 60.0  # of a window: what stands against a drill is asked each quarter of a minute
LONGEST_S = 366 * 86400.0  # of a window, or beforehand: no calendar is looked at from further off


class Judge(Protocol):
    """Knows time zones, cron and holidays: see `drills/judging.py`."""

    def zones_if_not(self, name: str) -> Sequence[str]:
        """Every time zone, where this is none."""

    def holidays_if_not(self, where: str) -> Sequence[str]:
        """Every holiday calendar, where this is none."""

    def holidays_end(self, where: str) -> int | None:
        """The last year of which they are known, where there is one."""

    def wrong_cron(self, text: str) -> str:
        """What is wrong with a cron expression."""

    def never_opens(self, calendars: Sequence[Calendar]) -> bool:
        """Whether nothing is admitted by all of them."""

    def never_runs(self, schedule: Schedule, also: Sequence[Calendar] = (), *, whole: bool = False) -> bool:
        """Whether it has no time at all."""

    def period_s(self, schedule: Schedule, also: Sequence[Calendar] = (), *, whole: bool = False) -> float:
        """The shortest time between two of its times."""


@dataclass(slots=True)
class Scheduled:
    """What the clients' files come to."""

    drills: dict[str, DrillPlan] = field(default_factory=dict)
    maintenance: dict[str, MaintenancePlan] = field(default_factory=dict)


def read_schedules(
    folders: Mapping[str, Path],
    files: Mapping[str, ClientFile],
    model: Model,
    people: frozenset[str],
    judge: Judge | None,
    faults: Faults,
) -> Scheduled:
    """Of every client that has one. `model`: services and moves; `people`: ids. Without a judge nothing is judged."""
    found = Scheduled()
    for client, file in files.items():
        path = either(folders[client], "schedules", where := f"inventories/{client}/", faults)
        document = read_yaml(path, f"{where}{path.name}", faults) if path.is_file() else None
        head = take_shape(SchedulesFileShape, document, (), document.data, faults, "the file") if document else None
        if document is not None and head is not None:
            _Schedules(client, document, head, file, model, people, judge, faults).compile(found)
    return found


@dataclass(slots=True)
class _Schedules:
    client: str
    document: Document
    head: SchedulesFileShape
    file: ClientFile
    model: Model
    people: frozenset[str]
    judge: Judge | None
    faults: Faults
    zone: str = "UTC"
    common: Calendar | None = None  # of the client
    owners: dict[str, Calendar] = field(default_factory=dict)  # by person

    def compile(self, into: Scheduled) -> None:
        self.zone = self._zone(self.head.time_zone, ("time_zone",)) or "UTC"
        if self.head.calendar is not None:
            shape = take_shape(CalendarShape, self.document, ("calendar",), self.head.calendar, self.faults, "calendar")
            self.common = self._calendar(shape, ("calendar",)) if shape else None
        self._people()
        for name, data in (self.head.drills or {}).items():
            drill = self._taken(DrillShape, "drills", name, data, "drill")
            plan = self._drill(name, drill) if drill is not None else None
            if plan is not None:
                into.drills[plan.id] = plan
        for name, data in (self.head.maintenance or {}).items():
            work = self._taken(MaintenanceShape, "maintenance", name, data, "maintenance")
            window = self._maintenance(name, work) if work is not None else None
            if window is not None:
                into.maintenance[window.id] = window

    def _taken(self, shape: Any, section: str, name: str, data: Any, what: str) -> Any:
        if not name or any(sign in name for sign in "/@# ,:"):
            self.faults.add(self.document.key(section, name), f"{name!r} is no name", "letters, digits, '-', '_', '.'")
            return None
        return take_shape(shape, self.document, (section, name), data, self.faults, f"{what} {name}")

    # ---- calendars

    def _zone(self, name: str | None, path: Path_) -> str | None:
        known = self.judge.zones_if_not(name) if name and self.judge else ()
        if name and known:
            near = nearest(name, known)
            like = "" if near else "a region and a city, like Europe/Paris, or UTC"
            self.faults.add(self.document.at(*path), f"there is no time zone {name!r}", like, near)
            return None
        return name

    def _calendar(self, shape: CalendarShape, path: Path_) -> Calendar:
        holidays = shape.holidays or ""
        if holidays and self.judge and (known := self.judge.holidays_if_not(holidays)):
            at, what = self.document.at(*path, "holidays"), f"there is no holiday calendar {holidays!r}"
            self.faults.add(at, what, "a country, like FR, or a part of one, like FR-57", nearest(holidays, known))
            holidays = ""
        if holidays and self.judge and (end := self.judge.holidays_end(holidays)):
            what = f"the public holidays of {holidays} are known up to {end}: from {end + 1} on no day is kept as one"
            self.faults.warn(self.document.at(*path, "holidays"), what, "its days under blackout")
        if shape.windows == []:
            what = f"{' '.join(map(str, path))}: windows is empty: nothing is within it"
            self.faults.add(self.document.at(*path, "windows"), what, "hours or days, or without it for any hour")
        zone = self._zone(shape.time_zone, (*path, "time_zone")) or self.zone
        found = Calendar(zone, tuple(shape.windows or ()), tuple(shape.blackout or ()), holidays)
        if self.judge is not None and (found.windows or found.blackout) and self.judge.never_opens((found,)):
            key = "windows" if "windows" in shape.model_fields_set else "blackout"
            what = f"{' '.join(map(str, path))}: nothing is left of its windows: every day of them is taken out"
            self.faults.add(self.document.at(*path, key), what, "days that are left")
            return replace(found, windows=(), blackout=())
        return found

    def _people(self) -> None:
        for name, data in (self.head.people or {}).items():
            path: Path_ = ("people", name)
            person = next((x for x in (f"{self.client}/{name}", name) if x in self.people), None)
            if person is None:
                mine = {x.removeprefix(f"{self.client}/") for x in self.people}
                mine = {x for x in mine if "/" not in x}
                self.faults.unknown(self.document.key(*path), "person", name, mine)
            shape = take_shape(CalendarShape, self.document, path, data, self.faults, f"calendar of {name}")
            if shape is not None and person is not None:
                self.owners[person] = self._calendar(shape, path)

    # ---- drills

    def _drill(self, name: str, shape: DrillShape) -> DrillPlan | None:
        path: Path_ = ("drills", name)
        sound = len(self.faults.found)
        by_value = shape.schedule == BY_VALUE
        of = self._candidates(name, shape)
        odd_drill(self, name, shape, of)
        schedule = self._schedule(name, shape, by_value)
        if schedule is None or not of or len(self.faults.found) > sound:  # or its service has faults of its own
            return None
        also = [x for x in of[0].calendars if all(x in y.calendars for y in of)]
        if not self._can_run(f"drill {name}", path, "window", schedule, also, whole=shape.surprise):
            return None
        tells_before_s = shape.tells_before or default_of(DrillPlan, "tells_before_s")
        self._told_late(name, shape, schedule, also, tells_before_s)
        plan = DrillPlan(
            id=f"{self.client}/{name}",
            client=self.client,
            name=name,
            kind=DrillKind(shape.kind),
            schedule=schedule,
            of=tuple(of),
            by_value=by_value,
            surprise=shape.surprise,
            at_most=shape.at_most,
            not_twice_running=shape.not_twice_running,
            tells=Tells(shape.tells),
            tells_before_s=tells_before_s,
            stays_s=shape.stays,
            within_s=shape.return_within,
        )
        return replace(plan, digest=hashlib.sha256(dumps(encode(plan))).hexdigest()[:16])

    def _told_late(
        self, name: str, shape: DrillShape, schedule: Schedule, also: Sequence[Calendar], before_s: float
    ) -> None:
        """Warn where it is told later than its author says: the next time is looked at once the one before is over."""
        if self.judge is None or shape.tells == Tells.NOBODY.value:
            return
        period_s = self.judge.period_s(schedule, also)
        if before_s > period_s:
            key = "tells_before" if shape.tells_before is not None else "tells"
            told = f"drill {name}: it is told {written(before_s)} before, and its times are {written(period_s)} apart"
            told += ": each is told once the one before is over"
            self.faults.warn(self.document.at("drills", name, key), told, f"tells_before: at most {written(period_s)}")

    def _schedule(self, name: str, shape: DrillShape, by_value: bool) -> Schedule | None:
        path: Path_ = ("drills", name)
        own, common = self._calendar(shape, path), [self.common] if self.common else []
        length_s = WINDOW_S if shape.window is None else shape.window
        for key in ("window", "tells_before"):
            self._odd_length(f"drill {name}", path, key, getattr(shape, key))
        if not by_value:
            return self._cron(f"drill {name}", path, shape.schedule, Schedule("", length_s, (own, *common)))
        first = own if own.windows or self.common is None else self.common
        if not first.windows:
            what = f"drill {name} is by-value, and nothing says in which hours of a day"
            self.faults.add(self.document.at(*path, "schedule"), what, "the key 'windows'")
            return None
        longest_s = max((x.closes_s - x.opens_s) % 86400 or 86400 for x in first.windows)
        return Schedule(
            "", min(longest_s, shape.window or longest_s), (first, *(x for x in (own, *common) if x != first))
        )

    def _odd_length(self, what: str, path: Path_, key: str, length_s: float | None) -> bool:
        """Whether it is none, or longer than a calendar can be asked about."""
        least_s = 0.0 if key == "tells_before" else LEAST_S
        if length_s is None or (length_s > 0 and least_s <= length_s <= LONGEST_S):
            return False
        odd, expected = ("more than a year", "at most 366d") if length_s > LONGEST_S else ("zero", "longer than 0s")
        if 0 < length_s < least_s:
            odd, expected = "less than a minute", "at least 1m"
        self.faults.add(self.document.at(*path, key), f"{what}: {key} is {odd}", expected)
        return True

    def _cron(self, what: str, path: Path_, text: str | None, schedule: Schedule) -> Schedule | None:
        if text is None:
            return None
        wrong = self.judge.wrong_cron(text) if self.judge else ""
        if wrong:
            at = self.document.at(*path, "schedule")
            self.faults.add(at, f"{what}: {text!r} is no schedule: {wrong}", f"like 0 22 * * tue, or {BY_VALUE}")
            return None
        return replace(schedule, cron=text)

    def _can_run(
        self, what: str, path: Path_, key: str, schedule: Schedule, also: Sequence[Calendar], *, whole: bool = False
    ) -> bool:
        if self.judge is None:
            return True
        calendars, at = [*schedule.calendars, *also], self.document.at(*path, "schedule")
        if self.judge.never_opens(calendars):
            told = f"{what}: its windows never open: no hour of the year is in all of its calendars"
            self.faults.add(at, told, "windows that the client's and the owners' calendars share")
            return False
        if self.judge.never_runs(schedule, also, whole=whole):
            alone = Schedule(schedule.cron, schedule.length_s, (Calendar(schedule.time_zone),))
            if schedule.cron and self.judge.never_runs(alone):
                self.faults.add(at, f"{what} can never run: there is no such day", "a day that there is")
            else:
                told = f"{what} can never run: none of its times is within its windows"
                self.faults.add(at, told, "a time that every calendar admits")
            return False
        period_s = self.judge.period_s(schedule, also, whole=whole) if schedule.cron else float("inf")
        if schedule.length_s > period_s:
            told = f"{what}: {key} is longer than the {written(period_s)} between two of its times"
            self.faults.add(self.document.at(*path, key), told, f"at most {written(period_s)}")
            return False
        return True

    def _candidates(self, name: str, shape: DrillShape) -> list[Candidate]:
        path: Path_ = ("drills", name)
        if shape.of is not None and shape.service is not None:
            self.faults.add(self.document.key(*path, "of"), f"drill {name} has 'service' and 'of'", "one of the two")
        if shape.service is not None:
            return list(self._of(name, CandidateShape(service=shape.service, move=shape.move), path, shape.kind))
        if shape.move is not None:
            self.faults.add(self.document.key(*path, "move"), f"drill {name}: move of no service", "the key 'service'")
        if shape.of is not None:
            return [x for n, one in enumerate(shape.of) for x in self._of(name, one, (*path, "of", n), shape.kind)]
        mine = [x for x in self.model.services.values() if x.client == self.client]
        found = [self._candidate(s, t.move) for s in mine for t in s.ladder if t.move in self.model.moves]
        full = shape.kind == DrillKind.FULL_SCALE.value
        against = {x: self._against(self.model.services[x.service], x.move) if full else "" for x in found}
        left_out(self, name, {x: why for x, why in against.items() if why})
        return [x for x in found if not against[x]]

    def _of(self, name: str, shape: CandidateShape, path: Path_, kind: str) -> Iterable[Candidate]:
        if shape.service is None:
            return
        declared = self.file.declared["services"]
        at = self.document.at(*path, "service")
        if shape.service not in declared:
            self.faults.unknown(at, "service", shape.service, declared, self.client)
            return
        service = self.model.services.get(f"{self.client}/{shape.service}")
        if service is None:
            return  # it has faults of its own
        tiers = {x.move.removeprefix(f"{self.client}/"): x.move for x in service.ladder}
        whole = self._is_whole(service.name)
        if shape.move is not None and shape.move not in tiers:
            if whole:
                at = self.document.at(*path, "move")
                self.faults.unknown(at, f"tier of service {shape.service}", shape.move, tiers)
            return
        if not tiers and whole:
            what = f"drill {name}: service {shape.service} has no ladder: there is nothing to drill"
            self.faults.add(at, what, "a service with tiers")
        for tier in [tiers[shape.move]] if shape.move is not None else tiers.values():
            if tier not in self.model.moves:
                continue
            if kind == DrillKind.FULL_SCALE.value and not self._leads_back(service, tier):
                if not whole:
                    continue
                short = tier.removeprefix(f"{self.client}/")
                what = f"drill {name} is full-scale, and service {shape.service} has no way back from {short}"
                self.faults.add(at, what, "a move under 'failback' that leads home, or 'back' in the move")
                continue
            if kind == DrillKind.FULL_SCALE.value and whole and (against := self._refused(service, tier)):
                what = f"drill {name} would be refused each time: {against[1]}"
                self.faults.add(at, what, REMEDIES[against[0]])
                continue
            yield self._candidate(service, tier)

    def _against(self, service: Service, move: str) -> str:
        """Why no full-scale drill of it is ever made; empty: nothing that the plan says."""
        against = self._refused(service, move) if self._leads_back(service, move) else (None, "it has no way back")
        return against[1] if against is not None else ""

    def _leads_back(self, service: Service, move: str) -> bool:
        found = self.model.moves[move]
        return way_back(self.model, self._known(service), found) is not None or not (found.to or self.model.lasts(move))

    def _refused(self, service: Service, move: str) -> tuple[Reason, str] | None:
        return refused_each_time(self.model, self._known(service), self.model.moves[move])

    def _known(self, service: Service) -> Service:
        return replace(service, failback=tuple(x for x in service.failback if x in self.model.moves))

    def _is_whole(self, name: str) -> bool:
        """Whether all that the file has of its tiers and ways back was read: else nothing follows from what lacks."""
        service, shape = self.model.services.get(f"{self.client}/{name}"), self.file.services.get(name)
        if service is None or shape is None:
            return False
        written: Mapping[str, object] = self.file.document.data["services"][name]
        for key, read in (("ladder", shape.ladder), ("failback", shape.failback)):
            if (written.get(key) is None) is not (read is None):
                return False
        named = len(shape.ladder or ()), len(service.failback if shape.failback is None else shape.failback)
        moves = all(f"{self.client}/{x}" in self.model.moves for x in self.file.move_names())
        return moves and named == (len(service.ladder), len(service.failback))

    def all_whole(self) -> bool:
        return all(self._is_whole(x) for x in self.file.declared["services"])

    def _candidate(self, service: Service, move: str) -> Candidate:
        own = [self.owners[x] for x in service.owners if x in self.owners]
        return Candidate(service.id, move, tuple(own))

    # ---- announced work

    def _maintenance(self, name: str, shape: MaintenanceShape) -> MaintenancePlan | None:
        path: Path_ = ("maintenance", name)
        declared = self.file.declared["services"]
        subjects = []
        if shape.of == []:
            what = f"maintenance {name}: of is empty: it is of no service"
            self.faults.add(self.document.at(*path, "of"), what, "services, or without it for the whole client")
            return None
        for index, service in enumerate(shape.of or ()):
            if service in declared:
                subjects.append(f"{self.client}/{service}")
            else:
                at = self.document.at(*path, "of", index)
                self.faults.unknown(at, "service", service, declared, self.client)
        length_s = shape.lasts or 0.0
        if self._odd_length(f"maintenance {name}", path, "lasts", shape.lasts):
            return None
        schedule = self._cron(
            f"maintenance {name}", path, shape.schedule, Schedule("", length_s, (self._calendar(shape, path),))
        )
        if schedule is None or not length_s:
            return None
        if not self._can_run(f"maintenance {name}", path, "lasts", schedule, ()):
            return None
        identifier = f"{self.client}/{name}"
        return MaintenancePlan(identifier, self.client, name, tuple(subjects) or (self.client,), schedule)
