"""The raw result of a question, before it is judged; and what a judgement is.

The one rule it keeps: "the target said this", "it said nothing" and "nobody could ask" are three different things.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.core.events import Answer

Raw = Any  # Silence | Refusal | NotAsked | the kind's own reply


class Unanswerable(Exception):
    """The question could not be asked, and it is our own fault."""


class WayGone(Unanswerable):
    """This machine does not have the interface, or the address, that the question is to be asked from."""


class CannotInvent(Exception):
    """No reply could be thought up for this option; whoever invents replies reports the check as not modelled."""

    def __init__(self, kind: str, option: str, why: str) -> None:
        super().__init__(f"no reply of {kind} can be invented for its option {option}: {why}")
        self.kind = kind
        self.option = option


@dataclass(frozen=True, slots=True)
class Silence:
    """Asked, and nothing of the asked target came back in time."""

    why: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """The target answered, and the answer is no."""

    why: str


@dataclass(frozen=True, slots=True)
class NotAsked:
    """Our own fault: could not ask, crashed, was killed. `way_gone`: there is no interface or address to ask from."""

    why: str
    way_gone: bool = False

    @classmethod
    def of(cls, error: Unanswerable) -> NotAsked:
        """What an error says of the question."""
        return cls(str(error), isinstance(error, WayGone))


@dataclass(frozen=True, slots=True)
class Judged:
    """What a raw result means."""

    answer: Answer
    measures: Mapping[str, float] = field(default_factory=dict)
    detail: str = ""
    way_gone: bool = False
