"""What a sound `schedules.yml` compiles to."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.config import load
from orchestrator.core.codec import decode, encode
from orchestrator.core.model import DrillKind, Model
from orchestrator.core.schedules import Calendar, Candidate, Days, Hours, MaintenancePlan, Schedule, Tells
from orchestrator.drills import judging
from tests.config.probe_kinds import PROBE_KINDS

BASE = Path(__file__).parent.parent / "bad_configs" / "base"
SOUND = """\
time_zone: Europe/Paris
calendar: {windows: [mon-fri 20:00-06:00, sat], blackout: [12-20..01-03], holidays: FR}
people:
  alice: {time_zone: Asia/Kolkata, blackout: [2026-08-01..2026-08-21]}
drills:
  isp:
    service: erp
    move: backup-isp
    kind: full-scale
    schedule: 0 22 * * tue
    window: 2h
    blackout: [2026-11-24]
    at_most: 2
    tells: owners
    tells_before: 48h
    stays: 10m
    return_within: 20m
  nightly: {schedule: by-value}
  surprise: {service: erp, schedule: 0 0 1 * *, window: 120h, surprise: true}
maintenance:
  patches: {of: [erp], schedule: 0 2 * * sun, lasts: 2h}
  all: {schedule: 0 3 1 * *, lasts: 30m, time_zone: UTC}
"""


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = Path(shutil.copytree(BASE, tmp_path_factory.mktemp("schedules") / "workspace"))
    services = found / "inventories/acme/services.yml"
    services.write_text(services.read_text() + "    mode: ask\n    owners: [alice]\n")
    (found / "inventories/acme/schedules.yml").write_text(SOUND)
    return found


@pytest.fixture(scope="module")
def model(workspace: Path) -> Model:
    return load(workspace, probe_kinds=PROBE_KINDS, judge=judging).model


ACME = Calendar(
    "Europe/Paris",
    (Hours((0, 1, 2, 3, 4), 20 * 3600, 6 * 3600), Hours((5,), 0, 0)),
    (Days("12-20", "01-03"),),
    "FR",
)
ALICE = Calendar("Asia/Kolkata", (), (Days("2026-08-01", "2026-08-21"),))
OF = (Candidate("acme/erp", "acme/backup-isp", (ALICE,)),)


def test_a_drill_is_bound_by_its_own_its_clients_and_its_owners_calendars(model: Model) -> None:
    isp = model.drills["acme/isp"]
    own = Calendar("Europe/Paris", (), (Days("2026-11-24", "2026-11-24"),))
    assert isp.schedule == Schedule("0 22 * * tue", 7200.0, (own, ACME))
    assert isp.of == OF
    assert (isp.kind, isp.tells, isp.tells_before_s) == (DrillKind.FULL_SCALE, Tells.OWNERS, 172800.0)
    assert (isp.at_most, isp.stays_s, isp.within_s) == (2, 600.0, 1200.0)


def test_by_value_is_of_every_tier_in_the_hours_of_the_client(model: Model) -> None:
    nightly = model.drills["acme/nightly"]
    assert nightly.by_value
    assert nightly.of == OF
    assert (nightly.schedule.cron, nightly.schedule.calendars[0]) == ("", ACME)


def test_a_surprise_has_a_period(model: Model) -> None:
    assert model.drills["acme/surprise"].surprise
    assert model.drills["acme/surprise"].schedule.length_s == 5 * 86400


def test_announced_work_is_of_services_or_of_the_client(model: Model) -> None:
    paris, utc = Calendar("Europe/Paris"), Calendar("UTC")
    assert model.maintenance == {
        "acme/patches": MaintenancePlan(
            "acme/patches", "acme", "patches", ("acme/erp",), Schedule("0 2 * * sun", 7200.0, (paris,))
        ),
        "acme/all": MaintenancePlan("acme/all", "acme", "all", ("acme",), Schedule("0 3 1 * *", 1800.0, (utc,))),
    }


def test_the_model_is_kept_and_read_back_and_an_older_one_as_well(model: Model) -> None:
    assert decode(Model, encode(model)) == model
    older = {k: v for k, v in encode(model).items() if k not in ("drills", "maintenance")}
    assert decode(Model, older) == replace(model, drills={}, maintenance={})


def test_a_digest_is_of_all_that_a_schedule_says(model: Model, workspace: Path) -> None:
    file = workspace / "inventories/acme/schedules.yml"
    try:
        file.write_text(SOUND.replace("at_most: 2", "at_most: 3"))
        other = load(workspace, probe_kinds=PROBE_KINDS, judge=judging).model.drills
    finally:
        file.write_text(SOUND)
    changed = {name for name, x in other.items() if x.digest != model.drills[name].digest}
    assert changed == {"acme/isp"}


def test_two_clients_may_call_their_drills_the_same(workspace: Path, tmp_path: Path) -> None:
    both = Path(shutil.copytree(workspace, tmp_path / "both"))
    shutil.copytree(both / "inventories/acme", both / "inventories/globex")
    found = load(both, probe_kinds=PROBE_KINDS, judge=judging).model.drills
    assert found["globex/isp"].of[0].service == "globex/erp"
    assert found["acme/isp"].of[0].service == "acme/erp"
    assert len(found) == 6


def test_a_calendar_of_holidays_that_ends_is_told(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a few countries they are known for some years: later no day is one."""
    assert judging.holidays_end("FR") is None
    assert judging.holidays_end("FR-57") is None
    monkeypatch.setattr(judging, "holidays_end", lambda where: {"FR": 2026}[where])
    told = [str(x) for x in load(workspace, probe_kinds=PROBE_KINDS, judge=judging).warnings]
    what = "the public holidays of FR are known up to 2026: from 2027 on no day is kept as one"
    assert [x for x in told if what in x and x.startswith("inventories/acme/schedules.yml:2:")], told
