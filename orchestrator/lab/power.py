"""Who has power: mains of the sites, outlets, the cloud instance's virtual switch. Pure: the supervisor acts on it.

The one rule it keeps: **a latched outlet stays off until somebody says on**. Returning mains start nothing behind it. A
fence needs exactly that.

    energised = mains of its site (always, without one) and outlet on
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.lab.errors import LabUsageError
from orchestrator.lab.topology import HOSTS, Host


@dataclass
class Outlet:
    """One switch."""

    on: bool = True
    latched: bool = False


@dataclass
class PowerBoard:
    """Mains by site, outlet by host."""

    hosts: Mapping[str, Host] = field(default_factory=lambda: HOSTS)
    mains: dict[str, bool] = field(default_factory=dict)
    outlets: dict[str, Outlet] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.mains = {host.site: True for host in self.hosts.values() if host.site}
        self.outlets = {name: Outlet(on=not host.dark) for name, host in self.hosts.items()}

    def energised(self, name: str) -> bool:
        """Whether this host is to run."""
        return self._mains_of(name) and self.outlets[name].on

    def switch_mains(self, site: str, *, on: bool) -> None:
        """Power cut of a site, or its end: outlets that are not latched come back on."""
        self.mains[site] = on
        if on:
            for name, host in self.hosts.items():
                if host.site == site and not self.outlets[name].latched:
                    self.outlets[name].on = True

    def switch_outlet(self, name: str, *, on: bool, latched: bool) -> None:
        """What a console does. An outlet that is on is not latched."""
        if name not in self.outlets:
            raise LabUsageError(f"no outlet {name!r}; there are: {', '.join(sorted(self.outlets))}")
        self.outlets[name] = Outlet(on, latched and not on)

    def start(self, name: str) -> None:
        """Somebody stands before the machine and switches it on."""
        if not self._mains_of(name):
            site = self.hosts[name].site
            raise LabUsageError(
                f"{name} cannot start: site {site} has no mains; expected `bascule lab start {site}` first"
            )
        self.outlets[name] = Outlet()

    def stop(self, name: str) -> None:
        """Pull the plug of one host, without a latch (a latch that is there stays)."""
        self.outlets[name] = Outlet(on=False, latched=self.outlets[name].latched)

    def report(self, names: Iterable[str]) -> dict[str, Any]:
        """What a console shows of these hosts: no mains means no power at any outlet."""
        listed = sorted(names)
        live = all(self._mains_of(name) for name in listed)
        return {
            "mains": "on" if live else "off",
            "outlets": {
                name: {"power": "on" if self.energised(name) else "off", "latched": self.outlets[name].latched}
                for name in listed
            },
        }

    def _mains_of(self, name: str) -> bool:
        site = self.hosts[name].site
        return site is None or self.mains[site]
