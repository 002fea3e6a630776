"""A slice of a report against the journal itself.

The one rule it keeps: nothing of the slice is believed, not even what it says that it is a slice of. Of what the report
is, when it was made and where the journal ended then is worked out from the journal, and the entries from that.

    of the file             must be
    ----------------------------------------------------------------------------------------------------------------
    the journal's end       an entry of this journal, with its hash
    when it was made        before the next entry, and by the clock of either
    what it is of           what this journal had on it then: no incident, run or service less, and none more
    entries, left out       those that a report of that carries
    models                  parts of those that the journal keeps, where it keeps them still
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace

from orchestrator.journal.journal import Head
from orchestrator.reports.entries import Entry
from orchestrator.reports.papers.drill import of_drill
from orchestrator.reports.papers.edition import beyond, for_client
from orchestrator.reports.papers.excerpt import Asked, Slice, Stored, Subject, cut, subject_of
from orchestrator.reports.papers.heads import Wrong, head_of
from orchestrator.reports.papers.narrowing import narrowed
from orchestrator.reports.papers.period import period_of
from orchestrator.reports.papers.shape import Edition, ReportKind
from orchestrator.reports.stories import Stories

SLACK_S = 60.0  # a wall clock is corrected, and a report is not made in an instant


@dataclass(frozen=True, slots=True)
class Kept:
    """The journal at hand. `stories`: all of it; `read`: its entries from the first on; `differs`: why this is not the
    journal that had this head once; `asked`: its end now; `read_at`: what it told when it ended at this number,
    which is not what it tells of that time by now.
    """

    stories: Stories
    read: Callable[[], Iterator[Stored]]
    differs: Callable[[Head], str | None] = lambda _: None
    asked: Asked | None = None
    read_at: Callable[[int], Iterator[Stored]] | None = None

    def had(self, end: int) -> Iterator[Stored]:
        """The entries that told of anything when it ended at this number."""
        if self.read_at is not None:
            return self.read_at(end)
        return (x for x in self.read() if x.entry.seq <= end)


def against(found: Slice, kept: Kept) -> list[Wrong]:
    """What of a slice is not what the journal at hand says."""
    end = head_of(found.head)
    if end is None or (why := kept.differs(end)) is not None:
        told = why if end is not None else f"{found.head!r} is no end of a journal"
        return [Wrong("proof.head", f"the journal is not the one that it was made from: {told}")]
    then = Stories(lambda digest: kept.stories.model_of(digest) or found.models.get(digest))
    then.read(x.entry for x in kept.had(end.seq))
    after = next((x.entry for x in kept.read() if x.entry.seq > end.seq), None)
    subject = _subject(found, then)
    if subject is None:
        return [Wrong("proof.head", f"the journal knows nothing of {found.subject.id}")]
    if wrong := [*_made(found, kept, then, end, after), *_differing(found.subject, subject)]:
        return wrong
    asked = Asked(found.now, found.wall, found.unwatched_s, found.head)
    whole = cut(subject, then, lambda: kept.had(end.seq), asked, found.models)
    whole = narrowed(whole, found.subject.width)
    theirs = for_client(whole, beyond(whole, then)) if found.edition is Edition.CLIENT else whole
    return [*_entries(found, theirs), *_models(found, theirs, kept.stories)]


def not_compared(found: Slice, stories: Stories) -> list[str]:
    """The configurations of a slice that the journal at hand keeps no more: their parts cannot be compared.

    Of a period also the one that said which services there were when it was made.
    """
    said = [d for at, d in stories.configured if at <= found.now] if found.subject.kind is ReportKind.PERIOD else []
    return sorted(name for name in {*found.models, *said[-1:]} if _let_go_of(name, stories))


def _subject(found: Slice, then: Stories) -> Subject | None:
    """What a report of this would have been of, by the journal as it was; None: it had nothing of that name."""
    given = found.subject
    if given.kind is ReportKind.PERIOD:
        if given.from_wall is None or given.to_wall is None:
            return None
        known = then.model.services if then.model is not None else given.services if then.configured else ()
        services = [s for s in known if _client(s) == given.id]
        return period_of(then, found.now, given.id, services, given.from_wall, given.to_wall)
    if given.kind is ReportKind.DRILL:
        runs = of_drill(then, given.id)
        return subject_of(runs, then, found.now, ReportKind.DRILL, given.id) if runs else None
    story = then.stories.get(given.id)
    if story is None:
        return None
    kind = ReportKind.INCIDENT if story.episodes else ReportKind.PLANNED_MOVE
    return subject_of([story], then, found.now, kind, story.id)


def _client(service: str) -> str:
    return service.partition("/")[0]


def _differing(given: Subject, had: Subject) -> Iterator[Wrong]:
    """What it is said to be of, and was not."""
    for what, told, there in (("", given.stories, had.stories), ("service ", given.services, had.services)):
        for name in sorted(set(told) ^ set(there)):
            why = "it was taken out of what the report is of" if name in there else "the journal has not had it by then"
            yield Wrong(f"{what}{name}", why)
    for f in fields(Subject):
        if f.name not in ("stories", "services", "width", "left_out"):
            told, there = getattr(given, f.name), getattr(had, f.name)
            if told != there:
                yield Wrong(f"proof.head.subject.{f.name}", f"the file says {told!r}, the journal says {there!r}")


def _made(found: Slice, kept: Kept, then: Stories, end: Head, after: Entry | None) -> Iterator[Wrong]:
    """Whether it can have been made when it says so: after the last entry that it has, and before the next one."""
    last = then.last
    if after is not None and found.now > after.at + SLACK_S:
        yield Wrong("proof.head.now", f"entry {after.seq} was written before that, and the report ends at {end.seq}")
    elif kept.asked is not None and found.now > kept.asked.now + SLACK_S:
        yield Wrong("proof.head.now", "by the journal's clock that is still to come")
    elif last is not None and found.now < last.at - SLACK_S:
        yield Wrong("proof.head.now", f"entry {last.seq} was written after that, and the report ends at {end.seq}")
    if last is None:
        return
    if (found.unwatched_s or 0.0) > found.now - last.at + SLACK_S:
        yield Wrong("proof.head.unwatched_s", f"entry {last.seq} was written meanwhile, and only a controller writes")
    ahead = {_ahead(last), *([_ahead(after)] if after is not None else [])}
    if kept.asked is not None:
        ahead.add(kept.asked.wall - kept.asked.now)
    if all(abs(found.wall - found.now - x) > SLACK_S for x in ahead):
        yield Wrong("proof.head.wall", "that is no time of day by the clock of the entries around it")


def _ahead(x: Entry) -> float:
    return x.wall - x.at


def _entries(found: Slice, theirs: Slice) -> Iterator[Wrong]:
    mine, there = {x.seq: x for x in found.pieces}, {x.seq: x for x in theirs.pieces}
    for seq in sorted(mine.keys() ^ there.keys()):
        yield Wrong(f"entry {seq}", "the report has it, and the journal has not" if seq in mine else "it was taken out")
    for seq in sorted(mine.keys() & there.keys()):
        if replace(mine[seq], body=b"") != replace(there[seq], body=b""):
            yield Wrong(f"entry {seq}", "the journal says otherwise")
    if found.subject.left_out != theirs.subject.left_out:
        yield Wrong("proof.head", "of its entries other records are left out than those that it does not need")


def _models(found: Slice, theirs: Slice, stories: Stories) -> Iterator[Wrong]:
    for name in sorted(found.models.keys() | theirs.models.keys()):
        if found.models.get(name) != theirs.models.get(name) and not _let_go_of(name, stories):
            yield Wrong(f"model {name}", "its parts are not those that the journal keeps")


def _let_go_of(digest: str, stories: Stories) -> bool:
    """Whether it was in force by the records, and is not kept any more (`journal/models_kept.py`)."""
    return stories.model_of(digest) is None and any(name == digest for _, name in stories.configured)
