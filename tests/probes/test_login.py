"""login: whoever runs playbooks here is asked."""

from __future__ import annotations

import asyncio
import time

import pytest

from orchestrator.core.events import Answer, Observed
from orchestrator.core.model import Check
from orchestrator.probes.prober import Prober


async def asked(logins: object, timeout_s: float = 5.0) -> Observed:
    """One answer to one question."""
    seen: asyncio.Queue[Observed] = asyncio.Queue()
    prober = Prober(seen.put_nowait, time.monotonic, logins=logins)  # type: ignore[arg-type]
    options = {"client": "acme", "host": "edge"}
    prober.use([Check("acme/login@edge", "acme", "login", "edge", "login", options, every_s=3600, timeout_s=timeout_s)])
    prober.ask_now(["acme/login@edge"])
    try:
        async with asyncio.timeout(60):
            return await seen.get()
    finally:
        await prober.close()


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ((True, ""), Answer.GOOD),
        ((False, "edge: Permission denied (publickey)"), Answer.BAD),
        ((False, "ssh: connect to host 10.0.0.1 port 22: Connection timed out"), Answer.SILENT),
        ((False, "ssh: connect to host 10.0.0.1 port 22: No route to host"), Answer.SILENT),
        ((None, "the warm executor cannot ask: it is being started"), Answer.NONE),
    ],
)
async def test_what_is_said_of_a_host(said: tuple[bool | None, str], answer: Answer) -> None:
    """In, not let in, no reply, nobody asked."""

    async def logins(client: str, host: str, become: bool, _within_s: float) -> tuple[bool | None, str]:
        assert (client, host, become) == ("acme", "edge", False)
        return said

    observed = await asked(logins)
    assert observed.answer is answer
    assert said[1] in observed.detail


async def test_no_login_in_time_is_silence() -> None:
    """Whoever is asked may take its time; the check does not."""

    async def logins(client: str, host: str, become: bool, _within_s: float) -> tuple[bool | None, str]:
        await asyncio.sleep(60)
        return True, ""

    observed = await asked(logins, 0.2)
    assert observed.answer in (Answer.SILENT, Answer.NONE)  # none: this machine was late itself


async def test_without_an_executor_nobody_is_asked() -> None:
    """As with `bascule check`."""
    assert (await asked(None)).answer is Answer.NONE
