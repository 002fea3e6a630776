"""Events on their way to the shell, in the order in which they came; events that come together are taken together.

The one rule it keeps: it holds up nobody for long. Answers that wait already are passed on as a batch, for which one
decision is made. After each batch, questions go out and clients are answered before more is taken in.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Protocol

from orchestrator.core import events as e

TURN_S = 0.05  # then the event loop has its turn
BATCH_S = 0.02  # for so long at least answers that wait already are taken in before something is decided
BATCH_S_MAX = 0.2  # longer where deciding and writing take long themselves: twice as long as these took last


class Handle(Protocol):
    """Takes one event; with `more` the next one follows at once."""

    def __call__(self, event: e.Event, *, more: bool) -> None:
        """Take it."""
        ...


class Intake:
    """The queue of one shell, in one event loop. `handled` is called after each turn."""

    def __init__(self, loop: asyncio.AbstractEventLoop, handle: Handle, handled: Callable[[], None]) -> None:
        self.closed = False
        self._loop = loop
        self._handle = handle
        self._handled = handled
        self._waiting: deque[e.Event] = deque()
        self._batch_s = BATCH_S
        self._busy = False
        self._due = False

    def put(self, event: e.Event) -> None:
        """After those that came before it: at once, or, where they come by the hundred, with others of this moment."""
        self._waiting.append(event)
        if isinstance(event, e.MANY):
            self._soon()
        else:
            self.take()

    def take(self) -> None:
        """Hand over what has come, for one turn."""
        self._due = False
        if self._busy or self.closed:
            return
        self._busy = True
        try:
            self.take_all(self._loop.time() + TURN_S)
        finally:
            self._busy = False
        if self.closed:
            return
        if self._waiting:
            self._soon()
        self._handled()

    def take_all(self, until: float = float("inf")) -> None:
        """Hand over everything, or what there is time for."""
        waiting, batch_ends = self._waiting, self._loop.time() + self._batch_s
        while waiting and not self.closed:
            event = waiting.popleft()
            began = self._loop.time()
            more = bool(waiting) and began < batch_ends
            self._handle(event, more=more)
            if not more:
                ended = self._loop.time()
                self._batch_s = min(max(BATCH_S, 2 * (ended - began)), BATCH_S_MAX)
                if ended > until:
                    return
                batch_ends = ended + self._batch_s

    def _soon(self) -> None:
        if not self._due:
            self._due = True
            self._loop.call_soon(self.take)
