"""What goes on beside an outage, or after it: told where it belongs, and no figure has in it what came later."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from orchestrator.core.events import AttemptEnd, ConfigurationLoaded, WordKind
from orchestrator.core.model import Mode
from orchestrator.journal.chain import GENESIS, body_of, entry_of, link
from orchestrator.journal.journal import Linked
from orchestrator.reports.account import account
from orchestrator.reports.evidence import evidence
from orchestrator.reports.papers.composition import compose
from orchestrator.reports.papers.excerpt import Asked, Subject, subject_of
from orchestrator.reports.papers.lessons import failed
from orchestrator.reports.papers.narrowing import carried
from orchestrator.reports.papers.shape import ReportKind
from orchestrator.reports.papers.tongue import Tongue
from orchestrator.reports.shape import Known
from orchestrator.reports.status_notes import undeclared
from orchestrator.reports.stories import Stories
from tests.core.drill_stage import drill, stage
from tests.core.stage import hq_loses_power, lab
from tests.core.world import World, book
from tests.reports.sample import WALL
from tests.reports.test_told_stories import status_of, stories_of, texts, told, until


def finishing(away_s: float, *, killed_in: str) -> World:
    """The head office is lost, and the machine of the controller is off for a while, during this step."""
    world = lab()
    geo = replace(world.model.moves["acme/geo-site"], finish=book("finish_geo"))
    world.model = replace(world.model, digest="finishing", moves={**world.model.moves, geo.id: geo})
    world.hears(ConfigurationLoaded(world.model))
    world.takes |= {"finish_geo": 100.0, "geo-site": 100.0}
    hq_loses_power(world)
    until(world, lambda: any((s := x.current()) and s.name == killed_in for x in world.decided().unfinished_runs()))
    world.run(5)
    world.crash()
    world.run(away_s)
    world.start(False, away_s)
    world.run(400)
    return world


def sliced(world: World, stories: Stories, name: str) -> tuple[Subject, Stories, Callable[[], Iterator[Linked]], Asked]:
    """What a report of this story is cut from."""
    links, before = [], GENESIS
    for n, (at, records) in enumerate(world.entries, start=1):
        body = body_of(n, at, WALL + at, 1, records, {})
        links.append(Linked(entry_of(body), before, body, link(before, body)))
        before = links[-1].hash
    subject = subject_of([stories.stories[name]], stories, world.now, ReportKind.INCIDENT, name)
    return subject, stories, lambda: iter(links), Asked(world.now, WALL + world.now, None, f"{n}:{before.hex()}")


def erp_outage(world: World) -> str:
    return world.decided().services["acme/erp"].last_incident or ""


@pytest.mark.parametrize(
    ("killed_in", "known"), [("finish", Known.MEASURED), ("execute", Known.ASSUMED)], ids=["after it", "within it"]
)
def test_only_a_restart_within_an_outage_makes_its_figure_one_from_the_wall_clock(killed_in: str, known: Known) -> None:
    world = finishing(500.0, killed_in=killed_in)
    _, a = told(world, erp_outage(world))
    assert (a.state, a.rta.known) == ("recovered", known)
    assert ("wall clock" in a.rta.source) is (known is Known.ASSUMED and not a.rta.at_most)
    (row,) = [x for x in evidence(stories_of(world), world.model, world.now, lambda s: True) if x.tier == 2]
    assert row.proof is not None
    assert row.proof.rta.known is known


def test_what_comes_after_the_outage_takes_nothing_of_its_rto() -> None:
    """The service is back after some minutes, and its run finishes for longer than the RTO."""
    world = finishing(1500.0, killed_in="finish")
    _, a = told(world, erp_outage(world))
    last = {s.step: s for s in a.steps}
    assert a.rto_met is True
    assert (last["finish"].took_s or 0.0) > (a.rto_s or 0.0)
    assert last["finish"].share is None
    assert last["finish"].budget_left_s == last["verify"].budget_left_s
    assert last["verify"].share is not None


def fallen_in_a_failback() -> World:
    """It is to go home, is stopped where it was, and does not start at home."""
    world = lab()
    hq_loses_power(world)
    world.run(60)
    world.bad("hq-dark", "hq-off")
    world.good("hq-internet", "isp-b-path")
    world.run(30)
    world.outcomes["return-hq"] = AttemptEnd.FAILED
    assert world.say(WordKind.FAILBACK, "acme/erp").accepted
    world.run(60)
    return world


def test_an_outage_in_a_planned_move_and_that_move_tell_of_each_other() -> None:
    """Its report named no cause, and the move's report no outage: it only "failed"."""
    world = fallen_in_a_failback()
    outage, a = told(world, erp_outage(world))
    assert len(outage.episodes) == 2
    said = "r2 (acme/return-hq) was at work while acme/erp fell, and ended: playbook failed"
    assert said in texts([*failed(outage, a)])
    assert said in a.remarks
    move, b = told(world, "r2")
    said = f"{outage.id} of acme/erp began while it was at work"
    assert said in texts([*failed(move, b)])
    assert said in b.remarks
    french = Tongue("fr")
    assert all(french.known(x) != x for x in (*a.remarks, *b.remarks))


@pytest.mark.parametrize("fallen", ["erp", "hq-internet"])
def test_an_outage_in_a_drill_tells_that_one_was_under_way(fallen: str) -> None:
    """The drill's report told of the incident, and the incident's report nothing of the drill."""
    world = stage()
    drill(world)
    world.run(8)
    world.bad("erp-transaction" if fallen == "erp" else fallen)
    world.run(40)
    service = world.decided().services[f"acme/{fallen}"]
    outage, a = told(world, service.incident or service.last_incident or "")
    said = f"drill d1 (acme/geo-site) was under way when acme/{fallen} fell"
    assert said in texts([*failed(outage, a)])
    stories = stories_of(world)
    kept = carried(*sliced(world, stories, outage.id))
    assert kept.subject.width
    assert said in [x.text.format(**x.slots) for x in compose(kept).failed]
    assert said in a.remarks
    assert Tongue("fr").known(said) != said


def test_no_drill_of_before_was_under_way() -> None:
    world = stage()
    drill(world)
    world.run(200)
    assert world.decided().drills["d1"].ended is not None
    world.bad("erp-transaction")
    world.run(40)
    outage, a = told(world, erp_outage(world))
    assert not [x for x in (*texts([*failed(outage, a)]), *a.remarks) if "d1" in x]


def test_how_old_the_data_was_where_a_person_states_that_a_place_is_out_is_told_in_french() -> None:
    """Stated at once, it has no time in it in which the data may have aged: no bound."""
    world = lab(Mode.ASK)
    hq_loses_power(world)
    world.run(60)
    (run,) = [x.id for x in world.decided().unfinished_runs()]
    assert world.say(WordKind.APPROVE, run, fenced="acme/hq").accepted
    world.run(60)
    stories = stories_of(world)
    a = account(stories.stories[erp_outage(world)], stories.clock, world.now)
    assert a.rpa.source.endswith("Ada stated that the place left cannot act")
    assert not a.rpa.at_most
    assert Tongue("fr").known(a.rpa.source).startswith("les données trouvées")


def hq_is_renamed(world: World) -> None:
    places = {x: place for x, place in world.model.places.items() if x != "acme/hq"}
    places["acme/paris"] = replace(world.model.places["acme/hq"], id="acme/paris", name="paris")
    moves = {x: replace(y, to="acme/paris" if y.to == "acme/hq" else y.to) for x, y in world.model.moves.items()}
    services = {x: replace(y, home="acme/paris") for x, y in world.model.services.items()}
    world.model = replace(world.model, digest="renamed", places=places, moves=moves, services=services)
    world.hears(ConfigurationLoaded(world.model))
    world.run(10)


@pytest.mark.parametrize("exclusive", [True, False])
def test_a_place_that_is_none_of_the_configuration_any_more_is_told(exclusive: bool) -> None:
    """The head office was renamed. What was fenced by itself asks a person now, and nothing said so before a disaster:
    the service "is at hq", and its home is elsewhere.
    """
    world = lab(exclusive=exclusive)
    assert "no place of the configuration" not in status_of(world)
    hq_is_renamed(world)
    said = [x.strip() for x in status_of(world).splitlines() if "acme/hq, which is no place" in x]
    assert len(said) == 2  # of both of its services
    assert sum("asks a person first" in x for x in said) == exclusive
    if exclusive:
        hq_loses_power(world)
        world.run(30)
        assert world.decided().runs["r1"].started.asks[0].startswith("no fence: nothing in the plan can prove")


def test_what_stood_against_a_tier_first_is_told_with_what_does_now() -> None:
    """Its uplink was dead when it was passed over. That it is in the wrong place came of the next tier's failure."""
    world = lab()
    world.outcomes["geo-site"] = AttemptEnd.FAILED
    hq_loses_power(world)
    world.run(60)
    outage, a = told(world, world.decided().services["acme/erp"].incident or "")
    assert "tier 1, acme/backup-isp, could not help: not viable; wrong place" in texts([*failed(outage, a)])
    assert "tier 2, acme/geo-site, failed: playbook failed" in texts([*failed(outage, a)])


def test_a_drill_that_took_its_place_out_and_got_nowhere_is_away_and_what_it_brought_has_a_cost() -> None:
    """The head office was stopped, and nothing started elsewhere. It was "called off", whether it was back in time was
    "not known" for ever, and it "has no cost", with its service down.
    """
    world = stage()
    world.outcomes["geo-site"] = AttemptEnd.FAILED
    drill(world)
    world.run(1000)
    service = world.decided().services["acme/erp"]
    assert (service.place, service.incident) == ("acme/hq", "i1")
    stories = stories_of(world)
    runs = [s for s in stories.stories.values() if not s.episodes]
    links = sliced(world, stories, "i1")[2]
    subject = subject_of(runs, stories, world.now, ReportKind.DRILL, "d1")
    found = compose(carried(subject, stories, links, sliced(world, stories, "i1")[3]))
    assert [x.text.format(**x.slots) for x in found.failed][:2] == [
        "it was to be back within 300.0, and was not",
        "it was turned back: playbook failed: execute: geo-site: failed",
    ]
    back = found.objectives[-1]
    assert (back.objective, back.met) == ("return", False)
    assert back.actual.source.startswith("its place was taken out, and none of the runs")
    assert Tongue("fr").known(back.actual.source) != back.actual.source
    said = "no outage is a part of it: what i1 cost is told in the report of each"
    assert found.cost_said.text.format(**found.cost_said.slots) == said


def test_how_long_an_outage_was_left_to_people_stands_among_what_did_not_work() -> None:
    """Held for a minute before anything was done: the report named neither the hold nor what it took."""
    world = lab()
    assert world.say(WordKind.HOLD, "acme/erp").accepted
    hq_loses_power(world)
    world.run(60)
    assert world.say(WordKind.RESUME, "acme/erp").accepted
    world.run(60)
    outage, a = told(world, erp_outage(world))
    (held,) = [x for x in failed(outage, a) if x.text.startswith("nothing was done automatically for {time_s}")]
    assert held.slots["reason"] == "held"
    assert held.slots["time_s"] == outage.runs[0].started.at - outage.episodes[0].judged[0].at > 50.0


def test_what_a_person_does_meanwhile_is_no_time_in_which_nothing_is_done() -> None:
    """Observed alone, and moved by hand: while that run is at work somebody does something."""
    world = lab(Mode.OBSERVE)
    hq_loses_power(world)
    world.run(60)
    world.takes["geo-site"] = 30.0
    assert world.say(WordKind.FAILOVER, "acme/erp", move="acme/geo-site").accepted
    world.run(60)
    outage, a = told(world, erp_outage(world))
    assert a.state == "recovered"
    (held,) = [x for x in failed(outage, a) if x.text.startswith("nothing was done automatically for {time_s}")]
    assert held.slots["time_s"] == pytest.approx(outage.runs[0].started.at - outage.episodes[0].judged[-1].at, abs=2.1)


def test_of_a_renamed_place_that_is_out_nobody_is_asked_and_one_that_may_act_is_not_where_it_is() -> None:
    """The head office was proven to be out, and the move to the other site failed half way; then hq was renamed."""
    world = lab()
    world.outcomes["geo-site"] = AttemptEnd.FAILED
    world.bad("cloud-ready")
    hq_loses_power(world)
    world.run(60)
    erp = world.decided().services["acme/erp"]
    assert (erp.place, erp.may_act) == ("acme/hq", {"acme/geo"})
    hq_is_renamed(world)
    world.run(10)
    state, model = world.decided(), world.model
    (note,) = undeclared(model.services["acme/erp"], erp, state, model)
    assert note == "it is on record at acme/hq, which is no place of the configuration any more"
    there = replace(erp, place="acme/geo", may_act={"acme/geo", "acme/hq"})
    (note,) = undeclared(model.services["acme/erp"], there, state, model)
    assert note.startswith("it may act at acme/hq, which is no place of the configuration any more; nothing can prove")
