"""The decided state as a fold over its records: everything bascule knows by decision.

The one rule it keeps: `apply` alone changes the state, one record at a time, so that `decided == fold(records)`
exactly. A record that cannot follow what came before raises.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from orchestrator.core import records as r
from orchestrator.core.events import WordKind
from orchestrator.core.kinds import By
from orchestrator.core.reasons import Reason
from orchestrator.core.state import drills, findings, notices_due, scheduled
from orchestrator.core.state.decided import (
    Decided,
    IllegalRecord,
    Incident,
    Run,
    ServiceState,
    Step,
    TierLedger,
    covers,
)
from orchestrator.core.state.retention import KEPT_DURATIONS, KEPT_RUNS, forget, remember, remember_fall
from orchestrator.core.state.transitions import ENDED_BY, RUN, STEP, Illegal, RunEvent, StepEvent, next_state

FORMERLY = 8  # former placements that a service remembers: enough to tell where it was when something fell


def fold(records: Iterable[r.Record]) -> Decided:
    """The state after these records."""
    state = Decided()
    for record in records:
        apply(state, record)
    return state


def apply(decided: Decided, record: r.Record) -> None:
    """Change the state by one record. Raises IllegalRecord when it cannot follow what came before."""
    _APPLY[type(record)](decided, record)


def _incident(d: Decided, name: str) -> Incident:
    try:
        return d.incidents[name]
    except KeyError:
        raise IllegalRecord(f"a record speaks of incident {name!r}, which was never opened") from None


def _run(d: Decided, name: str) -> Run:
    try:
        run = d.runs[name]
    except KeyError:
        raise IllegalRecord(f"a record speaks of run {name!r}, which was never started") from None
    if run.ended is not None:
        raise IllegalRecord(f"run {name} has ended ({run.ended.reason.value}); nothing more can happen in it")
    return run


def _controller_began(d: Decided, x: r.ControllerBegan) -> None:
    if x.epoch <= d.epoch:
        raise IllegalRecord(f"epoch {x.epoch} of {x.controller} is not above {d.epoch}")
    d.controller, d.epoch = x, x.epoch
    d.workspace = x.workspace or d.workspace
    for run in d.unfinished_runs():
        run.broken_off_at = x.at
    if not x.same_boot:
        for void in (d.verdicts, d.fell, d.fell_before):  # streaks of another boot
            void.clear()
        for name, service in d.services.items():
            service.healthy_since = None if service.healthy_since is None else x.at  # nobody watched meanwhile
            _after_another_boot(d, name, service, x)


def _after_another_boot(d: Decided, name: str, state: ServiceState, x: r.ControllerBegan) -> None:
    """Brakes outlive a boot: of what fell together nothing is known any more, and assumed time lets go of nothing."""
    judged = d.incidents[state.incident].judged if state.incident else None
    if judged is not None and judged.reason is Reason.MASS_FAILURE and state.frozen is None:
        evidence = f"{judged.evidence}; then this machine restarted"
        state.frozen = r.ServiceFrozen(x.at, name, Reason.MASS_FAILURE, evidence)
    gap_s = x.assumed_gap_s
    state.left = {what: at + gap_s for what, at in state.left.items()}
    state.automatic_moves = [at + gap_s for at in state.automatic_moves if at >= state.resumed_at]


def _configured(d: Decided, x: r.Configured) -> None:
    if x.digest != d.configuration:
        d.edited.clear()  # it was read from what is on disk
    d.configuration = x.digest
    for name, home in x.homes.items():
        if name not in d.services:
            d.services[name] = ServiceState(home, {home} if home else set())


def _verdict_changed(d: Decided, x: r.VerdictChanged) -> None:
    d.verdicts[x.check] = x
    if x.verdict is r.Verdict.DOWN:
        remember_fall(d, x)


def _incident_opened(d: Decided, x: r.IncidentOpened) -> None:
    state = d.services[x.service]
    if state.incident is not None:
        raise IllegalRecord(f"{x.service} has incident {state.incident} open already")
    d.incident_count += 1
    d.incidents[x.incident] = Incident(
        x.incident, x.service, x.first_bad_at, x.at, x.first_bad_at, x.at, x.last_good_at, x.place, x.evidence,
        unheard_s=None if x.last_good_at is None else x.first_bad_at - x.last_good_at,
    )  # fmt: skip
    state.incident, state.last_incident, state.healthy_since = x.incident, x.incident, None
    forget(d.incidents, lambda i: i.ended.at if i.ended else None, KEPT_RUNS)


def _incident_reopened(d: Decided, x: r.IncidentReopened) -> None:
    incident = _incident(d, x.incident)
    if incident.ended is None:
        raise IllegalRecord(f"incident {x.incident} is open: it cannot be reopened")
    incident.earlier_s += max(0.0, incident.ended.recovered_at - incident.episode_first_bad_at)
    incident.earlier_perhaps_s += incident.ended.perhaps_s
    gap_s = x.first_bad_at - max(incident.ended.recovered_at, x.last_good_at or 0.0)
    incident.unheard_s = None if incident.unheard_s is None else max(incident.unheard_s, gap_s)
    incident.ended, incident.judged, incident.dark_since, incident.dark_s = None, None, None, 0.0
    incident.tiers.clear()
    incident.episodes += 1
    incident.episode_first_bad_at, incident.episode_opened_at = x.first_bad_at, x.at
    incident.last_good_at, incident.place, incident.evidence = x.last_good_at, x.place, x.evidence
    state = d.services[incident.service]
    state.incident, state.healthy_since = x.incident, None


def _incident_ended(d: Decided, x: r.IncidentEnded) -> None:
    incident = _incident(d, x.incident)
    if incident.ended is not None:
        raise IllegalRecord(f"incident {x.incident} has ended already")
    incident.ended = x
    state = d.services[incident.service]
    state.incident, state.recovered_at, state.healthy_since = None, x.recovered_at, x.recovered_at
    if state.frozen is not None and state.frozen.reason is Reason.MASS_FAILURE:
        state.frozen = None  # a mass failure lets go when the checks come back; only flapping outlives a success


def _service_judged(d: Decided, x: r.ServiceJudged) -> None:
    incident = _incident(d, x.incident)
    incident.judged = x
    if not x.dark:
        incident.dark_s, incident.dark_since = incident.doubted_s(x.at), None
    elif incident.dark_since is None:
        incident.dark_since = x.at if x.dark_since is None else x.dark_since


def _tier_judged(d: Decided, x: r.TierJudged) -> None:
    _incident(d, x.incident).tiers[x.tier] = TierLedger(x.move, x.state, x.reason, x.evidence, x.at)


def _run_started(d: Decided, x: r.RunStarted) -> None:
    for resource in x.resources:
        holder = d.holder_of(resource)
        if holder is not None:
            raise IllegalRecord(f"run {x.run} wants {resource}, which run {holder.id} holds")
    d.run_count += 1
    d.runs[x.run] = Run(x, [Step(s.name, s.kind, s.place, s.hand_over, simulated=s.simulated) for s in x.steps])
    if x.drill:
        drills.unfinished(d, x.drill).runs.append(x.run)
    state = d.services[x.service]
    if x.origin is r.Origin.AUTOMATIC:
        state.automatic_moves.append(x.at)
        del state.automatic_moves[:-KEPT_DURATIONS]
    if x.incident:
        _incident(d, x.incident).runs.append(x.run)
    forget(d.runs, lambda run: run.ended.at if run.ended and not drills.goes_on(d, run) else None, KEPT_RUNS)


def _step(d: Decided, run: str, name: str, event: StepEvent) -> Step:
    """The step, in the state that this event takes it to."""
    step = _run(d, run).step(name)
    try:
        step.state = next_state(STEP, step.state, event)
    except Illegal as why:
        raise IllegalRecord(f"step {name} of run {run} cannot {event.value}: {why}") from None
    return step


def _recheck_added(d: Decided, x: r.RecheckAdded) -> None:
    run = _run(d, x.run)
    before = run.step(x.before)
    if before.state is not r.StepState.PENDING or any(s.name == x.step for s in run.steps):
        raise IllegalRecord(f"cannot add {x.step} before {x.before} of run {x.run}: it is {before.state.value}")
    run.steps.insert(run.steps.index(before), Step(x.step, x.planned.kind))


def _step_began(d: Decided, x: r.StepBegan) -> None:
    step = _run(d, x.run).step(x.step)
    if x.attempt != step.attempt + 1:
        raise IllegalRecord(f"attempt {x.attempt} of {x.run}/{x.step} follows attempt {step.attempt}")
    step = _step(d, x.run, x.step, StepEvent.BEGIN)
    step.attempt, step.attempt_at, step.machine = x.attempt, x.at, x.machine
    step.began_at = x.at if step.began_at is None else step.began_at


def _step_left_unseen(d: Decided, x: r.StepLeftUnseen) -> None:
    _step(d, x.run, x.step, StepEvent.LEAVE_UNSEEN)


def _step_looked(d: Decided, x: r.StepLooked) -> None:
    step = _step(d, x.run, x.step, StepEvent.LOOK_AT)
    step.looked_at, step.reason, step.evidence = x.at, x.reason, x.evidence
    step.looked_attempt = x.attempt


def _step_retried(d: Decided, x: r.StepRetried) -> None:
    step = _step(d, x.run, x.step, StepEvent.RETRY)
    step.reason, step.evidence = x.reason, x.evidence


def _step_finished(d: Decided, x: r.StepFinished) -> None:
    if x.state not in ENDED_BY:
        raise IllegalRecord(f"step {x.step} of run {x.run} cannot finish as {x.state.value}")
    step = _step(d, x.run, x.step, ENDED_BY[x.state])
    step.ended_at, step.reason, step.evidence = x.at, x.reason, x.evidence
    step.tasks, step.unguarded, step.stats = x.tasks, x.unguarded, x.stats
    if step.began_at is None:
        step.began_at = x.at
    run = d.runs[x.run]
    measured = step.traits.by is not By.PERSON and not step.simulated and run.measured_since(step.began_at)
    if x.state is r.StepState.DONE and measured:
        remember(drills.durations(d, run), f"{run.started.move}/{step.kind.value}", x.at - step.began_at)


def _run_needs_human(d: Decided, x: r.RunNeedsHuman) -> None:
    _run(d, x.run).goes_to_a_person(x)


def _run_ended(d: Decided, x: r.RunEnded) -> None:
    run = _run(d, x.run)
    run.ended = x
    started = run.started
    if x.ok and run.measured_since(started.at) and not run.rehearses:
        waited = sum(s.took_s or 0.0 for s in run.steps if s.traits.by is By.PERSON)
        remember(drills.durations(d, run), started.move, x.at - started.at - waited)
    state = d.services[started.service]
    verify = run.verify
    verified = verify is not None and verify.state is r.StepState.DONE
    if verified and state.incident is None:
        state.moved_at = run.verified_at
    left = started.from_place if started.to_place else started.move
    if (x.ok or verified) and started.incident and left and left != started.to_place:
        state.left[left] = x.at
    execute = run.execute
    tried = execute is not None and execute.begun  # a place that nothing was begun at has not failed
    if not x.ok and started.to_place and tried and not verified:
        state.left[started.to_place] = x.at


def _run_approved(d: Decided, x: r.RunApproved) -> None:
    run = _run(d, x.run)
    run.approved, run.human = x, None
    if x.fenced:
        run.fenced_by_hand[x.fenced] = x


def _abort_asked(d: Decided, x: r.AbortAsked) -> None:
    _run(d, x.run).abort = x


def _placement_changed(d: Decided, x: r.PlacementChanged) -> None:
    state = d.services[x.service]
    state.formerly = [*state.formerly, (x.at, state.place)][-FORMERLY:]
    state.place = x.place


def _may_act_added(d: Decided, x: r.MayActAdded) -> None:
    d.services[x.service].may_act.add(x.place)


def _may_act_removed(d: Decided, x: r.MayActRemoved) -> None:
    d.services[x.service].may_act.discard(x.place)


def _move_engaged(d: Decided, x: r.MoveEngaged) -> None:
    if x.engaged:
        d.engaged[x.move] = x.run
    else:
        d.engaged.pop(x.move, None)


def _service_frozen(d: Decided, x: r.ServiceFrozen) -> None:
    d.services[x.service].frozen = x


def _word_accepted(d: Decided, x: r.WordAccepted) -> None:
    _keep_word(d, x.word, x)
    if x.kind is WordKind.HOLD:
        d.holds[x.subject] = x
    elif x.kind is WordKind.RESUME:
        d.holds.pop(x.subject, None)
        for name, state in d.services.items():
            if covers(x.subject, name):
                state.frozen, state.resumed_at = None, x.at
    elif x.kind is WordKind.MAINTENANCE:
        d.maintenance[x.subject] = x.ends_at if x.ends_at is not None else x.at
    elif x.kind is WordKind.MAINTENANCE_END:
        d.maintenance.pop(x.subject, None)
    elif x.kind is WordKind.SUSPECT:
        d.suspected[x.subject] = x
    elif x.kind is WordKind.CLEAR:
        d.suspected.pop(x.subject, None)


def _word_refused(d: Decided, x: r.WordRefused) -> None:
    _keep_word(d, x.word, x)


def _playbook_seen(d: Decided, x: r.PlaybookSeen) -> None:
    if x.evidence:
        d.edited[x.digest] = x.evidence
    else:
        d.edited.pop(x.digest, None)


def _window_opened(d: Decided, x: r.WindowOpened) -> None:
    d.maintenance[f"{x.subject}#{x.window}"] = x.ends_at


def _window_closed(d: Decided, x: r.WindowClosed) -> None:
    d.maintenance.pop(f"{x.subject}#{x.window}", None)


def _keep_word(d: Decided, word: str, record: r.WordAccepted | r.WordRefused) -> None:
    if word in d.words:
        raise IllegalRecord(f"word {word} has its answer already")
    d.words[word] = record
    forget(d.words, lambda said: said.at, 5 * KEPT_RUNS)


def _happens(event: RunEvent, change: Callable[[Decided, Any], None]) -> Callable[[Decided, Any], None]:
    """A change that takes a run to the state that the table says, and to no other."""

    def apply_it(d: Decided, x: r.RunNeedsHuman | r.RunApproved | r.RunEnded) -> None:
        run = _run(d, x.run)
        try:
            after = next_state(RUN, run.state, event)
        except Illegal as why:
            raise IllegalRecord(f"run {x.run} cannot {event.value}: {why}") from None
        change(d, x)
        if run.state is not after:
            raise IllegalRecord(f"run {x.run} is {run.state.value} once it could {event.value}, not {after.value}")

    return apply_it


_APPLY: dict[type, Callable[[Decided, Any], None]] = {
    r.ControllerBegan: _controller_began,
    r.Configured: _configured,
    r.VerdictChanged: _verdict_changed,
    r.IncidentOpened: _incident_opened,
    r.IncidentReopened: _incident_reopened,
    r.IncidentEnded: _incident_ended,
    r.ServiceJudged: _service_judged,
    r.TierJudged: _tier_judged,
    r.RunStarted: _run_started,
    r.RecheckAdded: _recheck_added,
    r.StepBegan: _step_began,
    r.StepLeftUnseen: _step_left_unseen,
    r.StepLooked: _step_looked,
    r.StepRetried: _step_retried,
    r.StepFinished: _step_finished,
    r.RunNeedsHuman: _happens(RunEvent.HAND_OVER, _run_needs_human),
    r.RunBroken: drills.broken,
    r.DrillBegan: drills.began,
    r.DrillTurnedBack: drills.turned_back,
    r.DrillEnded: drills.ended,
    r.ScheduleInForce: scheduled.in_force,
    r.DrillDrawn: scheduled.drawn,
    r.DrillCameDue: scheduled.came_due,
    r.DrillHeldUp: scheduled.held_up,
    r.DrillMissed: scheduled.missed,
    r.FindingOpened: findings.opened,
    r.FindingClosed: findings.closed,
    r.NothingFound: findings.nothing,
    r.RunEnded: _happens(RunEvent.END, _run_ended),
    r.RunApproved: _happens(RunEvent.APPROVE, _run_approved),
    r.AbortAsked: _abort_asked,
    r.PlacementChanged: _placement_changed,
    r.MayActAdded: _may_act_added,
    r.MayActRemoved: _may_act_removed,
    r.MoveEngaged: _move_engaged,
    r.ServiceFrozen: _service_frozen,
    r.WordAccepted: _word_accepted,
    r.WordRefused: _word_refused,
    r.PlaybookSeen: _playbook_seen,
    r.WindowOpened: _window_opened,
    r.WindowClosed: _window_closed,
    r.NoticeDue: notices_due.notice_due,
    r.NoticeSettled: notices_due.notice_settled,
    r.NoticeRepeated: notices_due.notice_repeated,
    r.NoticeDropped: notices_due.notice_dropped,
}
