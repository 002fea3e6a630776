"""What every kind with `launch` keeps: however a question ends, it is told once, and all that it held is given back."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from orchestrator.core.events import Answer
from orchestrator.probes.asking import Asking
from orchestrator.probes.connecting import Connecting
from orchestrator.probes.echo import Echo, Echoes
from orchestrator.probes.kind import Secrets
from orchestrator.probes.kinds import KINDS
from orchestrator.probes.launched import Launched
from orchestrator.probes.names import NameFailed, Names
from orchestrator.probes.results import Judged, NotAsked, Refusal, Silence
from orchestrator.probes.tools import Tools

PATIENCE_S = 20.0
SHORT_S = 0.3
HERE = "127.0.0.1"
SAYS = b"HTTP/1.1 204 No Content\r\n\r\n"

Options = dict[str, Any]
# Of each kind, what asks a host; the port is of whoever the test has listen.
ASKS: dict[str, Callable[[str, int], Options]] = {
    "http": lambda host, port: {"url": f"http://{host}:{port}/"},
    "icmp": lambda host, _port: {"target": host},
    "tcp": lambda host, port: {"target": host, "port": port, "expect": "204"},
}
LAUNCHED = sorted(name for name, kind in KINDS.items() if kind.launch is not None)
CONNECTED = [name for name in LAUNCHED if name != "icmp"]

each_kind = pytest.mark.parametrize("name", LAUNCHED)
each_connected = pytest.mark.parametrize("name", CONNECTED)


def test_every_kind_that_is_launched_is_tried_here() -> None:
    assert sorted(ASKS) == LAUNCHED


class House:
    """The questions of one event loop, and what they hold."""

    def __init__(self, turns: int | None = None) -> None:
        self.loop = asyncio.get_running_loop()
        self.tools = Tools(turns_max=turns)
        self.told: list[Judged] = []
        self._tasks = asyncio.all_tasks()

    def ask(self, name: str, options: Options, timeout_s: float = PATIENCE_S) -> Asking:
        """Ask one question."""
        kind = KINDS[name]
        kind.warm()
        valid = kind.options.model_validate(options)
        asking = Asking(kind, valid, timeout_s, self.loop.time, lambda _, judged: self.told.append(judged))
        asking.begin(Secrets({}), self.tools)
        return asking

    async def answers(self, *answers: Answer) -> str:
        """These came, one for each question; what the last of them said."""
        await until(lambda: len(self.told) >= len(answers))
        await self.nothing_is_held()
        assert [judged.answer for judged in self.told] == list(answers), self.told
        return self.told[-1].detail

    async def nothing_is_held(self) -> None:
        """Neither turn, timer, look-up nor connection, and no deadline that would be told; but what all share."""
        for _ in range(5):
            await asyncio.sleep(0)  # a look-up that was given up ends in its own time
        tools, loop = self.tools, self.loop
        assert {kind: turns.in_use for kind, turns in tools._turns.items() if turns.in_use} == {}
        queues = tools.deadlines._queues.values()
        assert [waits for queue in queues for _, waits in queue._waiting if not waits.over] == []
        assert [waits for echo in tools.echoes._open.values() for waits in echo._waiting] == []
        assert (tools.names._finding, asyncio.all_tasks()) == (set(), self._tasks)
        shared = {echo._sock.fileno() for echo in tools.echoes._open.values()} | {loop._ssock.fileno()}  # type: ignore[attr-defined]
        assert set(loop._selector.get_map()) <= shared  # type: ignore[attr-defined]
        await tools.close()
        timers = [timer for timer in loop._scheduled if not timer.cancelled()]  # type: ignore[attr-defined]
        assert timers == []


def _sockets() -> set[str]:
    """Those that this process has open."""
    found = set()
    for link in Path("/proc/self/fd").iterdir():
        try:
            found.add(os.readlink(link))
        except OSError:
            pass  # it was of this look
    return {name for name in found if name.startswith("socket:")}


async def until(so: Callable[[], bool]) -> None:
    """Wait for it."""
    async with asyncio.timeout(PATIENCE_S):
        while not so():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


@pytest.fixture(autouse=True)
def _no_socket_stays(deaf: int) -> Iterator[None]:
    before = _sockets()
    yield
    assert _sockets() <= before


@pytest.fixture
def deaf() -> Iterator[int]:
    """The port of somebody to whom connections can be made, and who says nothing."""
    with socket.create_server((HERE, 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def full() -> Iterator[int]:
    """The port of somebody who takes no more connections: what asks gets no answer at all."""
    with socket.create_server((HERE, 0), backlog=0) as server:
        waits = []
        for _ in range(4):
            sock = socket.socket()
            sock.setblocking(False)
            sock.connect_ex(server.getsockname())
            waits.append(sock)
        yield server.getsockname()[1]
        for sock in waits:
            sock.close()


@pytest.fixture
def speaks() -> Iterator[int]:
    """The port of somebody who answers one connection."""

    def serve() -> None:
        with server:
            sock, _ = server.accept()
        with sock, suppress(OSError):
            sock.sendall(SAYS)
            sock.shutdown(socket.SHUT_WR)
            while sock.recv(4096):
                pass

    server = socket.create_server((HERE, 0))
    port = server.getsockname()[1]
    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield port
    with socket.socket() as sock:
        sock.connect_ex((HERE, port))  # where nobody asked
    thread.join(PATIENCE_S)


def names_that(monkeypatch: pytest.MonkeyPatch, outcome: list[str] | BaseException | None) -> None:
    """Look-ups find this, raise this, or never end."""

    async def addresses(*_: object, **__: object) -> list[str]:
        if outcome is None:
            await asyncio.Event().wait()
        if isinstance(outcome, list):
            return outcome
        raise outcome or RuntimeError

    monkeypatch.setattr(Names, "addresses", addresses)


class TestAnswered:
    """By whoever was asked."""

    @each_kind
    async def test_as_it_should(self, name: str, speaks: int) -> None:
        house = House()
        house.ask(name, ASKS[name](HERE, speaks))
        await house.answers(Answer.GOOD)

    @each_kind
    async def test_by_a_name(self, name: str, speaks: int, monkeypatch: pytest.MonkeyPatch) -> None:
        names_that(monkeypatch, [HERE])
        house = House()
        house.ask(name, ASKS[name]("shop.example", speaks))
        await house.answers(Answer.GOOD)

    @each_connected
    async def test_by_a_refusal(self, name: str) -> None:
        with socket.socket() as sock:
            sock.bind((HERE, 0))  # and does not listen
            house = House()
            house.ask(name, ASKS[name](HERE, sock.getsockname()[1]))
            assert "refused" in await house.answers(Answer.BAD)

    @each_connected
    async def test_one_after_another_with_one_turn(self, name: str, deaf: int) -> None:
        house = House(turns=1)
        for _ in range(3):
            house.ask(name, ASKS[name](HERE, deaf), SHORT_S)
            await until(lambda: not house.tools._turns[name].in_use)
        await house.answers(*[Answer.SILENT] * 3)


class TestLate:
    """Its time is up."""

    @each_kind
    async def test_nothing_came(self, name: str, deaf: int, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Echo, "_take", lambda *_: None)
        house = House()
        house.ask(name, ASKS[name](HERE, deaf), SHORT_S)
        await house.answers(Answer.SILENT)

    @each_connected
    async def test_no_connection_came(self, name: str, full: int) -> None:
        house = House()
        house.ask(name, ASKS[name](HERE, full), SHORT_S)
        assert "no connection within" in await house.answers(Answer.SILENT)

    @each_kind
    async def test_no_address_came(self, name: str, deaf: int, monkeypatch: pytest.MonkeyPatch) -> None:
        names_that(monkeypatch, None)
        house = House()
        house.ask(name, ASKS[name]("shop.example", deaf), SHORT_S)
        await house.answers(Answer.SILENT)

    @each_connected
    async def test_no_turn_came(self, name: str, deaf: int) -> None:
        house = House(turns=1)
        first = house.ask(name, ASKS[name](HERE, deaf))
        house.ask(name, ASKS[name](HERE, deaf), SHORT_S)
        await until(lambda: bool(house.told))
        first.cancel()
        assert "no turn came in time" in await house.answers(Answer.NONE)

    @each_kind
    async def test_it_does_not_notice(self, name: str, deaf: int, monkeypatch: pytest.MonkeyPatch) -> None:
        """Then it is abandoned after the kind's grace."""
        monkeypatch.setattr(Echo, "_take", lambda *_: None)
        monkeypatch.setattr(_class_of(name), "late", lambda _: None)
        house = House()
        house.ask(name, ASKS[name](HERE, deaf), SHORT_S)
        assert "probe hung" in await house.answers(Answer.NONE)


def _class_of(name: str) -> type[Launched[Any]]:
    found = [x for x in _below(Launched) if x.__module__.startswith(f"orchestrator.probes.{name}")]
    return found[0]


def _below(cls: type[Any]) -> Iterator[type[Any]]:
    for below in cls.__subclasses__():
        yield below
        yield from _below(below)


class TestAbandoned:
    """Nobody wants the answer any more, and none is given."""

    async def given_up(self, house: House, *asked: Asking) -> None:
        """Each of them, twice."""
        for asking in asked:
            asking.cancel()
            asking.cancel()
        await house.nothing_is_held()
        assert house.told == []

    @each_kind
    async def test_at_once(self, name: str, deaf: int) -> None:
        house = House()
        await self.given_up(house, house.ask(name, ASKS[name](HERE, deaf)))

    @each_kind
    async def test_while_its_name_is_looked_up(self, name: str, deaf: int, monkeypatch: pytest.MonkeyPatch) -> None:
        names_that(monkeypatch, None)
        house = House()
        asking = house.ask(name, ASKS[name]("shop.example", deaf))
        await asyncio.sleep(0.02)
        await self.given_up(house, asking)

    @each_connected
    async def test_while_it_waits_for_its_turn(self, name: str, deaf: int) -> None:
        house = House(turns=1)
        first, second = (house.ask(name, ASKS[name](HERE, deaf)) for _ in range(2))
        await asyncio.sleep(0.02)
        await self.given_up(house, second, first)

    @each_connected
    async def test_in_the_moment_in_which_its_turn_comes(self, name: str, deaf: int) -> None:
        house = House(turns=1)
        first, second = (house.ask(name, ASKS[name](HERE, deaf)) for _ in range(2))
        await self.given_up(house, first, second)

    @each_connected
    async def test_while_it_connects(self, name: str, full: int) -> None:
        house = House()
        asking = house.ask(name, ASKS[name](HERE, full))
        await asyncio.sleep(0.02)
        await self.given_up(house, asking)

    @each_kind
    async def test_while_it_listens(self, name: str, deaf: int, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Echo, "_take", lambda *_: None)
        house = House()
        asking = house.ask(name, ASKS[name](HERE, deaf))
        await asyncio.sleep(0.1)
        await self.given_up(house, asking)


class TestNotAsked:
    """The target has not been reached."""

    @each_kind
    @pytest.mark.parametrize(
        ("outcome", "answer"),
        [
            (NameFailed(Refusal("no such name")), Answer.BAD),
            (NameFailed(Silence("no name server")), Answer.SILENT),
            (NameFailed(NotAsked("no room")), Answer.NONE),
            (ZeroDivisionError("division by zero"), Answer.NONE),
            (["::1"], Answer.BAD),
        ],
        ids=["refused", "silent", "not asked", "crashed", "no such address"],
    )
    async def test_the_look_up_failed(
        self, name: str, outcome: Any, answer: Answer, deaf: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        names_that(monkeypatch, outcome)
        house = House()
        house.ask(name, ASKS[name]("shop.example", deaf) | {"address_family": "ipv4"})
        await house.answers(answer)

    @each_kind
    async def test_there_is_no_way_out(self, name: str, deaf: int) -> None:
        house = House()
        house.ask(name, ASKS[name](HERE, deaf) | {"source": "192.0.2.7"})
        await house.answers(Answer.NONE)
        assert house.told[0].way_gone

    @each_kind
    async def test_it_crashes_as_it_begins(self, name: str, deaf: int, monkeypatch: pytest.MonkeyPatch) -> None:
        """A fault of ours: a turn that stayed taken would be one less for ever."""

        def crashes(*_: object) -> None:
            raise ZeroDivisionError("division by zero")

        monkeypatch.setattr(Connecting, "begin", crashes)
        monkeypatch.setattr(Echoes, "towards", crashes)
        house = House()
        house.ask(name, ASKS[name](HERE, deaf))
        assert "crashed: ZeroDivisionError" in await house.answers(Answer.NONE)
