"""The slice of the journal that a report carries: the entries of what it tells, and of what that rests on.

The one rule it keeps: a report is worked out from its slice alone, both where it is made and where it is checked. What
is not in the slice cannot have been used.

    in the slice                                              why
    ----------------------------------------------------------------------------------------------------------------
    entries of the services told of, up to their end          what happened; earlier ones: what was usual, last time
    of services that share moves or brought these back        the same
    missed drills that could have been the client's           what a period tells beside
    of controllers and configurations                         who decided, by what; the wall clock
    later ones that name what is told                         findings, notices that were delivered late
    parts of the models in force then                         objectives, and what a proof rests on
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from time import gmtime, strftime
from typing import Protocol

from orchestrator.core import records as r
from orchestrator.core.ages import Hours
from orchestrator.core.model import Model
from orchestrator.core.state.decided import EVERYTHING
from orchestrator.reports.entries import DRIFT_S, Entry
from orchestrator.reports.papers.attribution import Attribution
from orchestrator.reports.papers.drill import Frame, frames, struck
from orchestrator.reports.papers.model_parts import moves_of, part_of
from orchestrator.reports.papers.shape import Edition, ReportKind
from orchestrator.reports.stories import Stories, relevant_checks
from orchestrator.reports.story import RunStory, Story

WEEK_S = 7 * 86400.0


class Stored(Protocol):
    """An entry as the journal has it, with the hash that it follows and its own."""

    @property
    def entry(self) -> Entry:
        """What it says."""

    @property
    def before(self) -> bytes:
        """The hash of the entry before it."""

    @property
    def body(self) -> bytes:
        """Its canonical bytes."""

    @property
    def hash(self) -> bytes:
        """Its own hash."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What a report is of: one story, or those of a client that began between `from_wall` and `to_wall`.

    `stories`: their ids, with those of their runs. `services`: whose records are in the slice. `until`: the instant on
    the axis after which only what names the stories counts. `width`: how much of the history before is in it
    (`narrowing.py`). `left_out`: by an entry's number, which of its records do not count.
    """

    kind: ReportKind
    id: str
    client: str
    stories: tuple[str, ...]
    services: tuple[str, ...]
    until: float
    from_wall: float | None = None
    to_wall: float | None = None
    width: str = ""
    left_out: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Piece:
    """One entry of the slice, in its order; `body`: its canonical bytes, empty where only an extract of it is given."""

    seq: int
    at: float
    wall: float
    epoch: int
    records: tuple[r.Record, ...]
    before: str
    hash: str
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class AgesOfHour:
    """How old the data of a service was in one hour, by one check: what `core/ages.py` keeps, without its steps.

    It is noted beside the journal, and no hash of the journal is over it.
    """

    service: str
    check: str
    measure: str
    hour: int
    count: int
    outside: int
    most_s: float
    first_at: float
    last_at: float


@dataclass(frozen=True, slots=True)
class Slice:
    """Everything that a report is worked out from. `now`: on the axis, when it was made; `wall`: the same in UTC.

    `unwatched_s`: for so long nobody had watched then; None: a controller was at work. `head`: the journal's end then.
    """

    edition: Edition
    subject: Subject
    now: float
    wall: float
    unwatched_s: float | None
    head: str
    pieces: tuple[Piece, ...]
    models: Mapping[str, Model] = field(default_factory=dict)
    ages: tuple[AgesOfHour, ...] = ()

    def stories(self) -> Stories:
        """What the slice tells, read as a journal is.

        By which schedule a drill came is told from its own record (`frames`): schedules are of the whole workspace, and
        their records in no slice.
        """
        entries = (replace(x, records=tuple(_of_no_schedule(x.records))) for x in self._entries())
        return Stories(self.models.get).read(entries)

    def frames(self) -> dict[str, Frame]:
        """The drills of the slice, by their ids."""
        return frames(y for x in self._entries() for y in x.records)

    def missed(self) -> list[r.DrillMissed]:
        """The scheduled drills that were due in this time, could have been the client's, and were missed."""
        return [y for x in self._entries() for y in x.records if isinstance(y, r.DrillMissed)]

    def _entries(self) -> Iterator[Piece]:
        """Its entries, of which only what is of these services counts."""
        wanted = Wanted(self.subject, self.models.values())
        return (replace(x, records=tuple(y for y in self.counted(x) if wanted(y, x.at))) for x in self.pieces)

    def counted(self, piece: Piece) -> Iterator[r.Record]:
        """The records of a piece, without those that are left out."""
        out = self.subject.left_out.get(str(piece.seq), ())
        return (x for n, x in enumerate(piece.records) if n not in out)


def _of_no_schedule(found: Iterable[r.Record]) -> Iterator[r.Record]:
    for x in found:
        if not isinstance(x, r.DrillMissed):
            yield replace(x, scheduled="", occurrence="") if isinstance(x, r.DrillBegan) else x


class Wanted:
    """Whether a record is of the services of a report; it has to see them in order."""

    def __init__(self, subject: Subject, models: Iterable[Model]) -> None:
        """`models`: which checks are asked of these services."""
        self._services, self._client = frozenset(subject.services), subject.client
        self._names, self._until = frozenset(subject.stories), subject.until
        self._whose = Attribution()
        walls = (subject.from_wall, subject.to_wall)
        self._time = [strftime("%Y-%m-%dT%H:%M:%SZ", gmtime(x)) for x in walls if x is not None]  # as occurrences are
        found: set[str] = set()
        for model in models:
            for name in subject.services:
                if name in model.services:
                    found |= relevant_checks(model, model.services[name])
        self.checks = frozenset(found)

    def __call__(self, x: r.Record, at: float) -> bool:
        """Whether it belongs in; `at`: when its entry was written."""
        if isinstance(x, r.DrillMissed):
            could = x.services or (x.schedule,)  # a schedule may be of several clients, or of none
            mine = any(name.startswith(f"{self._client}/") for name in could)
            return mine and len(self._time) == 2 and self._time[0] <= x.occurrence < self._time[1]
        whose = self._whose.of(x)
        if at > self._until and not any(name in self._names for name in _named_by(x)):
            return False
        if isinstance(x, r.VerdictChanged):
            return x.check in self.checks
        if whose == self._client:  # what a client as a whole lacks is no story
            return not isinstance(x, r.NoticeDue | r.NoticeSettled | r.NoticeRepeated | r.NoticeDropped)
        return whose == EVERYTHING or whose in self._services


@dataclass(frozen=True, slots=True)
class Asked:
    """When a report is made: on the axis, in UTC, whether anybody watches, and where the journal ends.

    `ages`: how old data was, by the hour.
    """

    now: float
    wall: float
    unwatched_s: float | None
    head: str
    ages: Hours = field(default_factory=dict)


def cut(
    subject: Subject,
    stories: Stories,
    read: Callable[[], Iterator[Stored]],
    asked: Asked,
    known: Mapping[str, Model] | None = None,
) -> Slice:
    """The provider's slice. `read`: the entries that tell of anything, from the first on. `known`: models that the
    journal may keep no more.
    """
    told = [stories.stories[x] for x in subject.stories if x in stories.stories]
    digests = dict.fromkeys(_digests(told, stories))
    if subject.kind is ReportKind.PERIOD:
        digests[in_force(stories, subject)] = None
    there = {d: stories.model_of(d) or (known or {}).get(d) for d in digests}
    models = {d: part_of(m, subject.services, subject.client) for d, m in there.items() if m is not None}
    pieces = tuple(_pieces(subject, models.values(), read()))
    of = subject.services if subject.kind is ReportKind.PERIOD else {s.service for s in told}
    ages = tuple(_ages(subject, of, models.values(), asked.ages, stories.clock.wall))
    return Slice(
        Edition.PROVIDER, subject, asked.now, asked.wall, asked.unwatched_s, asked.head, pieces, models, ages
    )  # fmt: skip


def _ages(
    subject: Subject, of: Collection[str], models: Iterable[Model], ages: Hours, wall: Callable[[float], float]
) -> Iterator[AgesOfHour]:
    """Of the checks that tell the age of data of these services: in the period, or in the week before a story's end."""
    asked = {
        (s.id, move.data_age)
        for model in models
        for s in (model.services[name] for name in of if name in model.services)
        for move in (model.moves[t.move] for t in s.ladder if t.move in model.moves)
    }
    first, until = ages_from(subject, wall), wall(subject.until)
    until = until if subject.to_wall is None else min(until, subject.to_wall)
    for kept, x in sorted(ages.items(), key=lambda y: (y[0].service, y[0].check, y[0].measure, y[0].hour)):
        if (kept.service, kept.check) in asked and x.count and first <= x.first_at and x.last_at <= until:
            yield AgesOfHour(
                kept.service, kept.check, kept.measure, kept.hour, x.count, x.outside, x.most_s, x.first_at, x.last_at
            )


def ages_from(subject: Subject, wall: Callable[[float], float]) -> float:
    """From when on ages of data are told of it, in seconds since 1970."""
    return subject.from_wall if subject.from_wall is not None else wall(subject.until) - WEEK_S


def subject_of(told: list[Story], stories: Stories, now: float, kind: ReportKind, name: str) -> Subject:
    """One story, or the runs of one drill, as the subject of a report."""
    names = tuple(dict.fromkeys([name, *(s.id for s in told), *(x.started.run for s in told for x in s.runs)]))
    until = end_of(told, stories, now)
    beside = [*(s.service for s in told), *(e.drill.service for s in told for e in s.episodes if e.drill is not None)]
    if kind is ReportKind.DRILL:  # any incident of its client is harm to it
        beside += [x.service for x in struck(stories, told[0].service, told[0].began_at, until)]
    services = services_beside(stories, beside)
    return Subject(kind, name, told[0].service.partition("/")[0], names, services, until)


def end_of(told: Iterable[Story], stories: Stories, now: float, least: float = 0.0) -> float:
    """When all of these were over, with their drills; now, if one goes on."""
    ends = [s.ended_at for s in told]
    names = dict.fromkeys(x.started.drill for s in told for x in s.runs)
    known = stories.whole.drills if any(names) else {}
    found = [known[x] for x in names if x in known]
    ends += [x.ended.at if x.ended is not None else None for x in found]
    return now if None in ends else max([least, *(e for e in ends if e is not None)])


def in_force(stories: Stories, subject: Subject) -> str:
    """The digest of the model in force at the end of a period; empty: none was."""
    end = subject.until if subject.to_wall is None else stories.clock.axis_of(subject.to_wall)
    return next((digest for at, digest in reversed(stories.configured) if at <= min(end, subject.until)), "")


def _pieces(subject: Subject, models: Iterable[Model], links: Iterable[Stored]) -> Iterator[Piece]:
    wanted, drift = Wanted(subject, models), None
    for link in links:
        entry = link.entry
        mine = [x for x in entry.records if wanted(x, entry.at)]
        ahead = entry.wall - entry.at
        moved = entry.at <= subject.until and drift is not None and abs(ahead - drift) > DRIFT_S
        if mine or moved:
            drift = ahead
            yield Piece(
                entry.seq, entry.at, entry.wall, entry.epoch, tuple(entry.records), link.before.hex(), link.hash.hex(),
                link.body,
            )  # fmt: skip


def _named_by(x: r.Record) -> Iterator[str]:
    for name in ("incident", "run", "about", "drill", "subject"):
        if isinstance(value := getattr(x, name, None), str):
            yield value
    if isinstance(notice := getattr(x, "notice", None), str):
        yield from (notice.partition("/")[0], notice.partition(".")[0], notice.partition("-")[0])


def _digests(told: list[Story], stories: Stories) -> list[str]:
    """The models by which these stories, and their like before them, are judged."""
    found: dict[str, None] = {}
    for story in told:
        until = story.ended_at if story.ended_at is not None else float("inf")
        found |= dict.fromkeys([story.configuration, *(x.started.configuration for x in story.runs)])
        found |= dict.fromkeys(digest for at, digest in stories.configured if story.began_at <= at <= until)
        before = [digest for at, digest in stories.configured if at <= story.began_at]
        found |= dict.fromkeys(before[-1:])
        found |= dict.fromkeys(_when_found(story, stories))
        if (last := like_before(stories, story)) is not None:
            found |= dict.fromkeys([last[0].configuration, *(x.started.configuration for x in last[0].runs)])
    return [digest for digest in found if digest]


def _when_found(story: Story, stories: Stories) -> Iterator[str]:
    """The models in force when something was said that is to be improved, or was: whom and what its text may name."""
    about = {story.id, *(x.started.run for x in story.runs), *(x.started.drill for x in story.runs)}
    for x in stories.decided.findings.known.values():
        if x.opened.about in about:
            times = [x.opened.at, *([x.closed.at] if x.closed is not None else [])]
            for time in times:
                yield next((digest for at, digest in reversed(stories.configured) if at <= time), "")


def like_before(stories: Stories, story: Story) -> tuple[Story, str] | None:
    """The last story before this one in which a run of the same service and move ended well, and that run.

    A drill is compared with drills, and a rehearsal with rehearsals.
    """
    mine = next((x for x in reversed(story.runs) if x.ended is not None and x.ended.ok), None)
    if mine is None:
        return None
    for other in reversed(stories.stories.values()):  # mostly it is among the last ones
        if other is story or other.service != story.service or other.began_at >= story.began_at:
            continue
        for run in reversed(other.runs):
            ended_well = run.ended is not None and run.ended.ok
            if ended_well and run.started.move == mine.started.move and _alike(run, mine) and run not in story.runs:
                return other, run.started.run
    return None


def _alike(a: RunStory, b: RunStory) -> bool:
    def kind(x: RunStory) -> tuple[bool, bool]:
        return x.started.origin is r.Origin.DRILL, any(s.traits.rehearses for s in x.steps.values())

    return kind(a) == kind(b)


def services_beside(stories: Stories, services: Iterable[str]) -> tuple[str, ...]:
    """These services, and those of the same client that share a move with them or whose run brought them back."""
    found = set(services)
    digests = dict.fromkeys(digest for _, digest in stories.configured)
    models = [m for d in digests if (m := stories.model_of(d)) is not None]
    more = True
    while more:
        moves = {x.started.move for s in stories.stories.values() if s.service in found for x in s.runs}
        moves |= {m for model in models for s in model.services.values() if s.id in found for m in moves_of(s)}
        clients = {s.partition("/")[0] for s in found}
        near = {s.id for model in models for s in model.services.values() if moves & set(moves_of(s))}
        near |= {s.service for s in stories.stories.values() if any(x.started.move in moves for x in s.runs)}
        for story in stories.stories.values():
            if story.service in found:
                near |= {e.by.started.service for e in story.episodes if e.by is not None}
        near = {s for s in near if s.partition("/")[0] in clients}
        more = not near <= found
        found |= near
    return tuple(sorted(found))
