"""A store that controllers on several machines share, as far as lease and axis go: for the tests of the promise.

It has a clock of its own, and knows of no process, no boot and no machine's clock.
"""

from __future__ import annotations

from collections.abc import Callable

from orchestrator.journal.lease import Heard, Lease, Refused
from orchestrator.journal.memory import MemoryJournal
from tests.journal.clocks import HandClocks


class SharedAxis:
    """The store's own time."""

    boot, same_boot, assumed_gap_s, carried_over = "", False, 0.0, False

    def __init__(self, journal: SharedJournal, keep: bool) -> None:
        self._journal, self._keep = journal, keep
        if journal.began is None and keep:
            journal.began = journal.clock()
        self.now()

    def now(self) -> float:
        """The store sees to it that it does not fall."""
        journal = self._journal
        if journal.began is not None:
            journal.latest = max(journal.latest, journal.clock() - journal.began)
        return journal.latest

    def uptime(self) -> float:
        """It has been up for as long as anybody remembers."""
        return float("inf")

    def wall(self) -> float:
        """Of whoever asks; here they agree."""
        return self._journal.clock()

    def mark(self) -> None:
        """Whoever asks for the time notes it."""
        self.now()


class SharedJournal(MemoryJournal):
    """Entries as in memory; lease and axis by the store's clock."""

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__(HandClocks())
        self.clock = clock
        self.began: float | None = None
        self.latest = 0.0
        self._renewed = 0.0

    def acquire(self, holder: str, ttl_s: float) -> Lease | Refused:
        self._writable()
        held = self._lease
        if held is not None and held.holder != holder:
            left_s = self._renewed + held.ttl_s - self.clock()
            if left_s > 0:
                return Refused(held, left_s)
        self._epoch += 1
        self._renewed = self.clock()
        lease = Lease(holder, self._epoch, ttl_s)
        self._lease = lease  # type: ignore[assignment]
        return lease

    def renew(self, lease: Lease) -> bool:
        self._writable()
        if self._lease is None or self._lease.epoch != lease.epoch:
            return False
        self._renewed = self.clock()
        return True

    def heard(self) -> Heard | None:
        if self._lease is None:
            return None
        ago_s = self.clock() - self._renewed
        return Heard(ago_s, ago_s < self._lease.ttl_s)

    def open_axis(self, *, keep: bool = True) -> SharedAxis:  # type: ignore[override]
        return SharedAxis(self, keep)
