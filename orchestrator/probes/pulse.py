"""For how long this program has been held up: busy, starved of processor time, or stopped.

The one rule it keeps: time in which nobody here could listen is not counted against a target. A timer notes, again and
again, how late it comes. A question lost the sum of these delays between its start and its end.
"""

from __future__ import annotations

import asyncio

EVERY_S = 0.05
_USUAL_S = 0.01  # a timer is never quite on time


class Pulse:
    """Of one event loop. Runs from the first question to `close`."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        self._held_s = 0.0

    def held_s(self) -> float:
        """Seconds that this program has been held up, so far; the hold-up that is just ending is in it."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
            self._next()
            return 0.0
        late_s = self._loop.time() - self._due
        return self._held_s + late_s if late_s > _USUAL_S else self._held_s

    def close(self) -> None:
        """Stop."""
        if self._timer is not None:
            self._timer.cancel()

    def _beat(self) -> None:
        self._held_s = self.held_s()
        self._next()

    def _next(self) -> None:
        if self._loop is not None:
            self._due = self._loop.time() + EVERY_S
            self._timer = self._loop.call_at(self._due, self._beat)
