"""What carries out playbook steps: the protocol.

The one rule it keeps: `carry_out` returns at once and never raises for what a playbook does. Every result of a command
comes back through the `emit` with which the implementation was built, in the event loop's thread.

| command | answers |
|---|---|
| RunPlaybook | any number of StepProgressed, then exactly one StepEnded |
| CancelStep | hastens that StepEnded (CANCELLED, or how the attempt had ended by itself) |
| SettleStep | StepEnded, or StepAdopted and a later StepEnded |

The same RunPlaybook again never starts a second time: it answers as SettleStep would.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from orchestrator.core.commands import CancelStep, RunPlaybook, SettleStep
from orchestrator.core.events import StepAdopted, StepEnded, StepProgressed

StepCommand = RunPlaybook | CancelStep | SettleStep
StepEvent = StepProgressed | StepEnded | StepAdopted
Emit = Callable[[StepEvent], None]


class Runner(Protocol):
    """Carries out playbook steps."""

    def carry_out(self, command: StepCommand) -> None:
        """Begin, cancel or settle an attempt; needs a running event loop."""

    def forget(self, run: str) -> None:
        """Drop what is kept of a run that is over; does nothing while one of its attempts still runs."""

    async def close(self) -> None:
        """Stop following. Attempts that run go on, and a later runner can adopt them."""
