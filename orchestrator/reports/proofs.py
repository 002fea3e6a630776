"""What a proof rests on, and what has changed of it since: of a run that was verified, and the model in force then.

The one rule it keeps: a run proves what was in force when it began. What its move plays, what it asks, and how the
place left is fenced are compared with the model in force now; anything that differs makes the proof void.

Compared is what was read. Of a playbook that is what its files say and what the variables of its hosts are, part by
part (`rests_on`). A model of an older version knows only its digest, and then a comment in a file of it voids its
proofs too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from orchestrator.core.codec import dumps, encode
from orchestrator.core.model import Fence, Model, Move, Playbook, Service

WITHOUT = Playbook("", "")
# What a move declares, as people call it; anything else is called by its key.
_BOOKS = {"playbook": "the playbook", "prepare": "its preparation", "finish": "its finish"}
_CONDITIONS = {
    "verify": "what verifies {}",
    "viable_when": "what {} needs before it begins",
    "done_when": "what shows that {} is done",
}


@dataclass(frozen=True, slots=True)
class Basis:
    """What a proof rests on, by what it is called for people: bytes of what is compared, and playbooks. `versions`: of
    the programs that play them; empty: of an older version, and not known.
    """

    parts: Mapping[str, bytes] = field(default_factory=dict)
    playbooks: Mapping[str, Playbook] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.parts)

    def named(self) -> tuple[str, ...]:
        """All of it, by what it is called, in order."""
        return tuple(sorted({*self.parts, *self.playbooks}))


def basis(model: Model | None, service: str, move: str) -> Basis:
    """What a proof of this move for this service rests on, in this model. Empty: it is not in it."""
    of = model.services.get(service) if model is not None else None
    how = model.moves.get(move) if model is not None else None
    if model is None or of is None or how is None:
        return Basis()
    found = {f"the move {how.name}": _bytes(_without_playbooks(how))}
    playbooks = {f"{what} {playbook.path}": playbook for what, playbook in _playbooks(how)}
    conditions = {f"what shows that {of.name} is well": of.healthy_when}
    conditions |= {_CONDITIONS.get(key, f"{key} of {{}}").format(how.name): x for key, x in how.asks.items()}
    checks = {how.data_age} if how.data_age else set()
    for what, condition in conditions.items():
        found[what] = _bytes(condition)
        checks.update(condition.checks())
    for name, fence in _fences(model, of, how):
        found[name] = _bytes(replace(fence, playbook=WITHOUT))
        playbooks[f"the playbook of {name} {fence.playbook.path}"] = fence.playbook
        checks.update(fence.proven_when.checks())
    if how.hand_over is not None:
        checks.update(how.hand_over.proven_when.checks())
    for name in checks:
        if (check := model.checks.get(name)) is not None:
            found[f"the check {name.partition('/')[2]}"] = _bytes(replace(check, needed_by=()))
    return Basis(found, playbooks, model.versions)


def rehearsed_on(model: Model | None, service: str, move: str) -> Basis:
    """What a rehearsal of this move shows rests on: all that the move does, and how it is rehearsed."""
    found = basis(model, service, move)
    how = model.moves[move].rehearse if model is not None and found else None
    if how is None:
        return found
    played = {"preparation": how.prepare, "playbook": how.playbook, "clean-up": how.clean_up, "survey": how.survey}
    books = {f"its rehearsal's {what} {x.path}": x for what, x in played.items() if x is not None}
    rest = replace(how, playbook=WITHOUT, clean_up=WITHOUT, survey=WITHOUT, prepare=None)
    parts = {**found.parts, "how it is rehearsed": _bytes(rest)}
    return replace(found, parts=parts, playbooks={**found.playbooks, **books})


def changed(before: Basis, now: Basis) -> tuple[str, ...]:
    """What differs, by its name; nothing differs: the proof holds."""
    if not before:
        return ("what it rested on is not kept any more",)
    if not now:
        return ("the service, or the move, is not in the configuration any more",)
    told = [name for name in before.parts.keys() | now.parts.keys() if before.parts.get(name) != now.parts.get(name)]
    for name in before.playbooks.keys() | now.playbooks.keys():
        told += _differing(name, before.playbooks.get(name), now.playbooks.get(name))
    if before.versions and now.versions:
        told += [
            f"the version of {name}"
            for name in before.versions.keys() | now.versions.keys()
            if before.versions.get(name) != now.versions.get(name)
        ]
    return tuple(sorted(told))


def _differing(name: str, before: Playbook | None, now: Playbook | None) -> Iterator[str]:
    """What of a playbook differs."""
    if before is None or now is None:
        yield name
    elif before.rests_on and now.rests_on:
        if _how(before) != _how(now):
            yield name
        for part in before.rests_on.keys() | now.rests_on.keys():
            if before.rests_on.get(part) != now.rests_on.get(part):
                yield f"{part}, of {name}"
    elif (before.digest, _how(before)) != (now.digest, _how(now)):
        yield name


def _how(playbook: Playbook) -> bytes:
    """How it is called: which one, with which variables, where."""
    return _bytes(replace(playbook, digest="", rests_on={}))


def _playbooks(move: Move) -> list[tuple[str, Playbook]]:
    parts = [(_BOOKS.get(key, f"its {key}"), book) for key, book in move.plays.items()]
    return [*parts, *([("its hand-over", move.hand_over.playbook)] if move.hand_over is not None else [])]


def _without_playbooks(move: Move) -> Move:
    """The rest of it: where it leads, what it holds, how long it may take. Conditions are compared by themselves.

    How it is rehearsed is no part of how it is made.
    """
    apart: dict[str, Any] = dict.fromkeys((*move.plays, *move.asks))
    rest = replace(move, **{**apart, "playbook": WITHOUT, "verify": replace(move.verify, terms=()), "rehearse": None})
    if rest.hand_over is not None:
        rest = replace(rest, hand_over=replace(rest.hand_over, playbook=WITHOUT))
    return rest


def _fences(model: Model, service: Service, move: Move) -> Iterator[tuple[str, Fence]]:
    for place in _left(model, service, move):
        fence = model.places[place].fence
        if fence is not None:
            yield f"the fence of {model.places[place].name}", fence


def _left(model: Model, service: Service, move: Move) -> list[str]:
    """Places that the move may have to fence."""
    if move.to is None or not service.exclusive:
        return []
    return sorted(x.id for x in model.places.values() if x.client == service.client and x.id != move.to)


def _bytes(value: object) -> bytes:
    return dumps(encode(value))
