"""Scripts with a purpose: faults that follow each other so closely that one guard alone is left to stop a mistake.

The one rule it keeps: a purpose is a family of scripts, never one script. Who, when and for how long is left to chance,
so that no guard is tried only in the one way that somebody thought of.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from orchestrator.core.events import WordKind
from orchestrator.core.model import DrillKind, Json
from orchestrator.sim.faults import Fault, FaultKind
from orchestrator.sim.names import Names

Family = Callable[[Random, Names], list[Fault]]

_PLAYBOOKS = (
    FaultKind.PLAYBOOK_FAILS,
    FaultKind.PLAYBOOK_HANGS,
    FaultKind.PLAYBOOK_HALF,
    FaultKind.PLAYBOOK_USELESS,
    FaultKind.PLAYBOOK_UNSEEN,
    FaultKind.PLAYBOOK_UNSEEN,
)
_DEATHS = (FaultKind.KILLED, FaultKind.KILLED_AT, FaultKind.FROZEN, FaultKind.FROZEN_AT, FaultKind.REBOOT)


def directed(random: Random, names: Names) -> tuple[Fault, ...]:
    """One script of one family; the same draws give the same script."""
    families = [make for make in _FAMILIES if names.measured or make is not _of_old_data]
    families = [make for make in families if names.homes or make is not _back_at_once]
    families = [make for make in families if names.ready or make is not _unknown_ways]
    faults = random.choice(families)(random, names)
    return tuple(sorted(faults, key=lambda f: f.at))


def _disaster(random: Random, names: Names, at: float) -> Fault:
    """Something that takes a service down for longer than its detection."""
    kinds = [FaultKind.CRASH, FaultKind.CRASH, FaultKind.HANG]
    kinds += [FaultKind.POWER, FaultKind.POWER] if names.places else []
    kinds += [FaultKind.CUT, FaultKind.CUT] if names.domains else []
    kind = random.choice(kinds)
    what = {FaultKind.POWER: names.places, FaultKind.CUT: names.domains}.get(kind, names.services)
    lasts = random.choice((None, 60.0, 200.0)) if kind is not FaultKind.CUT else random.choice((60.0, 200.0))
    return Fault(at, kind, random.choice(what), lasts)


def drilled(random: Random, names: Names) -> tuple[Fault, ...]:
    """A drill, and the one thing that should keep it away, stop it, or be told of it."""
    at = random.uniform(15.0, 40.0)
    service, move = random.choice(names.tiers)
    kind = random.choice((DrillKind.FULL_SCALE, DrillKind.FUNCTIONAL))
    faults = [a_drill(at, service, move, random.choice((1.0, 10.0, 60.0)) if kind is DrillKind.FULL_SCALE else None)]
    before, after = at - random.uniform(5.0, 14.0), at + random.uniform(0.5, 30.0)
    subject = random.choice((service, service.partition("/")[0]))
    match random.choice(("unseen", "trouble", "stopped", "harm", "its playbook", "its playbook", "cancelled", "dies")):
        case "unseen":  # a check that cannot be asked says neither good nor bad
            check = random.choice([c for s, c in names.health if s == service])
            faults.append(Fault(random.choice((before, after + 20.0)), FaultKind.MUTE, check, 90.0))
        case "trouble":
            down = Fault(before, FaultKind.CRASH, random.choice(names.services), random.choice((None, 20.0)))
            faults.append(random.choice((down, _word(WordKind.SUSPECT, at - 1.0, subject))))
        case "stopped":
            said = random.choice((WordKind.HOLD, WordKind.MAINTENANCE, WordKind.SUSPECT))
            lasts = {"for_s": random.choice((30.0, 600.0))} if said is WordKind.MAINTENANCE else {}
            faults.append(_word(said, random.choice((at - 1.0, after)), subject, **lasts))
        case "harm":
            faults.append(_disaster(random, names, after))
        case "its playbook":
            faults.append(Fault(at - 1.0, random.choice(_PLAYBOOKS), move, random.choice((30.0, 300.0))))
        case "cancelled":
            faults.append(_word(WordKind.DRILL_CANCEL, after))
        case "dies":
            faults.append(Fault(after, random.choice(_DEATHS), "", random.choice((2.0, 40.0, 90.0))))
    return tuple(sorted(faults, key=lambda f: f.at))


def a_drill(at: float, service: str, move: str, stays_s: float | None) -> Fault:
    """Somebody says it. `stays_s`: at full scale, and for so long; None: a rehearsal."""
    kind = DrillKind.FUNCTIONAL if stays_s is None else DrillKind.FULL_SCALE
    options: dict[str, Json] = {"kind": kind.value, "move": move} | ({} if stays_s is None else {"stays_s": stays_s})
    return Fault(at, FaultKind.WORD, service, None, 1.0, WordKind.DRILL.value, options)


def _word(kind: WordKind, at: float, subject: str = "", **options: float | bool) -> Fault:
    return Fault(at, FaultKind.WORD, subject, None, 1.0, kind.value, dict(options))


def _subject(random: Random, names: Names, of: Fault) -> str:
    """A service that a word may be about: often the one that is down."""
    if of.subject in names.services and random.random() < 0.7:
        return of.subject
    service = random.choice(names.services)
    return random.choice((service, service.partition("/")[0], "*"))


def _stopped_in_between(random: Random, names: Names) -> list[Fault]:
    """Somebody stops automatic action just before, during or after the decision; and lets it go again."""
    at = random.uniform(20.0, 30.0)
    first = _disaster(random, names, at)
    subject = _subject(random, names, first)
    said = at + random.uniform(-3.0, 8.0)
    kind = random.choice((WordKind.HOLD, WordKind.MAINTENANCE, WordKind.SUSPECT, WordKind.SUSPECT))
    undo = {WordKind.HOLD: WordKind.RESUME, WordKind.SUSPECT: WordKind.CLEAR}.get(kind, WordKind.MAINTENANCE_END)
    options = {"for_s": random.choice((30.0, 600.0))} if kind is WordKind.MAINTENANCE else {}
    faults = [first, _word(kind, said, subject, **options)]
    if random.random() < 0.5:
        faults.append(_word(WordKind.APPROVE, said + random.uniform(3.0, 20.0), fence=random.random() < 0.3))
    if random.random() < 0.5:
        faults.append(_word(undo, said + random.uniform(10.0, 60.0), subject))
    return faults


def _approved_late(random: Random, names: Names) -> list[Fault]:
    """Between the question to a person and the answer, something has changed."""
    at = random.uniform(20.0, 30.0)
    first = _disaster(random, names, at)
    asked = at + random.uniform(5.0, 60.0)
    faults = [first]
    meanwhile = random.choice(("blind", "broken", "mute", "hold", "suspect", "reload", "dies", "nothing"))
    changed = asked + random.uniform(-2.0, 10.0)
    subject = _subject(random, names, first)
    match meanwhile:
        case "blind":
            faults.append(Fault(changed, FaultKind.BLIND, random.choice(names.vantages), 60.0))
        case "broken" if names.moves:
            faults.append(Fault(changed, FaultKind.BROKEN, random.choice(names.moves), 200.0))
        case "mute":
            faults.append(Fault(changed, FaultKind.MUTE, random.choice(names.measured or names.checks), 100.0))
        case "hold":
            faults.append(_word(WordKind.HOLD, changed, subject))
        case "suspect":
            faults.append(_word(WordKind.SUSPECT, changed, subject))
        case "reload":
            faults.append(Fault(changed, FaultKind.RELOAD))
        case "dies":
            faults.append(Fault(changed, FaultKind.KILLED, "", random.choice((3.0, 60.0))))
    for _ in range(random.randint(1, 3)):
        asked += random.uniform(3.0, 15.0)
        faults.append(_word(WordKind.APPROVE, asked, fence=random.random() < 0.4))
    return faults


def _again_and_again(random: Random, names: Names) -> list[Fault]:
    """The same service fails again soon after every recovery."""
    at, every_s = random.uniform(10.0, 30.0), random.choice((25.0, 45.0, 120.0))
    kind = random.choice((FaultKind.CRASH, FaultKind.CRASH, FaultKind.HANG))
    subject = random.choice(names.services)
    faults = []
    for _ in range(random.randint(2, 8)):
        faults.append(Fault(at, kind, subject, None))
        at += every_s * random.uniform(0.9, 1.3)
    return faults


def _together(random: Random, names: Names) -> list[Fault]:
    """Several things fail within a breath."""
    at = random.uniform(20.0, 30.0)
    chosen = random.sample(names.services, min(len(names.services), random.randint(2, 5)))
    close_s = random.choice((0.0, 0.5, 5.0))
    kind = random.choice((FaultKind.CRASH, FaultKind.HANG))
    faults = [Fault(at + random.uniform(0.0, close_s), kind, s, random.choice((None, 120.0))) for s in chosen]
    if random.random() < 0.4 and names.moves:
        luck = random.choice(_PLAYBOOKS)  # of what plays them, rather than of one
        faults += [Fault(at - 5.0, luck, m, 200.0) for m in random.sample(names.moves, (len(names.moves) + 1) // 2)]
    return faults


def _dies_in_the_middle(random: Random, names: Names) -> list[Fault]:
    """The controller dies or stands still in the middle of a recovery."""
    at = random.uniform(20.0, 30.0)
    faults = [_disaster(random, names, at)]
    for _ in range(random.randint(1, 2)):
        at += random.choice((random.uniform(0.2, 2.5), random.uniform(1.5, 12.0)))  # within a decision, or after it
        kind = random.choice(_DEATHS)
        still = kind in (FaultKind.FROZEN, FaultKind.FROZEN_AT)
        wait = random.choice((25.0, 40.0, 80.0)) if still else random.choice((2.0, 5.0, 40.0, 90.0))
        before = kind is FaultKind.KILLED_AT and random.random() < 0.3
        faults.append(Fault(at, kind, "", wait, command=random.choice((0, 0, 1, 2)), before=before))
    if random.random() < 0.4 and names.moves:
        faults.append(Fault(10.0, random.choice(_PLAYBOOKS), random.choice(names.moves), 300.0))
    return faults


def _of_old_data(random: Random, names: Names) -> list[Fault]:
    """The data's age is not measured any more, measured late or grows; then their source is lost."""
    at = random.uniform(5.0, 15.0)
    what = random.choice(names.measured)
    kind = random.choice((FaultKind.MUTE, FaultKind.LATE, FaultKind.LAG))
    strength = {FaultKind.LATE: random.choice((20.0, 60.0)), FaultKind.LAG: random.choice((1.0, 5.0))}.get(kind, 1.0)
    faults = [Fault(at, kind, what, 300.0, strength)]
    lost = at + random.uniform(5.0, 60.0)
    faults.append(Fault(lost, FaultKind.POWER, random.choice(names.places), None) if names.places else faults[0])
    if random.random() < 0.3:
        faults.append(Fault(lost + random.uniform(1.0, 40.0), FaultKind.BROKEN, random.choice(names.moves), 60.0))
    return faults


def _unknown_ways(random: Random, names: Names) -> list[Fault]:
    """Whether moves could help cannot be asked any more; then something is lost."""
    at = random.uniform(5.0, 15.0)
    muted = random.sample(names.ready, (len(names.ready) + 1) // 2)
    lost = _disaster(random, names, at + random.uniform(15.0, 40.0))
    return [lost, *(Fault(at, FaultKind.MUTE, check, 120.0) for check in muted)]


def _the_second_too(random: Random, names: Names) -> list[Fault]:
    """Where a service went fails as well; or what it was to go to is broken, and then mended."""
    at = random.uniform(15.0, 25.0)
    first = _disaster(random, names, at)
    faults = [first]
    if random.random() < 0.5 and names.moves:
        kind = random.choice((FaultKind.BROKEN, *_PLAYBOOKS))
        moves = random.sample(names.moves, min(len(names.moves), random.choice((1, 3))))
        faults += [Fault(at - 5.0, kind, move, random.choice((40.0, 90.0))) for move in moves]
    for _ in range(random.randint(1, 3)):
        at += random.uniform(20.0, 120.0)
        faults.append(_disaster(random, names, at))
    return faults


def _flickers(random: Random, names: Names) -> list[Fault]:
    """Something is gone for a few seconds, and back: too short, or just long enough."""
    at = random.uniform(15.0, 25.0)
    faults = []
    for _ in range(random.randint(2, 6)):
        if names.places and random.random() < 0.6:
            faults.append(Fault(at, FaultKind.POWER, random.choice(names.places), random.uniform(2.0, 8.0)))
        elif random.random() < 0.5:
            faults.append(Fault(at, FaultKind.CRASH, random.choice(names.services), random.uniform(0.8, 4.0)))
        else:
            faults.append(
                Fault(at, FaultKind.CUT, random.choice(names.domains or names.hosts), random.uniform(0.8, 6.0))
            )
        at += random.uniform(20.0, 50.0)
    return faults


def _back_at_once(random: Random, names: Names) -> list[Fault]:
    """A place loses its power and has it again before anybody has acted; what had crashed there stays down."""
    at = random.uniform(15.0, 40.0)
    service, home = random.choice(names.homes)
    lost = Fault(at + random.uniform(-5.0, 5.0), FaultKind.POWER, home, random.uniform(4.0, 20.0))
    return [lost, Fault(at, FaultKind.CRASH, service, None)]


def _gone_and_back(random: Random, names: Names) -> list[Fault]:
    """Something is gone for long enough that services are moved, and comes back: going back may be due, or too soon."""
    at, lasts = random.uniform(10.0, 20.0), random.uniform(40.0, 80.0)
    if names.places and random.random() < 0.6:
        faults = [Fault(at, FaultKind.POWER, random.choice(names.places), lasts)]
    else:
        faults = [Fault(at, FaultKind.CUT, random.choice(names.domains or names.hosts), lasts)]
    if random.random() < 0.3:
        faults.append(_disaster(random, names, at + lasts + random.uniform(20.0, 60.0)))
    return faults


def _half_seen(random: Random, names: Names) -> list[Fault]:
    """While a disaster is being seen to, eyes fail: answers come late, not at all, or only to some."""
    at = random.uniform(20.0, 30.0)
    faults = [_disaster(random, names, at)]
    for _ in range(random.randint(1, 4)):
        began = at + random.uniform(-10.0, 10.0)
        kind = random.choice((FaultKind.BLIND, FaultKind.LATE, FaultKind.LATE, FaultKind.MUTE, FaultKind.REFERENCES))
        subject = {FaultKind.BLIND: names.vantages, FaultKind.REFERENCES: ("",)}.get(kind, names.checks)
        faults.append(Fault(began, kind, random.choice(subject), random.choice((5.0, 30.0, 90.0)), 20.0))
    return faults


def _alive_out_of_sight(random: Random, names: Names) -> list[Fault]:
    """A place lives and cannot be reached; a person may say that it may be fenced, or is."""
    at = random.uniform(15.0, 25.0)
    what = random.choice(names.places or names.domains or names.hosts)
    cut = [d for d in names.domains if d == what or d == what.rpartition("/")[2]] or [what]
    faults = [Fault(at, FaultKind.CUT, cut[0], random.choice((60.0, 200.0)))]
    if names.moves and random.random() < 0.5:
        fences = [m for m in names.moves if m in names.places] or list(names.moves)
        faults.append(Fault(at - 5.0, random.choice(_PLAYBOOKS), random.choice(fences), 200.0))
    for _ in range(random.randint(0, 2)):
        at += random.uniform(10.0, 40.0)
        kind = random.choice((WordKind.APPROVE, WordKind.APPROVE, WordKind.FAILOVER))
        subject = random.choice(names.services) if kind is WordKind.FAILOVER else ""
        faults.append(_word(kind, at, subject, fence=random.random() < 0.5))
    return faults


_FAMILIES: tuple[Family, ...] = (
    _stopped_in_between,
    _stopped_in_between,
    _together,
    _approved_late,
    _again_and_again,
    _together,
    _dies_in_the_middle,
    _dies_in_the_middle,
    _of_old_data,
    _unknown_ways,
    _the_second_too,
    _flickers,
    _back_at_once,
    _gone_and_back,
    _half_seen,
    _alive_out_of_sight,
)
