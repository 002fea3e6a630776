"""`bascule journal verify`: is the journal as it was written?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

app = App(name="journal", help="The journal: what was remembered, chained by hashes.")


@app.command
def verify(
    *,
    workspace: Annotated[Path | None, Parameter(name=["--workspace", "-w"])] = None,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> int:
    """Tell where the chain of entries was altered or damaged. Exit code 1 if it was.

    Parameters
    ----------
    workspace
        The workspace; else $BASCULE_WORKSPACE, else the nearest parent with inventories/.
    as_json
        One JSON object on standard output.
    """
    import json

    from orchestrator.cli.workspace import find_workspace
    from orchestrator.journal.sqlite import SqliteJournal, journal_path

    path = journal_path(find_workspace(workspace))
    if not path.exists():
        print(f"there is no journal yet at {path}")
        return 0
    journal = SqliteJournal(path, read_only=True)
    try:
        faults = journal.verify()
        last = journal.last_seq()
    finally:
        journal.close()
    if as_json:
        print(json.dumps({"entries": last, "faults": [str(fault) for fault in faults]}))
        return 1 if faults else 0
    for fault in faults:
        print(fault)
    if not faults:
        print(f"{path}: {last} entries, each as it was written")
    return 1 if faults else 0
