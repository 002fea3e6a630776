"""A workspace with a journal, and a daemon of straw behind its socket."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from orchestrator.cli.main import main
from orchestrator.core.codec import encode
from orchestrator.core.commands import Answered
from orchestrator.core.events import WordSpoken
from orchestrator.core.model import Json
from orchestrator.daemon.address import where_to_listen
from orchestrator.daemon.request_handler import Desk
from orchestrator.daemon.socket import WordsSocket
from orchestrator.journal.lease import Lease
from orchestrator.journal.sqlite import SqliteJournal
from tests.reports.sample import Tape, Written, small_model

Bascule = Callable[..., int]


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty workspace, and the current directory somewhere below it."""
    below = tmp_path / "playbooks" / "site"
    below.mkdir(parents=True)
    (tmp_path / "inventories").mkdir()
    monkeypatch.chdir(below)
    monkeypatch.delenv("BASCULE_WORKSPACE", raising=False)
    monkeypatch.delenv("SUDO_USER", raising=False)
    monkeypatch.setenv("BASCULE_OPERATOR", "Ann Example")
    monkeypatch.setenv("COLUMNS", "100")
    return tmp_path


@pytest.fixture
def bascule() -> Bascule:
    """Run one command line; its exit code."""

    def run(*argv: str) -> int:
        with pytest.raises(SystemExit) as ended:
            main(list(argv))
        code = ended.value.code
        return code if isinstance(code, int) else 0 if code is None else 1

    return run


class Kept:
    """A real journal in the workspace, written from a tape."""

    def __init__(self, workspace: Path) -> None:
        """Take the lease."""
        path = workspace / ".bascule" / "journal.db"
        path.parent.mkdir(mode=0o700)
        self.journal = SqliteJournal(path)
        lease = self.journal.acquire("noc", 0.0)  # over at once: nobody watches
        assert isinstance(lease, Lease)
        self.lease = lease
        self.journal.store_model("m1", encode(small_model()))
        self.written = 0

    def keep(self, tape: Tape) -> list[Written]:
        """Everything on the tape that was not kept before."""
        new = tape.entries[self.written :]
        for entry in new:
            self.journal.append(self.lease, entry.at, entry.wall, entry.records, {})
        self.written += len(new)
        return new


@pytest.fixture
def kept(workspace: Path) -> Iterator[Kept]:
    """See `Kept`."""
    found = Kept(workspace)
    yield found
    found.journal.close()


@dataclass
class Straw:
    """A daemon that answers as it was told, and then does what it was told."""

    workspace: Path
    answer: Callable[[WordSpoken], Answered] = lambda w: Answered(w.id, True, "asked by operator", "as you say")
    plan: Json = None
    afterwards: Callable[[Desk], None] = lambda _desk: None
    heard: list[WordSpoken] = field(default_factory=list)
    sees: dict[str, Json] = field(default_factory=dict)

    async def _serve(self, up: threading.Event, down: asyncio.Event) -> None:
        async def speak(word: WordSpoken) -> Answered:
            self.heard.append(word)
            asyncio.get_running_loop().call_later(0.1, self.afterwards, desk)
            return self.answer(word)

        async def dry_run(word: WordSpoken) -> Json:
            self.heard.append(word)
            return self.plan

        desk = Desk(speak, dry_run, lambda: 0.0, seen=lambda: self.sees)
        listener = WordsSocket(where_to_listen(self.workspace), desk.handle)
        desk.publish = listener.publish
        await listener.start()
        up.set()
        await down.wait()
        await listener.stop()


@pytest.fixture
def straw(workspace: Path) -> Iterator[Straw]:
    """It listens until the test ends."""
    found = Straw(workspace)
    up = threading.Event()
    loop = asyncio.new_event_loop()
    down = asyncio.Event()
    thread = threading.Thread(target=lambda: loop.run_until_complete(found._serve(up, down)))
    thread.start()
    assert up.wait(10.0)
    yield found
    loop.call_soon_threadsafe(down.set)
    thread.join(10.0)
    loop.close()
