"""One run, from its plan to its end.

The one rule it keeps: a step begins only after the one before it is over, its intent is recorded before it is
carried out, and a step whose end was not seen is looked at before it is tried again.

    state      may become   by
    ---------------------------------------------------------------------------------------------
    pending    running      its turn has come (`StepBegan`, then the command)
    running    done         the playbook ended well; the answers waited for came; somebody approved
               failed       the playbook failed; the answers did not come in time; nobody approved
               looking      the attempt ended without a result (timed out, lost)
               unseen       the controller stopped meanwhile
    unseen     done, failed the runner reports the attempt's true end after all
               looking      the runner proves that it has ended, but not how
    looking    done         `done_when` answers well to a question asked after the attempt's end
               pending      it had no effect, or may be repeated: another attempt
               failed       it had no effect within its time
    any        skipped      not needed; the run stops here

A hold before the fence stops the run there; past it the run finishes, and only an explicit abort stops it.
"""

from __future__ import annotations

from orchestrator.core import ladder, policy
from orchestrator.core import records as r
from orchestrator.core.commands import CancelStep, NoticeKind, RunPlaybook, SettleStep
from orchestrator.core.decided import Run, Step, step_key
from orchestrator.core.durations import show_duration
from orchestrator.core.events import Outcome, StepEnded
from orchestrator.core.model import Condition, Move, Service
from orchestrator.core.plan import LOOK_S, PLAYBOOK_STEPS, digest_as_started, facts_for, fence_of, playbook_of
from orchestrator.core.reasons import Reason
from orchestrator.core.turn import Turn

ATTEMPTS = 3  # of one step

_FAILED_BY: dict[Outcome, Reason] = {
    Outcome.FAILED: Reason.PLAYBOOK_FAILED,
    Outcome.UNREACHABLE: Reason.UNREACHABLE,
    Outcome.CANCELLED: Reason.CANCELLED,
    Outcome.COULD_NOT_START: Reason.COULD_NOT_START,
    Outcome.PLAN_CHANGED: Reason.PLAN_CHANGED,
    Outcome.STALE_EPOCH: Reason.STALE_EPOCH,
    Outcome.TIMED_OUT: Reason.TIMED_OUT,
    Outcome.LOST: Reason.END_NOT_SEEN,
}


# ---- going on


def advance(turn: Turn, run: Run) -> None:
    """Take the run as far as it goes now: begin, settle or end steps until something has to be waited for."""
    while run.ended is None:
        step = run.current()
        if step is None:
            _end(turn, run, True, Reason.VERIFIED, _verified(run))
        elif run.abort is not None and step.state in (r.StepState.PENDING, r.StepState.LOOKING):
            _stop(turn, run, step, Reason.ABORTED, f"by {run.abort.who}: {run.abort.why or 'no reason given'}")
        elif run.human is not None or not _one_step(turn, run, step):
            break
    if run.ended is None:
        _watch_the_clock(turn, run)


def step_ended(turn: Turn, event: StepEnded) -> None:
    """A playbook attempt is over; late news of an attempt that is not the present one changes nothing."""
    run = turn.decided.runs.get(event.key.run)
    if run is None or run.ended is not None:
        return
    step = next((s for s in run.steps if s.name == event.key.step), None)
    live = (r.StepState.RUNNING, r.StepState.UNSEEN)
    if step is None or step.attempt != event.key.attempt or step.state not in live:
        return
    if event.outcome is Outcome.OK:
        _playbook_done(turn, run, step, Reason.CONDITIONS_MET, event.detail or "playbook ended well", event)
    elif event.outcome in (Outcome.TIMED_OUT, Outcome.LOST):
        reason = _FAILED_BY[event.outcome]
        turn.record(r.StepLooked(turn.now, run.id, step.name, step.attempt, reason, event.detail))
        done_when = _done_when(turn, run, step)
        turn.ask_now(done_when.checks() if done_when else ())
    elif event.outcome is Outcome.CANCELLED and run.abort is not None:
        _finish(turn, run, step, r.StepState.FAILED, Reason.ABORTED, event.detail or f"by {run.abort.who}", event)
        _end(turn, run, False, Reason.ABORTED, f"{step.name} stopped by {run.abort.who}: {run.abort.why}")
    else:
        _fail(turn, run, step, _FAILED_BY[event.outcome], event.detail or event.outcome.value, event)
    advance(turn, run)


def take_over(turn: Turn, run: Run) -> None:
    """After a controller's start: what ran is unseen now, and its runner has to account for it."""
    step = run.current()
    if step is None or step.kind not in PLAYBOOK_STEPS:
        return
    if step.state in (r.StepState.RUNNING, r.StepState.UNSEEN):
        if step.state is r.StepState.RUNNING:
            turn.record(r.StepLeftUnseen(turn.now, run.id, step.name, step.attempt))
        playbook, timeout_s = playbook_of(turn, run, step)
        turn.command(SettleStep(step_key(run, step), _client(run), playbook, timeout_s))
    elif step.state is r.StepState.LOOKING and (done_when := _done_when(turn, run, step)):
        turn.ask_now(done_when.checks())


def abort(turn: Turn, run: Run) -> None:
    """An abort was recorded: stop what runs; what waits is stopped by `advance`."""
    step = run.current()
    if step is not None and step.kind in PLAYBOOK_STEPS and step.state in (r.StepState.RUNNING, r.StepState.UNSEEN):
        turn.command(CancelStep(step_key(run, step)))
    elif step is not None and run.abort is not None:
        _stop(turn, run, step, Reason.ABORTED, f"by {run.abort.who}: {run.abort.why or 'no reason given'}")


def awaited(turn: Turn, run: Run) -> list[str]:
    """The checks whose answers the run waits for now; they are asked at the fast interval."""
    step = run.current()
    if run.ended is not None or step is None:
        return []
    move = turn.model.moves[run.started.move]
    found: list[str] = []
    if step.kind in (r.StepKind.PREFLIGHT, r.StepKind.RECHECK):
        found += move.viable_when.checks() if move.viable_when else ()
        found += [move.data_age] if move.data_age else ()
    elif step.kind is r.StepKind.VERIFY:
        found += move.verify.checks()
    elif step.kind is r.StepKind.PROOF:
        fence = fence_of(turn, move, step.place, step.hand_over)
        found += fence.proven_when.checks() if fence else ()
    elif step.state is r.StepState.LOOKING and (done_when := _done_when(turn, run, step)):
        found += done_when.checks()
    return found


# ---- one step


def _one_step(turn: Turn, run: Run, step: Step) -> bool:
    """Do what can be done for this step now; whether anything happened."""
    if step.state is r.StepState.PENDING:
        return _begin(turn, run, step)
    if step.state is r.StepState.LOOKING:
        return _look(turn, run, step)
    if step.state is not r.StepState.RUNNING or step.kind in PLAYBOOK_STEPS:
        return False
    if step.kind is r.StepKind.APPROVAL:
        return _approval(turn, run, step)
    return _wait(turn, run, step)


def _begin(turn: Turn, run: Run, step: Step) -> bool:
    stop = _stopped_before(turn, run, step)
    if stop is not None:
        _stop(turn, run, step, *stop)
        return True
    if step.kind is r.StepKind.FENCE and _needs_no_fence(turn, run, step):
        return True
    move = turn.model.moves.get(run.started.move)
    if step.kind is r.StepKind.EXECUTE and (open_ := _still_open(turn, run)):
        _stop(turn, run, step, Reason.FENCE_UNPROVEN, f"{', '.join(open_)} may still act")
        return True
    turn.record(r.StepBegan(turn.now, run.id, step.name, step.attempt + 1))
    to, may_act = run.started.to_place, turn.decided.services[run.started.service].may_act
    if step.kind in (r.StepKind.PREPARE, r.StepKind.EXECUTE) and to and to not in may_act:
        turn.record(r.MayActAdded(turn.now, run.started.service, to, run.id))
    if step.kind in PLAYBOOK_STEPS:
        playbook, timeout_s = playbook_of(turn, run, step)
        key = step_key(run, step)
        facts = facts_for(turn, run, step)
        turn.command(RunPlaybook(key, _client(run), playbook, facts, turn.decided.epoch, timeout_s))
    elif step.kind is r.StepKind.APPROVAL:
        _ask_for_approval(turn, run)
    elif move is not None:
        turn.ask_now(awaited(turn, run))
    return True


def _stopped_before(turn: Turn, run: Run, step: Step) -> tuple[Reason, str] | None:
    """Why the run must not go on to this step: plan gone, or a hold or maintenance before anything was changed."""
    if run.started.move not in turn.model.moves or run.started.service not in turn.model.services:
        return Reason.PLAN_CHANGED, f"{run.started.move} is not in the configuration any more"
    if run.started.configuration != turn.decided.configuration and step.kind in PLAYBOOK_STEPS:
        now = digest_as_started(turn, run)
        if now != run.started.plan_digest:
            return Reason.PLAN_CHANGED, f"plan {run.started.plan_digest} is {now} by now"
    if run.started.origin is r.Origin.AUTOMATIC and not run.past_the_fence and step.kind in PLAYBOOK_STEPS:
        service = turn.model.services[run.started.service]
        finding = policy.objection(turn, service, (policy.blind, policy.held, policy.in_maintenance))
        if finding is not None:
            return finding.reason, finding.evidence
    return None


def _needs_no_fence(turn: Turn, run: Run, step: Step) -> bool:
    """Skip a fence that a named person vouches for, or whose playbook has nothing left to do; settle one that
    is not declared.
    """
    fence = fence_of(turn, turn.model.moves[run.started.move], step.place, step.hand_over)
    if step.place is None or step.place not in run.fenced_by_hand or run.approved is None:
        if fence is None:
            _fail(turn, run, step, Reason.NO_FENCE, f"nothing in the plan can prove that {step.place} is out")
            return True
        if turn.says(fence.proven_when) is r.Verdict.UP:  # the proof step asks again
            _finish(
                turn, run, step, r.StepState.SKIPPED, Reason.ALREADY_DONE, turn.behind(fence.proven_when, r.Verdict.UP)
            )
            return True
        return False
    evidence = f"{run.approved.who} states that {step.place} cannot act: {run.approved.why or 'no reason given'}"
    for each in [s for s in run.steps if s.place == step.place and not s.over]:
        _finish(turn, run, each, r.StepState.SKIPPED, Reason.FENCED_BY_HAND, evidence)
    _out(turn, run, step.place, Reason.FENCED_BY_HAND, evidence)
    return True


def _still_open(turn: Turn, run: Run) -> list[str]:
    """Places other than the destination that might still act."""
    service, move = turn.model.services[run.started.service], turn.model.moves[run.started.move]
    return ladder.to_fence(turn, service, move)


def _wait(turn: Turn, run: Run, step: Step) -> bool:
    """A step that waits for answers: preflight, recheck, proof, verify."""
    service, move = turn.model.services[run.started.service], turn.model.moves[run.started.move]
    condition, since, limit_s = _waits_for(turn, run, step, move)
    if condition is not None and turn.fresh(condition, since) not in (r.Verdict.UP, r.Verdict.DEGRADED):
        return _out_of_time(turn, run, step, condition, since, limit_s)
    if step.kind in (r.StepKind.PREFLIGHT, r.StepKind.RECHECK):
        loss = _loss(turn, run, service, move)
        if loss is not None:
            _fail(turn, run, step, *loss)
            return True
    evidence = turn.behind(condition, r.Verdict.UP) if condition else "nothing to ask"
    _finish(
        turn, run, step, r.StepState.DONE, Reason.CONDITIONS_MET, evidence, measures=_measures(turn, run, step, move)
    )
    if step.kind is r.StepKind.PROOF and step.place is not None:
        _out(turn, run, step.place, Reason.CONDITIONS_MET, evidence)
    return True


def _waits_for(turn: Turn, run: Run, step: Step, move: Move) -> tuple[Condition | None, float, float]:
    """What a waiting step waits for, asked since when, for how long."""
    began = step.attempt_at if step.attempt_at is not None else turn.now
    if step.kind is r.StepKind.PROOF:
        fence = fence_of(turn, move, step.place, step.hand_over)
        return (fence.proven_when if fence else None), _ended_at(run, step, began), (fence.timeout_s if fence else 0.0)
    if step.kind is r.StepKind.VERIFY:
        return move.verify, _ended_at(run, step, began), move.verify_timeout_s
    return move.viable_when, began, move.preflight_timeout_s


def _ended_at(run: Run, step: Step, default: float) -> float:
    """When the step before this one ended: only answers to later questions count."""
    index = run.steps.index(step)
    before = run.steps[index - 1].ended_at if index else None
    return before if before is not None else default


def _out_of_time(turn: Turn, run: Run, step: Step, condition: Condition, since: float, limit_s: float) -> bool:
    quiet = step.kind in (r.StepKind.PREFLIGHT, r.StepKind.RECHECK)
    hopeless = quiet and turn.says(condition) is r.Verdict.DOWN
    until = _counts_from(turn, step) + limit_s
    if turn.now < until and not hopeless:
        turn.wake(until)
        return False
    verdict = turn.fresh(condition, since)
    evidence = turn.behind(condition, turn.says(condition))
    if step.kind is r.StepKind.PROOF:
        _fail(turn, run, step, Reason.FENCE_UNPROVEN, evidence)
    elif step.kind is r.StepKind.VERIFY:
        _fail(turn, run, step, Reason.VERIFY_FAILED, f"{evidence}; waited {show_duration(limit_s)}")
    else:
        unknown = verdict is r.Verdict.UNKNOWN and not hopeless
        _fail(turn, run, step, Reason.VIABILITY_UNKNOWN if unknown else Reason.PREFLIGHT_FAILED, evidence)
    return True


def _counts_from(turn: Turn, step: Step) -> float:
    """When this attempt's time began to run: not before this controller could see anything."""
    started = turn.decided.controller.at if turn.decided.controller else 0.0
    return max(step.attempt_at or 0.0, started)


def _loss(turn: Turn, run: Run, service: Service, move: Move) -> tuple[Reason, str] | None:
    """The RPO gate, asked again after the preflight's fresh answers; a planned hand-over loses nothing."""
    handed = any(s.hand_over for s in run.steps)
    if handed or {"RPO unknown", "RPO exceeded", "rpo"} & set(run.started.overrides):
        return None
    accept_s = next((t.accept_loss_s for t in service.ladder if t.move == move.id), None)
    return ladder.data_loss(turn, service, move, accept_s)


def _measures(turn: Turn, run: Run, step: Step, move: Move) -> dict[str, float]:
    """Measurements that a decision used, copied with the time of their sample."""
    if step.kind in (r.StepKind.PREFLIGHT, r.StepKind.RECHECK, r.StepKind.PROOF) and move.data_age:
        row = turn.rows.get(move.data_age)
        age_s = turn.data_age_s(move.data_age, turn.now)
        if row is not None and row.measured_at is not None and age_s is not None:
            return {"data_age_s": age_s, "sampled_at": row.measured_at, **row.measures}
    return {}


# ---- looks


def _done_when(turn: Turn, run: Run, step: Step) -> Condition | None:
    """The read-only question that tells whether a step took effect."""
    move = turn.model.moves.get(run.started.move)
    if move is None:
        return None
    if step.kind is r.StepKind.FENCE:
        fence = fence_of(turn, move, step.place, step.hand_over)
        return fence.proven_when if fence else None
    return move.done_when if step.kind is r.StepKind.EXECUTE else None


def _look(turn: Turn, run: Run, step: Step) -> bool:
    """The attempt has ended without a result: decide by what the target shows."""
    done_when = _done_when(turn, run, step)
    looked_at = step.looked_at if step.looked_at is not None else turn.now
    seen = turn.fresh(done_when, looked_at) if done_when else r.Verdict.UNKNOWN
    if seen in (r.Verdict.UP, r.Verdict.DEGRADED) and done_when:
        _playbook_done(turn, run, step, Reason.ALREADY_DONE, turn.behind(done_when, r.Verdict.UP))
        return True
    until = max(looked_at, turn.decided.controller.at if turn.decided.controller else 0.0) + LOOK_S
    if done_when is not None and turn.now < until:
        turn.wake(until)
        return False
    return _judge_look(turn, run, step, seen, turn.behind(done_when, turn.says(done_when)) if done_when else "")


def _judge_look(turn: Turn, run: Run, step: Step, seen: r.Verdict, evidence: str) -> bool:
    timed_out = step.reason is Reason.TIMED_OUT
    what = evidence or f"{step.name} declares no done_when"
    if timed_out and seen is r.Verdict.DOWN:
        _fail(turn, run, step, Reason.TIMED_OUT, f"{step.evidence}; {what}")
    elif step.attempt >= ATTEMPTS:
        _fail(turn, run, step, step.reason or Reason.UNDETERMINED, f"{step.attempt} attempts; {what}")
    elif seen is r.Verdict.DOWN or (_repeatable(turn, run, step) and not timed_out):
        why = Reason.NOT_NEEDED if seen is r.Verdict.DOWN else Reason.UNDETERMINED
        text = "it had no effect" if seen is r.Verdict.DOWN else "it is declared safe to repeat"
        turn.record(r.StepRetried(turn.now, run.id, step.name, why, f"{text}: {what}"))
    elif timed_out and _repeatable(turn, run, step):
        _fail(turn, run, step, Reason.TIMED_OUT, f"{step.evidence}; {what}")
    else:
        _to_human(turn, run, Reason.UNDETERMINED, f"{step.name}: {step.evidence}; {what}")
        return False
    return True


def _repeatable(turn: Turn, run: Run, step: Step) -> bool:
    move = turn.model.moves[run.started.move]
    if step.kind is r.StepKind.FENCE:
        fence = fence_of(turn, move, step.place, step.hand_over)
        return fence is not None and fence.safe_to_repeat
    return move.safe_to_repeat


# ---- approval


def _ask_for_approval(turn: Turn, run: Run) -> None:
    started = run.started
    say = f"bascule approve {run.id}"
    why = "; ".join(started.asks)
    text = f"{started.service}: {started.move} needs a named approval: {why}"
    turn.tell(f"{run.id}/approval", NoticeKind.APPROVAL_NEEDED, started.service, text, say=say)


def _approval(turn: Turn, run: Run, step: Step) -> bool:
    started = run.started
    if run.approved is not None:
        reason = Reason.FENCED_BY_HAND if run.approved.fenced else Reason.APPROVED
        _finish(turn, run, step, r.StepState.DONE, reason, f"by {run.approved.who}")
        return True
    if started.origin is r.Origin.AUTOMATIC and not _still_asks(turn, run):
        _finish(turn, run, step, r.StepState.SKIPPED, Reason.NOT_NEEDED, "what had to be asked is proven by now")
        return True
    until = (step.began_at if step.began_at is not None else turn.now) + started.approval_expires_s
    if turn.now >= until:
        _fail(turn, run, step, Reason.APPROVAL_EXPIRED, f"asked for {show_duration(started.approval_expires_s)}")
        return True
    turn.wake(until)
    return False


def _still_asks(turn: Turn, run: Run) -> bool:
    """Whether the reasons for asking still hold; a place that went dark meanwhile needs no person any more."""
    service, move = turn.model.services[run.started.service], turn.model.moves[run.started.move]
    waiting, asked = ladder.fence_asks(turn, service, move, run.started.at)
    return bool(waiting or asked or policy.asks(turn, service))


# ---- endings


def _playbook_done(
    turn: Turn, run: Run, step: Step, reason: Reason, evidence: str, event: StepEnded | None = None
) -> None:
    """A playbook step took effect: record it, and what it means for placement."""
    _finish(turn, run, step, r.StepState.DONE, reason, evidence, event)
    if step.kind is not r.StepKind.EXECUTE:
        return
    started, move = run.started, turn.model.moves.get(run.started.move)
    if started.to_place and turn.decided.services[started.service].place != started.to_place:
        turn.record(r.PlacementChanged(turn.now, started.service, started.from_place, started.to_place, run.id))
    elif move is not None and move.undoes:
        turn.record(r.MoveEngaged(turn.now, move.undoes, False, run.id))
    elif move is not None and move.to is None:
        turn.record(r.MoveEngaged(turn.now, move.id, True, run.id))


def _finish(
    turn: Turn,
    run: Run,
    step: Step,
    state: r.StepState,
    reason: Reason,
    evidence: str,
    event: StepEnded | None = None,
    measures: dict[str, float] | None = None,
) -> None:
    tasks = event.tasks if event else ()
    turn.record(
        r.StepFinished(turn.now, run.id, step.name, step.attempt, state, reason, evidence, tasks, measures or {})
    )


def _fail(turn: Turn, run: Run, step: Step, reason: Reason, evidence: str, event: StepEnded | None = None) -> None:
    """The step failed, and the run with it."""
    _finish(turn, run, step, r.StepState.FAILED, reason, evidence, event)
    _end(turn, run, False, reason, f"{step.name}: {evidence}")


def _stop(turn: Turn, run: Run, step: Step, reason: Reason, evidence: str) -> None:
    """The run ends before or in this step; nothing of the step runs."""
    _finish(turn, run, step, r.StepState.SKIPPED, reason, evidence)
    _end(turn, run, False, reason, evidence)


def cancel(turn: Turn, run: Run, reason: Reason, evidence: str) -> None:
    """End a run that has not changed anything yet, because it is not needed any more."""
    step = run.current()
    if step is not None:
        _stop(turn, run, step, reason, evidence)


def _end(turn: Turn, run: Run, ok: bool, reason: Reason, evidence: str) -> None:
    for step in run.steps:
        if not step.over:
            _finish(turn, run, step, r.StepState.SKIPPED, reason, "the run ended before")
    turn.record(r.RunEnded(turn.now, run.id, ok, reason, evidence))
    started = run.started
    if started.origin is r.Origin.MANUAL:
        kind = NoticeKind.RECOVERED if ok else NoticeKind.TIER_FAILED
        text = f"{started.service}: {started.move} {'done' if ok else 'failed'}, asked by {started.who}: {evidence}"
        turn.tell(f"{run.id}/ended", kind, started.service, text)
    elif not ok and run.past_the_fence and started.incident is None:
        turn.tell(f"{run.id}/ended", NoticeKind.HUMAN_NEEDED, started.service, f"{started.move} failed: {evidence}")


def _verified(run: Run) -> str:
    verify = run.of_kind(r.StepKind.VERIFY)
    return verify.evidence if verify else ""


def _to_human(turn: Turn, run: Run, reason: Reason, evidence: str) -> None:
    turn.record(r.RunNeedsHuman(turn.now, run.id, reason, evidence))
    text = f"{run.started.service}: run {run.id} ({run.started.move}) cannot go on: {reason.text}: {evidence}"
    turn.tell(f"{run.id}/human", NoticeKind.HUMAN_NEEDED, run.started.service, text, say=f"bascule abort {run.id}")


def _out(turn: Turn, run: Run, place: str, reason: Reason, evidence: str) -> None:
    if place in turn.decided.services[run.started.service].may_act:
        turn.record(r.MayActRemoved(turn.now, run.started.service, place, reason, evidence))


def _watch_the_clock(turn: Turn, run: Run) -> None:
    """A run beyond its limit is with a human, and keeps its resources: time never releases them."""
    if run.human is not None:
        return
    until = (run.approved.at if run.approved else run.started.at) + run.started.timeout_s
    if turn.now >= until:
        _to_human(turn, run, Reason.TIMED_OUT, f"longer than {show_duration(run.started.timeout_s)}")
    else:
        turn.wake(until)


def _client(run: Run) -> str:
    return run.started.service.partition("/")[0]
