"""May we act? Each guard stops with its reason and its evidence, and lets go again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.core import events as e
from orchestrator.core import records as r
from orchestrator.core.awareness import readiness
from orchestrator.core.commands import NoticeKind
from orchestrator.core.events import WordKind
from orchestrator.core.model import Condition, Dependency, Limits, Mode, Model, Move, Place, Service, Tier
from orchestrator.core.reasons import Reason
from orchestrator.core.rules import policy
from orchestrator.core.rules.approving import consequences
from orchestrator.core.state import fold
from orchestrator.core.state.decided import Decided
from tests.core.stage import hq_loses_power, isp_a_dies, lab
from tests.core.world import World, acme, all_of, book, check, story


def judged(world: World, reason: Reason, service: str = "acme/erp") -> r.ServiceJudged:
    """The judgement of this service with this reason."""
    incidents = world.decided().incidents
    found = [x for x in world.records(r.ServiceJudged) if incidents[x.incident].service == service]
    for x in found:
        if x.reason is reason:
            return x
    raise AssertionError(f"{service} was never judged {reason!r}, but {[x.reason for x in found]}")


def judged_now(world: World, service: str) -> str:
    """The evidence of the latest judgement of this service, as a status shows it."""
    incident = next(x for x in world.decided().open_incidents() if x.service == service)
    return incident.judged.evidence if incident.judged is not None else ""


def farm(count: int, limits: Limits | None = None, **changes: object) -> World:
    """So many independent services of acme, each with a check, a failure domain and a restart of its own."""
    checks = {"acme/ref": check("ref", reference=True)}
    moves, services = {}, {}
    for n in range(count):
        name = f"web{n}"
        checks[f"acme/{name}"] = check(name)
        move = Move(f"acme/restart-{name}", "acme", f"restart-{name}", book(f"restart_{name}"), all_of(name))
        moves[move.id] = replace(move, safe_to_repeat=True)
        plain = Service(f"acme/{name}", "acme", name, all_of(name), (Tier(move.id),), rto_s=300.0, mode=Mode.AUTO)
        services[plain.id] = replace(plain, **changes)  # type: ignore[arg-type]
    world = World(Model("farm", checks, {}, moves, services, limits or Limits()))
    for n in range(count):
        world.effects[f"restart_web{n}"] = lambda name=f"web{n}": world.good(name)
    world.run(20)
    return world


def test_blind_waits_and_acts_once_a_reference_answers() -> None:
    world = lab()
    world.silent("ref", "ref2")
    world.run(3)
    world.bad("erp-transaction", "hq-internet")  # spoken, not silent: verdicts fall
    world.run(30)
    assert world.played == []
    world.good("ref")
    world.run(30)
    assert world.played[0] == "backup-isp", "\n".join(story(world))


def test_held_names_who_holds_and_why() -> None:
    world = lab()
    world.say(WordKind.HOLD, "acme")
    isp_a_dies(world)
    world.run(30)
    assert judged(world, Reason.HELD).evidence == "Ada holds acme: a reason"
    assert judged(world, Reason.HELD).decision is r.Decision.REFRAIN
    world.say(WordKind.RESUME, "acme")
    world.run(30)
    assert world.played == ["backup-isp"]


def test_it_is_held_by_whoever_holds_it_now_and_by_nobody_who_has_let_go() -> None:
    world = lab()
    world.say(WordKind.HOLD, "acme")
    world.hears(e.WordSpoken("w-bob", WordKind.HOLD, "Bob", "*", "a new line"))
    isp_a_dies(world)
    world.run(30)
    assert judged(world, Reason.HELD, "acme/hq-internet").evidence == "Ada holds acme: a reason"
    world.say(WordKind.RESUME, "acme")
    world.run(5)
    assert judged_now(world, "acme/hq-internet") == "Bob holds *: a new line"


def test_a_window_that_goes_on_under_another_name_is_told_by_that() -> None:
    world = lab()
    world.say(WordKind.MAINTENANCE, "acme", for_s=60)
    world.say(WordKind.MAINTENANCE, "*", for_s=600)
    isp_a_dies(world)
    world.run(120)
    assert judged_now(world, "acme/hq-internet") == "announced for *"


def test_maintenance_ends_by_itself_and_then_it_acts() -> None:
    world = lab()
    world.say(WordKind.MAINTENANCE, "acme", for_s=120)
    isp_a_dies(world)
    world.run(100)
    assert world.played == []
    assert judged(world, Reason.IN_MAINTENANCE, "acme/hq-internet").evidence == "announced for acme"
    world.run(60)
    assert world.played == ["backup-isp"]


def test_a_calendars_window_is_maintenance_too() -> None:
    world = lab()
    world.hears(e.MaintenanceBegan("acme", "patches", world.now + 600))
    isp_a_dies(world)
    world.run(60)
    assert world.played == []
    assert judged(world, Reason.IN_MAINTENANCE, "acme/hq-internet").evidence == "announced for acme#patches"
    world.hears(e.MaintenanceEnded("acme", "patches"))
    world.run(10)
    assert world.played == ["backup-isp"]


def test_too_many_moves_freeze_the_service_and_call_a_human_until_resumed() -> None:
    world = farm(1, Limits(moves_per_service=3, relapse_s=0.0))
    for _ in range(4):
        world.bad("web0")
        world.run(40)
    assert world.played == ["restart_web0"] * 3
    assert judged(world, Reason.FLAPPING, "acme/web0").decision is r.Decision.ASK
    human = [t for t in world.told if t.kind is NoticeKind.HUMAN_NEEDED]
    assert [t.say for t in human] == ["bascule resume acme/web0"]
    world.run(7200)  # time alone does not release it
    assert world.played == ["restart_web0"] * 3
    assert world.say(WordKind.RESUME, "acme/web0").accepted
    world.run(40)
    assert world.played == ["restart_web0"] * 4


def test_whoever_resumed_is_told_when_it_freezes_again() -> None:
    world = farm(1, Limits(moves_per_service=1, relapse_s=0.0))
    del world.effects["restart_web0"]
    for _ in range(2):
        world.bad("web0")
        world.run(60)
        world.say(WordKind.RESUME, "acme/web0")
        world.good("web0")
        world.run(20)
        world.effects["restart_web0"] = lambda: world.good("web0")
    world.bad("web0")
    world.run(40)
    world.bad("web0")
    world.run(40)
    frozen = list(world.records(r.ServiceFrozen))
    told = [t for t in world.told if "frozen" in t.text]
    assert len(told) == len(frozen) >= 1


def test_mass_failure_stops_all_and_does_not_let_go_while_all_is_still_down() -> None:
    """It may be the checks: letting go after the window would only delay the mistake."""
    world = farm(8)
    world.bad(*(f"web{n}" for n in range(8)))
    world.run(5)
    begun = len(world.played)
    assert begun <= 3
    world.run(600)
    assert len(world.played) == begun, "\n".join(story(world))
    told = judged(world, Reason.MASS_FAILURE, "acme/web7").evidence
    assert told == "8 failure domains within 1:00: acme/web0, acme/web1, acme/web2, acme/web3 and 4 more"
    assert [t for t in world.told if t.subject == "acme/web7" and t.kind is NoticeKind.HUMAN_NEEDED]


def test_mass_failure_lets_go_when_the_checks_come_back() -> None:
    world = farm(8)
    world.bad(*(f"web{n}" for n in range(8)))
    world.run(120)
    assert "restart_web7" not in world.played
    world.good(*(f"web{n}" for n in range(7)))
    world.run(60)
    assert world.played[-1] == "restart_web7"


def test_a_named_person_may_lift_mass_failure() -> None:
    world = farm(8, Limits(concurrent_failovers=9))
    world.bad(*(f"web{n}" for n in range(8)))
    world.run(120)
    assert "restart_web7" not in world.played
    assert world.say(WordKind.RESUME, "acme").accepted
    world.run(60)
    assert "restart_web7" in world.played


def test_one_dark_site_is_one_failure_domain() -> None:
    world = farm(6)
    model = world.model
    dark = {c.id: replace(c, domains=c.domains | {"acme/hq"}) for c in model.checks.values() if not c.reference}
    world.model = replace(model, digest="domains", checks={**model.checks, **dark})
    world.hears(e.ConfigurationLoaded(world.model))
    world.run(20)
    world.bad(*(f"web{n}" for n in range(6)))
    world.run(120)
    assert sorted(world.played) == [f"restart_web{n}" for n in range(6)]


def site(*places: str, limits: Limits | None = None) -> World:
    """`farm`, with each service at its place, and each check asked from outside: of no host."""
    world = farm(len(places), limits)
    model = world.model
    checks = {c.id: c if c.reference else replace(c, host="") for c in model.checks.values()}
    known = {f"acme/{p}": Place(f"acme/{p}", "acme", p) for p in {*places, "spare"}}
    services = {
        s.id: replace(s, home=f"acme/{place}") for s, place in zip(model.services.values(), places, strict=True)
    }
    world.model = replace(model, digest="placed", checks=checks, services=services, places=known)
    world.hears(e.ConfigurationLoaded(world.model))
    world.run(20)
    return world


def test_one_dark_site_is_one_failure_domain_when_it_is_asked_from_outside() -> None:
    world = site(*["hq"] * 6)
    world.bad(*(f"web{n}" for n in range(6)))
    world.run(120)
    assert sorted(world.played) == [f"restart_web{n}" for n in range(6)], "\n".join(story(world))


def test_checks_from_outside_that_fail_across_sites_are_a_mass_failure() -> None:
    world = site(*(f"town{n}" for n in range(8)))
    world.bad(*(f"web{n}" for n in range(8)))
    world.run(300)
    assert len(world.played) <= 3
    evidence = judged(world, Reason.MASS_FAILURE, "acme/web7").evidence
    assert "acme/town" in evidence


def two_clients(limits: Limits, **own: Limits) -> World:
    """Two services of each of two clients, all at a place called hq."""
    world = site(*["hq"] * 4, limits=limits)
    model = world.model
    checks, services, places = dict(model.checks), dict(model.services), dict(model.places)
    places["beta/hq"] = Place("beta/hq", "beta", "hq")
    for n in (2, 3):
        old = services.pop(f"acme/web{n}")
        services[f"beta/web{n}"] = replace(old, id=f"beta/web{n}", client="beta", home="beta/hq")
    changed = {"checks": checks, "services": services, "places": places, "client_limits": own}
    world.model = replace(model, digest="two", **changed)
    world.hears(e.ConfigurationLoaded(world.model))
    world.run(20)
    return world


def test_same_named_places_of_two_clients_are_two_failure_domains() -> None:
    world = two_clients(Limits(failure_domains=1, concurrent_failovers=9))
    world.bad(*(f"web{n}" for n in range(4)))
    world.run(120)
    finding = judged(world, Reason.MASS_FAILURE, "beta/web3")
    assert finding.evidence == "2 failure domains within 1:00: beta/hq, 1 of other clients"
    told = [x for x in world.told if x.client == "beta"]
    assert told, "a person is told"
    assert not [x.text for x in told if "acme/hq" in x.text], "one client's people learn nothing of another"


def fallen_again(world: World, first: str, *others: str) -> policy.Finding | None:
    """The others fail; a while later this one, which comes back and fails again once they are out of its window."""
    world.bad(*others)
    world.run(50)
    world.bad(first)
    world.run(4)
    world.good(first)
    world.run(8)
    world.bad(first)
    world.run(8)
    assert world.decided().verdicts[f"acme/{first}"].verdict is r.Verdict.DOWN
    return policy.mass_failure(world.engine.transaction(world.now), world.model.services[f"acme/{first}"])


def test_what_comes_back_and_fails_again_does_not_hide_with_what_it_failed_first() -> None:
    world = farm(4, Limits(failure_domains=3, concurrent_failovers=9), mode=Mode.OBSERVE)
    finding = fallen_again(world, "web0", "web1", "web2", "web3")
    assert finding is not None, "\n".join(story(world))
    assert finding.evidence.startswith("4 failure domains within 1:00")
    world.run(60)
    later = policy.mass_failure(world.engine.transaction(world.now), world.model.services["acme/web0"])
    assert later is None, "it counts a window long, as everything that came back"


def test_another_clients_failures_bear_on_what_fell_with_them_first() -> None:
    world = farm(2, Limits(failure_domains=1, concurrent_failovers=9), mode=Mode.OBSERVE)
    services = dict(world.model.services)
    services["beta/web1"] = replace(services.pop("acme/web1"), id="beta/web1", client="beta")
    world.model = replace(world.model, digest="two", services=services)
    world.hears(e.ConfigurationLoaded(world.model))
    assert fallen_again(world, "web0", "web1") is not None, "\n".join(story(world))


def test_a_check_that_falls_for_ever_is_remembered_of_late() -> None:
    state = Decided()
    for n in range(100):
        fell = r.VerdictChanged(n * 5.0, "acme/web0", r.Verdict.UP, r.Verdict.DOWN, n * 5.0, "")
        fold.apply(state, fell)
    assert state.fell["acme/web0"].at == 495.0
    assert [x.at for x in state.fell_before["acme/web0"]] == [415.0 + 5.0 * n for n in range(16)]
    fold.apply(state, replace(fell, at=9000.0))
    assert state.fell_before == {}


def test_a_blind_vantage_names_no_other_clients_references() -> None:
    world = two_clients(Limits(failure_domains=9))
    world.silent("ref")
    world.run(3)
    finding = policy.blind(world.engine.transaction(world.now), world.model.services["beta/web3"])
    assert finding is not None
    assert finding.evidence == "vantage local: none of 1 of other clients answers"
    items = [x for x in readiness.assess(world.engine.transaction(world.now)) if x.lack is readiness.Lack.BLIND]
    told = {x.client: (x.evidence.partition("; none has ever")[0], x.say) for x in items}
    assert "acme/ref" in told["acme"][0]
    assert told["acme"][1] == "bascule check acme/ref"


def test_what_falls_with_another_client_does_not_count_against_a_clients_own_limit() -> None:
    one, many = Limits(failure_domains=1, concurrent_failovers=9), Limits(failure_domains=3, concurrent_failovers=9)
    world = two_clients(many, beta=one)
    world.bad(*(f"web{n}" for n in range(4)))
    world.run(120)
    assert sorted(world.played) == [f"restart_web{n}" for n in range(4)], "\n".join(story(world))


@pytest.mark.parametrize(("later_s", "its_own", "acts"), [(3600, False, True), (30, False, False), (3600, True, False)])
def test_what_is_down_for_long_at_one_client_keeps_no_other_clients_failover_away(
    later_s: float, its_own: bool, acts: bool
) -> None:
    """But what fell with something of its own: then it may be the checks still."""
    world = farm(6, Limits(failure_domains=3, concurrent_failovers=9))
    services = {s.id: replace(s, mode=Mode.OBSERVE) for s in world.model.services.values()}
    for n in (4, 5):
        old = services.pop(f"acme/web{n}")
        services[f"beta/web{n}"] = replace(old, id=f"beta/web{n}", client="beta", mode=Mode.AUTO)
    world.model = replace(world.model, digest="two", services=services)
    world.hears(e.ConfigurationLoaded(world.model))
    world.bad(*(f"web{n}" for n in range(4)), *(["web5"] if its_own else []))
    world.run(later_s)
    world.bad("web4")
    world.run(300)
    assert world.played == (["restart_web4"] if acts else []), "\n".join(story(world))
    if not acts:
        assert judged(world, Reason.MASS_FAILURE, "beta/web4")


def test_what_moved_away_still_counts_for_the_place_where_it_fell() -> None:
    """Each goes to another place: that does not make four failures out of one."""
    world = site(*["hq"] * 5, limits=Limits(failure_domains=1, concurrent_failovers=1))
    model = world.model
    places = dict(model.places)
    moves = dict(model.moves)
    for n in range(5):
        places[f"acme/away{n}"] = Place(f"acme/away{n}", "acme", f"away{n}")
        moves[f"acme/restart-web{n}"] = replace(moves[f"acme/restart-web{n}"], to=f"acme/away{n}")
    world.model = replace(model, digest="moves", places=places, moves=moves)
    world.hears(e.ConfigurationLoaded(world.model))
    world.run(20)
    world.bad(*(f"web{n}" for n in range(5)))
    world.run(200)
    assert sorted(world.played) == [f"restart_web{n}" for n in range(5)], "\n".join(story(world))
    assert {world.decided().services[f"acme/web{n}"].place for n in range(5)} == {f"acme/away{n}" for n in range(5)}


def test_what_never_worked_is_no_sudden_failure() -> None:
    world = farm(6)
    world.crash()
    world.bad(*(f"web{n}" for n in range(6)))
    world.start(same_boot=False)  # after a boot nothing is known: these were down before, for all it knows
    world.run(120)
    assert sorted(set(world.played)) == [f"restart_web{n}" for n in range(6)]


def test_at_most_so_many_failovers_at_once() -> None:
    world = farm(3, Limits(concurrent_failovers=1, failure_domains=9))
    world.bad("web0", "web1", "web2")
    world.run(4)
    assert len(world.played) == 1
    assert judged(world, Reason.TOO_MANY_FAILOVERS, "acme/web1").evidence == "1 of 1: r1"
    world.run(60)
    assert sorted(world.played) == ["restart_web0", "restart_web1", "restart_web2"]


def of_two(limits: Limits) -> World:
    """A farm whose last service is of another client."""
    world = farm(4, limits)
    services = dict(world.model.services)
    last = services.pop("acme/web3")
    services["beta/web3"] = replace(last, id="beta/web3", client="beta")
    world.model = replace(world.model, digest="two", services=services)
    world.hears(e.ConfigurationLoaded(world.model))
    return world


def test_a_question_that_one_client_does_not_answer_keeps_no_other_clients_failover_away() -> None:
    world = of_two(Limits(failure_domains=9))
    asking = {s.id: replace(s, mode=Mode.ASK) for s in world.model.services.values() if s.client == "acme"}
    world.model = replace(world.model, digest="ask", services=world.model.services | asking)
    world.hears(e.ConfigurationLoaded(world.model))
    world.bad("web0", "web1", "web2")
    world.run(20)
    assert sorted(x.started.service for x in world.decided().unfinished_runs()) == sorted(asking)
    world.bad("web3")
    world.run(20)
    assert world.played == ["restart_web3"], "\n".join(story(world))


def test_what_need_not_be_asked_any_more_goes_on_one_after_the_other() -> None:
    """Whoever waited counted for nobody: together they would be more at once than there may be."""
    world = farm(4, Limits(concurrent_failovers=1, failure_domains=9))
    by_itself = world.model
    asking = {s.id: replace(s, mode=Mode.ASK) for s in by_itself.services.values()}
    world.model = replace(by_itself, digest="ask", services=asking)
    world.hears(e.ConfigurationLoaded(world.model))
    world.takes |= {f"restart_web{n}": 20.0 for n in range(4)}
    world.bad(*(f"web{n}" for n in range(4)))
    world.run(20)
    assert len(world.decided().unfinished_runs()) == 4
    world.model = replace(by_itself, digest="auto")
    world.hears(e.ConfigurationLoaded(world.model))
    for _ in range(200):
        world.run(1)
        assert sum(x.is_at_work for x in world.decided().unfinished_runs()) <= 1, "\n".join(story(world))
    assert sorted(world.played) == [f"restart_web{n}" for n in range(4)]


def asking_farm(count: int, limits: Limits) -> World:
    """All of it fails, and each asks whether it may be restarted, which takes long."""
    world = farm(count, limits)
    asking = {s.id: replace(s, mode=Mode.ASK) for s in world.model.services.values()}
    world.model = replace(world.model, digest="ask", services=asking)
    world.hears(e.ConfigurationLoaded(world.model))
    world.takes |= {f"restart_web{n}": 60.0 for n in range(count)}
    world.bad(*(f"web{n}" for n in range(count)))
    world.run(20)
    return world


def would(world: World, run: str) -> list[str]:
    """What an approval of this run would do, of how many are at work at once."""
    told = consequences(world.engine.transaction(world.now), world.decided().runs[run])
    return [x for x in told if "at work at once" in x]


def test_whoever_approves_is_told_where_more_go_on_than_may_be() -> None:
    world = asking_farm(3, Limits(concurrent_failovers=2, failure_domains=9))
    assert would(world, "r1") == [
        "r2, r3 wait for a person too: approved as well, 3 runs are at work at once, and concurrent_failovers is 2"
    ]
    asked = [x for x in world.told if x.kind is NoticeKind.APPROVAL_NEEDED]
    assert "r1, r2 wait for a person too" in asked[-1].text, "as they were when it was asked"
    first = world.say(WordKind.APPROVE, "r1")
    assert "at once" not in first.evidence
    assert would(world, "r2") == [
        "r3 waits for a person too: approved as well, 3 runs are at work at once, and concurrent_failovers is 2"
    ]
    world.run(5)
    assert "at once" not in world.say(WordKind.APPROVE, "r2").evidence
    third = "then 3 runs are at work at once, with r1, r2, and concurrent_failovers is 2"
    assert would(world, "r3") == [third]
    assert world.say(WordKind.APPROVE, "r3").evidence.endswith(third)
    world.run(5)
    assert sum(x.is_at_work for x in world.decided().unfinished_runs()) == 3


def test_where_all_that_wait_may_go_on_nothing_is_told_of_it() -> None:
    world = asking_farm(3, Limits(concurrent_failovers=3, failure_domains=9))
    assert [would(world, f"r{n}") for n in (1, 2, 3)] == [[], [], []]
    for n in (1, 2, 3):
        assert "at once" not in world.say(WordKind.APPROVE, f"r{n}").evidence


def test_what_ends_though_it_is_approved_is_none_of_them() -> None:
    world = asking_farm(3, Limits(concurrent_failovers=2, failure_domains=9))
    world.say(WordKind.HOLD, "acme/web2")
    assert would(world, "r1") == []


def test_of_other_clients_whoever_approves_is_told_the_number() -> None:
    world = of_two(Limits(concurrent_failovers=1, failure_domains=9))
    world.hang |= {"restart_web0"}
    world.bad("web0")
    world.run(20)
    asking = replace(world.model.services["beta/web3"], mode=Mode.ASK)
    world.model = replace(world.model, digest="ask", services={**world.model.services, "beta/web3": asking})
    world.hears(e.ConfigurationLoaded(world.model))
    world.model = replace(world.model, digest="many", limits=Limits(concurrent_failovers=2, failure_domains=9))
    world.hears(e.ConfigurationLoaded(world.model))
    world.bad("web3")
    world.run(20)
    world.model = replace(world.model, digest="one", limits=Limits(concurrent_failovers=1, failure_domains=9))
    world.hears(e.ConfigurationLoaded(world.model))
    (text,) = would(world, "r2")
    assert text == "then 2 runs are at work at once, with 1 of other clients, and concurrent_failovers is 1"


def test_of_other_clients_failovers_only_the_number_is_told() -> None:
    world = of_two(Limits(concurrent_failovers=2, failure_domains=9))
    world.hang |= {"restart_web0", "restart_web1"}
    world.bad("web0", "web1")
    world.run(20)
    world.bad("web2", "web3")
    world.run(20)
    assert judged(world, Reason.TOO_MANY_FAILOVERS, "acme/web2").evidence == "2 of 2: r1, r2"
    assert judged(world, Reason.TOO_MANY_FAILOVERS, "beta/web3").evidence == "2 of 2: 2 of other clients"


def test_another_clients_failover_is_not_counted_against_this_clients_limit() -> None:
    world = farm(2, Limits(concurrent_failovers=9, failure_domains=9))
    other = replace(world.model.services["acme/web1"], id="beta/web1", client="beta")
    services = {"acme/web0": world.model.services["acme/web0"], "beta/web1": other}
    one = Limits(concurrent_failovers=1, failure_domains=9)
    world.model = replace(world.model, digest="two", services=services, client_limits={"acme": one, "beta": one})
    world.hears(e.ConfigurationLoaded(world.model))
    world.hang |= {"restart_web0"}
    world.bad("web0", "web1")
    world.run(20)
    assert sorted(world.played) == ["restart_web0", "restart_web1"]


def test_what_stands_on_a_recovering_service_waits_for_it() -> None:
    world = lab()
    isp_a_dies(world)
    world.run(5)
    assert judged(world, Reason.DEPENDENCY_RECOVERING).evidence == "acme/hq-internet comes first (i1)"
    world.run(30)
    assert world.played == ["backup-isp"]


@pytest.mark.parametrize("beat", [0.0, 0.3, 0.6, 0.9])
@pytest.mark.parametrize("slow", [1.0, 5.0, 30.0])
def test_the_links_own_incident_begins_the_shared_move(beat: float, slow: float) -> None:
    """Whenever the questions fall, and however seldom the link is asked in good times."""
    model = acme()
    link = replace(model.checks["acme/hq-internet"], every_s=slow)
    model = replace(model, checks={**model.checks, link.id: link})
    world = lab()
    world.model = replace(model, digest=f"slow-{slow}")
    world.hears(e.ConfigurationLoaded(world.model))
    world.run(60 + beat)
    isp_a_dies(world)
    world.run(60)
    started = [x.service for x in world.records(r.RunStarted)]
    assert started == ["acme/hq-internet"], "\n".join(story(world))
    assert world.played == ["backup-isp"]


def test_a_dependency_that_works_makes_nobody_wait() -> None:
    world = lab()
    world.bad("erp-transaction")
    world.run(30)
    assert world.played[0] == "backup-isp"  # erp's own first tier
    assert Reason.DEPENDENCY_RECOVERING not in {x.reason for x in world.records(r.ServiceJudged)}


def test_a_dependency_nobody_will_move_does_not_hold_its_dependants_back() -> None:
    world = lab()
    services = dict(world.model.services)
    services["acme/hq-internet"] = replace(services["acme/hq-internet"], mode=Mode.OBSERVE)
    world.hears(e.ConfigurationLoaded(replace(world.model, digest="observing", services=services)))
    isp_a_dies(world)
    world.run(40)
    assert [x.service for x in world.records(r.RunStarted)] == ["acme/erp"]


def test_a_dependency_counts_only_in_the_places_it_is_declared_for() -> None:
    world = lab()
    hq_loses_power(world)
    world.run(60)
    assert world.decided().services["acme/erp"].place == "acme/geo"
    judged_before = len(list(world.records(r.ServiceJudged)))
    world.bad("erp-transaction")  # hq-internet is down too, and does not matter at geo
    world.run(10)
    since = list(world.records(r.ServiceJudged))[judged_before:]
    erp = world.decided().services["acme/erp"].incident
    assert Reason.DEPENDENCY_RECOVERING not in {x.reason for x in since if x.incident == erp}


def test_suspected_compromise_asks_a_person_and_a_cleared_one_does_not() -> None:
    world = lab()
    world.say(WordKind.SUSPECT, "acme")
    isp_a_dies(world)
    world.run(30)
    assert world.played == []
    asked = [t for t in world.told if t.kind is NoticeKind.APPROVAL_NEEDED]
    assert "compromise suspected: Ada on acme: a reason" in asked[0].text
    world.say(WordKind.CLEAR, "acme")
    world.run(30)
    assert world.played == ["backup-isp"]


def test_mode_ask_prepares_and_waits() -> None:
    world = lab(Mode.ASK)
    isp_a_dies(world)
    world.run(30)
    assert world.played == []
    assert world.say(WordKind.APPROVE, "r1").accepted
    world.run(30)
    assert world.played == ["backup-isp"]


def test_services_are_restored_in_order_of_dependency_priority_and_cost() -> None:
    world = farm(3, Limits(concurrent_failovers=1, failure_domains=9))
    services = dict(world.model.services)
    services["acme/web0"] = replace(services["acme/web0"], depends_on=(Dependency("acme/web2"),))
    services["acme/web1"] = replace(services["acme/web1"], downtime_cost=5.0)
    world.hears(e.ConfigurationLoaded(replace(world.model, digest="ordered", services=services)))
    world.run(20)
    world.say(WordKind.HOLD, "*")
    world.bad("web0", "web1", "web2")
    world.run(20)
    world.say(WordKind.RESUME, "*")
    world.run(90)
    assert [x.service for x in world.records(r.RunStarted)] == ["acme/web1", "acme/web2", "acme/web0"]


def test_a_condition_of_nothing_asks_nothing() -> None:
    assert list(Condition(all_of().combine, ()).checks()) == []


def test_what_is_not_known_to_be_down_any_more_is_left_alone_until_it_is() -> None:
    world = lab()
    world.say(WordKind.HOLD, "acme")
    isp_a_dies(world)
    world.run(20)
    world.nothing("erp-transaction", "hq-internet")
    world.run(20)
    world.say(WordKind.RESUME, "acme")
    world.run(10)
    assert not world.played, "a probe that cannot ask says nothing"
    judged = world.decided().open_incidents()[0].judged
    assert judged is not None
    assert (judged.decision, judged.reason) == (r.Decision.WAIT, Reason.HEALTH_UNKNOWN)
    world.run(60)
    assert any(t.kind is NoticeKind.HUMAN_NEEDED and Reason.HEALTH_UNKNOWN.text in t.text for t in world.told)
    world.silent("erp-transaction", "hq-internet")
    world.run(10)
    assert world.played == ["backup-isp"]


def test_after_a_restart_of_the_machine_the_first_tier_is_given_the_time_to_be_asked() -> None:
    world = lab()
    world.say(WordKind.HOLD, "acme")
    isp_a_dies(world)
    world.run(120)
    world.crash()
    told = len(world.told)
    world.at(world.now + 2.0, lambda: world.good("isp-b-path"))
    world.nothing("isp-b-path")
    world.start(same_boot=False)
    world.say(WordKind.RESUME, "acme")
    world.run(30)
    assert world.played == ["backup-isp"], "\n".join(story(world))
    assert not [t for t in world.told[told:] if t.kind is NoticeKind.HUMAN_NEEDED], "nobody is called for a start"


def restarted(world: World, assumed_gap_s: float = 0.0) -> None:
    """The controller's machine restarts; the wall clock says for how long it was away."""
    world.crash()
    world.now += assumed_gap_s
    world.start(same_boot=False, assumed_gap_s=assumed_gap_s)


def test_a_restart_of_the_machine_does_not_let_go_of_a_mass_failure() -> None:
    world = farm(8)
    world.bad(*(f"web{n}" for n in range(8)))
    world.run(30)
    assert judged(world, Reason.MASS_FAILURE, "acme/web7")
    played = list(world.played)
    restarted(world)
    world.run(120)
    assert world.played == played, "all is down still: it is the same mass failure"
    assert world.say(WordKind.RESUME, "acme").accepted
    world.run(60)
    assert len(world.played) > len(played)


def test_what_came_back_after_a_mass_failure_and_a_restart_is_not_braked_any_more() -> None:
    world = farm(8)
    world.bad(*(f"web{n}" for n in range(8)))
    world.run(30)
    restarted(world)
    world.good(*(f"web{n}" for n in range(8)))
    world.run(600)
    assert not world.decided().open_incidents()
    world.bad("web7")
    world.run(30)
    assert world.played[-1] == "restart_web7"


def test_time_that_the_wall_clock_alone_tells_of_releases_no_brake_and_no_cool_down() -> None:
    world = farm(1, Limits(moves_per_service=3, relapse_s=0.0))
    for _ in range(3):
        world.bad("web0")
        world.run(60)
    assert world.played.count("restart_web0") == 3
    restarted(world, assumed_gap_s=365 * 86400.0)
    world.run(30)
    world.bad("web0")
    world.run(60)
    assert world.played.count("restart_web0") == 3
    assert judged(world, Reason.FLAPPING, "acme/web0")


def test_a_place_that_failed_is_not_returned_to_because_the_wall_clock_jumped_at_a_restart() -> None:
    world = lab()
    hq_loses_power(world)
    world.run(60)
    assert world.decided().services["acme/erp"].place == "acme/geo"
    restarted(world, assumed_gap_s=365 * 86400.0)
    left_at = world.decided().services["acme/erp"].left["acme/hq"]
    assert world.now - left_at < 60.0, "a minute was lived through since"


def test_a_maintenance_has_an_end() -> None:
    world = lab()
    for length_s in (float("inf"), float("nan"), 0.0, -1.0, True):
        answer = world.say(WordKind.MAINTENANCE, "acme/erp", for_s=length_s)
        assert not answer.accepted, length_s


def test_a_controller_that_has_just_begun_does_not_say_that_no_reference_answers() -> None:
    """Nobody has asked one yet: an incident's decisions are read by its client."""
    world = lab(Mode.OBSERVE)
    isp_a_dies(world)
    world.run(20)
    world.crash()
    world.run(30)
    world.start(same_boot=False)
    world.run(10)
    judged = [x.evidence for x in world.records(r.ServiceJudged) if x.reason is Reason.BLIND]
    assert judged
    assert set(judged) == {"vantage local: none of acme/ref, acme/ref2 has answered yet"}
    world.silent("ref", "ref2")
    world.run(20)
    assert world.last(r.ServiceJudged).evidence == "vantage local: none of acme/ref, acme/ref2 answers"  # type: ignore[attr-defined]


@pytest.mark.parametrize("how", ["the controller, which had stood still, went on", "the controller began"])
def test_references_that_answered_before_nobody_looked_are_not_told_as_never_answered(how: str) -> None:
    world = lab(Mode.OBSERVE)
    isp_a_dies(world)
    world.run(20)
    if how == "the controller began":
        world.crash()
        world.run(300)
        world.start()
    else:
        world.stand_still(300)
    world.run(5)
    judged = [x.evidence for x in world.records(r.ServiceJudged) if x.reason is Reason.BLIND]  # type: ignore[attr-defined]
    assert set(judged) == {f"vantage local: none of acme/ref, acme/ref2 has answered since {how}"}


def test_what_is_waited_for_is_not_said_to_recover_while_nothing_is_done_for_it() -> None:
    """It waits for a person's approval, or for something else itself."""
    world = lab(Mode.ASK)
    isp_a_dies(world)
    world.run(10)
    found = judged(world, Reason.DEPENDENCY_RECOVERING, "acme/erp")
    assert found.evidence == "acme/hq-internet comes first (i1)"
