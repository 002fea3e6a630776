"""Every runner gives the same answers: the table in `orchestrator/runner/runner.py`."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator.core.commands import CancelStep, RunPlaybook, SettleStep
from orchestrator.core.events import AttemptEnd, StepAdopted, StepEnded, StepKey, StepProgressed, TaskTime
from orchestrator.core.model import Playbook
from orchestrator.runner.attempts import Attempt
from orchestrator.runner.runner import Runner, StepEvent
from orchestrator.runner.scripted import Ending, Ledger, ScriptedRunner
from tests.runner.stage import Stage, until

KEY = StepKey("acme/run-1", "go", 1)


LOOKS = """
    - ansible.builtin.set_stats:
        data: {bascule_survey: "{{ {inventory_hostname: {'ports': ['22']}} }}", seen: "\\e[2J"}
    - ansible.builtin.set_stats: {data: {hidden: of nobody's business}}
      no_log: true
"""


class Case:
    """A runner, three playbooks, and all that was heard."""

    def __init__(self, stage: Stage, scripted: bool) -> None:
        self.stage = stage
        self.heard: list[StepEvent] = stage.heard
        self.good = stage.write("good.yml", "    - name: switch\n      ansible.builtin.command: 'true'\n")
        self.bad = stage.write("bad.yml", "    - name: switch\n      ansible.builtin.command: 'false'\n")
        self.slow = stage.write("slow.yml", "    - name: switch\n      ansible.builtin.command: sleep 60\n")
        self.looks = stage.write("looks.yml", LOOKS)
        self.changes = stage.write(
            "changes.yml", f"    - ansible.builtin.copy: {{content: x, dest: {stage.workspace}/made}}\n"
        )
        published = {"bascule_survey": {"here": {"ports": ["22"]}}, "seen": "\\x1b[2J"}
        table = {
            "looks.yml": Ending(stats=published),
            "bad.yml": Ending(AttemptEnd.FAILED, "here: switch: return code 1"),
            "slow.yml": Ending(hangs=True),
        }
        ledger: Ledger = {}

        def open_runner() -> Runner:
            if scripted:
                return ScriptedRunner(self.heard.append, table, ledger)
            stage.open()
            return stage.runner

        def kill_worker(key: StepKey) -> None:
            if isinstance(self.runner, ScriptedRunner):
                self.runner.lose(key)
            else:
                os.kill(Attempt(stage.runner.private, key).read_worker()["pid"], signal.SIGKILL)

        def has_worker(key: StepKey) -> bool:
            return scripted or bool(Attempt(stage.runner.private, key).read_worker())

        self.open: Callable[[], Runner] = open_runner
        self.kill_worker: Callable[[StepKey], None] = kill_worker
        self.has_worker: Callable[[StepKey], bool] = has_worker
        self.runner = self.open()

    def say(self, playbook: Playbook, key: StepKey = KEY) -> None:
        """RunPlaybook."""
        self.runner.carry_out(RunPlaybook(key, "acme", playbook, {"bascule_run": key.run}, 1, 120.0))

    def ask(self, playbook: Playbook, *, simulated: bool = False) -> None:
        """RunPlaybook of which what it publishes is wanted, perhaps in check mode."""
        command = RunPlaybook(KEY, "acme", playbook, {"bascule_run": KEY.run}, 1, 120.0)
        self.runner.carry_out(replace(command, simulated=simulated, stats=True))

    def settle(self, playbook: Playbook, key: StepKey = KEY) -> None:
        """SettleStep."""
        self.runner.carry_out(SettleStep(key, "acme", playbook, 120.0))

    def cancel(self, key: StepKey = KEY) -> None:
        """CancelStep."""
        self.runner.carry_out(CancelStep(key))

    async def running(self) -> None:
        """What was said last has a process."""
        await until(lambda: self.has_worker(KEY))

    async def restart(self, meanwhile: Callable[[], None] = lambda: None) -> None:
        """The controller goes and comes back; what happens meanwhile."""
        await self.runner.close()
        meanwhile()
        self.heard.clear()
        self.runner = self.open()
        await self.stage.warmed()

    async def end(self) -> StepEnded:
        """The one end of what was said last."""
        await until(lambda: any(isinstance(event, StepEnded) for event in self.heard))
        ends = [event for event in self.heard if isinstance(event, StepEnded)]
        assert len(ends) == 1
        return ends[0]


@pytest.fixture(params=["scripted", "playbooks", "warm playbooks"])
async def case(request: Any, tmp_path: Path) -> AsyncIterator[Case]:
    """Each runner in turn."""
    stage = Stage(tmp_path, warm=request.param == "warm playbooks")
    case = Case(stage, request.param == "scripted")
    await stage.warmed()
    yield case
    await case.runner.close()


async def test_a_playbook_ends_once(case: Case) -> None:
    """With its key and its outcome."""
    case.say(case.good)
    assert case.heard == []  # carry_out returns before anything is told
    ended = await case.end()
    assert (ended.key, ended.outcome) == (KEY, AttemptEnd.OK)


async def test_a_failure_has_its_reason(case: Case) -> None:
    """The playbook's own."""
    case.say(case.bad)
    ended = await case.end()
    assert ended.outcome is AttemptEnd.FAILED
    assert "here: switch" in ended.detail


async def test_cancel(case: Case) -> None:
    """Its end says so."""
    case.say(case.slow)
    await asyncio.sleep(0.2)
    case.cancel()
    assert (await case.end()).outcome is AttemptEnd.CANCELLED


async def test_said_twice_while_it_runs(case: Case) -> None:
    """It is begun once, and its one end answers both."""
    case.say(case.slow)
    case.say(case.slow)
    await case.running()
    case.say(case.slow)
    case.cancel()
    case.cancel()
    assert (await case.end()).outcome is AttemptEnd.CANCELLED


async def test_said_twice_is_begun_once(case: Case) -> None:
    """Also after a restart: the end on record is told again."""
    case.say(case.good)
    await case.end()
    await case.restart()
    case.say(case.good)
    assert (await case.end()).outcome is AttemptEnd.OK


async def test_settle_what_has_ended(case: Case) -> None:
    """The true outcome is told."""
    case.say(case.bad)
    await case.end()
    await case.restart()
    case.settle(case.bad)
    assert (await case.end()).outcome is AttemptEnd.FAILED


async def test_settle_what_still_runs(case: Case) -> None:
    """It is adopted, and can be cancelled."""
    case.say(case.slow)
    await asyncio.sleep(0.5)
    await case.restart()
    case.settle(case.slow)
    await until(lambda: case.heard)
    assert case.heard == [StepAdopted(KEY)]
    case.cancel()
    assert (await case.end()).outcome is AttemptEnd.CANCELLED


async def test_cancel_what_still_runs_without_settling_it(case: Case) -> None:
    """A controller that comes back and wants it ended need not ask first."""
    case.say(case.slow)
    await case.running()
    await case.restart()
    case.cancel()
    assert (await case.end()).outcome is AttemptEnd.CANCELLED
    assert StepAdopted(KEY) not in case.heard


async def test_killed_while_somebody_follows(case: Case) -> None:
    """Its end was not seen, and is not made up."""
    case.say(case.slow)
    await case.running()
    case.kill_worker(KEY)
    assert (await case.end()).outcome is AttemptEnd.LOST


async def test_killed_with_its_machine(case: Case) -> None:
    """Nobody was there to see it: whoever settles it is told that it is lost, each time anew."""
    case.say(case.slow)
    await case.running()
    await case.restart(meanwhile=lambda: case.kill_worker(KEY))
    case.settle(case.slow)
    assert (await case.end()).outcome is AttemptEnd.LOST
    await case.restart()
    case.say(case.slow)
    assert (await case.end()).outcome is AttemptEnd.LOST


async def test_settle_what_nobody_knows(case: Case) -> None:
    """A runner that was here before knows that it never began."""
    await case.restart()
    case.settle(case.good)
    assert (await case.end()).outcome is AttemptEnd.NEVER_BEGUN


async def test_what_never_began_can_begin(case: Case) -> None:
    """The answer that it had not is no attempt."""
    await case.restart()
    case.settle(case.good)
    await case.end()
    case.heard.clear()
    case.say(case.good)
    assert (await case.end()).outcome is AttemptEnd.OK


async def test_cancel_what_nobody_knows(case: Case) -> None:
    """It is not running."""
    case.cancel()
    assert (await case.end()).outcome is AttemptEnd.CANCELLED


async def test_what_it_publishes_comes_back(case: Case) -> None:
    """As text that shows as it is, and without what its tasks hide; after a restart as well."""
    case.ask(case.looks)
    ended = await case.end()
    assert (ended.outcome, ended.detail) == (AttemptEnd.OK, "")
    assert ended.stats == {"bascule_survey": {"here": {"ports": ["22"]}}, "seen": "\\x1b[2J"}
    await case.restart()
    case.settle(case.looks)
    assert (await case.end()).stats == ended.stats


async def test_what_nobody_wants_is_not_told(case: Case) -> None:
    """A step that publishes by chance fills no record."""
    case.say(case.looks)
    assert (await case.end()).stats == {}


async def test_in_check_mode_nothing_is_changed(case: Case) -> None:
    """The playbook ends well, as it would have; epochs are kept all the same."""
    case.ask(case.changes, simulated=True)
    ended = await case.end()
    assert (ended.outcome, ended.unguarded) == (AttemptEnd.OK, ())
    assert not (case.stage.workspace / "made").exists()


async def test_forgotten(case: Case) -> None:
    """A run that is over leaves nothing."""
    case.say(case.good)
    await case.end()
    case.runner.forget(KEY.run)
    await case.restart()
    case.settle(case.good)
    assert (await case.end()).outcome is AttemptEnd.NEVER_BEGUN


class TestScripted:
    """What only the runner of a virtual world can be told."""

    def open(self, heard: list[StepEvent], ledger: Ledger | None = None, **options: Any) -> ScriptedRunner:
        """A runner that hangs on everything and tells at once."""
        plays = options.pop("plays", lambda command: Ending(hangs=True))
        later = options.pop("later", lambda tell: tell())
        return ScriptedRunner(heard.append, ledger=ledger if ledger is not None else {}, plays=plays, later=later)

    def say(self, runner: ScriptedRunner, key: StepKey = KEY) -> None:
        """RunPlaybook."""
        runner.carry_out(RunPlaybook(key, "acme", Playbook("go.yml", "0"), {}, 1, 120.0))

    def test_a_function_decides_how_each_attempt_ends(self) -> None:
        """By anything that the command says, once an attempt."""
        heard: list[StepEvent] = []
        seen: list[StepKey] = []

        def plays(command: RunPlaybook) -> Ending:
            seen.append(command.key)
            return Ending(AttemptEnd.FAILED if command.key.attempt == 1 else AttemptEnd.OK)

        runner = self.open(heard, plays=plays)
        second = StepKey(KEY.run, KEY.step, 2)
        for key in (KEY, KEY, second):
            self.say(runner, key)
        assert seen == [KEY, second]
        assert heard == [
            StepEnded(KEY, AttemptEnd.FAILED),
            StepEnded(KEY, AttemptEnd.FAILED),
            StepEnded(second, AttemptEnd.OK),
        ]

    def test_answers_come_when_the_scheduler_says(self) -> None:
        """No event loop is needed; and what was on its way when the runner was closed does not arrive."""
        heard: list[StepEvent] = []
        queue: list[Callable[[], None]] = []
        runner = self.open(heard, plays=lambda command: Ending(), later=queue.append)
        self.say(runner)
        assert heard == []
        runner.closed = True
        for tell in queue:
            tell()
        assert heard == []

    def test_an_attempt_takes_its_time(self) -> None:
        """It hangs until its virtual end, where how it ends may be decided anew."""
        heard: list[StepEvent] = []
        runner = self.open(heard)
        self.say(runner)
        assert heard == []
        switch = TaskTime("switch", "edge", "changed", 0.0, 2.0)
        assert runner.let_end(KEY, Ending(AttemptEnd.UNREACHABLE, "edge went dark", (switch,)))
        assert heard == [
            StepProgressed(KEY, switch),
            StepEnded(KEY, AttemptEnd.UNREACHABLE, "edge went dark", (switch,)),
        ]

    def test_an_end_that_comes_too_late_is_none(self) -> None:
        """It was cancelled before; or nobody has heard of it."""
        heard: list[StepEvent] = []
        runner = self.open(heard)
        self.say(runner)
        runner.carry_out(CancelStep(KEY))
        assert not runner.let_end(KEY)
        assert not runner.lose(KEY)
        assert not runner.let_end(StepKey("acme/run-2", "go", 1))
        assert heard == [StepEnded(KEY, AttemptEnd.CANCELLED, "cancelled")]

    async def test_it_ends_while_no_controller_is_there(self) -> None:
        """The old one hears nothing; the new one only when it asks."""
        old: list[StepEvent] = []
        new: list[StepEvent] = []
        ledger: Ledger = {}
        first = self.open(old, ledger)
        self.say(first)
        await first.close()
        assert first.let_end(KEY)
        second = self.open(new, ledger)
        assert (old, new) == ([], [])
        second.carry_out(SettleStep(KEY, "acme", Playbook("go.yml", "0"), 120.0))
        assert (old, new) == ([], [StepEnded(KEY, AttemptEnd.OK)])

    async def test_it_ends_before_the_next_controller_has_asked(self) -> None:
        """Nothing is told of what nobody follows."""
        new: list[StepEvent] = []
        ledger: Ledger = {}
        first = self.open([], ledger)
        self.say(first)
        await first.close()
        second = self.open(new, ledger)
        assert second.let_end(KEY)
        assert new == []
        second.carry_out(SettleStep(KEY, "acme", Playbook("go.yml", "0"), 120.0))
        assert new == [StepEnded(KEY, AttemptEnd.OK)]

    async def test_it_is_adopted_and_ends_later(self) -> None:
        """For the controller that has asked, and for no other."""
        old: list[StepEvent] = []
        new: list[StepEvent] = []
        ledger: Ledger = {}
        first = self.open(old, ledger)
        self.say(first)
        await first.close()
        second = self.open(new, ledger)
        second.carry_out(SettleStep(KEY, "acme", Playbook("go.yml", "0"), 120.0))
        second.let_end(KEY)
        assert (old, new) == ([], [StepAdopted(KEY), StepEnded(KEY, AttemptEnd.OK)])

    def test_a_run_is_not_forgotten_while_an_attempt_runs(self) -> None:
        """None of it."""
        ledger: Ledger = {}
        runner = self.open([], ledger)
        self.say(runner)
        other = StepKey(KEY.run, "other", 1)
        self.say(runner, other)
        runner.let_end(other)
        runner.forget(KEY.run)
        assert set(ledger) == {KEY, other}
        runner.let_end(KEY)
        runner.forget(KEY.run)
        assert ledger == {}
