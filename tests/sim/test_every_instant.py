"""The controller dies, or stands still, in every instant of every act: it always comes to the same end.

Before each entry, after each entry, and after each command of each entry. A supervisor starts a killed one again; one
that stands still is succeeded by another, and then wakes up and goes on as if nothing had been.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import pytest

from orchestrator.core.model import Model
from orchestrator.core.reasons import Reason
from orchestrator.core.records import MayActAdded, ServiceJudged
from orchestrator.sim.faults import Fault, FaultKind
from orchestrator.sim.simulation import quiet
from tests.sim import acts, models
from tests.sim.stage import NeverHappened, Stage, WithAPerson

SAMPLE = 31  # in `make test` each so-many-th moment; all of them in `make test-crash`
AGAIN_AFTER_S = 3.0
STILL_S = 30.0  # longer than the lease lasts


@dataclass(frozen=True)
class Scenario:
    """An act on a plan. `person`: after a death it may end with a person who has been told, and does not have to."""

    model: Callable[[], Model]
    act: Callable[[Stage], None]
    person: bool = False

    def stage(self, faults: Sequence[Fault] = ()) -> Stage:
        return Stage(self.model(), models.nature(self.model.__name__), faults=tuple(faults))


SCENARIOS: Mapping[str, Scenario] = {
    "three acts": Scenario(models.lab, acts.ladder),
    "there and back": Scenario(models.lab, acts.failover_story),
    "asked, and fenced by hand": Scenario(models.asking, acts.asked),
    "switchover and failback by hand": Scenario(models.lab, acts.switchover),
    "drills there and back": Scenario(models.lab, acts.drilled),
    "a drill whose own way fails": Scenario(models.lab, acts.given_up),
    "rehearsals": Scenario(models.lab, acts.rehearsed),
    "a playbook that ends unseen": Scenario(models.lab, acts.unseen),
    "a restart that may happen once": Scenario(models.once_only, acts.restarted, person=True),
    "moves that may happen once": Scenario(models.once_only, acts.ladder, person=True),
}


@cache
def undisturbed(name: str) -> tuple[Mapping[str, object], int, Mapping[int, int]]:
    """How it ends when nobody dies; how many entries the act has, and how many commands each of them."""
    quiet()
    stage = SCENARIOS[name].stage()
    SCENARIOS[name].act(stage)
    entries = stage.sim.disk.last_seq()
    stage.rest()
    assert not stage.sim.oracles.violations
    return stage.outcome(), entries, dict(stage.sim.disk.commands)


def deaths(name: str) -> Iterator[Fault]:
    """A death before each entry, after it, and after each of its commands."""
    first = SCENARIOS[name].stage().sim.disk.last_seq() + 1
    _, last, commands = undisturbed(name)
    for entry in range(first, last + 1):
        yield Fault(0.0, FaultKind.KILLED_AT, for_s=AGAIN_AFTER_S, entry=entry, before=True)
        for command in range(commands.get(entry, 0) + 1):
            yield Fault(0.0, FaultKind.KILLED_AT, for_s=AGAIN_AFTER_S, entry=entry, command=command)


def pauses(name: str) -> Iterator[Fault]:
    """Standing still after each entry, before and between its commands and after them."""
    for death in deaths(name):
        if not death.before:
            yield Fault(0.0, FaultKind.FROZEN_AT, for_s=STILL_S, entry=death.entry, command=death.command)


def deaths_in_the_takeover(name: str) -> Iterator[tuple[Fault, Fault]]:
    """A death after each entry, and another one around the first two entries of whoever follows."""
    for death in deaths(name):
        if not death.before and not death.command:
            for more, before in ((1, False), (2, True), (2, False)):
                entry = death.entry + more
                yield death, Fault(0.0, FaultKind.KILLED_AT, for_s=AGAIN_AFTER_S, entry=entry, before=before)


def what_went_wrong(name: str, faults: Sequence[Fault]) -> str:
    """Play the act with these faults; empty if all statements hold and it came to its end."""
    quiet()
    scenario = SCENARIOS[name]
    expected, _, _ = undisturbed(name)
    stage = scenario.stage(faults)
    wrong: list[str] = []
    try:
        scenario.act(stage)
    except (WithAPerson, NeverHappened) as never:
        wrong.append(str(never).partition("\n")[0])
    stage.rest()
    outcome = stage.outcome()
    if outcome == expected or elsewhere(stage, faults) or (scenario.person and stage.with_a_person()):
        wrong.clear()
    else:
        wrong.append(f"it ended as {outcome}, undisturbed as {expected}")
    wrong += [str(x) for x in stage.sim.oracles.violations]
    if not any(" entry " in what and what.startswith("controller") for _, what in stage.sim.happened):
        wrong.append("nobody died, and nobody stood still")
    told = f"--- {name}: {', '.join(str(x) for x in faults)}"
    return "\n".join([told, *wrong, stage.told()]) if wrong else ""


def elsewhere(stage: Stage, faults: Sequence[Fault]) -> bool:
    """Whoever takes over after a pause knows nothing fresh, and passes over tiers whose viability is unknown as yet:
    the service may come to a tier further down, where the rest of the act does not follow. It is served there, and
    acts nowhere else. Or its data have become too old meanwhile: then a person has been told so.
    """
    if not any(x.kind is FaultKind.FROZEN_AT for x in faults):
        return False
    judged = [x for x in stage.of(ServiceJudged) if x.reason is Reason.NO_TIER_LEFT]
    if stage.with_a_person() and judged and Reason.RPO_EXCEEDED.value in judged[-1].evidence:
        return True
    known, world = stage.decided.services[acts.ERP], stage.sim.world
    served = known.place == world.services[acts.ERP].place == "lab/cloud" and world.works(acts.ERP)
    return served and known.may_act == {known.place} == set(world.acting(acts.ERP))


def all_right(name: str, moments: Sequence[Sequence[Fault]]) -> None:
    """Every one of these comes to a good end; the first that does not is told in full."""
    found = [said for faults in moments if (said := what_went_wrong(name, faults))]
    assert not found, f"{len(found)} of {len(moments)}:\n{found[0]}" + "".join(x.partition("\n")[0] for x in found[1:])


def test_an_activation_handed_on_late_is_its_targets_affair() -> None:
    """Its intent was durable; by the time it is handed on the place was used, and left. The target refuses it."""
    quiet()
    name = "switchover and failback by hand"
    stage = SCENARIOS[name].stage()
    SCENARIOS[name].act(stage)
    intended = next(x.seq for x in stage.sim.entries if any(isinstance(each, MayActAdded) for each in x.records))
    wrong = what_went_wrong(name, [Fault(0.0, FaultKind.FROZEN_AT, for_s=STILL_S, entry=intended)])
    assert not wrong, wrong


@pytest.mark.parametrize("name", SCENARIOS)
def test_killed_now_and_then(name: str) -> None:
    all_right(name, [(x,) for x in list(deaths(name))[3::SAMPLE]])


@pytest.mark.parametrize("name", SCENARIOS)
def test_standing_still_now_and_then(name: str) -> None:
    all_right(name, [(x,) for x in list(pauses(name))[5 :: SAMPLE * 2]])


@pytest.mark.long
@pytest.mark.crash
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", SCENARIOS)
def test_killed_in_every_instant(name: str) -> None:
    all_right(name, [(x,) for x in deaths(name)])


@pytest.mark.long
@pytest.mark.crash
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", SCENARIOS)
def test_standing_still_in_every_instant(name: str) -> None:
    all_right(name, [(x,) for x in pauses(name)])


@pytest.mark.long
@pytest.mark.crash
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", SCENARIOS)
def test_killed_and_killed_again_while_it_takes_over(name: str) -> None:
    all_right(name, list(deaths_in_the_takeover(name)))
