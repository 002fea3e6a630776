"""The files of a workspace, as a controller has read them: which of them are in force, and why others are not.

The one rule it keeps: what is read is put in force as a whole or not at all, by whoever asked for it; a later reading
is never overtaken by an earlier one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

import structlog

from orchestrator.config import ConfigurationInvalid, Loaded, WorkspaceUnsafe, in_force
from orchestrator.config.beside_model import Beside, beside, kept
from orchestrator.config.ownership import unsafe
from orchestrator.config.settings import JournalSettings
from orchestrator.core.codec import CodecError
from orchestrator.core.model import Json, Model
from orchestrator.core.runs.replacing import objections
from orchestrator.core.state.decided import Decided
from orchestrator.journal.journal import JournalError
from orchestrator.reports.reader import reading
from orchestrator.shell.plans import Books

log = structlog.get_logger(__name__)

KEPT_WITHIN_S = 5.0  # at the end, for what is still to be kept: the lease is given back after it


class Files:
    """Of one controller. `loaded` is None while the last journaled configuration is in force since its start: they were
    invalid then, or something open stood against them.
    """

    def __init__(self, workspace: Path, load: Callable[[], Loaded]) -> None:
        """Nothing is read yet. `load` raises ConfigurationInvalid."""
        self._workspace = workspace
        self._load = load
        self.loaded: Loaded | None = None
        self.beside = Beside()
        self.secrets: Mapping[str, str] = {}
        self.invalid: ConfigurationInvalid | None = None  # at the start
        self.not_in_force: list[str] = []  # why the files are not, while an older configuration is
        self._written: Mapping[str, str] = {}  # the files that were read, by digest
        self._led: Mapping[str, Mapping[str, str]] = {}  # by client: the same of what decides where a login leads
        self._keeps: JournalSettings | None = None  # what they said at the start
        self._refused: Model | None = None  # that of valid files, which something open stood against
        self._reading, self._remembering = asyncio.Lock(), asyncio.Lock()
        self._keeping: set[asyncio.Task[None]] = set()

    async def begin(self, has_older: Callable[[], bool]) -> None:
        """Read them for the first time. Raises ConfigurationInvalid where there is no older configuration."""
        try:
            loaded, self.secrets, self._written = await self.read()
            self._keeps = loaded.journal
            if against := await asyncio.to_thread(_open_against, self._workspace, loaded.model):
                self.refuse(loaded.model)
                self.not_in_force = against
                await self._go_by_what_was_kept()
                return
            self.loaded, self.beside = loaded, beside(loaded)
            self._led = await asyncio.to_thread(self._leading, loaded)
        except ConfigurationInvalid as invalid:
            if not has_older():
                raise
            self.invalid = invalid
            self.not_in_force = [str(fault) for fault in invalid.faults]
            await self._go_by_what_was_kept()

    async def _go_by_what_was_kept(self) -> None:
        """A model goes with its own inventories and people: those of the files may be others' by now.

        Before the lease: it may take long.
        """
        self.beside = await asyncio.to_thread(kept, self._workspace)
        if self.beside.secrets is not None:
            self.secrets, _ = await asyncio.to_thread(self.beside.secrets.reveal_all)

    def say_older(self, digest: str | None) -> str:
        """Log why the last journaled configuration acts; what every client's people are told of it: it names nobody."""
        in_force.say_invalid(self.beside, digest, self.invalid.faults if self.invalid else (), self.not_in_force)
        if self.invalid is not None:
            return "the configuration is invalid; the last journaled one is in force: `bascule validate`"
        return "the files cannot be put in force; the last journaled one is in force: `bascule status`"

    @property
    def keeping(self) -> JournalSettings | None:
        """How long is kept what, by the files; None: they were invalid."""
        return self.loaded.journal if self.loaded is not None else self._keeps

    def edited(self) -> bool:
        """Whether files are not as they were loaded: what was edited since waits for somebody to say so."""
        return in_force.as_written(self._workspace) != self._written

    def _leading(self, loaded: Loaded) -> dict[str, Mapping[str, str]]:
        return {name: in_force.leading(self._workspace, paths) for name, paths in loaded.inventories.items()}

    def leads_elsewhere(self, client: str) -> bool:
        """Whether a login to this client's hosts would follow what was edited since it was put in force. Reads them."""
        if client in self.beside.stale or client not in self._led:
            return False  # it goes by what was kept
        return in_force.leading(self._workspace, self.beside.inventories.get(client, ())) != self._led[client]

    async def read(self) -> tuple[Loaded, Mapping[str, str], Mapping[str, str]]:
        """The files, their secrets and digests, nothing in force yet. Raises ConfigurationInvalid, WorkspaceUnsafe."""
        if findings := await asyncio.to_thread(unsafe, self._workspace):  # not even the last valid one acts on these
            raise WorkspaceUnsafe(findings)
        written = await asyncio.to_thread(in_force.as_written, self._workspace)
        loaded = await asyncio.to_thread(self._load)
        return loaded, await asyncio.to_thread(in_force.secrets_of, loaded), written

    async def reload(self, put: Callable[[Loaded, Mapping[str, str], Beside], list[str]]) -> list[str]:
        """Read them again and `put` them in force; why that cannot be done now, where it cannot.

        One after the other: whoever began to read later is not overtaken by what was read before.
        """
        async with self._reading:
            try:
                why = await self._again(put)
            except Exception as error:  # a fault of ours is no end of a daemon that decides
                log.exception("the files could not be read again")
                why = [f"internal fault: {type(error).__name__}: {error}"]
        for one in why:
            log.error("not reloaded, the old configuration stays in force", why=one)
        return why

    async def _again(self, put: Callable[[Loaded, Mapping[str, str], Beside], list[str]]) -> list[str]:
        self._refused = None
        try:
            loaded, found, written = await self.read()
        except WorkspaceUnsafe as refused:
            return [str(refused)]
        except ConfigurationInvalid as invalid:
            return [str(fault) for fault in invalid.faults]
        why = put(loaded, found, beside(loaded))
        if not why:
            self._written, self._led = written, await asyncio.to_thread(self._leading, loaded)
        return why

    def use(self, loaded: Loaded | None, found: Mapping[str, str], also: Beside) -> None:
        """These are in force, with their secrets and what belongs to them."""
        self.loaded, self.secrets, self.beside = loaded, found, also

    def refuse(self, model: Model) -> None:
        """Something open stands against it."""
        self._refused = model

    def condition(self, decided: Decided) -> dict[str, Json]:
        """What is in force, and why the files are not, as it is now."""
        return in_force.condition(self.beside, decided.configuration, self._why_not(decided))

    def _why_not(self, decided: Decided) -> list[str]:
        """What stood against them may have ended meanwhile."""
        if self._refused is None:
            return self.not_in_force
        against = objections(decided, self._refused)
        return against or ["they were refused when they were read, and nothing stands against them now: bascule reload"]

    def valid(self) -> Beside | None:
        """What is in force beside the model, where that is the files'."""
        return self.beside if self.loaded is not None else None

    def differ(self, books: Books) -> Mapping[str, str]:
        """What of these playbooks is not as it was decided upon."""
        return in_force.differ(self._workspace, self.beside, self.loaded, books)

    def remember(self) -> None:
        """Keep what belongs to them, for a start at which they are invalid; what is put in force last is kept last."""
        if self.loaded is not None:
            self._keeping.add(keeping := asyncio.create_task(self._remember(self.loaded)))
            keeping.add_done_callback(self._keeping.discard)

    async def close(self) -> None:
        """When all is kept; on a disk that hangs it is not, and the next start says so."""
        if self._keeping:
            await asyncio.wait(self._keeping, timeout=KEPT_WITHIN_S)

    async def _remember(self, loaded: Loaded) -> None:
        async with self._remembering:
            await asyncio.to_thread(in_force.remember, loaded)


def _open_against(workspace: Path, model: Model) -> list[str]:
    """What is open by the journal, and keeps these files from being put in force at a start."""
    try:
        with reading(workspace, pin=False) as journal:  # each second, while a daemon stands by
            return objections(journal.state.decided, model) if journal.state.model is not None else []
    except (JournalError, CodecError):
        return []  # whoever opens it for good says so
