"""What playbooks do in a simulated world: how long they take, what they change, and how they end.

The one rule it keeps: a playbook changes the world at its own moment, whatever happens to the controller that started
it. A target lets in only an epoch at least as large as the largest it has seen. Some targets can keep none (a console
without a shell), and the step's end says so. A stale action can get in there: this is a known limit, and not tried.

    step              needs                                                  changes
    --------------    ---------------------------------------------------    -------------------------------------------
    fence             the hosts that prove it                                the place is switched off for good
    hand over         the place left, powered and connected                  the service stops there
    isolate           the place has power                                    nobody outside reaches the place
    prepare           the place gone to is there                             nothing yet
    execute, to       the place gone to is there and in order                the service starts there, then users follow
    execute, path     the place has power                                    users take the other path
    execute, undoing  the place has power                                    users take the path they took before
    execute, else     the place has power and is connected                   what had crashed runs again
    finish, and others  nothing                                              nothing
    set up, rehearse  the place of the rehearsal's hosts is there            something is left at the rehearsal's hosts
    survey (again)    the same                                               nothing; it tells what is left there
    clean up          the same                                               nothing is left there
    in check mode     the place has power and is connected                   nothing
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from random import Random

from orchestrator.core import records as r
from orchestrator.core.commands import RunPlaybook
from orchestrator.core.events import AttemptEnd, StepKey
from orchestrator.core.model import Json, Move
from orchestrator.runner.scripted import Ending
from orchestrator.sim.reach import Reach, twin_of
from orchestrator.sim.step_kinds import ANYWHERE, APART, LEAVES, TOWARDS
from orchestrator.sim.world import World

ASSUMED_SHARE = 0.1  # of a step's time-out, where nothing was measured
SHORTEST_S = 1.0
REFUSED_S = 1.0  # until the epoch guard says no
UNREACHABLE_S = 10.0
WITHOUT_SHELL = 0.15  # of the targets


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt as the world saw it: what oracles and reports read."""

    key: StepKey
    kind: r.StepKind
    epoch: int
    target: str
    began_at: float
    reached: str = ""  # the client whose hosts it acts upon


@dataclass(slots=True)
class Misfortune:
    """What a fault does to the playbooks of one move or fence while it lasts."""

    kind: str  # fails, hangs, half, useless, unseen
    share: float = 1.0


@dataclass
class Targets:
    """The world's side of every playbook."""

    world: World
    seed: str
    usual_s: Mapping[str, float] = field(default_factory=dict)  # `move/step kind` to measured seconds
    planned: dict[str, r.RunStarted] = field(default_factory=dict)  # runs, from the journal's entries
    misfortunes: dict[str, list[Misfortune]] = field(default_factory=dict)  # by move or place id
    epochs: dict[str, int] = field(default_factory=dict)  # largest seen, by target
    unguarded: dict[StepKey, tuple[str, ...]] = field(default_factory=dict)  # what their ends have to say
    accepted: list[Attempt] = field(default_factory=list)
    effects: list[tuple[float, StepKey, str]] = field(default_factory=list)
    on_accept: list[Callable[[Attempt], None]] = field(default_factory=list)
    on_effect: list[Callable[[StepKey, r.StepKind], None]] = field(default_factory=list)
    lose: Callable[[StepKey], None] = field(default=lambda _key: None)
    end: Callable[[StepKey, Ending], bool] = field(default=lambda _key, _ending: False)
    runs: Callable[[StepKey], bool] = field(default=lambda _key: False)
    left_behind: dict[str, set[str]] = field(default_factory=dict)  # by move: what rehearsals have left there
    cut_off: dict[StepKey, str] = field(default_factory=dict)  # what was out of reach in the middle, and why
    reach: Reach = field(init=False)

    def __post_init__(self) -> None:
        """Connections are made before anything happens."""
        self.reach = Reach(self.world)

    def plays(self, command: RunPlaybook) -> Ending:
        """Begin an attempt in the world; it ends by itself at its time."""
        timeline = self.world.timeline
        key, noise = command.key, Random(f"{self.seed}/{command.key}")  # noqa: S311 -- a seed must replay
        started = self.planned[key.run]
        step = next(s for s in started.steps if s.name == key.step)
        took_s = self._duration(started, step, command.timeout_s, noise)
        started, step = self._as_reached(command, started, step)
        move = self.world.nature.model.moves.get(started.move)
        apart = self._apart(started, step)
        target = apart or step.place or started.to_place or started.from_place or started.service
        ending = self._refused(command, target, step, timeline.now)
        if ending is not None:
            timeline.after(REFUSED_S, lambda: self._finish(key, ending))
            return Ending(hangs=True)
        if move is None or (why := self._out_of_reach(started, step, move)):
            said = Ending(AttemptEnd.UNREACHABLE, why if move is not None else "the move is not known any more")
            timeline.after(min(UNREACHABLE_S, command.timeout_s), lambda: self._finish(key, said))
            return Ending(hangs=True)
        luck = self._misfortune(started, step, noise)
        self._schedule(command, started, step, move, took_s, luck, noise)
        return Ending(hangs=True)

    def keeps_epochs(self, target: str) -> bool:
        """Whether the epoch guard finds a shell there."""
        return Random(f"{self.seed}/{target}/shell").random() >= WITHOUT_SHELL  # noqa: S311 -- a seed must replay

    # ---- how it goes

    def _as_reached(
        self, command: RunPlaybook, started: r.RunStarted, step: r.PlannedStep
    ) -> tuple[r.RunStarted, r.PlannedStep]:
        """The same run as the hosts see it that the playbook really reaches."""
        place = step.place or started.to_place or started.from_place or self.world.services[started.service].place
        place = self._apart(started, step) or place
        client = self.reach.whose(command.client, place or "")
        if client == started.service.partition("/")[0]:
            return started, step
        model = self.world.nature.model
        known = {*model.services, *model.moves, *model.places}

        def there(name: str) -> str:
            twin = twin_of(name, client)
            return twin if twin in known else name

        to, left, place = started.to_place, started.from_place, step.place
        seen = replace(
            started,
            service=there(started.service),
            move=there(started.move),
            from_place=there(left) if left else left,
            to_place=there(to) if to else to,
        )
        return seen, replace(step, place=twin_of(place, client) if place else place)

    def _apart(self, started: r.RunStarted, step: r.PlannedStep) -> str:
        """Where a rehearsal's playbook acts: the first place of its hosts, else hosts that are in none."""
        move = self.world.nature.model.moves.get(started.move)
        of = move.rehearse if move is not None and step.kind in APART and not step.simulated else None
        return min(of.places, default=f"{started.move}:rehearsal") if of is not None else ""

    def _duration(self, started: r.RunStarted, step: r.PlannedStep, timeout_s: float, noise: Random) -> float:
        usual_s = self.usual_s.get(f"{started.move}/{step.kind.value}")
        if usual_s is None:
            usual_s = max(SHORTEST_S, timeout_s * ASSUMED_SHARE)
        return min(usual_s * noise.uniform(0.7, 1.5), timeout_s * 0.9)

    def _refused(self, command: RunPlaybook, target: str, step: r.PlannedStep, now: float) -> Ending | None:
        """The epoch guard before the author's playbook."""
        if command.epoch < self.epochs.get(target, 0):
            seen = self.epochs[target]
            return Ending(AttemptEnd.STALE_EPOCH, f"{target} has seen epoch {seen}; this is {command.epoch}")
        self.epochs[target] = command.epoch
        if not self.keeps_epochs(target):
            self.unguarded[command.key] = (f"{target}: no shell answered",)
        attempt = Attempt(command.key, step.kind, command.epoch, target, now, target.partition("/")[0])
        self.accepted.append(attempt)
        for told in self.on_accept:
            told(attempt)
        return None

    def _out_of_reach(self, started: r.RunStarted, step: r.PlannedStep, move: Move) -> str:
        """Why the playbook reaches nothing; empty if it does."""
        world, place = self.world, step.place
        if "local" in world.blind:
            return "no way out of here"
        if step.kind is r.StepKind.FENCE and not step.hand_over:
            fence = world.nature.model.places[place or ""].fence
            checks = [world.nature.questions[c] for c in fence.proven_when.checks()] if fence else []
            dead = next((n for q in checks for n in q.needs if not world.lives(n)), None)
            return f"{dead} does not answer" if dead and place not in {q.inside for q in checks} else ""
        if step.kind is r.StepKind.FENCE:
            return "" if world.has_power(place) and world.connected(place) else f"{place} does not answer"
        if apart := self._apart(started, step):
            there = apart not in world.nature.model.places or (world.has_power(apart) and world.connected(apart))
            return "" if there else f"{apart} does not answer"
        if step.kind in TOWARDS and move.to is not None:
            there = move.to not in world.dark and world.connected(move.to)
            return "" if there else f"{move.to} does not answer"
        if step.kind in ANYWHERE:
            return ""
        place = place or world.services[started.service].place
        if not world.has_power(place):
            return f"{place} does not answer"
        leads = move.via is not None or move.undoes is not None or step.kind is not r.StepKind.EXECUTE
        return "" if leads or world.connected(place) else f"{place} does not answer"

    def _misfortune(self, started: r.RunStarted, step: r.PlannedStep, noise: Random) -> str:
        on = step.place if step.kind is r.StepKind.FENCE and step.place else started.move
        for each in self.misfortunes.get(on, []):
            if noise.random() < each.share:
                return each.kind
        moving = step.kind in TOWARDS
        return "fails" if moving and started.move in self.world.broken else ""

    def _schedule(
        self,
        command: RunPlaybook,
        started: r.RunStarted,
        step: r.PlannedStep,
        move: Move,
        took_s: float,
        luck: str,
        noise: Random,
    ) -> None:
        key, timeline = command.key, self.world.timeline
        effect_at = timeline.now + took_s * noise.uniform(0.3, 0.8)
        takes_effect = luck in ("", "unseen") or (luck in ("half", "hangs") and noise.random() < 0.5)
        follow = luck != "half"
        if takes_effect:
            timeline.at(effect_at, lambda: self._take_effect(key, started, step, move, follow))
        if luck == "hangs":
            out = Ending(AttemptEnd.TIMED_OUT, f"longer than {command.timeout_s:g} s")
            timeline.after(command.timeout_s, lambda: self._finish(key, out))
        elif luck == "unseen":
            timeline.after(took_s, lambda: self.lose(key))
        elif luck in ("fails", "half"):
            timeline.after(took_s, lambda: self._finish(key, Ending(AttemptEnd.FAILED, "a task failed")))
        else:
            timeline.after(took_s, lambda: self._finish(key, self._ended_well(command, step)))

    def _ended_well(self, command: RunPlaybook, step: r.PlannedStep) -> Ending:
        """With what it publishes: a survey tells what is there at that moment."""
        move = self.planned[command.key.run].move
        here: list[Json] = [*sorted(self.left_behind.get(move, ()))]
        stats: dict[str, Json] = {"bascule_survey": {"target": {"things": here}}} if command.stats else {}
        return Ending(AttemptEnd.OK, "playbook ended well", stats=stats)

    def _finish(self, key: StepKey, ending: Ending) -> None:
        if ending.outcome is AttemptEnd.OK and (why := self.cut_off.get(key)):
            ending = Ending(AttemptEnd.UNREACHABLE, why)
        self.end(key, replace(ending, unguarded=self.unguarded.get(key, ())))

    def _take_effect(self, key: StepKey, started: r.RunStarted, step: r.PlannedStep, move: Move, follow: bool) -> None:
        if not self.runs(key):
            return  # cancelled or killed before
        if why := self._out_of_reach(started, step, move):
            self.cut_off[key] = why  # what it works on has gone meanwhile
            return
        world, service = self.world, started.service
        if step.simulated:
            return
        self.effects.append((world.timeline.now, key, step.kind.value))
        for told in self.on_effect:
            told(key, step.kind)
        if step.kind is r.StepKind.FENCE and step.place:
            if step.hand_over:
                world.stop_at(service, step.place)
            else:
                world.switch_off(step.place)
        elif step.kind is r.StepKind.EXECUTE:
            self._move(service, move, follow)
        elif step.kind in LEAVES:
            self.left_behind.setdefault(started.move, set()).add(step.name)
        elif step.kind.value == "clean up":
            self.left_behind.pop(started.move, None)
        elif step.kind.value == "isolate" and step.place:
            world.isolated.add(step.place)
            world.changed()

    def _move(self, service: str, move: Move, follow: bool) -> None:
        world = self.world
        if move.to is not None:
            world.engaged.discard(move.undoes or "")
            world.start_at(service, move.to)
            if follow:
                world.lead_to(service, move.to)
            return
        if move.undoes is not None:
            world.engaged.discard(move.undoes)
            world.changed()
        elif move.via is not None:
            world.engaged.add(move.id)
            world.changed()
        else:
            for each in world.nature.uses[move.id]:
                world.restart(each)
