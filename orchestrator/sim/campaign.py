"""Many seeds over several processes, and their results together.

The one rule it keeps: a seed's result does not depend on its neighbours: the same seed alone gives the same.
"""

from __future__ import annotations

import multiprocessing
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from orchestrator.core.model import Mode, Model
from orchestrator.sim.episodes import Episode, episodes, guards_fired
from orchestrator.sim.faults import Fault
from orchestrator.sim.names import Names, names_of
from orchestrator.sim.nature import Nature, nature_of
from orchestrator.sim.shrink import Play
from orchestrator.sim.simulation import WARM_UP_S, Result, Simulation, quiet
from orchestrator.sim.swarm import script
from orchestrator.sim.violation import Violation

CALM_S = 1200.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What is simulated: a model, for how long things go wrong, and how long they are left to come to rest then."""

    model: Model
    hours: float = 0.25
    usual_s: Mapping[str, float] = field(default_factory=dict)
    calm_s: float = CALM_S

    @property
    def length_s(self) -> float:
        """Seconds in which faults happen."""
        return self.hours * 3600.0


@dataclass(frozen=True, slots=True)
class SeedResult:
    """One seed's result, small enough to be sent between processes."""

    seed: int
    virtual_s: float
    took_s: float
    observations: int
    violations: tuple[Violation, ...]
    episodes: tuple[Episode, ...]
    guards: Counter[str]
    faults: Counter[str]
    not_modelled: tuple[str, ...]


@dataclass(slots=True)
class Summary:
    """All seeds together."""

    seeds: int = 0
    virtual_s: float = 0.0
    cpu_s: float = 0.0
    wall_s: float = 0.0
    observations: int = 0
    violations: list[tuple[int, Violation]] = field(default_factory=list)
    episodes: list[tuple[int, Episode]] = field(default_factory=list)
    guards: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    not_modelled: tuple[str, ...] = ()

    def take(self, one: SeedResult) -> None:
        """Count one seed in."""
        self.seeds += 1
        self.virtual_s += one.virtual_s
        self.cpu_s += one.took_s
        self.observations += one.observations
        self.violations += [(one.seed, v) for v in one.violations]
        self.episodes += [(one.seed, x) for x in one.episodes]
        self.guards.update(one.guards)
        self.faults.update(one.faults)
        self.not_modelled = one.not_modelled


def as_auto(model: Model) -> Model:
    """The same plan with every service in mode auto."""
    services = {k: replace(s, mode=Mode.AUTO) for k, s in model.services.items()}
    return replace(model, services=services, digest=f"{model.digest}-auto")


def changed(model: Model, random: Random) -> Model:
    """What a reload in the middle brings: every check one bad answer more patient, and edited playbooks.

    Half of them bring more: tiers in another order or left out, places that are not fenced or not cut off any more,
    moves without their hand-over. Each of these may be at work or have failed just then.
    """
    checks = {k: replace(c, fall=c.fall + 1) for k, c in model.checks.items()}
    moves = {k: replace(m, playbook=replace(m.playbook, digest="edited")) for k, m in model.moves.items()}
    edited = replace(model, checks=checks, moves=moves, digest=f"{model.digest}-changed")
    if random.random() < 0.5:
        return edited

    def kept(one: Any) -> Any:
        return one if random.random() < 0.5 else None

    ladders, proofs = random.choice(((True, False), (False, True), (True, True)))
    services, places = edited.services, edited.places
    if ladders:
        tiers = {k: random.sample(s.ladder, random.randint(0, len(s.ladder))) for k, s in services.items()}
        services = {k: replace(s, ladder=tuple(tiers[k])) for k, s in services.items()}
    if proofs:
        places = {k: replace(p, fence=kept(p.fence), isolate=kept(p.isolate)) for k, p in places.items()}
        moves = {k: replace(m, hand_over=kept(m.hand_over)) for k, m in moves.items()}
    return replace(edited, services=services, places=places, moves=moves)


class Campaign:
    """Seeds of one plan."""

    def __init__(self, plan: Plan) -> None:
        """Compile the plan's nature once."""
        self.plan = plan
        self.nature: Nature = nature_of(plan.model)
        self.names: Names = names_of(plan.model, self.nature)

    def script(self, seed: int) -> tuple[Fault, ...]:
        """This seed's faults."""
        return script(self.names, seed, self.plan.length_s)

    def simulation(self, seed: int, faults: Sequence[Fault]) -> Simulation:
        """A simulation with this seed's chances, before it has begun."""
        return Simulation(
            self.plan.model,
            faults,
            str(seed),
            usual_s=self.plan.usual_s,
            nature=self.nature,
            changed=changed(self.plan.model, Random(f"reload/{seed}")),  # noqa: S311 -- a seed must replay
        )

    def script_player(self, seed: int) -> Play:
        """Plays any script with this seed's chances."""
        return lambda faults, length_s, calm_s: self.simulation(seed, faults).play(length_s, calm_s)

    def play(self, seed: int) -> Result:
        """One seed, in full."""
        return self.script_player(seed)(self.script(seed), self.plan.length_s, self.plan.calm_s)

    def one(self, seed: int) -> SeedResult:
        """One seed, in short."""
        began = time.process_time()
        result = self.play(seed)
        return SeedResult(
            seed,
            result.virtual_s,
            time.process_time() - began,
            result.observations,
            tuple(result.violations),
            tuple(episodes(self.plan.model, result.entries, result.faults, WARM_UP_S)),
            guards_fired(result.entries),
            result.by_kind,
            result.not_modelled,
        )


_campaign: Campaign | None = None


def _prepare(plan: Plan) -> None:
    global _campaign
    quiet()
    _campaign = Campaign(plan)


def _one(seed: int) -> SeedResult:
    if _campaign is None:
        raise RuntimeError("a worker was given a seed before its plan")
    return _campaign.one(seed)


def results(plan: Plan, seeds: Iterable[int], jobs: int) -> Iterator[SeedResult]:
    """Every seed's result, in the order in which they end."""
    if jobs <= 1:
        quiet()
        campaign = Campaign(plan)
        yield from (campaign.one(seed) for seed in seeds)
        return
    context = multiprocessing.get_context("fork")
    with context.Pool(jobs, _prepare, (plan,)) as pool:
        yield from pool.imap_unordered(_one, seeds, chunksize=1)


def run(
    plan: Plan, seeds: Iterable[int], jobs: int = 1, progress: Callable[[Summary], None] = lambda _summary: None
) -> Summary:
    """All seeds; `progress` is called after each."""
    began = time.monotonic()
    summary = Summary()
    for one in results(plan, seeds, jobs):
        summary.take(one)
        summary.wall_s = time.monotonic() - began
        progress(summary)
    summary.violations.sort(key=lambda x: (x[0], x[1].at))
    summary.episodes.sort(key=lambda x: (x[0], x[1].began_at, x[1].service))
    return summary
