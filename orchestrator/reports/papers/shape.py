"""The shape of a report on paper: what ISO 22301 8.5, NIST SP 800-84 and DORA RTS 2024/1774 art. 25 ask it to hold.

The one rule it keeps: each part is worked out from the slice of the journal that the report carries. None is given from
outside, so no figure can be typed in. A part that must not be empty, and is, keeps the report a draft.

    part            asked for by                            empty: a draft
    --------------------------------------------------------------------------------------------------
    scope           ISO 8.5 b, NIST 800-84 5.2              yes
    scenario        ISO 8.5 b, NIST 800-84 5.2              yes
    participants    ISO 8.5 c, DORA 25.2                    yes
    parts           timeline: NIST 800-84 5.5               yes
    end             DORA 25.1                               yes: it goes on
    objectives      DORA 25.1 (RTO, RPO), ISO 8.5 f         yes, of a service
    steps           what was live: DORA 25.2                yes, where there was a run
    lessons         ISO 8.5 e, NIST 800-84 5.6              yes
    findings        ISO 8.5 e, DORA 25.4                    yes: or a person says that there is none
    last, cost      ISO 8.6 (compared, evaluated)           no: says why
    unmet           ISO 8.6 (are objectives still fit)      no: says that there is none, or why it is not known
    proven          ISO 8.5 g                               no: says why
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from orchestrator.reports.shape import Account, Figure


class ReportKind(StrEnum):
    """What a report is of."""

    INCIDENT = "incident"
    PLANNED_MOVE = "planned move"
    DRILL = "drill"
    PERIOD = "period"


class Edition(StrEnum):
    """Whom it is for."""

    PROVIDER = "provider"
    CLIENT = "client"


class Done(StrEnum):
    """How a step was done. Only what was live proves anything."""

    LIVE = "live"
    SIMULATED = "simulated"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Said:
    """A sentence of ours, with what stands in its braces; `many`: the same of several, by the slot `n`.

    A slot that ends in `_s` is a duration in seconds, one that ends in `_wall` a time in seconds since 1970.
    """

    text: str
    slots: Mapping[str, str | float] = field(default_factory=dict)
    many: str = ""


@dataclass(frozen=True, slots=True)
class Scope:
    """What it is about. `places`: those concerned. `configuration`: the digest of the model in force."""

    client: str
    services: tuple[str, ...]
    places: tuple[str, ...]
    moves: tuple[str, ...]
    from_wall: float
    to_wall: float | None
    configuration: str


@dataclass(frozen=True, slots=True)
class Participant:
    """Somebody who had a part, in words. `person`: their id, where the name means somebody declared."""

    name: str
    did: Said
    at_wall: float
    person: str = ""


@dataclass(frozen=True, slots=True)
class ObjectiveLine:
    """An objective against what was reached; None: there is no objective, or it is not known."""

    service: str
    objective: str  # RTO, RPO, MTD
    of_s: float | None
    actual: Figure
    met: bool | None


@dataclass(frozen=True, slots=True)
class StepDone:
    """A step, and whether it was live."""

    run: str
    step: str
    done: Done
    state: str
    took_s: float | None
    share: float | None
    reason: str
    evidence: str
    at_most: bool = False  # nobody saw when it ended: it took no longer than that


@dataclass(frozen=True, slots=True)
class Then:
    """The same service and move, the last time. Figures in seconds; None: not known."""

    id: str
    wall: float
    run: str
    took_s: float
    took_now_s: float
    rta_s: float | None
    rta_now_s: float | None
    rpa_s: float | None
    rpa_now_s: float | None
    bounds: tuple[str, ...] = ()  # which of the figures above may have been less


@dataclass(frozen=True, slots=True)
class Price:
    """What the time without service cost: seconds without it, times what the configuration says of a minute.

    `once`: the penalties in it, each due once an outage.
    """

    down_s: float
    per_minute: float
    currency: str
    amount: float
    at_most: bool
    once: float = 0.0


@dataclass(frozen=True, slots=True)
class FindingLine:
    """Something to be improved. `due`: a date. `closed_by`: empty while it is open."""

    id: str
    about: str
    text: str
    owner: str
    due: str
    overdue: bool
    closed_by: str = ""
    closed_why: str = ""


@dataclass(frozen=True, slots=True)
class Unmet:
    """An objective that cannot be met as things were at the end of what is told. `tier` 0, `move` empty: of them all.

    `lack`: a word of `feasibility.Lack`. `figures`: what it came from, in seconds, or as a share or count.
    """

    service: str
    tier: int
    move: str
    lack: str
    said: Said
    figures: Mapping[str, float]
    runs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MissedDrill:
    """A scheduled drill that did not begin. `occurrence`: its time; of a surprise, when its period began."""

    schedule: str
    occurrence: str
    reason: str
    evidence: str


@dataclass(frozen=True, slots=True)
class ServiceTotal:
    """A service over a period. `unknown`: outages of which it is not known whether they were within the RTO."""

    service: str
    incidents: int
    moves: int
    drills: int
    down_s: float
    longest_s: float
    at_most: bool
    rto_s: float | None
    met: int
    missed: int
    unknown: int


@dataclass(frozen=True, slots=True)
class Report:
    """All of it. `parts`: the accounts that it tells, in order: one, or out and back of a full-scale drill.

    `empty`: the parts that must not be empty, and are. `inside`: of a period, the report of each thing in it.
    `missed`: of a period, scheduled drills that were due in it and did not begin. `unmet`: None where no configuration
    is kept to judge by, and of what is inside of a period, which is judged as a whole.
    """

    kind: ReportKind
    id: str
    edition: Edition
    draft: bool
    empty: tuple[str, ...]
    scope: Scope
    scenario: tuple[Said, ...]
    participants: tuple[Participant, ...]
    objectives: tuple[ObjectiveLine, ...]
    parts: tuple[Account, ...]
    steps: tuple[StepDone, ...]
    worked: tuple[Said, ...]
    failed: tuple[Said, ...]
    last: Then | None
    last_said: Said
    cost: Price | None
    cost_said: Said
    findings: tuple[FindingLine, ...]
    no_findings: str  # who says that there is nothing to be improved
    proven: tuple[Said, ...]
    until: tuple[str, ...]  # what it rests on: it is proven until one of these changes
    totals: tuple[ServiceTotal, ...] = ()
    inside: tuple[Report, ...] = ()
    missed: tuple[MissedDrill, ...] = ()
    unmet: tuple[Unmet, ...] | None = None
