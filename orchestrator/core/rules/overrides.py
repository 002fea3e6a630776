"""What a named person may go against, and what nobody may.

The one rule it keeps: an override names one guard by its reason word. It stands in the record with the person and their
reason, and puts aside that guard and no other. A guard against two places acting at once, or two runs on one thing,
cannot be overridden: a proof lifts it, or a named person's own statement.
"""

from __future__ import annotations

from orchestrator.core.reasons import Against, Reason

OVERRIDABLE = tuple(reason for reason in Reason if reason.against is Against.PERSON)
AUTOMATIC_ONLY = tuple(reason for reason in Reason if reason.against is Against.AUTOMATIC_ONLY)
NEVER = tuple(reason for reason in Reason if reason.against is Against.NOBODY)


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
