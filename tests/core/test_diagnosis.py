"""Three-valued conditions: unknown propagates, degraded is usable, and who is to blame."""

from __future__ import annotations

import itertools

import pytest

from orchestrator.core.health.diagnosis import blamed, evaluate
from orchestrator.core.model import Combine, Condition
from orchestrator.core.records import Verdict

LETTERS = {"u": Verdict.UP, "g": Verdict.DEGRADED, "d": Verdict.DOWN, "?": Verdict.UNKNOWN}


def asked(combine: Combine, verdicts: str, need: int = 0) -> Verdict:
    """The condition over one check a letter: up, deGraded, down, ?."""
    names = [str(n) for n in range(len(verdicts))]
    return evaluate(Condition(combine, tuple(names), need), lambda name: LETTERS[verdicts[int(name)]])


@pytest.mark.parametrize(
    ("combine", "need", "verdicts", "verdict"),
    [
        (Combine.ALL, 0, "uu", "up"),
        (Combine.ALL, 0, "ug", "degraded"),
        (Combine.ALL, 0, "u?", "unknown"),
        (Combine.ALL, 0, "d?", "down"),  # whatever the other says
        (Combine.ANY, 0, "ud", "up"),
        (Combine.ANY, 0, "gd", "degraded"),
        (Combine.ANY, 0, "d?", "unknown"),
        (Combine.ANY, 0, "dd", "down"),
        (Combine.QUORUM, 2, "uud", "up"),
        (Combine.QUORUM, 2, "u?d", "unknown"),
        (Combine.QUORUM, 2, "udd", "down"),
        (Combine.QUORUM, 2, "?dd", "down"),  # one vantage alone never decides
        (Combine.QUORUM, 2, "ugd", "degraded"),
    ],
)
def test_conditions(combine: Combine, need: int, verdicts: str, verdict: str) -> None:
    assert asked(combine, verdicts, need) == verdict


def test_conditions_nest_and_blame_each_check_once_in_the_authors_order() -> None:
    inner = Condition(Combine.ANY, ("b", "c"))
    outer = Condition(Combine.ALL, ("b", inner, "a"))
    down = {"a": Verdict.UP, "b": Verdict.DOWN, "c": Verdict.DOWN}
    assert evaluate(outer, down.__getitem__) is Verdict.DOWN
    assert blamed(outer, down.__getitem__, Verdict.DOWN) == ["b", "c"]


def counted(combine: Combine, verdicts: str, need: int) -> str:
    """The same by counting letters: what is usable for certain, and what may be."""
    need = {Combine.ALL: len(verdicts), Combine.ANY: 1, Combine.QUORUM: need}[combine]
    usable = verdicts.count("u") + verdicts.count("g")
    if usable >= need:
        return "degraded" if "g" in verdicts else "up"
    return "unknown" if usable + verdicts.count("?") >= need else "down"


def test_the_checks_of_a_condition_can_be_gone_through_twice() -> None:
    """Whoever kept an iterator found nothing the second time, and judged by that."""
    checks = Condition(Combine.ALL, ("a", Condition(Combine.ANY, ("b", "c")))).checks()
    assert [*checks] == [*checks] == ["a", "b", "c"]


@pytest.mark.parametrize("combine", list(Combine))
def test_every_condition_over_up_to_four_checks_is_what_counting_says(combine: Combine) -> None:
    for many in range(1, 5):
        for letters in itertools.product("ug?d", repeat=many):
            for need in range(1, many + 1):
                verdicts = "".join(letters)
                assert asked(combine, verdicts, need).value == counted(combine, verdicts, need), (verdicts, need)
