"""Inventories whose source may stop answering: asked again, so that what was last read acts before a step has to wait.

The one rule it keeps: it decides nothing of what is used instead; whoever is asked says that. They are asked of one
process of Ansible's, whose import would take longer than all else; where other files are in force, of a new one.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

from orchestrator.config.ansible_process import Ansible
from orchestrator.config.in_force import unread_now
from orchestrator.config.keeping import Beside

ASK_EVERY_S = 60.0


class Unread:
    """Asks for them. `in_force`: what is beside valid files, None beside others; `play_with` is told in a thread."""

    def __init__(
        self, workspace: Path, in_force: Callable[[], Beside | None], play_with: Callable[[Beside], object]
    ) -> None:
        self._workspace = workspace
        self._in_force = in_force
        self._play_with = play_with
        self._ansible = Ansible(workspace)
        self._asked_for = ""  # the digest of what was in force
        self._lock = threading.Lock()

    def ask(self, client: str) -> None:
        """Whether this client's can still be read. To be called in a thread: it takes as long as its source does."""
        if (now := self._in_force()) is None:
            return
        with self._lock:
            if now.digest != self._asked_for:
                self._ansible.close()
                self._asked_for = now.digest
        if found := unread_now(self._workspace, now, client, self._ansible):
            self._play_with(found)

    async def keep_asking(self, reload: Callable[[], Awaitable[object]]) -> None:
        """Ask for an inventory that could not be asked for, until it can; and whether the others still can."""
        while True:
            await asyncio.sleep(ASK_EVERY_S)
            if (now := self._in_force()) is not None and now.stale:
                await reload()
            for client in now.inventories if now is not None else ():
                await asyncio.to_thread(self.ask, client)

    async def close(self) -> None:
        """End its process."""
        await asyncio.to_thread(self._ansible.close)
