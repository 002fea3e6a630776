"""Every kind of probe, and every option of each, stands in docs/probes.md."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from orchestrator.probes.kinds import KINDS

PAGE = Path(__file__).parents[2] / "docs" / "probes.md"
OPTIONS = sorted(
    {(kind, f.alias or name) for kind, row in KINDS.items() for name, f in row.options.model_fields.items()}
)


def rows_of(kind: str) -> str:
    """The rows of the page's tables whose first cell names this kind."""
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    return "\n".join(row for row in rows if f"`{kind}`" in row.split("|")[1])


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_kind_is_documented(kind: str) -> None:
    assert rows_of(kind), f"docs/probes.md says nothing of {kind}: give it rows in its tables"


@pytest.mark.parametrize(("kind", "option"), OPTIONS)
def test_option_is_documented(kind: str, option: str) -> None:
    assert re.search(rf"`{option}[`:]", rows_of(kind)), (
        f"{option} of {kind} is not documented: add it to the row of {kind} in docs/probes.md"
    )
