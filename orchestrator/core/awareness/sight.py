"""What a controller sees at this moment, for people who ask: services' conditions with why, and what it cannot see.

The one rule it keeps: a condition is what the engine itself would decide by, blindness included. Nothing here comes
from an older verdict.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from orchestrator.core.awareness import readiness
from orchestrator.core.awareness.readiness import Item
from orchestrator.core.health.diagnosis import blamed, so_since
from orchestrator.core.model import Service
from orchestrator.core.records import Verdict
from orchestrator.core.rules.approving import consequences
from orchestrator.core.transaction import Transaction, blind_since

NAMED = 5  # failing checks of one service, so many with their evidence


@dataclass(frozen=True, slots=True)
class ServiceSeen:
    """One service. `why`: the checks that are not up, with evidence; `since` when its condition is not up."""

    condition: str
    why: tuple[str, ...] = ()
    since: float | None = None
    check: str = ""  # the first of them, by its id


@dataclass(frozen=True, slots=True)
class Sight:
    """Everything at one moment. `waiting`: a run that waits for a person, and what an approval would do."""

    now: float
    items: tuple[Item, ...] = ()
    services: Mapping[str, ServiceSeen] = field(default_factory=dict)
    waiting: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    moves: Mapping[str, str] = field(default_factory=dict)  # move: whether its preconditions hold now


def sight(tx: Transaction) -> Sight:
    """What is seen now."""
    waiting = {}
    for run in tx.decided.unfinished_runs():
        if run.human is not None or run.asks_a_person:
            waiting[run.id] = tuple(consequences(tx, run))
    services = {s.id: _seen(tx, s) for s in tx.model.services.values() if s.id in tx.decided.services}
    moves = {m.id: tx.says(m.viable_when).value for m in tx.model.moves.values() if m.viable_when is not None}
    return Sight(tx.now(), tuple(readiness.assess(tx)), services, waiting, moves)


def _seen(tx: Transaction, service: Service) -> ServiceSeen:
    condition = tx.health(service)
    if condition is Verdict.UP:
        bad = blamed(service.healthy_when, tx.verdict, Verdict.DOWN)
        return ServiceSeen(condition.value, tuple(tx.evidence_of_verdict(c) for c in bad[:NAMED]))
    down = blamed(service.healthy_when, tx.verdict, Verdict.DOWN)
    other = blamed(service.healthy_when, tx.verdict, Verdict.UNKNOWN)
    limp = blamed(service.healthy_when, tx.verdict, Verdict.DEGRADED)
    names = {Verdict.DOWN: down, Verdict.UNKNOWN: [*other, *down], Verdict.DEGRADED: [*limp, *down]}[condition]
    why = [tx.evidence_of_verdict(c) + _unheeded(tx, c) for c in names[:NAMED]]
    if len(names) > NAMED:
        why.append(f"and {len(names) - NAMED} more checks")
    since = so_since(service.healthy_when, lambda c: _since(tx, c) if c in names else None)
    return ServiceSeen(condition.value, tuple(why), since, names[0] if names else "")


def _unheeded(tx: Transaction, check: str) -> str:
    """Why what a check last answered counts for nothing now."""
    vantage = tx.model.checks[check].vantage
    return f"; vantage {vantage} is blind, so it counts for nothing" if tx.blind(vantage) else ""


def _since(tx: Transaction, check: str) -> float | None:
    row = tx.rows().get(check)
    if row is None:
        return tx.watched_since(check)[0]
    vantage = tx.model.checks[check].vantage
    if tx.blind(vantage):
        return blind_since(tx, vantage)
    found = row.first_bad_at if row.first_bad_at is not None else row.none_since
    if row.verdict is Verdict.DOWN or found is None:
        known = tx.decided.verdicts.get(check)
        return found if found is not None else known.at if known is not None else row.last_good_at
    return found
