"""Stories of disasters that go on while something else happens: what is told of them is what is on record."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from orchestrator.core.awareness.sight import sight
from orchestrator.core.events import ConfigurationLoaded, WordKind
from orchestrator.core.model import Mode, Model
from orchestrator.core.transaction import Transaction
from orchestrator.reports.account import account
from orchestrator.reports.drills import drills, one_lines
from orchestrator.reports.drills import told as drill_told
from orchestrator.reports.evidence import evidence
from orchestrator.reports.papers.drill import failed as failed_drill
from orchestrator.reports.papers.drill import frames, objectives
from orchestrator.reports.papers.lessons import beyond, failed, worked
from orchestrator.reports.papers.shape import Said
from orchestrator.reports.papers.tongue import Tongue
from orchestrator.reports.shape import Account, Known
from orchestrator.reports.status import status_now
from orchestrator.reports.status_parts import Live
from orchestrator.reports.status_text import status_lines
from orchestrator.reports.stories import Stories
from orchestrator.reports.story import Story
from orchestrator.reports.text import plain
from tests.core.drill_stage import drill, rehearse, stage
from tests.core.stage import hq_loses_power, lab
from tests.core.world import World
from tests.reports.sample import WALL, Written


def stories_of(world: World, *known: Model) -> Stories:
    """Everything that happened in it. `known`: the configurations that were in force; else its own."""
    models = {x.digest: x for x in known or (world.model,)}
    return Stories(models.get).read(Written(n, at, WALL + at, 1, x) for n, (at, x) in enumerate(world.entries, start=1))


def told(world: World, name: str = "i1") -> tuple[Story, Account]:
    """A story, and the account of it."""
    stories = stories_of(world)
    story = stories.stories[name]
    return story, account(story, stories.clock, world.now)


def texts(said: list[Said]) -> list[str]:
    return [x.text.format(**x.slots) for x in said]


def status_of(world: World) -> str:
    """What a status shows now, with a daemon at work."""
    tx = Transaction(world.model, world.engine.decided, world.engine.rows, world.now)
    live = Live(True, 0.0, sight=sight(tx))
    return plain(status_lines(status_now(world.engine.decided, world.model, world.now, WALL + world.now, live), 200))


def until(world: World, so: Callable[[], bool]) -> None:
    for _ in range(100_000):
        if so():
            return
        world.go()
    raise AssertionError("it never came")


# ---- a controller that is away


@pytest.mark.parametrize(("killed_in", "bound"), [("verify", True), ("execute", True), (None, False)])
def test_what_a_run_took_while_no_controller_was_there_is_a_bound(killed_in: str | None, bound: bool) -> None:
    """Whether a playbook ran or only answers were awaited: nobody saw when it was so."""
    world = lab()
    world.run(20)
    world.silent("erp-transaction", "hq-internet")
    world.takes["backup-isp"] = 5.0
    if killed_in is not None:
        world.effects.clear()
        until(world, lambda: killed_in in [s.name for x in world.decided().unfinished_runs() if (s := x.current())])
        world.run(1)
        world.crash()
        world.run(600)
        world.good("erp-transaction", "hq-internet")
        world.start()
    else:
        world.effects["backup-isp"] = lambda: world.good("erp-transaction", "hq-internet")
    world.run(60)
    story, a = told(world)
    (said,) = [x for x in texts([*worked(story, a)]) if "was made and verified" in x]
    assert (" in at most " in said) is bound
    assert [s.step for s in a.steps if s.at_most] == ([killed_in] if bound else [])


@pytest.mark.parametrize(("away_s", "said"), [(60.0, False), (3600.0, True)])
def test_that_an_rto_was_perhaps_missed_stands_among_what_did_not_work(away_s: float, said: bool) -> None:
    """Nobody looked for an hour, and its RTO is fifteen minutes."""
    world = lab()
    world.effects.clear()
    world.run(20)
    world.silent("erp-transaction", "hq-internet")
    world.run(5)
    world.crash()
    world.run(away_s)
    world.good("erp-transaction", "hq-internet")
    world.start()
    world.run(60)
    story, a = told(world, world.decided().services["acme/erp"].last_incident or "")
    assert a.rta.at_most
    assert a.rto_met is (None if said else True)
    assert ("whether the RTO of 900.0 was met is not known" in texts([*failed(story, a)])) is said


# ---- data


def test_a_service_that_was_led_elsewhere_in_its_outage_has_not_stayed_whatever_was_tried_there() -> None:
    """A way back is being prepared when the service fails: it is led home, and started anew there in vain."""
    world = lab()
    hq_loses_power(world)
    world.run(600)
    assert world.decided().services["acme/erp"].place == "acme/geo"
    world.bad("hq-dark", "hq-off")
    world.good("hq-internet", "isp-b-path")
    world.takes["rebuild_hq"] = 60.0
    world.effects = {"hand_over": lambda: world.good("geo-handed-over")}
    assert world.say(WordKind.FAILBACK, "acme/erp").accepted
    world.run(20)
    world.bad("erp-transaction")
    world.run(300)
    assert world.decided().services["acme/erp"].place == "acme/hq"
    story, a = told(world, world.decided().services["acme/erp"].last_incident or "")
    assert [x.started.to_place for x in story.runs] == ["acme/hq", None, "acme/geo"]
    assert (a.from_place, a.to_place) == ("acme/geo", "acme/hq")
    assert (a.rpa.seconds, a.rpa.source) == (None, "not measured")


def test_that_an_rpo_was_met_is_said_once_its_outage_is_over() -> None:
    """Its move has opened data elsewhere, and was not verified: the next tier may open older data."""
    world = lab()
    hq_loses_power(world)
    world.effects["geo-site"] = lambda: world.good("erp-at-geo")
    world.run(120)
    name = world.decided().services["acme/erp"].incident or ""
    story, a = told(world, name)
    assert (a.to_place, a.rpa.seconds is not None, a.rpo_met) == ("acme/geo", True, None)
    assert not [x for x in texts([*worked(story, a), *failed(story, a)]) if "the RPO" in x]
    assert world.say(WordKind.REJECT, "r2").accepted
    world.good("erp-transaction")
    world.run(30)
    story, a = told(world, name)
    assert (a.state, a.rpo_met) == ("recovered", True)
    assert [x for x in texts([*worked(story, a)]) if x.startswith("the RPO of 30.0 was met")]


def test_what_an_outage_that_may_be_over_has_left_is_not_told_as_known() -> None:
    """Nobody looked for longer than the RTO; and a wait for answers went on meanwhile, for who knows how long."""
    world = lab()
    world.effects.clear()
    world.silent("erp-transaction", "hq-internet")
    until(world, lambda: any((s := x.current()) and s.name == "verify" for x in world.decided().unfinished_runs()))
    world.crash()
    world.run(1200)
    world.start()
    world.run(10)
    (shown,) = [x for x in status_of(world).splitlines() if "verify" in x and "backup-isp" in x]
    assert "execute 2.0s ✓" in shown
    assert "verify ≤20:" in shown
    waiting = [
        x.split("  ")[-1].strip() for x in status_of(world).splitlines() if "tier 3 cloud-instance  waiting" in x
    ]
    assert waiting == ["no live run measured, and the RTO is perhaps over"]


# ---- a drill whose controller is away


@pytest.mark.parametrize(
    ("same_boot", "known"), [(True, Known.MEASURED), (False, Known.ASSUMED)], ids=["killed", "restarted"]
)
def test_a_drill_that_nobody_led_back_in_time_says_so_and_who_took_over(same_boot: bool, known: Known) -> None:
    """Its stay is over, and for an hour there is no controller: no run is at work then."""
    world = stage()
    drill(world)
    until(world, lambda: world.decided().services["acme/erp"].place == "acme/geo")
    world.run(5)
    world.crash()
    world.run(4000)
    world.start(same_boot, 0.0 if same_boot else 4000.0)
    world.run(100)
    stories = stories_of(world)
    frame = frames(x for _, entry in world.entries for x in entry)["d1"]
    runs = [s for s in stories.stories.values() if s.runs[0].started.drill == "d1"]
    assert [s.controllers for s in runs] == [[], []]
    (back,) = objectives(frame, runs, world.now)
    assert (back.met, back.actual.known) == (False, known)
    assert texts([*beyond([back])]) == [f"it was to be back within 300.0, and was after {back.actual.seconds}"]
    assert "controller c2 took over with epoch 2" in texts([*failed_drill(frame, runs, stories)])


def test_what_a_step_of_a_drill_took_while_nobody_watched_is_a_bound() -> None:
    world = stage()
    world.takes["geo-site"] = 30.0
    drill(world)
    until(world, lambda: "geo-site" in world.played)
    world.crash()
    world.run(1000)
    world.good("erp-at-geo", "erp-transaction")
    world.start()
    world.run(200)
    one = drill_told(world.decided(), stories_of(world).clock, world.decided().drills["d1"])
    assert [s.name for s in one.steps if s.at_most] == ["execute"]
    (shown,) = [x for x in plain(one_lines(one, 200)).splitlines() if "execute" in x and "at most" in x]
    assert shown.split() == ["execute", "live", "at", "most", "16:41"]


def test_a_drill_of_years_ago_is_told_though_the_state_keeps_the_latest(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("drills", "fold"):
        monkeypatch.setattr(f"orchestrator.core.state.{module}.KEPT_RUNS", 1)
    world = stage()
    rehearse(world)
    world.run(60)
    for _ in range(2):
        drill(world)
        world.run(120)
    assert list(world.decided().drills) == ["d3"]
    stories = stories_of(world)
    found = drills(stories.whole, stories.clock, lambda _: True)
    assert [(x.drill, x.ok, len(x.steps)) for x in found] == [("d1", True, 8), ("d2", True, 12), ("d3", True, 12)]
    rows = evidence(stories, world.model, world.now, lambda name: name == "acme/erp")
    assert [x.rehearsed.drill for x in rows if x.rehearsed is not None] == ["d1"]


# ---- a clock that is set


@pytest.mark.parametrize(("by_s", "way"), [(3600.0, "forward"), (-3600.0, "back")])
def test_a_clock_that_was_set_is_told_of_what_goes_on_and_of_drills(by_s: float, way: str) -> None:
    """A drill that ended an hour before it began, by the times of day."""
    world = stage()
    drill(world)
    world.run(15)
    set_at = world.now
    world.run(100)
    world.effects.clear()
    world.silent("erp-transaction", "hq-internet")
    world.run(5)
    opened_at = world.now
    world.run(60)

    def read(after: float) -> Stories:
        walls = [(at, WALL + at + (by_s if at > after else 0.0), x) for at, x in world.entries]
        return Stories({world.model.digest: world.model}.get).read(
            Written(n, at, wall, 1, x) for n, (at, wall, x) in enumerate(walls, start=1)
        )

    note = f"the controller's clock was set {way} by 1:00:00 meanwhile: no duration has that in it"
    stories = read(set_at)
    one = drill_told(stories.decided, stories.clock, stories.decided.drills["d1"])
    assert one.remarks == (note,)
    assert f"  note: {note}" in plain(one_lines(one, 200)).splitlines()
    frame = frames(x for _, entry in world.entries for x in entry)["d1"]
    assert any(way in x and "clock was set" in x for x in texts([*failed_drill(frame, [], stories)]))
    assert note not in account(stories.stories["i1"], stories.clock, world.now).remarks
    stories = read(opened_at)
    assert account(stories.stories["i1"], stories.clock, world.now).state in ("open", "with a person")
    assert note in account(stories.stories["i1"], stories.clock, world.now).remarks
    wall = WALL + world.now + by_s
    now = status_now(world.decided(), world.model, world.now, wall, Live(daemon=True), stories.clock.wall)
    assert {s.id for s in now.services if note in s.notes} == {"acme/erp", "acme/hq-internet"}


# ---- what nothing is tried for


def test_a_run_that_was_at_work_before_an_outage_is_told_to_be_in_the_way() -> None:
    """A way back that prepares for an hour is not stopped by itself where a person asked for it."""
    world = lab()
    hq_loses_power(world)
    world.run(600)
    world.bad("hq-dark", "hq-off")
    world.good("hq-internet", "isp-b-path")
    world.takes["rebuild_hq"] = 3600.0
    assert world.say(WordKind.FAILBACK, "acme/erp").accepted
    world.run(20)
    assert "no tier is tried" not in status_of(world)
    world.bad("erp-transaction")
    world.run(60)
    assert (
        "no tier is tried until r2 (acme/return-hq), which was at work before, has ended; to stop it: bascule abort r2"
        in (status_of(world))
    )
    world.say(WordKind.ABORT, "r2")
    world.run(5)
    assert "no tier is tried" not in status_of(world)


def test_that_no_tier_is_left_says_why_where_there_is_none() -> None:
    world = lab(Mode.OBSERVE, ladder=(), failback=())
    world.silent("erp-transaction")
    world.run(20)
    assert "  ask: no tier left: it has no ladder" in status_of(world).splitlines()


# ---- what is gone from the configuration


def test_a_hold_of_what_was_renamed_is_told_to_hold_nothing_and_how_to_end_it() -> None:
    world = lab()
    world.say(WordKind.HOLD, "acme/erp")
    world.say(WordKind.MAINTENANCE, "acme/erp", for_s=600.0)
    world.say(WordKind.SUSPECT, "acme/hq-internet")
    assert "acme/erp  " in status_of(world)
    services = {x.replace("/erp", "/books"): y for x, y in world.model.services.items()}
    renamed = replace(world.model, services={n: replace(x, id=n) for n, x in services.items()})
    left = status_now(world.decided(), renamed, world.now, WALL, Live(daemon=True)).left
    gone = "acme/erp is no service or client of the configuration any more"
    assert left == (
        f"{gone}: the hold by Ada stops nothing; to end it: bascule resume acme/erp",
        f"{gone}: its maintenance stops nothing; to end it: bascule maintenance acme/erp --end",
    )
    after = status_now(world.decided(), renamed, world.now + 601.0, WALL, Live(daemon=True)).left
    assert len(after) == 1, "a window that is over stops nothing anyway"


@pytest.mark.parametrize(
    ("was", "edited", "said"),
    [
        ({}, {"rto_s": 60.0}, ["its RTO was 15:00 when it began, and was changed meanwhile: it is judged by 1:00"]),
        ({"mtd_s": 3600.0}, {"mtd_s": None}, ["its MTD was 1:00:00 when it began, and none is declared any more"]),
        ({}, {"mtd_s": 7200.0}, ["no MTD was declared when it began; 2:00:00 was declared meanwhile"]),
        ({}, {"priority": 7}, []),
    ],
)
def test_an_objective_that_was_edited_in_an_incident_is_told_to_have_been(
    was: dict[str, object], edited: dict[str, object], said: list[str]
) -> None:
    world = lab(**was)
    world.effects.clear()
    world.silent("erp-transaction")
    world.run(100)
    first = world.model
    erp = replace(first.services["acme/erp"], **edited)  # type: ignore[arg-type]
    second = replace(first, digest="edited", services={**first.services, "acme/erp": erp})
    world.hears(ConfigurationLoaded(second))
    world.run(100)
    stories = stories_of(world, first, second)
    a = account(stories.stories["i1"], stories.clock, world.now)
    assert (a.configuration, a.rto_s) == ("edited", erp.rto_s)
    assert [x for x in a.remarks if "when it began" in x] == said
    known = [Tongue("fr").known(x) for x in a.remarks if "when it began" in x]
    assert all((x not in said and "entre-temps" in x) or "plus aucun" in x for x in known)
