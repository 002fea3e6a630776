"""The daemon's threads for what waits: for disks, for inventories' sources, for targets.

The one rule it keeps: what hangs (a mount that does not answer) costs its own thread, neither the steps of other
clients nor the daemon's end.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import structlog

log = structlog.get_logger(__name__)

THREADS_MAX = 256  # asyncio's own few would be one client's
END_S = 10.0  # how long an end waits for what is still at work, all together
_NAME = "work"


class _Threads(ThreadPoolExecutor):
    """As any other, but its end gives up what hangs."""

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the threads; waits no longer than `END_S`."""
        super().shutdown(wait=False, cancel_futures=cancel_futures)
        ends = time.monotonic() + END_S
        for thread in _at_work() if wait else ():
            thread.join(max(0.0, ends - time.monotonic()))


def allow_threads(loop: asyncio.AbstractEventLoop) -> None:
    """Give this loop threads enough for one client's to hang."""
    loop.set_default_executor(_Threads(THREADS_MAX, _NAME))


def end_though_some_hang(code: int) -> int:
    """The exit code, for who ends now; where a thread hangs, end the process here: its own end would wait for it."""
    if _at_work():
        os._exit(code)
    return code


def tell_what_hangs() -> None:
    """A line of the log, where the end waits for a thread no longer."""
    if hung := len(_at_work()):
        log.warning("ended while work hangs, as on a mount that does not answer", threads=hung)


def _at_work() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name.startswith(f"{_NAME}_")]
