"""What can fail in a model, by name, in an order that is the same each time.

The one rule it keeps: the same model gives the same names, so that a seed is the same script.
"""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.core.model import Model, Service
from orchestrator.sim.nature import Nature


@dataclass(frozen=True, slots=True)
class Names:
    """What can fail in a model."""

    places: tuple[str, ...]
    domains: tuple[str, ...]
    hosts: tuple[str, ...]
    services: tuple[str, ...]
    moves: tuple[str, ...]
    measured: tuple[str, ...]
    checks: tuple[str, ...]
    vantages: tuple[str, ...]
    rests: tuple[str, ...] = ()  # domains that services with a ladder rest on, once for each such service
    homes: tuple[tuple[str, str], ...] = ()  # services that have one, and it
    ready: tuple[str, ...] = ()  # checks that moves' preconditions ask
    tiers: tuple[tuple[str, str], ...] = ()  # services, and each move of their ladders
    health: tuple[tuple[str, str], ...] = ()  # services, and each check by which they are judged


def names_of(model: Model, nature: Nature) -> Names:
    """The names in a stable order; those that no service with a ladder rests on are left out."""
    return Names(
        tuple(sorted(model.places)),
        nature.domains,
        nature.hosts,
        tuple(sorted(s.id for s in model.services.values())),
        tuple(sorted([*model.moves, *(p.id for p in model.places.values() if p.fence)])),
        tuple(sorted({m.data_age for m in model.moves.values() if m.data_age})),
        tuple(sorted(model.checks)),
        tuple(sorted({c.vantage for c in model.checks.values()})) or ("local",),
        tuple(sorted(d for s in model.services.values() if s.ladder for d in _rests(s, nature))),
        tuple(sorted((s.id, s.home) for s in model.services.values() if s.home)),
        tuple(sorted({c for m in model.moves.values() if m.viable_when for c in m.viable_when.checks()})),
        tuple(sorted((s.id, t.move) for s in model.services.values() for t in s.ladder)),
        tuple(sorted((s.id, c) for s in model.services.values() for c in set(s.healthy_when.checks()))),
    )


def _rests(service: Service, nature: Nature) -> set[str]:
    """The domains of its home and of its health's checks, and what its paths go through."""
    found = {d for path in nature.paths[service.id] for d in path.primary}
    found |= nature.domains_of(service.home) if service.home else set()
    checks = [nature.model.checks[c] for c in service.healthy_when.checks()]
    return found | {d for c in checks for d in c.domains} | {c.via for c in checks if c.via}
