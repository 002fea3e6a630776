"""dns: what a name server says."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import dnslib
import pytest

from orchestrator.core.events import Answer
from orchestrator.probes.dns import DnsOptions
from orchestrator.probes.dns_values import plain
from tests.probes.conftest import Ask, NameServer


def at(name_server: NameServer, record: str, **more: Any) -> dict[str, Any]:
    """Options to ask the tests' name server."""
    return {"server": "127.0.0.1", "port": name_server.port, "record": record, **more}


async def test_a_record_and_its_value(ask: Ask, name_server: NameServer) -> None:
    name_server.records[("a.example.", "A")] = ["192.0.2.1"]
    assert (await ask("dns", **at(name_server, "a.example"))).answer is Answer.GOOD
    assert (await ask("dns", **at(name_server, "a.example", expect="192.0.2.1"))).answer is Answer.GOOD
    assert (await ask("dns", **at(name_server, "a.example", expect=["192.0.2.9", "192.0.2.1"]))).answer is Answer.GOOD
    other = await ask("dns", **at(name_server, "a.example", expect="192.0.2.9"))
    assert (other.answer, "is 192.0.2.1, expected 192.0.2.9" in other.detail) == (Answer.BAD, True), other.detail


async def test_one_stale_value_among_right_ones_is_bad(ask: Ask, name_server: NameServer) -> None:
    name_server.records[("two.example.", "A")] = ["192.0.2.1", "192.0.2.2"]
    seen = await ask("dns", **at(name_server, "two.example", expect=["192.0.2.1"]))
    assert seen.answer is Answer.BAD, seen.detail


async def test_text_is_compared_as_people_write_it(ask: Ask, name_server: NameServer) -> None:
    name_server.records[("t.example.", "TXT")] = ["v=DKIM1; p=MIIB"]
    name_server.records[("c.example.", "CNAME")] = ["Other.Example."]
    for text, answer in (("v=DKIM1; p=MIIB", Answer.GOOD), ("v=DKIM1; p=miib", Answer.BAD)):  # another key
        seen = await ask("dns", **at(name_server, "t.example", type="TXT", expect=text))
        assert seen.answer is answer, seen.detail
    assert (
        await ask("dns", **at(name_server, "c.example", type="CNAME", expect="other.example"))
    ).answer is Answer.GOOD


@pytest.mark.parametrize(
    ("kind", "server", "person"),
    [
        ("TXT", r'"gr\195\182\195" "\159e"', "größe"),  # a string may end within a letter
        ("TXT", r'"say \"hi\" \\195"', r'"say \"hi\" \\195"'),
        ("TXT", r'"caf\233"', "café"),
        ("TXT", '""', '""'),
        ("MX", "10 Mail.Example.", "010  mail.example"),
        ("CAA", '0 issue "ca.example; policy=ev"', "0 issue ca.example; policy=ev"),
        ("AAAA", "2001:db8::1", "2001:0DB8:0:0::1"),
        ("CNAME", "xn--strae-oqa.example.", "Straße.example"),
        ("MX", "10 xn--bcher-kva.example.", "10 bücher.example"),
        ("MX", "0 .", "0 ."),
        ("CAA", '0 iodef "mailto:x@ca.example"', "0 iodef mailto:x@ca.example"),
    ],
)
def test_one_value_in_two_spellings(kind: str, server: str, person: str) -> None:
    assert plain(kind, server) == plain(kind, person)


def test_letters_as_aws_writes_them() -> None:
    assert plain("TXT", r'"gr\303\266\303\237e"', octal=True) == plain("TXT", "größe")


async def test_the_name_of_an_address(ask: Ask, name_server: NameServer) -> None:
    name_server.records[("1.2.0.192.in-addr.arpa.", "PTR")] = ["Mail.Example."]
    seen = await ask("dns", **at(name_server, "192.0.2.1", type="PTR", expect="mail.example"))
    assert seen.answer is Answer.GOOD, seen.detail


class Odd(asyncio.DatagramProtocol):
    """A name server that says what the test wants, by UDP."""

    def __init__(self, say: Callable[[Any], bytes]) -> None:
        self._say = say

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: object) -> None:
        self.transport.sendto(self._say(dnslib.DNSRecord.parse(data)), addr)  # type: ignore[attr-defined]


@contextlib.asynccontextmanager
async def odd(say: Callable[[Any], bytes]) -> AsyncIterator[dict[str, Any]]:
    """Options to ask it."""
    loop = asyncio.get_running_loop()
    udp, _ = await loop.create_datagram_endpoint(lambda: Odd(say), local_addr=("127.0.0.1", 0))
    yield {"server": "127.0.0.1", "port": udp.get_extra_info("sockname")[1], "timeout_s": 5.0}
    udp.close()


async def test_other_names_of_one_name_in_any_order_and_nobody_elses(ask: Ask) -> None:
    def say(asked: Any) -> bytes:
        reply = asked.reply()
        for line in ("c 1 A 192.0.2.1", "b 1 CNAME C.example", "a 1 CNAME b.example", "z 1 A 192.0.2.9"):
            reply.add_answer(*dnslib.RR.fromZone(line.replace(" ", ".example ", 1)))
        return bytes(reply.pack())

    async with odd(say) as there:
        seen = await ask("dns", record="A.example", expect="192.0.2.1", **there)
        assert seen.answer is Answer.GOOD, seen.detail
        seen = await ask("dns", record="y.example", **there)
        assert (seen.answer, "no such record" in seen.detail) == (Answer.BAD, True), seen.detail


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
async def test_the_family_that_is_wanted_is_asked_for_alone(ask: Ask, family: str) -> None:
    """A server that says nothing of the one family says nothing against the other one."""
    wanted, value = {"ipv4": ("A", "127.0.0.1"), "ipv6": ("AAAA", "::1")}[family]

    def say(asked: Any) -> bytes:
        if dnslib.QTYPE[asked.q.qtype] != wanted:
            return b""
        reply = asked.reply()
        reply.add_answer(*dnslib.RR.fromZone(f"db.example 1 {wanted} {value}"))
        return bytes(reply.pack())

    server = await asyncio.start_server(lambda _, writer: writer.close(), value, 0)
    async with odd(say) as there:
        target = {"target": "db.example", "port": server.sockets[0].getsockname()[1], "timeout_s": 5.0}
        resolver = f"{there['server']}:{there['port']}"
        seen = await ask("tcp", resolver=resolver, address_family=family, **target)
        assert seen.answer is Answer.GOOD, seen.detail
        other = {"ipv4": "ipv6", "ipv6": "ipv4"}[family]
        seen = await ask("tcp", resolver=resolver, address_family=other, **target | {"timeout_s": 0.6})
        assert seen.answer is Answer.SILENT, seen.detail
    server.close()


async def test_the_answer_to_another_question(ask: Ask) -> None:
    def say(asked: Any) -> bytes:
        reply = dnslib.DNSRecord(dnslib.DNSHeader(id=asked.header.id, qr=1), q=dnslib.DNSQuestion("z.example"))
        reply.add_answer(*dnslib.RR.fromZone("z.example 1 A 192.0.2.1"))
        return bytes(reply.pack())

    async with odd(say) as there:
        seen = await ask("dns", record="a.example", **there)
        assert (seen.answer, "answers another question" in seen.detail) == (Answer.BAD, True), seen.detail


async def test_a_packet_that_is_cut_within_a_record_comes_over_tcp(ask: Ask, name_server: NameServer) -> None:
    name_server.records[("long.example.", "A")] = ["192.0.2.1", "192.0.2.2"]
    other = "127.0.0.2"

    def say(asked: Any) -> bytes:
        reply = asked.reply()
        reply.header.tc = 1
        reply.add_answer(*dnslib.RR.fromZone("long.example 1 A 192.0.2.1"))
        return bytes(reply.pack())[:-2]

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", name_server.port)
        back.write(await reader.read(4096))
        writer.write(await there.read(4096))
        for side in (writer, back):
            side.close()

    server = await asyncio.start_server(pass_on, other, 0)
    port = server.sockets[0].getsockname()[1]
    loop = asyncio.get_running_loop()
    udp, _ = await loop.create_datagram_endpoint(lambda: Odd(say), local_addr=(other, port))
    try:
        seen = await ask("dns", record="long.example", server=other, port=port, timeout_s=5.0)
        assert (seen.answer, "192.0.2.2" in seen.detail) == (Answer.GOOD, True), seen.detail
    finally:
        udp.close()
        server.close()


async def test_over_tcp(ask: Ask, name_server: NameServer) -> None:
    name_server.records[("a.example.", "A")] = ["192.0.2.1"]
    seen = await ask("dns", **at(name_server, "a.example", tcp=True))
    assert seen.answer is Answer.GOOD, seen.detail


async def test_a_long_answer_comes_over_tcp_by_itself(ask: Ask, name_server: NameServer) -> None:
    name_server.records[("many.example.", "A")] = [f"192.0.2.{number}" for number in range(1, 200)]
    seen = await ask("dns", **at(name_server, "many.example"))
    assert (seen.answer, "and 179 more" in seen.detail) == (Answer.GOOD, True), seen.detail


async def test_no_such_name_and_no_such_record_are_answers(ask: Ask, name_server: NameServer) -> None:
    name_server.records[("a.example.", "A")] = ["192.0.2.1"]
    none = await ask("dns", **at(name_server, "nobody.example"))
    assert (none.answer, "NXDOMAIN" in none.detail) == (Answer.BAD, True), none.detail
    other = await ask("dns", **at(name_server, "a.example", type="AAAA"))
    assert other.answer is Answer.BAD, other.detail


async def test_silent_and_refused(ask: Ask, deaf_udp: int) -> None:
    silent = await ask("dns", server="127.0.0.1", port=deaf_udp, record="a.example", timeout_s=0.4)
    assert silent.answer is Answer.SILENT, silent.detail
    refused = await ask("dns", server="127.0.0.1", port=1, record="a.example", timeout_s=5.0)
    assert refused.answer is Answer.BAD, refused.detail


@pytest.mark.parametrize("by_tcp", [True, False])
async def test_an_answer_that_is_no_dns(ask: Ask, by_tcp: bool) -> None:
    """It is the name server's, whichever way it came: nothing of the probe's has failed."""

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = await reader.read(4096)
        junk = asked[2:4] + b"\x81\x80" + b"\xff" * 1000
        writer.write(len(junk).to_bytes(2, "big") + junk)
        writer.close()

    class Short(asyncio.DatagramProtocol):
        """Junk, or that the answer does not fit."""

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = transport

        def datagram_received(self, data: bytes, addr: object) -> None:
            told = data[:2] + b"\x83\x80" + data[4:] if by_tcp else data[:2] + b"\x81\x80" + b"\xff" * 500
            self.transport.sendto(told, addr)  # type: ignore[attr-defined]

    server = await asyncio.start_server(speak, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    udp, _ = await asyncio.get_running_loop().create_datagram_endpoint(Short, local_addr=("127.0.0.1", port))
    try:
        for more in ({}, {"tcp": True}):
            seen = await ask("dns", server="127.0.0.1", port=port, record="a.example", timeout_s=5.0, **more)
            assert (seen.answer, "something that is no DNS" in seen.detail) == (Answer.BAD, True), seen.detail
    finally:
        udp.close()
        server.close()
        await server.wait_closed()


async def test_a_name_that_is_none(ask: Ask, name_server: NameServer) -> None:
    seen = await ask("dns", **at(name_server, "a..example"))
    assert (seen.answer, "cannot ask for a..example" in seen.detail) == (Answer.NONE, True), seen.detail


def test_a_server_is_an_address() -> None:
    with pytest.raises(ValueError, match="is no address"):
        DnsOptions.model_validate({"record": "a.example", "server": "ns.example"})
