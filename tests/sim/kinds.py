"""One fault of every kind on a plan: so that no kind is forgotten by a test.

The one rule it keeps: it goes through `FaultKind`; a kind without a row here is an error.
"""

from __future__ import annotations

from collections.abc import Callable

from orchestrator.core.events import WordKind
from orchestrator.core.model import Json
from orchestrator.sim.faults import Fault, FaultKind
from orchestrator.sim.names import Names

_OF: dict[FaultKind, Callable[[Names], tuple[str, ...]]] = {
    FaultKind.POWER: lambda n: n.places,
    FaultKind.CUT: lambda n: n.domains,
    FaultKind.FLAP: lambda n: n.domains,
    FaultKind.LOSS: lambda n: n.domains,
    FaultKind.ONE_WAY: lambda n: n.domains,
    FaultKind.SLOW: lambda n: n.domains,
    FaultKind.BLIND: lambda n: n.vantages,
    FaultKind.CRASH: lambda n: n.services,
    FaultKind.HANG: lambda n: n.services,
    FaultKind.PLAYBOOK_FAILS: lambda n: n.moves,
    FaultKind.PLAYBOOK_HANGS: lambda n: n.moves,
    FaultKind.PLAYBOOK_HALF: lambda n: n.moves,
    FaultKind.PLAYBOOK_USELESS: lambda n: n.moves,
    FaultKind.PLAYBOOK_UNSEEN: lambda n: n.moves,
    FaultKind.BROKEN: lambda n: n.moves,
    FaultKind.LAG: lambda n: n.measured,
    FaultKind.MUTE: lambda n: n.checks,
    FaultKind.LATE: lambda n: n.checks,
    FaultKind.WORD: lambda n: n.services,
    FaultKind.DRILLS: lambda n: tuple(service for service, _ in n.tiers),
    FaultKind.WORK: lambda n: n.services,
}
_BY_CALENDAR = (FaultKind.DRILLS, FaultKind.WORK)
OF_NOTHING = frozenset(FaultKind) - frozenset(_OF)
OF_THE_CONTROLLER = frozenset(
    {FaultKind.KILLED, FaultKind.KILLED_AT, FaultKind.REBOOT, FaultKind.FROZEN, FaultKind.FROZEN_AT}
)
NEVER_ENDS = frozenset({FaultKind.CLOCK, FaultKind.WORD, FaultKind.RELOAD})


def subjects(kind: FaultKind, names: Names) -> tuple[str, ...]:
    """What this kind may befall in a model."""
    of = _OF.get(kind)
    return ("",) if of is None else of(names)


def one_of(kind: FaultKind, names: Names, at: float = 0.0, for_s: float | None = None, nth: int = 0) -> Fault:
    """A fault of this kind; `nth` chooses its subject."""
    known = subjects(kind, names)
    word = WordKind.HOLD.value if kind is FaultKind.WORD else ""
    strength = 0.5 if kind in (FaultKind.LOSS, FaultKind.ONE_WAY) else 1.0
    ends = None if kind in NEVER_ENDS else for_s
    options: dict[str, Json] = {"lasts_s": 20.0} if kind is FaultKind.WORK else {}
    if kind is FaultKind.DRILLS:
        options = {"move": names.tiers[nth % len(known)][1], "window_s": 30.0}
    strength = 60.0 if kind in _BY_CALENDAR else strength
    return Fault(at, kind, known[nth % len(known)], ends, strength, word, options)


def all_kinds(names: Names, apart_s: float, for_s: float) -> tuple[Fault, ...]:
    """One fault of each kind, one after the other."""
    return tuple(one_of(kind, names, n * apart_s, for_s, n) for n, kind in enumerate(FaultKind))
