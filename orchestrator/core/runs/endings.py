"""How steps and runs end, and what an end means for placement, for resources and for people.

The one rule it keeps: a failed step fails its run, and the record keeps the failure whatever comes after it.
"""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.core import records as r
from orchestrator.core.commands import NoticeKind
from orchestrator.core.events import StepEnded
from orchestrator.core.kinds import effect_of_undone
from orchestrator.core.reasons import Reason
from orchestrator.core.runs.plan import approving
from orchestrator.core.sentences import Sentence
from orchestrator.core.state.decided import Run, Step
from orchestrator.core.transaction import Transaction


def playbook_done(
    tx: Transaction, run: Run, step: Step, reason: Reason, evidence: str, event: StepEnded | None = None
) -> None:
    """A playbook step took effect: record it, and what it means for placement."""
    finish(tx, run, step, r.StepState.DONE, reason, evidence, event)
    if not step.traits.moves:
        return
    started, move = run.started, tx.model.moves.get(run.started.move)
    stays = started.to_place is None
    if started.to_place and tx.decided.services[started.service].place != started.to_place:
        tx.record(r.PlacementChanged(tx.now(), started.service, started.from_place, started.to_place, run.id))
    if move is not None and move.undoes:
        if (stays or move.undoes in tx.decided.engaged) and effect_of_undone(tx.model.moves, move) is None:
            tx.record(r.MoveEngaged(tx.now(), move.undoes, False, run.id))  # else once it is shown to be gone
    elif move is not None and stays and tx.model.lasts(move.id):
        tx.record(r.MoveEngaged(tx.now(), move.id, True, run.id))


def finish(
    tx: Transaction,
    run: Run,
    step: Step,
    state: r.StepState,
    reason: Reason,
    evidence: str,
    event: StepEnded | None = None,
    measures: dict[str, float] | None = None,
) -> None:
    tasks, unguarded = (event.tasks, event.unguarded) if event else ((), ())
    stats = event.stats if event is not None and step.traits.rehearses else {}
    ended = (state, reason, evidence, tasks, measures or {}, unguarded, stats)
    tx.record(r.StepFinished(tx.now(), run.id, step.name, step.attempt, *ended))


def fail(tx: Transaction, run: Run, step: Step, reason: Reason, evidence: str, event: StepEnded | None = None) -> None:
    """The step failed, and the run with it; but what could not be contained is asked about, and the person decides."""
    finish(tx, run, step, r.StepState.FAILED, reason, evidence, event)
    if step.traits.contains and reason not in (Reason.PLAN_CHANGED, Reason.STALE_EPOCH):
        for proof in run.steps:
            if proof.traits.contains and not proof.over:
                finish(tx, run, proof, r.StepState.SKIPPED, reason, "the isolation failed")
        return
    end(tx, run, False, reason, f"{step.name}: {evidence}")


def stop(tx: Transaction, run: Run, step: Step, reason: Reason, evidence: str) -> None:
    """The run ends before or in this step; nothing of the step runs."""
    finish(tx, run, step, r.StepState.SKIPPED, reason, evidence)
    end(tx, run, False, reason, evidence)


def cancel(tx: Transaction, run: Run, reason: Reason, evidence: str) -> None:
    """End a run that has not changed anything yet, because it is not needed any more."""
    step = run.current()
    if step is not None:
        stop(tx, run, step, reason, evidence)


def end(tx: Transaction, run: Run, ok: bool, reason: Reason, evidence: str) -> None:
    if not ok and _is_cleaned_up_first(tx, run, reason, evidence):
        return
    if run.broken is not None:
        left = [f"{s.name}: {s.evidence}" for s in run.steps if s.traits.always and s.state is r.StepState.FAILED]
        ok, reason, evidence = False, run.broken.reason, "; ".join([run.broken.evidence, *left])
    for step in run.steps:
        if not step.over:
            finish(tx, run, step, r.StepState.SKIPPED, reason, "the run ended before")
    tx.record(r.RunEnded(tx.now(), run.id, ok, reason, evidence))
    started, kind = run.started, NoticeKind.TIER_FAILED
    why = f"{reason.value}: {evidence}"
    if started.drill:
        return  # its drill tells of it
    if started.origin is r.Origin.MANUAL:
        sentence = Sentence.DONE if ok else Sentence.FAILED if run.failed else Sentence.NOT_MADE
        kind = NoticeKind.MOVE_DONE if ok else kind
    elif started.incident is not None and (ok or not _left(tx, run)):
        return  # its incident tells of it
    elif ok:
        kind, sentence = NoticeKind.MOVE_DONE, Sentence.WENT_BACK
    elif run.past_the_fence and run.failed and tx.state(tx.model.services[started.service]).incident is None:
        kind, sentence = NoticeKind.HUMAN_NEEDED, Sentence.LEFT_FAILED
    else:
        sentence = Sentence.RUN_FAILED if run.failed else Sentence.NOT_GONE_BACK
    kind = NoticeKind.NOT_MADE if sentence in (Sentence.NOT_MADE, Sentence.NOT_GONE_BACK) else kind
    slots = {"service": started.service, "move": started.move, "run": run.id, "who": started.who}
    say = f"bascule report {run.id}" if kind is NoticeKind.HUMAN_NEEDED else ""
    tx.tell(f"{run.id}/ended", kind, started.service, sentence.say(**slots, evidence=evidence, why=why), say=say)


def _is_cleaned_up_first(tx: Transaction, run: Run, reason: Reason, evidence: str) -> bool:
    """Whether a rehearsal that has failed goes on to its clean-up: once anything of it was begun."""
    left = [s for s in run.steps if s.traits.always and not s.over]
    if not left or not run.made_something:
        return False
    for step in run.steps:
        if not step.over and not step.traits.always:
            finish(tx, run, step, r.StepState.SKIPPED, reason, "the rehearsal is over, and is cleaned up")
    if run.broken is None:
        tx.record(r.RunBroken(tx.now(), run.id, reason, evidence))
    return True


def _left(tx: Transaction, run: Run) -> bool:
    """Whether its own incident was over before it, so that nothing there goes on from how it ends."""
    incident = tx.decided.incidents.get(run.started.incident or "")
    return run.past_the_fence and run.failed and (incident is None or incident.ended is not None)


def to_human(
    tx: Transaction, run: Run, reason: Reason, evidence: str, *, say: str = "", by: Mapping[str, str] | None = None
) -> None:
    """It waits for a person. `by`: who is asked whether it may be cleaned up by these. `say`: what to type else."""
    tx.record(r.RunNeedsHuman(tx.now(), run.id, reason, evidence, by or {}))
    say = approving(run) if by else say or f"bascule abort {run.id}"
    why, service = f"{reason.text}: {evidence}", run.started.service
    text = Sentence.CANNOT_GO_ON.say(service=service, run=run.id, move=run.started.move, why=why)
    notice = f"{run.id}/human/{tx.now():.3f}"  # each time is a thing of its own: somebody had it go on in between
    tx.tell(notice, NoticeKind.HUMAN_NEEDED, run.started.service, text, say=say)


def out(tx: Transaction, run: Run, place: str, reason: Reason, evidence: str) -> None:
    if place in tx.decided.services[run.started.service].may_act:
        tx.record(r.MayActRemoved(tx.now(), run.started.service, place, reason, evidence))


def client(run: Run) -> str:
    return run.started.service.partition("/")[0]
