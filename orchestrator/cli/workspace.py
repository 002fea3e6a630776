"""Which workspace a command is about, and reading its journal.

The one rule it keeps: a command that reads leaves no trace; where no journal is, it says so and makes none.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.cli.failures import CallWrong

if TYPE_CHECKING:
    from orchestrator.core.model import Model
    from orchestrator.journal.journal import Journal
    from orchestrator.reports.story import Stories


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


@dataclass(slots=True)
class Reading:
    """A journal, read up to its end. `more` reads what has come since."""

    workspace: Path
    stories: Stories
    _journal: Journal | None

    @property
    def empty(self) -> bool:
        """Whether nothing was ever written here."""
        return self.stories.last is None

    def more(self) -> bool:
        """Read on; whether there was anything."""
        if self._journal is None:
            return False
        before = self.stories.last.seq if self.stories.last else 0
        self.stories.read(self._journal.entries(after=before))
        return (self.stories.last.seq if self.stories.last else 0) > before

    def now(self, wall: float) -> float:
        """The journal's axis now: by this boot's clock where the axis was put in this boot, else by the wall clock."""
        from orchestrator.journal.clocks import SystemClocks

        axis = self._journal.axis() if self._journal else None
        clocks = SystemClocks()
        last = self.stories.last.at if self.stories.last else 0.0
        if axis is not None and axis.boot == clocks.boot():
            return max(last, clocks.boottime() + axis.offset_s)
        return self.stories.clock.axis(wall)

    def lease_seen(self, wall: float) -> tuple[float, bool] | None:
        """Seconds since the lease was last renewed, and whether it still holds; None: nobody holds it."""
        lease = self._journal.holder() if self._journal else None
        if lease is None:
            return None
        return max(0.0, wall - (lease.ends_wall - lease.ttl_s)), lease.ends_wall > wall


@contextmanager
def reading(workspace: Path) -> Iterator[Reading]:
    """The workspace's journal, read to its end. Raises JournalUnreadable."""
    from orchestrator.core.codec import decode
    from orchestrator.core.model import Model
    from orchestrator.reports.story import Stories

    journal = _open(workspace)

    def model_of(digest: str) -> Model | None:
        stored = journal.load_model(digest) if journal else None
        return None if stored is None else decode(Model, stored)

    stories = Stories(model_of)
    try:
        if journal is not None:
            stories.read(journal.entries())
        yield Reading(workspace, stories, journal)
    finally:
        if journal is not None:
            journal.close()


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
