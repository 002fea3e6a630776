"""The judge of statements 12 and 13 hears whatever goes on by itself, and not only where it is planned."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, nullcontext

from orchestrator.core import records as r
from orchestrator.core.events import WordKind
from orchestrator.core.reasons import Reason
from orchestrator.sim.brakes import AT_ONCE, MASS
from orchestrator.sim.faults import Fault, FaultKind
from orchestrator.sim.simulation import Result, quiet
from tests.mutants.brakes import BRAKES
from tests.mutants.hunt import Worlds, _without_invariants
from tests.mutants.mutant import Mutant

WAITING = [
    Fault(10.0, FaultKind.WORD, "quay", word=WordKind.SUSPECT.value),
    *(Fault(20.0, FaultKind.CRASH, f"quay/{name}") for name in ("mill", "lamp")),
    Fault(40.0, FaultKind.PLAYBOOK_HANGS, "quay/bell-restart", 100.0),
    Fault(50.0, FaultKind.WORD, "quay/bell", word=WordKind.FAILOVER.value),
    Fault(60.0, FaultKind.WORD, "quay", word=WordKind.CLEAR.value),
]
"""Two recoveries ask a person, since a compromise is suspected; then that is over. One is at work, and two may be."""

OTHERS = ("mill", "lamp", "kiln", "desk", "bell")
BACK_AGAIN = [
    Fault(10.0, FaultKind.CUT, "isp-a", 30.0),
    *(Fault(70.0, FaultKind.PLAYBOOK_FAILS, f"quay/{m}", None) for m in ("mill-slow", "mill-quick", "lamp-restart")),
    *(Fault(70.0, FaultKind.PLAYBOOK_FAILS, f"quay/{m}", None) for m in ("kiln-mend", "desk-restart")),
    *(Fault(75.0, FaultKind.CRASH, f"quay/{name}") for name in OTHERS),
]
"""The line takes its detour, and is well when it may go back; but all else is down by then, and stays so."""


def played(faults: Sequence[Fault], until: float, mutant: Mutant | None = None) -> Result:
    """These faults in the estuary, with the core's own invariants switched off."""
    quiet()
    with ExitStack() as stack:
        _without_invariants(stack)
        stack.enter_context(mutant.out() if mutant is not None else nullcontext())
        return Worlds().campaign("estuary").simulation(1, tuple(faults)).play(until, 60.0)


def named(name: str) -> Mutant:
    return next(x for x in BRAKES if x.name == name)


def test_what_waited_and_goes_on_by_itself_is_judged_then() -> None:
    plain = played(WAITING, 200.0)
    assert not plain.violations
    records = [x for entry in plain.entries for x in entry.records if isinstance(x, r.StepFinished)]
    assert len([x for x in records if x.reason is Reason.NOT_NEEDED and x.step == "approval"]) == 2
    broken = played(WAITING, 200.0, named("together"))
    assert {(x.statement, x.rule) for x in broken.violations} == {(13, AT_ONCE)}
    assert {x.evidence.partition("/")[2].partition(":")[0] for x in broken.violations} == {"approval"}


def test_a_way_back_by_itself_in_a_mass_failure_is_judged_too() -> None:
    plain = played(BACK_AGAIN, 260.0)
    assert not plain.violations
    moves = [x.move for entry in plain.entries for x in entry.records if isinstance(x, r.RunStarted)]
    assert moves[0] == "quay/detour"
    assert "quay/detour-back" not in moves
    broken = played(BACK_AGAIN, 260.0, named("mass failure, well"))
    assert {(x.statement, x.rule) for x in broken.violations} == {(13, MASS)}
