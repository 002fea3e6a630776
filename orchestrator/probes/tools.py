"""What questions share: ICMP sockets, name look-ups, and the processes that blocking kinds run in.

The one rule it keeps: nothing is opened before the first question that needs it, and `close` leaves nothing behind.
"""

from __future__ import annotations

from orchestrator.probes.echo import Echoes
from orchestrator.probes.forks import Forks
from orchestrator.probes.names import Names


class Tools:
    """Shared by all questions of one event loop."""

    def __init__(self) -> None:
        self.echoes = Echoes()
        self.names = Names()
        self._forks: dict[str, Forks] = {}

    def forks(self, module: str) -> Forks:
        """The processes that run this module's `answer` function."""
        if module not in self._forks:
            self._forks[module] = Forks(module)
        return self._forks[module]

    async def close(self) -> None:
        """End every process and close every socket."""
        self.echoes.close()
        for forks in self._forks.values():
            await forks.close()
        self._forks.clear()
