"""The lease: one decider at a time, and when another may take over. What every store promises of it.

The one rule it keeps: whoever takes it gets a larger epoch than anybody before, and whoever writes says under which; so
a holder that comes back late is refused wherever epochs are looked at.

    take       by one at a time: another is told who holds it, and when it ends at the latest, if it is not renewed
    renew      from now on for its whole length; also one that has lapsed and that nobody took; never one that was taken
    release    the next one need not wait; one that was lost is let alone
    write      the epoch is compared in the same moment: under a lease that was taken or given back nothing is written

It ends by release or by time. By whose clock, and what else proves that its holder is gone, is the store's own affair:
where it is kept on one machine's disk, see `machine_lease.py`. A lock was rejected: a stopped process keeps it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Lease:
    """Who decides. A store may keep more of it."""

    holder: str
    epoch: int
    ttl_s: float

    @property
    def who(self) -> str:
        """Its holder, as an operator finds it."""
        return self.holder


@dataclass(frozen=True, slots=True)
class Refused:
    """Somebody else holds the lease. `ends_in_s`: at the latest then, if it is not renewed."""

    held_by: Lease
    ends_in_s: float

    def __str__(self) -> str:
        lease = self.held_by
        return f"{lease.who} holds the lease with epoch {lease.epoch}; it ends in {self.ends_in_s:.0f} s unless renewed"


@dataclass(frozen=True, slots=True)
class Heard:
    """How long ago a lease was taken or renewed, and whether it still holds, as far as can be told from here."""

    ago_s: float
    holds: bool


class Leases(Protocol):
    """Where a lease is kept: see above."""

    def acquire(self, holder: str, ttl_s: float) -> Lease | Refused:
        """Take the lease with the next epoch, or say who holds it. Raises JournalUnwritable."""
        ...

    def renew(self, lease: Lease) -> bool:
        """Hold it for another `ttl_s`. False: it is lost. A lapsed lease that nobody took is renewed.

        Raises JournalUnwritable: then it was not renewed.
        """
        ...

    def release(self, lease: Lease) -> None:
        """Give it back; the next one need not wait. Nothing happens if it was lost before."""
        ...

    def holder(self) -> Lease | None:
        """Who holds it (perhaps lapsed), or None."""
        ...

    def heard(self) -> Heard | None:
        """When its holder was last heard of; None: nobody holds it."""
        ...
