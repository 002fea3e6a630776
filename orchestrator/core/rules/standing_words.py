"""What stands by a person's word, which of it a word can end, and what goes on all the same after that.

The one rule it keeps: nothing is said to have ended that had not begun. Whoever ends something is told what still
holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from orchestrator.core.events import WordKind, WordSpoken
from orchestrator.core.records import Verdict
from orchestrator.core.state.decided import EVERYTHING, covers, isolated_places
from orchestrator.core.transaction import Transaction

_ENDS: dict[WordKind, Callable[[Transaction], list[str]]] = {
    WordKind.MAINTENANCE_END: lambda tx: [name for name, at in tx.decided.maintenance.items() if tx.now() < at],
    WordKind.CLEAR: lambda tx: list(tx.decided.suspected),
}
"""What the words that end something can end."""


def stands_by(tx: Transaction, word: WordSpoken) -> bool:
    """Whether this word ends what was said of its subject, which may be no service or client any more."""
    if word.kind is WordKind.RESUME:
        return word.subject in tx.decided.holds
    return word.kind in _ENDS and word.subject in _ENDS[word.kind](tx)


def still_stands(tx: Transaction, word: WordSpoken) -> str:
    """What goes on to cover the same when a hold, a window or a suspicion of it ends."""
    if word.kind is WordKind.RESUME:
        others = {name: f"{name} is held by {hold.who}" for name, hold in tx.decided.holds.items()}
    elif word.kind is WordKind.MAINTENANCE_END:
        others = {name: f"{name} is in maintenance" for name in _ENDS[word.kind](tx)}
    elif word.kind is WordKind.CLEAR:
        others = {name: f"{name} is suspected by {said.who}" for name, said in tx.decided.suspected.items()}
    else:
        return ""
    covered = [x for x in tx.model.services if covers(word.subject, x)]
    return "".join(
        f"; still: {told}"
        for name, told in others.items()
        if name != word.subject and any(covers(name.partition("#")[0], x) for x in covered)
    )


def nothing_to_end(tx: Transaction, word: WordSpoken) -> str | None:
    """Why this word ends nothing; None where it ends something, or is no word that ends."""
    if word.kind not in _ENDS or word.subject in (known := _ENDS[word.kind](tx)):
        return None
    state = "in maintenance" if word.kind is WordKind.MAINTENANCE_END else "suspected"
    others = ", ".join(with_its_client(word.subject, known))
    return f"{word.subject} is not {state} by that name; {state}: {others or 'nothing'}"


def with_its_client(subject: str, names: Iterable[str]) -> list[str]:
    """Of these (services, clients, or `*`) those that are of the subject's client: the others are not for its people.

    A word about everything is told of all; reports, which are a client's, leave out what it was answered.
    """
    client = subject.partition("/")[0]
    return [x for x in names if EVERYTHING in (client, x) or x.partition("/")[0].partition("#")[0] == client]


def goes_on(tx: Transaction, subject: str) -> str:
    """What a hold or a maintenance does not stop: runs that have begun to change things."""
    runs = [x for x in tx.decided.unfinished_runs() if covers(subject, x.started.service) and x.committed]
    return "".join(f"; {x.id} goes on, to stop it: bascule abort {x.id}" for x in runs)


def still_isolated(tx: Transaction, subject: str) -> str:
    """What was cut off for this suspicion, and is only opened by hand; that it still is where its checks say so."""
    places = {
        place: run_id
        for service in tx.model.services
        if covers(subject, service)
        for place, run_id in isolated_places(tx.decided, service).items()
    }
    shown, told = {place for place in places if _is_cut_off(tx, place)}, ""
    for what, those in (
        ("still isolated", shown),
        ("isolated, and nothing shows whether it still is", places.keys() - shown),
    ):
        listed = ", ".join(f"{place} (by {places[place]})" for place in sorted(those))
        told += f"; {what}, to be opened by hand: {listed}" if listed else ""
    return told


def _is_cut_off(tx: Transaction, place: str) -> bool:
    found = tx.model.places.get(place)
    proof = found.isolate.proven_when if found is not None and found.isolate is not None else None
    return proof is not None and tx.says(proof) is Verdict.UP
