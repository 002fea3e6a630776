"""The console says what the power process says, and the receiver has written down what it acknowledges."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from orchestrator.lab.programs import http_client, http_server, page
from orchestrator.lab.programs.console import Console
from orchestrator.lab.programs.http_server import Response
from orchestrator.lab.programs.receiver import Receiver

TOKEN = {"Authorization": "Bearer open-sesame"}


class Site:
    """A power process with two outlets."""

    def __init__(self) -> None:
        self.outlets: dict[str, dict[str, object]] = {
            "hq-db": {"power": "on", "latched": False},
            "hq-app": {"power": "on", "latched": False},
        }
        self.says: dict[str, object] | None = None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection."""
        while line := await reader.readline():
            writer.write(json.dumps(self.says or self._do(json.loads(line))).encode() + b"\n")
        writer.close()

    def _do(self, asked: dict[str, object]) -> dict[str, object]:
        if asked["op"] == "status":
            return {"mains": "on", "outlets": self.outlets}
        self.outlets[str(asked["host"])] = {"power": asked["power"], "latched": asked["latched"]}
        return {"ok": True}


class Client:
    """Speaks to one port."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def __call__(
        self, method: str, target: str, body: object = None, headers: dict[str, str] | None = None
    ) -> tuple[int, object]:
        data = b"" if body is None else json.dumps(body).encode()
        answer = await http_client.request(method, "127.0.0.1", self._port, target, headers=headers, body=data)
        return answer.status, json.loads(answer.body or b"null")


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    """A running power process."""
    made = Site()
    server = await asyncio.start_unix_server(made.serve, tmp_path / "power.sock")
    yield made
    server.close()


@pytest.fixture
async def console(tmp_path: Path) -> AsyncIterator[Client]:
    """A running console."""
    made = Console("open-sesame", str(tmp_path / "power.sock"))
    server = await http_server.listen(made.answer, "127.0.0.1", 0)
    yield Client(server.sockets[0].getsockname()[1])
    server.close()


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic open-sesame"}])
async def test_without_the_token_nothing_is_told(site: Site, console: Client, headers: dict[str, str]) -> None:
    status, _ = await console("PUT", "/outlets/hq-db", {"power": "off"}, headers)
    assert status == 401
    assert site.outlets["hq-db"]["power"] == "on"


async def test_an_outlet_is_switched_off_latched_and_released(site: Site, console: Client) -> None:
    assert await console("GET", "/status", None, TOKEN) == (200, {"mains": "on", "outlets": site.outlets})
    off = {"power": "off", "latched": True}
    for _ in range(2):
        assert await console("PUT", "/outlets/hq-db", off, TOKEN) == (200, off)
    assert await console("GET", "/outlets/hq-db", None, TOKEN) == (200, off)
    on = {"power": "on", "latched": False}
    assert await console("PUT", "/outlets/hq-db", {"power": "on"}, TOKEN) == (200, on)
    assert site.outlets["hq-app"] == on


@pytest.mark.parametrize(
    "body", [{}, {"power": "of"}, {"power": "off", "latched": "yes"}, {"power": "off", "latch": True}, [1]]
)
async def test_a_bad_order_is_refused_whole(site: Site, console: Client, body: object) -> None:
    status, _ = await console("PUT", "/outlets/hq-db", body, TOKEN)
    assert status == 400
    assert site.outlets["hq-db"] == {"power": "on", "latched": False}


async def test_an_unknown_outlet_is_404(site: Site, console: Client) -> None:
    assert site.says is None
    status, _ = await console("PUT", "/outlets/hq-dc", {"power": "off"}, TOKEN)
    assert status == 404


@pytest.mark.parametrize("says", [{"error": "no such host"}, {"mains": "maybe"}, {"ok": True}])
async def test_what_the_power_process_did_not_confirm_is_no_success(
    site: Site, console: Client, says: dict[str, object]
) -> None:
    site.says = says
    status, body = await console("PUT", "/outlets/hq-db", {"power": "off"}, TOKEN)
    assert status == 502
    assert "power process" in str(body)


async def test_a_missing_power_process_is_no_success(console: Client) -> None:
    status, _ = await console("GET", "/status", None, TOKEN)
    assert status == 502


def test_an_empty_token_is_no_token() -> None:
    with pytest.raises(ValueError, match="anybody could switch outlets"):
        Console("", "/nowhere")


async def test_what_the_receiver_acknowledged_is_in_its_log(tmp_path: Path) -> None:
    receiver = Receiver(tmp_path / "state" / "received.jsonl")
    server = await http_server.listen(receiver.answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]

    async def ask(method: str, target: str, body: bytes = b"") -> http_client.Answer:
        return await http_client.request(method, "127.0.0.1", port, target, body=body)

    assert (await ask("POST", "/notify", b'{"title": "DOWN"}')).status == 200
    assert (await ask("POST", "/notify/ops", "für alle".encode())).status == 200
    assert (await ask("GET", "/heartbeat/noc")).status == 200
    assert (await ask("GET", "/elsewhere")).status == 404
    entries = [json.loads(line) for line in (await ask("GET", "/log")).body.splitlines()]
    assert [(each["kind"], each["name"]) for each in entries] == [
        ("notification", ""),
        ("notification", "ops"),
        ("heartbeat", "noc"),
    ]
    assert entries[0]["json"] == {"title": "DOWN"}
    assert entries[1]["body"] == "für alle"
    assert list(json.loads((await ask("GET", "/heartbeats")).body)) == ["noc"]
    server.close()


async def test_the_page_is_the_same_for_everybody() -> None:
    server = await http_server.listen(page.handler("www"), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    answer = await http_client.request("GET", "127.0.0.1", port, "/any")
    assert (answer.status, answer.body, answer.headers["x-served-by"]) == (200, page.BODY, "www")
    assert (await http_client.request("HEAD", "127.0.0.1", port, "/")).body == b""
    assert (await http_client.request("DELETE", "127.0.0.1", port, "/")).status == 405
    server.close()


async def test_a_request_in_pieces_and_garbage_are_both_answered() -> None:
    async def echo(request: http_server.Request) -> Response:
        return Response(200, request.body)

    server = await http_server.listen(echo, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    for pieces, expected in (
        ((b"POST / HTTP/1.1\r\nContent-Le", b"ngth: 4\r\n\r\nab", b"cd"), b"abcd"),
        ((b"nonsense\r\n\r\n",), b"not an HTTP request line"),
        ((b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n",), b"400"),
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(0.02)
        assert expected in await reader.read()
        writer.close()
    server.close()


def test_an_answer_is_complete_only_with_its_whole_body() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"
    assert http_client.decoded(head + b"ab", at_end=True) is None
    assert http_client.decoded(head + b"abc", at_end=False) == http_client.Answer(200, {"content-length": "3"}, b"abc")
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n"
    assert http_client.decoded(chunked, at_end=False) is None
    whole = http_client.decoded(chunked + b"0\r\n\r\n", at_end=False)
    assert whole is not None
    assert whole.body == b"abc"
    with pytest.raises(ValueError, match="not an HTTP answer"):
        http_client.decoded(b"SSH-2.0\r\n\r\n", at_end=False)
