"""What is decided of steps, runs, incidents, services and the whole workspace: the nouns of the decided state.

The one rule it keeps: nothing here changes anything. `decided.apply` alone does, so that `decided == fold(records)`.
The state is mutable for speed; to try something, work on `copy.deepcopy`. Raw answers are in `detector.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from orchestrator.core import records as r
from orchestrator.core.events import StepKey, TaskTime
from orchestrator.core.kinds import TRAITS, By, Reach, Traits
from orchestrator.core.model import Json
from orchestrator.core.reasons import Reason
from orchestrator.core.state.drills_decided import Drill as Drill
from orchestrator.core.state.drills_decided import DueDrill as DueDrill
from orchestrator.core.state.drills_decided import ScheduleState as ScheduleState
from orchestrator.core.state.finding import Findings

EVERYTHING = "*"


class IllegalRecord(Exception):
    """A record that cannot follow what came before: the journal is damaged, or the engine has a defect."""


def was_refused(reason: str | None, attempts: int) -> bool:
    """Whether a step's only attempt was refused for a plan that was edited: the runner compares before it begins."""
    return reason == Reason.PLAN_CHANGED and attempts <= 1


@dataclass(slots=True)
class Step:
    """One step of a run."""

    name: str
    kind: r.StepKind
    place: str | None = None
    hand_over: bool = False
    state: r.StepState = r.StepState.PENDING
    attempt: int = 0
    began_at: float | None = None  # of the first attempt
    attempt_at: float | None = None  # of this attempt
    machine: str = ""  # that was to carry this attempt out
    looked_at: float | None = None
    looked_attempt: int = 0  # the latest attempt whose effect was looked at
    ended_at: float | None = None
    reason: Reason | None = None
    evidence: str = ""
    tasks: tuple[TaskTime, ...] = ()
    unguarded: tuple[str, ...] = ()  # hosts acted upon without the epoch guard, each with why
    simulated: bool = False  # played in check mode
    stats: Mapping[str, Json] = field(default_factory=dict)  # what its playbook published

    @property
    def traits(self) -> Traits:
        """What steps of its kind are."""
        return TRAITS[self.kind]

    @property
    def over(self) -> bool:
        """Whether it needs nothing any more."""
        return self.state in (r.StepState.DONE, r.StepState.FAILED, r.StepState.SKIPPED)

    @property
    def refused(self) -> bool:
        """See `was_refused`."""
        return was_refused(self.reason, self.attempt)

    @property
    def begun(self) -> bool:
        """Whether anything of it was begun."""
        return self.attempt > 0 and not self.refused

    @property
    def took_s(self) -> float | None:
        """From the first attempt's start to the end."""
        return None if self.began_at is None or self.ended_at is None else self.ended_at - self.began_at


@dataclass(slots=True)
class Run:
    """One execution of a move for one service."""

    started: r.RunStarted
    steps: list[Step]
    ended: r.RunEnded | None = None
    broken: r.RunBroken | None = None  # it has failed, and is cleaned up
    human: r.RunNeedsHuman | None = None
    approved: r.RunApproved | None = None
    fenced_by_hand: dict[str, r.RunApproved] = field(default_factory=dict)  # by place: who stated it, and why
    abort: r.AbortAsked | None = None
    broken_off_at: float | None = None  # last a person was waited for, or nobody watched: no measure of what it takes

    @property
    def id(self) -> str:
        """Its id."""
        return self.started.run

    @property
    def state(self) -> r.RunState:
        """Where it stands."""
        if self.ended is not None:
            return r.RunState.ENDED
        return r.RunState.GOING if self.human is None else r.RunState.WITH_A_PERSON

    def goes_to_a_person(self, why: r.RunNeedsHuman) -> None:
        """It waits, and how long is no measure of it."""
        self.human, self.broken_off_at = why, why.at

    def measured_since(self, at: float) -> bool:
        """Whether what it took since then is a measure: somebody watched, and nobody was waited for in its middle."""
        return self.broken_off_at is None or self.broken_off_at < at

    def step(self, name: str) -> Step:
        """The step of this name."""
        for step in self.steps:
            if step.name == name:
                return step
        raise IllegalRecord(f"run {self.id} has no step {name!r}; it has {[s.name for s in self.steps]}")

    def current(self) -> Step | None:
        """The first step that is not over."""
        return next((s for s in self.steps if not s.over), None)

    @property
    def rehearses(self) -> bool:
        """Whether it is a rehearsal: it is at nothing that its service stands on."""
        return any(s.traits.rehearses for s in self.steps)

    @property
    def made_something(self) -> bool:
        """Of a rehearsal: whether a playbook was begun that does more than to survey."""
        return any(s.begun and s.traits.played and not s.traits.surveys for s in self.steps)

    @property
    def fences(self) -> list[Step]:
        """Its steps that take a place out."""
        return [s for s in self.steps if s.traits.takes_out]

    @property
    def execute(self) -> Step | None:
        """Its step that is the move itself."""
        return next((s for s in self.steps if s.traits.moves), None)

    @property
    def verify(self) -> Step | None:
        """Its step that waits for what the move promises."""
        return next((s for s in self.steps if s.traits.verifies), None)

    @property
    def asks_a_person(self) -> bool:
        """Whether it is at a step that a person has to settle."""
        step = self.current()
        return step is not None and step.traits.by is By.PERSON

    @property
    def is_at_work(self) -> bool:
        """Whether it goes on by itself at this moment: one that waits for a person is at no work."""
        return self.human is None and not self.asks_a_person

    @property
    def at_what(self) -> str:
        """What it does at this moment."""
        return "is at work" if self.is_at_work else "waits for a person"

    @property
    def approved_at(self) -> float | None:
        """When the approval that it asked for was given; None while it was not, or none was needed."""
        step = next((s for s in self.steps if s.traits.by is By.PERSON), None)
        return step.ended_at if step is not None and step.state is r.StepState.DONE else None

    @property
    def failed(self) -> bool:
        """Whether a step of it failed, or it had begun to change anything: else it was not made at all."""
        return any(
            (s.state is r.StepState.FAILED and not s.refused) or (s.begun and s.traits.reach > Reach.QUIET)
            for s in self.steps
        )

    @property
    def verified_at(self) -> float | None:
        """When its verify was answered well; None while it was not. What is left to do then is tidying up."""
        step = self.verify
        return step.ended_at if step is not None and step.state is r.StepState.DONE else None

    @property
    def past_the_fence(self) -> bool:
        """Whether anything of the move has begun that changes the world; containing a compromise is none of it."""
        return any(s.attempt > 0 and s.traits.reach > Reach.QUIET for s in self.steps)  # a skipped step was never begun

    @property
    def committed(self) -> bool:
        """Whether a fence, or the move itself, has begun: it goes to its end then. Preparing stops nothing yet."""
        return any(s.attempt > 0 and s.traits.reach is Reach.COMMITTED for s in self.steps)

    @property
    def isolating(self) -> bool:
        """Whether a place is being cut off at this moment: nothing else may end the run meanwhile."""
        return any(s.traits.isolates and s.attempt > 0 and not s.over for s in self.steps)


@dataclass(slots=True)
class TierLedger:
    """Where one tier stands in an incident."""

    move: str
    state: r.TierState
    reason: Reason
    evidence: str
    at: float


@dataclass(slots=True)
class Incident:
    """From the first bad answer to verified recovery, or to a human."""

    id: str
    service: str
    first_bad_at: float  # of the whole incident
    opened_at: float
    episode_first_bad_at: float  # of the present outage, after a relapse
    episode_opened_at: float
    last_good_at: float | None
    place: str | None
    evidence: str
    episodes: int = 1
    tiers: dict[int, TierLedger] = field(default_factory=dict)
    runs: list[str] = field(default_factory=list)
    judged: r.ServiceJudged | None = None
    ended: r.IncidentEnded | None = None
    earlier_s: float = 0.0  # without service in the outages before the present one
    earlier_perhaps_s: float = 0.0  # so long of that it may have worked
    unheard_s: float | None = 0.0  # nothing good was heard for so long before an outage's first bad answer; None: never
    dark_since: float | None = None  # since when, unbroken, it is judged that whether it is down is not known
    dark_s: float = 0.0  # the same, before that, of the present outage

    @property
    def clock_at(self) -> float:
        """Where its clock would have begun if its outages were one: what it worked in between counts for nothing."""
        return self.episode_first_bad_at - self.earlier_s

    def doubted_s(self, now: float) -> float:
        """How long, of the present outage, it was not known to be down."""
        return self.dark_s + (now - self.dark_since if self.dark_since is not None else 0.0)


@dataclass(slots=True)
class ServiceState:
    """What was decided of one service."""

    place: str | None
    may_act: set[str] = field(default_factory=set)
    incident: str | None = None  # the open one
    last_incident: str | None = None
    recovered_at: float | None = None
    moved_at: float | None = None  # when its last planned move was verified: by answers, and not yet by a verdict
    healthy_since: float | None = None
    left: dict[str, float] = field(default_factory=dict)  # place or move: when it was left because it failed
    automatic_moves: list[float] = field(default_factory=list)
    resumed_at: float = 0.0
    frozen: r.ServiceFrozen | None = None
    formerly: list[tuple[float, str | None]] = field(default_factory=list)  # until when it was where, the latest last

    @property
    def taken_out(self) -> bool:
        """Whether the place on record was proven, or stated, to be out, and nothing was led elsewhere since."""
        return self.place is not None and self.place not in self.may_act

    @property
    def stands(self) -> str:
        """Where it is, as far as records tell: what follows "the service is"."""
        if not self.taken_out:
            return f"at {self.place or 'no place that was recorded'}"
        others = f"{', '.join(sorted(self.may_act))} may act" if self.may_act else "no other place may act"
        return f"on record at {self.place}, which counts as out, and {others}"

    def place_at(self, at: float) -> str | None:
        """Where it was at that time, as far back as it is remembered."""
        return next((place for until, place in self.formerly if until > at), self.place)


@dataclass(slots=True)
class Notice:
    """One thing somebody is to be told."""

    due: r.NoticeDue
    settled: r.NoticeSettled | None = None
    failed_at: float | None = None  # it reached nobody, and is to be told again
    failures: int = 0


@dataclass(slots=True)
class Lacking:
    """What a client was told that it lacks, of one kind: each subject, and when; and when anything of it was told."""

    subjects: dict[str, float] = field(default_factory=dict)
    told_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Unheard:
    """The last notice of a client did not reach everybody; `delivered`: it reached somebody."""

    at: float
    notice: str
    evidence: str
    delivered: bool


@dataclass(slots=True)
class Decided:
    """Everything decided, for all clients of the workspace."""

    configuration: str = ""
    controller: r.ControllerBegan | None = None
    epoch: int = 0
    workspace: str = ""  # what its epochs are known by on targets
    services: dict[str, ServiceState] = field(default_factory=dict)
    verdicts: dict[str, r.VerdictChanged] = field(default_factory=dict)
    fell: dict[str, r.VerdictChanged] = field(default_factory=dict)  # each check's latest down, also after it ended
    fell_before: dict[str, tuple[r.VerdictChanged, ...]] = field(default_factory=dict)  # its earlier ones of late
    incidents: dict[str, Incident] = field(default_factory=dict)
    runs: dict[str, Run] = field(default_factory=dict)
    drills: dict[str, Drill] = field(default_factory=dict)
    schedules: dict[str, ScheduleState] = field(default_factory=dict)
    findings: Findings = field(default_factory=Findings)
    engaged: dict[str, str] = field(default_factory=dict)  # move id: the run that engaged it
    holds: dict[str, r.WordAccepted] = field(default_factory=dict)  # service id, client, or `*`
    maintenance: dict[str, float] = field(default_factory=dict)  # the same, or `subject#window`: ends at
    suspected: dict[str, r.WordAccepted] = field(default_factory=dict)
    words: dict[str, r.WordAccepted | r.WordRefused] = field(default_factory=dict)
    notices: dict[str, Notice] = field(default_factory=dict)
    told: dict[str, float] = field(default_factory=dict)  # ids of notices that were due, and when
    edited: dict[str, str] = field(default_factory=dict)  # digest of a playbook in force: what differs on disk
    durations: dict[str, list[float]] = field(default_factory=dict)  # `move` and `move/step`: live seconds
    drilled: dict[str, list[float]] = field(default_factory=dict)  # the same, in drills
    lacking: dict[str, Lacking] = field(default_factory=dict)  # `client#kind of lack`: see `readiness.py`
    unheard: dict[str, Unheard] = field(default_factory=dict)  # client: its last notice, where it did not reach all
    incident_count: int = 0
    run_count: int = 0
    drill_count: int = 0

    @property
    def machine(self) -> str:
        """The machine that carries out what begins now; empty: not known."""
        return self.controller.machine if self.controller is not None else ""

    def open_incidents(self) -> list[Incident]:
        """Incidents without an end, oldest first."""
        found = [i for i in self.incidents.values() if i.ended is None]
        return sorted(found, key=lambda i: (i.episode_opened_at, i.id))

    def unfinished_runs(self) -> list[Run]:
        """Runs without an end, oldest first."""
        found = [x for x in self.runs.values() if x.ended is None]
        return sorted(found, key=lambda x: (x.started.at, x.id))

    def run_for(self, service: str) -> Run | None:
        """The unfinished run of this service; a rehearsal is at nothing of it."""
        return next((x for x in self.unfinished_runs() if x.started.service == service and not x.rehearses), None)

    def unfinished_drills(self) -> list[Drill]:
        """Drills without an end, oldest first."""
        found = [x for x in self.drills.values() if x.ended is None]
        return sorted(found, key=lambda x: (x.began.at, x.id))

    def drill_for(self, service: str) -> Drill | None:
        """The unfinished drill of this service."""
        return next((x for x in self.unfinished_drills() if x.began.service == service), None)

    def holder_of(self, resource: str) -> Run | None:
        """The unfinished run that holds this resource; time never releases it."""
        return next((x for x in self.unfinished_runs() if resource in x.started.resources), None)


def covers(subject: str, service: str) -> bool:
    """Whether a word about `subject` (service id, client, or `*`) is about this service."""
    return subject in (EVERYTHING, service) or service.startswith(subject + "/")


def isolated_places(decided: Decided, service: str) -> dict[str, str]:
    """Places that were cut off for this service's client since its suspicion was spoken, and the run that did it."""
    spoken = [word.at for subject, word in decided.suspected.items() if covers(subject, service)]
    client, found = service.partition("/")[0], dict[str, str]()
    for run in decided.runs.values() if spoken else ():
        if not covers(client, run.started.service):
            continue
        for step in run.steps:
            done = step.traits.isolates and step.state is r.StepState.DONE and step.place is not None
            if done and step.place and step.ended_at is not None and step.ended_at >= min(spoken):
                found[step.place] = run.id
    return found


def step_key(run: Run, step: Step) -> StepKey:
    """The key of the step's present attempt."""
    return StepKey(run.id, step.name, step.attempt)
