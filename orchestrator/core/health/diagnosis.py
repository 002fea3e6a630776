"""What many checks together say: three-valued conditions over verdicts, or over fresh answers.

The one rule it keeps: unknown propagates, and degraded is usable. `all` with one down is down whatever the others say.
`all` with an unknown is never up.
"""

from __future__ import annotations

from collections.abc import Callable

from orchestrator.core.model import Combine, Condition
from orchestrator.core.records import Verdict

Ask = Callable[[str], Verdict]
USABLE = (Verdict.UP, Verdict.DEGRADED)

_UP, _DOWN, _UNKNOWN = Verdict.UP, Verdict.DOWN, Verdict.UNKNOWN  # named once: a member is slow to look up in 3.11
_ALL, _ANY = Combine.ALL, Combine.ANY


def evaluate(condition: Condition, ask: Ask) -> Verdict:
    """The condition's verdict, asking `ask` for each check's."""
    up = usable = unknown = 0
    for term in condition.terms:
        verdict = evaluate(term, ask) if isinstance(term, Condition) else ask(term)
        if verdict is _UNKNOWN:
            unknown += 1
        elif verdict is not _DOWN:
            usable += 1
            up += verdict is _UP
    combine = condition.combine
    need = len(condition.terms) if combine is _ALL else 1 if combine is _ANY else condition.need
    if usable >= need:
        return _UP if up == usable else Verdict.DEGRADED
    return _UNKNOWN if usable + unknown >= need else _DOWN


def so_since(condition: Condition, of: Callable[[str], float | None]) -> float | None:
    """Since when as many of its terms are not up as it takes: of `any`, the last one. `of`: since when a check is."""
    found = [so_since(t, of) if isinstance(t, Condition) else of(t) for t in condition.terms]
    known, terms = sorted(at for at in found if at is not None), len(condition.terms)
    need = terms if condition.combine is _ALL else 1 if condition.combine is _ANY else condition.need
    return known[min(terms - need, len(known) - 1)] if known else None


def blamed(condition: Condition, ask: Ask, verdict: Verdict) -> list[str]:
    """The checks behind a down or unknown verdict, in the author's order, each once."""
    return [c for c in dict.fromkeys(condition.checks()) if ask(c) is verdict]
