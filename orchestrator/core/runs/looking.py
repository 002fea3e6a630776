"""Looks: what a step did whose end was not seen.

The one rule it keeps: nothing is tried again before the target has been looked at, or the author has declared the step
safe to repeat. What remains undetermined is for a person to decide.
"""

from __future__ import annotations

from orchestrator.core import records as r
from orchestrator.core.kinds import Work
from orchestrator.core.model import Condition
from orchestrator.core.reasons import Reason
from orchestrator.core.runs import endings
from orchestrator.core.runs.plan import LOOK_S, subject_of
from orchestrator.core.state.decided import Run, Step
from orchestrator.core.transaction import Transaction

ATTEMPTS = 3  # of one step


def look(tx: Transaction, run: Run, step: Step) -> bool:
    """The attempt has ended without a result: decide by what the target shows."""
    done_when = done_when_of(tx, run, step)
    looked_at = step.looked_at if step.looked_at is not None else tx.now()
    seen = tx.fresh(done_when, looked_at) if done_when else r.Verdict.UNKNOWN
    if seen in (r.Verdict.UP, r.Verdict.DEGRADED) and done_when:
        endings.playbook_done(tx, run, step, Reason.ALREADY_DONE, tx.behind(done_when, r.Verdict.UP))
        return True
    until = max(looked_at, tx.decided.controller.at if tx.decided.controller else 0.0) + LOOK_S
    if done_when is not None and tx.now() < until:
        tx.wake(until)
        return False
    return _judge_look(tx, run, step, seen, tx.behind(done_when, tx.says(done_when)) if done_when else "")


def _judge_look(tx: Transaction, run: Run, step: Step, seen: r.Verdict, evidence: str) -> bool:
    timed_out = step.reason is Reason.TIMED_OUT
    if step.traits.rehearses and not _repeatable(tx, run, step):  # it served nobody: it is cleaned up
        endings.fail(tx, run, step, step.reason or Reason.UNDETERMINED, step.evidence)
        return True
    what = evidence or f"{step.name} declares no done_when"
    if timed_out and seen is r.Verdict.DOWN:
        endings.fail(tx, run, step, Reason.TIMED_OUT, f"{step.evidence}; {what}")
    elif seen is r.Verdict.DOWN or (_repeatable(tx, run, step) and not timed_out):
        if step.attempt >= ATTEMPTS:
            endings.fail(tx, run, step, step.reason or Reason.UNDETERMINED, f"{step.attempt} attempts; {what}")
            return True
        why = Reason.NO_EFFECT if seen is r.Verdict.DOWN else Reason.UNDETERMINED
        text = "it had no effect" if seen is r.Verdict.DOWN else "it is declared safe to repeat"
        tx.record(r.StepRetried(tx.now(), run.id, step.name, why, f"{text}: {what}"))
    elif timed_out and _repeatable(tx, run, step):
        endings.fail(tx, run, step, Reason.TIMED_OUT, f"{step.evidence}; {what}")
    else:
        endings.to_human(tx, run, Reason.UNDETERMINED, f"{step.name}: {step.evidence}; {what}")
        return False
    return True


def done_when_of(tx: Transaction, run: Run, step: Step) -> Condition | None:
    """The read-only question that tells whether a step took effect."""
    work = _work(tx, run, step)
    return work.done_when if work is not None else None


def _repeatable(tx: Transaction, run: Run, step: Step) -> bool:
    work = _work(tx, run, step)
    return work is not None and work.safe_to_repeat


def _work(tx: Transaction, run: Run, step: Step) -> Work | None:
    if run.started.move not in tx.model.moves:
        return None
    return step.traits.work(subject_of(tx, run, step))
