"""Which workspace a command is about, and reading its journal.

The one rule it keeps: a command that reads leaves no trace; where no journal is, it says so and makes none.
"""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

from orchestrator.cli.failures import CallWrong

if TYPE_CHECKING:
    from orchestrator.core.detector import Row
    from orchestrator.core.model import Model
    from orchestrator.journal.journal import Journal
    from orchestrator.reports.story import ModelOf, State, Stories


def find_workspace(given: Path | None) -> Path:
    """`--workspace`, else $BASCULE_WORKSPACE, else the nearest parent that has `inventories/`.

    Raises CallWrong.
    """
    named = given or (Path(os.environ["BASCULE_WORKSPACE"]) if os.environ.get("BASCULE_WORKSPACE") else None)
    if named is not None:
        if not (named / "inventories").is_dir():
            raise CallWrong(f"{named} is no workspace: it has no folder inventories/", "Name another: --workspace DIR")
        return named.resolve()
    here = Path.cwd()
    for directory in (here, *here.parents):
        if (directory / "inventories").is_dir():
            return directory
    raise CallWrong(
        f"no workspace at {here} or above it: a workspace has a folder inventories/",
        "Go there, or name it: --workspace DIR, or $BASCULE_WORKSPACE",
    )


StateT = TypeVar("StateT", bound="State")


class Reading(Generic[StateT]):
    """A journal, read up to its end into a state. `more` reads what has come since."""

    def __init__(self, workspace: Path, kind: Callable[[ModelOf], StateT], *, story: bool = False) -> None:
        """Nothing is read yet. With `story`, only what tells of incidents and moves is. Raises JournalUnreadable."""
        self.workspace = workspace
        self._story = story
        self._journal = _open(workspace)
        self.state = kind(self._model_of)

    @property
    def empty(self) -> bool:
        """Whether nothing was ever written here."""
        return self.state.last is None

    def more(self) -> bool:
        """Read on; whether there was anything."""
        if self._journal is None:
            self._journal = _open(self.workspace)  # it may have been made in the meantime
        if self._journal is None:
            return False
        before = self.state.last.seq if self.state.last else 0
        self.state.read(self._journal.story(before) if self._story else self._journal.entries(before))
        return (self.state.last.seq if self.state.last else 0) > before

    def resume(self) -> None:
        """Begin at the newest checkpoint, if there is one that this version can read."""
        from orchestrator.core.codec import CodecError, decode
        from orchestrator.core.decided import Decided

        checkpoint = self._journal.latest_checkpoint(_warn) if self._journal else None
        if self._journal is None or checkpoint is None:
            return
        try:
            decided = decode(Decided, checkpoint[1])
            self.state.resume(decided, next(iter(self._journal.entries(after=checkpoint[0] - 1))))
        except (CodecError, StopIteration):
            pass  # of another version: a checkpoint is a cache, and everything is read

    def _model_of(self, digest: str) -> Model | None:
        from orchestrator.core.codec import decode
        from orchestrator.core.model import Model

        stored = self._journal.load_model(digest) if self._journal else None
        return None if stored is None else decode(Model, stored)

    def rows(self, model: Model) -> dict[str, Row]:
        """What the controller has kept of its checks' answers: a second or a few behind it."""
        from orchestrator.core.codec import CodecError, decode
        from orchestrator.core.detector import Row

        found = {}
        for name, row in (self._journal.rows() if self._journal else {}).items():
            try:
                found[name] = decode(Row, row)
            except CodecError:
                continue  # of another version
        return {name: row for name, row in found.items() if name in model.checks}

    def close(self) -> None:
        """Let go of the journal."""
        if self._journal is not None:
            self._journal.close()

    def now(self, wall: float) -> float:
        """The journal's axis now: by this boot's clock where the axis was put in this boot, else by the wall clock."""
        from orchestrator.journal.clocks import SystemClocks

        axis = self._journal.axis() if self._journal else None
        clocks = SystemClocks()
        last = self.state.last.at if self.state.last else 0.0
        if axis is not None and axis.boot == clocks.boot():
            return max(last, clocks.boottime() + axis.offset_s)
        return self.state.clock.axis(wall)

    def unwatched_s(self, wall: float) -> float | None:
        """For how long no controller has been heard of; None: one holds the lease, or there has never been one."""
        seen = self.lease_seen(wall)
        return None if seen is None or seen[1] else seen[0]

    def lease_seen(self, wall: float) -> tuple[float, bool] | None:
        """Seconds since the controller was last heard of, and whether its lease still holds; None: never heard of.

        A lease is renewed at a beat; where it was given back, the last entry tells, or the last answer that was kept
        with it: who watches for weeks and finds all well writes no entry. One whose process is proven gone holds no
        more, whatever its time.
        """
        from orchestrator.journal.clocks import SystemClocks
        from orchestrator.journal.lease import is_gone

        lease = self._journal.holder() if self._journal else None
        if lease is None:
            last, model = self.state.last, self.state.model
            if last is None:
                return None
            asked = [row.last_sent_at for row in self.rows(model).values()] if model is not None else []
            return max(0.0, self.now(wall) - max(last.at, *asked, -1.0)), False
        clocks = SystemClocks()
        if lease.process.boot == clocks.boot():  # then no wall clock that was set can bend it
            left_s = lease.ends_boottime - clocks.boottime()
        else:
            left_s = lease.ends_wall - wall
        return max(0.0, lease.ttl_s - left_s), left_s > 0 and not is_gone(lease.process)


@contextmanager
def reading(workspace: Path) -> Iterator[Reading[State]]:
    """The state at the journal's end, quickly: from the newest checkpoint on. Raises JournalUnreadable."""
    from orchestrator.reports.story import State

    found = Reading(workspace, State)
    try:
        found.resume()
        found.more()
        yield found
    finally:
        found.close()


@contextmanager
def reading_all(workspace: Path) -> Iterator[Reading[Stories]]:
    """Every story of the journal, without the millions of entries that tell of none. Raises JournalUnreadable."""
    from orchestrator.reports.story import Stories

    found = Reading(workspace, Stories, story=True)
    try:
        found.more()
        yield found
    finally:
        found.close()


def _warn(why: str) -> None:
    sys.stderr.write(f"bascule: {why}. bascule journal verify lists every fault\n")


def _open(workspace: Path) -> Journal | None:
    from orchestrator.journal.sqlite import SqliteJournal, journal_path

    path = journal_path(workspace)
    return SqliteJournal(path, read_only=True) if path.exists() else None


def service_named(name: str, known: Iterable[str]) -> str:
    """The id of a service called by `client/name`, or by its bare name where only one client has it.

    Raises CallWrong.
    """
    ids = sorted(known)
    if name in ids or not ids:
        return name
    bare = [x for x in ids if x.rpartition("/")[2] == name]
    if len(bare) == 1:
        return bare[0]
    if bare:
        raise CallWrong(f"{name} is a service of several clients", "Say which: " + ", ".join(bare))
    raise CallWrong(f"there is no service {name}", _nearest(name, ids))


def subject_named(name: str, known: Iterable[str]) -> str:
    """The id of a service, or the name of a client. Raises CallWrong."""
    ids = sorted(known)
    clients = sorted({x.partition("/")[0] for x in ids})
    if name in clients:
        if any(x.rpartition("/")[2] == name for x in ids):
            raise CallWrong(f"{name} is a client and a service", f"Say client/{name} for the service")
        return name
    try:
        return service_named(name, ids)
    except CallWrong as wrong:
        if wrong.what.startswith("there is no"):
            raise CallWrong(f"there is no service or client {name}", _nearest(name, [*ids, *clients])) from None
        raise


def _nearest(name: str, names: list[str]) -> str:
    tails = {x.rpartition("/")[2]: x for x in names}
    near = difflib.get_close_matches(name, [*names, *tails], n=3, cutoff=0.5)
    found = list(dict.fromkeys(tails.get(x, x) for x in near))
    return "Nearest: " + ", ".join(found) if found else "There are: " + ", ".join(names)
