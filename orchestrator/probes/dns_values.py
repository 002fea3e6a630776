"""Values of DNS records as name servers write them, invented: for replies that nobody gave.

The one rule it keeps: only names and addresses that belong to documentation (RFC 2606, RFC 5737, RFC 3849), so that no
invented value is ever somebody's.
"""

from __future__ import annotations

from collections.abc import Iterator

_SHAPES = {
    "A": "192.0.2.{0}",
    "AAAA": "2001:db8::{0}",
    "MX": "10 host{0}.example.",
    "SRV": "0 0 443 host{0}.example.",
    "SOA": "ns.example. admin.example. {0} 3600 600 86400 60",
    "TXT": '"invented {0}"',
    "CAA": '0 issue "ca{0}.example"',
}
_A_NAME = "host{0}.example."


def values_of(kind: str) -> Iterator[str]:
    """Different values of this type of record, 250 of them."""
    shape = _SHAPES.get(kind, _A_NAME)
    return (shape.format(number) for number in range(1, 251))
