"""How many questions that each need a connection may be in the air at once, kind by kind.

The one rule it keeps: what waits for its turn has not been asked. It is stamped when its turn comes. If that has not
come within the question's own time-out, it is "not asked", never "silent". Each kind has its own share of this
program's files, so that a thousand hung questions of one kind take no turn of another kind.

Nor of another client: if there are several, each has at most twice as many as are left. So one client whose questions
all hang leaves a third to the others, two leave a fifth. What becomes free goes to whoever has the fewest.
"""

from __future__ import annotations

import asyncio
import resource
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from orchestrator.probes.deadlines import Deadlines
from orchestrator.probes.results import NotAsked, Unanswerable

TURNS_MAX = 2048  # of one kind
_SHARES = 4  # kinds that hold connections
_KEPT_FILES = 256  # for all that is no question: journal, sockets of clients, runs
_TIMES_WHAT_IS_LEFT = 2  # turns that one of several clients may have


def turns_of_a_kind() -> int:
    """How many turns a kind has, so that all kinds together stay below this program's limit of open files."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return TURNS_MAX
    return max(16, min(TURNS_MAX, (soft - _KEPT_FILES) // _SHARES))


class Turn:
    """One question's turn, or its wait for it. `begin` is called when it comes, `missed` when it does not."""

    __slots__ = ("_begin", "_missed", "_turns", "over", "taken", "whom")

    def __init__(
        self, turns: Turns, begin: Callable[[], None], missed: Callable[[NotAsked], None], whom: str = ""
    ) -> None:
        self._turns = turns
        self.whom = whom
        self._begin = begin
        self._missed = missed
        self.over = False  # it waits no more
        self.taken = False

    def take(self) -> None:
        """The turn has come, at once."""
        self.over = self.taken = True
        self._begin()

    def take_soon(self) -> None:
        """The turn has come, while another question is ending: a chain of short ones must not become a deep call."""
        self.over = self.taken = True
        asyncio.get_running_loop().call_soon(self._begin_if_kept)

    def _begin_if_kept(self) -> None:
        if self.taken:
            self._begin()

    def late(self) -> None:
        """It has not come in time."""
        self.over = True
        self._missed(NotAsked(f"no turn came in time: {self._turns.in_use} connections of its kind are open already"))

    def end(self) -> None:
        """Give the turn back, or stop waiting for it. Nothing happens the second time."""
        self.over = True
        if self.taken:
            self.taken = False
            self._turns.give_back(self.whom)


class Turns:
    """The turns of one kind. A question says for `whom` it is asked: the client.

    Without `deadlines` whoever waits does so until the turn comes.
    """

    def __init__(self, limit: int, deadlines: Deadlines | None = None) -> None:
        self.limit = limit
        self.in_use = 0
        self._deadlines = deadlines
        self._held: dict[str, int] = {}  # of each client that has ever asked
        self._waiting: dict[str, deque[Turn]] = {}

    def enter(
        self, wait_s: float, begin: Callable[[], None], missed: Callable[[NotAsked], None], whom: str = ""
    ) -> Turn:
        """A turn now, before this returns, or as soon as one is free."""
        turn = Turn(self, begin, missed, whom)
        self._held.setdefault(whom, 0)
        if self._has_room(whom):
            self._take(whom)
            try:
                turn.take()
            except BaseException:  # nobody knows of it yet who could give it back
                turn.end()
                raise
        else:
            self._waiting.setdefault(whom, deque()).append(turn)
            if self._deadlines is not None:
                self._deadlines.add(wait_s, turn)
        return turn

    def take(self, whom: str = "") -> bool:
        """A turn now, to be given back, or none."""
        self._held.setdefault(whom, 0)
        room = self._has_room(whom)
        if room:
            self._take(whom)
        return room

    @asynccontextmanager
    async def held(self, wait_s: float, whom: str = "") -> AsyncIterator[None]:
        """The same for a coroutine. Raises `Unanswerable` where no turn came in time."""
        came: asyncio.Future[NotAsked | None] = asyncio.get_running_loop().create_future()

        def tell(missed: NotAsked | None = None) -> None:
            if not came.done():
                came.set_result(missed)

        turn = self.enter(wait_s, tell, tell, whom)
        try:
            missed = await came
            if missed is not None:
                raise Unanswerable(missed.why)
            yield
        finally:
            turn.end()

    def held_by(self, whom: str) -> int:
        """How many of them this client has."""
        return self._held.get(whom, 0)

    def give_back(self, whom: str) -> None:
        """One question has ended: whoever still waits, and has room now, has a turn."""
        self.in_use -= 1
        self._held[whom] -= 1
        while (turn := self._next()) is not None:
            self._take(turn.whom)
            turn.take_soon()

    def _has_room(self, whom: str) -> bool:
        left = self.limit - self.in_use
        return left > 0 and (len(self._held) == 1 or self._held[whom] < _TIMES_WHAT_IS_LEFT * left)

    def _take(self, whom: str) -> None:
        self.in_use += 1
        self._held[whom] += 1

    def _next(self) -> Turn | None:
        for whom in sorted(self._waiting, key=self._held.__getitem__):
            if not self._has_room(whom):
                return None  # nor have those who hold more
            queue = self._waiting[whom]
            while queue and queue[0].over:
                queue.popleft()
            turn = queue.popleft() if queue else None
            if not queue:
                del self._waiting[whom]
            if turn is not None:
                return turn
        return None
