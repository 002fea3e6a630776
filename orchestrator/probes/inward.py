"""How far inside an address lies: where a redirect of somebody else may lead this machine, and where not.

The one rule it keeps: a redirect never leads further inside than the place that was asked for. From the internet it
leads only to the internet. From a private network it leads there, and back to the machine that was asked: another
private address may be another client's. To this machine, or to what only this link reaches (169.254.169.254, where
clouds tell secrets), it leads only from there. An address that carries another one inside (IPv4 in IPv6, NAT64, 6to4,
Teredo) lies where that one lies.
"""

from __future__ import annotations

from enum import Enum
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

_NAT64 = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"))


class Where(Enum):
    """Where an address lies."""

    PUBLIC = "a public address"
    PRIVATE = "a private address"
    LINK = "a link-local address"
    HERE = "this machine"


def where(address: str) -> Where:
    """Where this address lies. Raises ValueError if it is none."""
    found = ip_address(address.partition("%")[0])
    if isinstance(found, IPv6Address):
        inner = _carried(found)
        if inner is not None:
            return where(str(inner))
    if found.is_loopback or found.is_unspecified or (isinstance(found, IPv4Address) and found.packed[0] == 0):
        return Where.HERE
    if found.is_link_local or found.is_multicast:
        return Where.LINK
    return Where.PUBLIC if found.is_global else Where.PRIVATE


def _carried(address: IPv6Address) -> IPv4Address | None:
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    if any(address in network for network in _NAT64) or (int(address) >> 32 == 0 and int(address) > 1):
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return None


def may_lead(first: Where, then: Where, *, same_host: bool = False) -> bool:
    """Whether a redirect of a place that lies in the one may lead to another address that lies in the other.

    `same_host`: it has the same name as the place.
    """
    return then is Where.PUBLIC or (then is first and (same_host or then is not Where.PRIVATE))
