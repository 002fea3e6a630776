"""Looks at what would be played: files of one client that hang are waited for no longer than once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from orchestrator.core import events as e
from orchestrator.shell import plans
from orchestrator.shell.plans import FILES_SILENT, Books, Plans
from orchestrator.shell.wiring import Controller
from tests.shell.small import PATIENCE_S, Small

BOOKS: Books = {"one": ("acme", "move.yml"), "two": ("bistro", "move.yml")}


class Disk:
    """Of two clients: acme's files hang."""

    def __init__(self) -> None:
        self.looked: list[str] = []
        self.goes_on = threading.Event()

    def differ(self, books: Books) -> Mapping[str, str]:
        """Looks at one client's at a time."""
        (client,) = {client for client, _ in books.values()}
        self.looked.append(client)
        if client == "acme":
            self.goes_on.wait(PATIENCE_S)
        return dict.fromkeys(books, f"{client} was edited")


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    """Quick looks, at a disk that hangs; it goes on at the end."""
    monkeypatch.setattr(plans, "LOOK_S", 0.2)
    monkeypatch.setattr(plans, "EVERY_S", 0.01)
    found = Disk()
    yield found
    found.goes_on.set()


async def test_another_clients_are_looked_at_again_and_again(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    engine: Any = SimpleNamespace(decided=SimpleNamespace(configuration="", edited={}))
    heard: list[e.Event] = []
    looking = Plans(lambda: engine, disk.differ, heard.append)
    monkeypatch.setattr(looking, "_books", lambda *_: dict(BOOKS))
    task = asyncio.create_task(looking.keep_looking(lambda: 0.0))
    async with asyncio.timeout(PATIENCE_S):
        while disk.looked.count("bistro") < 5:  # noqa: ASYNC110  (other threads look)
            await asyncio.sleep(0.01)
    task.cancel()
    disk.goes_on.set()
    assert disk.looked.count("acme") == 1
    assert {digest for x in heard if isinstance(x, e.PlaybooksRead) for digest in x.found} == {"two"}


@pytest.mark.usefixtures("nothing_warm")
async def test_a_word_whose_plan_cannot_be_looked_at_is_refused(
    small: Small, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And says why; nothing is decided. Of one that was answered before that would not be true."""
    controller = Controller(small.path)
    await controller.start()
    try:
        monkeypatch.setattr(controller.plans, "_differ", disk.differ)
        word = e.WordSpoken("w1", e.WordKind.FAILOVER, "Ada", "acme/web")
        answer = await controller.speak(word)
        assert (answer.accepted, answer.evidence) == (False, FILES_SILENT)
        assert not controller.shell.engine.decided.runs
        again = await controller.speak(replace(word, id="w2"))
        assert (again.accepted, disk.looked.count("acme")) == (False, 1), "each word took a thread"
        disk.goes_on.set()
        said = await controller.speak(word)
        assert said.evidence != FILES_SILENT
        disk.goes_on.clear()
        assert await controller.speak(word) == said, "a repeat is answered as it was, whatever hangs by now"
    finally:
        disk.goes_on.set()
        await controller.close()
