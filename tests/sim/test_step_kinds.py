"""The simulator's own table of playbook steps: complete, and of what moves declare."""

from __future__ import annotations

from dataclasses import fields

from orchestrator.core.kinds import BESIDE, TRAITS
from orchestrator.core.model import Move
from orchestrator.sim.step_kinds import DESTROYS, OF_MOVES, PLAYED


def test_every_kind_that_is_played_has_a_row() -> None:
    """Else the simulator would play it anywhere, and judge nothing of it."""
    assert set(PLAYED) == {kind for kind, row in TRAITS.items() if row.played}


def test_what_moves_declare_is_in_it() -> None:
    assert set(OF_MOVES) == {"playbook", *BESIDE}
    assert set(OF_MOVES) <= {f.name for f in fields(Move)}


def test_it_agrees_with_the_rows_on_what_destroys() -> None:
    """A second opinion: written apart, and compared here alone."""
    assert set(DESTROYS) == {kind for kind, row in TRAITS.items() if row.destroys}
