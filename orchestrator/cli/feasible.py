"""What the journal says against the objectives of a configuration that was just read: warnings of `bascule validate`.

The one rule it keeps: without a journal, or where it cannot be read, there is nothing to say.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator.config import Fault, Loaded
    from orchestrator.config.strict_yaml import Document

WEEK_S = 7 * 86400.0


def infeasible(loaded: Loaded) -> tuple[Fault, ...]:
    """Objectives that cannot be met as things are, each where it stands in `services.yml`."""
    from orchestrator.config import Fault
    from orchestrator.journal.journal import JournalError
    from orchestrator.journal.stores import has_journal
    from orchestrator.reports.feasibility import findings
    from orchestrator.reports.reader import ages_since, reading

    if not has_journal(loaded.workspace):
        return ()
    try:
        with reading(loaded.workspace) as journal:
            ages = ages_since(loaded.workspace, time.time() - WEEK_S)
            clock = journal.state.clock
            found = findings(loaded.model, journal.state.decided, ages, clock.wall, lambda _: True)
    except JournalError:
        return ()
    files: dict[str, Document | None] = {}
    told = []
    for x in found:
        client, _, name = x.service.partition("/")
        if client not in files:
            files[client] = _file(loaded.workspace, client)
        document = files[client]
        said = f"service {name}: {x.said}"
        if document is None:
            told.append(Fault(f"inventories/{client}/services.yml", 0, 0, said))
            continue
        at = document.at("services", name, x.key)
        told.append(Fault(at.file, at.line, at.column, said))
    return tuple(told)


def _file(workspace: Path, client: str) -> Document | None:
    from orchestrator.config.faults import Faults
    from orchestrator.config.spelling import either
    from orchestrator.config.strict_yaml import read_yaml

    path = either(workspace / "inventories" / client, "services")
    return read_yaml(path, f"inventories/{client}/{path.name}", Faults())
