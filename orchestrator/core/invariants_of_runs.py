"""What must never happen when a run starts, and when one of its steps begins or ends.

The one rule it keeps: each check compares with what the guards could see in the same instant (the configuration, the
words, the rows of this step). So a later reload can never make an earlier decision look wrong.
"""

from __future__ import annotations

from orchestrator.core import invariants_of_acting as acting
from orchestrator.core import invariants_of_drills as of_drills
from orchestrator.core import records as r
from orchestrator.core.commands import RunPlaybook
from orchestrator.core.durations import show_duration
from orchestrator.core.events import Answer, AttemptEnd, Event, StepEnded
from orchestrator.core.health.diagnosis import evaluate
from orchestrator.core.invariant_broken import InvariantBroken
from orchestrator.core.kinds import By, Reach
from orchestrator.core.model import Move
from orchestrator.core.reasons import Reason
from orchestrator.core.runs import endings
from orchestrator.core.runs.plan import subject_of
from orchestrator.core.state.decided import Run, Step
from orchestrator.core.transaction import Transaction

# ---- a run starts


def run_started(tx: Transaction, record: r.RunStarted) -> None:
    """Statements 7, and for what starts by itself 8, 10, 12, 13 and 16 to 19."""
    for resource in record.resources:
        holders = [x.id for x in tx.decided.unfinished_runs() if resource in x.started.resources]
        if len(holders) > 1:
            raise InvariantBroken(7, "at most one unfinished run a resource", f"{resource}: {', '.join(holders)}")
    if record.drill:
        of_drills.run_started(tx, record)
    if record.origin is not r.Origin.AUTOMATIC:
        return
    service = tx.model.services[record.service]
    acting.honoured(tx, record.run, service)
    acting.in_sight(tx, record.run, service)
    acting.braked(tx, record, service)
    if record.tier is None:
        acting.way_back(tx, record, service)
    else:
        acting.next_tier(tx, record, record.tier, service)
    acting.dark(tx, record)


# ---- a step begins


def step_began(tx: Transaction, record: r.StepBegan) -> None:
    """Statements 4, 5, 6, 14 and 16, and for what goes by itself 10 and 19."""
    run = tx.decided.runs[record.run]
    step = run.step(record.step)
    _never_again(tx, record, run, step)
    before = run.steps[: run.steps.index(step)]
    over = (r.StepState.DONE, r.StepState.SKIPPED)
    allowed = [s for s in before if s.over and (s.traits.contains or (step.traits.always and s.traits.rehearses))]
    unfinished = [s.name for s in before if s.state not in over and s not in allowed]  # what failed is asked about
    if unfinished:
        raise InvariantBroken(14, "no step before the ones it rests on", f"{record.run}/{step.name}: {unfinished}")
    begun_at = run.started.to_place or _put_in(tx, run)
    if step.traits.moves and begun_at:
        service = tx.model.services[run.started.service]
        others = tx.decided.services[service.id].may_act - {begun_at}
        if service.exclusive and others:
            rule = "activation only with every other place out of may_be_active"
            raise InvariantBroken(16, rule, f"{run.id}: {', '.join(sorted(others))} may still act")
    acts_at = run.started.to_place or run.started.from_place
    if step.traits.moves and acts_at and acts_at not in tx.decided.services[run.started.service].may_act:
        rule = "a place is on record as one that may act before it is activated"
        raise InvariantBroken(16, rule, f"{run.id}/{step.name}: {acts_at}")
    begun = [s.traits for s in run.steps if s.attempt > 0 and s is not step]
    if step.traits.destroys and record.attempt == 1 and not any(kind.destroys for kind in begun):
        _after_its_preflight(tx, run)
    if not step.traits.played:
        return
    if step.traits.always:
        of_drills.cleaned_as_shown(tx, run, step)
    effects = [kind for kind in begun if kind.played and kind.reach is Reach.COMMITTED]
    if run.started.drill and record.attempt == 1 and not effects and not step.traits.always:
        of_drills.still_allowed(tx, run)
    if record.attempt == 1 and not effects:
        acting.meant_now(tx, run)
    if record.attempt == 1 and not effects and run.started.origin is r.Origin.AUTOMATIC:
        _still_wanted(tx, run, step)
    _intended(tx, record, run, step)


def _put_in(tx: Transaction, run: Run) -> str | None:
    """The place that this step makes one that may act again."""
    return next((x.place for x in tx.records if isinstance(x, r.MayActAdded) and x.run == run.id), None)


def _never_again(tx: Transaction, record: r.StepBegan, run: Run, step: Step) -> None:
    """What is done is done; what was tried is looked at, or proven never begun, before it is tried again."""
    key = f"{run.id}/{step.name}"
    ends = [x for x in tx.records if isinstance(x, r.StepFinished) and (x.run, x.step) == (record.run, record.step)]
    if step.over and not ends:
        raise InvariantBroken(5, "no step that is over begins again", f"{key} is {step.state.value}")
    if record.attempt > 1 and step.reason is not Reason.NEVER_BEGUN and step.looked_attempt != record.attempt - 1:
        rule = "an end not seen is looked at before any retry"
        raise InvariantBroken(6, rule, f"{key}: nobody looked at attempt {record.attempt - 1}")


def _after_its_preflight(tx: Transaction, run: Run) -> None:
    rule = "no destructive step before that move's preflight passed, recently"
    passed = [s.ended_at for s in run.steps if s.traits.asks_first and _passed(run, s)]
    latest = max((at for at in passed if at is not None), default=None)
    if latest is None:
        raise InvariantBroken(14, rule, f"{run.id}: no preflight of it is done")
    if run.approved_at is not None and latest < run.approved_at:
        raise InvariantBroken(14, rule, f"{run.id}: nothing was asked since it was approved")
    if tx.now() - latest > tx.limits(endings.client(run)).preflight_fresh_s:
        raise InvariantBroken(14, rule, f"{run.id}: the last one ended {show_duration(tx.now() - latest)} ago")


def _still_wanted(tx: Transaction, run: Run, step: Step) -> None:
    """The first step that changes anything: whatever forbids the run is honoured once more."""
    service = tx.model.services[run.started.service]
    acting.honoured(tx, run.id, service)
    acting.in_sight(tx, run.id, service)
    acting.explained(tx, run.id, service)
    acting.approved(tx, run, step, service)


def _intended(tx: Transaction, record: r.StepBegan, run: Run, step: Step) -> None:
    rule = "every effect has its durable intent, and its plan"
    if step.traits.fences and subject_of(tx, run, step).fence is None:
        raise InvariantBroken(4, rule, f"{run.id}: no fence for {step.place}")
    sent = [x for x in tx.commands if isinstance(x, RunPlaybook) and (x.key.run, x.key.step) == (run.id, step.name)]
    if [x.key.attempt for x in sent] != [record.attempt]:
        raise InvariantBroken(4, rule, f"{run.id}/{step.name}: {len(sent)} commands for attempt {record.attempt}")
    if any(x.epoch != tx.decided.epoch for x in sent):
        raise InvariantBroken(3, "every action carries the present epoch", f"{run.id}/{step.name}")


def _passed(run: Run, step: Step) -> bool:
    """Answered well, or put aside by a named person on record."""
    aside = step.reason is Reason.OVERRIDDEN and run.started.origin is r.Origin.MANUAL
    return step.state is r.StepState.DONE or (step.state is r.StepState.SKIPPED and aside)


# ---- a step is tried again, and ends


def step_retried(record: r.StepRetried, heard: Event | None) -> None:
    """Statement 6: that an attempt never began is known from whoever was to carry it out, and from nobody else."""
    if record.reason is not Reason.NEVER_BEGUN:
        return
    of = heard.key if isinstance(heard, StepEnded) and heard.outcome is AttemptEnd.NEVER_BEGUN else None
    if of is None or (of.run, of.step) != (record.run, record.step):
        rule = "an attempt never began only by the word of who was to carry it out"
        raise InvariantBroken(6, rule, f"{record.run}/{record.step}")


def step_finished(tx: Transaction, record: r.StepFinished) -> None:
    """Statement 15: what was asked before a promotion holds the measured age of its data, and it will do.

    13: what had asked a person, and goes on by itself, is one of those at work.
    """
    run = tx.decided.runs[record.run]
    started = run.started
    asked = run.step(record.step).traits.by is By.PERSON and record.attempt > 0
    if asked and (record.state, record.reason) == (r.StepState.SKIPPED, Reason.NOT_NEEDED) and run.is_at_work:
        acting.at_once(tx, f"{run.id}/{record.step}", tx.model.services[started.service])
    if record.state is not r.StepState.DONE:
        return
    if not run.step(record.step).traits.asks_first or started.origin is not r.Origin.AUTOMATIC or not started.to_place:
        return
    service = tx.model.services[started.service]
    if service.rpo_s is None or any(s.hand_over for s in run.steps):
        return
    accepted = next((t.accept_loss_s for t in service.ladder if t.move == started.move), None)
    allowed_s = max(service.rpo_s, accepted or 0.0)
    rule = "automatic promotion only with measured data age within the RPO or the accepted loss"
    for age_s in (record.measures.get("data_age_s"), _age_found(tx, tx.model.moves[started.move])):
        if age_s is None or age_s > allowed_s:
            age = "no measured age" if age_s is None else f"data {show_duration(age_s)} old"
            raise InvariantBroken(15, rule, f"{run.id}/{record.step}: {age}, {show_duration(allowed_s)} allowed")


def _age_found(tx: Transaction, move: Move) -> float | None:
    """How old the data at the move's destination are now: as old as when they were measured, and since then."""
    row = tx.rows().get(move.data_age or "")
    if row is None or row.measured_at is None:
        return None
    age_s = row.measures.get("data_age_s", row.measures.get("lag_s"))
    return None if age_s is None else age_s + tx.now() - row.measured_at


def place_out(tx: Transaction, record: r.MayActRemoved) -> None:
    """Statement 16: a place cannot act any more because what proves that has answered since its fence, or by word."""
    if record.reason is Reason.FENCED_BY_HAND:
        return
    rule = "no place is out without its proof"
    ended = [x for x in tx.records if isinstance(x, r.StepFinished)]
    runs = [(run, run.step(x.step)) for x in ended if (run := tx.decided.runs[x.run]).started.service == record.service]
    proofs = [(run, step) for run, step in runs if step.traits.proves and step.place == record.place]
    if not proofs:
        raise InvariantBroken(16, rule, f"{record.service}: {record.place}: no step of a run has proven it")
    run, step = proofs[-1]
    fence = subject_of(tx, run, step).fence
    before = run.steps[: run.steps.index(step)]
    since = max((x.ended_at for x in before if x.traits.fences and x.ended_at is not None), default=0.0)

    def answered(check: str) -> r.Verdict:
        row = tx.rows().get(check)
        well = row is not None and row.last_answer is Answer.GOOD and row.last_sent_at >= since
        return r.Verdict.UP if well else r.Verdict.DOWN

    if fence is None or evaluate(fence.proven_when, answered) is not r.Verdict.UP:
        raise InvariantBroken(16, rule, f"{run.id}/{step.name}: {record.place}")
