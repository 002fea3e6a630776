"""What is remembered: the records whose fold is the decided state, and whose list is the story of an incident.

The one rule it keeps: a record says what happened or was decided, why (`reason`) and on what evidence, so that it can
be read years later without the program. It is never changed, and its fields only grow, with defaults. Every record is
stamped with `at`, seconds on the journal's axis. Wall stamps stand beside it in the entry.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from orchestrator.core.commands import NoticeKind
from orchestrator.core.events import Peer, TaskTime, WordKind
from orchestrator.core.kinds import StepKind as StepKind
from orchestrator.core.model import DrillKind, Json
from orchestrator.core.reasons import Reason


class Verdict(StrEnum):
    """What a check, or a condition over checks, says after its thresholds."""

    UP = "up"
    DEGRADED = "degraded"
    DOWN = "down"
    UNKNOWN = "unknown"


class Decision(StrEnum):
    """What policy and ladder said of a service in an incident."""

    ACT = "act"
    WAIT = "wait"
    ASK = "ask"
    REFRAIN = "refrain"  # observe, hold, maintenance, brakes


class TierState(StrEnum):
    """Where one rung of a ladder stands in an incident."""

    WAITING = "waiting"
    INELIGIBLE = "ineligible"
    RUNNING = "running"
    FAILED = "failed"
    RECOVERED = "recovered"


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
class ControllerBegan:
    """A controller took over with this epoch; steps that were running are unseen from now on.

    `machine`: the one that carries out what it begins. `workspace`: what its epochs are known by on targets; empty in
    records of versions that kept it in a file.
    """

    at: float
    controller: str
    epoch: int
    boot: str
    same_boot: bool
    assumed_gap_s: float
    machine: str = ""
    workspace: str = ""


@dataclass(frozen=True, slots=True)
class Configured:
    """A model is in force. `homes`: service id to its home place, for services that are new."""

    at: float
    digest: str
    homes: Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class VerdictChanged:
    """A check's verdict changed. `first_bad_at`: oldest bad answer of the unbroken streak behind a down."""

    at: float
    check: str
    was: Verdict
    verdict: Verdict
    first_bad_at: float | None
    evidence: str
    measures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class IncidentOpened:
    """A service is down. `detected_at` is when the deciding verdict fell."""

    at: float
    incident: str
    service: str
    first_bad_at: float
    place: str | None
    evidence: str
    last_good_at: float | None = None


@dataclass(frozen=True, slots=True)
class IncidentReopened:
    """A relapse soon after the recovery: the same incident, another outage. `first_bad_at`: of this outage."""

    at: float
    incident: str
    first_bad_at: float
    place: str | None
    evidence: str
    last_good_at: float | None = None


@dataclass(frozen=True, slots=True)
class IncidentEnded:
    """The service works again. `recovered_at`: the good answer that showed it.

    `rta_s` = recovered − the incident's first bad answer: after a relapse that includes what lay between, when it
    worked. `outage_s`: this outage alone; `down_s`: all outages of the incident together. `run`: the run that it is put
    down to, or beside which it came (`reason` says which). `unseen_s`: for so long before the first good answer nothing
    was heard of a check that had been bad: it may have worked since. `well_s`: for so long its checks had been good,
    while what was at work for it, or waited for a person, had not ended. `doubted_s`: for so long, beside these, it was
    judged that whether it is down is not known: too few vantages saw it down, or none saw anything.
    """

    at: float
    incident: str
    reason: Reason
    evidence: str
    recovered_at: float
    rta_s: float
    outage_s: float | None = None
    down_s: float | None = None
    run: str | None = None
    unseen_s: float = 0.0
    well_s: float = 0.0
    doubted_s: float = 0.0

    @property
    def perhaps_s(self) -> float:
        """So long of its outage it may have worked."""
        return self.unseen_s + self.well_s + self.doubted_s


@dataclass(frozen=True, slots=True)
class ServiceJudged:
    """Policy's answer for a service in an incident; written when decision, reason or evidence changes."""

    at: float
    incident: str
    decision: Decision
    reason: Reason
    evidence: str


@dataclass(frozen=True, slots=True)
class TierJudged:
    """One tier's state in an incident, with its reason."""

    at: float
    incident: str
    tier: int  # from 1
    move: str
    state: TierState
    reason: Reason
    evidence: str


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
    """The run cannot go on by itself; it keeps its resources until a person aborts or approves it."""

    at: float
    run: str
    reason: Reason
    evidence: str


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
    """A named person approved this plan; `fenced`: the place that they state cannot act any more."""

    at: float
    run: str
    who: str
    why: str
    fenced: str | None = None


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


@dataclass(frozen=True, slots=True)
class ServiceFrozen:
    """Too many automatic moves: nothing automatic for this service until a person resumes it."""

    at: float
    service: str
    reason: Reason
    evidence: str


@dataclass(frozen=True, slots=True)
class WordAccepted:
    """An operator's word took effect."""

    at: float
    word: str
    kind: WordKind
    who: str
    subject: str
    why: str
    reason: Reason
    evidence: str
    run: str | None = None
    ends_at: float | None = None
    overrides: tuple[str, ...] = ()  # guards that the person goes against, by their reason words
    person: str = ""  # id of the person whom the name means; empty: it is nobody's of the people declared
    peer: Peer | None = None  # who it was said by, as the kernel says


@dataclass(frozen=True, slots=True)
class WordRefused:
    """An operator's word was refused, by this rule and on this evidence."""

    at: float
    word: str
    kind: WordKind
    who: str
    subject: str
    why: str
    reason: Reason
    evidence: str
    person: str = ""
    peer: Peer | None = None


@dataclass(frozen=True, slots=True)
class DrillBegan:
    """A drill begins. A functional one is one run; a full-scale one is two: there, and `back`.

    `place`: where the service is, and will be again. `stays_s`: how long it stays there before it goes back.
    `within_s`: for so long, after it has moved, it may take until it is back. `scheduled`: the schedule it is of, and
    `occurrence`, which of its times (ISO 8601, UTC); empty: a person wanted it. `drawn`: by what it was chosen.
    """

    at: float
    drill: str
    kind: DrillKind
    service: str
    move: str
    configuration: str
    reason: Reason
    place: str | None = None
    back: str | None = None
    stays_s: float = 0.0
    within_s: float = 0.0
    who: str = ""
    why: str = ""
    word: str | None = None
    scheduled: str = ""
    occurrence: str = ""
    drawn: str = ""


@dataclass(frozen=True, slots=True)
class DrillTurnedBack:
    """From now on the drill is on its way to how things were before: its time is over, or it must not go on."""

    at: float
    drill: str
    reason: Reason
    evidence: str


@dataclass(frozen=True, slots=True)
class DrillEnded:
    """The drill is over. `ok`: all that it was to show was shown, and things are as they were before.

    `returned`: whether the service is where it was, by records; None: nothing had been moved.
    """

    at: float
    drill: str
    ok: bool
    reason: Reason
    evidence: str
    returned: bool | None = None


@dataclass(frozen=True, slots=True)
class FindingOpened:
    """A named person says what is to be improved after `about`, an incident, a run or a drill.

    `owner`: id of the person who sees to it, by `due`, a date; `due_at`: the end of that day. `internal`: not for the
    client's eyes.
    """

    at: float
    finding: str
    about: str
    service: str
    text: str
    owner: str
    due: str
    due_at: float
    who: str
    internal: bool = False


@dataclass(frozen=True, slots=True)
class FindingClosed:
    """A named person says that it is seen to, and how."""

    at: float
    finding: str
    about: str
    service: str
    who: str
    why: str
    internal: bool = False


@dataclass(frozen=True, slots=True)
class NothingFound:
    """A named person says that nothing is to be improved after `about`."""

    at: float
    about: str
    service: str
    who: str
    why: str


@dataclass(frozen=True, slots=True)
class PlaybookSeen:
    """What the playbook of this digest is made of differs on disk: it is not run. Without evidence: no more."""

    at: float
    digest: str
    evidence: str


@dataclass(frozen=True, slots=True)
class WindowOpened:
    """An announced maintenance window began."""

    at: float
    subject: str
    window: str
    ends_at: float


@dataclass(frozen=True, slots=True)
class WindowClosed:
    """An announced maintenance window ended."""

    at: float
    subject: str
    window: str


@dataclass(frozen=True, slots=True)
class NoticeDue:
    """Somebody is to be told."""

    at: float
    notice: str
    kind: NoticeKind
    client: str
    subject: str
    text: str
    say: str = ""
    to: tuple[str, ...] = ()
    details: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NoticeSettled:
    """Somebody was told, or could not be."""

    at: float
    notice: str
    delivered: bool
    evidence: str


@dataclass(frozen=True, slots=True)
class NoticeRepeated:
    """A notice that reached nobody is being told again."""

    at: float
    notice: str


@dataclass(frozen=True, slots=True)
class NoticeDropped:
    """A notice that reached nobody is told no more: what it says is not so any longer."""

    at: float
    notice: str
    evidence: str


Record = (
    ControllerBegan
    | Configured
    | VerdictChanged
    | IncidentOpened
    | IncidentReopened
    | IncidentEnded
    | ServiceJudged
    | TierJudged
    | RunStarted
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
    | ServiceFrozen
    | WordAccepted
    | WordRefused
    | DrillBegan
    | DrillTurnedBack
    | DrillEnded
    | FindingOpened
    | FindingClosed
    | NothingFound
    | PlaybookSeen
    | WindowOpened
    | WindowClosed
    | NoticeDue
    | NoticeSettled
    | NoticeRepeated
    | NoticeDropped
)

RECORDS: dict[str, type] = {kind.__name__: kind for kind in Record.__args__}
