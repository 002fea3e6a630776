"""What a word can be answered: consent or refusal, each with its reason and its evidence.

The one rule it keeps: a refusal names the rule that refused, and what there is instead.
"""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.core.events import WordSpoken
from orchestrator.core.reasons import Reason
from orchestrator.core.rules import standing_words
from orchestrator.core.transaction import Transaction


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why not."""

    reason: Reason
    evidence: str


@dataclass(frozen=True, slots=True)
class Consent:
    """Done, or begun."""

    reason: Reason
    evidence: str
    run: str | None = None
    ends_at: float | None = None


def no_such_service(tx: Transaction, word: WordSpoken) -> Refusal:
    """The services that there are, of the subject's own client first."""
    known = sorted(tx.model.services)
    own = standing_words.with_its_client(word.subject, known)  # or nobody's, if it is misspelt
    return Refusal(
        Reason.NO_SUCH_SERVICE, f"no service {word.subject!r}; there are {', '.join(own or known) or 'none'}"
    )
