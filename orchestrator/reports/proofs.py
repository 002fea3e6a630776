"""What a proof rests on, and what has changed of it since: of a run that was verified, and the model in force then.

The one rule it keeps: a run proves what was in force when it began. What its move plays, what it asks, and how the
place left is fenced are compared with the model in force now; anything that differs makes the proof void.

Compared is what was read, except for playbooks: of those their digest, so that a comment in one voids its proofs too.
"""

from __future__ import annotations

from dataclasses import replace

from orchestrator.core.codec import dumps, encode
from orchestrator.core.model import Model, Move, Playbook, Service

Basis = dict[str, bytes]
"""By what it is called for people: the bytes of what a proof rests on."""


def basis(model: Model | None, service: str, move: str) -> Basis:
    """What a proof of this move for this service rests on, in this model. Empty: it is not in it."""
    of = model.services.get(service) if model is not None else None
    how = model.moves.get(move) if model is not None else None
    if model is None or of is None or how is None:
        return {}
    found = {f"the move {how.name}": _bytes(_without_playbooks(how))}
    for what, playbook in _playbooks(how):
        found[f"{what} {playbook.path}"] = _bytes(playbook)
    conditions = {
        f"what shows that {of.name} is well": of.healthy_when,
        f"what verifies {how.name}": how.verify,
        f"what {how.name} needs before it begins": how.viable_when,
        f"what shows that {how.name} is done": how.done_when,
    }
    checks = {how.data_age} if how.data_age else set()
    for what, condition in conditions.items():
        if condition is not None:
            found[what] = _bytes(condition)
            checks.update(condition.checks())
    for place in _left(model, of, how):
        fence = model.places[place].fence
        if fence is not None:
            found[f"the fence of {model.places[place].name}"] = _bytes(fence)
            checks.update(fence.proven_when.checks())
    for name in checks:
        if (check := model.checks.get(name)) is not None:
            found[f"the check {name.partition('/')[2]}"] = _bytes(replace(check, needed_by=()))
    return found


def changed(before: Basis, now: Basis) -> tuple[str, ...]:
    """What differs, by its name; nothing differs: the proof holds."""
    if not before:
        return ("what it rested on is not kept any more",)
    if not now:
        return ("the service, or the move, is not in the configuration any more",)
    return tuple(sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name)))


def _playbooks(move: Move) -> list[tuple[str, Playbook]]:
    parts = [("the playbook", move.playbook), ("its preparation", move.prepare), ("its finish", move.finish)]
    if move.hand_over is not None:
        parts.append(("its hand-over", move.hand_over.playbook))
    return [(what, playbook) for what, playbook in parts if playbook is not None]


def _without_playbooks(move: Move) -> Move:
    """The rest of it: where it leads, what it holds, how long it may take. Conditions are compared by themselves.

    How it is rehearsed is no part of how it is made.
    """
    rest = replace(move, playbook=Playbook("", ""), prepare=None, finish=None, viable_when=None, done_when=None)
    rest = replace(rest, rehearse=None)
    if rest.hand_over is not None:
        rest = replace(rest, hand_over=replace(rest.hand_over, playbook=Playbook("", "")))
    return replace(rest, verify=replace(move.verify, terms=()))


def _left(model: Model, service: Service, move: Move) -> list[str]:
    """Places that the move may have to fence."""
    if move.to is None or not service.exclusive:
        return []
    return sorted(x.id for x in model.places.values() if x.client == service.client and x.id != move.to)


def _bytes(value: object) -> bytes:
    return dumps(encode(value))
