"""A workspace made for mutants: two clients with the same names, each with five services at one site.

The one rule it keeps: no check has a host, so that only where a service is can tell which failures are one.
"""

from __future__ import annotations

from orchestrator.core.model import (
    Check,
    Combine,
    Condition,
    Limits,
    Mode,
    Model,
    Move,
    Place,
    Playbook,
    Service,
    Tier,
)

CLIENTS = ("row", "lane")
NAMES = ("mail", "shop", "till", "wiki", "desk")


def terrace() -> Model:
    """The model; more than one failure domain at once is a mass failure there."""
    checks = {"row/ref": Check("row/ref", "row", "ref", "ref", "nagios", {"command": ["ask"]}, reference=True)}
    places: dict[str, Place] = {}
    moves: dict[str, Move] = {}
    services: dict[str, Service] = {}
    for client in CLIENTS:
        for place in ("site", "other"):
            places[f"{client}/{place}"] = Place(f"{client}/{place}", client, place)
        for name in NAMES:
            asked = Check(f"{client}/{name}", client, name, "", "nagios", {"command": ["ask"]}, fast_s=1.0)
            healthy = Condition(Combine.ALL, (asked.id,))
            move = Move(f"{client}/{name}-away", client, f"{name}-away", Playbook(f"{name}.yml", name), healthy,
                        to=f"{client}/other", safe_to_repeat=True, timeout_s=40.0)  # fmt: skip
            checks[asked.id], moves[move.id] = asked, move
            services[asked.id] = Service(
                asked.id, client, name, healthy, (Tier(move.id),), 600.0, mode=Mode.AUTO, home=f"{client}/site"
            )
    limits = Limits(failure_domains=1, concurrent_failovers=5, moves_per_service=3, relapse_s=20.0)
    return Model("terrace", checks, places, moves, services, limits)
