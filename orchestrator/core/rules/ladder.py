"""Which move next: every tier of a service is assessed, in the author's order, and the first that can help is taken.

The one rule it keeps: tier n+1 is considered only after tier n is recorded failed or ineligible, with its reason.
Nothing is destroyed to find out whether a tier can help.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from orchestrator.core.durations import show_duration
from orchestrator.core.events import Answer
from orchestrator.core.forecast import DRILLED, forecast
from orchestrator.core.kinds import declared_by
from orchestrator.core.model import Fence, FenceBy, Move, Playbook, Service, Tier
from orchestrator.core.reasons import Reason
from orchestrator.core.records import TierState, Verdict
from orchestrator.core.rules import failback
from orchestrator.core.state.decided import Run
from orchestrator.core.transaction import Transaction

PATIENCE_S = 3.0  # how long an unknown precondition may delay the choice of a tier
NONE = "it has no ladder"  # of a service in mode observe, which needs none


@dataclass(frozen=True, slots=True)
class Assessment:
    """One tier's prospects. `asks`: why a named approval is needed before it acts; `against`: objections put aside."""

    move: str
    state: TierState
    reason: Reason
    evidence: str
    asks: tuple[str, ...] = ()
    against: tuple[str, ...] = ()


def assess_ladder(tx: Transaction, service: Service, since: float) -> list[Assessment]:
    """Every tier's prospects, in order. `since`: when patience with unknown preconditions began."""
    found = [assess(tx, service, tier, since) for tier in service.ladder]
    return _spend_budget(tx, service, found)


def chosen(assessments: list[Assessment]) -> int | None:
    """The tier to act on or to wait for, from 0; None when all are failed or ineligible."""
    for index, assessment in enumerate(assessments):
        if assessment.state is TierState.WAITING:
            return index
    return None


def assess(
    tx: Transaction,
    service: Service,
    tier: Tier,
    since: float,
    *,
    again: bool = False,
    aside: frozenset[Reason] = frozenset(),
) -> Assessment:
    """One tier's prospects, all but the budget. WAITING with TIER_CHOSEN means: it can be taken now.

    `again`: a named person wants this very move, so that having failed before is no objection. `aside`: objections
    that they put aside.
    """
    move = tx.model.moves[tier.move]
    incident = tx.incident(service)
    if incident is not None and not again:
        for ledger in incident.tiers.values():
            if ledger.move == move.id and ledger.state is TierState.FAILED:
                return Assessment(move.id, TierState.FAILED, ledger.reason, ledger.evidence)
        shared = _failed_elsewhere(tx, service, move, incident.episode_first_bad_at)
        if shared is not None:
            return shared
    against: list[str] = []
    for no in _objections(tx, service, tier, move, since):
        if no.reason not in aside:
            return no
        against.append(f"{no.reason.value}: {no.evidence}")
    busy = held_up(tx, move)
    if busy is not None:
        return busy
    waiting, asked = fence_asks(tx, service, move, since)
    if waiting:
        return Assessment(move.id, TierState.WAITING, Reason.FENCE_UNPROVEN, waiting, against=tuple(against))
    evidence = _prospect(tx, move, _left_s(tx, service))
    return Assessment(move.id, TierState.WAITING, Reason.TIER_CHOSEN, evidence, tuple(asked), tuple(against))


def held_up(tx: Transaction, move: Move) -> Assessment | None:
    """Recoveries outlived their block, four at once (openark/orchestrator#1217): time releases nothing.

    Asked for a failback by itself too: two services may share a way back, or what it holds.
    """
    for resource in move.holds:
        holder = tx.decided.holder_of(resource)
        if holder is not None:
            evidence = f"{resource} is held by {holder.id} ({holder.started.move} for {holder.started.service})"
            if holder.human is not None:  # waiting here would be for ever
                return _no(move, Reason.RESOURCE_BUSY, f"{evidence}, which waits for a person")
            return Assessment(move.id, TierState.WAITING, Reason.RESOURCE_BUSY, evidence)
    return None


def to_fence(tx: Transaction, service: Service, move: Move) -> list[str]:
    """The places that might be acting and are not where the move leads, in a stable order."""
    if move.to is None or not service.exclusive:
        return []
    return sorted(tx.state(service).may_act - {move.to})


def taken_over(tx: Transaction, service: Service) -> list[str]:
    """Where it may act while the place that it is still counted at was taken out: a promotion failed half way."""
    place, may_act = tx.state(service).place, tx.state(service).may_act
    return sorted(may_act) if service.exclusive and place is not None and place not in may_act else []


def handing(run: Run) -> str | None:
    """The place that hands over in this run, if one does: it is stopped cleanly, and not fenced."""
    return next((step.place for step in run.fences if step.hand_over), None)


def fence_asks(
    tx: Transaction,
    service: Service,
    move: Move,
    since: float,
    vouched: str | None = None,
    handing: str | None = None,
) -> tuple[str, list[str]]:
    """What to wait for (or ``), and why a person must decide to fence, for every place to be left.

    Nodes shot each other after a freeze of 90 s (GitHub, December 2012): a place that may be alive, with people working
    in it, is fenced by itself only where its author says so, or where its console says that it is dark.

    `vouched`: a place that a named person states to be out. `handing`: the one that hands over, and is not fenced.
    """
    asked = []
    for place_id in to_fence(tx, service, move):
        if place_id in (vouched, handing):
            continue
        fence = place.fence if (place := tx.model.places.get(place_id)) else None
        if fence is None:
            asked.append(f"{Reason.NO_FENCE.value}: nothing in the plan can prove that {place_id} is out")
            continue
        if tx.says(fence.proven_when) is Verdict.UP or fence.automatic is FenceBy.ALWAYS:
            continue
        if fence.automatic is FenceBy.NEVER or fence.dark_when is None:
            asked.append(f"{Reason.FENCE_NOT_AUTOMATIC.value}: {place_id} may be alive; its fence is never automatic")
            continue
        dark = tx.says(fence.dark_when)
        if dark is Verdict.UP:
            sighted = _sighted(tx, place_id, fence)
            if sighted and tx.now() < since + PATIENCE_S:
                tx.wake(since + PATIENCE_S)
                return sighted, []
            asked += [sighted] if sighted else []
            continue
        evidence = tx.behind(fence.dark_when, dark)
        coming = any((row := tx.rows().get(c)) and row.good_streak for c in fence.dark_when.checks())
        if (dark is Verdict.UNKNOWN or coming) and tx.now() < since + PATIENCE_S:
            tx.wake(since + PATIENCE_S)
            return f"waiting for an answer about {place_id}'s power: {evidence}", []
        said = [tx.rows()[c].last_answer for c in fence.dark_when.checks() if c in tx.rows()]
        if dark is Verdict.UNKNOWN or (said and all(a is Answer.SILENT for a in said)):  # a silent console says nothing
            asked.append(f"{Reason.FENCE_UNPROVEN.value}: whether {place_id} has power is unknown: {evidence}")
        else:
            asked.append(f"{Reason.FENCE_NOT_AUTOMATIC.value}: {place_id} is not dark, it may be alive: {evidence}")
    return "", asked


def _sighted(tx: Transaction, place_id: str, fence: Fence) -> str:
    """A place said to be dark that has just answered is not dark: a fresh positive sighting vetoes (repmgr#821)."""
    place = tx.model.places[place_id]
    spoken = {*(fence.dark_when.checks() if fence.dark_when else ()), *fence.proven_when.checks()}
    since = tx.now() - tx.limits(place.client).sighting_s
    for name, row in tx.rows().items():
        check = tx.model.checks[name]
        if name in spoken or not place.domains & check.domains or row.last_good_at is None or row.last_good_at < since:
            continue
        ago = show_duration(tx.now() - row.last_good_at)
        return f"{Reason.SEEN_ALIVE.value}: {place_id} is said to be dark, and answered {ago} ago: {tx.evidence(name)}"
    return ""


def data_loss(tx: Transaction, service: Service, move: Move, accept_loss_s: float | None) -> tuple[Reason, str] | None:
    """Why the data found at the move's destination would not do; None when it would (GitHub, October 2018).

    The age is that of the last sample plus the time since: nothing is known of what was lost meanwhile.
    """
    if move.to is None or service.rpo_s is None:
        return None
    if move.data_age is None:
        return Reason.RPO_UNKNOWN, f"{move.id} names no check for the age of its data"
    age_s = tx.data_age_s(move.data_age, tx.now())
    if age_s is None:
        return Reason.RPO_UNKNOWN, tx.evidence(move.data_age)
    allowed_s = max(service.rpo_s, accept_loss_s or 0.0)
    if age_s > allowed_s:
        return Reason.RPO_EXCEEDED, f"data {show_duration(age_s)} old, {show_duration(allowed_s)} allowed"
    return None


def _no(move: Move, reason: Reason, evidence: str) -> Assessment:
    return Assessment(move.id, TierState.INELIGIBLE, reason, evidence)


def books_of(tx: Transaction, service: Service, move: Move) -> list[Playbook]:
    """Every playbook that the move may run for this service now."""
    places = [tx.model.places.get(name) for name in to_fence(tx, service, move)]
    fences = [move.hand_over, *(place.fence for place in places if place)]
    here = tx.model.places.get(tx.state(service).place or "")
    books = [*declared_by(move), *(f.playbook for f in fences if f)]
    return [book for book in (*books, here.isolate.playbook if here and here.isolate else None) if book]


def _edited(tx: Transaction, service: Service, move: Move) -> Iterator[Assessment]:
    """What was approved, or decided upon, is not what would run: files were edited, and not loaded."""
    for book in books_of(tx, service, move) if tx.decided.edited else ():
        if evidence := tx.decided.edited.get(book.digest):
            yield _no(move, Reason.PLAN_CHANGED, evidence)
            return


def _objections(tx: Transaction, service: Service, tier: Tier, move: Move, since: float) -> Iterator[Assessment]:
    """All that speaks against this tier, the first first; whoever asks stops at the first that counts."""
    yield from _edited(tx, service, move)
    yield from cannot_start(tx, service, move)
    yield from _not_viable(tx, move, since)
    yield from _engaged(tx, move)
    yield from _too_late(tx, service, tier, move)


def cannot_start(tx: Transaction, service: Service, move: Move) -> Iterator[Assessment]:
    """Why it does not lead on from where the service is, by records."""
    state = tx.state(service)
    place, stands = state.place, f"{service.id} is {state.stands}"
    if move.to is not None and move.to == place:
        yield _no(move, Reason.WRONG_PLACE if state.taken_out else Reason.ALREADY_THERE, stands)
    if move.leaves and place not in move.leaves:
        starts = ", ".join(sorted(move.leaves))
        yield _no(move, Reason.WRONG_PLACE, f"{stands}, the move starts from {starts}")
    if move.to is None and (elsewhere := taken_over(tx, service)):
        evidence = f"{place} is out, and {', '.join(elsewhere)} may act: nothing is started at both"
        yield _no(move, Reason.WRONG_PLACE, evidence)


def _failed_elsewhere(tx: Transaction, service: Service, move: Move, since: float) -> Assessment | None:
    """A shared move that failed for another service in this outage is not run again for this one."""
    for run in tx.decided.runs.values():
        started = run.started
        if started.move != move.id or started.service == service.id or run.ended is None or run.ended.at < since:
            continue
        if not run.ended.ok and run.past_the_fence and run.failed:
            return _no(move, run.ended.reason, f"failed for {started.service} ({run.id}): {run.ended.evidence}")
    return None


def _not_viable(tx: Transaction, move: Move, since: float) -> Iterator[Assessment]:
    """Failed over to nothing viable, and killed the only working link for it (opnsense/core#9789, #4160)."""
    if move.viable_when is None:
        return
    verdict = tx.says(move.viable_when)
    if verdict is Verdict.DOWN:
        yield _no(move, Reason.NOT_VIABLE, tx.behind(move.viable_when, Verdict.DOWN))
        return
    doubtful = [c for c in move.viable_when.checks() if tx.in_doubt(c)]
    if doubtful and tx.now() < since + PATIENCE_S:  # its verdict is about to fall: do not choose it a moment before
        tx.wake(since + PATIENCE_S)
        yield Assessment(move.id, TierState.WAITING, Reason.VIABILITY_UNKNOWN, tx.evidence(doubtful[0]))
    if verdict is Verdict.UNKNOWN:
        evidence = tx.behind(move.viable_when, Verdict.UNKNOWN)
        if tx.now() < since + PATIENCE_S:
            tx.wake(since + PATIENCE_S)
            yield Assessment(move.id, TierState.WAITING, Reason.VIABILITY_UNKNOWN, evidence)
        else:
            yield _no(move, Reason.VIABILITY_UNKNOWN, evidence)


def _engaged(tx: Transaction, move: Move) -> Iterator[Assessment]:
    lasts = move.done_when is not None or any(m.undoes == move.id for m in tx.model.moves.values())
    engaged = lasts and move.id in tx.decided.engaged  # a restart is over when it is done, and may be done again
    if engaged and not (move.done_when and tx.says(move.done_when) is Verdict.DOWN):  # re-checked, not believed
        yield _no(move, Reason.ALREADY_ENGAGED, f"in effect since {tx.decided.engaged[move.id]}")


def _too_late(tx: Transaction, service: Service, tier: Tier, move: Move) -> Iterator[Assessment]:
    """No return by itself to what just failed (GitHub, September 2012), and no promotion of data that is too old."""
    left_at = tx.state(service).left.get(move.to or "")
    if left_at is not None and tx.now() - left_at < service.cool_down_s:
        tx.wake(left_at + service.cool_down_s)
        # Not how long ago: it stands there for as long as it is so.
        wrong = failback.went_wrong(tx.decided, service, move.to or "")
        evidence = f"{wrong} less than {show_duration(service.cool_down_s)} ago"
        yield _no(move, Reason.COOLING_DOWN, evidence)
    loss = data_loss(tx, service, move, tier.accept_loss_s)
    if loss is not None:
        yield _no(move, *loss)


def _left_s(tx: Transaction, service: Service) -> float | None:
    """What is left of the RTO; None without an incident."""
    incident = tx.incident(service)
    return incident.clock_at + service.rto_s - tx.now() if incident is not None else None


def _prospect(tx: Transaction, move: Move, left_s: float | None) -> str:
    known = tx.forecast(move.id)
    if known is None:
        drilled = forecast(tx.decided.drilled.get(move.id, []), of=DRILLED)
        none = "no history" if drilled is None else f"no live run (drills: {drilled})"
        return f"{none}: assumed to fit" if left_s is None or left_s > 0 else none
    return str(known)


def _spend_budget(tx: Transaction, service: Service, found: list[Assessment]) -> list[Assessment]:
    """Pass over tiers that may take longer than the budget left, while another fits.

    The RTO was missed waiting for a restore that everybody knew takes hours: what a tier's own live runs bound decides,
    and not its place on the ladder alone. Of few runs that is the longest of them (`forecast.py`).
    """
    left_s = _left_s(tx, service)
    if left_s is None:
        return found
    left = f"{show_duration(left_s)} of the RTO left" if left_s > 0 else f"the RTO exceeded by {show_duration(-left_s)}"

    def fits(assessment: Assessment) -> bool:
        at_most_s = tx.at_most_s(assessment.move)
        return at_most_s is None or at_most_s <= left_s

    open_ = [a for a in found if a.state is TierState.WAITING]
    if not any(fits(a) for a in open_):
        late = f"; predicted to miss the RTO: {left}" if left_s > 0 else f"; {left}"
        return [replace(a, evidence=a.evidence + late) if a in open_ else a for a in found]
    return [
        replace(
            a,
            state=TierState.INELIGIBLE,
            reason=Reason.BUDGET_TOO_SMALL,
            evidence=f"{_prospect(tx, tx.model.moves[a.move], left_s)}, {left}",
        )
        if a in open_ and not fits(a)
        else a
        for a in found
    ]
