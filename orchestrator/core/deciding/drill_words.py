"""What operators say of drills: that one is to begin now, and that one is to go back.

The one rule it keeps: a person's word meets every guard of a drill. None of them is put aside by it.
"""

from __future__ import annotations

from orchestrator.core.deciding import drilling
from orchestrator.core.deciding.replies import Consent, Refusal, no_such_service
from orchestrator.core.durations import show_duration
from orchestrator.core.events import WordSpoken
from orchestrator.core.model import DrillKind, Json, Model, Move, Service
from orchestrator.core.reasons import Reason
from orchestrator.core.rules.drilling import objection
from orchestrator.core.transaction import Transaction

LONGEST_S = 86400.0  # that it may stay, or may take until it is back


def begin(tx: Transaction, word: WordSpoken) -> Refusal | Consent:
    """`bascule drill run`: of the move that is named, else of the first tier."""
    service = tx.model.services.get(word.subject)
    if service is None:
        return no_such_service(tx, word)
    move = wanted(tx.model, service, word)
    if move is None and service.ladder:
        known = ", ".join(tier.move.rpartition("/")[2] for tier in service.ladder)
        named = str(word.options.get("move"))
        return Refusal(Reason.NO_SUCH_MOVE, f"{service.id} has no tier {named!r} to drill; it has {known}")
    if move is None:
        return Refusal(Reason.NO_SUCH_MOVE, f"{service.id} has no tier to drill: it has no ladder")
    try:
        kind = DrillKind(str(word.options.get("kind") or DrillKind.FUNCTIONAL.value))
        stays_s = _seconds(word.options.get("stays_s"), "stay", drilling.STAYS_S)
        within_s = _seconds(word.options.get("within_s"), "return within", drilling.WITHIN_S)
    except ValueError as wrong:
        return Refusal(Reason.INCOMPLETE, str(wrong))
    against = objection(tx, service, move, kind, by_hand=True, fence=bool(word.options.get("fence")))
    if against is not None:
        return Refusal(*against)
    drill = drilling.begin(
        tx,
        service,
        move.id,
        kind,
        reason=Reason.ASKED_BY_OPERATOR,
        stays_s=stays_s,
        within_s=within_s,
        who=word.who,
        why=word.why,
        word=word.id,
    )
    began = drill.began
    back = f", back by {began.back} after {show_duration(began.stays_s)}" if began.back else ""
    return Consent(Reason.ASKED_BY_OPERATOR, f"{drill.id}: {kind.value}, {move.id}{back}", drill.runs[0])


def wanted(model: Model, service: Service, word: WordSpoken) -> Move | None:
    """The tier's move that a word about a drill names, else the first of the ladder; None: there is no such tier."""
    ladder = [tier.move for tier in service.ladder]
    named = str(word.options.get("move") or next(iter(ladder), ""))
    move_id = named if "/" in named else f"{service.client}/{named}"
    return model.moves[move_id] if move_id in ladder else None


def _seconds(given: Json, what: str, default: float) -> float:
    """Raises ValueError for what is no sensible length of time."""
    if given is None:
        return default
    if isinstance(given, bool) or not isinstance(given, int | float) or not 0 <= given <= LONGEST_S:
        raise ValueError(f"{what}: {given!r} is no length of time of at most a day")
    return float(given)


def cancel(tx: Transaction, word: WordSpoken) -> Refusal | Consent:
    """`bascule drill cancel`: it cleans up, or goes back, and ends."""
    drill = tx.decided.drills.get(word.subject)
    if drill is None:
        return Refusal(
            Reason.NO_SUCH_DRILL, f"no drill {word.subject!r}; `bascule drill list` shows those that there are"
        )
    if drill.ended is not None:
        return Refusal(Reason.ALREADY_ENDED, f"{drill.id} ended: {drill.ended.reason.value}")
    if drill.turned_back is not None:
        why = drill.turned_back.reason.value
        return Consent(Reason.NOT_NEEDED, f"nothing new: {drill.id} {drilling.follows(tx, drill)} ({why})")
    drilling.cancel(tx, drill, Reason.ABORTED, f"by {word.who}: {word.why or 'no reason given'}")
    return Consent(Reason.ABORTED, f"{drill.id} {drilling.follows(tx, drill)}")
