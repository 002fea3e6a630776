"""One service's incident: opened by its diagnosis, judged by policy and ladder, ended by good answers.

The one rule it keeps: an open incident is always in somebody's hands: those of a run, of a wait with a reason and an
end, or of a named human who has been told.
"""

from __future__ import annotations

from dataclasses import replace
from shlex import quote

from orchestrator.core import records as r
from orchestrator.core.commands import NoticeKind
from orchestrator.core.deciding import held, recovery
from orchestrator.core.deciding.recovery import at_most, judge_tier, last_run, let_go, moved_for_another, notice_of
from orchestrator.core.durations import show_duration
from orchestrator.core.health.diagnosis import USABLE
from orchestrator.core.model import Mode, Service
from orchestrator.core.notices import of_ground
from orchestrator.core.reasons import IN_THE_DARK, UNSEEN, Part, Reason
from orchestrator.core.rules import drilling, failback, ladder, policy
from orchestrator.core.rules.ladder import Assessment
from orchestrator.core.rules.policy import Finding
from orchestrator.core.runs import run
from orchestrator.core.runs.starting import start_run
from orchestrator.core.sentences import Sentence
from orchestrator.core.state.decided import Incident, Run
from orchestrator.core.transaction import Transaction

RECONSIDER_S = 5.0  # how often a ladder without a tier left is assessed again
SEEN = "seen"  # of a notice: that some vantages see it down, and too few to say so
MTD_NEAR = 0.8  # share of the maximum tolerable downtime after which people are told
ASKED_FOR = 3  # runs of a move in one outage that ended since nothing answered for its preconditions
NOT_THE_TIERS_FAULT = (
    *(x for x in Reason if x.part is Part.GUARD and x is not Reason.STALE_EPOCH),  # against the service, whatever tier
    Reason.APPROVAL_NEEDED,
    Reason.FENCE_NOT_AUTOMATIC,
    Reason.PLAN_CHANGED,
    Reason.SAID_LONG_AGO,
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


def attend(tx: Transaction, service: Service) -> None:
    """Open, judge or end the service's incident, as its checks and runs say now."""
    at_work = tx.decided.run_for(service.id)
    incident = tx.incident(service)
    if incident is None:
        if tx.health(service) is r.Verdict.DOWN and _fails_by_itself(tx, service, at_work):
            incident = _open(tx, service)
        elif at_work is None:
            _failback_by_itself(tx, service)
    if incident is None:
        return
    _book_failures(tx, service, incident)
    tidies = at_work is not None and _tidies_up(at_work, incident)
    if recovery.ended(tx, service, incident, None if tidies else at_work):
        return
    _tell_when_known(tx, service, incident)
    _watch_mtd(tx, service, incident)
    if at_work is not None and _yields(at_work) and at_work.abort is None and not _goes_on(tx, at_work):
        what = "drill" if at_work.started.drill else "automatic failback"
        run.abort(tx, at_work, run.BY_ITSELF, f"{incident.id} is open: no {what} meanwhile")
        at_work = tx.decided.run_for(service.id)
    if at_work is None:
        _decide(tx, service, incident)
    elif not tidies:
        recovery.doubt(tx, incident, at_work)
    else:
        evidence = f"{at_work.id} ({at_work.started.move}) finishes; to stop it: bascule abort {at_work.id}"
        _judge(tx, incident, Finding(r.Decision.WAIT, Reason.RESOURCE_BUSY, evidence))


def _yields(at_work: Run) -> bool:
    """Whether nobody waits for it while something is down: a failback by itself, or a drill."""
    return at_work.started.origin in (r.Origin.AUTOMATIC, r.Origin.DRILL) and at_work.started.incident is None


def _goes_on(tx: Transaction, at_work: Run) -> bool:
    return at_work.committed or bool(at_work.started.drill and drilling.gave_way(tx, at_work.started.move))


def _fails_by_itself(tx: Transaction, service: Service, at_work: Run | None) -> bool:
    """Whether a service that is down is so by itself, and not by the run that is at work for it."""
    if at_work is None or at_work.human is not None or _prepares(at_work):
        return True
    if at_work.verified_at is None:
        return False
    settled_at = at_work.verified_at + service.settle_s  # its own checks are given time, as after any run
    tx.wake(settled_at)
    return tx.now() >= settled_at or tx.first_bad(service.healthy_when, tx.now()) > at_work.verified_at


def _tidies_up(at_work: Run, incident: Incident) -> bool:
    """Whether what the run promised was verified before this outage: it may finish for hours, and brings nothing."""
    return at_work.verified_at is not None and at_work.verified_at <= incident.episode_opened_at


def _prepares(at_work: Run) -> bool:
    """Whether the run has stopped nothing yet, and may take hours to: what fails meanwhile fails by itself."""
    return not at_work.committed and (at_work.past_the_fence or _yields(at_work))


def is_braked(tx: Transaction, service: Service) -> bool:
    """Whether automatic action is stopped until a named person resumes it."""
    incident = tx.incident(service)
    mass = incident is not None and incident.judged is not None and incident.judged.reason is Reason.MASS_FAILURE
    return tx.state(service).frozen is not None or mass


# ---- opening and ending


def _open(tx: Transaction, service: Service) -> Incident:
    state = tx.state(service)
    first_bad_at = tx.first_bad(service.healthy_when, tx.now())
    last_good_at = tx.last_good(service.healthy_when)
    evidence = tx.behind(service.healthy_when, r.Verdict.DOWN)
    last = tx.decided.incidents.get(state.last_incident or "")
    relapse_s = tx.limits(service.client).relapse_s
    if last is not None and last.ended is not None and tx.now() - last.ended.recovered_at <= relapse_s:
        first_bad_at = max(first_bad_at, last.ended.recovered_at)  # it worked then: no second is counted twice
        tx.record(r.IncidentReopened(tx.now(), last.id, first_bad_at, state.place, evidence, last_good_at))
        incident = last
    else:
        name = f"i{tx.decided.incident_count + 1}"
        tx.record(r.IncidentOpened(tx.now(), name, service.id, first_bad_at, state.place, evidence, last_good_at))
        incident = tx.decided.incidents[name]
    seen = policy.no_quorum(tx, service)
    if seen is None:
        _tell_down(tx, service, incident, "opened", evidence)
    else:
        outage = show_duration(tx.now() - incident.episode_first_bad_at)
        text = Sentence.SEEN_DOWN.say(service=service.id, outage=outage, evidence=seen.evidence)
        tx.tell(notice_of(incident, SEEN), NoticeKind.INCIDENT_OPENED, service.id, text)
    return incident


def _tell_down(tx: Transaction, service: Service, incident: Incident, what: str, evidence: str) -> None:
    sentence = Sentence.IS_DOWN if incident.episodes == 1 else Sentence.IS_DOWN_AGAIN
    text = sentence.say(
        service=service.id,
        place=recovery.where(tx, service, incident.episode_first_bad_at),
        outage=at_most(tx.now() - incident.episode_first_bad_at, incident.doubted_s(tx.now())),
        together=at_most(tx.now() - incident.clock_at, incident.earlier_perhaps_s + incident.doubted_s(tx.now())),
        outages=incident.episodes,
        incident=incident.id,
        evidence=evidence,
    )
    tx.tell(notice_of(incident, what), NoticeKind.INCIDENT_OPENED, service.id, text)


def _tell_when_known(tx: Transaction, service: Service, incident: Incident) -> None:
    """Whoever was told that some see it down is told when enough of them do."""
    told = notice_of(incident, SEEN) in tx.decided.told
    if told and tx.health(service) is r.Verdict.DOWN and policy.no_quorum(tx, service) is None:
        _tell_down(tx, service, incident, "down", tx.behind(service.healthy_when, r.Verdict.DOWN))


def _watch_mtd(tx: Transaction, service: Service, incident: Incident) -> None:
    """People are told when the maximum tolerable downtime is nearly over, and when it is: by then it is theirs."""
    if service.mtd_s is None:
        return
    told, wanted_s = None, 0.0
    for share, word in ((MTD_NEAR, "near"), (1.0, "over")):
        at = incident.clock_at + share * service.mtd_s
        if tx.now() < at:
            tx.wake(at)
            break
        told, wanted_s = word, share * service.mtd_s
    if told is not None:
        one, down_s = incident.episodes == 1, tx.now() - incident.clock_at
        perhaps_s = recovery.perhaps_s(tx, service, incident)
        down = at_most(down_s, perhaps_s)
        if tx.health(service) is r.Verdict.DOWN and policy.no_quorum(tx, service) is None:
            sentence = Sentence.MTD if one else Sentence.MTD_OF_SEVERAL
        else:  # it may be well and wait for its run, or nobody can say
            sentence, down = Sentence.MTD_OPEN if one else Sentence.MTD_OPEN_OF_SEVERAL, show_duration(down_s)
        text = sentence.say(
            service=service.id,
            down=down,
            outages=incident.episodes,
            incident=incident.id,
            mtd=show_duration(service.mtd_s),
            near=f"perhaps {told}" if down_s - perhaps_s < wanted_s else told,
        )
        tx.tell(notice_of(incident, f"mtd {told}"), NoticeKind.HUMAN_NEEDED, service.id, text, say="bascule status")


# ---- judging


def _book_failures(tx: Transaction, service: Service, incident: Incident) -> None:
    """A run of this outage that ended badly, or whose service did not come back, is its tier's failure."""
    last = last_run(tx, incident)
    if last is None or last.ended is None or last.started.tier is None:
        return
    move = last.started.move
    if any(x.move == move and x.state is r.TierState.FAILED for x in incident.tiers.values()):
        return  # by the move: numbers shift with the ladder, and another's judgement under its old one is not its own
    tier = next((n for n, t in enumerate(service.ladder, start=1) if t.move == move), 0)
    if not tier:  # no tier any more: booked under its old number, unless that is another's by now
        tier = last.started.tier
        if tier not in incident.tiers or incident.tiers[tier].move != move:
            return
    if not last.ended.ok:
        if last.ended.reason in NOT_THE_TIERS_FAULT or _could_not_ask(tx, incident, last):
            let_go(tx, incident, last)
            return
        failed = Assessment(last.started.move, r.TierState.FAILED, last.ended.reason, last.ended.evidence)
    elif tx.now() >= last.ended.at + service.settle_s and tx.health(service) not in USABLE:
        evidence = tx.behind(service.healthy_when, r.Verdict.DOWN)
        failed = Assessment(last.started.move, r.TierState.FAILED, Reason.VERIFY_FAILED, evidence)
    else:
        return
    judge_tier(tx, incident, tier, failed)
    kind = NoticeKind.TIER_FAILED if last.ended.ok or last.failed else NoticeKind.NOT_MADE
    sentence = Sentence.TIER_FAILED if kind is NoticeKind.TIER_FAILED else Sentence.TIER_NOT_MADE
    text = sentence.say(service=service.id, tier=tier, move=move, why=f"{failed.reason.value}: {failed.evidence}")
    if last.ended.ok or last.started.origin is not r.Origin.MANUAL:  # else it was told when it ended
        tx.tell(f"{last.id}/failed", kind, service.id, text)


def _could_not_ask(tx: Transaction, incident: Incident, last: Run) -> bool:
    """Whether nothing answered for the move's preconditions, and it may be asked for again: a machine just up is slow.

    What is viable is judged anew; after ASKED_FOR times in one outage the tier has failed, and the next has its turn.
    """
    if last.ended is None or last.ended.reason is not Reason.VIABILITY_UNKNOWN or last.past_the_fence:
        return False
    runs = [tx.decided.runs[name] for name in incident.runs if name in tx.decided.runs]
    same = [x for x in runs if x.started.at >= incident.episode_opened_at and x.started.move == last.started.move]
    return len(same) < ASKED_FOR


def _patient_since(tx: Transaction, incident: Incident) -> float:
    """When the time began in which an unknown precondition may delay the choice: anew where one could not be asked.

    And not before the outage was seen as it is seen now: after a restart of the machine all is asked anew.
    """
    last = last_run(tx, incident)
    if last is not None and last.ended is not None and _could_not_ask(tx, incident, last):
        return last.ended.at
    asked = dict.fromkeys(tx.model.services[incident.service].healthy_when.checks())
    fell = [v.at for c in asked if (v := tx.decided.verdicts.get(c)) is not None and v.verdict is r.Verdict.DOWN]
    return max(incident.episode_opened_at, min(fell, default=0.0))


def _settling(tx: Transaction, service: Service, incident: Incident) -> Finding | None:
    """A move that may have helped has just ended: the service's own checks are given time."""
    moves = last_run(tx, incident), moved_for_another(tx, service, incident)
    for moved in (x for x in moves if x and x.ended and x.ended.ok):
        until = (moved.ended.at if moved.ended else 0.0) + service.settle_s
        if tx.now() < until:
            tx.wake(until)
        if tx.now() < until or tx.health(service) in USABLE:  # well by what was asked before: the next answer tells
            return Finding(r.Decision.WAIT, Reason.SETTLING, f"{moved.started.move} ({moved.id}) has just ended")
    return None


def _decide(tx: Transaction, service: Service, incident: Incident) -> None:
    finding = _settling(tx, service, incident) or drilling.goes_back_first(tx, service) or policy.objection(tx, service)
    if finding is not None:
        _judge(tx, incident, finding)
        if finding.decision is r.Decision.ASK:
            _freeze(tx, service, incident, finding)
        elif finding.reason is Reason.HELD:
            held.tell(tx, service, incident, finding)
        return
    assessments = ladder.assess_ladder(tx, service, _patient_since(tx, incident))
    index = ladder.chosen(assessments)
    for tier, assessment in enumerate(assessments[:index], start=1):
        judge_tier(tx, incident, tier, assessment)
    if index is None:
        _no_tier_left(tx, service, incident, assessments)
        return
    choice = assessments[index]
    if choice.reason is not Reason.TIER_CHOSEN:
        judge_tier(tx, incident, index + 1, choice)
        _judge(tx, incident, Finding(r.Decision.WAIT, choice.reason, choice.evidence))
        return
    _take(tx, service, incident, index + 1, choice, assessments[:index])


def _take(
    tx: Transaction, service: Service, incident: Incident, tier: int, choice: Assessment, refused: list[Assessment]
) -> None:
    asks = (*policy.asks(tx, service), *choice.asks)
    passed = "".join(f"; tier {n} {a.move}: {a.reason.value}: {a.evidence}" for n, a in enumerate(refused, start=1))
    if service.mode is Mode.OBSERVE:
        would = f"would run tier {tier} {choice.move}" + (f", asking: {'; '.join(asks)}" if asks else "")
        _judge(tx, incident, Finding(r.Decision.REFRAIN, Reason.OBSERVE_ONLY, would))
        if tier in incident.tiers:  # what it was judged before is not so any more
            judge_tier(tx, incident, tier, replace(choice, state=r.TierState.WAITING, reason=Reason.OBSERVE_ONLY))
        more = f"{would.removeprefix(f'would run tier {tier} {choice.move}')} (mode observe){passed}"
        text = Sentence.WOULD_RUN.say(service=service.id, tier=tier, move=choice.move, more=more)
        tx.tell(notice_of(incident, f"observe/{tier}"), NoticeKind.TIER_CHOSEN, service.id, text)
        return
    decision = r.Decision.ASK if asks else r.Decision.ACT
    _judge(tx, incident, Finding(decision, Reason.TIER_CHOSEN, f"tier {tier} {choice.move}: {choice.evidence}"))
    running = Assessment(choice.move, r.TierState.RUNNING, Reason.TIER_CHOSEN, choice.evidence)
    judge_tier(tx, incident, tier, running)
    isolate = policy.isolates(tx, service)
    origin, reason = r.Origin.AUTOMATIC, Reason.SERVICE_DOWN
    started = start_run(tx, service, choice.move, origin=origin, reason=reason, asks=asks, tier=tier, isolate=isolate)
    prospect = f"{choice.evidence}{passed}"
    text = Sentence.TIER_CHOSEN.say(service=service.id, tier=tier, move=choice.move, run=started.id, prospect=prospect)
    tx.tell(f"{started.id}/chosen", NoticeKind.TIER_CHOSEN, service.id, text)
    run.advance(tx, started)


def _no_tier_left(tx: Transaction, service: Service, incident: Incident, assessments: list[Assessment]) -> None:
    told = "; ".join(f"tier {n} {a.move}: {a.reason.value}: {a.evidence}" for n, a in enumerate(assessments, start=1))
    _judge(tx, incident, Finding(r.Decision.ASK, Reason.NO_TIER_LEFT, told or ladder.NONE))
    text = Sentence.NO_TIER_LEFT.say(service=service.id, why=told or ladder.NONE)
    notice = notice_of(incident, f"no tier left/{len(incident.runs)}")  # again after each move tried in vain
    typed = quote(service.id)
    say = f"bascule failover {typed} --dry-run" if service.ladder else f"bascule status {typed}"
    say = "bascule reload" if any(a.reason is Reason.PLAN_CHANGED for a in assessments) else say  # else it is refused
    tx.tell(notice, NoticeKind.HUMAN_NEEDED, service.id, text, say=say)
    tx.wake(tx.now() + RECONSIDER_S)


def _freeze(tx: Transaction, service: Service, incident: Incident, finding: Finding) -> None:
    if finding.reason is Reason.FLAPPING and tx.state(service).frozen is None:
        tx.record(r.ServiceFrozen(tx.now(), service.id, finding.reason, finding.evidence))
    else:
        tx.wake(tx.now() + RECONSIDER_S)
    text = _not_done(tx, service, finding).say(service=service.id, why=f"{finding.reason.text}: {finding.evidence}")
    notice = notice_of(incident, of_ground(finding.reason, tx.state(service).resumed_at))
    typed, dark = quote(service.id), finding.reason in IN_THE_DARK
    by_hand = f"bascule ready {quote(service.client)}" if dark else f"bascule failover {typed}"
    say = f"bascule resume {typed}" if finding.reason in (Reason.FLAPPING, Reason.MASS_FAILURE) else by_hand
    tx.tell(notice, NoticeKind.HUMAN_NEEDED, service.id, text, say=say)


def _not_done(tx: Transaction, service: Service, finding: Finding) -> Sentence:
    """That it is down is said of what is seen to be down."""
    down = tx.health(service) is r.Verdict.DOWN and finding.reason not in UNSEEN
    return Sentence.NOTHING_BY_ITSELF if down else Sentence.NOT_KNOWN


def _judge(tx: Transaction, incident: Incident, finding: Finding) -> None:
    """Record policy's answer, if decision or reason are new, or who or what is named in it, or whether it is dark."""
    last, since = incident.judged, recovery.dark_since(tx, incident, finding.reason)
    answer = (finding.decision, finding.reason, since is not None)
    if last is None or (last.decision, last.reason, last.dark) != answer or _renamed(last, finding):
        tx.record(r.ServiceJudged(tx.now(), incident.id, finding.decision, finding.reason, finding.evidence, since))


def _renamed(last: r.ServiceJudged, finding: Finding) -> bool:
    """Whether somebody or something else is meant by now; what an answer said last is not compared."""
    if finding.reason not in NAMED or last.evidence == finding.evidence:
        return False
    end = ": " if finding.reason is Reason.TIER_CHOSEN else ", asking"
    return last.evidence.partition(end)[0] != finding.evidence.partition(end)[0]


# ---- going back by itself


def _failback_by_itself(tx: Transaction, service: Service) -> None:
    """Only where the author wants it, in mode auto, healthy for long enough, and never in an open incident."""
    if not service.automatic_failback or service.mode is not Mode.AUTO or tx.health(service) not in USABLE:
        return
    state, ways = tx.state(service), failback.candidates(tx.decided, tx.model, service)
    drilled = [x.began for x in tx.decided.unfinished_drills()]  # which go back themselves
    if any(x.service == service.id or x.move in {tx.model.moves[w].undoes for w in ways} for x in drilled):
        return
    if not ways or state.healthy_since is None or policy.objection(tx, service) is not None:
        return
    wait = failback.waits(tx.decided, tx.model, service, tx.now())
    if wait is not None:
        tx.wake(wait.until)
        return
    move = tx.model.moves[ways[0]]
    needs_hand_over = bool(ladder.to_fence(tx, service, move)) and move.hand_over is None
    if tx.says(move.viable_when) not in USABLE or needs_hand_over or ladder.held_up(tx, move) is not None:
        return
    handing = state.place if move.hand_over is not None else None
    waiting, fences = ladder.fence_asks(tx, service, move, state.healthy_since, handing=handing)
    if waiting:
        return
    asks = (*policy.asks(tx, service), *fences)
    going = start_run(tx, service, move.id, origin=r.Origin.AUTOMATIC, reason=Reason.CONDITIONS_MET, asks=asks)
    well = show_duration(tx.now() - state.healthy_since)
    text = Sentence.GOES_BACK.say(service=service.id, move=move.id, run=going.id, well=well)
    tx.tell(f"{going.id}/chosen", NoticeKind.TIER_CHOSEN, service.id, text)
    run.advance(tx, going)
