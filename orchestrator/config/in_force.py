"""What is in force beside the model: which plan a playbook is of, how an inventory is had, what is to be said of it.

The one rule it keeps: it changes nothing. What is used is decided where the files are read (`config/keeping.py`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import structlog

from orchestrator.config.faults import Fault
from orchestrator.config.keeping import Beside, keep, playbooks
from orchestrator.config.load import Loaded
from orchestrator.config.playbooks import playbook_digest
from orchestrator.core.decided import Decided
from orchestrator.core.events import StepEnded
from orchestrator.core.model import Json, Model

log = structlog.get_logger(__name__)


def digest_now(workspace: Path, beside: Beside, model: Model, client: str, playbook: str, *, valid: bool) -> str:
    """The playbook's digest as it would be played now. Raises ValueError where it cannot be read.

    Where the files are not valid and the inventory is the one that was in force, it is the plan's own as long as the
    playbook is: a slip in an inventory is no other plan.
    """
    digest = playbook_digest(workspace, playbook, list(beside.inventories.get(client, ())))
    if digest is None:
        raise ValueError(f"{playbook} cannot be read any more: `bascule validate`")
    if valid or client not in beside.stale:
        return digest
    if playbook_digest(workspace, playbook, ()) != beside.alone.get(client, {}).get(playbook):
        return digest
    return next((book.digest for book in playbooks(model, client) if book.path == playbook), digest)


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


def say_invalid(beside: Beside, digest: str | None, faults: Iterable[Fault]) -> None:
    """Log what is wrong with the files, and what acts in their place."""
    log.error("configuration invalid: the last journaled one is in force", digest=digest)
    for fault in faults:
        log.error("configuration invalid", fault=str(fault))
    if beside.digest != digest:
        log.warning("what belongs to the configuration in force was not kept: it is as far as files can be read")
    for client, stale in beside.stale.items():
        log.warning("inventory cannot be read", client=client, served_by=str(stale))
    for way in beside.lost:
        log.error("a way to tell people stands in a broken file as text and cannot be used", way=way)


def condition(beside: Beside, digest: str | None, faults: Iterable[Fault]) -> dict[str, Json]:
    """The same for whoever asks how things are."""
    return {
        "digest": digest,
        "invalid": [str(fault) for fault in faults],
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
