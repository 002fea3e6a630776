"""Plain sockets: tied to one way out, connected in time, and what an error of theirs means.

The one rule it keeps: "unreachable" is no reply of the target, wherever it was found out. So it is silence. Only what
this machine refuses by itself (no such source address, not permitted) is "could not ask".
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import os
import socket
from functools import lru_cache

from orchestrator.probes.options import Addressed, Pinned
from orchestrator.probes.results import NotAsked, Refusal, Silence, Unanswerable, WayGone

FAMILIES = {"ipv4": socket.AF_INET, "ipv6": socket.AF_INET6}
_REFUSED = {errno.ECONNREFUSED, errno.ECONNRESET, errno.EPIPE, errno.ECONNABORTED}
_SILENT = {errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ETIMEDOUT, errno.EHOSTDOWN, errno.ENETDOWN, errno.ENONET}


def meaning_of(error: OSError, target: str) -> Silence | Refusal | NotAsked:
    """What an error of a socket says about the target."""
    why = os.strerror(error.errno).lower() if error.errno and error.errno > 0 else str(error)
    if error.errno in _REFUSED:
        return Refusal(f"{target}: {why}")
    if error.errno in _SILENT or isinstance(error, TimeoutError):
        return Silence(f"{target}: {why}")
    return NotAsked(f"cannot ask {target}: {why}")


def meaning_of_look_up(error: OSError | UnicodeError, name: str) -> Silence | Refusal | NotAsked:
    """What this machine's resolver says of a name by an error."""
    code = error.errno if isinstance(error, socket.gaierror) else None
    if code == socket.EAI_NONAME:
        return Refusal(f"name {name} does not exist")
    if code == socket.EAI_NODATA:
        return Refusal(f"name {name} has no address")
    if code == socket.EAI_AGAIN:
        return Silence(f"no answer from this machine's resolver for {name}")
    return NotAsked(f"cannot look up {name}: {getattr(error, 'strerror', None) or error}")


@lru_cache(maxsize=1 << 16)
def family_of(address: str) -> socket.AddressFamily:
    """AF_INET or AF_INET6. Raises ValueError if it is no address."""
    return socket.AF_INET if ipaddress.ip_address(address.partition("%")[0]).version == 4 else socket.AF_INET6


@lru_cache(maxsize=1 << 16)
def is_address(text: str) -> bool:
    """Whether this is an address, not a name."""
    try:
        family_of(text)
    except ValueError:
        return False
    return True


def to_try(found: list[str], options: Addressed) -> list[str]:
    """Those of the addresses of a name that the author wants to be asked."""
    wanted = FAMILIES.get(options.address_family)
    fitting = found if wanted is None else [address for address in found if family_of(address) == wanted]
    return fitting[:1] if options.addresses == "first" else fitting


def pin(sock: socket.socket, pins: Pinned) -> None:
    """Tie a socket to its way out.

    Raises `WayGone` where this machine does not have that way, `Unanswerable` where it does not permit it.
    """
    try:
        if pins.interface is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, pins.interface.encode() + b"\0")
        if pins.mark is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, pins.mark)
        if pins.source is not None:
            sock.bind((pins.source, 0))
    except OSError as error:
        way = ", ".join(
            f"{name} {value}"
            for name, value in (("interface", pins.interface), ("mark", pins.mark), ("source", pins.source))
            if value is not None
        )
        gone = error.errno in (errno.ENODEV, errno.EADDRNOTAVAIL)
        raise (WayGone if gone else Unanswerable)(f"cannot ask from {way}: {error.strerror or error}") from error


def open_socket(address: str, kind: socket.SocketKind, pins: Pinned) -> socket.socket:
    """A non-blocking socket towards an address, tied to its way out. Raises `Unanswerable`."""
    try:
        sock = socket.socket(family_of(address), kind | socket.SOCK_NONBLOCK)
    except OSError as error:
        raise Unanswerable(f"cannot open a socket: {error.strerror or error}") from error
    try:
        pin(sock, pins)
    except BaseException:
        sock.close()
        raise
    return sock


async def connect(address: str, port: int, pins: Pinned) -> socket.socket:
    """A connected TCP socket; the caller bounds the time and closes it. Raises OSError, `Unanswerable`."""
    sock = open_socket(address, socket.SOCK_STREAM, pins)
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(sock, (address, port))
    except BaseException:
        sock.close()
        raise
    return sock
