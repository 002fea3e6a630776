"""The outbound heartbeat: a URL fetched on a beat, so that another service notices a controller that cannot act.

The one rule it keeps: it beats only while `alive()` says that the controller can act. A program that runs but cannot
write its journal falls silent, and is noticed like a dead one.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable

import aiohttp
import structlog
from aiohttp.abc import AbstractResolver, ResolveResult

from orchestrator.core.people import Heartbeat
from orchestrator.notify.in_thread import in_thread

log = structlog.get_logger(__name__)

LOOK_UPS_MAX = 3  # that have not come back


class HeartbeatSender:
    """Fetches the URL every `every_s` seconds until it is cancelled. The URL is never logged: it is often a secret."""

    def __init__(self, settings: Heartbeat, alive: Callable[[], bool]) -> None:
        """`alive` is asked before each beat; it should not block."""
        self._settings = settings
        self._alive = alive
        self._state = ""  # the last one logged: "beating", "held back", or the failure
        self.sent = 0

    async def run(self) -> None:
        """Beat until cancelled. A failed beat is not repeated before the next one is due."""
        loop = asyncio.get_running_loop()
        timeout = aiohttp.ClientTimeout(total=self._settings.timeout_s)
        connector = aiohttp.TCPConnector(resolver=_OwnResolver(self._settings.timeout_s))
        async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
            due = loop.time()
            while True:
                self._say(await self._beat(session))
                due = max(due + self._settings.every_s, loop.time())
                await asyncio.sleep(due - loop.time())

    async def _beat(self, session: aiohttp.ClientSession) -> str:
        try:
            if not self._alive():
                return "held back"
            async with session.get(self._settings.url) as response:
                if response.status >= 400:
                    return f"HTTP {response.status}"
        except TimeoutError:
            return f"no answer within {self._settings.timeout_s:g} s"
        except aiohttp.ClientConnectorError as error:
            return f"no connection to {error.host}: {error.os_error.strerror or type(error.os_error).__name__}"
        except Exception as error:  # whatever goes wrong, the next beat is tried; texts may contain the URL
            return type(error).__name__
        self.sent += 1
        return "beating"

    def _say(self, state: str) -> None:
        """Log each change once."""
        if state == self._state:
            return
        self._state = state
        if state == "beating":
            log.info("heartbeat_ok", every_s=self._settings.every_s)
        elif state == "held back":
            log.error("heartbeat_held_back", why="the controller cannot act")
        else:
            log.warning("heartbeat_failed", why=state)


class _OwnResolver(AbstractResolver):
    """Looks names up in threads of its own: a name server that does not answer holds no thread that others wait for."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._hanging: set[threading.Thread] = set()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        if sum(t.is_alive() for t in self._hanging) >= LOOK_UPS_MAX:
            raise OSError("the name server does not answer")
        found = await in_thread(
            lambda: socket.getaddrinfo(host, port, family, socket.SOCK_STREAM), self._timeout_s, self._hanging
        )
        return [
            ResolveResult(
                hostname=host, host=str(address[0]), port=port, family=kind, proto=proto, flags=socket.AI_NUMERICHOST
            )
            for kind, _, proto, _, address in found
        ]

    async def close(self) -> None:
        """Nothing is kept open."""
