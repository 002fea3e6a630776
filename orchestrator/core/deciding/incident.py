"""One service's incident: opened by its diagnosis, judged by policy and ladder, ended by good answers.

The one rule it keeps: an open incident is always in somebody's hands: those of a run, of a wait with a reason and an
end, or of a named human who has been told.
"""

from __future__ import annotations

from orchestrator.core import records as r
from orchestrator.core.commands import NoticeKind
from orchestrator.core.deciding import recovery
from orchestrator.core.deciding.recovery import at_most, judge_tier, last_run, let_go, moved_for_another, notice_of
from orchestrator.core.durations import show_duration
from orchestrator.core.health.diagnosis import USABLE
from orchestrator.core.model import Mode, Service
from orchestrator.core.reasons import IN_THE_DARK, UNSEEN, Reason
from orchestrator.core.rules import failback, ladder, policy
from orchestrator.core.rules.ladder import Assessment
from orchestrator.core.rules.policy import Finding
from orchestrator.core.runs import run
from orchestrator.core.runs.starting import start_run
from orchestrator.core.sentences import Sentence
from orchestrator.core.state.decided import Incident, Run
from orchestrator.core.turn import Turn

RECONSIDER_S = 5.0  # how often a ladder without a tier left is assessed again
SEEN = "seen"  # of a notice: that some vantages see it down, and too few to say so
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
NAMED = (
    Reason.HELD,
    Reason.IN_MAINTENANCE,
    Reason.RESOURCE_BUSY,
    Reason.SETTLING,
    Reason.TOO_MANY_FAILOVERS,
    Reason.TIER_CHOSEN,
    Reason.OBSERVE_ONLY,
    Reason.NO_QUORUM,
)
"""Their evidence names a person, a window, a run or a tier, and does not change with every answer (see `_renamed`)."""


def attend(turn: Turn, service: Service) -> None:
    """Open, judge or end the service's incident, as its checks and runs say now."""
    at_work = turn.decided.run_for(service.id)
    incident = turn.incident(service)
    if incident is None:
        if turn.health(service) is r.Verdict.DOWN and _fails_by_itself(turn, service, at_work):
            incident = _open(turn, service)
        elif at_work is None:
            _failback_by_itself(turn, service)
    if incident is None:
        return
    _book_failures(turn, service, incident)
    tidies = at_work is not None and _tidies_up(at_work, incident)
    if recovery.ended(turn, service, incident, None if tidies else at_work):
        return
    _tell_when_known(turn, service, incident)
    _watch_mtd(turn, service, incident)
    if at_work is not None and _goes_back(at_work) and not at_work.committed and at_work.abort is None:
        why = f"{incident.id} is open: no automatic failback meanwhile"
        turn.record(r.AbortAsked(turn.now(), at_work.id, "bascule", why))
        run.abort(turn, at_work)
        at_work = turn.decided.run_for(service.id)
    if at_work is None:
        _decide(turn, service, incident)
    elif tidies:
        evidence = f"{at_work.id} ({at_work.started.move}) finishes; to stop it: bascule abort {at_work.id}"
        _judge(turn, incident, Finding(r.Decision.WAIT, Reason.RESOURCE_BUSY, evidence))


def _goes_back(at_work: Run) -> bool:
    """Whether this is a failback by itself."""
    return at_work.started.origin is r.Origin.AUTOMATIC and at_work.started.incident is None


def _fails_by_itself(turn: Turn, service: Service, at_work: Run | None) -> bool:
    """Whether a service that is down is so by itself, and not by the run that is at work for it."""
    if at_work is None or at_work.human is not None or _prepares(at_work):
        return True
    if at_work.verified_at is None:
        return False
    settled_at = at_work.verified_at + service.settle_s  # its own checks are given time, as after any run
    turn.wake(settled_at)
    return turn.now() >= settled_at or turn.first_bad(service.healthy_when, turn.now()) > at_work.verified_at


def _tidies_up(at_work: Run, incident: Incident) -> bool:
    """Whether what the run promised was verified before this outage: it may finish for hours, and brings nothing."""
    return at_work.verified_at is not None and at_work.verified_at <= incident.episode_opened_at


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
    first_bad_at = turn.first_bad(service.healthy_when, turn.now())
    last_good_at = turn.last_good(service.healthy_when)
    evidence = turn.behind(service.healthy_when, r.Verdict.DOWN)
    last = turn.decided.incidents.get(state.last_incident or "")
    relapse_s = turn.limits(service.client).relapse_s
    if last is not None and last.ended is not None and turn.now() - last.ended.recovered_at <= relapse_s:
        first_bad_at = max(first_bad_at, last.ended.recovered_at)  # it worked then: no second is counted twice
        turn.record(r.IncidentReopened(turn.now(), last.id, first_bad_at, state.place, evidence, last_good_at))
        incident = last
    else:
        name = f"i{turn.decided.incident_count + 1}"
        turn.record(r.IncidentOpened(turn.now(), name, service.id, first_bad_at, state.place, evidence, last_good_at))
        incident = turn.decided.incidents[name]
    seen = policy.no_quorum(turn, service)
    if seen is None:
        _tell_down(turn, service, incident, "opened", evidence)
    else:
        outage = show_duration(turn.now() - incident.episode_first_bad_at)
        text = Sentence.SEEN_DOWN.say(service=service.id, outage=outage, evidence=seen.evidence)
        turn.tell(notice_of(incident, SEEN), NoticeKind.INCIDENT_OPENED, service.id, text)
    return incident


def _tell_down(turn: Turn, service: Service, incident: Incident, what: str, evidence: str) -> None:
    sentence = Sentence.IS_DOWN if incident.episodes == 1 else Sentence.IS_DOWN_AGAIN
    text = sentence.say(
        service=service.id,
        place=_where(turn, service),
        outage=at_most(turn.now() - incident.episode_first_bad_at, incident.doubted_s(turn.now())),
        together=at_most(turn.now() - incident.clock_at, incident.earlier_perhaps_s + incident.doubted_s(turn.now())),
        outages=incident.episodes,
        incident=incident.id,
        evidence=evidence,
    )
    turn.tell(notice_of(incident, what), NoticeKind.INCIDENT_OPENED, service.id, text)


def _where(turn: Turn, service: Service) -> str:
    """The place on record; where that was taken out, those that may act."""
    state = turn.state(service)
    where = " or ".join(sorted(state.may_act)) if state.taken_out else ""
    return where or state.place or "its place"


def _tell_when_known(turn: Turn, service: Service, incident: Incident) -> None:
    """Whoever was told that some see it down is told when enough of them do."""
    told = notice_of(incident, SEEN) in turn.decided.told
    if told and turn.health(service) is r.Verdict.DOWN and policy.no_quorum(turn, service) is None:
        _tell_down(turn, service, incident, "down", turn.behind(service.healthy_when, r.Verdict.DOWN))


def _watch_mtd(turn: Turn, service: Service, incident: Incident) -> None:
    """People are told when the maximum tolerable downtime is nearly over, and when it is: by then it is theirs."""
    if service.mtd_s is None:
        return
    told = None
    for share, word in ((MTD_NEAR, "near"), (1.0, "over")):
        at = incident.clock_at + share * service.mtd_s
        if turn.now() < at:
            turn.wake(at)
            break
        told = word
    if told is not None:
        one = incident.episodes == 1
        if turn.health(service) is r.Verdict.DOWN and policy.no_quorum(turn, service) is None:
            sentence = Sentence.MTD if one else Sentence.MTD_OF_SEVERAL
        else:  # it may be well and wait for its run, or nobody can say
            sentence = Sentence.MTD_OPEN if one else Sentence.MTD_OPEN_OF_SEVERAL
        text = sentence.say(
            service=service.id,
            down=show_duration(turn.now() - incident.clock_at),
            outages=incident.episodes,
            incident=incident.id,
            mtd=show_duration(service.mtd_s),
            near=told,
        )
        notice = notice_of(incident, f"mtd {told}")
        turn.tell(notice, NoticeKind.HUMAN_NEEDED, service.id, text, say="bascule status")


# ---- judging


def _book_failures(turn: Turn, service: Service, incident: Incident) -> None:
    """A run of this outage that ended badly, or whose service did not come back, is its tier's failure."""
    last = last_run(turn, incident)
    if last is None or last.ended is None or last.started.tier is None:
        return
    move = last.started.move
    if any(x.move == move and x.state is r.TierState.FAILED for x in incident.tiers.values()):
        return  # by the move: numbers shift with the ladder, and another's judgement under its old one is not its own
    tier = next((n for n, t in enumerate(service.ladder, start=1) if t.move == move), last.started.tier)
    if not last.ended.ok:
        if last.ended.reason in NOT_THE_TIERS_FAULT or _could_not_ask(turn, incident, last):
            let_go(turn, incident, last)
            return
        failed = Assessment(last.started.move, r.TierState.FAILED, last.ended.reason, last.ended.evidence)
    elif turn.now() >= last.ended.at + service.settle_s and turn.health(service) not in USABLE:
        evidence = turn.behind(service.healthy_when, r.Verdict.DOWN)
        failed = Assessment(last.started.move, r.TierState.FAILED, Reason.VERIFY_FAILED, evidence)
    else:
        return
    judge_tier(turn, incident, tier, failed)
    sentence = Sentence.TIER_FAILED if last.ended.ok or last.failed else Sentence.TIER_NOT_MADE
    why = f"{failed.reason.value}: {failed.evidence}"
    text = sentence.say(service=service.id, tier=tier, move=failed.move, why=why)
    kind = NoticeKind.TIER_FAILED if sentence is Sentence.TIER_FAILED else NoticeKind.NOT_MADE
    turn.tell(f"{last.id}/failed", kind, service.id, text)


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
    last = last_run(turn, incident)
    if last is not None and last.ended is not None and _could_not_ask(turn, incident, last):
        return last.ended.at
    asked = dict.fromkeys(turn.model.services[incident.service].healthy_when.checks())
    fell = [v.at for c in asked if (v := turn.decided.verdicts.get(c)) is not None and v.verdict is r.Verdict.DOWN]
    return max(incident.episode_opened_at, min(fell, default=0.0))


def _settling(turn: Turn, service: Service, incident: Incident) -> Finding | None:
    """A move that may have helped has just ended: the service's own checks are given time."""
    own = last_run(turn, incident)
    ended = [x for x in (own, moved_for_another(turn, service, incident)) if x and x.ended and x.ended.ok]
    for moved in ended:
        until = (moved.ended.at if moved.ended else 0.0) + service.settle_s
        if turn.now() < until:
            turn.wake(until)
        if turn.now() < until or turn.health(service) in USABLE:  # well by what was asked before: the next answer tells
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
        judge_tier(turn, incident, tier, assessment)
    if index is None:
        _no_tier_left(turn, service, incident, assessments)
        return
    choice = assessments[index]
    if choice.reason is not Reason.TIER_CHOSEN:
        judge_tier(turn, incident, index + 1, choice)
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
        more = f"{would.removeprefix(f'would run tier {tier} {choice.move}')} (mode observe){passed}"
        text = Sentence.WOULD_RUN.say(service=service.id, tier=tier, move=choice.move, more=more)
        turn.tell(notice_of(incident, f"observe/{tier}"), NoticeKind.TIER_CHOSEN, service.id, text)
        return
    decision = r.Decision.ASK if asks else r.Decision.ACT
    _judge(turn, incident, Finding(decision, Reason.TIER_CHOSEN, f"tier {tier} {choice.move}: {choice.evidence}"))
    running = Assessment(choice.move, r.TierState.RUNNING, Reason.TIER_CHOSEN, choice.evidence)
    judge_tier(turn, incident, tier, running)
    isolate = policy.isolates(turn, service)
    origin, reason = r.Origin.AUTOMATIC, Reason.SERVICE_DOWN
    started = start_run(turn, service, choice.move, origin=origin, reason=reason, asks=asks, tier=tier, isolate=isolate)
    prospect = f"{choice.evidence}{passed}"
    text = Sentence.TIER_CHOSEN.say(service=service.id, tier=tier, move=choice.move, run=started.id, prospect=prospect)
    turn.tell(f"{started.id}/chosen", NoticeKind.TIER_CHOSEN, service.id, text)
    run.advance(turn, started)


def _no_tier_left(turn: Turn, service: Service, incident: Incident, assessments: list[Assessment]) -> None:
    told = "; ".join(f"tier {n} {a.move}: {a.reason.value}: {a.evidence}" for n, a in enumerate(assessments, start=1))
    _judge(turn, incident, Finding(r.Decision.ASK, Reason.NO_TIER_LEFT, told))
    text = Sentence.NO_TIER_LEFT.say(service=service.id, why=told)
    notice = notice_of(incident, f"no tier left/{len(incident.runs)}")  # again after each move tried in vain
    say = f"bascule failover {service.id} --dry-run" if service.ladder else f"bascule status {service.id}"
    say = "bascule reload" if any(a.reason is Reason.PLAN_CHANGED for a in assessments) else say  # else it is refused
    turn.tell(notice, NoticeKind.HUMAN_NEEDED, service.id, text, say=say)
    turn.wake(turn.now() + RECONSIDER_S)


def _freeze(turn: Turn, service: Service, incident: Incident, finding: Finding) -> None:
    if finding.reason is Reason.FLAPPING and turn.state(service).frozen is None:
        turn.record(r.ServiceFrozen(turn.now(), service.id, finding.reason, finding.evidence))
    else:
        turn.wake(turn.now() + RECONSIDER_S)
    text = _not_done(turn, service, finding).say(service=service.id, why=f"{finding.reason.text}: {finding.evidence}")
    notice = notice_of(incident, f"{finding.reason.value}/{turn.state(service).resumed_at:.3f}")
    braked = finding.reason in (Reason.FLAPPING, Reason.MASS_FAILURE)
    dark = finding.reason in IN_THE_DARK
    by_hand = f"bascule ready {service.client}" if dark else f"bascule failover {service.id}"
    say = f"bascule resume {service.id}" if braked else by_hand
    turn.tell(notice, NoticeKind.HUMAN_NEEDED, service.id, text, say=say)


def _not_done(turn: Turn, service: Service, finding: Finding) -> Sentence:
    """That it is down is said of what is seen to be down."""
    down = turn.health(service) is r.Verdict.DOWN and finding.reason not in UNSEEN
    return Sentence.NOTHING_BY_ITSELF if down else Sentence.NOT_KNOWN


def _judge(turn: Turn, incident: Incident, finding: Finding) -> None:
    """Record policy's answer, if decision or reason are new, or who or what is named in it."""
    last = incident.judged
    if last is None or (last.decision, last.reason) != (finding.decision, finding.reason) or _renamed(last, finding):
        turn.record(r.ServiceJudged(turn.now(), incident.id, finding.decision, finding.reason, finding.evidence))


def _renamed(last: r.ServiceJudged, finding: Finding) -> bool:
    """Whether somebody or something else is meant by now; what an answer said last is not compared."""
    if finding.reason not in NAMED or last.evidence == finding.evidence:
        return False
    end = ": " if finding.reason is Reason.TIER_CHOSEN else ", asking"
    return last.evidence.partition(end)[0] != finding.evidence.partition(end)[0]


# ---- going back by itself


def _failback_by_itself(turn: Turn, service: Service) -> None:
    """Only where the author wants it, in mode auto, healthy for long enough, and never in an open incident."""
    if not service.automatic_failback or service.mode is not Mode.AUTO or turn.health(service) not in USABLE:
        return
    state, ways = turn.state(service), failback.candidates(turn.decided, turn.model, service)
    if not ways or state.healthy_since is None or policy.objection(turn, service) is not None:
        return
    wait = failback.waits(turn.decided, turn.model, service, turn.now())
    if wait is not None:
        turn.wake(wait.until)
        return
    move = turn.model.moves[ways[0]]
    needs_hand_over = bool(ladder.to_fence(turn, service, move)) and move.hand_over is None
    if turn.says(move.viable_when) not in USABLE or needs_hand_over or ladder.held_up(turn, move) is not None:
        return
    asks = tuple(policy.asks(turn, service))
    going = start_run(turn, service, move.id, origin=r.Origin.AUTOMATIC, reason=Reason.CONDITIONS_MET, asks=asks)
    well = show_duration(turn.now() - state.healthy_since)
    text = Sentence.GOES_BACK.say(service=service.id, move=move.id, run=going.id, well=well)
    turn.tell(f"{going.id}/chosen", NoticeKind.TIER_CHOSEN, service.id, text)
    run.advance(turn, going)
