"""From a seed to a script of faults: every seed allows another mixture of kinds.

The one rule it keeps: a script depends on the model's names, the seed and the length alone. Mixing all kinds in every
seed was rejected: faults hide one another (a controller that is always blind never errs). So each seed leaves some
kinds out (swarm testing, Groce et al. 2012).

    seeds            scripts
    -------------    -----------------------------------------------------------------------------
    one in four      one disaster alone, of the kinds that the plan is for; nothing else goes wrong
    one in four      a purpose: faults that follow each other so that one guard alone is left (`directed.py`), a quarter
                     of them guards over a drill
    the others       a mixture: some kinds of faults, 1 to 10 of them, often close to each other; into half of them,
                     one to three drills, most of them shortly before a fault; into a third, drills and announced
                     work by the calendar
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from random import Random

from orchestrator.core.events import STANDING, WordKind
from orchestrator.core.model import DrillKind, Json
from orchestrator.sim.directed import a_drill, directed, drilled
from orchestrator.sim.faults import Fault, FaultKind
from orchestrator.sim.names import Names

FOR_GOOD = 0.15  # share of site disasters that nobody repairs
MOST = 10


Make = Callable[[Random, Names, float], Fault | None]


def script(names: Names, seed: int, length_s: float) -> tuple[Fault, ...]:
    """The faults of this seed, in the order of their times (seconds from 0 to `length_s`)."""
    random = Random(f"script/{seed}")  # noqa: S311 -- a seed must replay
    if seed % 4 == 0:
        return _alone(random, names)
    if seed % 4 == 1:
        of_a_drill = names.tiers and Random(f"drilled/{seed}").random() < 0.25  # noqa: S311 -- a seed must replay
        made = drilled(random, names) if of_a_drill else directed(random, names)
        return tuple(f for f in made if f.at < length_s * 0.95)
    kinds = [k for k in _MAKE if random.random() < 0.35 and _possible(k, names)] or [FaultKind.CUT]
    found: list[Fault] = []
    at = random.uniform(0.0, length_s * 0.3)
    for _ in range(random.randint(1, MOST)):
        fault = _MAKE[random.choice(kinds)](random, names, at)
        if fault is not None:
            found.append(fault)
        close = random.random() < 0.6
        at += random.expovariate(1 / 20.0) if close else random.uniform(0.0, length_s * 0.4)
        if at > length_s * 0.95:
            break
    more = [*_drills(names, seed, found, length_s), *_by_calendar(names, seed, length_s)]
    more += _edits(seed, found, length_s)
    return tuple(sorted([*found, *more], key=lambda f: f.at))


def _drills(names: Names, seed: int, faults: Sequence[Fault], length_s: float) -> list[Fault]:
    """Drills among the faults, from chances of their own: without them the script of a seed is what it always was."""
    random = Random(f"drills/{seed}")  # noqa: S311 -- a seed must replay
    if random.random() < 0.5 or not names.tiers:
        return []
    found = []
    for _ in range(random.randint(1, 3)):
        service, move = random.choice(names.tiers)
        at = random.uniform(0.0, length_s * 0.7)
        if faults and random.random() < 0.6:
            at = max(1.0, random.choice(faults).at - random.uniform(0.2, 60.0))
        kind = random.choice((DrillKind.FULL_SCALE, DrillKind.FULL_SCALE, DrillKind.FUNCTIONAL))
        stays_s = random.choice((1.0, 10.0, 60.0, 600.0)) if kind is DrillKind.FULL_SCALE else None
        found.append(a_drill(at, service, move, stays_s))
        if random.random() < 0.2:
            found.append(
                Fault(at + random.uniform(1.0, 60.0), FaultKind.WORD, "", None, 1.0, WordKind.DRILL_CANCEL.value)
            )
        if random.random() < 0.3:  # somebody stops automatic action in the middle of it, for a while
            said = random.choice((WordKind.HOLD, WordKind.HOLD, WordKind.SUSPECT))
            later, subject = at + random.uniform(1.0, 60.0), random.choice((service, service.partition("/")[0]))
            found.append(Fault(later, FaultKind.WORD, subject, None, 1.0, said.value))
            again = WordKind.RESUME if said is WordKind.HOLD else WordKind.CLEAR
            found.append(Fault(later + random.uniform(20.0, 300.0), FaultKind.WORD, subject, None, 1.0, again.value))
        if random.random() < 0.3:  # its own playbooks do not do what they say
            found.append(
                Fault(at, random.choice(_GO_WRONG), move, random.uniform(20.0, 300.0), random.choice((1.0, 0.5)))
            )
    return [replace(fault, at=min(fault.at, length_s)) for fault in found]


def _by_calendar(names: Names, seed: int, length_s: float) -> list[Fault]:
    """Schedules that come into force and are taken out again, from chances of their own."""
    random = Random(f"calendars/{seed}")  # noqa: S311 -- a seed must replay
    if random.random() < 0.67 or not names.tiers:
        return []
    found = []
    for _ in range(random.randint(1, 2)):
        service, move = random.choice(names.tiers)
        options: dict[str, Json] = {"move": move, "window_s": random.choice((20.0, 60.0, 200.0))}
        options |= {"stays_s": random.choice((1.0, 10.0, 60.0))} if random.random() < 0.6 else {}
        found.append(_scheduled(random, FaultKind.DRILLS, service, options, length_s))
    if random.random() < 0.6:
        subject = random.choice((random.choice(names.services), found[0].subject, found[0].subject.partition("/")[0]))
        options = {"lasts_s": random.choice((5.0, 30.0, 90.0))}
        found.append(_scheduled(random, FaultKind.WORK, subject, options, length_s))
    return found


def _edits(seed: int, faults: Sequence[Fault], length_s: float) -> list[Fault]:
    """Reloads in the middle of what the faults bring about, from chances of their own."""
    random = Random(f"edits/{seed}")  # noqa: S311 -- a seed must replay
    if random.random() < 0.75 or not faults:
        return []
    times = [random.choice(faults).at + random.uniform(5.0, 120.0) for _ in range(random.randint(1, 2))]
    return [Fault(min(at, length_s), FaultKind.RELOAD) for at in times]


def _scheduled(random: Random, kind: FaultKind, subject: str, options: Mapping[str, Json], length_s: float) -> Fault:
    at, every = random.uniform(0.0, length_s * 0.4), random.choice((60.0, 120.0, 180.0, 300.0))
    return Fault(at, kind, subject, random.uniform(0.3, 1.0) * length_s, every, "", options)


ALONE: tuple[FaultKind, ...] = (
    FaultKind.POWER,
    FaultKind.POWER,
    FaultKind.CUT,
    FaultKind.CUT,
    FaultKind.CUT,
    FaultKind.CRASH,
    FaultKind.CRASH,
    FaultKind.HANG,
    FaultKind.LOSS,
    FaultKind.FLAP,
    FaultKind.BLIND,
    FaultKind.EVERYTHING,
)
ALONE_S = (20.0, 60.0, 200.0, 600.0, 1800.0)  # what a plan is for lasts longer than a blink
SINGLE_HOST = 0.15  # share of cuts that are of one host


def _alone(random: Random, names: Names) -> tuple[Fault, ...]:
    """One disaster of what services rest on: domains and places rather than hosts, more often those of many."""
    kind = random.choice([k for k in ALONE if _possible(k, names)])
    matter = replace(
        names,
        domains=names.rests or names.domains,
        places=tuple(d for d in names.rests if d in names.places) or names.places,
    )
    fault = _MAKE[kind](random, matter, random.uniform(5.0, 60.0))
    if fault is None:
        return ()
    if kind is FaultKind.CUT:
        single = random.random() < SINGLE_HOST or not matter.domains
        fault = replace(fault, subject=random.choice(names.hosts if single else matter.domains))
    lasts = fault.for_s and random.choice(ALONE_S) * random.uniform(0.5, 1.5)
    return (replace(fault, for_s=lasts),)


def _possible(kind: FaultKind, names: Names) -> bool:
    return all(getattr(names, need) for need in _NEEDS.get(kind, ()))


def _for(random: Random) -> float:
    """How long a fault lasts: from a blink to half an hour."""
    return random.choice([2.0, 5.0, 20.0, 60.0, 200.0, 600.0, 1800.0]) * random.uniform(0.5, 1.5)


def _power(random: Random, names: Names, at: float) -> Fault:
    lasts = None if random.random() < FOR_GOOD else _for(random)
    return Fault(at, FaultKind.POWER, random.choice(names.places), lasts)


def _cut(random: Random, names: Names, at: float) -> Fault:
    what: Sequence[str] = names.domains if random.random() < 0.7 and names.domains else names.hosts
    return Fault(at, FaultKind.CUT, random.choice(what), _for(random))


def _of_domain(kind: FaultKind, strengths: tuple[float, ...]) -> Make:
    def make(random: Random, names: Names, at: float) -> Fault:
        return Fault(at, kind, random.choice(names.domains), _for(random), random.choice(strengths))

    return make


def _of_service(kind: FaultKind) -> Make:
    def make(random: Random, names: Names, at: float) -> Fault:
        lasts = None if random.random() < 0.5 else _for(random)
        return Fault(at, kind, random.choice(names.services), lasts)

    return make


def _of_move(kind: FaultKind) -> Make:
    def make(random: Random, names: Names, at: float) -> Fault:
        return Fault(at, kind, random.choice(names.moves), _for(random) * 3, random.choice((1.0, 0.5)))

    return make


def _broken(random: Random, names: Names, at: float) -> Fault | None:
    moves = [m for m in names.moves if m not in names.places]
    return Fault(at, FaultKind.BROKEN, random.choice(moves), _for(random) * 3) if moves else None


def _of_measured(kind: FaultKind, strengths: tuple[float, ...]) -> Make:
    def make(random: Random, names: Names, at: float) -> Fault:
        return Fault(at, kind, random.choice(names.measured), _for(random), random.choice(strengths))

    return make


def _mute(random: Random, names: Names, at: float) -> Fault:
    what = names.measured if names.measured and random.random() < 0.5 else names.checks
    return Fault(at, FaultKind.MUTE, random.choice(what), _for(random))


def _late(random: Random, names: Names, at: float) -> Fault:
    what = names.measured if names.measured and random.random() < 0.5 else names.checks
    return Fault(at, FaultKind.LATE, random.choice(what), _for(random), random.choice((2.0, 20.0, 90.0)))


def _plain(kind: FaultKind, *strengths: float) -> Make:
    def make(random: Random, names: Names, at: float) -> Fault:
        return Fault(at, kind, "", _for(random), random.choice(strengths or (1.0,)))

    return make


def _blind(random: Random, names: Names, at: float) -> Fault:
    return Fault(at, FaultKind.BLIND, random.choice(names.vantages), _for(random))


def _disk(kind: FaultKind, *strengths: float) -> Make:
    def make(random: Random, names: Names, at: float) -> Fault:
        return Fault(at, kind, "", min(_for(random), 120.0), random.choice(strengths or (1.0,)))

    return make


def _death(kind: FaultKind, *waits: float) -> Make:
    def make(random: Random, names: Names, at: float) -> Fault:
        return Fault(at, kind, "", random.choice(waits) * random.uniform(0.5, 1.5))

    return make


def _death_at(kind: FaultKind, *waits: float) -> Make:
    def make(random: Random, names: Names, at: float) -> Fault:
        before = kind is FaultKind.KILLED_AT and random.random() < 0.3
        wait = random.choice(waits) * random.uniform(0.5, 1.5)
        return Fault(at, kind, "", wait, command=random.choice((0, 0, 1, 2)), before=before)

    return make


def _clock(random: Random, names: Names, at: float) -> Fault:
    return Fault(at, FaultKind.CLOCK, "", None, random.choice((-7200.0, -30.0, 30.0, 3600.0, 86400.0)))


def _word(random: Random, names: Names, at: float) -> Fault:
    kind = random.choice(_SAID)
    subject = random.choice(names.services)
    if kind in (WordKind.HOLD, WordKind.RESUME, WordKind.SUSPECT, WordKind.CLEAR) and random.random() < 0.3:
        subject = random.choice((subject.partition("/")[0], "*"))
    if kind is WordKind.MAINTENANCE:
        return Fault(at, FaultKind.WORD, subject, None, 1.0, kind.value, {"for_s": random.choice((30.0, 600.0))})
    if kind is WordKind.APPROVE:
        return Fault(at, FaultKind.WORD, "", None, 1.0, kind.value, {"fence": random.random() < 0.5})
    return Fault(at, FaultKind.WORD, subject, None, 1.0, kind.value)


_GO_WRONG = (
    FaultKind.PLAYBOOK_FAILS,
    FaultKind.PLAYBOOK_USELESS,
    FaultKind.PLAYBOOK_UNSEEN,
)
_SAID = (
    WordKind.FAILOVER,
    WordKind.FAILOVER,
    WordKind.FAILBACK,
    WordKind.APPROVE,
    WordKind.APPROVE,
    WordKind.REJECT,
    WordKind.ABORT,
    *STANDING,
)

_NEEDS: dict[FaultKind, tuple[str, ...]] = {
    FaultKind.POWER: ("places",),
    FaultKind.CUT: ("hosts",),
    FaultKind.FLAP: ("domains",),
    FaultKind.LOSS: ("domains",),
    FaultKind.ONE_WAY: ("domains",),
    FaultKind.SLOW: ("domains",),
    FaultKind.CRASH: ("services",),
    FaultKind.HANG: ("services",),
    FaultKind.PLAYBOOK_FAILS: ("moves",),
    FaultKind.PLAYBOOK_HANGS: ("moves",),
    FaultKind.PLAYBOOK_HALF: ("moves",),
    FaultKind.PLAYBOOK_USELESS: ("moves",),
    FaultKind.PLAYBOOK_UNSEEN: ("moves",),
    FaultKind.BROKEN: ("moves",),
    FaultKind.LAG: ("measured",),
    FaultKind.LATE: ("checks",),
    FaultKind.MUTE: ("checks",),
    FaultKind.WORD: ("services",),
}

_MAKE: dict[FaultKind, Make] = {
    FaultKind.POWER: _power,
    FaultKind.CUT: _cut,
    FaultKind.FLAP: _of_domain(FaultKind.FLAP, (2.0, 6.0, 20.0, 60.0)),
    FaultKind.LOSS: _of_domain(FaultKind.LOSS, (0.1, 0.3, 0.6, 0.95)),
    FaultKind.ONE_WAY: _of_domain(FaultKind.ONE_WAY, (0.3, 0.7, 1.0)),
    FaultKind.SLOW: _of_domain(FaultKind.SLOW, (0.3, 0.9, 2.0)),
    FaultKind.BLIND: _blind,
    FaultKind.REFERENCES: _plain(FaultKind.REFERENCES),
    FaultKind.CRASH: _of_service(FaultKind.CRASH),
    FaultKind.HANG: _of_service(FaultKind.HANG),
    FaultKind.PLAYBOOK_FAILS: _of_move(FaultKind.PLAYBOOK_FAILS),
    FaultKind.PLAYBOOK_HANGS: _of_move(FaultKind.PLAYBOOK_HANGS),
    FaultKind.PLAYBOOK_HALF: _of_move(FaultKind.PLAYBOOK_HALF),
    FaultKind.PLAYBOOK_USELESS: _of_move(FaultKind.PLAYBOOK_USELESS),
    FaultKind.PLAYBOOK_UNSEEN: _of_move(FaultKind.PLAYBOOK_UNSEEN),
    FaultKind.BROKEN: _broken,
    FaultKind.LAG: _of_measured(FaultKind.LAG, (0.5, 1.0, 5.0)),
    FaultKind.MUTE: _mute,
    FaultKind.LATE: _late,
    FaultKind.DISK_SLOW: _disk(FaultKind.DISK_SLOW, 0.1, 1.0, 4.0),
    FaultKind.DISK_FULL: _disk(FaultKind.DISK_FULL),
    FaultKind.KILLED: _death(FaultKind.KILLED, 3.0, 30.0, 300.0),
    FaultKind.KILLED_AT: _death_at(FaultKind.KILLED_AT, 3.0, 30.0),
    FaultKind.REBOOT: _death(FaultKind.REBOOT, 40.0, 600.0),
    FaultKind.FROZEN: _death(FaultKind.FROZEN, 10.0, 60.0, 300.0),
    FaultKind.FROZEN_AT: _death_at(FaultKind.FROZEN_AT, 24.0, 60.0),
    FaultKind.CLOCK: _clock,
    FaultKind.PEOPLE: _plain(FaultKind.PEOPLE),
    FaultKind.WORD: _word,
    FaultKind.RELOAD: _plain(FaultKind.RELOAD),
    FaultKind.EVERYTHING: _plain(FaultKind.EVERYTHING),
}
