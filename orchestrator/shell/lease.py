"""How long a controller's lease lasts, and how it and the time axis are kept.

The one rule it keeps: a controller that cannot be sure of its lease any more is told at once, and acts no more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from orchestrator.journal.axis import Axis
from orchestrator.journal.journal import Head
from orchestrator.journal.lease import Lease, Leases

log = structlog.get_logger(__name__)

LEASE_S = 20.0  # a write may block for seconds on a slow disk: shorter leases would be lost for nothing
MARK_EVERY_S = 30.0
SLOW_S = 1.0  # what takes longer, or comes later, is worth a warning


class LeaseRefused(Exception):
    """Another controller decides for this workspace. `head`: of its journal then, if anything is in it."""

    def __init__(self, why: str, head: Head | None = None) -> None:
        super().__init__(why)
        self.head = head


class LeaseLost(Exception):
    """Another controller decides for this workspace by now: this one must not act any more."""


async def keep_lease(leases: Leases, lease: Lease, axis: Axis, lose: Callable[[str], None]) -> None:
    """Renew it until the end; `lose` is told why where that cannot go on."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + LEASE_S / 4
        await asyncio.sleep(LEASE_S / 4)
        late_s = loop.time() - due
        if late_s > SLOW_S:
            log.warning("this program was held up", late_s=round(late_s, 2), hint="a stopped or busy machine?")
        if axis.carried_over:
            return lose("this process was carried over to another boot: its clock is not the one it went by")
        try:
            if not leases.renew(lease):
                lose("another controller holds it")
                return None
        except Exception as refused:
            log.warning("the lease could not be renewed", why=str(refused))


async def keep_axis(axis: Axis, look: Callable[[], None]) -> None:
    """Mark it until the end; `look` is called before each mark."""
    while True:
        await asyncio.sleep(MARK_EVERY_S)
        look()
        try:
            axis.mark()
        except Exception as refused:
            log.warning("the time axis could not be kept", why=str(refused))
