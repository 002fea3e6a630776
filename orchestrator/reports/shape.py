"""The shape of an account: the parts of every report of an incident or a planned move.

The one rule it keeps: each figure carries how it is known. Times are seconds after the account's zero (the first bad
answer, or the start of a planned move), so that an account can be compared with another.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Known(StrEnum):
    """How a figure is known."""

    MEASURED = "measured"
    PREDICTED = "predicted"
    ASSUMED = "assumed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Figure:
    """A number of seconds, how it is known, and from where. `at_most`: it is a bound, for it may have been less.

    `counted_s`: so much of it was measured, where the rest is time in which it may have grown; None: all of it.
    Whoever gives that gives `at_most` too.
    """

    seconds: float | None
    known: Known
    source: str
    at_most: bool = False
    counted_s: float | None = None

    def within(self, objective_s: float | None) -> bool | None:
        """Whether it is no more than this; None: that is not known, or there is nothing to hold it against."""
        if self.seconds is None or objective_s is None:
            return None
        if self.seconds <= objective_s:
            return True
        return False if self.counted_s is None or self.counted_s > objective_s else None


@dataclass(frozen=True, slots=True)
class PhaseLine:
    """Seconds of a phase; `share` of the RTO, None without one."""

    phase: str
    seconds: float
    share: float | None


@dataclass(frozen=True, slots=True)
class Stretch:
    """An unbroken stretch of a phase."""

    phase: str
    from_s: float
    to_s: float
    run: str | None
    step: str | None


@dataclass(frozen=True, slots=True)
class TaskLine:
    """One task of a playbook on one host."""

    name: str
    host: str
    status: str
    from_s: float
    took_s: float


@dataclass(frozen=True, slots=True)
class StepLine:
    """One step; one that never began has no times.

    `budget_left_s`: of the RTO, when the step ended (or now); negative once it is missed.
    `unguarded`: hosts that it acted upon without the epoch guard, each with why.
    """

    run: str
    step: str
    kind: str
    state: str
    attempts: int
    from_s: float | None
    to_s: float | None
    took_s: float | None
    share: float | None
    budget_left_s: float | None
    reason: str
    evidence: str
    measures: Mapping[str, float]
    tasks: tuple[TaskLine, ...]
    looks: tuple[str, ...]
    unguarded: tuple[str, ...] = ()
    at_most: bool = False  # nobody saw when it ended: it took no longer than that


@dataclass(frozen=True, slots=True)
class RunLine:
    """One run. `to_place` is where its plan leads; that it came there is said by `Account.to_place` alone."""

    run: str
    move: str
    tier: int | None
    origin: str
    from_place: str | None
    to_place: str | None
    from_s: float
    to_s: float | None
    state: str  # running, done, failed, stopped (before anything of it was begun), with a person
    reason: str
    evidence: str
    who: str
    why: str
    approved_by: str
    overrides: tuple[str, ...]
    predicted: Figure


@dataclass(frozen=True, slots=True)
class Moment:
    """Something said or decided at one instant."""

    at_s: float
    what: str
    reason: str
    evidence: str
    who: str = ""
    kind: str = ""


@dataclass(frozen=True, slots=True)
class TierLine:
    """Where a tier stood at last, and how it came there."""

    tier: int
    move: str
    state: str
    reason: str
    evidence: str
    at_s: float
    history: tuple[Moment, ...]


@dataclass(frozen=True, slots=True)
class Meter:
    """What the end user's own meter saw: no part of the journal, and independent of it."""

    meter: str
    outage_s: float | None = None
    longest_outage_s: float | None = None
    acknowledged: int | None = None
    lost: int | None = None
    oldest_lost_age_s: float | None = None
    served_by: str = ""
    outage_from_s: float | None = None  # after the first bad answer; may be negative: the user is the first to know
    outage_to_s: float | None = None


@dataclass(frozen=True, slots=True)
class OutageLine:
    """One outage; a relapse is another one of the same incident. `seconds`: so far, while it lasts."""

    from_s: float
    to_s: float | None
    seconds: float
    reason: str
    at_most: bool = False  # in a part of it, it may have worked


@dataclass(frozen=True, slots=True)
class Account:
    """All of it. `to_place`: where the service was led, by record; None: nowhere. `rta`: of all outages together."""

    id: str
    planned: bool
    service: str
    state: str  # open, with a person, recovered, done, failed, stopped
    reason: str
    evidence: str
    began_wall: float
    ended_wall: float | None
    episodes: int
    configuration: str
    from_place: str | None
    to_place: str | None
    rto_s: float | None
    rpo_s: float | None
    rta: Figure
    rpa: Figure
    rto_met: bool | None
    rpo_met: bool | None
    milestones: Mapping[str, float | None]
    phases: tuple[PhaseLine, ...]
    stretches: tuple[Stretch, ...]
    runs: tuple[RunLine, ...]
    steps: tuple[StepLine, ...]
    tiers: tuple[TierLine, ...]
    decisions: tuple[Moment, ...]
    words: tuple[Moment, ...]
    notices: tuple[Moment, ...]
    checks: tuple[Moment, ...]
    changes: tuple[Moment, ...]
    remarks: tuple[str, ...] = ()
    meter: Meter | None = None
    title: str = ""
    extent: tuple[float, float] = field(default=(0.0, 0.0))  # of the timeline
    outages: tuple[OutageLine, ...] = ()
    taken_out: bool = False  # its place on record was taken out, and no move led it elsewhere since
    move_verified: bool = False  # whether a run that led it to `to_place` was verified
    drill: str = ""  # the drill that a planned move is a part of
    rto_at_s: float | None = None  # when the RTO is (or was) over: later than the RTO where it worked in between
    perhaps_s: float = 0.0  # so long of its outages it may have worked: nobody looked, or it was seen by too few

    @property
    def but(self) -> str:
        """What is to be added to where it was led."""
        said = [*(() if self.move_verified else ("not verified",)), *(("out by now",) if self.taken_out else ())]
        return f" ({', '.join(said)})" if said else ""

    @property
    def down_at_most(self) -> bool:
        """Whether its time without service is a bound: in a part of it, it may have worked."""
        return self.rta.at_most or self.perhaps_s > 0.0
