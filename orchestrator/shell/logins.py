"""Asks whether a playbook could log in, as long as that leads where what is in force leads.

The one rule it keeps: an inventory that was edited decides nothing before somebody puts it in force, not even where a
login goes, or which program ssh starts on the way. Files that do not answer (a mount that hangs) hold up no login but
their client's, and nobody is asked then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

LOOK_S = 3.0  # for a look at the files, and at most half of the question's time: they are no silence of the host
NO_ANSWER = "its inventory, or what steers Ansible, cannot be looked at: its files do not answer"
EDITED = "its inventory, or what steers Ansible, was edited since it was put in force: bascule reload"

Answer = tuple[bool | None, str]


class Logins:
    """Of one controller."""

    def __init__(self, elsewhere: Callable[[str], bool], ask: Callable[[str, str, bool], Awaitable[Answer]]) -> None:
        """`elsewhere`: whether a login to a client's hosts would follow what was edited; it is called in a thread."""
        self._elsewhere = elsewhere
        self._ask = ask
        self._looks: dict[str, asyncio.Task[bool]] = {}  # one at a time for each client: each has a thread

    async def ask(self, client: str, host: str, become: bool, within_s: float = 2 * LOOK_S) -> Answer:
        """Whether it could log in, and why not; None where nobody asks. `within_s`: of the question."""
        try:
            async with asyncio.timeout(min(LOOK_S, within_s / 2)):
                edited = await asyncio.shield(self._look(client))
        except TimeoutError:
            return None, NO_ANSWER
        return (None, EDITED) if edited else await self._ask(client, host, become)

    def _look(self, client: str) -> asyncio.Task[bool]:
        if client not in self._looks:
            self._looks[client] = look = asyncio.create_task(asyncio.to_thread(self._elsewhere, client))
            look.add_done_callback(lambda _look: self._looks.pop(client))
        return self._looks[client]
