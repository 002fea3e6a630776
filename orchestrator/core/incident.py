"""One service's incident: opened by its diagnosis, judged by policy and ladder, ended by good answers.

The one rule it keeps: an open incident is always in somebody's hands: a run's, a wait with a reason and an end,
or a named human who has been told.
"""

from __future__ import annotations

from orchestrator.core import endings, failback, ladder, policy, run
from orchestrator.core import records as r
from orchestrator.core.commands import NoticeKind
from orchestrator.core.decided import Incident, Run
from orchestrator.core.diagnosis import USABLE
from orchestrator.core.durations import show_duration
from orchestrator.core.ladder import Assessment
from orchestrator.core.model import Mode, Service
from orchestrator.core.policy import Finding
from orchestrator.core.reasons import Reason
from orchestrator.core.start import start_run
from orchestrator.core.turn import Turn

RECONSIDER_S = 5.0  # how often a ladder without a tier left is assessed again
MTD_NEAR = 0.8  # share of the maximum tolerable downtime after which people are told
ASKED_FOR = 3  # runs of a move in one outage that ended since nothing answered for its preconditions
NOT_THE_TIERS_FAULT = (
    Reason.HELD,
    Reason.IN_MAINTENANCE,
    Reason.BLIND,
    Reason.NO_QUORUM,
    Reason.MASS_FAILURE,
    Reason.OBSERVE_ONLY,
    Reason.APPROVAL_NEEDED,
    Reason.COMPROMISE_SUSPECTED,
    Reason.FENCE_NOT_AUTOMATIC,
    Reason.PLAN_CHANGED,
    Reason.RECOVERED_BY_ITSELF,
)


def attend(turn: Turn, service: Service) -> None:
    """Open, judge or end the service's incident, as its checks and runs say now."""
    at_work = turn.decided.run_for(service.id)
    incident = turn.incident(service)
    if incident is None:
        at_rest = at_work is None or at_work.human is not None or _prepares(at_work)
        if at_rest and turn.health(service) is r.Verdict.DOWN:
            incident = _open(turn, service)
        elif at_work is None:
            _failback_by_itself(turn, service)
    if incident is None or _ended(turn, service, incident, at_work):
        return
    _watch_mtd(turn, service, incident)
    _book_failures(turn, service, incident)
    if at_work is not None and _goes_back(at_work) and not at_work.committed and at_work.abort is None:
        why = f"{incident.id} is open: nothing goes back by itself meanwhile"
        turn.record(r.AbortAsked(turn.now, at_work.id, "bascule", why))
        run.abort(turn, at_work)
        at_work = turn.decided.run_for(service.id)
    if at_work is None:
        _decide(turn, service, incident)


def _goes_back(at_work: Run) -> bool:
    """Whether this is a failback by itself."""
    return at_work.started.origin is r.Origin.AUTOMATIC and at_work.started.incident is None


def _prepares(at_work: Run) -> bool:
    """Whether the run has stopped nothing yet, and may take hours to: what fails meanwhile fails by itself."""
    return not at_work.committed and (at_work.past_the_fence or _goes_back(at_work))


def is_braked(turn: Turn, service: Service) -> bool:
    """Whether automatic action is stopped until a named person resumes it."""
    incident = turn.incident(service)
    mass = incident is not None and incident.judged is not None and incident.judged.reason is Reason.MASS_FAILURE
    return turn.state(service).frozen is not None or mass


# ---- opening and ending


def _open(turn: Turn, service: Service) -> Incident:
    state = turn.state(service)
    first_bad_at = turn.first_bad(service.healthy_when, turn.now)
    last_good_at = turn.last_good(service.healthy_when)
    evidence = turn.behind(service.healthy_when, r.Verdict.DOWN)
    last = turn.decided.incidents.get(state.last_incident or "")
    relapse_s = turn.limits(service.client).relapse_s
    if last is not None and last.ended is not None and turn.now - last.ended.recovered_at <= relapse_s:
        turn.record(r.IncidentReopened(turn.now, last.id, first_bad_at, state.place, evidence, last_good_at))
        incident = last
    else:
        name = f"i{turn.decided.incident_count + 1}"
        turn.record(r.IncidentOpened(turn.now, name, service.id, first_bad_at, state.place, evidence, last_good_at))
        incident = turn.decided.incidents[name]
    for_s = show_duration(turn.now - first_bad_at)
    text = f"{service.id} is down at {state.place or 'its place'} for {for_s}: {evidence}"
    turn.tell(_notice(incident, "opened"), NoticeKind.INCIDENT_OPENED, service.id, text)
    return incident


def _ended(turn: Turn, service: Service, incident: Incident, at_work: Run | None) -> bool:
    """End the incident if good answers say so; whether it ended."""
    own = _last_run(turn, incident)
    verify = own.of_kind(r.StepKind.VERIFY) if own else None
    verified = own is not None and verify is not None and verify.state is r.StepState.DONE
    if verified and own is not None and _fresh_after(turn, service, own):
        _end(turn, service, incident, Reason.VERIFIED, own)
        return True
    if at_work is not None and (at_work.past_the_fence or at_work.isolating):
        return False
    other = _moved_for_another(turn, service, incident)
    if verified and own is not None and other is not None and other.started.at < own.started.at:
        return False  # what is asked since then is about to be answered: it is not well by the earlier run
    if other is not None and _fresh_after(turn, service, other):
        reason = Reason.RECOVERED_WITH_ANOTHER
    elif turn.health(service) in USABLE:
        reason = Reason.RECOVERED_BY_ITSELF if other is None else Reason.RECOVERED_WITH_ANOTHER
    else:
        return False
    if at_work is not None:
        endings.cancel(turn, at_work, Reason.RECOVERED_BY_ITSELF, turn.behind(service.healthy_when, r.Verdict.UP))
    _end(turn, service, incident, reason, other if reason is Reason.RECOVERED_WITH_ANOTHER else None)
    return True


def _end(turn: Turn, service: Service, incident: Incident, reason: Reason, by: Run | None) -> None:
    evidence = "; ".join(turn.evidence(c) for c in dict.fromkeys(service.healthy_when.checks()))
    if by is not None and reason is Reason.VERIFIED and by.started.tier is not None:
        _judge_tier(
            turn, incident, by.started.tier, Assessment(by.started.move, r.TierState.RECOVERED, reason, evidence)
        )
    rta_s = turn.now - incident.first_bad_at
    how = f"by {by.started.move} ({by.id})" if by else "by itself"
    turn.record(r.IncidentEnded(turn.now, incident.id, reason, evidence, turn.now, rta_s))
    kept = "within" if rta_s <= service.rto_s else "beyond"
    outage = show_duration(turn.now - incident.episode_first_bad_at)
    text = f"{service.id} works again {how} after {outage}, {kept} its RTO of {show_duration(service.rto_s)}"
    turn.tell(_notice(incident, "recovered"), NoticeKind.RECOVERED, service.id, text)


def _fresh_after(turn: Turn, service: Service, moved: Run) -> bool:
    """Whether good answers, to questions asked after the move took effect, say that the service works."""
    execute = moved.of_kind(r.StepKind.EXECUTE)
    since = execute.ended_at if execute else None
    return since is not None and turn.fresh(service.healthy_when, since) in USABLE


def _last_run(turn: Turn, incident: Incident) -> Run | None:
    """The incident's latest run of the present outage."""
    name = incident.runs[-1] if incident.runs else None
    found = turn.decided.runs.get(name or "")
    return found if found is not None and found.started.at >= incident.episode_opened_at else None


def _moved_for_another(turn: Turn, service: Service, incident: Incident) -> Run | None:
    """The latest run for another service, verified or still at it, of a dependency or of a move that both share."""
    needs = set(policy.dependencies(turn, service))
    shared = {tier.move for tier in service.ladder}
    found = [
        x
        for x in turn.decided.runs.values()
        if x.started.service != service.id
        and (x.started.service in needs or x.started.move in shared)
        and x.past_the_fence
        and (x.ended is None or (x.ended.ok and x.ended.at >= incident.episode_first_bad_at))
    ]
    return max(found, key=lambda x: x.started.at, default=None)


def _watch_mtd(turn: Turn, service: Service, incident: Incident) -> None:
    """People are told when the maximum tolerable downtime is nearly over, and when it is: by then it is theirs."""
    if service.mtd_s is None:
        return
    told = None
    for share, word in ((MTD_NEAR, "near"), (1.0, "over")):
        at = incident.first_bad_at + share * service.mtd_s
        if turn.now < at:
            turn.wake(at)
            break
        told = word
    if told is not None:
        down, mtd = show_duration(turn.now - incident.first_bad_at), show_duration(service.mtd_s)
        text = f"{service.id} is down for {down}: its maximum tolerable downtime of {mtd} is {told}"
        notice = _notice(incident, f"mtd {told}")
        turn.tell(notice, NoticeKind.HUMAN_NEEDED, service.id, text, say="bascule status")


# ---- judging


def _book_failures(turn: Turn, service: Service, incident: Incident) -> None:
    """A run of this outage that ended badly, or whose service did not come back, is its tier's failure."""
    last = _last_run(turn, incident)
    if last is None or last.ended is None or last.started.tier is None:
        return
    tier = last.started.tier
    ledger = incident.tiers.get(tier)
    if ledger is not None and ledger.state is r.TierState.FAILED:
        return
    if not last.ended.ok:
        if last.ended.reason in NOT_THE_TIERS_FAULT or _could_not_ask(turn, incident, last):
            return
        failed = Assessment(last.started.move, r.TierState.FAILED, last.ended.reason, last.ended.evidence)
    elif turn.now >= last.ended.at + service.settle_s:
        evidence = turn.behind(service.healthy_when, r.Verdict.DOWN)
        failed = Assessment(last.started.move, r.TierState.FAILED, Reason.VERIFY_FAILED, evidence)
    else:
        return
    _judge_tier(turn, incident, tier, failed)
    text = f"{service.id}: tier {tier} {failed.move} failed: {failed.reason.value}: {failed.evidence}"
    turn.tell(f"{last.id}/failed", NoticeKind.TIER_FAILED, service.id, text)


def _could_not_ask(turn: Turn, incident: Incident, last: Run) -> bool:
    """Whether nothing answered for the move's preconditions, and it may be asked for again: a machine just up is slow.

    What is viable is judged anew; after ASKED_FOR times in one outage the tier has failed, and the next has its turn.
    """
    if last.ended is None or last.ended.reason is not Reason.VIABILITY_UNKNOWN or last.past_the_fence:
        return False
    runs = [turn.decided.runs[name] for name in incident.runs if name in turn.decided.runs]
    same = [x for x in runs if x.started.at >= incident.episode_opened_at and x.started.move == last.started.move]
    return len(same) < ASKED_FOR


def _patient_since(turn: Turn, incident: Incident) -> float:
    """When the time began in which an unknown precondition may delay the choice: anew where one could not be asked.

    And not before the outage was seen as it is seen now: after a restart of the machine all is asked anew.
    """
    last = _last_run(turn, incident)
    if last is not None and last.ended is not None and _could_not_ask(turn, incident, last):
        return last.ended.at
    asked = dict.fromkeys(turn.model.services[incident.service].healthy_when.checks())
    fell = [v.at for c in asked if (v := turn.decided.verdicts.get(c)) is not None and v.verdict is r.Verdict.DOWN]
    return max(incident.episode_opened_at, min(fell, default=0.0))


def _settling(turn: Turn, service: Service, incident: Incident) -> Finding | None:
    """A move that may have helped has just ended: the service's own checks are given time."""
    own = _last_run(turn, incident)
    ended = [x for x in (own, _moved_for_another(turn, service, incident)) if x and x.ended and x.ended.ok]
    for moved in ended:
        until = (moved.ended.at if moved.ended else 0.0) + service.settle_s
        if turn.now < until:
            turn.wake(until)
            return Finding(r.Decision.WAIT, Reason.SETTLING, f"{moved.started.move} ({moved.id}) has just ended")
    return None


def _decide(turn: Turn, service: Service, incident: Incident) -> None:
    finding = _settling(turn, service, incident) or policy.objection(turn, service)
    if finding is not None:
        _judge(turn, incident, finding)
        if finding.decision is r.Decision.ASK:
            _freeze(turn, service, incident, finding)
        return
    assessments = ladder.assess_ladder(turn, service, _patient_since(turn, incident))
    index = ladder.chosen(assessments)
    for tier, assessment in enumerate(assessments[:index], start=1):
        _judge_tier(turn, incident, tier, assessment)
    if index is None:
        _no_tier_left(turn, service, incident, assessments)
        return
    choice = assessments[index]
    if choice.reason is not Reason.TIER_CHOSEN:
        _judge_tier(turn, incident, index + 1, choice)
        _judge(turn, incident, Finding(r.Decision.WAIT, choice.reason, choice.evidence))
        return
    _take(turn, service, incident, index + 1, choice, assessments[:index])


def _take(
    turn: Turn, service: Service, incident: Incident, tier: int, choice: Assessment, refused: list[Assessment]
) -> None:
    asks = (*policy.asks(turn, service), *choice.asks)
    passed = "".join(f"; tier {n} {a.move}: {a.reason.value}: {a.evidence}" for n, a in enumerate(refused, start=1))
    if service.mode is Mode.OBSERVE:
        would = f"would run tier {tier} {choice.move}" + (f", asking: {'; '.join(asks)}" if asks else "")
        _judge(turn, incident, Finding(r.Decision.REFRAIN, Reason.OBSERVE_ONLY, would))
        text = f"{service.id}: {would} (mode observe){passed}"
        turn.tell(_notice(incident, f"observe/{tier}"), NoticeKind.TIER_CHOSEN, service.id, text)
        return
    decision = r.Decision.ASK if asks else r.Decision.ACT
    _judge(turn, incident, Finding(decision, Reason.TIER_CHOSEN, f"tier {tier} {choice.move}: {choice.evidence}"))
    running = Assessment(choice.move, r.TierState.RUNNING, Reason.TIER_CHOSEN, choice.evidence)
    _judge_tier(turn, incident, tier, running)
    isolate = policy.isolates(turn, service)
    origin, reason = r.Origin.AUTOMATIC, Reason.SERVICE_DOWN
    started = start_run(turn, service, choice.move, origin=origin, reason=reason, asks=asks, tier=tier, isolate=isolate)
    text = f"{service.id}: tier {tier} {choice.move} chosen ({started.id}), {choice.evidence}{passed}"
    turn.tell(f"{started.id}/chosen", NoticeKind.TIER_CHOSEN, service.id, text)
    run.advance(turn, started)


def _no_tier_left(turn: Turn, service: Service, incident: Incident, assessments: list[Assessment]) -> None:
    told = "; ".join(f"tier {n} {a.move}: {a.reason.value}: {a.evidence}" for n, a in enumerate(assessments, start=1))
    _judge(turn, incident, Finding(r.Decision.ASK, Reason.NO_TIER_LEFT, told))
    text = f"{service.id} is down and no tier is left: {told}"
    notice = _notice(incident, f"no tier left/{len(incident.runs)}")  # again after each move tried in vain
    turn.tell(notice, NoticeKind.HUMAN_NEEDED, service.id, text)
    turn.wake(turn.now + RECONSIDER_S)


def _freeze(turn: Turn, service: Service, incident: Incident, finding: Finding) -> None:
    if finding.reason is Reason.FLAPPING and turn.state(service).frozen is None:
        turn.record(r.ServiceFrozen(turn.now, service.id, finding.reason, finding.evidence))
    else:
        turn.wake(turn.now + RECONSIDER_S)
    text = f"{service.id} is down and nothing is done by itself: {finding.reason.text}: {finding.evidence}"
    notice = _notice(incident, f"{finding.reason.value}/{turn.state(service).resumed_at:.3f}")
    braked = finding.reason in (Reason.FLAPPING, Reason.MASS_FAILURE)
    say = f"bascule resume {service.id}" if braked else f"bascule failover {service.id}"
    turn.tell(notice, NoticeKind.HUMAN_NEEDED, service.id, text, say=say)


def _judge(turn: Turn, incident: Incident, finding: Finding) -> None:
    """Record policy's answer, if decision or reason are new."""
    last = incident.judged
    if last is None or (last.decision, last.reason) != (finding.decision, finding.reason):
        turn.record(r.ServiceJudged(turn.now, incident.id, finding.decision, finding.reason, finding.evidence))


def _judge_tier(turn: Turn, incident: Incident, tier: int, found: Assessment) -> None:
    """Record a tier's state, if state or reason are new."""
    last = incident.tiers.get(tier)
    if last is None or (last.move, last.state, last.reason) != (found.move, found.state, found.reason):
        turn.record(r.TierJudged(turn.now, incident.id, tier, found.move, found.state, found.reason, found.evidence))


def _notice(incident: Incident, what: str) -> str:
    return f"{incident.id}.{incident.episodes}/{what}"


# ---- going back by itself


def _failback_by_itself(turn: Turn, service: Service) -> None:
    """Only where the author wants it, in mode auto, healthy for long enough, and never in an open incident."""
    if not service.automatic_failback or service.mode is not Mode.AUTO or turn.health(service) not in USABLE:
        return
    state, ways = turn.state(service), failback.candidates(turn.decided, turn.model, service)
    if not ways or state.healthy_since is None or policy.objection(turn, service) is not None:
        return
    wait = failback.waits(turn.decided, turn.model, service, turn.now)
    if wait is not None:
        turn.wake(wait.until)
        return
    move = turn.model.moves[ways[0]]
    needs_hand_over = bool(ladder.to_fence(turn, service, move)) and move.hand_over is None
    if turn.says(move.viable_when) not in USABLE or needs_hand_over or ladder.held_up(turn, move) is not None:
        return
    asks = tuple(policy.asks(turn, service))
    going = start_run(turn, service, move.id, origin=r.Origin.AUTOMATIC, reason=Reason.CONDITIONS_MET, asks=asks)
    well = show_duration(turn.now - state.healthy_since)
    text = f"{service.id} goes back by itself: {move.id} ({going.id}), after {well} in health"
    turn.tell(f"{going.id}/chosen", NoticeKind.TIER_CHOSEN, service.id, text)
    run.advance(turn, going)
