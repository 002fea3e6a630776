"""Turns: what waits for one has not been asked, is stamped when it comes, and is nobody's silence when it does not."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import threading
import time
from typing import Any

import pytest

from orchestrator.core.events import Answer
from orchestrator.probes import forks, names
from orchestrator.probes.asking import Asking
from orchestrator.probes.deadlines import Deadlines
from orchestrator.probes.kind import Secrets
from orchestrator.probes.kinds import KINDS
from orchestrator.probes.names import NameFailed, Names
from orchestrator.probes.options import UNPINNED
from orchestrator.probes.results import Judged, NotAsked
from orchestrator.probes.tools import Tools
from orchestrator.probes.turns import Turn, Turns
from tests.probes.conftest import ROOT


class Asked:
    """Some questions with few turns, and when each went out."""

    def __init__(self, turns: int) -> None:
        self.tools = Tools(turns_max=turns)
        self._futures: list[asyncio.Future[tuple[Judged, float]]] = []

    def ask(self, kind: str, timeout_s: float, whom: str = "", **options: Any) -> None:
        """Ask now, or as soon as it is its turn, for a client."""
        row = KINDS[kind]
        row.warm()
        future = asyncio.get_running_loop().create_future()
        self._futures.append(future)
        asking = Asking(
            row,
            row.options.model_validate(options),
            timeout_s,
            time.monotonic,
            lambda asked, judged: future.set_result((judged, asked.sent_at)),
            whom,
        )
        asking.begin(Secrets({}), self.tools)

    async def answer(self, number: int) -> tuple[Judged, float]:
        """Of one of them."""
        return await self._futures[number]

    async def answers(self) -> list[tuple[Judged, float]]:
        """In the order in which they were asked for."""
        found = await asyncio.gather(*self._futures)
        await self.tools.close()
        return found


async def test_a_question_waits_for_its_turn_and_is_stamped_when_it_comes(deaf: int) -> None:
    for kind, options in (
        ("tcp", {"target": "127.0.0.1", "port": deaf, "expect": "x"}),
        ("http", {"url": f"http://127.0.0.1:{deaf}/"}),
    ):
        asked = Asked(turns=1)
        asked.ask(kind, 0.4, **options)
        asked.ask(kind, 30.0, **{**options, **({"expect": None} if kind == "tcp" else {"url": "http://127.0.0.1:1/"})})
        (first, sent), (second, sent_later) = await asked.answers()
        assert (first.answer, second.answer) == (Answer.SILENT, Answer.GOOD if kind == "tcp" else Answer.BAD)
        assert sent_later - sent >= 0.4, "it went out when the first one had ended"


async def test_what_waited_too_long_was_not_asked(deaf: int) -> None:
    asked = Asked(turns=1)
    asked.ask("tcp", 2.0, target="127.0.0.1", port=deaf, expect="x")
    asked.ask("tcp", 0.2, target="127.0.0.1", port=deaf)
    (first, _), (second, _) = await asked.answers()
    assert first.answer is Answer.SILENT
    assert (second.answer, "no turn came in time" in second.detail) == (Answer.NONE, True), second.detail


async def test_each_kind_has_turns_of_its_own(deaf: int) -> None:
    asked = Asked(turns=1)
    asked.ask("tcp", 0.5, target="127.0.0.1", port=deaf, expect="x")
    asked.ask("http", 0.5, url=f"http://127.0.0.1:{deaf}/")
    assert {judged.answer for judged, _ in await asked.answers()} == {Answer.SILENT}


@pytest.mark.parametrize("kind", ["tcp", "nagios"])
async def test_a_client_whose_questions_all_hang_leaves_turns_to_the_others(
    deaf: int, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forks, "AT_ONCE", 6)
    hangs: dict[str, Any] = {"target": "127.0.0.1", "port": deaf, "expect": "x"}
    answers: dict[str, Any] = {"target": "127.0.0.1", "port": deaf}
    if kind == "nagios":
        hangs, answers = {"command": ["sleep", "600"]}, {"command": ["echo", "fine"]}
    asked = Asked(turns=6)
    asked.ask(kind, 30.0, "west", **answers)
    for _ in range(20):
        asked.ask(kind, 600.0, "east", **hangs)
    asked.ask(kind, 30.0, "west", **answers)
    found = [await asyncio.wait_for(asked.answer(number), 60.0) for number in (0, -1)]
    await asked.tools.close()
    assert [judged.answer for judged, _ in found] == [Answer.GOOD, Answer.GOOD], found


def test_turns_are_shared_out_among_those_who_ask() -> None:
    turns, held = Turns(12), {"east": 0, "west": 0, "north": 0}

    def ask(whom: str, times: int) -> list[Turn]:
        def began() -> None:
            held[whom] += 1

        return [turns.enter(9.0, began, lambda _: None, whom) for _ in range(times)]

    east = ask("east", 20)
    assert held["east"] == 12, "it is alone"
    ask("west", 20)
    assert held["west"] == 0, "until one of them ends"
    loop = asyncio.new_event_loop()

    async def end(what: list[Turn]) -> None:
        for turn in what:
            turn.end()
        await asyncio.sleep(0)

    loop.run_until_complete(end(east[:6]))
    assert held == {"east": 12, "west": 4, "north": 0}, "what becomes free goes to who has the fewest"
    ask("north", 1)
    assert held["north"] == 1, "and something is left for whoever else comes"
    loop.close()


async def test_a_turn_comes_back_however_its_question_ends() -> None:
    turns, came = Turns(1, Deadlines()), []
    first = turns.enter(9.0, lambda: came.append("first"), lambda _: None)
    waits = turns.enter(9.0, lambda: came.append("given up"), lambda _: None)
    turns.enter(9.0, lambda: came.append("last"), lambda _: None)
    waits.end()
    first.end()
    first.end()
    await asyncio.sleep(0)
    assert (came, turns.in_use) == (["first", "last"], 1)


async def test_a_turn_that_comes_and_is_given_up_in_the_same_moment_goes_to_the_next() -> None:
    turns, came = Turns(1, Deadlines()), []
    first = turns.enter(9.0, lambda: None, lambda _: None)
    second = turns.enter(9.0, lambda: came.append("second"), lambda _: None)
    turns.enter(9.0, lambda: came.append("third"), lambda _: None)
    first.end()
    second.end()
    for _ in range(3):
        await asyncio.sleep(0)
    assert (came, turns.in_use) == (["third"], 1)


async def test_deadlines_tell_each_once_and_nobody_who_is_over() -> None:
    told: asyncio.Queue[str] = asyncio.Queue()

    class Waiting:
        """Somebody whose time runs."""

        def __init__(self, name: str) -> None:
            self.name, self.over = name, False

        def late(self) -> None:
            """Note it."""
            self.over = True
            told.put_nowait(self.name)

    deadlines = Deadlines()
    early, gone, also = Waiting("early"), Waiting("gone"), Waiting("also")
    for waiting in (early, gone, also):
        deadlines.add(0.05, waiting)
    deadlines.add(30.0, Waiting("patient"))
    gone.over = True
    async with asyncio.timeout(20):
        assert [await told.get(), await told.get()] == ["early", "also"]
    deadlines.close()
    assert told.empty()


_NO_FILES = """
import asyncio, json, resource
from orchestrator.probes.asking import ask_once
from orchestrator.probes.kind import Secrets
from orchestrator.probes.kinds import KINDS
from orchestrator.probes.names import NameFailed, Names
from orchestrator.probes.tools import Tools

async def main():
    tools = Tools()
    for name in ("tcp", "http", "icmp"):
        KINDS[name].warm()
    held = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
    try:
        while True:
            held.append(open("/dev/null"))
    except OSError:
        pass
    asked = {"tcp": {"target": "127.0.0.1", "port": 9}, "http": {"url": "http://127.0.0.1:9/"},
             "icmp": {"target": "127.0.0.1"}}
    found = {}
    for name, options in asked.items():
        row = KINDS[name]
        judged = await ask_once(row, row.options.model_validate(options), 2.0, secrets=Secrets({}), tools=tools)
        found[name] = [judged.answer, judged.detail]
    for file in held:
        file.close()
    await tools.close()
    print(json.dumps(found))

asyncio.run(main())
"""


def test_no_files_left_is_our_own_fault() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _NO_FILES], capture_output=True, text=True, check=False, timeout=60, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert {name: answer for name, (answer, _) in found.items()} == dict.fromkeys(found, Answer.NONE), found


def test_not_asked_says_how_many_were_in_the_way() -> None:
    told: list[NotAsked] = []
    turns = Turns(7, Deadlines.__new__(Deadlines))
    turns.in_use = 7
    Turn(turns, lambda: None, told.append).late()
    assert "7 connections" in told[0].why


async def test_a_client_whose_names_all_hang_leaves_look_ups_to_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look-ups outlive their questions: a resolver gives up after many seconds, a question after one."""
    over = threading.Event()

    def getaddrinfo(name: str, *_rest: object) -> list[Any]:
        if name.endswith(".dark.example"):
            over.wait(20)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 0))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr(names, "_THREADS_MAX", 9)
    looked_up = Names()
    try:
        assert await looked_up.addresses("shop.globex.example", None, UNPINNED, whom="globex") == ["192.0.2.1"]
        for number in range(20):
            with pytest.raises((TimeoutError, NameFailed)):
                async with asyncio.timeout(0.02):
                    await looked_up.addresses(f"host{number}.dark.example", None, UNPINNED, whom="acme")
        with pytest.raises(NameFailed) as failed:
            await looked_up.addresses("host21.dark.example", None, UNPINNED, whom="acme")
        assert str(failed.value).endswith("name look-ups of acme hang already: do their name servers answer?")
        assert await looked_up.addresses("shop.globex.example", None, UNPINNED, whom="globex") == ["192.0.2.1"]
    finally:
        over.set()
