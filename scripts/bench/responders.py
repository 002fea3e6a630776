"""Something that answers: TCP connections and HTTP requests on every loopback address, in a process of its own.

The one rule it keeps: its work is nobody's measurement. It runs beside what is measured, never inside it. (Pings are
answered by the kernel.)

`python -m scripts.bench.responders` says `{"tcp": port, "http": port}` first, and ends with its standard input.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys

_PAGE = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n"


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


def _accept(listening: socket.socket) -> None:
    """Accept what waits, and hang up."""
    try:
        while True:
            listening.accept()[0].close()
    except BlockingIOError:
        return


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    os.nice(-10)  # a queue of connections that runs over would look like a target that is dead
    plain, pages = _listening(), _listening()
    loop.add_reader(plain.fileno(), _accept, plain)
    await loop.create_server(_Pages, sock=pages, backlog=4096)
    print(json.dumps({"tcp": plain.getsockname()[1], "http": pages.getsockname()[1]}), flush=True)
    ended = asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), lambda: None if os.read(sys.stdin.fileno(), 1) else ended.set())
    await ended.wait()


class Responders:
    """The process, for as long as the block lasts, or until it is stopped: from then on connections are refused."""

    def __init__(self) -> None:
        self.ports: dict[str, int] = {}
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Responders:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "scripts.bench.responders"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        if self._process.stdout is None:
            raise RuntimeError("no pipe to the responders")
        self.ports = json.loads(self._process.stdout.readline())
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End it now."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()


if __name__ == "__main__":
    asyncio.run(_serve())
