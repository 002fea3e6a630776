"""The journal in a SQLite file: write-ahead log, synced at each commit, entries chained by hashes.

The one rule it keeps: whoever writes says under which lease, and the epoch is compared inside the same transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import cast

from orchestrator.core.codec import CodecError, dumps, encode, loads
from orchestrator.core.model import Json
from orchestrator.core.records import Record
from orchestrator.journal import beside, chain, form, models_kept, queries, slices, thinning
from orchestrator.journal.clocks import Clocks, SystemClocks
from orchestrator.journal.examining import Examination
from orchestrator.journal.journal import (
    Bind,
    Bound,
    ChainFault,
    Draft,
    Entry,
    Examined,
    Fault,
    Head,
    JournalUnreadable,
    Linked,
    PassedOver,
    StaleEpoch,
    ignore,
)
from orchestrator.journal.lease import Heard, Lease, Refused
from orchestrator.journal.machine_axis import AxisState, MachineAxis
from orchestrator.journal.machine_lease import Asker, MachineLease, Watch
from orchestrator.journal.process import Process, is_gone, this_process
from orchestrator.journal.store import Store

_BATCH = 500  # entries a read, so that a long fold holds no read transaction open
_FAR = 1 << 62
_INDEX_BLOCK = 5000  # entries of an older file that are indexed in one transaction


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
        process = process or this_process(clocks.boot())
        self._asker = Asker(process, clocks, gone, Watch.of(path, process))
        self._store = Store(path, read_only)
        self._lease: Lease | None = None  # that was taken here: checkpoints are kept under it
        self._to_bind: dict[str, Bind] = {}  # models stored here; the next entry binds them
        self._last = 0, b""  # the last entry known under that lease, and its hash
        self.path = path

    # ---- the lease

    def acquire(self, holder: str, ttl_s: float) -> Lease | Refused:
        """Take the lease with the next epoch, or say who holds it."""
        with self._store.writing() as db:
            epoch, held = form.lease_in(db.execute(queries.LEASE).fetchone())
            if held is not None:
                left_s = self._asker.remaining_s(held, holder)
                if left_s > 0:
                    return Refused(held, left_s)
            (noted,) = db.execute(queries.LAST_EPOCH).fetchone()
            epoch = max(epoch, noted or 0, beside.latest_stamp(db).epoch) + 1
            lease = self._asker.grant(holder, epoch, ttl_s)
            db.execute(queries.TAKE_LEASE, (lease.epoch, _text(encode(lease))))
            db.execute(queries.ADD_EPOCH, (lease.epoch, holder, lease.process.pid, self._asker.clocks.wall()))
            self._last = 0, b""
        self._lease = lease
        return lease

    def renew(self, lease: Lease) -> bool:
        """Hold it for another `ttl_s`."""
        with self._store.writing() as db:
            beside.refuse_older(db, self._store, self._last)
            _, held = form.lease_in(db.execute(queries.LEASE).fetchone())
            if held is None or held.epoch != lease.epoch:
                return False
            db.execute(queries.KEEP_LEASE, (_text(encode(self._asker.extended(held))),))
        return True

    def release(self, lease: Lease) -> None:
        """Give it back."""
        with self._store.writing() as db:
            _, held = form.lease_in(db.execute(queries.LEASE).fetchone())
            if held is not None and held.epoch == lease.epoch:
                db.execute(queries.KEEP_LEASE, (None,))

    def holder(self) -> Lease | None:
        """Who holds it."""
        return self._held()

    def heard(self) -> Heard | None:
        """When its holder was last heard of."""
        held = self._held()
        return self._asker.heard(held) if held is not None else None

    def _held(self) -> MachineLease | None:
        return form.lease_in(self._store.read(queries.LEASE)[0])[1]

    # ---- entries and rows

    def append(
        self, lease: Lease, at: float, wall: float, records: Sequence[Record], rows: Mapping[str, Json]
    ) -> Entry:
        """Add one entry and the rows, durable when it returns."""
        return self.append_all(lease, [Draft(at, wall, records, rows)])[0]

    def append_all(self, lease: Lease, drafts: Sequence[Draft]) -> list[Entry]:
        """Add entries and rows in one transaction."""
        entries, latest = [], {}
        binds = tuple(self._to_bind.values())
        with self._store.writing() as db:
            self._refuse(db, lease)
            seq, digest = db.execute(queries.HEAD).fetchone()
            for draft in drafts:
                beside.refuse_gone(db, draft.records)
                rows = dict(draft.rows)  # rows that were taken are encoded when they are read: once
                seq += 1
                body = chain.body_of(seq, draft.at, draft.wall, lease.epoch, draft.records, rows, binds)
                digest = chain.link(digest, body)
                db.execute(queries.ADD_ENTRY, (seq, body.decode("ascii"), digest))
                entries.append(Entry(seq, draft.at, draft.wall, lease.epoch, tuple(draft.records), rows, binds))
                db.executemany(queries.BIND_MODEL, [(seq, bind.name) for bind in binds])
                latest.update(rows)
                binds = ()
            db.execute(queries.MOVE_HEAD, (seq, digest))
            _keep(db, latest)
        self._last = seq, digest
        if entries:
            for bind in entries[0].binds:
                self._to_bind.pop(bind.name, None)
        return entries

    def write_rows(self, lease: Lease, rows: Mapping[str, Json]) -> None:
        """Keep detector rows without an entry."""
        with self._store.writing(synced=False) as db:
            self._refuse(db, lease)
            _keep(db, dict(rows))

    def entries(self, after: int = 0) -> Iterator[Entry]:
        """The entries with a larger `seq`, read in batches, up to the end that was written last."""
        previous, after = self._start(after)
        yield from chain.checked_entries(self._links(after), previous, after, self._gap_over)
        fault = self._wrong_end()
        if fault is not None:
            raise chain.unreadable(fault)

    def story(self, after: int = 0) -> Iterator[Entry]:
        """The entries that tell of incidents and moves, each checked against the one before it."""
        return (link.entry for link in self.told(after))

    def told(self, after: int = 0, end: int | None = None) -> Iterator[Linked]:
        """The same entries as they are stored, with their hashes."""
        for first, last in slices.clipped(self._plan(end), after):
            previous, start = self._start(first - 1)
            yield from chain.checked(self._links(start, last), previous, start, self._gap_over)

    def naming(self, *kinds: type[Record]) -> Iterator[Entry]:
        """The entries with a record of one of these kinds: only they are read, and the hash of the one before each."""
        for seq in beside.naming(self._store, [x.__name__ for x in kinds]):
            previous, start = self._start(seq - 1)
            found = chain.checked_entries(self._links(start, seq), previous, start, self._gap_over)
            yield from (x for x in found if any(isinstance(record, kinds) for record in x.records))

    def last_seq(self) -> int:
        """The number of the latest entry."""
        return cast(int, self._store.read(queries.HEAD)[0][0])

    def head(self) -> Head:
        """The chain's end."""
        seq, digest = self._store.read(queries.HEAD)[0]
        found = self._store.read(queries.ENTRY, (seq,))
        return Head(seq, digest.hex(), chain.stamped(found[0][0]).wall if found else 0.0)

    def differs(self, head: Head, *, newest: bool = False) -> str | None:
        """Why this is not the journal that had this head once."""
        found = self._store.read(queries.ENTRY_HASH, (head.seq,))
        there, gap = found[0][0] if found else None, self._gap_over(head.seq)
        return chain.difference(head, self.last_seq(), there, gap, newest=newest)

    def rows(self) -> Mapping[str, Json]:
        """The latest row of every check."""
        found: dict[str, Json] = {}
        for check, row in self._store.read(queries.ROWS):
            with suppress(CodecError, AttributeError):  # no entry covers it: its check begins unknown
                found[str(check)] = loads(row)
        return found

    # ---- beside the entries

    def checkpoint(self, seq: int, state: Json) -> None:
        """Keep the state after entry `seq`, named by an entry of its own; the two latest stay."""
        text = dumps(state)
        with self._store.writing() as db:
            if self._lease is None:
                raise ValueError("a checkpoint is kept under a lease: take it first")
            self._refuse(db, self._lease)
            found = db.execute(queries.ENTRY_HASH, (seq,)).fetchone()
            if found is None:
                raise ValueError(f"checkpoint of entry {seq}: there is no such entry")
            own = chain.sha256(text)
            bound = beside.add_binding(db, self._lease, [Bind(Bound.CHECKPOINT, str(seq), own)])
            row = (seq, text.decode("ascii"), found[0], bytes.fromhex(own), bound)
            db.execute(queries.PUT_CHECKPOINT, row)
            db.execute(queries.DROP_OLD_CHECKPOINTS)

    def latest_checkpoint(self, passed_over: PassedOver = ignore) -> tuple[int, Json] | None:
        """The newest checkpoint that the chain names and that is as it was."""
        return beside.latest_checkpoint(self._store, passed_over)

    def store_model(self, digest: str, model: Json) -> None:
        """Keep a compiled configuration; the next entry binds it, if none does."""
        text = dumps(model)
        with self._store.writing() as db:
            if beside.put_model(db, digest, text.decode("ascii")):
                self._to_bind[digest] = Bind(Bound.MODEL, digest, chain.sha256(text))

    def load_model(self, digest: str) -> Json | None:
        """A configuration stored earlier."""
        pending = self._to_bind.get(digest)
        return beside.load_model(self._store, digest, pending.sha256 if pending else None)

    def open_axis(self, *, keep: bool = True) -> MachineAxis:
        """The time axis by this machine's clocks."""
        return MachineAxis(self, self._asker.clocks, keep=keep)

    def axis(self) -> AxisState | None:
        """The time axis as it was last put."""
        found = self._store.read(queries.AXIS)
        return form.sound(found[0]) if found else None

    def put_axis(self, state: AxisState) -> AxisState:
        """Keep it, unless another process did so for this boot."""
        with self._store.writing() as db:
            found = db.execute(queries.AXIS).fetchone()
            known = form.sound(found)
            if known is not None and known.boot == state.boot:
                state = AxisState(known.boot, known.offset_s, max(known.at, state.at), state.wall, known.gap_s)
            db.execute(queries.PUT_AXIS, (state.boot, state.offset_s, state.at, state.wall, state.gap_s))
        return state

    # ---- keeping it whole and small

    def examine(self, anchored: Sequence[Head] = ()) -> Examined:
        """Every fault: SQLite's own check of the file, then everything in it."""
        look: Examination | None = None
        found: list[ChainFault] = []
        try:
            damage = [str(row[0]) for row in self._store.read(queries.QUICK_CHECK)]
            found += [ChainFault(0, Fault.DAMAGED, line) for line in damage if line != "ok"]
            found += form.faults(self._store)
            look = Examination(beside.read(self._store), self._gap_over, anchored)
            after, more = 0, True
            while more:  # what is written meanwhile is looked at too, and may bind what was let go of meanwhile
                more = False
                for chunk in self._chunks(after):
                    look.look(chunk)
                    after, more = chunk[-1][0], True
            end = self._wrong_end()
            found += [end] if end else []
        except JournalUnreadable as error:
            found.append(ChainFault(0, Fault.DAMAGED, error.reason))
        if look is None:
            return Examined(Head(0, ""), 0, tuple(found))
        done = look.examined()
        return Examined(done.head, done.entries, (*found, *done.faults), done.notes)

    def verify(self) -> list[ChainFault]:
        """Every fault."""
        return list(self.examine().faults)

    def index(self) -> Iterator[int]:
        """Index entries that an earlier version wrote, some at each step; how many are still to be done."""
        done, until = self._store.read(queries.TOLD_DONE)[0]
        while done < until:
            with self._store.writing() as db:
                upto = min(until, done + _INDEX_BLOCK)
                db.execute(queries.TELL, (done, upto))
                db.execute(queries.MOVE_TOLD_DONE, (upto,))
            done = upto
            yield until - done

    def thin(self, lease: Lease, before: float, below: int | None = None) -> Iterator[int]:
        """Let go of what nobody needs, below the oldest checkpoint that may be used."""
        yield from (0 for _ in self.index())
        found = self._store.read(queries.OLDEST_CHECKPOINT)[0][0]
        end = 0 if found is None else found - 1
        last = beside.last_before(self._store, before, end if below is None else min(end, below - 1))
        told, at = self._plan(), 0
        while block := self._store.read(queries.QUIET_AFTER, (at, last, thinning.BLOCK)):
            at = block[-1][0]
            quiet = [(seq, body) for seq, body in block if not slices.within(told, seq)]
            gone = thinning.unneeded([(seq, chain.entry_of(body.encode()).records) for seq, body in quiet])
            if gone:
                with self._store.writing() as db:
                    self._refuse(db, lease)
                    beside.let_go(db, lease, gone)
            yield len(gone)

    def thin_models(self, lease: Lease, before: float) -> int:
        """Let go of configurations that nothing rests on."""
        gone = models_kept.unneeded((x.entry for x in self.told()), before)
        with self._store.writing() as db:
            self._refuse(db, lease)
            return beside.let_go_of_models(db, lease, gone)

    def close(self) -> None:
        """Let go of the file."""
        self._store.close()

    def _plan(self, end: int | None = None) -> list[slices.Range]:
        """What is told. Of a file that is not indexed yet, everything that is not."""
        last = self.last_seq()
        if self._store.version < 2:
            return [(1, last)] if last else []
        done, until = self._store.read(queries.TOLD_DONE)[0]
        told = [seq for (seq,) in self._store.read(queries.TOLD)]
        spans, at = slices.Spans(end), 0
        while batch := self._store.read(queries.TOLD_OF_INCIDENTS, (at, _BATCH)):
            for seq, body in batch:
                spans.add(seq, chain.entry_of(body.encode()).records)
            at = batch[-1][0]
        found = slices.plan(told, spans, last, end)
        return slices.merged([*found, (done + 1, until)]) if done < until else found

    def _start(self, after: int) -> tuple[bytes, int]:
        """Where to read on after an entry: its hash and number; of one that was let go of, those of its gap's last."""
        if after <= 0:
            return chain.GENESIS, 0
        found = self._store.read(queries.ENTRY_HASH, (after,))
        if found:
            return found[0][0], after
        gap = self._gap_over(after)
        if gap is None:
            raise JournalUnreadable(f"there is no entry {after} in {self.path}", "Start from an earlier one.")
        return gap.after, gap.last

    def _refuse(self, db: sqlite3.Connection, lease: Lease) -> None:
        beside.refuse_older(db, self._store, self._last)
        epoch, held = form.lease_in(db.execute(queries.LEASE).fetchone())
        if held is None or held.epoch != lease.epoch:
            raise StaleEpoch(lease.epoch, held, epoch)

    def _gap_over(self, seq: int) -> chain.Gap | None:
        return beside.gap_over(self._store, seq)

    def _wrong_end(self) -> ChainFault | None:
        """What is wrong with the last entry, if it is not the one that was written last."""
        seq, digest = self._store.read(queries.HEAD)[0]
        ((last,),) = self._store.read(queries.LAST_ENTRY)
        found = self._store.read(queries.ENTRY_HASH, (seq,))
        if not seq or (found and found[0][0] == digest):
            (now,) = self._store.read(queries.HEAD)[0][:1]  # it may have grown in between
            added = (last or 0) > now
            why = f"the latest entry written was {now}: this was added"
            return ChainFault(now + 1, Fault.ALTERED, why) if added else None
        if found:
            return ChainFault(seq, Fault.ALTERED, "its hash is not the one that was written last")
        return chain.missing((last or 0) + 1, seq)

    def _links(self, after: int, last: int | None = None) -> Iterator[chain.Link]:
        for chunk in self._chunks(after, last):
            yield from chunk

    def _chunks(self, after: int, last: int | None = None) -> Iterator[list[chain.Link]]:
        """The links after this number, some at a time: no read transaction stays open between them."""
        end = last if last is not None else _FAR
        while batch := self._store.read(queries.ENTRIES_FROM_TO, (after + 1, end, _BATCH)):
            yield [(seq, chain.as_bytes(body), chain.as_bytes(digest)) for seq, body, digest in batch]
            after = batch[-1][0]


def _text(value: Json) -> str:
    return dumps(value).decode("ascii")


def _keep(db: sqlite3.Connection, rows: Mapping[str, Json]) -> None:
    db.executemany(queries.PUT_ROW, [(check, _text(row)) for check, row in rows.items() if row is not None])
    db.executemany(queries.FORGET_ROW, [(check,) for check, row in rows.items() if row is None])
