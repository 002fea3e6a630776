"""Something that answers: TCP connections and HTTP requests on every loopback address, in a process of its own.

The one rule it keeps: its work is nobody's measurement. It runs beside what is measured, never inside it. (Pings are
answered by the kernel.)

`python -m scripts.bench.responders` says `{"tcp": port, "http": port}` first, and ends with its standard input.
"""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_PAGE = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n"


class _Accepts(asyncio.Protocol):
    """Accepts, and waits until the other side hangs up."""


class _Pages(asyncio.Protocol):
    """One page, whatever is asked for."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        self._transport = transport
        self._heard = b""

    def data_received(self, data: bytes) -> None:
        """Answer at the end of the head."""
        self._heard += data
        if b"\r\n\r\n" in self._heard and isinstance(self._transport, asyncio.Transport):
            self._transport.write(_PAGE)
            self._transport.close()


def _listening() -> socket.socket:
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("0.0.0.0", 0))  # noqa: S104  # every 127.x.y.z; the bench runs in a network namespace of its own
    sock.listen(4096)
    sock.setblocking(False)
    return sock


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    ports = {}
    for name, protocol in (("tcp", _Accepts), ("http", _Pages)):
        sock = _listening()
        await loop.create_server(protocol, sock=sock, backlog=4096)
        ports[name] = sock.getsockname()[1]
    print(json.dumps(ports), flush=True)
    ended = asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), lambda: None if sys.stdin.buffer.read1(1) else ended.set())
    await ended.wait()


@contextmanager
def responders() -> Iterator[dict[str, int]]:
    """Ports by kind, for as long as the block lasts."""
    process = subprocess.Popen(
        [sys.executable, "-m", "scripts.bench.responders"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("no pipes to the responders")
    try:
        yield json.loads(process.stdout.readline())
    finally:
        process.stdin.close()
        process.wait(10)
        process.stdout.close()


if __name__ == "__main__":
    asyncio.run(_serve())
