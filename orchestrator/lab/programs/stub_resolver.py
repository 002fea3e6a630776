"""A stub resolver with a cache, as an end user's machine has one: an answer is kept for its TTL and no longer.

The one rule it keeps: an address older than its TTL is never used. If a name server does not answer, that is an error,
and no reason to serve what was true a minute ago.
"""

from __future__ import annotations

import asyncio
import secrets
from ipaddress import ip_address

from dnslib import QTYPE, RCODE, DNSQuestion, DNSRecord

TRIES = 3
TRY_TIMEOUT_S = 0.3


class ResolveError(Exception):
    """The name has no address now: no answer, or an answer without one."""


class _Questions(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.pending: dict[int, asyncio.Future[DNSRecord]] = {}

    def datagram_received(self, data: bytes, addr: object) -> None:
        try:
            record = DNSRecord.parse(data)
        except Exception:  # dnslib raises whatever its decoding ran into; garbage is no answer
            return
        future = self.pending.get(record.header.id)
        if future is not None and not future.done():
            future.set_result(record)

    def error_received(self, exc: Exception) -> None:
        for future in self.pending.values():
            if not future.done():
                future.set_exception(ResolveError(f"name server: {exc}"))


class StubResolver:
    """Addresses of names, from one name server. An address given as a name is returned as it is."""

    def __init__(self, server: str, port: int = 53) -> None:
        self._server = server
        self._port = port
        self._protocol: _Questions | None = None
        self._transport: asyncio.DatagramTransport | None = None
        self._cache: dict[str, tuple[float, str]] = {}
        self._asking: dict[str, asyncio.Task[str]] = {}

    async def resolve(self, name: str) -> str:
        """The name's IPv4 address, from the cache while its TTL lasts. Callers share one question.

        Raises:
            ResolveError: no such name, no address, or no answer.
        """
        cached = self._cache.get(name)
        if cached is not None and asyncio.get_running_loop().time() < cached[0]:
            return cached[1]
        try:
            return str(ip_address(name))
        except ValueError:
            pass  # a name
        task = self._asking.get(name)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._ask(name))
            self._asking[name] = task
            task.add_done_callback(lambda done: self._asked(name, done))
        return await asyncio.shield(task)

    def close(self) -> None:
        """Close the socket."""
        if self._transport is not None:
            self._transport.close()

    def _asked(self, name: str, task: asyncio.Task[str]) -> None:
        self._asking.pop(name, None)
        if not task.cancelled():
            task.exception()  # seen: the callers may have given up already

    async def _ask(self, name: str) -> str:
        loop = asyncio.get_running_loop()
        if self._protocol is None or self._transport is None or self._transport.is_closing():
            self._transport, self._protocol = await loop.create_datagram_endpoint(
                _Questions, remote_addr=(self._server, self._port)
            )
        query = DNSRecord(q=DNSQuestion(name, QTYPE.A))
        query.header.id = secrets.randbelow(1 << 16)
        future: asyncio.Future[DNSRecord] = loop.create_future()
        self._protocol.pending[query.header.id] = future
        try:
            for _ in range(TRIES):
                sent = loop.time()
                self._transport.sendto(query.pack())
                done, _ = await asyncio.wait({future}, timeout=TRY_TIMEOUT_S)
                if done:
                    return self._keep(name, future.result(), sent)
        finally:
            del self._protocol.pending[query.header.id]
        raise ResolveError(f"{name}: no answer from {self._server} within {TRIES * TRY_TIMEOUT_S:.1f} s")

    def _keep(self, name: str, record: DNSRecord, sent: float) -> str:
        if record.header.rcode != RCODE.NOERROR:
            raise ResolveError(f"{name}: {RCODE.get(record.header.rcode)}")
        addresses = [answer for answer in record.rr if answer.rtype == QTYPE.A]
        if not addresses:
            raise ResolveError(f"{name}: no address")
        address = str(addresses[0].rdata)
        self._cache[name] = (sent + min(answer.ttl for answer in record.rr), address)
        return address
