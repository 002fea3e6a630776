"""A controller that is killed in the middle of a run, and finds an old state under its newest checkpoint.

It must go on from the entries, as if the checkpoint were not there. The mutant believes it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from orchestrator.core import records as r
from orchestrator.core.codec import encode
from orchestrator.core.state.decided import IllegalRecord
from orchestrator.core.state.fold import fold
from orchestrator.journal import memory
from orchestrator.journal.chain import entry_of
from orchestrator.journal.journal import Entry
from orchestrator.shell.loop import rebuild
from orchestrator.sim.campaign import CALM_S, Campaign, Plan
from orchestrator.sim.scripts import parse
from orchestrator.sim.simulation import Simulation, quiet
from tests.mutants.mutant import put
from tests.sim import models

KILLED_IN_A_RUN = """
length: 15 min
at 30 s: crash seaport/yard-database for good
"""


@contextmanager
def believing() -> Iterator[None]:
    """Whatever stands there is used."""
    with put(memory, "checkpoint_fault", lambda _kept, _entry, _named: None):
        yield


def simulation(forge: bool) -> Simulation:
    """The controller is killed when the first run has begun a step, and is back three seconds later."""
    quiet()
    plan = models.harbour()
    assert plan is not None
    campaign = Campaign(Plan(plan))
    script = parse(KILLED_IN_A_RUN, "script", campaign.names)
    sim = campaign.simulation(script.seed, script.faults)
    met: list[int] = []

    def after(entry: Entry) -> None:
        if met or not any(isinstance(x, r.StepBegan) for x in entry.records):
            return
        met.append(sim.disk.last_seq())
        sim.timeline.after(0.2, die)

    def die() -> None:
        controller = sim.active()
        assert controller is not None
        controller.die()
        if forge:
            sim.disk.forge_checkpoint(of=3)  # when nothing had happened yet
        sim.restart_after(controller.name, 3.0)

    sim.disk.on_entry.append(after)
    return sim


def state_is_the_fold(sim: Simulation) -> bool:
    """Whether a controller that starts now has the state that the entries say."""
    entries = (entry_of(body) for body in sim.disk.transcript().splitlines())
    return encode(rebuild(sim.disk).decided) == encode(fold(x for entry in entries for x in entry.records))


def test_an_old_checkpoint_is_not_acted_on() -> None:
    sim = simulation(forge=True)
    result = sim.play(900.0, CALM_S)
    plain = simulation(forge=False).play(900.0, CALM_S)
    assert [x for entry in result.entries for x in entry.records] == [x for e in plain.entries for x in e.records]
    assert result.violations == []
    assert state_is_the_fold(sim)


def test_one_who_believes_it_is_noticed() -> None:
    with believing():
        sim = simulation(forge=True)
        try:
            noticed = bool(sim.play(900.0, CALM_S).violations) or not state_is_the_fold(sim)
        except IllegalRecord:  # a record that cannot follow what came before
            noticed = True
    assert noticed


@pytest.mark.parametrize("of", [1, 5])
def test_what_is_forged_is_found(of: int) -> None:
    sim = simulation(forge=False)
    sim.play(60.0, 10.0)
    sim.disk.forge_checkpoint(of)
    assert any("checkpoint" in str(fault) for fault in sim.disk.verify())
