"""From a host name to its addresses, by this machine's resolver or by a name server of the author's choice.

The one rule it keeps: a look-up that hangs delays nobody else. Only a thread that waits can ask the system's resolver.
So each look-up has a daemon thread to itself, shared by everybody who asks for the same name meanwhile. A thread that
is done waits for the next look-up; there are as many as look-ups were ever under way at once. An abandoned one ends
when the resolver gives up, and the end of the program does not wait for it. Nothing is remembered.

The number under way at once is shared out among clients as turns are. The names of a client whose site is dark hang
long after their questions, and leave a third to the others.
"""

from __future__ import annotations

import asyncio
import queue
import socket
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

from orchestrator.probes.domain_names import ascii_name
from orchestrator.probes.options import Pinned
from orchestrator.probes.results import NotAsked, Refusal, Silence, Unanswerable
from orchestrator.probes.sockets import is_address, meaning_of, meaning_of_look_up, open_socket
from orchestrator.probes.turns import Turns

Failure = Silence | Refusal | NotAsked
_THREADS_MAX = 256
_OTHER_FAMILY_S = 0.25


class NameFailed(OSError):
    """The name could not be turned into an address; `meaning` says what that says."""

    def __init__(self, meaning: Failure) -> None:
        super().__init__(meaning.why)
        self.meaning = meaning


class Names:
    """Look-ups of one event loop."""

    def __init__(self) -> None:
        self._asked: dict[tuple[str, int], asyncio.Future[list[str]]] = {}
        self._threads = _Threads()
        self._turns = Turns(_THREADS_MAX)
        self._finding: set[asyncio.Task[None]] = set()

    def find(
        self,
        name: str,
        resolver: str | None,
        pins: Pinned,
        within_s: float,
        found: Callable[[list[str] | Failure], None],
        whom: str = "",
        family: int = 0,
    ) -> Callable[[], None]:
        """The same as `addresses`, told to `found` once, within so many seconds; returns what abandons it."""
        task = asyncio.get_running_loop().create_task(self._find(name, resolver, pins, within_s, found, whom, family))
        self._finding.add(task)
        task.add_done_callback(self._finding.discard)

        def abandon() -> None:
            if task is not asyncio.current_task():  # which is telling, and ends by itself
                task.cancel()

        return abandon

    async def _find(
        self,
        name: str,
        resolver: str | None,
        pins: Pinned,
        within_s: float,
        found: Callable[[list[str] | Failure], None],
        whom: str,
        family: int,
    ) -> None:
        told: list[str] | Failure
        try:
            async with asyncio.timeout(within_s):
                told = await self.addresses(name, resolver, pins, family, whom)
        except NameFailed as failed:
            told = failed.meaning
        except TimeoutError:
            told = Silence(f"no address for {name} within {within_s:g} s")
        except Exception as error:
            told = NotAsked(f"cannot look up {name}: {type(error).__name__}: {error}")
        found(told)

    async def addresses(
        self, name: str, resolver: str | None, pins: Pinned, family: int = 0, whom: str = ""
    ) -> list[str]:
        """Its addresses, in the order to try them, for a client. Caller bounds the time. Raises `NameFailed`."""
        if is_address(name):
            return [name]
        try:
            name = ascii_name(name)
        except ValueError as error:
            raise NameFailed(NotAsked(f"{name!r} is no name: {error}")) from error
        if resolver is None:
            return await self._by_system(name, family, whom)
        return await by_server(name, resolver, pins, family)

    def _why_no_room(self, whom: str) -> str:
        if self._turns.in_use < self._turns.limit:  # there is some, for other clients
            return f"{self._turns.held_by(whom)} name look-ups of {whom} hang already: do their name servers answer?"
        return f"{self._turns.in_use} name look-ups hang already: is this machine's resolver dead?"

    async def _by_system(self, name: str, family: int, whom: str) -> list[str]:
        key = (name, family)
        future = self._asked.get(key)
        if future is None:
            if not self._turns.take(whom):
                raise NameFailed(NotAsked(self._why_no_room(whom)))
            loop = asyncio.get_running_loop()
            future = loop.create_future()
            self._asked[key] = future
            future.add_done_callback(partial(self._ended, key, whom))
            self._threads.run(lambda: _look_up(loop, future, name, family))
        return await asyncio.shield(future)

    def _ended(self, key: tuple[str, int], whom: str, done: asyncio.Future[list[str]]) -> None:
        self._asked.pop(key, None)
        self._turns.give_back(whom)
        if not done.cancelled():
            done.exception()  # retrieved, so that nobody logs it


class _Threads:
    """Threads that are there again for the next one when they are done."""

    def __init__(self) -> None:
        self._work: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._idle = 0  # those that wait, less what is laid out for them
        self._turn = threading.Lock()

    def run(self, work: Callable[[], None]) -> None:
        """Have this done at once, by a thread that waits or by a new one."""
        with self._turn:
            self._idle -= 1
            lacking = self._idle < 0
            if lacking:
                self._idle = 0
        if lacking:
            threading.Thread(target=self._go_on, args=(work,), name="look-up", daemon=True).start()
        else:
            self._work.put(work)

    def _go_on(self, work: Callable[[], None]) -> None:
        while True:
            work()
            with self._turn:
                self._idle += 1
            work = self._work.get()


def _look_up(loop: asyncio.AbstractEventLoop, future: asyncio.Future[list[str]], name: str, family: int) -> None:
    found: list[str] = []
    failure: Failure | None = None
    try:
        for row in socket.getaddrinfo(name, None, family, socket.SOCK_STREAM):
            address = str(row[4][0])
            if address not in found:
                found.append(address)
    except (OSError, UnicodeError) as error:
        failure = meaning_of_look_up(error, name)

    def tell() -> None:
        if future.done():
            return
        if failure is None:
            future.set_result(found)
        else:
            future.set_exception(NameFailed(failure))

    try:
        loop.call_soon_threadsafe(tell)
    except RuntimeError:
        return  # the loop is closed: nobody waits any more


async def by_server(name: str, resolver: str, pins: Pinned, family: int = 0) -> list[str]:
    """Ask one name server, as an end user's resolver would (twice, a lost packet is no outage). Raises `NameFailed`."""
    if family:
        found = await _of_one_kind(name, "A" if family == socket.AF_INET else "AAAA", resolver, pins)
    else:
        later = asyncio.ensure_future(_of_one_kind(name, "AAAA", resolver, pins))
        try:
            found = await _of_one_kind(name, "A", resolver, pins)
            if found:  # the other family is asked at the same time, and waited for no longer than its place to be tried
                await asyncio.wait([later], timeout=_OTHER_FAMILY_S)
                found += later.result() if later.done() and later.exception() is None else []
            else:
                found = await later
        finally:
            if later.done():
                later.cancelled() or later.exception()  # retrieved, so that nobody logs it
            else:
                later.cancel()
    if not found:
        one = {0: "address", socket.AF_INET: "ipv4 address", socket.AF_INET6: "ipv6 address"}[family]
        raise NameFailed(Refusal(f"name {name} has no {one}, says {resolver}"))
    return found


async def _of_one_kind(name: str, kind: str, resolver: str, pins: Pinned) -> list[str]:
    rcode, values = await exchange(name, kind, resolver, 53, pins, tries_every_s=0.4)
    if rcode == "NXDOMAIN":
        raise NameFailed(Refusal(f"name {name} does not exist, says {resolver}"))
    if rcode != "NOERROR":
        raise NameFailed(Refusal(f"name server {resolver} answers {rcode} for {name}"))
    return values


async def exchange(
    name: str, kind: str, server: str, port: int, pins: Pinned, *, tries_every_s: float | None = None, tcp: bool = False
) -> tuple[str, list[str]]:
    """One DNS question: the response code and the records' values. Caller bounds the time.

    `server` is `address` or `address:port`. A truncated answer is asked for again over TCP. Raises `NameFailed`.
    """
    import dns.message
    import dns.name
    import dns.rcode
    import dns.rdatatype
    import dns.reversename

    host, port = split_server(server, port)
    try:
        if kind == "PTR" and is_address(name):
            asked = dns.reversename.from_address(name)
        else:
            asked = dns.name.from_text(ascii_name(name))
        query = dns.message.make_query(asked, dns.rdatatype.from_text(kind))
        wire = query.to_wire()
    except Exception as error:  # dnspython has a dozen classes for "not a name"
        raise NameFailed(NotAsked(f"cannot ask for {name} {kind}: {error}")) from error
    try:
        data = None if tcp else await _by_udp(wire, host, port, pins, tries_every_s)
        response = None if data is None or _is_cut(data) else dns.message.from_wire(data, ignore_trailing=True)
        if response is None:
            response = dns.message.from_wire(await _by_tcp(wire, host, port, pins), ignore_trailing=True)
    except OSError as error:
        raise NameFailed(meaning_of(error, f"name server {server}")) from error
    except Unanswerable as error:
        raise NameFailed(NotAsked.of(error)) from error
    except Exception as error:
        raise NameFailed(Refusal(f"name server {server} answers with something that is no DNS: {error}")) from error
    if response.question and not query.is_response(response):  # some leave it out
        raise NameFailed(Refusal(f"name server {server} answers another question than {name} {kind}"))
    wanted, names = dns.rdatatype.from_text(kind), _names_of(response, asked)
    values = [
        rdata.to_text()
        for rrset in response.answer
        if rrset.rdtype == wanted and rrset.name in names
        for rdata in rrset
    ]
    return dns.rcode.to_text(response.rcode()), values


def _is_cut(data: bytes) -> bool:
    """Whether there is more, by TCP: some servers cut a packet in the middle of a record."""
    return len(data) > 2 and bool(data[2] & 0x02)


def _names_of(response: Any, asked: Any) -> set[Any]:
    """The name that was asked for, and those that it is another name of, whatever their order is."""
    import dns.rdatatype

    others = {
        rrset.name: rdata.target for rrset in response.answer if rrset.rdtype == dns.rdatatype.CNAME for rdata in rrset
    }
    names = {asked}
    while asked in others and others[asked] not in names:
        asked = others[asked]
        names.add(asked)
    return names


def split_server(server: str, port: int) -> tuple[str, int]:
    """`192.0.2.1:5353` and `[2001:db8::1]:5353` in two; the port is 53 if it is not given."""
    if is_address(server):
        return server, port
    host, _, tail = server.rpartition(":")
    host = host.strip("[]")
    if not is_address(host) or not tail.isdigit():
        raise NameFailed(NotAsked(f"name server {server!r} is no address"))
    return host, int(tail)


async def _by_udp(wire: bytes, host: str, port: int, pins: Pinned, every_s: float | None) -> bytes:
    loop = asyncio.get_running_loop()
    with open_socket(host, socket.SOCK_DGRAM, pins) as sock:
        await loop.sock_connect(sock, (host, port))  # connected: the kernel drops replies from anybody else
        while True:
            await loop.sock_sendall(sock, wire)
            try:
                async with asyncio.timeout(every_s):
                    while True:
                        data = await loop.sock_recv(sock, 65535)
                        if data[:2] == wire[:2]:
                            return data
            except TimeoutError:
                continue


async def _by_tcp(wire: bytes, host: str, port: int, pins: Pinned) -> bytes:
    from orchestrator.probes.sockets import connect

    loop = asyncio.get_running_loop()
    with await connect(host, port, pins) as sock:
        await loop.sock_sendall(sock, len(wire).to_bytes(2, "big") + wire)
        data = b""
        while len(data) < 2 or len(data) < 2 + int.from_bytes(data[:2], "big"):
            more = await loop.sock_recv(sock, 65535)
            if not more:
                raise ConnectionResetError(104, "connection closed")
            data += more
        return data[2:]
