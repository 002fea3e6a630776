"""The time axis where one machine's disk keeps it.

The one rule it keeps: within a boot it advances by CLOCK_BOOTTIME and by nothing else; across boots by the wall
clock's difference, at least 0, which is assumed. Every process of one boot that opens the same journal gets the same
axis.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from orchestrator.journal.clocks import Clocks
from orchestrator.journal.journal import Entry


@dataclass(frozen=True, slots=True)
class AxisState:
    """The time axis within one boot: `axis = CLOCK_BOOTTIME + offset_s`; and the latest moment known of it.

    `gap_s`: how much of the axis was taken from the wall clock when this boot began.
    """

    boot: str
    offset_s: float
    at: float
    wall: float
    gap_s: float = 0.0


class KeepsBoots(Protocol):
    """A journal on one machine's disk, as far as the axis needs it."""

    def axis(self) -> AxisState | None:
        """The time axis as it was last put; None: the workspace is new."""
        ...

    def put_axis(self, state: AxisState) -> AxisState:
        """Keep it. A boot's offset is decided once: if another process did so first, its state is returned."""
        ...

    def last_seq(self) -> int:
        """The number of the latest entry; 0: none yet."""
        ...

    def entries(self, after: int = 0) -> Iterator[Entry]:
        """The entries with a larger `seq`."""
        ...


class MachineAxis:
    """See `axis.Axis`. `assumed_gap_s`: what the wall clock said of the time between the last boot and this one."""

    def __init__(self, journal: KeepsBoots, clocks: Clocks, *, keep: bool = True) -> None:
        """Go on where the journal left off. `keep=False` for readers. Raises JournalUnwritable, JournalUnreadable."""
        self._journal = journal
        self._clocks = clocks
        self._keep = keep
        known = journal.axis()
        boot = self.boot = clocks.boot()
        self.same_boot = known is not None and known.boot == boot
        self.assumed_gap_s = 0.0
        if known is not None and known.boot == boot:
            state = known
        else:
            state = self._begin(boot, known)
            self.assumed_gap_s = state.gap_s
            if keep:
                state = journal.put_axis(state)
        self._offset_s = state.offset_s
        self._latest = max(state.at, self._last_entry()[0])

    def uptime(self) -> float:
        """Seconds since the machine was started, by the kernel."""
        return self._clocks.boottime()

    def now(self) -> float:
        """Seconds on the axis."""
        at = self._clocks.boottime() + self._offset_s
        if at < self._latest:  # a restored snapshot of a machine: its boot clock went back
            self._offset_s += self._latest - at
            at = self._latest
        self._latest = at
        return at

    def wall(self) -> float:
        """The stamp for people: seconds since 1970."""
        return self._clocks.wall()

    @property
    def carried_over(self) -> bool:
        """Whether this process goes on under another boot's clock."""
        return self._clocks.boot() != self.boot

    def mark(self) -> None:
        """Note the present moment."""
        if self._keep and not self.carried_over:
            state = AxisState(self.boot, self._offset_s, self.now(), self._clocks.wall())
            self._journal.put_axis(state)

    def _begin(self, boot: str, known: AxisState | None) -> AxisState:
        boottime, wall = self._clocks.boottime(), self._clocks.wall()
        at, then = (known.at, known.wall) if known else (0.0, wall)
        at, then = max((at, then), self._last_entry())
        gap_s = max(0.0, wall - then)
        return AxisState(boot, at + gap_s - boottime, at + gap_s, wall, gap_s)

    def _last_entry(self) -> tuple[float, float]:
        """When the latest entry was made: on the axis, by the wall clock."""
        last = self._journal.last_seq()
        if not last:
            return -1.0, 0.0
        entry = next(iter(self._journal.entries(last - 1)))
        return entry.at, entry.wall
