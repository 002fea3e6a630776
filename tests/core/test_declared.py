"""What a move declares is found by its type: who compiles, shows, hides or compares it forgets no key of it."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from orchestrator.config.shapes import WHOLE_MOVE
from orchestrator.core.kinds import BESIDE, WAITED_FOR
from orchestrator.core.model import Condition, Model, Move, Playbook
from orchestrator.reports.papers.model_parts import part_of
from orchestrator.reports.proofs import basis, changed
from orchestrator.reports.stories import relevant_checks
from tests.core.world import acme, all_of, check

GEO, ERP = "acme/geo-site", "acme/erp"
CONDITIONS = [f.name for f in fields(Move) if str(f.type).startswith(Condition.__name__)]
PLAYBOOKS = [f.name for f in fields(Move) if str(f.type).startswith(Playbook.__name__)]


def with_move(**changes: Any) -> Model:
    """The lab in small, in which the move to geo declares this, and one more check is asked."""
    model = acme()
    move = replace(model.moves[GEO], **changes)
    return replace(model, checks={**model.checks, "acme/new": check("new")}, moves={**model.moves, GEO: move})


def test_what_it_plays_and_asks_is_all_that_is_of_these_types() -> None:
    move = acme().moves["acme/return-hq"]
    values = {f.name: getattr(move, f.name) for f in fields(Move)}
    assert move.plays == {key: x for key, x in values.items() if isinstance(x, Playbook)}
    assert move.asks == {key: x for key, x in values.items() if isinstance(x, Condition)}
    assert list(move.plays) == ["playbook", "prepare", "finish"]
    assert list(move.asks) == ["verify", "viable_when"]


@pytest.mark.parametrize("key", CONDITIONS)
def test_what_it_asks_is_told_in_reports_and_is_part_of_its_proofs(key: str) -> None:
    before, model = with_move(), with_move(**{key: all_of("new")})
    assert "acme/new" in relevant_checks(model, model.services[ERP])
    assert "the check new" in changed(basis(before, ERP, GEO), basis(model, ERP, GEO))


@pytest.mark.parametrize("key", PLAYBOOKS)
def test_what_is_handed_to_its_playbooks_is_in_no_report(key: str) -> None:
    model = with_move(**{key: Playbook("new.yml", "1", {"pin": "4711"})})
    found = part_of(model, (ERP,), "acme")
    assert getattr(found.moves[GEO], key) == Playbook("new.yml", "1")


@pytest.mark.parametrize("key", [*BESIDE, *WAITED_FOR])
def test_what_a_kind_of_step_has_declared_is_a_key_and_a_field(key: str) -> None:
    within = [WAITED_FOR[key]] if key in WAITED_FOR else []
    assert {key, *within} <= set(WHOLE_MOVE.model_fields)
    assert {key, *(f"{x}_s" for x in within)} <= {f.name for f in fields(Move)}
