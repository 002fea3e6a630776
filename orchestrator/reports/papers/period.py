"""A client's services over a period: sums of what the reports inside it say.

The one rule it keeps: a sum is of figures that stand in the reports below it. An outage that went on at the end of the
period counts up to when the report was made, as its own report says.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from orchestrator.core.model import Model
from orchestrator.reports.papers.shape import Report, ReportKind, ServiceTotal


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
        at_most=any(a.rta.at_most or a.perhaps_s for x in mine for a in x.parts),
        rto_s=service.rto_s if service is not None else None,
        met=met.count(True),
        missed=met.count(False),
        unknown=len(incidents) - met.count(True) - met.count(False),
    )
