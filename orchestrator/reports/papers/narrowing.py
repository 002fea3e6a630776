"""A slice made narrow: without the history that its report does not rest on, so that a report does not grow for ever.

The one rule it keeps: a narrow slice tells the same report as the whole one, every value of it. That is not argued but
tried (`narrow`): whoever cuts works both out, and where they differ the wider slice is carried. What was left out is
said in the subject (`Subject.left_out`), so a file is checked by what it carries, as before.

    of earlier history               is kept
    -----------------------------    -----------------------------------------------------------------------------
    stories of the report, those     every record, and what is of no story while they went on
    that met them, last time, and
    those that objectives are
    judged by
    runs by which a move's usual     begin and end, with approvals and incident: as many as durations are kept of
    duration was known
    where services were, what was    the last record of each before every one of these
    engaged, verdicts, clocks
    all other                        nothing: the chain's hashes stand in the entries on either side of it
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from orchestrator.core import records as r
from orchestrator.core.events import OF_RUNS
from orchestrator.core.kinds import TRAITS, By
from orchestrator.core.state.retention import KEPT_DURATIONS
from orchestrator.reports.entries import DRIFT_S
from orchestrator.reports.feasibility import runs_looked_at
from orchestrator.reports.papers.composition import compose
from orchestrator.reports.papers.excerpt import (
    Asked,
    Piece,
    Slice,
    Stored,
    Subject,
    Wanted,
    cut,
    in_force,
    like_before,
)
from orchestrator.reports.papers.period import from_before
from orchestrator.reports.papers.shape import Report, ReportKind
from orchestrator.reports.stories import Stories
from orchestrator.reports.story import Story

BEFORE_S = 61.0  # verdicts so long before an outage are told with it
WITHIN_S = 600.0  # a story that was over so long before another began may still be spoken of in it
FORMER = 10  # placements of each service: those that it remembers
STATE = (r.PlacementChanged, r.MayActAdded, r.MayActRemoved, r.MoveEngaged, r.VerdictChanged)
FRAME = (
    r.IncidentOpened,
    r.IncidentReopened,
    r.IncidentEnded,
    r.RunStarted,
    r.RunEnded,
    r.RunNeedsHuman,
    r.RunApproved,
)
LATER = 1e-6

Range = tuple[float, float]


class Width(StrEnum):
    """How much of the history a slice carries."""

    WHOLE = ""
    NARROW = "narrow"
    STAMPED = "narrow, with every stamp of the clocks"


def narrow(whole: Slice) -> tuple[Slice, Report]:
    """The narrowest slice that tells the same report as this one, and that report."""
    report = compose(whole)
    for width in (Width.NARROW, Width.STAMPED):
        found = narrowed(whole, width)
        try:
            same = compose(found) == report
        except (LookupError, ValueError, TypeError, AttributeError):  # a record that does not follow any more
            continue
        if same:
            return found, report
    return whole, report


def narrowed(whole: Slice, width: str) -> Slice:
    """The slice of this width: always the same of the same whole. Of a width that nobody knows: the whole."""
    if width not in (Width.NARROW, Width.STAMPED):
        return whole
    kept = _Kept(whole, Width(width))
    pieces: list[Piece] = []
    left_out: dict[str, tuple[int, ...]] = {}
    for piece, counts, said in kept.chosen():
        pieces.append(piece)
        if without := tuple(n for n in said if n not in counts):
            left_out[str(piece.seq)] = without
    return replace(whole, pieces=tuple(pieces), subject=replace(whole.subject, width=width, left_out=left_out))


@dataclass
class _Kept:
    """What is kept of a whole slice."""

    whole: Slice
    width: Width
    full: dict[str, Story] = field(default_factory=dict)
    basis: set[str] = field(default_factory=set)  # runs that are kept for how long they took, with their incidents
    windows: list[Range] = field(default_factory=list)
    at_work: list[Range] = field(default_factory=list)  # of the runs of `basis`

    def __post_init__(self) -> None:
        stories = self.whole.stories()
        told = [stories.stories[x] for x in self.whole.subject.stories if x in stories.stories]
        before = from_before(stories, self.whole.subject).values()
        judged_by = _judged_by(self.whole, stories, told)
        found = [*told, *_that_met(stories, told), *_last_times(stories, told), *before, *judged_by]
        self.full = {s.id: s for s in [*found, *_of_their_drills(stories, found)]}
        self._take_basis(stories, told)
        self.windows = _merged([_window(s) for s in self.full.values()] + self._drills(stories))
        self._story_of = {x.started.run: s.id for s in stories.stories.values() for x in s.runs} | {
            s.id: s.id for s in stories.stories.values()
        }
        self._notices: dict[str, bool] = {}

    def _take_basis(self, stories: Stories, told: Sequence[Story]) -> None:
        """The last runs of each move before those told of, whose durations a forecast had."""
        ended = [
            (x.ended.at, x.started, s.id)
            for s in stories.stories.values()
            for x in s.runs
            if x.ended is not None and x.ended.ok and not x.started.drill
        ]
        ended.sort(key=lambda x: x[0])
        for run in (x for s in told for x in s.runs):
            before = [x for x in ended if x[1].move == run.started.move and x[0] <= run.started.at]
            for at, started, story in before[-KEPT_DURATIONS:]:
                self.basis |= {started.run, story}
                self.at_work.append((started.at, at))

    def _drills(self, stories: Stories) -> list[Range]:
        """From begin to end of the drills told of: there, the stay, and back."""
        names = {x.started.drill for s in self.full.values() for x in s.runs if x.started.drill}
        found = [x for n, x in stories.decided.drills.items() if n in names]
        return [(x.began.at, x.ended.at if x.ended is not None else float("inf")) for x in found]

    def chosen(self) -> Iterator[tuple[Piece, set[int], list[int]]]:
        """Each piece that is kept, which of its records count, and which counted in the whole."""
        counts: dict[int, set[int]] = {}
        wanted = Wanted(self.whole.subject, self.whole.models.values())
        said: dict[int, list[int]] = {}
        known = _LastBefore([first for first, _ in self.windows])
        named: set[str] = set()  # services that a configuration brought
        stamps = _Stamps(self.windows, every=self.width is Width.STAMPED)
        for piece in self.whole.pieces:
            stamps.see(piece)
            mine = [n for n, x in enumerate(piece.records) if wanted(x, piece.at)]
            said[piece.seq] = mine
            for n in mine:
                x = piece.records[n]
                if self._counts(x, piece.at):
                    counts.setdefault(piece.seq, set()).add(n)
                for key in _keys(x):
                    known.see(key, piece.at, (piece.seq, n))
                if isinstance(x, r.Configured) and (new := set(x.homes) & set(self.whole.subject.services) - named):
                    named |= new
                    counts.setdefault(piece.seq, set()).add(n)
        for seq, n in known.found():
            counts.setdefault(seq, set()).add(n)
        clocks = stamps.kept()
        for piece in self.whole.pieces:
            if piece.seq in counts or piece.seq in clocks:
                yield piece, counts.get(piece.seq, set()), said[piece.seq]

    def _counts(self, x: r.Record, at: float) -> bool:
        if isinstance(x, r.NoticeDue):
            self._notices[x.notice] = self._of_those(x, at)
            return self._notices[x.notice]
        if isinstance(x, r.NoticeSettled | r.NoticeRepeated | r.NoticeDropped):
            return self._notices.get(x.notice, False)
        return isinstance(x, r.DrillMissed) or self._of_those(x, at)

    def _of_those(self, x: r.Record, at: float) -> bool:
        """Whether it is a record of a story that is kept; of none: whether one of them went on."""
        names = [] if isinstance(x, STATE) else [self._story_of[n] for n in _names(x) if n in self._story_of]
        if names:
            return any(n in self.full for n in names) or (self._of_basis(x) and any(n in self.basis for n in names))
        if isinstance(x, r.FindingOpened | r.FindingClosed | r.NothingFound):
            return x.about in self.whole.subject.stories
        if isinstance(x, r.ControllerBegan) and _within(self.at_work, at):
            return True  # a run that nobody watched is no measure of how long it takes
        return _within(self.windows, at)

    def _of_basis(self, x: r.Record) -> bool:
        """Whether how long a run took follows from it."""
        if isinstance(x, r.StepBegan | r.StepFinished):
            return x.run in self.basis and x.step == _APPROVAL
        return isinstance(x, FRAME) and (not hasattr(x, "run") or not x.run or x.run in self.basis)


_APPROVAL = next(kind.value for kind, row in TRAITS.items() if row.by is By.PERSON)


def _that_met(stories: Stories, told: Sequence[Story]) -> Iterator[Story]:
    """Stories that went on beside one that is told, or shortly before it."""
    windows = [_window(x) for x in told]
    for story in stories.stories.values():
        first, last = _window(story)
        if any(first <= end and last + WITHIN_S >= begin for begin, end in windows):
            yield story


def _of_their_drills(stories: Stories, told: Sequence[Story]) -> Iterator[Story]:
    """All runs of the drills that these are of, or that went on beside them."""
    windows = [_window(x) for x in told]
    went_on = {
        n
        for n, x in stories.decided.drills.items()
        for begin, end in windows
        if x.began.at <= end and (x.ended is None or x.ended.at >= begin)
    }
    return (s for s in stories.stories.values() if any(x.started.drill in went_on for x in s.runs))


def _last_times(stories: Stories, told: Sequence[Story]) -> Iterator[Story]:
    """The stories that those told are compared with."""
    for story in told:
        if (found := like_before(stories, story)) is not None:
            yield found[0]


def _judged_by(whole: Slice, stories: Stories, told: Sequence[Story]) -> Iterator[Story]:
    """The stories whose runs say whether objectives can be met."""
    period = whole.subject.kind is ReportKind.PERIOD
    digest = in_force(stories, whole.subject) if period or not told else told[-1].configuration
    model = whole.models.get(digest)
    names = whole.subject.services if period else {s.service for s in told}
    services = [s for s in model.services.values() if s.id in names] if model is not None else []
    runs = runs_looked_at(services, stories.decided)
    return (s for s in stories.stories.values() if any(x.started.run in runs for x in s.runs))


def _window(story: Story) -> Range:
    began = min([story.began_at, *(e.opened.first_bad_at for e in story.episodes)])
    return began - BEFORE_S, story.ended_at + LATER if story.ended_at is not None else float("inf")


def _names(x: r.Record) -> Iterator[str]:
    """Ids of stories that it is of, as it says them itself."""
    for name in ("incident", "run"):
        if isinstance(value := getattr(x, name, None), str) and value:
            yield value
    if isinstance(x, r.NoticeDue):
        known = x.details.get("incident")
        yield from (known, x.notice.partition("/")[0]) if isinstance(known, str) else (x.notice.partition("/")[0],)
    if isinstance(x, r.WordAccepted | r.WordRefused) and x.kind in OF_RUNS:
        yield x.subject


def _keys(x: r.Record) -> Iterator[tuple[str, ...]]:
    """Of what it is the latest record, until the next one."""
    match x:
        case r.PlacementChanged():
            yield ("place", x.service)
        case r.MayActAdded() | r.MayActRemoved():
            yield ("may act", x.service, x.place)
        case r.MoveEngaged():
            yield ("engaged", x.move)
        case r.VerdictChanged():
            yield ("verdict", x.check)
        case r.Configured():
            yield ("configured",)
        case r.ControllerBegan():
            yield ("controller",)
            if not x.same_boot:
                yield ("boot",)


class _LastBefore:
    """The latest of each thing before the beginning of each window; of placements some more."""

    def __init__(self, begins: Sequence[float]) -> None:
        self._begins = sorted(begins)
        self._latest: dict[tuple[str, ...], list[tuple[float, tuple[int, int]]]] = {}
        self._found: set[tuple[int, int]] = set()

    def see(self, key: tuple[str, ...], at: float, where: tuple[int, int]) -> None:
        """One more; they come in order."""
        latest = self._latest.setdefault(key, [])
        if latest and self._parted(latest[-1][0], at):
            self._found |= {x for _, x in latest}
        latest.append((at, where))
        del latest[: -(FORMER if key[0] == "place" else 1)]

    def _parted(self, before: float, at: float) -> bool:
        """Whether a window begins between these two."""
        n = bisect_left(self._begins, before)
        return n < len(self._begins) and self._begins[n] < at

    def found(self) -> set[tuple[int, int]]:
        """Those that a window begins after."""
        last = max(self._begins, default=-1.0)
        late = {x for latest in self._latest.values() if latest and latest[-1][0] <= last for _, x in latest}
        return self._found | late


class _Stamps:
    """The entries by which wall stamps are told (`entries.WallClock`): in the windows, and the last before each."""

    def __init__(self, windows: Sequence[Range], *, every: bool) -> None:
        self._windows = windows
        self._every = every
        self._ahead: float | None = None
        self._stamps: list[tuple[float, int]] = []

    def see(self, piece: Piece) -> None:
        """One more; they come in order."""
        ahead = piece.wall - piece.at
        if self._ahead is None or abs(ahead - self._ahead) > DRIFT_S:
            self._ahead = ahead
            self._stamps.append((piece.at, piece.seq))

    def kept(self) -> set[int]:
        """Their numbers."""
        if self._every:
            return {seq for _, seq in self._stamps}
        found = {seq for at, seq in self._stamps if _within(self._windows, at)}
        times = [at for at, _ in self._stamps]
        for begin, _ in self._windows:
            found.add(self._stamps[max(0, bisect_right(times, begin) - 1)][1])
        return found


def _merged(ranges: Iterable[Range]) -> list[Range]:
    found: list[Range] = []
    for first, last in sorted(ranges):
        if found and first <= found[-1][1]:
            found[-1] = found[-1][0], max(last, found[-1][1])
        else:
            found.append((first, last))
    return found


def _within(ranges: Sequence[Range], at: float) -> bool:
    return any(first <= at <= last for first, last in ranges)


def carried(subject: Subject, stories: Stories, read: Callable[[], Iterator[Stored]], asked: Asked) -> Slice:
    """The slice that a report carries. `read`: as in `cut`."""
    return narrow(cut(subject, stories, read, asked))[0]
