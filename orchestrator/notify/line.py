"""The queue before one way to tell people: notices for it wait there, in order, and nowhere else.

The one rule it keeps: no way waits for another one, and no receiver waits for the refusals of another, nor a client
for the many notices of another: they take turns. Each way has a queue, a worker and threads of its own. A way that
hangs, refuses or is flooded is given up after its own tries, and what waits behind it is told why. A program may refuse
one person (an invalid number) and accept a message for another. So what counts is for whom a message is, and of which
client.

    what the way did                what becomes of it
    -----------------------------------------------------------------------------------------------------------
    took it                         delivered; the way works, and the next in line goes at once
    refused one, took the next      that one is tried again later, alone: it is the message, not the way
    refused two for one receiver    it does not work for this one: what else waits for them has been refused with
    of one client                   these, and rests for a while that grows; what is for others is tried first
    refused two of different ones   the way does not work: all that wait have been refused with them, and the way
                                    rests for a while that grows
    does not come back              the same as refused, after ATTEMPT_S
    has a flood before it           what waits for one receiver goes combined, as much as fits one message
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from orchestrator.core.people import AppriseWay, Person, Retry, Way
from orchestrator.notify import apprise_way, command_way
from orchestrator.notify.combined import CHARACTERS_MAX, combined, length
from orchestrator.notify.in_thread import in_thread
from orchestrator.notify.message import Message, data_for

log = structlog.get_logger(__name__)

ATTEMPT_S = 30.0  # one try by apprise, name server and all
WAITING_MAX = 10_000  # that wait before one way
COMBINE_FROM = 25  # so many that wait go together
CLOSE_S = 3.0  # at the end, for a program to be killed
HANGING_MAX = 3  # tries of one way that never came back: no more threads for it before one of them does


def key_of(way: Way) -> object:
    """What makes two ways one: an apprise URL is the same whoever lists it, and whatever it is called."""
    return way.url if isinstance(way, AppriseWay) else (way.argv, way.timeout_s)


Whom = tuple[str, str]  # for which receiver a message is, and of which client


@dataclass(slots=True, eq=False)
class _Waiting:
    """One message in the line."""

    message: Message
    person: Person | None
    whom: Whom
    attempts: int
    came: asyncio.Future[str]
    refused: Callable[[str], None]
    tries: int = 0
    due: float = 0.0


@dataclass(slots=True)
class _Refused:
    """What the way did not take for one receiver of one client, since it took one for them."""

    messages: set[str] = field(default_factory=set)
    tries: int = 0
    why: str = ""  # of the last one; never told to others
    rests_until: float = 0.0


class Line:
    """One way's line, in one event loop."""

    def __init__(self, way: Way, retry: Callable[[], Retry]) -> None:
        """Nothing waits yet; `retry` tells the settings of the moment."""
        self.way = way
        self.why = ""  # why the last try failed; empty: it did not, or there was none
        self.failing_since: float | None = None  # of the loop's clock
        self._retry = retry
        self._waiting: list[_Waiting] = []
        self._failures = 0  # in a row, by whatever message
        self._refused: dict[Whom, _Refused] = {}
        self._since: set[Whom] = set()  # for whom it took nothing, since it took anything
        self._alone = 0  # so many go one by one: a combined message was refused
        self._rests_until = 0.0
        self._served: dict[str, int] = {}  # clients, in the order in which they were served
        self._arrived = asyncio.Event()
        self._worker: asyncio.Task[None] | None = None
        self._hanging: set[threading.Thread] = set()

    @property
    def waiting(self) -> int:
        """How many messages wait, or are being sent."""
        return len(self._waiting)

    @property
    def idle(self) -> bool:
        """Whether nothing would be lost with it."""
        return not self._waiting and not any(t.is_alive() for t in self._hanging)

    async def send(
        self,
        message: Message,
        person: Person | None,
        attempts: int,
        refused: Callable[[str], None] = lambda _why: None,
        receiver: str = "",
    ) -> str:
        """Send it when its turn comes; empty: delivered, else why not, after so many attempts.

        `refused` is called when the way is known not to have taken it so far. `receiver`: whose list the way is on.
        """
        whom = (person.id if person else receiver, str(message.data.get("client", "")))
        if len(self._waiting) >= WAITING_MAX:
            return f"{WAITING_MAX} notices wait for it already: {self._why(whom, 'it is too slow')}"
        one = _Waiting(message, person, whom, attempts, asyncio.get_running_loop().create_future(), refused)
        self._waiting.append(one)
        self._arrived.set()
        if self._down or self._tries(whom) > 1:  # known to be down: nobody need wait to learn it
            refused(self._why(whom))
        if self._worker is None or self._worker.done():
            self._worker = asyncio.get_running_loop().create_task(self._work())
        try:
            return await one.came
        finally:
            if one in self._waiting:  # whoever asked has gone
                self._waiting.remove(one)

    async def close(self) -> None:
        """Send nothing any more; what waits gets no answer, and a program that runs is killed."""
        if self._worker is not None and not self._worker.done():
            self._worker.cancel()
            await asyncio.wait({self._worker}, timeout=CLOSE_S)

    # ---- the worker

    async def _work(self) -> None:
        while self._waiting:
            batch = self._next()
            if not batch:
                await self._pause()
                continue
            why = await self._try(batch)
            if why:
                self._failed(batch, why)
            else:
                self._worked(batch)

    def _next(self) -> list[_Waiting]:
        """What goes next; nothing: not yet."""
        now = asyncio.get_running_loop().time()
        due = [x for x in self._waiting if self._due(x) <= now]
        if not due:
            return []
        if self._failures:  # another one than the last: is it the way, or the message?
            return [min(due, key=lambda x: (self._tries(x.whom), x.tries))]
        if len(due) <= COMBINE_FROM or self._alone > 0:
            self._alone -= 1
            return [self._first(due)]
        first = self._first(due)
        batch, characters = [first], length(first.message)
        for x in (x for x in due if x is not first and x.person is first.person and x.whom[0] == first.whom[0]):
            characters += length(x.message)
            if characters > CHARACTERS_MAX:
                break
            batch.append(x)
        return batch

    def _first(self, due: list[_Waiting]) -> _Waiting:
        """The oldest of the client that was not served for the longest time."""
        first = min(due, key=lambda x: self._served.get(x.whom[1], 0))
        self._served[first.whom[1]] = max(self._served.values(), default=0) + 1
        return first

    async def _pause(self) -> None:
        """Until something is due, or something new has come to a way that is not known to be down."""
        now = asyncio.get_running_loop().time()
        self._arrived.clear()
        until = min(self._due(x) for x in self._waiting)
        try:
            async with asyncio.timeout(max(0.0, until - now)):
                while True:
                    await self._arrived.wait()
                    self._arrived.clear()
                    if now >= self._rests_until:
                        return
        except TimeoutError:
            return

    async def _try(self, batch: list[_Waiting]) -> str:
        """One attempt; empty: it was taken. Never raises but to be cancelled."""
        return await attempt(self.way, combined([x.message for x in batch]), batch[0].person, self._hanging)

    @property
    def _down(self) -> bool:
        """Whether it takes nothing, whoever it is for."""
        return len(self._since) > 1

    def _tries(self, whom: Whom) -> int:
        return self._refused[whom].tries if whom in self._refused else 0

    def _why(self, whom: Whom, otherwise: str = "it did not take what was before this one") -> str:
        return self._refused[whom].why if whom in self._refused else otherwise

    def _due(self, x: _Waiting) -> float:
        rests_until = self._refused[x.whom].rests_until if x.whom in self._refused else 0.0
        return max(x.due, self._rests_until, rests_until)

    def _worked(self, batch: list[_Waiting]) -> None:
        if self._failures > 1:
            log.info("notices_delivered_again_by", way=self.way.label, waiting=len(self._waiting) - len(batch))
        again = self._since if self._down else {x.whom for x in batch}
        for x in self._waiting:
            if x.whom in again:
                x.due = 0.0
        for whom in again:
            self._refused.pop(whom, None)
        self._since = set()
        self.why, self.failing_since, self._failures, self._rests_until = "", None, 0, 0.0
        self._leave(batch, lambda _whom: "")

    def _failed(self, batch: list[_Waiting], why: str) -> None:
        now = asyncio.get_running_loop().time()
        self.why = why
        self.failing_since = now if self.failing_since is None else self.failing_since
        self._failures += 1
        for x in batch:
            self._refused.setdefault(x.whom, _Refused()).messages.add(x.message.id)
        theirs = {whom: self._refused[whom] for whom in {x.whom for x in batch}}
        self._since.update(theirs)
        for refused in theirs.values():
            refused.tries, refused.why = refused.tries + 1, why
            if len(refused.messages) > 1:
                refused.rests_until = now + self._rest_s(refused.tries)
        if len(batch) > 1:
            self._alone = 2 * len(batch)
        if self._down:
            self._rests_until = now + self._rest_s(self._failures)
        tried = set(map(id, batch))
        for x in self._waiting:
            if self._down or (x.whom in theirs and theirs[x.whom].rests_until > now):
                x.tries, x.due = x.tries + 1, 0.0
            elif id(x) in tried:
                x.tries += 1
                x.due = now + self._rest_s(x.tries)
            if self._down or x.whom in theirs:
                x.refused(self._why(x.whom))
        self._leave([x for x in self._waiting if x.tries >= x.attempts], self._why)

    def _leave(self, those: list[_Waiting], why: Callable[[Whom], str]) -> None:
        gone = {id(x) for x in those}
        self._waiting = [x for x in self._waiting if id(x) not in gone]
        for x in those:
            if not x.came.done():
                x.came.set_result(why(x.whom))

    def _rest_s(self, failures: int) -> float:
        return pause_s(self._retry(), failures)


async def attempt(way: Way, message: Message, person: Person | None, hanging: set[threading.Thread]) -> str:
    """Send it once by this way; empty: it was taken, else why not. Never raises but to be cancelled."""
    try:
        if not isinstance(way, AppriseWay):
            return await command_way.send(way, data_for(message, person))
        if sum(t.is_alive() for t in hanging) >= HANGING_MAX:
            return f"{HANGING_MAX} tries before this one have not come back"
        return await in_thread(lambda: apprise_way.send(way, message), ATTEMPT_S, hanging)
    except TimeoutError:
        return f"no end within {ATTEMPT_S:g} s: given up"
    except Exception as error:  # a fault of ours must leave no message without an answer
        log.exception("notice_delivery_broke", notice=message.id, way=way.label)
        return f"internal fault: {type(error).__name__}"


def pause_s(retry: Retry, failures: int) -> float:
    """Doubling from `first_s` up to `max_s`, with up to `first_s` at random on top."""
    return min(retry.first_s * 2.0 ** min(failures - 1, 30), retry.max_s) + random.uniform(0, retry.first_s)  # noqa: S311
