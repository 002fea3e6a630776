"""What questions share: ICMP sockets, name look-ups, turns, deadlines, and the processes that blocking kinds run in.

The one rule it keeps: nothing is opened before the first question that needs it, and `close` leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from orchestrator.core.model import Json
from orchestrator.probes.deadlines import Deadlines
from orchestrator.probes.echo import Echoes
from orchestrator.probes.forks import Forks
from orchestrator.probes.names import Names
from orchestrator.probes.pulse import Pulse
from orchestrator.probes.turns import Turns, turns_of_a_kind

# Client, inventory host, whether to become root, and the seconds that the question has, to whether a playbook could log
# in now, and why not; None: nobody could ask.
Logins = Callable[[str, str, bool, float], Awaitable[tuple[bool | None, str]]]


class Tools:
    """Shared by all questions of one event loop. `turns_max`: how many connections of a kind may be open at once."""

    def __init__(self, turns_max: int | None = None) -> None:
        self.echoes = Echoes()
        self.names = Names()
        self.deadlines = Deadlines()
        self.pulse = Pulse()
        self._turns_max = turns_max
        self._turns: dict[str, Turns] = {}
        self.logins: Logins | None = None
        self._forks: dict[str, Forks] = {}

    def turns(self, kind: str) -> Turns:
        """Of one kind: whoever opens a connection takes one first."""
        turns = self._turns.get(kind)
        if turns is None:
            turns = self._turns[kind] = Turns(self._turns_max or turns_of_a_kind(), self.deadlines)
        return turns

    def turns_in_use(self) -> dict[str, Json]:
        """How many connections are open, kind by kind, and how many may be."""
        return {kind: {"in_use": turns.in_use, "limit": turns.limit} for kind, turns in self._turns.items()}

    def forks(self, module: str) -> Forks:
        """The processes that run this module's `answer` function."""
        if module not in self._forks:
            self._forks[module] = Forks(module)
        return self._forks[module]

    async def close(self) -> None:
        """End every process and close every socket."""
        self.deadlines.close()
        self.pulse.close()
        self.echoes.close()
        for forks in self._forks.values():
            await forks.close()
        self._forks.clear()
