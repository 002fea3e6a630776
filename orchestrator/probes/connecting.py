"""A connection to the first of some addresses that accepts it, without a task.

The one rule it keeps: whoever asked is told once: a connected socket that is then theirs to close, or why there is
none. Where a name has several addresses the next one is tried after a quarter of a second, or as soon as one is
refused, as an end user's program does (RFC 8305). The round-trip is the kernel's own, from its first packet to the
answer.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import Callable, Sequence

from orchestrator.probes.options import Pinned
from orchestrator.probes.results import Refusal, Silence, Unanswerable
from orchestrator.probes.sockets import meaning_of, open_socket

NEXT_AFTER_S = 0.25
_IN_PROGRESS = (0, 115)  # EINPROGRESS
_TCP_INFO_BYTES = 104
_RTT_US = 68  # where it is in struct tcp_info (linux/tcp.h)
_RTT_AND_RETRANSMITTED = struct.Struct("=I28xI")

Connected = Callable[[socket.socket | OSError | Unanswerable, float], None]
"""The socket and its round-trip in seconds; or an error and 0: of several the one that says most of the target."""


class Connecting:
    """One connection on its way."""

    __slots__ = ("_began", "_error", "_loop", "_pins", "_port", "_rest", "_sockets", "_tell", "_timer", "over")

    def __init__(self, addresses: Sequence[str], port: int, pins: Pinned, tell: Connected) -> None:
        self._loop = asyncio.get_running_loop()
        self._rest = list(addresses)
        self._port = port
        self._pins = pins
        self._tell = tell
        self._sockets: dict[socket.socket, float] = {}  # on their way, and since when
        self._timer: asyncio.TimerHandle | None = None
        self._error: OSError | Unanswerable | None = None
        self.over = False

    def begin(self) -> None:
        """Try the next address."""
        address = self._rest.pop(0)
        loop = self._loop
        try:
            sock = open_socket(address, socket.SOCK_STREAM, self._pins)
        except Unanswerable as error:
            self._failed(error)
            return
        began = loop.time()
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            errno = sock.connect_ex((address, self._port))
        except OSError as error:
            sock.close()
            self._failed(error)
            return
        if errno not in _IN_PROGRESS:
            sock.close()
            self._failed(OSError(errno, os.strerror(errno)))
            return
        self._sockets[sock] = began
        loop.add_writer(sock.fileno(), self._writable, sock)
        if self._rest:
            self._timer = loop.call_later(NEXT_AFTER_S, self.begin)

    def _writable(self, sock: socket.socket) -> None:
        self._loop.remove_writer(sock.fileno())
        began = self._sockets.pop(sock)
        errno = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if errno:
            sock.close()
            self._failed(OSError(errno, os.strerror(errno)))
            return
        rtt_s = _round_trip_s(sock, self._loop.time() - began)
        self.abandon()
        self._tell(sock, rtt_s)

    def _failed(self, error: OSError | Unanswerable) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._error is None or _weight(error) > _weight(self._error):
            self._error = error
        if self._rest:
            self.begin()
        elif not self._sockets:
            self.over = True
            self._tell(self._error, 0.0)

    def abandon(self) -> None:
        """Give up what is still on its way."""
        self.over = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._rest.clear()
        for sock in self._sockets:
            self._loop.remove_writer(sock.fileno())
            sock.close()
        self._sockets.clear()


def _weight(error: OSError | Unanswerable) -> int:
    """A refusal is the target's own word; "unreachable" may be this machine's fault; not asked says least."""
    if isinstance(error, Unanswerable):
        return 0
    meaning = meaning_of(error, "")
    return 3 if isinstance(meaning, Refusal) else 2 if isinstance(meaning, Silence) else 1


def _round_trip_s(sock: socket.socket, waited_s: float) -> float:
    """The handshake's round-trip as the kernel measured it; what this loop waited, where it did not or sent twice."""
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
    except OSError:
        return waited_s
    if len(info) < _TCP_INFO_BYTES:
        return waited_s
    rtt_us, again = _RTT_AND_RETRANSMITTED.unpack_from(info, _RTT_US)
    return min(waited_s, rtt_us / 1e6) if rtt_us and not again else waited_s
