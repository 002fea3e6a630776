"""ICMP echo on one shared raw socket for each way out of this machine.

The one rule it keeps: a reply counts only for the question to which it belongs. It must come from the address that was
asked, with that question's id and sequence number and with this process's own cookie in its payload. A router's
"unreachable" is no reply; it is only added to the silence as a remark. The kernel tells when a reply came, because this
loop may read late. (icmplib's own asynchronous ping opens a socket for each host and took another host's reply for a
dead one's. Its `send` looks the address up and sets two options for each packet. So its sockets are used here, its
sending and waiting are not.)
"""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import struct
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from icmplib import ICMPv4Socket, ICMPv6Socket
from icmplib.exceptions import ICMPLibError, SocketPermissionError

from orchestrator.probes.options import Pinned
from orchestrator.probes.results import Unanswerable
from orchestrator.probes.sockets import family_of, pin

_SO_RCVBUFFORCE = 33
_SO_TIMESTAMPNS = 35
_ICMP_FILTER = 1
_BUFFER_BYTES = 8 << 20  # some ten thousand replies, while this loop is busy with something else
_READ_AT_ONCE = 256
_REQUEST = {socket.AF_INET: 8, socket.AF_INET6: 128}
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


_HEADER = struct.Struct("!BBHHH")
_NUMBERS = struct.Struct("!HH")
_STAMP = struct.Struct("=qq")


class Ping:
    """One packet on its way. `rtt_s` once its reply has come: then `heard` was called."""

    __slots__ = ("address", "heard", "key", "notes", "rtt_s", "sender", "sent_ns", "sent_wall_ns")

    def __init__(self, address: str, sender: str, key: tuple[int, int], heard: Callable[[Ping], None]) -> None:
        self.address = address
        self.sender = sender  # as the kernel will name it
        self.key = key
        self.heard = heard
        self.rtt_s: float | None = None
        self.notes: tuple[str, ...] = ()  # what routers said of it
        self.sent_wall_ns = time.time_ns()
        self.sent_ns = time.monotonic_ns()


class Echo:
    """The shared socket of one way out."""

    def __init__(self, family: socket.AddressFamily, pins: Pinned) -> None:
        make = ICMPv4Socket if family == socket.AF_INET else ICMPv6Socket
        self._family = family
        self.closed = False
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
            try:
                sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER_BYTES)
            except PermissionError:
                sock.setsockopt(
                    socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES
                )  # as far as net.core.rmem_max lets us
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
        self._payloads: dict[
            int, tuple[bytes, int]
        ] = {}  # by size: the bytes, and the sum of all words but id and sequence
        self._loop.add_reader(sock.fileno(), self._read)

    def send(self, address: str, payload_size: int, heard: Callable[[Ping], None]) -> Ping:
        """Send one packet; `heard` is called with it when its reply has come. Raises OSError, `Unanswerable`."""
        sockaddr, sender = _where(address) if "%" not in address else _where.__wrapped__(address)
        key = self._free_key()
        payload, words = self._payloads.get(payload_size) or self._payload(payload_size)
        total = words + key[0] + key[1]
        total = (total & 0xFFFF) + (total >> 16)
        checksum = ~(total + (total >> 16)) & 0xFFFF  # the kernel's own for ICMPv6, which needs the addresses too
        packet = _HEADER.pack(_REQUEST[self._family], 0, checksum, key[0], key[1]) + payload
        ping = self._waiting[key] = Ping(address, sender, key, heard)
        try:
            self._sock.sendto(packet, sockaddr)
        except BaseException:
            del self._waiting[key]
            raise
        return ping

    def _free_key(self) -> tuple[int, int]:
        """The next id and sequence number that nobody waits with; a later id where sequence numbers wrap."""
        for _ in range(0x10000):
            self._sequence = (self._sequence + 1) & 0xFFFF
            if self._sequence == 0 and self._raw:
                self._id = (self._id + 1) & 0xFFFF
            key = (self._id, self._sequence)
            if key not in self._waiting:
                return key
        raise Unanswerable("65536 pings wait for a reply already")

    def _payload(self, size: int) -> tuple[bytes, int]:
        payload = self._cookie + bytes(max(0, size - len(self._cookie)))
        words = struct.unpack(f"!{len(self._cookie) // 2}H", self._cookie)
        self._payloads[size] = payload, (_REQUEST[self._family] << 8) + sum(words)
        return self._payloads[size]

    def drain(self) -> None:
        """Read whatever has come by now: before somebody's silence is believed."""
        while self._read() == _READ_AT_ONCE:
            pass

    def forget(self, ping: Ping) -> None:
        """Nobody waits for this one any more: a reply that comes now is no reply."""
        if self._waiting.get(ping.key) is ping:
            del self._waiting[ping.key]

    def close(self) -> None:
        """Stop listening."""
        self.closed = True
        self._loop.remove_reader(self._sock.fileno())
        self._icmp.close()

    def _read(self) -> int:
        """Take in what has come; how many there were, and no more than so many: then the loop does something else."""
        receive, take = self._sock.recvmsg, self._take
        for count in range(_READ_AT_ONCE):
            try:
                data, ancillary, _flags, sender = receive(2048, 128)
            except (BlockingIOError, InterruptedError):
                return count
            except OSError:
                if self._sock.fileno() < 0:  # closed by whoever heard the last one
                    return count
                continue  # an error that the kernel queued for an earlier packet; the timeout speaks for it
            arrived_wall_ns = None
            for level, kind, value in ancillary:
                if kind == _SO_TIMESTAMPNS and level == socket.SOL_SOCKET and len(value) >= 16:
                    seconds, nanoseconds = _STAMP.unpack_from(value)
                    arrived_wall_ns = seconds * 1_000_000_000 + nanoseconds
            take(data, sender[0], time.monotonic_ns(), arrived_wall_ns)
        return _READ_AT_ONCE

    def _take(self, data: bytes, sender: str, now_ns: int, arrived_wall_ns: int | None) -> None:
        header = (
            (data[0] & 0x0F) * 4 if self._raw and self._family == socket.AF_INET and data else 0
        )  # options included
        if len(data) < header + 8:
            return
        kind, code = data[header], data[header + 1]
        reply, *errors = _WANTED[self._family]
        if kind == reply:
            ping = self._waiting.get(_NUMBERS.unpack_from(data, header + 4))
            if ping is None or sender.partition("%")[0] != ping.sender:
                return
            if data[header + 8 : header + 16] != self._cookie:
                return
            del self._waiting[ping.key]
            took_ns = now_ns - ping.sent_ns
            if arrived_wall_ns is not None and 0 < arrived_wall_ns - ping.sent_wall_ns < took_ns:
                took_ns = arrived_wall_ns - ping.sent_wall_ns  # the kernel saw it before this loop did
            ping.rtt_s = took_ns / 1e9
            ping.heard(ping)
        elif kind in errors and self._raw:
            self._note(
                data[header + 8 :], sender, _SAYS.get((self._family, kind, code), f"ICMP type {kind} code {code}")
            )

    def _note(self, quoted: bytes, sender: str, says: str) -> None:
        if not quoted:
            return
        header = (quoted[0] & 0x0F) * 4 if self._family == socket.AF_INET else 40
        inner = quoted[header : header + 8]
        if len(inner) < 8:
            return
        ping = self._waiting.get((int.from_bytes(inner[4:6], "big"), int.from_bytes(inner[6:8], "big")))
        if ping is not None and len(ping.notes) < 4:
            ping.notes += (f"{sender} says {says}",)


@lru_cache(maxsize=1 << 16)
def _where(address: str) -> tuple[Any, str]:
    """An address as the kernel takes it, and as it will name it; with a zone only as long as its interface lives."""
    row = socket.getaddrinfo(address, None, type=socket.SOCK_RAW, flags=socket.AI_NUMERICHOST)[0]
    sockaddr = row[4]
    return sockaddr, str(sockaddr[0]).partition("%")[0]


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
