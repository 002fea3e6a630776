"""What many checks together say: three-valued conditions over verdicts, or over fresh answers.

The one rule it keeps: unknown propagates, and degraded is usable. `all` with one down is down whatever the others
say; `all` with an unknown is never up.
"""

from __future__ import annotations

from collections.abc import Callable

from orchestrator.core.model import Combine, Condition
from orchestrator.core.records import Verdict

Ask = Callable[[str], Verdict]
USABLE = (Verdict.UP, Verdict.DEGRADED)


def evaluate(condition: Condition, ask: Ask) -> Verdict:
    """The condition's verdict, asking `ask` for each check's."""
    verdicts = [evaluate(t, ask) if isinstance(t, Condition) else ask(t) for t in condition.terms]
    usable = sum(1 for v in verdicts if v in USABLE)
    unknown = sum(1 for v in verdicts if v is Verdict.UNKNOWN)
    need = {Combine.ALL: len(verdicts), Combine.ANY: 1, Combine.QUORUM: condition.need}[condition.combine]
    if usable >= need:
        return Verdict.UP if all(v is Verdict.UP for v in verdicts if v in USABLE) else Verdict.DEGRADED
    return Verdict.UNKNOWN if usable + unknown >= need else Verdict.DOWN


def blamed(condition: Condition, ask: Ask, verdict: Verdict) -> list[str]:
    """The checks behind a down or unknown verdict, in the author's order, each once."""
    return [c for c in dict.fromkeys(condition.checks()) if ask(c) is verdict]
