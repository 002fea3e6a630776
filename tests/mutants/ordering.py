"""The rules of order, each with a mutant that takes it out: what comes before what, and what is never done twice.

The one rule it keeps: the records that a mutant leaves behind are as honest as the mistake allows; an oracle must find
the mistake, not a word that was left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any

from orchestrator.core import engine
from orchestrator.core import events as e
from orchestrator.core import records as r
from orchestrator.core.commands import RunPlaybook
from orchestrator.core.deciding import incident
from orchestrator.core.engine import Engine
from orchestrator.core.kinds import TRAITS, Wanted
from orchestrator.core.model import Service
from orchestrator.core.reasons import Reason
from orchestrator.core.rules import ladder, policy
from orchestrator.core.rules.ladder import Assessment
from orchestrator.core.runs import endings, looking, run, steps
from orchestrator.core.state.decided import Decided, Run, Step
from orchestrator.core.transaction import Transaction
from orchestrator.journal.lease import Lease
from orchestrator.journal.memory import MemoryJournal
from orchestrator.journal.row_changes import TakenRows
from orchestrator.runner import connections
from orchestrator.runner.scripted import Ending
from orchestrator.shell.loop import Shell, _Stepped
from orchestrator.sim.targets import Targets
from tests.mutants.mutant import BESIDE, DEATHS, STILL, Mutant, put


@contextmanager
def last_tier_first() -> Iterator[None]:
    """The last tier that could help is taken."""

    def chosen(assessments: list[Assessment]) -> int | None:
        could = [n for n, a in enumerate(assessments) if a.state is r.TierState.WAITING]
        return could[-1] if could else None

    with put(ladder, "chosen", chosen):
        yield


@contextmanager
def execute_first() -> Iterator[None]:
    """What the run is for comes before what it rests on."""

    def current(self: Run) -> Step | None:
        open_ = [s for s in self.steps if not s.over]
        asked = [s for s in open_ if s.kind in (r.StepKind.PREFLIGHT, r.StepKind.APPROVAL, r.StepKind.RECHECK)]
        return next((s for s in asked or open_ if asked or s.kind is r.StepKind.EXECUTE), next(iter(open_), None))

    with put(Run, "current", current), put(steps, "_still_open", lambda _turn, _run: []):
        yield


@contextmanager
def act_then_write() -> Iterator[None]:
    """Commands are carried out before their entry is durable."""

    def handle(self: Shell, event: e.Event, *, more: bool = False) -> None:
        now = self._now()
        if self._broken is not None and not self._mended(now):
            return
        try:
            outcome = self.engine.step(event, now)
        except Exception as defect:
            self._break(f"defect: {type(defect).__name__}: {defect}", now)
            return
        for command in outcome.commands:
            self._carry_out(command)
        rows = TakenRows()
        rows.take(outcome.rows)
        self._batch.append(_Stepped(event, outcome._replace(commands=()), rows, now, self._wall()))
        self._flush()

    with put(Shell, "handle", handle):
        yield


@contextmanager
def retry_unlooked() -> Iterator[None]:
    """An attempt whose end was not seen is simply made again."""

    def look(tx: Transaction, at_work: Run, step: Step) -> bool:
        if step.attempt >= looking.ATTEMPTS:
            endings.fail(tx, at_work, step, Reason.UNDETERMINED, "tried often enough")
        else:
            tx.record(r.StepRetried(tx.now(), at_work.id, step.name, Reason.NO_EFFECT, "taken to have failed"))
        return True

    with put(looking, "look", look):
        yield


@contextmanager
def lost_as_never_begun() -> Iterator[None]:
    """An attempt that ended unseen is taken never to have begun."""
    ended = run.step_ended

    def step_ended(tx: Transaction, event: e.StepEnded) -> None:
        known = tx.decided.runs.get(event.key.run)
        step = next((s for s in known.steps if s.name == event.key.step), None) if known else None
        unseen = step is not None and step.state is r.StepState.UNSEEN
        lost = event.outcome is e.AttemptEnd.LOST and unseen
        ended(tx, replace(event, outcome=e.AttemptEnd.NEVER_BEGUN) if lost else event)

    with put(engine.HEAR, e.StepEnded, step_ended):
        yield


@contextmanager
def verified_by_old_answers() -> Iterator[None]:
    """Any good answer verifies, asked before the step ended or after."""
    waits_for = steps._waits_for

    def since_ever(tx: Transaction, at_work: Run, step: Step) -> tuple[Wanted, float]:
        wanted, since = waits_for(tx, at_work, step)
        return wanted, (-1.0 if step.kind is r.StepKind.VERIFY else since)

    with put(steps, "_waits_for", since_ever):
        yield


@contextmanager
def dependants_first() -> Iterator[None]:
    """What stands on others is attended before them."""

    def backwards(tx: Transaction) -> list[Service]:
        return list(reversed(policy.order(tx)))

    with put(engine, "order", backwards):
        yield


@contextmanager
def unannounced() -> Iterator[None]:
    """A place is activated without being on record as one that may act."""
    record = Transaction.record

    def fewer(tx: Transaction, each: r.Record) -> None:
        if not isinstance(each, r.MayActAdded):
            record(tx, each)

    with put(Transaction, "record", fewer):
        yield


@contextmanager
def out_by_playbook() -> Iterator[None]:
    """A place is out as soon as its fence's playbook ended well."""
    done = endings.playbook_done

    def playbook_done(
        tx: Transaction, at_work: Run, step: Step, reason: Reason, evidence: str, event: e.StepEnded | None = None
    ) -> None:
        done(tx, at_work, step, reason, evidence, event)
        if step.kind is r.StepKind.FENCE and step.place:
            endings.out(tx, at_work, step.place, Reason.CONDITIONS_MET, evidence)

    with put(endings, "playbook_done", playbook_done):
        yield


def row(kind: r.StepKind, **traits: object) -> Callable[[], AbstractContextManager[None]]:
    """A kind of step has these traits in place of its own."""
    return lambda: put(TRAITS, kind, replace(TRAITS[kind], **traits))  # type: ignore[arg-type]


@contextmanager
def let_go_early() -> Iterator[None]:
    """A run that waits for a person lets go of what it holds."""
    holder = Decided.holder_of

    def holder_of(decided: Decided, resource: str) -> Run | None:
        found = holder(decided, resource)
        return None if found is not None and found.human is not None else found

    with put(Decided, "holder_of", holder_of):
        yield


@contextmanager
def append_of_any_epoch() -> Iterator[None]:
    """The journal takes entries from whoever held the lease once."""

    def current(self: MemoryJournal, lease: Lease) -> None:
        self._writable()

    with put(MemoryJournal, "_current", current):
        yield


@contextmanager
def target_of_any_epoch() -> Iterator[None]:
    """Targets let in whoever comes."""
    refused = Targets._refused

    def let_in(self: Targets, command: RunPlaybook, target: str, step: r.PlannedStep, now: float) -> Ending | None:
        self.epochs.pop(target, None)
        return refused(self, command, target, step, now)

    with put(Targets, "_refused", let_in):
        yield


@contextmanager
def silent_of_unguarded() -> Iterator[None]:
    """Nobody hears of what was acted upon without the epoch guard."""
    finish = endings.finish

    def finished(*given: Any, **named: Any) -> None:
        finish(*(replace(x, unguarded=()) if isinstance(x, e.StepEnded) else x for x in given), **named)

    with put(endings, "finish", finished):
        yield


@contextmanager
def telling_once() -> Iterator[None]:
    """What was to be told when the controller died is not told by the next one."""

    def resend(self: Engine, tx: Transaction) -> None:
        for unfinished in self.decided.unfinished_runs():
            run.take_over(tx, unfinished)
            tx.ask_now(steps.awaited(tx, unfinished))

    with put(Engine, "_resend", resend):
        yield


@contextmanager
def without_judging() -> Iterator[None]:
    """An incident for which no tier is left is told to nobody."""
    with put(incident, "_no_tier_left", lambda *_: None):
        yield


@contextmanager
def found_by_address() -> Iterator[None]:
    """A kept connection is found by address, port and user, as Ansible has it."""

    def name_of(_arguments: connections.Arguments, host: str, _program: str, _whom: str) -> str:
        return f"{host}-22-root"

    with put(connections, "name_of", name_of):
        yield


@contextmanager
def of_the_first_client() -> Iterator[None]:
    """Every playbook is given the inventory of the client that comes first."""
    plays = Targets.plays

    def with_the_first(self: Targets, command: RunPlaybook) -> Ending:
        first = min(place.client for place in self.world.nature.model.places.values())
        return plays(self, replace(command, client=first))

    with put(Targets, "plays", with_the_first):
        yield


ORDERING = (
    Mutant(
        "tiers",
        "a later tier while an earlier one could help",
        (17,),
        last_tier_first,
        needs=("program crashes|program hangs|power cut",),
    ),
    Mutant("steps", "the playbook before its fence", (14, 16), execute_first, needs=("power cut",)),
    Mutant(
        "journal first", "acts, then writes", (4,), act_then_write, beyond_the_core="the shell writes, and carries out"
    ),
    Mutant(
        "look first",
        "tries again without a look",
        (5, 6),
        retry_unlooked,
        needs=("playbook's end unseen|playbook hangs|" + DEATHS,),
        beyond_the_core="that a look began is on record, and not what it saw",
    ),
    Mutant("never begun", "an end unseen is taken for no beginning", (5, 6), lost_as_never_begun, needs=(DEATHS,)),
    Mutant(
        "verify",
        "answers of before the step verify it",
        (BESIDE,),
        verified_by_old_answers,
        needs=("program crashes|program hangs|power cut|cut off",),
    ),
    Mutant(
        "order",
        "dependants are attended before their dependencies",
        (BESIDE,),
        dependants_first,
        needs=("power cut|cut off|program hangs|program crashes",),
    ),
    Mutant("may act", "activates before it is on record", (16,), unannounced, needs=("power cut|cut off",)),
    Mutant("out by proof", "a playbook's end takes a place out", (16,), out_by_playbook, needs=("power cut|cut off",)),
    Mutant(
        "row: acts at",
        "the move is at work nowhere",
        (16,),
        row(r.StepKind.EXECUTE, acts_at=None),
        needs=("power cut|cut off",),
    ),
    Mutant(
        "row: proof",
        "what proves a fence takes no place out",
        (16, 20),
        row(r.StepKind.PROOF, fences=False, wanted=lambda _subject: None),
        needs=("power cut|cut off",),
        beyond_the_core="nothing comes in then, and a person is asked",
    ),
    Mutant(
        "held resource",
        "a run that waits for a person lets go",
        (7,),
        let_go_early,
        needs=(
            "program crashes of quay/kiln|program hangs of quay/kiln",
            "program crashes of quay/mill|program hangs of quay/mill",
            "playbook's end unseen of quay/kiln-mend|playbook hangs of quay/kiln-mend",
        ),
    ),
    Mutant(
        "journal's epoch",
        "the journal takes entries of any epoch",
        (1,),
        append_of_any_epoch,
        needs=(STILL,),
    ),
    Mutant(
        "target's epoch",
        "targets let in any epoch",
        (3,),
        target_of_any_epoch,
        needs=("controller stands still at an entry",),
        beyond_the_core="what a target lets in is not the core's to know",
    ),
    Mutant(
        "not guarded",
        "what keeps no epoch is on no record",
        (3,),
        silent_of_unguarded,
        needs=("power cut|cut off",),
        beyond_the_core="what the runner leaves out is not the core's to know",
    ),
    Mutant(
        "notices",
        "notices that were due die with the controller",
        (20,),
        telling_once,
        needs=("controller killed at an entry|controller stands still at an entry",),
        rest=True,
        beyond_the_core="it takes the end of everything to see",
    ),
    Mutant("kept connections", "connections are found by address alone", (21,), found_by_address),
    Mutant("inventories", "one client's playbook with another's inventory", (21,), of_the_first_client),
    Mutant("no tier left", "nobody is told that nothing helps", (20,), without_judging, rest=True),
    Mutant(
        "nothing to ask",
        "a proof that a reload took away counts",
        (16,),
        lambda: put(steps, "_shows", lambda _step: ""),
        needs=("configuration changes", "power cut|cut off"),
    ),
)
