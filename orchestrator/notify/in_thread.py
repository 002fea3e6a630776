"""Runs one blocking call in a thread of its own, and abandons it if it does not come back.

The one rule it keeps: a call that hangs (a name server that does not answer, a library without a time limit) costs its
own thread and nothing else. No pool waits for it, nor does the end of the program.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def in_thread(call: Callable[[], T], timeout_s: float, hanging: set[threading.Thread] | None = None) -> T:
    """What the call returns, or raises.

    Raises TimeoutError after `timeout_s` (the thread is then in `hanging` until it ends), RuntimeError where no thread
    can be had.
    """
    loop = asyncio.get_running_loop()
    came: asyncio.Future[T] = loop.create_future()

    def settle(found: T | None, error: BaseException | None) -> None:
        if came.done():
            return
        if error is not None:
            came.set_exception(error)
        else:
            came.set_result(found)  # type: ignore[arg-type]

    def run() -> None:
        found, error = None, None
        try:
            found = call()
        except BaseException as raised:  # whatever it is, it belongs to the caller
            error = raised
        try:
            loop.call_soon_threadsafe(settle, found, error)
        except RuntimeError:
            pass  # the loop has ended: nobody waits any more

    thread = threading.Thread(target=run, name="notify", daemon=True)  # the program's end does not wait for it
    thread.start()
    try:
        async with asyncio.timeout(timeout_s):
            return await came
    finally:
        if hanging is not None:
            hanging.difference_update([t for t in hanging if not t.is_alive()])
            if not came.done() or came.cancelled():
                hanging.add(thread)
