"""What a run will do: its steps, what binds an approval to them, what they hold, and which variables playbooks get.

The one rule it keeps: a plan is computed from the model and the placement alone, before anything is done. So a dry run
shows exactly what a run would do.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Sequence
from dataclasses import replace

from orchestrator.core import records as r
from orchestrator.core.codec import dumps, encode
from orchestrator.core.kinds import TRAITS, By, Subject, Traits, Wanted, Work, declared_by
from orchestrator.core.model import Condition, Fence, Isolation, Json, Model, Move, Playbook, Service
from orchestrator.core.rules import ladder
from orchestrator.core.state.decided import Run, Step
from orchestrator.core.transaction import Transaction

LOOK_S = 10.0  # how long a look waits for a clear answer
SHOWN = 8  # characters of what an approval names, where a person is asked


def plan_steps(
    tx: Transaction, service: Service, move: Move, asks: tuple[str, ...], planned: bool, isolate: str | None = None
) -> list[r.PlannedStep]:
    """The steps of a move for this service, now.

    `planned`: the source is healthy, so it may hand over. `isolate`: the place to be cut off first.
    """
    kind = r.StepKind
    steps = []
    isolation = Subject(tx.model, move, isolate).isolation
    if isolate is not None and isolation is not None:
        short = isolate.rpartition("/")[2]
        steps.append(r.PlannedStep(f"isolate-{short}", kind.ISOLATE, isolate))
        if isolation.proven_when is not None:
            steps.append(r.PlannedStep(f"contained-{short}", kind.CONTAINED, isolate))
    steps.append(r.PlannedStep("preflight", kind.PREFLIGHT))
    if asks:
        steps += [r.PlannedStep("approval", kind.APPROVAL), r.PlannedStep("recheck", kind.RECHECK)]
    for place in ladder.to_fence(tx, service, move):
        hand_over = planned and move.hand_over is not None and place == tx.state(service).place
        short = place.rpartition("/")[2]
        name = f"hand-over-{short}" if hand_over else f"fence-{short}"
        steps.append(r.PlannedStep(name, kind.FENCE, place, hand_over))
        steps.append(r.PlannedStep(f"proof-{short}", kind.PROOF, place, hand_over))
    steps += [r.PlannedStep("execute", kind.EXECUTE), r.PlannedStep("verify", kind.VERIFY)]
    return _with_what_stands_beside(move, steps)


def _with_what_stands_beside(move: Move, steps: list[r.PlannedStep]) -> list[r.PlannedStep]:
    """What the move declares beside its own playbook comes where its kind stands among the kinds."""
    order = list(r.StepKind)
    for kind, row in TRAITS.items():
        if row.beside and getattr(move, row.declared) is not None:
            later = (i for i, step in enumerate(steps) if order.index(step.kind) > order.index(kind))
            steps.insert(next(later, len(steps)), r.PlannedStep(kind.value, kind))
    return steps


def rehearsal_steps(move: Move, asks: tuple[str, ...] = ()) -> list[r.PlannedStep]:
    """The steps of a rehearsal: as its author says, else the move's own playbook in check mode, which proves little."""
    kind, of = r.StepKind, move.rehearse
    steps = [r.PlannedStep("preflight", kind.PREFLIGHT)]
    if asks:  # a playbook is a playbook: also the survey waits for the answer
        steps += [r.PlannedStep("approval", kind.APPROVAL), r.PlannedStep("recheck", kind.RECHECK)]
    if of is None:
        return [*steps, r.PlannedStep("rehearse", kind.REHEARSE, simulated=True)]
    steps.append(r.PlannedStep("survey", kind.SURVEY))
    steps += [r.PlannedStep("set-up", kind.SET_UP)] if of.prepare else []
    steps += [r.PlannedStep("apart", kind.APART)] if of.apart_when else []
    steps.append(r.PlannedStep("rehearse", kind.REHEARSE))
    steps += [r.PlannedStep("confirm", kind.CONFIRM)] if of.verify else []
    return [*steps, r.PlannedStep("clean-up", kind.CLEAN_UP), r.PlannedStep("survey-again", kind.RESURVEY)]


def plan_digest(tx: Transaction, service: Service, move: Move, steps: list[r.PlannedStep], place: str | None) -> str:
    """What an approval binds: service, move, places, steps, all that is played, and what proves places out or apart."""
    of = [(TRAITS[s.kind], Subject(tx.model, move, s.place, s.hand_over)) for s in steps]
    out: list[Fence | Isolation] = [x.fence for _, x in of if x.fence is not None]
    out += [x.isolation for kind, x in of if kind.isolates and x.isolation]
    proofs = [x.proven_when for x in out]
    proofs += [move.rehearse.apart_when for kind, _ in of if kind.rehearses and move.rehearse is not None][:1]
    books = [*declared_by(move), *(x.playbook for x in out)]
    books += [work.playbook for kind, x in of if kind.rehearses and (work := kind.work(x)) is not None]
    parts = [service.id, move.id, place or "", move.to or "", *(s.name for s in steps)]
    return _digest(tx.model, parts, books, proofs)


def _digest(model: Model, parts: list[str], books: list[Playbook], wanted: Sequence[Condition | None]) -> str:
    """Of this, of what is played, and of what proves that a place is out, or apart: by which answers, to what."""
    proofs = [x for x in wanted if x is not None]
    asked = [model.checks.get(check) for proof in proofs for check in proof.checks()]
    parts = [*parts, *(dumps(encode(x)).decode() for x in (*books, *proofs))]
    parts += [dumps([x.host, x.probe, x.vantage, dict(x.options)]).decode() for x in asked if x is not None]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def cleans_by(model: Model, move: Move | None, steps: Sequence[r.PlannedStep | Step]) -> dict[str, str]:
    """Of each of these steps that is made whatever became of those before: what it plays, on which hosts, as a digest.

    Empty where nothing says any more what it plays.
    """
    last = [step for step in steps if TRAITS[step.kind].always]
    works = {step.name: TRAITS[step.kind].work(Subject(model, move)) if move is not None else None for step in last}
    return {name: _digest(model, [], [work.playbook], []) if work is not None else "" for name, work in works.items()}


def back_books(model: Model, back: Move, place: str | None) -> list[Playbook]:
    """What a drill's way back plays: the move's own playbooks, and what takes out `place`, which it leaves."""
    return [*declared_by(back), *(x.playbook for x in _left(model, back, place))]


def _left(model: Model, back: Move, place: str | None) -> list[Fence]:
    """How a way back takes out `place`, which it leaves."""
    if back.hand_over is not None:
        return [back.hand_over]
    fence = model.places[place].fence if back.to and place and place in model.places else None
    return [fence] if fence is not None else []


def back_digest(model: Model, back: str | None, place: str | None) -> str:
    """What an approval of a drill binds beside the plan of its way there; empty: there is no way back."""
    if back is None or back not in model.moves:
        return ""
    move = model.moves[back]
    proofs = [x.proven_when for x in _left(model, move, place)]
    return _digest(model, [back], back_books(model, move, place), proofs)


def another_way_back(tx: Transaction, began: r.DrillBegan) -> str:
    """Why what leads back by now is not what was shown when the drill began, in a sentence; empty: it is."""
    there = tx.model.moves.get(began.move)
    now = back_digest(tx.model, began.back, there.to if there is not None else None)
    if not began.back_digest or now == began.back_digest:
        return ""
    return f"the way back, {began.back}, is another one than was shown with {began.drill}"


def resources(service: Service, move: Move, *, rehearses: bool = False) -> tuple[str, ...]:
    """What the run holds until it ends: the move's resources, and the service itself; a rehearsal its own hosts."""
    return (f"rehearsal:{move.id}",) if rehearses else (*move.holds, f"service:{service.id}")


def subject_of(tx: Transaction, run: Run, step: Step) -> Subject:
    """What this step is of, by the configuration in force. Raises KeyError where that has its move no more."""
    return Subject(tx.model, tx.model.moves[run.started.move], step.place, step.hand_over)


def wanted_of(tx: Transaction, kind: Traits, subject: Subject) -> Wanted | None:
    """What a waiting step wants to hear; None: it waits for no answers.

    A way home need not have anything to take back: then it does not ask whether that is gone.
    """
    wanted, move = kind.wanted(subject), subject.move
    if wanted is None or wanted.gone is None or move.to is None or move.undoes in tx.decided.engaged:
        return wanted
    return replace(wanted, gone=None)


def run_timeout_s(tx: Transaction, move: Move, steps: list[r.PlannedStep], approval_s: float) -> float:
    """The whole run's limit: the sum of what its steps may take, with room for one more attempt of each."""
    total = 0.0
    for step in steps:
        kind, subject = TRAITS[step.kind], Subject(tx.model, move, step.place, step.hand_over)
        if kind.contains:
            total += 2 * (subject.isolation.timeout_s if subject.isolation else 0.0) + LOOK_S
        elif kind.by is By.PLAYBOOK:
            work = kind.work(subject)
            total += 2 * (work.timeout_s if work is not None else move.timeout_s) + LOOK_S
        elif kind.by is By.PERSON:
            total += approval_s
        else:
            wanted = kind.wanted(subject) if kind.within else None
            own_s = wanted.timeout_s if wanted is not None else 0.0
            total += 2 * max(own_s, move.verify_timeout_s, move.preflight_timeout_s)
    return total


def facts_for(tx: Transaction, run: Run, step: Step) -> dict[str, Json]:
    """The extra variables every playbook of the run receives."""
    started, drill = run.started, tx.decided.drills.get(run.started.drill)
    names: dict[str, Json] = {
        "bascule_run": run.id,
        "bascule_incident": started.incident or "",
        "bascule_epoch": tx.decided.epoch,
        "bascule_move": started.move.rpartition("/")[2],
        "bascule_service": started.service.rpartition("/")[2],
        "bascule_step": step.name,
        "bascule_drill": bool(started.drill),
        "bascule_draw": drill.began.draw if drill is not None else 0.0,
        "bascule_deadline": started.deadline if started.deadline is not None else 0,
        "bascule_from": (started.from_place or "").rpartition("/")[2],
        "bascule_to": (started.to_place or "").rpartition("/")[2],
        "bascule_place": (step.place or started.to_place or started.from_place or "").rpartition("/")[2],
    }
    return names


def approving(run: Run, asked_at: float | None = None) -> str:
    """What approves this run, and no other one that has its id: of another workspace, or of a journal put back.

    `asked_at`: when it is handed to a person, where that is not on record yet: that is the question, and none before.
    """
    return f"bascule approve {run.id} --plan {as_shown(run, asked_at)[:SHOWN]}"


def as_shown(run: Run, asked_at: float | None = None) -> str:
    """What an approval names: the plan, and which run of this id it was. A move has the same plan every time.

    Where a person has it since, also that question: whoever answers the one before lets nothing be tried again.
    Where it is asked whether it may be cleaned up by something else, also by what.
    """
    human = run.human if asked_at is None else None
    since = human.at if human is not None else asked_at
    asked = [f"with a person since {since!r}"] if since is not None else []
    by = sorted(human.cleans_by.items()) if human is not None else []
    parts = [run.started.plan_digest, beginning(run), *asked, *(f"{step} {digest}" for step, digest in by)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def beginning(run: Run) -> str:
    """What tells this run from another one that had its id: in a journal that was put back, ids are given again."""
    started = run.started
    return f"{started.service} {started.move} {started.at!r} {started.word or ''}".rstrip()


def work_of(tx: Transaction, run: Run, step: Step) -> Work:
    """What the step plays. Raises LookupError where the configuration has nothing for it any more."""
    work = step.traits.work(subject_of(tx, run, step))
    if work is None:
        of = step.place or run.started.move
        raise LookupError(f"run {run.id}: no {step.traits.declared} is declared for {of} any more")
    return work


def changed(tx: Transaction, run: Run) -> str:
    """What of the run's plan is not as it was decided upon, in a sentence; empty if all of it is."""
    service = tx.model.services.get(run.started.service)
    if service is None or run.started.move not in tx.model.moves:
        return f"{run.started.move} is not in the configuration any more"
    now = digest_as_started(tx, run) if run.started.configuration != tx.decided.configuration else ""
    if now and now != run.started.plan_digest:
        return f"{run.started.move} is not the one on which {run.id} was decided: a configuration was loaded since"
    drill = tx.decided.drills.get(run.started.drill)
    there = drill is not None and drill.began.move == run.started.move and not run.committed
    if drill is not None and there and (other := another_way_back(tx, drill.began)):
        return other
    return next((told for book in books_of(tx, run) if (told := tx.decided.edited.get(book.digest))), "")


def books_of(tx: Transaction, run: Run) -> list[Playbook]:
    """The playbooks of what the run has still to do; those that the configuration has no more are left out.

    Of a drill that has moved nothing yet those of its way back too: it does not begin what it could not take back.
    """
    found = []
    for step in run.steps:
        if step.traits.played and not step.over:
            with contextlib.suppress(LookupError):
                found.append(work_of(tx, run, step).playbook)
    drill, move = tx.decided.drills.get(run.started.drill), tx.model.moves.get(run.started.move)
    if drill is None or move is None or run.committed or drill.began.move != move.id:
        return found
    back = tx.model.moves.get(drill.began.back or "")
    return [*found, *(back_books(tx.model, back, move.to) if back is not None else ())]


def digest_as_started(tx: Transaction, run: Run) -> str:
    """The digest that the run's plan has by now, as seen from the place it started from."""
    service, move = tx.model.services[run.started.service], tx.model.moves[run.started.move]
    return plan_digest(tx, service, move, list(run.started.steps), run.started.from_place)
