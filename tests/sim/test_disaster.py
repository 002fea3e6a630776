"""Every kind of fault begins and ends, and takes back exactly what it brought."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.core import records as r
from orchestrator.core.events import WordKind
from orchestrator.core.model import Mode, Model
from orchestrator.sim.faults import TOLD, Fault, FaultKind
from orchestrator.sim.names import Names, names_of
from orchestrator.sim.simulation import Simulation, quiet
from tests.sim import models
from tests.sim.kinds import NEVER_ENDS, OF_THE_CONTROLLER, one_of, subjects
from tests.sim.stage import Stage

CALLED_AT_AN_ENTRY = (FaultKind.KILLED_AT, FaultKind.FROZEN_AT)


@cache
def names() -> Names:
    """What may be struck: read when a test asks, not by everybody who only looks which tests there are."""
    return names_of(models.lab(), models.nature("lab"))


@cache
def observed() -> Model:
    """No playbook changes anything: what is left over is a fault's."""
    services = {k: replace(s, mode=Mode.OBSERVE) for k, s in models.lab().services.items()}
    return replace(models.lab(), services=services, digest="observed")


def begun(*faults: Fault) -> Simulation:
    """A world in which these have begun."""
    quiet()
    plan = observed()
    simulation = Simulation(plan, (), "disaster", nature=models.nature("lab"), changed=replace(plan, digest="changed"))
    simulation.run(5.0)
    for fault in faults:
        simulation.disasters.begin(fault)
    return simulation


def what_is(simulation: Simulation) -> dict[str, object]:
    """Everything that a fault may touch. Whatever the world comes to know later is in it as well."""
    world = {k: v for k, v in vars(simulation.world).items() if not k.startswith("_")}
    for constant in ("nature", "timeline", "watchers"):
        del world[constant]
    luck = {k: v for k, v in simulation.targets.misfortunes.items() if v}
    disk = (simulation.disk.slow_s, simulation.disk.refuses)
    planned = sorted(x.id for x in simulation.disasters._planning._planned.values())  # in force once somebody reads it
    return {**world, "luck": luck, "disk": disk, "people": simulation.people.reachable, "planned": planned}


@cache
def fresh() -> dict[str, object]:
    return what_is(begun())


@pytest.mark.parametrize("kind", sorted(set(FaultKind) - OF_THE_CONTROLLER - NEVER_ENDS))
def test_a_fault_changes_something_and_takes_it_back(kind: FaultKind) -> None:
    for nth in range(min(3, len(subjects(kind, names())))):
        simulation = begun(one_of(kind, names(), for_s=20.0, nth=nth))
        assert what_is(simulation) != fresh(), f"{kind.value} of {subjects(kind, names())[nth]} changes nothing"
        simulation.run(60.0)
        assert what_is(simulation) == fresh()
        assert not simulation.disasters.active


@pytest.mark.parametrize("kind", sorted(OF_THE_CONTROLLER))
def test_after_a_death_or_a_pause_somebody_decides_again(kind: FaultKind) -> None:
    simulation = begun(one_of(kind, names(), for_s=30.0))
    if kind in CALLED_AT_AN_ENTRY:
        simulation.disasters.begin(one_of(FaultKind.CUT, names()))  # an entry will come
    simulation.run(150.0)
    assert simulation.active() is not None
    assert simulation.entries[-1].epoch == 2
    simulation.disasters.end(FaultKind.CUT, one_of(FaultKind.CUT, names()).subject)
    simulation.run(200.0)
    assert what_is(simulation) == fresh()


@given(st.data())
@settings(max_examples=15, deadline=None)
def test_when_all_faults_have_ended_the_world_is_as_it_was(data: st.DataObject) -> None:
    """Whatever they are, in whatever order they come and go, and however they overlap."""
    kinds = st.sampled_from(sorted(set(FaultKind) - NEVER_ENDS))
    drawn = data.draw(st.lists(st.tuples(kinds, st.floats(1.0, 60.0), st.integers(0, 30)), min_size=1, max_size=8))
    simulation = begun()
    for kind, for_s, nth in drawn:
        simulation.disasters.begin(one_of(kind, names(), for_s=for_s, nth=nth))
        simulation.run(simulation.timeline.now + for_s / 3)
    simulation.run(simulation.timeline.now + 200.0)
    assert what_is(simulation) == fresh()


@pytest.mark.parametrize("kind", [FaultKind.LOSS, FaultKind.SLOW, FaultKind.LAG, FaultKind.MUTE, FaultKind.DISK_SLOW])
def test_of_two_faults_at_the_same_place_one_may_end_before_the_other(kind: FaultKind) -> None:
    short, long = (one_of(kind, names(), for_s=for_s) for for_s in (10.0, 40.0))
    alone = begun(long)
    both = begun(long, short)
    for simulation in (alone, both):
        simulation.run(20.0)
    assert what_is(both) == what_is(alone) != fresh()


def test_every_kind_is_told_in_words_of_its_own() -> None:
    assert set(TOLD) == set(FaultKind)
    assert len(set(TOLD.values())) == len(FaultKind)


def test_a_word_is_heard_and_a_reload_is_put_in_force() -> None:
    simulation = begun(one_of(FaultKind.WORD, names()), Fault(0.0, FaultKind.RELOAD))
    records = [x for entry in simulation.entries for x in entry.records]
    said = [x for x in records if isinstance(x, r.WordAccepted)]
    assert [x.kind for x in said] == [WordKind.HOLD]
    assert [x.digest for x in records if isinstance(x, r.Configured)] == ["observed", "changed"]


def test_when_the_calm_comes_what_was_to_end_ends_and_what_was_for_good_stays() -> None:
    simulation = begun(Fault(0.0, FaultKind.POWER, "lab/hq"), Fault(0.0, FaultKind.CUT, "lab/isp-a", 600.0))
    simulation.disasters.calm()
    simulation.disasters.begin(Fault(0.0, FaultKind.POWER, "lab/geo"))
    assert simulation.world.dark == {"lab/hq": 1}
    assert "lab/isp-a" not in simulation.world.dead


def test_an_approval_that_says_fenced_means_that_somebody_went_there() -> None:
    """In the world a place said to be fenced is fenced: people are believed, and do not lie."""
    quiet()
    stage = Stage(models.asking(), models.nature("asking"))
    stage.run(5.0)
    stage.begin(FaultKind.CUT, "lab/hq")
    stage.wait("somebody is asked", lambda: stage.waiting_approval() is not None)
    stage.begin(FaultKind.WORD, word="approve", options={"fence": True})
    assert stage.sim.world.off == {"lab/hq"}
    stage.wait("the second site serves", lambda: stage.at("lab/erp", "lab/geo"))
