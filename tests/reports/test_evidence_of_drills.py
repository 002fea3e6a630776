"""What drills prove in the ledger: a real move its own time, a rehearsal what was live; and what voids both."""

from __future__ import annotations

from dataclasses import dataclass, replace

from orchestrator.core import events as e
from orchestrator.core import records as r
from orchestrator.core.events import WordKind
from orchestrator.core.model import Model, Playbook
from orchestrator.reports.drills import StepMade, drills
from orchestrator.reports.evidence import Standing, TierEvidence, evidence
from orchestrator.reports.evidence_text import evidence_lines
from orchestrator.reports.status import status_now
from orchestrator.reports.status_parts import Live
from orchestrator.reports.status_text import status_lines
from orchestrator.reports.stories import Stories
from orchestrator.reports.text import plain
from tests.core.drill_stage import drill, over, rehearsal, rehearse, stage
from tests.core.world import World

WALL = 1_795_000_000.0
GEO = "acme/geo-site"


@dataclass(frozen=True)
class Entry:
    seq: int
    at: float
    wall: float
    epoch: int
    records: tuple[r.Record, ...]


def stories_of(world: World, *models: Model) -> Stories:
    """What the journal of this world would tell. `models`: those that were in force, but the last."""
    kept = {m.digest: m for m in (*models, world.model)}
    entries = [Entry(n, at, WALL + at, 1, tuple(x)) for n, (at, x) in enumerate(world.entries, 1)]
    return Stories(kept.get).read(entries)


def geo(world: World, *models: Model) -> TierEvidence:
    """The second tier in the ledger."""
    found = evidence(stories_of(world, *models), world.model, world.now, lambda s: s == "acme/erp")
    return next(x for x in found if x.move == GEO)


def told(row: TierEvidence) -> str:
    return "\n".join(plain([x]) for x in evidence_lines([row], 140))


def edited(world: World, **geo_site: object) -> Model:
    """The second tier is another one from now on; the model that was in force before."""
    before = world.model
    move = replace(before.moves[GEO], **geo_site)  # type: ignore[arg-type]
    world.model = replace(before, digest=f"{before.digest}'", moves={**before.moves, GEO: move})
    world.hears(e.ConfigurationLoaded(world.model))
    return before


def test_a_full_scale_drill_predicts_and_is_named_as_what_it_was() -> None:
    world = stage()
    drill(world)
    world.run(120)
    row = geo(world)
    assert row.rto is Standing.PREDICTED
    assert row.proof is not None
    assert row.proof.by == "full-scale drill d1"
    assert row.forecast is None  # of live runs there was none
    assert row.drilled is not None
    assert "last by full-scale drill d1" in told(row)


def test_a_rehearsal_proves_no_rto_and_is_told_with_what_was_live() -> None:
    world = stage()
    rehearse(world)
    world.run(60)
    row = geo(world)
    assert row.rto is Standing.UNPROVEN
    assert row.rehearsed is not None
    assert (row.rehearsed.drill, row.rehearsed.live, row.rehearsed.simulated) == ("d1", 8, 0)
    assert "8 steps live; no RTO is in it" in told(row)


def test_check_mode_is_told_as_simulated() -> None:
    world = stage(rehearse=None)
    rehearse(world)
    world.run(60)
    row = geo(world)
    assert row.rehearsed is not None
    assert (row.rehearsed.live, row.rehearsed.simulated) == (1, 1)
    stories = stories_of(world)
    (one,) = drills(stories.decided, stories.clock, lambda _s: True)
    assert [s.made for s in one.steps] == [StepMade.LIVE, StepMade.SIMULATED]


def test_a_rehearsal_is_void_once_its_own_playbook_or_the_moves_is_another() -> None:
    for change in ({"rehearse": rehearsal(playbook=Playbook("restore_scratch.yml", "another"))}, {"timeout_s": 1.0}):
        world = stage()
        rehearse(world)
        world.run(60)
        before = edited(world, **change)
        assert geo(world, before).rehearsed is None


def test_a_full_scale_drill_rests_on_nothing_of_the_rehearsal() -> None:
    world = stage()
    drill(world)
    world.run(120)
    before = edited(world, rehearse=rehearsal(playbook=Playbook("restore_scratch.yml", "another")))
    assert geo(world, before).rto is Standing.PREDICTED


def test_a_rehearsal_that_failed_speaks_against_what_was_proven() -> None:
    world = stage()
    drill(world)
    world.run(120)
    world.outcomes["restore_scratch"] = e.AttemptEnd.FAILED
    rehearse(world)
    world.run(60)
    row = geo(world)
    assert row.rto is Standing.UNPROVEN
    assert "r3, a rehearsal, failed: playbook failed" in row.rto_said
    assert "verified before: once, last by full-scale drill d1" in told(row)  # and not: proven


def test_a_drill_that_was_stopped_says_nothing_of_its_move() -> None:
    world = stage()
    drill(world)
    world.run(120)
    proven = geo(world)
    rehearse(world)
    world.run(3)
    world.say(WordKind.DRILL_CANCEL, "d2")
    world.run(200)
    assert not over(world, "d2").ok
    row = geo(world)
    assert (row.rto, row.rto_said) == (proven.rto, proven.rto_said)


def test_a_rehearsal_is_no_run_of_the_tier_that_recovers() -> None:
    """It cleans up while the service is recovered; what the tier does is told by the tier's own run."""
    world = stage()
    world.hang.add("clean_scratch")
    rehearse(world)
    world.run(4)
    world.hang.add("geo-site")
    world.bad("erp-transaction", "hq-internet", "isp-b-path")
    world.run(12)
    status = status_now(world.decided(), world.model, world.now, WALL, Live(daemon=True))
    (erp,) = [s for s in status.services if s.id == "acme/erp"]
    unfinished = {x.id: x.rehearses for x in world.decided().unfinished_runs()}
    assert erp.incident is not None
    assert sorted(unfinished.values()) == [False, True], "both are at work"
    assert erp.run is not None
    assert erp.rehearsal is not None
    assert (unfinished[erp.run.id], unfinished[erp.rehearsal.id]) == (False, True)
    (tier,) = [x for x in plain(status_lines(status, 200)).splitlines() if "tier 2 geo-site" in x]
    assert "rehearse" not in tier
