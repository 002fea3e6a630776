"""A database server that says what PostgreSQL never would: its own fault, in bounded memory."""

from __future__ import annotations

import resource
import socket
import struct
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest

from orchestrator.core.events import Answer
from tests.hostile.serving import serving
from tests.probes.conftest import ask as ask_fixture

ask = ask_fixture
Ask = Callable[..., Any]
COLUMNS = [
    "standby", "now", "replayed_at", "received", "replayed", "receiver", "flushed", "primary_end", "message_sent_at",
    "message_received_at",
]  # fmt: skip
BOOL, FLOAT, TEXT = 16, 701, 25
KINDS = [BOOL, FLOAT, FLOAT, FLOAT, FLOAT, TEXT, FLOAT, FLOAT, FLOAT, FLOAT]
VALUES: list[bytes | None] = [b"t", b"1.0", *[None] * 8]
SSL_REQUEST = 80877103


def message(kind: bytes, body: bytes) -> bytes:
    """One of the protocol."""
    return kind + struct.pack("!I", len(body) + 4) + body


def described(columns: list[str], kinds: list[int]) -> bytes:
    """What the columns of a result are."""
    rows = [
        name.encode() + b"\0" + struct.pack("!IHIhih", 0, 0, kind, -1, -1, 0)
        for name, kind in zip(columns, kinds, strict=True)
    ]
    return message(b"T", struct.pack("!H", len(rows)) + b"".join(rows))


def row(values: list[bytes | None]) -> bytes:
    """One row."""
    told = (struct.pack("!i", -1) if v is None else struct.pack("!i", len(v)) + v for v in values)
    return message(b"D", struct.pack("!H", len(values)) + b"".join(told))


END = message(b"C", b"SELECT 1\0") + message(b"Z", b"I")


def answer(n: int, value: bytes | None) -> bytes:
    """A whole one with another value in its n-th column."""
    return described(COLUMNS, KINDS) + row([*VALUES[:n], value, *VALUES[n + 1 :]]) + END


def database(told: bytes, again: bytes = b"") -> AbstractContextManager[int]:
    """A server that takes any login and answers so, and then with `again` without end; its port."""

    def talk(connection: socket.socket) -> None:
        while True:
            length, code = struct.unpack("!II", connection.recv(8))
            connection.recv(length - 8) if length > 8 else b""
            if code != SSL_REQUEST:
                break
            connection.sendall(b"N")
        settings = (b"client_encoding\0UTF8\0", b"server_version\0" + b"16.0\0")
        connection.sendall(message(b"R", bytes(4)) + b"".join(message(b"S", x) for x in settings))
        connection.sendall(message(b"K", bytes(8)) + message(b"Z", b"I"))
        connection.recv(65536)
        connection.sendall(told)
        while again:
            connection.sendall(again)
        while connection.recv(65536):
            pass

    return serving(talk)


async def test_one_that_answers_well(ask: Ask) -> None:
    with database(answer(0, b"f")) as port:
        seen = await ask("postgres", target="127.0.0.1", port=port, timeout_s=20.0)
    assert (seen.answer, seen.detail) == (Answer.GOOD, "primary")


@pytest.mark.parametrize(
    "told",
    [
        answer(1, b"abc"),
        answer(1, None),
        answer(5, b"\xff\xfe"),
        answer(0, None),
        described(["x"] * 10, KINDS) + row(VALUES) + END,
        described(["\x1b[2J"] * 10, KINDS) + row(VALUES) + END,
        described(COLUMNS, [TEXT] * 10) + row(VALUES) + END,
    ],
)
async def test_one_that_answers_nonsense(told: bytes, ask: Ask) -> None:
    """It is bad; nothing of the probe's has crashed."""
    with database(told) as port:
        seen = await ask("postgres", target="127.0.0.1", port=port, timeout_s=20.0, max_lag="5s")
    assert (seen.answer, "otherwise than PostgreSQL" in seen.detail) == (Answer.BAD, True), seen.detail


async def test_one_that_never_ends(ask: Ask) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with database(described(COLUMNS, KINDS), row(VALUES) * 1000) as port:
        seen = await ask("postgres", target="127.0.0.1", port=port, timeout_s=20.0)
    assert (seen.answer, "more than 16 MiB" in seen.detail) == (Answer.BAD, True), seen.detail
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500 * 1024
