"""`bascule ready`: can everything on which the plan rests be seen and done now?

The one rule it keeps: exit code 0 means that a running daemon says so. If no daemon runs, that is the first lack.
"""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from orchestrator.cli.failures import DONE, FAILED
from orchestrator.cli.workspace import find_workspace, reading

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.reports.status_parts import ServiceNow


def ready(
    *clients: str,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
    workspace: Path | None = None,
) -> int:
    """Say whether everything can be seen and done. If not, list what is lacking. Exit code 0, or 1 with the list.

    Parameters
    ----------
    clients
        Only these clients, or services (client/name); what the whole workspace lacks is always listed.
    as_json
        As JSON.
    workspace
        The workspace; else $BASCULE_WORKSPACE, else the nearest parent with inventories/.
    """
    from orchestrator.cli.status import columns, named, only_of, status_of
    from orchestrator.reports.lacks_text import lack_lines
    from orchestrator.reports.text import Part, line, show, wrap

    with reading(find_workspace(workspace)) as journal:
        wanted = named(journal, clients)
        now = only_of(status_of(journal), wanted)
    lacks = [x for x in now.cannot if not x.excused]
    if as_json:
        told = {"ready": not lacks, "wall": now.wall, "cannot": [asdict(x) for x in now.cannot], "left": now.left}
        sys.stdout.write(json.dumps(told, indent=2) + "\n")
        return FAILED if lacks else DONE
    if now.cannot:
        show(lack_lines(now.cannot, columns(), now.wall, shown=None))
    if not lacks:
        n, checks = len(now.services), now.asking.get("checks")
        asked = f", {checks} check{' is' if checks == 1 else 's are'} asked" if checks and not wanted else ""
        about = f" of {', '.join(wanted)}" if wanted else ""
        services = f"{n} service{'' if n == 1 else 's'}{about}"
        besides = [f"{x.id}: {why}" for x in now.services for why in _besides(x)] + list(now.left)
        all_ = "nothing else is lacking" if besides or now.cannot else "everything can be seen and done"
        show([line(Part("ready: ", "green"), f"{services}{asked}; {all_}, and a daemon watches")])
        show(line(Part(x, "yellow")) for why in besides for x in wrap("  ", why, columns()))
    return FAILED if lacks else DONE


def _besides(service: ServiceNow) -> Iterator[str]:
    """What is no lack, and keeps things from being done all the same: an incident, a hold, a window, a brake."""
    if service.incident is not None:
        judged = f" ({service.decision}: {service.reason})" if service.decision else ""
        yield f"{service.incident} is open{judged}: bascule status {shlex.quote(service.id)}"
    yield from service.braked
