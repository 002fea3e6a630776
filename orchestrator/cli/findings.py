"""`bascule findings`: what is to be improved, by whom and by when; opened and closed by named persons.

The one rule it keeps: the list is what the journal says. A finding is a word to the engine, which chases it.
"""

from __future__ import annotations

import json
import re
import sys
import time
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from orchestrator.cli.failures import CallWrong
from orchestrator.cli.speaker import Speaker

if TYPE_CHECKING:
    from orchestrator.core.model import Json
    from orchestrator.core.state.finding import KeptFinding
    from orchestrator.reports.text import Line

NOBODY = Speaker()
_ID = re.compile(r"[ird][0-9]+")  # of an incident, a run, a drill
app = App(name="findings", help="What is to be improved after incidents and drills, by whom and by when.")


@app.default
def findings(
    *about: str,
    closed: Annotated[bool, Parameter(negative="")] = False,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
    workspace: Path | None = None,
) -> int:
    """List what is to be improved; the first that is due first.

    Parameters
    ----------
    about
        Only those of these clients, services, incidents, runs or drills.
    closed
        Those that are closed as well.
    as_json
        As JSON.
    workspace
        The workspace; else $BASCULE_WORKSPACE, else the nearest parent with inventories/.
    """
    from orchestrator.cli.workspace import find_workspace, reading, subject_named
    from orchestrator.core.state.decided import covers
    from orchestrator.reports.text import line, show

    with reading(find_workspace(workspace)) as journal:
        now, decided = journal.now(time.time()), journal.state.decided
        services = journal.state.model.services if journal.state.model is not None else {}
    ids = {x.opened.about for x in decided.findings.known.values()}
    ever = {x.opened.service for x in decided.findings.known.values()}  # a service may be gone, and its findings stay
    wanted = [x if x in ids or _ID.fullmatch(x) else subject_named(x, {*services, *ever}) for x in about]
    known = decided.findings.open()
    if closed:
        known += sorted((x for x in decided.findings.known.values() if x.closed), key=lambda x: x.opened.at)
    found = [x for x in known if not wanted or any(y == x.opened.about or covers(y, x.opened.service) for y in wanted)]
    if as_json:
        told = [{**asdict(x.opened), "overdue": overdue(x, now), "closed": _closed(x)} for x in found]
        sys.stdout.write(json.dumps(told, indent=2) + "\n")
        return 0
    of = f" of {', '.join(wanted)}" if wanted else ""
    show(finding_lines(found, now) if found else [line(f"nothing on record{of} is to be improved")])
    return 0


@app.command(name="open")
def open_(
    about: str,
    text: str,
    /,
    *,
    owner: str,
    due: str,
    internal: Annotated[bool, Parameter(negative="")] = False,
    speaker: Speaker = NOBODY,
) -> int:
    """Say what is to be improved after an incident, a run or a drill.

    Parameters
    ----------
    about
        Its id.
    text
        What is to be improved.
    owner
        Id of the person who sees to it, as people.yml or bascule.yml has it.
    due
        By which day: 2026-12-31.
    internal
        It is not for the client's eyes: no client's edition of a report tells of it.
    """
    end = _end_of(due)
    if end <= time.time():
        raise CallWrong(f"--due {due} is over", "Say a day to come; days are in UTC")
    options: dict[str, Json] = {"owner": owner, "due": due, "in_s": end - time.time(), "internal": internal}
    return _say("finding", about, replace(speaker, reason=text), options)


@app.command
def close(finding: str, /, *, speaker: Speaker = NOBODY) -> int:
    """Say that it is seen to; --reason says how.

    Parameters
    ----------
    finding
        Its id: f3.
    """
    return _say("finding close", finding, speaker, {})


@app.command
def none(about: str, /, *, speaker: Speaker = NOBODY) -> int:
    """Say that nothing is to be improved: then its report is no draft for want of findings.

    Parameters
    ----------
    about
        Id of an incident, a run or a drill.
    """
    return _say("no findings", about, speaker, {})


def finding_lines(found: list[KeptFinding], now: float) -> list[Line]:
    """One line each."""
    from orchestrator.reports.text import Part, line

    ids = max(len(x.id) for x in found)
    abouts = max(len(f"{x.opened.about} {x.opened.service}") for x in found)
    owners = max(len(x.opened.owner) for x in found)
    lines = []
    for x in found:
        late = overdue(x, now)
        state = f"closed by {x.closed.who}" if x.closed else "overdue" if late else "open"
        opened = x.opened
        about = f"{opened.about} {opened.service}"
        lines.append(
            line(
                f"{x.id:<{ids}}  {about:<{abouts}}  ",
                f"{opened.owner:<{owners}}  {opened.due}  ",
                Part(state, "red" if late else "green" if x.closed else "yellow"),
                f"  {opened.text}" + (f": {x.closed.why}" if x.closed and x.closed.why else ""),
            )
        )
    return lines


def overdue(x: KeptFinding, now: float) -> bool:
    """Whether it is past its date and nobody has closed it."""
    return x.closed is None and now > x.opened.due_at


def _closed(x: KeptFinding) -> dict[str, object] | None:
    return asdict(x.closed) if x.closed is not None else None


def _end_of(day: str) -> float:
    """The end of this day, seconds since 1970; UTC, as reports have it."""
    try:
        return (datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=UTC) + timedelta(days=1)).timestamp()
    except ValueError:
        raise CallWrong(f"--due {day} is no day", "Write it as year-month-day: --due 2026-12-31") from None


def _say(kind: str, subject: str, speaker: Speaker, options: dict[str, Json]) -> int:
    from orchestrator.cli.words import say
    from orchestrator.core.events import WordKind

    return say(WordKind(kind), subject, speaker, options, about="run")
