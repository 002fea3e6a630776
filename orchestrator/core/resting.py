"""What need not be decided again, because nothing on which the decision rested has changed.

The one rule it keeps: a service rests only while everything is unchanged that was asked for when it was last
considered. It rests if that was verdicts and decided state, and nothing came of it. A new verdict that it asked for
wakes it, and any record wakes all. What a vantage sees changes with time without a record, so it is compared.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from orchestrator.core.records import Record, VerdictChanged
from orchestrator.core.transaction import FOREVER, Basis


class Resting:
    """What one engine remembers of its last decision."""

    def __init__(self) -> None:
        """Nothing was decided yet: there is something to decide."""
        self.decide_at = 0.0  # when time alone may make a difference
        self.recorded_at = FOREVER  # when anything was recorded last: not known after a start
        self.awaited: set[str] = set()  # checks whose answers matter at once
        self.blind: dict[str, bool] = {}  # which vantages were
        self.all = False  # all services rest, and nothing runs
        self.put_off = False  # an answer wants a decision, which waits for those that follow it at once
        self.services: set[str] = set()  # those that rest; read by others, changed here
        self._askers: dict[str, set[str]] = {}  # check to the services that asked for its verdict when attended

    def due(self, now: float) -> bool:
        """Whether it is time to decide, whatever has happened."""
        return self.put_off or now >= self.decide_at

    def attended(self, service: str, basis: Basis) -> None:
        """A service was attended on this basis; it rests where verdicts and what is decided were all of it."""
        if basis.more:
            self.services.discard(service)
            return
        self.services.add(service)
        for check in basis.verdicts:
            self._askers.setdefault(check, set()).add(service)

    def rouse(self, check: str) -> None:
        """This check's verdict has changed."""
        self.services.difference_update(self._askers.get(check, ()))

    def rouse_all(self) -> None:
        """Anything may have changed."""
        self.services.clear()

    def forget(self) -> None:
        """Another model is in force: who asks for what is not known."""
        self.services.clear()
        self._askers.clear()

    def see(self, blind: dict[str, bool]) -> None:
        """These vantages are blind in the decision that begins."""
        if blind != self.blind:
            self.blind = blind
            self.services.clear()

    def decided(self, services: Collection[object], decide_at: float, awaited: set[str], *, runs: bool) -> None:
        """A decision came to rest; `runs`: something still runs."""
        self.decide_at, self.awaited = decide_at, awaited
        self.all = len(self.services) == len(services) and not runs

    def recorded(self, records: Collection[Record], now: float) -> None:
        """These records came of a step."""
        if records:
            self.recorded_at = now

    def postpone(self, records: Iterable[Record]) -> None:
        """The decision that these ask for waits for the answers that follow at once."""
        self.put_off = True
        if not only_verdicts(records):
            self.services.clear()


def only_verdicts(records: Iterable[Record]) -> bool:
    """Whether nothing but verdicts was recorded: whoever asked for one of them was roused by it."""
    return all(isinstance(x, VerdictChanged) for x in records)
