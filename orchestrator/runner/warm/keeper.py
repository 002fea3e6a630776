"""Logs in to hosts when asked, and so keeps connections to them ready.

The one rule it keeps: what nobody could ask is unknown, not fine. It asks through the zygote, as a playbook would. If
there is none, it knows nothing and says why.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.core.client_keys import kept_for
from orchestrator.runner.warm.owner import ZygoteOwner

LIMIT_S = 15.0  # for one look at all hosts of a client
TOGETHER_S = 0.05


@dataclass(frozen=True, slots=True)
class Login:
    """Whether Ansible could log in to a host. `ok` is None where nobody could ask."""

    host: str
    ok: bool | None
    why: str


class Keeper:
    """Hosts of a client that are asked for within a moment are looked at together. `close` ends what is under way."""

    def __init__(self, zygote: ZygoteOwner, sources: Callable[[str], Sequence[Path]]) -> None:
        """`sources`: the inventory sources of a client."""
        self._zygote = zygote
        self._sources = sources
        self._asked: dict[tuple[str, bool], dict[str, asyncio.Future[Login]]] = {}  # who waits for which host
        self._looks: set[asyncio.Task[None]] = set()

    async def ask(self, client: str, host: str, become: bool = False) -> Login:
        """Log in to a host now, and become root there if asked to."""
        waiting = self._asked.setdefault((client, become), {})
        if host not in waiting:
            waiting[host] = asyncio.get_running_loop().create_future()
            if len(waiting) == 1:
                look = asyncio.get_running_loop().create_task(self._look_at_asked(client, become))
                self._looks.add(look)
                look.add_done_callback(self._looks.discard)
        return await asyncio.shield(waiting[host])

    async def _look_at_asked(self, client: str, become: bool) -> None:
        await asyncio.sleep(TOGETHER_S)
        waiting = self._asked.pop((client, become), {})

        def heard(login: Login) -> None:
            if login.host in waiting and not waiting[login.host].done():
                waiting[login.host].set_result(login)

        try:
            await self.look(client, sorted(waiting), become, heard)
        finally:
            for future in waiting.values():
                future.cancel()  # who has been told is done with it

    async def close(self) -> None:
        """Ask no more. Connections stay until their own time is over, or the zygote's."""
        for look in list(self._looks):
            look.cancel()
        await asyncio.gather(*self._looks, return_exceptions=True)

    async def look(self, client: str, hosts: Sequence[str], become: bool, heard: Callable[[Login], None]) -> None:
        """Log in to each of these hosts now; `heard` is told of each as it is known. Takes at most LIMIT_S."""
        missing, why = dict.fromkeys(hosts), "it could not be asked within the time"

        def told(login: Login) -> None:
            missing.pop(login.host, None)
            heard(login)

        sources = [str(p) for p in self._sources(client)]
        stream = self._zygote.call("logins") if sources else None
        if not sources:  # without any, Ansible would take its usual one: another client's
            why = f"client {client} has no inventory"
        elif stream is None:
            why = f"the warm executor cannot ask: {self._zygote.why_not}"
        else:
            whom = kept_for(str(self._zygote.workspace), client)
            asked = {
                "inventories": sources,
                "kept_for": whom,
                "hosts": list(hosts),
                "become": become,
                "limit_s": LIMIT_S,
            }
            try:
                await self._ask(stream, asked, told)
            except (OSError, TimeoutError, ValueError):
                why = "the warm executor did not answer"
        for host in list(missing):
            heard(Login(host, None, why))

    async def _ask(self, stream: socket.socket, asked: Mapping[str, object], told: Callable[[Login], None]) -> None:
        stream.setblocking(False)
        reader, writer = await asyncio.open_connection(sock=stream)
        try:
            writer.write(json.dumps(asked).encode() + b"\n")
            async with asyncio.timeout(LIMIT_S + 1.0):
                while line := await reader.readline():
                    said = json.loads(line)
                    if "host" not in said:
                        return  # it is over, or how the child ended
                    told(Login(str(said["host"]), bool(said["ok"]), str(said["why"])))
        finally:
            writer.close()
