# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes down when each task of each host began and how it ended, for `bascule playbook run`.

The one rule it keeps: it only watches. It prints nothing. What cannot be written down is left out.
"""

from __future__ import annotations

import json
import os
import time
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
    name: bascule_stopwatch
    type: notification
    short_description: times of tasks
    description: Writes the times of tasks to the file that BASCULE_TIMES names, one JSON object a line.
"""
FILE = "BASCULE_TIMES"


class CallbackModule(CallbackBase):  # type: ignore[misc]
    """One line when the playbook begins, one for each task of each host that has ended."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "bascule_stopwatch"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.zero = time.monotonic()
        self.began: dict[tuple[str, str], float] = {}
        self.file = os.environ.pop(FILE, "")  # an ansible-playbook that a task starts is not timed

    def write(self, line: dict[str, Any]) -> None:
        """One line, if anybody wants it."""
        try:
            if self.file:
                with open(self.file, "a", encoding="utf-8") as file:
                    file.write(json.dumps(line) + "\n")
        except OSError:
            self.file = ""

    def v2_playbook_on_start(self, playbook: Any) -> None:
        """From here on there is something to time."""
        self.write({"began": True})

    def v2_runner_on_start(self, host: Any, task: Any) -> None:
        """A task begins on a host."""
        self.began[host.get_name(), task._uuid] = time.monotonic() - self.zero
        self.write({"running": host.get_name(), "task": self.name(task)})

    def v2_runner_on_ok(self, result: Any) -> None:
        """It went well."""
        self.end(result, "changed" if _found(result).get("changed") else "ok")

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        """It failed."""
        self.end(result, "ignored" if ignore_errors else "failed")

    def v2_runner_on_unreachable(self, result: Any) -> None:
        """The host could not be reached."""
        self.end(result, "unreachable")

    def v2_runner_on_skipped(self, result: Any) -> None:
        """It was not to be done."""
        self.end(result, "skipped")

    def end(self, result: Any, status: str) -> None:
        """A task has ended on a host."""
        task, host = getattr(result, "task", None) or result._task, getattr(result, "host", None) or result._host
        now = time.monotonic() - self.zero
        started = self.began.pop((host.get_name(), task._uuid), now)
        found = _found(result)
        line = {"name": self.name(task), "host": host.get_name(), "status": status, "started_s": round(started, 3)}
        line["took_s"] = round(now - started, 3)
        if status in ("failed", "unreachable"):
            hidden = bool(task.no_log or found.get("_ansible_no_log"))
            line["why"] = "hidden by no_log" if hidden else str(found.get("msg", ""))[:600]
            line["where"] = str(task.get_path() or "")
        self.write(line)

    @staticmethod
    def name(task: Any) -> str:
        """As it is shown."""
        return str(task.get_name()).strip()


def _found(result: Any) -> dict[str, Any]:
    found = getattr(result, "result", None)
    return found if isinstance(found, dict) else dict(result._result)
