"""Every key that an author can write stands in docs/configuration.md."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from orchestrator.config import journal_shapes, rehearsal_shapes, schedule_shapes, shapes

PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"
SHAPES = [
    s
    for module in (shapes, journal_shapes, rehearsal_shapes, schedule_shapes)
    for s in vars(module).values()
    if isinstance(s, type) and issubclass(s, shapes.Shape) and s is not shapes.Shape
]
KEYS = sorted({(s.__name__, f.alias or name) for s in SHAPES for name, f in s.model_fields.items()})


@pytest.mark.parametrize(("shape", "key"), KEYS)
def test_key_is_documented(shape: str, key: str) -> None:
    documented = set(re.findall(r"`([a-z_]+)`", PAGE.read_text()))
    assert key in documented, f"{key} (of {shape}) is not documented: give it a row in docs/configuration.md"


def test_every_shape_says_what_it_is() -> None:
    assert all(shape.__doc__ and shape.__doc__ != shapes.Shape.__doc__ for shape in SHAPES)
