"""`bascule reload`: have the daemon read the configuration and the playbooks again.

The one rule it keeps: an invalid configuration changes nothing; each of its faults is named.
"""

from __future__ import annotations

import sys
from pathlib import Path

from orchestrator.cli.failures import DONE, WRONG, CallWrong
from orchestrator.cli.workspace import find_workspace

TIMEOUT_S = 300.0  # each client's inventory may be a program that asks somebody


def reload(workspace: Path | None = None) -> int:
    """Have the daemon read the configuration again; a plan that changed is asked about anew.

    Parameters
    ----------
    workspace
        The workspace; else $BASCULE_WORKSPACE, else the nearest parent with inventories/.
    """
    from orchestrator.daemon.address import owner_of, where_to_speak
    from orchestrator.daemon.client import NobodyListens, ask

    found = find_workspace(workspace)
    try:
        reply = ask(where_to_speak(found), {"op": "reload"}, TIMEOUT_S, owner_of(found))
    except NobodyListens:
        raise CallWrong("no daemon runs here, so there is nothing to reload", "Start it: bascule daemon") from None
    if reply.get("reloaded") is True:
        sys.stdout.write("reloaded\n")
        return DONE
    faults = reply.get("why")
    for fault in faults if isinstance(faults, list) else ():
        sys.stderr.write(f"{fault}\n")
    sys.stderr.write("not reloaded: the old configuration stays in force\n")
    return WRONG
