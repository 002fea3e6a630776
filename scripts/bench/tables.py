"""Comparisons as text for a terminal, and as Markdown for docs/benchmarks.md; pure.

The one rule it keeps: no median without its spread, no ratio without the peer that it is against.
"""

from __future__ import annotations

from collections.abc import Sequence

from scripts.bench.figures import Summary, ratios, reached, summary
from scripts.bench.shape import Comparison, Row


def shown(value: float) -> str:
    """A number with three figures that count, as a person writes it."""
    if value == 0:
        return "0"
    size = abs(value)
    if size >= 1000:
        return f"{value:,.0f}"
    if size >= 100:
        return f"{value:.0f}"
    if size >= 10:
        return f"{value:.1f}"
    if size >= 0.1:
        return f"{value:.2f}"
    return f"{value:.2g}"


def spread(found: Summary) -> str:
    """The middle half, or the only value's absence of one."""
    return "" if found.count == 1 else f"{shown(found.low)}–{shown(found.high)}"


def _versus(comparison: Comparison, row: Row) -> list[str]:
    """Each ratio that this row is ours of: "10.3× (9.8–11) vs ansible-playbook"."""
    found = []
    for ours, peer in comparison.ratios:
        if ours == row.name:
            times = summary(ratios(row, comparison.row(peer)))
            middle = f" ({spread(times)})" if times.count > 1 else ""
            found.append(f"{shown(times.median)}×{middle} vs {peer}")
    return found


def _verdicts(comparison: Comparison) -> list[str]:
    lines = []
    for target in comparison.targets:
        got, met = reached(comparison, target)
        row = comparison.row(target.ours)
        if target.peer:
            text = f"{target.ours}: at least {shown(target.times)}× {target.peer}: {shown(got)}×"
        else:
            word = "at least" if row.more_is_better else "at most"
            text = f"{target.ours}: {word} {shown(target.times)} {row.unit}: {shown(got)} {row.unit}"
        lines.append(f"{'met' if met else 'MISSED'}: {text}")
    return lines


def text_table(comparison: Comparison) -> str:
    """For a terminal."""
    lines = [["", "median", "middle half", "min", "max", "rounds", "times better"]]
    for row in comparison.rows:
        found = summary(row.values)
        cells = [row.name, f"{shown(found.median)} {row.unit}".strip(), spread(found), shown(found.least)]
        cells += [shown(found.most), str(found.count), "; ".join(_versus(comparison, row))]
        lines.append(cells)
    wide = [max(len(line[n]) for line in lines) for n in range(len(lines[0]))]
    out = [comparison.title]
    for line in lines:
        cells = [cell.ljust(wide[0]) if n == 0 else cell.rjust(wide[n]) for n, cell in enumerate(line[:-1])]
        out.append(("  " + "  ".join([*cells, line[-1]])).rstrip())
    out += [f"  {row.name}: {row.note}" for row in comparison.rows if row.note]
    out += [f"  {verdict}" for verdict in _verdicts(comparison)]
    if comparison.note:
        out.append(f"  {comparison.note}")
    return "\n".join(out)


def markdown_table(comparisons: Sequence[Comparison]) -> list[str]:
    """For a document: one table of all that docs/benchmarks.md quotes, and which targets were met."""
    lines = ["| measured side by side | | median (middle half) | times better |", "|---|---|---|---|"]
    for comparison in comparisons:
        if not comparison.readme:
            continue
        title = comparison.title
        for row in comparison.rows:
            found = summary(row.values)
            middle = f" ({spread(found)})" if found.count > 1 else ""
            figure = f"{shown(found.median)}{middle} {row.unit}".strip()
            lines.append(f"| {title} | {row.name} | {figure} | {'; '.join(_versus(comparison, row))} |")
            title = ""
    verdicts = [(c.title, verdict) for c in comparisons if c.readme for verdict in _verdicts(c)]
    if verdicts:
        lines += ["", "Targets:", "", *(f"* {title}: {verdict}" for title, verdict in verdicts)]
    return lines
