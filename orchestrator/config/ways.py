"""Finds ways to tell people that cannot work, before they are needed: for `validate`, and at each start.

The one rule it keeps: it sends nothing and connects to nothing. It finds what the files and this machine can show.
Whether a message arrives, `bascule notify test` tells.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from orchestrator.config.faults import Faults, Position
from orchestrator.core.model import Service
from orchestrator.core.people import Person, Way

Trouble = tuple[str, str]  # what is wrong, what was expected
AskUrl = Callable[[str], Trouble | None]  # what is wrong with an apprise URL, without showing it; see `notify`


def program_trouble(argv: tuple[str, ...]) -> tuple[str, str] | None:
    """What is wrong with a program, and what was expected; None: it can be started."""
    name = argv[0]
    if os.sep not in name:
        if shutil.which(name) is None:
            return f"there is no program {name} on PATH here", "a program that is there, best by its whole path"
        return None
    path = Path(name)
    if not path.exists():
        return f"there is no program {name} here", "a program that is there"
    if path.is_dir():
        return f"{name} is a directory", "a program"
    if not os.access(path, os.X_OK):
        return f"{name} is not executable", f"a program: chmod +x {name}"
    return None


def check_people(
    own: Mapping[str, Person], shared: Mapping[str, Person], at: Callable[[str], Position], faults: Faults
) -> None:
    """People without a way, and deputies that lead nowhere. `own`: those of one file; `at`: where one stands."""
    people = {**shared, **own}
    for person in own.values():
        if person.ways or getattr(person, "tool", False):
            continue
        chain = [person.id]
        deputy = people.get(person.deputy or "")
        while deputy is not None and not deputy.ways and deputy.id not in chain:
            chain.append(deputy.id)
            deputy = people.get(deputy.deputy or "")
        if deputy is not None and deputy.ways:
            continue
        told = f"person {person.id} has no way of their own that can be used"
        if deputy is not None:
            told += f", and the deputies go round in a circle: {' > '.join([*chain, deputy.id])}"
        elif len(chain) > 1:
            told += f", and no deputy has one: {' > '.join(chain)}"
        faults.warn(at(person.id), told, "such a way under 'ways'")


def check_clients(
    services: Mapping[str, Service],
    people: Mapping[str, Person],
    on_call: Mapping[str, tuple[str, ...]],
    client_ways: Mapping[str, tuple[Way, ...]],
    shared: tuple[Way, ...],
    clients: Mapping[str, Callable[[], Position]],
    owners: Callable[[Service], Position],
    faults: Faults,
) -> None:
    """Clients and services of which nobody would be told."""

    def reachable(person: str) -> bool:
        found, seen = people.get(person), set[str]()
        while found is not None and found.id not in seen:
            if found.ways:
                return True
            seen.add(found.id)
            found = people.get(found.deputy or "")
        return False

    for client, where in clients.items():
        own = [s for s in services.values() if s.client == client]
        called = on_call.get(client, ())
        if own and not shared and not client_ways.get(client):
            what = f"client {client}: " + (
                f"nobody on call has a way ({', '.join(called)})" if called else "nobody is on call"
            )
            if not any(map(reachable, called)):
                wanted = "ways of who is on_call, of the client, or 'notify: ways'"
                faults.warn(where(), f"{what}: its notices reach nobody", wanted)
        for service in own:
            if service.owners and not any(map(reachable, service.owners)):
                what = f"service {service.name}: no owner has a way of their own ({', '.join(service.owners)})"
                faults.warn(owners(service), what, "'ways' of an owner")
