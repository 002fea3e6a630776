"""Every runner gives the same answers: the table in `orchestrator/runner/runner.py`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from orchestrator.core.commands import CancelStep, RunPlaybook, SettleStep
from orchestrator.core.events import Outcome, StepAdopted, StepEnded, StepKey
from orchestrator.core.model import Playbook
from orchestrator.runner.runner import Runner, StepEvent
from orchestrator.runner.scripted import Ending, Ledger, ScriptedRunner
from tests.runner.stage import Stage, until

KEY = StepKey("acme/run-1", "go", 1)


class Case:
    """A runner, three playbooks, and all that was heard."""

    def __init__(self, stage: Stage, scripted: bool) -> None:
        self.heard: list[StepEvent] = stage.heard
        self.good = stage.write("good.yml", "    - name: switch\n      ansible.builtin.command: 'true'\n")
        self.bad = stage.write("bad.yml", "    - name: switch\n      ansible.builtin.command: 'false'\n")
        self.slow = stage.write("slow.yml", "    - name: switch\n      ansible.builtin.command: sleep 60\n")
        table = {"bad.yml": Ending(Outcome.FAILED, "here: switch: return code 1"), "slow.yml": Ending(hangs=True)}
        ledger: Ledger = {}

        def open_runner() -> Runner:
            if scripted:
                return ScriptedRunner(self.heard.append, table, ledger)
            stage.open()
            return stage.runner

        self.open: Callable[[], Runner] = open_runner
        self.runner = self.open()

    def say(self, playbook: Playbook, key: StepKey = KEY) -> None:
        """RunPlaybook."""
        self.runner.carry_out(RunPlaybook(key, "acme", playbook, {"bascule_run": key.run}, 1, 120.0))

    def settle(self, playbook: Playbook, key: StepKey = KEY) -> None:
        """SettleStep."""
        self.runner.carry_out(SettleStep(key, "acme", playbook, 120.0))

    def cancel(self, key: StepKey = KEY) -> None:
        """CancelStep."""
        self.runner.carry_out(CancelStep(key))

    async def restart(self) -> None:
        """The controller goes and comes back."""
        await self.runner.close()
        self.heard.clear()
        self.runner = self.open()

    async def end(self) -> StepEnded:
        """The one end of what was said last."""
        await until(lambda: any(isinstance(event, StepEnded) for event in self.heard))
        ends = [event for event in self.heard if isinstance(event, StepEnded)]
        assert len(ends) == 1
        return ends[0]


@pytest.fixture(params=["scripted", "playbooks"])
async def case(request: Any, tmp_path: Path) -> AsyncIterator[Case]:
    """Each runner in turn."""
    case = Case(Stage(tmp_path), request.param == "scripted")
    yield case
    await case.runner.close()


async def test_a_playbook_ends_once(case: Case) -> None:
    """With its key and its outcome."""
    case.say(case.good)
    assert case.heard == []  # carry_out returns before anything is told
    ended = await case.end()
    assert (ended.key, ended.outcome) == (KEY, Outcome.OK)


async def test_a_failure_has_its_reason(case: Case) -> None:
    """The playbook's own."""
    case.say(case.bad)
    ended = await case.end()
    assert ended.outcome is Outcome.FAILED
    assert "here: switch" in ended.detail


async def test_cancel(case: Case) -> None:
    """Its end says so."""
    case.say(case.slow)
    await asyncio.sleep(0.2)
    case.cancel()
    assert (await case.end()).outcome is Outcome.CANCELLED


async def test_said_twice_is_begun_once(case: Case) -> None:
    """Also after a restart: the end on record is told again."""
    case.say(case.good)
    await case.end()
    await case.restart()
    case.say(case.good)
    assert (await case.end()).outcome is Outcome.OK


async def test_settle_what_has_ended(case: Case) -> None:
    """The true outcome is told."""
    case.say(case.bad)
    await case.end()
    await case.restart()
    case.settle(case.bad)
    assert (await case.end()).outcome is Outcome.FAILED


async def test_settle_what_still_runs(case: Case) -> None:
    """It is adopted, and can be cancelled."""
    case.say(case.slow)
    await asyncio.sleep(0.5)
    await case.restart()
    case.settle(case.slow)
    await until(lambda: case.heard)
    assert case.heard == [StepAdopted(KEY)]
    case.cancel()
    assert (await case.end()).outcome is Outcome.CANCELLED


async def test_settle_what_nobody_knows(case: Case) -> None:
    """A runner that was here before knows that it never began."""
    await case.restart()
    case.settle(case.good)
    assert (await case.end()).outcome is Outcome.NEVER_BEGUN


async def test_cancel_what_nobody_knows(case: Case) -> None:
    """It is not running."""
    case.cancel()
    assert (await case.end()).outcome is Outcome.CANCELLED


async def test_forgotten(case: Case) -> None:
    """A run that is over leaves nothing."""
    case.say(case.good)
    await case.end()
    case.runner.forget(KEY.run)
    await case.restart()
    case.settle(case.good)
    assert (await case.end()).outcome is Outcome.NEVER_BEGUN
