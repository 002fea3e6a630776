"""Which machine carries a step out is on record, and no other one can say that it was never begun."""

from __future__ import annotations

from orchestrator.core import events as e
from orchestrator.core import records as r
from orchestrator.core.commands import RunPlaybook, SettleStep
from orchestrator.core.engine import Engine
from orchestrator.core.events import AttemptEnd
from orchestrator.core.model import Model
from orchestrator.core.reasons import Reason
from orchestrator.core.state.fold import fold
from tests.core.stage import isp_a_dies, lab
from tests.core.world import World


def broken_off(first: str, second: str) -> tuple[World, RunPlaybook, SettleStep]:
    """A playbook is carried out by one machine; the next controller is on another, or the same."""
    world, ran = lab(), []
    world.engine.step(e.ControllerStarted("c2", 2, "boot", True, 0.0, first, "workspace-1"), world.now)
    world._play = ran.append  # type: ignore[method-assign] -- it never ends
    isp_a_dies(world)
    while not ran:
        world.go()
    began = e.ControllerStarted("c3", 3, "other boot", False, 0.0, second, "another-name")
    outcome = world.engine.step(began, world.now)
    (settle,) = [x for x in outcome.commands if isinstance(x, SettleStep)]
    return world, ran[0], settle


def told(world: World, key: e.StepKey) -> list[r.Record]:
    """What the engine records of a runner that has found no trace of the attempt."""
    return list(world.engine.step(e.StepEnded(key, AttemptEnd.NEVER_BEGUN, "no trace"), world.now).records)


def test_the_machine_is_on_record_and_asked_by_its_name() -> None:
    world, _ran, settle = broken_off("noc-1", "noc-1")
    assert settle.machine == "noc-1"
    found = told(world, settle.key)
    assert [x.reason for x in found if isinstance(x, r.StepRetried)] == [Reason.NEVER_BEGUN]


def test_another_machine_cannot_say_that_it_was_never_begun() -> None:
    world, _ran, settle = broken_off("noc-1", "noc-2")
    assert settle.machine == "noc-1"
    found = told(world, settle.key)
    assert not [x for x in found if isinstance(x, r.StepRetried)]
    assert [x.reason for x in found if isinstance(x, r.StepLooked)] == [Reason.END_NOT_SEEN]


def test_a_step_of_a_version_that_recorded_no_machine_is_settled_as_it_was() -> None:
    world, _ran, settle = broken_off("", "noc-2")
    assert settle.machine == ""
    assert [x.reason for x in told(world, settle.key) if isinstance(x, r.StepRetried)] == [Reason.NEVER_BEGUN]


def test_what_epochs_are_known_by_is_on_record_and_stays() -> None:
    world, ran, _settle = broken_off("noc-1", "noc-2")
    assert ran.workspace == "workspace-1"
    assert world.engine.decided.workspace == "workspace-1"
    first = r.ControllerBegan(0.0, "c1", 1, "boot", False, 0.0)
    again = r.ControllerBegan(1.0, "c2", 2, "boot", True, 0.0, "noc", "kept")
    assert fold([first]).workspace == ""  # of an older version
    assert fold([first, again]).workspace == "kept"
    outcome = Engine(Model(""), fold([first, again])).step(
        e.ControllerStarted("c3", 3, "boot", True, 0.0, "noc", "proposed"), 2.0
    )
    assert [x.workspace for x in outcome.records if isinstance(x, r.ControllerBegan)] == ["kept"]


def test_an_operator_has_epochs_counted_anew() -> None:
    """After an older journal was restored, targets have seen larger epochs under the name that it knows."""
    engine = Engine(Model(""), fold([r.ControllerBegan(0.0, "c1", 1, "boot", False, 0.0, "noc", "kept")]))
    engine.step(e.ControllerStarted("c2", 2, "boot", True, 0.0, "noc", "new", anew=True), 1.0)
    assert engine.decided.workspace == "new"
    engine.step(e.ControllerStarted("c3", 3, "boot", True, 0.0, "noc", "proposed"), 2.0)
    assert engine.decided.workspace == "new"
