"""Keeps connections to hosts ready, and knows whether a login to each works now.

The one rule it keeps: what it says of a host has an age, and what nobody could ask is unknown, not fine. It asks
through the zygote, as a playbook would; where there is none, it knows nothing and says why.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.runner.warm.owner import Zygote

EVERY_S = 20.0
LIMIT_S = 15.0  # for one look at all hosts of a client
TOGETHER_S = 0.05


@dataclass(frozen=True, slots=True)
class Login:
    """Whether Ansible could log in to a host. `ok` is None where nobody could ask; `at_s` is the event loop's time."""

    client: str
    host: str
    ok: bool | None
    why: str
    at_s: float


class Keeper:
    """Looks at the wanted hosts again and again. `heard` is told each finding; `close` ends it."""

    def __init__(
        self,
        zygote: Zygote,
        sources: Callable[[str], Sequence[Path]],
        heard: Callable[[Login], None],
        every_s: float = EVERY_S,
    ) -> None:
        """`sources`: the inventory sources of a client."""
        self._zygote = zygote
        self._sources = sources
        self._heard = heard
        self._every_s = every_s
        self._hosts: dict[str, tuple[str, ...]] = {}
        self.logins: dict[tuple[str, str], Login] = {}
        self._task: asyncio.Task[None] | None = None
        self._asked: dict[str, dict[str, asyncio.Future[Login]]] = {}  # client and host to who waits
        self._looks: set[asyncio.Task[None]] = set()

    async def ask(self, client: str, host: str) -> Login:
        """Log in to a host now; hosts of a client that are asked for within a moment are looked at together."""
        waiting = self._asked.setdefault(client, {})
        if host not in waiting:
            waiting[host] = asyncio.get_running_loop().create_future()
            if len(waiting) == 1:
                look = asyncio.get_running_loop().create_task(self._look_at_asked(client))
                self._looks.add(look)
                look.add_done_callback(self._looks.discard)
        return await asyncio.shield(waiting[host])

    async def _look_at_asked(self, client: str) -> None:
        await asyncio.sleep(TOGETHER_S)
        waiting = self._asked.pop(client, {})
        try:
            for login in await self.look(client, sorted(waiting)):
                self.logins[(client, login.host)] = login
                if login.host in waiting and not waiting[login.host].done():
                    waiting[login.host].set_result(login)
        finally:
            for future in waiting.values():
                future.cancel()  # who has been told is done with it

    def want(self, hosts: Mapping[str, Iterable[str]]) -> None:
        """The inventory hosts by client from now on; what is known of others is forgotten."""
        self._hosts = {client: tuple(sorted(set(names))) for client, names in hosts.items() if names}
        wanted = {(client, host) for client, names in self._hosts.items() for host in names}
        self.logins = {key: login for key, login in self.logins.items() if key in wanted}
        if self._task is None and self._hosts:
            self._task = asyncio.get_running_loop().create_task(self._keep())

    async def close(self) -> None:
        """Ask no more. Connections stay until their own time is over, or the zygote's."""
        for look in list(self._looks):
            look.cancel()
        await asyncio.gather(*self._looks, return_exceptions=True)
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _keep(self) -> None:
        while True:
            await self._zygote.until_ready(self._every_s)
            for client, hosts in list(self._hosts.items()):
                for login in await self.look(client, hosts):
                    self.logins[(client, login.host)] = login
                    self._heard(login)
            await asyncio.sleep(self._every_s)

    async def look(self, client: str, hosts: Sequence[str]) -> list[Login]:
        """Log in to each of these hosts now. Takes at most LIMIT_S."""
        stream = self._zygote.call("logins")
        if stream is None:
            return self._unknown(client, hosts, f"the warm executor cannot ask: {self._zygote.why_not}")
        asked = {"inventories": [str(p) for p in self._sources(client)], "hosts": list(hosts), "limit_s": LIMIT_S}
        try:
            said = await self._ask(stream, asked)
        except (OSError, TimeoutError):
            return self._unknown(client, hosts, "the warm executor did not answer")
        now = asyncio.get_running_loop().time()
        found = {str(m["host"]): Login(client, str(m["host"]), bool(m["ok"]), str(m["why"]), now) for m in said}
        missing = [host for host in hosts if host not in found]
        return [*found.values(), *self._unknown(client, missing, "it could not be asked within the time")]

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

    @staticmethod
    def _unknown(client: str, hosts: Iterable[str], why: str) -> list[Login]:
        now = asyncio.get_running_loop().time()
        return [Login(client, host, None, why, now) for host in hosts]
