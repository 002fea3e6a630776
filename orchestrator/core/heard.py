"""One answer, as the detector has taken it in: whether it was asked in sight, awaited, and news to anybody.

The one rule it keeps: what is left out of deciding is only what could not turn out differently.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from orchestrator.core import detector, steps
from orchestrator.core.detector import Row
from orchestrator.core.events import Answer
from orchestrator.core.model import Check
from orchestrator.core.policy import dependencies
from orchestrator.core.records import Verdict
from orchestrator.core.turn import Turn


class Heard(NamedTuple):
    """An answer that something may come of."""

    check: Check
    row: Row
    verdict: Verdict
    suspended: bool  # with this answer
    good: bool
    again: bool  # the same as before, and nobody who waits can make more of it


def in_sight_at(
    rows: Mapping[str, Row], checks: Mapping[str, Check], references: Iterable[str], sent_at: float
) -> bool:
    """Whether one of these references vouches for the moment of a question."""
    known = ((row, checks[c]) for c in references if (row := rows.get(c)) is not None)
    return any(detector.vouches(row, check, sent_at) for row, check in known)


def no_news(check: Check, row: Row, rows: Mapping[str, Row], recorded_at: float, awaited: Iterable[str]) -> bool:
    """Whether another answer like the last one in `row` is no news to anybody who waits.

    All that it may be held against is on record, from before that last one was asked for: `recorded_at` is when
    anything was recorded last. Measurements are news, and so is a reference's answer while somebody's silence waits
    for it.
    """
    if row.last_sent_at < recorded_at or "data_age_s" in row.measures or "lag_s" in row.measures:
        return False
    if not check.reference:
        return True
    waiting = (other for c in awaited if (other := rows.get(c)) is not None)
    return all(x.last_answer is not Answer.SILENT or x.last_sent_at <= row.last_sent_at for x in waiting)


def awaited(turn: Turn) -> set[str]:
    """Whose answers matter at once: what runs and open incidents wait for, and what their services depend on."""
    found: set[str] = set()
    for unfinished in turn.decided.unfinished_runs():
        found.update(steps.awaited(turn, unfinished))
    for open_ in turn.decided.open_incidents():
        service = turn.model.services.get(open_.service)
        if service is None:
            continue
        found.update(service.healthy_when.checks())
        for name in dependencies(turn, service):
            found.update(turn.model.services[name].healthy_when.checks())
    return found
