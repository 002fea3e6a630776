"""What must never happen when bascule acts automatically: statements 8, 10, 12, 13, 16 to 19.

The one rule it keeps: no guard is asked. Each check is written from its statement, and reads only the model, the
records and the rows. Otherwise a broken guard would be compared with itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from orchestrator.core import records as r
from orchestrator.core.durations import show_duration
from orchestrator.core.events import Answer
from orchestrator.core.health.diagnosis import evaluate
from orchestrator.core.invariant_broken import InvariantBroken
from orchestrator.core.kinds import TRAITS
from orchestrator.core.model import Condition, Fence, FenceBy, Mode, Place, Service
from orchestrator.core.state.decided import Run, Step, covers
from orchestrator.core.transaction import Transaction

COOL_DOWN = "no automatic return to what was given up within its cool-down"


def honoured(tx: Transaction, run: str, service: Service) -> None:
    """Statement 19: a mode, a hold or a window is honoured within one decision."""
    rule = "holds, maintenance and modes are honoured within one decision"
    if service.mode is Mode.OBSERVE:
        raise InvariantBroken(19, rule, f"{run}: {service.id} is in mode observe")
    for subject, word in tx.decided.holds.items():
        if covers(subject, service.id):
            raise InvariantBroken(19, rule, f"{run}: {word.who} holds {subject}")
    for subject, ends_at in tx.decided.maintenance.items():
        if covers(subject.partition("#")[0], service.id) and tx.now() < ends_at:
            raise InvariantBroken(19, rule, f"{run}: {subject} is in maintenance")


def approved(tx: Transaction, run: Run, step: Step, service: Service) -> None:
    """Statement 19: what needs a named person's word has it; a suspicion alone isolates, in mode auto, and no more."""
    suspected = [(subject, word) for subject, word in tx.decided.suspected.items() if covers(subject, service.id)]
    if step.traits.contains:
        here = tx.decided.services[service.id].place
        if not suspected or service.mode is not Mode.AUTO or step.place != here:
            raise InvariantBroken(19, "a place is isolated by itself on a suspicion alone", f"{run.id}: {step.place}")
        return
    rule = "nothing is done before it is approved"
    if service.mode is Mode.ASK and run.approved_at is None:
        raise InvariantBroken(19, rule, f"{run.id}: {service.id} is in mode ask")
    for subject, word in suspected:
        if run.approved_at is None or run.approved_at < word.at:
            raise InvariantBroken(19, rule, f"{run.id}: {word.who} suspects {subject}")


def meant_now(tx: Transaction, run: Run) -> None:
    """Statement 19: nothing is begun on a word that was said long before this controller began."""
    began = tx.decided.controller.at if tx.decided.controller is not None else 0.0
    said = [run.approved.at] if run.approved is not None else []
    said += [run.started.at] if run.started.origin is r.Origin.MANUAL else []
    if said and not run.started.drill and began > max(said) + run.started.approval_expires_s:
        rule = "a word is about the present"
        raise InvariantBroken(19, rule, f"{run.id}: the last was said {show_duration(began - max(said))} before")


# ---- sight


def in_sight(tx: Transaction, run: str, service: Service) -> None:
    """Statement 10: somebody sees, and where several look, enough of them see it down."""
    checks = [tx.model.checks[c] for c in service.healthy_when.checks()]
    vantages = sorted({c.vantage for c in checks})
    seeing = [v for v in vantages if _sees(tx, v)]
    if not seeing:
        rule = "a blind vantage's verdicts count for nothing"
        raise InvariantBroken(10, rule, f"{run}: no reference of {', '.join(vantages)} answers")
    if len(vantages) < 2 or tx.decided.services[service.id].incident is None:
        return
    need = max(2, tx.limits(service.client).quorum or len(vantages) // 2 + 1)
    fell = [v for v in seeing if any(_is_down(tx, c.id) for c in checks if c.vantage == v)]
    if len(fell) < need:
        rule = "one of several vantages never triggers alone"
        raise InvariantBroken(10, rule, f"{run}: {', '.join(fell) or 'nobody'} sees it down, {need} needed")


def _sees(tx: Transaction, vantage: str) -> bool:
    """Whether a reference of it answered its last question well, not too long ago; or it has none."""
    references = tx.references(vantage)
    for name in references:
        row, stale_s = tx.rows().get(name), tx.model.checks[name].stale_after_s
        if row is not None and row.last_answer is Answer.GOOD and tx.now() - row.last_sent_at <= stale_s:
            return True
    return not references


def _is_down(tx: Transaction, check: str) -> bool:
    known = tx.decided.verdicts.get(check)
    return known is not None and known.verdict is r.Verdict.DOWN


def confirmed(tx: Transaction, record: r.VerdictChanged) -> None:
    """Statement 10: silence takes a check down only if a reference answered, without a break from before it on."""
    check, row = tx.model.checks[record.check], tx.rows()[record.check]
    if row.spoken_bad >= check.fall or row.last_silent_at is None:
        return  # it fell by what was answered
    if not any(_vouches(tx, c, row.last_silent_at) for c in tx.references(check.vantage)):
        rule = "silence is no verdict without a reference that answers"
        raise InvariantBroken(10, rule, f"{record.check}: no reference of {check.vantage} answered then and since")


def _vouches(tx: Transaction, reference: str, silent_at: float) -> bool:
    """Whether this reference answered well, without a break, from before a silence to after it."""
    row = tx.rows().get(reference)
    if row is None or row.first_good_at is None or row.last_good_at is None:
        return False
    return row.first_good_at <= silent_at <= row.last_good_at


def _verdict(tx: Transaction, check: str) -> r.Verdict:
    """The verdict on record, or unknown where nobody sees."""
    known = tx.decided.verdicts.get(check)
    return known.verdict if known is not None and _sees(tx, tx.model.checks[check].vantage) else r.Verdict.UNKNOWN


# ---- fences


def dark(tx: Transaction, record: r.RunStarted) -> None:
    """Statement 16: a place that may be alive is fenced by a person, or where its author says so."""
    rule = "what may be alive is not fenced by itself"
    for step in record.steps if not record.asks else ():
        if not TRAITS[step.kind].fences or step.hand_over or step.place is None:
            continue
        place = tx.model.places[step.place]
        fence = place.fence
        if fence is None:
            raise InvariantBroken(16, rule, f"{record.run}: {place.id} has no fence")
        if fence.automatic is FenceBy.ALWAYS or _says(tx, fence.proven_when) is r.Verdict.UP:
            continue
        dark_when = fence.dark_when if fence.automatic is FenceBy.WHEN_DARK else None
        if dark_when is None or _says(tx, dark_when) is not r.Verdict.UP:
            raise InvariantBroken(16, rule, f"{record.run}: nothing says that {place.id} is dark")
        if _answers(tx, place, fence):
            raise InvariantBroken(16, rule, f"{record.run}: {place.id} has just answered")


def _says(tx: Transaction, condition: Condition) -> r.Verdict:
    return evaluate(condition, lambda check: _verdict(tx, check))


def _answers(tx: Transaction, place: Place, fence: Fence) -> bool:
    """Whether anything there has answered well a moment ago, beside what tells of its power."""
    consoles = {*fence.proven_when.checks(), *(fence.dark_when.checks() if fence.dark_when else ())}
    since = tx.now() - tx.limits(place.client).sighting_s
    there = [c.id for c in tx.model.checks.values() if c.domains & place.domains and c.id not in consoles]
    return any((at := tx.rows()[c].last_good_at) is not None and at >= since for c in there if c in tx.rows())


# ---- brakes


def braked(tx: Transaction, record: r.RunStarted, service: Service) -> None:
    """Statements 12 and 13: moves in a window, runs at once, and failures that nobody can explain."""
    limits, state = tx.limits(service.client), tx.decided.services[service.id]
    since = max(tx.now() - limits.moves_window_s, state.resumed_at)
    recent = [at for at in state.automatic_moves if at >= since]
    if len(recent) > limits.moves_per_service:
        raise InvariantBroken(12, "at most K automatic moves per window", f"{service.id}: {len(recent)}")
    at_once(tx, record.run, service)
    explained(tx, record.run, service)


def at_once(tx: Transaction, run: str, service: Service) -> None:
    """Statement 13: no more than B are at work at once, once this one is."""
    limits = tx.limits(service.client)
    everyone = [x for x in tx.decided.unfinished_runs() if x.is_at_work and not x.started.drill]
    own = [x for x in everyone if covers(service.client, x.started.service)]
    for running, most in (
        (own, limits.concurrent_failovers),
        (everyone, tx.model.limits.concurrent_failovers),
    ):
        if len(running) > most:
            evidence = f"{run}: {len(running)} of {most}: {', '.join(x.id for x in running)}"
            raise InvariantBroken(13, "at most B failovers at once", evidence)


def explained(tx: Transaction, run: str, service: Service) -> None:
    """Statement 13: what fell within one window has no more than P causes."""
    workspace, own = tx.model.limits, tx.limits(service.client)
    everyone = own if own.failure_domains >= workspace.failure_domains else workspace
    for limits, client in ((everyone, None), (own, service.client)):
        falls = _falls(tx, client, limits.failure_window_s, tx.decided.services[service.id].resumed_at)
        if client is None:
            resumed_at = tx.decided.services[service.id].resumed_at
            its = [at for at, _ in _falls(tx, service.client, limits.failure_window_s, resumed_at)]
            falls = [x for x in falls if _bears_on(x[0], its, tx.now(), limits.failure_window_s)]
        within: Counter[frozenset[str]] = Counter()
        ends = 0
        for at, gone in falls:
            known = len(within)
            while ends < len(falls) and falls[ends][0] <= at + limits.failure_window_s:
                within[falls[ends][1]] += 1
                ends += 1
            if len(within) > known and (apart := _apart(within)) > limits.failure_domains:
                rule = "more than P unexplained failure domains: no automatic action"
                evidence = f"{run}: {apart} with no cause in common: {', '.join(sorted(set().union(*within)))}"
                raise InvariantBroken(13, rule, evidence)
            within[gone] -= 1
            if not within[gone]:
                del within[gone]


def _bears_on(at: float, its: list[float], now: float, window_s: float) -> bool:
    """Whether what fell then tells anything of a client: lately, or together with something of its own."""
    return now - at <= window_s or any(abs(at - other) <= window_s for other in its)


def _falls(tx: Transaction, client: str | None, window_s: float, since: float) -> list[tuple[float, frozenset[str]]]:
    """When a check fell that a service's health rests on, and by which causes, oldest first.

    Of this client's services, or of all.
    """
    found = []
    resting_on: dict[str, list[Service]] = {}
    for service in tx.model.services.values():
        for check in set(service.healthy_when.checks()) if client in (None, service.client) else ():
            resting_on.setdefault(check, []).append(service)
    before = [x for those in tx.decided.fell_before.values() for x in those if tx.now() - x.at <= window_s]
    worked = [x for x in before if x.was in (r.Verdict.UP, r.Verdict.DEGRADED)]
    for fall in (*tx.decided.fell.values(), *worked):
        users = resting_on.get(fall.check, [])
        row = tx.rows().get(fall.check)
        if not users or row is None or row.last_good_at is None or fall.first_bad_at is None:
            continue
        stale_s = tx.model.checks[fall.check].stale_after_s
        counts = fall.at > since and (tx.now() - fall.at <= window_s or _is_down(tx, fall.check))
        if counts and row.last_good_at >= fall.first_bad_at - stale_s:
            found.append((fall.at, _causes(tx, fall, users)))
    return sorted(found, key=lambda fall: fall[0])


def _causes(tx: Transaction, fall: r.VerdictChanged, users: Sequence[Service]) -> frozenset[str]:
    """What would explain this fall: its host's domains; of what is asked of no host, its services' places then."""
    check = tx.model.checks[fall.check]
    causes = set(check.domains)
    for service in users if not check.host else ():
        place = tx.model.places.get(tx.decided.services[service.id].place_at(fall.at) or service.home or "")
        if place is not None:
            causes |= place.domains or {place.id}
    return frozenset(causes or {f"{check.client}/{check.host or check.name}"})


def _apart(falls: Iterable[frozenset[str]]) -> int:
    """How many of these falls share no cause with each other: so many causes there are at least.

    Counted greedily, the fewest causes first: it may be too few, and is never too many.
    """
    taken: set[str] = set()
    found = 0
    for causes in sorted(falls, key=lambda causes: (len(causes), sorted(causes))):
        if not causes & taken:
            taken |= causes
            found += 1
    return found


# ---- order


def way_back(tx: Transaction, record: r.RunStarted, service: Service) -> None:
    """Statements 8 and 18."""
    state = tx.decided.services[service.id]
    rule = "no automatic failback in an open incident or a hold-down"
    if record.incident is not None or state.incident is not None:
        raise InvariantBroken(18, rule, f"{record.run}: {state.incident or record.incident} is open")
    since = state.healthy_since
    if since is None or tx.now() < since + service.hold_down_s:
        well = "not seen healthy" if since is None else f"healthy for {show_duration(tx.now() - since)}"
        raise InvariantBroken(18, rule, f"{record.run}: {well}, {show_duration(service.hold_down_s)} wanted")
    others = [x for x in tx.decided.runs.values() if x.started.service == service.id and x.id != record.run]
    failed = [x.ended.at for x in others if x.started.incident is None and x.ended is not None and not x.ended.ok]
    given_up = [*state.left.values(), *failed]
    if given_up and tx.now() < max(given_up) + service.cool_down_s:
        ago = show_duration(tx.now() - max(given_up))
        raise InvariantBroken(8, COOL_DOWN, f"{record.run}: something was given up {ago} ago")


def next_tier(tx: Transaction, record: r.RunStarted, number: int, service: Service) -> None:
    """Statements 8 and 17."""
    incident = tx.decided.incidents[record.incident or ""]
    for tier in range(1, number):
        ledger = incident.tiers.get(tier)
        if ledger is None or ledger.state not in (r.TierState.FAILED, r.TierState.INELIGIBLE):
            state = ledger.state.value if ledger else "not assessed"
            rule = "tier n+1 only after tier n failed or is ineligible"
            raise InvariantBroken(17, rule, f"{record.run}: tier {tier} {state}")
    left_at = tx.decided.services[service.id].left.get(record.to_place or "")
    if left_at is not None and tx.now() - left_at < service.cool_down_s:
        ago = show_duration(tx.now() - left_at)
        raise InvariantBroken(8, COOL_DOWN, f"{record.run}: {record.to_place} was given up {ago} ago")
