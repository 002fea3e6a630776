"""Inventories whose source may stop answering: asked again, so that what was last read acts before a step has to wait.

The one rule it keeps: it decides nothing of what is used instead; `config/in_force.py` says that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from orchestrator.config.in_force import unread_now
from orchestrator.config.keeping import Beside

ASK_EVERY_S = 60.0


async def ask_again(
    workspace: Path,
    in_force: Callable[[], Beside | None],
    use: Callable[[Beside], None],
    reload: Callable[[], Awaitable[object]],
) -> None:
    """Ask for an inventory that could not be asked for, until it can; and whether the others still can.

    `in_force`: what is beside valid files, None beside others.
    """
    while True:
        await asyncio.sleep(ASK_EVERY_S)
        if (now := in_force()) is not None and now.stale:
            await reload()
        for client in now.inventories if now is not None else ():
            before = in_force()
            if before is not None and (found := await asyncio.to_thread(unread_now, workspace, before, client)):
                use(found)
