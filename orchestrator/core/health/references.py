"""What reference targets tell of their vantage: whether it sees, and for which moments they vouch.

The one rule it keeps: a reference that begins to answer again says nothing of what was asked before.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from orchestrator.core.events import Answer
from orchestrator.core.health import detector
from orchestrator.core.health.detector import Row
from orchestrator.core.model import Check

_GOOD = Answer.GOOD  # named once: a member is slow to look up in 3.11


def blind(rows: Mapping[str, Row], checks: Mapping[str, Check], references: Iterable[str], now: float) -> bool:
    """Whether there are references, and none of them answered its last question well, not too long ago."""
    any_there = False
    for name in references:
        any_there = True
        row = rows.get(name)
        if row is not None and row.last_answer is _GOOD and now - row.last_sent_at <= checks[name].stale_after_s:
            return False
    return any_there


def reference_at(rows: Mapping[str, Row], references: Iterable[str], silent_at: float | None) -> float | None:
    """When the latest question was sent that one of these answered well, and has done so without a break since before
    the silence of `silent_at`: one that begins to answer again says nothing of what was asked before.
    """
    latest: float | None = None
    for name in references:
        row = rows.get(name)
        if row is None or (at := row.last_good_at) is None or (since := row.first_good_at) is None:
            continue
        if (silent_at is None or since < silent_at) and (latest is None or at > latest):
            latest = at
    return latest


def in_sight_at(
    rows: Mapping[str, Row], checks: Mapping[str, Check], references: Iterable[str], sent_at: float
) -> bool:
    """Whether one of these references vouches for the moment of a question."""
    known = ((row, checks[c]) for c in references if (row := rows.get(c)) is not None)
    return any(detector.vouches(row, check, sent_at) for row, check in known)
