"""A daemon that stands by: for the journal whose lease it asked for, and for no other one."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from orchestrator.daemon import serve
from orchestrator.daemon.threads import allow_threads
from orchestrator.journal.journal import Head, JournalUnwritable
from orchestrator.shell.lease import LeaseRefused

HEAD = Head(7, "a" * 64)


class Refused:
    """A controller that cannot begin, twice; `given`: the head that each was to find."""

    given: list[Head | None]
    why: list[Exception]

    def __init__(self, _workspace: Path, *, new_epochs: bool, after: Head | None) -> None:
        assert not new_epochs
        self.given.append(after)

    async def start(self) -> None:
        if self.why:
            raise self.why.pop(0)


async def begun(monkeypatch: pytest.MonkeyPatch, *why: Exception) -> list[Head | None]:
    Refused.given, Refused.why = [], list(why)
    monkeypatch.setattr(serve, "Controller", Refused)
    monkeypatch.setattr(serve, "WAIT_S", 0.0)
    assert await serve._started(Path("/srv/acme"), True, False, asyncio.Event()) is not None
    return Refused.given


@pytest.mark.asyncio
async def test_it_waits_for_a_journal_that_was_moved_away(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = JournalUnwritable("the journal was removed while it was in use", "Put it back.")
    assert await begun(monkeypatch, LeaseRefused("held", HEAD), gone, gone) == [None, HEAD, HEAD, HEAD]


@pytest.mark.asyncio
async def test_a_daemon_that_has_seen_no_journal_says_why_it_cannot_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(JournalUnwritable):
        await begun(monkeypatch, JournalUnwritable("no space is left", "Free some."))


async def test_what_hangs_in_some_threads_leaves_some_for_others() -> None:
    """Seven clients' targets hang, or mounts: the approval of an eighth is looked at all the same."""
    allow_threads(asyncio.get_running_loop())
    goes_on = threading.Event()
    hung = [asyncio.create_task(asyncio.to_thread(goes_on.wait, 60)) for _ in range(60)]
    await asyncio.sleep(0.1)
    try:
        async with asyncio.timeout(5):
            assert await asyncio.to_thread(lambda: "looked at") == "looked at"
    finally:
        goes_on.set()
        await asyncio.gather(*hung)
