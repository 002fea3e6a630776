"""Objectives that the plan cannot meet, found from what was measured and from what the plan itself says.

The one rule it keeps: a finding carries the figures that it came from. What was never measured gives none, except where
the plan's own numbers already contradict each other.

    finding              from
    -------------------------------------------------------------------------------------------------------------
    too slow             the tier's last three live runs: most of them took longer than the RTO
    data too old         the last week's ages of its data: some were above the RPO
    backups too seldom   the same of a check that tells only a backup's age: it reached more than the RPO
    detected too late    fall, cadence and time-out of the service's checks: half of the RTO, or more
    asks a person        mode `ask`: how long approvals took, or may take, against the RTO
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from orchestrator.core.ages import Hours
from orchestrator.core.durations import counted, show_duration
from orchestrator.core.kinds import By
from orchestrator.core.model import Check, Combine, Condition, Mode, Model, Service
from orchestrator.core.records import StepState
from orchestrator.core.state.decided import Decided
from orchestrator.reports.clock_times import hour
from orchestrator.reports.data_age import data_age, outside

LAST = 3  # runs that are looked at
DETECTION_SHARE = 0.5
NIGHT = (22, 6)  # hours of this machine's time zone


class Lack(StrEnum):
    """What is wrong with an objective."""

    TOO_SLOW = "too slow"
    DATA_TOO_OLD = "data too old"
    BACKUPS_TOO_SELDOM = "backups too seldom"
    DETECTED_TOO_LATE = "detected too late"
    ASKS_A_PERSON = "asks a person"


@dataclass(frozen=True, slots=True)
class Finding:
    """One objective that cannot be met as things are. `tier` 0, `move` empty: it concerns the whole service.

    `key`: what in `services.yml` states the objective. `figures`: what it came from, by name, in seconds or as shares.
    `check`: which one told it, where one did.
    """

    service: str
    tier: int
    move: str
    lack: Lack
    key: str
    said: str
    figures: Mapping[str, float] = field(default_factory=dict)
    runs: tuple[str, ...] = ()
    check: str = ""


WallOf = Callable[[float], float]
"""From the journal's axis to seconds since 1970."""


def findings(
    model: Model, decided: Decided, ages: Hours, wall_of: WallOf, wants: Callable[[str], bool]
) -> list[Finding]:
    """What is wrong with the objectives of the services that are wanted. `ages`: of the last week."""
    return [
        finding
        for service in model.services.values()
        if wants(service.id)
        for finding in (
            *_too_slow(service, decided), *_too_old(model, service, ages), *_detected_too_late(model, service),
            *_asks(service, decided, wall_of),
        )
    ]  # fmt: skip


def _too_slow(service: Service, decided: Decided) -> Iterator[Finding]:
    for number, tier in enumerate(service.ladder, 1):
        spent = _spent(service.id, tier.move, decided)
        beyond = [took_s for _, took_s in spent if took_s > service.rto_s]
        if len(beyond) * 2 > len(spent):
            name, runs = tier.move.partition("/")[2], tuple(run for run, _ in spent)
            told = _and([show_duration(took_s) for _, took_s in spent])
            said = f"RTO {show_duration(service.rto_s)}, but {name} took {told} ({', '.join(runs)})"
            figures = {"rto_s": service.rto_s} | {f"{run}_s": took_s for run, took_s in spent}
            yield Finding(service.id, number, tier.move, Lack.TOO_SLOW, "rto", said, figures, runs)


def _spent(service: str, move: str, decided: Decided) -> list[tuple[str, float]]:
    """The last live runs of a move for a service, each with how long it took."""
    return [
        (run.id, took_s)
        for run in sorted(decided.runs.values(), key=lambda x: x.started.at)
        if (run.started.service, run.started.move) == (service, move) and run.started.origin.value != "drill"
        if (took_s := _took_s(run.id, decided)) is not None
    ][-LAST:]


def runs_looked_at(services: Iterable[Service], decided: Decided) -> set[str]:
    """The runs by which objectives of these services are judged."""
    found: set[str] = set()
    for service in services:
        found |= {run for tier in service.ladder for run, _ in _spent(service.id, tier.move, decided)}
        found |= {run for _, run, _ in _waits(service, decided)}
    return found


def _took_s(name: str, decided: Decided) -> float | None:
    """From its start to its verification, without what it waited for a person; None: no measure of what it takes."""
    run = decided.runs[name]
    until = run.verified_at
    if run.ended is None or not run.ended.ok or until is None or not run.measured_since(run.started.at):
        return None
    waited = sum(s.took_s or 0.0 for s in run.steps if s.traits.by is By.PERSON)
    return max(0.0, until - run.started.at - waited)


def _too_old(model: Model, service: Service, ages: Hours) -> Iterator[Finding]:
    if service.rpo_s is None:
        return
    for number, tier in enumerate(service.ladder, 1):
        told = data_age(model, service.id, tier.move, ages)
        age = next((x for x in told if x.measure == "data_age_s"), told[0] if told else None)
        most_s = age.whole.most_s if age is not None else None
        if age is None or most_s is None or most_s <= service.rpo_s or not age.whole.outside:
            continue
        rpo, name = show_duration(service.rpo_s), age.check.partition("/")[2]
        figures = {"rpo_s": service.rpo_s, "most_s": most_s, "share": age.share_outside, "outside_s": age.outside_s}
        accepted_s = tier.accept_loss_s or 0.0
        more = f"; this tier accepts {show_duration(accepted_s)}" if most_s <= accepted_s else ""
        if any(x.measure == "lag_s" for x in told):
            said = f"RPO {rpo}, but the age of its data ({name}) was {outside(age, ' of the last week')}{more}"
            lack = Lack.DATA_TOO_OLD
        else:
            up_to = f"up to {show_duration(most_s)} old in the last week"
            said = f"RPO {rpo}, but the newest backup ({name}) was {up_to}{more}"
            lack = Lack.BACKUPS_TOO_SELDOM
        yield Finding(service.id, number, tier.move, lack, "rpo", said, figures, check=age.check)


def detection_s(model: Model, condition: Condition) -> tuple[float, Check] | None:
    """How long the verdict "down" takes where nothing answers, from the first bad answer on, and which check it waits
    for. A refusal is quicker: it takes no time-out.
    """
    found = []
    for term in condition.terms:
        if isinstance(term, Condition):
            one = detection_s(model, term)
        else:
            check = model.checks.get(term)
            one = None if check is None else ((check.fall - 1) * check.fast_s + check.timeout_s, check)
        if one is not None:
            found.append(one)
    if not found:
        return None
    ranked = sorted(found, key=lambda x: x[0])
    needed = {Combine.ALL: 1, Combine.ANY: len(ranked)}.get(condition.combine, len(ranked) - condition.need + 1)
    return ranked[min(max(needed, 1), len(ranked)) - 1]


def _detected_too_late(model: Model, service: Service) -> Iterator[Finding]:
    found = detection_s(model, service.healthy_when)
    if found is None or found[0] < DETECTION_SHARE * service.rto_s:
        return
    took_s, check = found
    how = (
        f"fall {check.fall}, asked every {show_duration(check.fast_s)} then, time-out {show_duration(check.timeout_s)}"
    )
    late = f"; up to {show_duration(check.every_s)} more until {check.name} is asked at all"
    of = f"{show_duration(took_s)} of an RTO of {show_duration(service.rto_s)}"
    said = f"detection alone takes {of} where nothing answers ({check.name}: {how}){late}"
    figures = {
        "rto_s": service.rto_s, "detection_s": took_s, "every_s": check.every_s, "fast_s": check.fast_s,
        "timeout_s": check.timeout_s, "fall": float(check.fall),
    }  # fmt: skip
    yield Finding(service.id, 0, "", Lack.DETECTED_TOO_LATE, "rto", said, figures, check=check.id)


def _asks(service: Service, decided: Decided, wall_of: WallOf) -> Iterator[Finding]:
    if service.mode is not Mode.ASK:
        return
    waits = [(took_s, run, *hour(wall_of(at))) for took_s, run, at in _waits(service, decided)]
    rto = show_duration(service.rto_s)
    if not waits:
        if service.rto_s <= service.approval_expires_s:
            said = (
                f"mode ask, also at night: how long an approval takes is not known, and a question stays open for"
                f" {show_duration(service.approval_expires_s)}, the RTO is {rto}"
            )
            figures = {"rto_s": service.rto_s, "approval_expires_s": service.approval_expires_s}
            yield Finding(service.id, 0, "", Lack.ASKS_A_PERSON, "mode", said, figures)
        return
    longest_s, run, asked, after = max(waits)
    if longest_s < service.rto_s:
        return
    night = any(_at_night(at) for _, _, at, _ in waits)
    several = len(waits) > 1  # of those that are kept: there may have been others, years ago
    by_day = "none of them was asked for at night" if several else "it was not asked for at night"
    at_night = "" if night else f"; {by_day}"
    longest = f"the longest of the last {counted(len(waits), 'approval')}" if several else "the last approval"
    said = (
        f"mode ask: {longest} took {show_duration(longest_s)} ({run}, asked after {after}), the RTO is {rto}{at_night}"
    )
    figures = {"rto_s": service.rto_s, "longest_s": longest_s, "approvals": float(len(waits)), "hour": float(asked)}
    yield Finding(service.id, 0, "", Lack.ASKS_A_PERSON, "mode", said, figures, tuple(x for _, x, *_ in sorted(waits)))


def _waits(service: Service, decided: Decided) -> list[tuple[float, str, float]]:
    """How long each approval took, of which run, and when it was asked for; only where the mode is ask."""
    return [
        (took_s, run.id, step.began_at)
        for run in (decided.runs.values() if service.mode is Mode.ASK else ())
        if run.started.service == service.id and run.started.origin.value != "drill"
        for step in run.steps
        if step.traits.by is By.PERSON and step.state is StepState.DONE and step.began_at is not None
        if (took_s := step.took_s) is not None
    ]


def _at_night(hour: int) -> bool:
    return hour >= NIGHT[0] or hour < NIGHT[1]


def _and(told: list[str]) -> str:
    return told[0] if len(told) == 1 else f"{', '.join(told[:-1])} and {told[-1]}"
