"""When the time of questions is over: one queue for each length of time, one timer for each queue.

The one rule it keeps: whoever waits is told once, never early, and not at all if the question has ended. Questions with
the same time-out expire in the order in which they began, so a queue needs no sorting. Most end long before their time,
so ending one costs nothing. (A timer of the event loop for each question costs ten times as much.)
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Protocol


class Waits(Protocol):
    """Something whose time runs. `over`: it does not wait any more; `late`: its time is up."""

    over: bool

    def late(self) -> None:
        """Its time is up."""
        ...


class Deadlines:
    """Of one event loop."""

    def __init__(self) -> None:
        self._queues: dict[float, _Queue] = {}

    def add(self, after_s: float, waits: Waits) -> None:
        """Tell it when so many seconds have passed."""
        queue = self._queues.get(after_s)
        if queue is None:
            queue = self._queues[after_s] = _Queue(after_s)
        queue.add(waits)

    def close(self) -> None:
        """Tell nobody any more."""
        for queue in self._queues.values():
            queue.close()
        self._queues.clear()


class _Queue:
    """Those who wait equally long, the first to be told first."""

    __slots__ = ("_after_s", "_loop", "_timer", "_waiting")

    def __init__(self, after_s: float) -> None:
        self._after_s = after_s
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[tuple[float, Waits]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def add(self, waits: Waits) -> None:
        at = self._loop.time() + self._after_s
        self._waiting.append((at, waits))
        if self._timer is None:
            self._timer = self._loop.call_at(at, self._look)

    def close(self) -> None:
        self._waiting.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        self._timer = None
        waiting, now = self._waiting, self._loop.time()
        try:
            while waiting:
                at, waits = waiting[0]
                if not waits.over and at > now:
                    break
                waiting.popleft()
                if not waits.over:
                    waits.late()
        finally:  # whatever one of them did, the others' time runs
            if waiting and self._timer is None:
                self._timer = self._loop.call_at(waiting[0][0], self._look)
