"""The head of an HTTP response, as a person's program reads it.

The one rule it keeps: what browsers and curl understand is understood. Strict parsers refuse a blank before a colon, an
extra carriage return, a letter that no name may have, the same length said twice. Browsers show the pages of such
servers all the same, and a check asks about the way that browsers take.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

_STATUS = re.compile(rb"HTTP/\d{1,3}(?:\.\d{1,3})?[ \t]+(\d{3})(?![^ \t\r])", re.IGNORECASE)
_END = re.compile(rb"\n\r*\n")
_BEGIN = b"HTTP/"


class NoResponse(Exception):
    """What came is no HTTP response; the text says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Head:
    """What it says, and how its body ends: after `length` bytes, with the last chunk, or with the connection."""

    status: int
    headers: dict[str, str]  # by their names in small letters; each of several values on a line
    location: str  # where it redirects to; empty if nowhere
    length: int | None
    chunked: bool
    codings: tuple[str, ...]  # of its body, in the order in which they were applied


def end_of_head(data: bytearray, looked_at: int) -> int:
    """Where the body begins; 0 if the head is not whole. `looked_at`: so many bytes were looked at before."""
    if data[: len(_BEGIN)].upper() != _BEGIN[: len(data)]:
        raise NoResponse(f"it begins with {bytes(data[:20])!r}")
    found = _END.search(data, max(0, looked_at - 80))
    return found.end() if found else 0


def read_head(data: bytes) -> Head:
    """Raises `NoResponse`."""
    lines = data.split(b"\n")
    begun = _STATUS.match(lines[0])
    if begun is None:
        raise NoResponse(f"it begins with {lines[0][:40].rstrip()!r}")
    fields: list[tuple[str, bytes]] = []
    for line in lines[1:]:
        if line[:1] in (b" ", b"\t") and fields and line.strip():
            fields[-1] = fields[-1][0], fields[-1][1] + b" " + _one_line(line)  # it goes on (RFC 9112, 5.2)
            continue
        name, colon, value = line.partition(b":")
        if colon and name.strip():
            fields.append((name.strip().decode("latin-1").lower(), _one_line(value)))
    headers: dict[str, str] = {}
    for key, value in fields:
        text = _text(value)
        headers[key] = f"{headers[key]}\n{text}" if key in headers else text
    transfer = listed(headers.get("transfer-encoding", ""))
    chunked = "chunked" in transfer
    packed_on_the_way = [coding for coding in transfer if coding not in ("chunked", "identity")]
    return Head(
        status=int(begun[1]),
        headers=headers,
        location=next((_as_address(value) for key, value in fields if key == "location"), ""),
        # beside chunks a length means nothing (RFC 9112, 6.3)
        length=None if chunked or packed_on_the_way else _length(listed(headers.get("content-length", ""))),
        chunked=chunked,
        codings=(*listed(headers.get("content-encoding", "")), *packed_on_the_way),
    )


def _one_line(value: bytes) -> bytes:
    return value.strip(b" \t\r").replace(b"\r", b" ")


def _text(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _as_address(value: bytes) -> str:
    """As a browser asks for it: bytes that are no UTF-8 are sent back as they came."""
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return "".join(chr(byte) if byte < 128 else f"%{byte:02X}" for byte in value)


def listed(value: str) -> list[str]:
    """The words of a list, in small letters; a repeated header is one list (RFC 9110, 5.3)."""
    return [word.strip().lower() for word in value.replace("\n", ",").split(",") if word.strip()]


def _length(said: Iterable[str]) -> int | None:
    """The same length may be said again (RFC 9110, 8.6)."""
    lengths = {word.removeprefix("+").lstrip("0") or "0" for word in said}
    if not lengths:
        return None
    if len(lengths) > 1:
        raise NoResponse(f"it says several lengths: {', '.join(sorted(lengths))[:80]}")
    length = lengths.pop()
    if not (length.isascii() and length.isdigit() and len(length) < 19):
        raise NoResponse(f"its length is no number: {length[:40]!r}")
    return int(length)
