"""Warnings about what is allowed but will disappoint.

Such are moves that cannot help where they are listed, and services that never come back. Each warning stands at the key
that causes it, and says what will happen and what to write.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from orchestrator.config.client import Compiler
from orchestrator.config.faults import Faults, Position
from orchestrator.config.patterns import PatternInvalid, match_hosts
from orchestrator.config.strict_yaml import Path_
from orchestrator.config.surroundings import programs_among
from orchestrator.config.ways import program_trouble
from orchestrator.core.kinds import effect_of_undone
from orchestrator.core.model import Check, Condition, Move, Place, Service

PLUG_IN = "nagios"  # the kind of probe whose exit code 1 is a warning


def odd_services(c: Compiler, services: Iterable[Service], moves: Mapping[str, Move]) -> None:
    """Warn of ladders and ways back of one client's services."""
    lone: dict[str, list[str]] = {}  # moves in place that leave a way back to nobody, to the services that list them
    for service in services:
        tiers = [(i, moves[t.move]) for i, t in enumerate(service.ladder) if t.move in moves]
        _ladder(c, service, tiers)
        away = sorted({_short(m.to) for _, m in tiers if m.to not in (None, service.home)})
        backs = [moves[name] for name in service.failback if name in moves]
        if away and not any(m.to == service.home for m in backs):
            said = f"service {service.name} has no way back from {', '.join(away)}"
            wanted = f"a move with 'to: {_short(service.home)}' under 'failback', or whoever brings it back by hand"
            c.faults.warn(c.file.document.key("services", service.name), said, wanted)
        undone = {m.undoes for m in backs}
        for back in backs:
            _taken_back(c, back, moves)
        for _, move in tiers:
            if move.to is None and move.id not in undone and (move.via or move.done_when):
                lone.setdefault(move.name, []).append(service.name)
        _in_place(c, service, [m for _, m in tiers if m.to is None], away)
    for name, listed in lone.items():
        said = f"move {name} lasts and has no way back; services: {', '.join(listed)}"
        c.faults.warn(c.file.document.key("moves", name), said, "the key 'back', or a move that 'undoes' it")
    for name, shape in c.file.moves.items():
        if shape.back is not None and shape.leaves:
            said = f"'from' of move {name} does not hold for {name}.back: it starts wherever the service is by then"
            wanted = f"a move of its own with 'undoes: {name}' and its own 'from', where that matters"
            c.faults.warn(c.file.document.key("moves", name, "back"), said, wanted)


def odd_proofs(c: Compiler, moves: Iterable[Move], places: Iterable[Place]) -> None:
    """Warn of programs that fail where nothing is proven, and are taken for a plug-in that only warns.

    What knows success and failure alone (a test of the shell, `grep`, `curl`) fails with exit code 1.
    """
    proofs: list[tuple[Path_, Condition | None]] = []
    for place in places:
        at = ("places", place.name)
        if place.fence is not None:
            proofs.append(((*at, "fence", "proven_when"), place.fence.proven_when))
            proofs.append(((*at, "fence", "dark_when"), place.fence.dark_when))
        if place.isolate is not None:
            proofs.append(((*at, "isolate", "proven_when"), place.isolate.proven_when))
    for move in moves:
        name, _, back = move.name.partition(".")
        at = ("moves", name, *((back,) if back else ()))
        proofs.append(((*at, "done_when"), move.done_when))
        if move.hand_over is not None:
            proofs.append(((*at, "hand_over", "proven_when"), move.hand_over.proven_when))
    for path, proof in proofs:
        for identifier in proof.checks() if proof is not None else ():
            check = c.asked.get(identifier)
            if check is not None and check.probe == PLUG_IN and check.options.get("warning", "good") == "good":
                asked = identifier.partition("/")[2]
                said = (
                    f"{'.'.join(map(str, path[1:]))} asks {asked}: it is good where its program fails with exit code 1"
                )
                wanted = f"'warning: bad' in check {check.name}, unless its program is a monitoring plug-in"
                c.faults.warn(c.at(*path), said, wanted)


def _ladder(c: Compiler, service: Service, tiers: list[tuple[int, Move]]) -> None:
    for index, move in tiers:
        path: Path_ = ("services", service.name, "ladder", index, "move")
        if move.to is not None and move.to == service.home:
            said = (
                f"service {service.name}: {move.name} leads home, and helps only where {service.name} fails elsewhere"
            )
            c.faults.warn(c.at(*path), said, f"{move.name} under 'failback', and ways out of {_short(move.to)} here")
        elif move.to is not None and service.rpo_s is not None and move.data_age is None:
            said = f"service {service.name} has an rpo, and {move.name} does not say how old its data is"
            wanted = f"the key 'data_age' in move {move.name}"
            c.faults.warn(c.at(*path), f"{said}: it is never taken automatically", wanted)


def _taken_back(c: Compiler, back: Move, moves: Mapping[str, Move]) -> None:
    """That a way back took effect is shown by what it takes back being gone, if anything tells that."""
    undone = moves.get(back.undoes or "")
    if undone is not None and undone.done_when is not None and effect_of_undone(moves, back) is None:
        said = f"done_when of move {undone.name} is good without it too: it does not show that {back.name} took effect"
        c.faults.warn(c.at("moves", undone.name, "done_when"), said, f"a check that is bad once {back.name} has run")


def _in_place(c: Compiler, service: Service, moves: Iterable[Move], away: list[str]) -> None:
    """A move that stays in place is tried wherever the service is, also where its playbook touches nothing."""
    for move in moves if away and service.home else ():
        touched = _touched(c, move)
        if not move.leaves and touched and not touched & set(away):
            said = f"move {move.name} acts in {', '.join(sorted(touched))}, and is tried too when {service.name} is in"
            wanted = f"'from: [{', '.join(sorted(touched))}]'"
            c.faults.warn(c.file.document.key("moves", move.name), f"{said} {', '.join(away)}", wanted)


def _touched(c: Compiler, move: Move) -> set[str]:
    """The places that the playbook's hosts are in, as far as they can be known."""
    inventory, found = c.read, set[str]()
    for play in c.playbooks.plays(c.playbooks.file(move.playbook.path)):
        try:
            hosts, _ = match_hosts(play.hosts, inventory.hosts, inventory.groups) if inventory else ([], [])
        except PatternInvalid:
            continue
        found |= {place for place in c.file.places for host in hosts if host in c.domains.hosts.get(place, ())}
    return found


def odd_programs(
    checks: Mapping[str, Check], at: Callable[[Check], Position | None], vantage: str, faults: Faults
) -> None:
    """Warn of programs that checks start here and that are not there."""
    for check, argv in _started_here(checks.values(), vantage):
        where, trouble = at(check), program_trouble(argv)
        if where is not None and trouble is not None:
            faults.warn(where, f"check {check.name} of {check.client}: {trouble[0]}", trouble[1])


def programs_here(checks: Iterable[Check], vantage: str, others: Iterable[Sequence[str]]) -> set[Path]:
    """Programs and scripts, named by a path, that the controller starts: those of checks, and of these `others`."""
    commands = [*others, *(command for _, command in _started_here(checks, vantage))]
    return {path for command in commands for path in programs_among(command)}


def _started_here(checks: Iterable[Check], vantage: str) -> Iterator[tuple[Check, tuple[str, ...]]]:
    """Checks whose `command` is a list: a program and its arguments, started by the controller."""
    for check in checks:
        command = check.options.get("command")
        if check.vantage == vantage and isinstance(command, list | tuple) and command:
            yield check, tuple(map(str, command))


def _short(identifier: str | None) -> str:
    return (identifier or "").rpartition("/")[2]
