"""The clean-up of a rehearsal: what was shown when the drill began is what is played, or a person is asked.

The one rule it keeps: nothing cleans up that nobody was shown. In mode auto a reload is enough, as it is for
a way back, and people are told. What was only edited is never played.
"""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.core.commands import NoticeKind
from orchestrator.core.events import StepEnded
from orchestrator.core.model import Mode
from orchestrator.core.reasons import Reason
from orchestrator.core.records import StepLooked, StepState
from orchestrator.core.runs import endings
from orchestrator.core.runs.plan import approving, books_of, cleans_by, work_of
from orchestrator.core.sentences import Sentence
from orchestrator.core.state.decided import Run, Step
from orchestrator.core.transaction import Transaction

_AT_REST = (StepState.PENDING, StepState.LOOKING)


def by_now(tx: Transaction, run: Run) -> dict[str, str]:
    """What would clean up now, of what is left of it."""
    return cleans_by(tx.model, tx.model.moves.get(run.started.move), [s for s in run.steps if not s.over])


def waits_for_a_person(tx: Transaction, run: Run, step: Step) -> bool:
    """Whether this clean-up is another one than was shown, so that a person is asked first; else they may be told."""
    if not step.traits.always or not (others := _others(tx, run, _shown(run))):
        return False
    if tx.model.services[run.started.service].mode is Mode.AUTO:
        _tell(tx, run, others)
        return False
    _ask(tx, run, others)
    return True


def ask_anew(tx: Transaction, run: Run) -> None:
    """A run waits for a person with its clean-up, and another one was loaded since: they are shown what there is."""
    step, service = run.current(), tx.model.services.get(run.started.service)
    if run.human is None or step is None or not step.traits.always or step.state not in _AT_REST or service is None:
        return
    asks = run.human.reason is Reason.PLAN_CHANGED or service.mode is not Mode.AUTO
    if asks and _others(tx, run, run.human.cleans_by or _shown(run)):
        _ask(tx, run, _others(tx, run, _shown(run)))


def refused(tx: Transaction, run: Run, step: Step, event: StepEnded) -> None:
    """The runner found another one on disk than was loaded, and began nothing: a person puts it back, or reloads."""
    tx.record(StepLooked(tx.now(), run.id, step.name, step.attempt, Reason.PLAN_CHANGED, event.detail))
    then = f"put it back, or reload; then: {approving(run, tx.now())}; to leave all as it is: bascule abort {run.id}"
    endings.to_human(tx, run, Reason.PLAN_CHANGED, f"{step.name}: {event.detail}; {then}", say="bascule reload")


def not_as_asked(tx: Transaction, run: Run) -> str:
    """Why nobody can approve this clean-up now: what is on disk is not what they were asked about; empty: it is."""
    return next((told for book in books_of(tx, run) if (told := tx.decided.edited.get(book.digest))), "")


def approved_by(tx: Transaction, run: Run, step: Step) -> Mapping[str, str]:
    """By what whoever approves this now lets it be cleaned up: of one that is played already, as they were shown."""
    return by_now(tx, run) if step.state in _AT_REST else _shown(run)


def _shown(run: Run) -> Mapping[str, str]:
    approved = run.approved.cleans_by if run.approved is not None else {}
    return approved or run.started.cleans_by


def _others(tx: Transaction, run: Run, shown: Mapping[str, str]) -> list[str]:
    """The steps that are not as shown, each with its playbook. Of what is not on record nothing is said."""
    others = [name for name, digest in by_now(tx, run).items() if digest and shown.get(name, digest) != digest]
    return [f"{name} ({work_of(tx, run, run.step(name)).playbook.path})" for name in others]


def _ask(tx: Transaction, run: Run, others: list[str]) -> None:
    loaded = f"{', '.join(others)} was loaded since {run.started.drill} was shown, and is another"
    why = loaded if others else f"what cleans up is again what was shown with {run.started.drill}"
    then = f"approved, it is played; to leave all as it is: bascule abort {run.id}"
    endings.to_human(tx, run, Reason.PLAN_CHANGED, f"{why}; {then}", by=by_now(tx, run))


def _tell(tx: Transaction, run: Run, others: list[str]) -> None:
    started, which = run.started, ".".join(x[:8] for x in by_now(tx, run).values())
    slots = {"service": started.service, "drill": started.drill, "run": run.id, "what": ", ".join(others)}
    text, notice = Sentence.CLEANED_BY_ANOTHER.say(**slots), f"{run.id}/cleaned by/{which}"
    say = f"bascule drill show {started.drill}"
    tx.tell(notice, NoticeKind.DRILL_CHANGED, started.service, text, say=say)
