"""The body of a response, unpacked: gzip and deflate, one in the other if a response says so.

The one rule it keeps: one call returns little more than the limit, however small the packed body was.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

_GZIP = ("gzip", "x-gzip")
_GZIP_BEGINS = 0x1F
_UNREADABLE = {"br", "zstd", "compress", "x-compress", "dcb", "dcz"}


class CannotUnpack(Exception):
    """What came is not packed as was said; the text says how."""


def unreadable(codings: Sequence[str]) -> str:
    """Which of these nobody here can unpack; empty if there is none."""
    return next((coding for coding in codings if coding in _UNREADABLE), "")


class Unpacking:
    """Feed it what comes. `codings` in the order in which they were applied; one that means nothing is passed over."""

    def __init__(self, codings: Sequence[str], most_bytes: int) -> None:
        self._layers: list[_Layer] = []
        for coding in reversed(codings):
            if coding in _UNREADABLE:
                break  # nor what is in it
            if coding in _GZIP or coding == "deflate":
                self._layers.append(_Layer(coding, most_bytes))
        if len(self._layers) > 2:
            raise CannotUnpack(f"its body is packed {len(self._layers)} times")

    def feed(self, data: bytes) -> bytes:
        """What it unpacks to, up to one byte more than the limit: how much there is after that, nobody asks."""
        for layer in self._layers:
            data = layer.feed(data)
        return data


class _Layer:
    def __init__(self, coding: str, most_bytes: int) -> None:
        self._coding = coding
        self._most_bytes = most_bytes
        self._unpacking: zlib._Decompress | None = None

    def feed(self, data: bytes) -> bytes:
        told = bytearray()
        try:
            while data and len(told) <= self._most_bytes:
                if self._unpacking is None or self._unpacking.eof:  # the next member, if there is one (RFC 1952, 2.2)
                    if self._unpacking is not None and (self._coding == "deflate" or data[0] != _GZIP_BEGINS):
                        break  # padding
                    raw = self._coding == "deflate" and data[0] & 0x0F != 8  # some servers leave zlib's head out
                    self._unpacking = zlib.decompressobj(-15 if raw else 47)
                told += self._unpacking.decompress(data, self._most_bytes + 1 - len(told))
                data = self._unpacking.unused_data
        except zlib.error as error:
            raise CannotUnpack(f"its body is no {self._coding}: {error}") from error
        return bytes(told)
