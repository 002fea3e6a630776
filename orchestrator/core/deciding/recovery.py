"""How an incident ends: the cause of the recovery that the records show, and what is said of it.

The one rule it keeps: a recovery is attributed to a run only if that run was verified. If a service came back beside a
run, or before it had ended, exactly that is told. No tier stays `running` when its run has ended.

    the service's checks are good again, and                              reason                          tier
    -----------------------------------------------------------------    ----------------------------    -----------
    its own run was verified, and good answers were asked for since      verified                        recovered
    nothing of its own was tried; another's move ends or ended well      recovered with another service  as it was
    nothing was tried in this outage                                     recovered by itself             waiting
    a run of its own was tried, and not verified                         recovered, not verified         failed
"""

from __future__ import annotations

from dataclasses import replace

from orchestrator.core import records as r
from orchestrator.core.commands import NoticeKind
from orchestrator.core.durations import show_bound, show_duration
from orchestrator.core.health.diagnosis import USABLE
from orchestrator.core.model import Service
from orchestrator.core.reasons import UNSEEN, Reason
from orchestrator.core.rules import policy
from orchestrator.core.rules.ladder import Assessment
from orchestrator.core.runs import endings
from orchestrator.core.sentences import How, Sentence
from orchestrator.core.state.decided import Incident, Run
from orchestrator.core.transaction import Transaction

GOOD_BEFORE = "good before "  # in the evidence of an end: its checks were, when its run had not ended yet


def ended(tx: Transaction, service: Service, incident: Incident, at_work: Run | None) -> bool:
    """End the incident if good answers say so; whether it ended."""
    own = _own(tx, service, incident)
    verified = own is not None and _verified(tx, service, incident, own)
    if verified and own is not None and _fresh_after(tx, service, own):
        _end(tx, service, incident, Reason.VERIFIED, own)
        return True
    if (at_work is not None and (at_work.past_the_fence or at_work.isolating)) or verified:
        return False  # what runs goes to its end; what was verified waits for an answer that was asked for since
    if tx.health(service) not in USABLE and not _well_after_another(tx, service, incident):
        return False
    other = moved_for_another(tx, service, incident)
    if at_work is not None:
        endings.cancel(tx, at_work, Reason.RECOVERED_BY_ITSELF, tx.behind(service.healthy_when, r.Verdict.UP))
        let_go(tx, incident, at_work)
    tried = own if own is not None and _tried(own) else None
    if other is not None:
        _end(tx, service, incident, Reason.RECOVERED_WITH_ANOTHER, other)
    elif tried is not None:
        _end(tx, service, incident, Reason.RECOVERED_UNVERIFIED, tried)
    else:
        _end(tx, service, incident, Reason.RECOVERED_BY_ITSELF, None)
    return True


def last_run(tx: Transaction, incident: Incident) -> Run | None:
    """The incident's latest run of the present outage."""
    name = incident.runs[-1] if incident.runs else None
    found = tx.decided.runs.get(name or "")
    return found if found is not None and found.started.at >= incident.episode_opened_at else None


def moved_for_another(tx: Transaction, service: Service, incident: Incident) -> Run | None:
    """The latest run for another service, verified or still at it, of a dependency or of a move that both share; or of
    a drill that took such a move back.
    """
    needs = set(policy.dependencies(tx, service))
    shared = {tier.move for tier in service.ladder}
    found = [
        x
        for x in tx.decided.runs.values()
        if (
            (x.started.service != service.id and (x.started.service in needs or x.started.move in shared))
            or _takes_back(tx, x, shared)
        )
        and x.past_the_fence
        and (x.ended is None or (x.ended.ok and x.ended.at >= incident.episode_first_bad_at))
    ]
    return max(found, key=lambda x: x.started.at, default=None)


def _takes_back(tx: Transaction, of: Run, moves: set[str]) -> bool:
    """Whether it is a drill's, and takes back one of these moves."""
    back = tx.model.moves.get(of.started.move) if of.started.drill else None
    return back is not None and back.undoes in moves


def let_go(tx: Transaction, incident: Incident, last: Run) -> None:
    """The tier's run has ended, through no fault of the tier: it is at nothing any more."""
    tier = last.started.tier
    ledger = incident.tiers.get(tier) if tier is not None else None
    if tier is None or last.ended is None or ledger is None or ledger.state is not r.TierState.RUNNING:
        return
    waiting = Assessment(last.started.move, r.TierState.WAITING, last.ended.reason, last.ended.evidence)
    judge_tier(tx, incident, tier, waiting)


def judge_tier(tx: Transaction, incident: Incident, tier: int, found: Assessment) -> None:
    """Record a tier's state, if state or reason are new, or the run that holds what it needs."""
    last = incident.tiers.get(tier)
    new = last is None or (last.move, last.state, last.reason) != (found.move, found.state, found.reason)
    held = last is not None and found.reason is Reason.RESOURCE_BUSY and last.evidence != found.evidence
    if new or held:
        tx.record(r.TierJudged(tx.now(), incident.id, tier, found.move, found.state, found.reason, found.evidence))


def notice_of(incident: Incident, what: str) -> str:
    """The id of a notice about the present outage."""
    return f"{incident.id}.{incident.episodes}/{what}"


def where(tx: Transaction, service: Service, since: float) -> str:
    """The places on record since then, as it was led on; where the last was taken out, those that may act."""
    state = tx.state(service)
    now = " or ".join(sorted(state.may_act)) if state.taken_out else ""
    return ", then ".join([*(x or "" for at, x in state.formerly if at > since), now or state.place or "its place"])


def dark_since(tx: Transaction, incident: Incident, reason: Reason) -> float | None:
    """Since when it is not known whether the service is down, whatever stops or delays its recovery; None: it is known.

    Since its checks were heard last, or since the last judgement; what was heard in another boot is forgotten.
    """
    service = tx.model.services[incident.service]
    seen = tx.health(service) is not r.Verdict.UNKNOWN and policy.no_quorum(tx, service) is None
    if seen and reason not in UNSEEN:
        return None
    if incident.dark_since is not None:
        return incident.dark_since
    return _known_until(tx, service, incident)


def known_until(tx: Transaction) -> dict[str, float]:
    """Until when each open incident's service was known to be down or not: to be asked before its checks are others."""
    found = {}
    for incident in tx.decided.open_incidents():
        service = tx.model.services.get(incident.service)
        if service is not None and dark_since(tx, incident, Reason.SERVICE_DOWN) is None:
            found[incident.id] = _known_until(tx, service, incident)
    return found


def doubt_since(tx: Transaction, known: dict[str, float]) -> None:
    """Note of what is not known any more, now that its checks are others, until when it was."""
    for name, until in known.items():
        incident = tx.decided.incidents[name]
        if incident.judged is None or incident.service not in tx.model.services:
            continue
        if dark_since(tx, incident, Reason.SERVICE_DOWN) is not None:
            tx.record(replace(incident.judged, at=tx.now(), dark_since=until))


def _known_until(tx: Transaction, service: Service, incident: Incident) -> float:
    known = [row.last_sent_at for c in service.healthy_when.checks() if (row := tx.rows().get(c)) is not None]
    known += [incident.judged.at] if incident.judged is not None else []
    return max([incident.episode_opened_at, *known])


def perhaps_s(tx: Transaction, service: Service, incident: Incident) -> float:
    """How long, of all its outages so far, it may have worked."""
    since = dark_since(tx, incident, Reason.SERVICE_DOWN)
    doubted_s = incident.doubted_s(tx.now()) if since is None else incident.dark_s + tx.now() - since
    return incident.earlier_perhaps_s + doubted_s + _well_s(tx, service, incident)


def doubt(tx: Transaction, incident: Incident, at_work: Run) -> None:
    """While a run is at work nothing is judged anew; but whether the service is known to be down is noted.

    What was judged stands, so a brake stands too. Where its checks are good again, the end says for how long.
    """
    last, since = incident.judged, dark_since(tx, incident, Reason.SERVICE_DOWN)
    if last is None and since is not None:
        busy = Reason.RESOURCE_BUSY, f"{at_work.id} ({at_work.started.move}) has not ended"
        tx.record(r.ServiceJudged(tx.now(), incident.id, r.Decision.WAIT, *busy, since))
    if last is None or last.reason in (*UNSEEN, Reason.MASS_FAILURE) or (since is None) is (last.dark_since is None):
        return
    if since is not None or tx.health(tx.model.services[incident.service]) is r.Verdict.DOWN:
        tx.record(replace(last, at=tx.now(), dark_since=since))


# ---- inside


def at_most(seconds: float, perhaps_s: float) -> str:
    """A time without service, and that it is a bound where it may have worked for a part of it."""
    return f"at most {show_bound(seconds)}" if perhaps_s else show_duration(seconds)


def _kept(down_s: float, perhaps_s: float, rto_s: float, early: bool) -> str:
    """Within its RTO or beyond it, as far as it is known when it came back, and (`early`) when it had failed."""
    within = "perhaps within" if early else "within"
    return within if down_s <= rto_s else "beyond" if down_s - perhaps_s > rto_s else "perhaps beyond"


def _early(tx: Transaction, service: Service, incident: Incident) -> bool:
    """Whether it may have failed long before the first bad answer of an outage: nothing good was heard of it then."""
    return incident.unheard_s is None or incident.unheard_s > _beats_s(tx, service)


def _unseen_s(tx: Transaction, service: Service, incident: Incident) -> float:
    """How long, before their first good answers, nothing was heard of the checks that had been bad in this outage.

    That is while no controller was there, or while it could not ask; of a few beats nobody speaks.
    """
    began, unseen_s = tx.decided.controller, 0.0
    for name in dict.fromkeys(service.healthy_when.checks()):
        row = tx.rows().get(name)
        bad_at = row.last_bad_at if row is not None else None
        if bad_at is None and began is not None and not began.same_boot and began.at > incident.episode_opened_at:
            bad_at = incident.episode_opened_at  # what was heard in another boot is forgotten: it was bad then
        if row is None or row.first_good_at is None or bad_at is None or bad_at < incident.episode_first_bad_at:
            continue
        gap_s = row.first_good_at - bad_at
        unseen_s = max(unseen_s, gap_s) if gap_s > tx.model.checks[name].stale_after_s else unseen_s
    return unseen_s


def _doubted_s(tx: Transaction, service: Service, incident: Incident, counted_s: float) -> float:
    """How long it was not known to be down, beside what is counted already; of a few beats nobody speaks."""
    now, since = tx.now(), incident.dark_since
    doubted_s = incident.dark_s + (max(0.0, now - since - counted_s) if since is not None else 0.0)
    return doubted_s if doubted_s > _beats_s(tx, service) else 0.0


def _beats_s(tx: Transaction, service: Service) -> float:
    """How long its checks may be silent before they are not known."""
    return max((tx.model.checks[c].stale_after_s for c in service.healthy_when.checks()), default=0.0)


def _well_s(tx: Transaction, service: Service, incident: Incident) -> float:
    """How long its checks have been good, in this outage, while it waited for what was at work; of a few beats nobody
    speaks.
    """
    if tx.health(service) not in USABLE:
        return 0.0
    well_s = tx.now() - max(_well_since(tx, service), incident.episode_opened_at)
    return well_s if well_s > _beats_s(tx, service) else 0.0


def _end(tx: Transaction, service: Service, incident: Incident, reason: Reason, by: Run | None) -> None:
    evidence = "; ".join(tx.evidence(c) for c in dict.fromkeys(service.healthy_when.checks()))
    how, led = How.BY_ITSELF.say(), False
    if by is not None:
        kind, before = _how(tx, service, reason, by)
        evidence, led = f"{before}{evidence}", kind is How.BY_RUN
        how = kind.say(move=by.started.move, run=by.id, other=by.started.service)
    if by is not None and reason is Reason.VERIFIED and by.started.tier is not None:
        found = Assessment(by.started.move, r.TierState.RECOVERED, reason, evidence)
        judge_tier(tx, incident, by.started.tier, found)
    outage_s, down_s = tx.now() - incident.episode_first_bad_at, tx.now() - incident.clock_at
    rta_s = tx.now() - incident.first_bad_at
    unseen_s, well_s = _unseen_s(tx, service, incident), 0.0 if led else _well_s(tx, service, incident)
    doubted_s = _doubted_s(tx, service, incident, unseen_s + well_s)
    figures = (rta_s, outage_s, down_s, by.id if by is not None else None, unseen_s, well_s, doubted_s)
    over = r.IncidentEnded(tx.now(), incident.id, reason, evidence, tx.now(), *figures)
    tx.record(over)
    perhaps_s = over.perhaps_s + incident.earlier_perhaps_s
    sentence = Sentence.WORKS_AGAIN if incident.episodes == 1 else Sentence.WORKS_AFTER_SEVERAL
    text = sentence.say(
        service=service.id,
        how=how,
        outage=at_most(outage_s, over.perhaps_s),
        together=at_most(down_s, perhaps_s),
        outages=incident.episodes,
        incident=incident.id,
        kept=_kept(down_s, perhaps_s, service.rto_s, _early(tx, service, incident)),
        rto=show_duration(service.rto_s),
    )
    tx.tell(notice_of(incident, "recovered"), NoticeKind.RECOVERED, service.id, text)


def _how(tx: Transaction, service: Service, reason: Reason, by: Run) -> tuple[How, str]:
    """How it came back, and what stands before the checks' own evidence."""
    execute = by.execute
    done_at = execute.ended_at if execute is not None and execute.state is r.StepState.DONE else None
    if reason is Reason.RECOVERED_UNVERIFIED:
        return How.NOT_VERIFIED, f"{by.id} was tried and not verified; "
    if reason is Reason.RECOVERED_WITH_ANOTHER:
        move, other = f"{by.id} ({by.started.move})", by.started.service
        if by.ended is None:  # at work, or waiting for a person
            return How.DURING_ANOTHER, f"{move} for {other} has not ended; "
        return How.AFTER_ANOTHER, f"{move} was made for {other}; "
    stayed = by.started.to_place is None  # one that was led elsewhere, and is well there, is well by that
    early = stayed and done_at is not None and tx.health(service) in USABLE and _well_since(tx, service) < done_at
    return (How.DURING_RUN, f"{GOOD_BEFORE}{by.id} had ended; ") if early else (How.BY_RUN, "")


def _own(tx: Transaction, service: Service, incident: Incident) -> Run | None:
    """The service's latest run of the present outage, whoever wanted it."""
    since = incident.episode_opened_at
    mine = [
        x
        for x in tx.decided.runs.values()
        if x.started.service == service.id
        and (x.started.at >= since or x.ended is None or x.ended.at > since)
        and (x.verified_at is None or x.verified_at > since)  # else it was over but for its finish
    ]
    tried = [x for x in mine if _tried(x)]
    return max(tried or mine, key=lambda x: x.started.at, default=None)


def _tried(run: Run) -> bool:
    """Whether anything of the move itself was begun; a fence alone brings nothing back."""
    return any(s.begun and s.traits.acts_at is not None for s in run.steps)


def _verified(tx: Transaction, service: Service, incident: Incident, run: Run) -> bool:
    """Whether its verify was answered well, and the service's own checks have not said otherwise since."""
    verify = run.verify
    if verify is None or verify.state is not r.StepState.DONE:
        return False
    ledger = incident.tiers.get(run.started.tier) if run.started.tier is not None else None
    failed = ledger is not None and ledger.move == run.started.move and ledger.state is r.TierState.FAILED
    if failed and ledger is not None and ledger.at > run.started.at:  # before it: of an earlier run of the same tier
        return False
    until = tx.now() if run.ended is None else run.ended.at + service.settle_s
    return tx.now() <= until or (tx.health(service) in USABLE and _well_since(tx, service) <= until)


def _well_since(tx: Transaction, service: Service) -> float:
    """When the last of its checks changed its verdict: since then they say what they say."""
    known = [v.at for c in service.healthy_when.checks() if (v := tx.decided.verdicts.get(c)) is not None]
    return max(known, default=tx.now())


def _fresh_after(tx: Transaction, service: Service, moved: Run) -> bool:
    """Whether good answers, to questions asked after the move took effect, say that the service works."""
    execute = moved.execute
    since = execute.ended_at if execute else None
    return since is not None and tx.fresh(service.healthy_when, since) in USABLE


def _well_after_another(tx: Transaction, service: Service, incident: Incident) -> bool:
    other = moved_for_another(tx, service, incident)
    return other is not None and _fresh_after(tx, service, other)
