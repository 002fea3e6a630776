"""`bascule evidence`: what is proven of every objective, by which run, and what is not.

It reads the journal, and what a daemon notes beside it of how old data is, and nothing else.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from orchestrator.cli.failures import CallWrong
from orchestrator.cli.workspace import find_workspace, subject_named
from orchestrator.reports.reader import ages_since, reading_all

WEEK_S = 7 * 86400.0


def evidence(
    *clients: str,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
    workspace: Path | None = None,
) -> int:
    """Say of each tier of each service whether its RTO and RPO are measured, predicted or unproven; worst first.

    Parameters
    ----------
    clients
        Only these clients, or services (client/name).
    as_json
        As JSON.
    workspace
        The workspace; else $BASCULE_WORKSPACE, else the nearest parent with inventories/.
    """
    from orchestrator.cli.status import columns
    from orchestrator.core.state.decided import covers
    from orchestrator.reports import evidence as ledger
    from orchestrator.reports.evidence_text import evidence_lines
    from orchestrator.reports.text import show

    place = find_workspace(workspace)
    with reading_all(place) as journal:
        stories, model = journal.state, journal.state.model
        if model is None:
            raise CallWrong("no configuration was ever in force here", "Start a daemon: bascule daemon")
        wanted = [subject_named(x, model.services) for x in clients]
        now = journal.now(time.time())
        ages = ages_since(place, time.time() - WEEK_S)
        found = ledger.evidence(stories, model, now, lambda s: not wanted or any(covers(x, s) for x in wanted), ages)
    if as_json:
        sys.stdout.write(json.dumps([asdict(x) for x in found], indent=2) + "\n")
    else:
        show(evidence_lines(found, columns()))
    return 0
