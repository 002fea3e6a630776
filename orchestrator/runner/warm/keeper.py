"""Logs in to hosts when asked, and so keeps connections to them ready.

The one rule it keeps: what nobody could ask is unknown, not fine. It asks through the zygote, as a playbook would;
where there is none, it knows nothing and says why.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.runner.warm.owner import Zygote

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

    def __init__(self, zygote: Zygote, sources: Callable[[str], Sequence[Path]]) -> None:
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
        try:
            for login in await self.look(client, sorted(waiting), become):
                if login.host in waiting and not waiting[login.host].done():
                    waiting[login.host].set_result(login)
        finally:
            for future in waiting.values():
                future.cancel()  # who has been told is done with it

    async def close(self) -> None:
        """Ask no more. Connections stay until their own time is over, or the zygote's."""
        for look in list(self._looks):
            look.cancel()
        await asyncio.gather(*self._looks, return_exceptions=True)

    async def look(self, client: str, hosts: Sequence[str], become: bool = False) -> list[Login]:
        """Log in to each of these hosts now. Takes at most LIMIT_S."""
        stream = self._zygote.call("logins")
        if stream is None:
            return _unknown(hosts, f"the warm executor cannot ask: {self._zygote.why_not}")
        sources = [str(p) for p in self._sources(client)]
        asked = {"inventories": sources, "hosts": list(hosts), "become": become, "limit_s": LIMIT_S}
        try:
            said = await self._ask(stream, asked)
        except (OSError, TimeoutError):
            return _unknown(hosts, "the warm executor did not answer")
        found = {str(m["host"]): Login(str(m["host"]), bool(m["ok"]), str(m["why"])) for m in said}
        missing = [host for host in hosts if host not in found]
        return [*found.values(), *_unknown(missing, "it could not be asked within the time")]

    async def _ask(self, stream: socket.socket, asked: Mapping[str, object]) -> list[dict[str, object]]:
        stream.setblocking(False)
        reader, writer = await asyncio.open_connection(sock=stream)
        try:
            writer.write(json.dumps(asked).encode() + b"\n")
            async with asyncio.timeout(LIMIT_S + 1.0):
                data = await reader.read()
        finally:
            writer.close()
        said = [json.loads(line) for line in data.splitlines()]
        return [message for message in said if "host" in message]  # the last one tells how the child ended


def _unknown(hosts: Iterable[str], why: str) -> list[Login]:
    return [Login(host, None, why) for host in hosts]
