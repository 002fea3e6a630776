"""A very small HTTP/1.1 client: one request, one connection, one time limit for everything.

The one rule it keeps: *not sent* and *sent, no answer seen* are told apart, because a measurement of acknowledged work
must never take the second for a refusal.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass


class NotSentError(OSError):
    """The request never left: the connection could not be made."""


class NoAnswerError(OSError):
    """The request left and no full answer was seen: what the other side did is unknown."""


@dataclass(frozen=True)
class Answer:
    """An HTTP answer; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def encoded(method: str, target: str, host: str, headers: Mapping[str, str], body: bytes) -> bytes:
    """A request's bytes on the wire, asking the server to close afterwards."""
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", "Connection: close"]
    if body or method in {"POST", "PUT"}:
        lines.append(f"Content-Length: {len(body)}")
    lines.extend(f"{name}: {value}" for name, value in headers.items())
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def decoded(data: bytes, *, at_end: bool, bodyless: bool = False) -> Answer | None:
    """The answer in `data`, or None while it is incomplete.

    Args:
        data: every byte received so far.
        at_end: the other side has closed, so that a body without a length is complete.
        bodyless: the answer to HEAD, which announces a length and sends nothing.

    Raises:
        ValueError: this is no HTTP answer.
    """
    head, blank, body = data.partition(b"\r\n\r\n")
    if not blank:
        return None
    first, *rest = head.decode("latin-1").split("\r\n")
    words = first.split(" ", 2)
    if len(words) < 2 or not words[0].startswith("HTTP/") or not words[1].isdigit():
        raise ValueError(f"not an HTTP answer: {first[:80]!r}")
    status = int(words[1])
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in rest)}
    if bodyless or status in {204, 304}:
        return Answer(status, headers, b"")
    if headers.get("transfer-encoding", "").lower() == "chunked":
        whole = _unchunked(body)
        return None if whole is None else Answer(status, headers, whole)
    if "content-length" in headers:
        length = int(headers["content-length"])
        return Answer(status, headers, body[:length]) if len(body) >= length else None
    return Answer(status, headers, body) if at_end else None


def _unchunked(data: bytes) -> bytes | None:
    whole = b""
    while True:
        size, line_end, data = data.partition(b"\r\n")
        if not line_end:
            return None
        length = int(size.split(b";")[0], 16)
        if length == 0:
            return whole
        if len(data) < length + 2:
            return None
        whole, data = whole + data[:length], data[length + 2 :]


class Exchange(asyncio.Protocol):
    """One request and its answer on one connection; `result` gets an Answer, or NoAnswerError."""

    def __init__(self, request: bytes, *, bodyless: bool = False) -> None:
        self._request = request
        self._bodyless = bodyless
        self._data = b""
        self._transport: asyncio.Transport | None = None
        self.result: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if not isinstance(transport, asyncio.Transport):
            raise TypeError(f"a stream connection was expected, got {transport!r}")
        self._transport = transport
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._data += data
        self._look(at_end=False)

    def connection_lost(self, exc: Exception | None) -> None:
        self._look(at_end=True)
        if not self.result.done():
            why = exc or "closed by the other side"
            self.result.set_exception(NoAnswerError(f"connection lost before the answer: {why}"))

    def _look(self, *, at_end: bool) -> None:
        if self.result.done():
            return
        try:
            answer = decoded(self._data, at_end=at_end, bodyless=self._bodyless)
        except ValueError as error:
            self.result.set_exception(NoAnswerError(str(error)))
            return
        if answer is not None:
            self.result.set_result(answer)
            if self._transport is not None:
                self._transport.close()

    def abort(self) -> None:
        """Drop the connection at once; nobody waits for the result any more."""
        if self._transport is not None:
            self._transport.abort()
        if self.result.done():
            if not self.result.cancelled():
                self.result.exception()  # seen: asyncio need not complain
        else:
            self.result.cancel()


async def exchange(address: str, port: int, request: bytes, timeout_s: float, *, bodyless: bool = False) -> Answer:
    """Send `request` (see `encoded`) to `address`:`port` and return the answer.

    Raises:
        NotSentError: no connection within `timeout_s`, refused, or unreachable.
        NoAnswerError: connected and sent, but no full answer within `timeout_s` (counted from the start).
    """
    loop = asyncio.get_running_loop()
    protocol: Exchange | None = None

    def made() -> Exchange:
        nonlocal protocol
        protocol = Exchange(request, bodyless=bodyless)
        return protocol

    deadline = loop.time() + timeout_s
    try:
        async with asyncio.timeout_at(deadline):
            await loop.create_connection(made, address, port)
    except TimeoutError:
        if protocol is not None and protocol._transport is not None:  # it connected in the very last moment
            protocol.abort()
            raise NoAnswerError("no answer within the limit") from None
        raise NotSentError(f"no connection to {address}:{port} within the limit") from None
    except OSError as error:
        raise NotSentError(f"no connection to {address}:{port}: {error.strerror or error}") from error
    if protocol is None:
        raise NotSentError(f"no connection to {address}:{port}: the protocol was never made")
    try:
        async with asyncio.timeout_at(deadline):
            return await protocol.result
    except TimeoutError:
        raise NoAnswerError("no answer within the limit") from None
    finally:
        protocol.abort()


async def request(
    method: str,
    address: str,
    port: int,
    target: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    timeout_s: float = 2.0,
) -> Answer:
    """`exchange` for callers who have no request ready."""
    data = encoded(method, target, f"{address}:{port}", headers or {}, body)
    return await exchange(address, port, data, timeout_s, bodyless=method == "HEAD")
