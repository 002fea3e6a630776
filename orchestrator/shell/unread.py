"""Inventories whose source may stop answering: asked again, so that no step has to wait for one that does not answer.

It does not decide what is used instead; the reader that it asks does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

ASK_EVERY_S = 60.0


class InForce(Protocol):
    """Inventories by client, and those that are used as they were last read."""

    @property
    def inventories(self) -> Mapping[str, object]: ...
    @property
    def stale(self) -> Mapping[str, object]: ...


async def ask_again(
    in_force: Callable[[], InForce | None], ask: Callable[[str], None], reload: Callable[[], Awaitable[object]]
) -> None:
    """Ask for an inventory that could not be asked for, until it can; and whether the others still can.

    `in_force`: what is beside valid files, None beside others. `ask` is called in a thread.
    """
    while True:
        await asyncio.sleep(ASK_EVERY_S)
        if (now := in_force()) is not None and now.stale:
            await reload()
        for client in now.inventories if now is not None else ():
            await asyncio.to_thread(ask, client)
