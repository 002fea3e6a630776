"""A runner whose playbooks end as a table says: for tests, and for a shell without Ansible.

The one rule it keeps: the same answers in the same order as the real one, from a table and nothing else. What would be
on disk is in `ledger`; hand the same ledger to a second runner to play a restart of the controller.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field, replace

from orchestrator.core.commands import CancelStep, RunPlaybook, SettleStep
from orchestrator.core.events import Outcome, StepAdopted, StepEnded, StepKey, StepProgressed, TaskTime
from orchestrator.runner.runner import Emit, StepCommand, StepEvent


@dataclass(frozen=True, slots=True)
class Ending:
    """How a playbook ends: at once, or (`hangs`) only when it is cancelled."""

    outcome: Outcome = Outcome.OK
    detail: str = ""
    tasks: tuple[TaskTime, ...] = ()
    hangs: bool = False


Ledger = MutableMapping[StepKey, "Ending | StepEnded"]


@dataclass
class ScriptedRunner:
    """`table`: playbook path to its ending (an absent one succeeds). `commands`: all that it was told, in order."""

    emit: Emit
    table: Mapping[str, Ending] = field(default_factory=dict)
    ledger: Ledger = field(default_factory=dict)
    commands: list[StepCommand] = field(default_factory=list)
    closed: bool = False

    def carry_out(self, command: StepCommand) -> None:
        """Begin, cancel or settle an attempt; what comes of it comes with the loop's next round."""
        self.commands.append(command)
        known = self.ledger.get(command.key)
        if isinstance(command, CancelStep):
            self._cancel(command.key, known)
        elif known is not None or isinstance(command, SettleStep):
            self._settle(command.key, known)
        else:
            self._begin(command)

    def let_end(self, key: StepKey) -> None:
        """A hanging playbook ends by itself now, as the table says."""
        running = self.ledger[key]
        if isinstance(running, Ending):
            self._end(key, running)

    def forget(self, run: str) -> None:
        """Drop what is kept of a run."""
        for key in [key for key, state in self.ledger.items() if key.run == run and isinstance(state, StepEnded)]:
            del self.ledger[key]

    async def close(self) -> None:
        """Emit nothing more."""
        self.closed = True

    def _begin(self, command: RunPlaybook) -> None:
        ending = self.table.get(command.playbook.path, Ending())
        self.ledger[command.key] = ending
        for task in ending.tasks:
            self._tell(StepProgressed(command.key, task))
        if not ending.hangs:
            self._end(command.key, ending)

    def _cancel(self, key: StepKey, known: Ending | StepEnded | None) -> None:
        if isinstance(known, Ending):
            self._end(key, replace(known, outcome=Outcome.CANCELLED, detail="cancelled"))
        elif known is None:
            self._end(key, Ending(Outcome.CANCELLED, "it had not been started"))
        else:
            self._tell(known)

    def _settle(self, key: StepKey, known: Ending | StepEnded | None) -> None:
        if isinstance(known, Ending):
            self._tell(StepAdopted(key))
        elif known is None:
            self._end(key, Ending(Outcome.NEVER_BEGUN, "there is no trace of it here"))
        else:
            self._tell(known)

    def _end(self, key: StepKey, ending: Ending) -> None:
        ended = StepEnded(key, ending.outcome, ending.detail, ending.tasks)
        self.ledger[key] = ended
        self._tell(ended)

    def _tell(self, event: StepEvent) -> None:
        def tell() -> None:
            if not self.closed:
                self.emit(event)

        asyncio.get_running_loop().call_soon(tell)
