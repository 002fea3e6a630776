"""Follows a meter's log while it grows, and says in a line how the end user is doing.

It reads what is new, and nothing twice, so that a live display costs nothing.
"""

from __future__ import annotations

from pathlib import Path

from orchestrator.lab.account import OUTAGE_MIN_S, Attempt, attempts_of


class MeterLog:
    """One meter's log. `poll` returns what has been appended since the last call; a missing file is an empty one."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._torn = b""
        self.attempts: list[Attempt] = []
        self._last_success: Attempt | None = None

    def poll(self) -> list[Attempt]:
        """Read on. A file that has become shorter was begun anew and is read from its start."""
        try:
            with self._path.open("rb") as file:
                if file.seek(0, 2) < self._offset:
                    self._offset, self._torn = 0, b""
                file.seek(self._offset)
                data = file.read()
        except FileNotFoundError:
            return []
        self._offset += len(data)
        *lines, self._torn = (self._torn + data).split(b"\n")
        new = attempts_of(line.decode(errors="replace") for line in lines)
        self.attempts.extend(new)
        for attempt in new:
            last = self._last_success
            if attempt.acknowledged and (last is None or attempt.ended_s > last.ended_s):
                self._last_success = attempt
        return new

    def summary(self, now_s: float) -> str:
        """For example `OK, served by hq, last success 0.1 s ago`. Times in epoch seconds."""
        if not self.attempts:
            return "no attempt yet"
        last = self._last_success
        if last is None:
            return f"DOWN, no success yet: {self.attempts[-1].why}"
        ago_s = max(0.0, now_s - last.ended_s)
        if ago_s < OUTAGE_MIN_S:
            return f"OK, served by {last.by or last.address}, last success {ago_s:.1f} s ago"
        newest = max(self.attempts[-20:], key=lambda attempt: attempt.wall_s)
        if newest.acknowledged:
            return f"SILENT, the meter wrote nothing for {max(0.0, now_s - newest.ended_s):.1f} s"
        return f"DOWN for {ago_s:.1f} s: {newest.why}"
