"""The result of a simulation for each service: every outage, what caused it, which tier ended it, and what guards did.

The one rule it keeps: it counts what the journal says. An outage that no move ended is not a recovery.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from orchestrator.core import records as r
from orchestrator.core.deciding.recovery import GOOD_BEFORE
from orchestrator.core.model import Model
from orchestrator.core.reasons import Part, Reason
from orchestrator.journal.journal import Entry
from orchestrator.sim.faults import Fault, FaultKind
from orchestrator.sim.nature import host_of

SEVERAL, WAKE = "several disasters at once", "in the wake of a disaster"
LEFT, STILL_DOWN = "left to a person", "still down"
AFTERMATH_S = 60.0  # an outage that begins so soon after a fault's end still is of that fault
TAKES_NOTHING_DOWN = frozenset(
    {
        FaultKind.DISK_SLOW,
        FaultKind.DISK_FULL,
        FaultKind.KILLED,
        FaultKind.KILLED_AT,
        FaultKind.REBOOT,
        FaultKind.FROZEN,
        FaultKind.FROZEN_AT,
        FaultKind.CLOCK,
        FaultKind.PEOPLE,
        FaultKind.WORD,
        FaultKind.RELOAD,
        FaultKind.DRILLS,
        FaultKind.WORK,
        FaultKind.MUTE,
        FaultKind.LATE,
        FaultKind.LAG,
        FaultKind.BROKEN,
        FaultKind.PLAYBOOK_FAILS,
        FaultKind.PLAYBOOK_HANGS,
        FaultKind.PLAYBOOK_HALF,
        FaultKind.PLAYBOOK_USELESS,
        FaultKind.PLAYBOOK_UNSEEN,
    }
)  # what does not take a service down, but makes its recovery harder
GUARDS = frozenset(reason for reason in Reason if reason.part in (Part.GUARD, Part.TIER))


@dataclass(frozen=True, slots=True)
class Episode:
    """One outage of one service. `tier`: the one that ended it; None: it ended otherwise, or not."""

    service: str
    disaster: str
    alone: bool  # the only disaster of its script
    harder: bool  # something else went wrong as well: with the controller, a playbook, a measurement
    began_at: float
    tier: int | None
    move: str
    how: str
    rta_s: float | None
    rto_s: float
    person: bool

    @property
    def kept(self) -> bool:
        """Whether it was within the RTO."""
        return self.rta_s is not None and self.rta_s <= self.rto_s


def episodes(model: Model, entries: Iterable[Entry], faults: Sequence[Fault], warm_up_s: float) -> list[Episode]:
    """Every outage of a simulation, oldest first."""
    found: list[Episode] = []
    service_of: dict[str, str] = {}
    open_: dict[str, tuple[float, bool]] = {}
    runs: dict[str, str | None] = {}
    by: dict[str, r.TierJudged] = {}
    for entry in entries:
        for x in entry.records:
            if isinstance(x, r.IncidentOpened):
                service_of[x.incident] = x.service
            if isinstance(x, r.IncidentOpened | r.IncidentReopened):
                open_[x.incident] = (x.first_bad_at, False)
                by.pop(x.incident, None)
            elif isinstance(x, r.RunStarted):
                runs[x.run] = x.incident
            elif (asked := _asked(x, runs)) in open_:
                open_[asked] = (open_[asked][0], True)
            elif isinstance(x, r.TierJudged) and x.state is r.TierState.RECOVERED:
                by[x.incident] = x
            elif isinstance(x, r.IncidentEnded) and x.incident in open_:
                began, person = open_.pop(x.incident)
                service = service_of[x.incident]
                if x.evidence.startswith(GOOD_BEFORE):
                    by.pop(x.incident, None)  # it was verified by a run, and well before that had ended
                found.append(_episode(model, service, faults, warm_up_s, began, person, by.get(x.incident), x))
    for incident, (began, person) in open_.items():
        found.append(_episode(model, service_of[incident], faults, warm_up_s, began, person, None, None))
    return sorted(found, key=lambda x: (x.began_at, x.service))


def _asked(record: r.Record, runs: Mapping[str, str | None]) -> str:
    """The incident in which this record calls a person; empty if it does not."""
    if isinstance(record, r.ServiceJudged) and record.decision is r.Decision.ASK:
        return record.incident
    return (runs.get(record.run) or "") if isinstance(record, r.RunNeedsHuman) else ""


def _episode(
    model: Model,
    service: str,
    faults: Sequence[Fault],
    warm_up_s: float,
    began: float,
    person: bool,
    by: r.TierJudged | None,
    ended: r.IncidentEnded | None,
) -> Episode:
    disasters = [f for f in faults if f.kind not in TAKES_NOTHING_DOWN]
    here = [f for f in disasters if _lasts(f, began - warm_up_s)]
    names = sorted({disaster_of(model, f) for f in here})
    disaster = names[0] if len(names) == 1 else SEVERAL if names else WAKE
    known = model.services.get(service)
    how = ended.reason.value if ended else LEFT if person else STILL_DOWN
    return Episode(
        service,
        disaster,
        len(disasters) == 1,
        len(faults) > len(disasters),
        began,
        by.tier if by else None,
        by.move if by else "",
        how,
        ended.at - began if ended else None,
        known.rto_s if known else 0.0,
        person,
    )


def disaster_of(model: Model, fault: Fault) -> str:
    """What a fault is counted as: `SUBJECT: KIND`; hosts by the place that they are in."""
    if not fault.subject:
        return fault.kind.value
    if not fault.subject.startswith("host "):
        return f"{fault.subject}: {fault.kind.value}"
    domains = {d for c in model.checks.values() if host_of(c) == fault.subject for d in c.domains}
    place = next((p.id for p in model.places.values() if (p.domains or {p.id}) & domains), None)
    return f"a host in {place}: {fault.kind.value}" if place else f"a host outside: {fault.kind.value}"


def _lasts(fault: Fault, at: float) -> bool:
    ends = float("inf") if fault.for_s is None else fault.at + fault.for_s + AFTERMATH_S
    return fault.at - 1.0 <= at <= ends


def guards_fired(entries: Iterable[Entry]) -> Counter[str]:
    """How often each guard stopped or delayed something."""
    found: Counter[str] = Counter()
    for entry in entries:
        for x in entry.records:
            if isinstance(x, r.ServiceJudged | r.TierJudged | r.RunEnded) and x.reason in GUARDS:
                found[x.reason.value] += 1
            elif isinstance(x, r.WordRefused):
                found[f"refused: {x.reason.value}"] += 1
    return found
