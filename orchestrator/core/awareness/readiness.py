"""What bascule cannot see or do now: blind, locked out, without an answer, without a way to act or to tell.

The one rule it keeps: an item exists only while something known says so, and it says what follows for the plan. Whoever
shows it, tells of it or ends with exit code 1 for it reads this one list.

    lack              there while                                              over only when
    ----------------  -------------------------------------------------------  -------------------------------------
    blind             no reference of the vantage answers                      one answers
    quorum lost       too few of a service's vantages see anything             enough do
    no reference      no check of the vantage is a reference                   one is
    reference silent  a reference is down, and others answer                   it gives a good answer
    login fails       a login check is down                                    it gives a good answer
    cannot ask        a probe could not ask, `fall` times in a row             it could ask
    not answered      no question was ever answered, or none for too long      one is answered
    tier cannot run   the preconditions of a tier do not hold                  they hold
    data too old      data at a tier's destination: too old, or of no known age   it is young enough
    telling failed    the last notice did not reach everybody                  one does

Some lacks no core can know (nobody watches, the disk is full, the files are invalid): see `reports/status_lacks.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from shlex import join, quote

from orchestrator.core.durations import NAMED, counted, named, show_duration
from orchestrator.core.events import Answer
from orchestrator.core.health.diagnosis import USABLE, blamed
from orchestrator.core.model import Check, Condition, Move, Service
from orchestrator.core.records import Verdict
from orchestrator.core.rules import ladder, policy
from orchestrator.core.state.decided import covers
from orchestrator.core.transaction import Transaction, blind_since, watched_since

LOGIN = "login"  # the kind of probe that asks whether a playbook could log in


class Lack(StrEnum):
    """What is missing. The order is that of a list of them."""

    NOBODY = "nobody watches"
    JOURNAL = "cannot write"
    CONFIGURATION = "configuration invalid"
    INVENTORY = "inventory unread"
    LOG = "log lost"
    BLIND = "blind"
    QUORUM = "quorum lost"
    NO_REFERENCE = "no reference"
    REFERENCE = "reference silent"
    LOGIN = "login fails"
    CANNOT_ASK = "cannot ask"
    NOT_ANSWERED = "not answered"
    TIER = "tier cannot run"
    DATA = "data too old"
    UNHEARD = "telling failed"
    UNTOLD = "nobody to tell"
    ANCHOR = "head not kept elsewhere"
    SCHEDULE = "schedule unknown"


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that cannot be seen or done. `since`: on the journal's axis; None: not known."""

    lack: Lack
    client: str  # empty: the whole workspace
    subject: str  # a vantage, a check, a service or `service tier n`
    since: float | None
    evidence: str  # a sentence
    means: str  # what follows from it
    say: str  # a command to type
    services: tuple[str, ...] = ()  # that it matters to
    excused: str = ""  # the announced maintenance that explains it


def assess(tx: Transaction) -> list[Item]:
    """Everything that cannot be seen or done now, of all clients, the gravest first."""
    found = [
        *_vantages(tx),
        *_quorums(tx),
        *_checks(tx),
        *_tiers(tx),
        *_unheard(tx),
    ]
    order = list(Lack)
    return sorted(found, key=lambda x: (x.client, order.index(x.lack), x.subject))


def over(tx: Transaction, lack: Lack, subject: str) -> bool:
    """Whether something known says that this lack, which is on the list no more, has ended.

    After a restart of the machine nothing is known: what was lacking is neither there nor over.
    """
    if lack is Lack.BLIND:
        return not tx.blind(subject)
    if lack in (Lack.LOGIN, Lack.REFERENCE, Lack.CANNOT_ASK, Lack.NOT_ANSWERED):
        if subject not in tx.model.checks:
            return True
        row = tx.rows().get(subject)
        if row is None:
            return False
        good = row.last_answer is Answer.GOOD
        return good if lack in (Lack.LOGIN, Lack.REFERENCE) else row.last_answer is not Answer.NONE
    if lack in (Lack.TIER, Lack.DATA):  # in an incident it is off the list, and as it was
        name, _, number = subject.rpartition(" tier ")
        service = tx.model.services.get(name)
        if service is None or int(number) > len(service.ladder):
            return True
        tier = service.ladder[int(number) - 1]
        move = tx.model.moves[tier.move]
        viable = move.viable_when is None or tx.says(move.viable_when) in USABLE
        return viable if lack is Lack.TIER else ladder.data_loss(tx, service, move, tier.accept_loss_s) is None
    return True


def excuse(tx: Transaction, client: str, services: tuple[str, ...]) -> str:
    """The announced maintenance that explains what these services, or else the whole client, lack; empty: none."""
    windows = [(x.partition("#")[0], ends_at) for x, ends_at in tx.decided.maintenance.items()]
    now_open = [(subject, ends_at) for subject, ends_at in windows if tx.now() < ends_at]
    if not now_open:
        return ""
    asked = services or tuple(x.id for x in tx.model.services.values() if x.client == client)
    last = []  # of each service: the window of it that ends last
    for name in asked:
        own = [(ends_at, subject) for subject, ends_at in now_open if covers(subject, name)]
        if not own:
            return ""
        last.append(max(own))
    if not last:
        return ""
    ends_at, subject = min(last)  # with the first of these the explanation is over
    return f"in maintenance ({subject}) for another {show_duration(ends_at - tx.now())}"


def _item(
    tx: Transaction,
    lack: Lack,
    client: str,
    subject: str,
    since: float | None,
    evidence: str,
    means: str,
    say: str,
    services: tuple[str, ...] = (),
) -> Item:
    return Item(lack, client, subject, since, evidence, means, say, services, excuse(tx, client, services))


def _watched(tx: Transaction, checks: Iterable[str], client: str) -> tuple[str, ...]:
    """The client's services whose health rests on one of these checks."""
    wanted = set(checks)
    own = (s for s in tx.model.services.values() if s.client == client)
    return tuple(s.id for s in own if wanted.intersection(s.healthy_when.checks()))


# ---- points of view


def _vantages(tx: Transaction) -> Iterator[Item]:
    by_vantage: dict[str, list[Check]] = {}
    for check in tx.model.checks.values():
        by_vantage.setdefault(check.vantage, []).append(check)
    for vantage, checks in sorted(by_vantage.items()):
        references = tx.references(vantage)
        if references and not tx.blind(vantage):
            yield from _silent_references(tx, vantage, references)
            continue
        for client in sorted({c.client for c in checks}):
            own = [c.id for c in checks if c.client == client and not c.reference]
            services = _watched(tx, own, client)
            if references:
                yield _blind(tx, vantage, client, own, services)
            elif services:
                yield _no_reference(tx, vantage, client, services, own)


def _blind(tx: Transaction, vantage: str, client: str, own: list[str], services: tuple[str, ...]) -> Item:
    references = tx.references(vantage)
    since = blind_since(tx, vantage)
    rows = (tx.rows().get(c) for c in references)
    good = [row.last_good_at for row in rows if row is not None and row.last_good_at is not None]
    seen = max(good, default=-1.0) >= watched_since(tx, references)[0]
    theirs = [c for c in references if tx.model.checks[c].client == client]
    told = [tx.evidence(c) for c in theirs[:NAMED]]
    more = len(references) - len(theirs)
    told += [f"nor do {more} of other clients"] if more else []
    evidence = f"no reference answers: {'; '.join(told)}"
    evidence += "" if seen else f"; none has answered since {watched_since(tx, references)[1]}"
    stuck = [x for x in services if _too_few(tx, tx.model.services[x])]
    others = [x for x in services if x not in stuck]
    means = [f"silence of {named(own)} counts for nothing"] if own else []
    means += [f"nothing is done automatically for {named(stuck)}"] if stuck else []
    means += [f"{named(others)} is judged by its other vantages"] if others else []
    means += [] if services else ["nothing is known from there"]
    return _item(
        tx,
        Lack.BLIND,
        client,
        vantage,
        since,
        evidence,
        "; ".join(means),
        join(["bascule", "check", *theirs[:1]]),
        services,
    )


def _no_reference(tx: Transaction, vantage: str, client: str, services: tuple[str, ...], own: list[str]) -> Item:
    evidence = f"no check made from vantage {vantage} is a reference"
    lone = [s for s in services if not any(map(tx.references, policy.vantages_of(tx, tx.model.services[s])))]
    means = f"silence of {named(own)} takes nothing down" + (f": a silent {lone[0]} stays unknown" if lone else "")
    say = "bascule validate"
    return _item(tx, Lack.NO_REFERENCE, client, vantage, None, evidence, means, say, services)


def _silent_references(tx: Transaction, vantage: str, references: tuple[str, ...]) -> Iterator[Item]:
    for name in references:
        row = tx.rows().get(name)
        if row is None or row.verdict is not Verdict.DOWN:
            continue
        check = tx.model.checks[name]
        others = sum(c != name and not _is_down(tx, c) for c in references)
        means = f"whether vantage {vantage} is blind now depends on {counted(others, 'other reference')}"
        since, say = row.first_bad_at, f"bascule check {quote(name)}"
        yield _item(tx, Lack.REFERENCE, check.client, name, since, tx.evidence(name), means, say)


def _is_down(tx: Transaction, check: str) -> bool:
    row = tx.rows().get(check)
    return row is not None and row.verdict is Verdict.DOWN


def _too_few(tx: Transaction, service: Service) -> bool:
    """Whether too few of its vantages see anything for something to be done for it automatically."""
    sighted = [v for v in policy.vantages_of(tx, service) if not tx.blind(v)]
    return len(sighted) < policy.needed(tx, service)


def _quorums(tx: Transaction) -> Iterator[Item]:
    for service in tx.model.services.values():
        vantages = policy.vantages_of(tx, service)
        if len(vantages) < 2:
            continue
        if not _too_few(tx, service):
            continue
        need = policy.needed(tx, service)
        blind = sorted((blind_since(tx, v), v) for v in vantages if tx.blind(v))
        since = blind[len(vantages) - need][0]
        evidence = f"{len(vantages) - len(blind)} of {len(vantages)} vantages see anything, {need} are needed"
        evidence += f"; blind: {named(v for _, v in blind)}"
        means = f"nothing is done automatically for {service.id}"
        say = f"bascule status {quote(service.id)}"
        yield _item(tx, Lack.QUORUM, service.client, service.id, since, evidence, means, say, (service.id,))


# ---- questions


def _checks(tx: Transaction) -> Iterator[Item]:
    for check in tx.model.checks.values():
        row = tx.rows().get(check.id)
        say = f"bascule check {quote(check.id)}"
        began_at, began = tx.watched_since(check.id)
        late = row is not None and tx.now() > row.last_sent_at + check.stale_after_s
        if row is None or (late and row.last_sent_at < began_at):
            evidence = f"{check.id} has not been answered since {began}"
            yield _about(tx, Lack.NOT_ANSWERED, check, began_at, evidence, say)
        elif row.last_answer is Answer.NONE and row.none_streak >= check.fall:
            since = row.none_since if row.none_since is not None else row.last_good_at
            yield _about(tx, Lack.CANNOT_ASK, check, since, tx.evidence(check.id), say)
        elif late:
            ago = show_duration(tx.now() - row.last_sent_at)
            evidence = f"{check.id} was last answered {ago} ago"
            yield _about(tx, Lack.NOT_ANSWERED, check, row.last_sent_at, evidence, say)
        elif check.probe == LOGIN and tx.verdict(check.id) is Verdict.DOWN:
            since = row.first_bad_at
            yield _about(tx, Lack.LOGIN, check, since, tx.evidence(check.id), say)


def _about(tx: Transaction, lack: Lack, check: Check, since: float | None, evidence: str, say: str) -> Item:
    """An item about a check, with what rests on it."""
    services, means = rests_on(tx, check)
    return _item(tx, lack, check.client, check.id, since, evidence, "; ".join(means), say, services)


def rests_on(tx: Transaction, check: Check) -> tuple[tuple[str, ...], list[str]]:
    """The services that this check matters to, and in which way."""
    seen = _watched(tx, [check.id], check.client)
    means = []
    if seen:
        means.append(f"it cannot tell whether {named(seen)} is down")
    ways, where, listed = list[str](), list[str](), set[str]()  # moves that some service has
    own = [(name, move) for name, move in tx.model.moves.items() if move.client == check.client]
    asking = {*check.needed_by, *(name for name, move in own if check.id in _asked_by(move))}
    served = [s for s in tx.model.services.values() if s.client == check.client] if asking else []
    for service in served:
        for number, name in enumerate((*(tier.move for tier in service.ladder), *service.failback), start=1):
            if name in asking:
                rung = f"tier {number}" if number <= len(service.ladder) else "way back"
                ways.append(f"{rung} {tx.model.moves[name].name} of {service.id}")
                where.append(service.id)
                listed.add(name)
    ways += [name for name in check.needed_by if name not in listed]
    if ways:
        means.append(f"{named(ways)} may not work")
    places = [p for p in tx.model.places.values() if p.client == check.client]
    fences = [(p.id, p.fence) for p in places if p.fence is not None]
    handed = [(move.name, move.hand_over) for _, move in own if move.hand_over]
    told = (
        ("prove that {} is out", [x for x, fence in fences if _asks(fence.proven_when, check)]),
        ("tell whether {} is dark", [x for x, fence in fences if _asks(fence.dark_when, check)]),
        ("prove that {} is isolated", [p.id for p in places if p.isolate and _asks(p.isolate.proven_when, check)]),
        ("prove that {} has handed over", [x for x, fence in handed if _asks(fence.proven_when, check)]),
        ("rehearse {}", [m.name for _, m in own if m.rehearse and check.id in m.rehearse.asked]),
    )
    means += [f"it cannot {what.format(named(found))}" for what, found in told if found]
    if check.reference:
        means.append(f"vantage {check.vantage} may be blind without it")
    return tuple(dict.fromkeys((*seen, *where))), means or ["nothing in the plan rests on it"]


def _asked_by(move: Move) -> list[str]:
    """What a move asks on its way, but for the proof that a place has handed over."""
    asked = [c for x in move.asks.values() for c in x.checks()]
    return [*asked, *([move.data_age] if move.data_age else [])]


def _asks(condition: Condition | None, check: Check) -> bool:
    return condition is not None and check.id in condition.checks()


# ---- tiers


def _tiers(tx: Transaction) -> Iterator[Item]:
    """Tiers that could not be taken if their service went down now; in an incident its own notices tell of them."""
    for service in tx.model.services.values():
        state = tx.decided.services.get(service.id)
        if state is None or state.incident is not None or tx.decided.run_for(service.id) is not None:
            continue
        for number, tier in enumerate(service.ladder, start=1):
            move = tx.model.moves[tier.move]
            there = move.to is not None and move.to == state.place
            engaged = move.id in tx.decided.engaged and tx.model.lasts(move.id)
            if there or (move.leaves and state.place not in move.leaves) or engaged:
                continue
            subject, say = f"{service.id} tier {number}", f"bascule failover {quote(service.id)}"
            means = f"tier {number} {move.name} of {service.id} cannot run"
            at = (tx, service, subject, means, f"{say} --move {move.name} --dry-run")
            viable = tx.says(move.viable_when)
            if move.viable_when is not None and viable is Verdict.DOWN:
                down = blamed(move.viable_when, tx.verdict, Verdict.DOWN)
                bad = [t for c in down if (t := _down_since(tx, c)) is not None]
                yield _tier(*at, Lack.TIER, min(bad, default=None), tx.behind(move.viable_when, Verdict.DOWN))
            loss = ladder.data_loss(tx, service, move, tier.accept_loss_s)
            if loss is not None and viable in USABLE:
                yield _tier(*at, Lack.DATA, _never_measured_since(tx, move.data_age), loss[1])


def _tier(
    tx: Transaction,
    service: Service,
    subject: str,
    means: str,
    say: str,
    lack: Lack,
    since: float | None,
    evidence: str,
) -> Item:
    if lack is Lack.DATA:
        means = f"{means} automatically"
    return _item(tx, lack, service.client, subject, since, evidence, means, say, (service.id,))


def _down_since(tx: Transaction, check: str) -> float | None:
    """From the first bad answer of the streak that goes on, else (by its window) since its verdict fell."""
    row, known = tx.rows()[check], tx.decided.verdicts.get(check)
    return row.first_bad_at if row.first_bad_at is not None or known is None else known.at


def _never_measured_since(tx: Transaction, check: str | None) -> float | None:
    """Of data of no known age: since it is asked. Of the others it is not known: a copy that always lags behind by
    the same is renewed each moment, and one that stands still grows older; an age does not tell which of them it is.
    """
    if check is None or tx.data_age_s(check, tx.now()) is not None:
        return None
    return tx.watched_since(check)[0]


# ---- telling


def _unheard(tx: Transaction) -> Iterator[Item]:
    for client, last in tx.decided.unheard.items():
        means = "people who are told so do not learn of an outage" if last.delivered else "nobody learns of an outage"
        evidence = f"the last notice ({last.notice}) did not reach: {last.evidence}"
        yield _item(tx, Lack.UNHEARD, client, client or "workspace", last.at, evidence, means, "bascule notify test")
