"""Asking from somewhere else: the host that a probe logs in to is the witness, and not what is asked of."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest

from orchestrator.core.events import Answer
from orchestrator.core.model import Check
from orchestrator.probes import ssh
from orchestrator.probes.kind import Kind
from orchestrator.probes.kinds import KINDS, asked_from
from orchestrator.probes.prober import Prober
from orchestrator.probes.results import NotAsked, Refusal, Silence
from orchestrator.probes.ssh import Ran, SshOptions
from tests.ports import free_port
from tests.probes.conftest import Login
from tests.probes.test_prober import KINDS as SCRIPTED
from tests.probes.test_prober import Script, Seen, check, invent, judge, play
from tests.probes.test_ssh import where


@pytest.fixture
def seen() -> Seen:
    """Nothing yet."""
    return Seen()


OPTIONS = SshOptions(target="branch.example", command="curl -sf --max-time 2 https://erp.example")


@pytest.mark.parametrize(
    ("raw", "here", "there"),
    [
        (Ran(0, "", "", 0.1), Answer.GOOD, Answer.GOOD),
        (Ran(22, "", "503", 0.1), Answer.BAD, Answer.BAD),
        (Ran(None, "", "", 2.0), Answer.BAD, Answer.SILENT),
        (Refusal("login refused"), Answer.BAD, Answer.SILENT),
        (Silence("no connection in time"), Answer.SILENT, Answer.SILENT),
        (NotAsked("no key"), Answer.NONE, Answer.NONE),
    ],
)
def test_a_witness_that_does_not_let_us_in_has_said_nothing(raw: Any, here: Answer, there: Answer) -> None:
    assert ssh.KIND.classify(OPTIONS, raw).answer is here
    assert ssh.KIND.from_there().classify(OPTIONS, raw).answer is there


def test_only_ssh_asks_from_the_host_it_logs_in_to() -> None:
    assert [name for name, kind in KINDS.items() if kind.options.FROM_HOST] == ["ssh"]
    with pytest.raises(TypeError, match="icmp asks from this machine alone"):
        KINDS["icmp"].from_there()


def test_a_kind_that_says_so_must_say_what_it_hears() -> None:
    with pytest.raises(TypeError, match="go together"):
        Kind("script", Script, play, object, judge, invent, heard=lambda raw: raw)


def test_own_checks_are_asked_and_those_of_others_where_there_is_a_way_in() -> None:
    own, far = check("own", probe="icmp"), replace(check("far", probe="icmp"), vantage="branch")
    witness = replace(check("witness", probe="ssh"), vantage="branch")
    lost = replace(check("lost", probe="telepathy"), vantage="branch")
    assert asked_from("local", [own, far, witness, lost]) == [own, witness]
    assert asked_from("branch", [own, far]) == [far]


async def test_a_check_of_another_vantage_that_cannot_be_asked_is_no_answer(seen: Seen) -> None:
    prober = Prober(seen, time.monotonic, kinds=SCRIPTED, here="noc")
    prober.use([replace(check("far"), vantage="branch"), replace(check("near"), vantage="noc")])
    await seen.until(lambda: bool(seen.of("far") and seen.of("near")))
    await prober.close()
    assert seen.of("far")[0].answer is Answer.NONE
    assert seen.of("far")[0].detail == "vantage branch is not here (noc), and script asks from here alone"
    assert seen.of("near")[0].answer is Answer.GOOD
    assert prober.asking == frozenset()


async def test_a_real_witness_is_asked_by_its_own_sshd(seen: Seen, sshd: Login) -> None:
    """It sees the service, it sees it down, and it cannot be reached at all."""

    def one(name: str, **options: Any) -> Check:
        made = check(name, probe="ssh", every_s=3600, timeout_s=20.0, **where(sshd, **options))
        return replace(made, vantage="branch")

    prober = Prober(seen, time.monotonic, here="noc")
    prober.use([one("up"), one("down", command="exit 22"), one("cut", port=free_port(), check_host_key=False)])
    prober.ask_now(["acme/up", "acme/down", "acme/cut"])
    await seen.until(lambda: all(seen.of(name) for name in ("up", "down", "cut")))
    await prober.close()
    answers = {name: seen.of(name)[0].answer for name in ("up", "down", "cut")}
    assert answers == {"up": Answer.GOOD, "down": Answer.BAD, "cut": Answer.SILENT}
    assert "the vantage's host does not let us in" in seen.of("cut")[0].detail
