"""May we act? The guards over a service in an incident, one function each, asked in the order of `GUARDS`.

The one rule it keeps: a guard answers with its reason and its evidence, or not at all. Every guard names the accident
that it prevents. A new guard is one function and one row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from shlex import quote

from orchestrator.core.durations import counted, named, show_duration
from orchestrator.core.model import Combine, Condition, Mode, Service
from orchestrator.core.reasons import Reason
from orchestrator.core.records import Decision, Verdict, WordAccepted
from orchestrator.core.rules.failing_together import together
from orchestrator.core.state.decided import Run, covers
from orchestrator.core.transaction import Transaction


@dataclass(frozen=True, slots=True)
class Finding:
    """A guard's objection."""

    decision: Decision
    reason: Reason
    evidence: str


Guard = Callable[[Transaction, Service], Finding | None]


def blind(tx: Transaction, service: Service) -> Finding | None:
    """The controller itself was cut off, and must not act (openark/orchestrator#737, #808; Checkmate#3937; gatus#1722).

    Where a service is seen from several vantages, a blind one of them stops nobody: `no_quorum` does not count it.
    """
    vantages = vantages_of(tx, service)
    if not all(tx.blind(v) for v in vantages):
        return None
    told = (f"vantage {v}: {_none_answers(tx, service.client, tx.references(v))}" for v in vantages)
    return Finding(_in_doubt(tx, service), Reason.BLIND, "; ".join(told))


def _none_answers(tx: Transaction, client: str, references: Sequence[str]) -> str:
    """Whoever has only just begun to ask cannot say that nobody answers."""
    begun = any(tx.last_asked(name) >= tx.watched_since(name)[0] for name in references)
    rows = tx.rows()
    before = any(row.last_good_at is not None for name in references if (row := rows.get(name)) is not None)
    since = f"has answered since {tx.watched_since(references[0])[1]}" if before else "has answered yet"
    answers = "answers" if begun else since
    own = [name for name in references if is_of(client, name)]
    others = len(references) - len(own)
    told = [f"none of {', '.join(own)} {answers}"] if own else []
    return ", ".join([*told, *([f"none of {others} of other clients {answers}"] if others else [])])


def no_quorum(tx: Transaction, service: Service) -> Finding | None:
    """A witness that is cut off alone sees everything down (Checkmate#3937, gatus#1722): one of several never triggers.

    Of the vantages that the service's health is asked from, a majority (or `quorum`, at least two) must each see
    something of it down; a blind one sees nothing.
    """
    vantages = vantages_of(tx, service)
    if tx.incident(service) is None or len(vantages) < 2:
        return None
    need = needed(tx, service)
    seen = {v: Verdict.UNKNOWN if tx.blind(v) else _health_from(tx, service, v) for v in vantages}
    if sum(verdict is Verdict.DOWN for verdict in seen.values()) >= need:
        return None
    told = ", ".join(f"{v} {'is blind' if tx.blind(v) else f'sees it {seen[v].value}'}" for v in vantages)
    return Finding(_in_doubt(tx, service), Reason.NO_QUORUM, f"{need} of {len(vantages)} vantages needed: {told}")


def needed(tx: Transaction, service: Service) -> int:
    """How many of its vantages must each see something of the service down; of several one alone never triggers."""
    several = len(vantages_of(tx, service))
    return max(2, tx.limits(service.client).quorum or several // 2 + 1) if several > 1 else several


def vantages_of(tx: Transaction, service: Service) -> list[str]:
    """From where the service's health is asked, by name."""
    return sorted({tx.model.checks[c].vantage for c in service.healthy_when.checks()})


def _health_from(tx: Transaction, service: Service, vantage: str) -> Verdict:
    """What one vantage says of the service: down as soon as something of it is."""
    own = tuple(c for c in service.healthy_when.checks() if tx.model.checks[c].vantage == vantage)
    return tx.health(service, Condition(Combine.ALL, own))


def health_unknown(tx: Transaction, service: Service) -> Finding | None:
    """A service whose own checks are not answered any more is not known to be down still (gatus#1792).

    An incident opens by a down verdict; a restart of the machine, a changed check or a mute probe take it away.
    """
    if tx.incident(service) is None or tx.health(service) is not Verdict.UNKNOWN:
        return None
    evidence = tx.behind(service.healthy_when, Verdict.UNKNOWN)
    return Finding(_in_doubt(tx, service), Reason.HEALTH_UNKNOWN, evidence)


def _in_doubt(tx: Transaction, service: Service) -> Decision:
    """Wait for a while; if it stays so in an incident, a named human is told: nobody is forgotten."""
    incident = tx.incident(service)
    if incident is None:
        return Decision.WAIT
    until = max(tx.looks_since, incident.episode_opened_at) + tx.limits(service.client).doubt_s
    if tx.now() >= until:
        return Decision.ASK
    tx.wake(until)
    return Decision.WAIT


def held(tx: Transaction, service: Service) -> Finding | None:
    """A named person stopped automatic action: while somebody is at work on it, the machine must not act as well."""
    hold = hold_on(tx, service)
    if hold is None:
        return None
    why = f": {hold.why}" if hold.why else ""
    return Finding(Decision.REFRAIN, Reason.HELD, f"{hold.who} holds {hold.subject}{why}")


def hold_on(tx: Transaction, service: Service) -> WordAccepted | None:
    """The hold that keeps automatic action from it; of several, the one that was said first."""
    return next((word for subject, word in tx.decided.holds.items() if covers(subject, service.id)), None)


def in_maintenance(tx: Transaction, service: Service) -> Finding | None:
    """Announced work is not a disaster, and must not be taken for one."""
    for subject, ends_at in tx.decided.maintenance.items():
        if covers(subject.partition("#")[0], service.id) and tx.now() < ends_at:
            tx.wake(ends_at)
            # How long yet is for whoever shows it to say: this is read later, and a window may be made longer.
            return Finding(Decision.REFRAIN, Reason.IN_MAINTENANCE, f"announced for {subject}")
    return None


def frozen(tx: Transaction, service: Service) -> Finding | None:
    """Load, failover, overload, failback, again: a brake that success does not release (GitHub, September 2012)."""
    state = tx.state(service)
    if state.frozen is not None:
        return Finding(Decision.ASK, state.frozen.reason, state.frozen.evidence)
    limits = tx.limits(service.client)
    since = max(tx.now() - limits.moves_window_s, state.resumed_at)
    recent = [at for at in state.automatic_moves if at >= since]
    if len(recent) >= limits.moves_per_service:
        window = show_duration(limits.moves_window_s)
        evidence = f"{counted(len(recent), 'automatic move')} within {window}; `bascule resume {quote(service.id)}`"
        return Finding(Decision.ASK, Reason.FLAPPING, evidence)
    return None


def mass_failure(tx: Transaction, service: Service) -> Finding | None:
    """When everything fails at once, it may be the checks (AWS, October 2025); one dark site is one.

    What fell with other clients counts against the workspace's limit: a client that wants to be asked sooner is to be
    asked about its own. One that allows more than the workspace does allows it of everybody's.
    """
    own, resumed_at = tx.limits(service.client), tx.state(service).resumed_at
    everyone = max(own, tx.model.limits, key=lambda x: x.failure_domains)
    for limits, client in ((everyone, ""), (own, service.client)):
        count, of, leaves_at = together(tx, (client, limits.failure_window_s, resumed_at, ""))
        if not client and count > limits.failure_domains:
            count, of, leaves_at = together(tx, (client, limits.failure_window_s, resumed_at, service.client))
        if count > limits.failure_domains:
            tx.wake(leaves_at)
            mine = of.get(service.client, [])
            told = [named(mine)] if mine else []
            told += [f"{others} of other clients"] if (others := count - len(mine)) else []
            window = show_duration(limits.failure_window_s)
            evidence = f"{count} failure domains within {window}: {', '.join(told)}"
            return Finding(Decision.ASK, Reason.MASS_FAILURE, evidence)
        if own is everyone:
            break
    return None


def is_of(client: str, name: str) -> bool:
    """Whether this id is of the client. Of what is another's, its people are told how many there are, and no name."""
    return name.partition("/")[0] == client


def dependency_recovering(tx: Transaction, service: Service) -> Finding | None:
    """One host down, thirty alerts: what stands on it waits for it (uptime-kuma#1089, gatus#1708)."""
    incident = tx.incident(service)
    for name in dependencies(tx, service):
        needed = tx.model.services[name]
        other = tx.incident(needed)
        if other is not None:
            run = tx.decided.run_for(name)
            open_ = other.judged is None or other.judged.decision in (Decision.ACT, Decision.WAIT)
            if open_ if run is None else run.human is None:
                return Finding(Decision.WAIT, Reason.DEPENDENCY_RECOVERING, f"{name} comes first ({other.id})")
        elif incident is not None and (moving := _being_moved(tx, needed)) is not None:
            return Finding(Decision.WAIT, Reason.DEPENDENCY_RECOVERING, f"{moving.id} moves {name}")
        elif incident is not None and tx.health(needed) is not Verdict.DOWN:
            asked = list(needed.healthy_when.checks())
            doubtful = [c for c in asked if tx.in_doubt(c)]
            until, why = incident.episode_opened_at + service.settle_s, " is in doubt"
            if not doubtful:  # it was asked as soon as this service was in doubt; its answer may be on its way
                doubtful = [c for c in asked if tx.last_asked(c) < incident.episode_first_bad_at]
                patience_s = max((tx.model.checks[c].timeout_s for c in doubtful), default=0.0) + 1.0
                until = incident.episode_opened_at + min(service.settle_s, patience_s)
                why = f": no answer since {service.name} failed; the last one"
            if doubtful and tx.now() < until:
                tx.wake(until)
                return Finding(Decision.WAIT, Reason.DEPENDENCY_RECOVERING, f"{name}{why}: {tx.evidence(doubtful[0])}")
    return None


def _being_moved(tx: Transaction, needed: Service) -> Run | None:
    """The planned move by which the service is down for the moment."""
    run = tx.decided.run_for(needed.id)
    moves = run is not None and run.committed and run.verified_at is None and run.human is None
    return run if moves and tx.health(needed) is Verdict.DOWN else None


def too_many_failovers(tx: Transaction, service: Service) -> Finding | None:
    """Four recoveries at once on one cluster (openark/orchestrator#1217): at most B at a time; a drill delays none.

    Nor does what waits for a person: a question that one client's people do not answer would hold up every other.
    """
    for running, most, told in counted_with(tx, service, lambda x: x.is_at_work):
        if running >= most:
            return Finding(Decision.WAIT, Reason.TOO_MANY_FAILOVERS, f"{running} of {most}: {told}")
    return None


def counted_with(tx: Transaction, service: Service, those: Callable[[Run], bool]) -> Iterator[tuple[int, int, str]]:
    """Of its client's runs, then of all: how many are of those, how many may be at work at once, and which they are."""
    drills = tx.incident(service) is None  # else they do not count
    everyone = [x for x in tx.decided.unfinished_runs() if those(x) and (drills or not x.started.drill)]
    own = [x for x in everyone if covers(service.client, x.started.service)]
    for found, limits in ((own, tx.limits(service.client)), (everyone, tx.model.limits)):
        told = [x.id for x in own] + ([f"{n} of other clients"] if (n := len(found) - len(own)) else [])
        yield len(found), limits.concurrent_failovers, ", ".join(told)


GUARDS: tuple[Guard, ...] = (
    blind,
    held,
    in_maintenance,
    no_quorum,
    health_unknown,
    frozen,
    mass_failure,
    dependency_recovering,
    too_many_failovers,
)
BY_HAND: tuple[Guard, ...] = (blind, too_many_failovers)  # what a named operator's own failover still has to pass
BEFORE_ACTING: tuple[Guard, ...] = (blind, held, in_maintenance, no_quorum, mass_failure)  # again, before any effect


def objection(tx: Transaction, service: Service, guards: tuple[Guard, ...] = GUARDS) -> Finding | None:
    """The first guard's objection, or None."""
    for guard in guards:
        finding = guard(tx, service)
        if finding is not None:
            return finding
    return None


def asks(tx: Transaction, service: Service, approved_at: float | None = None) -> list[str]:
    """Why an automatic move of this service would need a named approval, whatever the tier.

    Its mode, or a suspected compromise: a failover can carry the intruder along to the next place.

    `approved_at`: when one was given; it does not cover a suspicion that came later.
    """
    found = []
    if service.mode is Mode.ASK and approved_at is None:
        found.append(f"{service.id} is in mode ask")
    for subject, word in tx.decided.suspected.items():
        if covers(subject, service.id) and (approved_at is None or approved_at < word.at):
            why = f": {word.why}" if word.why else ""
            contained = _containment(tx, service)
            found.append(f"{Reason.COMPROMISE_SUSPECTED.value}: {word.who} on {subject}{why}; {contained}")
    return found


def isolates(tx: Transaction, service: Service) -> str | None:
    """The place to be cut off before anybody is asked, since a compromise is suspected; by itself in mode auto only."""
    place = tx.model.places.get(tx.state(service).place or "")
    suspected = any(covers(subject, service.id) for subject in tx.decided.suspected)
    wanted = suspected and service.mode is Mode.AUTO and place is not None and place.isolate is not None
    return place.id if wanted and place is not None else None


def _containment(tx: Transaction, service: Service) -> str:
    """What is done about a suspected compromise, in one sentence."""
    name = tx.state(service).place
    place = tx.model.places.get(name or "")
    if place is None or place.isolate is None:
        return f"no isolation is declared for {name or 'its place'}"
    book = place.isolate.playbook.path
    if isolates(tx, service) is None:
        return f"in mode {service.mode.value} nothing isolates {place.id} automatically: {book}"
    return f"{place.id} is isolated first, by {book}"


def dependencies(tx: Transaction, service: Service) -> list[str]:
    """What the service needs where it is placed now."""
    place = tx.state(service).place
    return [d.service for d in service.depends_on if not d.at or place in d.at]


def order(tx: Transaction) -> list[Service]:
    """All services in the order they are to be restored: dependencies, then priority, then cost a minute."""
    depth: dict[str, int] = {}

    def deep(name: str, seen: tuple[str, ...] = ()) -> int:
        if name not in depth:
            needs = [d.service for d in tx.model.services[name].depends_on if d.service not in seen]
            depth[name] = 1 + max((deep(n, (*seen, name)) for n in needs), default=-1)
        return depth[name]

    return sorted(tx.model.services.values(), key=lambda s: (deep(s.id), s.priority, -s.downtime_cost, s.id))
