"""The shortest script that still shows a violation: of ten faults the guilty one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from orchestrator.sim.faults import Fault, FaultKind
from orchestrator.sim.shrink import shrink
from orchestrator.sim.simulation import WARM_UP_S, Result
from orchestrator.sim.violation import Violation

EMPTY = Result("s", (), 0.0, 0, [], [], [], [], (), b"", {})
BROKEN = 16


def plays_that_break(*guilty: Fault) -> tuple[list[int], object]:
    """A player under which statement 16 breaks whenever all of the guilty happen; and how many faults each try had."""
    tries: list[int] = []

    def play(faults: Sequence[Fault], length_s: float, calm_s: float) -> Result:
        tries.append(len(faults))
        kinds = [(f.kind, f.subject) for f in faults if f.at <= length_s]
        found = [Violation(BROKEN, "one place", "two", WARM_UP_S + guilty[-1].at + 1.0)]
        broken = all((g.kind, g.subject) in kinds for g in guilty)
        return replace(EMPTY, faults=tuple(faults), violations=found if broken else [], virtual_s=length_s + calm_s)

    return tries, play


TEN = [Fault(10.0 * n, FaultKind.CUT, f"lab/isp-{n}", 60.0) for n in range(10)]


def test_the_guilty_one_of_ten_is_found_and_made_short() -> None:
    tries, play = plays_that_break(TEN[6])
    found = shrink(play, TEN, BROKEN, 900.0, 1200.0)  # type: ignore[arg-type]
    assert [f.subject for f in found.faults] == ["lab/isp-6"]
    assert found.faults[0].for_s == 30.0
    assert found.virtual_s < 100.0
    assert len(tries) < 80


def test_two_that_are_guilty_together_both_stay() -> None:
    _, play = plays_that_break(TEN[2], TEN[8])
    found = shrink(play, TEN, BROKEN, 900.0, 1200.0)  # type: ignore[arg-type]
    assert [f.subject for f in found.faults] == ["lab/isp-2", "lab/isp-8"]
    assert found.violations[0].statement == BROKEN


def test_what_it_gives_back_was_played_and_broke_the_same_statement() -> None:
    played: list[tuple[Fault, ...]] = []
    _, inner = plays_that_break(TEN[0])

    def play(faults: Sequence[Fault], length_s: float, calm_s: float) -> Result:
        played.append(tuple(faults))
        return inner(faults, length_s, calm_s)  # type: ignore[operator, no-any-return]

    found = shrink(play, TEN, BROKEN, 900.0, 1200.0)
    assert found.faults in played


def test_a_script_that_breaks_nothing_cannot_be_shortened() -> None:
    _, play = plays_that_break(Fault(0.0, FaultKind.POWER, "lab/hq"))
    with pytest.raises(ValueError, match="does not break statement 16"):
        shrink(play, TEN, BROKEN, 900.0, 1200.0)  # type: ignore[arg-type]
