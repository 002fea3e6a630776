"""The journal's time axis: seconds that never fall, from the first start of the workspace on.

The one rule it keeps: within a boot it advances by CLOCK_BOOTTIME and by nothing else; across boots by the wall
clock's difference, at least 0, which is *assumed* and reported as such: it expires no cool-down and freshens nothing.
"""

from __future__ import annotations

from orchestrator.journal.clocks import Clocks
from orchestrator.journal.journal import AxisState, Journal


class Axis:
    """What time it is for the core. Every process of one boot that opens the same journal gets the same axis."""

    def __init__(self, journal: Journal, clocks: Clocks, *, keep: bool = True) -> None:
        """Go on where the journal left off. `keep=False` for readers, who write nothing.

        `same_boot`: the machine has not restarted since the journal was last written (false for a new journal).
        `assumed_gap_s`: what the wall clock said about the time between the last boot and this one.
        Raises JournalUnwritable, JournalUnreadable.
        """
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
        """Whether this process goes on under another boot's clock, as one does that was restored elsewhere.

        Then the axis says nothing any more, and has to be begun anew.
        """
        return self._clocks.boot() != self.boot

    def mark(self) -> None:
        """Note the present moment, so that after a power cut the assumed gap is only the time since this mark."""
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
