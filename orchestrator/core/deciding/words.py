"""What operators say: each word yields exactly one `WordAccepted` or `WordRefused`, with rule and evidence.

The one rule it keeps: a refusal names the guard that refused and what would lift it. A repeated word gets its first
answer again.
"""

from __future__ import annotations

from collections.abc import Callable

from orchestrator.core import records as r
from orchestrator.core.commands import Answered
from orchestrator.core.deciding import drill_words, findings
from orchestrator.core.deciding.incident import is_braked
from orchestrator.core.deciding.replies import Consent, Refusal, no_such_service
from orchestrator.core.durations import show_duration
from orchestrator.core.events import STANDING, WordKind, WordSpoken
from orchestrator.core.model import Move, Service, Tier
from orchestrator.core.reasons import Reason
from orchestrator.core.rules import approving, failback, ladder, policy, speakers, standing_words
from orchestrator.core.rules import overrides as overrides_
from orchestrator.core.runs import cleaning, endings, plan, run
from orchestrator.core.runs.starting import is_planned, start_run
from orchestrator.core.state.decided import EVERYTHING, Run, covers
from orchestrator.core.transaction import Transaction

LONGEST_S = 10 * 365 * 86400.0  # of a maintenance


def hear(tx: Transaction, word: WordSpoken) -> None:
    """Give the word its one answer, and let it take effect."""
    said = tx.decided.words.get(word.id)
    if said is None:
        unheard = _unheard(tx, word)
        result = _HEARD[word.kind](tx, word) if unheard is None else unheard
        if isinstance(result, Refusal):
            tx.record(
                r.WordRefused(
                    tx.now(),
                    word.id,
                    word.kind,
                    word.who,
                    word.subject,
                    word.why,
                    result.reason,
                    result.evidence,
                    speakers.person_meant(tx, word),
                    word.peer,
                )
            )
        elif word.id not in tx.decided.words:
            _accept(tx, word, result)
        said = tx.decided.words[word.id]
    if (said.kind, said.subject, said.who) != (word.kind, word.subject, word.who):
        evidence = f"{word.id} is {said.who}'s {said.kind.value} of {said.subject}: nothing else is done under that id"
        tx.command(Answered(word.id, False, Reason.ID_IN_USE.value, evidence, None))
        return
    accepted = isinstance(said, r.WordAccepted)
    started = said.run if isinstance(said, r.WordAccepted) else None
    tx.command(Answered(word.id, accepted, said.reason.value, said.evidence, started))


def _accept(tx: Transaction, word: WordSpoken, said: Consent) -> None:
    tx.record(
        r.WordAccepted(
            tx.now(),
            word.id,
            word.kind,
            word.who,
            word.subject,
            word.why,
            said.reason,
            said.evidence + speakers.remark(tx, word),
            said.run,
            said.ends_at,
            _named(word) if said.run and word.kind in (WordKind.FAILOVER, WordKind.FAILBACK) else (),
            speakers.person_meant(tx, word),
            word.peer,
        )
    )


def _unheard(tx: Transaction, word: WordSpoken) -> Refusal | None:
    """Why this word is not even considered: nobody says it, or not who it claims."""
    if not word.who.strip():
        return Refusal(Reason.NOBODY_NAMED, f"{word.kind.value}: say who")
    against = speakers.objection(tx, word)
    return Refusal(*against) if against else None


# ---- moving services


def _failover(tx: Transaction, word: WordSpoken) -> Refusal | Consent:
    service = tx.model.services.get(word.subject)
    if service is None:
        return no_such_service(tx, word)
    refusal = _override_refusal(word)
    if refusal is not None:
        return refusal
    named = word.options.get("move")
    if named is None:
        return _first_that_can(tx, word, service)
    move_id = _move_id(service, named)
    tiers = [*service.ladder, *(Tier(m) for m in service.failback)]
    tier = next((t for t in tiers if t.move == move_id), None)
    if tier is None:
        known = ", ".join(t.move.rpartition("/")[2] for t in tiers)
        return Refusal(Reason.NO_SUCH_MOVE, f"{service.id} has no move {named!r}; it has {known or 'none'}")
    return _move(tx, word, service, tier, again=True)


def _move_id(service: Service, named: object) -> str:
    """Which move a word names: the service's client's own, or one by its whole id."""
    return str(named) if "/" in str(named) else f"{service.client}/{named}"


def _first_that_can(tx: Transaction, word: WordSpoken, service: Service) -> Refusal | Consent:
    refusals = []
    for tier in service.ladder:
        result = _move(tx, word, service, tier)
        if isinstance(result, Consent):
            return result
        refusals.append((tier, result))
    if refusals and all(x == refusals[0][1] for _, x in refusals):  # it stands against the service, and not a tier
        return refusals[0][1]
    told = "; ".join(f"{t.move.rpartition('/')[2]}: {x.reason.value}: {x.evidence}" for t, x in refusals)
    return Refusal(Reason.NO_TIER_LEFT, told or ladder.NONE)


def _failback(tx: Transaction, word: WordSpoken) -> Refusal | Consent:
    service = tx.model.services.get(word.subject)
    if service is None:
        return no_such_service(tx, word)
    refusal = _override_refusal(word)
    if refusal is not None:
        return refusal
    if tx.incident(service) is not None and Reason.IN_INCIDENT.value not in _named(word):
        return Refusal(Reason.IN_INCIDENT, f"{service.id}: {tx.state(service).incident} is open; recover first")
    candidates = failback.candidates(tx.decided, tx.model, service)
    if word.options.get("move") is not None:
        candidates = [c for c in candidates if c == _move_id(service, word.options["move"])]
    if not candidates:
        return _no_way_back(tx, service, word)
    return _move(tx, word, service, Tier(candidates[0]))


def _no_way_back(tx: Transaction, service: Service, word: WordSpoken) -> Refusal:
    """Why no way back applies: it is at home only where its placement and the moves in effect say so."""
    state, named = tx.state(service), word.options.get("move")
    declared = ", ".join(service.failback) or "none"
    if named is not None and _move_id(service, named) not in service.failback:
        return Refusal(Reason.NO_SUCH_MOVE, f"{service.id} has no way back {str(named)!r}; it has {declared}")
    engaged = [t.move for t in service.ladder if t.move in tx.decided.engaged and tx.model.lasts(t.move)]
    stands = f"{service.id} is {state.stands}"
    stands += f", by {', '.join(engaged)}" if engaged else ""
    if engaged or state.taken_out or state.place != service.home:
        away = f"{stands}, home is {service.home or 'not declared'}; ways back declared: {declared}"
        return Refusal(Reason.NO_WAY_BACK, away)
    if service.home is None:  # nothing is in effect, but there is no place of which to say that it belongs there
        nothing = "no home is declared and no move is in effect, so nothing has to go back"
        return Refusal(Reason.NO_WAY_BACK, f"{service.id}: {nothing}; ways back declared: {declared}")
    return Refusal(Reason.AT_HOME, f"{stands}; ways back declared: {declared}")


def _move(tx: Transaction, word: WordSpoken, service: Service, tier: Tier, again: bool = False) -> Refusal | Consent:
    """Begin this move, if the guards let a named operator do so; `override` names the guards put aside."""
    overrides = frozenset(overrides_.guards_named(word.options.get("override")))
    move = tx.model.moves[tier.move]
    at_work = tx.decided.run_for(service.id)
    if at_work is not None:
        return Refusal(
            Reason.RESOURCE_BUSY, f"{at_work.id} ({at_work.started.move} for {service.id}) {at_work.at_what}"
        )
    against = []
    for guard in policy.BY_HAND:
        finding = guard(tx, service)
        if finding is not None and finding.reason not in overrides:
            return Refusal(finding.reason, finding.evidence)
        against += [f"{finding.reason.value}: {finding.evidence}"] if finding else []
    handed = move.hand_over is not None and is_planned(tx, service)
    free = {Reason.COOLING_DOWN, *((Reason.RPO_UNKNOWN, Reason.RPO_EXCEEDED) if handed else ())}
    since = tx.now() - ladder.PATIENCE_S
    assessment = ladder.assess(tx, service, tier, since, again=again, aside=overrides | free)
    if assessment.state is r.TierState.FAILED and assessment.reason is Reason.FENCE_UNPROVEN:  # it may be by now
        assessment = ladder.assess(tx, service, tier, since, again=True, aside=overrides | free)
    if assessment.reason not in (Reason.TIER_CHOSEN, Reason.FENCE_UNPROVEN):
        return Refusal(assessment.reason, assessment.evidence)
    places = ladder.to_fence(tx, service, move)
    fenced = _place(str(word.options["fenced"]), places) if word.options.get("fenced") else None
    if word.options.get("fenced") and fenced is None:
        return Refusal(
            Reason.WRONG_PLACE, f"to be fenced: {', '.join(places) or 'nothing'}, not {word.options['fenced']!r}"
        )
    handing = tx.state(service).place if handed else None
    refusal = None if word.options.get("fence") else _fence_refusal(tx, service, move, fenced, handing)
    if refusal is not None:
        return refusal
    if move.id in service.failback:
        soon = (f"{w.reason.value}: {w.evidence}" for w in failback.too_soon(tx.decided, service, tx.now()))
        against += soon
    said = {a.partition(":")[0] for a in against} | {x.value for x in free if x is not Reason.COOLING_DOWN}
    against += (a for a in assessment.against if a.partition(":")[0] not in said)
    started = start_run(
        tx,
        service,
        move.id,
        origin=r.Origin.MANUAL,
        reason=Reason.ASKED_BY_OPERATOR,
        tier=_rung(service, move) if tx.incident(service) else None,
        who=word.who,
        why=word.why,
        word=word.id,
        overrides=_named(word),
        fenced=fenced,
    )
    told = "".join(f"; against {guard}" for guard in against)
    consent = Consent(Reason.ASKED_BY_OPERATOR, f"{started.id}: {move.id}, {assessment.evidence}{told}", started.id)
    _accept(tx, word, consent)
    run.advance(tx, started)
    return consent


def _rung(service: Service, move: Move) -> int | None:
    return next((n for n, t in enumerate(service.ladder, start=1) if t.move == move.id), None)


def _fence_refusal(
    tx: Transaction, service: Service, move: Move, fenced: str | None, handing: str | None
) -> Refusal | None:
    """A place that may be alive is fenced only when the word says so. What hands over is no other place's leave."""
    waiting, asked = ladder.fence_asks(tx, service, move, tx.now() - ladder.PATIENCE_S, fenced, handing)
    if not waiting and not asked:
        return None
    remedy = "say --fence to fence it, or --fenced PLACE to state that it cannot act"
    why = "; ".join(a.removeprefix(f"{Reason.FENCE_NOT_AUTOMATIC.value}: ") for a in asked) or waiting
    return Refusal(Reason.FENCE_NOT_AUTOMATIC, f"{why}; {remedy}")


def _named(word: WordSpoken) -> tuple[str, ...]:
    """The guards that the word goes against, by their reason words."""
    return tuple(reason.value for reason in overrides_.guards_named(word.options.get("override")))


def _override_refusal(word: WordSpoken) -> Refusal | None:
    """An override of what there is not, or of what nobody may go against."""
    try:
        named = overrides_.guards_named(word.options.get("override"))
    except LookupError as unknown:
        return Refusal(Reason.NO_SUCH_GUARD, str(unknown.args[0]))
    never = [f"{reason.value}: {reason.told}" for reason in named if reason in overrides_.NEVER]
    return Refusal(Reason.NOT_OVERRIDABLE, "; ".join(never)) if never else None


# ---- runs


def _approve(tx: Transaction, word: WordSpoken) -> Refusal | Consent:
    found = tx.decided.runs.get(word.subject)
    if found is None:
        return Refusal(Reason.NO_SUCH_RUN, f"no run {word.subject!r}")
    if (another := _another_plan(found, word)) is not None:
        return another
    if found.ended is not None:
        ended = found.ended
        why = Reason.PLAN_CHANGED if ended.reason is Reason.PLAN_CHANGED else Reason.ALREADY_ENDED
        return Refusal(
            why, f"{found.id} ended: {ended.reason.value}" + (f": {ended.evidence}" if ended.reason is why else "")
        )
    step = found.current()
    waiting = found.asks_a_person
    if step is None or not (waiting or found.human):
        return Refusal(Reason.NOT_WAITING, f"{found.id} is at {step.name if step else 'its end'}")
    cleans_up, shown = step.traits.always, plan.as_shown(found)
    if new := cleaning.not_as_asked(tx, found) if cleans_up else plan.changed(tx, found):
        return Refusal(Reason.PLAN_CHANGED, f"{found.id}: {new}")
    fenced = word.options.get("fenced")
    known = sorted(s.place for s in found.fences if s.place)
    place = _place(str(fenced), known) if fenced else None
    if fenced and place is None:
        return Refusal(Reason.WRONG_PLACE, f"{found.id} fences {', '.join(known) or 'nothing'}, not {fenced!r}")
    by = cleaning.approved_by(tx, found, step) if cleans_up else {}
    tx.record(r.RunApproved(tx.now(), found.id, word.who, word.why, place, by))
    if step.state is r.StepState.LOOKING:
        tx.record(r.StepRetried(tx.now(), found.id, step.name, Reason.APPROVED, f"{word.who} had it tried again"))
    ends = approving.held_back(tx, found)
    told = f"goes on, plan {shown}" + (f"; {beyond}" if (beyond := approving.beyond(tx, found)) else "")
    told = f"is approved, and as things stand it ends and changes nothing: {ends}" if ends else told
    consent = Consent(Reason.APPROVED, f"{found.id} {told}", found.id)
    _accept(tx, word, consent)
    run.advance(tx, found)
    return consent


def _another_plan(run: Run, word: WordSpoken) -> Refusal | None:
    """An id is given again in another workspace, and in a journal that was put back; and a run asks more than once.

    The plan is what was shown.
    """
    shown, started, its_own = word.options.get("plan"), run.started, plan.as_shown(run)
    if shown is None or (len(str(shown)) >= plan.SHOWN and its_own.startswith(str(shown))):
        return None
    its = f"{run.id} is {started.move} for {started.service}, plan {its_own[: plan.SHOWN]}"
    now = f"; it asks by now: {run.human.reason.value}: {run.human.evidence}" if run.human is not None else ""
    return Refusal(Reason.ANOTHER_PLAN, f"{its}, and not plan {str(shown)!r}{now}")


def _place(named: str, known: list[str]) -> str | None:
    return next((p for p in known if named in (p, p.rpartition("/")[2])), None)


def _reject(tx: Transaction, word: WordSpoken) -> Refusal | Consent:
    found = tx.decided.runs.get(word.subject)
    if found is None:
        return Refusal(Reason.NO_SUCH_RUN, f"no run {word.subject!r}")
    if not found.asks_a_person:
        return Refusal(Reason.NOT_WAITING, f"{found.id} is not waiting for an approval")
    consent = Consent(Reason.NOT_APPROVED, f"{found.id} is not approved", found.id)
    _accept(tx, word, consent)
    endings.cancel(tx, found, Reason.NOT_APPROVED, f"by {word.who}: {word.why or 'no reason given'}")
    return consent


def _abort(tx: Transaction, word: WordSpoken) -> Refusal | Consent:
    found = tx.decided.runs.get(word.subject)
    if found is None:
        return Refusal(Reason.NO_SUCH_RUN, f"no run {word.subject!r}")
    if found.ended is not None:
        return Refusal(Reason.ALREADY_ENDED, f"{found.id} ended: {found.ended.reason.value}")
    consent = Consent(Reason.ABORTED, f"{found.id} is being stopped", found.id)
    _accept(tx, word, consent)
    run.abort(tx, found, word.who, word.why)
    return consent


# ---- standing words


def _standing(tx: Transaction, word: WordSpoken) -> Refusal | Consent:
    """Hold, maintenance, suspicion, their ends, and whatever else is only kept; the record itself takes effect."""
    clients = {s.client for s in tx.model.services.values()}
    if word.subject not in (EVERYTHING, *tx.model.services, *clients) and not standing_words.stands_by(tx, word):
        return no_such_service(tx, word)
    if word.kind is WordKind.RESUME:
        braked = any(covers(word.subject, s.id) and is_braked(tx, s) for s in tx.model.services.values())
        if word.subject not in tx.decided.holds and not braked:
            held = ", ".join(standing_words.with_its_client(word.subject, tx.decided.holds)) or "nothing"
            return Refusal(Reason.NOT_HELD, f"{word.subject} is not held by that name; held: {held}")
    if word.kind is WordKind.MAINTENANCE:
        for_s = word.options.get("for_s")
        if isinstance(for_s, bool) or not isinstance(for_s, int | float) or not 0 < for_s < LONGEST_S:
            return Refusal(Reason.INCOMPLETE, "a maintenance needs a length of less than ten years: --for 2h")
        told = f"{word.subject} for {show_duration(for_s)}{standing_words.goes_on(tx, word.subject)}"
        return Consent(Reason.IN_MAINTENANCE, told, ends_at=tx.now() + for_s)
    if (nothing := standing_words.nothing_to_end(tx, word)) is not None:
        return Refusal(Reason.NOT_HELD, nothing)
    still = standing_words.still_isolated(tx, word.subject) if word.kind is WordKind.CLEAR else ""
    still += standing_words.still_stands(tx, word)
    still += standing_words.goes_on(tx, word.subject) if word.kind is WordKind.HOLD else ""
    return Consent(Reason.ASKED_BY_OPERATOR, f"{word.kind.value}: {word.subject}{still}")


_HEARD: dict[WordKind, Callable[[Transaction, WordSpoken], Refusal | Consent]] = {
    WordKind.FAILOVER: _failover,
    WordKind.FAILBACK: _failback,
    WordKind.APPROVE: _approve,
    WordKind.REJECT: _reject,
    WordKind.ABORT: _abort,
    **dict.fromkeys(STANDING, _standing),
    WordKind.DRILL: drill_words.begin,
    WordKind.DRILL_CANCEL: drill_words.cancel,
    WordKind.FINDING: findings.open_,
    WordKind.FINDING_CLOSE: findings.close,
    WordKind.NO_FINDINGS: findings.nothing,
}
