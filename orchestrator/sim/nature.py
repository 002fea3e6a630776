"""What a model declares of the world: what each check really asks, and what each service really rests on.

The one rule it keeps: nothing is guessed. Everything follows from failure domains, `via`, `home`, `to` and from where
the plan uses a check. Whatever does not follow is listed as not modelled, and the list is part of every result.

    a check in                    asks, beside the life of its vantage, `via`, host and the host's domains
    --------------------------    ------------------------------------------------------------------------
    `reference`                   nothing more
    a service's `healthy_when`    whether the service works; of a host inside a place: its part there
    a place's `proven_when`       whether the place is switched off for good
    a place's `dark_when`         whether the place has lost its power
    a hand-over's `proven_when`   whether the move's services have stopped at the place left
    `done_when`, `verify`         whether the move has taken effect
    `viable_when`, `data_age`     whether the move's destination is there and in order
    nothing                       nothing more

The first row that applies counts. A move in place with `via` leads a path: while it is engaged its services need that
domain. Otherwise they need those that the `viable_when` of the move undoing it goes `via`. A move in place without
`via` restarts what has crashed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from orchestrator.core.model import Check, Condition, Model, Move, Service


class Asks(StrEnum):
    """What a check asks, beside the life of what it goes through."""

    NOTHING = "nothing more"
    SERVICE = "whether a service works"
    OFF = "whether a place is switched off"
    DARK = "whether a place has lost its power"
    HANDED_OVER = "whether services have stopped at a place"
    EFFECT = "whether a move has taken effect"
    VIABLE = "whether a destination is in order"


@dataclass(frozen=True, slots=True)
class Question:
    """One check as the world sees it. `about`: ids of services, places or moves, as `asks` says."""

    check: Check
    asks: Asks
    about: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()  # failure domains and hosts that must live for any answer
    inside: str | None = None  # the place that its host is in


@dataclass(frozen=True, slots=True)
class Path:
    """A way that a service's users take while it is at `place`: by `primary`, or by an engaged move's `via`."""

    place: str | None
    primary: tuple[str, ...]
    detours: tuple[tuple[str, str], ...]  # move id, its domain


@dataclass(slots=True)
class Nature:
    """The compiled physics of one model."""

    model: Model
    questions: dict[str, Question] = field(default_factory=dict)
    paths: dict[str, list[Path]] = field(default_factory=dict)  # by service
    uses: dict[str, tuple[str, ...]] = field(default_factory=dict)  # move to the services that may make it
    domains: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    not_modelled: tuple[str, ...] = ()

    def domains_of(self, place: str) -> frozenset[str]:
        """The failure domains of a place; of one that declares none, the place itself."""
        known = self.model.places[place].domains
        return known or frozenset({place})

    def place_in(self, domain: str) -> str | None:
        """The place that fails with this domain."""
        return next((p for p in sorted(self.model.places) if domain in self.domains_of(p)), None)


def host_of(check: Check) -> str:
    """The name of the check's host among the things that can fail."""
    return f"host {check.client}/{check.host or check.name}"


def nature_of(model: Model) -> Nature:
    """What the model declares; see the table above."""
    nature = Nature(model)
    missing: list[str] = []
    for move in model.moves.values():
        nature.uses[move.id] = tuple(
            s.id for s in model.services.values() if any(t.move == move.id for t in s.ladder) or move.id in s.failback
        )
    for check in model.checks.values():
        nature.questions[check.id] = _question(nature, check)
    for service in model.services.values():
        nature.paths[service.id] = _paths(model, service, missing)
    domains = {d for c in model.checks.values() for d in c.domains}
    domains |= {d for p in model.places for d in nature.domains_of(p)}
    domains |= {m.via for m in model.moves.values() if m.via}
    domains |= {c.via for c in model.checks.values() if c.via}
    nature.domains = tuple(sorted(domains))
    nature.hosts = tuple(sorted({host_of(c) for c in model.checks.values()}))
    _say_what_is_missing(nature, missing)
    nature.not_modelled = tuple(dict.fromkeys(missing))
    return nature


def _question(nature: Nature, check: Check) -> Question:
    model = nature.model
    needs = tuple(sorted({host_of(check), *check.domains, *({check.via} if check.via else ())}))
    inside = next((p for p in sorted(model.places) if nature.domains_of(p) & check.domains), None)
    for asks, about in _uses_of(model, check.id):
        if about or asks is Asks.NOTHING:
            return Question(check, asks, tuple(dict.fromkeys(about)), needs, inside)
    return Question(check, Asks.NOTHING, (), needs, inside)


def _uses_of(model: Model, check: str) -> Iterator[tuple[Asks, list[str]]]:
    """What the plan uses a check for, in the order in which it counts."""
    places, moves = model.places.values(), model.moves.values()
    if model.checks[check].reference:
        yield Asks.NOTHING, []
        return
    yield Asks.SERVICE, [s.id for s in model.services.values() if _in(check, s.healthy_when)]
    yield Asks.OFF, [p.id for p in places if p.fence and _in(check, p.fence.proven_when)]
    yield Asks.DARK, [p.id for p in places if p.fence and _in(check, p.fence.dark_when)]
    yield Asks.HANDED_OVER, [m.id for m in moves if m.hand_over and _in(check, m.hand_over.proven_when)]
    yield Asks.EFFECT, [m.id for m in moves if _in(check, m.done_when) or _in(check, m.verify)]
    yield Asks.VIABLE, [m.id for m in moves if _in(check, m.viable_when) or m.data_age == check]


def _in(check: str, condition: Condition | None) -> bool:
    return condition is not None and check in condition.checks()


def _paths(model: Model, service: Service, missing: list[str]) -> list[Path]:
    """The paths of a service: one for each resource that its moves in place with `via` share."""
    found: dict[tuple[str, ...], list[Move]] = {}
    for tier in service.ladder:
        move = model.moves[tier.move]
        if move.to is None and move.via is not None:
            found.setdefault(move.holds, []).append(move)
    paths = []
    for moves in found.values():
        primary = _primary(model, moves)
        if not primary:
            names = ", ".join(m.id for m in moves)
            missing.append(f"{service.id}: which path {names} takes it from (no `via` in a move that undoes it)")
        paths.append(Path(service.home, primary, tuple((m.id, m.via or "") for m in moves)))
    return paths


def _primary(model: Model, detours: list[Move]) -> tuple[str, ...]:
    """What the path goes through while no detour is engaged: the `via` of what makes going back viable."""
    ids = {m.id for m in detours}
    found: set[str] = set()
    for move in model.moves.values():
        if move.undoes in ids:
            found |= {move.via} if move.via else set()
            asked = move.viable_when.checks() if move.viable_when else ()
            found |= {via for c in asked if (via := model.checks[c].via)}
    return tuple(sorted(found))


def _say_what_is_missing(nature: Nature, missing: list[str]) -> None:
    model = nature.model
    for service in model.services.values():
        if service.home is None:
            missing.append(f"{service.id}: where it runs (no `home`)")
        for tier in service.ladder:
            move = model.moves[tier.move]
            if move.to is not None and service.rpo_s is not None and move.data_age is None:
                missing.append(f"{move.id}: the age of the data found at {move.to} (no `data_age`)")
    idle = [q.check.id for q in nature.questions.values() if q.asks is Asks.NOTHING and not q.check.reference]
    if idle:
        names = ", ".join(sorted(idle))
        missing.append(f"what is asked by checks of which the plan does not say it (their hosts' life alone): {names}")
    bare = [p for p in model.places if not model.places[p].domains]
    missing.extend(f"{p}: which failure domain it is (no group variable `bascule_domain`)" for p in bare)
    shared = sorted(m for m, users in nature.uses.items() if model.moves[m].to and len(users) > 1)
    if shared:
        missing.append(f"moves that several services share are taken to move the one they run for: {', '.join(shared)}")
    missing.append("management paths: what a playbook needs is in the table of `sim/targets.py`, not in the inventory")
    missing.append("how long name servers and other caches go on leading users to the old place")
