"""The engine around it all: reloads, restarts, wake-ups, and the fold that must equal what it decided."""

from __future__ import annotations

import typing
from collections.abc import Callable
from dataclasses import replace

import pytest

from orchestrator.core import events as e
from orchestrator.core import invariants
from orchestrator.core import records as r
from orchestrator.core.codec import decode, decode_tagged, dumps, encode, encode_tagged, loads
from orchestrator.core.commands import ProbeNow, UseCadence
from orchestrator.core.engine import Engine, TimeFell
from orchestrator.core.events import WordKind
from orchestrator.core.invariants import InvariantBroken
from orchestrator.core.model import Model
from orchestrator.core.reasons import Reason
from orchestrator.core.runs.replacing import objections
from orchestrator.core.state.decided import Decided, IllegalRecord
from orchestrator.core.state.fold import apply, fold
from tests.core.drill_stage import rehearse, stage
from tests.core.stage import geo_loses_power, hq_loses_power, isp_a_dies, lab
from tests.core.test_policy import farm
from tests.core.world import World, check


def three_acts() -> World:
    """The whole main job."""
    world = lab()
    isp_a_dies(world)
    world.run(30)
    hq_loses_power(world)
    world.run(40)
    geo_loses_power(world)
    world.run(40)
    return world


def two_rehearsals() -> World:
    """One after the other."""
    world = stage()
    for _ in range(2):
        rehearse(world)
        world.run(60)
    return world


def through_the_codec(records: list[r.Record]) -> list[r.Record]:
    """Written and read again, as a journal does."""
    return [decode_tagged(r.RECORDS, loads(dumps(encode_tagged(x)))) for x in records]


# ---- what is remembered


def test_decided_is_the_fold_of_the_records_as_a_journal_keeps_them() -> None:
    world = three_acts()
    assert fold(through_the_codec(list(world.records()))) == world.decided()


@pytest.mark.parametrize("made", [three_acts, two_rehearsals])
def test_a_checkpoint_equals_the_full_fold_wherever_it_is_taken(made: Callable[[], World]) -> None:
    records = list(made().records())
    whole = fold(records)
    for cut in range(0, len(records), 7):
        checkpoint = decode(Decided, loads(dumps(encode(fold(records[:cut])))))
        for record in records[cut:]:
            apply(checkpoint, record)
        assert checkpoint == whole


def test_a_recorded_verdict_is_its_rows_verdict() -> None:
    world = three_acts()
    for name, row in world.engine.rows.items():
        recorded = world.decided().verdicts.get(name)
        assert row.verdict is (recorded.verdict if recorded else r.Verdict.UNKNOWN), name


def test_the_same_script_gives_the_same_records() -> None:
    assert [dumps(encode_tagged(x)) for x in three_acts().records()] == [
        dumps(encode_tagged(x)) for x in three_acts().records()
    ]


def test_a_copy_decides_alike_and_leaves_the_original_alone() -> None:
    world = lab()
    isp_a_dies(world)
    world.run(3)
    before = encode(world.decided())
    trial = world.engine.copy()
    word = e.WordSpoken("w", WordKind.FAILOVER, "Ada", "acme/erp", "", {"move": "geo-site", "fence": True})
    assert trial.step(word, world.now).records
    assert encode(world.decided()) == before


# ---- reloads


def test_changed_checks_start_unknown_and_others_keep_their_verdicts() -> None:
    world = lab()
    changed = replace(world.model.checks["acme/geo-ready"], every_s=2.0)
    outcome = world.engine.step(
        e.ConfigurationLoaded(replace(world.model, digest="2", checks={**world.model.checks, changed.id: changed})),
        world.now,
    )
    assert outcome.rows == {"acme/geo-ready": None}  # forgotten in the journal too
    assert world.decided().verdicts["acme/geo-ready"].verdict is r.Verdict.UNKNOWN
    assert world.engine.transaction(world.now).verdict("acme/geo-ready") is r.Verdict.UNKNOWN
    assert world.engine.transaction(world.now).verdict("acme/hq-ready") is r.Verdict.UP


def test_the_same_configuration_again_is_no_news() -> None:
    world = lab()
    assert world.engine.step(e.ConfigurationLoaded(world.model), world.now).records == ()


def test_a_service_with_an_open_incident_cannot_be_removed() -> None:
    world = lab()
    world.bad("isp-b-path", "geo-ready", "cloud-ready")
    world.run(10)
    isp_a_dies(world)
    world.run(10)
    without = replace(world.model, digest="2", services={})
    against = objections(world.engine.decided, without)
    assert "acme/erp has incident i2 open and cannot be removed" in against


def test_what_a_run_needs_cannot_be_removed() -> None:
    world = lab()
    world.hang.add("backup-isp")
    isp_a_dies(world)
    world.run(10)
    moves = {k: m for k, m in world.model.moves.items() if k != "acme/backup-isp"}
    assert any(
        x.startswith("run r1 needs")
        for x in objections(world.engine.decided, replace(world.model, digest="2", moves=moves))
    )


def test_a_new_service_starts_at_its_home() -> None:
    world = lab()
    new = replace(world.model.services["acme/erp"], id="acme/crm", name="crm", home="acme/geo")
    world.hears(e.ConfigurationLoaded(replace(world.model, digest="2", services={**world.model.services, new.id: new})))
    assert world.decided().services["acme/crm"].may_act == {"acme/geo"}


# ---- restarts


def test_a_restart_in_the_same_boot_goes_on_with_the_streaks() -> None:
    world = lab()
    world.bad("erp-transaction")
    world.run(0.8)
    streak = world.engine.rows["acme/erp-transaction"].bad_streak
    world.crash()
    world.start()
    assert world.engine.rows["acme/erp-transaction"].bad_streak == streak


def test_a_restart_in_another_boot_voids_verdicts_and_rows() -> None:
    world = lab()
    world.crash()
    world.up = True
    outcome = world.engine.step(e.ControllerStarted("c2", 2, "other", False), world.now)
    assert world.decided().verdicts == {}
    assert set(outcome.rows) == set(world.model.checks)
    assert set(outcome.rows.values()) == {None}


def test_verdicts_from_before_a_long_pause_are_not_believed() -> None:
    world = lab()
    world.crash()
    world.run(3600)
    world.up = True
    world.engine.step(e.ControllerStarted("c2", 2, "boot", True), world.now)
    assert world.engine.transaction(world.now).verdict("acme/erp-transaction") is r.Verdict.UNKNOWN


def test_an_older_epoch_is_refused() -> None:
    world = lab()
    with pytest.raises(IllegalRecord, match="epoch 1 of c9 is not above 1"):
        world.engine.step(e.ControllerStarted("c9", 1, "boot", True), world.now)


def test_what_is_still_to_be_told_is_told_by_the_next_controller() -> None:
    world = lab()
    isp_a_dies(world)
    while not world.told:
        world.run(0.01)
    world.crash()
    untold = {t.id for t in world.told}
    world.told.clear()
    world.start()
    assert {t.id for t in world.told} == untold


# ---- time


def test_time_never_falls() -> None:
    world = lab()
    with pytest.raises(TimeFell):
        world.engine.step(e.Ticked(), world.now - 1)


def test_it_is_not_woken_for_nothing() -> None:
    """Minutes of good answers, then of an outage that nobody can end: few wake-ups beside the answers."""
    world = lab()
    ticks = 0
    step = world._step

    def counting(event: e.Event) -> None:
        nonlocal ticks
        ticks += isinstance(event, e.Ticked)
        step(event)

    world._step = counting  # type: ignore[method-assign]
    world.run(200)
    assert ticks <= 200 * len(world.model.checks) / 3
    world.bad("isp-b-path", "geo-ready", "cloud-ready", "erp-transaction", "hq-internet")
    ticks = 0
    world.run(200)
    assert ticks <= 200 * len(world.model.checks) / 3 + 200


def test_one_timer_a_check_however_often_silence_has_to_be_confirmed() -> None:
    world = farm(1)
    for _ in range(50):
        world.silent("web0", "ref")
        world.run(4)
        world.good("web0", "ref")
        world.run(4)
    assert len(world.engine._detectors._timers) <= 12 * len(world.model.checks)


def test_checks_in_doubt_are_asked_faster_and_so_is_what_they_stand_on() -> None:
    world = lab()
    world.answers["acme/erp-transaction"] = e.Answer.BAD
    seen = e.Observed("acme/erp-transaction", world.now, e.Answer.BAD)
    outcome = world.engine.step(seen, world.now)
    cadence = next(x for x in outcome.commands if isinstance(x, UseCadence)).cadence
    assert cadence == {"acme/erp-transaction": 0.5, "acme/hq-internet": 0.5}
    assert ProbeNow(("acme/hq-internet",)) in outcome.commands
    good = e.Observed("acme/erp-transaction", world.now + 0.1, e.Answer.GOOD)
    outcome = world.engine.step(good, world.now + 0.1)
    cadence = next(x for x in outcome.commands if isinstance(x, UseCadence)).cadence
    assert cadence == {"acme/erp-transaction": 1.0, "acme/hq-internet": 1.0}


def test_after_a_rebuild_every_cadence_is_said_again() -> None:
    world = lab()
    world.bad("erp-transaction")
    world.run(0.8)
    rebuilt = Engine(world.model, fold(world.records()), world.engine.rows)
    cadences = [x.cadence for x in rebuilt.recover(world.now).commands if isinstance(x, UseCadence)]
    assert set(cadences[0]) == set(world.model.checks)
    assert cadences[1]["acme/erp-transaction"] == 0.5


# ---- what must never happen


def broken(record: r.Record, world: World) -> InvariantBroken:
    """What the invariants say when this record is written after all."""
    tx = world.engine.transaction(world.now)
    apply(world.decided(), record)
    tx.records.append(record)
    with pytest.raises(InvariantBroken) as raised:
        invariants.check(tx)
    return raised.value


def started(world: World, **changes: object) -> r.RunStarted:
    """The record of an automatic run of geo-site."""
    hq_loses_power(world)
    world.run(30)
    first = next(x for x in world.records(r.RunStarted) if isinstance(x, r.RunStarted))
    return replace(first, run="r9", at=world.now, **changes)  # type: ignore[arg-type]


def test_no_step_before_the_ones_it_rests_on() -> None:
    world = lab()
    tx = world.engine.transaction(world.now)
    apply(world.decided(), started(world))
    record = r.StepBegan(world.now, "r9", "execute", 1)
    apply(world.decided(), record)
    tx.records.append(record)
    with pytest.raises(InvariantBroken, match="statement 14"):
        invariants.check(tx)


def test_no_activation_while_another_place_may_act() -> None:
    world = lab()
    begun = started(world, steps=(r.PlannedStep("execute", r.StepKind.EXECUTE),))
    apply(world.decided(), begun)
    apply(world.decided(), r.MayActAdded(world.now, "acme/erp", "acme/hq", "r9"))
    assert broken(r.StepBegan(world.now, "r9", "execute", 1), world).number == 16


def test_no_down_without_an_answer_to_cite() -> None:
    world = lab()
    record = r.VerdictChanged(world.now, "acme/erp-transaction", r.Verdict.UP, r.Verdict.DOWN, None, "")
    assert broken(record, world).number == 9


def test_no_tier_before_the_one_above_it_is_out() -> None:
    world = lab()
    record = started(world, tier=3)
    world.decided().incidents[record.incident or ""].tiers.pop(2)
    assert broken(record, world).number == 17


def test_no_more_automatic_moves_than_the_limit() -> None:
    world = lab()
    record = started(world)
    world.decided().services["acme/erp"].automatic_moves = [world.now] * 6
    assert broken(record, world).number == 12


def test_one_run_a_resource() -> None:
    world = lab()
    record = started(world)
    apply(world.decided(), record)
    with pytest.raises(IllegalRecord, match="wants service:acme/erp, which run r9 holds"):
        apply(world.decided(), replace(record, run="r10"))


def test_nobody_is_told_one_thing_twice() -> None:
    world = lab()
    isp_a_dies(world)
    world.run(10)
    with pytest.raises(IllegalRecord, match="nobody is told one thing twice"):
        apply(world.decided(), next(world.records(r.NoticeDue)))


def test_every_reason_shown_has_a_sentence() -> None:
    assert all(reason.text for reason in Reason)


def test_the_first_answer_counts_in_a_workspace_of_a_year_too() -> None:
    at = 365 * 86400.0
    engine = Engine(Model("old", {"acme/a": check("a", rise=1)}))
    engine.step(e.ControllerStarted("c", 1, "boot", False), at)
    outcome = engine.step(e.Observed("acme/a", at, e.Answer.GOOD, {}, ""), at + 0.01)
    assert [x.verdict for x in outcome.records if isinstance(x, r.VerdictChanged)] == [r.Verdict.UP]


def test_every_kind_of_event_has_its_row() -> None:
    kinds = set(typing.get_args(e.Event))
    assert kinds >= {e.Observed, e.Ticked}
    assert set(farm(1).engine._hear) == kinds - {e.Observed}  # an answer has a way of its own
