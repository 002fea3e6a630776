"""Keeps the journal itself in order while a daemon runs: anchors its head elsewhere, removes what nobody needs.

The one rule it keeps: nothing here holds the decider up. It works in a thread, in transactions of some tens of
milliseconds. A failure is told and tried again. Only a graceful end waits for it, and not for long.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Protocol

import structlog

from orchestrator.core.commands import NoticeKind, TellPeople
from orchestrator.core.model import Json
from orchestrator.journal import anchors as anchoring
from orchestrator.journal.anchors import Anchors
from orchestrator.journal.journal import Head, Journal, JournalError, JournalUnreadable
from orchestrator.journal.lease import Lease
from orchestrator.journal.stores import open_journal, read_journal
from orchestrator.journal.time_stamps import TimeStamping

log = structlog.get_logger(__name__)

FIRST_AFTER_S = 10.0  # a start has better things to do
DAILY_S = 86400.0
AGAIN_S = 600.0  # after a failure
PAUSE_S = 0.1  # between two transactions
LOOK_EVERY_S = 60.0  # whether it is time for something
AT_THE_END_S = 10.0
READ_WITHIN_S = 5.0
ANCHORED_WITHIN_S = 180.0  # several programs, one after the other
TOLD_AT = 2  # failures in a row: one may pass by itself
COMPARED = 20  # of the anchored heads, at a start: the newest


class Settings(Protocol):
    """What `bascule.yml` says of the journal."""

    @property
    def keep_s(self) -> float:
        """How long entries stay that no incident needs."""

    @property
    def anchor_file(self) -> Path | None:
        """See `anchors.py`."""

    @property
    def anchor_git(self) -> Path | None:
        """See `anchors.py`."""

    @property
    def anchor_command(self) -> tuple[str, ...]:
        """See `anchors.py`."""

    @property
    def anchor_time_stamp(self) -> tuple[str, Path, Path] | None:
        """See `time_stamps.py`: URL, certificate, folder."""


def _time_stamping(settings: Settings) -> TimeStamping | None:
    return TimeStamping(*settings.anchor_time_stamp) if settings.anchor_time_stamp is not None else None


class InThread(Protocol):
    """See `notify/in_thread.py`."""

    async def __call__(self, call: Callable[[], bool], timeout_s: float) -> bool:
        """What the call returns. Raises TimeoutError where it does not come back."""


class Upkeep:
    """One controller's. A daemon has it `run` until it is cancelled, and then `end`."""

    def __init__(self, workspace: Path, journal: Journal, settings: Settings | None, in_thread: InThread) -> None:
        """Without settings nothing is anchored, and nothing is let go of. `in_thread` gives a call up that hangs.

        Raises JournalUnreadable where a head that was kept elsewhere is not this journal's: cut off, or written anew.
        """
        self._workspace = workspace
        self._in_thread = in_thread
        self._axis_now: Callable[[], float] = lambda: 0.0
        self._failures = 0
        self._anchors = Anchors()
        self._keep_s: float | None = None
        self._stop = threading.Event()
        self._anchored: Head | None = None
        self._kept_upto = 0  # the newest head that was kept is this entry's: it stays
        self._anchored_at = self._thinned_at = -float("inf")
        self._let_go = 0
        self._failed: dict[str, str] = {}
        self._changed = asyncio.Event()
        self._anchoring = threading.Lock()  # one at a time: two would be in each other's way in a git clone
        self.use(settings)
        self._refuse_another(journal)

    def use(self, settings: Settings | None) -> None:
        """Go by these from now on."""
        anchors, keep_s = Anchors(), None
        if settings is not None:
            anchors = Anchors(
                settings.anchor_file, settings.anchor_git, settings.anchor_command, _time_stamping(settings)
            )  # fmt: skip
            keep_s = settings.keep_s
        if anchors != self._anchors:
            self._anchored_at = -float("inf")
            self._kept_upto = 0
        if keep_s != self._keep_s:
            self._thinned_at = -float("inf")
        self._anchors, self._keep_s = anchors, keep_s
        self._changed.set()

    def _refuse_another(self, journal: Journal) -> None:
        where = self._anchors.readable
        if where is None:
            return
        found: list[Head] = []
        failed: dict[str, str] = {}
        names = anchoring.names_of(self._workspace)
        reading = partial(anchoring.kept, self._anchors, *names, failed=failed)
        reader = threading.Thread(target=lambda: found.extend(reading()), daemon=True)
        reader.start()
        reader.join(READ_WITHIN_S)
        if reader.is_alive():  # a mount that hangs
            failed = {str(where): "it did not answer"}
        elif not (found or failed) and journal.last_seq():
            # The first time; or they were taken away, or stand under another name.
            log.warning("the journal was compared with nothing", why=f"no head of it is kept in {where}")
        for place, fault in failed.items():
            log.error("the journal's head was not compared with the one kept elsewhere", where=place, why=fault)
        self._failed = {at: f"{x} at the start: the journal was not compared with it" for at, x in failed.items()}
        self._kept_upto = found[-1].seq if found else 0
        if (foreign := _foreign(journal, found)) is not None:
            head, why = foreign
            raise JournalUnreadable(
                f"the journal is not the one whose head was kept in {where}: {why}",
                f"Put the right journal back. If an older copy was put back on purpose, take the lines from entry"
                f" {head.seq} on out of {where}. Workspaces whose folders have the same name need a place each.",
            )

    def told(self) -> Json:
        """For whoever asks the daemon: what was anchored last, what fails, what was let go of since the start."""
        anchored: Json = {"seq": self._anchored.seq, "wall": self._anchored.wall} if self._anchored else None
        wanted = bool(self._anchors)
        return {"anchored": anchored, "anchors": wanted, "failed": dict(self._failed), "let_go": self._let_go}

    def failed(self) -> dict[str, Json]:
        """Where the head could not be kept the last time, each with why."""
        return dict(self._failed)

    async def run(self, lease: Lease, axis_now: Callable[[], float], tell: Callable[[TellPeople], None]) -> None:
        """Daily, and soon after a start or a change of its settings; what failed, again after some minutes."""
        self._axis_now = axis_now
        await asyncio.sleep(FIRST_AFTER_S)
        while True:
            self._changed.clear()
            if time.monotonic() - self._thinned_at >= DAILY_S:
                before = self._let_go
                done = await asyncio.to_thread(self._thin, lease)
                self._thinned_at = time.monotonic() - (0.0 if done else DAILY_S - AGAIN_S)
                if self._let_go > before:  # what is behind a gap is covered by a head from after it
                    self._anchored_at = -float("inf")
            if time.monotonic() - self._anchored_at >= DAILY_S:
                failed = await self._anchor_within(self._anchors)
                self._anchored_at = time.monotonic() - (DAILY_S - AGAIN_S if failed else 0.0)
                self._failures = self._failures + 1 if failed else 0
                if self._failures == TOLD_AT:
                    tell(self._notice(lease))
            try:
                async with asyncio.timeout(LOOK_EVERY_S):
                    await self._changed.wait()
            except TimeoutError:
                continue

    def _notice(self, lease: Lease) -> TellPeople:
        why = "; ".join(f"{where}: {why}" for where, why in self._failed.items())
        notice = f"journal's head/{lease.epoch}/{self._axis_now():.0f}"
        return TellPeople(notice, NoticeKind.CANNOT_ACT, "", "", f"the journal's head cannot be kept elsewhere: {why}")

    async def end(self) -> None:
        """Anchor the last entry, for a bound time."""
        self._stop.set()
        if self._anchors:
            await self._anchor_within(replace(self._anchors, timeout_s=AT_THE_END_S), 2 * AT_THE_END_S)

    async def _anchor_within(self, anchors: Anchors, limit_s: float = ANCHORED_WITHIN_S) -> bool:
        """Whether it failed anywhere, or did not come back: a mount may hang, and nothing waits for it then."""
        try:
            return await self._in_thread(lambda: self._anchor(anchors), limit_s)
        except (TimeoutError, RuntimeError):
            log.error("the journal's head could not be anchored", why="a place did not come back in time")
            self._failed = {"anchor": "a place did not come back in time"}
            return True

    def _anchor(self, anchors: Anchors) -> bool:
        """Whether it failed anywhere. Raises TimeoutError while an earlier one has not come back."""
        if not self._anchoring.acquire(timeout=anchors.timeout_s):
            raise TimeoutError
        try:
            return self._anchor_alone(anchors)
        finally:
            self._anchoring.release()

    def _anchor_alone(self, anchors: Anchors) -> bool:
        if not anchors:
            self._failed = {}
            return False
        failed: dict[str, str] = {}
        try:
            journal = read_journal(self._workspace)
            if journal is None:
                return False
            names = anchoring.names_of(self._workspace)
            try:
                head = journal.head()
                foreign = _foreign(
                    journal, anchoring.kept(anchors, *names)
                )  # of a place that hung at the start, or new
            finally:
                journal.close()
            if foreign is not None:
                where = str(anchors.readable)
                failed = {where: f"the journal is not the one whose head is there: {foreign[1]}"}
                if failed != self._failed:
                    self._failures = TOLD_AT - 1  # it does not pass by itself
            elif head.seq:
                failed = anchoring.keep(head, anchors, names[0])
                if not failed:
                    self._anchored, self._kept_upto = head, head.seq
        except JournalError as error:
            failed = {"journal": error.reason}
        for where, why in failed.items():
            log.error("the journal's head could not be anchored", where=where, why=why)
        self._failed = failed
        return bool(failed)

    def _thin(self, lease: Lease) -> bool:
        """Whether it came to its end."""
        try:
            journal = open_journal(self._workspace, make=False)
        except JournalError as error:
            log.warning("the journal could not be thinned", why=str(error))
            return False
        before = self._axis_now() - self._keep_s if self._keep_s is not None else -1.0
        gone = models = 0
        try:
            for count in journal.thin(lease, before, self._kept_upto if self._anchors else None):
                gone += count
                self._let_go += count
                if self._stop.wait(PAUSE_S):
                    return False
            if self._keep_s is not None:  # else the whole history would be read each day for nothing
                models = journal.thin_models(lease, before)
        except JournalError as error:
            log.warning("the journal could not be thinned", why=str(error))
            return False
        finally:
            journal.close()
            if models:
                log.info("configurations were let go of", count=models, hint="nothing happened under them")
            if gone:
                log.info("entries were let go of", count=gone, hint="verdict changes that no incident needs")
        return True


def _foreign(journal: Journal, kept: Sequence[Head]) -> tuple[Head, str] | None:
    """The first of the newest kept heads that this journal never had, and why; None: they are its own."""
    for head in kept[-COMPARED:]:
        if (why := journal.differs(head, newest=head.seq == kept[-1].seq)) is not None:
            return head, why
    return None
