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


def sections_of(kind: str) -> str:
    """The sections of the page whose heading names this kind."""
    sections = re.split(r"^#+ ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return "\n".join(section for section in sections if f"`{kind}`" in section.partition("\n")[0])


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_kind_is_documented(kind: str) -> None:
    assert sections_of(kind), f"docs/probes.md says nothing of {kind}: give it a section"


@pytest.mark.parametrize(("kind", "option"), OPTIONS)
def test_option_is_documented(kind: str, option: str) -> None:
    assert re.search(rf"`{option}[`:]", sections_of(kind)), (
        f"{option} of {kind} is not documented: add it to the section of {kind} in docs/probes.md"
    )
