"""The parts of a status: the workspace, its services, tiers, runs and lacks at one moment.

These are values. `status.py` finds them, `status_text.py` shows them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from orchestrator.core.awareness.sight import Sight
from orchestrator.core.events import TaskTime
from orchestrator.core.model import Json
from orchestrator.core.records import RunStarted

NOT_MADE = "not made"  # of a tier: its run ended before anything of it had been begun
UNWATCHED = "nobody watches: whether it still runs is not known"
SETTLING = "settling"  # of a tier: its run has ended well, and the service's own checks have not said so yet


def recorded_before(place: str | None, started: RunStarted) -> str:
    """That a service's place is the one on record, and that a move made for another may have led it elsewhere."""
    led = f"{started.run} ({started.move}), made for {started.service}, led to {started.to_place}"
    return f"{place or 'no place'} is its place from before, and it came back with {led}: where it is now is not known"


def taken_out(place: str | None, stated: str, may_act: Iterable[str]) -> str:
    """That a service's place is out, by proof or as `stated` by a person, and that no record leads it elsewhere."""
    others = ", ".join(sorted(may_act))
    led = f"it may be acting: {others}" if others else "no other place may be acting"
    out = f"cannot act, as {stated} states" if stated else "was taken out"
    return f"{place}, its place on record, {out}, and no move has led it elsewhere; {led}"


@dataclass(frozen=True, slots=True)
class StepNow:
    """A step of a run that is on. `took_s` so far, if it has no end. `at_most`: for a part of it nobody watched."""

    name: str
    kind: str
    state: str
    took_s: float | None
    attempt: int
    evidence: str
    at_most: bool = False


@dataclass(frozen=True, slots=True)
class RunNow:
    """A run without an end."""

    id: str
    service: str
    move: str
    origin: str
    running_s: float
    steps: tuple[StepNow, ...]
    task: str = ""  # the task that its playbook ended last, if the daemon could be asked
    needs: str = ""  # what it waits for from a person
    say: str = ""  # the command to type
    refuse: str = ""  # the command that says no
    would: tuple[str, ...] = ()  # what an approval would do, and to what is alive
    expires_s: float | None = None  # of what waits for an approval: so long, and no reply is a no


@dataclass(frozen=True, slots=True)
class MoveNow:
    """A way that a service has. `usual_s`: what it takes at most, as far as `usual_runs` live runs can show. `viable`:
    up, down, unknown; empty: nothing is asked, or nobody looks.
    """

    rung: str  # `tier 1`, `way back`
    move: str
    to: str | None
    usual_s: float | None
    usual_runs: int
    viable: str = ""


@dataclass(frozen=True, slots=True)
class LackNow:
    """Something that cannot be seen or done now. `since_wall`: since 1970; None: not known."""

    kind: str
    client: str  # empty: the whole workspace
    subject: str
    since_wall: float | None
    for_s: float | None
    evidence: str
    means: str
    say: str
    services: tuple[str, ...] = ()
    excused: str = ""


@dataclass(frozen=True, slots=True)
class TierNow:
    """One rung. `usual_s`: what it takes at most, as far as `usual_runs` live runs can show (`core/forecast.py`); None:
    never measured, so that it fits is assumed. `perhaps`: whether it does not fit is not known, for the service may
    have worked meanwhile.
    """

    tier: int
    move: str
    state: str
    reason: str
    evidence: str
    usual_s: float | None
    usual_runs: int
    fits: bool
    perhaps: bool = False


@dataclass(frozen=True, slots=True)
class ServiceNow:
    """One service."""

    id: str
    client: str
    condition: str  # up, degraded, down, unknown
    place: str | None
    home: str | None
    mode: str
    rto_s: float
    incident: str | None = None
    priority: int = 100
    down_s: float | None = None  # since the first bad answer of the present outage
    doubted: bool = False  # for a part of `down_s` it was not known to be down
    unseen_s: float = 0.0  # of an incident: for so long, up to now, nobody has looked
    perhaps_s: float = 0.0  # of an incident: so long of its outages it may have worked, with a controller at work
    budget_left_s: float | None = None  # of the RTO, by the time without service in all outages of the incident
    decision: str = ""
    reason: str = ""
    evidence: str = ""
    tiers: tuple[TierNow, ...] = ()
    run: RunNow | None = None
    rehearsal: RunNow | None = None  # a run beside what serves
    engaged: tuple[str, ...] = ()  # moves in effect that keep it in place
    notes: tuple[str, ...] = ()  # held, in maintenance, frozen, suspected
    outages: int = 0  # of the incident, the present one included
    down_together_s: float | None = None  # in all of them
    bad_checks: tuple[str, ...] = ()  # what is behind a condition that is not up, each with its evidence
    since_wall: float | None = None  # since when it is not up
    for_s: float | None = None
    was: str = ""  # the last condition on record, where nobody knows the present one
    say: str = ""  # the command to type next
    moves: tuple[MoveNow, ...] = ()
    taken_out: bool = False  # its place is on record alone: it is out, and no move has led it elsewhere since
    stated_out: str = ""  # who states that; empty: it was proven
    braked: tuple[str, ...] = ()  # of the notes: why nothing would be done by itself, or not without asking


@dataclass(frozen=True, slots=True)
class Live:
    """What only a running daemon, or the journal's lease, can say. `silent_s`: since the lease was last renewed."""

    daemon: bool = False
    silent_s: float | None = None
    tasks: Mapping[tuple[str, str], TaskTime] = field(default_factory=dict)  # by run and step: the last to end
    asking: Mapping[str, Json] = field(default_factory=dict)  # how checks are asked, and how late
    sight: Sight | None = None
    broken: str | None = None  # why it cannot write its journal, and so cannot act
    invalid: tuple[str, ...] = ()  # faults of the files, while an older configuration is in force
    unread: Mapping[str, str] = field(
        default_factory=dict
    )  # clients whose inventory could not be read, and what serves
    lost_ways: tuple[str, ...] = ()  # ways to tell people that cannot be used with that older configuration
    untold: Mapping[str, str] = field(default_factory=dict)  # clients whose notices have nowhere to go, and why
    unanchored: Mapping[str, str] = field(default_factory=dict)  # where the journal's head was to be kept, and why not
    unscheduled: Mapping[str, str] = field(default_factory=dict)  # schedules that cannot be worked out, and why
    log: str = ""  # why its log does not get out


@dataclass(frozen=True, slots=True)
class StatusNow:
    """The whole workspace."""

    wall: float
    epoch: int
    controller: str
    daemon: bool
    silent_s: float | None
    configuration: str
    services: tuple[ServiceNow, ...]
    runs: tuple[RunNow, ...]
    undelivered: tuple[str, ...]
    asking: Mapping[str, Json] = field(default_factory=dict)
    cannot: tuple[LackNow, ...] = ()  # the gravest first
    left: tuple[str, ...] = ()  # what stands of services and clients that the configuration does not have any more
    undelivered_of: tuple[str, ...] = ()  # the clients of `undelivered`, in its order; empty: the whole workspace
