"""Inventories whose source may stop answering: asked again, so that no step has to wait for one that does not answer.

It does not decide what is used instead; the reader that it asks does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

import structlog

log = structlog.get_logger(__name__)

ASK_EVERY_S = 60.0


class InForce(Protocol):
    """Inventories by client, and those that are used as they were last read."""

    @property
    def inventories(self) -> Mapping[str, object]: ...
    @property
    def stale(self) -> Mapping[str, object]: ...


async def ask_again(
    in_force: Callable[[], InForce | None],
    edited: Callable[[], bool],
    ask: Callable[[str], None],
    reload: Callable[[], Awaitable[object]],
) -> None:
    """Ask for an inventory that could not be asked for, until it can; and whether the others still can.

    `in_force`: what is beside valid files, None beside others. `edited` and `ask` are called in a thread. What was
    edited since it was loaded neither runs nor is put in force: it waits for a word.
    """
    while True:
        await asyncio.sleep(ASK_EVERY_S)
        if (now := in_force()) is None:
            continue
        if await asyncio.to_thread(edited):
            if now.stale:
                log.warning("an inventory is not read again: files were edited since they were loaded: bascule reload")
            continue
        if now.stale:
            await reload()
        for client in now.inventories:
            await asyncio.to_thread(ask, client)
