"""A small scripted world around the real engine, for tests of your own guards and plans: no clock, no sleep, no files.

    world = World(model_of(Path(".")))
    world.run(60)                                     # a minute in which all is well
    world.silent("acme/erp-page@desk")                # from now on this check gets no reply
    world.run(300)
    assert world.decided().services["acme/erp"].place == "acme/geo"

The one rule it keeps: the engine is the real one, and everything around it is plain. Checks answer what `answers` says
at the moment they are asked. Playbooks take `takes` seconds and end as `outcomes` says; then `effects` change the
world, and `stats` tells what they publish. Times are seconds from the start.
"""

from __future__ import annotations

import difflib
import heapq
import itertools
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

from orchestrator.core import commands as c
from orchestrator.core import events as e
from orchestrator.core import records as r
from orchestrator.core.engine import Engine
from orchestrator.core.model import Json, Model
from orchestrator.core.state.decided import Decided
from orchestrator.core.state.fold import fold


def model_of(workspace: Path) -> Model:
    """The compiled configuration of a workspace. Raises ConfigurationInvalid, with every fault."""
    from orchestrator.shell.wiring import read_workspace

    return read_workspace(workspace).model


class World:
    """Runs the engine against a script of answers and playbooks, in virtual time.

    Checks are called by their ids (`client/name@host`), or without the client where there is one client only; playbooks
    by their paths without `.yml`.
    """

    def __init__(
        self,
        model: Model,
        *,
        answers: Mapping[str, e.Answer] | None = None,
        measures: Mapping[str, Mapping[str, float]] | None = None,
    ) -> None:
        """A controller starts. `answers`: of checks that do not answer well from the start. `measures`: by check."""
        self.model = model
        self.now = 0.0
        self.answers: dict[str, e.Answer] = dict(answers or {})
        self.measures: dict[str, dict[str, float]] = {c: dict(m) for c, m in (measures or {}).items()}
        self.takes: dict[str, float] = {}
        self.outcomes: dict[str, e.AttemptEnd] = {}
        self.effects: dict[str, Callable[[], None]] = {}
        self.stats: dict[str, Callable[[], Mapping[str, Json]]] = {}
        self.entries: list[tuple[float, tuple[r.Record, ...]]] = []
        self.played: list[str] = []
        self.told: list[c.TellPeople] = []
        self.answered: list[c.Answered] = []
        self.hang: set[str] = set()  # playbooks that never end by themselves
        self.deaf = False  # the runner takes in nothing
        self.nobody_there = False  # no notice reaches anybody
        self.lines_hang = False  # whether it does is not known yet
        self.cancelled: list[e.StepKey] = []
        self.commanded: list[c.RunPlaybook] = []
        self.running: dict[e.StepKey, str] = {}
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._count = itertools.count()
        self._every: dict[str, float] = {}
        self._epoch = 0
        self._wake_at = float("inf")
        self.up = False
        self._life = 0
        self.engine = Engine(Model(""))
        self.start()

    # ---- the controller's life

    def start(self, same_boot: bool = True, assumed_gap_s: float = 0.0) -> None:
        """Start a controller on what was decided so far."""
        self._life += 1
        self._epoch += 1
        self.up = True
        self._step(e.ControllerStarted(f"c{self._epoch}", self._epoch, "boot", same_boot, assumed_gap_s))
        self._step(e.ConfigurationLoaded(self.model))
        life = self._life
        for n, name in enumerate(self.model.checks):
            self._every[name] = self.model.checks[name].every_s
            self.at(self.now + 0.01 * n, partial(self._beat, name, life))

    def crash(self) -> None:
        """The controller dies; what its runner was doing is lost, the world goes on."""
        self._life += 1
        self.up, self._wake_at = False, float("inf")
        records = [x for _, entry in self.entries for x in entry]
        rebuilt = fold(records)
        if rebuilt != self.engine.decided:
            raise RuntimeError("what was decided is not what the records tell")
        self.engine = Engine(self.model, rebuilt, self.engine.rows)
        self.running.clear()

    def stand_still(self, for_s: float) -> None:
        """The controller is stopped for so long, and goes on: nobody else has taken its lease."""
        self.up, self._wake_at = False, float("inf")
        self.run(for_s)
        self.up = True
        self._step(e.Ticked())

    # ---- the script

    def good(self, *names: str) -> None:
        """From now on these checks answer well."""
        self._answer(e.Answer.GOOD, names)

    def bad(self, *names: str) -> None:
        """From now on these checks answer badly."""
        self._answer(e.Answer.BAD, names)

    def silent(self, *names: str) -> None:
        """From now on these checks get no reply."""
        self._answer(e.Answer.SILENT, names)

    def nothing(self, *names: str) -> None:
        """From now on these probes cannot ask."""
        self._answer(e.Answer.NONE, names)

    def _answer(self, answer: e.Answer, names: tuple[str, ...]) -> None:
        for name in names:
            self.answers[self.id_of(name)] = answer

    def id_of(self, name: str) -> str:
        """The id of a check. Raises ValueError where the model has none of this name, with the nearest."""
        clients = {check.client for check in self.model.checks.values()}
        found = name if "/" in name or len(clients) != 1 else f"{next(iter(clients))}/{name}"
        if found not in self.model.checks:
            near = difflib.get_close_matches(found, self.model.checks, n=3, cutoff=0.5)
            raise ValueError(f"there is no check {found}; nearest: {', '.join(near) or 'none'}")
        return found

    def say(self, kind: e.WordKind, subject: str, word: str | None = None, **options: object) -> c.Answered:
        """A named operator says something; the answer."""
        self.speak(kind, subject, word, **options)
        return self.answered[-1]

    def speak(self, kind: e.WordKind, subject: str, word: str | None = None, **options: object) -> None:
        """A named operator says something to a controller that may die of it, before it has answered."""
        name = word or f"w{next(self._count)}"
        self._step(e.WordSpoken(name, kind, "Ada", subject, "a reason", options))  # type: ignore[arg-type]

    def hears(self, event: e.Event) -> None:
        """An event from outside the script."""
        self._step(event)

    def run(self, for_s: float) -> None:
        """Let the world go on for so long."""
        until = self.now + for_s
        while self._next_at() <= until:
            self.go()
        self.now = until

    def go(self) -> None:
        """Let the next thing happen, whenever that is."""
        at = self._next_at()
        if at == float("inf"):
            raise RuntimeError("nothing will happen any more")
        self.now = max(self.now, at)
        if self._queue and self._queue[0][0] <= self._wake_at:
            heapq.heappop(self._queue)[2]()
        else:
            self._step(e.Ticked())

    def _next_at(self) -> float:
        return min(self._queue[0][0], self._wake_at) if self._queue else self._wake_at

    def at(self, at: float, do: Callable[[], None]) -> None:
        """Do this then."""
        heapq.heappush(self._queue, (at, next(self._count), do))

    # ---- what came of it

    def records(self, *kinds: type) -> Iterator[r.Record]:
        """All records of these kinds, in order."""
        return (x for _, entry in self.entries for x in entry if not kinds or isinstance(x, kinds))

    def last(self, kind: type) -> r.Record:
        """The last record of this kind."""
        return list(self.records(kind))[-1]

    def decided(self) -> Decided:
        """The engine's decided state."""
        return self.engine.decided

    # ---- inside

    def _step(self, event: e.Event) -> None:
        if not self.up:
            return  # nobody there to hear it
        outcome = self.engine.step(event, self.now)
        if outcome.records:
            self.entries.append((self.now, outcome.records))
        self._wake_at = outcome.wake_at
        for command in outcome.commands:
            self._carry_out(command)

    def _beat(self, name: str, life: int) -> None:
        if life != self._life:
            return
        self._ask(name)
        self.at(self.now + self._every[name], lambda: self._beat(name, life))

    def _ask(self, name: str) -> None:
        sent_at, answer, life = self.now, self.answers.get(name, e.Answer.GOOD), self._life
        delay_s = 0.5 if answer in (e.Answer.SILENT, e.Answer.NONE) else 0.002
        seen = e.Observed(name, sent_at, answer, dict(self.measures.get(name, {})), answer.value)
        self.at(self.now + delay_s, lambda: self._step(seen) if life == self._life else None)

    def _carry_out(self, command: c.Command) -> None:
        if isinstance(command, c.RunPlaybook | c.SettleStep | c.CancelStep) and self.deaf:
            return
        if isinstance(command, c.RunPlaybook):
            self.commanded.append(command)
            self._play(command)
        elif isinstance(command, c.SettleStep):
            key = command.key
            self.at(self.now + 0.1, lambda: self._step(e.StepEnded(key, e.AttemptEnd.LOST, "the runner was killed")))
        elif isinstance(command, c.CancelStep):
            self.cancelled.append(command.key)
            self._end(command.key, e.AttemptEnd.CANCELLED)
        elif isinstance(command, c.ProbeNow):
            for name in command.checks:
                self.at(self.now, partial(self._ask, name))
        elif isinstance(command, c.UseCadence):
            self._every.update(command.cadence)
        elif isinstance(command, c.TellPeople):
            self.told.append(command)
            heard: e.Event = e.NoticeDelivered(command.id, "test")
            if self.nobody_there:
                heard = e.NoticeFailed(command.id, "nobody there")
            if not self.lines_hang:
                self.at(self.now + 0.1, lambda: self._step(heard))
        elif isinstance(command, c.Answered):
            self.answered.append(command)

    def _play(self, command: c.RunPlaybook) -> None:
        name = command.playbook.path.removesuffix(".yml")
        self.played.append(name)
        self.running[command.key] = name
        if name in self.hang:
            self.at(self.now + command.timeout_s, lambda: self._end(command.key, e.AttemptEnd.TIMED_OUT))
            return
        self.at(self.now + self.takes.get(name, 2.0), lambda: self._end(command.key, self.outcomes.get(name)))

    def _end(self, key: e.StepKey, outcome: e.AttemptEnd | None) -> None:
        name = self.running.pop(key, None)
        if name is None:
            return
        well = outcome in (None, e.AttemptEnd.OK)
        if well and name in self.effects:
            self.effects[name]()
        stats = self.stats[name]() if well and name in self.stats else {}
        detail = "" if outcome is None else f"{name}: {outcome.value}"
        self._step(e.StepEnded(key, outcome or e.AttemptEnd.OK, detail, stats=stats))


def story(world: World) -> list[str]:
    """The decisions, one line each, as an operator would tell them."""
    lines = []
    for at, entry in world.entries:
        for x in entry:
            if isinstance(x, r.TierJudged):
                lines.append(f"{at:7.2f} {x.incident} tier {x.tier} {x.move} {x.state.value}: {x.reason.value}")
            elif isinstance(x, r.StepFinished):
                lines.append(f"{at:7.2f} {x.run} {x.step} {x.state.value}: {x.reason.value}")
            elif isinstance(x, (r.IncidentOpened, r.IncidentReopened, r.IncidentEnded, r.ServiceJudged, r.RunEnded)):
                lines.append(
                    f"{at:7.2f} {type(x).__name__} {getattr(x, 'incident', getattr(x, 'run', ''))} "
                    f"{getattr(x, 'reason', '')} {getattr(x, 'evidence', '')}"
                )
    return lines
