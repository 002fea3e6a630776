"""The authoritative name server of the client's zone. It takes the zone from Route 53.

    python -m orchestrator.lab.programs.dns --listen ADDRESS --port 53 --zone acme.example --api URL --store FILE
    [--every 0.2]

It waits until the API says that something has changed. If the API cannot say so, the zone is read every `--every`
seconds.

The one rule it keeps: it always serves the last zone it has seen. The API may be gone for any time. After a restart the
zone comes from FILE. Before the very first zone the answer is SERVFAIL, never a false NXDOMAIN.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import cast
from xml.etree.ElementTree import Element

from dnslib import AAAA, CNAME, NS, QTYPE, RCODE, RR, SOA, TXT, A, DNSRecord

from orchestrator.lab.programs import aws_rest, http_server

MODULE = "orchestrator.lab.programs.dns"
EVERY_S = 0.2
CHANGED_WAIT_S = 4.0  # the API answers within two
MESSAGE_BYTES_MAX = 65535
NEGATIVE_TTL_S = 1
TYPES = {"A": A, "AAAA": AAAA, "CNAME": CNAME, "NS": NS, "TXT": TXT}

Zone = dict[str, dict[str, tuple[int, list[str]]]]
"""Name (lower case, final dot) to type to TTL in seconds and values."""


def argv(
    python: str,
    *,
    listen: str,
    api: str,
    port: int = 53,
    zone: str = "acme.example",
    store: str = "/var/lib/lab/zone.json",
) -> tuple[str, ...]:
    """The command line that runs this program."""
    where = ("--listen", listen, "--port", str(port))
    return (python, "-m", MODULE, *where, "--zone", zone, "--api", api, "--store", store)


def zone_of(answer: Element) -> Zone:
    """The zone in Route 53's ListResourceRecordSets; kinds that are not served here are left out."""
    zone: Zone = {}
    for record in aws_rest.elements(answer, "ResourceRecordSet"):
        kind = aws_rest.text(record, "Type")
        values = [(value.text or "").strip() for value in aws_rest.elements(record, "Value")]
        ttl = aws_rest.text(record, "TTL")
        if kind in TYPES and values and ttl.isdigit():
            zone.setdefault(aws_rest.text(record, "Name").lower(), {})[kind] = (int(ttl), values)
    return zone


class NameServer:
    """Answers questions from one zone."""

    def __init__(self, name: str, store: Path) -> None:
        self.name = name.rstrip(".").lower() + "."
        self._store = store
        self._zone: Zone | None = None
        try:
            self._zone = {
                owner: {kind: (ttl, values) for kind, (ttl, values) in kinds.items()}
                for owner, kinds in json.loads(store.read_text(encoding="utf-8")).items()
            }
        except FileNotFoundError:
            pass  # the first start
        except (OSError, ValueError, AttributeError) as error:
            print(f"dns: {store} is of no use: {error}", file=sys.stderr, flush=True)

    def take(self, zone: Zone) -> None:
        """Serve this zone from now on, and after a restart."""
        if zone == self._zone:
            return
        self._zone = zone
        self._store.parent.mkdir(parents=True, exist_ok=True)
        new = self._store.with_suffix(".new")
        new.write_text(json.dumps(zone), encoding="utf-8")
        new.replace(self._store)

    def answer(self, data: bytes) -> bytes | None:
        """The reply to a query, or None when it cannot even be read."""
        try:
            query = DNSRecord.parse(data)
            asked = str(query.q.qname).lower()
            kind = QTYPE.get(query.q.qtype)
        except Exception as error:  # dnslib raises whatever its decoding ran into
            print(f"dns: unreadable query: {error}", file=sys.stderr, flush=True)
            return None
        reply = query.reply(aa=1, ra=0)
        if self._zone is None:
            reply.header.rcode = RCODE.SERVFAIL
        elif asked != self.name and not asked.endswith("." + self.name):
            reply.header.aa = 0
            reply.header.rcode = RCODE.REFUSED
        else:
            self._fill(reply, self._zone, asked, kind)
        return bytes(reply.pack())

    def _fill(self, reply: DNSRecord, zone: Zone, asked: str, kind: str) -> None:
        owner = asked
        for _ in range(8):  # a CNAME inside the zone is followed, a circle of them is not
            kinds = zone.get(owner, {})
            shown = kinds if kind == "ANY" else {name: kinds[name] for name in (kind, "CNAME") if name in kinds}
            for name, (ttl, values) in shown.items():
                for value in values:
                    data = TYPES[name](value.strip('"') if name == "TXT" else value)
                    reply.add_answer(RR(owner, getattr(QTYPE, name), ttl=ttl, rdata=data))
            if kind in kinds or "CNAME" not in kinds:
                break
            owner = kinds["CNAME"][1][0].lower()
        if not reply.rr:
            inside = any(name == asked or name.endswith("." + asked) for name in (*zone, self.name))
            reply.header.rcode = RCODE.NOERROR if inside else RCODE.NXDOMAIN
            times = (1, 60, 60, 3600, NEGATIVE_TTL_S)
            soa = SOA(f"ns.{self.name}", f"hostmaster.{self.name}", times)
            reply.add_auth(RR(self.name, QTYPE.SOA, ttl=NEGATIVE_TTL_S, rdata=soa))


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: NameServer) -> None:
        self._server = server
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)  # Python 3.11's is no instance of it

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        reply = self._server.answer(data)
        if reply is not None and self._transport is not None:
            self._transport.sendto(reply, addr)


async def _stream(server: NameServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        async with asyncio.timeout(5.0):
            while True:
                length = int.from_bytes(await reader.readexactly(2), "big")
                reply = server.answer(await reader.readexactly(length))
                if reply is None:
                    break
                writer.write(len(reply).to_bytes(2, "big") + reply)
                await writer.drain()
    except (TimeoutError, OSError, asyncio.IncompleteReadError):
        pass  # the client has gone
    finally:
        writer.close()


async def follow(server: NameServer, url: str, every_s: float) -> None:
    """Take the zone from Route 53 as it changes, for ever; say so once when the API goes away and when it is back."""
    api = aws_rest.Api(url)
    zone_path = ""
    trouble = ""
    changes = ""
    while True:
        waits = False
        try:
            if not zone_path:
                found = await api.call("route53", "GET", f"/2013-04-01/hostedzonesbyname?dnsname={server.name}")
                for zone in aws_rest.elements(aws_rest.parsed(found), "HostedZone"):
                    if aws_rest.text(zone, "Name").lower() == server.name:
                        zone_path = aws_rest.text(zone, "Id")
                if not zone_path:
                    raise aws_rest.ApiError(f"Route 53 has no zone {server.name}")
            answer = await api.call("route53", "GET", f"/2013-04-01{zone_path}/rrset?maxitems=300")
            server.take(zone_of(aws_rest.parsed(answer)))
            if trouble:
                print("dns: the zone is being followed again", file=sys.stderr, flush=True)
            trouble = ""
            changes = await _changes(api, changes)
            waits = bool(changes)
        except aws_rest.ApiError as error:
            zone_path = changes = ""  # a cloud that was started anew has given it another id
            if not trouble:
                print(f"dns: serving the last zone: {error}", file=sys.stderr, flush=True)
            trouble = str(error)
        if not waits:
            await asyncio.sleep(every_s)


async def _changes(api: aws_rest.Api, known: str) -> str:
    """The number of changes, once it is not the known one any more (or after some seconds); empty: nobody counts."""
    try:
        answer = await api.call("route53", "GET", f"/lab/changed?after={known}", timeout_s=CHANGED_WAIT_S)
    except aws_rest.ApiError as error:
        if "404" in str(error):
            return ""
        raise
    return answer.body.decode(errors="replace").strip()


async def listen(server: NameServer, address: str, port: int) -> tuple[asyncio.DatagramTransport, asyncio.Server]:
    """Serve UDP and TCP on one port; 0: on one that is free, and TCP chooses, of which far more are in use."""
    loop = asyncio.get_running_loop()
    streams = await asyncio.start_server(lambda reader, writer: _stream(server, reader, writer), address, port)
    bound = streams.sockets[0].getsockname()[1]
    datagrams, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(server), local_addr=(address, bound))
    return datagrams, streams


async def run(server: NameServer, address: str, port: int, api: str, every_s: float) -> None:
    """Serve and follow until SIGTERM."""
    await listen(server, address, port)
    following = asyncio.get_running_loop().create_task(follow(server, api, every_s))
    await http_server.until_told_to_stop()
    following.cancel()


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(prog="dns")
    parser.add_argument("--listen", required=True)
    parser.add_argument("--port", type=int, default=53)
    parser.add_argument("--zone", required=True)
    parser.add_argument("--api", required=True)
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--every", type=float, default=EVERY_S)
    given = parser.parse_args(arguments)
    asyncio.run(run(NameServer(given.zone, given.store), given.listen, given.port, given.api, given.every))


if __name__ == "__main__":
    main()
