"""Asking one question: the result is always one judged answer, never an exception, and never takes for ever.

The one rule it keeps: our own faults are never the target's. A crash, a hang, a question that could not be sent, and a
silence during which this program was held up, are all "no answer", and not a bad one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

from pydantic import ValidationError

from orchestrator.core.events import Answer
from orchestrator.core.outside import evidence
from orchestrator.probes.kind import Kind, Question, Secrets
from orchestrator.probes.patience import PaidBy
from orchestrator.probes.pulse import Pulse
from orchestrator.probes.results import Judged, NotAsked, Raw, Unanswerable
from orchestrator.probes.tools import Tools

_HELD_UP_S = 0.1  # a deadline that is looked at so late says more of this program than of the question


def explain(error: ValidationError) -> str:
    """Every fault of some options, in one line."""
    told = []
    for fault in error.errors(include_url=False, include_context=False, include_input=False):
        place = ".".join(str(part) for part in fault["loc"])
        message = fault["msg"].removeprefix("Value error, ")
        told.append(f"{place}: {message}" if place else message)
    return "; ".join(told)


class Asking:
    """One question, from now until it has its answer: `done(asking, judged)`, once, perhaps before `begin` returns.

    `sent_at` is when it went out, as `clock` says. What outlives the time-out and the kind's grace is abandoned.
    """

    __slots__ = (
        "_abandon",
        "_clock",
        "_done",
        "_given",
        "_held_s",
        "_held_up",
        "_kind",
        "_loop",
        "_options",
        "_pulse",
        "_stamped",
        "_whom",
        "over",
        "sent_at",
        "task",
        "timeout_s",
    )

    def __init__(
        self,
        kind: Kind[Any, Any],
        options: Any,
        timeout_s: float,
        clock: Callable[[], float],
        done: Callable[[Asking, Judged], None],
        whom: str = "",
    ) -> None:
        self._kind = kind
        self._options = options
        self._whom = whom
        self._clock = clock
        self._done = done
        self._given: list[str] = []  # secrets that go out with it
        self._loop = asyncio.get_running_loop()
        self._abandon: Callable[[], None] | None = None
        self._pulse: Pulse | None = None
        self._held_s = 0.0  # how long this program had been held up when the question went out
        self.timeout_s = timeout_s
        self.over = False
        self._held_up = False
        self.task: asyncio.Task[Raw] | None = None  # for kinds that need one
        self.stamp()

    def begin(self, secrets: Secrets, tools: Tools) -> None:
        """Ask."""
        kind = self._kind
        self._pulse = tools.pulse
        self._held_s = tools.pulse.held_s()
        question = Question(self._options, self.timeout_s, secrets, tools, self.stamp, self._whom, self._given)
        if kind.launch is None:
            self.task = self._loop.create_task(_asked(kind, question))
            self.task.add_done_callback(self._ended)
            self._abandon = partial(_cancel, self.task)
        else:
            try:
                abandon = kind.launch(question, self._answered)
            except Exception as error:
                self._answered(_own_fault(kind, error))
            else:
                self._abandon = None if self.over else abandon
        if not self.over:
            tools.deadlines.add(self.timeout_s + kind.grace_s, self)

    def stamp(self) -> None:
        """It goes out now."""
        self._stamped = self._loop.time()
        self.sent_at = self._clock()
        if self._pulse is not None:
            self._held_s = self._pulse.held_s()

    def cancel(self) -> None:
        """Nobody wants the answer any more: none is given."""
        if not self.over:
            self.over = True
            self._give_up()

    def _give_up(self) -> None:
        abandon, self._abandon = self._abandon, None  # that and we know each other: no work for the garbage collector
        if abandon is not None:
            abandon()

    def late(self) -> None:
        """It hangs: give up, unless it waited for its turn and has some time left."""
        loop, hung_s = self._loop, self._loop.time() - self._stamped
        left_s = self.timeout_s + self._kind.grace_s - hung_s
        if left_s < -_HELD_UP_S and not self._held_up:  # it was this loop that hung: it takes in first what has come
            self._held_up, left_s = True, _HELD_UP_S
        if left_s > 0.001:
            loop.call_later(left_s, self._late_again)
            return
        abandon = self._abandon
        self._answered(NotAsked(f"the {self._kind.name} probe hung: abandoned after {hung_s:.1f} s"))
        if abandon is not None:
            abandon()

    def _late_again(self) -> None:
        if not self.over:
            self.late()

    def _ended(self, task: asyncio.Task[Raw]) -> None:
        if task.cancelled():
            self._answered(NotAsked(f"the {self._kind.name} probe was broken off"))
        elif (error := task.exception()) is not None:  # retrieved, so that nobody logs it
            self._answered(_own_fault(self._kind, error))
        else:
            self._answered(task.result())

    def _answered(self, raw: Raw) -> None:
        if self.over:
            return
        self.over = True
        if self._kind.launch is not None:
            self._abandon = None
        self._done(self, self._judge(raw))

    def _judge(self, raw: Raw) -> Judged:
        kind = self._kind
        try:
            with PaidBy(self._whom):
                judged = kind.classify(self._options, raw, self._given)
        except Exception as error:
            what = f"the {kind.name} probe cannot judge its answer: {type(error).__name__}: {error}"
            return Judged(Answer.NONE, {}, evidence(what))
        if judged.answer is Answer.SILENT and not kind.forks:
            late_s = self._loop.time() - self._stamped - self.timeout_s
            held_s = self._pulse.held_s() - self._held_s if self._pulse is not None else 0.0
            if max(late_s, held_s) > max(0.25, self.timeout_s / 2):
                own_s = max(late_s, held_s)
                return Judged(Answer.NONE, {}, f"this program was {own_s:.1f} s late itself ({judged.detail})")
        return judged


async def _asked(kind: Kind[Any, Any], question: Question[Any]) -> Raw:
    return await kind.ask(question)


def _cancel(task: asyncio.Task[Raw]) -> None:
    task.cancel()


def _own_fault(kind: Kind[Any, Any], error: BaseException) -> NotAsked:
    if isinstance(error, Unanswerable):
        return NotAsked.of(error)
    return NotAsked(f"the {kind.name} probe crashed: {type(error).__name__}: {error}")


async def ask_once(kind: Kind[Any, Any], options: Any, timeout_s: float, *, secrets: Secrets, tools: Tools) -> Judged:
    """Ask, within `timeout_s` (plus the kind's grace, after which the question is abandoned)."""
    loop = asyncio.get_running_loop()
    answered: asyncio.Future[Judged] = loop.create_future()
    asking = Asking(kind, options, timeout_s, loop.time, lambda _, judged: answered.set_result(judged))
    asking.begin(secrets, tools)
    try:
        return await answered
    finally:
        asking.cancel()
