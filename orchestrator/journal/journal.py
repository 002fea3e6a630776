"""What the journal promises, in whatever it is kept.

The one rule it keeps: when `append` returns, the entry survives a crash of the machine. When it raises, nothing was
promised: the caller discards its engine, acts on nothing, and rebuilds from `entries`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from orchestrator.core.model import Json
from orchestrator.core.records import Record
from orchestrator.journal.axis import Axis
from orchestrator.journal.lease import Lease, Leases


class Bound(StrEnum):
    """What an entry may name by the hash of its bytes, so that it is under the chain as the entry is."""

    CHECKPOINT = "checkpoint"  # named by the number of the entry that it follows
    MODEL = "model"  # named by its digest
    GONE = "gone"  # a model that was let go of, named by its digest: see `models_kept.py`
    GAP = "gap"  # entries that were let go of, named "first-last": see `thinning.py`


@dataclass(frozen=True, slots=True)
class Bind:
    """Something beside the entries, under the chain: `sha256` is the hash of its bytes, in hexadecimal."""

    kind: Bound
    name: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Head:
    """The chain's end: number and hash (hexadecimal) of the latest entry; `wall` is when it was made."""

    seq: int
    hash: str
    wall: float = 0.0

    def __str__(self) -> str:
        return f"{self.seq}:{self.hash}"


@dataclass(frozen=True, slots=True)
class Entry:
    """One atomic step of the story: the records of one AttemptEnd, and the detector rows that changed with them.

    `seq` counts from 1 without gaps; `at` is on the journal's axis, `wall` the stamp attached outside.
    """

    seq: int
    at: float
    wall: float
    epoch: int
    records: tuple[Record, ...]
    rows: Mapping[str, Json]  # by check id
    binds: tuple[Bind, ...] = ()


@dataclass(frozen=True, slots=True)
class Linked:
    """An entry as it is stored: its canonical bytes, the hash that it follows, its own."""

    entry: Entry
    before: bytes
    body: bytes
    hash: bytes


class Fault(StrEnum):
    """What is wrong with a chain of entries."""

    ALTERED = "altered"  # content and hash do not fit the entry before it
    MISSING = "missing"  # an entry is not there
    UNREADABLE = "unreadable"  # the content is as written, but this version cannot read it
    DAMAGED = "damaged"  # the store itself says that it is damaged
    SHORT = "cut off"  # it ends before a head that was anchored elsewhere
    REWRITTEN = "rewritten"  # an entry is not the one whose hash was anchored elsewhere


@dataclass(frozen=True, slots=True)
class ChainFault:
    """Where the journal was altered or damaged. `seq` 0: not tied to one entry; `what`: not the entry itself."""

    seq: int
    fault: Fault
    detail: str
    what: str = ""

    def __str__(self) -> str:
        place = self.what or (f"entry {self.seq}" if self.seq else "journal")
        return f"{place}: {self.fault}: {self.detail}"


@dataclass(frozen=True, slots=True)
class Examined:
    """What a look at the whole journal showed: every fault, oldest first, and what it could not look at."""

    head: Head
    entries: int
    faults: tuple[ChainFault, ...]
    notes: tuple[str, ...] = ()


class JournalError(Exception):
    """Something is wrong with the journal: what (`reason`), and what a person can do (`remedy`)."""

    def __init__(self, reason: str, remedy: str) -> None:
        """Both are sentences for an operator."""
        super().__init__(f"{reason}. {remedy}")
        self.reason = reason
        self.remedy = remedy


class JournalUnwritable(JournalError):
    """Nothing could be made durable: the disk is full, the file is locked, read-only or gone, the device fails."""


class JournalUnreadable(JournalError):
    """The journal cannot be read: damaged, altered, not a journal, or made by a later version."""


class StaleEpoch(JournalError):
    """The lease was lost: somebody else took it with a larger epoch, or it was given back."""

    def __init__(self, epoch: int, held_by: Lease | None, latest: int) -> None:
        """`latest` is the largest epoch the journal has seen."""
        now = f"{held_by.holder} holds it with epoch {held_by.epoch}" if held_by else f"the latest epoch is {latest}"
        super().__init__(
            f"this controller's lease (epoch {epoch}) is over: {now}",
            "It must not act any more; start it again to ask for a new lease.",
        )
        self.epoch = epoch
        self.latest = latest


@dataclass(frozen=True, slots=True)
class Draft:
    """What an entry is to say: as the arguments of `append`."""

    at: float
    wall: float
    records: Sequence[Record]
    rows: Mapping[str, Json]


PassedOver = Callable[[str], None]
"""Told, in one sentence, what was not used and why."""


def ignore(_why: str) -> None:
    """Nobody wants to know."""


class Journal(Leases, Protocol):
    """Lease, entries, detector rows, checkpoints, models and the time axis of one workspace."""

    def append(
        self, lease: Lease, at: float, wall: float, records: Sequence[Record], rows: Mapping[str, Json]
    ) -> Entry:
        """Add one entry and the rows, durable when it returns. A row of None is forgotten.

        Raises StaleEpoch, JournalUnwritable, and CodecError where a record does not fit its own declaration.
        """
        ...

    def append_all(self, lease: Lease, drafts: Sequence[Draft]) -> list[Entry]:
        """Add several entries, in order, which share one commit: all of them or none. Raises as `append`."""
        ...

    def write_rows(self, lease: Lease, rows: Mapping[str, Json]) -> None:
        """Keep detector rows that changed without any record. Raises as `append`.

        They outlive this program; after a restart of the machine rows are void, so its disk is not waited for.
        """
        ...

    def entries(self, after: int = 0) -> Iterator[Entry]:
        """The entries with a larger `seq`, in order, each checked against its hash. Raises JournalUnreadable."""
        ...

    def last_seq(self) -> int:
        """The number of the latest entry; 0: none yet."""
        ...

    def rows(self) -> Mapping[str, Json]:
        """The latest row of every check."""
        ...

    def head(self) -> Head:
        """Number, hash and time of the latest entry: what to keep elsewhere, so that a cut or rewritten chain shows."""
        ...

    def differs(self, head: Head, *, newest: bool = False) -> str | None:
        """Why this is not the journal that had this head once; None: it is, as far as it can tell.

        `newest`: no later head was kept, so this one's entry has to be there.
        """
        ...

    def story(self, after: int = 0) -> Iterator[Entry]:
        """The entries with a larger `seq` that tell of incidents and moves, and the latest one: see `slices.py`."""
        ...

    def told(self, after: int = 0, end: int | None = None) -> Iterator[Linked]:
        """The entries of `story` as they are stored, with their hashes.

        `end`: those that told of anything when this number was the latest; nothing is said of what comes after it.
        """
        ...

    def naming(self, *kinds: type[Record]) -> Iterator[Entry]:
        """The entries with a record of one of these kinds (none of them a verdict change), each checked."""
        ...

    def checkpoint(self, seq: int, state: Json) -> None:
        """Keep the state after entry `seq`: a cache, which the entries could make again.

        An entry of its own puts it under the chain, by the lease that was taken here. Raises as `append`.
        """
        ...

    def latest_checkpoint(self, passed_over: PassedOver = ignore) -> tuple[int, Json] | None:
        """The newest checkpoint that the chain names and that is as it was, or None: then fold the entries.

        `passed_over` is told why a newer one is not used.
        """
        ...

    def store_model(self, digest: str, model: Json) -> None:
        """Keep a compiled configuration; the next entry puts it under the chain. Storing it again changes nothing."""
        ...

    def load_model(self, digest: str) -> Json | None:
        """A configuration stored earlier, or None. Raises JournalUnreadable where it is not as it was stored."""
        ...

    def thin(self, lease: Lease, before: float, below: int | None = None) -> Iterator[int]:
        """Let go of entries older than `before` (on the axis) that no story and no state needs: see `thinning.py`.

        `below`: only of those before this one, whose head is the latest that was kept elsewhere.
        In small transactions, one each time it is asked for the next: how many entries went. Raises as `append`.
        """
        ...

    def thin_models(self, lease: Lease, before: float) -> int:
        """Let go of models that were in force before this time and that nothing rests on: see `models_kept.py`.

        How many went. Raises as `append`.
        """
        ...

    def open_axis(self, *, keep: bool = True) -> Axis:
        """The time axis, which goes on where the journal left off. `keep=False` for readers, who write nothing.

        Raises JournalUnwritable, JournalUnreadable.
        """
        ...

    def examine(self, anchored: Sequence[Head] = ()) -> Examined:
        """Look at everything once: entries, checkpoints, models, and heads that were kept elsewhere."""
        ...

    def verify(self) -> list[ChainFault]:
        """Every fault, oldest first; empty: it is as it was written, as far as the chain can tell."""
        ...

    def close(self) -> None:
        """Let go of files. The journal may not be used afterwards."""
        ...
