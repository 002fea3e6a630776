"""The heartbeat that is in force: sent for as long as it is, and no other one beside it.

The one rule it keeps: while the same one stays in force it goes on undisturbed, however often files are read again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from orchestrator.core.people import Heartbeat
from orchestrator.shell.waiting import keep_going


class Beating:
    """At most one heartbeat."""

    def __init__(self, send: Callable[[Heartbeat], Awaitable[None]]) -> None:
        """`send` beats until it is cancelled."""
        self._send = send
        self._used: Heartbeat | None = None
        self._task: asyncio.Task[None] | None = None

    def use(self, wanted: Heartbeat | None) -> None:
        """From now on this one; None: no more."""
        if wanted == self._used:
            return
        if self._task is not None:
            self._task.cancel()
        self._used, self._task = wanted, None
        if wanted is not None:
            self._task = asyncio.create_task(keep_going(lambda: self._send(wanted)))

    async def end(self) -> None:
        """No more; over when the last one has ended."""
        task, self._used, self._task = self._task, None, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
