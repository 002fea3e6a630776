"""What every shape is made of: the mapping itself, and texts, counts and durations in it.

The one rule it keeps: unknown keys are faults, and a number without a unit is no duration.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from orchestrator.core.durations import parse_duration


def _duration(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, str):
        raise ValueError(f"{value!r} is no duration: write a number with a unit, like 30s or 1h30m")
    return parse_duration(value)


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{value!r} is no text: write a text")
    return value


Duration = Annotated[
    float, BeforeValidator(_duration), WithJsonSchema({"type": "string", "examples": ["30s", "1h30m"]})
]
Text = Annotated[str, BeforeValidator(_text), WithJsonSchema({"type": "string"})]
Count = Annotated[int, Field(strict=True, ge=1)]


class Shape(BaseModel):
    """A mapping an author writes: unknown keys are faults, `REQUIRED` keys must be there."""

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)
    REQUIRED: ClassVar[tuple[str, ...]] = ()
