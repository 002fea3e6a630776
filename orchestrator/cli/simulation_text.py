"""What a campaign of simulations found, for a terminal and as data.

The one rule it keeps: figures of disasters that came alone stand apart from mixtures; a figure stands with its count,
and what was assumed is called so.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import asdict
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from orchestrator.core.durations import show_duration
from orchestrator.core.model import Json
from orchestrator.core.turn import percentile
from orchestrator.sim.campaign import Plan, Summary
from orchestrator.sim.episodes import Episode

Found = list[tuple[int, Episode]]
MIXED = "several at once"


def show_summary(plan: Plan, summary: Summary) -> None:
    """The whole report on standard output."""
    console = Console(highlight=False, soft_wrap=False)
    hours = summary.virtual_s / 3600
    rate = summary.observations / summary.cpu_s if summary.cpu_s else 0.0
    multiple = summary.virtual_s / summary.wall_s if summary.wall_s else 0.0
    console.print(
        f"{summary.seeds} seeds, {hours:.0f} virtual hours in {show_duration(summary.wall_s)}"
        f" ({multiple:,.0f} times real time; {rate:,.0f} observations a second and core)"
    )
    for service in sorted({e.service for _, e in summary.episodes}):
        _show_service(console, plan, service, [(s, e) for s, e in summary.episodes if e.service == service])
    _show_unsurvived(console, summary)
    _show_guards(console, summary)
    _show_limits(console, plan, summary)
    if summary.violations:
        console.print(f"\n[bold red]{len(summary.violations)} violations of what must never happen:[/]")
        for seed, violation in summary.violations[:20]:
            console.print(f"  seed {seed}: {violation}", soft_wrap=True, markup=False)
    else:
        console.print("\n[bold green]No violation[/] of the twenty statements of what must never happen.")


def _show_service(console: Console, plan: Plan, service: str, found: Found) -> None:
    known = plan.model.services.get(service)
    if known is None:
        return
    ladder = " > ".join(t.move.rpartition("/")[2] for t in known.ladder) or "no ladder"
    console.print(f"\n[bold]{service}[/]  mode {known.mode.value}, RTO {show_duration(known.rto_s)}, ladder: {ladder}")
    table = Table("disaster", "outages", "ended by", "RTA median", "90 %", "worst", "within RTO", "a person", box=None)
    for column in table.columns[1:2] + table.columns[3:]:
        column.justify = "right"
    for disaster, some in _by_disaster(found).items():
        table.add_row(*_row(disaster, some))
    console.print(table)
    worst = sorted(((e.rta_s, s) for s, e in found if e.rta_s is not None), reverse=True)[:3]
    if worst:
        told = ", ".join(f"{seed} ({show_duration(rta_s)})" for rta_s, seed in worst)
        console.print(f"  worst seeds: {told}", style="dim")


def _by_disaster(found: Found) -> dict[str, Found]:
    """Disasters that came alone by their names; then everything else together."""
    groups: dict[str, Found] = defaultdict(list)
    for seed, one in found:
        alone = one.alone and not one.harder and one.disaster not in (MIXED, "in the wake of others")
        groups[one.disaster if alone else "in a mixture"].append((seed, one))
    return dict(sorted(groups.items(), key=lambda g: (g[0] == "in a mixture", g[0])))


def _row(disaster: str, some: Found) -> list[str]:
    ended = Counter(f"tier {e.tier}" if e.tier else e.how for _, e in some)
    rtas = [e.rta_s for _, e in some if e.rta_s is not None]
    kept = sum(e.kept for _, e in some)
    return [
        disaster,
        str(len(some)),
        ", ".join(f"{how} ×{n}" for how, n in ended.most_common(4)),
        show_duration(median(rtas)) if rtas else "–",
        show_duration(percentile(rtas, 0.9) or 0.0) if rtas else "–",
        show_duration(max(rtas)) if rtas else "–",
        f"{kept}/{len(some)}",
        str(sum(e.person for _, e in some)),
    ]


def unsurvived(summary: Summary) -> list[tuple[str, str, int]]:
    """Service, disaster and count, where a disaster came alone and no tier ever ended it."""
    found: list[tuple[str, str, int]] = []
    for service in sorted({e.service for _, e in summary.episodes}):
        groups = _by_disaster([(s, e) for s, e in summary.episodes if e.service == service])
        for disaster, some in groups.items():
            if disaster != "in a mixture" and not any(e.tier or e.how.startswith("recovered with") for _, e in some):
                found.append((service, disaster, len(some)))
    return found


def _show_unsurvived(console: Console, summary: Summary) -> None:
    found = unsurvived(summary)
    if found:
        console.print("\n[bold]No tier ends these[/] (they end by themselves, or a person is called):")
        for service, disaster, count in found:
            console.print(f"  {service}: {disaster} ({count} seen)")


def _show_guards(console: Console, summary: Summary) -> None:
    if summary.guards:
        told = ", ".join(f"{name} {count}" for name, count in summary.guards.most_common())
        console.print(f"\nguards that spoke: {told}", soft_wrap=True)
    told = ", ".join(f"{name} {count}" for name, count in summary.faults.most_common())
    console.print(f"faults: {told}", soft_wrap=True)


def _show_limits(console: Console, plan: Plan, summary: Summary) -> None:
    console.print("\nnot modelled or assumed:")
    for line in limits(plan, summary):
        console.print(f"  {line}", markup=False, soft_wrap=True)


def limits(plan: Plan, summary: Summary) -> list[str]:
    """What the result rests on without having been declared or measured."""
    measured = len(plan.usual_s)
    durations = (
        f"durations of playbooks: {measured} kinds of steps measured in this workspace's journal, " if measured else ""
    )
    durations += "the others assumed a tenth of their time-outs" if measured else ""
    return [durations or "durations of playbooks: assumed, a tenth of their time-outs", *summary.not_modelled]


def as_data(plan: Plan, summary: Summary) -> dict[str, Any]:
    """The same as data; durations in seconds."""
    services: dict[str, Json] = {}
    for service in sorted({e.service for _, e in summary.episodes}):
        found = [(s, e) for s, e in summary.episodes if e.service == service]
        services[service] = {d: _data_row(some) for d, some in _by_disaster(found).items()}
    return {
        "seeds": summary.seeds,
        "virtual_hours": summary.virtual_s / 3600,
        "wall_s": summary.wall_s,
        "cpu_s": summary.cpu_s,
        "observations": summary.observations,
        "violations": [{"seed": seed, **asdict(v)} for seed, v in summary.violations],
        "services": services,
        "no_tier_ends": [{"service": s, "disaster": d, "outages": n} for s, d, n in unsurvived(summary)],
        "guards": dict(summary.guards),
        "faults": dict(summary.faults),
        "not_modelled": limits(plan, summary),
    }


def _data_row(some: Found) -> dict[str, Json]:
    rtas = sorted(e.rta_s for _, e in some if e.rta_s is not None)
    ended = Counter(f"tier {e.tier}" if e.tier else e.how for _, e in some)
    worst = sorted(((e.rta_s or 0.0, s) for s, e in some), reverse=True)[:3]
    return {
        "outages": len(some),
        "ended_by": dict(ended),
        "rta_s": {"median": median(rtas), "p90": percentile(rtas, 0.9), "max": rtas[-1]} if rtas else None,
        "rto_s": some[0][1].rto_s,
        "within_rto": sum(e.kept for _, e in some),
        "with_a_person": sum(e.person for _, e in some),
        "worst_seeds": [seed for _, seed in worst],
    }
