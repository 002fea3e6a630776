"""Tells people: carries out `TellPeople`, by every way that is configured, until somebody has been told.

The one rule it keeps: one notice, one answer. `NoticeDelivered` once everybody was tried and at least one way worked;
`NoticeFailed` when no way worked after all retries. Who could not be reached stands in the answer or in the log.

A notice that was delivered is not sent again in this process; after a crash between sending and recording it may be
sent a second time, with the same notice id: silence would be worse.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol

import structlog
import tenacity

from orchestrator.core.commands import TellPeople
from orchestrator.core.events import NOT_BY, NoticeDelivered, NoticeFailed
from orchestrator.core.people import AppriseWay, Deliver, NotifySettings, Retry, Way
from orchestrator.notify import apprise_way, command_way
from orchestrator.notify.message import Message, data_for, message_of
from orchestrator.notify.receivers import Receiver, addressed, deputy_of

Answer = NoticeDelivered | NoticeFailed

log = structlog.get_logger(__name__)


class Notifier(Protocol):
    """Who carries out `TellPeople`."""

    def carry_out(self, notice: TellPeople) -> None:
        """Begin to deliver and return at once; the answer comes as an event."""
        ...

    async def close(self, grace_s: float = 5.0) -> None:
        """Let deliveries end for so long, then give them up without an answer."""
        ...


class _NotYetReachedError(Exception):
    """A receiver has ways that did not work yet."""


@dataclass(slots=True)
class _Delivery:
    """How far one notice is."""

    notice: TellPeople
    receivers: int
    tried: int = 0  # receivers whose ways were all tried once
    ended: int = 0  # receivers that are done with, one way or the other
    reached: list[str] = field(default_factory=list)
    trouble: dict[str, str] = field(default_factory=dict)  # what did not work so far: why
    used: set[object] = field(default_factory=set)  # ways taken, see `receivers.fresh`
    answer: Answer | None = None


class PeopleNotifier:
    """Delivers through apprise and programs. Lives in one event loop; apprise works in threads of its own."""

    def __init__(self, settings: NotifySettings, emit: Callable[[Answer], None], delivered: Iterable[str] = ()) -> None:
        """`emit` takes each answer; `delivered` are notices that the journal knows to be delivered."""
        self.settings = settings  # may be replaced: the next notice uses the new ones
        self._emit = emit
        self._deliveries: dict[str, _Delivery] = {}
        self._answers: dict[str, Answer] = {i: NoticeDelivered(i, "earlier, as recorded") for i in delivered}
        self._tasks: set[asyncio.Task[None]] = set()
        self._threads = ThreadPoolExecutor(max_workers=4, thread_name_prefix="notify")

    def carry_out(self, notice: TellPeople) -> None:
        """Begin to deliver; see `Notifier`. A repeat of a delivered notice only repeats its answer."""
        known = self._answers.get(notice.id)
        if known is not None:
            self._emit(known)
        elif notice.id not in self._deliveries:
            self._begin(notice)

    async def close(self, grace_s: float = 5.0) -> None:
        """Let deliveries end; see `Notifier`."""
        if self._tasks:
            _, late = await asyncio.wait(set(self._tasks), timeout=grace_s)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _begin(self, notice: TellPeople) -> None:
        to = addressed(notice, self.settings)
        delivery = _Delivery(notice, len(to.receivers), used=to.used)
        delivery.trouble |= {f"person {i}": "nobody of that id" for i in to.unknown}
        delivery.trouble |= dict.fromkeys(to.wayless, "no way is configured")
        self._deliveries[notice.id] = delivery
        message = message_of(notice, to.people)
        for receiver in to.receivers:
            task = asyncio.get_running_loop().create_task(self._reach(delivery, receiver, message))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        self._progressed(delivery)

    async def _reach(self, delivery: _Delivery, receiver: Receiver, message: Message) -> None:
        """Reach one receiver, or else the deputy."""
        reached = False
        try:
            reached = await self._try_ways(delivery, receiver, message, first_round=True)
            if not reached and receiver.person is not None:
                deputy = deputy_of(receiver.person, self.settings, delivery.used)
                if deputy is not None:
                    reached = await self._try_ways(delivery, deputy, message, first_round=False)
        except Exception as error:  # a fault of ours must not leave the notice without an answer
            log.exception("notice_delivery_broke", notice=delivery.notice.id, receiver=receiver.name)
            delivery.trouble[receiver.name] = f"internal fault: {type(error).__name__}"
        delivery.ended += 1
        self._progressed(delivery)

    async def _try_ways(self, delivery: _Delivery, receiver: Receiver, message: Message, *, first_round: bool) -> bool:
        """Rounds over the ways that did not work yet, with growing pauses; True: one of them worked."""
        pending = list(receiver.ways)
        retry = self.settings.retry
        reached = False
        try:
            async for attempt in tenacity.AsyncRetrying(
                stop=tenacity.stop_after_attempt(retry.attempts),
                wait=_pause(retry),
                retry=tenacity.retry_if_exception_type(_NotYetReachedError),
                reraise=True,
            ):
                with attempt:
                    worked = await self._round(delivery, receiver, message, pending)
                    reached = reached or worked
                    if first_round:
                        first_round = False
                        delivery.tried += 1
                    self._progressed(delivery)
                    if pending:
                        raise _NotYetReachedError
        except _NotYetReachedError:
            names = [_named(receiver, way) for way in pending]
            log.warning(
                "notice_not_delivered_by",
                notice=delivery.notice.id,
                ways=names,
                reasons=[delivery.trouble.get(name, "") for name in names],
                attempts=retry.attempts,
            )
        return reached

    async def _round(self, delivery: _Delivery, receiver: Receiver, message: Message, pending: list[Way]) -> bool:
        """Try each pending way once (or in order until one works); those that worked leave `pending`."""
        if self.settings.deliver is Deliver.ALL:
            answers = await asyncio.gather(*(self._send(way, receiver, message) for way in pending))
            results = list(zip(list(pending), answers, strict=True))
        else:
            results = []
            for way in list(pending):
                results.append((way, await self._send(way, receiver, message)))
                if not results[-1][1]:
                    break
        worked = False
        for way, problem in results:
            name = _named(receiver, way)
            if problem:
                delivery.trouble[name] = problem
                continue
            worked = True
            delivery.trouble.pop(name, None)
            delivery.reached.append(name)
            pending.remove(way)
        if worked and self.settings.deliver is Deliver.FIRST:
            pending.clear()
        return worked

    async def _send(self, way: Way, receiver: Receiver, message: Message) -> str:
        if isinstance(way, AppriseWay):
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._threads, apprise_way.send, way, message)
        return await command_way.send(way, data_for(message, receiver.person))

    def _progressed(self, delivery: _Delivery) -> None:
        """Give the answer as soon as it is certain, and forget the delivery when all its receivers have ended."""
        over = delivery.ended == delivery.receivers
        if delivery.answer is None:
            if delivery.reached and (delivery.tried == delivery.receivers or over):
                self._answer(delivery, NoticeDelivered(delivery.notice.id, _through(delivery)))
            elif over:
                self._answer(delivery, NoticeFailed(delivery.notice.id, _why(delivery)))
        if over:
            self._deliveries.pop(delivery.notice.id, None)

    def _answer(self, delivery: _Delivery, answer: Answer) -> None:
        delivery.answer = answer
        notice = delivery.notice
        if isinstance(answer, NoticeDelivered):
            self._answers[notice.id] = answer
            log.info("notice_delivered", notice=notice.id, kind=notice.kind.value, through=answer.through)
        else:
            log.error("notice_failed", notice=notice.id, kind=notice.kind.value, detail=answer.detail)
        self._emit(answer)


def _pause(retry: Retry) -> tenacity.wait.wait_base:
    """Doubling from `first_s` up to `max_s`, with up to `first_s` at random on top."""
    growing = tenacity.wait_exponential(multiplier=retry.first_s, max=retry.max_s)
    return growing + tenacity.wait_random(0, retry.first_s)


def _named(receiver: Receiver, way: Way) -> str:
    return f"{receiver.name} by {way.label}"


def _through(delivery: _Delivery) -> str:
    text = ", ".join(delivery.reached)
    if delivery.trouble:
        text += NOT_BY + _listed(delivery.trouble)
    return text


def _why(delivery: _Delivery) -> str:
    if not delivery.trouble:
        return "nobody is configured to be told: no people on call and no `notify: ways:`"
    return _listed(delivery.trouble)


def _listed(trouble: dict[str, str]) -> str:
    return ", ".join(f"{name} ({why})" for name, why in trouble.items())
