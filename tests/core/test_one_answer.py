"""An answer that only confirms what is known is cheap, and nothing else about it differs.

An engine that takes every short way runs beside a plain one through days of bad weather: checks that flap, fall
silent, answer late or not at all, references that come and go, playbooks, words, crashes and reloads. After every
single event both must have recorded the same, want the same done, know the same, and wish to be woken at the same time.
"""

from __future__ import annotations

import copy
import random
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings

from orchestrator.core import events as e
from orchestrator.core import records as r
from orchestrator.core.commands import UseCadence
from orchestrator.core.deciding.incident import attend
from orchestrator.core.engine import Engine, Outcome
from orchestrator.core.events import WordKind
from orchestrator.core.health import detector
from orchestrator.core.health.detector import Row
from orchestrator.core.model import Combine, Condition, LatencyWindow, LossWindow, Model, Service
from orchestrator.core.state.decided import Decided
from orchestrator.core.transaction import Transaction
from tests.core.plain_engine import PlainEngine
from tests.core.stage import lab
from tests.core.test_any_script import play, script
from tests.core.world import World, acme, all_of, check


class Twins:
    """Both engines as one; the first difference between them is an error."""

    def __init__(self, engine: Engine) -> None:
        self.quick = engine.copy()
        self.plain = PlainEngine(engine.model, copy.deepcopy(engine.decided), copy.deepcopy(engine.rows))
        self.decisions = 0
        self._count(self.quick)

    @property
    def decided(self) -> Decided:
        return self.quick.decided

    @property
    def rows(self) -> dict[str, Row]:
        return self.quick.rows

    def tx(self, now: float) -> Transaction:
        return self.quick.transaction(now)

    def step(self, event: e.Event, now: float) -> Outcome:
        quick, plain = self.quick.step(event, now), self.plain.step(event, now)
        assert quick.records == plain.records, f"{now}: {event}"
        assert quick.commands == plain.commands, f"{now}: {event}"
        assert quick.rows == plain.rows, f"{now}: {event}"
        assert quick.wake_at == plain.wake_at, f"{now}: {event}"
        assert self.quick.rows == self.plain.rows, f"{now}: {event}"
        return quick

    def _count(self, engine: Engine) -> None:
        decide = engine._decide

        def counting(tx: Transaction) -> None:
            self.decisions += 1
            decide(tx)

        engine._decide = counting  # type: ignore[method-assign]


class TwinWorld(World):
    """A world around both engines. `windy`: how often an answer is another than it should be, or a wake-up late."""

    def __init__(self, model: Model | None = None, seed: int = 0, windy: float = 0.0) -> None:
        self.luck = random.Random(seed)
        self.windy = windy
        super().__init__(model)

    def start(self, same_boot: bool = True) -> None:
        """As always, but with a twin."""
        if not isinstance(self.engine, Twins):
            self.engine = Twins(self.engine)  # type: ignore[assignment]
        super().start(same_boot)

    def _step(self, event: e.Event) -> None:
        if isinstance(event, e.Observed) and self.luck.random() < self.windy:
            sent_at = event.sent_at - self.luck.choice([0.0, 0.0, 0.0, 0.7, 3.0])
            measures = {"rtt_s": self.luck.choice([0.01, 0.2, 0.6]), **event.measures}
            event = event._replace(sent_at=sent_at, answer=self.luck.choice(list(e.Answer)), measures=measures)
        if isinstance(event, e.Ticked) and self.luck.random() < 10 * self.windy:
            self._wake_at = self.now + self.luck.choice([0.05, 0.4])
            return
        super()._step(event)


def wide() -> Model:
    """More than the small lab: windows, a second vantage, services of many checks, a way back taken by itself."""
    model = acme(automatic_failback=True, failback=("acme/return-hq",), hold_down_s=20.0, cool_down_s=30.0)
    checks = dict(model.checks)
    link = replace(
        checks["acme/hq-internet"],
        loss=LossWindow(0.4, 0.1, 30.0),
        latency=LatencyWindow(0.3, 0.1, 20.0, fails=True),
    )
    checks[link.id] = link
    for name in ("far-a", "far-b", "far-c"):
        checks[f"acme/{name}"] = check(name, vantage="far", loss=LossWindow(0.5, 0.2, 15.0))
    checks["acme/far-ref"] = check("far-ref", vantage="far", reference=True, every_s=2.0)
    far = Condition(Combine.QUORUM, ("acme/far-a", "acme/far-b", "acme/far-c"), need=2)
    near = Condition(Combine.ANY, ("acme/backup", far, all_of("erp-at-geo", "hq-ready")))
    services = dict(model.services)
    for name, condition in (("portal", far), ("mail", near)):
        services[f"acme/{name}"] = replace(
            services["acme/erp"],
            id=f"acme/{name}",
            name=name,
            healthy_when=condition,
            ladder=services["acme/hq-internet"].ladder,
            exclusive=False,
            depends_on=services["acme/erp"].depends_on if name == "mail" else (),
        )
    return replace(model, digest="wide", checks=checks, services=services)


def something_happens(world: TwinWorld) -> None:
    """One whim of the weather, of a person, or of the machine."""
    luck, names = world.luck, [c.removeprefix("acme/") for c in world.model.checks]
    whim = luck.random()
    if whim < 0.55:
        moods = (world.good, world.good, world.bad, world.silent, world.nothing)
        luck.choice(moods)(*luck.sample(names, luck.choice([1, 1, 2, 5])))
    elif whim < 0.6:
        luck.choice((world.good, world.silent, world.nothing))("ref", "ref2")
    elif whim < 0.65:
        luck.choice((world.silent, world.nothing))("ref", "ref2")
        luck.choice((world.silent, world.bad))(*luck.sample(names, 3))
        world.run(luck.choice([0.3, 1.0, 2.0, 2.6]))
        world.good("ref", "ref2")
    elif whim < 0.75:
        world.good(*names)
        world.bad("hq-dark", "hq-off", "geo-dark", "geo-off", "edge-uses-isp-b", "erp-at-geo", "erp-at-cloud")
    elif whim < 0.85:
        kind = luck.choice([WordKind.FAILOVER, WordKind.FAILBACK, WordKind.HOLD, WordKind.RESUME, WordKind.MAINTENANCE])
        world.say(kind, luck.choice(list(world.model.services)), for_s=10.0)
    elif whim < 0.9:
        runs = world.decided().unfinished_runs()
        if runs:
            world.say(luck.choice([WordKind.APPROVE, WordKind.ABORT, WordKind.REJECT]), luck.choice(runs).id)
    elif whim < 0.95:
        changed = luck.choice(list(world.model.checks))
        checks = {**world.model.checks, changed: replace(world.model.checks[changed], rise=luck.choice([1, 2, 3]))}
        mail = replace(
            world.model.services["acme/erp"], healthy_when=all_of(luck.choice(["backup", "erp-transaction"]))
        )
        digest = luck.choice([world.model.digest, f"{luck.random()}"])
        services = {**world.model.services, mail.id: mail}
        world.model = replace(world.model, digest=digest, checks=checks, services=services)
        world.hears(e.ConfigurationLoaded(world.model))
    else:
        world.crash()
        world.now += luck.choice([0.1, 4.0, 60.0])
        world.start(same_boot=luck.random() < 0.8)


@pytest.mark.parametrize("seed", range(15))
@pytest.mark.parametrize("model", [acme, wide])
def test_in_any_weather_the_short_way_leads_where_the_plain_one_does(model: type, seed: int) -> None:
    world = TwinWorld(model(), seed, windy=0.0 if seed % 3 == 0 else 0.03)
    world.run(15)
    for _ in range(40):
        something_happens(world)
        world.run(world.luck.choice([0.3, 1.0, 3.0, 8.0]))


@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.too_slow])
@given(script)
def test_any_script_is_decided_alike(steps: list[tuple[str, object, object]]) -> None:
    world = TwinWorld()
    world.effects = lab().effects
    world.run(10)
    for step in steps:
        play(world, step)


def hears(world: TwinWorld, name: str, answer: e.Answer, times: int = 1) -> Outcome:
    """So many answers of one check, a tenth of a second apart; what came of the last."""
    for _ in range(times):
        world.now += 0.1
        outcome = world.engine.step(e.Observed(f"acme/{name}", world.now, answer), world.now)
    return outcome


def decisions(world: TwinWorld, for_s: float) -> int:
    """How often the quick engine decided anything."""
    assert isinstance(world.engine, Twins)
    before = world.engine.decisions
    world.run(for_s)
    return world.engine.decisions - before


def test_when_all_is_well_nothing_is_decided_at_any_answer() -> None:
    world = TwinWorld(wide())
    world.run(30)
    assert decisions(world, 100) == 0


def test_what_fell_in_a_moment_of_blindness_is_acted_on_when_it_ends() -> None:
    """The references had not even lost their verdict: their next answer is as ordinary as can be."""
    world = TwinWorld()
    world.run(20)
    hears(world, "hq-internet", e.Answer.BAD, 2)
    hears(world, "ref", e.Answer.NONE)
    hears(world, "ref2", e.Answer.NONE)
    assert [type(x) for x in hears(world, "hq-internet", e.Answer.BAD).records] == [r.VerdictChanged]
    assert r.IncidentOpened in [type(x) for x in hears(world, "ref", e.Answer.GOOD).records]


def test_after_a_restart_it_is_asked_what_the_doubtful_stand_on() -> None:
    """A check in doubt that one service's incident waits for, and another service's dependency explains, perhaps."""
    world = TwinWorld(wide())
    world.run(20)
    world.bad("far-a", "far-b")
    world.run(8)
    hears(world, "far-c", e.Answer.BAD)
    twins = Twins(Engine(world.model, world.engine.decided, world.engine.rows))
    twins.step(e.ControllerStarted("next", 9, "boot", True), world.now)
    world.engine = twins  # type: ignore[assignment]
    cadence = next(x for x in hears(world, "geo-ready", e.Answer.GOOD).commands if isinstance(x, UseCadence))
    assert "acme/hq-internet" in cadence.cadence


def test_in_an_outage_only_the_services_that_it_concerns_are_attended(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(wide())
    world.run(20)
    world.bad("isp-b-path", "hq-internet")
    world.run(70)  # a tier that cannot help, and a person who has been told of that and of what it lacks
    attended: list[str] = []

    def noting(tx: Transaction, service: Service) -> None:
        attended.append(service.name)
        attend(tx, service)

    monkeypatch.setattr("orchestrator.core.engine.incident.attend", noting)
    world.run(4)
    assert "hq-internet" in attended
    assert "portal" not in attended


def test_every_answer_goes_through_the_detector(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    world.run(20)
    seen: list[e.Observed] = []
    observe = detector.observe

    def noting(row: Row, check: object, answer: e.Observed, *rest: object, **more: object) -> r.Verdict:
        seen.append(answer)
        return observe(row, check, answer, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(detector, "observe", noting)
    for n in range(100):
        world.engine.step(e.Observed("acme/backup", world.now + n, e.Answer.GOOD), world.now + n)
    assert len(seen) == 100
    assert world.engine.rows["acme/backup"].good_streak >= 100
