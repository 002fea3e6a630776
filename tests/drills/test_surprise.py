"""Surprises: drawn within all calendars, sealed before, opened after, and told to nobody in between."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from orchestrator.core import records as r
from orchestrator.core.codec import dumps, encode
from orchestrator.core.commands import NoticeKind
from orchestrator.core.reasons import Reason
from orchestrator.core.schedules import Calendar, Candidate, Days, Hours, Schedule
from orchestrator.drills import surprise
from orchestrator.drills.calendars import admits
from orchestrator.drills.ics import ahead
from orchestrator.drills.occurrences import occurrences
from orchestrator.drills.outlook import outlook
from orchestrator.drills.times import at
from tests.core.drill_stage import stage
from tests.drills.plans import NIGHTS, Desk, moment, plan, seeds

WORKSPACE = Path(__file__).parents[2]
OWNER = Calendar("UTC", (), (Days("2026-11-11", "2026-11-30"),))
OF = (Candidate("acme/erp", "acme/geo-site", (OWNER,)), Candidate("acme/hq-internet", "acme/backup-isp"))
WEEK = Schedule("0 0 * * mon", 5 * 86400.0, (Calendar("Europe/Paris", (NIGHTS,)),))


def test_what_is_drawn_is_within_every_calendar_that_binds_it() -> None:
    weekly = plan(surprise=True, schedule=WEEK, of=OF)
    drawn = []
    for one in occurrences(WEEK, (), moment("2026-10-01T00:00"), moment("2027-10-01T00:00"), whole=True):
        found = surprise.draw(weekly, OF, one, seeds(weekly.id, one.name))
        assert found is not None
        assert admits([*WEEK.calendars, *found.candidate.calendars], found.opens)
        assert one.opens <= found.opens < found.closes <= one.closes
        drawn.append(found)
    assert {x.candidate for x in drawn} == set(OF)
    assert len({x.opens.time() for x in drawn}) > 40, "the hour is drawn, too"
    november = [x for x in drawn if moment("2026-11-11T00:00") <= x.opens < moment("2026-12-01T00:00")]
    assert {x.candidate for x in november} == {OF[1]}, "its owner is away"


def test_a_seal_opens_with_its_seed_and_with_nothing_else() -> None:
    weekly = plan(surprise=True, schedule=WEEK, of=OF)
    one = next(occurrences(WEEK, (), moment("2026-11-01T00:00"), moment("2026-12-01T00:00"), whole=True))
    drawn = surprise.draw(weekly, OF, one, seeds(weekly.id, one.name))
    assert drawn is not None
    sealed = surprise.seal_of(weekly, one, drawn)
    what = (weekly.id, one.name, drawn.candidate.service, drawn.candidate.move)
    assert surprise.opens(sealed, *what, drawn.told)
    assert surprise.drawn_for(drawn.told) == drawn.opens
    assert not surprise.opens(sealed, *what, drawn.told.replace("seed ", "seed 0")[:-1])
    assert not surprise.opens(sealed, *what[:2], "acme/other", what[3], drawn.told)
    assert not surprise.opens(sealed, *what, "")


def test_a_number_is_drawn_for_its_playbooks_and_the_seed_tells_it_again() -> None:
    weekly = plan(surprise=True, schedule=WEEK, of=OF)
    weeks = occurrences(WEEK, (), moment("2026-01-01T00:00"), moment("2027-01-01T00:00"), whole=True)
    found = [x for one in weeks if (x := surprise.draw(weekly, OF, one, seeds(weekly.id, one.name))) is not None]
    numbers = [x.number for x in found]
    assert all(0.0 <= x < 1.0 for x in numbers)
    assert len(set(numbers)) == len(numbers) > 50
    assert {int(3 * x) for x in numbers} == {0, 1, 2}, "each of three backups is drawn in a year"
    assert [replace(x).number for x in found] == numbers


@pytest.mark.parametrize(("draw", "kept", "restored"), [(None, 4, "d"), (0.999, 4, "b"), (0.999, 1, "a")])
def test_the_shipped_restore_takes_the_backup_that_was_drawn(
    draw: float | None, kept: int, restored: str, tmp_path: Path
) -> None:
    """Of the newest three, as the lab says; the newest where nothing was drawn."""
    (play, _) = yaml.safe_load((WORKSPACE / "playbooks" / "drill" / "restore_backup.yml").read_text(encoding="utf-8"))
    show = {"ansible.builtin.copy": {"content": "{{ drawn }}", "dest": str(tmp_path / "drawn")}}
    (tmp_path / "play.yml").write_text(yaml.safe_dump([{**play, "hosts": "localhost", "tasks": [show]}]))
    keys = [f"hq/{x}.dump" for x in "abcd"[:kept]]
    given = {"backup_restore_list": {"s3_keys": ["hq/z.txt", *reversed(keys)]}, "rehearsal_backups": 3}
    given["ansible_python_interpreter"] = sys.executable
    given |= {} if draw is None else {"bascule_draw": draw}
    argv = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", "localhost,", "-c", "local"]
    done = subprocess.run([*argv, "-e", json.dumps(given), tmp_path / "play.yml"], timeout=120, capture_output=True)
    assert done.returncode == 0, done.stdout
    assert (tmp_path / "drawn").read_text() == f"hq/{restored}.dump"


def test_nobody_knows_of_it_before_and_everybody_can_check_it_after() -> None:
    world = stage()
    hour = Schedule("0 21 * * *", 1800.0, (Calendar("UTC", (Hours((1,), 21 * 3600, 22 * 3600),)),))
    desk = Desk(world, "2026-11-03T20:58", plan(surprise=True, schedule=hour))
    desk.run(300)
    (sealed,) = world.records(r.DrillDrawn)
    began = list(world.records(r.DrillBegan))
    assert not began, "for this seed: later"
    before = b"".join(dumps(encode(x)) for _, entry in world.entries for x in entry)
    assert seeds("acme/geo", sealed.occurrence).encode() not in before  # type: ignore[attr-defined]
    assert not [x for x in world.told if x.kind in (NoticeKind.DRILL_AHEAD, NoticeKind.DRILL_BEGAN)]
    desk.run(1800)
    (one,) = world.records(r.DrillBegan)
    assert surprise.opens(sealed.seal, one.scheduled, one.occurrence, one.service, one.move, one.drawn)  # type: ignore[attr-defined]
    drawn_at = surprise.drawn_for(one.drawn)  # type: ignore[attr-defined]
    assert drawn_at is not None
    assert 0 <= desk.begins + one.at - drawn_at.timestamp() <= 61
    assert one.draw > 0.0  # type: ignore[attr-defined]
    desk.run(120)
    assert {x.facts["bascule_draw"] for x in world.commanded} == {one.draw}  # type: ignore[attr-defined]


def test_one_that_was_missed_is_opened_as_well() -> None:
    world = stage()
    hour = Schedule("0 21 * * *", 1800.0, (Calendar("UTC"),))
    desk = Desk(world, "2026-11-03T20:58", plan(surprise=True, schedule=hour))
    desk.run(180)
    world.crash()
    world.now += 3600
    world.start(same_boot=False)
    desk.look()
    (sealed,) = world.records(r.DrillDrawn)
    (missed,) = world.records(r.DrillMissed)
    told = missed.evidence  # type: ignore[attr-defined]
    (notice,) = [x for x in world.told if x.kind is NoticeKind.DRILL_MISSED]
    period = f"acme/erp: the surprise of acme/geo, in its period from {sealed.occurrence} on, was missed: "  # type: ignore[attr-defined]
    assert notice.text == f"{period}window unseen: {told}"
    assert surprise.opens(sealed.seal, "acme/geo", sealed.occurrence, "acme/erp", "acme/geo-site", told)  # type: ignore[attr-defined]


def test_one_whose_schedule_was_edited_while_it_was_due_is_opened_as_well() -> None:
    world = stage()
    weekly = plan(surprise=True, schedule=Schedule("0 21 * * *", 1800.0, (Calendar("UTC"),)))
    desk = Desk(world, "2026-11-03T20:58", weekly)
    world.bad("geo-ready")
    while not list(world.records(r.DrillCameDue)):
        desk.run(60)
    desk.load(replace(weekly, digest="edited"))
    (sealed,) = world.records(r.DrillDrawn)
    (missed,) = world.records(r.DrillMissed)
    assert missed.reason is Reason.SCHEDULE_CHANGED  # type: ignore[attr-defined]
    told = missed.evidence  # type: ignore[attr-defined]
    assert surprise.opens(sealed.seal, "acme/geo", sealed.occurrence, "acme/erp", "acme/geo-site", told)  # type: ignore[attr-defined]


def test_no_calendar_and_no_list_tells_its_hour() -> None:
    weekly = plan(surprise=True, schedule=WEEK, of=OF)
    world = stage()
    desk = Desk(world, "2026-11-01T12:00", weekly)
    world.crash()
    world.now += 13 * 3600  # the period has begun; for this seed it is later
    world.start(same_boot=False)
    desk.look()
    assert list(world.records(r.DrillDrawn))
    assert ahead({weekly.id: weekly}, {}, at(desk.wall), at(desk.wall + 30 * 86400)) == ([], {})
    (told,) = outlook(world.decided().schedules, {weekly.id: weekly}, desk.wall)
    assert (told.state, told.opens, told.closes) == ("in a period", "2026-11-01T23:00:00Z", "2026-11-06T23:00:00Z")


def test_another_secret_draws_anew_and_says_so() -> None:
    """The secret was lost: what had been drawn cannot be known any more."""
    weekly = plan(surprise=True, schedule=WEEK, of=OF)
    one = next(occurrences(WEEK, (), moment("2026-11-01T00:00"), moment("2026-12-01T00:00"), whole=True))
    seals = set()
    for secret in (b"one", b"another"):
        drawn = surprise.draw(weekly, OF, one, surprise.seed_of(secret, weekly.id, one.name))
        assert drawn is not None
        seals.add(surprise.seal_of(replace(weekly), one, drawn))
    assert len(seals) == 2
