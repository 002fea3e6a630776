"""Which configurations a journal keeps: each is hundreds of kilobytes, and every reload of an edited file adds one.

The one rule it keeps: a model is kept while anything that is told rests on it. The entries that say when it was in
force stay, and so does its hash: that it was let go of is said by an entry of the chain (`Bound.GONE`).

    a model                                                       is kept
    ----------------------------------------------------------    -----------------------------------------------------
    in force now, or within the time that entries are kept        always
    in force while an incident, run or drill began or went on     always: reports and proofs rest on it
    in force at the end of a month (UTC)                          always: a report of a period says its objectives
    any other                                                     no: nothing happened under it
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from orchestrator.core import records as r
from orchestrator.journal.journal import Entry

BEFORE_S = 3600.0  # an incident begins with its first bad answer, before it is opened
_BEGINS = (r.IncidentOpened, r.IncidentReopened, r.RunStarted, r.DrillBegan)
_ENDS = (r.IncidentEnded, r.RunEnded, r.DrillEnded)


def unneeded(entries: Iterable[Entry], before: float) -> set[str]:
    """The digests of models that these entries name, of which none is to be kept. `before`: on the axis.

    `entries`: all that tell of anything, in order.
    """
    named: list[tuple[float, str]] = []
    needed: set[str] = set()
    months: dict[str, str] = {}
    going: set[str] = set()
    for entry in entries:
        for x in entry.records:
            if isinstance(x, r.Configured):
                named.append((entry.at, x.digest))
                months[_month(entry.wall)] = x.digest
                needed |= {x.digest} if going or entry.at >= before else set()
            elif isinstance(x, _BEGINS):
                going.add(_id(x))
                needed |= _in_force_since(named, entry.at - BEFORE_S)
                needed |= {x.configuration} if isinstance(x, r.RunStarted | r.DrillBegan) else set()
            elif isinstance(x, _ENDS):
                going.discard(_id(x))
    needed |= _in_force_since(named, before) | set(months.values())
    return {digest for _, digest in named} - needed


def _in_force_since(named: list[tuple[float, str]], since: float) -> set[str]:
    """Those that came into force since then, and the one that was in force at that moment."""
    found = set()
    for at, digest in reversed(named):
        found.add(digest)
        if at <= since:
            break
    return found


def _id(x: r.Record) -> str:
    """Of an incident, a run or a drill: they differ in their letter."""
    match x:
        case r.RunStarted() | r.RunEnded():
            return x.run
        case r.DrillBegan() | r.DrillEnded():
            return x.drill
        case r.IncidentOpened() | r.IncidentReopened() | r.IncidentEnded():
            return x.incident
    raise TypeError(f"{type(x).__name__} neither begins nor ends anything")


def _month(wall: float) -> str:
    return datetime.fromtimestamp(wall, UTC).strftime("%Y-%m")
