"""`bascule drill due`: which scheduled drills are due, when the next ones are, and which were missed.

It reads the journal and nothing else.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Collection, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from orchestrator.cli.workspace import clients_named, find_workspace, model_in_force, reading

if TYPE_CHECKING:
    from orchestrator.core.schedules import DrillPlan
    from orchestrator.drills.outlook import Missed, Outlook
    from orchestrator.reports.text import Line


def drill_due(
    *clients: str,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
    workspace: Path | None = None,
) -> int:
    """Say which scheduled drills are due and what stands against them, when the next ones are, and which were missed
    and why. JSON has UTC.

    Parameters
    ----------
    clients
        Only these clients.
    as_json
        As JSON.
    workspace
        The workspace; else $BASCULE_WORKSPACE, else the nearest parent with inventories/.
    """
    from orchestrator.cli.status import columns
    from orchestrator.core.durations import show_duration
    from orchestrator.drills.outlook import LATEST, missed, outlook
    from orchestrator.reports.text import hanging, line, show

    with reading(find_workspace(workspace)) as journal:
        model = model_in_force(journal)
        wanted = clients_named(clients, model)
        late = missed(x for x in journal.missed() if not clients or _is_of(x[1], wanted))
        plans = {name: x for name, x in model.drills.items() if x.client in wanted}
        found = outlook(journal.state.decided.schedules, plans, time.time())
        unwatched_s = journal.unwatched_s(time.time())
    if as_json:
        told_ = [replace(x, missed=tuple(y for y in late if y.schedule == x.schedule)[:LATEST]) for x in found]
        sys.stdout.write(json.dumps([asdict(x) for x in told_], indent=2) + "\n")
    else:
        of = f"no drill of {', '.join(sorted(wanted))}" if clients else "no drill"
        told = [x for one in found for x in _lines(one)] or [
            f"{of} is scheduled; they are written in inventories/CLIENT/schedules.yml"
        ]
        if found and unwatched_s is not None:
            silent = f"nobody has watched for {show_duration(unwatched_s)}"
            told.append(f"{silent}, and none of them begins until somebody does. Start it: bascule daemon")
        width = columns()
        show([*(line(x) for text in told for x in hanging(text, width)), *missed_lines(late, width)])
    return 0


def missed_lines(late: Sequence[Missed], width: int) -> list[Line]:
    """The latest that were missed: which schedule, its window, why. The latest first."""
    from orchestrator.drills.outlook import LATEST
    from orchestrator.reports.text import Part, line, wrap

    if not late:
        return []
    lines = [line(Part("missed, the latest first:", "bold"))]
    for x in late[:LATEST]:
        told = f"{x.schedule}, {_window(x.opens, x.closes)}: {x.reason}: {x.evidence}"
        lines += [line(Part(text, "yellow")) for text in wrap("  ", told, width)]
    if len(late) > LATEST:
        lines.append(line(f"  and {len(late) - LATEST} before; bascule report CLIENT --from DAY tells of all"))
    return lines


def _is_of(plan: DrillPlan, clients: Collection[str]) -> bool:
    """Whether it is, or could have been, of one of these clients."""
    return plan.client in clients or any(x.service.partition("/")[0] in clients for x in plan.of)


def _lines(found: Outlook) -> list[str]:
    """One schedule: how it stands, and what stands against it."""
    of = found.what[0] if len(found.what) == 1 else f"one of {len(found.what)}"
    window = _window(found.opens, found.closes)
    when = {
        "due": f"due, may begin {window}",
        "ahead": f"next {window}",
        "in a period": f"once in the period {window}",
        "never": "no time ahead",
        "unknown": "its times cannot be worked out",
    }[found.state]
    lines = [f"{found.schedule}: {found.kind}, {of}: {when}"]
    if found.held_by:
        lines.append(f"  {found.held_by}" if found.state == "unknown" else f"  held up by {found.held_by}")
    if not found.in_force:
        lines.append("  not in force as it stands: no daemon has read it yet")
    return lines


def _window(opens: str, closes: str) -> str:
    """Times of a schedule as other times are shown; empty: there is none."""
    from orchestrator.drills.times import read
    from orchestrator.reports.clock_times import minute, span

    if not opens:
        return ""
    from_ = read(opens).timestamp()
    return span(from_, read(closes).timestamp()) if closes else minute(from_)
