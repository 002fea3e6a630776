"""How steps and runs end, and what an end means for placement, for resources and for people.

The one rule it keeps: a failed step fails its run, and the record keeps the failure whatever comes after it.
"""

from __future__ import annotations

from orchestrator.core import records as r
from orchestrator.core.commands import NoticeKind
from orchestrator.core.events import StepEnded
from orchestrator.core.reasons import Reason
from orchestrator.core.sentences import Sentence
from orchestrator.core.state.decided import Run, Step
from orchestrator.core.turn import Turn


def playbook_done(
    turn: Turn, run: Run, step: Step, reason: Reason, evidence: str, event: StepEnded | None = None
) -> None:
    """A playbook step took effect: record it, and what it means for placement."""
    finish(turn, run, step, r.StepState.DONE, reason, evidence, event)
    if not step.traits.moves:
        return
    started, move = run.started, turn.model.moves.get(run.started.move)
    if started.to_place and turn.decided.services[started.service].place != started.to_place:
        turn.record(r.PlacementChanged(turn.now(), started.service, started.from_place, started.to_place, run.id))
    elif move is not None and move.undoes:
        turn.record(r.MoveEngaged(turn.now(), move.undoes, False, run.id))
    elif move is not None and move.to is None:
        turn.record(r.MoveEngaged(turn.now(), move.id, True, run.id))


def finish(
    turn: Turn,
    run: Run,
    step: Step,
    state: r.StepState,
    reason: Reason,
    evidence: str,
    event: StepEnded | None = None,
    measures: dict[str, float] | None = None,
) -> None:
    tasks, unguarded = (event.tasks, event.unguarded) if event else ((), ())
    ended = (state, reason, evidence, tasks, measures or {}, unguarded)
    turn.record(r.StepFinished(turn.now(), run.id, step.name, step.attempt, *ended))


def fail(turn: Turn, run: Run, step: Step, reason: Reason, evidence: str, event: StepEnded | None = None) -> None:
    """The step failed, and the run with it; but what could not be contained is asked about, and the person decides."""
    finish(turn, run, step, r.StepState.FAILED, reason, evidence, event)
    if step.traits.contains and reason not in (Reason.PLAN_CHANGED, Reason.STALE_EPOCH):
        for proof in run.steps:
            if proof.traits.contains and not proof.over:
                finish(turn, run, proof, r.StepState.SKIPPED, reason, "the isolation failed")
        return
    end(turn, run, False, reason, f"{step.name}: {evidence}")


def stop(turn: Turn, run: Run, step: Step, reason: Reason, evidence: str) -> None:
    """The run ends before or in this step; nothing of the step runs."""
    finish(turn, run, step, r.StepState.SKIPPED, reason, evidence)
    end(turn, run, False, reason, evidence)


def cancel(turn: Turn, run: Run, reason: Reason, evidence: str) -> None:
    """End a run that has not changed anything yet, because it is not needed any more."""
    step = run.current()
    if step is not None:
        stop(turn, run, step, reason, evidence)


def end(turn: Turn, run: Run, ok: bool, reason: Reason, evidence: str) -> None:
    for step in run.steps:
        if not step.over:
            finish(turn, run, step, r.StepState.SKIPPED, reason, "the run ended before")
    turn.record(r.RunEnded(turn.now(), run.id, ok, reason, evidence))
    started, kind = run.started, NoticeKind.TIER_FAILED
    why = f"{reason.value}: {evidence}"
    if started.origin is r.Origin.MANUAL:
        sentence = Sentence.DONE if ok else Sentence.FAILED if run.failed else Sentence.NOT_MADE
        kind = NoticeKind.MOVE_DONE if ok else kind
    elif started.incident is not None and (ok or not _left(turn, run)):
        return  # its incident tells of it
    elif ok:
        kind, sentence = NoticeKind.MOVE_DONE, Sentence.WENT_BACK
    elif run.past_the_fence and run.failed and turn.state(turn.model.services[started.service]).incident is None:
        kind, sentence = NoticeKind.HUMAN_NEEDED, Sentence.LEFT_FAILED
    else:
        sentence = Sentence.RUN_FAILED if run.failed else Sentence.NOT_GONE_BACK
    kind = NoticeKind.NOT_MADE if sentence in (Sentence.NOT_MADE, Sentence.NOT_GONE_BACK) else kind
    slots = {"service": started.service, "move": started.move, "run": run.id, "who": started.who}
    say = f"bascule report {run.id}" if kind is NoticeKind.HUMAN_NEEDED else ""
    turn.tell(f"{run.id}/ended", kind, started.service, sentence.say(**slots, evidence=evidence, why=why), say=say)


def _left(turn: Turn, run: Run) -> bool:
    """Whether its own incident was over before it, so that nothing there goes on from how it ends."""
    incident = turn.decided.incidents.get(run.started.incident or "")
    return run.past_the_fence and run.failed and (incident is None or incident.ended is not None)


def to_human(turn: Turn, run: Run, reason: Reason, evidence: str) -> None:
    turn.record(r.RunNeedsHuman(turn.now(), run.id, reason, evidence))
    why, service = f"{reason.text}: {evidence}", run.started.service
    text = Sentence.CANNOT_GO_ON.say(service=service, run=run.id, move=run.started.move, why=why)
    notice = f"{run.id}/human/{turn.now():.3f}"  # each time is a thing of its own: somebody had it go on in between
    turn.tell(notice, NoticeKind.HUMAN_NEEDED, run.started.service, text, say=f"bascule abort {run.id}")


def out(turn: Turn, run: Run, place: str, reason: Reason, evidence: str) -> None:
    if place in turn.decided.services[run.started.service].may_act:
        turn.record(r.MayActRemoved(turn.now(), run.started.service, place, reason, evidence))


def client(run: Run) -> str:
    return run.started.service.partition("/")[0]
