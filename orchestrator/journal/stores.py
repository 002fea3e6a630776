"""Where journals are kept: one row for each kind of store, and the only place that opens one.

The one rule it keeps: whoever reads or writes a journal opens it here. So a new kind of store is a module and its row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestrator.journal import whose
from orchestrator.journal.journal import Head, Journal, JournalUnreadable, JournalUnwritable
from orchestrator.journal.sqlite import SqliteJournal, journal_path
from orchestrator.journal.store import PUT_BACK

USUAL = "sqlite"


@dataclass(frozen=True, slots=True)
class StoreKind:
    """`is_there`: whether a workspace has a journal of this kind. `open`: opens it; makes it unless `read_only`."""

    is_there: Callable[[Path], bool]
    open: Callable[[Path, bool], Journal]


STORES: Mapping[str, StoreKind] = {
    "sqlite": StoreKind(
        lambda workspace: journal_path(workspace).exists(),
        lambda workspace, read_only: SqliteJournal(journal_path(workspace), read_only=read_only),
    ),
}


def kind_of(workspace: Path) -> str:
    """The kind of the journal that is there; the usual one where there is none yet."""
    return next((kind for kind, store in STORES.items() if store.is_there(workspace)), USUAL)


def has_journal(workspace: Path) -> bool:
    """Whether there is one, readable or not."""
    return any(store.is_there(workspace) for store in STORES.values())


def open_journal(workspace: Path, after: Head | None = None, *, make: bool = True) -> Journal:
    """The workspace's journal, to write; made if there is none. Raises JournalUnreadable, JournalUnwritable.

    `after`: a head that it had when it was last looked at: then none is made, and no other one is taken.
    """
    if wrong := whose.of_another(workspace):
        raise JournalUnwritable(wrong, f"{whose.REMEDY}.")
    if (after is not None or not make) and not has_journal(workspace):
        raise JournalUnwritable(f"the journal of {workspace} was removed while it was in use", PUT_BACK)
    journal = STORES[kind_of(workspace)].open(workspace, False)
    if after is not None and (why := journal.differs(after)) is not None:
        journal.close()
        raise JournalUnwritable(f"the journal of {workspace} is not the one that was in use: {why}", PUT_BACK)
    return journal


def read_journal(workspace: Path) -> Journal | None:
    """The workspace's journal, to read; None: there is none yet. Raises JournalUnreadable."""
    if wrong := whose.of_another(workspace):
        raise JournalUnreadable(wrong, f"{whose.REMEDY}.")
    return STORES[kind_of(workspace)].open(workspace, True) if has_journal(workspace) else None
