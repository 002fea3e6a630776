"""The guards, each with a mutant that takes it out: may we act, and may this tier?

The one rule it keeps: a mutant takes out one rule wherever the core asks it, and nothing else; where a guard is asked
twice, at the decision and again before the first effect, both are taken out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from typing import Any

from orchestrator.core import records as r
from orchestrator.core import transaction as turns
from orchestrator.core.awareness import doubts
from orchestrator.core.deciding import incident
from orchestrator.core.events import Observed
from orchestrator.core.health import detector, detectors
from orchestrator.core.model import Check, Mode, Move, Service
from orchestrator.core.reasons import Reason
from orchestrator.core.rules import failback, failing_together, ladder, policy
from orchestrator.core.rules.ladder import Assessment
from orchestrator.core.rules.policy import Finding, Guard
from orchestrator.core.runs import endings, starting, steps, stopping
from orchestrator.core.runs import plan as plans
from orchestrator.core.state.decided import Decided, Incident, Run, Step
from orchestrator.core.transaction import Transaction
from tests.mutants.mutant import BESIDE, DEATHS, DOWN, PLAYBOOKS, Mutant, put


@contextmanager
def without(*guards: Guard) -> Iterator[None]:
    """No objection of these guards is ever heard."""
    objection = policy.objection

    def fewer(tx: Transaction, service: Service, asked: tuple[Guard, ...] = policy.GUARDS) -> Finding | None:
        return objection(tx, service, tuple(g for g in asked if g not in guards))

    with put(policy, "objection", fewer):
        yield


def without_waiting() -> AbstractContextManager[None]:
    """Nobody waits for what recovers first."""
    return without(policy.dependency_recovering)


@contextmanager
def depending(change: Callable[[Check, frozenset[str]], frozenset[str]]) -> Iterator[None]:
    """A fall counts for other failure domains than those that would explain it."""
    depended_on = failing_together._depended_on

    def otherwise(tx: Transaction, fell: r.VerdictChanged, services: list[Service]) -> frozenset[str]:
        return change(tx.model.checks[fell.check], depended_on(tx, fell, services))

    with put(failing_together, "_depended_on", otherwise):
        yield


@contextmanager
def seeing_all() -> Iterator[None]:
    """No vantage is ever taken to be blind."""
    with put(Transaction, "blind", lambda _turn, _vantage: False), without(policy.blind):
        yield


@contextmanager
def without_sighting() -> Iterator[None]:
    """A place that has just answered may be fenced as dark."""
    with put(ladder, "_sighted", lambda _turn, _place, _fence: ""):
        yield


def observing(change: Callable[[Check], Check]) -> Callable[[], Any]:
    """Verdicts are drawn from another check than the author's."""

    @contextmanager
    def out() -> Iterator[None]:
        verdict = detector._verdict

        def changed(row: detector.Row, check: Check, reference_at: float | None, now: float) -> r.Verdict:
            return verdict(row, change(check), reference_at, now)

        with put(detector, "_verdict", changed):
            yield

    return out


@contextmanager
def silence_proves() -> Iterator[None]:
    """Silences alone take a check down, whether or not a reference answers."""

    def fallen(row: detector.Row, check: Check, reference_at: float | None, now: float) -> r.Verdict:
        row.suspended_at = None
        return r.Verdict.DOWN

    with put(detector, "_fallen", fallen):
        yield


@contextmanager
def always_in_sight() -> Iterator[None]:
    """What was asked while nothing could be seen counts as soon as a reference answers again."""
    reference_at = turns.reference_at

    def whenever(rows: Mapping[str, detector.Row], references: Iterable[str], _silent_at: float | None) -> float | None:
        return reference_at(rows, references, None)

    with ExitStack() as stack:
        stack.enter_context(put(detector, "vouches", lambda _reference, _check, _sent_at: True))
        for module in (turns, detectors):
            stack.enter_context(put(module, "reference_at", whenever))
        yield


@contextmanager
def late_as_fresh() -> Iterator[None]:
    """An answer counts from when it came."""
    observe = detector.observe

    def at_once(
        row: detector.Row, check: Check, seen: Observed, reference_at: float | None, now: float, *, in_sight: bool
    ) -> r.Verdict:
        return observe(row, check, seen._replace(sent_at=now), reference_at, now, in_sight=in_sight)

    with put(detector, "observe", at_once):
        yield


def tier_reasons(*reasons: Reason) -> Callable[[], Any]:
    """These reasons make no tier ineligible."""

    @contextmanager
    def out() -> Iterator[None]:
        with ExitStack() as stack:
            objections = ladder._objections

            def fewer(*asked: Any) -> Iterator[Assessment]:
                return (x for x in objections(*asked) if x.reason not in reasons)

            stack.enter_context(put(ladder, "_objections", fewer))
            loss = ladder.data_loss

            def data_loss(
                tx: Transaction, service: Service, move: Move, accept_s: float | None
            ) -> tuple[Reason, str] | None:
                found = loss(tx, service, move, accept_s)
                return None if found is not None and found[0] in reasons else found

            stack.enter_context(put(ladder, "data_loss", data_loss))
            yield

    return out


@contextmanager
def without_cool_down() -> Iterator[None]:
    """What has just failed may be gone back to."""
    with tier_reasons(Reason.COOLING_DOWN)(), going_back_despite(Reason.COOLING_DOWN)():
        yield


def going_back_despite(reason: Reason) -> Callable[[], Any]:
    """No such wait before going back."""

    @contextmanager
    def out() -> Iterator[None]:
        too_soon = failback.too_soon

        def sooner(decided: Decided, service: Service, now: float) -> Iterator[failback.Wait]:
            return (w for w in too_soon(decided, service, now) if w.reason is not reason)

        with put(failback, "too_soon", sooner):
            yield

    return out


@contextmanager
def without_questions() -> Iterator[None]:
    """Preflights are passed without an answer."""
    wait = steps.wait

    def passed(tx: Transaction, run: Run, step: Step) -> bool:
        if step.kind not in (r.StepKind.PREFLIGHT, r.StepKind.RECHECK):
            return wait(tx, run, step)
        move = tx.model.moves[run.started.move]
        measures = steps._measures(tx, run, step, move)
        endings.finish(tx, run, step, r.StepState.DONE, Reason.CONDITIONS_MET, "not asked", None, measures)
        return True

    with put(steps, "wait", passed):
        yield


@contextmanager
def any_preflight_will_do() -> Iterator[None]:
    """A preflight holds for ever."""
    with put(steps, "_asked_too_long_ago", lambda _turn, _run, _step: False):
        yield


@contextmanager
def age_at_its_sample() -> Iterator[None]:
    """Data stay as old as they were when they were measured."""
    age = Transaction.data_age_s

    def data_age_s(tx: Transaction, check: str, until: float) -> float | None:
        row = tx.rows().get(check)
        return age(tx, check, row.measured_at if row and row.measured_at is not None else until)

    with put(Transaction, "data_age_s", data_age_s):
        yield


@contextmanager
def without_fences() -> Iterator[None]:
    """Nothing has to be fenced before an activation."""
    with put(ladder, "to_fence", lambda _turn, _service, _move: []):
        yield


@contextmanager
def fencing_what_lives() -> Iterator[None]:
    """Places are fenced by themselves, dark or not."""
    asks = ladder.fence_asks

    def fence_asks(
        tx: Transaction, service: Service, move: Move, since: float, *places: str | None, **more: str | None
    ) -> tuple[str, list[str]]:
        _, asked = asks(tx, service, move, since, *places, **more)
        alive = (Reason.FENCE_NOT_AUTOMATIC.value, Reason.FENCE_UNPROVEN.value)
        return "", [a for a in asked if not a.startswith(alive)]

    with put(ladder, "fence_asks", fence_asks):
        yield


@contextmanager
def without_proof() -> Iterator[None]:
    """A fence whose playbook ended well is proven, whatever answers or does not."""
    wait = steps.wait

    def unheard(tx: Transaction, run: Run, step: Step) -> bool:
        if step.kind is not r.StepKind.PROOF:
            return wait(tx, run, step)
        with put(steps, "_answered", lambda _turn, _wanted, _since: True):
            return wait(tx, run, step)

    with put(steps, "wait", unheard):
        yield


@contextmanager
def mode_ask_as_auto() -> Iterator[None]:
    """Nobody is asked because of a mode."""
    asks = policy.asks

    def fewer(tx: Transaction, service: Service, approved_at: float | None = None) -> list[str]:
        auto = replace(service, mode=Mode.AUTO) if service.mode is Mode.ASK else service
        return asks(tx, auto, approved_at)

    with put(policy, "asks", fewer):
        yield


@contextmanager
def mode_observe_as_auto() -> Iterator[None]:
    """A service that is to be observed is acted for."""
    decide, unwanted = incident._take, stopping._unwanted

    def take(
        tx: Transaction, service: Service, about: Incident, tier: int, choice: Assessment, refused: list[Assessment]
    ) -> None:
        auto = replace(service, mode=Mode.AUTO) if service.mode is Mode.OBSERVE else service
        decide(tx, auto, about, tier, choice, refused)

    def wanted(*asked: Any) -> tuple[Reason, str] | None:
        found: tuple[Reason, str] | None = unwanted(*asked)
        return None if found is not None and found[0] is Reason.OBSERVE_ONLY else found

    with put(incident, "_take", take), put(stopping, "_unwanted", wanted):
        yield


@contextmanager
def any_plan_approved() -> Iterator[None]:
    """An approval, or a start, covers whatever the plan becomes."""

    def started(_turn: Transaction, run: Run) -> str:
        return run.started.plan_digest

    with put(stopping, "digest_as_started", started), put(plans, "digest_as_started", started):
        yield


@contextmanager
def approving_what_is_gone() -> Iterator[None]:
    """Whoever approves is not asked whether the plan is still there; the next step is."""

    def same(_turn: Transaction, _run: Run) -> str:
        return ""

    with put(plans, "changed", same), put(steps, "changed", same), put(stopping, "changed", same):
        yield


@contextmanager
def edited_is_failed() -> Iterator[None]:
    """A tier whose files were edited counts as tried in vain."""
    faultless = tuple(reason for reason in incident.NOT_THE_TIERS_FAULT if reason is not Reason.PLAN_CHANGED)
    with put(incident, "NOT_THE_TIERS_FAULT", faultless):
        yield


@contextmanager
def approved_for_good() -> Iterator[None]:
    """Nothing is asked again after an approval."""
    plan: Any = plans.plan_steps

    def fewer(*asked: Any) -> list[r.PlannedStep]:
        planned: list[r.PlannedStep] = plan(*asked)
        return [s for s in planned if s.kind is not r.StepKind.RECHECK]

    with put(starting, "plan_steps", fewer):
        yield


@contextmanager
def unsuspecting() -> Iterator[None]:
    """A suspected compromise stops nobody."""
    asks = policy.asks

    def fewer(tx: Transaction, service: Service, approved_at: float | None = None) -> list[str]:
        found = asks(tx, service, approved_at)
        return [a for a in found if not a.startswith(Reason.COMPROMISE_SUSPECTED.value)]

    with put(policy, "asks", fewer):
        yield


@contextmanager
def without_budget() -> Iterator[None]:
    """The time left does not matter."""
    with put(ladder, "_spend_budget", lambda _turn, _service, found: found):
        yield


@contextmanager
def sharing_everything() -> Iterator[None]:
    """A resource may be held by many."""
    with put(Decided, "holder_of", lambda _decided, _resource: None):
        yield


@contextmanager
def no_fence_needed() -> Iterator[None]:
    """A place without a fence of its own is as good as out."""
    with put(steps, "_still_open", lambda _turn, _run: []), put(steps, "_needs_no_fence", _skipped):
        yield


def _skipped(tx: Transaction, run: Run, step: Step) -> bool:
    for each in [s for s in run.steps if s.place == step.place and not s.over]:
        endings.finish(tx, run, each, r.StepState.SKIPPED, Reason.NOT_NEEDED, "taken to be out")
    return True


MILL = "program crashes of quay/mill|program hangs of quay/mill"
KILN = "program crashes of quay/kiln|program hangs of quay/kiln"
LAMP = "program crashes of quay/lamp|program hangs of quay/lamp"
LINE = "program crashes of quay/line|program hangs of quay/line"


@contextmanager
def telling_nobody_of_blindness() -> Iterator[None]:
    """What cannot be seen or done is no news."""

    def never(_turn: Transaction, memory: doubts.Memory) -> None:
        memory.look_at = turns.FOREVER

    with put(doubts, "look", never):
        yield


GUARDS = (
    Mutant(
        "blind",
        "a controller that sees nothing acts",
        (10,),
        seeing_all,
        needs=("controller's uplink|reference targets",),
    ),
    Mutant(
        "quorum", "one of several vantages triggers alone", (10,), lambda: without(policy.no_quorum), needs=("cut off",)
    ),
    Mutant(
        "health unknown",
        "acts on an outage that nobody sees any more",
        (BESIDE,),
        lambda: without(policy.health_unknown),
        needs=("probe cannot ask", f"{DOWN}|power cut|cut off"),
    ),
    Mutant("held", "a hold stops nothing", (19,), lambda: without(policy.held), needs=("hold",)),
    Mutant(
        "maintenance",
        "an announced window stops nothing",
        (19,),
        lambda: without(policy.in_maintenance),
        needs=("maintenance",),
    ),
    Mutant(
        "flapping",
        "no brake on automatic moves",
        (12,),
        lambda: without(policy.frozen),
        needs=(DOWN,),
    ),
    Mutant(
        "mass failure",
        "acts when all fails at once",
        (13,),
        lambda: without(policy.mass_failure),
        needs=("program crashes|program hangs|power cut",),
    ),
    Mutant(
        "one site",
        "what is asked from outside counts for itself, wherever it is",
        (13,),
        lambda: depending(lambda check, _found: frozenset({check.id})),
        needs=("power cut",),
        beyond_the_core="it does nothing where it might have acted",
    ),
    Mutant(
        "clients apart",
        "places of two clients with one name count as one",
        (13,),
        lambda: depending(lambda _check, found: frozenset(name.partition("/")[2] for name in found)),
        needs=("power cut",),
    ),
    Mutant(
        "dependency",
        "does not wait for what recovers first",
        (BESIDE,),
        without_waiting,
        needs=("power cut|cut off|program hangs|program crashes",),
    ),
    Mutant(
        "failovers",
        "any number at once",
        (13,),
        lambda: without(policy.too_many_failovers),
        needs=(MILL, LAMP, LINE),  # two are under way when a third would begin
    ),
    Mutant(
        "sighting",
        "fences a place that has just answered",
        (16,),
        without_sighting,
        needs=("power cut", "program crashes"),
    ),
    Mutant("fall", "one bad answer takes a check down", (11,), observing(lambda c: replace(c, fall=1))),
    Mutant("rise", "one good answer brings it up", (11,), observing(lambda c: replace(c, rise=1))),
    Mutant("silence", "silence needs no reference", (10,), silence_proves),
    Mutant(
        "own uplink",
        "silences of a blind vantage count once it sees again",
        (10,),
        always_in_sight,
        needs=("controller's uplink",),
    ),
    Mutant(
        "late answers",
        "a late answer is a fresh one",
        (9, 11),
        late_as_fresh,
        needs=("answers of long ago",),
        beyond_the_core="the row alone says when it was asked",
    ),
    Mutant("cool-down", "returns to what has just failed", (8,), without_cool_down, needs=("power cut",)),
    Mutant("hold-down", "goes back at once", (18,), going_back_despite(Reason.HOLD_DOWN), needs=("cut off",)),
    Mutant("preflight", "preflights are not waited for", (14, 15), without_questions),
    Mutant(
        "fresh preflight",
        "a preflight of any age will do",
        (14,),
        any_preflight_will_do,
        needs=(
            "power cut",
            "probe cannot ask|replica falls behind|broken destination|" + DEATHS + "|" + PLAYBOOKS,
        ),
    ),
    Mutant(
        "not viable",
        "begins what cannot help",
        (BESIDE,),
        tier_reasons(Reason.NOT_VIABLE),
        needs=("broken destination", "power cut|cut off"),
    ),
    Mutant(
        "viability",
        "unknown is viable",
        (BESIDE,),
        tier_reasons(Reason.VIABILITY_UNKNOWN),
        needs=("probe cannot ask", "power cut|cut off"),
    ),
    Mutant(
        "RPO unknown",
        "promotes data of unknown age",
        (15,),
        tier_reasons(Reason.RPO_UNKNOWN),
        needs=(DOWN,),
    ),
    Mutant(
        "RPO exceeded",
        "promotes data that are too old",
        (15,),
        tier_reasons(Reason.RPO_EXCEEDED),
        needs=(
            "power cut",
            "replica falls behind|answers of long ago|probe cannot ask",
        ),
    ),
    Mutant(
        "data age",
        "data do not age after their sample",
        (15,),
        age_at_its_sample,
        needs=(
            "power cut",
            "probe cannot ask|answers of long ago",
        ),
    ),
    Mutant("fence", "activates without a fence", (16,), without_fences, needs=("power cut|cut off",)),
    Mutant("fence skipped", "steps over a fence in the plan", (16,), no_fence_needed, needs=("power cut|cut off",)),
    Mutant(
        "dark",
        "fences by itself what may be alive",
        (16,),
        fencing_what_lives,
        needs=("cut off|program crashes|program hangs",),
    ),
    Mutant("proof", "a fence is not proven", (16,), without_proof, needs=("power cut|cut off",)),
    Mutant("mode ask", "acts without the approval", (19,), mode_ask_as_auto, needs=(DOWN,)),
    Mutant(
        "mode observe",
        "acts where it should watch",
        (19,),
        mode_observe_as_auto,
        needs=(DOWN,),
    ),
    Mutant("plan", "an approval covers another plan", (BESIDE,), any_plan_approved, needs=("configuration changes",)),
    Mutant(
        "plan gone",
        "an approval is taken for a plan that is not there any more",
        (BESIDE,),
        approving_what_is_gone,
        needs=("configuration changes", "approve"),
    ),
    Mutant(
        "edited", "an edited plan has failed", (BESIDE,), edited_is_failed, needs=("configuration changes", "approve")
    ),
    Mutant("recheck", "nothing is asked after an approval", (14,), approved_for_good, needs=("approve",)),
    Mutant("compromise", "acts while a compromise is suspected", (19,), unsuspecting, needs=("suspect",)),
    Mutant(
        "budget",
        "a tier that does not fit goes first",
        (BESIDE,),
        without_budget,
        needs=(MILL,),
    ),
    Mutant("resource", "two runs hold one resource", (7,), sharing_everything, needs=(MILL, KILN)),
    Mutant(
        "doubt",
        "nobody is told that nothing can be seen",
        (BESIDE,),
        telling_nobody_of_blindness,
        needs=("controller's uplink|reference targets",),
    ),
)
