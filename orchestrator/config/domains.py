"""Failure domains of one client: what fails together.

The one rule it keeps: a domain is declared, never guessed: a group with `bascule_domain`, a group that is a place, or a
name under `domains:`. Its hosts are the group's, children's included.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from orchestrator.config.faults import Faults, Position
from orchestrator.config.inventory import Inventory


@dataclass(slots=True)
class Domains:
    """Names of one client's failure domains, and the hosts in each."""

    client: str
    hosts: dict[str, frozenset[str]] = field(default_factory=dict)

    def id(self, name: str) -> str:
        """How the model calls a domain."""
        return f"{self.client}/{name}"

    def of_host(self, host: str) -> set[str]:
        """Ids of the domains a host is in."""
        return {self.id(name) for name, members in self.hosts.items() if host and host in members}

    def resolve(self, name: str, at: Position, faults: Faults) -> str | None:
        """The id of a declared domain; a fault at `at` if there is none."""
        if name not in self.hosts:
            faults.unknown(at, "failure domain", name, self.hosts, self.client)
            return None
        return self.id(name)


def find_domains(inventory: Inventory, places: list[str], declared: list[str], faults: Faults) -> Domains:
    """All domains of a client. Group variables that make no sense are faults of the inventory's first source."""
    domains = Domains(inventory.client)
    for group, variables in inventory.group_vars.items():
        wanted = variables.get("bascule_domain")
        if wanted is None or wanted is False:
            continue
        if wanted is not True and not isinstance(wanted, str):
            folder = inventory.sources[0].parent.name
            at = Position(f"inventories/{folder}/{inventory.sources[0].name}")
            faults.add(at, f"group {group}: bascule_domain is {wanted!r}", "true or a name")
            continue
        name = group if wanted is True else wanted
        domains.hosts[name] = domains.hosts.get(name, frozenset()) | frozenset(inventory.groups[group])
    for place in places:
        members = inventory.groups.get(place)
        if members is not None:
            domains.hosts[place] = domains.hosts.get(place, frozenset()) | frozenset(members)
    for name in declared:
        domains.hosts.setdefault(name, frozenset())
    return domains
