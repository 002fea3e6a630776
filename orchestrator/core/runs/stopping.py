"""Why a run must not go on to its next step: what let it begin may not be so any more.

The one rule it keeps: it is asked at the moment a step would begin, and decides nothing (`steps.py` ends the run).
"""

from __future__ import annotations

from orchestrator.core import records as r
from orchestrator.core.durations import show_duration
from orchestrator.core.model import Mode
from orchestrator.core.reasons import Reason
from orchestrator.core.rules import drilling, ladder, policy
from orchestrator.core.runs.plan import changed, digest_as_started, subject_of
from orchestrator.core.state.decided import Run, Step
from orchestrator.core.transaction import Transaction

# How long a controller that has only just begun looks before a run is stopped for this; a drill has no hurry.
_PATIENCE_S = {Reason.BLIND: ladder.PATIENCE_S, Reason.NO_QUORUM: ladder.PATIENCE_S, Reason.NOT_WELL: 30.0}


def has_not_looked_yet(tx: Transaction, reason: Reason) -> bool:
    """A controller that has only just begun sees nothing until its first answers: no run is ended for that."""
    began = tx.decided.controller.at if tx.decided.controller else 0.0
    until = began + _PATIENCE_S.get(reason, 0.0)
    if tx.now() >= until:
        return False
    tx.wake(until)
    return True


def stopped_before(tx: Transaction, run: Run, step: Step) -> tuple[Reason, str] | None:
    """Why the run must not go on to this step: plan gone, or a hold or maintenance before anything was changed."""
    if run.started.move not in tx.model.moves or run.started.service not in tx.model.services:
        return Reason.PLAN_CHANGED, f"{run.started.move} is not in the configuration any more"
    if step.traits.played and step.traits.always:  # what is declared by now is what cleans up
        declared = step.traits.work(subject_of(tx, run, step)) is not None
        return None if declared else (Reason.PLAN_CHANGED, f"no {step.traits.declared} is declared any more")
    if step.traits.played:
        loaded = run.started.configuration != tx.decided.configuration
        other = loaded and digest_as_started(tx, run) != run.started.plan_digest
        # What is only edited is looked at by the runner itself once a fence has begun: nothing older stops it then.
        if (other or not run.committed) and (told := changed(tx, run)):
            return Reason.PLAN_CHANGED, told
    if step.traits.played and not run.committed and (late := _said_long_ago(tx, run)):
        return Reason.SAID_LONG_AGO, late
    if run.started.origin is r.Origin.AUTOMATIC and step.traits.played:
        unwanted = None if run.committed else _unwanted(tx, run, step)
        return unwanted or _fence_asks(tx, run, step)
    drill = tx.decided.drills.get(run.started.drill)
    stops = step.traits.played and not run.committed
    return drilling.stops(tx, run, drill) if drill is not None and stops else None


def _unwanted(tx: Transaction, run: Run, step: Step) -> tuple[Reason, str] | None:
    """Why an automatic run must not change anything after all: what let it start may have changed since.

    It may have been prepared for hours. What has recovered meanwhile is left where it is.
    """
    service = tx.model.services[run.started.service]
    if run.started.incident is not None and tx.health(service) in (r.Verdict.UP, r.Verdict.DEGRADED):
        return Reason.RECOVERED_BY_ITSELF, tx.behind(service.healthy_when, r.Verdict.UP)
    finding = policy.objection(tx, service, policy.BEFORE_ACTING)
    if finding is not None:
        return finding.reason, finding.evidence
    if service.mode is Mode.OBSERVE:
        return Reason.OBSERVE_ONLY, f"{service.id} is now in mode observe"
    if step.traits.contains:  # it is what comes before asking, in mode auto
        by_itself = service.mode is Mode.AUTO
        return None if by_itself else (Reason.APPROVAL_NEEDED, f"{service.id} is now in mode {service.mode.value}")
    unasked = policy.asks(tx, service, run.approved_at)
    if unasked:
        return Reason.APPROVAL_NEEDED, "; ".join(unasked)
    return None


def _fence_asks(tx: Transaction, run: Run, step: Step) -> tuple[Reason, str] | None:
    """Why a person must decide after all to fence: the place that was dark answers, or has power again (repmgr#821)."""
    begun = any(s.attempt > 0 for s in run.fences)
    if not step.traits.takes_out or step.hand_over or begun or run.approved_at is not None:
        return None
    service, move = tx.model.services[run.started.service], tx.model.moves[run.started.move]
    _, asked = ladder.fence_asks(tx, service, move, tx.now() - ladder.PATIENCE_S, handing=ladder.handing(run))
    return (Reason.FENCE_NOT_AUTOMATIC, "; ".join(asked)) if asked else None


def _said_long_ago(tx: Transaction, run: Run) -> str:
    """Whose word it rests on, if that is from so long before this controller began that it may not be meant any more.

    A word is about the present. A drill goes by its own guards, and what is to lead it back is wanted at any time.
    """
    started, began = run.started, tx.decided.controller
    if began is None or started.drill:
        return ""
    word = run.approved
    wanted_at = max(word.at if word is not None else 0.0, started.at if started.origin is r.Origin.MANUAL else 0.0)
    if not wanted_at or began.at <= wanted_at + started.approval_expires_s:
        return ""
    who = word.who if word is not None else started.who
    ago, allowed = show_duration(began.at - wanted_at), show_duration(started.approval_expires_s)
    return f"{who}'s word was {ago} old when this controller began, {allowed} allowed"
