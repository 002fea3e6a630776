"""The form of a journal's file: its tables, triggers and indexes, its rows, and their kinds.

The one rule it keeps: whatever is not as our own statements make it is told by its name. Later reads never meet a value
of another kind than was written.

    a row without which nothing can be read       is refused when the file is opened
    a trigger or index of ours that is gone       is put back by the next one to write, and the index made anew
    all of it                                     is listed by a look at the whole
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from orchestrator.core.codec import CodecError, decode, loads
from orchestrator.journal import queries
from orchestrator.journal.journal import ChainFault, Fault, JournalUnreadable
from orchestrator.journal.machine_axis import AxisState
from orchestrator.journal.machine_lease import MachineLease


class Read(Protocol):
    """A journal's file that is open."""

    @property
    def version(self) -> int:
        """The version of its format."""

    def read(self, query: str) -> list[Any]:
        """The rows that a query finds."""


Made = dict[tuple[str, str], str]
"""Kind and name to the statement that makes it."""

# What identifies a row, and what holds of each that we wrote. (Of entries their hashes tell.)
_KINDS = {
    "checkpoints": ("seq", "typeof(state) = 'text' AND typeof(hash) = 'blob' AND typeof(digest) = 'blob'"),
    "models": ("digest", "typeof(digest) = 'text' AND typeof(model) = 'text'"),
    "detector_rows": ("check_id", "typeof(check_id) = 'text' AND json_valid(row)"),
    "epochs": ("epoch", "typeof(holder) = 'text' AND typeof(pid) = 'integer' AND typeof(wall) = 'real'"),
}
_KINDS_OF_SECOND = {
    "gaps": ("first", "typeof(last) = 'integer' AND typeof(before) = 'blob' AND typeof(after) = 'blob'"),
    "told": ("seq", "incident IN (0, 1)"),
}
_SINGLE = {
    "head": "typeof(seq) = 'integer' AND seq >= 0 AND typeof(hash) = 'blob'",
    "lease": "typeof(epoch) = 'integer' AND epoch >= 0 AND typeof(held) IN ('text', 'null')",
}
_SINGLE_OF_SECOND = {"told_done": "typeof(done) = 'integer' AND typeof(until) = 'integer'"}


def plain(text: str) -> str:
    """A statement whatever its blanks."""
    return " ".join(text.split())


@cache
def _made(version: int) -> Made:
    """What is in a file of this format."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as made:
        made.executescript(queries.SCHEMA if version < 2 else queries.SCHEMA + queries.SECOND)
        return {(kind, name): plain(text) for kind, name, text in made.execute(queries.MADE)}


def our_programs() -> frozenset[tuple[str, str, str]]:
    """Triggers of each format, as SQLite keeps them."""
    return frozenset(
        (*what, text)
        for version in (1, queries.VERSION)
        for what, text in _made(version).items()
        if what[0] == "trigger"
    )


def refuse_broken(db: sqlite3.Connection, path: Path) -> None:
    """Raise JournalUnreadable where a row is not there, or no number, without which nothing can be read."""
    (version,) = db.execute("PRAGMA user_version").fetchone()
    for table, right in (_SINGLE if version < 2 else _SINGLE | _SINGLE_OF_SECOND).items():
        if db.execute(f"SELECT count(*) FROM {table} WHERE {right}").fetchone() != (1,):  # noqa: S608 - ours
            raise JournalUnreadable(
                f"journal {path} is damaged: what its table {table!r} keeps is gone, or is not what bascule wrote",
                f"Keep {path}* aside and restore a copy.",
            )


def gone(db: sqlite3.Connection) -> Made:
    """Triggers and indexes of ours that are not there."""
    there = {(kind, name) for kind, name, _ in db.execute(queries.MADE)}
    made = _made(queries.VERSION).items()
    return {what: text for what, text in made if what[0] in ("trigger", "index") and what not in there}


def put_back(db: sqlite3.Connection) -> None:
    """Make them; what was not indexed meanwhile is indexed anew."""
    for (_, name), text in gone(db).items():
        db.execute(text)
        if name == "entries_told":
            db.execute(queries.TELL_ANEW)


def sound(row: tuple[object, ...] | None) -> AxisState | None:
    """The time axis, if it is one; else it is begun anew from the latest entry, as after a restart of the machine."""
    if row is None or not isinstance(row[0], str):
        return None
    numbers = [float(x) for x in row[1:] if isinstance(x, (int, float)) and math.isfinite(x)]
    return AxisState(row[0], *numbers) if len(numbers) == len(row) - 1 else None


def faults(store: Read) -> Iterator[ChainFault]:
    """Whatever is not as our own statements make it."""
    made, there = _made(store.version), {(k, n): plain(t) for k, n, t in store.read(queries.MADE)}
    for what in sorted(made.keys() | there.keys()):
        named = " ".join(what)
        if what not in there:
            yield ChainFault(0, Fault.MISSING, "bascule made it, and it is gone", named)
        elif what not in made:
            yield ChainFault(0, Fault.ALTERED, "it is not one of bascule's, or not of this format", named)
        elif there[what] != made[what]:
            yield ChainFault(0, Fault.ALTERED, "it is not as bascule makes it", named)
    tables = _KINDS if store.version < 2 else _KINDS | _KINDS_OF_SECOND
    for table, (key, right) in tables.items():
        if ("table", table) in there:
            wrong = f"SELECT {key} FROM {table} WHERE NOT coalesce({right}, 0) LIMIT 20"  # noqa: S608 - ours
            for (found,) in store.read(wrong):
                yield ChainFault(0, Fault.ALTERED, "it is no value that bascule writes", f"{table}, {found!r}")
    if ("table", "epochs") in there:
        yield from _epochs(store)
    if {("table", "told"), ("table", "told_done"), ("table", "gaps")} <= there.keys() and store.version > 1:
        yield from _index(store)
    try:
        lease_in(store.read(queries.LEASE)[0])
    except JournalUnreadable as error:  # it lets nobody act
        yield ChainFault(0, Fault.ALTERED, error.reason, "lease")
    found = store.read(queries.AXIS) if ("table", "axis") in there else []
    if found and sound(found[0]) is None:
        yield ChainFault(0, Fault.ALTERED, "it is no time; it is not used", "axis")


def lease_in(row: tuple[int, str | None]) -> tuple[int, MachineLease | None]:
    """The largest epoch of the lease's row, and the lease while it is held."""
    epoch, held = row
    try:
        return epoch, decode(MachineLease, loads(held)) if held is not None else None
    except CodecError as error:
        raise JournalUnreadable(f"the journal's lease cannot be read: {error}", "Restore a copy.") from error


def _epochs(store: Read) -> Iterator[ChainFault]:
    count, first, last, leased = store.read(queries.EPOCHS)[0]
    if leased != (last or 0):
        yield ChainFault(0, Fault.ALTERED, f"its epoch is {leased}, and the latest one taken is {last or 0}", "lease")
    if count and (first != 1 or count != last):
        yield ChainFault(0, Fault.MISSING, f"{count} are kept, and the latest is {last}", "epochs")


def _index(store: Read) -> Iterator[ChainFault]:
    done, until, last = store.read(queries.TOLD_DONE_AND_HEAD)[0]
    if not 0 <= done <= until <= last:
        why = f"it says that entries {done} to {until} are to be indexed, and there are {last}"
        yield ChainFault(0, Fault.ALTERED, why, "told_done")
    for (seq,) in store.read(queries.TOLD_OF_NONE):
        yield ChainFault(seq, Fault.ALTERED, "there is no such entry", f"index of entry {seq}")
    for first, last in store.read(queries.GAPS_OVER_ENTRIES):
        yield ChainFault(first, Fault.ALTERED, "it stands for entries that are there", f"gap {first}-{last}")
