"""Tells people: carries out `TellPeople`, by every configured way, until somebody has been told.

The one rule it keeps: one notice, one answer. `NoticeDelivered` once everybody was tried and at least one way worked.
`NoticeFailed` when no way worked after all retries. The answer or the log says who could not be reached.

A notice that was delivered is not sent again in this process. After a crash between sending and recording it may be
sent a second time, with the same notice id, because silence would be worse.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from orchestrator.core.commands import TellPeople
from orchestrator.core.events import NOT_BY, NoticeDelivered, NoticeFailed
from orchestrator.core.model import Json
from orchestrator.core.people import Deliver, NotifySettings, Way, every_way
from orchestrator.notify.line import Line, key_of, pause_s
from orchestrator.notify.message import Message, message_of
from orchestrator.notify.receivers import Receiver, addressed, deputy_of, untold

Answer = NoticeDelivered | NoticeFailed

log = structlog.get_logger(__name__)

ANSWERS_KEPT = 10_000  # notices that are known to be delivered: the journal knows the others


class Notifier(Protocol):
    """Who carries out `TellPeople`."""

    def carry_out(self, notice: TellPeople) -> None:
        """Begin to deliver and return at once; the answer comes as an event."""
        ...

    async def close(self, grace_s: float = 5.0) -> None:
        """Let deliveries end for so long, then give them up without an answer."""
        ...


@dataclass(slots=True)
class _Delivery:
    """How far one notice is."""

    notice: TellPeople
    receivers: int
    wayless: tuple[str, ...] = ()  # people who have no way of their own, and nobody that stands in
    tried: int = 0  # receivers whose ways were all tried once
    ended: int = 0  # receivers that are done with, one way or the other
    reached: list[str] = field(default_factory=list)
    trouble: dict[str, str] = field(default_factory=dict)  # what did not work so far: why
    used: set[object] = field(default_factory=set)  # ways taken, see `receivers.fresh`
    answer: Answer | None = None


class PeopleNotifier:
    """Delivers through apprise and programs, each way by a line of its own. Lives in one event loop."""

    def __init__(self, settings: NotifySettings, emit: Callable[[Answer], None], delivered: Iterable[str] = ()) -> None:
        """`emit` takes each answer; `delivered` are notices that the journal knows to be delivered."""
        self.settings = settings
        self._emit = emit
        self._deliveries: dict[str, _Delivery] = {}
        self._answers: dict[str, Answer] = {i: NoticeDelivered(i, "earlier, as recorded") for i in delivered}
        self._tasks: set[asyncio.Task[None]] = set()
        self._lines: dict[object, Line] = {}

    def use(self, settings: NotifySettings) -> None:
        """Other people and ways from now on; what is under way goes on as it began."""
        self.settings = settings
        kept = {key_of(way) for way in every_way(settings)}
        self._lines = {key: line for key, line in self._lines.items() if key in kept or not line.idle}

    def told(self) -> list[Json]:
        """Every way that did not take the last message, or has some waiting; for whoever asks how things are."""
        now = asyncio.get_running_loop().time()
        found: list[Json] = []
        for line in self._lines.values():
            if line.waiting or line.failing_since is not None:
                failing_for_s = None if line.failing_since is None else now - line.failing_since
                found.append(
                    {"way": line.way.label, "waiting": line.waiting, "failing_for_s": failing_for_s, "why": line.why}
                )
        return found

    def untold(self, clients: Iterable[str]) -> Json:
        """The clients of whom nobody would be told anything, each with why."""
        return dict(untold(clients, self.settings))

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
        await asyncio.gather(*(line.close() for line in self._lines.values()))

    def _begin(self, notice: TellPeople) -> None:
        to = addressed(notice, self.settings)
        delivery = _Delivery(notice, len(to.receivers), wayless=to.wayless, used=to.used)
        delivery.trouble |= {f"person {i}": "nobody of that id" for i in to.unknown}
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
            reached = await self._try_ways(delivery, receiver, message, counts=True)
            if not reached and receiver.person is not None:
                deputy = deputy_of(receiver.person, self.settings, delivery.used)
                if deputy is not None:
                    reached = await self._try_ways(delivery, deputy, message, counts=False)
        except Exception as error:  # a fault of ours must not leave the notice without an answer
            log.exception("notice_delivery_broke", notice=delivery.notice.id, receiver=receiver.name)
            delivery.trouble[receiver.name] = f"internal fault: {type(error).__name__}"
        delivery.ended += 1
        self._progressed(delivery)

    async def _try_ways(self, delivery: _Delivery, receiver: Receiver, message: Message, *, counts: bool) -> bool:
        """Whether one of the ways took it. `counts`: the notice is answered once each of them was tried."""
        untried = set(receiver.ways)

        def tried(way: Way, why: str) -> None:
            if why:
                delivery.trouble[_named(receiver, way)] = why
            if not untried:
                return
            untried.discard(way)
            if not untried and counts:
                delivery.tried += 1
            self._progressed(delivery)

        async def by(way: Way, attempts: int) -> bool:
            name = _named(receiver, way)
            why = await self._line(way).send(
                message, receiver.person, attempts, lambda why: tried(way, why), receiver.name
            )
            if not why:
                delivery.trouble.pop(name, None)
                delivery.reached.append(name)
            tried(way, why)
            return not why

        if self.settings.deliver is Deliver.ALL:
            took = await asyncio.gather(*(by(way, self.settings.retry.attempts) for way in receiver.ways))
            reached, missed = any(took), [way for way, taken in zip(receiver.ways, took, strict=True) if not taken]
        else:
            reached = await self._in_order(receiver, by)
            for way in list(untried) if reached else []:
                tried(way, "")
            missed = [] if reached else list(receiver.ways)
        if missed:
            names = [_named(receiver, way) for way in missed]
            reasons = [delivery.trouble.get(name, "") for name in names]
            attempts = self.settings.retry.attempts
            log.warning(
                "notice_not_delivered_by", notice=delivery.notice.id, ways=names, reasons=reasons, attempts=attempts
            )
        return reached

    async def _in_order(self, receiver: Receiver, by: Callable[[Way, int], Awaitable[bool]]) -> bool:
        """One way after the other until one has taken it; those that are known not to work come last."""
        retry = self.settings.retry
        for attempt in range(1, retry.attempts + 1):
            for way in sorted(receiver.ways, key=lambda way: self._line(way).failing_since is not None):
                if await by(way, 1):
                    return True
            if attempt < retry.attempts:
                await asyncio.sleep(pause_s(retry, attempt))
        return False

    def _line(self, way: Way) -> Line:
        key = key_of(way)
        line = self._lines.get(key)
        if line is None:
            line = self._lines[key] = Line(way, lambda: self.settings.retry)
        return line

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
            while len(self._answers) > ANSWERS_KEPT:
                del self._answers[next(iter(self._answers))]
            log.info("notice_delivered", notice=notice.id, kind=notice.kind.value, through=answer.through)
        else:
            log.error("notice_failed", notice=notice.id, kind=notice.kind.value, detail=answer.detail)
        self._emit(answer)


def _named(receiver: Receiver, way: Way) -> str:
    return f"{receiver.name} by {way.label}"


def _through(delivery: _Delivery) -> str:
    text = ", ".join(delivery.reached)
    if delivery.wayless:
        text += f" (without a way of their own: {', '.join(delivery.wayless)})"
    if delivery.trouble:
        text += NOT_BY + _listed(delivery.trouble)
    return text


def _why(delivery: _Delivery) -> str:
    trouble = delivery.trouble | dict.fromkeys(delivery.wayless, "no way is configured")
    if not trouble:
        return "nobody is configured to be told: no people on call and no `notify: ways:`"
    return _listed(trouble)


def _listed(trouble: dict[str, str]) -> str:
    return ", ".join(f"{name} ({why})" for name, why in trouble.items())
