"""Drills: what statement 23 promises, one rule taken out a mutant.

The one rule it keeps: recoveries are left alone; only what is decided of drills is another.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from orchestrator.core import kinds
from orchestrator.core.deciding import drilling
from orchestrator.core.model import Service
from orchestrator.core.reasons import Reason
from orchestrator.core.rules import drilling as rules
from orchestrator.core.runs import endings, run
from orchestrator.core.state.decided import Drill, Run
from orchestrator.core.transaction import Transaction
from tests.mutants.mutant import DOWN, Mutant, put

DRILL = "drill"
OF_DRILLS = (23,)
MOVES = ("quay/to-east", "quay/desk-restart")  # that are rehearsed in the estuary
REHEARSED = "somebody says something of quay/books|somebody says something of quay/desk"
FAILS = "|".join(f"{what} of {move}" for what in ("playbook fails", "playbook hangs") for move in MOVES)
LEAVES = "|".join(f"{what} of {move}" for what in ("playbook half done", "playbook without effect") for move in MOVES)
UNKNOWN = "probe cannot ask|controller's machine restarts"
LASTING = f"{DOWN}|power cut|cut off"


def _nothing(*_: object) -> Iterator[rules.Objection]:
    return iter(())


@contextmanager
def in_trouble() -> Iterator[None]:
    """An open incident, and a suspicion, forbid no drill."""
    with put(rules, "_trouble", _nothing):
        yield


@contextmanager
def not_well() -> Iterator[None]:
    """Nobody asks whether each check is up."""
    with put(rules, "not_well", _nothing):
        yield


@contextmanager
def unasked() -> Iterator[None]:
    """Nothing is asked again before it changes anything, on its way there and back."""
    with put(rules, "stops", lambda *_: None), put(rules, "keeps_away", lambda *_: None):
        yield


@contextmanager
def unharmed() -> Iterator[None]:
    """What fails meanwhile is not noticed."""
    with put(rules, "harm", lambda *_: None):
        yield


@contextmanager
def never_back() -> Iterator[None]:
    """It stays where it is."""
    with put(drilling, "_go_back", lambda *_: ""):
        yield


@contextmanager
def ends_away() -> Iterator[None]:
    """It is over before it is back."""
    with put(drilling, "_is_away", lambda *_: False):
        yield


@contextmanager
def not_taken_back() -> Iterator[None]:
    """A way back counts once its playbook ended, and what it leads to works: as it did before."""
    with put(kinds, "effect_of_undone", lambda *_: None), put(endings, "effect_of_undone", lambda *_: None):
        yield


@contextmanager
def not_cleaned() -> Iterator[None]:
    """A rehearsal that failed ends there."""
    with put(endings, "_is_cleaned_up_first", lambda *_: False):
        yield


@contextmanager
def not_compared() -> Iterator[None]:
    """Whatever the last survey finds is well."""
    with put(run.rehearsing, "not_as_before", lambda *_: ""):
        yield


@contextmanager
def in_silence() -> Iterator[None]:
    """Nobody is told what is left, or that it is late."""
    end = drilling._end

    def ended(*given: Any, by_a_person: bool) -> None:
        end(*given, by_a_person=False)

    with ExitStack() as stack:
        stack.enter_context(put(drilling, "_end", ended))
        stack.enter_context(put(drilling, "_tell_late", lambda *_: None))
        yield


@contextmanager
def unseen() -> Iterator[None]:
    """The return is over as soon as records say so."""

    def shown(tx: Transaction, drill: Drill, service: Service, runs: list[Run]) -> None:
        ok = runs[0].ended is not None and runs[0].ended.ok
        drilling._end(tx, drill, service, ok, Reason.RETURNED, "by records", True, by_a_person=not ok)

    with put(drilling, "_show_return", shown):
        yield


DRILLS = (
    Mutant("drill: trouble", "a drill begins in trouble", OF_DRILLS, in_trouble, needs=(DRILL, f"suspect|{LASTING}")),
    Mutant("drill: unwell", "a drill begins where a check is not up", OF_DRILLS, not_well, needs=(DRILL, UNKNOWN)),
    Mutant("drill: unasked", "holds are not asked before it acts", OF_DRILLS, unasked,
           needs=(DRILL, "hold|maintenance")),
    Mutant("drill: harm", "harm is not noticed", OF_DRILLS, unharmed, needs=(DRILL, LASTING),
           beyond_the_core="what a drill has announced is worked out once there"),
    Mutant("drill: never back", "it never goes back", OF_DRILLS, never_back, needs=(DRILL,), rest=True,
           beyond_the_core="it takes the end of everything to see"),
    Mutant("drill: not taken back", "a way back counts though nothing is taken back", OF_DRILLS, not_taken_back,
           needs=(DRILL, "playbook without effect of quay/detour-back"),
           beyond_the_core="its record says that it is gone"),
    Mutant("drill: early", "it ends before it is back", (22, 23), ends_away, needs=(DRILL,)),
    Mutant("drill: no clean-up", "what failed is not cleaned up", OF_DRILLS, not_cleaned,
           needs=(DRILL, REHEARSED, FAILS)),
    Mutant("drill: surveys", "the surveys are not compared", OF_DRILLS, not_compared,
           needs=(DRILL, REHEARSED, LEAVES)),
    Mutant("drill: silence", "nobody is told what is left", OF_DRILLS, in_silence, needs=(DRILL, REHEARSED, LEAVES)),
    Mutant("drill: unshown", "the return is not shown by fresh answers", OF_DRILLS, unseen, needs=(DRILL, UNKNOWN)),
)  # fmt: skip
