"""What belongs together: one incident, or one planned move, with everything that was done and said.

The one rule it keeps: a story is made of records, and of nothing else (`stories.py` collects them).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from orchestrator.core import records as r
from orchestrator.core.events import TaskTime
from orchestrator.core.kinds import TRAITS, Traits
from orchestrator.core.model import Model, Service
from orchestrator.core.state import decided as d

Placed = r.PlacementChanged | r.MayActAdded | r.MayActRemoved
_DRILLS = re.compile(r"d\d+")  # their ids, with which notices about them begin
ModelOf = Callable[[str], Model | None]
"""The stored model of a digest; None when it is not there."""


@dataclass(slots=True)
class StepStory:
    """One step of a run, all its attempts."""

    planned: r.PlannedStep
    began_at: float | None = None  # None of one that is over: it never began
    ended_at: float | None = None
    attempts: int = 0
    state: r.StepState = r.StepState.PENDING
    reason: str = ""
    evidence: str = ""
    tasks: tuple[TaskTime, ...] = ()
    measures: dict[str, float] = field(default_factory=dict)
    looks: list[r.StepLooked | r.StepRetried | r.StepLeftUnseen] = field(default_factory=list)
    unguarded: tuple[str, ...] = ()

    @property
    def traits(self) -> Traits:
        """What steps of its kind are."""
        return TRAITS[self.planned.kind]

    @property
    def refused(self) -> bool:
        """Whether its only attempt was refused: nothing of it was begun."""
        return d.was_refused(self.reason, self.attempts)

    @property
    def begun(self) -> bool:
        """Whether anything of it was begun."""
        return self.attempts > 0 and not self.refused


@dataclass(slots=True)
class RunStory:
    """One execution of a move. `usual_s`: what `usual_runs` earlier live runs bound, known when it began."""

    started: r.RunStarted
    steps: dict[str, StepStory]
    usual_s: float | None = None
    usual_runs: int = 0
    ended: r.RunEnded | None = None
    human: list[tuple[float, float | None, r.RunNeedsHuman]] = field(default_factory=list)
    approved: r.RunApproved | None = None
    vouched: dict[str, r.RunApproved] = field(default_factory=dict)  # by place: who states that it cannot act
    abort: r.AbortAsked | None = None
    taken_over: list[float] = field(default_factory=list)  # when a controller began while it was on


@dataclass(slots=True)
class Episode:
    """One outage: from its first bad answer to its recovery; a relapse is another episode of the same incident."""

    opened: r.IncidentOpened | r.IncidentReopened
    verdicts: Mapping[str, r.Verdict] = field(default_factory=dict)  # then, of the service's own checks
    ended: r.IncidentEnded | None = None
    by: RunStory | None = None  # the run that its end names
    before: RunStory | None = None  # the run during which it fell, which was over when it was opened
    drill: r.DrillBegan | None = None  # of its client, under way when it fell
    fell_at: float | None = None  # when as many of its checks had fallen as it takes
    runs: list[RunStory] = field(default_factory=list)
    judged: list[r.ServiceJudged] = field(default_factory=list)
    tiers: list[r.TierJudged] = field(default_factory=list)


@dataclass(slots=True)
class Story:
    """One incident, or one planned move without an incident (then `episodes` is empty)."""

    id: str
    service: str
    episodes: list[Episode] = field(default_factory=list)
    runs: list[RunStory] = field(default_factory=list)
    words: list[r.WordAccepted | r.WordRefused] = field(default_factory=list)
    notices: list[tuple[r.NoticeDue, r.NoticeSettled | None]] = field(default_factory=list)
    dropped: dict[str, r.NoticeDropped] = field(default_factory=dict)  # by notice: it was no longer so
    checks: list[r.VerdictChanged] = field(default_factory=list)
    placements: list[r.PlacementChanged | r.MayActAdded | r.MayActRemoved | r.MoveEngaged] = field(default_factory=list)
    controllers: list[r.ControllerBegan] = field(default_factory=list)
    felled: list[str] = field(default_factory=list)  # incidents of its service that began in its planned run
    between: list[RunStory] = field(default_factory=list)  # planned ones that led it elsewhere between two outages
    model: Model | None = None
    configuration: str = ""
    began_under: Service | None = None  # of an incident: the service as it was configured when it was opened
    may_act: frozenset[str] = frozenset()  # where it might act when it began

    @property
    def of(self) -> Service | None:
        """The service as it was configured."""
        return None if self.model is None else self.model.services.get(self.service)

    @property
    def began_at(self) -> float:
        """First bad answer, or the start of the planned run."""
        return self.episodes[0].opened.first_bad_at if self.episodes else self.runs[0].started.at

    @property
    def ended_at(self) -> float | None:
        """When nothing of it was open any more; None while something is."""
        ends = [e.ended.at if e.ended else None for e in self.episodes]
        ends += [x.ended.at if x.ended else None for x in self.runs if x.started.incident or not self.episodes]
        known = [e for e in ends if e is not None]
        return max(known) if len(known) == len(ends) else None
