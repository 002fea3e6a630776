"""Writes text by a thread of its own, so that nobody waits for it: a log, or the progress of a run.

The one rule it keeps: whoever writes to it never waits and never fails. If a reader is gone, a terminal stands still or
a disk is full, text is kept up to a bound, and then counted. When writing works again, the kept text comes first, and
the number of missing lines is said at the place where they are missing.
"""

from __future__ import annotations

import io
import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable

from orchestrator.core.model import Json

KEPT_PIECES = 5000  # lines, as a rule
KEPT_BYTES = 4 << 20
TOLD_BYTES = 512  # the line that says how many are missing
RETRY_S = 1.0
POLL_MS = 500


def _plainly(count: int, why: str) -> str:
    return f"[{count} line{'' if count == 1 else 's'} could not be written: {why}]\n"


class Outlet(io.TextIOBase):
    """A text stream in front of a file descriptor, which it neither opens nor closes."""

    def __init__(self, fd: int, told: Callable[[int, str], str] = _plainly) -> None:
        """`told` makes the line that says how many are missing, and why."""
        super().__init__()
        self.missing = 0  # pieces dropped since it was said last
        self.missing_in_all = 0
        self.why = ""  # why nothing can be written now; empty: it can
        self._last_why = "its reader stood still"
        self._fd = fd
        self._told = told
        self._partial = ""
        self._kept: deque[bytes] = deque()
        self._bytes = 0
        self._change = threading.Condition(threading.Lock())
        self._writing_since: float | None = None
        threading.Thread(target=self._work, name="outlet", daemon=True).start()

    # ---- a text stream

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """What becomes of text."""
        return "utf-8"

    def writable(self) -> bool:
        """Always."""
        return True

    def isatty(self) -> bool:
        """Whether somebody sits in front of it."""
        return os.isatty(self._fd)

    def fileno(self) -> int:
        """The descriptor itself: whoever writes there may have to wait."""
        return self._fd

    def write(self, text: str) -> int:
        """Take it, whole lines at once."""
        with self._change:
            self._partial += text
            whole, newline, self._partial = self._partial.rpartition("\n")
            if newline:
                self._keep(whole + newline)
        return len(text)

    def flush(self) -> None:
        """Take what is no whole line yet, too. Nothing is waited for."""
        with self._change:
            text, self._partial = self._partial, ""
            if text:
                self._keep(text)

    # ---- for who looks after it

    def state(self) -> Json:
        """How it does: what keeps it from getting out, and how many pieces are missing in all."""
        return {"trouble": self.trouble(), "missing": self.missing_in_all}

    def trouble(self) -> str:
        """Why nothing gets out now; empty: it does."""
        since = self._writing_since
        if self.why:
            return self.why
        held_s = 0.0 if since is None else time.monotonic() - since
        return f"its reader has stood still for {held_s:.0f} s" if held_s > RETRY_S else ""

    def drain(self, patience_s: float | None) -> bool:
        """Wait until all is written, or given up for `patience_s`, or (None) for good; whether all is out."""
        self.flush()
        with self._change:
            self._change.wait_for(lambda: not self._kept or (patience_s is None and bool(self.why)), patience_s)
            return not self._kept

    # ---- inside

    def _keep(self, text: str) -> None:
        data = text.encode(errors="backslashreplace")
        if self.missing or not self._has_room(len(data)):  # nothing comes between what is missing and the word of it
            self.missing += 1
            self.missing_in_all += 1
            return
        self._add(data)

    def _has_room(self, size: int) -> bool:
        return len(self._kept) < KEPT_PIECES and self._bytes + size <= KEPT_BYTES

    def _add(self, data: bytes) -> None:
        self._kept.append(data)
        self._bytes += len(data)
        self._change.notify_all()

    def _work(self) -> None:
        while True:
            with self._change:
                while not self._kept:
                    self._change.wait()
                data = self._kept[0]
            self._write(data)
            with self._change:
                self._kept.popleft()
                self._bytes -= len(data)
                if self.missing and self._has_room(TOLD_BYTES):
                    count, self.missing = self.missing, 0
                    self._add(self._told(count, self._last_why).encode(errors="backslashreplace"))
                self._change.notify_all()

    def _write(self, data: bytes) -> None:
        """All of it, however long it takes."""
        left = memoryview(data)
        self._writing_since = time.monotonic()
        while left:
            try:
                left = left[os.write(self._fd, left) :]
                self.why = ""
            except BlockingIOError:  # somebody who shares it wants it so
                waiting = select.poll()
                waiting.register(self._fd, select.POLLOUT)
                waiting.poll(POLL_MS)
            except OSError as error:
                self.why = self._last_why = error.strerror or type(error).__name__
                with self._change:
                    self._change.notify_all()
                time.sleep(RETRY_S)
        self._writing_since = None
