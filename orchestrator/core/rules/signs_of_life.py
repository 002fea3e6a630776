"""What of a place answers a moment ago, and of what nothing is known.

The one rule it keeps: an answer counts while it is fresh, and silence only where the vantage sees.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from orchestrator.core.events import Answer
from orchestrator.core.transaction import Transaction


@dataclass(slots=True)
class Signs:
    """Signs of life of a place: hosts, or checks without one, and how long ago each answered.

    `asked`: how many checks there are; `unknown`: of how many nothing is known: not asked yet or not any more, or
    silent to a vantage that is blind.
    """

    well: dict[str, float] = field(default_factory=dict)
    badly: dict[str, float] = field(default_factory=dict)
    asked: int = 0
    unknown: int = 0


def alive(tx: Transaction, place_id: str) -> Signs:
    """What of this place answers; what proves or tells that it is out is no sign of life."""
    found = Signs()
    place = tx.model.places.get(place_id)
    if place is None:
        return found
    domains = place.domains | {place.id}
    fence = place.fence
    about = [*fence.proven_when.checks(), *(fence.dark_when.checks() if fence.dark_when else ())] if fence else []
    for check in tx.model.checks.values():
        if check.client != place.client or not domains & check.domains or check.id in about or check.reference:
            continue
        found.asked += 1
        row = tx.rows().get(check.id)
        if row is None or row.last_answer is Answer.NONE or tx.now() - row.last_sent_at > check.stale_after_s:
            found.unknown += 1
        elif row.last_answer is Answer.SILENT:
            found.unknown += tx.blind(check.vantage)
        else:
            answers = found.well if row.last_answer is Answer.GOOD else found.badly
            name = f"{check.client}/{check.host}" if check.host else check.id
            ago_s = max(0.0, tx.now() - row.last_sent_at)
            answers[name] = min(ago_s, answers.get(name, ago_s))
    return found
