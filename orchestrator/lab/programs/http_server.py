"""A very small HTTP/1.1 server: one request a connection, then close.

It has what the lab's web page, application, console and receiver need, and no more. So it starts in a tenth of a
second; a dozen of them share two cores (aiohttp takes half a second to import).
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlsplit

REQUEST_BYTES_MAX = 1 << 20
REQUEST_TIMEOUT_S = 10.0

REASONS = {
    200: "OK",
    201: "Created",
    204: "No Content",
    400: "Bad Request",
    401: "Unauthorized",
    404: "Not Found",
    405: "Method Not Allowed",
    413: "Content Too Large",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}


@dataclass(frozen=True)
class Request:
    """One request; header names are in lower case, `path` is unquoted."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> dict[str, object]:
        """The body as a JSON object.

        Raises:
            ValueError: it is no JSON object.
        """
        value = json.loads(self.body)
        if not isinstance(value, dict):
            raise ValueError(f"expected a JSON object, got {type(value).__name__}")
        return value


@dataclass(frozen=True)
class Response:
    """What is answered. `headers` come on top of length, type and `Connection: close`."""

    status: int
    body: bytes = b""
    content_type: str = "text/plain; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of_json(cls, status: int, value: object, headers: Mapping[str, str] | None = None) -> Response:
        """A response with `value` as its JSON body."""
        return cls(status, json.dumps(value).encode() + b"\n", "application/json", headers or {})

    def encoded(self, *, head_only: bool = False) -> bytes:
        """The bytes on the wire."""
        lines = [
            f"HTTP/1.1 {self.status} {REASONS.get(self.status, 'Unknown')}",
            f"Content-Length: {len(self.body)}",
            f"Content-Type: {self.content_type}",
            "Connection: close",
            *(f"{name}: {value}" for name, value in self.headers.items()),
        ]
        head = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
        return head if head_only else head + self.body


Handler = Callable[[Request], Awaitable[Response]]


def parsed_head(head: bytes) -> tuple[str, str, dict[str, str]]:
    """Method, target and headers of a request's head (without the empty line).

    Raises:
        ValueError: this is no HTTP request.
    """
    first, *rest = head.decode("latin-1").split("\r\n")
    words = first.split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1."):
        raise ValueError(f"not an HTTP request line: {first[:80]!r}")
    headers: dict[str, str] = {}
    for line in rest:
        name, colon, value = line.partition(":")
        if not colon:
            raise ValueError(f"not an HTTP header: {line[:80]!r}")
        headers[name.strip().lower()] = value.strip()
    return words[0], words[1], headers


class _Connection(asyncio.Protocol):
    """One connection: gathers one request, answers it, closes."""

    def __init__(self, handler: Handler, tasks: set[asyncio.Task[None]]) -> None:
        self._handler = handler
        self._tasks = tasks
        self._buffer = b""
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._answering = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if not isinstance(transport, asyncio.Transport):
            raise TypeError(f"a stream connection was expected, got {transport!r}")
        self._transport = transport
        self._timer = asyncio.get_running_loop().call_later(REQUEST_TIMEOUT_S, transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        if self._answering:
            return  # one request a connection; what follows it is dropped
        self._buffer += data
        if len(self._buffer) > REQUEST_BYTES_MAX:
            self._send(Response(413, b"the request is too large\n"))
            return
        head, blank, body = self._buffer.partition(b"\r\n\r\n")
        if not blank:
            return
        try:
            method, target, headers = parsed_head(head)
            length = int(headers.get("content-length", "0"))
        except ValueError as error:
            self._send(Response(400, f"{error}\n".encode()))
            return
        if len(body) < length:
            return
        parts = urlsplit(target)
        request = Request(method, unquote(parts.path), dict(parse_qsl(parts.query)), headers, body[:length])
        self._answering = True
        task = asyncio.get_running_loop().create_task(self._answer(request))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, request: Request) -> None:
        try:
            response = await self._handler(request)
        except Exception as error:  # a fault in a handler is that request's answer, never the server's end
            print(f"{request.method} {request.path}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
            response = Response(500, f"{type(error).__name__}: {error}\n".encode())
        self._send(response, head_only=request.method == "HEAD")

    def _send(self, response: Response, *, head_only: bool = False) -> None:
        self._answering = True
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(response.encoded(head_only=head_only))
            self._transport.close()


async def listen(handler: Handler, address: str, port: int) -> asyncio.Server:
    """Serve `handler` on `address` and `port` (0: any free one) until the server is closed.

    Raises:
        OSError: the address cannot be bound.
    """
    tasks: set[asyncio.Task[None]] = set()
    loop = asyncio.get_running_loop()
    return await loop.create_server(lambda: _Connection(handler, tasks), address, port, backlog=512, reuse_address=True)


async def until_told_to_stop() -> None:
    """Return at the first SIGTERM or SIGINT."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await stop.wait()


async def serve(handler: Handler, address: str, ports: Sequence[int]) -> None:
    """Serve `handler` on every port until SIGTERM or SIGINT."""
    for port in ports:
        await listen(handler, address, port)
    await until_told_to_stop()
