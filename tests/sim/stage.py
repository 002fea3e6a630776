"""A simulated world for stories: a person who waits for what the journal says, and says words until they are heard.

The one rule it keeps: it waits for conditions and not for times, so that a controller that dies or stands still in the
middle only makes a story longer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from orchestrator.core import commands as c
from orchestrator.core import events as e
from orchestrator.core import records as r
from orchestrator.core.events import WordKind
from orchestrator.core.model import Json, Model
from orchestrator.core.records import Record, Verdict
from orchestrator.core.state.decided import Decided
from orchestrator.core.state.fold import fold
from orchestrator.sim.disaster import operator
from orchestrator.sim.faults import Fault, FaultKind
from orchestrator.sim.narration import tell
from orchestrator.sim.nature import Nature
from orchestrator.sim.simulation import Simulation

BEAT_S = 0.25
WAIT_S = 150.0
REST_S = 75.0  # longer than the oracles' bound for a wait with a reason
STEPS = ("prepare", "fence", "execute", "finish")

R = TypeVar("R", bound=Record)


class NeverHappened(AssertionError):
    """What a story waited for did not come."""


class WithAPerson(Exception):
    """What a story waited for is in the hands of a person who has been told: the story ends here."""


class Stage:
    """One world, one journal, and whoever decides in it. `steps_s`: how long a playbook takes, about."""

    def __init__(
        self,
        model: Model,
        nature: Nature | None = None,
        seed: str = "stage",
        faults: tuple[Fault, ...] = (),
        steps_s: float = 2.0,
    ) -> None:
        """All is well, and stays so until `faults` (controllers that die at an entry) and the story."""
        usual_s = {f"{move}/{kind}": steps_s for move in model.moves for kind in STEPS}
        self.sim = Simulation(model, (), seed, usual_s=usual_s, nature=nature)
        self.model = model
        self._words = 0
        for fault in faults:
            self.sim.disasters.begin(fault)

    # ---- what happens

    def begin(self, kind: FaultKind, subject: str = "", **more: object) -> None:
        """Something goes wrong now; for good, unless `for_s` says for how long."""
        self.sim.disasters.begin(Fault(self.sim.timeline.now, kind, subject, **more))  # type: ignore[arg-type]

    def end(self, kind: FaultKind, subject: str = "") -> None:
        """What went wrong is mended now."""
        self.sim.disasters.end(kind, subject)

    def run(self, for_s: float) -> None:
        """Let so much time pass."""
        self.sim.run(self.sim.timeline.now + for_s)

    def wait(self, what: str, condition: Callable[[], object], within_s: float = WAIT_S) -> None:
        """Wait until it holds. Raises NeverHappened, or WithAPerson where that is why it did not."""
        ends = self.sim.timeline.now + within_s
        while not condition():
            if self.sim.timeline.now >= ends:
                if self.with_a_person():
                    raise WithAPerson(what)
                raise NeverHappened(f"after {within_s:.0f} s: {what}\n{self.told()}")
            self.run(BEAT_S)

    def say(self, kind: WordKind, subject: str, /, **options: Json) -> c.Answered:
        """A person says it, and again with the same id until somebody answers."""
        self._words += 1
        run = self.decided.runs.get(subject)
        who = operator(self.sim.model, run.started.service if run is not None else subject)
        word = e.WordSpoken(f"said-{self._words}", kind, who, subject, "a reason", options)
        answers = self.sim.people.answers

        def heard() -> bool:
            controller = self.sim.active()
            if word.id not in answers and controller is not None:
                controller.hear(word)
            return word.id in answers

        self.wait(f"an answer to {kind.value} {subject}", heard, 60.0)
        return answers[word.id]

    def insist(self, kind: WordKind, subject: str, /, **options: Json) -> None:
        """A person says it, and says it anew while it is refused: a new controller does not know enough at once."""
        self.wait(f"{kind.value} {subject} is accepted", lambda: self.say(kind, subject, **options).accepted, 60.0)

    def waiting_approval(self) -> str | None:
        """The run that waits for a named approval."""
        runs = self.decided.unfinished_runs()
        here = [x.id for x in runs if (at := x.current()) is not None and at.kind is r.StepKind.APPROVAL]
        return here[0] if here and self.sim.active() is not None else None

    def approve(self, fenced: str) -> None:
        """A person goes to this place, switches it off, says so and approves; again, if it is asked again."""
        self.sim.happens(f"a person goes to {fenced} and switches it off by hand")
        self.sim.world.switch_off(fenced)

        def approved() -> bool:
            run = self.waiting_approval()
            return run is not None and self.say(WordKind.APPROVE, run, fenced=fenced).accepted

        self.wait("an approval that is accepted", approved)

    # ---- what came of it

    @property
    def records(self) -> list[Record]:
        """The journal's records."""
        return [x for entry in self.sim.entries for x in entry.records]

    @property
    def decided(self) -> Decided:
        """The decided state, as the deciding controller has it; as the journal has it where none decides."""
        controller = self.sim.active()
        if controller is not None and controller.shell is not None:
            return controller.shell.engine.decided
        return fold(self.records)

    def of(self, kind: type[R]) -> list[R]:
        """The records of a kind."""
        return [x for x in self.records if isinstance(x, kind)]

    def settled(self) -> bool:
        """No incident is open and no run unfinished, and somebody decides."""
        decided = self.decided
        return self.sim.active() is not None and not decided.open_incidents() and not decided.unfinished_runs()

    def at(self, service: str, place: str) -> bool:
        """The service is on record there, works there, and nothing of it is open."""
        decided = self.decided
        mine = [x for x in decided.unfinished_runs() if x.started.service == service]
        known = decided.services[service]
        truth = self.sim.world
        there = known.place == place == truth.services[service].place and truth.works(service)
        return there and known.incident is None and not mine and self.sim.active() is not None

    def up(self, *checks: str) -> bool:
        """Whether all checks of these names are up."""
        verdicts = self.decided.verdicts
        found = [x.id for x in self.model.checks.values() if x.name in checks]
        good = (Verdict.UP, Verdict.DEGRADED)
        return len(found) >= len(checks) and all(x in verdicts and verdicts[x].verdict in good for x in found)

    def with_a_person(self) -> bool:
        """A run waits for a person, or an incident is a person's, and people have been told of it."""
        decided = self.decided
        told = {x.subject for _, x in self.sim.people.told}
        waiting = {x.started.service for x in decided.unfinished_runs() if x.human is not None}
        incidents = decided.open_incidents()
        asked = {i.service for i in incidents if i.judged is not None and i.judged.decision is r.Decision.ASK}
        return bool((waiting | asked) & told)

    def rest(self, rest_s: float = REST_S) -> None:
        """Everything comes to rest; then the last of the statements is tried."""
        self.run(rest_s)
        self.sim.oracles.at_rest(self.sim.timeline.now)

    def outcome(self) -> Mapping[str, object]:
        """How it ended: for each service where it runs by record and in truth, and whether its users are served."""
        decided, world = self.decided, self.sim.world
        ends: dict[str, object] = {
            name: (
                known.place,
                sorted(known.may_act),
                world.services[name].place,
                world.works(name),
                known.incident is None,
            )
            for name, known in decided.services.items()
        }
        ends["engaged"] = (sorted(decided.engaged), sorted(world.engaged))
        ends["unfinished"] = sorted(x.started.move for x in decided.unfinished_runs())
        return ends

    def told(self) -> str:
        """The story so far, for whoever has to find out."""
        return "\n".join(tell(self.sim.result(), checks=False))
