"""Waiting for something that nothing announces, and work that goes on as long as a controller lives.

The one rule it keeps: nothing ends silently. A wait has an end and says whether the awaited thing came. Work that
breaks is logged and begun again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

log = structlog.get_logger(__name__)

BEGIN_AGAIN_S = 5.0
KNOWN_S = 12.0  # how long to wait for the checks of a word's client to have verdicts


async def until(condition: Callable[[], bool], timeout_s: float, pause: Callable[[float], Awaitable[None]]) -> bool:
    """Wait until the condition holds; whether it did within the time."""
    loop = asyncio.get_running_loop()
    ends = loop.time() + timeout_s
    while not condition():
        if loop.time() >= ends:
            return False
        await pause(0.05)
    return True


async def keep_going(work: Callable[[], Awaitable[None]]) -> None:
    """Do this work, and begin it again where it breaks; over when it comes to its own end."""
    while True:
        try:
            return await work()
        except Exception:
            log.exception("what goes on all the time broke: it begins again", after_s=BEGIN_AGAIN_S)
            await asyncio.sleep(BEGIN_AGAIN_S)
