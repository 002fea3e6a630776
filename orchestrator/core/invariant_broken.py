"""The exception of an invariant.

The one rule it keeps: it names the statement, the rule and what was about to break it.
"""

from __future__ import annotations


class InvariantBroken(Exception):
    """bascule was about to do what it must never do; nothing of this step is carried out."""

    def __init__(self, number: int, rule: str, evidence: str) -> None:
        super().__init__(f"statement {number}: {rule}: {evidence}")
        self.number = number
