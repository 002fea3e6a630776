"""One run, from its plan to its end.

The one rule it keeps: a step begins only after the one before it is over. Its intent is recorded before it is carried
out. A step whose end was not seen is looked at before it is tried again. What may follow what is in `transitions.py`.

A hold before the fence stops the run there. Past the fence the run finishes, and only an explicit abort stops it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

from orchestrator.core import records as r
from orchestrator.core.commands import CancelStep, NoticeKind, SettleStep
from orchestrator.core.durations import show_duration
from orchestrator.core.events import AttemptEnd, StepAdopted, StepEnded
from orchestrator.core.kinds import By
from orchestrator.core.reasons import Reason
from orchestrator.core.runs import cleaning, endings, looking, rehearsing, steps
from orchestrator.core.runs.plan import beginning, books_of, work_of
from orchestrator.core.state.decided import Run, Step, step_key
from orchestrator.core.transaction import Transaction

_FAILED_BY: dict[AttemptEnd, Reason] = {
    AttemptEnd.FAILED: Reason.PLAYBOOK_FAILED,
    AttemptEnd.UNREACHABLE: Reason.UNREACHABLE,
    AttemptEnd.CANCELLED: Reason.CANCELLED,
    AttemptEnd.COULD_NOT_START: Reason.COULD_NOT_START,
    AttemptEnd.PLAN_CHANGED: Reason.PLAN_CHANGED,
    AttemptEnd.STALE_EPOCH: Reason.STALE_EPOCH,
    AttemptEnd.TIMED_OUT: Reason.TIMED_OUT,
    AttemptEnd.NEVER_BEGUN: Reason.NEVER_BEGUN,
    AttemptEnd.LOST: Reason.END_NOT_SEEN,
}
_AT_REST = (r.StepState.PENDING, r.StepState.LOOKING)
BY_ITSELF = "bascule"  # who has a run stopped, where no person does


def advance(tx: Transaction, run: Run) -> None:
    """Take the run as far as it goes now: begin, settle or end steps until something has to be waited for."""
    while run.ended is None:
        step = run.current()
        if step is None:
            done = Reason.CONDITIONS_MET if run.rehearses else Reason.VERIFIED
            endings.end(tx, run, True, done, _verified(tx, run))
        elif run.abort is not None and _may_be_stopped(run, step) and step.state in _AT_REST:
            endings.stop(tx, run, step, Reason.ABORTED, f"by {run.abort.who}: {run.abort.why or 'no reason given'}")
        elif run.human is not None or not _one_step(tx, run, step):
            break
    if run.ended is None:
        cleaning.ask_anew(tx, run)
        _watch_the_clock(tx, run)


def step_ended(tx: Transaction, event: StepEnded) -> None:
    """A playbook attempt is over; late news of an attempt that is not the present one changes nothing."""
    run = tx.decided.runs.get(event.key.run)
    if run is None or run.ended is not None:
        return
    step = next((s for s in run.steps if s.name == event.key.step), None)
    live = (r.StepState.RUNNING, r.StepState.UNSEEN)
    if step is None or step.attempt != event.key.attempt or step.state not in live:
        return
    outcome = event.outcome
    if outcome is AttemptEnd.NEVER_BEGUN and step.machine not in ("", tx.decided.machine):
        outcome = AttemptEnd.LOST  # whoever was not to carry it out cannot know
    if outcome is AttemptEnd.OK and (why := rehearsing.not_as_before(run, step, event)):
        endings.fail(tx, run, step, Reason.NOT_CLEAN, why, event)
    elif outcome is AttemptEnd.OK:
        endings.playbook_done(tx, run, step, Reason.CONDITIONS_MET, event.detail or "playbook ended well", event)
    elif outcome is AttemptEnd.NEVER_BEGUN and step.state is r.StepState.UNSEEN:
        tx.record(r.StepRetried(tx.now(), run.id, step.name, Reason.NEVER_BEGUN, event.detail))
    elif outcome in (AttemptEnd.TIMED_OUT, AttemptEnd.LOST):
        reason = _FAILED_BY[outcome]
        tx.record(r.StepLooked(tx.now(), run.id, step.name, step.attempt, reason, event.detail))
        done_when = looking.done_when_of(tx, run, step)
        tx.ask_now(done_when.checks() if done_when else ())
    elif outcome is AttemptEnd.CANCELLED and run.abort is not None and _may_be_stopped(run, step):
        endings.finish(tx, run, step, r.StepState.FAILED, Reason.ABORTED, event.detail or f"by {run.abort.who}", event)
        why = run.abort.why or "no reason given"
        endings.end(tx, run, False, Reason.ABORTED, f"{step.name} stopped by {run.abort.who}: {why}")
    else:
        detail = event.detail or outcome.value
        if outcome is AttemptEnd.PLAN_CHANGED:
            with contextlib.suppress(LookupError):
                see(tx, {work_of(tx, run, step).playbook.digest: detail})
        if outcome is AttemptEnd.PLAN_CHANGED and step.traits.always:
            cleaning.refused(tx, run, step, event)
        else:
            endings.fail(tx, run, step, _FAILED_BY[outcome], detail, event)
    advance(tx, run)


def see(tx: Transaction, found: Mapping[str, str]) -> bool:
    """Take in what of the playbooks in force differs on disk; whether that is news.

    Whoever was asked to approve what there is no more is told.
    """
    news = {digest: told for digest, told in found.items() if digest and told != tx.decided.edited.get(digest, "")}
    for digest, told in news.items():
        tx.record(r.PlaybookSeen(tx.now(), digest, told))
    for run in tx.decided.unfinished_runs():
        step = run.current()
        mine = [news[book.digest] for book in books_of(tx, run) if news.get(book.digest)]
        if step is not None and run.asks_a_person and step.state is r.StepState.RUNNING and mine:
            text = f"{run.started.service}: {run.id} cannot be approved as it was shown: {mine[0]}"
            notice = f"{run.id}/edited/{tx.now():.3f}"
            tx.tell(notice, NoticeKind.HUMAN_NEEDED, run.started.service, text, say="bascule reload")
    return bool(news)


def take_over(tx: Transaction, run: Run) -> None:
    """After a controller's start: what ran is unseen now, and its runner has to account for it."""
    step = run.current()
    if step is None or not step.traits.played:
        return
    if step.state in (r.StepState.RUNNING, r.StepState.UNSEEN):
        if step.state is r.StepState.RUNNING:
            tx.record(r.StepLeftUnseen(tx.now(), run.id, step.name, step.attempt))
        try:
            work = work_of(tx, run, step)
        except LookupError as gone:  # taken out of the configuration meanwhile
            endings.to_human(tx, run, Reason.PLAN_CHANGED, str(gone.args[0]))
            return
        key, client = step_key(run, step), endings.client(run)
        tx.command(SettleStep(key, client, work.playbook, work.timeout_s, beginning(run), step.machine))
        if run.abort is not None and _may_be_stopped(run, step):
            tx.command(CancelStep(step_key(run, step)))
    elif step.state is r.StepState.LOOKING and (done_when := looking.done_when_of(tx, run, step)):
        tx.ask_now(done_when.checks())


def step_adopted(tx: Transaction, event: StepAdopted) -> None:
    """An attempt goes on that began under an earlier controller; whoever wanted it stopped still does."""
    run = tx.decided.runs.get(event.key.run)
    step = run.current() if run is not None else None
    if run is None or step is None or run.abort is None or step_key(run, step) != event.key:
        return
    if _may_be_stopped(run, step):
        tx.command(CancelStep(event.key))


def _may_be_stopped(run: Run, step: Step) -> bool:
    """A clean-up is made though somebody had the run stopped: else something would be left behind.

    Where it waits for a person, they may leave it as it is; what was said before they were asked is no answer to that.
    """
    asked, said = run.human, run.abort
    answered = asked is not None and said is not None and said.who != BY_ITSELF and said.at > asked.at
    return not step.traits.always or answered


def abort(tx: Transaction, run: Run, who: str, why: str) -> None:
    """Record who wants it stopped, and stop what runs or waits; a clean-up is made all the same."""
    tx.record(r.AbortAsked(tx.now(), run.id, who, why))
    step = run.current()
    if step is None or not _may_be_stopped(run, step):
        return
    if step.traits.played and step.state in (r.StepState.RUNNING, r.StepState.UNSEEN):
        tx.command(CancelStep(step_key(run, step)))
    else:
        if step.traits.verifies and run.started.move in tx.model.moves:
            steps.take_back(tx, run, step)
        endings.stop(tx, run, step, Reason.ABORTED, f"by {who}: {why or 'no reason given'}")


def _one_step(tx: Transaction, run: Run, step: Step) -> bool:
    """Do what can be done for this step now; whether anything happened."""
    if step.state is r.StepState.PENDING:
        return steps.begin(tx, run, step)
    if step.state is r.StepState.LOOKING:
        return looking.look(tx, run, step)
    if step.state is not r.StepState.RUNNING or step.traits.played:
        return False
    if step.traits.by is By.PERSON:
        return steps.approval(tx, run, step)
    return steps.wait(tx, run, step)


def _verified(tx: Transaction, run: Run) -> str:
    """What verified it, and when, where its finish came after that: it may not be so any more."""
    if run.verify is None or run.verified_at is None:
        return ""
    ago_s = tx.now() - run.verified_at
    return run.verify.evidence + (f" ({show_duration(ago_s)} before its end)" if ago_s >= 1.0 else "")


def _watch_the_clock(tx: Transaction, run: Run) -> None:
    """A run beyond its limit is with a human, and keeps its resources: time never releases them."""
    if run.human is not None:
        return
    began = tx.decided.controller.at if tx.decided.controller else 0.0  # its time does not run unattended
    until = max(began, run.approved.at if run.approved else run.started.at) + run.started.timeout_s
    if tx.now() >= until:
        endings.to_human(tx, run, Reason.TIMED_OUT, f"longer than {show_duration(run.started.timeout_s)}")
    else:
        tx.wake(until)
