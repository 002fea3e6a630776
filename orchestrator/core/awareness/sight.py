"""What a controller sees at this moment, for people who ask: services' conditions with why, and what it cannot see.

The one rule it keeps: a condition is what the engine itself would decide by, blindness included. Nothing here comes
from an older verdict.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from orchestrator.core.awareness import readiness
from orchestrator.core.awareness.readiness import Item
from orchestrator.core.health.diagnosis import blamed
from orchestrator.core.model import Service
from orchestrator.core.records import Verdict
from orchestrator.core.rules.approving import consequences
from orchestrator.core.turn import Turn, blind_since

NAMED = 5  # failing checks of one service, so many with their evidence


@dataclass(frozen=True, slots=True)
class ServiceSeen:
    """One service. `why`: the checks behind a condition that is not up, with evidence; `since` of the oldest one."""

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


def sight(turn: Turn) -> Sight:
    """What is seen now."""
    waiting = {}
    for run in turn.decided.unfinished_runs():
        if run.human is not None or run.asks_a_person:
            waiting[run.id] = tuple(consequences(turn, run))
    services = {s.id: _seen(turn, s) for s in turn.model.services.values() if s.id in turn.decided.services}
    moves = {m.id: turn.says(m.viable_when).value for m in turn.model.moves.values() if m.viable_when is not None}
    return Sight(turn.now(), tuple(readiness.assess(turn)), services, waiting, moves)


def _seen(turn: Turn, service: Service) -> ServiceSeen:
    condition = turn.health(service)
    if condition is Verdict.UP:
        return ServiceSeen(condition.value)
    down = blamed(service.healthy_when, turn.verdict, Verdict.DOWN)
    other = blamed(service.healthy_when, turn.verdict, Verdict.UNKNOWN)
    limp = blamed(service.healthy_when, turn.verdict, Verdict.DEGRADED)
    names = {Verdict.DOWN: down, Verdict.UNKNOWN: [*other, *down], Verdict.DEGRADED: [*limp, *down]}[condition]
    why = [turn.evidence_of_down(c) + _unheeded(turn, c) for c in names[:NAMED]]
    if len(names) > NAMED:
        why.append(f"and {len(names) - NAMED} more checks")
    since = [at for c in names if (at := _since(turn, c)) is not None]
    return ServiceSeen(condition.value, tuple(why), min(since, default=None), names[0] if names else "")


def _unheeded(turn: Turn, check: str) -> str:
    """Why what a check last answered counts for nothing now."""
    vantage = turn.model.checks[check].vantage
    return f"; vantage {vantage} is blind, so it counts for nothing" if turn.blind(vantage) else ""


def _since(turn: Turn, check: str) -> float | None:
    row = turn.rows().get(check)
    if row is None:
        return turn.watched_since(check)[0]
    vantage = turn.model.checks[check].vantage
    if turn.blind(vantage):
        return blind_since(turn, vantage)
    found = row.first_bad_at if row.first_bad_at is not None else row.none_since
    if row.verdict is Verdict.DOWN or found is None:
        known = turn.decided.verdicts.get(check)
        return found if found is not None else known.at if known is not None else row.last_good_at
    return found
