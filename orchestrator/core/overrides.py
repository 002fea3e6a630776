"""What a named person may go against, and what nobody may.

The one rule it keeps: an override names one guard by its reason word, it stands in the record with the person and
their reason, and it puts aside that guard and no other. What protects from two places acting at once, or from two runs
on one thing, cannot be overridden: it is lifted by a proof, or by a named person's own statement.
"""

from __future__ import annotations

from orchestrator.core.reasons import Reason

OVERRIDABLE: dict[Reason, str] = {
    Reason.BLIND: "you know what this controller cannot see",
    Reason.TOO_MANY_FAILOVERS: "one more run at a time than the limit",
    Reason.IN_INCIDENT: "going back although the service is not recovered",
    Reason.NOT_VIABLE: "the move goes on although its preconditions do not hold",
    Reason.VIABILITY_UNKNOWN: "the move goes on although nothing answers for its preconditions",
    Reason.ALREADY_ENGAGED: "the same move once more",
    Reason.RPO_UNKNOWN: "data of an age that nobody measured",
    Reason.RPO_EXCEEDED: "the loss of what is newer than the data found",
}

# These stop automatic action only: a person's own word does not meet them, and may name them without harm.
AUTOMATIC_ONLY: frozenset[Reason] = frozenset(
    {
        Reason.NO_QUORUM,
        Reason.HEALTH_UNKNOWN,
        Reason.OBSERVE_ONLY,
        Reason.IN_MAINTENANCE,
        Reason.HELD,
        Reason.COOLING_DOWN,
        Reason.HOLD_DOWN,
        Reason.FLAPPING,
        Reason.MASS_FAILURE,
        Reason.DEPENDENCY_RECOVERING,
        Reason.SETTLING,
        Reason.COMPROMISE_SUSPECTED,
        Reason.APPROVAL_NEEDED,
        Reason.BUDGET_TOO_SMALL,
    }
)

_FENCE = "say --fence to fence the place, or --fenced PLACE to state that it cannot act"
NEVER: dict[Reason, str] = {
    Reason.FENCE_UNPROVEN: f"two places might act at once; {_FENCE}",
    Reason.FENCE_NOT_AUTOMATIC: f"two places might act at once; {_FENCE}",
    Reason.NO_FENCE: "two places might act at once; say --fenced PLACE to state that it cannot act",
    Reason.SEEN_ALIVE: f"two places might act at once; {_FENCE}",
    Reason.RESOURCE_BUSY: "two runs would work on one thing; wait for the other, or abort it: bascule abort RUN",
    Reason.ALREADY_THERE: "there is nowhere to go; name another move",
    Reason.WRONG_PLACE: "the move is written for another place; name another move",
    Reason.PLAN_CHANGED: "nobody has seen the new plan; look at it with --dry-run and say it again",
    Reason.STALE_EPOCH: "another controller has acted since; this one must not",
}


def known() -> str:
    """What may be overridden, for a message."""
    return ", ".join(sorted(reason.value for reason in OVERRIDABLE))


def guards_named(given: object) -> tuple[Reason, ...]:
    """The guards that a word's `override` names. Raises LookupError for one that there is not."""
    by_name = {r.value.casefold(): r for r in (*OVERRIDABLE, *AUTOMATIC_ONLY, *NEVER)}
    found = []
    for name in given if isinstance(given, list) else ():
        reason = by_name.get(str(name).replace("_", " ").replace("-", " ").casefold())
        if reason is None:
            raise LookupError(f"there is no guard {str(name)!r}; a named person may go against: {known()}")
        found.append(reason)
    return tuple(dict.fromkeys(found))
