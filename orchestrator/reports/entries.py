"""What a report reads: entries of the journal, in order.

The one rule it keeps: a report needs no more of the journal than this, so it can be told from a file, from memory
or from a test.
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


class WallClock:
    """Wall stamps for times on the axis, by the last entry before them.

    An entry's stamp counts until the next one, so a wall clock that was set during an incident bends nothing earlier.
    """

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._at: list[float] = []
        self._wall: list[float] = []
        for entry in entries:
            self.add(entry)

    def add(self, entry: Entry) -> None:
        """Learn of one more entry; they come in order."""
        self._at.append(entry.at)
        self._wall.append(entry.wall)

    def wall(self, at: float) -> float:
        """Seconds since 1970 at this time of the axis; without any entry, the time itself."""
        if not self._at:
            return at
        index = max(0, bisect_right(self._at, at) - 1)
        return self._wall[index] + (at - self._at[index])

    def axis(self, wall: float) -> float:
        """The axis now, judged from the last entry; it never lies before that entry."""
        if not self._at:
            return 0.0
        return self._at[-1] + max(0.0, wall - self._wall[-1])
