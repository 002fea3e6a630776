"""A runner that outlives controllers, and a reader who knows nothing but the records: what runs are held against."""

from __future__ import annotations

from dataclasses import replace

from orchestrator.core import commands as c
from orchestrator.core import events as e
from orchestrator.core import records as r
from orchestrator.core.events import WordKind
from orchestrator.core.model import Dependency, Fence, FenceBy, Mode, Model, Move, Place, Service, Tier
from orchestrator.core.reasons import Reason
from tests.core.world import World, all_of, book, check

NAMES = ["erp", "web", "route-b", "uses-b", "hq-off", "geo-off", "geo-ready", "at-geo", "handed", "ref"]
DESTRUCTIVE = (r.StepKind.PREPARE, r.StepKind.FENCE, r.StepKind.EXECUTE, r.StepKind.FINISH)
FINAL = (r.StepKind.FENCE, r.StepKind.EXECUTE)  # preparing stops nothing yet
QUESTIONS = (r.StepKind.PREFLIGHT, r.StepKind.RECHECK)


def two_sites(web_mode: Mode) -> Model:
    """An exclusive service with a second site, and another one that is mended in place, on the same uplink."""
    checks = {f"acme/{n}": check(n, rise=1, fall=2) for n in NAMES} | {"acme/ref": check("ref", reference=True)}

    def place(name: str) -> Place:
        return Place(f"acme/{name}", "acme", name, Fence(book(f"off-{name}"), all_of(f"{name}-off"), FenceBy.ALWAYS))

    def move(name: str, verify: str, **changes: object) -> Move:
        return replace(Move(f"acme/{name}", "acme", name, book(name), all_of(verify)), **changes)  # type: ignore[arg-type]

    hand_over = Fence(book("hand-over"), all_of("handed"), FenceBy.ALWAYS, safe_to_repeat=False)
    moves = [
        move("reroute", "erp", holds=("acme/route",), viable_when=all_of("route-b"), safe_to_repeat=True),
        move("once", "web", holds=("acme/route",), viable_when=all_of("route-b"), prepare=book("get-ready")),
        move("to-geo", "erp", to="acme/geo", viable_when=all_of("geo-ready"), done_when=all_of("at-geo")),
        move("to-hq", "erp", to="acme/hq", prepare=book("rebuild"), hand_over=hand_over, finish=book("tidy")),
    ]
    ladder = (Tier("acme/reroute"), Tier("acme/to-geo"))
    erp = Service(
        "acme/erp", "acme", "erp", all_of("erp"), ladder, 900.0,
        mode=Mode.AUTO, home="acme/hq", exclusive=True, failback=("acme/to-hq",),
    )  # fmt: skip
    web = Service(
        "acme/web", "acme", "web", all_of("web"), (Tier("acme/once"),), 300.0,
        mode=web_mode, home="acme/hq", depends_on=(Dependency("acme/erp"),), approval_expires_s=60.0,
    )  # fmt: skip
    places = {p.id: p for p in (place("hq"), place("geo"))}
    return Model("two-sites", checks, places, {m.id: m for m in moves}, {s.id: s for s in (erp, web)})


class Book:
    """What the records alone say, kept by a reader who does not know the engine."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.begun: dict[tuple[str, str], int] = {}  # run and step: the last attempt that was intended
        self.over: set[tuple[str, str]] = set()
        self.runs: dict[str, r.RunStarted] = {}
        self.plans: dict[str, list[tuple[str, r.StepKind]]] = {}
        self.asked_at: dict[str, float] = {}  # run: when its preconditions last held
        self.held: dict[str, str] = {}
        self.may_act = {"acme/erp": {"acme/hq"}, "acme/web": {"acme/hq"}}
        self.aborted: set[str] = set()
        self.approved: set[str] = set()
        self.retried: dict[tuple[str, str], Reason] = {}
        self.holds: set[str] = set()

    def kind(self, run: str, step: str) -> r.StepKind:
        """What kind of step this is."""
        return dict(self.plans[run])[step]

    def committed(self, run: str) -> bool:
        """Whether anything has begun that stops or moves what works; preparing does not."""
        return any(x == run and self.kind(x, s) in FINAL for x, s in self.begun)

    def takes(self, x: r.Record) -> None:
        """One record more."""
        if isinstance(x, r.RunStarted):
            for resource in x.resources:
                assert resource not in self.held, f"{x.run} takes {resource} from {self.held[resource]}"
                self.held[resource] = x.run
            self.runs[x.run] = x
            self.plans[x.run] = [(s.name, s.kind) for s in x.steps]
        elif isinstance(x, r.RecheckAdded):
            names = [name for name, _ in self.plans[x.run]]
            self.plans[x.run].insert(names.index(x.before), (x.step, r.StepKind.RECHECK))
        elif isinstance(x, r.RunEnded):
            self.held = {k: v for k, v in self.held.items() if v != x.run}
        elif isinstance(x, r.StepBegan):
            self.may_begin(x)
            self.begun[x.run, x.step] = x.attempt
        elif isinstance(x, r.StepFinished):
            self.over.add((x.run, x.step))
            if self.kind(x.run, x.step) in QUESTIONS and x.state is r.StepState.DONE:
                self.asked_at[x.run] = x.at
        elif isinstance(x, r.StepRetried):
            self.retried[x.run, x.step] = x.reason
        elif isinstance(x, r.MayActAdded):
            self.may_act[x.service].add(x.place)
        elif isinstance(x, r.MayActRemoved):
            self.may_act[x.service].discard(x.place)
        elif isinstance(x, r.AbortAsked):
            self.aborted.add(x.run)
        elif isinstance(x, r.RunApproved):
            self.approved.add(x.run)
        elif isinstance(x, r.WordAccepted) and x.kind in (WordKind.HOLD, WordKind.RESUME):
            (self.holds.add if x.kind is WordKind.HOLD else self.holds.discard)(x.subject)

    def may_begin(self, x: r.StepBegan) -> None:
        """Whether this step could begin now, by everything that was written before."""
        started, kind = self.runs[x.run], self.kind(x.run, x.step)
        assert (x.run, x.step) not in self.over, "a step that is over runs again"
        assert x.attempt == self.begun.get((x.run, x.step), 0) + 1
        assert x.run not in self.aborted, "an aborted run goes on"
        names = [name for name, _ in self.plans[x.run]]
        before = names[: names.index(x.step)]
        assert all((x.run, name) in self.over for name in before), "a step began before the ones it rests on"
        if kind not in DESTRUCTIVE:
            return
        assert x.run in self.asked_at, "something is changed before the preconditions were seen to hold"
        if kind in FINAL and not self.committed(x.run):
            ago_s = x.at - self.asked_at[x.run]
            assert ago_s <= self.model.limits.preflight_fresh_s, f"the preconditions held {ago_s} s ago"
        if started.origin is r.Origin.AUTOMATIC and not self.committed(x.run):
            assert not self.holds & {"*", "acme", started.service}, "a held service's run went past its fence"
        if started.origin is r.Origin.AUTOMATIC and self.model.services[started.service].mode is Mode.ASK:
            assert x.run in self.approved, "nobody approved it"
        if kind is r.StepKind.EXECUTE and started.to_place and self.model.services[started.service].exclusive:
            assert self.may_act[started.service] <= {started.to_place}, "two places might act"


class Outside(World):
    """The world with a runner whose attempts outlive controllers, and end when the story says so."""

    def __init__(self, model: Model) -> None:
        self.book = Book(model)
        self.truly: dict[e.StepKey, c.RunPlaybook] = {}  # attempts that run
        self.results: dict[e.StepKey, e.AttemptEnd] = {}  # of those that have ended
        self.followed: set[e.StepKey] = set()  # by the present controller
        self.dies_next = False
        super().__init__(model)

    def _step(self, event: e.Event) -> None:
        if not self.up:
            return
        outcome = self.engine.step(event, self.now)
        if outcome.records:
            self.entries.append((self.now, outcome.records))
        for record in outcome.records:
            self.book.takes(record)
        self._wake_at = outcome.wake_at
        if self.dies_next and any(isinstance(x, c.RunPlaybook) for x in outcome.commands):
            self.dies_next = False
            self.crash()
            return
        for command in outcome.commands:
            self._carry_out(command)

    def crash(self) -> None:
        """The controller dies; what its runner began goes on."""
        super().crash()
        self.followed.clear()

    def _carry_out(self, command: c.Command) -> None:
        if isinstance(command, c.RunPlaybook):
            self._begins(command)
        elif isinstance(command, c.SettleStep):
            self._later(lambda: self._settles(command.key))
        elif isinstance(command, c.CancelStep):
            self._later(lambda: self._cancels(command.key))
        else:
            super()._carry_out(command)

    def _later(self, do: object) -> None:
        life = self._life
        self.at(self.now + 0.1, lambda: do() if life == self._life else None)  # type: ignore[operator]

    def _begins(self, command: c.RunPlaybook) -> None:
        key = command.key
        assert self.book.begun.get((key.run, key.step)) == key.attempt, "an effect without an earlier intent"
        assert key not in {*self.truly, *self.results}, "an attempt is carried out twice"
        mine = set(self.book.runs[key.run].resources)
        for other in self.truly:
            assert (other.run, other.step) != (key.run, key.step), "tried again while the attempt before still runs"
            assert not mine & set(self.book.runs[other.run].resources), "two runs act on one resource"
        if key.attempt > 1:
            earlier = e.StepKey(key.run, key.step, key.attempt - 1)
            why = self.book.retried[key.run, key.step]
            assert earlier in self.results or why is Reason.NEVER_BEGUN, "its end was not seen, and it is tried again"
            assert why is not Reason.NEVER_BEGUN or earlier not in self.results, "it had begun"
            once = command.playbook.path in ("once.yml", "get-ready.yml", "to-geo.yml", "to-hq.yml", "hand-over.yml")
            assert not once or why is not Reason.UNDETERMINED, "what may not be repeated is repeated in the dark"
        self.truly[key] = command
        self.followed.add(key)

    def ends(self, key: e.StepKey, outcome: e.AttemptEnd) -> None:
        """An attempt ends; whoever follows it is told."""
        command = self.truly.pop(key)
        self.results[key] = outcome
        name = command.playbook.path.removesuffix(".yml")
        if outcome in (e.AttemptEnd.OK, e.AttemptEnd.TIMED_OUT) and name in self.effects:
            self.effects[name]()
        if key in self.followed:
            self.followed.discard(key)
            self._step(e.StepEnded(key, outcome, outcome.value))

    def _settles(self, key: e.StepKey) -> None:
        if key in self.truly:
            self.followed.add(key)
            self._step(e.StepAdopted(key))
        else:
            self._step(e.StepEnded(key, self.results.get(key, e.AttemptEnd.NEVER_BEGUN), "looked up"))

    def _cancels(self, key: e.StepKey) -> None:
        if key in self.truly:
            self.followed.add(key)
            self.ends(key, e.AttemptEnd.CANCELLED)
        elif key not in self.results:
            self.results[key] = e.AttemptEnd.CANCELLED
            self._step(e.StepEnded(key, e.AttemptEnd.CANCELLED, "it had not been started"))
