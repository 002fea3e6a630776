"""What must never happen in drills: statement 23. A drill never lengthens an outage and leaves nothing behind.

The one rule it keeps: no guard is asked. Each check is written from its statement, and reads only the model, the
records and the rows. Otherwise a broken guard would be compared with itself.
"""

from __future__ import annotations

from orchestrator.core import records as r
from orchestrator.core.commands import NoticeKind
from orchestrator.core.events import Answer
from orchestrator.core.invariant_broken import InvariantBroken
from orchestrator.core.kinds import TRAITS, By, Reach
from orchestrator.core.model import Mode
from orchestrator.core.reasons import Reason
from orchestrator.core.runs.plan import cleans_by
from orchestrator.core.runs.rehearsing import SURVEY
from orchestrator.core.state.decided import Drill, Run, Step, covers
from orchestrator.core.transaction import Transaction


def run_started(tx: Transaction, record: r.RunStarted) -> None:
    """A drill begins where all is well and nobody said otherwise; a rehearsal has no step that puts a place in."""
    drill = tx.decided.drills[record.drill]
    rehearses = any(TRAITS[s.kind].rehearses for s in record.steps)
    acts = [s.name for s in record.steps if rehearses and TRAITS[s.kind].acts_at is not None]
    if acts:
        raise InvariantBroken(23, "a rehearsal touches nothing that serves", f"{record.run}: {', '.join(acts)}")
    if record.run != drill.runs[0]:
        return
    rule = "a drill begins only where all is well"
    client = record.service.partition("/")[0]
    trouble = [f"{i.id} is open" for i in tx.decided.open_incidents() if covers(client, i.service)]
    trouble += [f"{name} is suspected" for name in tx.decided.suspected if covers(name, record.service)]
    service = tx.model.services[record.service]
    state = tx.decided.services[record.service]
    trouble += [f"{state.place} is not its home"] if state.place != service.home else []
    for check in service.healthy_when.checks():
        known = tx.decided.verdicts.get(check)
        if known is None or known.verdict is not r.Verdict.UP:
            trouble.append(f"{check} is {known.verdict.value if known else 'unknown'}")
    if trouble:
        raise InvariantBroken(23, rule, f"{drill.id}: {'; '.join(trouble)}")
    _asked(tx, drill, record)
    still_allowed(tx, tx.decided.runs[record.run])


def _asked(tx: Transaction, drill: Drill, record: r.RunStarted) -> None:
    """19: a schedule is no person. Where the mode wants one, one is asked before anything is played."""
    mode = tx.model.services[record.service].mode
    if not drill.began.scheduled or mode is Mode.AUTO:
        return
    for step in record.steps:
        if TRAITS[step.kind].by is By.PERSON:
            return
        if TRAITS[step.kind].by is By.PLAYBOOK:
            break
    raise InvariantBroken(19, "modes are honoured", f"{drill.id} asks nobody, and {record.service} is in mode {mode}")


def still_allowed(tx: Transaction, run: Run) -> None:
    """A hold and a window are honoured by a drill too, on its way there and on its way back."""
    rule = "a drill honours holds and maintenance"
    for subject, word in tx.decided.holds.items():
        if covers(subject, run.started.service):
            raise InvariantBroken(23, rule, f"{run.id}: {word.who} holds {subject}")
    for subject, ends_at in tx.decided.maintenance.items():
        if covers(subject.partition("#")[0], run.started.service) and tx.now() < ends_at:
            raise InvariantBroken(23, rule, f"{run.id}: {subject} is in maintenance")


def cleaned_as_shown(tx: Transaction, run: Run, step: Step) -> None:
    """19: what was shown, or approved since, is what cleans up; in mode auto also what was loaded."""
    approved = run.approved.cleans_by if run.approved is not None else {}
    shown = (approved or run.started.cleans_by).get(step.name)
    now = cleans_by(tx.model, tx.model.moves[run.started.move], [step])[step.name]
    if shown is not None and now != shown and tx.model.services[run.started.service].mode is not Mode.AUTO:
        raise InvariantBroken(19, "what cleans up was shown, or approved", f"{run.id}/{step.name}")


def drill_ended(tx: Transaction, record: r.DrillEnded) -> None:
    """It leaves nothing behind, or a person is told; what it says to have shown is on record."""
    drill = tx.decided.drills[record.drill]
    left = _left(tx, drill)
    human = [x for x in tx.records if isinstance(x, r.NoticeDue) and x.kind is NoticeKind.HUMAN_NEEDED]
    for run in (tx.decided.runs[x] for x in drill.runs):
        if _uncleaned(run):
            rule = "a rehearsal is cleaned up whatever became of it"
            raise InvariantBroken(23, rule, f"{run.id} was not, and nothing kept it from it")
    if left and record.ok:
        raise InvariantBroken(23, "a drill leaves nothing behind", f"{drill.id}: {'; '.join(left)}")
    if left and not human:
        raise InvariantBroken(23, "whoever can mend what a drill left is told", f"{drill.id}: {'; '.join(left)}")
    if record.ok and (missing := _not_shown(tx, drill)):
        raise InvariantBroken(23, "a drill shows what it says", f"{drill.id}: {'; '.join(missing)}")


def _left(tx: Transaction, drill: Drill) -> list[str]:
    """What is not as it was, by records alone."""
    began = drill.began
    if drill.full_scale:
        state = tx.decided.services[began.service]
        left = [f"{began.service} is at {state.place}"] if state.place != began.place else []
        left += _half_done([tx.decided.runs[x] for x in drill.runs])
        left += [f"{began.place} is out"] if began.place and began.place not in state.may_act else []
        return left + ([f"{began.move} is in effect"] if began.move in tx.decided.engaged else [])
    found = []
    for run in (tx.decided.runs[x] for x in drill.runs):
        begun = [s for s in run.steps if s.begun and s.traits.played and not s.traits.surveys and not s.simulated]
        surveys = [s for s in run.steps if s.traits.surveys]
        if not begun:
            continue
        last = surveys[-1] if surveys else None
        if last is None or last.state is not r.StepState.DONE or last.stats.get(SURVEY) != surveys[0].stats.get(SURVEY):
            found.append(f"{run.id}: nothing shows that the target is as it was")
    return found


def _half_done(runs: list[Run]) -> list[str]:
    """What its move began and did not bring to its effect, where no run since took it back."""
    begun = [s for s in runs[0].steps if s.begun and TRAITS[s.kind].reach > Reach.QUIET]
    tried = [s.name for s in begun if (s.reason, s.attempt) != (Reason.COULD_NOT_START, 1)]
    made = any(s.traits.moves and s.state is r.StepState.DONE for s in begun)
    back = any(x.ended is not None and x.ended.ok for x in runs[1:])
    return [f"{runs[0].id} began {', '.join(tried)}"] if tried and not made and not back else []


def _uncleaned(run: Run) -> bool:
    """Whether a rehearsal made something, and its clean-up was not begun; unless it could not be, or was a person's."""
    made = any(s.begun and s.traits.played and not s.traits.surveys and not s.simulated for s in run.steps)
    clean_up = next((s for s in run.steps if s.traits.always and not s.traits.surveys), None)
    kept = run.human is not None or (clean_up is not None and clean_up.reason is Reason.PLAN_CHANGED)
    return made and clean_up is not None and not clean_up.attempt and not kept


def _not_shown(tx: Transaction, drill: Drill) -> list[str]:
    """What a drill that ended well has not on record."""
    runs = [tx.decided.runs[x] for x in drill.runs]
    missing = [f"{x.id} did not end well" for x in runs if x.ended is None or (not x.ended.ok and x is runs[0])]
    if not drill.full_scale:
        return missing
    since = max((x.ended.at for x in runs if x.ended is not None), default=0.0)
    for check in tx.model.services[drill.began.service].healthy_when.checks():
        row = tx.rows().get(check)
        if row is None or row.last_answer is not Answer.GOOD or row.last_sent_at < since:
            missing.append(f"{check} has not answered well since it went back")
    return missing
