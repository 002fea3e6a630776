"""What a report reads: entries of the journal, in order.

A report needs no more of the journal than this. So it can be made from a file, from memory or from a test.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import Protocol

from orchestrator.core.records import Record


class Entry(Protocol):
    """One atomic step of the story. `at` is on the journal's axis, `wall` in seconds since 1970."""

    @property
    def seq(self) -> int:
        """Its number, from 1."""

    @property
    def at(self) -> float:
        """When, on the journal's axis."""

    @property
    def wall(self) -> float:
        """When, by the wall clock."""

    @property
    def epoch(self) -> int:
        """Of the controller that wrote it."""

    @property
    def records(self) -> Sequence[Record]:
        """What is to be remembered."""


DRIFT_S = 0.01  # two stamps that say the same, this near, are kept as one


class WallClock:
    """Wall stamps for times on the axis, by the last entry before them.

    An entry's stamp counts until the next one, so a wall clock that was set during an incident bends nothing earlier.
    Only entries at which the two clocks have moved apart are kept: there are millions of the others.
    """

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._at: list[float] = []
        self._wall: list[float] = []
        self._last: tuple[float, float] | None = None
        self._pinned: dict[float, float] = {}
        for entry in entries:
            self.add(entry)

    def add(self, entry: Entry) -> None:
        """Learn of one more entry; they come in order."""
        self._last = (entry.at, entry.wall)
        if not self._at or abs((entry.wall - entry.at) - (self._wall[-1] - self._at[-1])) > DRIFT_S:
            self._at.append(entry.at)
            self._wall.append(entry.wall)

    def pin(self, at: float, entry: Entry) -> None:
        """Have this entry tell when that was: whoever reads more of the journal, or less, shows the same second."""
        self._pinned[at] = entry.wall + (at - entry.at)

    def pins(self, at: float) -> bool:
        """Whether an entry was named that tells when that was."""
        return at in self._pinned

    def wall(self, at: float) -> float:
        """Seconds since 1970 at this time of the axis; without any entry, the time itself."""
        if at in self._pinned:
            return self._pinned[at]
        if not self._at:
            return at
        index = max(0, bisect_right(self._at, at) - 1)
        return self._wall[index] + (at - self._at[index])

    def set_s(self, began: float, end: float | None) -> float:
        """By how much the wall clock was set between these two, forward or (below 0) back; `end` None: up to now."""
        last = self._last[0] if self._last is not None else began
        until = max(began, last if end is None else end)
        return self.wall(until) - self.wall(began) - (until - began)

    def axis(self, wall: float) -> float:
        """The axis now, judged from the last entry; it never lies before that entry."""
        if self._last is None:
            return 0.0
        return self._last[0] + max(0.0, wall - self._last[1])

    def axis_of(self, wall: float) -> float:
        """The axis at a time in the past, by the last entry that was not later; before the first one, its own."""
        if not self._at:
            return 0.0
        index = max((n for n, known in enumerate(self._wall) if known <= wall), default=0)
        until = self._at[index + 1] if index + 1 < len(self._at) else float("inf")
        return min(max(self._at[0], self._at[index] + wall - self._wall[index]), until)
