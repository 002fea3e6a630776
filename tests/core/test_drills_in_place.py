"""A drill that goes on in place, by another way: when that way fails, the one from before is taken again at once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.core import events as e
from orchestrator.core import records as r
from orchestrator.core.commands import NoticeKind
from orchestrator.core.reasons import Reason
from tests.core.drill_stage import drill, over, stage
from tests.core.stage import hq_loses_power
from tests.core.world import World, all_of, check, story

SERVICES = ["acme/hq-internet", "acme/erp"]


def goes_by_the_second_provider(service: str) -> World:
    """A drill that stays with the second provider; whether the first is well is asked."""
    world = stage()
    back = replace(world.model.moves["acme/backup-isp.back"], viable_when=all_of("isp-a-path"))
    checks = {**world.model.checks, "acme/isp-a-path": check("isp-a-path")}
    moves = {**world.model.moves, back.id: back}
    world.model = replace(world.model, digest="two", checks=checks, moves=moves)
    world.hears(e.ConfigurationLoaded(world.model))
    world._every.setdefault("acme/isp-a-path", 1.0)
    world.at(world.now, lambda: world._beat("acme/isp-a-path", world._life))

    def back() -> None:
        world.good("hq-internet", "erp-transaction")
        world.bad("edge-uses-isp-b")

    world.effects["backup-isp.back"] = back
    world.run(20)
    assert drill(world, service=service, move="backup-isp", stays_s=600.0).accepted
    world.run(30)
    assert world.decided().engaged
    return world


def outage_s(world: World) -> float:
    """The longest outage of the story."""
    return max(x.rta_s for x in world.records(r.IncidentEnded))  # type: ignore[attr-defined, no-any-return]


@pytest.mark.parametrize("service", SERVICES)
def test_the_second_provider_fails_in_the_stay_and_the_first_is_taken_again(service: str) -> None:
    world = goes_by_the_second_provider(service)
    world.silent("hq-internet", "erp-transaction", "isp-b-path")
    world.run(60)
    assert world.played == ["backup-isp", "backup-isp.back"], "\n".join(story(world))
    assert (over(world).ok, over(world).reason, over(world).returned) == (False, Reason.HARM, True)
    assert not world.decided().engaged
    assert not world.decided().open_incidents()
    assert outage_s(world) < 10.0
    asked = [x.text for x in world.told if x.kind in (NoticeKind.HUMAN_NEEDED, NoticeKind.APPROVAL_NEEDED)]
    assert not asked


@pytest.mark.parametrize("service", SERVICES)
def test_what_is_told_of_the_recovery_is_what_brought_it(service: str) -> None:
    world = goes_by_the_second_provider(service)
    world.silent("hq-internet", "erp-transaction", "isp-b-path")
    world.run(60)
    ended = list(world.records(r.IncidentEnded))
    assert ended
    for one in ended:
        own = world.decided().incidents[one.incident].service == service  # type: ignore[attr-defined]
        assert one.reason is (Reason.VERIFIED if own else Reason.RECOVERED_WITH_ANOTHER)  # type: ignore[attr-defined]
    said = [x.text for x in world.told if x.kind is NoticeKind.RECOVERED]
    assert all("acme/backup-isp.back (r2)" in x for x in said), said


@pytest.mark.parametrize("service", SERVICES)
def test_a_site_that_goes_dark_in_the_stay_is_left_as_soon_as_without_a_drill(service: str) -> None:
    alone = stage()
    hq_loses_power(alone)
    alone.run(120)
    world = goes_by_the_second_provider(service)
    world.silent("isp-a-path")
    hq_loses_power(world)
    world.run(200)
    assert world.decided().services["acme/erp"].place == "acme/geo", "\n".join(story(world))
    assert outage_s(world) <= outage_s(alone) + 1.5


@pytest.mark.parametrize("service", SERVICES)
def test_while_nothing_says_that_the_first_provider_is_well_it_is_not_waited_for(service: str) -> None:
    world = goes_by_the_second_provider(service)
    world.silent("hq-internet", "erp-transaction", "isp-b-path", "isp-a-path")
    world.run(60)
    assert "backup-isp.back" not in world.played
    assert any(x.kind in (NoticeKind.HUMAN_NEEDED, NoticeKind.APPROVAL_NEEDED) for x in world.told)
