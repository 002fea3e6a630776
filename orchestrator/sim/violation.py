"""A statement that did not hold, as it is told: the statement's number, the rule and what was seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

BESIDE = 0  # none of the statements: a defect of the engine, or a rule of order beside them


@dataclass(frozen=True, slots=True)
class Violation:
    """`statement`: its number in `docs/architecture.md`, or `BESIDE`. `at`: the journal's axis."""

    statement: int
    rule: str
    evidence: str
    at: float

    def __str__(self) -> str:
        return f"statement {self.statement}: {self.rule}: {self.evidence} (at {self.at:.1f} s)"


Report = Callable[[int, str, str], None]
