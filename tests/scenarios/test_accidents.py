"""Accidents that others have had, played against bascule: one file each, with what came of it, word for word.

The one rule it keeps: a transcript changes only when every changed line can be explained. To write them again:

    BASCULE_WRITE_GOLDEN=1 pytest tests/scenarios && git diff tests/scenarios

One half of one accident has no transcript: that an edited plan makes an earlier proof void (azure-powershell#12837).
Proofs are no part of a story; `tests/config/test_resting_on.py` shows it.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import pytest

from orchestrator.config import load
from orchestrator.shell.wiring import option_models
from orchestrator.sim.campaign import Campaign, Plan
from orchestrator.sim.narration import tell, that_matter, wrapped
from orchestrator.sim.scripts import CUT_HERE, Script, parse
from orchestrator.sim.simulation import Result, quiet

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
FILES = sorted(HERE.glob("*.txt"))
WIDTH = 118
WRITE = bool(os.environ.get("BASCULE_WRITE_GOLDEN"))


@cache
def campaign(workspace: str) -> Campaign:
    """`lab` is this repository's own; the others are below tests/workspaces."""
    quiet()
    at = ROOT if workspace == "lab" else ROOT / "tests" / "workspaces" / workspace
    assert at.is_dir(), f"there is no workspace {workspace!r}: lab, or a directory below tests/workspaces"
    loaded = load(at, probe_kinds=option_models(), clients=("lab",) if workspace == "lab" else None)
    return Campaign(Plan(loaded.model))


@cache
def scenario(file: Path) -> tuple[Script, Result]:
    text = file.read_text(encoding="utf-8")
    known = campaign(parse(text, file.name).workspace)
    script = parse(text, file.name, known.names)
    return script, known.simulation(script.seed, script.faults).play(script.length_s, script.calm_s)


def told(file: Path) -> str:
    script, result = scenario(file)
    lines = tell(result, checks=that_matter(campaign(script.workspace).plan.model))
    return "".join(f"{line}\n" for line in wrapped(lines, WIDTH))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_it_is_told_word_for_word(file: Path) -> None:
    script, _ = scenario(file)
    now = told(file)
    if WRITE:
        file.write_text(
            f"{script.head.rstrip().removesuffix(CUT_HERE).rstrip()}\n\n{CUT_HERE}\n{now}", encoding="utf-8"
        )
        return
    assert now == script.told, f"{file.name} goes another way now; if every changed line can be explained: {__doc__}"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_guard_speaks(file: Path) -> None:
    """Each file names the reason words that it is there for."""
    script, result = scenario(file)
    assert script.expect, f"{file.name} expects no reason: write `expect: REASON` into its head"
    seen = {getattr(x, "reason", None) for entry in result.entries for x in entry.records}
    text = told(file)  # an evidence may name a guard as well: why a person is asked
    for reason in script.expect:
        assert reason in seen or f" {reason}: " in text, f"{file.name}: nothing was decided for the reason {reason!r}"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_nothing_happens_that_must_never_happen(file: Path) -> None:
    assert [str(v) for v in scenario(file)[1].violations] == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_its_head_says_where_it_was_seen_and_what_guards(file: Path) -> None:
    head = scenario(file)[0].head
    for word in ("# Seen: ", "# Guard: "):
        assert word in head, f"{file.name}: a line `{word} …` belongs into its head"
