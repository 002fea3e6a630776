"""May this drill begin, and may it go on? The guards over a drill, each with its reason and its evidence.

The one rule it keeps: a drill is never worth an outage. Every guard over automatic action stands against it, and those
of its own: whoever wants it by hand goes against none of them. What a disaster would need must be there while it runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

from orchestrator.core.durations import counted
from orchestrator.core.health.diagnosis import USABLE
from orchestrator.core.model import DrillKind, Mode, Model, Move, Service, Tier
from orchestrator.core.reasons import Reason
from orchestrator.core.records import Decision, Verdict
from orchestrator.core.rules import ladder, policy
from orchestrator.core.rules.signs_of_life import alive
from orchestrator.core.state.decided import Drill, Incident, Run, covers
from orchestrator.core.transaction import Transaction

Objection = tuple[Reason, str]


def objection(
    tx: Transaction, service: Service, move: Move, kind: DrillKind, *, by_hand: bool, fence: bool = False
) -> Objection | None:
    """The first objection to beginning this drill now, or None. `fence`: a named person wants what it leaves fenced."""
    return next(_objections(tx, service, move, kind, by_hand=by_hand, fence=fence), None)


def _objections(
    tx: Transaction, service: Service, move: Move, kind: DrillKind, *, by_hand: bool, fence: bool
) -> Iterator[Objection]:
    full = kind is DrillKind.FULL_SCALE
    first, then = _own(tx, service, move, kind, fence=fence)
    for _, found in first:
        yield from found
    for guard in policy.GUARDS:
        finding = guard(tx, service)
        if finding is not None:
            yield finding.reason, finding.evidence
    if service.mode is Mode.OBSERVE and full and not by_hand:
        yield Reason.OBSERVE_ONLY, f"{service.id} is in mode observe: nothing moves it but a person's word"
    for _, found in then:
        yield from found
    yield from _cannot_be_made(tx, service, move, full)


_Guards = list[tuple[tuple[Reason, ...], Iterator[Objection]]]


def _own(tx: Transaction, service: Service, move: Move, kind: DrillKind, *, fence: bool) -> tuple[_Guards, _Guards]:
    """The guards over drills alone, before the policy's and after: what each objects with, and its objections."""
    first: _Guards = [
        ((Reason.IN_INCIDENT, Reason.COMPROMISE_SUSPECTED), _trouble(tx, service)),
        ((Reason.RESOURCE_BUSY, Reason.DRILL_UNDER_WAY), _at_work(tx, service)),
    ]
    then: _Guards = [
        ((Reason.NOT_AT_HOME,), _not_at_home(tx, service)),
        ((Reason.NOT_WELL,), not_well(tx, service)),
        ((Reason.PLACE_DOWN,), _places_down(tx, service, move)),
    ]
    if kind is DrillKind.FULL_SCALE:
        then += [
            ((Reason.NO_WAY_BACK,), _no_way_back(tx, service, move, fence)),
            ((Reason.NO_FENCE, Reason.FENCE_NOT_AUTOMATIC), _would_fence(tx, service, move, fence)),
        ]
    else:
        then.append(((Reason.TOUCHES_WHAT_SERVES,), touches(tx, service, move)))
    return first, then


def own_guards(
    tx: Transaction, service: Service, move: Move, kind: DrillKind, *, fence: bool
) -> Iterator[tuple[Reason, str]]:
    """The guards over drills alone, each by what it objects with, and its evidence; empty: it passes."""
    first, then = _own(tx, service, move, kind, fence=fence)
    for reasons, objections in (*first, *then):
        found: dict[Reason, list[str]] = {reason: [] for reason in reasons}
        for reason, evidence in objections:
            found.setdefault(reason, []).append(evidence)
        yield from ((reason, "; ".join(told)) for reason, told in found.items())


def _trouble(tx: Transaction, service: Service) -> Iterator[Objection]:
    """A drill in an incident takes away what it needs; a suspected intruder is given nothing to do with."""
    needed = set(policy.dependencies(tx, service))
    for open_ in tx.decided.open_incidents():
        if covers(service.client, open_.service) or open_.service in needed:
            yield Reason.IN_INCIDENT, f"{open_.id} of {open_.service} is open"
    yield from _suspected(tx, service)


def _suspected(tx: Transaction, service: Service) -> Iterator[Objection]:
    """What is moved carries an intruder along."""
    for subject, word in tx.decided.suspected.items():
        if covers(subject, service.id):
            yield Reason.COMPROMISE_SUSPECTED, f"{word.who} suspects {subject}"


def _at_work(tx: Transaction, service: Service) -> Iterator[Objection]:
    """Two at once tell nothing of each (four recoveries at once on one cluster, openark/orchestrator#1217)."""
    run = tx.decided.run_for(service.id)
    if run is not None:
        yield Reason.RESOURCE_BUSY, f"{run.id} ({run.started.move} for {service.id}) {run.at_what}"
    for drill in tx.decided.unfinished_drills():
        if covers(service.client, drill.began.service):
            yield Reason.DRILL_UNDER_WAY, f"{drill.id} ({drill.began.kind.value}) of {drill.began.service}"


def _not_at_home(tx: Transaction, service: Service) -> Iterator[Objection]:
    """A drill left its firewall rules behind (azure-docs#35970): there has to be a state to return to."""
    state = tx.state(service)
    if state.place != service.home or state.taken_out:
        yield Reason.NOT_AT_HOME, f"{service.id} is {state.stands}, home is {service.home or 'not declared'}"
    for tier in service.ladder:
        if tier.move in tx.decided.engaged and tx.model.lasts(tier.move):
            yield Reason.NOT_AT_HOME, f"{tier.move} is in effect, since {tx.decided.engaged[tier.move]}"


def not_well(tx: Transaction, service: Service) -> Iterator[Objection]:
    """Any check of the service that does not say up: degraded is not good enough to begin on.

    The experiment broke the application and was told as successful (chaostoolkit-lib#94).
    """
    bad = [c for c in dict.fromkeys(service.healthy_when.checks()) if tx.verdict(c) is not Verdict.UP]
    if bad:
        yield Reason.NOT_WELL, "; ".join(tx.evidence_of_verdict(c) for c in bad)


def _places_down(tx: Transaction, service: Service, move: Move) -> Iterator[Objection]:
    """Every place that its ladder could need, whatever the drill does, has to be up.

    The replica was out of step when the primary was lost (GitLab, January 2017).
    """
    moves = [tx.model.moves[t.move] for t in service.ladder]
    for place in dict.fromkeys(p for p in (service.home, *(m.to for m in moves)) if p):
        found = alive(tx, place)
        if found.asked and not found.well and found.unknown < found.asked:
            yield Reason.PLACE_DOWN, f"nothing of {place} answers well ({counted(found.asked, 'check')})"
    for other in moves:
        if other.id != move.id and other.to and tx.says(other.viable_when) is Verdict.DOWN and other.viable_when:
            yield Reason.PLACE_DOWN, f"{other.id} could not be made: {tx.behind(other.viable_when, Verdict.DOWN)}"


def way_back(model: Model, service: Service, move: Move) -> str | None:
    """The move that leads back from where this one leads, by its id; None: there is none, or nothing to take back."""
    for name in service.failback:
        back = model.moves[name]
        if move.to is None and back.undoes == move.id:
            return name
        if (
            move.to is not None
            and service.home is not None
            and back.to == service.home
            and (not back.leaves or move.to in back.leaves)
        ):
            return name
    return None


def _no_way_back(tx: Transaction, service: Service, move: Move, fence: bool) -> Iterator[Objection]:
    """What cannot be taken back is not drilled."""
    name = way_back(tx.model, service, move)
    if name is None:
        if move.to is not None or tx.model.lasts(move.id):
            yield Reason.NO_WAY_BACK, f"{service.id} has no way back from {move.id}: see `failback` or `back`"
        return
    back = tx.model.moves[name]
    if back.viable_when is not None and (said := tx.says(back.viable_when)) in (Verdict.DOWN, Verdict.UNKNOWN):
        reason = Reason.NOT_VIABLE if said is Verdict.DOWN else Reason.VIABILITY_UNKNOWN
        yield reason, f"the way back, {back.id}: {tx.behind(back.viable_when, said)}"
    yield from _kept_by_rpo(service, back, fence)


def _kept_by_rpo(service: Service, back: Move, fence: bool) -> Iterator[Objection]:
    opens = not service.exclusive or (fence and back.hand_over is None)  # what would be fenced unasked is refused below
    if opens and back.to is not None and service.rpo_s is not None and back.data_age is None:
        why = f"{back.id} names no check for the age of its data, and nothing is handed over to it"
        yield Reason.NO_WAY_BACK, f"{service.id} would be kept from coming back by its RPO: {why}"


def refused_each_time(model: Model, service: Service, move: Move) -> Objection | None:
    """What stands against every full-scale drill of this move from home that nobody wants with `--fence`; None: nothing
    that the plan alone says.
    """
    back = model.moves.get(way_back(model, service, move) or "")
    leaves = service.exclusive and move.to not in (None, service.home)
    left = [service.home] if leaves and service.home is not None else []
    kept = _kept_by_rpo(service, back, False) if back is not None else iter(())
    return next(chain(kept, _fences(model, service, move, left, service.home, fence=False)), None)


def _would_fence(tx: Transaction, service: Service, move: Move, fence: bool) -> Iterator[Objection]:
    """A place that works is not switched off for a drill, there or on the way back, unless a named person wants it."""
    places = ladder.to_fence(tx, service, move)
    return _fences(tx.model, service, move, places, tx.state(service).place, fence=fence)


def _fences(
    model: Model, service: Service, move: Move, places: Iterable[str], at: str | None, *, fence: bool
) -> Iterator[Objection]:
    """`places`: that the move leaves; `at`: where the service is."""
    left = [(move, place) for place in places]
    back = model.moves.get(way_back(model, service, move) or "")
    left += [(back, move.to)] if back is not None and back.to and move.to and service.exclusive else []
    handing = {(move.id, at)} | ({(back.id, move.to)} if back is not None else set())
    for by, place in left:
        if by.hand_over is not None and (by.id, place) in handing:
            continue
        declared = model.places.get(place)
        if declared is None or declared.fence is None:
            yield Reason.NO_FENCE, f"nothing can prove that {place} is out, which {by.id} leaves"
        elif not fence:
            hands = f"{by.id} declares no hand_over" if by.hand_over is None else "it may act, and hands nothing over"
            yield Reason.FENCE_NOT_AUTOMATIC, f"{place} would be fenced, and {hands}; say --fence to have it fenced"


def touches(tx: Transaction, service: Service, move: Move) -> Iterator[Objection]:
    """The data of the primary were removed, and not the replica's (GitLab, January 2017): a rehearsal is elsewhere."""
    state = tx.state(service)
    serving = {*state.may_act, *([state.place] if state.place else [])}
    if move.rehearse is not None and (both := sorted(serving & move.rehearse.places)):
        yield Reason.TOUCHES_WHAT_SERVES, f"{move.rehearse.hosts} has hosts in {', '.join(both)}, where it serves"


def _cannot_be_made(tx: Transaction, service: Service, move: Move, full: bool) -> Iterator[Objection]:
    """What stands against the move itself; a hand-over, or a rehearsal, loses no data."""
    handed = not full or move.hand_over is not None
    free = frozenset({Reason.RPO_UNKNOWN, Reason.RPO_EXCEEDED} if handed else ())
    tier = next((t for t in service.ladder if t.move == move.id), Tier(move.id))
    found = ladder.assess(tx, service, tier, tx.now() - ladder.PATIENCE_S, again=True, aside=free)
    if found.reason is not Reason.TIER_CHOSEN and not (found.reason is Reason.FENCE_UNPROVEN and handed):
        yield found.reason, found.evidence


# ---- while it is under way


def harm(tx: Transaction, drill: Drill) -> Objection | None:
    """The first sign of harm that the drill itself did not announce: what has failed since it began."""
    own = tx.model.services[drill.began.service]
    for open_ in tx.decided.open_incidents():
        service = tx.model.services.get(open_.service)
        if service is None or service.client != own.client or open_.episode_opened_at < drill.began.at:
            continue
        if not _announced(tx, drill, own, service, open_):
            return Reason.HARM, f"{open_.id} of {service.id} is open"
    return None


def _announced(tx: Transaction, drill: Drill, own: Service, service: Service, open_: Incident) -> bool:
    """Whether the drill stops it for a moment: its own service while a run of the drill moves it, and what depends on
    it, or shares the move, which is given time to come back.
    """
    needs = any(d.service == own.id for d in service.depends_on)
    shares = any(t.move == drill.began.move for t in service.ladder)
    if service.id != own.id and not needs and not shares:
        return False
    for run in (tx.decided.runs[x] for x in drill.runs):
        if not run.committed:
            continue
        until = run.ended.at + service.settle_s if run.ended is not None and service.id != own.id else 0.0
        if run.ended is not None and open_.episode_opened_at <= run.ended.at and tx.now() < until:
            tx.wake(until)
            return True
        if run.ended is None:
            return True
    return False


def keeps_away(tx: Transaction, service: Service, back: Move) -> Objection | None:
    """Why a drill cannot go back at this moment."""
    return next(_kept_away(tx, service, back), None)


def _kept_away(tx: Transaction, service: Service, back: Move) -> Iterator[Objection]:
    finding = policy.objection(tx, service, policy.BEFORE_ACTING)
    if finding is not None:
        yield finding.reason, finding.evidence
    yield from _suspected(tx, service)
    if tx.health(service) not in USABLE and not gave_way(tx, back.id):  # what is not well hands nothing over
        yield Reason.NOT_WELL, tx.behind(service.healthy_when, tx.health(service))
    busy = ladder.held_up(tx, back)
    if busy is not None:
        yield busy.reason, busy.evidence
    for open_ in tx.decided.open_incidents():  # who waits for what the drill held has it first
        waits = open_.judged is not None and open_.judged.reason is Reason.RESOURCE_BUSY
        tiers = tx.model.services[open_.service].ladder if waits and open_.service in tx.model.services else ()
        if any(set(back.holds) & set(tx.model.moves[t.move].holds) for t in tiers):
            yield Reason.RESOURCE_BUSY, f"{open_.id} of {open_.service} waits for what {back.id} holds"
    if back.viable_when is not None and (said := tx.says(back.viable_when)) not in USABLE:
        yield Reason.NOT_VIABLE, tx.behind(back.viable_when, said)


def gave_way(tx: Transaction, way_back: str) -> bool:
    """Whether what this move takes back is in effect and has failed, and what was there before is well.

    Then to go back is the recovery: whatever waits for the end of the outage would wait for nothing.
    """
    back = tx.model.moves.get(way_back)
    return back is not None and back.undoes in tx.decided.engaged and _better_before(tx, back)


def _better_before(tx: Transaction, back: Move) -> bool:
    """By what the author has asked of both ways; where nothing is asked, nothing says so."""
    forth = tx.model.moves.get(back.undoes or "")
    if forth is None or back.viable_when is None or forth.viable_when is None:
        return False
    doubted = any(tx.in_doubt(c) for c in back.viable_when.checks())
    return tx.says(forth.viable_when) is Verdict.DOWN and tx.says(back.viable_when) in USABLE and not doubted


def goes_back_first(tx: Transaction, service: Service) -> policy.Finding | None:
    """A recovery waits while a drill takes back the very thing that has failed, unless that was tried in vain."""
    shared = {tier.move for tier in service.ladder}
    for drill in tx.decided.unfinished_drills():
        own, back = tx.model.services.get(drill.began.service), tx.model.moves.get(drill.began.back or "")
        if own is None or back is None or not (own.id == service.id or back.undoes in shared):
            continue
        runs = [tx.decided.runs[name] for name in drill.runs[1:]]
        in_vain = any(x.human is not None or (x.ended is not None and not x.ended.ok) for x in runs)
        at_work = any(x.ended is None for x in runs)
        if in_vain or not _better_before(tx, back):
            continue
        if at_work or (gave_way(tx, back.id) and keeps_away(tx, own, back) is None):
            evidence = f"{drill.id} takes {drill.began.move} back first, which has failed"
            return policy.Finding(Decision.WAIT, Reason.DRILL_UNDER_WAY, evidence)
    return None


def stops(tx: Transaction, run: Run, drill: Drill) -> Objection | None:
    """Why a run of a drill must not begin its next playbook, while nothing has been changed yet.

    What leads back is stopped by what forbids any action; what leads away, and a rehearsal, by any harm as well.
    """
    service, move = tx.model.services[drill.began.service], tx.model.moves[run.started.move]
    finding = policy.objection(tx, service, policy.BEFORE_ACTING)
    if finding is not None:
        return finding.reason, finding.evidence
    if (found := next(_suspected(tx, service), None)) is not None or run.started.move != drill.began.move:
        return found
    found = harm(tx, drill)
    if found is not None:
        return found
    return next(touches(tx, service, move), None) if run.rehearses else next(not_well(tx, service), None)
