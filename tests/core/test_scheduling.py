"""Scheduled drills: begun in their time and against no guard, or missed, on record; never late, never twice."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.core import events as e
from orchestrator.core import records as r
from orchestrator.core.commands import NoticeKind
from orchestrator.core.events import WordKind, WordSpoken
from orchestrator.core.model import DrillKind, Mode
from orchestrator.core.reasons import Reason
from orchestrator.core.schedules import Candidate, Schedule, Tells
from orchestrator.core.state.decided import IllegalRecord
from orchestrator.core.state.fold import apply
from tests.core.drill_stage import over, rehearse, stage
from tests.core.world import World
from tests.drills.plans import Desk, plan

JUST_BEFORE = "2026-11-03T20:55"  # 21:55 in Paris
AT = "2026-11-03T21:00:00Z"


def due(world: World) -> Desk:
    """An evening on which a rehearsal is due."""
    return Desk(world, JUST_BEFORE, plan())


def missed(world: World) -> list[r.DrillMissed]:
    """What was missed, by records."""
    return list(world.records(r.DrillMissed))  # type: ignore[arg-type]


def begun(world: World) -> list[r.DrillBegan]:
    """What began, by records."""
    return list(world.records(r.DrillBegan))  # type: ignore[arg-type]


def told(world: World, kind: NoticeKind) -> list[str]:
    """What people were told of this kind."""
    return [x.text for x in world.told if x.kind is kind]


def hold(world: World, subject: str = "acme/erp", kind: WordKind = WordKind.HOLD) -> None:
    """Ada stops, or allows, automatic action."""
    world.hears(WordSpoken(f"{kind.value}-{len(world.answered)}", kind, "Ada", subject, "night shift"))


def test_what_was_missed_says_which_services_it_could_have_been() -> None:
    """By the schedule as it was then."""
    world = stage()
    hold(world)
    Desk(world, JUST_BEFORE, plan(of=(Candidate("acme/erp", "acme/geo-site"),))).run(3600)
    (one,) = missed(world)
    assert (one.reason, one.services) == (Reason.HELD, ("acme/erp",))


def test_it_begins_when_its_time_has_come() -> None:
    world = stage()
    desk = due(world)
    desk.run(240)
    assert not begun(world)
    desk.run(180)
    (one,) = begun(world)
    assert (one.scheduled, one.occurrence, one.reason, one.who) == ("acme/geo", AT, Reason.DRILL_DUE, "")
    assert over(world).ok
    assert not missed(world)
    desk.run(900, every=300)
    assert len(begun(world)) == 1


def test_what_stands_against_it_is_waited_for_within_its_window() -> None:
    world = stage()
    desk = due(world)
    hold(world)
    desk.run(600)
    assert not begun(world)
    (held,) = world.records(r.DrillHeldUp)
    assert held.reason is Reason.HELD  # type: ignore[attr-defined]
    hold(world, kind=WordKind.RESUME)
    world.run(1)
    assert len(begun(world)) == 1


def test_who_holds_it_up_by_now_is_told() -> None:
    """Another holder is news; how often a check was bad meanwhile is none."""
    world = stage()
    desk = due(world)
    hold(world)
    desk.run(400)
    world.hears(WordSpoken("bob", WordKind.HOLD, "Bob", "acme", "roof works"))
    hold(world, kind=WordKind.RESUME)
    desk.run(60)
    held = [x.evidence for x in world.records(r.DrillHeldUp)]  # type: ignore[attr-defined]
    assert held == ["Ada holds acme/erp: night shift", "Bob holds acme: roof works"]
    desk.run(1200)
    (text,) = told(world, NoticeKind.DRILL_MISSED)
    assert text.endswith("held: Bob holds acme: roof works")


def test_what_is_counted_on_is_no_news() -> None:
    world = stage()
    desk = due(world)
    world.bad("geo-ready")
    desk.run(900)
    (held,) = world.records(r.DrillHeldUp)
    assert "acme/geo-ready" in held.evidence  # type: ignore[attr-defined]


def test_it_never_runs_late() -> None:
    world = stage()
    desk = due(world)
    hold(world)
    desk.run(1800, every=300)
    (one,) = missed(world)
    assert (one.occurrence, one.reason) == (AT, Reason.HELD)
    hold(world, kind=WordKind.RESUME)
    desk.run(600, every=300)
    assert not begun(world)
    text = f"acme/erp: the drill of acme/geo due {AT} was missed: held: Ada holds acme/erp: night shift"
    assert told(world, NoticeKind.DRILL_MISSED) == [text]


def test_it_is_missed_though_nobody_was_there_in_its_whole_window() -> None:
    world = stage()
    desk = due(world)
    world.crash()
    world.now += 2 * 86400.0
    world.start(same_boot=False)
    desk.look()
    assert [(x.occurrence, x.reason) for x in missed(world)] == [
        (AT, Reason.WINDOW_UNSEEN),
        ("2026-11-04T21:00:00Z", Reason.WINDOW_UNSEEN),
    ]
    (text,) = told(world, NoticeKind.DRILL_MISSED)
    assert text.startswith(
        f"acme/erp: 2 drills of acme/geo due {AT} to 2026-11-04T21:00:00Z were missed: window unseen"
    )


def test_a_restart_within_its_window_neither_doubles_nor_drops_it() -> None:
    world = stage()
    desk = due(world)
    hold(world)
    desk.run(600)
    world.crash()
    world.start()
    desk.look()
    hold(world, kind=WordKind.RESUME)
    desk.run(60)
    world.crash()
    world.start()
    desk.run(600)
    assert len(begun(world)) == 1
    assert not missed(world)


def test_a_clock_that_is_put_back_doubles_nothing() -> None:
    world = stage()
    desk = due(world)
    desk.run(600)
    assert len(begun(world)) == 1
    desk.begins -= 600.0
    desk.run(1200, every=300)
    assert len(begun(world)) == 1
    assert not missed(world)


def test_what_is_due_is_given_up_where_the_clock_is_put_back_to_before_its_window() -> None:
    """The hour that it had come due at was none: by day somebody works there."""
    world = stage()
    desk = due(world)
    hold(world)
    desk.run(600)
    desk.begins -= 12 * 3600.0
    desk.look()
    hold(world, kind=WordKind.RESUME)
    desk.run(600)
    assert not begun(world)
    assert [x.occurrence for x in missed(world)] == [AT]


def test_it_is_not_late_where_nobody_looks_at_the_calendar_any_more() -> None:
    world = stage()
    desk = due(world)
    hold(world)
    desk.run(600)
    world.run(1200)
    assert [x.reason for x in missed(world)] == [Reason.HELD]
    hold(world, kind=WordKind.RESUME)
    world.run(60)
    assert not begun(world)


def test_editing_a_schedule_fires_nothing() -> None:
    world = stage()
    desk = Desk(world, "2026-11-03T21:10", plan(cron="0 3 * * *"))
    desk.load(plan())  # at 22:00, ten minutes ago
    desk.run(900, every=300)
    assert not begun(world)
    assert not missed(world)
    world.crash()
    world.now += 86400.0
    world.start(same_boot=False)
    desk.look()
    assert [x.occurrence for x in [*begun(world), *missed(world)]] == ["2026-11-04T21:00:00Z"]


def test_one_that_is_due_is_missed_when_its_schedule_is_edited() -> None:
    world = stage()
    desk = due(world)
    hold(world)
    desk.run(600)
    desk.load(plan(cron="0 3 * * *"))
    assert [(x.occurrence, x.reason) for x in missed(world)] == [(AT, Reason.SCHEDULE_CHANGED)]


def test_a_schedule_that_is_taken_out_leaves_nothing_due() -> None:
    world = stage()
    desk = due(world)
    hold(world)
    desk.run(600)
    desk.load()
    assert [x.reason for x in missed(world)] == [Reason.SCHEDULE_CHANGED]
    assert not world.decided().schedules


def test_what_the_old_schedule_owed_while_nobody_was_there_is_missed_on_record() -> None:
    world = stage()
    desk = due(world)
    world.crash()
    world.now += 86400.0
    another = plan(cron="0 3 * * *")
    world.model = replace(world.model, digest="another", drills={another.id: another})
    world.start(same_boot=False)
    desk.look()
    assert [(x.occurrence, x.reason) for x in missed(world)] == [(AT, Reason.WINDOW_UNSEEN)]
    assert world.decided().schedules["acme/geo"].plan == another


def test_not_the_same_service_twice_running() -> None:
    of = (Candidate("acme/erp", "acme/geo-site"), Candidate("acme/hq-internet", "acme/backup-isp"))
    world = stage()
    desk = Desk(
        world,
        JUST_BEFORE,
        plan(of=of, not_twice_running=True, schedule=Schedule("*/5 * * * *", 240.0)),
    )
    desk.run(1500, every=60)
    services = [x.service for x in begun(world)]
    assert services[:4] == ["acme/erp", "acme/hq-internet", "acme/erp", "acme/hq-internet"]


def test_what_it_says_of_its_choice_is_of_its_own_drills() -> None:
    """One by hand, a while before, is none of them; nor is anything `longest ago` that never was."""
    of = (Candidate("acme/erp", "acme/geo-site"), Candidate("acme/hq-internet", "acme/backup-isp"))
    world = stage()
    desk = Desk(world, JUST_BEFORE, plan(of=of, schedule=Schedule("*/5 * * * *", 240.0)))
    desk.run(1200, every=60)
    assert [x.drawn for x in begun(world)][:3] == [
        "of 2: never drilled yet by this schedule",
        "of 2: never drilled yet by this schedule",
        "of 2: drilled longest ago by this schedule",
    ]


def test_full_scale_in_mode_ask_asks_for_an_approval() -> None:
    world = stage(Mode.ASK)
    desk = Desk(world, JUST_BEFORE, plan(kind=DrillKind.FULL_SCALE))
    desk.run(600)
    (started,) = world.records(r.RunStarted)
    assert started.asks == ("acme/erp is in mode ask",)  # type: ignore[attr-defined]
    assert not world.played


def test_an_approval_that_comes_after_its_window_is_none() -> None:
    world = stage(Mode.ASK)
    short = Schedule("0 21 * * *", 300.0)
    desk = Desk(world, JUST_BEFORE, plan(kind=DrillKind.FULL_SCALE, schedule=short))
    desk.run(660)
    world.hears(WordSpoken("w", WordKind.APPROVE, "Ada", "r1"))
    assert not world.answered[-1].accepted
    assert not world.played
    assert not over(world).ok


@pytest.mark.parametrize("rehearsal", [True, False])
@pytest.mark.parametrize("mode", [Mode.ASK, Mode.OBSERVE])
def test_a_rehearsal_of_a_schedule_plays_nothing_before_a_named_approval(mode: Mode, rehearsal: bool) -> None:
    """A schedule is no person. In check mode too: it logs in where the service is."""
    world = stage(mode) if rehearsal else stage(mode, rehearse=None)
    desk = due(world)
    desk.run(420)
    (started,) = world.records(r.RunStarted)
    assert [s.name for s in started.steps][:3] == ["preflight", "approval", "recheck"]  # type: ignore[attr-defined]
    assert not world.played
    (asked,) = told(world, NoticeKind.APPROVAL_NEEDED)
    assert f"acme/erp is in mode {mode.value}" in asked
    assert "d1 is a functional drill: acme/erp stays where it is" in asked
    world.hears(WordSpoken("w", WordKind.APPROVE, "Ada", "r1"))
    assert world.answered[-1].accepted
    desk.run(120)
    assert over(world).ok
    assert world.played[-1].endswith("survey" if rehearsal else "geo-site")
    assert not missed(world)


def test_without_a_reply_a_rehearsal_ends_with_its_window_and_nothing_was_played() -> None:
    world = stage(Mode.ASK)
    desk = due(world)
    desk.run(300 + 1200 + 30)
    assert (over(world).ok, over(world).reason) == (False, Reason.APPROVAL_EXPIRED)
    assert not world.played
    world.hears(WordSpoken("w", WordKind.APPROVE, "Ada", "r1"))
    assert not world.answered[-1].accepted
    assert not told(world, NoticeKind.HUMAN_NEEDED)  # nothing was left


def test_a_rehearsal_that_is_rejected_plays_nothing() -> None:
    world = stage(Mode.ASK)
    desk = due(world)
    desk.run(420)
    world.hears(WordSpoken("w", WordKind.REJECT, "Ada", "r1"))
    desk.run(60)
    assert (over(world).ok, world.played) == (False, [])


def test_what_comes_up_while_an_approval_is_waited_for_keeps_a_rehearsal_from_beginning() -> None:
    world = stage(Mode.ASK)
    desk = due(world)
    desk.run(420)
    hold(world)
    world.hears(WordSpoken("w", WordKind.APPROVE, "Ada", "r1"))
    desk.run(60)
    assert (over(world).ok, over(world).reason) == (False, Reason.HELD)
    assert not world.played


def test_an_incident_ends_a_rehearsal_that_waits_for_an_approval() -> None:
    world = stage(Mode.ASK)
    desk = due(world)
    desk.run(420)
    world.bad("erp-transaction")
    desk.run(120)
    assert not over(world).ok
    assert "r1" not in {x.run for x in world.records(r.StepBegan) if "survey" in x.step}  # type: ignore[attr-defined]


def test_in_mode_auto_and_by_a_persons_word_a_rehearsal_asks_nobody() -> None:
    world = stage(Mode.AUTO)
    due(world).run(420)
    by_hand = stage(Mode.ASK)
    rehearse(by_hand)
    by_hand.run(60)
    assert over(world).ok
    assert over(by_hand).ok
    assert not told(world, NoticeKind.APPROVAL_NEEDED)
    assert not told(by_hand, NoticeKind.APPROVAL_NEEDED)


def test_at_most_so_many_at_once() -> None:
    world = stage()
    world.takes["restore_scratch"] = 1800.0
    other = plan("other", "5 22 * * *", at_most=1)
    desk = Desk(world, JUST_BEFORE, plan(), other)
    desk.run(900)
    held = [x for x in world.records(r.DrillHeldUp) if x.schedule == "acme/other"]  # type: ignore[attr-defined]
    assert [x.reason for x in held] == [Reason.DRILL_UNDER_WAY]  # type: ignore[attr-defined]
    assert held[0].evidence == "1 drill is under way, and at most 1 is to be"  # type: ignore[attr-defined]


@pytest.mark.parametrize("tells", [Tells.OWNERS, Tells.CLIENT])
def test_who_is_to_know_is_told_before_and_once(tells: Tells) -> None:
    world = stage()
    desk = Desk(world, "2026-11-03T20:40", plan(tells=tells, tells_before_s=900.0))
    desk.run(240)
    assert not told(world, NoticeKind.DRILL_AHEAD)
    desk.run(600)
    (text,) = told(world, NoticeKind.DRILL_AHEAD)
    about = "acme/erp" if tells is Tells.OWNERS else "acme"
    assert text == f"{about}: a functional drill is ahead, due {AT} (acme/geo): acme/geo-site of acme/erp"


def test_nobody_is_told_where_nobody_is_to_know() -> None:
    world = stage()
    due(world).run(600)
    assert not told(world, NoticeKind.DRILL_AHEAD)


def test_a_record_that_would_double_one_is_illegal() -> None:
    world = stage()
    due(world).run(600)
    with pytest.raises(IllegalRecord):
        apply(world.decided(), r.DrillCameDue(world.now, "acme/geo", AT, world.now + 60, ()))
    with pytest.raises(IllegalRecord):
        apply(world.decided(), r.DrillMissed(world.now, "acme/geo", AT, Reason.HELD, ""))
    assert world.engine.step(e.DrillDue("acme/geo", AT, world.now + 60, ()), world.now).records == ()


def test_a_one_shot_command_begins_no_drill_of_a_schedule() -> None:
    world = stage()
    desk = due(world)
    hold(world)
    desk.run(600)
    world.crash()
    world.engine.attends = False
    world.start()
    hold(world, kind=WordKind.RESUME)
    world.run(60)
    assert not begun(world)
