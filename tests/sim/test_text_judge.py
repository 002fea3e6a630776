"""Targets that say what no journal should keep: the judge of texts sees it, and production lets none of it in."""

from __future__ import annotations

from orchestrator.core.records import VerdictChanged
from orchestrator.probes import kind
from orchestrator.sim.names import names_of
from orchestrator.sim.simulation import Result, Simulation, quiet
from orchestrator.sim.text_judge import RULE
from tests.hostile.corpus import CORPUS
from tests.mutants.mutant import put
from tests.sim import models
from tests.sim.kinds import all_kinds


def played() -> Result:
    """One fault of each kind, on targets that say all of the corpus."""
    quiet()
    model, nature = models.lab(), models.nature("lab")
    faults = all_kinds(names_of(model, nature), apart_s=20.0, for_s=25.0)
    simulation = Simulation(model, faults, "strangers", nature=nature)
    simulation.world.say_beside(tuple(CORPUS.values()))
    return simulation.play(500.0, 60.0)


def told(result: Result) -> int:
    """How often the judge of texts found something."""
    return sum(v.rule == RULE for v in result.violations)


def test_whatever_targets_say_no_record_is_without_bounds_or_acts_on_anything() -> None:
    result = played()
    assert told(result) == 0, result.violations[:3]
    verdicts = [x for entry in result.entries for x in entry.records if isinstance(x, VerdictChanged)]
    assert any("\\x1b[" in repr(x) for x in verdicts), "nothing that strangers say was told at all"


def test_the_judge_sees_texts_that_come_in_as_they_are() -> None:
    with put(kind, "evidence", lambda text: text):
        assert told(played()) > 0
    with put(kind, "evidence", lambda text: text.encode("ascii", "replace").decode().replace("\x1b", "")):
        assert told(played()) > 0, "texts without bounds"
