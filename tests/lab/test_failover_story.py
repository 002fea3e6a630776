"""The main job on the real network: a silent provider, a dark head office, and the way home, counted by the users.

Each story goes on where the one before has ended, on one lab: that is how a bad day goes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from orchestrator.core import records as r
from orchestrator.core.reasons import Reason
from tests.lab.story import ERP, STAFF, Story, told
from tests.sim.sequence import THREE_ACTS, sequence

pytestmark = [pytest.mark.lab, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """The lab, with the daemon at the operations centre."""
    with told("e2e", tmp_path_factory.mktemp("failover")) as one:
        yield one


def test_a_silent_provider_is_replaced_by_the_other(story: Story) -> None:
    """Tier 1: end user and staff are back without help, and the way back costs nobody anything that was promised."""
    began = time.time()
    story.lab.cut("isp-a")
    story.wait("an incident", lambda: story.of(r.IncidentOpened))
    story.wait("recovery", story.settled)
    assert {x.move for x in story.of(r.RunStarted)} == {"lab/backup-isp"}
    assert set(story.decided.engaged) == {"lab/backup-isp"}
    assert story.decided.services[ERP].place == "lab/hq"
    story.wait("the end user is well", lambda: story.meter_is_well("client"))
    story.wait("the staff are well", lambda: story.meter_is_well("hq-user"))

    user = story.account_of("isp-a", began)
    assert user.outages, "the end user has noticed nothing: was the link cut?"
    assert user.recovered
    assert user.loss_known
    assert user.lost_ids == ()

    story.lab.heal("isp-a")
    story.wait("the first provider is well for long enough", lambda: story.up("isp-a-path"))
    began = time.time()
    story.must("failback", STAFF, "--reason", "the first provider is back")
    assert not story.decided.engaged
    story.wait("the end user is well", lambda: story.meter_is_well("client"))
    story.wait("the staff are well", lambda: story.meter_is_well("hq-user"))
    assert story.account_of("back to isp-a", began).lost_ids == ()


def test_a_head_office_without_power_is_fenced_and_replaced(story: Story) -> None:
    """Tier 2, with the reason why tier 1 could not help, and no acknowledgement by a fenced side."""
    story.wait_healthy()
    mark = story.mark()
    began = time.time()
    story.lab.stop("hq")
    story.wait("the application runs at the second site", lambda: story.recovered_at("geo"))
    story.wait("the end user is well", lambda: story.meter_is_well("client"))

    tiers = {x.tier: x for x in story.of(r.TierJudged, mark) if _service(story, x.incident) == ERP}
    assert tiers[1].state is r.TierState.INELIGIBLE
    assert tiers[1].reason is Reason.NOT_VIABLE
    assert tiers[2].state is r.TierState.RECOVERED
    ended = [x.step for x in story.of(r.StepFinished, mark) if x.state is r.StepState.DONE]
    assert ended.index("fence-hq") < ended.index("proof-hq") < ended.index("execute") < ended.index("verify")
    assert story.decided.services[ERP].may_act == {"lab/geo"}
    outlets = story.lab.status().detail["hosts"]
    assert all(outlets[x]["latched"] for x in ("hq-edge", "hq-app", "hq-db"))

    user = story.account_of("hq", began)
    assert user.recovered
    assert user.loss_known
    assert user.fenced_acknowledgements == ()
    assert set(user.served_by) >= {"geo"}
    # Replication is not synchronous: what may be lost is bounded by the RPO.
    assert (user.oldest_lost_age_s or 0.0) <= 30.0


def test_the_way_home_loses_nothing_that_was_acknowledged(story: Story) -> None:
    """A rebuild, a catch-up and a switchover, counted transaction by transaction."""
    story.lab.start("hq")
    story.wait("the console says that mains are back", lambda: story.up("hq-mains"))
    began = time.time()
    story.must("failback", ERP, "--reason", "head office has power again")
    assert story.decided.services[ERP].place == "lab/hq"
    assert story.decided.services[ERP].may_act == {"lab/hq"}
    story.wait("the end user is well", lambda: story.meter_is_well("client"))
    story.wait("the staff are well", lambda: story.meter_is_well("hq-user"))
    story.wait("nothing is open", story.settled)

    user = story.account_of("failback", began)
    assert user.recovered
    assert user.loss_known
    assert user.lost_ids == ()
    assert user.fenced_acknowledgements == ()
    assert set(user.served_by) >= {"geo", "hq"}


def test_the_report_has_it_all(story: Story) -> None:
    """Every incident has ended with a reason, and the account of each names phases and steps."""
    for incident in story.decided.incidents.values():
        assert incident.ended is not None
        said = story.must("report", incident.id)
        assert "detect" in said
        assert "verify" in said or incident.ended.reason is not Reason.VERIFIED


def test_the_simulator_would_have_told_it_the_same_way(story: Story) -> None:
    """The same script in a simulated world came to this sequence of records and reasons: docs/simulation.md."""
    story.read()
    assert "\n".join(sequence(story.records)) + "\n" == THREE_ACTS.read_text()


def _service(story: Story, incident: str) -> str:
    return story.decided.incidents[incident].service
