"""icmp: pings of hosts that live, of hosts that do not, and replies that are not theirs."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from typing import Any

import pytest

from orchestrator.core.events import Answer
from orchestrator.probes.echo import Echo, Ping
from orchestrator.probes.icmp import KIND, Echoed, IcmpOptions
from orchestrator.probes.options import UNPINNED
from orchestrator.probes.results import Unanswerable
from tests.probes.conftest import ROOT, Ask, NameServer

_ASK = """
import asyncio, json, sys
from orchestrator.probes.asking import ask_once
from orchestrator.probes.kind import Secrets
from orchestrator.probes.kinds import KINDS
from orchestrator.probes.tools import Tools

async def main():
    tools = Tools()
    questions = json.loads(sys.argv[1])
    for kind, _ in questions:
        KINDS[kind].warm()

    async def ask(kind, options):
        row = KINDS[kind]
        for _ in range(20):  # a starved machine says so instead of "silent"
            seen = await ask_once(row, row.options.model_validate(options), 1.0, secrets=Secrets({}), tools=tools)
            if "late itself" not in seen.detail and "hung" not in seen.detail:
                break
        return seen

    found = await asyncio.gather(*(ask(*question) for question in questions))
    await tools.close()
    print(json.dumps([[j.answer, j.detail, dict(j.measures)] for j in found]))

asyncio.run(main())
"""


def ask_in(namespace: str, *questions: tuple[str, dict[str, Any]]) -> list[Any]:
    """Ask from within a network namespace (in a child: entering one is for a thread, not for a test)."""
    done = subprocess.run(
        ["ip", "netns", "exec", namespace, sys.executable, "-c", _ASK, json.dumps(questions)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    found: list[Any] = json.loads(done.stdout)
    return found


NOBODY = "224.0.1.99"  # a group that nobody is in: what is sent there is heard, if at all, and never answered


@pytest.fixture
def _raw() -> None:
    """Raw sockets, or no test."""
    import socket

    try:
        socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP).close()
    except PermissionError:
        pytest.skip("raw sockets need CAP_NET_RAW")


@pytest.mark.usefixtures("_raw")
class TestLoopback:
    """Against this machine itself."""

    async def test_a_living_host(self, ask: Ask) -> None:
        seen = await ask("icmp", target="127.0.0.1", count=3, gap="1ms")
        assert (seen.answer, seen.measures["loss"]) == (Answer.GOOD, 0.0), seen.detail
        assert 0 < seen.measures["rtt_s"] < 20

    async def test_many_at_once_share_one_socket(self, ask: Ask) -> None:
        questions = [ask("icmp", target=f"127.0.0.{1 + number % 200}") for number in range(400)]
        assert {seen.answer for seen in await asyncio.gather(*questions)} == {Answer.GOOD}

    async def test_a_source_that_is_not_ours(self, ask: Ask) -> None:
        seen = await ask("icmp", target="127.0.0.1", source="192.0.2.200")
        assert (seen.answer, "192.0.2.200" in seen.detail) == (Answer.NONE, True), seen.detail

    async def test_each_address_of_a_name_is_asked(self, ask: Ask, name_server: NameServer) -> None:
        """One of them is dead: the other one's replies are the answer, and they are not added up."""
        name_server.records[("two.example.", "A")] = [NOBODY, "127.0.0.1"]
        named = {"target": "two.example", "resolver": name_server.where, "count": 2, "gap": "1ms"}
        seen = await ask("icmp", **named, need=2)
        assert seen.answer is Answer.GOOD, seen.detail
        assert "2/2 replies from two.example (127.0.0.1)" in seen.detail
        assert seen.measures["loss"] == 0.0
        first = await ask("icmp", **named, addresses="first", timeout_s=0.5)
        assert first.answer is Answer.SILENT, first.detail
        sixth = await ask("icmp", **named, address_family="ipv6")
        told = f"name two.example has no ipv6 address, says {name_server.where}"
        assert (sixth.answer, sixth.detail) == (Answer.BAD, told)

    async def test_both_families_are_asked(self, ask: Ask, name_server: NameServer) -> None:
        name_server.records[("both.example.", "A")] = [NOBODY]
        name_server.records[("both.example.", "AAAA")] = ["::1"]
        named = {"target": "both.example", "resolver": name_server.where}
        seen = await ask("icmp", target="::1")
        if seen.answer is not Answer.GOOD:
            pytest.skip(f"no IPv6 here: {seen.detail}")
        seen = await ask("icmp", **named)
        assert (seen.answer, "(::1)" in seen.detail) == (Answer.GOOD, True), seen.detail
        seen = await ask("icmp", **named, address_family="ipv4", timeout_s=0.5)
        assert seen.answer is Answer.SILENT, seen.detail

    async def test_a_name_that_does_not_exist(self, ask: Ask) -> None:
        seen = await ask("icmp", target="nobody.invalid")
        assert seen.answer in (Answer.BAD, Answer.SILENT), seen.detail  # silent without any resolver

    async def test_only_the_asked_hosts_own_reply_to_this_question_counts(self) -> None:
        echo = Echo(2, UNPINNED)  # type: ignore[arg-type]
        try:
            heard: list[Ping] = []
            ping = echo.send("192.0.2.1", 56, heard.append)
            key = ping.key
            head = b"\x45" + bytes(19)
            numbers = key[0].to_bytes(2, "big") + key[1].to_bytes(2, "big")
            reply = b"\x00\x00\x00\x00" + numbers + echo._cookie
            echo._take(head + reply, "192.0.2.99", 10**18, None)  # another host
            echo._take(head + reply[:4] + bytes(4) + echo._cookie, "192.0.2.1", 10**18, None)  # another question
            echo._take(head + reply[:8] + bytes(8), "192.0.2.1", 10**18, None)  # another program
            echo._take(head + b"\x08" + reply[1:], "192.0.2.1", 10**18, None)  # a question to us
            echo._take(b"\x45", "192.0.2.1", 10**18, None)  # noise
            assert heard == []
            echo._take(head + reply, "192.0.2.1", 10**18, None)
            assert heard == [ping]
            assert ping.rtt_s is not None
            echo._take(head + reply, "192.0.2.1", 10**18, None)  # the same once more
            late = echo.send("192.0.2.1", 56, heard.append)
            echo.forget(late)
            numbers = late.key[0].to_bytes(2, "big") + late.key[1].to_bytes(2, "big")
            echo._take(head + reply[:4] + numbers + echo._cookie, "192.0.2.1", 10**18, None)  # too late for anybody
            assert heard == [ping]
        except Unanswerable as error:  # no route at all on this machine
            pytest.skip(str(error))
        finally:
            echo.close()


class TestFarAway:
    """Beyond a router, in a namespace."""

    def test_lost_refused_and_pinned(self, nowhere: str) -> None:
        router = {"target": "192.0.2.2"}
        lost, unreachable, living, pinned, through, partly = ask_in(
            nowhere,
            ("icmp", {"target": "203.0.113.9"}),
            ("icmp", {"target": "198.18.0.9", "count": 2}),
            ("icmp", router),
            ("icmp", {**router, "source": "192.0.2.9"}),
            ("icmp", {**router, "interface": "near"}),
            ("icmp", {**router, "interface": "lo"}),
        )
        assert lost[0] == Answer.SILENT
        assert unreachable[0] == Answer.SILENT, "a router's word is no reply"
        assert "192.0.2.2 says host unreachable" in unreachable[1]
        assert living[0] == pinned[0] == through[0] == Answer.GOOD
        assert partly[0] == Answer.SILENT, partly

    def test_tcp_http_and_dns_know_silence_too(self, nowhere: str) -> None:
        lost = "203.0.113.9"
        found = ask_in(
            nowhere,
            ("tcp", {"target": lost, "port": 80}),
            ("tcp", {"target": "198.18.0.9", "port": 80}),
            ("http", {"url": f"http://{lost}/"}),
            ("http", {"url": "http://198.18.0.9/"}),
            ("http", {"url": "http://www.example/", "resolver": lost}),
            ("dns", {"record": "www.example", "server": lost}),
            ("dns", {"record": "www.example", "server": "198.18.0.9"}),
            ("postgres", {"target": lost}),
            ("postgres", {"target": "198.18.0.9"}),
            ("ssh", {"target": lost, "check_host_key": False}),
            ("ssh", {"target": "198.18.0.9", "check_host_key": False}),
        )
        assert [(row[0], row[1]) for row in found if row[0] != Answer.SILENT] == []

    def test_nobody_there_on_the_same_wire(self, nowhere: str) -> None:
        subprocess.run(["ip", "-n", nowhere, "route", "add", "192.0.2.77/32", "dev", "near"], check=True)
        silent, refused = ask_in(
            nowhere, ("tcp", {"target": "192.0.2.77", "port": 80}), ("tcp", {"target": "192.0.2.2", "port": 80})
        )
        assert silent[0] == Answer.SILENT
        assert refused[0] == Answer.BAD


def test_some_replies_but_too_few_are_bad() -> None:
    options = IcmpOptions(target="a", count=5, need=3)
    judged = KIND.classify(options, Echoed(5, (0.01, 0.03)))
    assert (judged.answer, judged.measures["loss"]) == (Answer.BAD, pytest.approx(0.6))
    assert judged.measures["rtt_s"] == pytest.approx(0.02)


def test_more_replies_than_packets_cannot_be_needed() -> None:
    with pytest.raises(ValueError, match="need 3 replies of 1 packets"):
        IcmpOptions(target="a", need=3)
