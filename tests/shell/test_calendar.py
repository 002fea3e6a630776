"""The clock beside the calendars: a daemon tells its core what is due, and believes no clock that has just jumped."""

from __future__ import annotations

import asyncio
import hashlib
import json
import stat
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.cli.drill_due import drill_due
from orchestrator.core import events as e
from orchestrator.core import records as r
from orchestrator.core.commands import NoticeKind, TellPeople
from orchestrator.core.model import Model
from orchestrator.core.schedules import Calendar, Hours, MaintenancePlan, Schedule
from orchestrator.drills.times import at, written
from orchestrator.shell import calendar
from orchestrator.shell.calendar import BELIEVED_AFTER_S, Calendars, Clock, secret_in
from orchestrator.shell.waiting import until
from orchestrator.shell.wiring import Controller
from tests.core.drill_stage import stage
from tests.core.world import World
from tests.drills.plans import moment, plan
from tests.shell.small import PATIENCE_S, Small, write


class Axis:
    """The time of a world, and a wall clock that can be put on and back."""

    booted_at = -1e6

    def __init__(self, world: World, begins: str) -> None:
        self.world, self.begins = world, moment(begins).timestamp() - world.now

    def now(self) -> float:
        return self.world.now

    def uptime(self) -> float:
        return self.world.now - self.booted_at

    def wall(self) -> float:
        return self.begins + self.world.now


class Daemon:
    """What looks at the calendars in a daemon, around a world."""

    def __init__(self, tmp_path: Path, begins: str, model: Model | None = None) -> None:
        self.world = stage()
        if model is None:
            self.load(replace(self.world.model, digest="with drills", drills={"acme/geo": plan()}))
        else:
            self.load(model)
        self.axis = Axis(self.world, begins)
        self.calendars = Calendars(tmp_path, lambda: self.world.engine, self.axis, self.world.hears)  # type: ignore[arg-type]

    def load(self, model: Model) -> None:
        self.world.model = model
        self.world.hears(e.ConfigurationLoaded(model))

    def start_anew(self, *, same_boot: bool, up_s: float = 0.0) -> None:
        """The controller dies, and another one starts; so did the machine, where it is another boot, so long before."""
        self.world.crash()
        self.world.start(same_boot)
        if not same_boot:
            self.axis.booted_at = self.world.now - up_s
        self.calendars = Calendars(self.calendars.workspace, lambda: self.world.engine, self.axis, self.world.hears)  # type: ignore[arg-type]

    async def run(self, seconds: float, every: float = 10.0) -> None:
        until = self.world.now + seconds
        while self.world.now < until:
            await self.calendars.beat()
            self.world.run(every)
        await self.calendars.beat()

    def of(self, *kinds: type) -> list[r.Record]:
        return list(self.world.records(*kinds))  # type: ignore[arg-type]


async def test_what_is_due_begins_and_nothing_is_told_twice(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path, "2026-11-03T20:59")
    await daemon.run(240)
    assert len(daemon.of(r.ScheduleInForce)) == 1
    assert len(daemon.of(r.DrillCameDue)) == 1
    assert len(daemon.of(r.DrillBegan)) == 1


async def test_a_clock_that_jumps_and_is_mended_soon_misses_nothing(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path, "2026-11-03T20:55")
    await daemon.run(30)
    daemon.axis.begins += 365 * 86400.0
    await daemon.run(60)
    daemon.axis.begins -= 365 * 86400.0
    await daemon.run(BELIEVED_AFTER_S + 120)
    assert not daemon.of(r.DrillMissed)
    assert len(daemon.of(r.DrillBegan)) == 1


async def test_a_clock_that_was_put_back_for_good_is_gone_by_at_once(tmp_path: Path) -> None:
    nightly = MaintenancePlan("acme/backup", "acme", "backup", ("acme/erp",), Schedule("0 21 * * *", 3600.0))
    model = replace(stage().model, digest="with work", maintenance={nightly.id: nightly})
    daemon = Daemon(tmp_path, "2026-11-04T22:05", model)  # a day ahead of the true time
    await daemon.run(60)
    daemon.axis.begins -= 86400.0 + 1800.0
    await daemon.run(BELIEVED_AFTER_S + 60)
    (opened,) = daemon.of(r.WindowOpened)
    assert opened.window == "backup@2026-11-03T21:00:00Z"  # type: ignore[attr-defined]


@pytest.mark.parametrize("new", [False, True], ids=["a schedule of before", "a new schedule"])
@pytest.mark.parametrize("again", [False, True], ids=["one start", "the daemon starts twice"])
@pytest.mark.parametrize("days", [3650, -3650])
async def test_after_a_boot_a_clock_that_is_set_soon_misses_nothing(
    days: int, again: bool, new: bool, tmp_path: Path
) -> None:
    """A battery that is empty: the machine starts years off, and asks its time server half a minute later."""
    daemon = Daemon(tmp_path, "2026-11-03T20:30")
    if not new:
        await daemon.run(60)
    daemon.start_anew(same_boot=False)
    daemon.axis.begins += days * 86400.0
    await daemon.run(30)
    if again:
        daemon.start_anew(same_boot=True)
        await daemon.run(30)
    daemon.axis.begins -= days * 86400.0
    await daemon.run(2400)
    assert not daemon.of(r.DrillMissed)
    assert len(daemon.of(r.DrillBegan)) == 1


@pytest.mark.parametrize(("up_s", "after_s"), [(0.0, BELIEVED_AFTER_S), (200.0, BELIEVED_AFTER_S - 200), (1e6, 0.0)])
async def test_what_is_due_at_a_start_begins_once_the_machine_has_been_up_for_a_while(
    up_s: float, after_s: float, tmp_path: Path
) -> None:
    """However often the daemon was started meanwhile, and whether or not its workspace is a new one."""
    daemon = Daemon(tmp_path, "2026-11-03T20:50")
    await daemon.run(60)
    daemon.world.run(600)  # nobody looked meanwhile
    daemon.start_anew(same_boot=False, up_s=up_s)
    began = daemon.world.now
    await daemon.run(900, every=1.0)
    (drill,) = daemon.of(r.DrillBegan)
    assert drill.at - began == pytest.approx(after_s, abs=30)  # type: ignore[attr-defined]


async def test_a_schedule_that_came_into_force_under_a_clock_ahead_has_its_times_when_it_is_put_right(
    tmp_path: Path,
) -> None:
    daemon = Daemon(tmp_path, "2027-11-03T20:30")
    await daemon.run(60)
    daemon.axis.begins -= 365 * 86400.0
    await daemon.run(2400)
    assert len(daemon.of(r.ScheduleInForce)) == 2
    assert not daemon.of(r.DrillMissed)
    (drill,) = daemon.of(r.DrillBegan)
    assert drill.occurrence == "2026-11-03T21:00:00Z"  # type: ignore[attr-defined]


async def test_what_was_dealt_with_under_a_clock_ahead_is_not_done_again(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path, "2026-11-03T20:30")
    await daemon.run(3600)
    model = replace(daemon.world.model, digest="edited", drills={"acme/geo": plan(cron="0 22 * * tue")})
    daemon.load(model)
    await daemon.run(60)
    daemon.axis.begins -= 3600.0
    await daemon.run(BELIEVED_AFTER_S + 3600)
    assert len(daemon.of(r.DrillBegan)) == 1
    assert not daemon.of(r.DrillMissed)


def test_a_clock_that_stands_by_its_jump_is_believed() -> None:
    clock = Clock()
    assert clock.believed(1000.0, 10.0)
    assert not clock.believed(9000.0, 11.0)
    assert not clock.believed(9000.0 + BELIEVED_AFTER_S - 1, 10.0 + BELIEVED_AFTER_S)
    assert clock.believed(9001.0 + BELIEVED_AFTER_S, 12.0 + BELIEVED_AFTER_S)


async def test_announced_work_is_announced_and_ends(tmp_path: Path) -> None:
    nightly = MaintenancePlan("acme/backup", "acme", "backup", ("acme/erp",), Schedule("0 21 * * *", 300.0))
    model = replace(stage().model, digest="with work", maintenance={nightly.id: nightly})
    daemon = Daemon(tmp_path, "2026-11-03T20:59", model)
    await daemon.run(120)
    (opened,) = daemon.of(r.WindowOpened)
    assert (opened.subject, opened.window) == ("acme/erp", "backup@2026-11-03T21:00:00Z")  # type: ignore[attr-defined]
    assert opened.ends_at - opened.at == pytest.approx(300.0, abs=11)  # type: ignore[attr-defined]
    assert list(daemon.world.decided().maintenance) == ["acme/erp#backup@2026-11-03T21:00:00Z"]
    await daemon.run(300)
    assert len(daemon.of(r.WindowClosed)) == 1
    assert not daemon.world.decided().maintenance


def without_a_zone(name: str) -> Model:
    """Two clients' schedules; of those whose name is given, the machine has lost the time zone."""
    zones = {x: (Calendar("Mars/Olympus" if x == name else "UTC"),) for x in ("drill", "work")}
    lost = plan("lost", schedule=Schedule("0 21 * * *", 1200.0, zones["drill"]))
    known = plan("known", schedule=Schedule("1 21 * * *", 1200.0))
    works = [
        MaintenancePlan("acme/patches", "acme", "patches", ("acme/erp",), Schedule("0 21 * * *", 300.0, zones["work"])),
        MaintenancePlan("bistro/patches", "bistro", "patches", ("bistro/erp",), Schedule("0 21 * * *", 300.0)),
    ]
    return replace(
        stage().model, digest=f"without {name}", drills={x.id: x for x in (lost, known)},
        maintenance={x.id: x for x in works},
    )  # fmt: skip


@pytest.mark.parametrize(("lost", "name"), [("drill", "acme/lost"), ("work", "acme/patches")])
async def test_a_schedule_that_cannot_be_worked_out_costs_no_other_one_and_is_told_once(
    tmp_path: Path, lost: str, name: str
) -> None:
    told: list[TellPeople] = []
    daemon = Daemon(tmp_path, "2026-11-03T20:59", without_a_zone(lost))
    daemon.calendars.tell = told.append
    await daemon.run(180)
    opened = [x.subject for x in daemon.of(r.WindowOpened)]  # type: ignore[attr-defined]
    assert opened == (["bistro/erp"] if lost == "work" else ["acme/erp", "bistro/erp"])
    due = [x.schedule for x in daemon.of(r.DrillCameDue)]  # type: ignore[attr-defined]
    assert due == (["acme/known"] if lost == "drill" else ["acme/lost", "acme/known"])
    assert daemon.calendars.unknown() == {name: "this machine knows no time zone 'Mars/Olympus'"}
    (notice,) = told
    assert (notice.kind, notice.client, notice.subject) == (NoticeKind.CANNOT_ACT, "acme", name)
    assert notice.text == (
        f"{name}: this machine knows no time zone 'Mars/Olympus':"
        " nothing of this schedule begins, and none of its times is told"
    )
    daemon.load(without_a_zone("nothing"))
    await daemon.run(30)
    assert daemon.calendars.unknown() == {}


async def test_whatever_breaks_in_one_schedule_costs_no_other_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The package of public holidays is gone."""
    monkeypatch.setitem(sys.modules, "holidays", None)
    kept = (Calendar("UTC", holidays="NZ"),)  # of which nobody has asked before
    plans = [
        plan("lost", schedule=Schedule("0 21 * * *", 1200.0, kept)),
        plan("known", schedule=Schedule("1 21 * * *", 1200.0)),
    ]
    daemon = Daemon(tmp_path, "2026-11-03T20:59", replace(stage().model, digest="two", drills={x.id: x for x in plans}))
    await daemon.run(180)
    assert [x.schedule for x in daemon.of(r.DrillCameDue)] == ["acme/known"]  # type: ignore[attr-defined]
    (why,) = daemon.calendars.unknown().values()
    assert str(why).startswith("ModuleNotFoundError: ")


async def test_work_that_is_open_when_its_zone_is_lost_is_open_to_its_announced_end(tmp_path: Path) -> None:
    """Else something would act in the middle of it."""
    daemon = Daemon(tmp_path, "2026-11-03T20:59", without_a_zone("nothing"))
    await daemon.run(120)
    assert sorted(daemon.world.decided().maintenance) == [
        "acme/erp#patches@2026-11-03T21:00:00Z", "bistro/erp#patches@2026-11-03T21:00:00Z",
    ]  # fmt: skip
    daemon.load(without_a_zone("work"))
    await daemon.run(60)
    assert len(daemon.world.decided().maintenance) == 2
    await daemon.run(400)
    assert not daemon.world.decided().maintenance
    assert len(daemon.of(r.WindowClosed)) == 2


async def test_what_is_proven_is_worked_out_only_when_something_is_chosen_by_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float] = []
    monkeypatch.setattr(Calendars, "_exposures", lambda _self, _model, wall: asked.append(wall) or {})
    nights = Calendar("UTC", (Hours((0, 1, 2, 3, 4, 5, 6), 21 * 3600, 22 * 3600),))
    value = plan(schedule=Schedule("", 3600.0, (nights,)), by_value=True)
    model = replace(stage().model, digest="by value", drills={value.id: value})
    daemon = Daemon(tmp_path, "2026-11-03T20:58", model)
    await daemon.run(90)
    assert not asked
    await daemon.run(90)
    assert len(asked) == 1
    assert len(daemon.of(r.DrillBegan)) == 1


def test_the_secret_of_surprises_is_made_once_and_is_for_nobody_else(tmp_path: Path) -> None:
    first = secret_in(tmp_path)
    assert secret_in(tmp_path) == first
    assert len(first) >= 32
    assert stat.S_IMODE((tmp_path / calendar.SECRET).stat().st_mode) == 0o600


@pytest.mark.parametrize("left", [b"", b"half of it"])
def test_a_secret_that_was_not_written_whole_is_none(tmp_path: Path, left: bytes) -> None:
    path = tmp_path / calendar.SECRET
    path.parent.mkdir()
    path.write_bytes(left)
    made = secret_in(tmp_path)
    assert len(made) >= 32
    assert made != hashlib.sha256(left).digest()
    assert secret_in(tmp_path) == made
    assert [x.name for x in path.parent.iterdir()] == [path.name]


def test_a_secret_that_is_there_whole_stays_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / calendar.SECRET
    path.parent.mkdir()
    path.write_bytes(bytes(range(32)))
    assert secret_in(tmp_path) == bytes(range(32))


async def test_a_secret_that_cannot_be_had_holds_no_other_schedule_up(tmp_path: Path) -> None:
    (tmp_path / calendar.SECRET).mkdir(parents=True)
    hidden = plan("hidden", schedule=Schedule("0 21 * * *", 3600.0), surprise=True)
    nightly = MaintenancePlan("acme/backup", "acme", "backup", ("acme/erp",), Schedule("0 21 * * *", 300.0))
    model = replace(stage().model, digest="both", drills={hidden.id: hidden}, maintenance={nightly.id: nightly})
    daemon = Daemon(tmp_path, "2026-11-03T20:59", model)
    await daemon.run(120)
    assert len(daemon.of(r.WindowOpened)) == 1


@pytest.mark.usefixtures("nothing_warm")
async def test_a_real_daemon_has_its_schedules_in_force_and_says_what_is_due(
    small: Small, capsys: pytest.CaptureFixture[str]
) -> None:
    """From the files to what is typed: by value, with what is proven read from its own journal."""
    soon = at(time.time() + 3)
    window = f"{soon:%a} {soon:%H:%M}-{at(soon.timestamp() + 7200):%H:%M}".lower()
    write(
        small.path / "inventories/acme/schedules.yml",
        f"drills:\n  web: {{schedule: by-value, windows: ['{window}']}}\n"
        "  weekly: {service: web, schedule: 0 3 * * sun}\n"
        "maintenance:\n  now: {schedule: '* * * * *', lasts: 1m}\n",
    )
    controller = Controller(small.path)
    await controller.start()
    try:
        decided = controller.shell.engine.decided
        assert await until(lambda: bool(decided.maintenance and decided.schedules), PATIENCE_S, asyncio.sleep)
        assert set(decided.schedules) == {"acme/web", "acme/weekly"}
        calendars = Calendars(small.path, lambda: controller.shell.engine, controller.axis, controller.emit)
        found = calendars._exposures(controller.shell.engine.model, time.time())
        assert {name: x.proven_s for name, x in found.items()} == {"acme/web acme/restart": None}
    finally:
        await controller.close()
    capsys.readouterr()
    assert drill_due(as_json=True, workspace=small.path) == 0
    listed = json.loads(capsys.readouterr().out)
    assert {x["schedule"]: x["in_force"] for x in listed} == {"acme/web": True, "acme/weekly": True}
    assert drill_due("acme", workspace=small.path) == 0
    assert "acme/weekly: functional, acme/web acme/restart: next " in capsys.readouterr().out
    file = await asyncio.to_thread(small.bascule, "calendar", "--days", "8")
    assert f"DTSTART:{written(soon)[:4]}" in file.stdout
    assert "Drill acme/weekly: acme/restart of acme/web" in file.stdout.replace("\r\n ", "")
