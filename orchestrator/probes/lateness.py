"""How late questions go out: a histogram over all time, and over the last minute.

The one rule it keeps: noting one costs less than a microsecond, however many there are. A share is read from buckets,
each a quarter wider than the one before. So it is an upper bound that is at most a quarter too large. The largest value
is exact.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass

_FINEST_S = 0.0001
_BOUNDS_S = tuple(_FINEST_S * 1.25**n for n in range(70))  # to ten minutes
SPAN_S = 30.0  # the last minute is what the last two spans saw


@dataclass(frozen=True, slots=True)
class Late:
    """How late so many questions were, in seconds."""

    count: int
    p50_s: float
    p99_s: float
    max_s: float


class _Span:
    __slots__ = ("counts", "max_s")

    def __init__(self) -> None:
        self.counts = [0] * (len(_BOUNDS_S) + 1)
        self.max_s = 0.0


class Lateness:
    """Of one prober. Times are its event loop's."""

    def __init__(self, now: float = 0.0) -> None:
        self._all, self._last, self._this = _Span(), _Span(), _Span()
        self._began = now

    def note(self, late_s: float, now: float) -> None:
        """One question went out so late."""
        if now - self._began >= SPAN_S:
            self._turn(now)
        this = self._this
        this.counts[bisect_left(_BOUNDS_S, late_s)] += 1
        if late_s > this.max_s:
            this.max_s = late_s

    def ever(self) -> Late:
        """Since the start."""
        return _told(self._all, self._last, self._this)

    def lately(self, now: float) -> Late:
        """In the last minute, or the last half of it."""
        if now - self._began >= SPAN_S:
            self._turn(now)
        return _told(self._last, self._this)

    def _turn(self, now: float) -> None:
        gone, self._last, self._this = self._last, self._this, _Span()
        _add(self._all, gone)
        if now - self._began >= 2 * SPAN_S:  # nothing was asked for a whole span
            _add(self._all, self._last)
            self._last = _Span()
        self._began = now


def _add(to: _Span, span: _Span) -> None:
    for place, count in enumerate(span.counts):
        to.counts[place] += count
    to.max_s = max(to.max_s, span.max_s)


def _told(*spans: _Span) -> Late:
    together = _Span()
    for span in spans:
        _add(together, span)
    count = sum(together.counts)
    return Late(count, _share(together, count, 0.5), _share(together, count, 0.99), together.max_s)


def _share(span: _Span, count: int, share: float) -> float:
    """The bound below which this share lies; never more than the largest."""
    seen = 0
    for place, found in enumerate(span.counts):
        seen += found
        if found and seen >= share * count:
            return min(span.max_s, _BOUNDS_S[place]) if place < len(_BOUNDS_S) else span.max_s
    return 0.0
