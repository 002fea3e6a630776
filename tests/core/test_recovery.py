"""How an incident ends: what a recovery is put down to, what is said of it, and that no tier is left running."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.core import events as e
from orchestrator.core import records as r
from orchestrator.core.commands import NoticeKind
from orchestrator.core.events import WordKind
from orchestrator.core.model import Combine, Mode
from orchestrator.core.reasons import Reason
from orchestrator.core.sentences import How, Sentence, heard, how_heard
from tests.core.stage import hq_loses_power, isp_a_dies, lab
from tests.core.test_policy import farm
from tests.core.world import World, all_of, story

ANY = Combine.ANY


def tiers(world: World, service: str) -> dict[int, tuple[r.TierState, Reason]]:
    """Where each tier stands in the service's latest incident."""
    found = [i for i in world.decided().incidents.values() if i.service == service]
    return {n: (t.state, t.reason) for n, t in found[-1].tiers.items()}


def said(world: World, kind: NoticeKind = NoticeKind.RECOVERED) -> list[str]:
    """What people were told of this kind."""
    return [t.text for t in world.told if t.kind is kind]


def ended(world: World) -> r.IncidentEnded:
    """The last end."""
    found = world.last(r.IncidentEnded)
    assert isinstance(found, r.IncidentEnded), "\n".join(story(world))
    return found


def test_what_came_back_while_its_own_playbook_ran_is_verified_by_it_and_told_so() -> None:
    """Neither by itself (its run was verified), nor plainly by the run: it answered before that had ended."""
    world = farm(1)
    world.takes["restart_web0"] = 20.0
    world.bad("web0")
    world.at(world.now + 12.0, lambda: world.good("web0"))
    world.run(60)
    assert ended(world).reason is Reason.VERIFIED, "\n".join(story(world))
    assert ended(world).run == "r1"
    assert ended(world).evidence.startswith("good before r1 had ended")
    assert tiers(world, "acme/web0") == {1: (r.TierState.RECOVERED, Reason.VERIFIED)}
    assert "during acme/restart-web0 (r1), which verified it," in said(world)[-1]


def test_what_the_run_brought_back_is_put_down_to_it() -> None:
    world = farm(1)
    world.bad("web0")
    world.run(60)
    assert "works again by acme/restart-web0 (r1) after" in said(world)[-1]
    assert (ended(world).reason, ended(world).run) == (Reason.VERIFIED, "r1")


def test_what_came_back_after_a_run_that_was_not_verified_did_not_come_back_by_itself() -> None:
    world = farm(1)
    world.outcomes["restart_web0"] = e.AttemptEnd.FAILED
    world.effects["restart_web0"] = lambda: None
    world.bad("web0")
    world.run(30)
    world.good("web0")
    world.run(30)
    assert ended(world).reason is Reason.RECOVERED_UNVERIFIED
    assert tiers(world, "acme/web0")[1] == (r.TierState.FAILED, Reason.PLAYBOOK_FAILED)
    assert "with acme/restart-web0 (r1) tried and not verified," in said(world)[-1]


def test_a_tier_that_failed_and_was_tried_again_by_hand_is_what_brought_it_back() -> None:
    """The tier's earlier failure says nothing of the run that was verified after it."""
    world = farm(1)
    world.outcomes["restart_web0"] = e.AttemptEnd.FAILED
    repaired = world.effects.pop("restart_web0")
    world.effects["restart_web0"] = lambda: None
    world.bad("web0")
    world.run(30)
    assert tiers(world, "acme/web0")[1] == (r.TierState.FAILED, Reason.PLAYBOOK_FAILED)
    del world.outcomes["restart_web0"]
    world.effects["restart_web0"] = repaired
    options = {"move": "restart-web0"}
    world.hears(e.WordSpoken("w1", WordKind.FAILOVER, "Ann Example", "acme/web0", "", options))
    world.run(60)
    assert (ended(world).reason, ended(world).run) == (Reason.VERIFIED, "r2"), "\n".join(story(world))
    assert tiers(world, "acme/web0")[1] == (r.TierState.RECOVERED, Reason.VERIFIED)
    assert "works again by acme/restart-web0 (r2) after" in said(world)[-1]


def test_a_run_that_fails_while_its_service_comes_back_leaves_no_tier_running() -> None:
    """Both in one moment: the tier has failed, whatever the checks say then."""
    world = farm(1)
    world.outcomes["restart_web0"] = e.AttemptEnd.FAILED
    world.takes["restart_web0"] = 20.0
    world.bad("web0")
    world.at(world.now + 12.0, lambda: world.good("web0"))
    world.run(60)
    assert tiers(world, "acme/web0")[1] == (r.TierState.FAILED, Reason.PLAYBOOK_FAILED)
    assert ended(world).reason is Reason.RECOVERED_UNVERIFIED


def test_an_outage_that_passes_while_a_person_is_asked_leaves_no_tier_running() -> None:
    world = lab()
    world.silent("erp-transaction", "hq-internet", "isp-b-path")
    world.run(20)
    assert tiers(world, "acme/erp")[2][0] is r.TierState.RUNNING
    world.good("erp-transaction", "hq-internet", "isp-b-path")
    world.run(20)
    assert tiers(world, "acme/erp")[2] == (r.TierState.WAITING, Reason.RECOVERED_BY_ITSELF)
    assert [t for t in said(world) if "acme/erp works again by itself after" in t]


def test_a_run_that_a_hold_stops_leaves_no_tier_running() -> None:
    world = lab(Mode.ASK)
    hq_loses_power(world)
    world.run(15)
    run = next(x for x in world.decided().unfinished_runs() if x.started.service == "acme/erp")
    world.hears(e.WordSpoken("w1", WordKind.HOLD, "Ann Example", "acme/erp", "", {}))
    world.hears(e.WordSpoken("w2", WordKind.APPROVE, "Ann Example", run.id, "", {}))
    world.run(10)
    assert world.decided().run_for("acme/erp") is None
    states = [state for state, _ in tiers(world, "acme/erp").values()]
    assert states
    assert r.TierState.RUNNING not in states, "\n".join(story(world))


def test_a_service_that_comes_back_long_after_a_verified_run_is_not_put_down_to_it() -> None:
    """The run's own promise held, the service's checks did not: the tier had failed, and stays failed."""
    world = lab()
    world.effects["backup-isp"] = lambda: world.good("hq-internet", "edge-uses-isp-b")
    world.bad("geo-ready", "cloud-ready")
    world.run(10)
    isp_a_dies(world)
    world.bad("hq-dark")
    world.run(200)
    world.good("erp-transaction")
    world.run(30)
    end = ended(world)
    incident = world.decided().incidents[end.incident]
    assert incident.service == "acme/erp"
    assert end.reason is not Reason.VERIFIED, "\n".join(story(world))


def test_another_services_move_that_is_still_at_work_has_brought_nothing_back_yet() -> None:
    world = lab()
    world.takes["backup-isp"] = 30.0
    isp_a_dies(world)
    world.at(world.now + 20.0, lambda: world.good("erp-transaction", "hq-internet"))
    world.run(30)
    erp = next(t for t in said(world) if t.startswith("acme/erp"))
    assert "while acme/backup-isp (r1) for acme/hq-internet has not ended," in erp
    assert "r1 (acme/backup-isp) for acme/hq-internet has not ended" in ended(world).evidence


def test_a_relapse_is_judged_by_the_time_without_service_alone() -> None:
    """Two outages of some seconds, most of a minute apart: both together are far within the RTO."""
    world = farm(1)
    service = replace(world.model.services["acme/web0"], rto_s=50.0)
    services = {**world.model.services, service.id: service}
    world.model = replace(world.model, digest="tight", services=services)
    world.hears(e.ConfigurationLoaded(world.model))
    for _ in range(2):
        world.bad("web0")
        world.run(60)
    first, second = (x for x in world.records(r.IncidentEnded) if isinstance(x, r.IncidentEnded))
    again = world.last(r.IncidentReopened)
    assert isinstance(again, r.IncidentReopened)
    assert second.outage_s == pytest.approx(second.recovered_at - again.first_bad_at)
    assert second.down_s == pytest.approx((first.outage_s or 0.0) + (second.outage_s or 0.0))
    assert (second.down_s or 0.0) < 50.0 < second.rta_s
    assert "in 2 outages of i1, within its RTO of 50s" in said(world)[-1]
    deadlines = [x.deadline for x in world.records(r.RunStarted) if isinstance(x, r.RunStarted)]
    assert deadlines[1] == pytest.approx(again.first_bad_at - (first.down_s or 0.0) + 50.0)


def test_what_any_of_two_checks_shows_was_well_until_the_second_of_them_fell() -> None:
    """The outage begins with the check that fell last: until then one of them was good."""
    world = farm(2)
    either = replace(world.model.services["acme/web0"], healthy_when=replace(all_of("web0", "web1"), combine=ANY))
    services = {"acme/web0": either}
    world.model = replace(world.model, digest="either", services=services)
    world.hears(e.ConfigurationLoaded(world.model))
    world.run(10)
    world.bad("web0")
    world.run(30)
    fell_at = world.now
    world.bad("web1")
    world.run(10)
    opened = world.last(r.IncidentOpened)
    assert isinstance(opened, r.IncidentOpened)
    assert opened.first_bad_at >= fell_at


@pytest.mark.parametrize("sentence", list(Sentence))
def test_every_sentence_is_read_back_as_itself(sentence: Sentence) -> None:
    """A judge that took one for another would hold it against the wrong records."""
    slots = {
        "service": "acme/erp", "place": "acme/hq", "outage": "41s", "together": "1:02", "outages": "2",
        "incident": "i1",
        "how": "by acme/geo-site (r1)", "kept": "within", "rto": "15:00", "down": "12:00", "mtd": "1:00:00",
        "near": "near", "tier": "2", "move": "acme/geo-site", "run": "r1", "prospect": "no history: assumed to fit",
        "more": " (mode observe)", "why": "playbook failed: execute: a task failed: it said {x}", "well": "15:00",
        "who": "Ann Example", "evidence": "acme/erp: HTTP 200",
        "client": "acme", "lack": "blind", "what": "vantage local", "means": "nothing is known", "for": "2:00",
        "finding": "f1", "about": "i1", "due": "2026-12-31", "text": "it was slow",
        "drill": "d1", "kind": "full-scale", "by": ", asked by Ann",
        "schedule": "acme/monthly", "when": "2026-12-01T02:00:00Z", "until": "2026-12-02T02:00:00Z", "times": "2",
    }  # fmt: skip
    found = heard(sentence.say(**slots))
    assert found is not None
    assert found[0] is sentence
    assert all(slots[name] == value for name, value in found[1].items())


@pytest.mark.parametrize("how", list(How))
def test_every_way_back_is_read_back_as_itself(how: How) -> None:
    slots = {"move": "acme/geo-site", "run": "r1", "other": "acme/hq-internet"}
    assert how_heard(how.say(**slots)) == (how, {k: v for k, v in slots.items() if f"{{{k}}}" in how.value})


def _away_during_an_outage(same_boot: bool, away_s: float, *, worked: bool = True) -> World:
    """erp fails in mode observe; the controller is away, and it is well (or not) when it comes back."""
    world = lab(Mode.OBSERVE)
    world.silent("erp-transaction")
    world.run(60)
    world.crash()
    if worked:
        world.good("erp-transaction")
    world.run(away_s)
    world.start(same_boot=same_boot, assumed_gap_s=0.0 if same_boot else away_s)
    world.run(30)
    if not worked:
        world.good("erp-transaction")
        world.run(30)
    return world


@pytest.mark.parametrize("same_boot", [True, False])
def test_what_came_back_while_nobody_looked_was_down_for_that_long_at_most(same_boot: bool) -> None:
    world = _away_during_an_outage(same_boot, 7200.0)
    ended = world.last(r.IncidentEnded)
    assert isinstance(ended, r.IncidentEnded)
    assert ended.unseen_s == pytest.approx(7200.0 if same_boot else 7258.0, abs=2.0)
    (notice,) = [x for x in world.told if x.kind is NoticeKind.RECOVERED]
    assert "works again by itself after at most 2:01:0" in notice.text
    assert notice.text.endswith("perhaps beyond its RTO of 15:00")


@pytest.mark.parametrize("same_boot", [True, False])
def test_what_was_down_before_and_after_the_absence_was_down_for_that_long_at_most(same_boot: bool) -> None:
    """It may have worked for all of the two hours in which nobody looked."""
    world = _away_during_an_outage(same_boot, 7200.0, worked=False)
    over = ended(world)
    assert over.unseen_s == 0.0
    assert over.doubted_s == pytest.approx(7200.0 if same_boot else 7258.0, abs=6.0)
    (notice,) = [x for x in world.told if x.kind is NoticeKind.RECOVERED]
    assert "works again by itself after at most 2:01:3" in notice.text
    assert notice.text.endswith("perhaps beyond its RTO of 15:00")


def test_what_was_down_before_and_after_it_stood_still_was_down_for_that_long_at_most() -> None:
    world = lab(Mode.OBSERVE)
    world.silent("erp-transaction")
    world.run(60)
    world.stand_still(3600.0)
    world.run(30)
    world.good("erp-transaction")
    world.run(30)
    assert ended(world).doubted_s == pytest.approx(3600.0, abs=4.0)
    assert said(world)[-1].endswith("perhaps beyond its RTO of 15:00")


def test_what_failed_while_nobody_looked_was_perhaps_within_its_objective() -> None:
    """Its clock begins at its first bad answer, and it may have been down for all of the two hours before."""
    world = lab(Mode.OBSERVE)
    world.run(60)
    world.crash()
    world.silent("erp-transaction")
    world.run(7200)
    world.start()
    world.run(30)
    world.good("erp-transaction")
    world.run(30)
    assert said(world)[-1].endswith("perhaps within its RTO of 15:00")


def test_what_was_never_heard_well_was_perhaps_within_its_objective() -> None:
    """After a restart of the machine no good answer is known: it may have failed long before. A relapse keeps that."""
    world = lab(Mode.OBSERVE)
    world.run(60)
    world.crash()
    world.silent("erp-transaction")
    world.run(30)
    world.start(same_boot=False, assumed_gap_s=30.0)
    for _ in range(2):
        world.silent("erp-transaction")
        world.run(30)
        world.good("erp-transaction")
        world.run(30)
        assert said(world)[-1].endswith("perhaps within its RTO of 15:00")
    assert world.decided().incidents["i1"].episodes == 2


def test_an_absence_shorter_than_its_objective_leaves_a_miss_a_miss() -> None:
    world = lab(Mode.OBSERVE)
    world.silent("erp-transaction")
    world.run(1000)
    world.stand_still(60.0)
    world.run(30)
    world.good("erp-transaction")
    world.run(30)
    assert said(world)[-1].endswith(", beyond its RTO of 15:00")
    assert "at most" in said(world)[-1]


@pytest.mark.parametrize("worked", [True, False])
@pytest.mark.parametrize("away", [True, False])
def test_what_a_run_is_at_work_for_was_down_for_that_long_at_most(away: bool, worked: bool) -> None:
    """A person is asked, and nobody looks, or the probe cannot ask: nothing else is judged meanwhile."""
    world = lab(Mode.ASK)
    world.silent("erp-transaction")
    world.run(60)
    if away:
        world.crash()
    else:
        world.nothing("erp-transaction")
    world.run(600)
    if away:
        world.start()
    (world.good if worked else world.silent)("erp-transaction")
    world.run(30)
    world.good("erp-transaction")
    world.run(30)
    over = ended(world)
    assert world.decided().runs["r1"].ended is not None
    assert over.perhaps_s == pytest.approx(600.0, abs=6.0)
    assert said(world)[-1].endswith("after at most 11:01, within its RTO of 15:00" if worked else "of 15:00")
    judged = [x for x in world.records(r.ServiceJudged) if isinstance(x, r.ServiceJudged)]
    assert {(x.decision, x.reason) for x in judged[-2:]} == {(r.Decision.ASK, Reason.TIER_CHOSEN)}


def test_what_falls_while_a_run_is_with_a_person_was_down_for_that_long_at_most() -> None:
    """Nothing was judged of it before nothing was seen any more: nothing can be done for it but by that person."""
    world = lab()
    moves = {k: replace(m, done_when=None, safe_to_repeat=False) for k, m in world.model.moves.items()}
    world.model = replace(world.model, moves=moves, digest="cannot look")
    world.hears(e.ConfigurationLoaded(world.model))
    world.hang.add("geo-site")
    world.effects["power_off_hq"] = lambda: world.good("hq-off")
    world.say(WordKind.FAILOVER, "acme/erp", move="geo-site", fence=True)
    world.run(10)
    world.crash()
    world.start()
    world.run(20)
    world.silent("erp-transaction")
    world.run(20)
    world.nothing("erp-transaction")
    world.run(600)
    world.good("erp-transaction")
    world.say(WordKind.ABORT, "r1")
    world.run(60)
    assert ended(world).perhaps_s == pytest.approx(600.0, abs=6.0)
    assert "at most" in said(world)[-1]


@pytest.mark.parametrize("word", [WordKind.HOLD, WordKind.MAINTENANCE])
def test_what_cannot_be_seen_while_people_work_on_it_is_not_known_to_be_down(word: WordKind) -> None:
    """A hold or a window stands before everything else in what is judged; that nothing is known counts all the same."""
    world = lab()
    world.say(word, "acme/erp", for_s=36000.0)
    world.bad("erp-transaction")
    world.run(60)
    world.nothing("erp-transaction")
    world.run(1200)
    world.bad("erp-transaction")
    world.run(30)
    world.good("erp-transaction")
    world.run(30)
    assert ended(world).doubted_s == pytest.approx(1200.0, abs=10.0)
    assert said(world)[-1].endswith("perhaps beyond its RTO of 15:00")


def test_a_tolerable_downtime_that_may_not_be_over_is_over_perhaps() -> None:
    world = lab(Mode.OBSERVE, mtd_s=1200.0)
    world.silent("erp-transaction")
    world.run(60)
    world.stand_still(1300.0)
    world.run(30)
    (told,) = [t.text for t in world.told if "maximum tolerable downtime" in t.text]
    assert told.endswith("its maximum tolerable downtime of 20:00 is perhaps over")
    assert Sentence.MTD_OPEN.read(told) or "at most" in told


def test_a_tolerable_downtime_is_not_over_by_the_time_in_which_it_was_well_again() -> None:
    """hq is out; its run waits for a person, and it has been well at geo for long."""
    world = lab(mtd_s=1200.0)
    moves = {k: replace(v, safe_to_repeat=False, done_when=None) for k, v in world.model.moves.items()}
    world.model = replace(world.model, digest="model-2", moves=moves)
    world.hears(e.ConfigurationLoaded(world.model))
    hq_loses_power(world)
    world.outcomes["geo-site"] = e.AttemptEnd.LOST
    world.at(40.0, lambda: world.good("erp-transaction", "erp-at-geo"))
    world.run(1300)
    told = [t.text for t in world.told if "maximum tolerable downtime" in t.text]
    assert [x.rpartition(" is ")[2] for x in told] == ["perhaps near", "perhaps over"]


def test_in_mode_observe_a_tier_that_could_not_be_asked_does_not_stay_so() -> None:
    world = lab(Mode.OBSERVE)
    world.nothing("isp-b-path", "geo-ready", "cloud-ready")
    world.run(30)
    world.bad("erp-transaction", "hq-internet")
    world.run(3)
    world.good("isp-b-path", "geo-ready", "cloud-ready")
    world.run(60)
    found = [i for i in world.decided().incidents.values() if i.service == "acme/erp"][-1]
    assert found.judged is not None
    assert found.judged.reason is Reason.OBSERVE_ONLY
    assert tiers(world, "acme/erp")[1] == (r.TierState.WAITING, Reason.OBSERVE_ONLY)


@pytest.mark.parametrize("how", ["changed", "another", "none of it"])
def test_a_reload_of_other_checks_throws_no_doubt_on_the_time_before_it(how: str) -> None:
    """It was judged minutes ago and has been seen down since: only from the reload on nobody knows."""
    world = lab(Mode.OBSERVE)
    world.silent("erp-transaction")
    world.run(200)
    (incident,) = (i for i in world.decided().incidents.values() if i.service == "acme/erp")
    assert incident.judged is not None
    assert incident.judged.at < world.now - 150.0
    checks, services = dict(world.model.checks), dict(world.model.services)
    erp, old = services["acme/erp"], checks["acme/erp-transaction"]
    if how == "another":
        checks["acme/erp-page"] = replace(old, id="acme/erp-page", name="erp-page")
        services[erp.id] = replace(erp, healthy_when=all_of("erp-page"))
    elif how == "changed":
        checks[old.id] = replace(old, options={"port": 8443})
    world.nothing("erp-transaction")
    world.model = replace(world.model, digest="model-2", checks=checks, services=services)
    world.hears(e.ConfigurationLoaded(world.model))
    reloaded_at = world.now
    world.run(30)
    since = world.decided().incidents[incident.id].dark_since
    assert since == pytest.approx(reloaded_at, abs=2.0), "\n".join(story(world))


@pytest.mark.parametrize(("back_at", "kept"), [(40.0, "perhaps beyond"), (1000.0, "beyond")])
def test_what_worked_while_its_run_waited_for_a_person_was_down_for_that_long_at_most(
    back_at: float, kept: str
) -> None:
    """hq is out, geo's playbook has no end: whoever looks at it comes when the RTO is over."""
    world = lab()
    moves = {k: replace(v, safe_to_repeat=False, done_when=None) for k, v in world.model.moves.items()}
    world.model = replace(world.model, digest="model-2", moves=moves)
    world.hears(e.ConfigurationLoaded(world.model))
    hq_loses_power(world)
    world.outcomes["geo-site"] = e.AttemptEnd.LOST
    world.at(back_at, lambda: world.good("erp-transaction", "erp-at-geo"))
    world.run(1100)
    run = world.decided().run_for("acme/erp")
    assert run is not None
    assert run.human is not None
    world.say(WordKind.ABORT, run.id)
    found = ended(world)
    assert found.well_s == pytest.approx(found.at - back_at, abs=2.0)
    assert f"after at most 18:20, {kept} its RTO of 15:00" in said(world)[-1]


def test_a_relapse_after_an_outage_of_which_only_a_bound_is_known_is_beyond_its_rto_perhaps() -> None:
    """It was well for a quarter of an hour before its run was stopped, and falls again soon after."""
    world = lab()
    moves = {k: replace(v, safe_to_repeat=False, done_when=None) for k, v in world.model.moves.items()}
    world.model = replace(world.model, digest="model-2", moves=moves)
    world.hears(e.ConfigurationLoaded(world.model))
    hq_loses_power(world)
    world.outcomes["geo-site"] = e.AttemptEnd.LOST
    world.at(40.0, lambda: world.good("erp-transaction", "erp-at-geo"))
    world.run(1100)
    world.say(WordKind.ABORT, "r1")
    world.run(30)
    world.silent("erp-transaction")
    world.run(3)
    assert [t.text for t in world.told if "down again" in t.text and "at most 18:22 in 2 outages" in t.text]
    world.good("erp-transaction")
    world.run(10)
    assert ", perhaps beyond its RTO of 15:00" in said(world)[-1]
    assert "at most 18:" in said(world)[-1]
