"""A workspace's journal for reading: opened, read up to its end and folded into a state.

The one rule it keeps: a reader leaves no trace. If there is no journal, it counts as empty, and none is made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Generic, TypeVar

from orchestrator.core.ages import Ages, Kept
from orchestrator.core.codec import CodecError, decode
from orchestrator.core.health.detector import Row
from orchestrator.core.model import Model
from orchestrator.core.records import (
    DrillBegan,
    DrillEnded,
    DrillMissed,
    IncidentOpened,
    IncidentReopened,
    ScheduleInForce,
)
from orchestrator.core.schedules import DrillPlan
from orchestrator.core.state.decided import Decided
from orchestrator.journal.ages import read as read_ages
from orchestrator.journal.journal import Head, Linked, PassedOver, ignore
from orchestrator.journal.stores import read_journal
from orchestrator.reports.stories import ModelOf, State, Stories

StateT = TypeVar("StateT", bound="State")


class Reader(Generic[StateT]):
    """A journal, read up to its end into a state. `more` reads what has come since."""

    def __init__(self, workspace: Path, kind: Callable[[ModelOf], StateT], *, story: bool = False) -> None:
        """Nothing is read yet. With `story`, only what tells of incidents and moves is. Raises JournalUnreadable."""
        self.workspace = workspace
        self._story = story
        self._journal = read_journal(workspace)
        self.state = kind(self._model_of)

    @property
    def empty(self) -> bool:
        """Whether nothing was ever written here."""
        return self.state.last is None

    def more(self) -> bool:
        """Read on; whether there was anything."""
        if self._journal is None:
            self._journal = read_journal(self.workspace)  # it may have been made in the meantime
        if self._journal is None:
            return False
        before = self.state.last.seq if self.state.last else 0
        self.state.read(self._journal.story(before) if self._story else self._journal.entries(before))
        return (self.state.last.seq if self.state.last else 0) > before

    def resume(self, passed_over: PassedOver = ignore) -> None:
        """Begin at the newest checkpoint that this version can read; `passed_over` is told why one is not used."""
        checkpoint = self._journal.latest_checkpoint(passed_over) if self._journal else None
        if self._journal is None or checkpoint is None:
            return
        try:
            decided = decode(Decided, checkpoint[1])
            self.state.resume(decided, next(iter(self._journal.entries(after=checkpoint[0] - 1))))
        except (CodecError, StopIteration):
            pass  # of another version: a checkpoint is a cache, and everything is read

    def pin_open(self) -> None:
        """Learn from the entries before the checkpoint when the open incidents began, by the entries that say so."""
        opened = [x.episode_first_bad_at for x in self.state.decided.incidents.values() if x.ended is None]
        if self._journal is None or all(self.state.clock.pins(at) for at in opened):
            return
        for entry in self._journal.story():
            for x in entry.records:
                if isinstance(x, IncidentOpened | IncidentReopened) and x.first_bad_at in opened:
                    self.state.clock.pin(x.first_bad_at, entry)

    def missed(self) -> list[tuple[DrillMissed, DrillPlan]]:
        """Every scheduled drill that was missed, in order, with its schedule as it was then."""
        plans: dict[str, DrillPlan | None] = {}
        found: list[tuple[DrillMissed, DrillPlan]] = []
        for entry in self._journal.naming(ScheduleInForce, DrillMissed) if self._journal else ():
            for x in entry.records:
                if isinstance(x, ScheduleInForce):
                    plans[x.schedule] = x.plan
                elif isinstance(x, DrillMissed) and (plan := plans.get(x.schedule)) is not None:
                    found.append((x, plan))
        return found

    def pin_drills(self) -> None:
        """Learn from the entries before the checkpoint when drills began and ended."""
        for entry in self._journal.naming(DrillBegan, DrillEnded) if self._journal else ():
            for x in entry.records:
                if isinstance(x, DrillBegan | DrillEnded) and x.drill in self.state.decided.drills:
                    self.state.clock.pin(x.at, entry)

    def _model_of(self, digest: str) -> Model | None:

        stored = self._journal.load_model(digest) if self._journal else None
        return None if stored is None else decode(Model, stored)

    def rows(self, model: Model) -> dict[str, Row]:
        """What the controller has kept of its checks' answers: a second or a few behind it."""

        found = {}
        for name, row in (self._journal.rows() if self._journal else {}).items():
            try:
                found[name] = decode(Row, row)
            except CodecError:
                continue  # of another version
        return {name: row for name, row in found.items() if name in model.checks}

    def told(self) -> Iterator[Linked]:
        """The entries that tell of incidents and moves, as they are stored, from the first on."""
        return self._journal.told() if self._journal else iter(())

    def told_at(self, end: int) -> Iterator[Linked]:
        """Those that told of any when this number was the latest: what came later has more told of before."""
        found = self._journal.told(end=end) if self._journal else iter(())
        return (x for x in found if x.entry.seq <= end)

    def head(self) -> str:
        """The chain's end, `NUMBER:HASH`."""
        return str(self._journal.head()) if self._journal else ""

    def differs(self, head: Head) -> str | None:
        """Why this is not the journal that had this head once; None: it is."""
        return self._journal.differs(head) if self._journal else "there is none"

    def close(self) -> None:
        """Let go of the journal."""
        if self._journal is not None:
            self._journal.close()

    def now(self, wall: float) -> float:
        """The journal's axis now: by this boot's clock where the axis was put in this boot, else by the wall clock."""
        axis = self._journal.open_axis(keep=False) if self._journal else None
        if axis is not None and axis.same_boot:
            return axis.now()
        return self.state.clock.axis(wall)

    def unwatched_s(self, wall: float) -> float | None:
        """For how long no controller has been heard of; None: one holds the lease, or there has never been one."""
        seen = self.lease_seen(wall)
        return None if seen is None or seen[1] else seen[0]

    def lease_seen(self, wall: float) -> tuple[float, bool] | None:
        """Seconds since the controller was last heard of, and whether its lease still holds; None: never heard of.

        A lease is renewed at a beat; where it was given back, the last entry tells, or the last answer that was kept
        with it: who watches for weeks and finds all well writes no entry.
        """
        heard = self._journal.heard() if self._journal else None
        if heard is None:
            last, model = self.state.last, self.state.model
            if last is None:
                return None
            asked = [row.last_sent_at for row in self.rows(model).values()] if model is not None else []
            return max(0.0, self.now(wall) - max(last.at, *asked, -1.0)), False
        return heard.ago_s, heard.holds


@contextmanager
def reading(workspace: Path, passed_over: PassedOver = ignore, *, pin: bool = True) -> Iterator[Reader[State]]:
    """The state at the journal's end, quickly: from the newest checkpoint on. Raises JournalUnreadable.

    `passed_over` is told, in a sentence, why a checkpoint is not used. Without `pin`, the time of day at which an open
    incident began is not looked for: a long journal takes seconds.
    """
    found = Reader(workspace, State)
    try:
        found.resume(passed_over)
        found.more()
        if pin:
            found.pin_open()
        yield found
    finally:
        found.close()


@contextmanager
def reading_all(workspace: Path) -> Iterator[Reader[Stories]]:
    """Every story of the journal, without the millions of entries that tell of none. Raises JournalUnreadable."""
    found = Reader(workspace, Stories, story=True)
    try:
        found.more()
        yield found
    finally:
        found.close()


@contextmanager
def reading_drills(workspace: Path) -> Iterator[tuple[Reader[State] | Reader[Stories], Decided]]:
    """The journal, and the state with every drill that there ever was, and its runs.

    The state itself keeps the latest; where it lacks any, every story is read for it. Raises JournalUnreadable.
    """
    with reading(workspace) as journal:
        kept = journal.state.decided
        runs = {run for x in kept.drills.values() for run in x.runs}
        if len(kept.drills) == kept.drill_count and runs <= kept.runs.keys():
            journal.pin_drills()
            yield journal, kept
            return
    with reading_all(workspace) as whole:
        yield whole, whole.state.whole


def ages_since(workspace: Path, since_wall: float, services: Iterable[str] | None = None) -> dict[Kept, Ages]:
    """The ages of data by the hour, from this time on (seconds since 1970); `services`: of these alone."""
    return read_ages(workspace, since_wall, services)
