"""`bascule drill`: rehearse a move, or make it and lead it back; and see what drills showed.

The one rule it keeps: a drill needs a daemon. Somebody has to watch while it lasts, and to lead it back.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict, dataclass
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
app.command("orchestrator.cli.drill_due:drill_due", name="due", help="What is scheduled, and what stands against it.")

AsJson = Annotated[bool, Parameter(name="--json", negative="", help="As JSON.")]
Workspace = Annotated[
    Path | None, Parameter(help="The workspace; else $BASCULE_WORKSPACE, else the nearest parent with inventories/.")
]


@Parameter(name="*")
@dataclass(frozen=True)
class Asked:
    """Which drill, and how."""

    move: str | None = None
    """The tier's move; else the first of the ladder."""
    full_scale: Annotated[bool, Parameter(negative="")] = False
    """The real move and the real way back; else a rehearsal beside what serves."""
    stay: str | None = None
    """How long it stays there before it goes back, with a unit: 10m."""
    return_within: str | None = None
    """By when, after its stay, it has to be back, with a unit: 30m."""
    fence: Annotated[bool, Parameter(negative="")] = False
    """Fence the place left, where the move declares no hand_over."""

    def options(self) -> dict[str, Json]:
        """What the word says. Raises CallWrong for what is no length of time, or of a full-scale drill alone."""
        from orchestrator.core.deciding.drill_words import LONGEST_S
        from orchestrator.core.durations import parse_duration
        from orchestrator.core.model import DrillKind

        kind = DrillKind.FULL_SCALE if self.full_scale else DrillKind.FUNCTIONAL
        options: dict[str, Json] = {"kind": kind.value}
        if self.move:
            options["move"] = self.move
        for name, key, text in (("--stay", "stays_s", self.stay), ("--return-within", "within_s", self.return_within)):
            if text is None:
                continue
            if not self.full_scale:
                raise CallWrong(f"{name} is about a move that is led back", "Say --full-scale, or leave it out")
            try:
                seconds = parse_duration(text)
            except ValueError as error:
                raise CallWrong(f"{name}: {error}") from None
            if seconds > LONGEST_S:
                raise CallWrong(f"{name} {text} is longer than a day", f"Say a day at most: {name} 24h")
            options[key] = seconds
        if self.fence:
            if not self.full_scale:
                raise CallWrong("--fence is about a real move", "Say --full-scale, or leave it out")
            options["fence"] = True
        return options


ANY = Asked()


@app.command
def plan(service: ServiceName, /, *, asked: Asked = ANY, speaker: Speaker = NOBODY) -> int:
    """Show what a drill would do now, step by step, and what each guard says; do nothing."""
    from orchestrator.cli.words import say
    from orchestrator.core.events import WordKind

    return say(WordKind.DRILL, service, speaker, asked.options(), dry_run=True)


@app.command
def run(service: ServiceName, /, *, asked: Asked = ANY, speaker: Speaker = NOBODY) -> int:
    """Begin a drill, and show it to its end."""
    from orchestrator.cli.words import say
    from orchestrator.core.events import WordKind

    return say(WordKind.DRILL, service, speaker, asked.options(), daemon_alone=True)


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
    """List the drills that were made, the oldest first, and the latest scheduled ones that were missed.

    Parameters
    ----------
    clients
        Only these clients, or services (client/name).
    """
    from orchestrator.cli.drill_due import missed_lines
    from orchestrator.cli.status import columns
    from orchestrator.cli.workspace import find_workspace, subject_named
    from orchestrator.core.state.decided import covers
    from orchestrator.drills.outlook import LATEST, missed
    from orchestrator.reports.drills import drills, list_lines
    from orchestrator.reports.reader import reading_drills
    from orchestrator.reports.text import show

    with reading_drills(find_workspace(workspace)) as (journal, whole):
        model, unwatched_s = journal.state.model, journal.unwatched_s(time.time())
        wanted = [subject_named(x, model.services) for x in clients] if model is not None else []

        def wants(name: str) -> bool:
            return not wanted or any(covers(x, name) for x in wanted)

        found = drills(whole, journal.state.clock, wants)
        late = missed(
            (x, plan)
            for x, plan in journal.missed()
            if not wanted or plan.client in wanted or any(wants(y.service) for y in plan.of)
        )
    if as_json:
        told_ = {"drills": [asdict(x) for x in found], "missed": [asdict(x) for x in late[:LATEST]]}
        sys.stdout.write(json.dumps(told_, indent=2) + "\n")
    else:
        show([*list_lines(found, columns(), unwatched_s, ", ".join(wanted)), *missed_lines(late, columns())])
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
    from orchestrator.reports.reader import reading_drills
    from orchestrator.reports.text import show

    with reading_drills(find_workspace(workspace)) as (journal, whole):
        found = whole.drills.get(drill)
        if found is None:
            raise CallWrong(f"there is no drill {drill}", "`bascule drill list` shows those that there are")
        one, unwatched_s = told(whole, journal.state.clock, found), journal.unwatched_s(time.time())
    if as_json:
        sys.stdout.write(json.dumps(asdict(one), indent=2) + "\n")
    else:
        show(one_lines(one, columns(), unwatched_s))
    return 0 if one.ok is not False else 1
