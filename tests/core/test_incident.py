"""One service's incident: opened once, always in somebody's hands, ended by good answers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.core import events as e
from orchestrator.core import records as r
from orchestrator.core.commands import NoticeKind
from orchestrator.core.events import WordKind
from orchestrator.core.model import FenceBy, Limits, Mode
from orchestrator.core.reasons import Reason
from tests.core.stage import hq_loses_power, isp_a_dies, lab
from tests.core.test_policy import farm, judged_now
from tests.core.world import World, acme, all_of, book, story


def ends(world: World) -> list[tuple[str, Reason]]:
    """Service and reason of every incident's end, in order."""
    found = [x for x in world.records(r.IncidentEnded) if isinstance(x, r.IncidentEnded)]
    return [(world.decided().incidents[x.incident].service, x.reason) for x in found]


def test_its_clock_starts_at_the_first_bad_answer() -> None:
    world = farm(1)
    world.at(30.0, lambda: world.bad("web0"))
    world.run(60)
    opened = world.last(r.IncidentOpened)
    ended = world.last(r.IncidentEnded)
    assert isinstance(opened, r.IncidentOpened)
    assert isinstance(ended, r.IncidentEnded)
    assert 30.0 <= opened.first_bad_at <= 31.1
    assert opened.last_good_at is not None
    assert opened.last_good_at <= 30.1
    assert ended.rta_s == pytest.approx(ended.recovered_at - opened.first_bad_at)


def test_a_relapse_soon_reopens_it_and_its_clock_goes_on() -> None:
    world = farm(1)
    world.bad("web0")
    world.run(60)
    world.bad("web0")
    world.run(60)
    assert len(list(world.records(r.IncidentOpened))) == 1
    assert len(list(world.records(r.IncidentReopened))) == 1
    first, second = (x for x in world.records(r.IncidentEnded) if isinstance(x, r.IncidentEnded))
    assert second.rta_s > first.rta_s + 50


def test_a_late_relapse_is_an_incident_of_its_own() -> None:
    world = farm(1)
    world.bad("web0")
    world.run(60)
    world.run(300)
    world.bad("web0")
    world.run(60)
    assert len(list(world.records(r.IncidentOpened))) == 2


def test_a_slow_check_is_given_the_time_to_rise() -> None:
    """Verified by one fresh answer; the verdict needs minutes to rise, and that is no relapse."""
    world = farm(1)
    slow = replace(world.model.checks["acme/web0"], every_s=60.0, fast_s=30.0, rise=3)
    world.model = replace(world.model, digest="slow", checks={**world.model.checks, "acme/web0": slow})
    world.hears(e.ConfigurationLoaded(world.model))
    world.run(400)
    world.bad("web0")
    world.run(900)
    assert world.played == ["restart_web0"], "\n".join(story(world))
    assert not list(world.records(r.IncidentReopened))


def test_a_recovery_by_itself_cancels_a_run_that_has_changed_nothing() -> None:
    world = lab()
    world.silent("erp-transaction", "hq-internet", "isp-b-path")
    world.run(30)
    assert world.decided().runs["r1"].ended is None
    world.good("erp-transaction", "hq-internet", "isp-b-path")
    world.run(10)
    ended = world.decided().runs["r1"].ended
    assert ended is not None
    assert ended.reason is Reason.RECOVERED_BY_ITSELF
    assert world.played == []
    assert world.decided().open_incidents() == []


def test_a_failing_dependency_gives_way_to_the_services_own_ladder() -> None:
    world = lab()
    world.outcomes["backup-isp"] = e.AttemptEnd.FAILED
    isp_a_dies(world)
    world.run(20)
    world.good("hq-dark")
    world.run(40)
    assert world.played == ["backup-isp", "power_off_hq", "geo-site"]
    assert ("acme/erp", Reason.VERIFIED) in ends(world)


def test_a_recovered_dependency_that_did_not_help_gives_way_after_settling() -> None:
    world = lab()
    world.effects["backup-isp"] = lambda: world.good("hq-internet", "edge-uses-isp-b")
    isp_a_dies(world)
    world.run(12)
    assert Reason.SETTLING in {x.reason for x in world.records(r.ServiceJudged) if isinstance(x, r.ServiceJudged)}
    world.good("hq-dark")
    world.run(60)
    assert world.played == ["backup-isp", "power_off_hq", "geo-site"], "\n".join(story(world))


def test_no_tier_left_tells_a_human_once_and_tries_again_when_one_can_help() -> None:
    world = lab()
    world.bad("isp-b-path", "geo-ready", "cloud-ready")
    world.run(10)
    hq_loses_power(world)
    world.run(600)
    assert world.played == []
    told = [t for t in world.told if t.kind is NoticeKind.HUMAN_NEEDED and t.subject == "acme/erp"]
    assert len(told) == 1
    assert "tier 3 acme/cloud-instance: not viable" in told[0].text
    assert told[0].say == "bascule failover acme/erp --dry-run", "whoever is needed is told what to type"
    world.good("cloud-ready")
    world.run(30)
    assert world.played == ["power_off_hq", "cloud-instance"]


def test_a_service_without_a_ladder_is_told_as_one() -> None:
    """In mode observe none is needed: a sentence that ends in nothing names no reason."""
    world = lab()
    erp = replace(world.model.services["acme/erp"], mode=Mode.OBSERVE, ladder=(), failback=())
    world.model = replace(world.model, services={**world.model.services, "acme/erp": erp}, digest="no ladder")
    world.hears(e.ConfigurationLoaded(world.model))
    world.silent("erp-transaction")
    world.run(60)
    assert any(t.text == "acme/erp is down and no tier is left: it has no ladder" for t in world.told)
    answer = world.say(e.WordKind.FAILOVER, "acme/erp")
    assert (answer.reason, answer.evidence) == (Reason.NO_TIER_LEFT, "it has no ladder")


def test_whoever_was_told_is_told_again_after_a_move_in_vain() -> None:
    world = lab()
    world.bad("isp-b-path", "geo-ready", "cloud-ready")
    world.outcomes["cloud-instance"] = e.AttemptEnd.FAILED
    world.run(10)
    hq_loses_power(world)
    world.run(60)
    world.good("cloud-ready")
    world.run(60)
    told = [t for t in world.told if t.kind is NoticeKind.HUMAN_NEEDED and t.subject == "acme/erp"]
    assert len({t.id for t in told}) == 2


def test_a_service_down_while_a_person_has_its_run_has_an_incident_and_a_clock() -> None:
    """A failback went wrong half way: a person has the run, and the outage is not forgotten meanwhile."""
    world = lab()
    hq_loses_power(world)
    world.run(60)
    world.bad("hq-dark", "hq-off")
    world.good("isp-b-path", "hq-internet")
    world.run(60)
    home = replace(world.model.moves["acme/return-hq"], safe_to_repeat=False, timeout_s=20.0)
    world.model = replace(world.model, digest="unsafe", moves={**world.model.moves, home.id: home})
    world.hears(e.ConfigurationLoaded(world.model))
    world.hang.add("return-hq")
    assert world.say(WordKind.FAILBACK, "acme/erp").accepted
    world.run(120)
    run = world.decided().runs["r2"]
    assert run.human is not None, "\n".join(story(world))
    incident = world.decided().services["acme/erp"].incident
    assert incident is not None
    assert world.decided().incidents[incident].ended is None


def test_every_incident_tells_when_it_opens_and_when_it_ends_once() -> None:
    world = lab()
    isp_a_dies(world)
    world.run(60)
    by_kind = [t.kind for t in world.told if t.subject == "acme/erp"]
    assert by_kind.count(NoticeKind.INCIDENT_OPENED) == by_kind.count(NoticeKind.RECOVERED) == 1
    assert len({t.id for t in world.told}) == len(world.told)


def test_people_are_told_when_the_maximum_tolerable_downtime_is_near_and_when_it_is_over() -> None:
    world = farm(1, mtd_s=1000.0)
    del world.effects["restart_web0"]
    world.bad("web0")
    world.run(780)
    assert not [t for t in world.told if "maximum tolerable downtime" in t.text]
    world.run(40)
    near = [t for t in world.told if "maximum tolerable downtime" in t.text]
    assert [t.kind for t in near] == [NoticeKind.HUMAN_NEEDED]
    assert near[0].text.startswith("acme/web0 has been down for 13:20: its maximum tolerable downtime of 16:40 is near")
    world.run(2000)
    told = [t.text for t in world.told if "maximum tolerable downtime" in t.text]
    assert [text.rpartition(" ")[2] for text in told] == ["near", "over"]


# ---- going back by itself


def returning(**erp: object) -> World:
    """The lab whose erp goes home by itself."""
    world = lab(automatic_failback=True, **erp)
    world.effects["backup-isp.back"] = lambda: world.bad("edge-uses-isp-b")
    hq_loses_power(world)
    world.run(60)
    world.bad("hq-dark", "hq-off")
    world.good("isp-b-path", "hq-internet")
    return world


def test_it_goes_home_by_itself_after_hold_down_and_cool_down() -> None:
    world = returning()
    world.run(800)
    assert world.decided().services["acme/erp"].place == "acme/geo"
    world.run(300)
    assert world.decided().services["acme/erp"].place == "acme/hq", "\n".join(story(world))


def test_a_failed_way_home_is_not_tried_at_once_again_and_leaves_the_brake_alone() -> None:
    world = returning()
    world.outcomes["rebuild_hq"] = e.AttemptEnd.FAILED
    world.run(1100)
    assert world.played.count("rebuild_hq") == 1
    world.run(1800)
    assert world.played.count("rebuild_hq") == 3
    assert not list(world.records(r.ServiceFrozen))


def test_it_still_goes_home_after_the_controllers_machine_restarted() -> None:
    world = returning()
    world.run(100)
    world.crash()
    world.start(same_boot=False)
    world.run(1100)
    assert world.decided().services["acme/erp"].place == "acme/hq"


def test_it_does_not_go_home_by_itself_while_held_or_in_another_mode() -> None:
    world = returning()
    world.say(WordKind.HOLD, "acme/erp")
    world.run(1500)
    assert world.decided().services["acme/erp"].place == "acme/geo"
    asking = replace(world.model.services["acme/erp"], mode=Mode.ASK)
    world.hears(
        e.ConfigurationLoaded(replace(world.model, digest="ask", services={**world.model.services, asking.id: asking}))
    )
    world.say(WordKind.RESUME, "acme/erp")
    world.run(1500)
    assert world.decided().services["acme/erp"].place == "acme/geo"


def test_limits_of_a_client_take_the_place_of_the_workspaces() -> None:
    world = farm(1, Limits(relapse_s=0.0))
    world.hears(
        e.ConfigurationLoaded(replace(world.model, digest="l", client_limits={"acme": Limits(relapse_s=3600.0)}))
    )
    world.bad("web0")
    world.run(900)
    world.bad("web0")
    world.run(60)
    assert list(world.records(r.IncidentReopened))


def prepared_for_long(world: World, takes_s: float) -> World:
    """Its way home is prepared for so long, and the hand-over works."""
    world.takes["rebuild_hq"] = takes_s
    back = replace(world.model.moves["acme/return-hq"], timeout_s=2 * takes_s)
    world.model = replace(world.model, digest="long", moves={**world.model.moves, back.id: back})
    world.hears(e.ConfigurationLoaded(world.model))
    return world


def on_its_way_home(takes_s: float = 1200.0) -> World:
    """The lab whose erp goes home by itself, while hq is being rebuilt for that."""
    world = prepared_for_long(returning(), takes_s)
    world.run(900)
    assert world.played[-1] == "rebuild_hq"
    return world


def test_an_outage_while_a_way_home_is_prepared_is_an_incident_and_the_way_home_is_given_up() -> None:
    world = on_its_way_home()
    world.bad("erp-transaction", "erp-at-geo")
    began = world.now
    world.run(60)
    opened = world.last(r.IncidentOpened)
    assert isinstance(opened, r.IncidentOpened)
    assert opened.at - began < 5.0
    (run,) = [x for x in world.decided().runs.values() if x.abort]
    assert run.abort is not None
    assert (run.started.move, run.abort.who) == ("acme/return-hq", "bascule")
    assert run.ended is not None
    assert "hand_over" not in world.played
    assert ends(world)[-1] == ("acme/erp", Reason.VERIFIED)


def test_an_outage_while_a_persons_way_home_is_prepared_is_an_incident_and_the_run_is_theirs() -> None:
    world = prepared_for_long(returning(), 1200.0)
    world.run(60)
    word = world.say(WordKind.FAILBACK, "acme/erp")
    world.run(10)
    world.bad("erp-transaction", "erp-at-geo")
    world.run(10)
    (incident,) = world.decided().open_incidents()
    assert incident.service == "acme/erp"
    assert world.decided().runs[word.run or ""].ended is None


@pytest.mark.parametrize("said", [WordKind.HOLD, WordKind.MAINTENANCE])
def test_a_hold_while_a_way_home_is_prepared_stops_it_before_the_hand_over(said: WordKind) -> None:
    world = on_its_way_home()
    world.say(said, "acme/erp", for_s=7200.0)
    world.run(1500)
    assert "hand_over" not in world.played
    assert world.decided().services["acme/erp"].place == "acme/geo"


def test_what_has_recovered_while_its_move_was_prepared_stays_where_it_is() -> None:
    model = acme()
    place = model.places["acme/hq"]
    assert place.fence is not None
    hq = replace(place, fence=replace(place.fence, automatic=FenceBy.ALWAYS))
    geo = replace(model.moves["acme/geo-site"], prepare=book("prepare_geo"), timeout_s=600.0)
    world = World(replace(model, places={**model.places, hq.id: hq}, moves={**model.moves, geo.id: geo}))
    world.takes["prepare_geo"] = 120.0
    world.run(20)
    hq_loses_power(world)
    world.run(40)
    assert world.played == ["prepare_geo"]
    world.good("erp-transaction", "hq-internet", "isp-b-path")
    world.run(300)
    assert world.played == ["prepare_geo"], "what works is neither fenced nor moved"
    assert not world.decided().open_incidents()


def test_the_tier_that_is_asked_for_is_the_one_that_stands_there() -> None:
    world = lab()
    world.silent("erp-transaction", "hq-internet", "isp-b-path")
    world.run(30)
    assert judged_now(world, "acme/erp").startswith("tier 2 acme/geo-site: ")
    (run,) = [x.id for x in world.decided().unfinished_runs()]
    world.say(WordKind.REJECT, run)
    assert judged_now(world, "acme/erp").startswith("tier 3 acme/cloud-instance: ")


def test_in_mode_observe_the_tier_that_it_would_run_now_stands_there() -> None:
    world = lab(Mode.OBSERVE)
    world.bad("erp-transaction", "hq-internet")
    world.run(30)
    assert judged_now(world, "acme/erp").startswith("would run tier 1 acme/backup-isp")
    world.bad("isp-b-path")
    world.run(30)
    assert judged_now(world, "acme/erp").startswith("would run tier 2 acme/geo-site")
    judged = len(list(world.records(r.ServiceJudged)))
    world.run(120)
    assert len(list(world.records(r.ServiceJudged))) == judged, "not with every answer"


def test_what_is_not_seen_is_not_told_as_down() -> None:
    world = lab(mtd_s=200.0)
    world.say(WordKind.HOLD, "acme")
    isp_a_dies(world)
    world.run(30)
    world.nothing("erp-transaction")
    world.run(150)
    world.say(WordKind.RESUME, "acme")
    world.run(5)
    of_the_hold, *told = [x.text for x in world.told if x.kind is NoticeKind.HUMAN_NEEDED and x.subject == "acme/erp"]
    held = "acme/erp is down and nothing is done automatically: a named person holds automatic action: "
    assert of_the_hold == f"{held}Ada holds acme: a reason"
    assert told[0].startswith(
        "i2 of acme/erp has been open for 2:40: its maximum tolerable downtime of 3:20 is perhaps near"
    )
    assert told[1].startswith("it is not known whether acme/erp is down, and nothing is done automatically: ")
    assert [x.say for x in world.told if x.text == told[1]] == ["bascule ready acme"]


def test_a_move_that_was_rejected_is_no_tier_that_failed_and_one_that_is_done_no_recovery() -> None:
    """In the very title of the message."""
    world = lab()
    world.silent("erp-transaction", "hq-internet", "isp-b-path")
    world.run(30)
    (run,) = [x.id for x in world.decided().unfinished_runs()]
    world.say(WordKind.REJECT, run)
    assert [x.kind for x in world.told if "was not made" in x.text] == [NoticeKind.NOT_MADE]
    world = lab()
    assert world.say(WordKind.FAILOVER, "acme/erp", move="geo-site", fence=True).accepted
    world.run(60)
    assert [x.kind for x in world.told if "done, asked by Ada" in x.text] == [NoticeKind.MOVE_DONE]
    assert not [x for x in world.told if x.kind is NoticeKind.RECOVERED]


def test_what_was_led_on_in_the_outage_was_not_down_at_its_new_place_for_so_long() -> None:
    world = lab()
    world.effects = {}  # the playbooks bring nothing
    world.takes["geo-site"] = 20.0
    assert world.say(WordKind.FAILOVER, "acme/erp", move="geo-site", fenced="acme/hq").accepted
    world.at(world.now + 5.0, lambda: world.silent("erp-transaction", "erp-at-geo"))
    world.run(120)
    told = next(x.text for x in world.told if x.kind is NoticeKind.INCIDENT_OPENED)
    assert told.startswith("acme/erp has been down at acme/hq, then acme/geo for ")


def test_a_tier_that_a_person_made_in_vain_is_told_once() -> None:
    """As the move that they asked for."""
    world = lab()
    world.bad("isp-b-path", "geo-ready", "cloud-ready")
    world.outcomes["cloud-instance"] = e.AttemptEnd.FAILED
    world.run(10)
    hq_loses_power(world)
    world.run(60)
    override = ["not viable", "RPO exceeded"]
    assert world.say(WordKind.FAILOVER, "acme/erp", move="cloud-instance", override=override).accepted
    world.run(60)
    told = [x.text for x in world.told if x.kind is NoticeKind.TIER_FAILED]
    assert len(told) == 1
    assert told[0].startswith("acme/erp: acme/cloud-instance failed, asked by Ada: ")


def test_a_failed_tier_is_told_once_though_the_ladder_is_put_in_another_order() -> None:
    """Numbers move with the ladder: a failure is the move's, and another's judgement under its number ends nothing."""
    world = lab()
    world.effects = {"power_off_hq": world.effects["power_off_hq"]}  # no other playbook helps
    hq_loses_power(world)
    world.run(400)
    failed = [x for x in world.records(r.TierJudged) if x.state is r.TierState.FAILED]
    assert failed, "the first tier was tried in vain"
    move, runs = failed[0].move, len([x for x in world.records(r.RunStarted) if x.move == failed[0].move])
    services = dict(world.model.services)
    for name, service in services.items():
        services[name] = replace(service, ladder=tuple(reversed(service.ladder)))
    world.model = replace(world.model, digest="reversed", services=services)
    world.hears(e.ConfigurationLoaded(world.model))
    before = len(list(world.records(r.TierJudged)))
    world.run(600)
    assert len([x for x in world.records(r.RunStarted) if x.move == move]) == runs, "it is not tried again"
    later = [(x.tier, x.move, x.state) for x in list(world.records(r.TierJudged))[before:]]
    assert len(later) == len(set(later)), "each is judged once under its new number"


def without_finish(**erp_transaction: object) -> World:
    """Erp is well at the second site, and its way home ends with its verify."""
    world = lab()
    hq_loses_power(world)
    world.run(60)
    moves = dict(world.model.moves)
    moves["acme/return-hq"] = replace(moves["acme/return-hq"], prepare=None, finish=None)
    checks = dict(world.model.checks)
    slow = replace(checks["acme/erp-transaction"], **erp_transaction)  # type: ignore[arg-type]
    checks["acme/erp-transaction"] = slow
    world.model = replace(world.model, digest="model-2", moves=moves, checks=checks)
    world.hears(e.ConfigurationLoaded(world.model))
    world.bad("hq-dark", "hq-off")
    world.good("isp-b-path", "hq-internet")
    world.run(400)
    world.takes["return-hq"] = 10.0  # longer than its checks take to fall
    return world


def test_a_planned_move_that_was_verified_is_not_undone_before_its_checks_have_risen() -> None:
    """The verdict fell in the hand-over. It rises after some good answers, and its move was verified by one of them."""
    world = without_finish(rise=4)
    before = len(list(world.records(r.IncidentOpened)))
    world.say(WordKind.FAILBACK, "acme/erp")
    world.run(60)
    assert world.decided().runs["r2"].ended.reason is Reason.VERIFIED  # type: ignore[union-attr]
    assert len(list(world.records(r.IncidentOpened))) == before, "\n".join(story(world))
    assert list(world.records(r.RunStarted))[-1].run == "r2"  # type: ignore[attr-defined]
    assert world.decided().services["acme/erp"].place == "acme/hq"


def test_a_planned_move_after_which_its_service_falls_again_is_an_incident_at_once() -> None:
    world = without_finish(rise=4)
    world.say(WordKind.FAILBACK, "acme/erp")
    while (run := world.decided().runs["r2"]).ended is None:
        world.run(0.05)
    world.bad("erp-transaction")
    world.run(3.1)
    opened = world.last(r.IncidentOpened)
    assert isinstance(opened, r.IncidentOpened)
    assert opened.service == "acme/erp"
    assert opened.first_bad_at > run.ended.at


def test_a_planned_move_that_did_not_bring_it_back_is_an_incident_when_it_has_settled() -> None:
    """What verifies it answers well, and its own checks go on as they were: bad."""
    world = without_finish()
    moves = dict(world.model.moves)
    moves["acme/return-hq"] = replace(moves["acme/return-hq"], verify=all_of("hq-ready"))
    world.model = replace(world.model, digest="model-3", moves=moves)
    world.hears(e.ConfigurationLoaded(world.model))
    del world.effects["return-hq"]
    world.say(WordKind.FAILBACK, "acme/erp")
    world.run(13.5)
    ended = world.decided().runs["r2"].ended
    assert ended is not None
    assert ended.ok
    world.run(world.model.services["acme/erp"].settle_s + 1)
    opened = world.last(r.IncidentOpened)
    assert isinstance(opened, r.IncidentOpened)
    assert opened.service == "acme/erp"
    assert opened.at > ended.at
