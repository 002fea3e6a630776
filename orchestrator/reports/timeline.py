"""The timeline of one account as inline SVG, written by hand: people, playbooks and checks on one axis of seconds.

The one rule it keeps: every coloured stretch also has words (a label, or a title to point at), and every text is
escaped where it is written.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

from orchestrator.core.durations import show_duration
from orchestrator.core.kinds import TRAITS
from orchestrator.reports.incident_text import offset
from orchestrator.reports.papers.tongue import PROVIDER
from orchestrator.reports.shape import Account, Moment, StepLine
from orchestrator.reports.text import SIGN, as_html, bounded, precise

WIDTH = 1000.0
LEFT = 120.0
RIGHT = 16.0
ROW = 24.0
CHAR = 6.4  # width of a character of the labels, about
CLASSES = {
    "detect": "detect",
    "decide": "decide",
    "isolate": "fence",
    "wait for a human": "human",
    "wait for a dependency": "dependency",
    "fence": "fence",
    "execute": "execute",
    "verify": "verify",
}
STEP_CLASS = {kind.value: CLASSES[row.phase.value] for kind, row in TRAITS.items()}


class Speech(Protocol):
    """How the picture speaks."""

    def text(self, english: str) -> str:
        """One of our own words."""

    def duration(self, seconds: float | None, /, *, up: bool = False) -> str:
        """How long; `up`: rounded up."""

    def offset(self, seconds: float | None) -> str:
        """How long after the beginning."""


class Plain:
    """As a terminal has it."""

    def text(self, english: str) -> str:
        """The word itself."""
        return english

    def duration(self, seconds: float | None, /, *, up: bool = False) -> str:
        """`8.5s`."""
        return precise(seconds or 0.0, up=up)

    def offset(self, seconds: float | None) -> str:
        """`+0:41.2`."""
        return offset(seconds)


class Axis:
    """Seconds to horizontal places."""

    def __init__(self, start_s: float, end_s: float) -> None:
        margin = max(0.5, (end_s - start_s) * 0.02)
        self.start_s, self.end_s = start_s - margin, end_s + margin
        self._scale = (WIDTH - LEFT - RIGHT) / (self.end_s - self.start_s)

    def x(self, at_s: float) -> float:
        """Where this second is, kept inside."""
        return LEFT + (min(max(at_s, self.start_s), self.end_s) - self.start_s) * self._scale

    def ticks(self) -> list[float]:
        """Round seconds, at most a dozen."""
        rough = (self.end_s - self.start_s) / 10
        steps = (0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400)
        step = next((s for s in steps if s >= rough), math.ceil(rough / 86400) * 86400)
        first = math.ceil(self.start_s / step)
        return [step * n for n in range(first, math.floor(self.end_s / step) + 1)]


def timeline(a: Account, ident: str, speech: Speech | None = None, *, outages: bool = False) -> str:
    """The `<svg>` element; `ident` makes its ids unique in a page. `outages`: with the time without service."""
    say = speech if speech is not None else Plain()
    start, end = a.extent
    axis = Axis(start, max(end, start + 1.0))
    rows: list[str] = []
    y = 30.0
    y = _phases(rows, a, axis, y, say)
    y = _outages(rows, a, axis, y, say) if outages else y
    y = _steps(rows, a, axis, y, say)
    y = _meter(rows, a, axis, y, say)
    y = _dots(rows, "checks", a.checks, axis, y, "check", say)
    y = _dots(rows, "decisions", (*a.decisions, *_tier_moments(a)), axis, y, "decision", say)
    y = _dots(rows, "words", a.words, axis, y, "word", say)
    y = _dots(rows, "told", a.notices, axis, y, "notice", say)
    height = y + 8
    about = _about(a, say)
    return "".join(
        [
            f'<svg viewBox="0 0 {WIDTH:.0f} {height:.0f}" role="img" class="timeline"',
            f' aria-labelledby="{ident}-t {ident}-d">',
            f'<title id="{ident}-t">{as_html(say.text("Timeline of"))} {as_html(a.title or a.id)}</title>',
            f'<desc id="{ident}-d">{as_html(about)}</desc>',
            *_grid(axis, height, a, say),
            *rows,
            "</svg>",
        ]
    )


def _about(a: Account, say: Speech) -> str:
    phases = ", ".join(f"{say.text(p.phase)} {say.duration(p.seconds)}" for p in a.phases)
    return f"{a.service}: {phases}. {say.text('State')}: {say.text(a.state)}."


def _grid(axis: Axis, height: float, a: Account, say: Speech) -> list[str]:
    found = []
    for tick in axis.ticks():
        x = axis.x(tick)
        label = "0" if tick == 0 else show_duration(tick) if abs(tick) >= 60 else say.duration(tick).replace(".0s", "s")
        found.append(f'<line x1="{x:.1f}" y1="22" x2="{x:.1f}" y2="{height:.1f}" class="grid"/>')
        found.append(f'<text x="{x:.1f}" y="15" class="tick">{label}</text>')
    if a.rto_at_s is not None and axis.start_s <= a.rto_at_s <= axis.end_s and not a.planned:
        x = axis.x(a.rto_at_s)
        found.append(f'<line x1="{x:.1f}" y1="20" x2="{x:.1f}" y2="{height:.1f}" class="deadline"/>')
        found.append(f'<text x="{x - 4:.1f}" y="{height - 3:.1f}" class="deadline-label">RTO</text>')
    return found


def _label(text: str, y: float) -> str:
    shown = text if len(text) <= 17 else text[:16] + "…"
    return (
        f'<text x="{LEFT - 8:.0f}" y="{y + 15:.1f}" class="lane"><title>{as_html(text)}</title>{as_html(shown)}</text>'
    )


def _bar(axis: Axis, y: float, from_s: float, to_s: float, kind: str, label: str, title: str) -> str:
    x, width = axis.x(from_s), max(1.5, axis.x(to_s) - axis.x(from_s))
    found = (
        f'<g><title>{as_html(title)}</title><rect x="{x:.1f}" y="{y + 2:.1f}" width="{width:.1f}"'
        f' height="{ROW - 5:.0f}" rx="2" class="bar {kind}"/>'
    )
    if label and len(label) * CHAR + 8 <= width:
        found += f'<text x="{x + 4:.1f}" y="{y + 15.5:.1f}" class="in">{as_html(label)}</text>'
    elif label:
        size = len(label) * CHAR
        if axis.x(to_s) + size + 6 <= WIDTH:
            found += f'<text x="{x + width + 4:.1f}" y="{y + 15.5:.1f}" class="out">{as_html(label)}</text>'
        else:
            found += f'<text x="{x - 4:.1f}" y="{y + 15.5:.1f}" class="out end">{as_html(label)}</text>'
    return found + "</g>"


def _phases(rows: list[str], a: Account, axis: Axis, y: float, say: Speech) -> float:
    rows.append(_label(say.text("phases"), y))
    merged: list[tuple[str, float, float]] = []
    for s in a.stretches:
        if merged and merged[-1][0] == s.phase and abs(merged[-1][2] - s.from_s) < 1e-6:
            merged[-1] = (s.phase, merged[-1][1], s.to_s)
        else:
            merged.append((s.phase, s.from_s, s.to_s))
    for phase, from_s, to_s in merged:
        took, name = say.duration(to_s - from_s), say.text(phase)
        full, short = f"{name} {took}", name
        room = axis.x(to_s) - axis.x(from_s) - 8
        label = full if len(full) * CHAR <= room else short if len(short) * CHAR <= room else ""
        title = f"{name}: {took}, {say.offset(from_s)} – {say.offset(to_s)}"
        rows.append(_bar(axis, y, from_s, to_s, CLASSES.get(phase, "decide"), label, title))
    return y + ROW + 6


def _outages(rows: list[str], a: Account, axis: Axis, y: float, say: Speech) -> float:
    """When users were without the service, by its checks."""
    if not a.outages:
        return y
    rows.append(_label(say.text("without service"), y))
    for x in a.outages:
        label = bounded(x.seconds, x.at_most, SIGN, say.duration)
        title = f"{say.text('without service')}: {label}"
        rows.append(_bar(axis, y, x.from_s, x.to_s if x.to_s is not None else axis.end_s, "outage", label, title))
    return y + ROW + 6


def _steps(rows: list[str], a: Account, axis: Axis, y: float, say: Speech) -> float:
    for s in a.steps:
        if s.state == "skipped" or s.from_s is None:
            continue  # it never began
        end = s.to_s if s.to_s is not None else axis.end_s
        took = bounded(s.took_s or 0.0, s.at_most, SIGN, say.duration)
        kind = STEP_CLASS.get(s.kind, "execute") + (" failed" if s.state == "failed" else "")
        label = f"{took} {say.text('failed')}" if s.state == "failed" else took
        rows.append(_label(_short_step(s), y))
        rows.append(_bar(axis, y, s.from_s, end, kind, label, f"{s.step} {took}: {s.reason} {s.evidence}".strip()))
        y += ROW
        y = _tasks(rows, s, axis, y, say)
    return y + 6 if a.steps else y


def _tasks(rows: list[str], s: StepLine, axis: Axis, y: float, say: Speech) -> float:
    """Tasks of a step as thin bars below it: the ones that took time, no more than eight."""
    least_s = max(0.1, (axis.end_s - axis.start_s) * 0.005)
    shown = sorted((t for t in s.tasks if t.took_s >= least_s), key=lambda t: -t.took_s)[:8]
    for t in sorted(shown, key=lambda t: t.from_s):
        x, width = axis.x(t.from_s), max(1.5, axis.x(t.from_s + t.took_s) - axis.x(t.from_s))
        text = f"{t.host}: {t.name} {say.duration(t.took_s)}"
        kind = "failed" if t.status in ("failed", "unreachable") else ""
        size = len(text) * CHAR * 0.86
        at, anchor = (x + width + 4, "") if x + width + size < WIDTH else (x - 4, " end")
        rows.append(
            f"<g><title>{as_html(text)}: {as_html(t.status)}</title>"
            f'<rect x="{x:.1f}" y="{y + 3:.1f}" width="{width:.1f}" height="8" rx="1" class="bar task {kind}"/>'
            f'<text x="{at:.1f}" y="{y + 10.5:.1f}" class="task-label{anchor}">{as_html(text)}</text></g>'
        )
        y += 15
    return y


def _meter(rows: list[str], a: Account, axis: Axis, y: float, say: Speech) -> float:
    m = a.meter
    if m is None or m.outage_s is None:
        return y
    rows.append(_label(say.text("end user"), y))
    from_s = m.outage_from_s if m.outage_from_s is not None else 0.0
    to_s = m.outage_to_s if m.outage_to_s is not None else from_s + m.outage_s
    label = f"no successful transaction for {say.duration(m.outage_s)}"
    rows.append(_bar(axis, y, from_s, to_s, "outage", label, f"{label}, measured by the end user's meter ({m.meter})"))
    return y + ROW + 6


def _dots(rows: list[str], lane: str, moments: Sequence[Moment], axis: Axis, y: float, kind: str, say: Speech) -> float:
    """Instants; where several lie close together their labels take further rows.

    What was said long after the end stands in the tables, not here: it would squeeze the rest.
    """
    moments = [m for m in moments if axis.start_s <= m.at_s <= axis.end_s]
    if not moments:
        return y
    rows.append(_label(say.text(lane), y))
    free: list[float] = []  # the first free place of each row
    for m in sorted(moments, key=lambda m: m.at_s):
        x = axis.x(m.at_s)
        label = _dot_label(m, kind, say)
        size = len(label) * CHAR * 0.86 + 16
        left = x + size > WIDTH
        begins, ends = (x - size, x + 10) if left else (x - 6, x + size)
        row = next((i for i, taken in enumerate(free) if taken <= begins), len(free))
        if row == len(free):
            free.append(ends)
        else:
            free[row] = ends
        top = y + row * 16
        title = f"{say.offset(m.at_s)} {_who(m, say)} {m.what} {m.reason} {m.evidence}"
        mark = f"dot {kind} {as_html(m.kind.replace(' ', '-'))}"
        place = f'x="{x - 8:.1f}" class="task-label end"' if left else f'x="{x + 8:.1f}" class="task-label"'
        rows.append(
            f'<g><title>{as_html(" ".join(title.split()))}</title><circle cx="{x:.1f}" cy="{top + 10:.1f}" r="4"'
            f' class="{mark}"/><text y="{top + 13.5:.1f}" {place}>{as_html(label)}</text></g>'
        )
    return y + len(free) * 16 + 10


def _who(m: Moment, say: Speech) -> str:
    """A name as it is; in a client's edition there are words in place of some."""
    return say.text(m.who) if m.who == PROVIDER else m.who


def _dot_label(m: Moment, kind: str, say: Speech) -> str:
    text = {
        "check": f"{m.what.rpartition('/')[2]} {m.kind}",
        "word": f"{_who(m, say)}: {m.what}",
        "notice": m.kind or m.what,
        "decision": f"{m.what}: {m.reason}" if m.reason else m.what,
    }[kind]
    return text if len(text) <= 60 else text[:59] + "…"


def _tier_moments(a: Account) -> list[Moment]:
    return [
        Moment(h.at_s, f"tier {t.tier} {t.move.rpartition('/')[2]} {h.what}", h.reason, h.evidence)
        for t in a.tiers
        for h in t.history
    ]


def _short_step(s: StepLine) -> str:
    head, colon, tail = s.step.rpartition(":")
    return head + colon + tail.rpartition("/")[2]
