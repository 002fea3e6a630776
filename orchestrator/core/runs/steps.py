"""The steps of a run: how each kind begins, and what the waiting ones wait for.

The one rule it keeps: a step's intent is recorded before its command. Whatever forbids a step is asked again at the
moment it would begin.
"""

from __future__ import annotations

from collections.abc import Iterable

from orchestrator.core import records as r
from orchestrator.core.commands import NoticeKind, RunPlaybook
from orchestrator.core.durations import show_duration
from orchestrator.core.kinds import By, Wanted
from orchestrator.core.model import Condition, Fence, Json, Move, Service
from orchestrator.core.reasons import Reason
from orchestrator.core.rules import ladder, policy
from orchestrator.core.rules.approving import consequences, still_asked
from orchestrator.core.rules.policy import Finding
from orchestrator.core.runs import cleaning, endings, looking, stopping
from orchestrator.core.runs.plan import approving, beginning, changed, facts_for, subject_of, wanted_of, work_of
from orchestrator.core.sentences import Sentence
from orchestrator.core.state.decided import Run, Step, covers, isolated_places, step_key
from orchestrator.core.transaction import FOREVER, Transaction


def awaited(tx: Transaction, run: Run) -> list[str]:
    """The checks whose answers the run waits for now; they are asked at the fast interval."""
    step = run.current()
    if run.ended is not None or step is None:
        return []
    kind, subject = step.traits, subject_of(tx, run, step)
    if kind.by is By.ANSWERS:
        wanted = wanted_of(tx, kind, subject)
        found = list(wanted.checks()) if wanted is not None else []
        found += _references(tx, wanted.gone.checks()) if wanted is not None and wanted.gone is not None else []
        return [*found, subject.move.data_age] if kind.asks_first and subject.move.data_age else found
    if step.state is r.StepState.LOOKING and (done_when := looking.done_when_of(tx, run, step)):
        asked = list(done_when.checks())
        return [*asked, *_references(tx, asked)]
    return []


def _references(tx: Transaction, asked: Iterable[str]) -> list[str]:
    """Those of their vantages: silence says nothing without them."""
    vantages = sorted({tx.model.checks[c].vantage for c in asked})
    return [c for v in vantages for c in tx.references(v)]


def begin(tx: Transaction, run: Run, step: Step) -> bool:
    stop = stopping.stopped_before(tx, run, step)
    if stop is not None:
        if stopping.has_not_looked_yet(tx, stop[0]):
            return False
        endings.stop(tx, run, step, *stop)
        return True
    if cleaning.waits_for_a_person(tx, run, step):
        return True
    kind = step.traits
    if _settled_before(tx, run, step) or (kind.destroys and _asked_too_long_ago(tx, run, step)):
        return True
    tx.record(r.StepBegan(tx.now(), run.id, step.name, step.attempt + 1, tx.decided.machine))
    at = kind.acts_at(run.started.from_place, run.started.to_place) if kind.acts_at is not None else None
    if at and at not in tx.decided.services[run.started.service].may_act:
        tx.record(r.MayActAdded(tx.now(), run.started.service, at, run.id))
    if kind.by is By.PLAYBOOK:
        work = work_of(tx, run, step)
        key, facts, begun = step_key(run, step), facts_for(tx, run, step), beginning(run)
        epoch, known_by = tx.decided.epoch, tx.decided.workspace
        how = (begun, known_by, step.simulated, kind.rehearses)
        tx.command(RunPlaybook(key, endings.client(run), work.playbook, facts, epoch, work.timeout_s, *how))
    elif kind.by is By.PERSON:
        _ask_for_approval(tx, run)
    elif run.started.move in tx.model.moves:
        tx.ask_now(awaited(tx, run))
    return True


def _settled_before(tx: Transaction, run: Run, step: Step) -> bool:
    """Whether there is nothing left for the step to do, or it must not be done: then it is over already."""
    kind = step.traits
    if kind.by is By.PERSON:
        return _needs_no_approval(tx, run, step)
    if kind.isolates:
        return _needs_no_isolation(tx, run, step)
    if kind.takes_out:
        return _needs_no_fence(tx, run, step)
    return kind.moves and _may_not_come_in_yet(tx, run, step)


def _asked_too_long_ago(tx: Transaction, run: Run, step: Step) -> bool:
    """Have the preconditions asked once more before the first destructive step, if that was too long ago.

    A preparation of minutes, a controller that was down: what was viable then may not be now (opnsense/core#9789,
    #4160: failed over to nothing viable, and cut the only working link for it).
    """
    if any(s.attempt > 0 for s in run.steps if s.traits.destroys):
        return False
    asked = [s for s in run.steps if s.traits.asks_first]
    ago_s = tx.now() - max((s.ended_at for s in asked if s.ended_at is not None), default=-FOREVER)
    fresh_s = tx.limits(endings.client(run)).preflight_fresh_s
    if ago_s <= fresh_s:
        return False
    evidence = f"asked {show_duration(ago_s)} ago, {show_duration(fresh_s)} allowed"
    name = f"recheck-{len(asked)}"
    tx.record(r.RecheckAdded(tx.now(), run.id, name, step.name, Reason.PREFLIGHT_OLD, evidence))
    return True


def _needs_no_fence(tx: Transaction, run: Run, step: Step) -> bool:
    """Skip a fence that a named person vouches for, or whose playbook has nothing left to do; settle one that
    is not declared.
    """
    fence = subject_of(tx, run, step).fence
    stated = run.fenced_by_hand.get(step.place or "")
    if step.place is None or stated is None:
        if fence is None:
            endings.fail(tx, run, step, Reason.NO_FENCE, f"nothing in the plan can prove that {step.place} is out")
            return True
        if _is_out_already(tx, step, fence):  # the proof step asks again
            endings.finish(
                tx, run, step, r.StepState.SKIPPED, Reason.ALREADY_DONE, tx.behind(fence.proven_when, r.Verdict.UP)
            )
            return True
        return False
    evidence = f"{stated.who} states that {step.place} cannot act: {stated.why or 'no reason given'}"
    for each in [s for s in run.steps if s.place == step.place and not s.over]:
        endings.finish(tx, run, each, r.StepState.SKIPPED, Reason.FENCED_BY_HAND, evidence)
    endings.out(tx, run, step.place, Reason.FENCED_BY_HAND, evidence)
    return True


def _is_out_already(tx: Transaction, step: Step, fence: Fence) -> bool:
    """Never where the place hands over: what has crashed looks stopped, handed over nothing, and may come back."""
    return not step.hand_over and tx.says(fence.proven_when) is r.Verdict.UP


def _needs_no_isolation(tx: Transaction, run: Run, step: Step) -> bool:
    """Skip an isolation whose suspicion is gone, or that is there already: proven, or done by an earlier run."""
    service = tx.model.services[run.started.service]
    suspected = any(covers(subject, service.id) for subject in tx.decided.suspected)
    isolation = subject_of(tx, run, step).isolation
    if isolation is None or not suspected:
        gone = f"no isolation of {step.place} is declared" if suspected else "no compromise is suspected"
        why = f"{gone} any more"
        return _left_out(tx, run, step, Reason.NOT_NEEDED, why)
    if isolation.proven_when is not None:
        if tx.says(isolation.proven_when) is not r.Verdict.UP:
            return False
        evidence = tx.behind(isolation.proven_when, r.Verdict.UP)
        return _left_out(tx, run, step, Reason.ALREADY_DONE, evidence, and_proof=False)  # the proof asks again
    by = isolated_places(tx.decided, service.id).get(step.place or "")
    return by is not None and _left_out(tx, run, step, Reason.ALREADY_DONE, f"{step.place} was isolated by {by}")


def _left_out(tx: Transaction, run: Run, step: Step, reason: Reason, evidence: str, *, and_proof: bool = True) -> bool:
    both = [s for s in run.steps if s.place == step.place and s.traits.contains and not s.over]
    for each in both if and_proof else [step]:
        endings.finish(tx, run, each, r.StepState.SKIPPED, reason, evidence)
    return True


def _may_not_come_in_yet(tx: Transaction, run: Run, step: Step) -> bool:
    """Stop the run before the move itself where another place might still act."""
    open_ = _still_open(tx, run)
    if open_:
        endings.stop(tx, run, step, Reason.FENCE_UNPROVEN, f"{', '.join(open_)} may still act")
    return bool(open_)


def _still_open(tx: Transaction, run: Run) -> list[str]:
    """Places other than the destination that might still act.

    A paused process wakes up and acts (keepalived#2066, #2238): only a proof, or a named person, takes a place out.
    """
    service, move = tx.model.services[run.started.service], tx.model.moves[run.started.move]
    return ladder.to_fence(tx, service, move) if move.to is not None else ladder.taken_over(tx, service)


def wait(tx: Transaction, run: Run, step: Step) -> bool:
    """A step that waits for answers: preflight, recheck, proof, verify."""
    service, move = tx.model.services[run.started.service], tx.model.moves[run.started.move]
    kind = step.traits
    wanted, since = _waits_for(tx, run, step)
    condition, limit_s = wanted.condition, wanted.timeout_s
    aside: list[str] = []  # what a named person goes against
    loss: tuple[Reason, str] | None = None
    if condition is None and (what := _shows(step)):  # taken out of the configuration meanwhile
        endings.fail(tx, run, step, kind.fails_as, f"nothing in the plan can show any more that {what}")
        return True
    if not _answered(tx, wanted, since):
        failed = _out_of_time(tx, step, wanted, since)
        if failed is None:
            return False
        if not kind.asks_first or _guard_of(failed).value not in run.started.overrides:
            take_back(tx, run, step)
            endings.fail(tx, run, step, failed.reason, failed.evidence)
            return True
        aside.append(f"{failed.reason.value}: {failed.evidence}")
    if kind.asks_first:
        until = since + limit_s
        if _age_not_asked(tx, service, move, since) and tx.now() < until:
            tx.wake(until)
            return False
        loss = _loss(tx, run, service, move) if not run.rehearses else None  # it opens no data to anybody
        if loss is not None and loss[0].value not in run.started.overrides:
            endings.fail(tx, run, step, *loss)
            return True
    state, reason = (r.StepState.SKIPPED if aside else r.StepState.DONE), Reason.CONDITIONS_MET
    aside += [f"{loss[0].value}: {loss[1]}"] if loss else []
    evidence = tx.behind(condition, r.Verdict.UP) if condition else "nothing to ask"
    if aside:
        reason = Reason.OVERRIDDEN
        evidence = f"{run.started.who} goes against {'; '.join(aside)} ({run.started.why or 'no reason given'})"
    take_back(tx, run, step)
    endings.finish(tx, run, step, state, reason, evidence, measures=_measures(tx, run, step, move))
    if kind.fences and step.place is not None:
        endings.out(tx, run, step.place, Reason.CONDITIONS_MET, evidence)
    return True


def _shows(step: Step) -> str:
    """What a step is in the plan to show: with nothing to ask, it shows nothing. Empty: a move need not ask that."""
    kind = step.traits
    if kind.fences or kind.contains:
        return f"{step.place} is {'out' if kind.fences else 'isolated'}"
    if kind.confirms:
        return "what was rehearsed is well"
    return "it cannot reach what serves" if kind.rehearses else ""


def _answered(tx: Transaction, wanted: Wanted, since: float) -> bool:
    """Whether what is waited for was heard, and what is to be gone was denied."""
    heard = tx.fresh(wanted.condition, since) in (r.Verdict.UP, r.Verdict.DEGRADED)
    return heard and (wanted.gone is None or tx.fresh(wanted.gone, since) is r.Verdict.DOWN)


def take_back(tx: Transaction, run: Run, step: Step) -> None:
    """As this step ends: what was to be taken back is so if it was denied that it is there, whether or not the service
    works.
    """
    undone = tx.model.moves[run.started.move].undoes
    wanted, since = _waits_for(tx, run, step)
    if undone in tx.decided.engaged and wanted.gone is not None and tx.fresh(wanted.gone, since) is r.Verdict.DOWN:
        tx.record(r.MoveEngaged(tx.now(), undone, False, run.id))


def _waits_for(tx: Transaction, run: Run, step: Step) -> tuple[Wanted, float]:
    """What a waiting step waits for, asked since when."""
    kind = step.traits
    wanted = wanted_of(tx, kind, subject_of(tx, run, step))
    began = step.attempt_at if step.attempt_at is not None else tx.now()
    since = _counts_from(tx, step) if kind.asks_first else _ended_at(run, step, began)
    return wanted or Wanted(None, 0.0), since


def _ended_at(run: Run, step: Step, default: float) -> float:
    """When the step before this one ended: only answers to later questions count."""
    index = run.steps.index(step)
    before = run.steps[index - 1].ended_at if index else None
    return before if before is not None else default


def _out_of_time(tx: Transaction, step: Step, wanted: Wanted, since: float) -> Finding | None:
    """Why the step has failed; None while its time lasts."""
    kind, condition, limit_s = step.traits, wanted.condition, wanted.timeout_s
    hopeless = kind.asks_first and tx.says(condition) is r.Verdict.DOWN
    until = _counts_from(tx, step) + limit_s
    if tx.now() < until and not hopeless:
        tx.wake(until)
        return None
    verdict = tx.fresh(condition, since)
    evidence = _not_gone(tx, wanted.gone, since) if verdict in (r.Verdict.UP, r.Verdict.DEGRADED) else ""
    if condition is not None and not evidence:
        evidence = tx.behind(condition, tx.says(condition))
    if kind.asks_first and verdict is r.Verdict.UNKNOWN and not hopeless:
        return Finding(r.Decision.ASK, Reason.VIABILITY_UNKNOWN, evidence)
    waited = f"; waited {show_duration(limit_s)}" if kind.verifies else ""
    return Finding(r.Decision.ASK, kind.fails_as, f"{evidence}{waited}")


def _not_gone(tx: Transaction, gone: Condition | None, since: float) -> str:
    """Of a way back after which the service works: what is still there, or not known to be gone."""
    if gone is None:
        return ""
    there = tx.fresh(gone, since) in (r.Verdict.UP, r.Verdict.DEGRADED)
    said = "what it takes back is still there" if there else "nothing shows that what it takes back is gone"
    return f"{said}: {'; '.join(tx.evidence(check) for check in gone.checks())}"


def _guard_of(failed: Finding) -> Reason:
    """The guard that a person would have had to go against."""
    return Reason.NOT_VIABLE if failed.reason is Reason.PREFLIGHT_FAILED else failed.reason


def _counts_from(tx: Transaction, step: Step) -> float:
    """When this attempt's time began to run: not before this controller could see anything."""
    started = tx.decided.controller.at if tx.decided.controller else 0.0
    return max(step.attempt_at or 0.0, started)


def _loss(tx: Transaction, run: Run, service: Service, move: Move) -> tuple[Reason, str] | None:
    """The RPO gate, asked again after the preflight's fresh answers; a planned hand-over loses nothing."""
    if any(s.hand_over for s in run.steps):
        return None
    accept_s = next((t.accept_loss_s for t in service.ladder if t.move == move.id), None)
    return ladder.data_loss(tx, service, move, accept_s)


def _age_not_asked(tx: Transaction, service: Service, move: Move, since: float) -> bool:
    """Whether the age of the data matters, and no answer has come to a question asked since then."""
    matters = move.to is not None and service.rpo_s is not None
    return matters and move.data_age is not None and tx.last_asked(move.data_age) < since


def _measures(tx: Transaction, run: Run, step: Step, move: Move) -> dict[str, float]:
    """Measurements that a decision used, copied with the time of their sample."""
    kind = step.traits
    if (kind.asks_first or kind.fences) and move.data_age:
        row = tx.rows().get(move.data_age)
        age_s = tx.data_age_s(move.data_age, tx.now())
        if row is not None and row.measured_at is not None and age_s is not None:
            return {**row.measures, "data_age_s": age_s, "sampled_at": row.measured_at}
    return {}


def _ask_for_approval(tx: Transaction, run: Run) -> None:
    started = run.started
    say, no = approving(run), f"bascule reject {run.id}"
    places = [s.place.rpartition("/")[2] for s in run.fences if s.place]
    by_hand = f" (if you have made sure that {places[0]} cannot act: --fenced {places[0]})" if places else ""
    uncontained = [s for s in run.steps if s.traits.contains and s.state is r.StepState.FAILED]
    failed = [f"{s.name} FAILED: {s.evidence}" for s in uncontained]
    why = "; ".join((*still_asked(tx, run), *failed))
    does = list(consequences(tx, run))
    told = f". If approved: {'; '.join(does)}" if does else ""
    more = f"{why}{by_hand}{told}. To say no: {no}. No reply within {show_duration(started.approval_expires_s)} is a no"
    text = Sentence.APPROVAL.say(service=started.service, move=started.move, why=more)
    details: dict[str, Json] = {"approve": say, "reject": no, "if_approved": list(does)}
    tx.tell(f"{run.id}/approval", NoticeKind.APPROVAL_NEEDED, started.service, text, say=say, details=details)


def approval(tx: Transaction, run: Run, step: Step) -> bool:
    started = run.started
    if started.origin is r.Origin.AUTOMATIC and _to_be_isolated(tx, run):
        evidence = "suspected after the run was planned: the place is isolated first"
        endings.stop(tx, run, step, Reason.COMPROMISE_SUSPECTED, evidence)
        return True
    if run.started.configuration != tx.decided.configuration and (new := changed(tx, run)):
        endings.stop(tx, run, step, Reason.PLAN_CHANGED, new)  # nobody was asked about what there is now
        return True
    asked_at = step.began_at if step.began_at is not None else tx.now()
    if run.approved is not None and run.approved.at >= asked_at:  # an earlier one was of something else
        reason = Reason.FENCED_BY_HAND if run.approved.fenced else Reason.APPROVED
        endings.finish(tx, run, step, r.StepState.DONE, reason, f"by {run.approved.who}")
        return True
    if _needs_no_approval(tx, run, step):
        return True
    until = asked_at + started.approval_expires_s
    if tx.now() >= until:
        why = f"no reply within {show_duration(started.approval_expires_s)}"
        endings.stop(tx, run, step, Reason.APPROVAL_EXPIRED, why)  # nothing has failed
        return True
    tx.wake(until)
    return False


def _needs_no_approval(tx: Transaction, run: Run, step: Step) -> bool:
    """Skip the question where nothing is to be asked any more: also before anybody is asked.

    While it waited it counted for nobody: by itself it goes on when it is not one too many.
    """
    gone = run.started.origin is r.Origin.AUTOMATIC and not _still_asks(tx, run)
    if gone and step.began_at is not None:
        gone = policy.too_many_failovers(tx, tx.model.services[run.started.service]) is None
    if gone:
        endings.finish(tx, run, step, r.StepState.SKIPPED, Reason.NOT_NEEDED, "the reason for asking is gone")
    return gone


def _to_be_isolated(tx: Transaction, run: Run) -> bool:
    """Whether a suspicion has come that this run was not planned for."""
    service = tx.model.services[run.started.service]
    planned = any(s.traits.contains for s in run.steps)
    return not planned and run.started.incident is not None and policy.isolates(tx, service) is not None


def _still_asks(tx: Transaction, run: Run) -> bool:
    """Whether the reasons for asking still hold; a place that went dark meanwhile needs no person any more."""
    service, move = tx.model.services[run.started.service], tx.model.moves[run.started.move]
    waiting, asked = ladder.fence_asks(tx, service, move, run.started.at, handing=ladder.handing(run))
    return bool(waiting or asked or policy.asks(tx, service))
