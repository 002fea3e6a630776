"""Not being able to see or act is news: told once after `doubt`, and its end once; with or without an incident."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from orchestrator.core import events as e
from orchestrator.core import records as r
from orchestrator.core.awareness.readiness import Lack, assess
from orchestrator.core.awareness.sight import sight
from orchestrator.core.commands import NoticeKind, TellPeople
from orchestrator.core.events import WordKind
from orchestrator.core.model import Combine, Condition, Isolation, Mode, Model
from orchestrator.core.rules.approving import consequences
from orchestrator.core.rules.signs_of_life import alive
from tests.core.stage import hq_loses_power, lab
from tests.core.world import World, acme, all_of, book, check


def told(world: World, lack: Lack, kind: NoticeKind = NoticeKind.CANNOT_SEE) -> list[TellPeople]:
    return [x for x in world.told if x.kind is kind and x.details.get("lack") == lack.value]


def lacks(world: World) -> dict[Lack, list[str]]:
    found: dict[Lack, list[str]] = {}
    for item in assess(world.engine.transaction(world.now)):
        found.setdefault(item.lack, []).append(item.subject)
    return found


def with_login(model: Model) -> Model:
    """A login to the host that the geo site's playbook goes to."""
    login = check("login@geo-app", probe="login", rise=1, fall=2, needed_by=("acme/geo-site",))
    return replace(model, checks={**model.checks, login.id: login})


def test_when_all_is_well_nothing_lacks() -> None:
    world = lab()
    world.run(300)
    assert not lacks(world)
    assert not [x for x in world.told if x.kind is NoticeKind.CANNOT_SEE]


@pytest.mark.parametrize("mode", list(Mode))
def test_a_blind_controller_tells_once_whatever_the_mode(mode: Mode) -> None:
    world = lab(mode)
    world.silent("ref", "ref2")
    world.run(50)
    assert not told(world, Lack.BLIND)
    world.run(600)
    (notice,) = told(world, Lack.BLIND)
    assert notice.client == "acme"
    assert "silence of" in notice.text
    assert "nothing is done automatically for acme/erp" in notice.text
    assert notice.say == "bascule ready acme"
    assert not world.decided().open_incidents()
    world.good("ref", "ref2")
    world.run(120)
    (over,) = told(world, Lack.BLIND, NoticeKind.SEES_AGAIN)
    assert "local" in over.text
    world.run(600)
    assert len(told(world, Lack.BLIND)) == len(told(world, Lack.BLIND, NoticeKind.SEES_AGAIN)) == 1


def test_references_that_never_answered_are_said_to_have_never_answered() -> None:
    world = World(acme())
    world.silent("ref", "ref2")
    world.run(70)
    (notice,) = told(world, Lack.BLIND)
    assert "none has answered since the controller began" in notice.text


def test_a_restart_neither_repeats_nor_forgets() -> None:
    world = lab()
    world.silent("ref", "ref2")
    world.run(100)
    world.crash()
    world.start()
    world.run(300)
    assert len(told(world, Lack.BLIND)) == 1
    world.crash()
    world.start(same_boot=False)
    world.good("ref", "ref2")
    world.run(120)
    assert len(told(world, Lack.BLIND, NoticeKind.SEES_AGAIN)) == 1


def test_many_of_a_kind_are_one_notice() -> None:
    world = lab()
    names = [c.removeprefix("acme/") for c in world.model.checks if "ref" not in c]
    world.nothing(*names)
    world.run(400)
    (notice,) = told(world, Lack.CANNOT_ASK)
    assert "; and 11 more" in notice.text
    assert len(notice.details["subjects"]) == len(names)  # type: ignore[arg-type]


def test_one_that_joins_later_is_told_too_and_those_before_are_not_told_again() -> None:
    world = lab()
    world.nothing("backup")
    world.run(100)
    world.nothing("geo-replica")
    world.run(200)
    first, second = told(world, Lack.CANNOT_ASK)
    assert (first.details["subjects"], second.details["subjects"]) == (["acme/backup"], ["acme/geo-replica"])
    world.good("backup")
    world.run(200)
    (over,) = told(world, Lack.CANNOT_ASK, NoticeKind.SEES_AGAIN)
    assert over.details["subjects"] == ["acme/backup"]
    assert "still so: acme/geo-replica" in over.text


def test_a_probe_that_could_never_ask_is_told() -> None:
    world = World(acme())
    world.nothing("erp-transaction")
    world.run(80)
    (notice,) = told(world, Lack.CANNOT_ASK)
    assert "it cannot tell whether acme/erp is down" in notice.text


def test_a_login_that_fails_says_which_tier_rests_on_it() -> None:
    world = World(with_login(acme()))
    world.bad("login@geo-app")
    world.run(90)
    (notice,) = told(world, Lack.LOGIN)
    assert "tier 2 geo-site of acme/erp may not work" in notice.text
    world.good("login@geo-app")
    world.run(100)
    assert told(world, Lack.LOGIN, NoticeKind.SEES_AGAIN)


def test_a_tier_that_cannot_run_is_told_before_it_is_needed() -> None:
    world = lab()
    world.bad("geo-ready")
    world.run(100)
    (notice,) = told(world, Lack.TIER)
    assert "tier 2 geo-site of acme/erp cannot run" in notice.text


def test_data_that_grow_too_old_are_told() -> None:
    world = lab()
    world.measures["acme/geo-replica"] = {"data_age_s": 900.0}
    world.run(100)
    (notice,) = told(world, Lack.DATA)
    assert "acme/erp tier 2: data 15:00 old, 30s allowed" in notice.text


def test_since_when_a_copy_lags_behind_too_far_is_not_known() -> None:
    """It lags by the same for an hour: it has not been too old for the last ten seconds alone."""
    world = lab()
    world.measures["acme/geo-replica"] = {"data_age_s": 40.0}
    world.run(3600)
    (item,) = [x for x in assess(world.engine.transaction(world.now)) if x.lack is Lack.DATA]
    assert item.since is None
    (notice,) = told(world, Lack.DATA)
    assert "acme/erp tier 2: data 40s old, 30s allowed" in notice.text


def test_what_a_maintenance_explains_is_shown_and_not_told() -> None:
    world = lab()
    world.say(WordKind.MAINTENANCE, "acme", for_s=400.0)
    world.silent("ref", "ref2")
    world.run(300)
    assert not told(world, Lack.BLIND)
    (item,) = [x for x in assess(world.engine.transaction(world.now)) if x.lack is Lack.BLIND]
    assert "in maintenance (acme)" in item.excused
    world.run(130)
    assert not told(world, Lack.BLIND), "when it is over there is doubt for a while first"
    world.run(60)
    assert told(world, Lack.BLIND)


def test_what_explains_it_is_a_window_of_these_services_and_the_first_of_theirs_to_end() -> None:
    world = lab()
    world.say(WordKind.MAINTENANCE, "acme/hq-internet", for_s=900.0)
    world.say(WordKind.MAINTENANCE, "acme/erp", for_s=400.0)
    world.bad("geo-ready")
    world.run(100)
    excused = {x.subject: x.excused for x in assess(world.engine.transaction(world.now)) if x.lack is Lack.TIER}
    assert excused["acme/erp tier 2"] == "in maintenance (acme/erp) for another 5:00"
    world.silent("ref", "ref2")
    world.run(100)
    (item,) = [x for x in assess(world.engine.transaction(world.now)) if x.lack is Lack.BLIND]
    assert item.excused == "in maintenance (acme/erp) for another 3:20", "then erp's silence is explained no more"


def test_a_reference_that_fails_alone_rests_on_those_that_answer() -> None:
    model = acme()
    world = World(replace(model, checks={**model.checks, "acme/ref3": check("ref3", reference=True)}))
    world.run(20)
    for down, left in (("ref", "2 other references"), ("ref2", "1 other reference")):
        world.bad(down)
        world.run(30)
        found = {x.subject: x.means for x in assess(world.engine.transaction(world.now)) if x.lack is Lack.REFERENCE}
        assert found["acme/ref"] == f"whether vantage local is blind now depends on {left}"


def test_a_notice_that_reached_nobody_is_told_again() -> None:
    """Whoever is blind has no line to tell it by, perhaps."""
    world = lab()
    world.nobody_there = True
    world.silent("ref", "ref2")
    world.run(400)
    assert len(told(world, Lack.BLIND)) > 1
    world.nobody_there = False
    world.run(700)
    tried = len(told(world, Lack.BLIND))
    world.run(2000)
    assert len(told(world, Lack.BLIND)) == tried
    assert {x.id for x in told(world, Lack.BLIND)} == {told(world, Lack.BLIND)[0].id}


def test_telling_that_failed_is_on_the_list() -> None:
    world = lab()
    world.nobody_there = True
    world.silent("erp-transaction", "hq-internet")
    world.run(30)
    assert lacks(world)[Lack.UNHEARD] == ["acme"]
    (item,) = [x for x in assess(world.engine.transaction(world.now)) if x.lack is Lack.UNHEARD]
    assert item.say == "bascule notify test"  # which shows each way and why it fails; the files may be without a fault


def test_a_way_that_did_not_work_is_told_by_one_that_does() -> None:
    world = lab()
    due = r.NoticeDue(world.now, "n1", NoticeKind.RECOVERED, "acme", "acme/erp", "text")
    world.engine.transaction(world.now).record(due)
    world.hears(e.NoticeDelivered("n1", "mail; not, or not yet: on call by chat (refused)"))
    world.run(80)
    assert "on call by chat (refused)" in told(world, Lack.UNHEARD)[0].text


def test_a_line_whose_interface_is_gone_is_down_and_one_that_never_was_is_unknown() -> None:
    for seconds, verdict in ((20, r.Verdict.DOWN), (0, r.Verdict.UNKNOWN)):
        world = World(acme())
        world.run(seconds)
        world.nothing("isp-b-path")
        for _ in range(6):
            world.run(1.0)
            world.hears(
                e.Observed("acme/isp-b-path", world.now - 0.01, e.Answer.NONE, {}, "no such device", way_gone=True)
            )
        assert world.engine.rows["acme/isp-b-path"].verdict is verdict


def test_what_is_seen_is_what_would_be_decided_by() -> None:
    world = lab()
    world.silent("ref", "ref2")
    world.run(30)
    erp = sight(world.engine.transaction(world.now)).services["acme/erp"]
    assert erp.condition == "unknown"
    assert "vantage local is blind" in erp.why[0]


def test_an_approval_says_what_it_does_to_what_is_alive() -> None:
    world = World(replace(acme(), checks=_with_hosts(acme())))
    world.run(20)
    world.silent("erp-transaction", "hq-internet", "isp-b-path")
    world.run(30)
    (notice,) = [x for x in world.told if x.kind is NoticeKind.APPROVAL_NEEDED]
    assert "acme/hq is fenced by power_off_hq.yml; it may be alive: acme/hq-app answered " in notice.text
    assert "at most the last" in notice.text
    assert notice.text.endswith("To say no: bascule reject r1. No reply within 15:00 is a no")
    assert notice.details["reject"] == "bascule reject r1"


def test_once_the_place_left_is_proven_out_no_more_data_gets_lost() -> None:
    """A promotion that waits for a person loses no more with each minute that they take."""
    world = lab()
    world.hang.add("geo-site")
    hq_loses_power(world)
    world.run(10)
    world.nothing("geo-replica")  # measured last before it was out, or a moment after
    world.run(200)
    run = world.decided().runs["r1"]
    assert run.execute is not None
    assert not run.execute.over
    (lost,) = [x for x in consequences(world.engine.transaction(world.now), run) if "of data are lost" in x]
    assert re.fullmatch(r"at most the last \d\.\ds of data are lost: the age of what is at acme/geo", lost)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (e.Answer.SILENT, "nothing of it answers (1 check)"),
        (e.Answer.BAD, "nothing of it answers well (1 check): acme/hq-app answered badly "),
        (e.Answer.NONE, "whether anything of it is alive is not known (1 check)"),
    ],
)
def test_an_approval_tells_what_refuses_from_what_is_silent_and_from_what_nobody_asked(
    answer: e.Answer, said: str
) -> None:
    """Somebody answers there and is not well: whoever approves a fence has to know."""
    world = World(replace(acme(), checks=_with_hosts(acme())))
    world.run(20)
    world.silent("erp-transaction", "hq-internet", "isp-b-path")
    world.answers["acme/hq-app-lives"] = answer
    world.run(30)
    (notice,) = [x for x in world.told if x.kind is NoticeKind.APPROVAL_NEEDED]
    assert said in notice.text


@pytest.mark.parametrize(
    ("kind", "why"),
    [(WordKind.HOLD, "held: Ada holds acme/erp"), (WordKind.MAINTENANCE, "in maintenance: announced for acme/erp")],
)
def test_an_approval_that_changes_nothing_says_so(kind: WordKind, why: str) -> None:
    """Held, the run ends before its fence: nobody is to think that the place is out, or that it goes on."""
    world = lab()
    world.silent("erp-transaction", "hq-internet", "isp-b-path")
    world.run(30)
    assert world.say(kind, "acme/erp", for_s=3600.0).accepted
    (would,) = sight(world.engine.transaction(world.now)).waiting.values()
    (said,) = would
    assert said.startswith(f"as things stand r1 ends, and nothing is fenced or moved: {why}")
    answer = world.say(WordKind.APPROVE, "r1")
    assert answer.accepted
    assert "goes on" not in answer.evidence
    assert why in answer.evidence
    world.run(10)
    run = world.decided().runs["r1"]
    assert run.ended is not None
    assert not run.past_the_fence
    assert not world.played


def test_an_approval_claims_no_silence_of_what_a_blind_vantage_asked() -> None:
    world = World(replace(acme(), checks=_with_hosts(acme())))
    world.run(20)
    world.silent("erp-transaction", "hq-internet", "isp-b-path")
    world.run(30)
    world.silent("ref", "ref2", "hq-app-lives")
    world.run(30)
    signs = alive(world.engine.transaction(world.now), "acme/hq")
    assert (signs.well, signs.badly, signs.asked, signs.unknown) == ({}, {}, 1, 1)


def _with_hosts(model: Model) -> dict[str, object]:
    host = check("hq-app-lives", host="hq-app", domains=frozenset({"acme/hq"}))
    return {**model.checks, host.id: host}


def test_two_clients_of_equal_names_do_not_share_a_notice() -> None:
    ours = acme()
    theirs = {
        name.replace("acme/", "other/"): replace(c, id=c.id.replace("acme/", "other/"), client="other")
        for name, c in ours.checks.items()
        if name == "acme/backup"
    }
    world = World(replace(ours, checks={**ours.checks, **theirs}))
    world.answers["other/backup"] = e.Answer.NONE
    world.run(100)
    (notice,) = told(world, Lack.CANNOT_ASK)
    assert (notice.client, notice.details["subjects"]) == ("other", ["other/backup"])
    assert "acme" not in notice.text


def test_a_reload_in_the_middle_does_not_begin_the_doubt_anew() -> None:
    """Changed checks have new rows; that nothing can be seen is as old as it was."""
    world = lab()
    world.silent("ref", "ref2")
    world.run(40)
    changed = {n: replace(c, fall=c.fall + 1) for n, c in world.model.checks.items()}
    world.model = replace(world.model, digest="m2", checks=changed)
    world.hears(e.ConfigurationLoaded(world.model))
    world.run(30)
    assert told(world, Lack.BLIND)


def test_what_is_over_is_not_told_again_as_if_it_were_so() -> None:
    """Nobody was reached while it was blind; when the line is back, it sees."""
    world = lab()
    world.nobody_there = True
    world.silent("ref", "ref2")
    world.run(200)
    world.good("ref", "ref2")
    world.run(120)
    assert told(world, Lack.BLIND, NoticeKind.SEES_AGAIN)
    tried = len(told(world, Lack.BLIND))
    world.nobody_there = False
    world.run(2000)
    assert len(told(world, Lack.BLIND)) == tried
    assert not world.decided().notices


def test_what_is_told_late_says_of_when_it_is() -> None:
    world = lab()
    world.nobody_there = True
    world.silent("ref", "ref2")
    world.run(200)
    first, *again = told(world, Lack.BLIND)
    assert " ago)" not in first.text
    assert again[0].text == f"{first.text} (as of 1:00 ago)"


def _told_after(world: World, at: float) -> list[tuple[str, float]]:
    """Of each notice of something that cannot be seen: what lacks, and when it was told, after `at`."""
    due = [x for x in world.records(r.NoticeDue) if isinstance(x, r.NoticeDue) and x.kind is NoticeKind.CANNOT_SEE]
    return [(str(x.details["lack"]), round(x.at - at)) for x in due if x.at >= at]


@pytest.mark.parametrize("same_boot", [True, False])
def test_while_nobody_looked_nothing_was_blind_or_silent(same_boot: bool) -> None:
    """The controller was away for two hours: what it finds at its return begins then."""
    world = lab()
    world.run(300)
    world.crash()
    world.run(7200)
    world.start(same_boot=same_boot)
    began = world.now
    assert all(x.since in (None, began) for x in assess(world.engine.transaction(began)))
    seen = sight(world.engine.transaction(began)).services["acme/erp"]
    assert (seen.condition, seen.since) == ("unknown", began)
    world.run(600)
    assert not _told_after(world, began)


def test_blind_and_unable_to_ask_since_the_return_and_not_for_as_long_as_it_was_away() -> None:
    world = lab()
    world.nothing("backup")
    world.run(10)
    world.crash()
    world.run(7200)
    world.silent("ref", "ref2")
    world.start()
    began = world.now
    world.run(50)
    assert not _told_after(world, began)
    world.run(50)
    assert _told_after(world, began) == [("blind", 60), ("cannot ask", 60)]
    (notice,) = told(world, Lack.BLIND)
    assert "vantage local for 1:00: no reference answers" in notice.text
    assert "none has answered since the controller began" in notice.text
    assert "acme/backup for 1:00: " in told(world, Lack.CANNOT_ASK)[0].text


def test_a_short_absence_breaks_no_streak() -> None:
    world = lab()
    world.silent("ref", "ref2")
    world.run(30)
    (before,) = [x for x in assess(world.engine.transaction(world.now)) if x.lack is Lack.BLIND]
    world.crash()
    world.run(3)
    world.start()
    world.run(3)
    (item,) = [x for x in assess(world.engine.transaction(world.now)) if x.lack is Lack.BLIND]
    assert item.since == before.since


def test_a_controller_that_stood_still_was_not_blind_meanwhile() -> None:
    """Stopped, or on a machine that slept: nobody took its lease, and it goes on."""
    world = lab()
    world.run(100)
    world.stand_still(3600)
    began = world.now
    assert all(x.since == began for x in assess(world.engine.transaction(began)))
    world.run(300)
    assert not _told_after(world, began)


def test_a_controller_that_stood_still_soon_after_it_began_tells_nobody_that_it_is_blind() -> None:
    """What was lacking when it began, and was there a moment later, has not been lacking ever since."""
    world = World()
    world.run(2)
    world.stand_still(3600)
    world.run(30)
    assert not [x.text for x in world.told if x.kind is NoticeKind.CANNOT_SEE]


def test_who_is_asked_for_an_incident_is_not_asked_because_the_controller_stood_still() -> None:
    world = lab(Mode.OBSERVE)
    world.silent("erp-transaction")
    world.run(120)
    world.stand_still(3600)
    world.run(30)
    assert not [x.text for x in world.told if x.kind is NoticeKind.HUMAN_NEEDED]


def test_a_check_that_was_just_added_is_not_unanswered_since_the_controller_began() -> None:
    world = lab()
    world.run(3600)
    added = check("slow", every_s=30.0)
    changed = replace(world.model.checks["acme/backup"], fall=9)
    world.model = replace(world.model, digest="m2", checks={**world.model.checks, added.id: added, changed.id: changed})
    world.hears(e.ConfigurationLoaded(world.model))
    found = [x for x in assess(world.engine.transaction(world.now)) if x.lack is Lack.NOT_ANSWERED]
    assert {(x.subject, x.since, x.evidence) for x in found} == {
        (name, world.now, f"{name} has not been answered since the files were read anew")
        for name in ("acme/backup", "acme/slow")
    }
    assert not _told_after(world, world.now)


def test_what_is_shown_of_a_check_that_is_not_answered_any_more_is_not_its_last_answer_alone() -> None:
    world = lab()
    world.crash()
    world.run(60)
    world.start()
    assert (
        world.engine.transaction(world.now).evidence("acme/ref") == "acme/ref: nothing heard lately (before that: good)"
    )


@pytest.mark.parametrize(
    ("name", "means"),
    [
        ("hq-off", "it cannot prove that acme/hq is out"),
        ("hq-dark", "it cannot tell whether acme/hq is dark"),
        ("hq-ready", "way back return-hq of acme/erp may not work"),
        ("geo-handed-over", "it cannot prove that return-hq has handed over"),
        ("hq-closed", "it cannot prove that acme/hq is isolated"),
        ("odd", "nothing in the plan rests on it"),
    ],
)
def test_what_rests_on_a_check_is_everything_that_asks_it_and_what_it_asks_it_for(name: str, means: str) -> None:
    model = acme()
    hq = replace(model.places["acme/hq"], isolate=Isolation(book("close_hq"), all_of("hq-closed")))
    more = {x.id: x for x in (check("hq-closed"), check("odd"))}
    world = World(replace(model, checks={**model.checks, **more}, places={**model.places, hq.id: hq}))
    world.nothing(name)
    world.run(20)
    (item,) = [x for x in assess(world.engine.transaction(world.now)) if x.lack is Lack.CANNOT_ASK]
    assert item.means == means


def any_of_two() -> World:
    """A service that is well while one of two checks is."""
    model = acme()
    health = Condition(Combine.ANY, ("acme/hq-internet", "acme/hq-ready"))
    internet = replace(model.services["acme/hq-internet"], mode=Mode.OBSERVE, healthy_when=health)
    world = World(replace(model, services={internet.id: internet}))
    world.run(20)
    return world


def test_a_service_is_not_up_since_the_last_of_what_kept_it_up_went() -> None:
    world = any_of_two()
    world.bad("hq-ready")
    world.run(100)
    went_at = world.now
    world.nothing("hq-internet")
    world.run(60)
    seen = sight(world.engine.transaction(world.now)).services["acme/hq-internet"]
    assert seen.condition == "unknown"
    assert seen.since == pytest.approx(went_at, abs=2.0)
    world = any_of_two()
    world.nothing("hq-ready")
    world.run(100)
    went_at = world.now
    world.nothing("hq-internet")
    world.run(60)
    seen = sight(world.engine.transaction(world.now)).services["acme/hq-internet"]
    assert (seen.condition, seen.since) == ("unknown", pytest.approx(went_at, abs=2.0))


def test_what_is_bad_about_a_service_that_is_up_is_told_as_it_is_now() -> None:
    world = any_of_two()
    world.bad("hq-ready")
    world.run(100)
    seen = sight(world.engine.transaction(world.now)).services["acme/hq-internet"]
    assert (seen.condition, seen.since, seen.check) == ("up", None, "")
    bad = world.engine.rows["acme/hq-ready"].bad_streak
    assert bad > 50
    assert seen.why == (f"acme/hq-ready: bad ({bad} bad in a row)",)


@pytest.mark.parametrize("lack", [Lack.TIER, Lack.DATA])
def test_that_a_tier_could_not_be_taken_is_not_over_because_it_is_needed(lack: Lack) -> None:
    """In an incident its own notices tell of the tiers: nobody is told meanwhile that it could be taken again."""
    world = lab(Mode.OBSERVE)
    if lack is Lack.TIER:
        world.bad("geo-ready")
    else:
        world.measures["acme/geo-replica"] = {"data_age_s": 900.0}
    world.run(100)
    assert told(world, lack)
    world.silent("erp-transaction")
    world.run(300)
    assert world.decided().open_incidents()
    assert not told(world, lack, NoticeKind.SEES_AGAIN)
    world.good("erp-transaction", "geo-ready")
    world.measures["acme/geo-replica"] = {"data_age_s": 0.2}
    world.run(100)
    assert told(world, lack, NoticeKind.SEES_AGAIN)


def test_an_approval_tells_that_more_data_gets_lost_until_the_place_left_is_out() -> None:
    """A mail is read later than it is written: people go on working at a place that is cut off."""
    world = World(replace(acme(), checks=_with_hosts(acme())))
    world.run(20)
    world.silent("erp-transaction", "hq-internet", "isp-b-path")
    world.run(5)
    world.nothing("geo-replica")
    world.measures.pop("acme/geo-replica")
    world.run(300)
    (notice,) = [x for x in world.told if x.kind is NoticeKind.APPROVAL_NEEDED]
    (run,) = world.decided().unfinished_runs()
    (lost,) = [x for x in consequences(world.engine.transaction(world.now), run) if "of data are lost" in x]
    for said in (notice.text, lost):
        assert re.search(
            r"at most the last \S+ of data are lost by now, and perhaps more until acme/hq is out: the age", said
        )
    assert "the last 0." in notice.text
    assert "the last 5:" in lost
