"""Records of what is done: runs, their steps, and where services are since.

`records.py` brings all records together, and says what holds for each of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from orchestrator.core.events import TaskTime
from orchestrator.core.kinds import StepKind
from orchestrator.core.model import Json
from orchestrator.core.reasons import Reason


class StepState(StrEnum):
    """Where one step stands; what may follow what is in `transitions.py`."""

    PENDING = "pending"
    RUNNING = "running"
    UNSEEN = "unseen"  # running when the controller stopped: its end was not seen
    LOOKING = "looking"  # the attempt has ended; its effect is being looked at
    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"


class RunState(StrEnum):
    """Where one run stands."""

    GOING = "going"
    WITH_A_PERSON = "with a person"
    ENDED = "ended"


class Origin(StrEnum):
    """Who wanted a run."""

    AUTOMATIC = "automatic"
    MANUAL = "manual"
    DRILL = "drill"


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """One step of a run as planned: `fence:acme/hq` has kind fence and place acme/hq."""

    name: str
    kind: StepKind
    place: str | None = None
    hand_over: bool = False  # fence by the move's own hand-over, not by the place's fence
    simulated: bool = False  # its playbook is played in check mode: it changes nothing, and proves little


@dataclass(frozen=True, slots=True)
class RunStarted:
    """A move begins. `plan_digest` binds approvals to exactly this plan."""

    at: float
    run: str
    service: str
    move: str
    origin: Origin
    steps: tuple[PlannedStep, ...]
    plan_digest: str
    configuration: str
    reason: Reason
    incident: str | None = None
    tier: int | None = None
    from_place: str | None = None
    to_place: str | None = None
    deadline: float | None = None
    who: str = ""
    why: str = ""
    word: str | None = None
    overrides: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    timeout_s: float = 3600.0
    asks: tuple[str, ...] = ()  # why an approval is needed, one sentence each
    approval_expires_s: float = 900.0
    drill: str = ""  # the drill that it is a part of
    cleans_by: Mapping[str, str] = field(default_factory=dict)  # of a rehearsal: clean-up step to what it plays


@dataclass(frozen=True, slots=True)
class RecheckAdded:
    """The preflight is too old: before step `before` there is a step `step` now, a recheck."""

    at: float
    run: str
    step: str
    before: str
    reason: Reason
    evidence: str

    @property
    def planned(self) -> PlannedStep:
        """The step that is added."""
        return PlannedStep(self.step, StepKind.RECHECK)


@dataclass(frozen=True, slots=True)
class StepBegan:
    """The durable intent: one attempt of one step is about to be carried out, by this machine (empty: not known)."""

    at: float
    run: str
    step: str
    attempt: int
    machine: str = ""


@dataclass(frozen=True, slots=True)
class StepLeftUnseen:
    """The controller stopped while the step ran."""

    at: float
    run: str
    step: str
    attempt: int


@dataclass(frozen=True, slots=True)
class StepLooked:
    """The attempt is proven to have ended; from `at` on, answers tell what it did."""

    at: float
    run: str
    step: str
    attempt: int
    reason: Reason
    evidence: str


@dataclass(frozen=True, slots=True)
class StepFinished:
    """A step's end, in state done, failed or skipped. `effective_at`: the answer or exit that settled it.

    `unguarded`: hosts that its playbook acted upon though no epoch could be kept there, each with why. `stats`: what
    its playbook published by `set_stats`, of the steps of a rehearsal.
    """

    at: float
    run: str
    step: str
    attempt: int
    state: StepState
    reason: Reason
    evidence: str
    tasks: tuple[TaskTime, ...] = ()
    measures: Mapping[str, float] = field(default_factory=dict)
    unguarded: tuple[str, ...] = ()
    stats: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StepRetried:
    """The step is to be attempted again, since a look showed that it had no effect or it may be repeated."""

    at: float
    run: str
    step: str
    reason: Reason
    evidence: str


@dataclass(frozen=True, slots=True)
class RunNeedsHuman:
    """The run cannot go on by itself; it keeps its resources until a person aborts or approves it.

    `cleans_by`: asked is whether it may be cleaned up by these.
    """

    at: float
    run: str
    reason: Reason
    evidence: str
    cleans_by: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RunBroken:
    """A rehearsal has failed, or was stopped: what is left of its run is its clean-up, and the proof of that."""

    at: float
    run: str
    reason: Reason
    evidence: str


@dataclass(frozen=True, slots=True)
class RunEnded:
    """The run is over and its resources are free."""

    at: float
    run: str
    ok: bool
    reason: Reason
    evidence: str


@dataclass(frozen=True, slots=True)
class RunApproved:
    """A named person approved this plan; `fenced`: the place that they state cannot act any more.

    `cleans_by`: of a rehearsal that is at its clean-up, by what it may be cleaned up from now on.
    """

    at: float
    run: str
    who: str
    why: str
    fenced: str | None = None
    cleans_by: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AbortAsked:
    """A named person wants the run to stop."""

    at: float
    run: str
    who: str
    why: str


@dataclass(frozen=True, slots=True)
class PlacementChanged:
    """The service runs there from now on."""

    at: float
    service: str
    was: str | None
    place: str
    run: str


@dataclass(frozen=True, slots=True)
class MayActAdded:
    """An intent to activate: from now on the place might be acting."""

    at: float
    service: str
    place: str
    run: str


@dataclass(frozen=True, slots=True)
class MayActRemoved:
    """The place cannot act any more: proven, or stated by a named person."""

    at: float
    service: str
    place: str
    reason: Reason
    evidence: str


@dataclass(frozen=True, slots=True)
class MoveEngaged:
    """A move that keeps its services in place took effect, or was taken back."""

    at: float
    move: str
    engaged: bool
    run: str


OfRuns = (
    RunStarted
    | RecheckAdded
    | StepBegan
    | StepLeftUnseen
    | StepLooked
    | StepFinished
    | StepRetried
    | RunNeedsHuman
    | RunBroken
    | RunEnded
    | RunApproved
    | AbortAsked
    | PlacementChanged
    | MayActAdded
    | MayActRemoved
    | MoveEngaged
)
