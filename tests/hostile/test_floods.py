"""Targets and plug-ins that talk without end: a bounded answer, in bounded memory, and everybody else has a turn."""

from __future__ import annotations

import asyncio
import gzip
import os
import resource
import socket
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from orchestrator.core.events import Answer
from orchestrator.probes import http_exchange
from orchestrator.probes.http_response import AROUND_MAX_BYTES, BODY_MAX_BYTES, NoResponse, Response
from orchestrator.probes.inward import Where, may_lead, where
from tests.hostile.serving import serving
from tests.probes.conftest import ask as ask_fixture

ask = ask_fixture
Ask = Callable[..., Any]
HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
FLOODS: dict[str, tuple[bytes, bytes]] = {
    "an extension of a chunk": (HEAD + b"1;", b"a" * (1 << 20)),
    "trailers": (HEAD + b"0\r\n", b"".join(b"x-%d: a\r\n" % n for n in range(20_000))),
    "a trailer": (HEAD + b"0\r\nx-a: ", b"a" * (1 << 20)),
    "chunks of a letter": (HEAD, b"1\r\nx\r\n" * 200_000),
    "headers": (b"HTTP/1.1 200 OK\r\n", b"".join(b"x-%d: a\r\n" % n for n in range(20_000))),
    "interim responses": (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 20_000),
    "empty packed blocks": (
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + gzip.compress(b"")[:10],
        b"\x00\x00\x00\xff\xff" * 200_000,
    ),
    "a body": (b"HTTP/1.1 200 OK\r\n\r\n", b"x" * (1 << 20)),
}


def flooding(head: bytes, block: bytes) -> AbstractContextManager[int]:
    """A server that says a head, and then what never ends; its port."""

    def talk(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(head)
        while block:
            connection.sendall(block)

    return serving(talk)


async def while_others(work: Any) -> tuple[Any, int]:
    """What came of the work, and how often others had a turn meanwhile."""
    turns = 0
    task = asyncio.ensure_future(work)
    while not task.done():
        turns += 1
        await asyncio.sleep(0)
    return task.result(), turns


@pytest.mark.parametrize("kind", FLOODS)
async def test_an_http_server_that_never_ends(kind: str, ask: Ask) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with flooding(*FLOODS[kind]) as port:
        seen, turns = await while_others(ask("http", url=f"http://127.0.0.1:{port}/", timeout_s=20.0))
    assert seen.answer in (Answer.GOOD, Answer.BAD), seen.detail
    assert "did not end" not in seen.detail
    assert turns >= 5, "nobody else had a turn"  # one for each 64 KiB; headers end after a few of those
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 * 1024


def test_a_response_takes_no_more_than_its_bounds() -> None:
    for head, block in FLOODS.values():
        response, fed = Response(head_only=False), 0
        try:
            response.feed(head)
            while not response.complete:
                for at in range(0, len(block), 65536):
                    fed += len(block[at : at + 65536])
                    response.feed(block[at : at + 65536])
        except NoResponse:
            pass
        assert fed <= 2 * BODY_MAX_BYTES + 2 * AROUND_MAX_BYTES + (1 << 20)
        assert len(response.text) <= BODY_MAX_BYTES
        assert len(response.headers) < 20_000


@pytest.mark.parametrize("block", [b"x" * 65536, b"x"], ids=["much", "letter by letter"])
async def test_a_banner_that_never_ends(block: bytes, ask: Ask) -> None:
    with flooding(b"", block) as port:
        work = ask("tcp", target="127.0.0.1", port=port, send="x", expect="(x+x+)+y", timeout_s=20.0)
        seen, turns = await while_others(work)
    assert (seen.answer, len(seen.detail) < 300) == (Answer.BAD, True), seen.detail
    assert turns >= 10


SSH_FLOODS = {
    "a greeting that never ends": (b"", "no SSH greeting in 65536 bytes"),
    "a packet of two gigabytes": (
        b"SSH-2.0-x\r\n\x7f\xff\xff\xfc\x04\x14aa",
        "it announces a packet of 21",
    ),
}


@pytest.mark.parametrize("head", SSH_FLOODS)
async def test_an_ssh_server_that_never_ends(head: str, ask: Ask) -> None:
    """Before its host key is known: whoever answers at that address."""
    says, told = SSH_FLOODS[head]
    with flooding(says, b"a" * (1 << 20)) as port:
        known = {"check_host_key": False, "password_secret": "word"}
        seen = await ask("ssh", target="127.0.0.1", port=port, secrets={"word": "x"}, timeout_s=20.0, **known)
    assert (seen.answer, told in seen.detail) == (Answer.BAD, True), seen.detail


async def test_a_plug_in_that_prints_without_end(ask: Ask, tmp_path: Path) -> None:
    child = tmp_path / "child"
    script = f"sleep 600 & echo $! >{child}; exec yes aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
    seen = await ask("nagios", command=["sh", "-c", script], timeout_s=20.0)
    assert (seen.answer, "printed more than 1048576 bytes" in seen.detail) == (Answer.NONE, True), seen.detail
    await gone(int(child.read_text()))


async def test_a_plug_in_that_leaves_a_child_with_its_output(ask: Ask, tmp_path: Path) -> None:
    child = tmp_path / "child"
    script = f"sleep 600 & echo $! >{child}; echo 'OK - in the background'; exit 0"
    seen = await ask("nagios", command=["sh", "-c", script], timeout_s=20.0)
    assert (seen.answer, seen.detail) == (Answer.GOOD, "OK - in the background")
    await gone(int(child.read_text()))


def state_of(process: int) -> str:
    """A letter, as in the process list."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


async def gone(process: int) -> None:
    """Waits until it is killed and reaped."""
    for _ in range(200):
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return
        if state_of(process) == "Z":  # whoever reaps here is not ours
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"process {process} is still there")


@pytest.mark.parametrize("body", ["[" * 200_000, "[1," * 200_000, "{" + '"a":' * 100_000, "1" * 500_000, '"\\ud800"'])
async def test_a_document_that_is_none(body: str, ask: Ask) -> None:
    with flooding(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode(), b"") as port:
        seen = await ask("http", url=f"http://127.0.0.1:{port}/", json={"a.*": 1}, timeout_s=20.0)
    assert seen.answer is Answer.BAD, seen.detail


@pytest.mark.parametrize("charset", ["punycode", "idna", "unicode_escape", "utf-7", "rot13", "zlib", "klingon"])
async def test_a_character_set_that_is_none(charset: str, ask: Ask) -> None:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset={charset}\r\nContent-Length: 400000\r\n\r\n"
    with flooding(head.encode() + b"a-9" * 133_333 + b"a", b"") as port:
        seen = await ask("http", url=f"http://127.0.0.1:{port}/", match="nowhere", timeout_s=20.0)
    assert (seen.answer, "does not match" in seen.detail) == (Answer.BAD, True), seen.detail


INWARD = {
    Where.HERE: [
        "127.0.0.1",
        "127.9.9.9",
        "::1",
        "0.0.0.0",
        "::",
        "::ffff:127.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "::127.0.0.1",
    ],
    Where.LINK: [
        "169.254.169.254",
        "fe80::1%eth0",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "224.0.0.1",
        "ff02::1",
    ],
    Where.PRIVATE: [
        "10.0.0.1",
        "192.168.1.1",
        "172.16.0.1",
        "100.64.0.1",
        "fd00::1",
        "fd00:ec2::254",
        "::ffff:10.0.0.1",
        "198.18.0.1",
    ],
    Where.PUBLIC: ["9.9.9.9", "2620:fe::fe", "::ffff:9.9.9.9", "64:ff9b::909:909"],
}


@pytest.mark.parametrize(("address", "kind"), [(a, kind) for kind, addresses in INWARD.items() for a in addresses])
def test_where_an_address_lies(address: str, kind: Where) -> None:
    assert where(address) is kind


def test_a_redirect_leads_no_further_inside() -> None:
    for kind in Where:
        assert may_lead(kind, kind, same_host=True)
        assert may_lead(kind, Where.PUBLIC)
        assert may_lead(Where.PUBLIC, kind) is (kind is Where.PUBLIC)
        assert may_lead(Where.PRIVATE, kind) is (kind is Where.PUBLIC)  # another private one may be another client's
        assert may_lead(Where.PUBLIC, kind, same_host=True) is (kind is Where.PUBLIC)
    assert not may_lead(Where.HERE, Where.LINK)
    assert may_lead(Where.HERE, Where.HERE)


@pytest.mark.parametrize(
    ("then", "followed"),
    [("127.0.0.1", True), ("127.0.0.2", False), ("same.test", True), ("other.test", False)],
)
async def test_a_redirect_inside_leads_to_no_other_machine(
    then: str, followed: bool, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client's server must not have the controller ask, within the private network of another client."""

    def private(address: str) -> Where:
        return Where.PRIVATE if address.startswith("127.") else where(address)

    def look_up(name: str, *_: object) -> list[tuple[object, ...]]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1" if name == first else "127.0.0.2", 0))]

    first = "same.test" if then.endswith(".test") else "127.0.0.1"
    heard: list[bytes] = []
    listener = socket.create_server(("", 0))

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            heard.append(connection.recv(65536))
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    monkeypatch.setattr(http_exchange, "where", private)
    monkeypatch.setattr("orchestrator.probes.names.socket.getaddrinfo", look_up)
    threading.Thread(target=serve, daemon=True).start()
    there = f"http://{then}:{listener.getsockname()[1]}/power/off"
    head = f"HTTP/1.1 302 Found\r\nLocation: {there}\r\nContent-Length: 0\r\n\r\n"
    with flooding(head.encode(), b"") as port:
        seen = await ask("http", url=f"http://{first}:{port}/", redirects=1, timeout_s=5.0)
    listener.close()
    assert (seen.answer is Answer.GOOD, bool(heard)) == (followed, followed), seen.detail
    assert followed or "another private address: not followed" in seen.detail


@pytest.mark.parametrize("inner", ["169.254.169.254", "[fe80::1]", "[::ffff:169.254.169.254]", "2852039166"])
async def test_a_redirect_to_where_clouds_tell_secrets(inner: str, ask: Ask) -> None:
    head = f"HTTP/1.1 302 Found\r\nLocation: http://{inner}/latest/meta-data/\r\nContent-Length: 0\r\n\r\n"
    with flooding(head.encode(), b"") as port:
        seen = await ask("http", url=f"http://127.0.0.1:{port}/", redirects=3, timeout_s=5.0)
    assert (seen.answer, "not followed, unless redirects_inward" in seen.detail) == (Answer.BAD, True), seen.detail


@pytest.mark.parametrize("host", ["a..b", "x" * 300, "é..é", "[::1", "a:99999"])
async def test_a_redirect_to_what_is_no_name(host: str, ask: Ask) -> None:
    """It is the page's fault: it cannot make the check one that was not asked."""
    head = f"HTTP/1.1 302 Found\r\nLocation: http://{host}/\r\nContent-Length: 0\r\n\r\n"
    with flooding(head.encode(), b"") as port:
        seen = await ask("http", url=f"http://127.0.0.1:{port}/", redirects=3, timeout_s=5.0)
    assert seen.answer is Answer.BAD, seen.detail


async def test_what_the_author_says_is_said_to_nobody_else(ask: Ask) -> None:
    heard: list[bytes] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            heard.append(connection.recv(65536))
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    threading.Thread(target=serve, daemon=True).start()
    there = f"http://127.0.0.1:{listener.getsockname()[1]}/"
    head = f"HTTP/1.1 302 Found\r\nLocation: {there}\r\nContent-Length: 0\r\n\r\n"
    said = {"X-Api-Key": "hunter2", "Cookie": "s=hunter2", "Authorization": "hunter2", "Accept": "text/html"}
    with flooding(head.encode(), b"") as port:
        seen = await ask("http", url=f"http://127.0.0.1:{port}/", redirects=1, headers=said)
    assert seen.answer is Answer.GOOD, seen.detail
    assert b"hunter2" not in heard[0]
    assert b"Accept: text/html" in heard[0]
    listener.close()


@pytest.mark.parametrize("status", [307, 308])
async def test_what_is_sent_is_sent_to_no_other_host(status: int, ask: Ask) -> None:
    head = f"HTTP/1.1 {status} Moved\r\nLocation: http://127.0.0.2:9/\r\nContent-Length: 0\r\n\r\n"
    with flooding(head.encode(), b"") as port:
        seen = await ask("http", url=f"http://127.0.0.1:{port}/", redirects=1, method="POST", body="secret")
    assert (seen.answer, "is meant for 127.0.0.1" in seen.detail) == (Answer.BAD, True), seen.detail
