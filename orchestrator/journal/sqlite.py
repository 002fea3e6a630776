"""The journal in a SQLite file: write-ahead log, synced at each commit, entries chained by hashes.

The one rule it keeps: whoever writes says under which lease, and the epoch is compared inside the same transaction.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import cast

from orchestrator.core.codec import CodecError, decode, dumps, encode, loads
from orchestrator.core.model import Json
from orchestrator.core.records import Record
from orchestrator.journal import chain, queries
from orchestrator.journal.clocks import Clocks, SystemClocks
from orchestrator.journal.journal import AxisState, ChainFault, Draft, Entry, Fault, JournalUnreadable, StaleEpoch
from orchestrator.journal.lease import Asker, Lease, Process, Refused, is_gone, this_process
from orchestrator.journal.store import Store

_BATCH = 500  # entries a read, so that a long fold holds no read transaction open


def journal_path(workspace: Path) -> Path:
    """Where a workspace's journal is."""
    return workspace / ".bascule" / "journal.db"


class SqliteJournal:
    """See `journal.Journal`. Any number of processes may open the same file; one lease decides who may append."""

    def __init__(
        self,
        path: Path,
        *,
        read_only: bool = False,
        clocks: Clocks | None = None,
        process: Process | None = None,
        gone: Callable[[Process], bool] = is_gone,
    ) -> None:
        """Open the file, make it unless `read_only`. Raises JournalUnreadable, JournalUnwritable."""
        clocks = clocks or SystemClocks()
        self._asker = Asker(process or this_process(clocks.boot()), clocks, gone)
        self._store = Store(path, read_only)
        self.path = path

    def acquire(self, holder: str, now_wall: float, ttl_s: float) -> Lease | Refused:
        """Take the lease with the next epoch, or say who holds it."""
        with self._store.writing() as db:
            epoch, held = _lease(db.execute(queries.LEASE).fetchone())
            if held is not None:
                left_s = self._asker.remaining_s(held, holder, now_wall)
                if left_s > 0:
                    return Refused(held, left_s)
            (noted,) = db.execute(queries.LAST_EPOCH).fetchone()
            lease = self._asker.grant(holder, max(epoch, noted or 0) + 1, now_wall, ttl_s)
            db.execute(queries.TAKE_LEASE, (lease.epoch, _text(encode(lease))))
            db.execute(queries.ADD_EPOCH, (lease.epoch, holder, lease.process.pid, now_wall))
        return lease

    def renew(self, lease: Lease, now_wall: float) -> bool:
        """Hold it for another `ttl_s`."""
        with self._store.writing() as db:
            _, held = _lease(db.execute(queries.LEASE).fetchone())
            if held is None or held.epoch != lease.epoch:
                return False
            db.execute(queries.KEEP_LEASE, (_text(encode(self._asker.extended(held, now_wall))),))
        return True

    def release(self, lease: Lease) -> None:
        """Give it back."""
        with self._store.writing() as db:
            _, held = _lease(db.execute(queries.LEASE).fetchone())
            if held is not None and held.epoch == lease.epoch:
                db.execute(queries.KEEP_LEASE, (None,))

    def holder(self) -> Lease | None:
        """Who holds it."""
        return _lease(self._store.read(queries.LEASE)[0])[1]

    def append(
        self, lease: Lease, at: float, wall: float, records: Sequence[Record], rows: Mapping[str, Json]
    ) -> Entry:
        """Add one entry and the rows, durable when it returns."""
        return self.append_all(lease, [Draft(at, wall, records, rows)])[0]

    def append_all(self, lease: Lease, drafts: Sequence[Draft]) -> list[Entry]:
        """Add entries and rows in one transaction."""
        entries, latest = [], {}
        with self._store.writing() as db:
            _refuse_stale(db, lease)
            seq, digest = db.execute(queries.HEAD).fetchone()
            for draft in drafts:
                rows = dict(draft.rows)  # rows that were taken are encoded when they are read: once
                seq += 1
                body = chain.body_of(seq, draft.at, draft.wall, lease.epoch, draft.records, rows)
                digest = chain.link(digest, body)
                db.execute(queries.ADD_ENTRY, (seq, body.decode("ascii"), digest))
                entries.append(Entry(seq, draft.at, draft.wall, lease.epoch, tuple(draft.records), rows))
                latest.update(rows)
            db.execute(queries.MOVE_HEAD, (seq, digest))
            _keep(db, latest)
        return entries

    def write_rows(self, lease: Lease, rows: Mapping[str, Json]) -> None:
        """Keep detector rows without an entry."""
        with self._store.writing(synced=False) as db:
            _refuse_stale(db, lease)
            _keep(db, dict(rows))

    def entries(self, after: int = 0) -> Iterator[Entry]:
        """The entries with a larger `seq`, read in batches."""
        previous = chain.GENESIS
        if after:
            found = self._store.read(queries.ENTRY_HASH, (after,))
            if not found:
                raise JournalUnreadable(f"there is no entry {after} in {self.path}", "Start from an earlier one.")
            previous = found[0][0]
        return chain.checked_entries(self._links(after), previous, after)

    def last_seq(self) -> int:
        """The number of the latest entry."""
        return cast(int, self._store.read(queries.HEAD)[0][0])

    def rows(self) -> Mapping[str, Json]:
        """The latest row of every check."""
        return {check: loads(row) for check, row in self._store.read(queries.ROWS)}

    def checkpoint(self, seq: int, state: Json) -> None:
        """Keep the state after entry `seq`, bound to that entry by its hash; the two latest stay."""
        text = dumps(state)
        with self._store.writing() as db:
            found = db.execute(queries.ENTRY_HASH, (seq,)).fetchone()
            if found is None:
                raise ValueError(f"checkpoint of entry {seq}: there is no such entry")
            db.execute(queries.PUT_CHECKPOINT, (seq, text.decode("ascii"), found[0], hashlib.sha256(text).digest()))
            db.execute(queries.DROP_OLD_CHECKPOINTS)

    def latest_checkpoint(self) -> tuple[int, Json] | None:
        """The newest checkpoint that is whole and belongs to these entries."""
        for seq, state, digest, own in self._store.read(queries.CHECKPOINTS):
            entry = self._store.read(queries.ENTRY_HASH, (seq,))
            if entry and entry[0][0] == digest and hashlib.sha256(state.encode()).digest() == own:
                return seq, loads(state)
        return None

    def store_model(self, digest: str, model: Json) -> None:
        """Keep a compiled configuration."""
        with self._store.writing() as db:
            db.execute(queries.PUT_MODEL, (digest, _text(model)))

    def load_model(self, digest: str) -> Json | None:
        """A configuration stored earlier."""
        found = self._store.read(queries.MODEL, (digest,))
        return loads(found[0][0]) if found else None

    def axis(self) -> AxisState | None:
        """The time axis as it was last put."""
        found = self._store.read(queries.AXIS)
        return AxisState(*found[0]) if found else None

    def put_axis(self, state: AxisState) -> AxisState:
        """Keep it, unless another process did so for this boot."""
        with self._store.writing() as db:
            found = db.execute(queries.AXIS).fetchone()
            if found is not None and found[0] == state.boot:
                known = AxisState(*found)
                state = AxisState(known.boot, known.offset_s, max(known.at, state.at), state.wall, known.gap_s)
            db.execute(queries.PUT_AXIS, (state.boot, state.offset_s, state.at, state.wall, state.gap_s))
        return state

    def verify(self) -> list[ChainFault]:
        """Every fault: SQLite's own check of the file, then the chain."""
        try:
            damage = [str(row[0]) for row in self._store.read(queries.QUICK_CHECK)]
            found = [ChainFault(0, Fault.DAMAGED, line) for line in damage if line != "ok"]
            seq, digest = self._store.read(queries.HEAD)[0]
            return found + chain.faults(self._links(0), (seq, digest))
        except JournalUnreadable as error:
            return [ChainFault(0, Fault.DAMAGED, error.reason)]

    def close(self) -> None:
        """Let go of the file."""
        self._store.close()

    def _links(self, after: int) -> Iterator[chain.Link]:
        while batch := self._store.read(queries.ENTRIES_AFTER, (after, _BATCH)):
            for seq, body, digest in batch:
                yield seq, body.encode(), digest
            after = batch[-1][0]


def _text(value: Json) -> str:
    return dumps(value).decode("ascii")


def _lease(row: tuple[int, str | None]) -> tuple[int, Lease | None]:
    """The largest epoch of the lease's row, and the lease while it is held."""
    epoch, held = row
    try:
        return epoch, decode(Lease, loads(held)) if held is not None else None
    except CodecError as error:
        raise JournalUnreadable(f"the journal's lease cannot be read: {error}", "Restore a copy.") from error


def _refuse_stale(db: sqlite3.Connection, lease: Lease) -> None:
    epoch, held = _lease(db.execute(queries.LEASE).fetchone())
    if held is None or held.epoch != lease.epoch:
        raise StaleEpoch(lease.epoch, held, epoch)


def _keep(db: sqlite3.Connection, rows: Mapping[str, Json]) -> None:
    db.executemany(queries.PUT_ROW, [(check, _text(row)) for check, row in rows.items() if row is not None])
    db.executemany(queries.FORGET_ROW, [(check,) for check, row in rows.items() if row is None])
