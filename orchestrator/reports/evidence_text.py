"""The ledger of evidence as text: a service, then its tiers, worst first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from orchestrator.core.durations import counted, show_duration
from orchestrator.reports.clock_times import minute
from orchestrator.reports.data_age import DataAge, outside
from orchestrator.reports.evidence import Standing, TierEvidence
from orchestrator.reports.feasibility import Finding
from orchestrator.reports.text import Line, Part, bounded, line, precise, wrap

KEPT = {True: ", within its {}", False: ", beyond its {}", None: ""}
STYLES = {Standing.UNPROVEN: "red", Standing.VOID: "red", Standing.PREDICTED: "yellow", Standing.MEASURED: "green"}


def evidence_lines(tiers: Sequence[TierEvidence], width: int) -> Iterator[Line]:
    """All of it. Each tier: how its RTO stands and since when, why, its RPO, and what its next run will take."""
    for name, mine in groupby(tiers, lambda x: x.service):
        rows = list(mine)
        first = rows[0]
        goals = [("RTO", first.rto_s), ("RPO", first.rpo_s), ("MTD", first.mtd_s)]
        yield line(Part(name, "bold"), "  " + ", ".join(f"{k} {show_duration(v)}" for k, v in goals if v is not None))
        if first.a_minute:
            yield from (line(x) for x in wrap("  a minute costs ", first.a_minute, width))
        if first.unproven_cost:
            yield from (line(Part(x, "red")) for x in wrap("  unproven: ", first.unproven_cost, width))
        for finding in first.findings:
            if not finding.tier:
                yield from _cannot(finding, "  ", width)
        for row in rows:
            yield from _tier(row, width)


def _tier(x: TierEvidence, width: int) -> Iterator[Line]:
    since = f" since {minute(x.since)}" if x.since is not None else ""
    rung = f"{x.tier} {x.move.partition('/')[2]}" if x.move else "no tier"
    style = "red" if False in (x.rto_met, x.rpo_met) else STYLES[x.rto]
    yield line(f"  {rung}: ", Part(f"{x.rto.value}{since}{KEPT[x.rto_met].format('RTO')}", style))
    cost = ""
    if x.outage_cost is not None and x.proof is not None and x.rto is Standing.MEASURED:  # else no outage was named
        cost = f"; that outage cost {bounded(x.outage_cost.amount, x.proof.rta.at_most, show=x.outage_cost.told)}"
    yield from _more("RTO", f"{x.rto_said}{cost}", width)
    for finding in x.findings:
        if finding.tier:
            yield from _cannot(finding, "      ", width)
    if x.rpo is not None or x.rpo_said:
        stands = f"{x.rpo.value}{KEPT[x.rpo_met].format('RPO')}" if x.rpo else ""
        yield from _more("RPO", ": ".join(filter(None, (stands, x.rpo_said))), width)
    for age in x.data_age:
        yield from _more("data", _age(age), width)
    if x.proof is not None and x.times:
        more = ""
        if x.trend_s is not None and precise(abs(x.trend_s)) != precise(0.0):
            more = f", {precise(abs(x.trend_s))} {'longer' if x.trend_s > 0 else 'less'} than before"
        yield from _more(
            "proven" if x.rto in (Standing.MEASURED, Standing.PREDICTED) else "verified before",
            f"{'once' if x.times == 1 else f'{x.times} times'}, last by {x.proof.by}; "
            f"{x.proof.run} took {bounded(x.proof.took_s, x.proof.unwatched)}{more}",
            width,
        )
        if x.proof.left_out:
            yield from _more("left out", "; ".join(x.proof.left_out), width)
    if (last := x.rehearsed) is not None:
        how = f"{counted(last.live, 'step')} live" + (f", {last.simulated} simulated" if last.simulated else "")
        yield from _more("rehearsed", f"by {last.drill}, {minute(last.wall)}: {how}; no RTO is in it", width)
    if x.pays_off is not None:
        yield from _more("costs", str(x.pays_off), width)
    for what, known in (("next run", x.forecast), ("next drill", x.drilled)):
        if known is not None:
            longer = "; that is longer than the RTO" if known.bound_s > x.rto_s else ""
            yield from _more(what, f"{known}{longer}", width)


def _cannot(x: Finding, indent: str, width: int) -> Iterator[Line]:
    return (line(Part(told, "red")) for told in wrap(f"{indent}cannot be met: ", x.said, width))


def _age(x: DataAge) -> str:
    """Its age in the last week, in a line."""
    name, whole = x.check.partition("/")[2], x.whole
    what = "age" if x.measure == "data_age_s" else "lag"
    untold = f"; {counted(whole.unmeasured, 'answer')} told none" if whole.unmeasured else ""
    if whole.count == 0 or whole.median_s is None or whole.p99_s is None or whole.most_s is None:
        return f"{name} told no {what} in the last week"
    spread = f"median {precise(whole.median_s)}, p99 {precise(whole.p99_s)}, most {precise(whole.most_s)}"
    told = f"{what} by {name} in the last week: {spread}{untold}"
    return f"{told}; {outside(x)}" if x.whole.outside else told


def _more(what: str, text: str, width: int) -> Iterator[Line]:
    return (line(x) for x in wrap(f"      {what}: ", text, width))
