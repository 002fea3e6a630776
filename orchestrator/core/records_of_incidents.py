"""Records of what is seen and judged: verdicts, incidents, and what policy and ladder say of a service.

`records.py` brings all records together, and says what holds for each of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from orchestrator.core.reasons import UNSEEN, Reason


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
    judged that whether it is down is not known: too few vantages saw it down, none saw anything, or nobody looked.
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
    """Policy's answer for a service in an incident; written when it changes, or whether it is known to be down.

    `dark_since`: since when it is not known whether the service is down, whatever the reason is; None: it is known.
    (Earlier versions wrote None, and a reason that says so.)
    """

    at: float
    incident: str
    decision: Decision
    reason: Reason
    evidence: str
    dark_since: float | None = None

    @property
    def dark(self) -> bool:
        """Whether it is not known that the service is down."""
        return self.dark_since is not None or self.reason in UNSEEN


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
class ServiceFrozen:
    """Too many automatic moves: nothing automatic for this service until a person resumes it."""

    at: float
    service: str
    reason: Reason
    evidence: str


OfIncidents = (
    VerdictChanged | IncidentOpened | IncidentReopened | IncidentEnded | ServiceJudged | TierJudged | ServiceFrozen
)
