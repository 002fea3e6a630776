"""Every outage of a simulation: what caused it, which tier ended it, what guards did."""

from __future__ import annotations

from orchestrator.sim.episodes import GUARDS, TAKES_NOTHING_DOWN, Episode, episodes, guards_fired
from orchestrator.sim.faults import Fault, FaultKind
from orchestrator.sim.simulation import WARM_UP_S, Result, Simulation, quiet
from tests.sim import models


def played(*faults: Fault) -> Result:
    quiet()
    return Simulation(models.lab(), faults, "e", nature=models.nature("lab")).play(240.0, 60.0)


def outages(*faults: Fault) -> dict[str, Episode]:
    result = played(*faults)
    return {x.service: x for x in episodes(models.lab(), result.entries, result.faults, WARM_UP_S)}


def test_a_dark_head_office_is_one_outage_of_each_service() -> None:
    found = outages(Fault(10.0, FaultKind.POWER, "lab/hq"))
    erp, staff = found["lab/erp"], found["lab/hq-internet"]
    assert (erp.disaster, erp.alone, erp.harder) == ("lab/hq: power cut", True, False)
    assert (erp.tier, erp.move, erp.how) == (2, "lab/geo-site", "verified")
    assert erp.kept
    assert (staff.tier, staff.how, staff.rta_s, staff.person) == (None, "left to a person", None, True)
    assert not staff.kept


def test_a_fault_of_the_controller_makes_it_harder_and_is_no_disaster() -> None:
    found = outages(Fault(10.0, FaultKind.CUT, "lab/isp-a"), Fault(13.0, FaultKind.KILLED, for_s=3.0))
    assert found["lab/hq-internet"].disaster == "lab/isp-a: cut off"
    assert found["lab/hq-internet"].alone
    assert found["lab/hq-internet"].harder


def test_one_that_ended_before_anybody_moved_is_no_tiers_doing() -> None:
    found = outages(Fault(10.0, FaultKind.CRASH, "lab/erp", 5.5))
    assert found["lab/erp"].tier is None
    assert found["lab/erp"].rta_s is not None


def test_two_disasters_at_once_are_told_as_such() -> None:
    found = outages(Fault(10.0, FaultKind.CUT, "lab/isp-a"), Fault(10.5, FaultKind.CUT, "lab/isp-b", 60.0))
    assert found["lab/hq-internet"].disaster == "several disasters at once"
    assert not found["lab/hq-internet"].alone


def test_guards_that_stopped_something_are_counted() -> None:
    assert guards_fired(played(Fault(10.0, FaultKind.POWER, "lab/hq")).entries)["not viable"] >= 2


def test_every_kind_is_a_disaster_or_of_the_controller_and_every_guard_is_counted_once() -> None:
    disasters = set(FaultKind) - TAKES_NOTHING_DOWN
    assert FaultKind.POWER in disasters
    assert FaultKind.WORD not in disasters
    assert len(GUARDS) == len({g.value for g in GUARDS})
