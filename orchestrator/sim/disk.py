"""The disk under the journal, and the moments at which a controller may die or stand still.

The one rule it keeps: an entry is durable, or it is not. A death comes before the one moment in which that changes, or
after it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from orchestrator.core.codec import dumps, encode
from orchestrator.core.state.fold import fold
from orchestrator.journal.chain import entry_of, sha256
from orchestrator.journal.examining import KeptCheckpoint
from orchestrator.journal.journal import Draft, Entry
from orchestrator.journal.lease import Lease
from orchestrator.journal.memory import MemoryJournal
from orchestrator.sim.timeline import MachineClocks, Timeline


class Killed(BaseException):
    """The controller dies here and now. No `except Exception` of its own may hold it up."""


class Stoppable(Protocol):
    """What can be stopped, as by SIGSTOP."""

    def freeze(self) -> None:
        """Stand still from now on."""
        ...


@dataclass(frozen=True, slots=True)
class Moment:
    """A point in a controller's work: before entry `entry`, after it (`command=0`), or after so many commands."""

    entry: int
    before: bool = False
    command: int = 0
    stop: bool = False  # stand still there, instead of dying

    def __str__(self) -> str:
        what = "stopped" if self.stop else "killed"
        if self.before:
            return f"{what} before entry {self.entry}"
        return f"{what} after entry {self.entry}" + (f" and command {self.command} of it" if self.command else "")


@dataclass
class Disk(MemoryJournal):
    """A journal in memory, on a disk that can be slow or full."""

    clocks: MachineClocks
    timeline: Timeline
    slow_s: float = 0.0
    moments: dict[int, list[Moment]] = field(default_factory=dict)
    on_entry: list[Callable[[Entry], None]] = field(default_factory=list)
    on_moment: Callable[[Moment], None] = field(default=lambda _moment: None)
    commands: dict[int, int] = field(default_factory=dict)  # how many commands each entry had

    def __post_init__(self) -> None:
        super().__init__(self.clocks)

    def append_all(self, lease: Lease, drafts: Sequence[Draft]) -> list[Entry]:
        """Add several entries, all of them or none; see `Moment` for what may happen around each."""
        if self.slow_s:
            self.timeline.stall(self.slow_s)
        for number in range(self.last_seq() + 1, self.last_seq() + 1 + len(drafts)):
            for moment in self._due(number, lambda m: m.before):
                self.on_moment(moment)
                raise Killed(str(moment))
        entries = super().append_all(lease, drafts)
        for entry in entries:
            for told in self.on_entry:
                told(entry)
        return entries

    def forge_checkpoint(self, of: int) -> None:
        """Somebody puts the state after entry `of` in place of the newest one, with hashes of its own that fit."""
        links, last = self._links, self.last_seq()
        decided = fold(x for seq, body, _ in links if seq <= of for x in entry_of(body).records)
        state = dumps(encode(decided))
        self.checkpoints[last] = KeptCheckpoint(last, links[-1][2], bytes.fromhex(sha256(state)), state)

    def committed(self, entry: Entry, controller: Stoppable) -> None:
        """An entry is durable and none of its commands has been handed on."""
        self._meet(entry.seq, 0, controller)

    def after_command(self, count: int, controller: Stoppable) -> None:
        """So many commands of the latest entry have been handed on."""
        number = self.last_seq()
        self.commands[number] = max(self.commands.get(number, 0), count)
        self._meet(number, count, controller)

    def _meet(self, number: int, command: int, controller: Stoppable) -> None:
        for moment in self._due(number, lambda m: not m.before and m.command == command):
            self.on_moment(moment)
            if not moment.stop:
                raise Killed(str(moment))
            controller.freeze()

    def _due(self, number: int, wanted: Callable[[Moment], bool]) -> list[Moment]:
        """The moments to meet now; each is met once."""
        here = self.moments.get(number)
        if not here:
            return []
        found = [m for m in here if wanted(m)]
        self.moments[number] = [m for m in here if m not in found]
        return found
