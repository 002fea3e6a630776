"""`bascule calendar`: what is ahead, as a calendar file: drills, maintenance, findings, old proofs, certificates.

It reads the journal and nothing else. With --for client it holds what its client may know, and nobody else.
"""

from __future__ import annotations

import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from orchestrator.cli.failures import CallWrong
from orchestrator.cli.output import put_file
from orchestrator.cli.workspace import clients_named, find_workspace, model_in_force

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from orchestrator.core.model import Model
    from orchestrator.drills.ics import Ahead
    from orchestrator.reports.reader import Reader
    from orchestrator.reports.stories import State

DAYS_MOST = 3660
For = Literal["provider", "client"]


def calendar(
    *clients: str,
    out: Path | None = None,
    days: int = 366,
    for_: Annotated[For, Parameter(name="--for")] = "provider",
    workspace: Path | None = None,
) -> int:
    """Write what is ahead as a calendar file (ICS): drills, but no surprises, announced maintenance, findings that are
    due, proofs that get old, certificates that end.

    Parameters
    ----------
    clients
        Only these clients.
    out
        The file; else it is printed.
    days
        So many days ahead.
    for_
        For the client, of which one is named: only drills that it is told of, and nothing of the provider's own.
    workspace
        The workspace; else $BASCULE_WORKSPACE, else the nearest parent with inventories/.
    """
    from orchestrator.drills.ics import written
    from orchestrator.drills.times import at

    if not 1 <= days <= DAYS_MOST:
        raise CallWrong(f"--days {days}: that many days cannot be shown", f"Say 1 to {DAYS_MOST}")
    if for_ == "client" and len(clients) != 1:
        raise CallWrong("for which client?", "Name one: bascule calendar CLIENT --for client")
    place, now = find_workspace(workspace), at(time.time()).replace(microsecond=0)
    found, identity = _gathered(place, clients, for_, now, now + timedelta(days=days))
    file = written(found, now, identity)
    if out is not None:
        put_file(out, file)
    elif sys.stdout.isatty():
        sys.stdout.write(file.decode().replace("\r\n", "\n"))  # for a person: the line ends of a terminal
    else:
        sys.stdout.flush()
        sys.stdout.buffer.write(file)  # for a program: the file, byte by byte
    return 0


def _gathered(
    workspace: Path, clients: tuple[str, ...], for_: For, now: datetime, until: datetime
) -> tuple[list[Ahead], str]:
    """All of it, and what the workspace is known by. Raises CallWrong, JournalUnreadable."""
    from orchestrator.core.schedules import Tells
    from orchestrator.drills import ics
    from orchestrator.reports.reader import reading

    with reading(workspace) as journal:
        model, decided = model_in_force(journal), journal.state.decided
        open_ = decided.findings.open()
        wanted = clients_named(clients, model, {x.opened.service.partition("/")[0] for x in open_})
        drills = {n: x for n, x in model.drills.items() if x.client in wanted}
        if for_ == "client":
            drills = {n: x for n, x in drills.items() if x.tells is Tells.CLIENT}
        work = {n: x for n, x in model.maintenance.items() if x.client in wanted}
        upto = {n: x.upto for n, x in decided.schedules.items() if x.due is None}
        found, unknown = ics.ahead(drills, work, now, until, upto)
        for name, why in unknown.items():
            print(f"{name} is left out: {why}", file=sys.stderr)
        found += [x for x in _dated(workspace, journal, model, wanted, for_, now) if x.opens <= until]
    return found, decided.workspace


def _dated(
    workspace: Path, journal: Reader[State], model: Model, wanted: set[str], for_: For, now: datetime
) -> Iterator[Ahead]:
    """What comes to its day."""
    from orchestrator.drills.ics import day_long
    from orchestrator.drills.worth import YEAR_S
    from orchestrator.reports import dated
    from orchestrator.reports.papers.edition import Mask
    from orchestrator.reports.proof_ages import last_shown
    from orchestrator.reports.reader import reading_all

    def mine(id_: str) -> bool:
        return id_.partition("/")[0] in wanted

    today, clock = now.date(), journal.state.clock
    mask = Mask(next(iter(wanted)), [model]) if for_ == "client" else None
    findings = [x for x in journal.state.decided.findings.open() if mine(x.opened.service)]
    rows = {n: x for n, x in journal.rows(model).items() if mine(n)}
    with reading_all(workspace) as told:
        shown = last_shown(told.state, model, told.now(now.timestamp()))
    for x in (
        *dated.due_findings(findings, model, clock, today, mask),
        *dated.old_proofs({tier: x for tier, x in shown.items() if mine(tier[0])}, model, YEAR_S, today),
        *dated.certificates(rows, model, clock, today, mask),
    ):
        yield day_long(x.id, x.day, x.summary, x.description, x.kind)
