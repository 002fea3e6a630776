"""What may follow what, of a step and of a run: the tables that the fold runs on, and the diagrams in the docs.

The one rule it keeps: `next_state` is the only way from one state to another. What has no row cannot follow, and
raises.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

from orchestrator.core.records import RunState, StepState


class StepEvent(StrEnum):
    """What can happen to a step, as a verb: `step execute of run r1 cannot begin`."""

    BEGIN = "begin"  # its turn has come: the record, then the command
    LEAVE_UNSEEN = "be left unseen"  # the controller stopped while it ran
    LOOK_AT = "be looked at"  # the attempt has ended, and nobody knows how: timed out, lost
    RETRY = "be tried again"  # it had no effect, never began, or may be repeated: another attempt
    END_WELL = "end well"  # the playbook did, the answers came, somebody approved, or a look shows its effect
    FAIL = "fail"  # the playbook failed, the answers did not come in time, it had no effect, no fence is declared
    SKIP = "be skipped"  # it is not needed, or the run stops here: rejected, expired, aborted


class RunEvent(StrEnum):
    """What can happen to a run, as a verb."""

    HAND_OVER = "be handed to a person"  # it cannot go on by itself
    APPROVE = "be approved"  # it goes on
    END = "end"


S = TypeVar("S", StepState, RunState)
E = TypeVar("E", StepEvent, RunEvent)


class Illegal(Exception):
    """What cannot follow: the journal is damaged, or the engine has a defect."""


def _from(*states: StepState, to: StepState) -> dict[StepState, StepState]:
    return dict.fromkeys(states, to)


_LIVE = (StepState.RUNNING, StepState.UNSEEN, StepState.LOOKING)

STEP: Mapping[StepEvent, Mapping[StepState, StepState]] = {
    StepEvent.BEGIN: _from(StepState.PENDING, to=StepState.RUNNING),
    StepEvent.LEAVE_UNSEEN: _from(*_LIVE, to=StepState.UNSEEN),
    StepEvent.LOOK_AT: _from(StepState.RUNNING, StepState.UNSEEN, to=StepState.LOOKING),
    StepEvent.RETRY: _from(StepState.UNSEEN, StepState.LOOKING, to=StepState.PENDING),
    StepEvent.END_WELL: _from(*_LIVE, to=StepState.DONE),
    StepEvent.FAIL: _from(StepState.PENDING, *_LIVE, to=StepState.FAILED),
    StepEvent.SKIP: _from(StepState.PENDING, *_LIVE, to=StepState.SKIPPED),
}
RUN: Mapping[RunEvent, Mapping[RunState, RunState]] = {
    RunEvent.HAND_OVER: dict.fromkeys((RunState.GOING, RunState.WITH_A_PERSON), RunState.WITH_A_PERSON),
    RunEvent.APPROVE: dict.fromkeys((RunState.GOING, RunState.WITH_A_PERSON), RunState.GOING),
    RunEvent.END: dict.fromkeys((RunState.GOING, RunState.WITH_A_PERSON), RunState.ENDED),
}
ENDED_BY: Mapping[StepState, StepEvent] = {
    StepState.DONE: StepEvent.END_WELL,
    StepState.FAILED: StepEvent.FAIL,
    StepState.SKIPPED: StepEvent.SKIP,
}


def next_state(table: Mapping[E, Mapping[S, S]], state: S, event: E) -> S:
    """The state after this event. Raises Illegal where it cannot follow."""
    found = table[event].get(state)
    if found is None:
        raise Illegal(f"it is {state.value}, not {' or '.join(s.value for s in table[event])}")
    return found
