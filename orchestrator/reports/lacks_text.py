"""What bascule cannot see or do, as lines: at the top of the status, and alone in `bascule ready`.

The one rule it keeps: each line says what it is about, since when, why, what follows from it, and what to type. What is
left out of a long list is counted, with the command that shows it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from shlex import quote

from orchestrator.core.awareness.readiness import Lack
from orchestrator.core.durations import show_duration
from orchestrator.reports.clock_times import when
from orchestrator.reports.status_parts import LackNow
from orchestrator.reports.text import Line, Part, line, wrap

SHOWN = 3  # of one client and kind, in a status; `bascule ready` shows all
VANTAGES = (Lack.BLIND.value, Lack.NO_REFERENCE.value)


def lack_lines(lacks: Sequence[LackNow], width: int, wall: float, shown: int | None = SHOWN) -> list[Line]:
    """The list by client and kind; nothing where nothing lacks. `shown`: of each kind; None: all."""
    lines: list[Line] = []
    groups: dict[tuple[str, str], list[LackNow]] = {}
    for lack in lacks:
        groups.setdefault((lack.client, lack.kind), []).append(lack)
    for client in sorted({x.client for x in lacks}):
        lines.append(line(Part(f"{client or 'the whole workspace'}: cannot see or do", "bold red")))
        for (of, _), found in groups.items():
            if of != client:
                continue
            for lack in found[:shown]:
                lines += _one(lack, width, wall)
            left = len(found) - len(found[:shown])
            if left:
                ready = f"bascule ready {quote(client)}" if client else "bascule ready"
                lines += _wrapped("  ", f"{found[0].kind}: {left} more: {ready}", width, "yellow")
    return lines


def _one(lack: LackNow, width: int, wall: float) -> Iterable[Line]:
    subject = f"vantage {lack.subject}" if lack.kind in VANTAGES else lack.subject
    since = f" since {when(lack.since_wall, wall)}" if lack.since_wall is not None else ""
    lasting = f" ({show_duration(lack.for_s)})" if lack.for_s is not None else ""
    told = lack.evidence if lack.evidence.startswith(subject) else f"{subject}: {lack.evidence}"
    head = f"  {lack.kind}{since}{lasting}: "
    for number, piece in enumerate(wrap("    ", f"{head[2:]}{told}", width)):
        yield line(Part(piece[2:] if number == 0 else piece, "yellow" if lack.excused else "red"))
    yield from _wrapped("    so: ", lack.means, width, "")
    if lack.excused:
        yield from _wrapped("    expected: ", lack.excused, width, "yellow")
    if lack.say:
        yield line("    type: ", Part(lack.say, "bold"))


def _wrapped(prefix: str, text: str, width: int, style: str) -> Iterable[Line]:
    for piece in wrap(prefix, text, width):
        yield line(piece[: len(prefix)], Part(piece[len(prefix) :], style))
