"""Waiting for something that nothing announces.

The one rule it keeps: it always has an end, and says whether what was waited for came.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable


async def until(condition: Callable[[], bool], timeout_s: float, pause: Callable[[float], Awaitable[None]]) -> bool:
    """Wait until the condition holds; whether it did within the time."""
    loop = asyncio.get_running_loop()
    ends = loop.time() + timeout_s
    while not condition():
        if loop.time() >= ends:
            return False
        await pause(0.05)
    return True
