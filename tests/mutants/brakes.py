"""The brakes where nothing is planned any more: what waited for a person goes on, what is well goes back.

The one rule it keeps: a brake is left as it is where a run of an incident is decided upon.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from orchestrator.core.events import WordKind
from orchestrator.core.model import Service
from orchestrator.core.rules import policy
from orchestrator.core.rules.policy import Finding, Guard
from orchestrator.core.transaction import Transaction
from orchestrator.sim.faults import Fault, FaultKind
from tests.mutants.mutant import DOWN, Mutant, put

WAITING = (
    Fault(10.0, FaultKind.WORD, "quay", word=WordKind.SUSPECT.value),
    *(Fault(20.0, FaultKind.CRASH, f"quay/{name}") for name in ("mill", "lamp")),
    Fault(40.0, FaultKind.PLAYBOOK_HANGS, "quay/bell-restart", 100.0),
    Fault(50.0, FaultKind.WORD, "quay/bell", word=WordKind.FAILOVER.value),
    Fault(60.0, FaultKind.WORD, "quay", word=WordKind.CLEAR.value),
)
"""Two recoveries ask a person, since a compromise is suspected; then that is over. One is at work, and two may be."""

IN_VAIN = ("mill-slow", "mill-quick", "lamp-restart", "kiln-mend", "desk-restart")
WELL = (
    Fault(10.0, FaultKind.CUT, "isp-a", 30.0),
    *(Fault(70.0, FaultKind.PLAYBOOK_FAILS, f"quay/{move}") for move in IN_VAIN),
    *(Fault(75.0, FaultKind.CRASH, f"quay/{name}") for name in ("mill", "lamp", "kiln", "desk", "bell")),
    Fault(200.0, FaultKind.WORD, "quay/bell", word=WordKind.HOLD.value),
)
"""The line takes its detour, and is well when it may go back; but all else is down by then, and stays so."""


@contextmanager
def going_on_together() -> Iterator[None]:
    """What need not be asked any more goes on, however many there are."""
    with put(policy, "too_many_failovers", lambda _turn, _service: None):  # the table of guards has its own reference
        yield


@contextmanager
def going_back_in_a_mass_failure() -> Iterator[None]:
    """A mass failure keeps away only what is done in an incident: no way back, and no drill."""
    objection = policy.objection

    def fewer(tx: Transaction, service: Service, asked: tuple[Guard, ...] = policy.GUARDS) -> Finding | None:
        all_ = tx.incident(service) is not None
        return objection(tx, service, tuple(g for g in asked if all_ or g is not policy.mass_failure))

    with put(policy, "objection", fewer):
        yield


BRAKES = (
    Mutant(
        "together",
        "what waited for a person goes on by itself, however many are at work",
        (13,),
        going_on_together,
        needs=("suspect", "clear", DOWN),
        story=("estuary", WAITING),
    ),
    Mutant(
        "mass failure, well",
        "goes back, or is drilled, when all else fails at once",
        (13,),
        going_back_in_a_mass_failure,
        needs=(f"{DOWN}|power cut|cut off",),
        story=("estuary", WELL),
    ),
)
