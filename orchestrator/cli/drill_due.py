"""`bascule drill due`: which scheduled drills are due, and when the next ones are.

It reads the journal and nothing else.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from orchestrator.cli.workspace import clients_named, find_workspace, model_in_force

if TYPE_CHECKING:
    from orchestrator.drills.outlook import Outlook


def drill_due(
    *clients: str,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
    workspace: Path | None = None,
) -> int:
    """Say which scheduled drills are due and what stands against them, and when the next ones are. JSON has UTC.

    Parameters
    ----------
    clients
        Only these clients.
    as_json
        As JSON.
    workspace
        The workspace; else $BASCULE_WORKSPACE, else the nearest parent with inventories/.
    """
    from orchestrator.core.durations import show_duration
    from orchestrator.drills.outlook import outlook
    from orchestrator.reports.reader import reading
    from orchestrator.reports.text import line, show

    with reading(find_workspace(workspace)) as journal:
        model = model_in_force(journal)
        wanted = clients_named(clients, model)
        plans = {name: x for name, x in model.drills.items() if x.client in wanted}
        found = outlook(journal.state.decided.schedules, plans, time.time())
        unwatched_s = journal.unwatched_s(time.time())
    if as_json:
        sys.stdout.write(json.dumps([asdict(x) for x in found], indent=2) + "\n")
    else:
        of = f"no drill of {', '.join(sorted(wanted))}" if clients else "no drill"
        told = [x for one in found for x in _lines(one)] or [
            f"{of} is scheduled; they are written in inventories/CLIENT/schedules.yml"
        ]
        if found and unwatched_s is not None:
            silent = f"nobody has watched for {show_duration(unwatched_s)}"
            told.append(f"{silent}, and none of them begins until somebody does. Start it: bascule daemon")
        show([line(x) for x in told])
    return 0


def _lines(found: Outlook) -> list[str]:
    """One schedule: how it stands, and what stands against it."""
    of = found.what[0] if len(found.what) == 1 else f"one of {len(found.what)}"
    opens, closes = _local(found.opens), _local(found.closes)
    when = {
        "due": f"due since {opens}, may begin until {closes}",
        "ahead": f"next {opens} until {closes}",
        "in a period": f"once between {opens} and {closes}",
        "never": "no time ahead",
    }[found.state]
    lines = [f"{found.schedule}: {found.kind}, {of}: {when}"]
    if found.held_by:
        lines.append(f"  held up by {found.held_by}")
    if not found.in_force:
        lines.append("  not in force as it stands: no daemon has read it yet")
    return lines


def _local(written: str) -> str:
    """A time of a schedule as other times are shown; empty: there is none."""
    from orchestrator.drills.times import read
    from orchestrator.reports.clock_times import minute

    return minute(read(written).timestamp()) if written else ""
