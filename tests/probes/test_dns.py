"""dns: what a name server says."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from orchestrator.core.events import Answer
from orchestrator.probes.dns import DnsOptions
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
    name_server.records[("t.example.", "TXT")] = ["Hello"]
    name_server.records[("c.example.", "CNAME")] = ["Other.Example."]
    assert (await ask("dns", **at(name_server, "t.example", type="TXT", expect="hello"))).answer is Answer.GOOD
    assert (
        await ask("dns", **at(name_server, "c.example", type="CNAME", expect="other.example"))
    ).answer is Answer.GOOD


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
