"""What a campaign of simulations found, for a terminal and as data.

The one rule it keeps: figures of disasters that came alone stand apart from mixtures. A figure stands with its count,
and an assumed figure says so.
"""

from __future__ import annotations

import textwrap
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from statistics import median
from typing import Any

from rich.console import Console
from rich.text import Text

from orchestrator.core.durations import counted, numeral, show_duration
from orchestrator.core.model import Json, Service
from orchestrator.core.reasons import Reason
from orchestrator.core.transaction import percentile
from orchestrator.sim.campaign import Plan, Summary
from orchestrator.sim.episodes import LEFT, SEVERAL, STILL_DOWN, WAKE, Episode

Found = list[tuple[int, Episode]]
HARDER = "one, and something else went wrong"
MIXTURES = (HARDER, SEVERAL, WAKE)
WORST = 3
WIDTH = (72, 120)  # narrower than this is not tried, wider is not used
HEADS = ("outages", "seeds", "RTA median", "90 %", "worst", "in RTO", "person")
ENDED = {
    Reason.RECOVERED_BY_ITSELF.value: "by itself",
    Reason.RECOVERED_WITH_ANOTHER.value: "by another service's move",
}


def show_summary(plan: Plan, summary: Summary) -> None:
    """The whole report on standard output."""
    console = Console(highlight=False)
    width = min(max(console.width, WIDTH[0]), WIDTH[1]) if console.is_terminal else WIDTH[1]
    for line, style in report(plan, summary, width, whole=not console.is_terminal):
        console.print(Text(line, style), soft_wrap=True)


def virtual(hours: float) -> str:
    """`12 virtual hours`, `0.4 virtual hours`: of a few, tenths count."""
    told = f"{hours:,.0f}" if hours >= 9.95 else numeral(round(hours, 1))
    return f"{told} virtual hour{'' if told == '1' else 's'}"


def report(plan: Plan, summary: Summary, width: int, *, whole: bool = False) -> Iterator[tuple[str, str]]:
    """Its lines, each with a style, none wider than `width` (but for a name that is).

    `whole`: no name is cut short, however wide it is; a file has no edge.
    """
    hours, multiple = summary.virtual_s / 3600, summary.virtual_s / max(summary.wall_s, 1e-9)
    rate = summary.observations / max(summary.cpu_s, 1e-9)
    told = f"{counted(summary.seeds, 'seed')}, {virtual(hours)} in {show_duration(summary.wall_s)}"
    yield from _wrapped(
        f"{told}: {multiple:,.0f} times real time, {rate:,.0f} answers a second and core", width, "", "  "
    )
    for service in services_of(summary):
        yield from _service(plan, service, of_service(summary, service), width, whole)
    yield from _unsurvived(plan, summary, width)
    yield from _counts("Guards that spoke (how often)", summary.guards, width)
    yield from _counts("Faults that were tried (how often)", summary.faults, width)
    yield "", ""
    yield "Not modelled, or only assumed", "bold"
    for line in limits(plan, summary):
        yield from _wrapped(line, width, "  - ", "    ")
    yield from _end(summary, width)


def _service(plan: Plan, name: str, found: Found, width: int, whole: bool) -> Iterator[tuple[str, str]]:
    known = plan.model.services.get(name)
    if known is None:
        return
    ladder = " > ".join(t.move.rpartition("/")[2] for t in known.ladder) or "no ladder"
    yield "", ""
    yield from _wrapped(
        f"{name}: mode {known.mode.value}, RTO {show_duration(known.rto_s)}, {ladder}", width, "", "  ", "bold"
    )
    groups = by_disaster(found)
    cells = {disaster: _cells(some) for disaster, some in groups.items()}
    sizes = [max(len(head), *(len(row[n]) for row in cells.values())) for n, head in enumerate(HEADS)]
    room = width - sum(sizes) - 2 * len(sizes) - 2
    longest = max(len("disaster, alone"), *(len(_short(d, known)) for d in groups))
    size = longest if whole else min(room, longest)
    mixed = False
    yield _line("disaster, alone", HEADS, size, sizes), "underline"
    for disaster, some in groups.items():
        if disaster in MIXTURES and not mixed:
            mixed = True
            yield "  mixtures", "underline"
        yield _line(_cut(_short(disaster, known), size), cells[disaster], size, sizes), ""
        yield from _wrapped(_how(some), width, "      ", "      ", "dim")


def _line(first: str, cells: Iterable[str], size: int, sizes: list[int]) -> str:
    return f"  {first:<{size}}" + "".join(f"  {cell:>{n}}" for cell, n in zip(cells, sizes, strict=True))


def _cut(text: str, size: int) -> str:
    return text if len(text) <= size else text[: size - 1] + "…"


def _short(disaster: str, service: Service) -> str:
    """Without the client's name, which is the service's own."""
    if disaster.startswith(f"{service.id}: "):
        return disaster.removeprefix(f"{service.id}: ")
    head, space, rest = disaster.partition(f"{service.client}/")
    return head + rest if space and head in ("", "a host in ") else disaster


def _cells(some: Found) -> list[str]:
    rtas = [e.rta_s for _, e in some if e.rta_s is not None]
    shown = [median(rtas), percentile(rtas, 0.9) or 0.0, max(rtas)] if rtas else []
    told = [show_duration(x) for x in shown] or ["–"] * 3
    asked = sum(e.person for _, e in some)
    return [
        str(len(some)),
        str(len({seed for seed, _ in some})),
        *told,
        f"{sum(e.kept for _, e in some)}/{len(some)}",
        str(asked) if asked else "–",
    ]


def _how(some: Found) -> str:
    ended = ", ".join(f"{how} {n}" for how, n in _endings(some).most_common())
    seeds = worst_seeds(some)
    return f"{ended}; worst: {'seed' if len(seeds) == 1 else 'seeds'} {', '.join(map(str, seeds))}"


def _endings(some: Found) -> Counter[str]:
    return Counter(
        f"by tier {e.tier} {e.move.rpartition('/')[2]}" if e.tier else ENDED.get(e.how, e.how) for _, e in some
    )


def worst_seeds(some: Found) -> list[int]:
    """Those that did not recover first, then the slowest."""
    order = sorted(some, key=lambda x: (x[1].rta_s is not None, -(x[1].rta_s or 0.0), x[0]))
    return list(dict.fromkeys(seed for seed, _ in order))[:WORST]


def services_of(summary: Summary) -> list[str]:
    """Every service that had an outage."""
    return sorted({e.service for _, e in summary.episodes})


def of_service(summary: Summary, service: str) -> Found:
    """Its outages, each with its seed."""
    return [(s, e) for s, e in summary.episodes if e.service == service]


def by_disaster(found: Found) -> dict[str, Found]:
    """Disasters that came alone by their names; then the mixtures, by what they are mixtures of."""
    groups: dict[str, Found] = defaultdict(list)
    for seed, one in found:
        mixture = SEVERAL if one.disaster == SEVERAL or not one.alone else HARDER if one.harder else ""
        groups[WAKE if one.disaster == WAKE else mixture or one.disaster].append((seed, one))
    order = {name: n for n, name in enumerate(MIXTURES, 1)}
    return dict(sorted(groups.items(), key=lambda g: (order.get(g[0], 0), g[0])))


def unsurvived(summary: Summary) -> list[tuple[str, str, int]]:
    """Service, disaster and count, where a disaster came alone and no tier ever ended it."""
    found: list[tuple[str, str, int]] = []
    with_another = Reason.RECOVERED_WITH_ANOTHER.value
    for service in services_of(summary):
        for disaster, some in by_disaster(of_service(summary, service)).items():
            if disaster not in MIXTURES and not any(e.tier or e.how == with_another for _, e in some):
                found.append((service, disaster, len(some)))
    return found


def _unsurvived(plan: Plan, summary: Summary, width: int) -> Iterator[tuple[str, str]]:
    found = unsurvived(summary)
    if not found:
        return
    yield "", ""
    yield from _wrapped(
        "No tier ended these (how many outages); they passed by themselves, or a person was called",
        width,
        "",
        "",
        "bold",
    )
    for service in dict.fromkeys(s for s, _, _ in found):
        known = plan.model.services[service]
        told = ", ".join(f"{_short(d, known)} ({n})" for s, d, n in found if s == service)
        yield from _wrapped(f"{service}: {told}", width, "  ", "    ")


def _counts(title: str, counts: Counter[str], width: int) -> Iterator[tuple[str, str]]:
    if counts:
        yield "", ""
        yield title, "bold"
        yield from _wrapped(", ".join(f"{name} {n}" for name, n in counts.most_common()), width, "  ", "  ")


def limits(plan: Plan, summary: Summary) -> list[str]:
    """What the result rests on without having been declared or measured."""
    measured = len(plan.usual_s)
    durations = "durations of playbooks: a tenth of their time-outs, assumed"
    if measured:
        kinds = counted(measured, "kind")
        durations = f"durations of playbooks: {kinds} of steps measured in this workspace's journal, the others"
        durations += " assumed to be a tenth of their time-outs"
    return [durations, *summary.not_modelled]


def closing(summary: Summary) -> str:
    """The whole in one sentence."""
    all_ = [e for _, e in summary.episodes]
    kept, late = sum(e.kept for e in all_), sum(e.rta_s is not None and not e.kept for e in all_)
    left, still = sum(e.how == LEFT for e in all_), sum(e.how == STILL_DOWN for e in all_)
    parts = [f"{kept} ended within {'its' if len(all_) == 1 else 'their'} RTO", f"{late} later" if late else ""]
    parts += [f"{n} {'was' if n == 1 else 'were'} {how}" for n, how in ((left, LEFT), (still, STILL_DOWN)) if n]
    ended = ", ".join(p for p in parts if p)
    outages = f"Of {counted(len(all_), 'outage')} {ended}; " if all_ else "No service went down; "
    if not summary.violations:
        return f"{outages}none of the statements of what must never happen was violated."
    count = len(summary.violations)
    broken = f"{count} violation{'s' * (count > 1)} of what must never happen"
    return f"{outages}{broken}: a defect of bascule, not of the plan."


def _end(summary: Summary, width: int) -> Iterator[tuple[str, str]]:
    yield "", ""
    for seed, violation in summary.violations[:20]:
        yield from _wrapped(f"seed {seed}: {violation}", width, "! ", "    ", "red")
    yield from _wrapped(closing(summary), width, "", "", "bold red" if summary.violations else "bold")


def _wrapped(text: str, width: int, first: str, then: str, style: str = "") -> Iterator[tuple[str, str]]:
    lines = textwrap.wrap(
        text, width, initial_indent=first, subsequent_indent=then, break_long_words=False, break_on_hyphens=False
    )
    for line in lines:
        yield line, style


def as_data(plan: Plan, summary: Summary) -> dict[str, Any]:
    """The same as data; durations in seconds."""
    services: dict[str, Json] = {}
    for name in services_of(summary):
        known = plan.model.services.get(name)
        groups = by_disaster(of_service(summary, name))
        services[name] = {
            "mode": known.mode.value if known else None,
            "rto_s": known.rto_s if known else None,
            "ladder": [t.move for t in known.ladder] if known else [],
            "alone": {d: _data_row(some) for d, some in groups.items() if d not in MIXTURES},
            "mixtures": {d: _data_row(some) for d, some in groups.items() if d in MIXTURES},
        }
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
        "closing": closing(summary),
    }


def _data_row(some: Found) -> dict[str, Json]:
    rtas = sorted(e.rta_s for _, e in some if e.rta_s is not None)
    return {
        "outages": len(some),
        "seeds": len({seed for seed, _ in some}),
        "ended": dict(_endings(some)),
        "rta_s": {"median": median(rtas), "p90": percentile(rtas, 0.9), "max": rtas[-1]} if rtas else None,
        "within_rto": sum(e.kept for _, e in some),
        "with_a_person": sum(e.person for _, e in some),
        "worst_seeds": list(worst_seeds(some)),
    }
