"""Going against a guard: by its name, on record, that guard and no other; and never against what keeps two apart."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.core import events as e
from orchestrator.core import records as r
from orchestrator.core.events import WordKind
from orchestrator.core.model import Limits
from orchestrator.core.reasons import Reason
from orchestrator.core.rules import overrides, policy
from tests.core.stage import geo_loses_power, lab
from tests.core.test_words import at_geo
from tests.core.world import World, story


def started(world: World) -> r.RunStarted:
    """The last run's start."""
    found = world.last(r.RunStarted)
    assert isinstance(found, r.RunStarted)
    return found


def accepted(world: World) -> r.WordAccepted:
    """The last word that took effect."""
    found = world.last(r.WordAccepted)
    assert isinstance(found, r.WordAccepted)
    return found


@pytest.mark.parametrize("kind", [WordKind.FAILOVER, WordKind.FAILBACK])
def test_a_guard_that_there_is_not_is_refused_with_those_there_are(kind: WordKind) -> None:
    world = lab()
    answer = world.say(kind, "acme/erp", override=["gravity"])
    assert answer.reason == Reason.NO_SUCH_GUARD.value
    assert answer.evidence.startswith("there is no guard 'gravity'; a named person may go against: RPO exceeded, ")
    assert all(reason.value in answer.evidence for reason in overrides.OVERRIDABLE)
    assert world.played == []


@pytest.mark.parametrize("reason", list(overrides.NEVER))
def test_nobody_goes_against_what_keeps_two_apart(reason: Reason) -> None:
    world = lab()
    answer = world.say(WordKind.FAILOVER, "acme/erp", move="geo-site", override=[reason.value])
    assert answer.reason == Reason.NOT_OVERRIDABLE.value
    assert answer.evidence.startswith(f"{reason.value}: ")
    assert world.played == []


def test_every_guard_has_its_place_in_the_table() -> None:
    """Overridable, or stopping automatic action only, or never; and none in two of them."""
    rows = [*overrides.OVERRIDABLE, *overrides.AUTOMATIC_ONLY, *overrides.NEVER]
    assert len(rows) == len(set(rows))
    by_hand = {Reason.BLIND, Reason.TOO_MANY_FAILOVERS}
    assert by_hand <= set(overrides.OVERRIDABLE)
    assert {g.__name__ for g in policy.BY_HAND} == {x.name.lower() for x in by_hand}


def test_the_record_carries_guard_person_and_reason() -> None:
    world = lab()
    world.measures["acme/geo-replica"] = {"data_age_s": 45.0}
    world.run(5)
    answer = world.say(WordKind.FAILOVER, "acme/erp", move="geo-site", fence=True, override=["rpo-exceeded"])
    assert answer.accepted
    assert (started(world).overrides, started(world).who, started(world).why) == (("RPO exceeded",), "Ada", "a reason")
    said = accepted(world)
    assert (said.overrides, said.who, said.why) == (("RPO exceeded",), "Ada", "a reason")
    assert "against RPO exceeded: data 4" in said.evidence
    world.run(40)
    preflight = world.decided().runs["r1"].step("preflight")
    assert (preflight.state, preflight.reason) == (r.StepState.DONE, Reason.OVERRIDDEN)
    assert preflight.evidence.startswith("Ada goes against RPO exceeded: data 4")
    assert world.decided().services["acme/erp"].place == "acme/geo"


def test_what_is_not_viable_may_be_tried_and_its_preflight_is_skipped_on_record() -> None:
    world = lab()
    world.bad("isp-b-path")
    world.run(10)
    refused = world.say(WordKind.FAILOVER, "acme/hq-internet")
    assert refused.reason == Reason.NOT_VIABLE.value
    assert world.say(WordKind.FAILOVER, "acme/hq-internet", override=["not viable"]).accepted
    world.run(30)
    assert world.played == ["backup-isp"], "\n".join(story(world))
    preflight = world.decided().runs["r1"].step("preflight")
    assert (preflight.state, preflight.reason) == (r.StepState.SKIPPED, Reason.OVERRIDDEN)
    assert "Ada goes against preflight failed: acme/isp-b-path: bad" in preflight.evidence


def test_what_could_not_be_checked_may_be_tried_too_but_not_what_is_known_to_fail() -> None:
    world = lab()
    world.nothing("isp-b-path")
    world.run(10)
    assert world.say(WordKind.FAILOVER, "acme/hq-internet", override=["viability unknown"]).accepted
    world.run(30)
    assert world.played == ["backup-isp"]
    world = lab()
    world.nothing("isp-b-path")
    world.run(10)
    assert world.say(WordKind.FAILOVER, "acme/hq-internet", override=["viability unknown"]).accepted
    world.bad("isp-b-path")
    world.run(30)
    assert world.played == [], "that it is known to be down by now was not put aside"


def test_one_override_puts_aside_one_guard() -> None:
    """The next objection still stands: a busy resource never becomes free by an override."""
    world = lab()
    world.hang.add("backup-isp")
    assert world.say(WordKind.FAILOVER, "acme/hq-internet").accepted
    world.run(2)
    world.bad("isp-b-path")
    world.run(10)
    answer = world.say(WordKind.FAILOVER, "acme/erp", move="backup-isp", override=["not viable"])
    assert answer.reason == Reason.RESOURCE_BUSY.value
    assert answer.evidence.startswith("acme/route is held by r1")


def test_two_guards_need_two_names() -> None:
    world = lab()
    world.model = replace(world.model, digest="one", limits=replace(Limits(), concurrent_failovers=1))
    world.hears(e.ConfigurationLoaded(world.model))
    world.hang.add("backup-isp")
    assert world.say(WordKind.FAILOVER, "acme/hq-internet").accepted
    world.silent("ref", "ref2")
    world.run(10)
    wanted = {"move": "geo-site", "fenced": "hq"}
    assert world.say(WordKind.FAILOVER, "acme/erp", override=["blind"], **wanted).reason == "too many failovers"
    both = ["blind", "too many failovers", "viability unknown"]
    answer = world.say(WordKind.FAILOVER, "acme/erp", override=both, **wanted)
    assert answer.accepted, answer
    assert "against blind: vantage local" in answer.evidence
    assert "against too many failovers: 1 of 1: r1" in answer.evidence


def test_what_stops_automatic_action_only_is_no_hindrance_and_no_harm() -> None:
    world = lab()
    world.say(WordKind.HOLD, "acme")
    assert world.say(WordKind.FAILOVER, "acme/hq-internet", override=["held"]).accepted


def test_going_back_in_an_open_incident_is_a_persons_to_decide() -> None:
    world = at_geo()
    world.bad("cloud-ready", "isp-b-path")
    world.run(10)
    geo_loses_power(world)
    world.run(10)
    assert world.say(WordKind.FAILBACK, "acme/erp").reason == Reason.IN_INCIDENT.value
    answer = world.say(WordKind.FAILBACK, "acme/erp", fenced="geo", override=["in an incident"])
    assert answer.reason != Reason.IN_INCIDENT.value
