"""What the world tells the core: frozen, past tense, each with the time axis of the journal.

The one rule it keeps: an event carries what was seen and when it was asked. It never carries an opinion. Times called
`..._at` are seconds on the journal's axis (see `docs/architecture.md`), durations are seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

from orchestrator.core.model import Json, Model
from orchestrator.core.schedules import Pick


class Answer(StrEnum):
    """One answer of a probe."""

    GOOD = "good"
    BAD = "bad"  # somebody answered, and it was not good enough
    SILENT = "silent"  # asked, and nothing came back in time: a bad answer, if it is not me
    NONE = "none"  # could not ask, crashed, was killed: unknown


class Observed(NamedTuple):
    """One observation.

    A tuple, and no dataclass as its neighbours: one is made for every answer, and a frozen dataclass takes three times
    as long to make. `measures` is the core's from then on: whoever made it does not change it any more.
    """

    check: str
    sent_at: float
    answer: Answer
    measures: Mapping[str, float] = MappingProxyType({})  # rtt_s, lag_s, lag_bytes, data_age_s, …
    detail: str = ""  # what an operator should read: "HTTP 503: database is read-only"
    way_gone: bool = False  # it could not be asked for want of the interface or the address to ask from


class AttemptEnd(StrEnum):
    """How a step attempt ended, as the runner saw it."""

    OK = "ok"
    FAILED = "failed"
    UNREACHABLE = "unreachable"
    TIMED_OUT = "timed out"
    CANCELLED = "cancelled"
    COULD_NOT_START = "could not start"
    PLAN_CHANGED = "plan changed"
    STALE_EPOCH = "stale epoch"
    NEVER_BEGUN = "never begun"  # its intent is on record, and it is proven that nothing came of it
    LOST = "lost"  # it is proven to have ended, but not how


@dataclass(frozen=True, slots=True, order=True)
class StepKey:
    """Names one attempt of one step of one run."""

    run: str
    step: str
    attempt: int

    def __str__(self) -> str:
        return f"{self.run}/{self.step}/{self.attempt}"


@dataclass(frozen=True, slots=True)
class TaskTime:
    """One Ansible task on one host, as it was timed. `status`: ok, changed, failed, unreachable, skipped, ignored."""

    name: str
    host: str
    status: str
    started_s: float  # since the start of the step
    took_s: float


@dataclass(frozen=True, slots=True)
class StepProgressed:
    """A running playbook step got on; shown live, not recorded."""

    key: StepKey
    task: TaskTime


@dataclass(frozen=True, slots=True)
class StepEnded:
    """An attempt is over: nothing of it runs any more on this side.

    `detail` is the playbook's own error, with task and host; `tasks` its per-task times; `unguarded` the hosts that it
    acted upon though no epoch could be kept there, each with why; `stats` what it published by `set_stats`.
    """

    key: StepKey
    outcome: AttemptEnd
    detail: str = ""
    tasks: tuple[TaskTime, ...] = ()
    unguarded: tuple[str, ...] = ()
    stats: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StepAdopted:
    """After a restart: the attempt is still running and its end will be reported."""

    key: StepKey


class WordKind(StrEnum):
    """What an operator can say."""

    FAILOVER = "failover"
    FAILBACK = "failback"
    APPROVE = "approve"
    REJECT = "reject"
    ABORT = "abort"
    HOLD = "hold"
    RESUME = "resume"
    MAINTENANCE = "maintenance"
    MAINTENANCE_END = "maintenance end"
    SUSPECT = "suspect"  # compromise suspected
    CLEAR = "clear"
    DRILL = "drill"
    DRILL_CANCEL = "drill cancel"
    FINDING = "finding"  # something is to be improved
    FINDING_CLOSE = "finding close"
    NO_FINDINGS = "no findings"


STANDING = (
    WordKind.HOLD,
    WordKind.RESUME,
    WordKind.MAINTENANCE,
    WordKind.MAINTENANCE_END,
    WordKind.SUSPECT,
    WordKind.CLEAR,
)
"""About a service, a client or everything. They are heard alike: what one of them does, its record does (`fold.py`)."""
SAYING = (WordKind.FINDING,)
"""Their text is what they say: the verb takes it after the subject, and not as a reason."""
OF_RUNS = (WordKind.APPROVE, WordKind.REJECT, WordKind.ABORT)
"""Their subject is a run; that of all others but these a service, a client or everything."""
OF_DRILLS = (WordKind.DRILL_CANCEL,)
"""Their subject is a drill."""
OF_FINDINGS = (WordKind.FINDING, WordKind.FINDING_CLOSE, WordKind.NO_FINDINGS)
"""Their subject is what a report is of, an incident, a run or a drill; or a finding."""


@dataclass(frozen=True, slots=True)
class Peer:
    """Who spoke, as the kernel says: the process at the other end, its user, and the login its session began with.

    `claims` is what that process says of itself ($SUDO_USER): kept, and believed by nobody.
    """

    pid: int
    uid: int
    login: str = ""  # the user's name; empty: it has none here
    session: str = ""  # the login name of the session, which sudo does not change; empty: the kernel knows of none
    claims: str = ""

    def __str__(self) -> str:
        name = f" ({self.login})" if self.login else ""
        session = f", session of {self.session}" if self.session and self.session != self.login else ""
        claims = f", says it acts for {self.claims}" if self.claims and self.claims != self.session else ""
        return f"process {self.pid} of user {self.uid}{name}{session}{claims}"


@dataclass(frozen=True, slots=True)
class WordSpoken:
    """Something a named person said. `subject`: service id, run id, client, or `*` for all.

    `options`: failover {move, fence: bool, override: [guard…]}; approve {fenced: place id}; maintenance {for_s}; drill
    {move, kind, fence: bool, stays_s, within_s}; finding {owner: person id, due: date, in_s, internal: bool}.
    `named`: the name was given with the word, and not taken from the account that it came from.
    """

    id: str
    kind: WordKind
    who: str
    subject: str
    why: str = ""
    options: Mapping[str, Json] = field(default_factory=dict)
    named: bool = False
    peer: Peer | None = None


@dataclass(frozen=True, slots=True)
class PlaybooksRead:
    """What playbooks are made of was read again. `found`: digest in force to what differs by now, in a sentence.

    An empty sentence: it is as it was decided upon.
    """

    found: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ConfigurationLoaded:
    """A valid configuration is here. The model itself is stored by its digest."""

    model: Model


@dataclass(frozen=True, slots=True)
class ControllerStarted:
    """A controller took the lease. `same_boot`: the machine has not restarted, so detector streaks still count.

    `assumed_gap_s`: how much of the axis was taken from the wall clock, and so expires nothing. `machine`: the one that
    carries out what it begins. `workspace`: what its epochs are to be known by on targets, if nothing is on record, or
    if an operator wants them counted `anew`.
    """

    controller: str
    epoch: int
    boot: str
    same_boot: bool
    assumed_gap_s: float = 0.0
    machine: str = ""
    workspace: str = ""
    anew: bool = False


NOT_BY = "; not, or not yet: "  # in what is said of a delivery, before the ways that have not worked


@dataclass(frozen=True, slots=True)
class NoticeDelivered:
    """Somebody was told."""

    notice: str
    through: str


@dataclass(frozen=True, slots=True)
class NoticeFailed:
    """Nobody could be told by any way, after all retries."""

    notice: str
    detail: str


@dataclass(frozen=True, slots=True)
class MaintenanceBegan:
    """A calendar's window opened; `subject` as in words."""

    subject: str
    window: str
    ends_at: float


@dataclass(frozen=True, slots=True)
class MaintenanceEnded:
    """A calendar's window closed."""

    subject: str
    window: str


@dataclass(frozen=True, slots=True)
class CalendarRead:
    """What was due by the schedules on record is told; from `wall` on those of the model in force count."""

    wall: str


@dataclass(frozen=True, slots=True)
class DrillNear:
    """One of a schedule's drills is ahead, and whoever is to know of it beforehand may be told now."""

    schedule: str
    occurrence: str


@dataclass(frozen=True, slots=True)
class DrillSealed:
    """A surprise was drawn. `seal`: the hash of what was drawn, which its seed opens; nobody is told anything else."""

    schedule: str
    occurrence: str
    seal: str


@dataclass(frozen=True, slots=True)
class DrillDue:
    """The time of a drill has come. `closes_at`: until when it may begin. `picks`: what to drill, the best first."""

    schedule: str
    occurrence: str
    closes_at: float
    picks: tuple[Pick, ...]


@dataclass(frozen=True, slots=True)
class DrillsPassed:
    """The times in which these might have begun are over: none of them begins any more.

    `drawn`: of a surprise, what had been drawn.
    """

    schedule: str
    occurrences: tuple[str, ...]
    drawn: str = ""


@dataclass(frozen=True, slots=True)
class Ticked:
    """Nothing happened; it is later now."""


MANY = (Observed, NoticeDelivered, NoticeFailed)
"""What comes by the hundred at once when much fails: deciding may wait for the last of them."""

Event = (
    Observed
    | StepProgressed
    | StepEnded
    | StepAdopted
    | WordSpoken
    | PlaybooksRead
    | ConfigurationLoaded
    | ControllerStarted
    | NoticeDelivered
    | NoticeFailed
    | MaintenanceBegan
    | MaintenanceEnded
    | CalendarRead
    | DrillNear
    | DrillSealed
    | DrillDue
    | DrillsPassed
    | Ticked
)
