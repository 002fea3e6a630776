"""Compares with the disk what runs, and tiers of open incidents, would play: is it still as it was loaded?

The one rule it keeps: nobody approves, and nobody begins, what has changed. It looks before such a word is handled, and
every few seconds while somebody is asked or an incident is open. What it finds goes to the engine as an event. The
runner looks once more at the moment a step begins.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping

import structlog

from orchestrator.core import events as e
from orchestrator.core.engine import Engine
from orchestrator.core.kinds import rehearsed_by
from orchestrator.core.model import Playbook
from orchestrator.core.rules import ladder
from orchestrator.core.runs import plan

log = structlog.get_logger(__name__)

EVERY_S = 5.0
LOOK_S = 20.0
FILES_SILENT = (
    f"the files of its plan do not answer within {LOOK_S:g} s, as on a mount that hangs: nothing was decided;"
    " say it again when they do"
)
MOVING = (e.WordKind.APPROVE, e.WordKind.FAILOVER, e.WordKind.FAILBACK, e.WordKind.DRILL)


Books = dict[str, tuple[str, str]]  # digest in force to client and path
Differ = Callable[[Books], Mapping[str, str]]  # what differs on disk from each of these, in a sentence or empty


class Plans:
    """`engine` gives what is in force; `differ` looks at the disk, in a thread; `emit` takes what was found."""

    def __init__(self, engine: Callable[[], Engine], differ: Differ, emit: Callable[[e.Event], None]) -> None:
        self._engine = engine
        self._differ = differ
        self._emit = emit
        self._looks: dict[str, asyncio.Task[None]] = {}

    async def before(self, word: e.WordSpoken, now: float) -> None:
        """Look at what this word would have played, so that it is answered by what there is. A repeat has its answer.

        Raises TimeoutError where the files do not answer within `LOOK_S`.
        """
        if word.kind in MOVING and word.id not in self._engine().decided.words:
            async with asyncio.timeout(LOOK_S):
                for client, books in _by_client(self._books(now, word.subject)).items():
                    while client in self._looks:  # one that hangs keeps one thread, however often the word is said
                        await asyncio.wait({self._looks[client]})
                    await asyncio.shield(self._looking(client, books))

    async def keep_looking(self, now: Callable[[], float]) -> None:
        """For as long as the controller lives. A client whose files hang is waited for once."""
        try:
            while True:
                await asyncio.sleep(EVERY_S)
                for client, books in _by_client(self._books(now())).items():
                    if client not in self._looks:
                        await asyncio.wait({self._looking(client, books)}, timeout=LOOK_S)
        finally:
            for look in self._looks.values():
                look.cancel()

    def _looking(self, client: str, books: Books) -> asyncio.Task[None]:
        """A look that goes on, whoever gives up waiting for it."""
        self._looks[client] = look = asyncio.create_task(self._look(books))

        def over(done: asyncio.Task[None]) -> None:
            del self._looks[client]
            if not done.cancelled() and (why := done.exception()) is not None:
                log.warning("what playbooks are made of could not be looked at", client=client, why=str(why))

        look.add_done_callback(over)
        return look

    def _books(self, now: float, subject: str = "") -> Books:
        """Of the subject (service or run), else of all that waits or may be chosen."""
        engine = self._engine()
        tx, decided, model = engine.transaction(now), engine.decided, engine.model
        found: Books = {}

        def add(client: str, books: Iterable[Playbook]) -> None:
            found.update((book.digest, (client, book.path)) for book in books)

        for run in decided.unfinished_runs():
            service = model.services.get(run.started.service)
            if service is not None and run.started.move in model.moves and subject in ("", run.id, service.id):
                add(service.client, plan.books_of(tx, run))
        open_ = {incident.service for incident in decided.open_incidents()} if not subject else {subject}
        for service in (model.services[name] for name in open_ if name in model.services):
            moves = (*(tier.move for tier in service.ladder), *service.failback)
            for move in (model.moves[name] for name in moves if name in model.moves):
                add(service.client, ladder.books_of(tx, service, move))
                add(service.client, rehearsed_by(move) if subject else ())
        return found

    async def _look(self, books: Books) -> None:
        if not books:
            return
        configuration = self._engine().decided.configuration
        found = await asyncio.to_thread(self._differ, books)
        decided = self._engine().decided
        news = {digest: told for digest, told in found.items() if told != decided.edited.get(digest, "")}
        if news and configuration == decided.configuration:  # else it was loaded meanwhile
            self._emit(e.PlaybooksRead(news))


def _by_client(books: Books) -> dict[str, Books]:
    found: dict[str, Books] = {}
    for digest, (client, path) in books.items():
        found.setdefault(client, {})[digest] = (client, path)
    return found
