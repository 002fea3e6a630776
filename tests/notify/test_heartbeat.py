"""The outbound heartbeat: somebody else notices when it stops."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs

from orchestrator.core.people import Heartbeat
from orchestrator.notify.heartbeat import HeartbeatSender
from tests.notify.receiver import http_receiver, until


@asynccontextmanager
async def beating(url: str, alive: Callable[[], bool]) -> AsyncIterator[HeartbeatSender]:
    """A heartbeat that runs meanwhile."""
    sender = HeartbeatSender(Heartbeat(url, every_s=0.05, timeout_s=2.0), alive)
    task = asyncio.create_task(sender.run())
    try:
        yield sender
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_it_beats_on_its_beat() -> None:
    async with http_receiver() as monitor:
        async with beating(f"http://127.0.0.1:{monitor.port}/ping/hush-hush", lambda: True):
            await until(lambda: len(monitor.asked) >= 3)
        assert set(monitor.asked) == {"/ping/hush-hush"}


async def test_it_stops_while_the_controller_cannot_act_and_goes_on_afterwards() -> None:
    can_act = False
    async with http_receiver() as monitor:
        with capture_logs() as logs:
            async with beating(f"http://127.0.0.1:{monitor.port}/ping", lambda: can_act):
                await asyncio.sleep(0.3)
                assert monitor.asked == []
                can_act = True
                await until(lambda: len(monitor.asked) >= 2)
    assert [entry["event"] for entry in logs] == ["heartbeat_held_back", "heartbeat_ok"]


async def test_failures_are_logged_once_for_each_change_without_the_url() -> None:
    async with http_receiver() as monitor:
        monitor.fail_next = 4
        with capture_logs() as logs:
            async with beating(f"http://127.0.0.1:{monitor.port}/ping/hush-hush", lambda: True) as sender:
                await until(lambda: sender.sent >= 2)
                port = monitor.port
    assert [(e["event"], e.get("why")) for e in logs] == [("heartbeat_failed", "HTTP 503"), ("heartbeat_ok", None)]
    with capture_logs() as logs:
        async with beating(f"http://127.0.0.1:{port}/ping/hush-hush", lambda: True):  # nobody listens any more
            await until(lambda: logs)
            await asyncio.sleep(0.2)
    (entry,) = logs
    assert "no connection to 127.0.0.1" in entry["why"]
    assert "hush" not in str(logs)


async def test_an_alive_that_breaks_does_not_end_it() -> None:
    asked = 0

    def alive() -> bool:
        nonlocal asked
        asked += 1
        if asked == 1:
            raise RuntimeError("broken")
        return True

    async with http_receiver() as monitor, beating(f"http://127.0.0.1:{monitor.port}/ping", alive) as sender:
        await until(lambda: sender.sent >= 1)


async def test_a_name_server_that_does_not_answer_holds_no_thread_that_others_wait_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    never = threading.Event()
    looked_up: list[object] = []

    def hangs(*question: object) -> None:
        looked_up.append(question)
        never.wait()

    monkeypatch.setattr("orchestrator.notify.heartbeat.socket.getaddrinfo", hangs)
    sender = HeartbeatSender(Heartbeat("http://beats.example/", every_s=0.05, timeout_s=0.05), lambda: True)
    with capture_logs() as logs:
        task = asyncio.create_task(sender.run())
        await until(lambda: len(looked_up) >= 3)
        assert await asyncio.to_thread(lambda: "served") == "served"  # by the pool that all share
        await asyncio.sleep(0.5)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    never.set()
    assert len(looked_up) == 3, "no more threads than that"
    assert "heartbeat_failed" in {entry["event"] for entry in logs}
