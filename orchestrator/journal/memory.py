"""A journal in memory, for the simulator and for tests.

The one rule it keeps: what is read was bytes, through the same codec and chain as on disk. So a value that would not
survive a restart does not survive here either. The same calls give the same bytes. Rows that were taken (they do not
change any more) become bytes only when they are read, because most are replaced before.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence

from orchestrator.core.codec import dumps, loads
from orchestrator.core.model import Json
from orchestrator.core.records import Record
from orchestrator.journal import chain, models_kept, slices, thinning
from orchestrator.journal.clocks import Clocks
from orchestrator.journal.examining import Beside, Examination, KeptCheckpoint, checkpoint_fault, model_fault
from orchestrator.journal.journal import (
    Bind,
    Bound,
    ChainFault,
    Draft,
    Entry,
    Examined,
    Head,
    JournalUnreadable,
    JournalUnwritable,
    Linked,
    PassedOver,
    StaleEpoch,
    ignore,
)
from orchestrator.journal.lease import Heard, Lease, Refused
from orchestrator.journal.machine_axis import AxisState, MachineAxis
from orchestrator.journal.machine_lease import Asker, MachineLease
from orchestrator.journal.process import Process
from orchestrator.journal.row_changes import Taken, TakenRows, written


def _seq(link: chain.Link) -> int:
    return link[0]


def _never(process: Process) -> bool:
    """Nothing is known of simulated processes unless the simulation says so."""
    return False


class MemoryJournal:
    """See `journal.Journal`. One object stands for the store; every simulated controller uses the same one.

    Give each simulated process a `holder` name of its own; `gone` may say that one has ended. While `refuses` is not
    empty, nothing can be written, for that reason.
    """

    def __init__(self, clocks: Clocks, gone: Callable[[Process], bool] = _never) -> None:
        """An empty journal."""
        self._clocks = clocks
        self._asker = Asker(Process(clocks.boot(), "", 0, 0), clocks, gone)
        self._links: list[chain.Link] = []
        self._rows: dict[str, bytes | Taken] = {}
        self._lease: MachineLease | None = None
        self._epoch = 0
        self.checkpoints: dict[int, KeptCheckpoint] = {}
        self.models: dict[str, bytes] = {}
        self._binds: dict[tuple[Bound, str], tuple[str, int]] = {}  # to hash, and the entry that binds it
        self._to_bind: dict[str, Bind] = {}
        self._gaps: dict[int, chain.Gap] = {}
        self._axis: AxisState | None = None
        self.refuses = ""

    def acquire(self, holder: str, ttl_s: float) -> Lease | Refused:
        """Take the lease with the next epoch, or say who holds it."""
        self._writable()
        self._asker.process = Process(self._clocks.boot(), "", 0, 0)
        if self._lease is not None:
            left_s = self._asker.remaining_s(self._lease, holder)
            if left_s > 0:
                return Refused(self._lease, left_s)
        self._epoch += 1
        self._lease = self._asker.grant(holder, self._epoch, ttl_s)
        return self._lease

    def renew(self, lease: Lease) -> bool:
        """Hold it for another `ttl_s`."""
        self._writable()
        if self._lease is None or self._lease.epoch != lease.epoch:
            return False
        self._lease = self._asker.extended(self._lease)
        return True

    def release(self, lease: Lease) -> None:
        """Give it back."""
        self._writable()
        if self._lease is not None and self._lease.epoch == lease.epoch:
            self._lease = None

    def holder(self) -> Lease | None:
        """Who holds it."""
        return self._lease

    def heard(self) -> Heard | None:
        """When its holder was last heard of."""
        return self._asker.heard(self._lease) if self._lease is not None else None

    def append(
        self, lease: Lease, at: float, wall: float, records: Sequence[Record], rows: Mapping[str, Json]
    ) -> Entry:
        """Add one entry and the rows."""
        return self.append_all(lease, [Draft(at, wall, records, rows)])[0]

    def append_all(self, lease: Lease, drafts: Sequence[Draft]) -> list[Entry]:
        """Add several entries, all of them or none."""
        self._current(lease)
        binds, before = tuple(self._to_bind.values()), len(self._links)
        entries: list[Entry] = []
        try:
            for x in drafts:
                said = () if entries else binds
                entry = Entry(self.last_seq() + 1, x.at, x.wall, lease.epoch, tuple(x.records), dict(x.rows), said)
                entries.append(self._add(entry))
            kept = [_bytes_of(x.rows) for x in drafts]
        except BaseException:
            del self._links[before:]
            raise
        for rows in kept:
            self._keep(rows)
        if entries:
            self._binds |= {(bind.kind, bind.name): (bind.sha256, entries[0].seq) for bind in binds}
            self._to_bind.clear()
        return entries

    def write_rows(self, lease: Lease, rows: Mapping[str, Json]) -> None:
        """Keep detector rows without an entry."""
        self._current(lease)
        self._keep(_bytes_of(rows))

    def entries(self, after: int = 0) -> Iterator[Entry]:
        """The entries with a larger `seq`."""
        previous, after = self._start(after)
        links = self._links[bisect_right(self._links, after, key=_seq) :]
        return chain.checked_entries(links, previous, after, self._gap_over)

    def story(self, after: int = 0) -> Iterator[Entry]:
        """The entries that tell of incidents and moves."""
        return (link.entry for link in self.told(after))

    def told(self, after: int = 0, end: int | None = None) -> Iterator[Linked]:
        """The same entries as they are stored, with their hashes."""
        for first, last in slices.clipped(self._plan(end), after):
            previous, start = self._start(first - 1)
            links = self._links[bisect_right(self._links, start, key=_seq) : bisect_right(self._links, last, key=_seq)]
            yield from chain.checked(links, previous, start, self._gap_over)

    def naming(self, *kinds: type[Record]) -> Iterator[Entry]:
        """The entries with a record of one of these kinds."""
        return (x for x in self.story() if any(isinstance(record, kinds) for record in x.records))

    def last_seq(self) -> int:
        """The number of the latest entry."""
        return self._links[-1][0] if self._links else 0

    def head(self) -> Head:
        """The chain's end."""
        if not self._links:
            return Head(0, chain.GENESIS.hex())
        seq, body, digest = self._links[-1]
        return Head(seq, digest.hex(), chain.stamped(body.decode()).wall)

    def differs(self, head: Head, *, newest: bool = False) -> str | None:
        """Why this is not the journal that had this head once."""
        there, gap = self._hash_at(head.seq), self._gap_over(head.seq)
        return chain.difference(head, self.last_seq(), there, gap, newest=newest)

    def rows(self) -> Mapping[str, Json]:
        """The latest row of every check."""
        found = self._rows.items()
        return {check: loads(row if isinstance(row, bytes) else dumps(written(row))) for check, row in found}

    def checkpoint(self, seq: int, state: Json) -> None:
        """Keep the state after entry `seq`, named by an entry of its own."""
        self._writable()
        if self._lease is None:
            raise ValueError("a checkpoint is kept under a lease: take it first")
        found = self._hash_at(seq)
        if found is None:
            raise ValueError(f"checkpoint of entry {seq}: there is no such entry")
        text = dumps(state)
        own = chain.sha256(text)
        self._bind(self._lease, [Bind(Bound.CHECKPOINT, str(seq), own)])
        self.checkpoints[seq] = KeptCheckpoint(seq, found, bytes.fromhex(own), text)
        for old in sorted(self.checkpoints)[:-2]:
            del self.checkpoints[old]

    def latest_checkpoint(self, passed_over: PassedOver = ignore) -> tuple[int, Json] | None:
        """The newest checkpoint that the chain names and that is as it was."""
        for seq in sorted(self.checkpoints, reverse=True):
            kept = self.checkpoints[seq]
            why = checkpoint_fault(kept, self._hash_at(seq), self._named(Bound.CHECKPOINT, str(seq)))
            if why is None:
                return seq, loads(kept.state)
            passed_over(f"the checkpoint of entry {seq} is not used: {why}")
        return None

    def store_model(self, digest: str, model: Json) -> None:
        """Keep a compiled configuration; the next entry binds it."""
        self._writable()
        text = dumps(model)
        if self.models.setdefault(digest, text) == text and (Bound.MODEL, digest) not in self._binds:
            self._to_bind[digest] = Bind(Bound.MODEL, digest, chain.sha256(text))

    def load_model(self, digest: str) -> Json | None:
        """A configuration stored earlier."""
        text = self.models.get(digest)
        if text is None:
            return None
        pending = self._to_bind.get(digest)
        why = model_fault(digest, text, pending.sha256 if pending else self._named(Bound.MODEL, digest))
        if why is not None:
            raise JournalUnreadable(f"the configuration {digest} in the journal is refused: {why}", "Restore a copy.")
        return loads(text)

    def open_axis(self, *, keep: bool = True) -> MachineAxis:
        """The time axis by this machine's clocks."""
        return MachineAxis(self, self._clocks, keep=keep)

    def axis(self) -> AxisState | None:
        """The time axis as it was last put."""
        return self._axis

    def put_axis(self, state: AxisState) -> AxisState:
        """Keep it, unless another process did so for this boot."""
        self._writable()
        known = self._axis
        if known is not None and known.boot == state.boot:
            state = AxisState(known.boot, known.offset_s, max(known.at, state.at), state.wall, known.gap_s)
        self._axis = state
        return state

    def examine(self, anchored: Sequence[Head] = ()) -> Examined:
        """Every fault of everything in it."""
        kept = Beside(list(self.checkpoints.values()), self.models.items(), self._epoch)
        look = Examination(kept, self._gap_over, anchored)
        look.look(self._links)
        return look.examined()

    def verify(self) -> list[ChainFault]:
        """Every fault."""
        return list(self.examine().faults)

    def thin(self, lease: Lease, before: float, below: int | None = None) -> Iterator[int]:
        """Let go of what nobody needs, below the oldest checkpoint."""
        told = self._plan()
        bound = {seq for (kind, _), (_, seq) in self._binds.items() if kind is not Bound.CHECKPOINT}
        oldest = min(self.checkpoints, default=0)
        oldest = oldest if below is None else min(oldest, below)
        entries = [chain.entry_of(body) for seq, body, _ in self._links if seq < oldest]
        quiet = [e for e in entries if e.at < before and e.seq not in bound and not slices.within(told, e.seq)]
        for at in range(0, len(quiet), thinning.BLOCK):
            gone = thinning.unneeded([(e.seq, e.records) for e in quiet[at : at + thinning.BLOCK]])
            if gone:
                self._current(lease)
                self._let_go(lease, gone)
            yield len(gone)

    def thin_models(self, lease: Lease, before: float) -> int:
        """Let go of configurations that nothing rests on."""
        gone = models_kept.unneeded((chain.entry_of(body) for _, body, _ in self._links), before)
        there = sorted(x for x in gone if x in self.models and x not in self._to_bind)
        if there:
            self._current(lease)
            self._bind(lease, [Bind(Bound.GONE, x, chain.sha256(self.models.pop(x))) for x in there])
        return len(there)

    def close(self) -> None:
        """Nothing to let go of."""

    def transcript(self) -> bytes:
        """All entries, one a line: two runs of one seed are equal when these bytes are."""
        return b"\n".join(body for _, body, _ in self._links)

    def _let_go(self, lease: Lease, gone: Sequence[int]) -> None:
        made, taken_in = thinning.gaps_for(gone, lambda seq: self._hash_at(seq) or chain.GENESIS, self._gap_over)
        self._bind(lease, [gap.bind for gap in made])
        for gap in taken_in:
            self._gaps.pop(gap.first, None)
            self._binds.pop((Bound.GAP, gap.name), None)
        self._gaps |= {gap.first: gap for gap in made}
        lost = set(gone)
        self._links = [x for x in self._links if x[0] not in lost]

    def _add(self, entry: Entry) -> Entry:
        """One more link."""
        body = chain.body_of(entry.seq, entry.at, entry.wall, entry.epoch, entry.records, dict(entry.rows), entry.binds)
        previous = self._links[-1][2] if self._links else chain.GENESIS
        self._links.append((entry.seq, body, chain.link(previous, body)))
        return entry

    def _bind(self, lease: Lease, binds: Sequence[Bind]) -> None:
        """An entry that remembers nothing and binds these."""
        latest = chain.stamped(self._links[-1][1].decode()) if self._links else chain.Stamp(0.0, 0.0, 0)
        entry = self._add(Entry(self.last_seq() + 1, latest.at, latest.wall, lease.epoch, (), {}, tuple(binds)))
        self._binds |= {(bind.kind, bind.name): (bind.sha256, entry.seq) for bind in binds}

    def _named(self, kind: Bound, name: str) -> str | None:
        found = self._binds.get((kind, name))
        return found[0] if found else None

    def _plan(self, end: int | None = None) -> list[slices.Range]:
        told, spans = [], slices.Spans(end)
        for seq, body, _ in self._links:
            records = chain.entry_of(body).records
            if slices.is_told(records):
                told.append(seq)
                spans.add(seq, records)
        return slices.plan(told, spans, self.last_seq(), end)

    def _hash_at(self, seq: int) -> bytes | None:
        at = bisect_right(self._links, seq, key=_seq) - 1
        return self._links[at][2] if at >= 0 and self._links[at][0] == seq else None

    def _gap_over(self, seq: int) -> chain.Gap | None:
        before = [gap for first, gap in self._gaps.items() if first <= seq <= gap.last]
        return before[0] if before else None

    def _start(self, after: int) -> tuple[bytes, int]:
        if after <= 0:
            return chain.GENESIS, 0
        found, gap = self._hash_at(after), self._gap_over(after)
        if found is not None:
            return found, after
        if gap is None:
            raise JournalUnreadable(f"there is no entry {after}", "Start from an earlier one.")
        return gap.after, gap.last

    def _keep(self, rows: Mapping[str, bytes | Taken | None]) -> None:
        self._rows |= {check: row for check, row in rows.items() if row is not None}
        for check in [check for check, row in rows.items() if row is None]:
            self._rows.pop(check, None)

    def _writable(self) -> None:
        if self.refuses:
            raise JournalUnwritable(self.refuses, "Simulated: it ends when the simulation says so.")

    def _current(self, lease: Lease) -> None:
        self._writable()
        if self._lease is None or self._lease.epoch != lease.epoch:
            raise StaleEpoch(lease.epoch, self._lease, self._epoch)


def _bytes_of(rows: Mapping[str, Json]) -> Mapping[str, bytes | Taken | None]:
    """Rows as they are kept. Raises CodecError."""
    if isinstance(rows, TakenRows):
        return rows.values_taken
    return {check: None if row is None else dumps(row) for check, row in rows.items()}
