"""icmp by the thousand: one socket, and no reply that is another's, late, or lost to a busy loop."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from orchestrator.core.events import Answer, Observed
from orchestrator.core.model import Check
from orchestrator.probes.echo import Echo, Ping
from orchestrator.probes.options import UNPINNED
from orchestrator.probes.prober import Prober
from orchestrator.probes.results import Unanswerable
from tests.probes.conftest import Ask
from tests.probes.test_icmp import ask_in


@pytest.fixture(autouse=True)
def _raw() -> None:
    try:
        socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP).close()
    except PermissionError:
        pytest.skip("raw sockets need CAP_NET_RAW")


def loopback(number: int) -> str:
    """One of many addresses that answer."""
    return f"127.9.{number // 200}.{1 + number % 200}"


async def test_three_thousand_checks_on_one_socket_and_none_is_down() -> None:
    seen: asyncio.Queue[Observed] = asyncio.Queue()
    prober = Prober(seen.put_nowait, time.monotonic)
    checks = [
        Check(f"acme/c{n}", "acme", f"c{n}", "", "icmp", {"target": loopback(n)}, every_s=3600, timeout_s=20.0)
        for n in range(3000)
    ]
    prober.use(checks)
    prober.ask_now([check.id for check in checks])
    async with asyncio.timeout(60):
        found = [await seen.get() for _ in checks]
    await prober.close()
    assert {observed.answer for observed in found} == {Answer.GOOD}
    assert len({observed.check for observed in found}) == 3000


async def test_replies_that_came_in_time_count_although_the_loop_reads_them_late(ask: Ask) -> None:
    questions = [asyncio.ensure_future(ask("icmp", target=loopback(n), timeout_s=1.5)) for n in range(600)]
    await asyncio.sleep(0)  # they go out
    time.sleep(1.7)  # noqa: ASYNC251  # past all their deadlines, and more replies than are read at once
    judged = await asyncio.gather(*questions)
    asked = [j for j in judged if j.answer is not Answer.NONE]  # on a busy machine some have not gone out by then
    assert len(asked) > 100
    assert {j.answer for j in asked} == {Answer.GOOD}
    assert max(j.measures["rtt_s"] for j in asked) < 1.5, "when they came is the kernel's word"


class TestNumbers:
    """Ids and sequence numbers."""

    @pytest_asyncio.fixture(loop_scope="module")
    async def echo(self) -> AsyncIterator[Echo]:
        """A socket that nobody answers on."""
        found = Echo(socket.AF_INET, UNPINNED)
        yield found
        found.close()

    async def test_they_go_on_with_the_next_id_where_they_wrap(self, echo: Echo) -> None:
        echo._id, echo._sequence = 0xFFFF, 0xFFFE
        keys = [echo.send("127.0.0.1", 56, lambda _: None).key for _ in range(3)]
        assert keys == [(0xFFFF, 0xFFFF), (0, 0), (0, 1)]

    async def test_one_that_still_waits_is_passed_over(self, echo: Echo) -> None:
        waits = echo.send("127.0.0.1", 56, lambda _: None)
        echo._id, echo._sequence = waits.key[0], (waits.key[1] - 1) & 0xFFFF
        following = echo.send("127.0.0.1", 56, lambda _: None)
        assert following.key != waits.key
        assert len(echo._waiting) == 2

    async def test_when_all_wait_nothing_is_asked(self, echo: Echo) -> None:
        echo._raw = False  # one id only, as without the right to raw sockets
        ping = Ping("127.0.0.1", "127.0.0.1", (0, 0), lambda _: None)
        echo._waiting = {(echo._id, n): ping for n in range(0x10000)}
        with pytest.raises(Unanswerable, match="65536 pings wait"):
            echo.send("127.0.0.1", 56, lambda _: None)
        echo._waiting.clear()

    async def test_sums_are_right_whatever_the_numbers(self, echo: Echo) -> None:
        """The kernel answers only what adds up."""
        heard: asyncio.Queue[Ping] = asyncio.Queue()
        for number in (0, 1, 0x7FFF, 0xFFFE, 0xFFFF):
            echo._id, echo._sequence = number, (number - 1) & 0xFFFF
            echo.send("127.0.0.1", 16 + number % 50, heard.put_nowait)
        async with asyncio.timeout(20):
            for _ in range(5):
                await heard.get()


async def test_a_reply_after_the_time_is_none_although_it_is_read_before_the_deadline_is_looked_at(ask: Ask) -> None:
    from orchestrator.probes import icmp

    told = []

    class Question:
        """As `launch` needs it."""

        options = icmp.IcmpOptions(target="192.0.2.1")
        timeout_s = 0.5

    asking = icmp._Asking(Question(), told.append)  # type: ignore[arg-type]
    ping = Ping("192.0.2.1", "192.0.2.1", (1, 1), lambda _: None)
    ping.rtt_s = 0.7
    asked = icmp._Asked("192.0.2.1", None)  # type: ignore[arg-type]
    asked.pings = [ping]
    asking._asked, asking._sent = [asked], 1
    asking._look()
    assert told[0].rtts_s == ()


def test_black_holes_are_not_alive_among_hosts_that_are(nowhere: str) -> None:
    lost = [("icmp", {"target": f"203.0.113.{n}"}) for n in range(1, 200)]
    living = [("icmp", {"target": "192.0.2.2"}) for _ in range(20)]
    found = ask_in(nowhere, *lost, *living)
    assert {row[0] for row in found[: len(lost)]} == {Answer.SILENT}
    assert {row[0] for row in found[len(lost) :]} == {Answer.GOOD}
