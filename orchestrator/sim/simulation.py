"""One simulated world with its controllers, from a model and a script of faults.

The one rule it keeps: the same model, script and seed give the same bytes, on any machine and in any process.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import structlog

from orchestrator.core import commands as c
from orchestrator.core import events as e
from orchestrator.core.events import StepKey
from orchestrator.core.model import Model
from orchestrator.core.records import RunStarted
from orchestrator.journal.journal import Entry
from orchestrator.runner.scripted import Ending, ScriptedRunner
from orchestrator.sim.controller import Controller, People, Watch
from orchestrator.sim.disaster import Disasters
from orchestrator.sim.disk import Disk
from orchestrator.sim.faults import Fault
from orchestrator.sim.nature import Nature, nature_of
from orchestrator.sim.oracles import Oracles
from orchestrator.sim.targets import Targets
from orchestrator.sim.timeline import MachineClocks, Timeline
from orchestrator.sim.violation import Violation
from orchestrator.sim.world import World

WARM_UP_S = 30.0
LOOK_AGAIN_S = 60.0  # at what has not come to rest


@dataclass(slots=True)
class Result:
    """What came of one simulation."""

    seed: str
    faults: tuple[Fault, ...]
    virtual_s: float
    observations: int
    violations: list[Violation]
    entries: list[Entry]
    told: list[tuple[float, c.TellPeople]]
    happened: list[tuple[float, str]]
    not_modelled: tuple[str, ...]
    transcript: bytes
    commands: Mapping[int, int]  # of each entry: how many
    by_kind: Counter[str] = field(default_factory=Counter)


class Simulation:
    """A world that goes on until it is told to stop."""

    def __init__(
        self,
        model: Model,
        faults: Sequence[Fault] = (),
        seed: str = "0",
        *,
        usual_s: Mapping[str, float] | None = None,
        nature: Nature | None = None,
        changed: Model | None = None,
    ) -> None:
        """`usual_s`: measured seconds by `move/step kind`. `changed`: the model that a reload brings."""
        self.model = model
        self.faults = tuple(faults)
        self.seed = seed
        self.timeline = Timeline()
        self.clocks = MachineClocks(self.timeline)
        self.disk = Disk(self.clocks, self.timeline)
        self.world = World(nature or nature_of(model), self.timeline, seed)
        self.targets = Targets(self.world, seed, dict(usual_s or {}))
        self.people = People()
        self.observations = 0
        self.happened: list[tuple[float, str]] = []
        self.entries: list[Entry] = []
        self.oracles = Oracles(model, self.world, self.targets, self.people, self.clocks.true_wall)
        if changed is not None:
            self.oracles.knows(changed)
        self.watch = Watch(self._observed, self.oracles.carried_out, self.oracles.defect)
        self.disk.on_entry += [self._entry]
        self.targets.end = self._end_attempt
        self.targets.lose = self._lose_attempt
        self.targets.runs = lambda key: isinstance(self.ledger.ledger.get(key), Ending)
        self.world.watchers.append(self.oracles.world_changed)
        self.ledger = ScriptedRunner(lambda _event: None, later=lambda tell: None)
        self.controllers: list[Controller] = []
        self._names = 0
        self.disasters = Disasters(self, changed)
        self.start("c1")

    # ---- controllers

    def start(self, name: str = "") -> Controller:
        """Start a controller; without a name, another one that waits for the lease."""
        self._names += 1
        model = self.controllers[-1].model if self.controllers else self.model
        made = Controller(
            name or f"c{self._names}",
            model,
            self.world,
            self.disk,
            self.targets,
            self.ledger,
            self.people,
            self.watch,
        )
        self.controllers = [x for x in self.controllers if x.alive]
        self.controllers.append(made)
        made.start()
        return made

    def active(self) -> Controller | None:
        """The controller that decides, if one is alive and goes."""
        going = [x for x in self.controllers if x.alive and not x.frozen and x.shell is not None]
        return going[-1] if going else None

    def restart_after(self, name: str, seconds: float) -> None:
        """A supervisor starts the controller of this name again."""
        self.timeline.after(seconds, lambda: self._again(name))

    def _again(self, name: str) -> None:
        if not any(x.alive and x.name == name for x in self.controllers):
            self.start(name)

    # ---- running

    def run(self, until: float) -> None:
        """Let the world go on; whoever was killed is started again."""
        self.timeline.run_until(until)

    def play(self, length_s: float, calm_s: float) -> Result:
        """The whole script: faults for `length_s`, then none, and `calm_s` in which everything must come to rest.

        What still goes on then is given the time that the plan allows it: every tier may wait for an approval.
        """
        for fault in self.faults:
            self.timeline.at(WARM_UP_S + fault.at, partial(self.disasters.begin, fault))
        self.run(WARM_UP_S + length_s)
        self.disasters.calm()
        calm_until = WARM_UP_S + length_s + calm_s
        self.run(calm_until)
        last = calm_until + longest_s(self.model)
        while self.timeline.now < last and self.oracles.unrest(self.timeline.now):
            self.run(min(last, self.timeline.now + LOOK_AGAIN_S))
        self.oracles.at_rest(self.timeline.now)
        return self.result()

    def result(self) -> Result:
        """What came of it so far."""
        return Result(
            self.seed,
            self.faults,
            self.timeline.now,
            self.observations,
            list(self.oracles.violations),
            list(self.entries),
            list(self.people.told),
            list(self.happened),
            self.world.not_modelled,
            self.disk.transcript(),
            dict(self.disk.commands),
            Counter(self.disasters.begun),
        )

    def happens(self, what: str) -> None:
        """Note something for the story."""
        self.happened.append((self.timeline.now, what))

    # ---- inside

    def _observed(self, seen: e.Observed, at: float) -> None:
        self.observations += 1
        active = self.active()
        able = active is not None and active.shell is not None and active.shell.broken is None
        self.oracles.observed(seen, at, able=able)

    def _entry(self, entry: Entry) -> None:
        self.entries.append(entry)
        for record in entry.records:
            if isinstance(record, RunStarted):
                self.targets.planned[record.run] = record
        self.oracles.entry(entry)

    def _speaker(self) -> ScriptedRunner:
        """Who hears how an attempt ends: whoever decides, also while it stands still; not who waits for the lease."""
        alive = [x for x in self.controllers if x.alive]
        deciding = [x for x in alive if x.shell is not None]
        return (deciding or alive or self.controllers)[-1].runner

    def _end_attempt(self, key: StepKey, ending: Ending) -> bool:
        return self._speaker().let_end(key, ending)

    def _lose_attempt(self, key: StepKey) -> None:
        self._speaker().lose(key)

    def knows(self, model: Model) -> None:
        """A model that may be put in force."""
        self.oracles.knows(model)

    def lose_all(self) -> None:
        """The machine died: so did every worker on it."""
        for key in [k for k, state in self.ledger.ledger.items() if isinstance(state, Ending)]:
            self._lose_attempt(key)


def longest_s(model: Model) -> float:
    """How long what is under way may take by the plan, in seconds: every tier of every service, one after the other."""
    fences = [x.timeout_s for p in model.places.values() for x in (p.fence, p.isolate) if x is not None]
    total_s = 0.0
    for service in model.services.values():
        for move in (model.moves[tier.move] for tier in service.ladder):
            hand_over_s = move.hand_over.timeout_s if move.hand_over is not None else 0.0
            playbooks_s = 3 * move.timeout_s + max(fences, default=0.0) + hand_over_s
            asking_s = service.approval_expires_s + move.preflight_timeout_s + move.verify_timeout_s
            total_s += playbooks_s + asking_s + service.settle_s
    return total_s


def quiet() -> None:
    """Keep the shell's own log out of simulations."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
