"""Seeds against one mutant, until one of them fails.

The one rule it keeps: what it reports has been seen; a seed that is played again with the same mutant fails again.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from enum import Enum
from itertools import islice
from pathlib import Path

from orchestrator.core import invariants
from orchestrator.core import records as r
from orchestrator.core.model import Model
from orchestrator.core.state import fold
from orchestrator.core.state.decided import Decided
from orchestrator.sim.campaign import Campaign, Plan
from orchestrator.sim.faults import Fault
from orchestrator.sim.oracles import DEFECT
from orchestrator.sim.simulation import WARM_UP_S, Simulation
from orchestrator.sim.violation import Violation
from tests.mutants.estuary import USUAL_S, estuary
from tests.mutants.mutant import Mutant, put
from tests.mutants.terrace import terrace

HOURS = 0.07  # 252 s in which things go wrong
CALM_S = 60.0
REST_S = 400.0  # where it takes the end of everything to see
CHUNK_S = 20.0
OF_ITS_OWN = ("defect: InvariantBroken", "defect: IllegalRecord")  # what the core finds wrong by itself
SEARCHED = 3000  # scripts that are looked at for a chance
WORKSPACE = Path(__file__).parents[2]
HARBOUR = WORKSPACE / "tests" / "workspaces" / "harbour"
TWINS = WORKSPACE / "tests" / "workspaces" / "twins"


class BreaksTheEngine(Exception):
    """This is no mutant of a rule: the engine itself does not work any more, and nothing is shown."""


@dataclass(frozen=True, slots=True)
class Caught:
    """The first violation: in which world, at which seed, after how many."""

    world: str
    seed: int
    seeds: int
    violation: Violation


@dataclass(slots=True)
class Worlds:
    """The plans that mutants are tried on, compiled once each."""

    campaigns: dict[str, Campaign] = field(default_factory=dict)

    def campaign(self, name: str) -> Campaign:
        """The campaign of this world."""
        if name not in self.campaigns:
            usual_s = USUAL_S if name == "estuary" else {}
            self.campaigns[name] = Campaign(Plan(_MODELS[name](), HOURS, usual_s))
        return self.campaigns[name]


def worlds() -> list[str]:
    """Those that are there."""
    return [name for name in _MODELS if name != "harbour" or (HARBOUR / "inventories").exists()]


def seeds_for(campaign: Campaign, mutant: Mutant, most: int) -> Iterator[int]:
    """So many seeds whose scripts give the mutant a chance: those with a purpose, which leave one guard alone.

    Where too few of those do, mixtures.
    """
    seeds = (seed for purpose in (1, 2, 3) for seed in range(purpose, purpose + 4 * SEARCHED, 4))
    yield from islice((seed for seed in seeds if mutant.could_matter(campaign.script(seed))), most)


class By(Enum):
    """Who is to notice: the simulator's oracles, with the core's own invariants switched off; the core alone; both."""

    ORACLES = "oracles alone"
    CORE = "core alone"
    BOTH = "as it is"


def hunt(campaign: Campaign, mutant: Mutant, world: str, seeds: Iterable[int], by: By) -> Caught | None:
    """The first violation with this mutant."""
    with ExitStack() as stack:
        if by is By.ORACLES:
            _without_invariants(stack)
        stack.enter_context(mutant.out())
        if mutant.story is not None and mutant.story[0] == world:
            found = first_violation(campaign, 1, by, rest=mutant.rest, faults=mutant.story[1])
            if found is not None:
                return Caught(world, 1, 0, found)
        for count, seed in enumerate(seeds, start=1):
            found = first_violation(campaign, seed, by, rest=mutant.rest)
            if found is not None:
                return Caught(world, seed, count, found)
    return None


def first_violation(
    campaign: Campaign, seed: int, by: By, *, rest: bool, faults: tuple[Fault, ...] | None = None
) -> Violation | None:
    """Play one seed until something does not hold; `faults`: instead of its own."""
    simulation = campaign.simulation(seed, campaign.script(seed) if faults is None else faults)
    length_s = campaign.plan.length_s
    for fault in simulation.faults:
        simulation.timeline.at(WARM_UP_S + fault.at, lambda fault=fault: simulation.disasters.begin(fault))  # type: ignore[misc]
    until = WARM_UP_S
    calm_at = WARM_UP_S + min(length_s, max((f.at + (f.for_s or 0.0) for f in simulation.faults), default=0.0) + 60.0)
    while until < calm_at:
        until = min(until + CHUNK_S, calm_at)
        try:
            simulation.run(until)
        except Exception:  # the world itself may trip over what the mutant does, after the oracles have seen it
            if (found := _counts(simulation, by)) is not None:
                return found
            raise
        if (found := _counts(simulation, by)) is not None:
            return found
    simulation.disasters.calm()
    simulation.run(until + (REST_S if rest else CALM_S))
    if rest:
        simulation.oracles.at_rest(simulation.timeline.now)
    return _counts(simulation, by)


def _counts(simulation: Simulation, by: By) -> Violation | None:
    found: Sequence[Violation] = simulation.oracles.violations
    broken = next((v for v in found if v.rule == DEFECT and not v.evidence.startswith(OF_ITS_OWN)), None)
    if broken is not None:
        raise BreaksTheEngine(broken.evidence)
    wanted = {By.ORACLES: lambda v: v.rule != DEFECT, By.CORE: lambda v: v.rule == DEFECT, By.BOTH: lambda _: True}[by]
    return next(filter(wanted, found), None)


def _without_invariants(stack: ExitStack) -> None:
    """Nothing that the core checks of itself is checked: neither its invariants, nor what its fold refuses."""
    stack.enter_context(put(invariants, "check", lambda _tx, _heard=None: None))
    stack.enter_context(put(fold, "next_state", lambda table, _state, event: next(iter(table[event].values()))))
    started = fold._APPLY[r.RunStarted]

    def apply(d: Decided, x: r.RunStarted) -> None:
        started(d, replace(x, resources=()))
        d.runs[x.run].started = x

    stack.enter_context(put(fold._APPLY, r.RunStarted, apply))


def _lab() -> Model:
    return _loaded(WORKSPACE)


def _harbour() -> Model:
    return _loaded(HARBOUR)


def _twins() -> Model:
    return _loaded(TWINS)


def _loaded(workspace: Path) -> Model:
    from orchestrator.cli.validate import probe_kinds
    from orchestrator.config import load

    os.environ.setdefault("ANSIBLE_LOCAL_TEMP", "/tmp")
    return load(workspace, probe_kinds=probe_kinds()).model


_MODELS: dict[str, Callable[[], Model]] = {
    "estuary": estuary,
    "lab": _lab,
    "harbour": _harbour,
    "terrace": terrace,
    "twins": _twins,
}
