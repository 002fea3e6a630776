"""A workspace on one machine and somebody who listens to its runner."""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.core.commands import CancelStep, RunPlaybook, SettleStep
from orchestrator.core.events import StepEnded, StepKey, StepProgressed
from orchestrator.core.model import Playbook
from orchestrator.runner.attempts import Attempt
from orchestrator.runner.playbooks import PlaybookRunner
from orchestrator.runner.runner import StepEvent

PATIENCE_S = 120.0  # for a slow day; nothing is measured by it


def digest(path: Path) -> str:
    """What the wiring would compute."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


@dataclass
class Stage:
    """`say` a command, `end_of` an attempt. `heard` is every event, in order."""

    workspace: Path
    workspace_id: str = "stage"
    warm: bool = False  # by a zygote
    heard: list[StepEvent] = field(default_factory=list)
    runner: PlaybookRunner = field(init=False)

    def __post_init__(self) -> None:
        (self.workspace / "playbooks").mkdir(exist_ok=True, parents=True)
        hosts = {
            "here": {"ansible_connection": "local"},
            "there": {"ansible_connection": "local"},
            "dark": {"ansible_host": "127.0.0.1", "ansible_port": 1},
        }
        self.write_inventory(hosts)
        self.open()

    def write_inventory(self, hosts: dict[str, dict[str, Any]]) -> None:
        """Hosts with their variables; all use this Python."""
        variables = {"ansible_python_interpreter": sys.executable}
        content = {"all": {"hosts": hosts, "vars": variables}}
        self.inventory.write_text(json.dumps(content))

    @property
    def inventory(self) -> Path:
        """The only client's inventory."""
        return self.workspace / "hosts.yml"

    def _differs(self, _client: str, playbook: Playbook) -> str:
        path = self.workspace / "playbooks" / playbook.path
        return "" if digest(path) == playbook.digest else f"{playbook.path} was changed"

    def open(self) -> None:
        """A controller starts (again)."""
        self.runner = PlaybookRunner(
            self.workspace,
            {"acme": (self.inventory,)},
            self.heard.append,
            differs=self._differs,
        )

    async def warmed(self) -> None:
        """Wait until its zygote takes calls, if it has one."""
        if self.warm:
            self.runner.warm_up()
            assert self.runner.readied.zygote is not None
            assert await self.runner.readied.zygote.until_ready(PATIENCE_S), self.runner.readied.zygote.why_not

    def executors(self, key: StepKey) -> list[str]:
        """What served an attempt: warm, or cold and why."""
        events = Attempt(self.runner.private, key).read_events()
        return [f"{e['executor']} {e.get('because', '')}".strip() for e in events if "executor" in e]

    def running(self, key: StepKey) -> list[str]:
        """Names of the tasks that have begun."""
        events = Attempt(self.runner.private, key).read_events()
        return [e["started"]["name"] for e in events if "started" in e]

    def write(self, name: str, text: str) -> Playbook:
        """A playbook of one play with these tasks, or a whole playbook when it starts with a dash in column 0."""
        path = self.workspace / "playbooks" / name
        if not text.lstrip("\n").startswith("-"):
            text = "- hosts: here\n  gather_facts: false\n  tasks:\n" + text
        path.write_text(text)
        return Playbook(name, digest(path))

    def start(
        self, playbook: Playbook, step: str = "go", *, epoch: int = 1, timeout_s: float = 60.0, beginning: str = ""
    ) -> StepKey:
        """Say RunPlaybook."""
        key = StepKey("acme/run-1", step, 1)
        facts = {"bascule_run": "acme/run-1"}
        self.runner.carry_out(RunPlaybook(key, "acme", playbook, facts, epoch, timeout_s, beginning, self.workspace_id))
        return key

    def cancel(self, key: StepKey) -> None:
        """Say CancelStep."""
        self.runner.carry_out(CancelStep(key))

    def settle(self, key: StepKey, playbook: Playbook, beginning: str = "", machine: str = "") -> None:
        """Say SettleStep."""
        self.runner.carry_out(SettleStep(key, "acme", playbook, 60.0, beginning, machine))

    async def end_of(self, key: StepKey) -> StepEnded:
        """Wait for the end of an attempt, and until nobody follows it any more: what is said before is not heard."""

        def ended() -> StepEnded | None:
            return next((e for e in self.heard if isinstance(e, StepEnded) and e.key == key), None)

        await until(lambda: ended() is not None and key not in self.runner._following)
        found = ended()
        assert found is not None
        return found

    async def run(self, playbook: Playbook, step: str = "go", **options: Any) -> StepEnded:
        """Start it and wait for its end."""
        return await self.end_of(self.start(playbook, step, **options))

    def progress(self, key: StepKey) -> list[str]:
        """Names of the tasks that were shown while it ran."""
        return [e.task.name for e in self.heard if isinstance(e, StepProgressed) and e.key == key]


async def until(condition: Any) -> None:
    """Wait until it holds."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110  (what is waited for happens in other processes)
            await asyncio.sleep(0.05)
