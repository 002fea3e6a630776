"""What the lab consists of: hosts, wires, addresses, sites. `docs/lab.md` is the contract, this is the same as data.

It is data only. `network` lays the wires, `equipment` says what runs on a host.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

INTERFACE_NAME_LENGTH_MAX: Final = 15  # the kernel's


@dataclass(frozen=True)
class Plug:
    """One network interface of a host: its name there, its address with prefix length, the wire it is plugged into."""

    name: str
    address: str
    wire: str


@dataclass(frozen=True)
class Host:
    """One machine. `gateway` is its default route, None for the router that knows all of the internet.

    `site` is the site whose power feeds it (consoles have batteries and belong to none). `routes` are further
    (destination, gateway) pairs. `router` forwards packets. `dark` hosts are off until somebody starts them.
    """

    name: str
    plugs: tuple[Plug, ...]
    gateway: str | None = None
    site: str | None = None
    routes: tuple[tuple[str, str], ...] = ()
    router: bool = False
    ssh: bool = False
    dark: bool = False


@dataclass(frozen=True)
class Link:
    """A connection that can be cut: the wire, and the plug (host, interface) at its provider's end.

    `beyond` is the same for the provider's own connection, where cutting `upstream` is possible.
    """

    name: str
    provider: tuple[str, str]
    beyond: tuple[str, str] | None = None


def _one(name: str, address: str, gateway: str, wire: str, *, ssh: bool = False, dark: bool = False) -> Host:
    """A host with one interface."""
    return Host(name, (Plug("eth0", address, wire),), gateway, ssh=ssh, dark=dark)


def _inside(name: str, site: str, address: str, gateway: str, *, ssh: bool = True) -> Host:
    """A host on a site's LAN."""
    return Host(name, (Plug("eth0", address, f"{site}-lan"),), gateway, site, ssh=ssh)


HOSTS: Final[dict[str, Host]] = {
    host.name: host
    for host in (
        Host(
            "internet",
            (
                Plug("noc", "198.51.100.73/30", "noc"),
                Plug("watch", "198.51.100.69/30", "watch"),
                Plug("client", "198.51.100.65/30", "client"),
                Plug("services", "198.51.100.49/28", "services"),
                Plug("cloud", "198.51.100.33/28", "cloud"),
                Plug("hq-oob", "198.51.100.9/30", "hq-oob"),
                Plug("geo", "198.51.100.1/30", "geo"),
                Plug("geo-oob", "198.51.100.13/30", "geo-oob"),
                Plug("isp-a", "192.0.2.1/30", "isp-a-up"),
                Plug("isp-b", "192.0.2.5/30", "isp-b-up"),
            ),
            routes=(("203.0.113.0/30", "192.0.2.2"), ("203.0.113.4/30", "192.0.2.6")),
            router=True,
        ),
        Host(
            "isp-a",
            (Plug("up", "192.0.2.2/30", "isp-a-up"), Plug("customer", "203.0.113.1/30", "isp-a")),
            "192.0.2.1",
            router=True,
        ),
        Host(
            "isp-b",
            (Plug("up", "192.0.2.6/30", "isp-b-up"), Plug("customer", "203.0.113.5/30", "isp-b")),
            "192.0.2.5",
            router=True,
        ),
        _one("noc", "198.51.100.74/30", "198.51.100.73", "noc"),
        _one("watch", "198.51.100.70/30", "198.51.100.69", "watch"),
        _one("client", "198.51.100.66/30", "198.51.100.65", "client"),
        _one("dns", "198.51.100.53/28", "198.51.100.49", "services"),
        _one("www", "198.51.100.54/28", "198.51.100.49", "services"),
        Host(
            "hq-edge",
            (
                Plug("wan-a", "203.0.113.2/30", "isp-a"),
                Plug("wan-b", "203.0.113.6/30", "isp-b"),
                Plug("lan", "10.10.0.1/24", "hq-lan"),
            ),
            "203.0.113.1",
            "hq",
            router=True,
            ssh=True,
        ),
        _inside("hq-app", "hq", "10.10.0.10/24", "10.10.0.1"),
        _inside("hq-db", "hq", "10.10.0.20/24", "10.10.0.1"),
        _inside("hq-user", "hq", "10.10.0.50/24", "10.10.0.1"),
        Host(
            "hq-oob",
            (Plug("uplink", "198.51.100.10/30", "hq-oob"), Plug("lan", "10.10.0.250/24", "hq-lan")),
            "198.51.100.9",
            ssh=True,
        ),
        Host(
            "geo-edge",
            (Plug("wan", "198.51.100.2/30", "geo"), Plug("lan", "10.20.0.1/24", "geo-lan")),
            "198.51.100.1",
            "geo",
            router=True,
            ssh=True,
        ),
        _inside("geo-app", "geo", "10.20.0.10/24", "10.20.0.1"),
        _inside("geo-db", "geo", "10.20.0.20/24", "10.20.0.1"),
        Host(
            "geo-oob",
            (Plug("uplink", "198.51.100.14/30", "geo-oob"), Plug("lan", "10.20.0.250/24", "geo-lan")),
            "198.51.100.13",
            ssh=True,
        ),
        _one("cloud-api", "198.51.100.34/28", "198.51.100.33", "cloud"),
        _one("cloud-app", "198.51.100.35/28", "198.51.100.33", "cloud", ssh=True, dark=True),
        _one("cloud-drill", "198.51.100.36/28", "198.51.100.33", "cloud", ssh=True, dark=True),
    )
}

LINKS: Final[dict[str, Link]] = {
    link.name: link
    for link in (
        Link("isp-a", ("isp-a", "customer"), beyond=("internet", "isp-a")),
        Link("isp-b", ("isp-b", "customer"), beyond=("internet", "isp-b")),
        Link("hq-oob", ("internet", "hq-oob")),
        Link("geo", ("internet", "geo")),
        Link("geo-oob", ("internet", "geo-oob")),
        Link("cloud", ("internet", "cloud")),
        Link("noc", ("internet", "noc")),
    )
}

SITES: Final[tuple[str, ...]] = ("hq", "geo")
CONSOLES: Final[dict[str, str]] = {"hq-oob": "hq", "geo-oob": "geo"}
HYPERVISOR: Final = "cloud-api"
INSTANCE: Final = "cloud-app"
SCRATCH: Final = "cloud-drill"  # for an instance that somebody makes: see `programs/cloud.py`
WIRES: Final[tuple[str, ...]] = tuple(dict.fromkeys(plug.wire for host in HOSTS.values() for plug in host.plugs))


def bare(address: str) -> str:
    """An address without its prefix length."""
    return address.partition("/")[0]


def names_at(host: Host) -> dict[str, str]:
    """Name to address as /etc/hosts of `host` has it: its own site by the LAN, routers elsewhere by their WAN."""
    wires = {plug.wire for plug in host.plugs}
    names: dict[str, str] = {}
    for other in HOSTS.values():
        near = [plug for plug in other.plugs if plug.wire in wires and plug.wire.endswith("-lan")]
        names[other.name] = bare((near or other.plugs)[0].address)
        if len(other.plugs) > 1:
            names |= {f"{other.name}-{plug.name}": bare(plug.address) for plug in other.plugs}
    return names
