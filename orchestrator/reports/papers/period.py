"""A client's services over a period: what is told of it, and sums of what the reports inside it say.

The one rule it keeps: a sum is of figures that stand in the reports below it. An outage that went on at the end of the
period counts up to when the report was made, as its own report says.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from orchestrator.core.model import Model
from orchestrator.reports.papers.excerpt import Subject, end_of
from orchestrator.reports.papers.shape import Report, ReportKind, Said, ServiceTotal
from orchestrator.reports.stories import Stories
from orchestrator.reports.story import Story


def period_of(
    stories: Stories, now: float, client: str, services: Iterable[str], from_wall: float, to_wall: float
) -> Subject:
    """A client's incidents, moves and drills that began in this time, to their ends, as the subject of a report."""
    mine = [s for s in stories.stories.values() if s.service.partition("/")[0] == client]
    told = [s for x in _things(mine).values() if from_wall <= stories.clock.wall(x[0].began_at) < to_wall for s in x]
    names = dict.fromkeys([s.id for s in told] + [x.started.run for s in told for x in s.runs])
    names |= dict.fromkeys(x.started.drill for s in told for x in s.runs if x.started.drill)
    until = end_of(told, stories, now, min(now, stories.clock.axis_of(to_wall)))
    found = tuple(sorted({*services, *(s.service for s in mine)}))
    return Subject(ReportKind.PERIOD, client, client, tuple(names), found, until, from_wall, to_wall)


def from_before(stories: Stories, subject: Subject) -> dict[str, Story]:
    """What had begun before a period and went on in it, by its id: incidents, moves, and drills (their first run)."""
    begin = subject.from_wall if subject.kind is ReportKind.PERIOD else None
    if begin is None:
        return {}
    mine = [s for s in stories.stories.values() if s.service in subject.services]
    return {
        name: x[0]
        for name, x in _things(mine).items()
        if stories.clock.wall(x[0].began_at) < begin
        and any(s.ended_at is None or stories.clock.wall(s.ended_at) > begin for s in x)
    }


def _things(found: Iterable[Story]) -> dict[str, list[Story]]:
    """Stories by what they are of, all runs of a drill together: it begins with the first of them."""
    things: dict[str, list[Story]] = {}
    for s in found:
        things.setdefault(s.id if s.episodes else s.runs[0].started.drill or s.id, []).append(s)
    return things


def totals(services: Iterable[str], inside: Sequence[Report], model: Model | None) -> tuple[ServiceTotal, ...]:
    """One line a service, also of those to which nothing happened."""
    return tuple(_total(name, [x for x in inside if name in x.scope.services], model) for name in services)


def _total(name: str, mine: list[Report], model: Model | None) -> ServiceTotal:
    incidents = [x for x in mine if x.kind is ReportKind.INCIDENT]
    outages = [o.seconds for x in mine for a in x.parts for o in a.outages]
    met = [line.met for x in incidents for line in x.objectives if line.objective == "RTO"]
    service = model.services.get(name) if model is not None else None
    return ServiceTotal(
        service=name,
        incidents=len(incidents),
        moves=sum(1 for x in mine if x.kind is ReportKind.PLANNED_MOVE),
        drills=sum(1 for x in mine if x.kind is ReportKind.DRILL),
        down_s=sum(outages),
        longest_s=max(outages, default=0.0),
        at_most=any(a.down_at_most for x in mine for a in x.parts),
        rto_s=service.rto_s if service is not None else None,
        met=met.count(True),
        missed=met.count(False),
        unknown=len(incidents) - met.count(True) - met.count(False),
    )


def went_on(inside: Iterable[Report], to_wall: float | None, now_wall: float) -> Iterator[Said]:
    """What began in a period and was not over at its end: its figures are of more than the period."""
    for x in inside if to_wall is not None and to_wall <= now_wall else ():
        slots: dict[str, str | float] = {"id": x.id, "service": next(iter(x.scope.services), "")}
        ended = x.scope.to_wall
        if ended is None:
            yield Said("{id} of {service} goes on still: it is counted here up to when this report was made", slots)
        elif to_wall is not None and ended > to_wall:
            text = "{id} of {service} went on after this time, until {ended_wall}: it is counted here to its end"
            yield Said(text, {**slots, "ended_wall": ended})
