"""Asks whether a playbook could log in, as long as that leads where what is in force leads.

The one rule it keeps: an inventory that was edited decides nothing before somebody puts it in force, not even where a
login goes, or which program ssh starts on the way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

EDITED = "its inventory, or what steers Ansible, was edited since it was put in force: bascule reload"

Answer = tuple[bool | None, str]


class Logins:
    """Of one controller."""

    def __init__(self, elsewhere: Callable[[str], bool], ask: Callable[[str, str, bool], Awaitable[Answer]]) -> None:
        """`elsewhere`: whether a login to a client's hosts would follow what was edited; it is called in a thread."""
        self._elsewhere = elsewhere
        self._ask = ask

    async def ask(self, client: str, host: str, become: bool) -> Answer:
        """Whether it could log in, and why not; None where nobody asks."""
        if await asyncio.to_thread(self._elsewhere, client):
            return None, EDITED
        return await self._ask(client, host, become)
