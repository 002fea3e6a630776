"""A runner whose playbooks end as it is told: for tests, for a shell without Ansible, and for a virtual world.

The one rule it keeps: it gives the same answers in the same order as the real one, and nothing of its own. What would
be on disk is in `ledger`. To simulate a restart of the controller, give the same ledger to a second runner. A runner
speaks of an attempt only while it follows it: from its command until its end is told, and never after `close`.

    ledger has     RunPlaybook       SettleStep      CancelStep                  let_end, lose
    -----------    --------------    ------------    ------------------------    ---------------------------
    nothing        plays, begins     NEVER_BEGUN     CANCELLED                   nothing
    it running     adopted           adopted         CANCELLED                   on record; told if followed
    its end        that end again    that end        that end                    nothing
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass, field, replace

from orchestrator.core.commands import CancelStep, RunPlaybook
from orchestrator.core.events import AttemptEnd, StepAdopted, StepEnded, StepKey, StepProgressed, TaskTime
from orchestrator.core.model import Json
from orchestrator.runner.runner import Emit, StepCommand, StepEvent


@dataclass(frozen=True, slots=True)
class Ending:
    """How a playbook ends: at once, or (`hangs`) only when it is cancelled or let end."""

    outcome: AttemptEnd = AttemptEnd.OK
    detail: str = ""
    tasks: tuple[TaskTime, ...] = ()
    hangs: bool = False
    unguarded: tuple[str, ...] = ()
    stats: Mapping[str, Json] = field(default_factory=dict)  # told where they are wanted


Ledger = MutableMapping[StepKey, "Ending | StepEnded"]
"""What would be on disk: an attempt that runs (how it will end), or its end."""

Later = Callable[[Callable[[], None]], None]
"""Calls something once, soon, and not before the caller has returned."""


def in_the_next_round(tell: Callable[[], None]) -> None:
    """With the event loop's next round."""
    asyncio.get_running_loop().call_soon(tell)


@dataclass
class ScriptedRunner:
    """`table`: playbook path to its ending (an absent one succeeds). `commands`: all that it was told, in order.

    `plays` decides instead of the table, once an attempt, in the moment it begins. `later` brings the answers; with one
    of the caller's own no event loop is needed.
    """

    emit: Emit
    table: Mapping[str, Ending] = field(default_factory=dict)
    ledger: Ledger = field(default_factory=dict)
    commands: list[StepCommand] = field(default_factory=list)
    closed: bool = False
    plays: Callable[[RunPlaybook], Ending] | None = None
    later: Later = in_the_next_round
    _following: set[StepKey] = field(default_factory=set, init=False, repr=False)

    def carry_out(self, command: StepCommand) -> None:
        """Begin, cancel or settle an attempt; what comes of it comes later."""
        self.commands.append(command)
        known = self.ledger.get(command.key)
        followed = command.key in self._following  # its end will be told, or is on its way
        self._following.add(command.key)
        if isinstance(command, CancelStep):
            if isinstance(known, Ending) or not followed:
                self._cancel(command.key, known)
        elif not followed:
            if known is None and isinstance(command, RunPlaybook):
                self._begin(command)
            else:
                self._settle(command.key, known)

    def let_end(self, key: StepKey, ending: Ending | None = None) -> bool:
        """A hanging playbook ends by itself now: as was decided when it began, or as `ending` says.

        Say it to the runner that is open, or while none is to the last one. False: it does not run (any more).
        """
        running = self.ledger.get(key)
        if not isinstance(running, Ending):
            return False
        if ending is not None:
            self._progress(key, [task for task in ending.tasks if task not in running.tasks])
        self._end(key, ending or running)
        return True

    def lose(self, key: StepKey) -> bool:
        """Its process was killed, as when the machine dies: nobody will ever know how it would have ended.

        Whoever settles it later is told LOST; so is, at once, whoever still follows it. False: it does not run.
        """
        running = self.ledger.get(key)
        if not isinstance(running, Ending):
            return False
        self._end(key, replace(running, outcome=AttemptEnd.LOST, detail="its worker was killed"))
        return True

    def forget(self, run: str) -> None:
        """Drop what is kept of a run that is over; does nothing while one of its attempts still runs."""
        of_it = {key: state for key, state in self.ledger.items() if key.run == run}
        if any(key in self._following or isinstance(state, Ending) for key, state in of_it.items()):
            return
        for key in of_it:
            del self.ledger[key]

    async def close(self) -> None:
        """Emit nothing more."""
        self.closed = True

    def _begin(self, command: RunPlaybook) -> None:
        ending = self.plays(command) if self.plays else self.table.get(command.playbook.path, Ending())
        ending = ending if command.stats else replace(ending, stats={})
        self.ledger[command.key] = ending
        self._progress(command.key, ending.tasks)
        if not ending.hangs:
            self._end(command.key, ending)

    def _cancel(self, key: StepKey, known: Ending | StepEnded | None) -> None:
        if isinstance(known, Ending):
            self._end(key, replace(known, outcome=AttemptEnd.CANCELLED, detail="cancelled"))
        elif known is None:
            self._tell(StepEnded(key, AttemptEnd.CANCELLED, "it had not been started"))
        else:
            self._tell(known)

    def _settle(self, key: StepKey, known: Ending | StepEnded | None) -> None:
        if isinstance(known, Ending):
            self._tell(StepAdopted(key))
        elif known is None:
            self._tell(StepEnded(key, AttemptEnd.NEVER_BEGUN, "there is no trace of it here"))
        else:
            self._tell(known)

    def _progress(self, key: StepKey, tasks: tuple[TaskTime, ...] | list[TaskTime]) -> None:
        for task in tasks:
            self._tell(StepProgressed(key, task))

    def _end(self, key: StepKey, ending: Ending) -> None:
        stats = {} if ending.outcome in (AttemptEnd.CANCELLED, AttemptEnd.LOST) else ending.stats
        ended = StepEnded(key, ending.outcome, ending.detail, ending.tasks, ending.unguarded, stats)
        self.ledger[key] = ended
        self._tell(ended)

    def _tell(self, event: StepEvent) -> None:
        if event.key not in self._following:
            return  # it runs, or ran, for an earlier controller: this one has not asked yet

        def tell() -> None:
            if isinstance(event, StepEnded):
                self._following.discard(event.key)
            if not self.closed:
                self.emit(event)

        self.later(tell)
