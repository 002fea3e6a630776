"""`bascule notify test`: does a message reach people by each configured way?

The one rule it keeps: it is no word. It decides nothing and changes nothing. So it needs no lease and is not recorded.
It works with a daemon, without one, and while the journal's disk is full. It shows what the ways answered.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

if TYPE_CHECKING:
    from orchestrator.core.people import NotifySettings
    from orchestrator.notify.trial import Tried

app = App(name="notify", help="Test the ways to tell people.")


@app.command(name="test")
def try_all(
    *people: str,
    workspace: Annotated[Path | None, Parameter(name=["--workspace", "-w"])] = None,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> int:
    """Send a message, marked as a test, by each way, and tell which ways accepted it. Exit code 1 if one did not.

    Parameters
    ----------
    people
        Only these people's own ways: client/name, or a name that only one client has. Else everybody's, the clients'
        and the workspace's ways.
    workspace
        The directory with bascule.yml and inventories/; else $BASCULE_WORKSPACE, else the nearest parent.
    as_json
        As JSON on standard output.
    """
    import asyncio
    import json
    import sys
    import uuid

    from orchestrator.cli.workspace import begun_in, find_workspace
    from orchestrator.config.load import load_notify
    from orchestrator.config.settings import NOT_HAD
    from orchestrator.notify.trial import try_ways

    found = find_workspace(workspace)
    with begun_in(found):  # as a daemon starts programs
        settings, faults = load_notify(found)
        ids = [_person(name, settings) for name in people]
        tried = asyncio.run(try_ways(settings, ids, _who(), f"test/{uuid.uuid4()}"))
    # A way whose URL is kept where this login cannot have it was not tried: that is no success.
    missing = [fault for fault in faults.warnings() if fault.message.endswith(NOT_HAD)]
    left_out = [str(fault) for fault in (*faults.sorted(), *missing)]
    ok = bool(tried) and all(one.delivered for one in tried) and not left_out
    if as_json:
        rows = [
            {"receiver": x.receiver, "way": x.way, "delivered": x.delivered, "why": x.why, "took_s": round(x.took_s, 3)}
            for x in tried
        ]
        sys.stdout.write(json.dumps({"delivered": ok, "ways": rows, "problems": left_out}, indent=2) + "\n")
        return 0 if ok else 1
    for problem in left_out:
        sys.stderr.write(f"warning: {problem}\n")
    _show(tried)
    return 0 if ok else 1


def _who() -> str:
    """Whose test it is, for whoever reads the message."""
    import getpass
    import os

    try:
        return os.environ.get("BASCULE_OPERATOR") or os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):
        return "Somebody"


def _person(name: str, settings: NotifySettings) -> str:
    """The person's id. Raises CallWrong."""
    import difflib

    from orchestrator.cli.failures import CallWrong

    if name in settings.people:
        return name
    bare = sorted(i for i in settings.people if i.rpartition("/")[2] == name)
    if len(bare) == 1:
        return bare[0]
    if bare:
        raise CallWrong(f"{name} is a person of several clients", "Say which: " + ", ".join(bare))
    near = difflib.get_close_matches(name, sorted(settings.people), n=3, cutoff=0.4)
    known = near or sorted(settings.people)[:8]
    raise CallWrong(
        f"there is no person {name}", f"There are: {', '.join(known)}" if known else "people.yml names none"
    )


def _show(tried: list[Tried]) -> None:
    from orchestrator.core.durations import counted
    from orchestrator.reports.text import Part, line, show

    if not tried:
        show([line(Part("nobody is told of anything: ", "bold red"), "there are no ways; see `notify` in bascule.yml")])
        return
    width = max(len(f"{x.receiver} by {x.way}") for x in tried)
    rows = []
    for x in tried:
        name = f"{x.receiver} by {x.way}" if x.way else x.receiver
        told = Part("delivered", "green") if x.delivered else Part("failed", "bold red")
        took = f" after {x.took_s:.1f}s" if x.way else ""
        rows.append(line(f"{name:<{width}}  ", told, took, f": {x.why}" if x.why else ""))
    failed = sum(not x.delivered for x in tried)
    rows.append(
        line(
            f"{len(tried) - failed} of {counted(len(tried), 'way')} took the message"
            + ("" if failed else ": see that it arrived")
        )
    )
    show(rows)
