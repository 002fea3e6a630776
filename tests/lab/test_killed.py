"""The daemon killed outright in the middle of a failover, and started again.

The one rule every story checks: it ends in a verified recovery, and no step that had ended runs twice.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from orchestrator.core import records as r
from orchestrator.core.reasons import Reason
from tests.lab.story import ERP, Story, told

pytestmark = [pytest.mark.lab, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """The lab, with the daemon at the operations centre."""
    with told("kill", tmp_path_factory.mktemp("killed")) as one:
        yield one


def begun(story: Story, kind: str, since: int) -> bool:
    """Whether a step of this kind has begun in a run of the application."""
    return any(
        x.step.partition("-")[0] == kind and story.decided.runs[x.run].started.service == ERP
        for x in story.of(r.StepBegan, since)
    )


def ended(story: Story, kind: str, since: int) -> bool:
    """Whether a step of this kind has ended well."""
    return any(
        x.step.partition("-")[0] == kind and x.state is r.StepState.DONE for x in story.of(r.StepFinished, since)
    )


def begun_again(story: Story) -> list[str]:
    """Steps that were begun although they had ended well."""
    done: set[tuple[str, str]] = set()
    again = []
    for record in story.records:
        if isinstance(record, r.StepFinished) and record.state in (r.StepState.DONE, r.StepState.SKIPPED):
            done.add((record.run, record.step))
        elif isinstance(record, r.StepBegan) and (record.run, record.step) in done:
            again.append(f"{record.run}/{record.step}.{record.attempt}")
    return again


def plays(story: Story, step: str, word: str) -> int:
    """How many attempts of a step there were whose run's move has `word` in its name."""
    return sum(
        1 for x in story.of(r.StepBegan) if x.step == step and word in story.decided.runs[x.run].started.move
    )  # fmt: skip


def test_killed_in_the_fence_and_between_fence_and_playbook(story: Story) -> None:
    """The fence's worker outlives the daemon: its end is taken from the record, and the fence is not run again."""
    mark = story.mark()
    story.lab.stop("hq")
    story.wait("the fence begins", lambda: begun(story, "fence", mark))
    story.wait("its worker runs", lambda: any(story.workspace.glob(".bascule/**/fence-hq.1/worker.json")))
    story.kill_daemon()
    story.start_daemon()
    story.wait("the fence ends", lambda: ended(story, "fence", mark))
    story.kill_daemon()
    story.start_daemon()
    story.wait("the application runs at the second site", lambda: story.recovered_at("geo"))
    story.wait("the end user is well", lambda: story.meter_is_well("client"))
    verified = [x for x in story.of(r.RunEnded, mark) if x.ok]
    assert [x.reason for x in verified] == [Reason.VERIFIED]
    assert begun_again(story) == []
    assert plays(story, "fence-hq", "geo-site") == 1
    assert story.decided.services[ERP].may_act == {"lab/geo"}


@pytest.mark.long
def test_killed_with_everything_in_the_middle_of_the_playbook(story: Story) -> None:
    """Nobody knows how far the playbook came: it is looked at before it is tried again, and the cloud takes over."""
    story.wait("tier 3 is ready", lambda: story.up("cloud-instance-there", "backup-age"))
    mark = story.mark()
    story.lab.stop("geo")
    story.wait("the playbook begins", lambda: begun(story, "execute", mark))
    time.sleep(3.0)  # somewhere in the middle: where is not said
    story.kill_daemon(with_workers=True)
    story.start_daemon()
    story.wait("the application runs in the cloud", lambda: story.recovered_at("cloud"), 400)
    story.wait("the end user is well", lambda: story.meter_is_well("client"))
    unseen = [x for x in story.of(r.StepLeftUnseen, mark) if x.step == "execute"]
    if unseen:  # the kill may have come after the end
        after = story.records[story.records.index(unseen[0]) :]
        kinds = [type(x) for x in after if getattr(x, "step", "") == "execute"]
        first_retry = kinds.index(r.StepRetried) if r.StepRetried in kinds else len(kinds)
        assert r.StepLooked in kinds[:first_retry] or r.StepFinished in kinds[:first_retry]
    assert begun_again(story) == []
    assert plays(story, "fence-geo", "cloud-instance") == 1
    assert story.decided.services[ERP].may_act == {"lab/cloud"}


@pytest.mark.long
def test_the_way_home_from_the_cloud_loses_nothing(story: Story) -> None:
    """From tier 3 back to the head office, which has slept through it all: counted transaction by transaction."""
    story.lab.start("hq")
    story.wait("the console says that mains are back", lambda: story.up("hq-mains"))
    began = time.time()
    story.must("failback", ERP, "--move", "return-hq-from-cloud", "--reason", "head office has power again")
    assert story.recovered_at("hq")
    assert story.decided.services[ERP].may_act == {"lab/hq"}
    story.wait("the end user is well", lambda: story.meter_is_well("client"))
    user = story.account_of("home from the cloud", began)
    assert user.recovered
    assert user.loss_known
    assert user.lost_ids == ()
    assert user.fenced_acknowledgements == ()
    assert set(user.served_by) >= {"cloud", "hq"}
