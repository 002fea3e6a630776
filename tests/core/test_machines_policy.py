"""Any weather: what automatic action must never do, judged from the records and the operator's own words alone.

Five services fall and rise, some because others do; playbooks help, fail or change nothing; people hold, announce work,
change modes and resume. Statements 12, 13, 18 and 19 of `docs/architecture.md`.
"""

from __future__ import annotations

from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from orchestrator.core import events as e
from orchestrator.core import records as r
from orchestrator.core.events import WordKind
from orchestrator.core.model import Dependency, Limits, Mode, Model, Move, Service, Tier
from tests.core.world import World, all_of, book, check

SERVICES = ["feed", "shop", "till", "mail", "link"]
IDS = [f"acme/{name}" for name in SERVICES]
SUBJECTS = [*IDS, "acme", "*"]
LIMITS = Limits(
    moves_per_service=2, moves_window_s=120.0, concurrent_failovers=2, failure_domains=3, failure_window_s=30.0
)
HOLD_DOWN_S = 60.0
CHANGES = (r.StepKind.PREPARE, r.StepKind.FENCE, r.StepKind.EXECUTE, r.StepKind.FINISH)


def street(modes: dict[str, Mode]) -> Model:
    """Shop and till need the feed; each has a restart of its own; the link has a second way and goes back by itself."""
    checks = {f"acme/{n}": check(n, rise=1, fall=2) for n in SERVICES} | {"acme/ref": check("ref", reference=True)}
    moves = {
        f"acme/mend-{n}": Move(f"acme/mend-{n}", "acme", f"mend-{n}", book(f"mend-{n}"), all_of(n)) for n in SERVICES
    }
    back = Move("acme/unmend-link", "acme", "unmend-link", book("unmend-link"), all_of("link"), undoes="acme/mend-link")
    moves[back.id] = back

    def service(name: str, *needs: str, **changes: object) -> Service:
        ladder, wants = (Tier(f"acme/mend-{name}"),), tuple(Dependency(f"acme/{n}") for n in needs)
        plain = Service(f"acme/{name}", "acme", name, all_of(name), ladder, 300.0, depends_on=wants, settle_s=5.0)
        return replace(plain, mode=modes[name], approval_expires_s=40.0, **changes)  # type: ignore[arg-type]

    link = service("link", automatic_failback=True, failback=(back.id,), hold_down_s=HOLD_DOWN_S, cool_down_s=30.0)
    services = [service("feed"), service("shop", "feed"), service("till", "feed"), service("mail"), link]
    digest = "-".join(modes[name].value for name in SERVICES)
    return Model(digest, checks, {}, moves, {s.id: s for s in services}, LIMITS)


def covers(subject: str, service: str) -> bool:
    """Whether what was said of `subject` concerns the service."""
    return subject in ("*", "acme", service)


class Watcher:
    """Reads every record as it is written and holds each automatic act against what was said and seen before it."""

    def __init__(self, model: Model) -> None:
        self.models = {model.digest: model}
        self.model = model
        self.holds: set[str] = set()
        self.suspected: set[str] = set()
        self.work: dict[str, float] = {}  # subject: the window's end
        self.resumed = dict.fromkeys(IDS, -1.0)
        self.frozen: set[str] = set()
        self.moved: dict[str, list[float]] = {s: [] for s in IDS}
        self.at_work: dict[str, r.RunStarted] = {}
        self.with_human: set[str] = set()
        self.incidents: dict[str, str] = {}  # service: the open one
        self.service_of: dict[str, str] = {}
        self.well_since = dict.fromkeys(IDS, -1e9)
        self.fell: dict[str, float] = {}
        self.down: set[str] = set()
        self.changed: set[str] = set()  # runs that have changed something
        self.approved: set[str] = set()

    def takes(self, x: r.Record) -> None:
        """One record more."""
        if isinstance(x, r.ControllerBegan) and not x.same_boot:
            self.fell.clear()
            self.down.clear()
        elif isinstance(x, r.Configured):
            self.model = self.models[x.digest]
        elif isinstance(x, r.VerdictChanged):
            self.verdict(x)
        elif isinstance(x, r.IncidentOpened):
            self.incidents[x.service], self.service_of[x.incident] = x.incident, x.service
        elif isinstance(x, r.IncidentReopened):
            self.incidents[self.service_of[x.incident]] = x.incident
        elif isinstance(x, r.IncidentEnded):
            del self.incidents[self.service_of[x.incident]]
            self.well_since[self.service_of[x.incident]] = x.at
        elif isinstance(x, r.ServiceFrozen):
            self.frozen.add(x.service)
        elif isinstance(x, r.WordAccepted):
            self.word(x)
        elif isinstance(x, r.RunStarted):
            if x.origin is r.Origin.AUTOMATIC:
                self.may_start(x)
                self.moved[x.service].append(x.at)
            self.at_work[x.run] = x
        elif isinstance(x, r.RunApproved):
            self.approved.add(x.run)
            self.with_human.discard(x.run)
        elif isinstance(x, r.RunNeedsHuman):
            self.with_human.add(x.run)
        elif isinstance(x, r.RunEnded):
            del self.at_work[x.run]
        elif isinstance(x, r.StepBegan):
            self.may_change(x)

    def verdict(self, x: r.VerdictChanged) -> None:
        """A check fell after it had worked, or came back."""
        self.down.discard(x.check)
        if x.verdict is r.Verdict.DOWN:
            self.fell.pop(x.check, None)
            self.down.add(x.check)
            if x.was is r.Verdict.UP:
                self.fell[x.check] = x.at

    def word(self, x: r.WordAccepted) -> None:
        """What a person said stands until it is taken back, or its time is over."""
        if x.kind is WordKind.HOLD:
            self.holds.add(x.subject)
        elif x.kind is WordKind.RESUME:
            self.holds.discard(x.subject)
            for name in [s for s in IDS if covers(x.subject, s)]:
                self.resumed[name] = x.at
                self.frozen.discard(name)
        elif x.kind is WordKind.MAINTENANCE:
            self.work[x.subject] = x.ends_at or 0.0
        elif x.kind is WordKind.MAINTENANCE_END:
            self.work.pop(x.subject, None)
        elif x.kind is WordKind.SUSPECT:
            self.suspected.add(x.subject)
        elif x.kind is WordKind.CLEAR:
            self.suspected.discard(x.subject)

    def is_left_alone(self, service: str, at: float) -> str:
        """Why nothing may be done for it by itself now, by a person's word; or ``."""
        if any(covers(x, service) for x in self.holds):
            return "held"
        if any(covers(x, service) and at < ends for x, ends in self.work.items()):
            return "in maintenance"
        return "observed" if self.model.services[service].mode is Mode.OBSERVE else ""

    def may_start(self, x: r.RunStarted) -> None:
        """Everything that forbids an automatic run."""
        said = self.is_left_alone(x.service, x.at)  # 19
        assert not said, f"{x.run} starts although {x.service} is {said}"
        wary = any(covers(s, x.service) for s in self.suspected)
        if wary or self.model.services[x.service].mode is Mode.ASK:
            assert any(s.kind is r.StepKind.APPROVAL for s in x.steps), f"{x.run} asks nobody"
        assert x.service not in self.frozen, f"{x.service} is frozen, and {x.run} starts"  # 12
        recent = [at for at in self.moved[x.service] if at > max(x.at - LIMITS.moves_window_s, self.resumed[x.service])]
        assert len(recent) < LIMITS.moves_per_service, f"{x.run} is one move too many: {recent}"
        going = [name for name in self.at_work if name not in self.with_human]  # 13
        assert len(going) < LIMITS.concurrent_failovers, f"{x.run} starts beside {going}"
        assert self.fallen_together(x) <= LIMITS.failure_domains, f"{x.run} starts in a mass failure: {self.fell}"
        for needed in self.model.services[x.service].depends_on:
            moving = [y.run for y in self.at_work.values() if y.service == needed.service and y.run in going]
            assert not (moving and needed.service in self.incidents), f"{x.run} does not wait for {moving}"
        if x.incident is None:  # 18: the way back
            assert x.service not in self.incidents, f"{x.run} goes back in an open incident"
            assert x.at >= self.well_since[x.service] + HOLD_DOWN_S, f"{x.run} goes back in the hold-down"

    def fallen_together(self, x: r.RunStarted) -> int:
        """The most checks (each is a failure domain) that fell within one window and count still."""
        window_s = LIMITS.failure_window_s
        counts = [
            at
            for name, at in self.fell.items()
            if at > self.resumed[x.service] and (name in self.down or x.at - at <= window_s)
        ]
        return max((sum(at <= other <= at + window_s for other in counts) for at in counts), default=0)

    def may_change(self, x: r.StepBegan) -> None:
        """A hold, a maintenance or a mode counts until the first change: within one decision."""
        started = self.at_work[x.run]
        kind = next((s.kind for s in started.steps if s.name == x.step), r.StepKind.RECHECK)
        if kind not in CHANGES or started.origin is not r.Origin.AUTOMATIC:
            return
        if any(s.kind is r.StepKind.APPROVAL for s in started.steps) and self.still_asks(started):
            assert x.run in self.approved, f"{x.run} changes something that nobody approved"
        if x.run not in self.changed:
            said = self.is_left_alone(started.service, x.at)
            assert not said or x.run in self.approved, f"{x.run} changes something although {started.service} is {said}"
        self.changed.add(x.run)

    def still_asks(self, started: r.RunStarted) -> bool:
        """Whether what had to be asked has not been lifted meanwhile."""
        wary = any(covers(s, started.service) for s in self.suspected)
        return wary or self.model.services[started.service].mode is Mode.ASK


class LateBell(World):
    """A clock wakes nobody at the very instant, always a moment later; of the very instant see the last test here."""

    def _step(self, event: e.Event) -> None:
        super()._step(event)
        self._wake_at += 0.001


class Street(RuleBasedStateMachine):
    """Weather and people."""

    @initialize(modes=st.tuples(*[st.sampled_from([Mode.AUTO, Mode.AUTO, Mode.ASK, Mode.OBSERVE])] * 5))
    def all_is_well(self, modes: tuple[Mode, ...]) -> None:
        """A healthy morning; a playbook brings its service back."""
        self.modes = dict(zip(SERVICES, modes, strict=True))
        self.seen = 0
        self.world = LateBell(street(self.modes))
        self.watcher = Watcher(self.world.model)
        for name in SERVICES:
            self.world.effects[f"mend-{name}"] = lambda name=name: self.world.good(name)
        self.passes(3)

    def passes(self, for_s: float) -> None:
        """Time goes on, and the watcher reads."""
        self.world.run(for_s)
        for _, entry in self.world.entries[self.seen :]:
            for record in entry:
                self.watcher.takes(record)
        self.seen = len(self.world.entries)

    @rule(names=st.lists(st.sampled_from(SERVICES), min_size=1, max_size=5), later_s=st.sampled_from([0.0, 4.0, 40.0]))
    def services_fall(self, names: list[str], later_s: float) -> None:
        """At once, or one after the other."""
        for name in names:
            self.world.bad(name)
            self.passes(later_s)
        self.passes(4)

    @rule(name=st.sampled_from(SERVICES))
    def a_service_comes_back(self, name: str) -> None:
        self.world.good(name)
        self.passes(3)

    @rule(for_s=st.sampled_from([1.0, 10.0, 50.0, 130.0]))
    def time_passes(self, for_s: float) -> None:
        self.passes(for_s)

    @rule(name=st.sampled_from(SERVICES), what=st.sampled_from(["helps", "fails", "is useless", "takes long"]))
    def a_playbook(self, name: str, what: str) -> None:
        """From now on."""
        playbook = f"mend-{name}"
        self.world.outcomes[playbook] = e.AttemptEnd.FAILED if what == "fails" else e.AttemptEnd.OK
        self.world.takes[playbook] = 40.0 if what == "takes long" else 2.0
        self.world.effects[playbook] = (lambda: None) if what == "is useless" else lambda: self.world.good(name)

    @precondition(lambda self: self.world.up)
    @rule(
        kind=st.sampled_from([WordKind.HOLD, WordKind.RESUME, WordKind.RESUME, WordKind.SUSPECT, WordKind.CLEAR]),
        subject=st.sampled_from(SUBJECTS),
    )
    def a_person_says(self, kind: WordKind, subject: str) -> None:
        self.world.say(kind, subject)
        self.passes(0.5)

    @precondition(lambda self: self.world.up)
    @rule(subject=st.sampled_from(SUBJECTS), for_s=st.sampled_from([5.0, 30.0, 0.0]))
    def work_is_announced(self, subject: str, for_s: float) -> None:
        """Or ends."""
        if for_s:
            self.world.say(WordKind.MAINTENANCE, subject, for_s=for_s)
        else:
            self.world.say(WordKind.MAINTENANCE_END, subject)
        self.passes(0.5)

    @rule(name=st.sampled_from(SERVICES), times=st.integers(2, 4))
    def it_falls_again_and_again(self, name: str, times: int) -> None:
        """Mended each time, and no better for it."""
        for _ in range(times):
            self.world.bad(name)
            self.passes(8)

    @precondition(lambda self: self.world.up)
    @rule(name=st.sampled_from(SERVICES), subject=st.sampled_from(["", "acme", "*"]))
    def it_falls_while_people_work_on_it(self, name: str, subject: str) -> None:
        """Also when their window is nearly over."""
        self.world.say(WordKind.MAINTENANCE, subject or f"acme/{name}", for_s=20.0)
        self.passes(13)
        self.world.bad(name)
        self.passes(15)

    @precondition(lambda self: self.world.up)
    @rule(kind=st.sampled_from([WordKind.APPROVE, WordKind.APPROVE, WordKind.REJECT, WordKind.ABORT]), data=st.data())
    def a_run_is_decided_on(self, kind: WordKind, data: st.DataObject) -> None:
        runs = [x.id for x in self.world.decided().unfinished_runs()]
        if runs:
            self.world.say(kind, data.draw(st.sampled_from(runs)))
        self.passes(0.5)

    @precondition(lambda self: self.world.up)
    @rule(service=st.sampled_from(IDS), kind=st.sampled_from([WordKind.FAILOVER, WordKind.FAILBACK]))
    def a_person_moves_it(self, service: str, kind: WordKind) -> None:
        self.world.say(kind, service)
        self.passes(0.5)

    @rule(name=st.sampled_from(SERVICES), mode=st.sampled_from(list(Mode)))
    def a_mode_is_changed(self, name: str, mode: Mode) -> None:
        """In the files, read again at once."""
        self.modes[name] = mode
        model = street(self.modes)
        self.watcher.models[model.digest] = self.world.model = model
        self.world.hears(e.ConfigurationLoaded(model))
        self.passes(0.5)

    @rule(same_boot=st.booleans(), for_s=st.sampled_from([0.0, 5.0, 100.0]))
    def the_controller_is_replaced(self, same_boot: bool, for_s: float) -> None:
        self.world.crash()
        self.passes(for_s)
        self.world.start(same_boot)
        self.passes(0.5)


TestStreet = Street.TestCase
TestStreet.settings = settings(deadline=None, max_examples=50, stateful_step_count=25)


def test_a_way_back_may_begin_in_the_instant_that_the_hold_down_is_over() -> None:
    """Whoever adds the hold-down to a time, and whoever takes a time from another, differ by a rounding here."""
    for n in range(12):
        world = World(street(dict.fromkeys(SERVICES, Mode.AUTO)))
        world.run(75 + 0.137 * n)
        world.bad("link")
        world.run(5)
        world.good("link")
        world.run(HOLD_DOWN_S + 60)
        assert any(isinstance(x, r.RunStarted) and x.move == "acme/unmend-link" for x in world.records())
