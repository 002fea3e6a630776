"""`bascule incidents`: what has happened, newest last; with an id, that one in full.

It reads the journal and nothing else.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter, validators

from orchestrator.cli.failures import CallWrong
from orchestrator.cli.workspace import find_workspace
from orchestrator.reports.reader import Reader, reading_all

if TYPE_CHECKING:
    from orchestrator.reports.stories import Stories
    from orchestrator.reports.story import Story


def incidents(
    incident: str | None = None,
    /,
    *,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
    last: Annotated[int, Parameter(validator=validators.Number(gte=1))] = 30,
    workspace: Path | None = None,
) -> int:
    """List incidents and planned moves, or tell one in full.

    Parameters
    ----------
    incident
        Id of an incident or a run.
    as_json
        As JSON.
    last
        How many to list.
    workspace
        The workspace; else $BASCULE_WORKSPACE, else the nearest parent with inventories/.
    """
    from orchestrator.cli.status import columns
    from orchestrator.reports.account import account
    from orchestrator.reports.incident_text import account_lines, list_lines
    from orchestrator.reports.shape import Account
    from orchestrator.reports.text import show

    with reading_all(find_workspace(workspace)) as journal:
        wall = time.time()
        now, unwatched_s = journal.now(wall), journal.unwatched_s(wall)
        stories = journal.state
        if incident is not None:
            one = account(story_named(journal, incident), stories.clock, now, unwatched_s=unwatched_s)
            if as_json:
                sys.stdout.write(json.dumps(asdict(one), indent=2) + "\n")
            else:
                show(account_lines(one, columns()))
            return 0
        newest = list(stories.stories.values())[-last:]
        all_: list[Account] = [account(s, stories.clock, now, unwatched_s=unwatched_s) for s in newest]
    if as_json:
        sys.stdout.write(json.dumps([asdict(a) for a in all_], indent=2) + "\n")
    else:
        show(list_lines(all_, columns(), unwatched_s))
    return 0


def story_named(journal: Reader[Stories], name: str) -> Story:
    """The story of an incident or run. Raises CallWrong, with the newest ids."""
    found = journal.state.find(name)
    if found is None:
        newest = list(journal.state.stories)[-5:]
        there = "The newest are: " + ", ".join(reversed(newest)) if newest else "Nothing has happened here yet"
        raise CallWrong(f"there is no incident or run {name}", there)
    return found
