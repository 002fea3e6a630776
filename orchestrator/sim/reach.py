"""Whose hosts a playbook reaches: by the inventory that it is given, and over the connections that are kept.

The one rule it keeps: places of one name have one address, whichever client they belong to, as with every provider's
clients. So a connection leads to the right one only if it was found by more than its address. It is found as the runner
finds it, by `orchestrator.runner.connections`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from orchestrator.core.client_keys import kept_for
from orchestrator.runner import connections
from orchestrator.sim.world import World


@dataclass
class Reach:
    """The connections that are kept in one world. Checks of logins have made one to each place."""

    world: World
    _kept: dict[str, str] = field(default_factory=dict)  # name of a connection to the client whose host is at its end
    _clients: dict[str, tuple[str, ...]] = field(default_factory=dict)  # local name of a place to whose there is one

    def __post_init__(self) -> None:
        """Every client has logged in everywhere, in the order of the plan."""
        for place in self.world.nature.model.places:
            client, _, name = place.partition("/")
            self._clients[name] = (*self._clients.get(name, ()), client)
        for name, clients in self._clients.items():
            for client in clients:
                self._kept.setdefault(self._named(client, name), client)

    def whose(self, client: str, place: str) -> str:
        """The client whose host is reached by a playbook that is run for `client` and acts on this place."""
        name = place.partition("/")[2]
        if client not in self._clients.get(name, ()):
            return client  # there is nothing to confuse it with
        return self._kept.setdefault(self._named(client, name), client)

    def _named(self, client: str, place: str) -> str:
        """The name under which the runner keeps the connection to this host."""
        address = f"10.10.0.{10 + sorted(self._clients).index(place)}"
        options = ["-F", "none", "-o", "Port=22", "-o", 'User="root"', "-o", f"ProxyCommand=through {client}"]
        whom = kept_for("the workspace", client)
        return connections.name_of(connections.read(options), address, "ssh", whom)


def twin_of(name: str, client: str) -> str:
    """What another client calls by the same name."""
    return f"{client}/{name.partition('/')[2]}"
