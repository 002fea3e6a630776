"""Which entries tell of incidents and moves: what reports read, and what is kept when the rest is removed.

The one rule it keeps: an entry with anything but verdict changes is always told. Of entries with only verdict changes
(a check that flaps writes millions), those before an incident's beginning are told, and during an incident those near
an entry that is told anyway. Reading and thinning follow the same plan. So thinning does not change what a report says.
A report is read again as the journal was when it was made, at its `end` then: what came later has more told of before.

    an entry's records                               told
    -----------------------------------------------------------------------------------
    any that is no verdict change                    always
    verdict changes alone, or none:
      among the RECENT entries before an opening     yes
      while any incident is open                     within NEAR entries of one that is told
      else                                           no
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence

from orchestrator.core.records import IncidentEnded, IncidentOpened, IncidentReopened, Record, VerdictChanged

RECENT = 200
NEAR = 50

Range = tuple[int, int]
"""First and last number, both included."""


def is_told(records: Iterable[Record]) -> bool:
    """Whether there is more to it than verdict changes."""
    return any(not isinstance(record, VerdictChanged) for record in records)


def opens_or_ends(records: Iterable[Record]) -> bool:
    """Whether an incident begins or ends here."""
    return any(isinstance(record, IncidentOpened | IncidentReopened | IncidentEnded) for record in records)


class Spans:
    """From where to where incidents are open. Give it the entries in which they begin and end, in order."""

    def __init__(self, end: int | None = None) -> None:
        """None yet. `end`: what comes after this number is not there."""
        self._end = end
        self.openings: list[int] = []
        self._open: dict[str, int] = {}
        self._spans: list[Range] = []

    def add(self, seq: int, records: Iterable[Record]) -> None:
        """One more entry in which an incident begins or ends."""
        if self._end is not None and seq > self._end:
            return
        for record in records:
            if isinstance(record, IncidentOpened | IncidentReopened):
                self.openings.append(seq)
                self._open.setdefault(record.incident, seq)
            elif isinstance(record, IncidentEnded):
                self._spans.append((self._open.pop(record.incident, seq), seq))

    def merged(self, last: int) -> list[Range]:
        """The spans in order, none of which meets another; those still open reach to `last`."""
        return merged([*self._spans, *((begin, last) for begin in self._open.values())])


def plan(told: Sequence[int], spans: Spans, last: int, end: int | None = None) -> list[Range]:
    """What is read of a journal whose entries `told` are always told, in order; the latest one too.

    With an `end`, what was told when that was the latest; that one itself only where it tells anything.
    """
    if end is not None:
        told, last = told[: bisect_right(told, end)], min(last, end)
    wanted = [(seq, seq) for seq in told]
    wanted += [(max(1, seq - RECENT), seq) for seq in spans.openings]
    open_ = spans.merged(last)
    begins = [begin for begin, _ in open_]
    for seq in told:
        at = bisect_right(begins, seq) - 1
        if at >= 0 and seq <= open_[at][1]:
            wanted.append((max(open_[at][0], seq - NEAR), min(open_[at][1], seq + NEAR)))
    if last and end is None:
        wanted.append((last, last))
    return merged(wanted)


def merged(ranges: Iterable[Range]) -> list[Range]:
    """The same numbers in ranges that neither meet nor touch, in order."""
    found: list[Range] = []
    for first, last in sorted(ranges):
        if found and first <= found[-1][1] + 1:
            if last > found[-1][1]:
                found[-1] = (found[-1][0], last)
        else:
            found.append((first, last))
    return found


def clipped(ranges: Iterable[Range], after: int) -> list[Range]:
    """What of them comes after this number."""
    return [(max(first, after + 1), last) for first, last in ranges if last > after]


def within(ranges: Sequence[Range], seq: int) -> bool:
    """Whether one of the ranges, in order, contains it."""
    at = bisect_right(ranges, (seq, 1 << 62)) - 1
    return at >= 0 and ranges[at][0] <= seq <= ranges[at][1]
