"""When each check is asked next: a pure schedule of due times.

The one rule it keeps: beats do not drift. A check's next beat is counted from its last beat, not from when it was
really asked. Missed beats (the machine slept, the loop was busy) are skipped, never caught up in a bunch.

    add        the first beat lies within one interval, at a place that the check's id decides, so that a thousand
               checks of 1 s start as a steady stream and always in the same order
    due(now)   every check whose beat has come, oldest first; each gets the next beat of its grid after `now`
    cadence    the next beat is the last one plus the new interval; if that is past, now, but one after the other
"""

from __future__ import annotations

import heapq
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

_OVERDUE_GAP_S = 0.001


@dataclass(slots=True)
class _Beat:
    every_s: float
    last: float
    next: float


def place_of(check: str) -> float:
    """Where in its interval a check has its beat: 0 ≤ place < 1, the same in every process."""
    return zlib.crc32(check.encode()) / 2**32


class Schedule:
    """Due times of many checks. Times are seconds on whatever axis the caller uses."""

    def __init__(self) -> None:
        self._beats: dict[str, _Beat] = {}
        self._heap: list[tuple[float, str]] = []  # entries whose time is not the beat's `next` are stale

    def __len__(self) -> int:
        return len(self._beats)

    def __contains__(self, check: str) -> bool:
        return check in self._beats

    def add(self, check: str, every_s: float, now: float) -> None:
        """Start a check's beat; a check that is there already is started anew. Raises ValueError."""
        if not every_s > 0:
            raise ValueError(f"check {check}: an interval of {every_s} s is not possible")
        first = now + place_of(check) * every_s
        self._beats[check] = _Beat(every_s, first - every_s, first)
        heapq.heappush(self._heap, (first, check))

    def remove(self, check: str) -> None:
        """Stop a check's beat."""
        self._beats.pop(check, None)

    def every_s(self, check: str) -> float:
        """A check's interval. Raises KeyError."""
        return self._beats[check].every_s

    def shortest_s(self) -> float:
        """The shortest interval; infinite where there is none."""
        return min((beat.every_s for beat in self._beats.values()), default=float("inf"))

    def cadence(self, intervals_s: Mapping[str, float], now: float) -> None:
        """New intervals from now on; checks that are not here are passed over."""
        overdue = 0
        for check in sorted(intervals_s, key=place_of):
            beat = self._beats.get(check)
            every_s = intervals_s[check]
            if beat is None or beat.every_s == every_s:
                continue
            if not every_s > 0:
                raise ValueError(f"check {check}: an interval of {every_s} s is not possible")
            beat.every_s = every_s
            beat.next = beat.last + every_s
            if beat.next < now:
                beat.next = now + overdue * _OVERDUE_GAP_S
                overdue += 1
            heapq.heappush(self._heap, (beat.next, check))

    def due(self, now: float) -> list[tuple[str, float]]:
        """Checks whose beat has come, with the time of that beat, oldest first."""
        found: list[tuple[str, float]] = []
        heap, beats = self._heap, self._beats
        while heap and heap[0][0] <= now:
            at, check = heap[0]
            beat = beats.get(check)
            if beat is None or beat.next != at:
                heapq.heappop(heap)
                continue
            every_s = beat.every_s
            last = at if now - at < every_s else at + int((now - at) // every_s) * every_s
            if last + every_s <= now:  # rounding
                last += every_s
            beat.last, beat.next = last, last + every_s
            heapq.heapreplace(heap, (beat.next, check))
            found.append((check, at))
        return found

    def next_at(self) -> float | None:
        """When to call `due` again; None if there is nothing to ask."""
        while self._heap:
            at, check = self._heap[0]
            beat = self._beats.get(check)
            if beat is not None and beat.next == at:
                return at
            heapq.heappop(self._heap)
        return None
