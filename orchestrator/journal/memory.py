"""A journal in memory, for the simulator and for tests.

The one rule it keeps: what is read was bytes, through the same codec and chain as the one on disk, so that a value
which would not survive a restart does not survive here either. The same calls give the same bytes. Only rows that were
taken (they do not change any more) become bytes when they are read: most are replaced before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from orchestrator.core.codec import dumps, loads
from orchestrator.core.model import Json
from orchestrator.core.records import Record
from orchestrator.journal import chain
from orchestrator.journal.clocks import Clocks
from orchestrator.journal.journal import AxisState, ChainFault, Draft, Entry, JournalUnwritable, StaleEpoch
from orchestrator.journal.lease import Asker, Lease, Process, Refused
from orchestrator.journal.taken import Taken, TakenRows, written


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
        self._lease: Lease | None = None
        self._epoch = 0
        self._checkpoint: tuple[int, bytes] | None = None
        self._models: dict[str, bytes] = {}
        self._axis: AxisState | None = None
        self.refuses = ""

    def acquire(self, holder: str, now_wall: float, ttl_s: float) -> Lease | Refused:
        """Take the lease with the next epoch, or say who holds it."""
        self._writable()
        self._asker.process = Process(self._clocks.boot(), "", 0, 0)
        if self._lease is not None:
            left_s = self._asker.remaining_s(self._lease, holder, now_wall)
            if left_s > 0:
                return Refused(self._lease, left_s)
        self._epoch += 1
        self._lease = self._asker.grant(holder, self._epoch, now_wall, ttl_s)
        return self._lease

    def renew(self, lease: Lease, now_wall: float) -> bool:
        """Hold it for another `ttl_s`."""
        self._writable()
        if self._lease is None or self._lease.epoch != lease.epoch:
            return False
        self._lease = self._asker.extended(self._lease, now_wall)
        return True

    def release(self, lease: Lease) -> None:
        """Give it back."""
        self._writable()
        if self._lease is not None and self._lease.epoch == lease.epoch:
            self._lease = None

    def holder(self) -> Lease | None:
        """Who holds it."""
        return self._lease

    def append(
        self, lease: Lease, at: float, wall: float, records: Sequence[Record], rows: Mapping[str, Json]
    ) -> Entry:
        """Add one entry and the rows."""
        self._current(lease)
        seq, previous = len(self._links) + 1, self._links[-1][2] if self._links else chain.GENESIS
        said = dict(rows)
        body = chain.body_of(seq, at, wall, lease.epoch, records, said)
        self._keep(rows)
        self._links.append((seq, body, chain.link(previous, body)))
        return Entry(seq, at, wall, lease.epoch, tuple(records), said)

    def append_all(self, lease: Lease, drafts: Sequence[Draft]) -> list[Entry]:
        """Add several entries."""
        self._current(lease)
        return [self.append(lease, draft.at, draft.wall, draft.records, draft.rows) for draft in drafts]

    def write_rows(self, lease: Lease, rows: Mapping[str, Json]) -> None:
        """Keep detector rows without an entry."""
        self._current(lease)
        self._keep(rows)

    def entries(self, after: int = 0) -> Iterator[Entry]:
        """The entries with a larger `seq`."""
        previous = self._links[after - 1][2] if after else chain.GENESIS
        return chain.checked_entries(self._links[after:], previous, after)

    def last_seq(self) -> int:
        """The number of the latest entry."""
        return len(self._links)

    def rows(self) -> Mapping[str, Json]:
        """The latest row of every check."""
        found = self._rows.items()
        return {check: loads(row if isinstance(row, bytes) else dumps(written(row))) for check, row in found}

    def checkpoint(self, seq: int, state: Json) -> None:
        """Keep the state after entry `seq`."""
        self._writable()
        self._checkpoint = (seq, dumps(state))

    def latest_checkpoint(self) -> tuple[int, Json] | None:
        """The newest checkpoint."""
        return (self._checkpoint[0], loads(self._checkpoint[1])) if self._checkpoint else None

    def store_model(self, digest: str, model: Json) -> None:
        """Keep a compiled configuration."""
        self._writable()
        self._models.setdefault(digest, dumps(model))

    def load_model(self, digest: str) -> Json | None:
        """A configuration stored earlier."""
        model = self._models.get(digest)
        return None if model is None else loads(model)

    def axis(self) -> AxisState | None:
        """The time axis as it was last put."""
        return self._axis

    def put_axis(self, state: AxisState) -> AxisState:
        """Keep it, unless another process did so for this boot."""
        self._writable()
        known = self._axis
        if known is not None and known.boot == state.boot:
            state = AxisState(known.boot, known.offset_s, state.at, state.wall, known.gap_s)
        self._axis = state
        return state

    def verify(self) -> list[ChainFault]:
        """Every fault of the chain."""
        return chain.faults(self._links, (len(self._links), self._links[-1][2] if self._links else chain.GENESIS))

    def close(self) -> None:
        """Nothing to let go of."""

    def transcript(self) -> bytes:
        """All entries, one a line: two runs of one seed are equal when these bytes are."""
        return b"\n".join(body for _, body, _ in self._links)

    def _keep(self, rows: Mapping[str, Json]) -> None:
        kept: Mapping[str, bytes | Taken | None]
        if isinstance(rows, TakenRows):
            kept = rows.values_taken
        else:
            kept = {check: None if row is None else dumps(row) for check, row in rows.items()}
        self._rows |= {check: row for check, row in kept.items() if row is not None}
        for check in [check for check, row in kept.items() if row is None]:
            self._rows.pop(check, None)

    def _writable(self) -> None:
        if self.refuses:
            raise JournalUnwritable(self.refuses, "Simulated: it ends when the simulation says so.")

    def _current(self, lease: Lease) -> None:
        self._writable()
        if self._lease is None or self._lease.epoch != lease.epoch:
            raise StaleEpoch(lease.epoch, self._lease, self._epoch)
