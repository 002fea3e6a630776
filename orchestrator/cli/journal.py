"""`bascule journal`: whether the journal is as it was written, and what to keep elsewhere so that this can be checked.

The one rule it keeps: it only reads, also while a daemon writes. It says what the file alone cannot show.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from orchestrator.cli.failures import CallWrong

if TYPE_CHECKING:
    from orchestrator.journal.journal import Head, Journal

app = App(name="journal", help="The journal: what was remembered, chained by hashes.")


@app.command
def verify(
    *,
    head: Annotated[list[str] | None, Parameter(negative="")] = None,
    workspace: Annotated[Path | None, Parameter(name=["--workspace", "-w"])] = None,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> int:
    """Tell everything in the journal that is not as it was written. Exit code 1 if anything is.

    Parameters
    ----------
    head
        A head that was kept elsewhere: NUMBER:HASH, or a file that has some. Several may be given.
    workspace
        The workspace; else $BASCULE_WORKSPACE, else the nearest parent with inventories/.
    as_json
        One JSON object on standard output.
    """
    import json

    from orchestrator.cli.workspace import find_workspace

    at = find_workspace(workspace)
    anchored = [found for given in head or () for found in _heads(given, at)]
    with _opened(at) as journal:
        if journal is None:
            if anchored:
                print(f"journal: there is none in {at}, but entry {max(h.seq for h in anchored)} was anchored")
                return 1
            print(f"there is no journal yet in {at}")
            return 0
        found = journal.examine(anchored)
    if as_json:
        said = {
            "entries": found.head.seq,
            "kept": found.entries,
            "head": str(found.head),
            "faults": [str(fault) for fault in found.faults],
            "notes": list(found.notes),
        }
        print(json.dumps(said))
        return 1 if found.faults else 0
    for fault in found.faults:
        print(fault)
    if not found.faults:
        gone = found.head.seq - found.entries
        entries = "1 entry" if found.head.seq == 1 else f"{found.head.seq} entries"
        print(f"{at}: {entries}, each as it was written")
        if gone:
            print(f"  {gone} of them were let go of by retention; each gap is under the chain")
    for note in (*found.notes, *_said_by_the_daemon(at)):
        print(f"  {note}")
    return 1 if found.faults else 0


@app.command
def head(
    *,
    workspace: Annotated[Path | None, Parameter(name=["--workspace", "-w"])] = None,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> int:
    """Print the chain's end: number and hash of the latest entry, and when it was made. Keep it on another machine.

    Parameters
    ----------
    workspace
        The workspace; else $BASCULE_WORKSPACE, else the nearest parent with inventories/.
    as_json
        One JSON object on standard output.
    """
    import json

    from orchestrator.cli.workspace import find_workspace
    from orchestrator.journal.anchors import line_of, name_of

    at = find_workspace(workspace)
    with _opened(at) as journal:
        found = journal.head() if journal else None
    if found is None or not found.seq:
        raise CallWrong(f"there is no journal in {at}, or nothing in it", "Start the daemon once: bascule daemon")
    said = {"seq": found.seq, "hash": found.hash, "wall": found.wall}
    print(json.dumps(said) if as_json else line_of(found, name_of(at)))
    return 0


@contextmanager
def _opened(workspace: Path) -> Iterator[Journal | None]:
    from orchestrator.journal.stores import read_journal

    journal = read_journal(workspace)
    try:
        yield journal
    finally:
        if journal is not None:
            journal.close()


def _heads(given: str, workspace: Path) -> list[Head]:
    """The heads of a text, or this workspace's heads in a file. Raises CallWrong where there is none."""
    from orchestrator.journal.anchors import heads_in, heads_of, names_of

    if found := heads_in(given):
        return found
    try:
        text = Path(given).read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise CallWrong(
            f"--head {given} is no NUMBER:HASH, and no file that can be read: {error.strerror}",
            "Give what `bascule journal head` printed, or the file that it was kept in",
        ) from None
    found = heads_of(text, *names_of(workspace))
    if not found:
        of = " of this workspace" if heads_in(text) else ""
        raise CallWrong(f"{given} holds no head{of}", "It wants a line as `bascule journal head` prints it")
    return found


def _said_by_the_daemon(workspace: Path) -> list[str]:
    """What a running daemon keeps elsewhere, and what fails of it."""
    from orchestrator.daemon.address import where_to_speak
    from orchestrator.daemon.client import NobodyListens, NoReply, Rejected, ask

    try:
        told = ask(where_to_speak(workspace), {"op": "journal"}, timeout_s=1.0).get("journal")
    except (NobodyListens, NoReply, Rejected):
        return []
    if not isinstance(told, dict) or not told.get("anchors"):
        return []
    found = []
    anchored, failed = told.get("anchored"), told.get("failed")
    if isinstance(anchored, dict):
        found.append(f"the daemon has anchored entry {anchored.get('seq')} last")
    for where, why in failed.items() if isinstance(failed, dict) else ():
        found.append(f"the daemon could not anchor it: {where}: {why}")
    return found
