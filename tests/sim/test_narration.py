"""What a story of the simulator says of a run that did not end well."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.core import records as r
from orchestrator.core.reasons import Reason
from orchestrator.journal.journal import Entry
from orchestrator.sim.narration import tell
from orchestrator.sim.simulation import Result

STEPS = (r.PlannedStep("preflight", r.StepKind.PREFLIGHT), r.PlannedStep("execute", r.StepKind.EXECUTE))
RUN = r.RunStarted(0.0, "r1", "acme/erp", "acme/geo", r.Origin.MANUAL, STEPS, "p1", "m1", Reason.ASKED_BY_OPERATOR)
LOOKED = (
    r.StepBegan(1.0, "r1", "preflight", 1),
    r.StepFinished(2.0, "r1", "preflight", 1, r.StepState.DONE, Reason.CONDITIONS_MET, "good"),
)


def _last(*records: r.Record) -> str:
    result = Result("0", (), 60.0, 0, [], [Entry(1, 60.0, 60.0, 1, records, {})], [], [], (), b"", {})
    return list(tell(result))[-1]


def _execute(state: r.StepState, reason: Reason, attempt: int) -> tuple[r.Record, ...]:
    began = (r.StepBegan(3.0, "r1", "execute", attempt),) if attempt else ()
    return (*began, r.StepFinished(4.0, "r1", "execute", attempt, state, reason, "because"))


@pytest.mark.parametrize(
    ("of_execute", "says"),
    [
        (_execute(r.StepState.FAILED, Reason.PLAYBOOK_FAILED, 1), "r1 fails"),
        (_execute(r.StepState.SKIPPED, Reason.ABORTED, 1), "r1 fails"),
        (_execute(r.StepState.FAILED, Reason.PLAN_CHANGED, 2), "r1 fails"),
        (_execute(r.StepState.FAILED, Reason.PLAN_CHANGED, 1), "r1 is stopped"),
        (_execute(r.StepState.SKIPPED, Reason.PLAN_CHANGED, 0), "r1 is stopped"),
    ],
    ids=["a step failed", "it was begun", "edited between two tries", "edited before it began", "it never began"],
)
def test_a_run_of_which_nothing_was_begun_is_stopped(of_execute: tuple[r.Record, ...], says: str) -> None:
    ended = r.RunEnded(5.0, "r1", False, Reason.PLAN_CHANGED, "because")
    assert says in _last(RUN, *LOOKED, *of_execute, ended)


def test_a_look_that_is_taken_anew_is_no_step_of_the_plan_and_does_no_harm() -> None:
    again = (
        r.RecheckAdded(3.0, "r1", "recheck-1", "execute", Reason.PREFLIGHT_OLD, "40 s"),
        r.StepBegan(3.0, "r1", "recheck-1", 1),
        replace(LOOKED[1], step="recheck-1"),
    )
    ended = r.RunEnded(5.0, "r1", False, Reason.ABORTED, "by Ann")
    assert "r1 is stopped" in _last(RUN, *LOOKED, *again, ended)
