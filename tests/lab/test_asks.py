"""When bascule must not act by itself: it asks a named person, tells somebody, and acts when it has been told.

The one rule every story checks: a place that may be alive is never fenced, and never replaced, without a name.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from orchestrator.core import records as r
from orchestrator.core.reasons import Reason
from tests.lab.story import ERP, OPERATOR, Story, told

pytestmark = [pytest.mark.lab, pytest.mark.timeout(900)]
QUIET_S = 6.0  # several decisions long: time enough to do what must not be done


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """The lab, with the daemon at the operations centre."""
    with told("ask", tmp_path_factory.mktemp("asks")) as one:
        yield one


def waiting_run(story: Story) -> str | None:
    """The run of the application that waits for an approval."""
    for run in story.decided.unfinished_runs():
        step = run.current()
        if run.started.service == ERP and step is not None and step.kind is r.StepKind.APPROVAL:
            return run.id
    return None


def destructive(story: Story, since: int) -> list[str]:
    """Steps that were begun and are more than a question."""
    asking = ("preflight", "approval", "recheck")
    return [x.step for x in story.of(r.StepBegan, since) if x.step.partition(":")[0] not in asking]


def told_of(story: Story, *words: str) -> bool:
    """Whether somebody has been told something with all of these words in it."""
    return any(all(word in notice for word in words) for notice in story.notices())


def test_both_providers_gone_with_the_power_on(story: Story) -> None:
    """People may still be working at the head office: it asks, and fences nothing."""
    mark = story.mark()
    story.lab.cut("isp-a")
    story.lab.cut("isp-b")
    story.wait("an approval is asked for", lambda: waiting_run(story))
    run = waiting_run(story)
    story.wait("somebody is told what to type", lambda: told_of(story, f"bascule approve {run}"))
    time.sleep(QUIET_S)
    story.read()
    assert destructive(story, mark) == []
    assert waiting_run(story) == run
    hosts = story.lab.status().detail["hosts"]
    assert all(hosts[x]["power"] == "on" and not hosts[x]["latched"] for x in ("hq-edge", "hq-app", "hq-db"))

    story.lab.heal("isp-a")
    story.lab.heal("isp-b")
    story.wait("all is well again by itself", story.settled)
    assert destructive(story, mark) == []
    assert story.decided.services[ERP].place == "lab/hq"
    assert {x.reason for x in story.of(r.IncidentEnded, mark)} <= {Reason.RECOVERED_BY_ITSELF}


def test_no_console_no_power(story: Story) -> None:
    """Nobody can prove that head office is off: nothing is promoted until a named person says so."""
    story.wait_healthy()
    mark = story.mark()
    story.lab.cut("hq-oob")
    story.lab.stop("hq")
    story.wait("an approval is asked for", lambda: waiting_run(story))
    run = waiting_run(story)
    assert run is not None
    story.wait("somebody is told what to type", lambda: told_of(story, f"bascule approve {run}"))
    assert f"bascule approve {run}" in story.must("status")
    time.sleep(QUIET_S)
    story.read()
    assert destructive(story, mark) == []
    standby = story.at("geo-db", "psql", "-U", "postgres", "-Atc", "select pg_is_in_recovery()", "postgres")
    assert standby.stdout.strip() == "t"

    nameless = story.at("noc", "env", "-u", "SUDO_USER", "bascule", "approve", run, cwd=story.workspace)
    assert nameless.returncode == 2
    assert "name" in nameless.stderr
    story.must("approve", run, "--fenced", "hq", "--by", OPERATOR, "--reason", "I stand in the dark server room")
    story.wait("the application runs at the second site", lambda: story.recovered_at("geo"))
    approved = story.of(r.RunApproved, mark)[-1]
    assert approved.who == OPERATOR
    assert Reason.FENCED_BY_HAND in {x.reason for x in story.of(r.MayActRemoved, mark)}
    story.wait("the end user is well", lambda: story.meter_is_well("client"))


def test_the_cloud_cannot_be_asked_when_it_is_needed(story: Story) -> None:
    """No tier left: the reasons are on record, a human is told, and the incident stays open."""
    mark = story.mark()
    story.lab.cut("cloud")
    story.wait("the cloud's silence is noticed", lambda: not story.up("cloud-instance-there"))
    story.lab.stop("geo")
    story.wait(
        "tier 3 cannot help",
        lambda: any(x.tier == 3 and x.state is r.TierState.INELIGIBLE for x in story.of(r.TierJudged, mark)),
    )
    story.wait("a human is told", lambda: told_of(story, "human needed") or told_of(story, "no tier left"))
    assert [x.service for x in story.decided.open_incidents() if x.service == ERP] == [ERP]
    assert "cloud-instance" in story.must("status")
    assert story.decided.services[ERP].place == "lab/geo"
