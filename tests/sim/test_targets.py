"""What playbooks come to: the table that heads sim/targets.py, and the epoch guard of every target."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.core import records as r
from orchestrator.core.commands import RunPlaybook
from orchestrator.core.events import AttemptEnd, StepKey
from orchestrator.core.model import Playbook, Rehearsal
from orchestrator.core.reasons import Reason
from orchestrator.runner.scripted import Ending
from orchestrator.sim.targets import Misfortune, Targets
from orchestrator.sim.timeline import Timeline
from orchestrator.sim.world import World
from tests.sim import models

ERP, STAFF, TILL = "lab/erp", "lab/hq-internet", "lab/till"
HQ, GEO = "lab/hq", "lab/geo"
STEPS = (
    r.PlannedStep("prepare", r.StepKind.PREPARE),
    r.PlannedStep("fence-hq", r.StepKind.FENCE, HQ),
    r.PlannedStep("hand-over", r.StepKind.FENCE, GEO, hand_over=True),
    r.PlannedStep("execute", r.StepKind.EXECUTE),
    r.PlannedStep("finish", r.StepKind.FINISH),
    r.PlannedStep("survey", r.StepKind.SURVEY),
    r.PlannedStep("set-up", r.StepKind.SET_UP),
    r.PlannedStep("rehearse", r.StepKind.REHEARSE),
    r.PlannedStep("looks", r.StepKind.REHEARSE, simulated=True),
    r.PlannedStep("clean-up", r.StepKind.CLEAN_UP),
)


class Playing:
    """One world whose playbooks are played to their ends."""

    def __init__(self, model: str = "once_only") -> None:
        self.world = World(models.nature(model), Timeline(), "p")
        self.targets = Targets(self.world, "p")
        self.ends: dict[StepKey, Ending] = {}
        self.going: set[StepKey] = set()
        self.targets.end = self._ended
        self.targets.lose = self._lost
        self.targets.runs = lambda key: key in self.going
        self._runs = 0

    def begin(self, move: str, step: str, service: str = ERP, epoch: int = 1) -> StepKey:
        """A run of this move begins one of its steps."""
        self._runs += 1
        run, to = f"r{self._runs}", self.world.nature.model.moves[move].to
        self.targets.planned[run] = r.RunStarted(
            0.0, run, service, move, r.Origin.MANUAL, STEPS, "plan", "model", Reason.ASKED_BY_OPERATOR,
            from_place=self.world.services[service].place, to_place=to,
        )  # fmt: skip
        key = StepKey(run, step, 1)
        self.going.add(key)
        book = Playbook("p.yml", "d")
        command = RunPlaybook(key, "lab", book, {}, epoch, 60.0, stats=step == "survey")
        assert self.targets.plays(command).hangs
        return key

    def play(self, move: str, step: str, service: str = ERP, epoch: int = 1) -> Ending:
        """And it ends."""
        key = self.begin(move, step, service, epoch)
        self.world.timeline.run_until(self.world.timeline.now + 100.0)
        return self.ends[key]

    def _lost(self, key: StepKey) -> None:
        self._ended(key, Ending(AttemptEnd.LOST))

    def _ended(self, key: StepKey, ending: Ending) -> bool:
        self.ends.setdefault(key, ending)
        self.going.discard(key)
        return True


@pytest.fixture
def stage() -> Playing:
    return Playing()


def test_a_fence_switches_its_place_off(stage: Playing) -> None:
    assert stage.play("lab/geo-site", "fence-hq").outcome is AttemptEnd.OK
    assert stage.world.off == {HQ}


def test_a_fence_needs_what_proves_it_and_not_the_place_itself(stage: Playing) -> None:
    stage.world.cut_power(HQ)
    assert stage.play("lab/geo-site", "fence-hq").outcome is AttemptEnd.OK
    stage.world.kill("host lab/hq-oob")
    assert stage.play("lab/geo-site", "fence-hq").outcome is AttemptEnd.UNREACHABLE


def test_a_hand_over_stops_the_service_there_and_nothing_else(stage: Playing) -> None:
    stage.world.start_at(ERP, GEO)
    assert stage.play("lab/return-hq", "hand-over").outcome is AttemptEnd.OK
    assert stage.world.acting(ERP) == [HQ]
    stage.world.start_at(ERP, GEO)
    stage.world.kill(GEO)
    assert stage.play("lab/return-hq", "hand-over").outcome is AttemptEnd.UNREACHABLE
    assert GEO in stage.world.acting(ERP)


def test_a_move_starts_the_service_there_and_leads_its_users(stage: Playing) -> None:
    assert stage.play("lab/geo-site", "execute").outcome is AttemptEnd.OK
    assert stage.world.services[ERP].place == GEO
    assert GEO in stage.world.acting(ERP)


def test_a_move_needs_its_destination(stage: Playing) -> None:
    stage.world.cut_power(GEO)
    assert stage.play("lab/geo-site", "execute").outcome is AttemptEnd.UNREACHABLE
    stage.world.cut_power(GEO, -1)
    stage.world.broken["lab/geo-site"] = 1
    assert stage.play("lab/geo-site", "execute").outcome is AttemptEnd.FAILED
    assert stage.world.services[ERP].place == HQ


def test_a_path_is_led_and_led_back_also_where_the_first_way_is_cut(stage: Playing) -> None:
    stage.world.kill("lab/isp-a")
    assert stage.play("lab/backup-isp", "execute", STAFF).outcome is AttemptEnd.OK
    assert stage.world.engaged == {"lab/backup-isp"}
    assert stage.world.works(STAFF)
    assert stage.play("lab/backup-isp.back", "execute", STAFF).outcome is AttemptEnd.OK
    assert not stage.world.engaged


def test_a_restart_needs_its_place_and_mends_a_crash(stage: Playing) -> None:
    stage.world.crash(TILL)
    stage.world.kill(HQ)
    assert stage.play("lab/restart", "execute", TILL).outcome is AttemptEnd.UNREACHABLE
    stage.world.kill(HQ, -1)
    assert stage.play("lab/restart", "execute", TILL).outcome is AttemptEnd.OK
    assert stage.world.works(TILL)


def test_preparing_and_finishing_change_nothing_yet(stage: Playing) -> None:
    assert stage.play("lab/geo-site", "prepare").outcome is AttemptEnd.OK
    assert stage.play("lab/geo-site", "finish").outcome is AttemptEnd.OK
    assert stage.world.acting(ERP) == [HQ]
    assert stage.world.services[ERP].place == HQ


def test_a_target_lets_in_no_smaller_epoch_than_it_has_seen(stage: Playing) -> None:
    assert stage.play("lab/geo-site", "fence-hq", epoch=3).outcome is AttemptEnd.OK
    stage.world.off.clear()
    late = stage.play("lab/geo-site", "fence-hq", epoch=2)
    assert late.outcome is AttemptEnd.STALE_EPOCH
    assert late.detail == "lab/hq has seen epoch 3; this is 2"
    assert stage.world.off == set()
    assert stage.play("lab/geo-site", "execute", epoch=2).outcome is AttemptEnd.OK, "another target has not seen it"
    assert [x.epoch for x in stage.targets.accepted] == [3, 2]


def test_from_a_blind_controller_no_playbook_reaches_anything(stage: Playing) -> None:
    stage.world.blind["local"] = 1
    assert stage.play("lab/geo-site", "execute").outcome is AttemptEnd.UNREACHABLE


@pytest.mark.parametrize(
    ("luck", "ends", "moved"),
    [
        ("fails", AttemptEnd.FAILED, False),
        ("useless", AttemptEnd.OK, False),
        ("unseen", AttemptEnd.LOST, True),
    ],
)
def test_bad_luck_of_a_playbook(luck: str, ends: AttemptEnd, moved: bool) -> None:
    stage = Playing()
    stage.targets.misfortunes["lab/geo-site"] = [Misfortune(luck)]
    assert stage.play("lab/geo-site", "execute").outcome is ends
    assert (stage.world.services[ERP].place == GEO) is moved


def test_half_a_move_starts_the_service_at_most_and_never_leads_its_users() -> None:
    began: set[bool] = set()
    for chance in range(8):
        stage = Playing()
        stage.targets.seed = f"half-{chance}"
        stage.targets.misfortunes["lab/geo-site"] = [Misfortune("half")]
        assert stage.play("lab/geo-site", "execute").outcome is AttemptEnd.FAILED
        assert stage.world.services[ERP].place == HQ
        began.add(GEO in stage.world.acting(ERP))
    assert began == {True, False}


def test_one_that_hangs_ends_with_its_time_out(stage: Playing) -> None:
    stage.targets.misfortunes["lab/geo-site"] = [Misfortune("hangs")]
    key = stage.begin("lab/geo-site", "execute")
    stage.world.timeline.run_until(59.0)
    assert key not in stage.ends
    stage.world.timeline.run_until(61.0)
    assert stage.ends[key].outcome is AttemptEnd.TIMED_OUT


def test_a_playbook_that_was_cancelled_changes_nothing_any_more(stage: Playing) -> None:
    stage.begin("lab/geo-site", "execute")
    stage.going.clear()
    stage.world.timeline.run_until(100.0)
    assert stage.world.services[ERP].place == HQ


def test_one_whose_destination_dies_in_the_middle_changes_nothing_and_says_so(stage: Playing) -> None:
    key = stage.begin("lab/geo-site", "execute")
    stage.world.cut_power(GEO)
    stage.world.timeline.run_until(100.0)
    assert stage.world.services[ERP].place == HQ
    assert (stage.ends[key].outcome, stage.ends[key].detail) == (AttemptEnd.UNREACHABLE, "lab/geo does not answer")


def test_measured_durations_are_used_and_others_are_a_share_of_the_time_out() -> None:
    for usual_s, within in (({"lab/geo-site/execute": 20.0}, (14.0, 30.0)), ({}, (4.2, 9.0))):
        stage = Playing()
        stage.targets.usual_s = usual_s
        key = stage.begin("lab/geo-site", "execute")
        stage.world.timeline.run_until(within[0] - 0.01)
        assert key not in stage.ends
        stage.world.timeline.run_until(within[1] + 0.01)
        assert key in stage.ends


def test_a_move_taken_out_of_the_configuration_reaches_nothing() -> None:
    stage = Playing()
    nature = stage.world.nature
    known = {k: m for k, m in nature.model.moves.items() if k != "lab/geo-site"}
    stage.world.nature = replace(nature, model=nature.model)
    key = stage.begin("lab/geo-site", "finish")
    assert key in stage.going
    stage.world.nature = replace(nature, model=replace(nature.model, moves=known))
    stage.targets.planned["r9"] = replace(stage.targets.planned["r1"], run="r9")
    gone = StepKey("r9", "execute", 1)
    stage.targets.plays(RunPlaybook(gone, "lab", Playbook("p.yml", "d"), {}, 1, 60.0))
    stage.world.timeline.run_until(100.0)
    assert stage.ends[gone].outcome is AttemptEnd.UNREACHABLE


class TestRehearsals:
    """They act upon hosts of their own, and leave something there until it is cleaned up."""

    @pytest.fixture
    def stage(self) -> Playing:
        stage = Playing()
        nature, book = stage.world.nature, Playbook("drill.yml", "d")
        how = Rehearsal(book, book, book, "geo", frozenset({GEO}))
        moves = {**nature.model.moves, "lab/geo-site": replace(nature.model.moves["lab/geo-site"], rehearse=how)}
        stage.world.nature = replace(nature, model=replace(nature.model, moves=moves))
        return stage

    def there(self, stage: Playing) -> list[str]:
        """What a survey finds."""
        ended = stage.play("lab/geo-site", "survey")
        assert ended.outcome is AttemptEnd.OK
        return ended.stats["bascule_survey"]["target"]["things"]  # type: ignore[index, call-overload, return-value]

    def test_what_is_left_shows_until_it_is_cleaned_up(self, stage: Playing) -> None:
        assert self.there(stage) == []
        for step in ("set-up", "rehearse"):
            assert stage.play("lab/geo-site", step) == Ending(AttemptEnd.OK, "playbook ended well")
        assert self.there(stage) == ["rehearse", "set-up"]
        stage.play("lab/geo-site", "clean-up")
        assert self.there(stage) == []
        assert stage.world.services[ERP].place == HQ

    def test_a_clean_up_that_does_nothing_leaves_it(self, stage: Playing) -> None:
        stage.play("lab/geo-site", "rehearse")
        stage.targets.misfortunes["lab/geo-site"] = [Misfortune("useless")]
        assert stage.play("lab/geo-site", "clean-up").outcome is AttemptEnd.OK
        stage.targets.misfortunes.clear()
        assert self.there(stage) == ["rehearse"]

    def test_where_its_place_is_dark_nothing_is_reached(self, stage: Playing) -> None:
        stage.world.cut_power(GEO)
        assert stage.play("lab/geo-site", "rehearse").outcome is AttemptEnd.UNREACHABLE
        stage.world.cut_power(HQ)
        assert stage.targets.left_behind == {}

    def test_in_check_mode_nothing_is_changed(self, stage: Playing) -> None:
        assert stage.play("lab/geo-site", "looks").outcome is AttemptEnd.OK
        assert (stage.targets.left_behind, stage.targets.effects) == ({}, [])

    def test_its_hosts_are_a_target_of_their_own(self, stage: Playing) -> None:
        stage.play("lab/geo-site", "rehearse")
        stage.play("lab/geo-site", "finish")
        assert [x.target for x in stage.targets.accepted] == [GEO, GEO]

    def test_its_hosts_may_be_in_no_place(self, stage: Playing) -> None:
        model, book = stage.world.nature.model, Playbook("drill.yml", "d")
        moves = {k: replace(m, rehearse=Rehearsal(book, book, book, "scratch")) for k, m in model.moves.items()}
        stage.world.nature = replace(stage.world.nature, model=replace(model, moves=moves))
        stage.world.cut_power(GEO)
        assert stage.play("lab/geo-site", "rehearse").outcome is AttemptEnd.OK
        assert [x.target for x in stage.targets.accepted] == ["lab/geo-site:rehearsal"]
