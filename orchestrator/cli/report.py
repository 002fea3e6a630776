"""`bascule report ID`: the whole account of an incident or a planned move, as text, page or data.

A file is written whole or not at all.
"""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from orchestrator.cli.failures import CallWrong
from orchestrator.cli.incidents import story_named
from orchestrator.cli.workspace import find_workspace
from orchestrator.reports.reader import reading_all


def report(
    *ids: str,
    html: Path | None = None,
    json_to: Annotated[str | None, Parameter(name="--json", allow_leading_hyphen=True)] = None,
    meter: Path | None = None,
    workspace: Path | None = None,
) -> int:
    """Tell one or several incidents in full: the split clock, every step, tier, word and notice.

    Parameters
    ----------
    ids
        Ids of incidents or runs; `bascule incidents` lists them.
    html
        Write one self-contained page there, with the timeline.
    json_to
        Write it as JSON there; - for standard output.
    meter
        A JSON file with the end user's meter account by id; it is shown beside ours.
    workspace
        The workspace; else $BASCULE_WORKSPACE, else the nearest parent with inventories/.
    """
    from orchestrator.cli.status import columns
    from orchestrator.reports.account import account
    from orchestrator.reports.incident_text import account_lines
    from orchestrator.reports.page import page
    from orchestrator.reports.text import show

    if not ids:
        raise CallWrong("a report of what?", "Give the id of an incident or a run: bascule incidents lists them")
    meters = _meters(meter)
    with reading_all(find_workspace(workspace)) as journal:
        wall = time.time()
        now, clock, unwatched_s = journal.now(wall), journal.state.clock, journal.unwatched_s(wall)
        told = [account(story_named(journal, x), clock, now, meters.get(x), unwatched_s=unwatched_s) for x in ids]
    if json_to is not None:
        data = [asdict(a) for a in told]
        text = json.dumps(data[0] if len(data) == 1 else data, indent=2) + "\n"
        if json_to == "-":
            sys.stdout.write(text)
        else:
            write_whole(Path(json_to), text)
    if html is not None:
        write_whole(html, page(told, wall=time.time()))
        sys.stderr.write(f"{html}: written\n")
    if json_to != "-" and html is None:
        for index, one in enumerate(told):
            if index:
                sys.stdout.write("\n")
            show(account_lines(one, columns()))
    return 0


def write_whole(path: Path, text: str) -> None:
    """Put the text there in one instant, or leave what was there."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_text(text, encoding="utf-8")
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, str(path)) from None


def _meters(path: Path | None) -> dict[str, dict[str, object]]:
    if path is None:
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CallWrong(f"{path} is no JSON: {error}") from None
    if not isinstance(found, dict) or not all(isinstance(x, dict) for x in found.values()):
        raise CallWrong(f"{path} must be a JSON object: id to an object with outage_s, lost, …")
    return found
