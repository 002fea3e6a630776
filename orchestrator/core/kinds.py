"""Kinds of steps: one row of traits each, which everything else reads, in the order that a run has them.

The one rule it keeps: how one kind differs from another stands in its row. Code that plans, waits, looks, shows, times,
runs or checks a step reads the row. So a new kind is a new row, and its place in `plan.plan_steps`. One that a move
declares beside its own playbook has its place there, and its key, by its row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, replace
from enum import IntEnum, StrEnum

from orchestrator.core.model import Combine, Condition, Fence, Isolation, Model, Move, Playbook, Rehearsal
from orchestrator.core.reasons import Reason


class StepKind(StrEnum):
    """The parts of a run, in their order. Each is a playbook, a wait for answers, or a wait for a person."""

    ISOLATE = "isolate"  # containment, where a compromise is suspected: before anybody is asked
    CONTAINED = "contained"  # its proof
    PREFLIGHT = "preflight"
    APPROVAL = "approval"
    RECHECK = "recheck"  # preflight again, after an approval
    PREPARE = "prepare"
    FENCE = "fence"
    PROOF = "proof"
    EXECUTE = "execute"
    VERIFY = "verify"
    FINISH = "finish"
    # of a rehearsal
    SURVEY = "survey"  # what is at the target
    SET_UP = "set up"
    APART = "apart"  # that nothing of what serves can be reached from there
    REHEARSE = "rehearse"
    CONFIRM = "confirm"
    CLEAN_UP = "clean up"
    RESURVEY = "survey again"  # what is at the target now, which is what was there before


class By(StrEnum):
    """What carries a step out."""

    PLAYBOOK = "playbook"
    ANSWERS = "answers"  # to questions that are asked after it began
    PERSON = "person"


class Phase(StrEnum):
    """Where a second of an outage went."""

    DETECT = "detect"
    DECIDE = "decide"
    ISOLATE = "isolate"
    HUMAN = "wait for a human"
    DEPENDENCY = "wait for a dependency"
    FENCE = "fence"
    EXECUTE = "execute"
    VERIFY = "verify"


class Reach(IntEnum):
    """How far a run has gone once such a step of it has begun."""

    QUIET = 0  # the move can still be left alone: containing a compromise is no part of it
    PREPARED = 1  # something of the move has been done, and nothing has stopped
    COMMITTED = 2  # something may have stopped for good: it goes to its end


@dataclass(frozen=True, slots=True)
class Work:
    """What a playbook step plays. `done_when`: the read-only question that tells whether it took effect."""

    playbook: Playbook
    timeout_s: float
    done_when: Condition | None
    safe_to_repeat: bool


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a step that waits for answers wants to hear. `condition` None: there is nothing to ask. `gone`: what must be
    denied beside: that which the move takes back.
    """

    condition: Condition | None
    timeout_s: float
    gone: Condition | None = None

    def checks(self) -> tuple[str, ...]:
        """The checks that are asked for it."""
        return tuple(check for asked in (self.condition, self.gone) if asked is not None for check in asked.checks())


@dataclass(frozen=True, slots=True)
class Subject:
    """What a step is of: a move of a model, perhaps a place, perhaps by the move's own hand-over."""

    model: Model
    move: Move
    place: str | None = None
    hand_over: bool = False

    @property
    def fence(self) -> Fence | None:
        """The fence that is used: the move's own hand-over, or the place's."""
        if self.place is None:
            return None
        known = self.model.places.get(self.place)  # a place taken out of the configuration may still act
        return self.move.hand_over if self.hand_over else known.fence if known else None

    @property
    def isolation(self) -> Isolation | None:
        """How the place is cut off, if its author says so."""
        known = self.model.places.get(self.place or "")
        return known.isolate if known else None

    @property
    def rehearsal(self) -> Rehearsal | None:
        """How the move is rehearsed, if its author says so."""
        return self.move.rehearse


@dataclass(frozen=True, slots=True)
class Traits:
    """One row. Of a playbook step `work`, which the configuration calls `declared`; of one that waits for answers
    `wanted`; either may have nothing (any more).

    `fails_as`: why a wait that ends without its answers fails. `destroys`: something may stop for good, so the move's
    preconditions are asked before. `contains`: it isolates a place, or shows that it is isolated; a failure of it is
    for a person to weigh. `asks_first`: it asks the move's preconditions. `fences`: it takes its place out, or shows
    that it is out. `moves`: it is the move itself. `verifies`: it waits for what the move promises. `acts_at`: which
    of the place left and the one that it leads to may act once it has begun. `beside`: it plays, or waits for, what a
    move may declare beside its own playbook, under the key `declared`. `within`: of what a move waits for, its key for
    how long. `rehearses`: it is a part of a rehearsal, which touches nothing
    that serves; where its end was not seen it has failed. `always`: it is made whatever became of those before.
    `surveys`: it lists what is at the target. `confirms`: it waits for what shows that what was rehearsed is well.
    """

    by: By
    phase: Phase
    reach: Reach = Reach.QUIET
    declared: str = "playbook"
    within: str = ""
    beside: bool = False
    work: Callable[[Subject], Work | None] = lambda _subject: None
    wanted: Callable[[Subject], Wanted | None] = lambda _subject: None
    fails_as: Reason = Reason.PREFLIGHT_FAILED
    destroys: bool = False
    contains: bool = False
    asks_first: bool = False
    fences: bool = False
    moves: bool = False
    verifies: bool = False
    acts_at: Callable[[str | None, str | None], str | None] | None = None
    rehearses: bool = False
    always: bool = False
    surveys: bool = False
    confirms: bool = False

    @property
    def played(self) -> bool:
        """Whether it is a playbook."""
        return self.by is By.PLAYBOOK

    @property
    def isolates(self) -> bool:
        """Whether it cuts its place off."""
        return self.contains and self.played

    @property
    def takes_out(self) -> bool:
        """Whether it fences its place; what follows shows that it is out."""
        return self.fences and self.played

    @property
    def proves(self) -> bool:
        """Whether it shows that its place is out."""
        return self.fences and not self.played


def _work(found: Fence | Isolation | None) -> Work | None:
    return Work(found.playbook, found.timeout_s, found.proven_when, found.safe_to_repeat) if found else None


def _proof(found: Fence | Isolation | None) -> Wanted | None:
    return Wanted(found.proven_when, found.timeout_s) if found else None


def _waits(
    key: str, within: str, phase: Phase, reach: Reach = Reach.QUIET, *, fails_as: Reason, beside: bool = False
) -> Traits:
    """The row of what a move waits for: under which key it says for what, and under which for how long."""

    def wanted(x: Subject) -> Wanted:
        return Wanted(getattr(x.move, key), getattr(x.move, f"{within}_s"))

    return Traits(By.ANSWERS, phase, reach, key, within, beside, wanted=wanted, fails_as=fails_as)


def effect_of_undone(moves: Mapping[str, Move], move: Move) -> Condition | None:
    """What shows that the effect of the move that this one takes back is still there; None: nothing does.

    What is asked before the move, and what the way back promises, is good without the effect and bad with another
    trouble: it is left out of what the author tells the effect by.
    """
    undone = moves.get(move.undoes or "")
    if undone is None or undone.done_when is None:
        return None
    before = undone.viable_when.checks() if undone.viable_when is not None else ()
    return _where_good(undone.done_when, frozenset((*move.verify.checks(), *before)))


def _where_good(condition: Condition, checks: Set[str]) -> Condition | None:
    """What is left of it to ask where these checks are good; None: it is good by them alone."""
    left = [_where_good(t, checks) if isinstance(t, Condition) else None if t in checks else t for t in condition.terms]
    terms = tuple(t for t in left if t is not None)
    good = len(left) - len(terms)
    if not terms or (good and condition.combine is Combine.ANY) or (condition.need and good >= condition.need):
        return None
    return replace(condition, terms=terms, need=condition.need and condition.need - good)


def _verified(x: Subject) -> Wanted:
    """What the move promises; of one that takes another back also that the other's effect is gone: the service may
    work by that as well.
    """
    return Wanted(x.move.verify, x.move.verify_timeout_s, effect_of_undone(x.model.moves, x.move))


def _beside(key: str, reach: Reach, acts_at: Callable[[str | None, str | None], str | None] | None = None) -> Traits:
    """The row of what a move plays beside its playbook, and declares under this key. Whether it took effect shows
    nowhere.

    Where it was taken out of the configuration while it played, its end still counts; nothing is begun by it then, as
    the plan is another.
    """

    def work(x: Subject) -> Work:
        declared: Playbook | None = getattr(x.move, key)
        return Work(declared or x.move.playbook, x.move.timeout_s, None, x.move.safe_to_repeat)

    return Traits(By.PLAYBOOK, Phase.EXECUTE, reach, declared=key, beside=True, work=work, acts_at=acts_at)


def _rehearsed(part: str, *, again: bool = False) -> Callable[[Subject], Work | None]:
    """A playbook of the rehearsal. Without one of its own the move's own playbook is what is played (in check mode)."""

    def work(x: Subject) -> Work | None:
        of = x.rehearsal
        book = getattr(of, part) if of is not None else x.move.playbook if part == "playbook" else None
        return Work(book, of.timeout_s if of is not None else x.move.timeout_s, None, again) if book else None

    return work


def _heard(part: str) -> Callable[[Subject], Wanted | None]:
    """What the rehearsal waits for."""

    def wanted(x: Subject) -> Wanted | None:
        of = x.rehearsal
        return Wanted(getattr(of, part), of.verify_timeout_s) if of is not None else None

    return wanted


_PREFLIGHT = _waits("viable_when", "preflight_timeout", Phase.DECIDE, fails_as=Reason.PREFLIGHT_FAILED)

TRAITS: Mapping[StepKind, Traits] = {
    StepKind.ISOLATE: Traits(
        By.PLAYBOOK, Phase.ISOLATE, declared="isolation", work=lambda x: _work(x.isolation), contains=True
    ),
    StepKind.CONTAINED: Traits(
        By.ANSWERS, Phase.ISOLATE, wanted=lambda x: _proof(x.isolation), fails_as=Reason.NOT_CONTAINED, contains=True
    ),
    StepKind.PREFLIGHT: replace(_PREFLIGHT, asks_first=True),
    StepKind.APPROVAL: Traits(By.PERSON, Phase.HUMAN),
    StepKind.RECHECK: replace(_PREFLIGHT, asks_first=True),
    StepKind.PREPARE: _beside("prepare", Reach.PREPARED, acts_at=lambda _left, to: to),
    StepKind.FENCE: Traits(
        By.PLAYBOOK,
        Phase.FENCE,
        Reach.COMMITTED,
        declared="fence",
        work=lambda x: _work(x.fence),
        destroys=True,
        fences=True,
    ),
    StepKind.PROOF: Traits(
        By.ANSWERS,
        Phase.FENCE,
        Reach.COMMITTED,
        wanted=lambda x: _proof(x.fence),
        fails_as=Reason.FENCE_UNPROVEN,
        fences=True,
    ),
    StepKind.EXECUTE: Traits(
        By.PLAYBOOK,
        Phase.EXECUTE,
        Reach.COMMITTED,
        work=lambda x: Work(x.move.playbook, x.move.timeout_s, x.move.done_when, x.move.safe_to_repeat),
        destroys=True,
        moves=True,
        acts_at=lambda left, to: to or left,
    ),
    StepKind.VERIFY: replace(
        _waits("verify", "verify_timeout", Phase.VERIFY, Reach.COMMITTED, fails_as=Reason.VERIFY_FAILED),
        verifies=True,
        wanted=_verified,
    ),
    StepKind.FINISH: _beside("finish", Reach.COMMITTED),
    StepKind.SURVEY: Traits(
        By.PLAYBOOK,
        Phase.EXECUTE,
        declared="survey",
        work=_rehearsed("survey", again=True),
        rehearses=True,
        surveys=True,
    ),
    StepKind.SET_UP: Traits(
        By.PLAYBOOK, Phase.EXECUTE, declared="preparation", work=_rehearsed("prepare"), rehearses=True
    ),
    StepKind.APART: Traits(
        By.ANSWERS, Phase.DECIDE, wanted=_heard("apart_when"), fails_as=Reason.NOT_APART, rehearses=True
    ),
    StepKind.REHEARSE: Traits(By.PLAYBOOK, Phase.EXECUTE, work=_rehearsed("playbook"), rehearses=True),
    StepKind.CONFIRM: Traits(
        By.ANSWERS,
        Phase.VERIFY,
        wanted=_heard("verify"),
        fails_as=Reason.NOT_CONFIRMED,
        rehearses=True,
        confirms=True,
    ),
    StepKind.CLEAN_UP: Traits(
        By.PLAYBOOK,
        Phase.EXECUTE,
        declared="clean-up",
        work=_rehearsed("clean_up", again=True),
        rehearses=True,
        always=True,
    ),
    StepKind.RESURVEY: Traits(
        By.PLAYBOOK,
        Phase.EXECUTE,
        declared="survey",
        work=_rehearsed("survey", again=True),
        rehearses=True,
        always=True,
        surveys=True,
    ),
}

BESIDE = tuple(row.declared for row in TRAITS.values() if row.beside and row.played)
"""The keys of what moves play beside their own playbooks."""
WAITED_FOR: Mapping[str, str] = {row.declared: row.within for row in TRAITS.values() if row.within}
"""What moves wait for: the key that says for what, to the key that says for how long."""


def declared_by(move: Move) -> tuple[Playbook, ...]:
    """Every playbook that the move itself declares, in the order of a run, but for its hand-over's."""
    rows = (x for x in TRAITS.values() if x.moves or (x.beside and x.played))
    declared: list[Playbook | None] = [getattr(move, x.declared) for x in rows]
    return tuple(book for book in declared if book is not None)


def rehearsed_by(move: Move) -> tuple[Playbook, ...]:
    """Every playbook of the move's rehearsal, in the order of a run, each once; none where it declares none."""
    found = [row.work(Subject(Model(""), move)) for row in TRAITS.values() if row.rehearses] if move.rehearse else []
    return tuple({work.playbook.path: work.playbook for work in found if work is not None}.values())
