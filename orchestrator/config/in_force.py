"""The configuration in force, beside the model.

It tells to which plan a playbook belongs, where its inventory comes from, and what has to be said about it. It changes
nothing: what is used is decided where the files are read (`config/beside_model.py`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import structlog

from orchestrator.config import last_read
from orchestrator.config.ansible_process import Ansible
from orchestrator.config.beside_model import Beside, keep
from orchestrator.config.comparing import differences, playbook_digest
from orchestrator.config.faults import Fault, Faults
from orchestrator.config.inventory import read_inventory
from orchestrator.config.inventory_files import inventory_files, is_computed, parts_of
from orchestrator.config.load import Loaded
from orchestrator.config.ownership import FILES, FOLDERS
from orchestrator.config.surroundings import cover, surroundings
from orchestrator.core.events import StepEnded
from orchestrator.core.model import Json
from orchestrator.core.state.decided import Decided

JUST_NOW_S = 10.0  # an inventory that was read so lately is not asked again for each step
WAITS_S = 10.0  # for a source that does not answer: a step waits as long

log = structlog.get_logger(__name__)


def differ(
    workspace: Path, beside: Beside, loaded: Loaded | None, books: Mapping[str, tuple[str, str]]
) -> dict[str, str]:
    """What of these playbooks (digest: client, path) is not as it was decided upon: a sentence, empty where nothing is.

    Where the files are not valid and the inventory is the one that was in force, a playbook is the plan's own as long
    as it has not changed itself: a slip in an inventory is no other plan.
    """
    wanted = [(path, beside.inventories.get(client, ()), digest) for digest, (client, path) in books.items()]
    found = differences(workspace, wanted, loaded.manifests if loaded else {})
    for digest, (client, path) in books.items():
        if found[digest] and loaded is None and client in beside.stale:
            alone = playbook_digest(workspace, path, ())
            if alone is not None and alone == beside.alone.get(client, {}).get(path):
                found[digest] = ""
    return found


class Sources:
    """Computed inventories, asked whether they can still be read.

    One process of Ansible's stays for all that is asked, since its import takes longer than all else; where other files
    are in force, a new one.
    """

    def __init__(self, workspace: Path) -> None:
        self._workspace = workspace
        self._ansible = Ansible(workspace)
        self._asked_for = ""  # the digest of what was in force
        self._lock = threading.Lock()

    def unread_now(self, beside: Beside, client: str) -> Beside | None:
        """What is in force with a computed inventory as it was last read, since it is not to be had now; None: it is.

        It is asked for seconds at most, and not if that was done just now. Takes as long as its source does.
        """
        if not self.to_be_asked(beside, client):
            return None
        with self._lock:
            if beside.digest != self._asked_for:
                self._ansible.close()
                self._asked_for = beside.digest
        found = read_inventory(
            self._workspace,
            client,
            list(beside.inventories[client]),
            Faults(),
            cache=None,
            kept=self._workspace / last_read.FOLDER,
            ansible=self._ansible,
            patience_s=WAITS_S,
        )
        if found is None or found.stale is None:
            return None
        self._ansible.close()  # it may be this process that hangs, and not the source: the next question has a new one
        log.warning("inventory cannot be read", client=client, served_by=str(found.stale))
        return replace(beside, stale={**beside.stale, client: found.stale})

    def to_be_asked(self, beside: Beside, client: str) -> bool:
        """Whether its inventory is computed, was read before, and not just now."""
        sources = beside.inventories.get(client, ())
        if client in beside.stale or not any(map(is_computed, parts_of(sources))):
            return False
        before = last_read.last(self._workspace / last_read.FOLDER, client)
        return before is not None and not 0 <= time.time() - before.at < JUST_NOW_S

    def close(self) -> None:
        """End its process."""
        self._ansible.close()


def as_written(workspace: Path) -> dict[str, str]:
    """Label to digest of all that is read of a workspace and beside it, but for inventories that lie elsewhere."""
    return surroundings(workspace) | cover(workspace, (workspace / name for name in (*FOLDERS, *FILES)))


def leading(workspace: Path, sources: Iterable[Path]) -> dict[str, str]:
    """Label to digest of what decides where a login leads: these inventories, and what steers Ansible."""
    return surroundings(workspace) | cover(workspace, inventory_files(list(sources)))


def secrets_of(loaded: Loaded) -> dict[str, str]:
    """The secrets that can be had here; which cannot, and what is odd in the files, is logged. May take seconds."""
    found, missing = loaded.secrets.reveal_all()
    for reference, why in missing.items():
        log.warning("a secret cannot be had here", secret=reference, why=why)
    for warning in loaded.warnings:
        log.warning("configuration", warning=str(warning))
    return found


def remember(loaded: Loaded) -> None:
    """Keep what belongs to the model that is in force now."""
    try:
        keep(loaded)
    except OSError as refused:
        log.warning("what belongs to the configuration could not be kept", why=str(refused))


def say_invalid(beside: Beside, digest: str | None, faults: Sequence[Fault], why_not: Iterable[str]) -> None:
    """Log what is wrong with the files, or stands against them, and what acts in their place."""
    if faults:
        log.error("configuration invalid: the last journaled one is in force", digest=digest)
        for fault in faults:
            log.error("configuration invalid", fault=str(fault))
    else:
        log.error("the last journaled configuration is in force", digest=digest)
        for why in why_not:
            log.error("the new configuration cannot be put in force", why=why)
    if beside.digest != digest:
        log.warning("what belongs to the configuration in force was not kept: it is as far as files can be read")
    for client, stale in beside.stale.items():
        log.warning("inventory cannot be read", client=client, served_by=str(stale))
    for way in beside.lost:
        log.error("a way to tell people stands in a broken file as text and cannot be used", way=way)


def condition(beside: Beside, digest: str | None, why_not: Iterable[str]) -> dict[str, Json]:
    """The same for whoever asks how things are. `why_not`: why the files themselves are not in force."""
    return {
        "digest": digest,
        "invalid": list(why_not),
        "as_last_read": {client: str(stale) for client, stale in beside.stale.items()},
        "lost_ways": list(beside.lost),
    }


def with_its_inventory(event: StepEnded, beside: Beside, decided: Decided) -> StepEnded:
    """The same end, with how its client's inventory was had, where it could not be read."""
    run = decided.runs.get(event.key.run)
    stale = beside.stale.get(run.started.service.partition("/")[0]) if run is not None else None
    if stale is None:
        return event
    return replace(event, detail=f"{event.detail}; with {stale}" if event.detail else f"with {stale}")
