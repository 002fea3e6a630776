"""A real HTTP receiver on loopback for the tests: notes what it was sent, and fails when it is told to."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web


@dataclass
class HttpReceiver:
    """`fail_next` requests are answered 503; while `deaf`, none is answered in time."""

    got: list[dict[str, Any]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    fail_next: int = 0
    port: int = 0

    async def answer(self, request: web.Request) -> web.Response:
        """Note one request."""
        self.asked.append(request.path)
        if self.fail_next > 0:
            self.fail_next -= 1
            return web.Response(status=503, text="not now")
        body = await request.text()
        self.got.append(json.loads(body) if body else {})
        return web.Response(text="ok")

    def apprise_url(self, token: str = "s3cret-token") -> str:
        """Where apprise posts JSON, with a user, a password and a token that nobody may see."""
        return f"json://robot:passw0rd@127.0.0.1:{self.port}/{token}"


@asynccontextmanager
async def http_receiver() -> AsyncIterator[HttpReceiver]:
    """The receiver, listening on a free port."""
    receiver = HttpReceiver()
    app = web.Application()
    app.router.add_route("*", "/{any:.*}", receiver.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    receiver.port = runner.addresses[0][1]
    try:
        yield receiver
    finally:
        await runner.cleanup()


async def until(condition: Any, timeout_s: float = 60.0) -> None:
    """Wait for something to become true."""
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 - the condition is plain data
            await asyncio.sleep(0.01)
