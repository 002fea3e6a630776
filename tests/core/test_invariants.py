"""What must never happen, done on purpose: each statement that a step can show is refused with its number.

The records are written past the guards, as a defect would write them.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core import events as e
from orchestrator.core import invariants
from orchestrator.core import invariants_of_acting as acting
from orchestrator.core import records as r
from orchestrator.core.commands import RunPlaybook
from orchestrator.core.events import StepKey, WordKind
from orchestrator.core.invariants import InvariantBroken
from orchestrator.core.model import Mode
from orchestrator.core.reasons import Reason
from orchestrator.core.rules import failing_together, policy
from orchestrator.core.runs import steps
from orchestrator.core.state.fold import apply
from orchestrator.core.transaction import Transaction
from tests.core.stage import hq_loses_power, isp_a_dies, lab
from tests.core.test_policy import farm
from tests.core.world import World, acme, book

PREFLIGHT = r.PlannedStep("preflight", r.StepKind.PREFLIGHT)
FENCE = r.PlannedStep("fence-hq", r.StepKind.FENCE, "acme/hq")
EXECUTE = r.PlannedStep("execute", r.StepKind.EXECUTE)


def wrong(world: World, *records: r.Record, commands: tuple[RunPlaybook, ...] = ()) -> str:
    """What the invariants say when these records are written after all."""
    tx = world.engine.transaction(world.now)
    tx.commands.extend(commands)
    for record in records:
        apply(world.decided(), record)
        tx.records.append(record)
    with pytest.raises(InvariantBroken) as raised:
        invariants.check(tx)
    return str(raised.value)


def right(
    world: World, *records: r.Record, commands: tuple[RunPlaybook, ...] = (), heard: e.Event | None = None
) -> None:
    """The same records are nothing to object to."""
    tx = world.engine.transaction(world.now)
    tx.commands.extend(commands)
    for record in records:
        apply(world.decided(), record)
        tx.records.append(record)
    invariants.check(tx, heard)


def down_at_hq() -> World:
    """Hq is dark and erp is down; the guard that stops everything is a hold, lifted behind the engine's back."""
    world = lab()
    world.say(WordKind.HOLD, "acme")
    hq_loses_power(world)
    world.run(20)
    world.decided().holds.clear()
    incident = world.decided().incidents[world.decided().services["acme/erp"].incident or ""]
    evidence = (Reason.NOT_VIABLE, "isp-b-path down")
    apply(
        world.decided(),
        r.TierJudged(world.now, incident.id, 1, "acme/backup-isp", r.TierState.INELIGIBLE, *evidence),
    )
    return world


def run_of(world: World, *steps_: r.PlannedStep, **changes: object) -> r.RunStarted:
    """An automatic run of tier 2, as the engine would have begun it."""
    erp = world.decided().services.get("acme/erp")
    plain = r.RunStarted(
        world.now,
        "r9",
        "acme/erp",
        "acme/geo-site",
        r.Origin.AUTOMATIC,
        steps_ or (PREFLIGHT, FENCE, EXECUTE),
        "digest",
        world.decided().configuration,
        Reason.SERVICE_DOWN,
        incident=erp.incident if erp else None,
        tier=2,
        from_place="acme/hq",
        to_place="acme/geo",
        resources=("service:acme/erp",),
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def begun(world: World, step: str, attempt: int = 1, **changes: object) -> tuple[r.StepBegan, RunPlaybook]:
    """A playbook step begins, with its command."""
    command = RunPlaybook(StepKey("r9", step, attempt), "acme", book(step), {}, world.decided().epoch, 60.0)
    return r.StepBegan(world.now, "r9", step, attempt), replace(command, **changes)  # type: ignore[arg-type]


def passed(world: World, step: str = "preflight", **measures: float) -> tuple[r.Record, ...]:
    """A question begins and is answered well."""
    done = r.StepFinished(
        world.now, "r9", step, 1, r.StepState.DONE, Reason.CONDITIONS_MET, "ready", (), {"data_age_s": 0.2, **measures}
    )
    return r.StepBegan(world.now, "r9", step, 1), done


def test_what_the_engine_itself_would_do_is_right() -> None:
    world = down_at_hq()
    right(world, run_of(world), *passed(world))
    record, command = begun(world, "fence-hq")
    right(world, record, commands=(command,))


# ---- effects and their intents


def test_3_no_action_under_another_epoch() -> None:
    world = down_at_hq()
    right(world, run_of(world), *passed(world))
    record, command = begun(world, "fence-hq", epoch=0)
    assert wrong(world, record, commands=(command,)).startswith("statement 3")


def test_4_no_intent_without_its_command_and_no_two_commands() -> None:
    for count in (0, 2):
        world = down_at_hq()
        right(world, run_of(world), *passed(world))
        record, command = begun(world, "fence-hq")
        assert wrong(world, record, commands=(command,) * count).startswith("statement 4")


def test_5_a_step_that_is_done_does_not_begin_again() -> None:
    world = down_at_hq()
    right(world, run_of(world), *passed(world))
    world.run(0)
    tx = world.engine.transaction(world.now)
    tx.records.append(r.StepBegan(world.now, "r9", "preflight", 2))  # `apply` would refuse it as well
    with pytest.raises(InvariantBroken, match="statement 5"):
        invariants.check(tx)


def test_6_nothing_is_tried_again_before_somebody_looked() -> None:
    world = down_at_hq()
    record, command = begun(world, "fence-hq")
    right(world, run_of(world), *passed(world), record, commands=(command,))
    right(
        world,
        r.StepLeftUnseen(world.now, "r9", "fence-hq", 1),
        r.StepRetried(world.now, "r9", "fence-hq", Reason.UNDETERMINED, "it will have died"),
    )
    record, command = begun(world, "fence-hq", 2)
    assert "nobody looked at attempt 1" in wrong(world, record, commands=(command,))


@pytest.mark.parametrize("proof", ["a look", "never begun"])
def test_6_a_look_or_the_proof_that_it_never_began_allows_another_attempt(proof: str) -> None:
    world = down_at_hq()
    record, command = begun(world, "fence-hq")
    right(world, run_of(world), *passed(world), record, commands=(command,))
    left = r.StepLeftUnseen(world.now, "r9", "fence-hq", 1)
    looked = r.StepLooked(world.now, "r9", "fence-hq", 1, Reason.END_NOT_SEEN, "lost")
    why = Reason.NO_EFFECT if proof == "a look" else Reason.NEVER_BEGUN
    retried = r.StepRetried(world.now, "r9", "fence-hq", why, proof)
    record, command = begun(world, "fence-hq", 2)
    heard = e.StepEnded(StepKey("r9", "fence-hq", 1), e.AttemptEnd.NEVER_BEGUN)
    right(world, left, *([looked] if proof == "a look" else []), retried, record, commands=(command,), heard=heard)


@pytest.mark.parametrize("outcome", [e.AttemptEnd.LOST, None])
def test_6_that_it_never_began_is_the_runners_word_alone(outcome: e.AttemptEnd | None) -> None:
    world = down_at_hq()
    record, command = begun(world, "fence-hq")
    right(world, run_of(world), *passed(world), record, commands=(command,))
    tx = world.engine.transaction(world.now)
    for each in (
        r.StepLeftUnseen(world.now, "r9", "fence-hq", 1),
        r.StepRetried(world.now, "r9", "fence-hq", Reason.NEVER_BEGUN, ""),
    ):
        apply(world.decided(), each)
        tx.records.append(each)
    with pytest.raises(InvariantBroken, match="statement 6: an attempt never began only by the word of who was"):
        invariants.check(tx, e.StepEnded(StepKey("r9", "fence-hq", 1), outcome) if outcome else None)


# ---- one at a time, and brakes


def test_7_no_two_unfinished_runs_on_one_resource() -> None:
    world = down_at_hq()
    right(world, run_of(world, resources=("acme/route",)))
    first = world.decided().runs["r9"]
    world.decided().runs["r8"] = replace(first, started=replace(first.started, run="r8"))
    tx = world.engine.transaction(world.now)
    tx.records.append(first.started)
    with pytest.raises(InvariantBroken, match="statement 7"):
        invariants.check(tx)


def test_8_no_automatic_return_to_what_has_just_failed() -> None:
    world = down_at_hq()
    world.decided().services["acme/erp"].left["acme/geo"] = world.now - 60
    assert "acme/geo was given up 1:00 ago" in wrong(world, run_of(world))


def test_10_a_blind_vantage_starts_nothing() -> None:
    world = down_at_hq()
    world.bad("ref", "ref2")
    world.run(3)
    assert wrong(world, run_of(world)).startswith("statement 10")


def test_10_a_blind_vantage_starts_nothing_whatever_the_guard_says(monkeypatch: pytest.MonkeyPatch) -> None:
    world = down_at_hq()
    world.bad("ref", "ref2")
    world.run(3)
    monkeypatch.setattr(policy, "blind", lambda _turn, _service: None)
    monkeypatch.setattr(Transaction, "blind", lambda _turn, _vantage: False)
    assert wrong(world, run_of(world)).startswith("statement 10: a blind vantage's verdicts count for nothing")


def test_10_silence_is_no_verdict_without_a_reference_that_has_answered_since() -> None:
    world = lab()
    world.run(10)
    world.silent("erp-transaction", "ref", "ref2")
    world.run(20)
    row = world.engine.rows["acme/erp-transaction"]
    assert row.verdict is not r.Verdict.DOWN
    fell = r.VerdictChanged(
        world.now, "acme/erp-transaction", r.Verdict.UP, r.Verdict.DOWN, row.first_bad_at, "said by a defect"
    )
    assert wrong(world, fell).startswith("statement 10: silence is no verdict")
    row.spoken_bad = 9  # it would have fallen by what was answered
    right(world, fell)


def test_12_a_way_back_counts_as_a_move_too() -> None:
    world = lab()
    world.decided().services["acme/erp"].automatic_moves = [world.now] * 6
    world.decided().services["acme/erp"].healthy_since = 0.0
    record = run_of(world, incident=None, tier=None, move="acme/return-hq", to_place="acme/hq")
    assert wrong(world, record).startswith("statement 12")


def test_13_at_most_so_many_at_once() -> None:
    world = down_at_hq()
    world.model = replace(
        world.model, digest="one", client_limits={"acme": replace(world.model.limits, concurrent_failovers=1)}
    )
    world.say(WordKind.HOLD, "acme")
    world.hears(e.ConfigurationLoaded(world.model))
    world.decided().holds.clear()
    other = run_of(world, run="r8", service="acme/hq-internet", incident=None, resources=(), origin=r.Origin.MANUAL)
    assert "2 of 1: r8, r9" in wrong(world, other, run_of(world))


def test_13_nothing_automatic_in_a_mass_failure() -> None:
    world = farm(8)
    world.bad(*(f"web{n}" for n in range(8)))
    world.run(60)
    name = next(i.service for i in world.decided().open_incidents())
    record = run_of(world, service=name, incident=world.decided().services[name].incident, resources=())
    for finished in world.decided().unfinished_runs():
        apply(world.decided(), r.RunEnded(world.now, finished.id, False, Reason.ABORTED, ""))
    assert "unexplained failure domains" in wrong(world, record)


def test_13_what_few_causes_explain_is_no_mass_failure_and_the_guard_is_not_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = farm(8)
    world.bad(*(f"web{n}" for n in range(8)))
    world.run(60)
    for finished in world.decided().unfinished_runs():
        apply(world.decided(), r.RunEnded(world.now, finished.id, False, Reason.ABORTED, ""))
    name = next(i.service for i in world.decided().open_incidents())
    service, tx = world.model.services[name], world.engine.transaction(world.now)
    monkeypatch.setattr(failing_together, "unexplained_domains", lambda *_: [])
    with pytest.raises(InvariantBroken, match="unexplained failure domains"):
        acting.explained(tx, "r9", service)
    one = {c: replace(check, domains=frozenset({"farm/site"})) for c, check in world.model.checks.items()}
    acting.explained(
        Transaction(replace(world.model, checks=one), world.decided(), world.engine.rows, world.now), "r9", service
    )


@pytest.mark.parametrize(
    ("falls", "apart"),
    [
        ([], 0),
        ([{"a"}], 1),
        ([{"a"}, {"b"}], 2),
        ([{"a", "b"}, {"b", "c"}, {"b"}], 1),
        # two suffice, though the one that explains most of them is not among the two
        ([{"a", "x"}, {"a", "x"}, {"a", "y"}, {"b", "x"}, {"b", "y"}, {"b", "y"}], 2),
        ([{"a"}, {"b"}, {"c", "a"}, {"d"}], 3),
    ],
)
def test_13_so_many_causes_there_are_at_least(falls: list[set[str]], apart: int) -> None:
    assert acting._apart([frozenset(f) for f in falls]) == apart


@given(st.lists(st.frozensets(st.sampled_from("abcdef"), min_size=1, max_size=3), max_size=12))
def test_13_never_more_than_the_guard_counts(falls: list[frozenset[str]]) -> None:
    """Else it would stop what the guard rightly lets through."""
    assert acting._apart(falls) <= len(failing_together._explaining(falls))


@given(st.lists(st.frozensets(st.sampled_from("abcdef"), min_size=1, max_size=3), max_size=12))
def test_13_what_explains_most_is_found_first_however_it_is_counted(falls: list[frozenset[str]]) -> None:
    found, left = [], falls
    while left:
        counts = Counter(name for domains in left for name in domains)
        found.append(min(counts, key=lambda name: (-counts[name], name)))
        left = [domains for domains in left if found[-1] not in domains]
    assert failing_together._explaining(falls) == found


# ---- fences


def test_16_what_is_not_said_to_be_dark_is_fenced_by_nobody() -> None:
    world = down_at_hq()
    right(world, run_of(world))
    world = down_at_hq()
    world.bad("hq-dark")
    world.run(10)
    assert "nothing says that acme/hq is dark" in wrong(world, run_of(world))
    world = down_at_hq()
    world.bad("hq-dark")
    world.run(10)
    right(world, run_of(world, asks=("fence not automatic: acme/hq is not dark",)))  # a person decides


def test_16_what_has_just_answered_is_not_dark() -> None:
    world = down_at_hq()
    site = frozenset({"acme/hq"})
    hq = replace(world.model.places["acme/hq"], domains=site)
    page = replace(world.model.checks["acme/erp-transaction"], domains=site)
    model = world.model
    world.engine.model = replace(model, places={**model.places, hq.id: hq}, checks={**model.checks, page.id: page})
    world.engine.rows[page.id].last_good_at = world.now - 1
    assert "acme/hq has just answered" in wrong(world, run_of(world))


def test_16_nothing_is_activated_before_it_is_on_record(monkeypatch: pytest.MonkeyPatch) -> None:
    record, world = Transaction.record, lab()

    def fewer(tx: Transaction, each: r.Record) -> None:
        if not isinstance(each, r.MayActAdded):
            record(tx, each)

    monkeypatch.setattr(Transaction, "record", fewer)
    hq_loses_power(world)
    with pytest.raises(InvariantBroken, match="statement 16: a place is on record as one that may act before"):
        world.run(60)


def test_16_no_place_is_out_without_its_proof() -> None:
    world = lab()
    hq_loses_power(world)
    world.run(60)
    out = next(x for x in world.records(r.MayActRemoved) if x.reason is Reason.CONDITIONS_MET)
    assert "no step of a run has proven it" in wrong(world, out)
    proof = next(x for x in world.records(r.StepFinished) if x.step == "proof-hq")
    tx = world.engine.transaction(world.now)
    tx.records += [proof, out]
    invariants.check(tx)
    fence = world.model.places["acme/hq"].fence
    assert fence is not None
    console = next(iter(fence.proven_when.checks()))
    world.engine.rows[console].last_answer = e.Answer.BAD
    with pytest.raises(InvariantBroken, match="statement 16: no place is out without its proof: r1/proof-hq"):
        invariants.check(tx)


def test_14_what_was_asked_before_an_approval_is_asked_again() -> None:
    world = down_at_hq()
    approval = r.PlannedStep("approval", r.StepKind.APPROVAL)
    planned = run_of(world, PREFLIGHT, approval, FENCE, EXECUTE, asks=("mode ask",))
    right(world, planned, *passed(world), r.StepBegan(world.now, "r9", "approval", 1))
    world.now += 1
    right(world, r.StepFinished(world.now, "r9", "approval", 1, r.StepState.DONE, Reason.APPROVED, "ana"))
    began, command = begun(world, "fence-hq")
    assert "nothing was asked since it was approved" in wrong(world, began, commands=(command,))


# ---- before a destructive step


def test_14_no_fence_before_the_preflight_is_over() -> None:
    world = down_at_hq()
    right(world, run_of(world))
    record, command = begun(world, "fence-hq")
    assert wrong(world, record, commands=(command,)).startswith("statement 14: no step before the ones it rests on")


@pytest.mark.parametrize("origin", list(r.Origin))
def test_14_no_fence_without_any_preflight(origin: r.Origin) -> None:
    world = down_at_hq()
    right(world, run_of(world, FENCE, EXECUTE, origin=origin))
    record, command = begun(world, "fence-hq")
    assert wrong(world, record, commands=(command,)).startswith("statement 14: no destructive step before")


@pytest.mark.parametrize("age", [{}, {"data_age_s": 31.0}])
def test_15_no_automatic_promotion_of_data_that_is_too_old_or_was_not_measured(age: dict[str, float]) -> None:
    world = down_at_hq()
    right(world, run_of(world))
    begin, done = passed(world)
    assert isinstance(done, r.StepFinished)
    assert wrong(world, begin, replace(done, measures=age)).startswith("statement 15")


def test_15_a_loss_that_the_author_accepts_is_accepted() -> None:
    world = down_at_hq()
    erp = world.model.services["acme/erp"]
    ladder = tuple(replace(t, accept_loss_s=60.0) for t in erp.ladder)
    world.model = replace(world.model, services={**world.model.services, erp.id: replace(erp, ladder=ladder)})
    world.say(WordKind.HOLD, "acme")
    world.hears(e.ConfigurationLoaded(world.model))
    world.decided().holds.clear()
    right(world, run_of(world), *passed(world, data_age_s=45.0))


def test_15_a_named_person_may_accept_a_loss() -> None:
    world = down_at_hq()
    right(world, run_of(world, origin=r.Origin.MANUAL), *passed(world, data_age_s=45.0))


# ---- ways back


def home(world: World) -> r.RunStarted:
    """An automatic way home."""
    return run_of(world, incident=None, tier=None, move="acme/return-hq", from_place="acme/geo", to_place="acme/hq")


def test_18_no_automatic_failback_in_an_open_incident() -> None:
    world = down_at_hq()
    assert "is open" in wrong(world, home(world))


@pytest.mark.parametrize("since", [None, 100.0])
def test_18_no_automatic_failback_in_a_hold_down(since: float | None) -> None:
    world = lab()
    world.decided().services["acme/erp"].healthy_since = None if since is None else world.now - since
    said = wrong(world, home(world))
    assert said.startswith("statement 18")
    assert "5:00 wanted" in said


def test_8_no_automatic_way_back_within_the_cool_down() -> None:
    world = lab()
    world.run(3600)
    state = world.decided().services["acme/erp"]
    state.healthy_since = 0.0
    state.left["acme/geo"] = world.now - 60
    assert "statement 8" in wrong(world, home(world))


def test_8_a_way_back_that_ends_in_the_moment_it_starts_does_not_speak_against_itself() -> None:
    """Its plan was edited, say: it is refused at its first step, in the step of the engine in which it began."""
    world = lab()
    world.run(3600)
    world.decided().services["acme/erp"].healthy_since = 0.0
    hand_over = r.PlannedStep("hand-over-geo", r.StepKind.FENCE, "acme/geo", hand_over=True)
    ended = r.RunEnded(world.now, "r9", False, Reason.PLAN_CHANGED, "edited")
    started = replace(home(world), steps=(PREFLIGHT, hand_over, EXECUTE))
    right(world, started, ended)
    again = replace(started, run="r10", at=world.now)
    assert "statement 8" in wrong(world, again)


# ---- what people said


@pytest.mark.parametrize(
    ("kind", "subject"),
    [(WordKind.HOLD, "*"), (WordKind.HOLD, "acme"), (WordKind.MAINTENANCE, "acme/erp")],
)
def test_19_no_automatic_run_of_what_is_held_or_in_maintenance(kind: WordKind, subject: str) -> None:
    world = down_at_hq()
    world.say(WordKind.HOLD, "acme")
    world.say(kind, subject, for_s=600)
    if kind is WordKind.MAINTENANCE:
        world.decided().holds.clear()
    assert wrong(world, run_of(world)).startswith("statement 19")


def test_19_no_automatic_run_in_mode_observe() -> None:
    world = lab(Mode.OBSERVE)
    hq_loses_power(world)
    world.run(20)
    assert "is in mode observe" in wrong(world, run_of(world))


@pytest.mark.parametrize("word", ["mode ask", "suspicion"])
def test_19_nothing_past_the_approval_without_it(word: str) -> None:
    world = down_at_hq()
    right(world, run_of(world), *passed(world))
    if word == "mode ask":
        erp = replace(world.model.services["acme/erp"], mode=Mode.ASK)
        world.engine.model = replace(world.model, services={**world.model.services, erp.id: erp})
    else:
        said = r.WordAccepted(
            world.now, "w", WordKind.SUSPECT, "Ada", "acme", "odd logins", Reason.ASKED_BY_OPERATOR, ""
        )
        apply(world.decided(), said)
    record, command = begun(world, "fence-hq")
    assert "nothing is done before it is approved" in wrong(world, record, commands=(command,))


def test_20_no_incident_without_a_judgement() -> None:
    world = lab()
    opened = r.IncidentOpened(world.now, "i1", "acme/erp", world.now, "acme/hq", "down")
    assert wrong(world, opened).startswith("statement 20")


# ---- verdicts


def test_11_no_verdict_changes_without_its_rise_or_fall() -> None:
    world = lab()
    name = "acme/erp-transaction"
    fell = r.VerdictChanged(world.now, name, r.Verdict.UP, r.Verdict.DOWN, world.now, "")
    assert wrong(world, fell).startswith("statement 11")
    world = lab()
    world.engine.rows[name].good_streak = 1
    rose = r.VerdictChanged(world.now, name, r.Verdict.DOWN, r.Verdict.UP, None, "")
    assert wrong(world, rose).startswith("statement 11")


# ---- the guards ask the same once more, before the first effect


@pytest.mark.parametrize(
    ("change", "reason"),
    [("observe", Reason.OBSERVE_ONLY), ("ask", Reason.APPROVAL_NEEDED), ("power", Reason.FENCE_NOT_AUTOMATIC)],
)
def test_what_changed_during_the_preflight_is_honoured_before_the_fence(change: str, reason: Reason) -> None:
    world = World(acme())
    world.run(20)
    hq_loses_power(world)
    tx = waiting_run(world)
    if change == "power":
        tx.rows()["acme/hq-dark"].verdict = r.Verdict.DOWN  # type: ignore[index]
        tx.rows()["acme/hq-dark"].last_answer = e.Answer.BAD  # type: ignore[index]
    else:
        erp = replace(world.model.services["acme/erp"], mode=Mode(change))
        tx.model = replace(tx.model, services={**tx.model.services, erp.id: erp})
    run = tx.decided.runs["r1"]
    step = run.step("fence-hq")
    assert steps.begin(tx, run, step)
    assert run.ended is not None
    assert (run.ended.ok, run.ended.reason) == (False, reason)
    assert not [x for x in tx.commands if isinstance(x, RunPlaybook)]


def waiting_run(world: World) -> Transaction:
    """A transaction in which the first automatic run has passed its preflight and is about to fence."""
    while not world.decided().runs:
        world.go()
    run = world.decided().runs["r1"]
    tx = world.engine.transaction(world.now)
    if run.step("preflight").state is r.StepState.RUNNING:
        tx.record(r.StepFinished(world.now, "r1", "preflight", 1, r.StepState.DONE, Reason.CONDITIONS_MET, "", (), {}))
    return tx


def test_nothing_is_activated_while_another_place_may_act_whatever_the_plan_says() -> None:
    """The proof is over, or was skipped by a defect, and the place left is still on the list: the run stops there."""
    world = World(acme())
    world.run(20)
    hq_loses_power(world)
    tx = waiting_run(world)
    run = tx.decided.runs["r1"]
    assert "acme/hq" in tx.decided.services["acme/erp"].may_act
    assert steps.begin(tx, run, run.step("execute"))
    assert run.ended is not None
    assert (run.ended.reason, run.ended.evidence) == (Reason.FENCE_UNPROVEN, "acme/hq may still act")
    assert not [x for x in tx.commands if isinstance(x, RunPlaybook)]


def test_a_mode_that_became_ask_asks_and_goes_on_when_approved() -> None:
    world = lab()
    erp = replace(world.model.services["acme/erp"], mode=Mode.ASK)
    hq_loses_power(world)
    while not world.decided().runs:
        world.go()
    world.hears(
        e.ConfigurationLoaded(replace(world.model, digest="ask", services={**world.model.services, erp.id: erp}))
    )
    world.run(10)
    assert "geo-site" not in world.played
    assert world.decided().runs["r1"].ended is not None
    assert world.say(WordKind.APPROVE, "r2").accepted
    world.run(30)
    assert world.played == ["power_off_hq", "geo-site"]


def test_a_suspicion_after_the_approval_is_not_covered_by_it() -> None:
    world = lab(Mode.ASK)
    isp_a_dies(world)
    world.run(30)
    tx = world.engine.transaction(world.now)
    service = tx.model.services["acme/hq-internet"]
    assert policy.asks(tx, service, world.now) == []
    world.say(WordKind.SUSPECT, "acme")
    assert policy.asks(world.engine.transaction(world.now), service, world.now - 1) != []
    assert policy.asks(world.engine.transaction(world.now), service, world.now + 1) == []
