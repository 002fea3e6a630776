"""Since when a tier is shown to work: by a good rehearsal or a proof, until what it rests on changes."""

from __future__ import annotations

from dataclasses import replace

from orchestrator.reports.proof_ages import last_shown
from tests.core.drill_stage import drill, rehearse, stage
from tests.core.world import World
from tests.reports.test_evidence_of_drills import GEO, WALL, edited, stories_of

TIER = ("acme/erp", GEO)


def known(world: World, **more: object) -> dict[tuple[str, str], str]:
    """What shows each tier last, and that it was shown in the past."""
    found = last_shown(stories_of(world, *more.values()), world.model, world.now)  # type: ignore[arg-type]
    assert all(WALL <= x.wall < WALL + world.now for x in found.values())
    return {tier: x.by for tier, x in found.items()}


def test_a_rehearsal_that_was_live_is_known_until_what_it_rests_on_changes() -> None:
    world = stage()
    assert rehearse(world).accepted
    world.run(60)
    assert known(world) == {TIER: "drilled well by d1"}
    before = world.model
    edited(world, playbook=replace(before.moves[GEO].playbook, digest="x"))
    assert known(world, before=before) == {}


def test_one_in_check_mode_proves_nothing() -> None:
    world = stage(rehearse=None)
    assert rehearse(world).accepted
    world.run(60)
    assert known(world) == {}


def test_the_later_of_proof_and_drill_counts() -> None:
    """A full-scale drill ends after its move was verified: it is what was shown last."""
    world = stage()
    drill(world)
    world.run(120)
    assert known(world) == {TIER: "drilled well by d1"}
