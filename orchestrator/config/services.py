"""Services of one client: objectives, ladders, dependencies, ways back.

The one rule it keeps: what an author left out is derived here, in one place, and the result is in the model. The core
derives nothing from names.
"""

from __future__ import annotations

import graphlib
from collections.abc import Mapping

from orchestrator.config.client import ClientFile, Compiler
from orchestrator.config.costs import downtime_cost
from orchestrator.config.faults import Faults
from orchestrator.config.oddities import odd_proofs, odd_services
from orchestrator.config.shapes import ServiceShape, written
from orchestrator.config.strict_yaml import Path_
from orchestrator.core.model import Dependency, Mode, Move, Place, Service, Tier, default_of


def compile_services(
    c: Compiler,
    moves: Mapping[str, Move],
    places: Mapping[str, Place],
    known: Mapping[str, ClientFile],
    people: frozenset[str],
) -> dict[str, Service]:
    """Every service of a client. `known`: every client's file, for dependencies; `people`: ids of persons."""
    found: dict[str, Service] = {}
    for name, shape in c.file.services.items():
        service = _service(c, name, shape, moves, known, people)
        if service is not None:
            found[service.id] = service
            if service.exclusive:
                _exclusive(c, service, shape, moves, places)
    _unused(c)
    odd_services(c, found.values(), moves)
    odd_proofs(
        c, [m for m in moves.values() if m.client == c.client], [p for p in places.values() if p.client == c.client]
    )
    return found


def _service(
    c: Compiler,
    name: str,
    shape: ServiceShape,
    moves: Mapping[str, Move],
    known: Mapping[str, ClientFile],
    people: frozenset[str],
) -> Service | None:
    path: Path_ = ("services", name)
    what = f"service {name}"
    healthy = c.condition(shape.healthy_when, (*path, "healthy_when"), f"{what}: healthy_when")
    home = c.place(shape.home, (*path, "home"))
    ladder = _ladder(c, name, shape)
    failback = _failback(c, name, shape, ladder, home, moves)
    depends_on = _dependencies(c, name, shape, known)
    owners = []
    for index, person in enumerate(shape.owners or ()):
        identifier = next((i for i in (c.id(person), person) if i in people), None)
        if identifier is None:
            mine = {p.removeprefix(f"{c.client}/") for p in people if p.startswith(f"{c.client}/") or "/" not in p}
            c.faults.unknown(c.at(*path, "owners", index), "person", person, mine)
        else:
            owners.append(identifier)
    for key in ("rto", "mtd"):
        if getattr(shape, key) is not None and getattr(shape, key) <= 0:
            c.faults.add(c.at(*path, key), f"{what}: {key} is zero", "a duration longer than 0s")
    if shape.rto and shape.mtd and shape.mtd < shape.rto:
        c.faults.add(c.at(*path, "mtd"), f"{what}: mtd is shorter than rto", f"at least {written(shape.rto)}")
    if shape.home is None and any(moves[t.move].to for t in ladder if t.move in moves):
        c.faults.add(c.file.document.key(*path), f"{what} has moves to other places and no home", "the key 'home'")
    if shape.exclusive and shape.home is None:
        c.faults.add(c.at(*path, "exclusive"), f"{what} is exclusive and has no home", "the key 'home'")
    if shape.mode != "observe" and not ladder and not shape.ladder:
        c.faults.warn(
            c.file.document.key(*path), f"{what} is in mode {shape.mode} and has no ladder", "the key 'ladder'"
        )
    if healthy is None or shape.rto is None:
        return None
    a_minute, currency, cost = downtime_cost(c, name, shape)
    return Service(
        id=c.id(name),
        client=c.client,
        name=name,
        healthy_when=healthy,
        ladder=ladder,
        rto_s=shape.rto,
        rpo_s=shape.rpo,
        mtd_s=shape.mtd,
        mode=Mode(shape.mode),
        priority=int(_or(shape.priority, "priority")),
        downtime_cost=a_minute,
        currency=currency,
        cost=cost,
        home=home,
        exclusive=shape.exclusive,
        depends_on=depends_on,
        failback=failback,
        automatic_failback=shape.automatic_failback,
        hold_down_s=_or(shape.hold_down, "hold_down_s"),
        cool_down_s=_or(shape.cool_down, "cool_down_s"),
        settle_s=_or(shape.settle, "settle_s"),
        approval_expires_s=_or(shape.approval_expires, "approval_expires_s"),
        owners=tuple(owners),
    )


def _or(value: float | None, name: str) -> float:
    found: float = default_of(Service, name) if value is None else value
    return found


def _ladder(c: Compiler, name: str, shape: ServiceShape) -> tuple[Tier, ...]:
    tiers: list[Tier] = []
    for index, tier in enumerate(shape.ladder or ()):
        path: Path_ = ("services", name, "ladder", index)
        at_move: Path_ = (*path, "move")
        move = c.move(tier.move, at_move)
        if move is None:
            continue
        if any(t.move == move for t in tiers):
            c.faults.add(c.at(*at_move), f"service {name}: tier {tier.move!r} is on the ladder twice", "each move once")
            continue
        if tier.accept_loss is not None and shape.rpo is not None and tier.accept_loss <= shape.rpo:
            c.faults.warn(
                c.at(*path, "accept_loss"),
                f"service {name}: accept_loss of {tier.move} is within the RPO",
                "more than the RPO, or nothing",
            )
        if tier.move in c.file.back_names():
            c.faults.add(c.at(*at_move), f"service {name}: {tier.move!r} is a way back", "it under 'failback'")
            continue
        tiers.append(Tier(move, tier.accept_loss, tier.costs[0] if tier.costs else None))
    return tuple(tiers)


def _failback(
    c: Compiler, name: str, shape: ServiceShape, ladder: tuple[Tier, ...], home: str | None, moves: Mapping[str, Move]
) -> tuple[str, ...]:
    if shape.failback is not None:
        found = [c.move(m, ("services", name, "failback", i)) for i, m in enumerate(shape.failback)]
        for index, move in enumerate(found):
            if move and move in found[:index]:
                c.faults.add(
                    c.at("services", name, "failback", index),
                    f"service {name}: {shape.failback[index]!r} is listed twice",
                    "each move once",
                )
        return tuple(dict.fromkeys(m for m in found if m))
    undoing = {m.undoes: m.id for m in moves.values() if m.undoes}
    derived = [undoing[t.move] for t in ladder if t.move in undoing]
    leaves_home = any(moves[t.move].to not in (None, home) for t in ladder if t.move in moves)
    if leaves_home:
        derived += [m.id for m in moves.values() if home and m.to == home and m.id not in derived]
    c.used_moves |= {moves[m].name for m in derived}
    return tuple(derived)


def _dependencies(
    c: Compiler, name: str, shape: ServiceShape, known: Mapping[str, ClientFile]
) -> tuple[Dependency, ...]:
    found: list[Dependency] = []
    everything = {f"{client}/{s}" for client, file in known.items() for s in file.declared["services"]}
    for index, item in enumerate(shape.depends_on or ()):
        path: Path_ = ("services", name, "depends_on", index)
        if item.service is None:
            continue
        identifier = item.service if "/" in item.service else c.id(item.service)
        at = c.at(*path, "service")
        if identifier not in everything:
            mine = {i.removeprefix(f"{c.client}/") for i in everything}
            c.faults.unknown(at, "service", item.service, mine)
            continue
        if identifier == c.id(name):
            c.faults.add(at, f"service {name} depends on itself", "another service")
            continue
        if any(d.service == identifier for d in found):
            c.faults.add(at, f"service {name}: {item.service!r} is listed twice", "each service once")
            continue
        places = [c.place(p, (*path, "at", i)) for i, p in enumerate(item.at or ())]
        found.append(Dependency(identifier, frozenset(p for p in places if p)))
    return tuple(found)


def _exclusive(
    c: Compiler, service: Service, shape: ServiceShape, moves: Mapping[str, Move], places: Mapping[str, Place]
) -> None:
    """Every place an exclusive service may have to leave must have a way to be put out of action."""
    own = [moves[m] for m in [*(t.move for t in service.ladder), *service.failback] if m in moves]
    reachable = [p for p in dict.fromkeys([service.home, *(m.to for m in own)]) if p]
    for identifier in reachable:
        place = places.get(identifier)
        if place is None or place.fence is not None or c.file.places[place.name].fence is not None:
            continue
        leaving = [m for m in own if m.to and m.to != identifier and (not m.leaves or identifier in m.leaves)]
        if leaving and not all(m.hand_over for m in leaving):
            c.faults.add(
                c.file.document.key("places", place.name),
                f"service {service.name} is exclusive, and its place {place.name} has no fence",
                "the key 'fence', or 'hand_over' in each move that leaves it",
            )


def _unused(c: Compiler) -> None:
    for name, shape in c.file.moves.items():
        if name not in c.used_moves and (shape.undoes is None or f"{shape.undoes}" not in c.used_moves):
            c.faults.warn(c.file.document.key("moves", name), f"move {name} is on no ladder and leads nowhere back", "")


def find_cycles(services: Mapping[str, Service], files: Mapping[str, ClientFile], faults: Faults) -> None:
    """Services that wait for each other would never recover."""
    graph = {s.id: [d.service for d in s.depends_on] for s in services.values()}
    while True:
        try:
            graphlib.TopologicalSorter(graph).prepare()
            return
        except graphlib.CycleError as error:
            cycle: list[str] = list(reversed(error.args[1]))
            start = min(cycle[:-1])
            ring = cycle[:-1]
            ring = ring[ring.index(start) :] + ring[: ring.index(start)]
            service = services[start]
            document = files[service.client].document
            index = [d.service for d in service.depends_on].index(ring[1 % len(ring)])
            faults.add(
                document.at("services", service.name, "depends_on", index),
                f"services wait for each other: {' -> '.join([*ring, start])}",
                "no circle in depends_on",
            )
            graph[start] = [d for d in graph[start] if d != ring[1 % len(ring)]]
