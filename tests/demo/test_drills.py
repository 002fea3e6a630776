"""What the demo of drills says of one: it goes by the journal's end of it, and by the end user's losses."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.demo.drills import SCENES, Drilled, _conclude
from orchestrator.lab.account import Act, account
from orchestrator.reports.drills import DrillTold

TOLD = DrillTold(
    "d1", "functional", "lab/erp", "lab/geo-site", 0.0, 1.0, True, "conditions met", "all as it was", None, "over",
    "Alice", "", "", ("r1",), (),
)  # fmt: skip


def _user(existing: frozenset[str] | None) -> Drilled:
    user = account([], [Act("a", 0.0, 1.0)], [existing], [])[0]
    return Drilled(SCENES[0], TOLD, user)


@pytest.mark.parametrize(
    ("scene", "ok", "failure"),
    [(0, True, ""), (0, False, "ended badly"), (2, False, ""), (2, True, "ended well")],
)
def test_a_drill_that_ends_otherwise_than_expected_fails_the_demo(scene: int, ok: bool, failure: str) -> None:
    one = replace(_user(frozenset()), scene=SCENES[scene], told=replace(TOLD, ok=ok))
    found = _conclude(one)
    assert found.startswith(failure) if failure else not found


def test_a_loss_that_was_not_measured_is_no_success() -> None:
    assert _conclude(_user(None)) == "loss not measured"


def test_a_drill_that_did_not_begin_is_none() -> None:
    assert _conclude(Drilled(SCENES[0])) == "it did not begin"
