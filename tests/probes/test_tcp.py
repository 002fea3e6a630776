"""tcp: connections, banners, and who does not answer."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from orchestrator.core.events import Answer
from orchestrator.probes.kinds import KINDS
from tests.ports import free_port
from tests.probes.conftest import Ask, NameServer

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def asked(ask: Ask, serve: Serve, **options: Any) -> Any:
    """The answer of a server that behaves so."""
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        return await ask("tcp", target="127.0.0.1", port=port, **options)


async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Says hello, repeats what it hears, hangs up."""
    writer.write(b"220 mail.example ready\r\n")
    line = await reader.readline()
    writer.write(b"heard " + line)
    writer.close()


async def test_a_connection_is_enough(ask: Ask) -> None:
    seen = await asked(ask, greet)
    assert (seen.answer, seen.measures["rtt_s"] > 0) == (Answer.GOOD, True)


async def test_the_greeting_is_compared(ask: Ask) -> None:
    assert (await asked(ask, greet, expect="^220 ")).answer is Answer.GOOD
    other = await asked(ask, greet, expect="^554", send="QUIT\r\n")
    assert (other.answer, "expected /^554/" in other.detail) == (Answer.BAD, True), other.detail


async def test_a_greeting_of_before(ask: Ask) -> None:
    async def welcome(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"Bienvenue \xe0 bord\r\n")
        writer.close()

    seen = await asked(ask, welcome, expect="à bord")
    assert seen.answer is Answer.GOOD, seen.detail


@pytest.mark.parametrize("target", ["127.0.0.1:80", "http://a.example", "a..b", "a b", "[a.example]", "[::1]:80"])
def test_a_target_is_an_address_or_a_name(target: str) -> None:
    for kind in ("tcp", "icmp", "ssh"):
        with pytest.raises(ValueError, match="is no address and no name of a host"):
            KINDS[kind].options.model_validate({"target": target, "port": 80} if kind != "icmp" else {"target": target})


def test_an_address_as_urls_have_it() -> None:
    assert KINDS["tcp"].options.model_validate({"target": "[::1]", "port": 80}).target == "::1"


async def test_what_was_sent_is_answered(ask: Ask) -> None:
    seen = await asked(ask, greet, send="EHLO me\r\n", expect="heard EHLO me")
    assert seen.answer is Answer.GOOD, seen.detail


async def test_the_wrong_greeting_and_then_nothing_is_bad(ask: Ask) -> None:
    held: list[Any] = []

    async def mumble(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"mumble")
        held.append(writer)

    seen = await asked(ask, mumble, expect="^220", timeout_s=0.5)
    assert (seen.answer, "mumble" in seen.detail) == (Answer.BAD, True), seen.detail
    for writer in held:
        writer.close()


async def test_what_was_said_before_a_reset_was_said(ask: Ask) -> None:
    """Whoever closes a connection and leaves something unread resets it."""

    async def talk(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        for line in (b"220-mail.example\r\n", b"220 ready\r\n"):
            writer.write(line)
            await asyncio.sleep(0.005)
        writer.transport.abort()

    for more in ({}, {"send": "QUIT\r\n"}):
        seen = await asked(ask, talk, expect="^220-(.|\n)*220 ready", **more)
        assert seen.answer is Answer.GOOD, seen.detail
    other = await asked(ask, talk, expect="^554")
    assert (other.answer, "had said '220-mail.example" in other.detail) == (Answer.BAD, True), other.detail


async def test_a_reset_before_a_word_is_bad(ask: Ask) -> None:
    async def go(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    for more in ({}, {"send": "QUIT\r\n"}):
        seen = await asked(ask, go, expect="^220", **more)
        assert (seen.answer, "connected, then " in seen.detail) == (Answer.BAD, True), seen.detail


async def test_what_comes_after_what_is_read_is_not_denied(ask: Ask) -> None:
    async def talk(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"x" * 70_000 + b" ready\n")
        writer.close()

    seen = await asked(ask, talk, expect="ready")
    assert seen.answer is Answer.BAD
    assert "in its first 64 KiB, and no more is read, expected /ready/" in seen.detail


async def test_refused_is_an_answer(ask: Ask) -> None:
    seen = await ask("tcp", target="127.0.0.1", port=free_port())
    assert (seen.answer, "refused" in seen.detail) == (Answer.BAD, True)


async def test_connected_and_then_nothing_is_silence(ask: Ask, deaf: int) -> None:
    seen = await ask("tcp", target="127.0.0.1", port=deaf, expect="x", timeout_s=0.3)
    assert seen.answer is Answer.SILENT, seen.detail


async def test_a_port_as_text_is_a_port(ask: Ask, deaf: int) -> None:
    assert (await ask("tcp", target="127.0.0.1", port=str(deaf))).answer is Answer.GOOD


async def test_each_address_of_a_name_is_tried(ask: Ask, name_server: NameServer) -> None:
    name_server.records[("two.example.", "A")] = ["127.0.0.9", "127.0.0.1"]
    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        named = {"target": "two.example", "port": port, "resolver": name_server.where}
        seen = await ask("tcp", **named)
        assert seen.answer is Answer.GOOD, seen.detail
        first = await ask("tcp", **named, addresses="first")
        assert (first.answer, "refused" in first.detail) == (Answer.BAD, True), first.detail
        sixth = await ask("tcp", **named, address_family="ipv6")
        assert (sixth.answer, "has no ipv6 address" in sixth.detail) == (Answer.BAD, True), sixth.detail


async def test_both_families_are_tried_and_a_refusal_says_most(ask: Ask, name_server: NameServer) -> None:
    name_server.records[("both.example.", "A")] = ["127.0.0.1"]
    name_server.records[("both.example.", "AAAA")] = ["::1"]
    named = {"target": "both.example", "resolver": name_server.where}
    server = await asyncio.start_server(greet, "::1", 0)
    async with server:
        seen = await ask("tcp", port=server.sockets[0].getsockname()[1], **named)
        assert seen.answer is Answer.GOOD, seen.detail
    name_server.records[("both.example.", "AAAA")] = ["2001:db8::1"]
    seen = await ask("tcp", port=free_port(), **named)
    assert (seen.answer, "refused" in seen.detail) == (Answer.BAD, True), seen.detail
