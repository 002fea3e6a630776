"""Values of DNS records: compared as values, not as spellings; and made up, for invented replies.

The one rule it keeps: invented values have only names and addresses that belong to documentation (RFC 2606, RFC 5737,
RFC 3849). So no invented value is ever somebody's.
"""

from __future__ import annotations

import contextlib
import ipaddress
import re
from collections.abc import Iterator

from orchestrator.probes.domain_names import ascii_name

_SHAPES = {
    "A": "192.0.2.{0}",
    "AAAA": "2001:db8::{0}",
    "MX": "10 host{0}.example.",
    "SRV": "0 0 443 host{0}.example.",
    "SOA": "ns.example. admin.example. {0} 3600 600 86400 60",
    "TXT": '"invented {0}"',
    "CAA": '0 issue "ca{0}.example"',
}
_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"|(\S+)')
_ESCAPED = re.compile(rb"\\([0-9]{3}|.)")
_A_NAME = "host{0}.example."


def values_of(kind: str) -> Iterator[str]:
    """Different values of this type of record, 250 of them."""
    shape = _SHAPES.get(kind, _A_NAME)
    return (shape.format(number) for number in range(1, 251))


def plain(kind: str, value: str, *, octal: bool = False) -> str:
    """The same for all spellings of one value, as a server or a person writes it: quotes, the strings that a text is
    cut into (RFC 7208, 3.3), capitals of names (not of texts: a key is another one then), a name's final dot, names in
    other scripts, zeros of an address, numbers in place of letters. `octal`: of these, as AWS writes them; else decimal
    (RFC 1035, 5.1)."""
    value = value.strip()
    base = 8 if octal else 10
    if kind in ("A", "AAAA"):
        try:
            return str(ipaddress.ip_address(value))
        except ValueError:  # an alias of AWS: a name
            return _name(value)
    if kind == "TXT":
        if not value.startswith('"'):
            return value
        return _text(b"".join(_bytes(found, base) for found in _STRING.finditer(value)))
    parts = (_text(_bytes(found, base)) for found in _STRING.finditer(value))
    return " ".join(str(int(part)) if part.isdecimal() and part.isascii() else _name(part) for part in parts)


def _name(text: str) -> str:
    """As it is registered."""
    with contextlib.suppress(ValueError):  # no name: a text of a CAA record
        text = ascii_name(text)
    return text.rstrip(".").lower() or "."


def _bytes(string: re.Match[str], base: int) -> bytes:
    text = (string[2] if string[1] is None else string[1]).encode("utf-8", "replace")
    return _ESCAPED.sub(lambda found: _byte(found[1], base), text)


def _byte(escaped: bytes, base: int) -> bytes:
    try:
        return bytes((int(escaped, base),)) if len(escaped) == 3 else escaped
    except ValueError:  # no such number
        return escaped


def _text(value: bytes) -> str:
    """Mostly UTF-8, and where it is not, a letter for each byte."""
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")
