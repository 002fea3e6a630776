"""`bascule status`: the present state.

The one rule it keeps: it reads the journal. It asks the daemon only for what no journal has, and works without one.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from orchestrator.cli.workspace import find_workspace, reading, subject_named
from orchestrator.reports.reader import Reader

if TYPE_CHECKING:
    from orchestrator.core.model import Json
    from orchestrator.reports.status_parts import Live, StatusNow
    from orchestrator.reports.stories import State


def status(
    *subjects: str,
    watch: Annotated[bool, Parameter(name=["--watch", "-w"], negative="")] = False,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
    workspace: Path | None = None,
) -> int:
    """Show what cannot be seen or done, services with why they are not well, incidents, holds, and who watches.

    Parameters
    ----------
    subjects
        Only these clients and services (client/name); a service is shown with its moves.
    watch
        Show it again whenever something changes, until Ctrl-C.
    as_json
        As JSON; with --watch one line a change.
    workspace
        The workspace; else $BASCULE_WORKSPACE, else the nearest parent with inventories/.
    """
    with reading(find_workspace(workspace)) as journal:
        wanted = named(journal, subjects)
        if watch:
            return _watch(journal, wanted, as_json)
        _show(only_of(status_of(journal), wanted), as_json, moves=any("/" in x for x in wanted))
    return 0


def named(journal: Reader[State], subjects: tuple[str, ...]) -> list[str]:
    """Services and clients by their names. Raises CallWrong."""
    if not subjects:
        return []
    model = journal.state.model
    if model is None:  # nothing has ever run here: the files say what there is
        from orchestrator.shell.wiring import read_workspace

        model = read_workspace(journal.workspace).model
    known = tuple(model.services)
    return [subject_named(x, known) for x in subjects]


def only_of(now: StatusNow, subjects: list[str]) -> StatusNow:
    from orchestrator.reports.status import only

    return only(now, subjects) if subjects else now


def status_of(journal: Reader[State]) -> StatusNow:
    """The status now, with what the daemon adds if it can be asked."""
    from orchestrator.reports.status import status_now

    wall = time.time()
    state = journal.state
    return status_now(state.decided, state.model, journal.now(wall), wall, _live(journal, wall), state.clock.wall)


def _live(journal: Reader[State], wall: float) -> Live:
    from orchestrator.core.awareness.sight import Sight
    from orchestrator.core.codec import CodecError, decode
    from orchestrator.core.events import TaskTime
    from orchestrator.daemon.address import owner_of, where_to_speak
    from orchestrator.daemon.client import NobodyListens, NoReply, Rejected, ask
    from orchestrator.reports.status_parts import Live

    seen = journal.lease_seen(wall)
    silent_s = seen[0] if seen else None
    if journal.empty:
        return Live(False, silent_s)
    try:
        reply = ask(
            where_to_speak(journal.workspace), {"op": "status"}, timeout_s=1.0, owner=owner_of(journal.workspace)
        )
    except (NobodyListens, NoReply, Rejected):
        return _unasked(journal, wall, silent_s, bool(seen and seen[1]))
    told = reply.get("status")
    tasks = {}
    for item in _items(told, "tasks"):
        try:
            tasks[str(item.get("run")), str(item.get("step"))] = decode(TaskTime, item.get("task"))
        except CodecError:
            continue  # a daemon of another version: the journal says the rest
    said: dict[str, Json] = told if isinstance(told, dict) else {}
    asking, broken, log = said.get("asking"), said.get("broken"), _part(said, "log")
    in_force = _part(said, "configuration")
    try:
        sees = decode(Sight, said["sight"]) if said.get("sight") is not None else None
    except CodecError:
        sees = None  # as above
    return Live(
        True,
        silent_s,
        tasks,
        asking if isinstance(asking, dict) else {},
        sees,
        str(broken) if broken is not None else None,
        _texts(in_force.get("invalid")),
        {client: str(why) for client, why in _part(in_force, "as_last_read").items()},
        _texts(in_force.get("lost_ways")),
        {client: str(why) for client, why in _part(said, "untold").items()},
        {where: str(why) for where, why in _part(said, "unanchored").items()},
        {name: str(why) for name, why in _part(said, "unscheduled").items()},
        str(log.get("trouble") or ""),
    )


def _unasked(journal: Reader[State], wall: float, silent_s: float | None, lives: bool) -> Live:
    """A daemon that is busy, or another user's: the lease says whether it lives, and its rows what it sees."""
    from orchestrator.core.awareness.sight import sight
    from orchestrator.core.transaction import Transaction
    from orchestrator.reports.status_parts import Live

    model = journal.state.model
    if not lives or model is None:
        return Live(lives, silent_s)
    tx = Transaction(model, journal.state.decided, journal.rows(model), journal.now(wall))
    return Live(True, silent_s, sight=sight(tx))


def _part(told: Mapping[str, Json], key: str) -> dict[str, Json]:
    found = told.get(key)
    return found if isinstance(found, dict) else {}


def _texts(told: Json) -> tuple[str, ...]:
    return tuple(str(x) for x in told) if isinstance(told, list) else ()


def _items(told: Json, key: str) -> list[dict[str, Json]]:
    found = told.get(key) if isinstance(told, dict) else None
    return [x for x in found if isinstance(x, dict)] if isinstance(found, list) else []


def _show(now: StatusNow, as_json: bool, *, moves: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(asdict(now), indent=2) + "\n")
        return
    from orchestrator.reports.status_text import status_lines
    from orchestrator.reports.text import show

    show(status_lines(now, columns(), moves=moves))


def columns() -> int:
    """How wide the terminal is; 100 for anything else."""
    return max(40, shutil.get_terminal_size((100, 24)).columns)


def _gist(now: StatusNow) -> object:
    """What makes a status another one; that time goes by does not."""
    lacks = tuple((x.kind, x.client, x.subject) for x in now.cannot)
    return now.daemon, lacks, tuple((s.id, s.condition) for s in now.services)


def _watch(journal: Reader[State], wanted: list[str], as_json: bool) -> int:
    from orchestrator.cli.output import READER_GONE, reader_gone
    from orchestrator.reports.status_text import screen_lines, status_lines
    from orchestrator.reports.text import plain, rich_text

    if as_json or not sys.stdout.isatty():
        shown: object = None
        while True:
            news = journal.more()
            now = only_of(status_of(journal), wanted)
            before, shown = shown, _gist(now)
            if news or shown != before:  # that the daemon is gone, or cannot see, stands in no journal
                text = json.dumps(asdict(now)) + "\n" if as_json else plain(status_lines(now, columns())) + "\n"
                sys.stdout.write(text)
                sys.stdout.flush()
            elif reader_gone():
                return READER_GONE
            time.sleep(0.5)
    from rich.live import Live as Screen

    encoding = sys.stdout.encoding  # the screen puts a stream without one in its place
    with Screen(screen=True, auto_refresh=False) as screen:
        while True:
            journal.more()
            size = shutil.get_terminal_size((100, 24))  # it may have been resized since
            now = only_of(status_of(journal), wanted)
            lines = screen_lines(now, size.columns, size.lines, encoding)
            screen.update(rich_text(lines, last=False), refresh=True)
            time.sleep(0.5)
