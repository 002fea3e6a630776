"""Drills on the real network, with the users' meters running: each tier rehearsed, and made and led back.

Each story goes on where the one before has ended, on one lab. Nothing that was acknowledged is lost by any of them, and
a backup that holds nothing is found.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from orchestrator.core import records as r
from orchestrator.core.reasons import Reason
from orchestrator.demo.drills import EMPTIED
from orchestrator.drills import surprise
from tests.lab import drills
from tests.lab.story import ERP, FOR_DRILLS, Story, told

pytestmark = [pytest.mark.lab, pytest.mark.long, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """The lab, with the daemon at the operations centre."""
    with told("drills", tmp_path_factory.mktemp("drills")) as one:
        yield one


SURPRISE = """\
drills:
  restore: {service: erp, move: cloud-instance, schedule: "* * * * *", window: 1m, surprise: true}
"""


def _drill(story: Story, *words: str) -> tuple[r.DrillEnded, list[r.StepFinished]]:
    """`bascule drill run lab/erp WORDS`, to its end; and the ends of its steps."""
    story.wait_healthy()
    story.wait("all that a drill wants is there", lambda: story.up(*FOR_DRILLS))
    mark = story.mark()
    story.bascule("drill", "run", ERP, *words)
    return _ends(story, mark)


def _ends(story: Story, mark: int) -> tuple[r.DrillEnded, list[r.StepFinished]]:
    story.wait("the drill ends", lambda: story.of(r.DrillEnded, mark), within_s=400)
    return story.of(r.DrillEnded, mark)[0], story.of(r.StepFinished, mark)


def _published(steps: list[r.StepFinished], step: str) -> dict[str, Any]:
    return dict(next(x for x in steps if x.step == step).stats)


def _rehearsed(story: Story, move: str) -> list[r.StepFinished]:
    """A functional drill that ends well, and that the end user has not noticed."""
    began = time.time()
    ended, steps = _drill(story, "--move", move)
    assert (ended.ok, ended.reason, ended.returned) == (True, Reason.CONDITIONS_MET, None), ended.evidence
    assert all(x.state is r.StepState.DONE for x in steps)
    survey, again = (_published(steps, name)["bascule_survey"] for name in ("survey", "survey-again"))
    assert survey == again
    user = story.account_of(f"rehearsal of {move}", began)
    assert (user.lost_ids, drills.noticed(user)) == ((), [])
    return steps


def _made(story: Story, move: str, served_by: set[str]) -> None:
    """A full-scale drill: the real move and the real way back, without a loss."""
    began = time.time()
    ended, _steps = _drill(story, "--move", move, "--full-scale", "--stay", "5s", "--return-within", "5m")
    assert (ended.ok, ended.reason, ended.returned) == (True, Reason.RETURNED, True), ended.evidence
    assert story.decided.services[ERP].place == "lab/hq"
    assert story.decided.services[ERP].may_act == {"lab/hq"}
    assert not story.decided.engaged
    assert not story.decided.open_incidents()
    story.wait("the end user is well", lambda: story.meter_is_well("client"))
    user = story.account_of(f"drill of {move}", began)
    assert user.recovered
    assert user.loss_known
    assert user.lost_ids == ()
    assert user.fenced_acknowledgements == ()
    assert set(user.served_by) >= served_by


def test_the_second_provider_is_rehearsed_from_outside(story: Story) -> None:
    """Tier 1: a name of its own leads through it, and is gone afterwards."""
    steps = _rehearsed(story, "backup-isp")
    account = _published(steps, "survey")["bascule_survey"]["the cloud account"]
    assert any(line.startswith("erp.acme.example. 1 A 203.0.113.2") for line in account["records"])


def test_the_restored_backup_holds_what_its_source_held(story: Story) -> None:
    """Tier 3, and a surprise restore: the newest backup, into a scratch instance, table by table."""
    steps = _rehearsed(story, "cloud-instance")
    restored = _published(steps, "rehearse")["bascule_restored"]
    assert restored["content"] == restored["expected"]
    assert restored["content"]["public.transactions"]["rows"] > 0
    assert 0 < restored["data_age_s"] < 120


def test_a_surprise_restore_is_drawn_sealed_and_made(story: Story) -> None:
    """Nobody typed it and nobody was told: a schedule drew it, and its record opens what had been sealed."""
    story.wait_healthy()
    story.wait("all that a drill wants is there", lambda: story.up(*FOR_DRILLS))
    mark, told = story.mark(), len(story.notices())
    schedules = story.workspace / "inventories" / "lab" / "schedules.yml"
    schedules.write_text(SURPRISE)
    try:
        story.must("reload")
        story.wait("a surprise begins", lambda: story.of(r.DrillBegan, mark))
    finally:
        schedules.unlink()
        story.must("reload")
    began = story.of(r.DrillBegan, mark)[0]
    sealed = next(x for x in story.of(r.DrillDrawn, mark) if x.occurrence == began.occurrence)
    assert sealed.at <= began.at
    assert surprise.opens(sealed.seal, "lab/restore", began.occurrence, began.service, began.move, began.drawn)
    assert all(f"drill {began.drill} " in x for x in story.notices()[told:])  # what it does, and nothing beforehand
    ended, steps = _ends(story, mark)
    assert (ended.ok, ended.reason) == (True, Reason.CONDITIONS_MET), ended.evidence
    restored = _published(steps, "rehearse")["bascule_restored"]
    assert restored["content"] == restored["expected"]
    survey, again = (_published(steps, name)["bascule_survey"] for name in ("survey", "survey-again"))
    assert survey == again


def test_a_silently_emptied_backup_is_found(story: Story) -> None:
    """A whole dump with the right name, of a database whose rows have gone: nothing but its content tells."""
    story.at("hq-db", "service", "backup", "stop")
    done = story.at("hq-db", "sh", "-c", EMPTIED)
    assert done.returncode == 0, done.stdout + done.stderr
    try:
        ended, steps = _drill(story, "--move", "cloud-instance")
    finally:
        story.at("hq-db", "service", "backup", "start")
    assert not ended.ok
    assert ended.reason is Reason.PLAYBOOK_FAILED
    assert "what was restored is not what the source held" in ended.evidence
    assert "public.transactions" in ended.evidence
    restored = _published(steps, "rehearse")["bascule_restored"]
    assert restored["content"]["public.transactions"]["rows"] == 0
    assert restored["expected"]["public.transactions"]["rows"] > 0
    cleaned = {x.step: x.state for x in steps}
    assert (cleaned["clean-up"], cleaned["survey-again"]) == (r.StepState.DONE, r.StepState.DONE)


def test_the_standbys_clone_is_promoted_apart(story: Story) -> None:
    """Tier 2: in a network of its own, while the standby goes on following."""
    steps = _rehearsed(story, "geo-site")
    restored = _published(steps, "rehearse")["bascule_restored"]
    assert restored["content"] == restored["expected"]
    assert story.at("geo-db", "sh", "-c", "ls -d /run/rehearsal").returncode != 0


def test_the_second_site_serves_and_gives_back(story: Story) -> None:
    """Tier 2 at full scale."""
    _made(story, "geo-site", {"geo", "hq"})


def test_the_second_provider_carries_and_gives_back(story: Story) -> None:
    """Tier 1 at full scale."""
    _made(story, "backup-isp", {"hq"})


def test_the_cloud_serves_and_gives_back(story: Story) -> None:
    """Tier 3 at full scale: a last backup is shipped before it starts there."""
    _made(story, "cloud-instance", {"cloud", "hq"})
