"""`bascule drill`: rehearse a move, or make it and lead it back; and see what drills showed.

The one rule it keeps: a drill needs a daemon. Somebody has to watch while it lasts, and to lead it back.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from orchestrator.cli.failover import ServiceName
from orchestrator.cli.failures import CallWrong
from orchestrator.cli.speaker import Speaker

if TYPE_CHECKING:
    from orchestrator.core.model import Json

NOBODY = Speaker()
app = App(name="drill", help="Rehearse a move, or make it and lead it back.")
app.command(
    "orchestrator.cli.drill_due:drill_due", name="due", help="Which scheduled drills are due, and the next ones."
)

Move = Annotated[str | None, Parameter(help="The tier's move; else the first of the ladder.")]
FullScale = Annotated[
    bool, Parameter(negative="", help="The real move and the real way back; else a rehearsal beside what serves.")
]
Stay = Annotated[str | None, Parameter(help="How long it stays there before it goes back, with a unit: 10m.")]
Within = Annotated[str | None, Parameter(help="By when, after its stay, it has to be back, with a unit: 30m.")]
Fence = Annotated[bool, Parameter(negative="", help="Fence the place left, where the move declares no hand_over.")]
AsJson = Annotated[bool, Parameter(name="--json", negative="", help="As JSON.")]
Workspace = Annotated[
    Path | None, Parameter(help="The workspace; else $BASCULE_WORKSPACE, else the nearest parent with inventories/.")
]


@app.command
def plan(
    service: ServiceName,
    /,
    *,
    move: Move = None,
    full_scale: FullScale = False,
    stay: Stay = None,
    return_within: Within = None,
    fence: Fence = False,
    speaker: Speaker = NOBODY,
) -> int:
    """Show what a drill would do now, step by step, and what each guard says; do nothing."""
    from orchestrator.cli.words import say
    from orchestrator.core.events import WordKind

    options = _options(move, full_scale, stay, return_within, fence)
    return say(WordKind.DRILL, service, speaker, options, dry_run=True)


@app.command
def run(
    service: ServiceName,
    /,
    *,
    move: Move = None,
    full_scale: FullScale = False,
    stay: Stay = None,
    return_within: Within = None,
    fence: Fence = False,
    speaker: Speaker = NOBODY,
) -> int:
    """Begin a drill, and show it to its end."""
    from orchestrator.cli.words import say
    from orchestrator.core.events import WordKind

    options = _options(move, full_scale, stay, return_within, fence)
    return say(WordKind.DRILL, service, speaker, options, daemon_alone=True)


@app.command
def cancel(drill: str, /, *, speaker: Speaker = NOBODY) -> int:
    """End a drill: it cleans up, or goes back, from now on.

    Parameters
    ----------
    drill
        The drill's id: `bascule drill list` shows it.
    """
    from orchestrator.cli.words import say
    from orchestrator.core.events import WordKind

    return say(WordKind.DRILL_CANCEL, drill, speaker, about="drill", daemon_alone=True)


@app.command(name="list")
def list_(*clients: str, as_json: AsJson = False, workspace: Workspace = None) -> int:
    """List the drills that were made, the oldest first.

    Parameters
    ----------
    clients
        Only these clients, or services (client/name).
    """
    from orchestrator.cli.workspace import find_workspace, subject_named
    from orchestrator.core.state.decided import covers
    from orchestrator.reports.drills import drills, list_lines
    from orchestrator.reports.reader import reading_all
    from orchestrator.reports.text import show

    with reading_all(find_workspace(workspace)) as journal:
        model = journal.state.model
        wanted = [subject_named(x, model.services) for x in clients] if model is not None else []
        found = drills(
            journal.state.decided,
            journal.state.clock,
            lambda name: not wanted or any(covers(x, name) for x in wanted),
        )
    if as_json:
        sys.stdout.write(json.dumps([asdict(x) for x in found], indent=2) + "\n")
    else:
        show(list_lines(found, _time))
    return 0


@app.command(name="show")
def show_(drill: str, /, *, as_json: AsJson = False, workspace: Workspace = None) -> int:
    """Tell one drill in full: each step live, simulated or skipped.

    Parameters
    ----------
    drill
        The drill's id: `bascule drill list` shows it.
    """
    from orchestrator.cli.status import columns
    from orchestrator.cli.workspace import find_workspace
    from orchestrator.reports.drills import one_lines, told
    from orchestrator.reports.reader import reading_all
    from orchestrator.reports.text import show

    with reading_all(find_workspace(workspace)) as journal:
        found = journal.state.decided.drills.get(drill)
        if found is None:
            raise CallWrong(f"there is no drill {drill}", "`bascule drill list` shows those that there are")
        one = told(journal.state.decided, journal.state.clock, found)
    if as_json:
        sys.stdout.write(json.dumps(asdict(one), indent=2) + "\n")
    else:
        show(one_lines(one, _time, columns()))
    return 0 if one.ok is not False else 1


def _time(wall: float) -> str:
    """In the time zone of whoever reads it."""
    from datetime import datetime

    return datetime.fromtimestamp(wall).astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")


def _options(move: str | None, full: bool, stay: str | None, within: str | None, fence: bool) -> dict[str, Json]:
    """What the word says. Raises CallWrong for what is no length of time, or belongs to a full-scale drill alone."""
    from orchestrator.core.durations import parse_duration
    from orchestrator.core.model import DrillKind

    options: dict[str, Json] = {"kind": (DrillKind.FULL_SCALE if full else DrillKind.FUNCTIONAL).value}
    if move:
        options["move"] = move
    for name, key, text in (("--stay", "stays_s", stay), ("--return-within", "within_s", within)):
        if text is None:
            continue
        if not full:
            raise CallWrong(f"{name} is about a move that is led back", "Say --full-scale, or leave it out")
        try:
            options[key] = parse_duration(text)
        except ValueError as error:
            raise CallWrong(f"{name}: {error}") from None
    if fence:
        if not full:
            raise CallWrong("--fence is about a real move", "Say --full-scale, or leave it out")
        options["fence"] = True
    return options
