"""One HTTP response as it comes in: head, body up to a limit, and when it is complete.

The one rule it keeps: it gets bytes and is asked for the result. It knows neither sockets nor time. It uses no
library's parser: llhttp, which Node.js and aiohttp use, refuses what browsers show (see `http_head.py`).
"""

from __future__ import annotations

from collections.abc import Iterable

from orchestrator.probes.charsets import text_of
from orchestrator.probes.http_chunks import Chunks
from orchestrator.probes.http_head import Head, NoResponse, end_of_head, read_head
from orchestrator.probes.unpacking import CannotUnpack, Unpacking

__all__ = ["NoResponse", "Response"]

BODY_MAX_BYTES = 1 << 20
HEAD_MAX_BYTES = 1 << 16
AROUND_MAX_BYTES = 1 << 20  # sizes of chunks, what is said beside them, trailers
_SWITCHING = 101
_WITHOUT_BODY = (_SWITCHING, 204, 304)


class Response:
    """Feed it until it is `complete`. `status` is 0 until the head has come."""

    def __init__(self, *, head_only: bool, body_max_bytes: int = BODY_MAX_BYTES) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}  # by their names in small letters; each of several values on a line
        self.location = ""
        self.complete = False
        self.cut = False  # there was more than the limit
        self._body_max_bytes = body_max_bytes
        self._head_only = head_only
        self._fed_bytes = 0
        self._body_bytes = 0  # as they came, packed
        self._begun = bytearray()  # of a head
        self._body = bytearray()
        self._left: int | None = None  # of the body, if it has a length
        self._chunks: Chunks | None = None
        self._unpacking: Unpacking | None = None

    def feed(self, data: bytes) -> None:
        """Take in what has come. Raises `NoResponse`."""
        self._fed_bytes += len(data)
        if self._fed_bytes - self._body_bytes > HEAD_MAX_BYTES + AROUND_MAX_BYTES:
            raise NoResponse(f"more than {AROUND_MAX_BYTES} bytes came that are neither its head nor its body")
        if not self.status:
            data = self._take_head(data)
        if self.status and not self.complete:
            self._take_body(data)

    def feed_end(self) -> None:
        """The connection was closed. Raises `NoResponse` where something was still to come."""
        if self.complete:
            return
        if not self._fed_bytes:
            raise NoResponse("connection closed before any response")
        if not self.status:
            raise NoResponse("connection closed within the head of the response")
        if self._left is not None or self._chunks is not None:
            raise NoResponse("connection closed before the body had come")
        self.complete = True

    def first(self, name: str) -> str:
        """The first value of a header; empty if there is none."""
        return self.headers.get(name, "").partition("\n")[0]

    @property
    def text(self) -> str:
        """The body so far."""
        return text_of(self._body, self.first("content-type"))

    def _take_head(self, data: bytes) -> bytes:
        """What is after it; interim responses (103) are passed over."""
        begun, looked_at = self._begun, len(self._begun)
        begun += data
        while begun and not self.status:
            blank = len(begun) - len(begun.lstrip(b"\r\n"))
            del begun[:blank]
            end = end_of_head(begun, looked_at) if begun else 0
            if not end:
                break
            head, looked_at = read_head(bytes(begun[:end])), 0
            del begun[:end]
            if head.status >= 200 or head.status == _SWITCHING:
                self._begin(head)
        if not self.status and self._fed_bytes > HEAD_MAX_BYTES:
            raise NoResponse(f"its head is longer than {HEAD_MAX_BYTES} bytes")
        rest, self._begun = bytes(begun), begun if not self.status else bytearray()
        return rest

    def _begin(self, head: Head) -> None:
        self.status, self.headers, self.location = head.status, head.headers, head.location
        self.complete = self._head_only or head.status in _WITHOUT_BODY or head.length == 0
        self._left = head.length
        self._chunks = Chunks() if head.chunked else None
        try:
            self._unpacking = Unpacking(head.codings, self._body_max_bytes)
        except CannotUnpack as error:
            raise NoResponse(str(error)) from error

    def _take_body(self, data: bytes) -> None:
        pieces: Iterable[bytes] = (data,)
        if self._chunks is not None:
            pieces = self._chunks.feed(data)
        elif self._left is not None:
            pieces = (data[: self._left],)
            self._left -= len(data[: self._left])
        for piece in pieces:
            self._take(piece)
            if self.complete:
                return
        self.complete = self._left == 0 or (self._chunks is not None and self._chunks.complete)

    def _take(self, data: bytes) -> None:
        self._body_bytes += len(data)
        try:
            self._body += self._unpacking.feed(data) if self._unpacking is not None else data
        except CannotUnpack as error:
            raise NoResponse(str(error)) from error
        if self._body_bytes > 2 * self._body_max_bytes:  # it unpacks to nothing
            self.complete = self.cut = True
        if len(self._body) > self._body_max_bytes:
            del self._body[self._body_max_bytes :]
            self.complete = self.cut = True
