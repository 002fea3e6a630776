"""ICMP echo on one shared raw socket for each way out of this machine.

The one rule it keeps: a reply counts only for the question it belongs to. It must come from the address that was
asked, with that question's id and sequence number and with this process's own cookie in its payload; a router's
"unreachable" is no reply, and only annotates the silence. (icmplib's own asynchronous ping opens a socket a host and
took another host's reply for a dead one's; its sockets and requests are used here, its waiting is not.)
"""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import struct
import time
from dataclasses import dataclass, field

from icmplib import ICMPRequest, ICMPv4Socket, ICMPv6Socket
from icmplib.exceptions import ICMPLibError, SocketPermissionError

from orchestrator.probes.kind import Pinned, Unanswerable
from orchestrator.probes.sockets import family_of, pin

_SO_TIMESTAMPNS = 35
_ICMP_FILTER = 1
_WANTED = {socket.AF_INET: (0, 3, 11), socket.AF_INET6: (129, 1, 3)}  # echo reply, unreachable, time exceeded
_SAYS = {
    (socket.AF_INET, 3, 0): "network unreachable",
    (socket.AF_INET, 3, 1): "host unreachable",
    (socket.AF_INET, 3, 2): "protocol unreachable",
    (socket.AF_INET, 3, 3): "port unreachable",
    (socket.AF_INET, 3, 9): "network prohibited",
    (socket.AF_INET, 3, 10): "host prohibited",
    (socket.AF_INET, 3, 13): "prohibited",
    (socket.AF_INET, 11, 0): "time to live exceeded",
    (socket.AF_INET6, 1, 0): "no route",
    (socket.AF_INET6, 1, 3): "address unreachable",
}


@dataclass(slots=True)
class Ping:
    """One packet on its way."""

    address: str
    sent_wall_ns: int
    sent_ns: int
    arrived: asyncio.Future[float]
    notes: list[str] = field(default_factory=list)  # what routers said of it


class Echo:
    """The shared socket of one way out."""

    def __init__(self, family: socket.AddressFamily, pins: Pinned) -> None:
        make = ICMPv4Socket if family == socket.AF_INET else ICMPv6Socket
        self._family = family
        self._loop = asyncio.get_running_loop()
        try:
            try:
                self._icmp = make(privileged=True)
                self._raw = True
            except SocketPermissionError:
                self._icmp = make(privileged=False)
                self._raw = False
        except ICMPLibError as error:
            raise Unanswerable(
                "cannot open an ICMP socket: give this program CAP_NET_RAW, or its group net.ipv4.ping_group_range"
            ) from error
        sock: socket.socket = self._icmp.sock
        self._sock = sock
        try:
            pin(sock, pins)
            if not self._raw and pins.source is None:
                # bound at once, so that the kernel's id for us is known before the first packet
                sock.bind(("0.0.0.0" if family == socket.AF_INET else "::", 0))  # noqa: S104
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
            sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
            if self._raw and family == socket.AF_INET:
                unwanted = 0xFFFFFFFF & ~sum(1 << kind for kind in _WANTED[family])
                sock.setsockopt(
                    socket.SOL_RAW if hasattr(socket, "SOL_RAW") else 255, _ICMP_FILTER, struct.pack("=I", unwanted)
                )
        except OSError as error:
            self._icmp.close()
            raise Unanswerable(f"cannot set up an ICMP socket: {error}") from error
        except Unanswerable:
            self._icmp.close()
            raise
        self._cookie = os.urandom(8)
        self._id = secrets.randbelow(0x10000) if self._raw else int(sock.getsockname()[1])
        self._sequence = secrets.randbelow(0x10000)
        self._waiting: dict[tuple[int, int], Ping] = {}
        self._loop.add_reader(sock.fileno(), self._read)

    def send(self, address: str, payload_size: int) -> tuple[tuple[int, int], Ping]:
        """Send one packet; the ping's future becomes the round-trip in seconds. Raises OSError, `Unanswerable`."""
        for _ in range(0x10000):
            self._sequence = (self._sequence + 1) & 0xFFFF
            if self._sequence == 0 and self._raw:
                self._id = (self._id + 1) & 0xFFFF
            key = (self._id, self._sequence)
            if key not in self._waiting:
                break
        else:
            raise Unanswerable("65536 pings wait for a reply already")
        payload = self._cookie + bytes(max(0, payload_size - len(self._cookie)))
        request = ICMPRequest(address, key[0], key[1], payload=payload)
        ping = Ping(address, time.time_ns(), time.monotonic_ns(), self._loop.create_future())
        self._waiting[key] = ping
        try:
            self._icmp.send(request)
        except ICMPLibError as error:
            del self._waiting[key]
            cause = error.__context__
            if isinstance(cause, OSError):
                raise cause from None
            raise Unanswerable(f"cannot send a ping to {address}: {error}") from error
        return key, ping

    def forget(self, key: tuple[int, int]) -> None:
        """Nobody waits for this one any more: a reply that comes now is no reply."""
        self._waiting.pop(key, None)

    def close(self) -> None:
        """Stop listening."""
        self._loop.remove_reader(self._sock.fileno())
        self._icmp.close()

    def _read(self) -> None:
        for _ in range(256):  # then let the loop do something else
            try:
                data, ancillary, _flags, sender = self._sock.recvmsg(2048, 128)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                continue  # an error that the kernel queued for an earlier packet; the timeout speaks for it
            now_ns = time.monotonic_ns()
            arrived_wall_ns = None
            for level, kind, value in ancillary:
                if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS and len(value) >= 16:
                    seconds, nanoseconds = struct.unpack("=qq", value[:16])
                    arrived_wall_ns = seconds * 1_000_000_000 + nanoseconds
            self._take(data, str(sender[0]).partition("%")[0], now_ns, arrived_wall_ns)

    def _take(self, data: bytes, sender: str, now_ns: int, arrived_wall_ns: int | None) -> None:
        if self._raw and self._family == socket.AF_INET:
            data = data[(data[0] & 0x0F) * 4 :]  # the IP header, options included
        if len(data) < 8:
            return
        kind, code = data[0], data[1]
        reply, *errors = _WANTED[self._family]
        if kind == reply:
            ping = self._waiting.get(struct.unpack("!HH", data[4:8]))
            if ping is None or ping.arrived.done() or sender != ping.address.partition("%")[0]:
                return
            if data[8:16] != self._cookie:
                return
            took_ns = now_ns - ping.sent_ns
            if arrived_wall_ns is not None and 0 < arrived_wall_ns - ping.sent_wall_ns < took_ns:
                took_ns = arrived_wall_ns - ping.sent_wall_ns  # the kernel saw it before this loop did
            ping.arrived.set_result(took_ns / 1e9)
        elif kind in errors and self._raw:
            self._note(data[8:], sender, _SAYS.get((self._family, kind, code), f"ICMP type {kind} code {code}"))

    def _note(self, quoted: bytes, sender: str, says: str) -> None:
        if not quoted:
            return
        header = (quoted[0] & 0x0F) * 4 if self._family == socket.AF_INET else 40
        inner = quoted[header : header + 8]
        if len(inner) < 8:
            return
        ping = self._waiting.get(struct.unpack("!HH", inner[4:8]))
        if ping is not None and len(ping.notes) < 4:
            ping.notes.append(f"{sender} says {says}")


class Echoes:
    """All shared sockets of one event loop, by family and way out."""

    def __init__(self) -> None:
        self._open: dict[tuple[int, str | None, str | None, int | None], Echo] = {}

    def towards(self, address: str, pins: Pinned) -> Echo:
        """The socket for this way out. Raises `Unanswerable`."""
        family = family_of(address)
        key = (int(family), pins.source, pins.interface, pins.mark)
        if key not in self._open:
            self._open[key] = Echo(family, pins)
        return self._open[key]

    def drop(self, echo: Echo) -> None:
        """Close one whose way out has changed under it; the next question opens another."""
        for key, known in list(self._open.items()):
            if known is echo:
                del self._open[key]
                echo.close()

    def close(self) -> None:
        """Close them all."""
        for echo in self._open.values():
            echo.close()
        self._open.clear()
