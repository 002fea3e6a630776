"""The truth of a simulated world: what stops what, what comes back, and what a question finds."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.core.events import Answer
from orchestrator.core.model import Dependency
from orchestrator.sim.nature import nature_of
from orchestrator.sim.timeline import Timeline
from orchestrator.sim.world import World
from tests.sim import models

ERP, STAFF, TILL = "lab/erp", "lab/hq-internet", "lab/till"


@pytest.fixture
def world() -> World:
    return World(models.nature("lab"), Timeline(), "w")


def answer(world: World, name: str) -> Answer:
    found = next(c for c in world.nature.questions if c.startswith(f"lab/{name}"))
    return world.ask(found)[0].answer


def test_all_is_well_at_first(world: World) -> None:
    assert world.works(ERP)
    assert world.works(STAFF)
    assert world.acting(ERP) == ["lab/hq"]
    assert answer(world, "erp-transaction") is Answer.GOOD
    assert answer(world, "hq-dark") is Answer.BAD
    assert answer(world, "hq-power-off") is Answer.BAD


def test_a_fence_stops_the_place_and_the_console_can_prove_it(world: World) -> None:
    world.switch_off("lab/hq")
    assert world.acting(ERP) == []
    assert answer(world, "hq-power-off") is Answer.GOOD
    assert answer(world, "erp-transaction") is Answer.SILENT
    assert answer(world, "isp-a-path") is Answer.SILENT


def test_returning_mains_start_what_ran_there(world: World) -> None:
    world.cut_power("lab/hq")
    assert not world.works(ERP)
    assert answer(world, "hq-dark") is Answer.GOOD
    world.cut_power("lab/hq", -1)
    assert world.works(ERP)
    assert world.works(STAFF)


def test_unless_it_was_switched_off_meanwhile(world: World) -> None:
    world.cut_power("lab/hq")
    world.switch_off("lab/hq")
    world.cut_power("lab/hq", -1)
    assert world.acting(ERP) == []
    assert not world.works(STAFF)


def test_a_move_home_brings_back_what_stays_there_and_no_second_owner(world: World) -> None:
    world.switch_off("lab/hq")
    world.start_at(ERP, "lab/geo")
    world.lead_to(ERP, "lab/geo")
    world.start_at(STAFF, "lab/hq")
    assert world.works(STAFF)
    assert world.acting(ERP) == ["lab/geo"]


def test_whoever_may_act_at_one_place_only_is_not_started_by_the_move_of_another() -> None:
    world = World(models.nature("once_only"), Timeline(), "w")
    world.switch_off("lab/hq")
    world.start_at(TILL, "lab/hq")
    assert world.acting(TILL) == ["lab/hq"]
    assert world.acting(ERP) == []


def test_an_unreachable_place_still_acts(world: World) -> None:
    """Why the old side has to be fenced: silence is not death."""
    world.kill("lab/hq")
    assert not world.works(ERP)
    assert world.acting(ERP) == ["lab/hq"]
    world.start_at(ERP, "lab/geo")
    assert world.acting(ERP) == ["lab/geo", "lab/hq"]


def test_users_take_a_detour_while_a_move_leads_them(world: World) -> None:
    world.kill("lab/isp-a")
    assert not world.works(STAFF)
    world.engaged.add("lab/backup-isp")
    world.changed()
    assert world.works(STAFF)
    assert answer(world, "edge-uses-isp-b") is Answer.GOOD
    world.kill("lab/isp-b")
    assert not world.works(STAFF)
    world.kill("lab/isp-a", -1)
    assert not world.works(STAFF), "it is still led over the second provider"
    world.engaged.clear()
    world.changed()
    assert world.works(STAFF)


def test_a_service_fails_with_what_it_rests_on_and_only_where_it_does(world: World) -> None:
    world.crash(STAFF)
    assert not world.works(ERP)
    assert world.works_at(ERP, "lab/geo") is False, "nothing runs there"
    world.start_at(ERP, "lab/geo")
    assert world.works_at(ERP, "lab/geo"), "at the second site it needs no head office"
    world.restart(STAFF)
    assert world.works(ERP)


def test_two_services_that_rest_on_each_other_do_not_hang_the_world() -> None:
    lab = models.lab()
    circle = replace(lab.services[STAFF], depends_on=(Dependency(ERP),))
    world = World(nature_of(replace(lab, services={**lab.services, STAFF: circle})), Timeline(), "w")
    assert world.works(ERP)
    world.crash(STAFF)
    assert not world.works(ERP)


def test_a_crash_is_refused_and_a_hang_is_silent(world: World) -> None:
    world.crash(ERP)
    assert answer(world, "erp-transaction") is Answer.BAD
    world.restart(ERP)
    world.crash(ERP, hangs=True)
    assert answer(world, "erp-transaction") is Answer.SILENT


def test_data_grow_old_from_the_moment_their_source_is_lost(world: World) -> None:
    replica = next(c for c in world.nature.questions if c.startswith("lab/geo-replica"))
    world.timeline.run_until(100.0)
    assert world.ask(replica)[0].measures["data_age_s"] == pytest.approx(0.2)
    world.cut_power("lab/hq")
    world.timeline.run_until(140.0)
    assert world.ask(replica)[0].measures["data_age_s"] == pytest.approx(40.2)


def test_a_blind_vantage_a_dead_host_and_a_mute_probe_are_told_apart(world: World) -> None:
    world.blind["local"] = 1
    world.changed()
    assert answer(world, "erp-transaction") is Answer.SILENT
    world.blind.clear()
    world.mute.add("lab/erp-transaction@noc")
    world.changed()
    assert answer(world, "erp-transaction") is Answer.NONE
    world.mute.clear()
    world.kill("host lab/noc")
    assert answer(world, "erp-transaction") is Answer.SILENT


def test_two_faults_of_one_thing_both_have_to_end(world: World) -> None:
    world.kill("lab/isp-a")
    world.kill("lab/isp-a")
    world.kill("lab/isp-a", -1)
    assert not world.works(STAFF)
    world.kill("lab/isp-a", -1)
    assert world.works(STAFF)


def test_slower_than_its_time_out_is_silence_and_a_late_answer_comes_late(world: World) -> None:
    world.slow["lab/hq"] = 2.0
    world.changed()
    assert answer(world, "isp-a-path") is Answer.SILENT
    world.slow.clear()
    world.late["lab/geo-replica@geo-db"] = 90.0
    world.changed()
    judged, after_s = world.ask("lab/geo-replica@geo-db")
    assert judged.answer is Answer.GOOD
    assert after_s == pytest.approx(90.0)
