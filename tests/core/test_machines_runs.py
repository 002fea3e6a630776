"""Any run, ended in any way: what the world's own account of attempts and the records alone say of it.

The runner here is the truth: an attempt goes on while controllers die, its result is told late, twice or never, and a
worker may be gone without one. Statements 4, 5, 6, 7, 14 and 16 of `docs/architecture.md`, and what words do to runs.
"""

from __future__ import annotations

from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from orchestrator.core import commands as c
from orchestrator.core import events as e
from orchestrator.core import records as r
from orchestrator.core.decided import Run
from orchestrator.core.events import WordKind
from orchestrator.core.model import Dependency, Fence, FenceBy, Mode, Model, Move, Place, Service, Tier
from orchestrator.core.reasons import Reason
from tests.core.world import World, all_of, book, check

NAMES = ["erp", "web", "route-b", "uses-b", "hq-off", "geo-off", "geo-ready", "at-geo", "handed", "ref"]
DESTRUCTIVE = (r.StepKind.PREPARE, r.StepKind.FENCE, r.StepKind.EXECUTE, r.StepKind.FINISH)
QUESTIONS = (r.StepKind.PREFLIGHT, r.StepKind.RECHECK)
ENDS = [
    e.Outcome.OK,
    e.Outcome.OK,
    e.Outcome.OK,
    e.Outcome.FAILED,
    e.Outcome.UNREACHABLE,
    e.Outcome.TIMED_OUT,
    e.Outcome.LOST,
]


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

    def past_the_fence(self, run: str) -> bool:
        """Whether anything that changes the world has begun."""
        return any(x == run and self.kind(x, s) in DESTRUCTIVE for x, s in self.begun)

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
        final = (r.StepKind.FENCE, r.StepKind.EXECUTE)  # preparing stops nothing yet
        if kind in final and not any(run == x.run and self.kind(run, step) in final for run, step in self.begun):
            ago_s = x.at - self.asked_at[x.run]
            assert ago_s <= self.model.limits.preflight_fresh_s, f"the preconditions held {ago_s} s ago"
        if started.origin is r.Origin.AUTOMATIC and not self.past_the_fence(x.run):
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
        self.results: dict[e.StepKey, e.Outcome] = {}  # of those that have ended
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

    def ends(self, key: e.StepKey, outcome: e.Outcome) -> None:
        """An attempt ends; whoever follows it is told."""
        command = self.truly.pop(key)
        self.results[key] = outcome
        name = command.playbook.path.removesuffix(".yml")
        if outcome in (e.Outcome.OK, e.Outcome.TIMED_OUT) and name in self.effects:
            self.effects[name]()
        if key in self.followed:
            self.followed.discard(key)
            self._step(e.StepEnded(key, outcome, outcome.value))

    def _settles(self, key: e.StepKey) -> None:
        if key in self.truly:
            self.followed.add(key)
            self._step(e.StepAdopted(key))
        else:
            self._step(e.StepEnded(key, self.results.get(key, e.Outcome.NEVER_BEGUN), "looked up"))

    def _cancels(self, key: e.StepKey) -> None:
        if key in self.truly:
            self.followed.add(key)
            self.ends(key, e.Outcome.CANCELLED)
        elif key not in self.results:
            self.results[key] = e.Outcome.CANCELLED
            self._step(e.StepEnded(key, e.Outcome.CANCELLED, "it had not been started"))


class Runs(RuleBasedStateMachine):
    """Disasters, words, deaths of controllers, and ends of attempts in any order."""

    @initialize(
        web_mode=st.sampled_from([Mode.AUTO, Mode.ASK]), down=st.sampled_from(["", "erp", "web", "web", "erp web"])
    )
    def a_morning(self, web_mode: Mode, down: str) -> None:
        """It begins well, not always for long; playbooks have their effects when they end well."""
        world = self.world = Outside(two_sites(web_mode))
        world.bad("uses-b", "at-geo", "handed", "geo-off", "hq-off")
        world.effects = {
            "reroute": lambda: world.good("erp"),
            "once": lambda: world.good("web"),
            "off-hq": lambda: world.good("hq-off"),
            "off-geo": lambda: world.good("geo-off"),
            "to-geo": lambda: world.good("erp", "at-geo"),
            "hand-over": lambda: world.good("handed"),
            "to-hq": lambda: world.good("erp"),
        }
        world.run(3)
        world.bad(*down.split())
        world.run(4)

    @rule(names=st.sampled_from([["erp"], ["web"], ["erp", "web"]]))
    def goes_down(self, names: list[str]) -> None:
        self.world.bad(*names)
        self.world.run(4)

    @rule(name=st.sampled_from([*NAMES, "at-geo"]), answer=st.sampled_from(list(e.Answer)))
    def answers(self, name: str, answer: e.Answer) -> None:
        self.world.answers[f"acme/{name}"] = answer

    @rule(for_s=st.sampled_from([0.2, 1.0, 4.0, 12.0, 40.0]))
    def time_passes(self, for_s: float) -> None:
        self.world.run(for_s)

    @precondition(lambda self: self.world.truly)
    @rule(data=st.data(), outcome=st.sampled_from(ENDS))
    def an_attempt_ends(self, data: st.DataObject, outcome: e.Outcome) -> None:
        self.world.ends(data.draw(st.sampled_from(sorted(self.world.truly))), outcome)
        self.world.run(0.5)

    @precondition(lambda self: self.world.up)
    @rule(at_once=st.booleans())
    def the_controller_dies(self, at_once: bool) -> None:
        """Now, or the next time between an intent and its command."""
        if at_once:
            self.world.crash()
        else:
            self.world.dies_next = True

    @precondition(lambda self: self.world.up and any(x.step == "prepare" for x in self.world.truly))
    @rule(for_s=st.sampled_from([1.0, 40.0]))
    def a_preparation_ends_well(self, for_s: float) -> None:
        """After a while, in which much may have changed."""
        self.world.run(for_s)
        for key in [x for x in sorted(self.world.truly) if x.step == "prepare"]:
            self.world.ends(key, e.Outcome.OK)
        self.world.run(1)

    @precondition(lambda self: self.world.up and self.world.truly)
    @rule(same_boot=st.booleans())
    def the_whole_machine_dies(self, same_boot: bool) -> None:
        """Controller and workers: what they began is over, and nobody knows how."""
        self.world.crash()
        for key in sorted(self.world.truly):
            self.world.ends(key, e.Outcome.LOST)
        self.world.start(same_boot)
        self.world.run(1)

    @precondition(lambda self: self.world.up and self.waiting())
    @rule(hold=st.booleans())
    def somebody_approves(self, hold: bool) -> None:
        """Perhaps in the same minute in which somebody else says: leave it alone."""
        run = self.waiting()[0]
        if hold:
            self.world.say(WordKind.HOLD, run.started.service)
        self.world.say(WordKind.APPROVE, run.id)
        self.world.run(1)

    def waiting(self) -> list[Run]:
        """The runs that wait for an approval."""
        unfinished = self.world.decided().unfinished_runs()
        return [x for x in unfinished if (step := x.current()) is not None and step.kind is r.StepKind.APPROVAL]

    @precondition(lambda self: not self.world.up)
    @rule(same_boot=st.booleans(), for_s=st.sampled_from([0.0, 5.0, 60.0]))
    def another_takes_over(self, same_boot: bool, for_s: float) -> None:
        self.world.run(for_s)
        self.world.start(same_boot)
        self.world.run(0.5)

    @precondition(lambda self: self.world.up and self.world.book.begun)
    @rule(data=st.data(), outcome=st.sampled_from(list(e.Outcome)))
    def old_news(self, data: st.DataObject, outcome: e.Outcome) -> None:
        """News of an attempt that is not the present one, or that has been heard already, changes no run."""
        begun = [
            e.StepKey(run, step, n) for (run, step), last in self.world.book.begun.items() for n in range(1, last + 1)
        ]
        old = [key for key in begun if not self.is_live(key)]
        if not old:
            return
        self.hears_again(data.draw(st.sampled_from(sorted(old))), outcome)

    @precondition(lambda self: self.world.up and any(key.attempt > 1 for key in self.world.truly))
    @rule(outcome=st.sampled_from(list(e.Outcome)))
    def old_news_of_the_attempt_before(self, outcome: e.Outcome) -> None:
        """It is no news of the attempt that runs now."""
        key = next(k for k in sorted(self.world.truly) if k.attempt > 1)
        self.hears_again(e.StepKey(key.run, key.step, key.attempt - 1), outcome)

    def hears_again(self, key: e.StepKey, outcome: e.Outcome) -> None:
        """An end that was heard, or that nobody waits for."""
        self.world.hears(e.Ticked())
        if not self.world.up or self.is_live(key):
            return
        before = len(self.world.entries)
        self.world.hears(e.StepEnded(key, outcome, "old news"))
        for record in (x for _, entry in self.world.entries[before:] for x in entry):
            assert getattr(record, "run", None) != key.run, f"{key} was over, and {record} came of it"

    def is_live(self, key: e.StepKey) -> bool:
        """Whether its end is still to be heard."""
        run = self.world.decided().runs[key.run]
        step = run.step(key.step)
        live = (r.StepState.RUNNING, r.StepState.UNSEEN)
        return run.ended is None and step.attempt == key.attempt and step.state in live

    @precondition(lambda self: self.world.up and self.world.decided().runs)
    @rule(kind=st.sampled_from([WordKind.ABORT, WordKind.APPROVE, WordKind.APPROVE, WordKind.REJECT]), data=st.data())
    def a_word_to_a_run(self, kind: WordKind, data: st.DataObject) -> None:
        unfinished = [x.id for x in self.world.decided().unfinished_runs()]
        self.world.say(kind, data.draw(st.sampled_from(unfinished or sorted(self.world.decided().runs))))
        self.world.run(0.5)

    @precondition(lambda self: self.world.up)
    @rule(
        kind=st.sampled_from([WordKind.HOLD, WordKind.RESUME, WordKind.FAILOVER, WordKind.FAILBACK]),
        service=st.sampled_from(["acme/erp", "acme/erp", "acme/web"]),
        move=st.sampled_from([None, "to-geo", "to-hq"]),
    )
    def a_word_about_a_service(self, kind: WordKind, service: str, move: str | None) -> None:
        self.world.say(kind, service, fence=True, move=move)
        self.world.run(0.5)

    @precondition(lambda self: self.world.up and self.world.decided().words)
    @rule(data=st.data())
    def a_word_is_repeated(self, data: st.DataObject) -> None:
        """The same id gets the same answer, and nothing happens."""
        said = self.world.decided().words[data.draw(st.sampled_from(sorted(self.world.decided().words)))]
        self.world.hears(e.Ticked())
        if not self.world.up:
            return
        before = len(self.world.entries)
        answer = self.world.say(said.kind, said.subject, said.word)
        assert (answer.accepted, answer.reason) == (isinstance(said, r.WordAccepted), said.reason.value)
        assert len(self.world.entries) == before

    def teardown(self) -> None:
        """However it ended: what was decided is the fold of its records, and everybody gets out of it."""
        world = getattr(self, "world", None)
        if world is None:
            return
        if world.up:
            world.crash()  # compares the fold
        world.dies_next = False
        world.start()
        world.run(1)
        world.say(WordKind.HOLD, "*")  # else the next tier would be tried
        for run in list(world.decided().unfinished_runs()):
            world.say(WordKind.ABORT, run.id)
        world.run(2)
        assert not world.decided().unfinished_runs(), "a run that cannot be stopped"
        assert not world.truly, "an attempt that nobody waits for"


TestRuns = Runs.TestCase
TestRuns.settings = settings(deadline=None, max_examples=80, stateful_step_count=40)
