"""Looking without touching: a dry run, and mode observe, with the lab compared before and after.

The one rule every story checks: what is only shown or only written down has changed nothing.
"""

from __future__ import annotations

import signal
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
    with told("obs", tmp_path_factory.mktemp("observe")) as one:
        yield one


def test_a_dry_run_changes_nothing(story: Story) -> None:
    """It shows the guards' answers, the steps and the hosts; routes, outlets, names and roles stay."""
    before = story.snapshot()
    shown = " ".join(story.must("failover", ERP, "--move", "geo-site", "--dry-run").split())
    for expected in ("hand-over-hq", "site/hand_over.yml", "promote_geo.yml", "geo-db", "verify"):
        assert expected in shown  # a head office that works hands over
    assert f"{Reason.FENCE_NOT_AUTOMATIC.value}: lab/hq is not dark" in shown  # what its tier would say by itself
    assert "mains is 'on'" in shown
    time.sleep(2)
    assert story.snapshot() == before
    story.read()
    assert story.of(r.RunStarted) == []
    assert story.of(r.WordAccepted) == []


def test_what_cannot_be_done_is_said_with_its_reason(story: Story) -> None:
    """2: the call is wrong; 3: a guard refuses, with rule and evidence. Never a traceback."""
    wrong = story.bascule("failover", "lab/erpp")
    assert wrong.returncode == 2
    assert "lab/erp" in wrong.stderr
    no_such_move = story.bascule("failover", ERP, "--move", "geo-sight")
    assert no_such_move.returncode in (2, 3)
    assert "geo-sight" in no_such_move.stderr
    at_home = story.bascule("failback", ERP)
    assert at_home.returncode == 3
    assert Reason.AT_HOME.value in at_home.stderr
    for one in (wrong, no_such_move, at_home):
        assert "Traceback" not in one.stdout + one.stderr


def test_a_missing_key_is_named(story: Story) -> None:
    """The login fails on this side: a sentence with the key's name, and no verdict about the other side."""
    key = "/etc/bascule/id_ed25519"
    moved = story.at("noc", "mv", key, key + ".away")
    assert moved.returncode == 0
    try:
        done = story.bascule("playbook", "run", "playbooks/wan/backup_isp.yml", "--check")
        assert done.returncode == 4  # as ansible-playbook: a host is unreachable
        assert "Traceback" not in done.stdout + done.stderr
        assert "UNREACHABLE" in done.stdout
        assert "hq-edge" in done.stdout + done.stderr
        story.wait(
            "the check says which key",
            lambda: any(
                "geo-ready" in x.check and x.verdict is r.Verdict.UNKNOWN and key in x.evidence
                for x in story.of(r.VerdictChanged)
            ),
        )
        assert story.of(r.IncidentOpened) == []
    finally:
        story.at("noc", "mv", key + ".away", key)
    story.wait_healthy()


def test_an_unreachable_host_makes_a_move_not_viable(story: Story) -> None:
    """The refusal names the guard and the evidence, and nothing is fenced."""
    story.lab.stop("geo-app")
    try:
        _nothing_to_promote(story)
    finally:
        story.lab.start("geo-app")


def _nothing_to_promote(story: Story) -> None:
    story.wait("it is noticed", lambda: not story.up("geo-ready"))
    before = story.snapshot()
    refused = story.bascule("failover", ERP, "--move", "geo-site", "--by", "Bob Durand")
    assert refused.returncode == 3, refused.stdout + refused.stderr
    assert Reason.NOT_VIABLE.value in refused.stderr
    assert "geo-ready" in refused.stderr
    assert story.snapshot() == before
    told_by = story.bascule("playbook", "run", "playbooks/site/promote_geo.yml", "--check")
    assert told_by.returncode == 4
    assert "geo-app" in told_by.stdout + told_by.stderr
    assert "UNREACHABLE" in told_by.stdout + told_by.stderr


def test_observe_writes_the_decision_and_does_nothing(story: Story) -> None:
    """Mode observe, taken over by SIGHUP: what it would have done is on record, and only there."""
    story.edit("inventories/lab/services.yml", "mode: auto", "mode: observe")
    before_digest = story.decided.configuration
    story.signal_daemon(signal.SIGHUP)
    story.wait("the configuration is in force", lambda: story.decided.configuration != before_digest)
    story.wait_healthy()
    before = story.snapshot()
    mark = story.mark()
    story.lab.cut("isp-a")
    story.wait(
        "the decision is written",
        lambda: any(x.reason is Reason.OBSERVE_ONLY and "backup-isp" in x.evidence for x in story.of(r.ServiceJudged)),
    )
    time.sleep(6)  # several decisions long: time enough to do what must not be done
    story.lab.heal("isp-a")
    story.wait("all is well by itself", story.settled)
    assert story.of(r.RunStarted, mark) == []
    assert story.of(r.StepBegan, mark) == []
    assert {x.reason for x in story.of(r.IncidentEnded, mark)} == {Reason.RECOVERED_BY_ITSELF}
    assert story.snapshot() == before


def test_the_daemon_ends_cleanly_and_a_dry_run_needs_none(story: Story) -> None:
    """SIGTERM: exit 0, the lease given back; then the same dry run by itself."""
    assert story.stop_daemon() == 0
    before = story.snapshot()
    done = story.bascule("failover", ERP, "--move", "geo-site", "--dry-run")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "hand-over-hq" in done.stdout
    assert story.snapshot() == before
