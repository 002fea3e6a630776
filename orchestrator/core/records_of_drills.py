"""Records of drills, of their schedules, and of what is found by them. What a drill did are records of runs.

`records.py` brings all records together, and says what holds for each of them.
"""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.core.model import DrillKind
from orchestrator.core.reasons import Reason
from orchestrator.core.schedules import DrillPlan, Pick


@dataclass(frozen=True, slots=True)
class DrillBegan:
    """A drill begins. A functional one is one run; a full-scale one is two: there, and `back`.

    `place`: where the service is, and will be again. `stays_s`: how long it stays there before it goes back.
    `within_s`: for so long, after it has moved, it may take until it is back. `scheduled`: the schedule it is of, and
    `occurrence`, which of its times (ISO 8601, UTC); empty: a person wanted it. `drawn`: by what it was chosen.
    `back_digest`: of all that `back` plays, and of what proves out the place it leaves; empty: of a version without.
    `draw`: of a surprise, by which its playbooks choose; 0 of all others.
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
    back_digest: str = ""
    draw: float = 0.0


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
class ScheduleInForce:
    """From `since` on (by the wall clock, as times of calendars are) a schedule of drills is this one; None: no more.

    Times before that are none of its times: nothing that was edited makes up for what it would have done.
    """

    at: float
    schedule: str
    since: str
    plan: DrillPlan | None


@dataclass(frozen=True, slots=True)
class DrillDrawn:
    """What a surprise will be, and when, is drawn. `seal` tells nothing; the seed, with the drill's begin, opens it."""

    at: float
    schedule: str
    occurrence: str
    seal: str


@dataclass(frozen=True, slots=True)
class DrillCameDue:
    """The time of a scheduled drill has come; it begins as soon as nothing stands against it, until `closes_at`."""

    at: float
    schedule: str
    occurrence: str
    closes_at: float
    picks: tuple[Pick, ...]


@dataclass(frozen=True, slots=True)
class DrillHeldUp:
    """It is due, and this stands against it; written when the reason changes."""

    at: float
    schedule: str
    occurrence: str
    reason: Reason
    evidence: str


@dataclass(frozen=True, slots=True)
class DrillMissed:
    """A scheduled drill did not begin in its time, and does not begin any more.

    `services`: those of which its schedule could have drilled one; empty: of a version that did not say.
    """

    at: float
    schedule: str
    occurrence: str
    reason: Reason
    evidence: str
    services: tuple[str, ...] = ()


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


OfDrills = (
    DrillBegan
    | DrillTurnedBack
    | DrillEnded
    | ScheduleInForce
    | DrillDrawn
    | DrillCameDue
    | DrillHeldUp
    | DrillMissed
    | FindingOpened
    | FindingClosed
    | NothingFound
)
