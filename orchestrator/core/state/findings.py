"""The part of the fold about findings.

The one rule it keeps: it is called by `fold.apply` and its parts alone.
"""

from __future__ import annotations

from orchestrator.core import records as r
from orchestrator.core.state.decided import Decided, IllegalRecord
from orchestrator.core.state.finding import KeptFinding
from orchestrator.core.state.retention import KEPT_RUNS, forget


def opened(d: Decided, x: r.FindingOpened) -> None:
    """Something is to be improved."""
    if x.finding in d.findings.known:
        raise IllegalRecord(f"finding {x.finding} was opened already")
    d.findings.count += 1
    d.findings.known[x.finding] = KeptFinding(x)
    d.findings.nothing.pop(x.about, None)


def closed(d: Decided, x: r.FindingClosed) -> None:
    """It is seen to."""
    found = d.findings.known.get(x.finding)
    if found is None or found.closed is not None:
        raise IllegalRecord(f"finding {x.finding} cannot be closed: it is not open")
    found.closed = x
    forget(d.findings.known, lambda y: y.closed.at if y.closed else None, KEPT_RUNS)


def nothing(d: Decided, x: r.NothingFound) -> None:
    """Nothing is to be improved."""
    d.findings.nothing[x.about] = x
    forget(d.findings.nothing, lambda y: y.at, KEPT_RUNS)


def overdue(d: Decided, x: r.NoticeDue) -> None:
    """Its owner is told."""
    found = d.findings.known.get(str(x.details.get("finding")))
    if found is not None:
        found.told_at, found.times = x.at, found.times + 1
