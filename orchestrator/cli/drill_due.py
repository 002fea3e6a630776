"""`bascule drill due`: which scheduled drills are due, and when the next ones are. `bascule calendar`: as a file.

They read the journal and nothing else.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from orchestrator.cli.failures import CallWrong
from orchestrator.cli.workspace import client_named, find_workspace

if TYPE_CHECKING:
    from orchestrator.core.model import Model
    from orchestrator.drills.outlook import Outlook
    from orchestrator.reports.reader import Reader
    from orchestrator.reports.story import State

DAYS_MOST = 3660


def drill_due(
    *clients: str,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
    workspace: Path | None = None,
) -> int:
    """Say which scheduled drills are due and what stands against them, and when the next ones are. Times are in UTC.

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
        model = _model(journal)
        wanted = _clients(clients, model)
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


def calendar(
    *clients: str,
    out: Path | None = None,
    days: int = 366,
    workspace: Path | None = None,
) -> int:
    """Write what is ahead as a calendar file (ICS): drills, but no surprises, and announced maintenance.

    Parameters
    ----------
    clients
        Only these clients.
    out
        The file; else it is printed.
    days
        So many days ahead.
    workspace
        The workspace; else $BASCULE_WORKSPACE, else the nearest parent with inventories/.
    """
    from orchestrator.drills.ics import ahead, written
    from orchestrator.drills.times import at
    from orchestrator.reports.reader import reading

    if not 1 <= days <= DAYS_MOST:
        raise CallWrong(f"--days {days}: that many days cannot be shown", f"Say 1 to {DAYS_MOST}")
    with reading(find_workspace(workspace)) as journal:
        model = _model(journal)
    wanted = _clients(clients, model)
    drills = {name: x for name, x in model.drills.items() if x.client in wanted}
    work = {name: x for name, x in model.maintenance.items() if x.client in wanted}
    now = at(time.time()).replace(microsecond=0)
    found = written(ahead(drills, work, now, now + timedelta(days=days)), now)
    if out is not None:
        out.write_bytes(found)
    elif sys.stdout.isatty():
        sys.stdout.write(found.decode().replace("\r\n", "\n"))  # for a person: the line ends of a terminal
    else:
        sys.stdout.flush()
        sys.stdout.buffer.write(found)  # for a program: the file, byte by byte
    return 0


def _clients(named: tuple[str, ...], model: Model) -> set[str]:
    """The clients that were named, or all of them. Raises CallWrong."""
    known = {x.client for x in model.services.values()}
    known |= {x.client for x in model.drills.values()} | {x.client for x in model.maintenance.values()}
    return {client_named(x, known) for x in named} or known


def _model(journal: Reader[State]) -> Model:
    if journal.state.model is None:
        raise CallWrong("no configuration was ever in force here", "Start a daemon: bascule daemon")
    return journal.state.model


def _lines(found: Outlook) -> list[str]:
    """One schedule: how it stands, and what stands against it."""
    of = found.what[0] if len(found.what) == 1 else f"one of {len(found.what)}"
    when = {
        "due": f"due since {found.opens}, may begin until {found.closes}",
        "ahead": f"next {found.opens} until {found.closes}",
        "in a period": f"once between {found.opens} and {found.closes}",
        "never": "no time ahead",
    }[found.state]
    lines = [f"{found.schedule}: {found.kind}, {of}: {when}"]
    if found.held_by:
        lines.append(f"  held up by {found.held_by}")
    if not found.in_force:
        lines.append("  not in force as it stands: no daemon has read it yet")
    return lines
