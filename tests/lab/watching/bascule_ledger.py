"""A callback of the tests' own: what every task of every playbook did, one line each, written as it happens.

The one rule it keeps: it only watches. The playbooks are the authors', unmodified; where BASCULE_TEST_LEDGER is not
set it does nothing. A line is one write to a file opened for appending, so a process that is killed leaves whole lines.
"""

from __future__ import annotations

import json
import os
import time
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
    name: bascule_ledger
    type: notification
    short_description: what every task did, one line each
    description: for the tests of bascule
    requirements: [enabled by ANSIBLE_CALLBACKS_ENABLED]
"""


class CallbackModule(CallbackBase):  # type: ignore[misc]
    """One attempt is one `ansible-playbook`; it is known by the mark that bascule gives each of them."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "bascule_ledger"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        path = os.environ.get("BASCULE_TEST_LEDGER")
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600) if path else -1
        self._facts: dict[str, Any] = {}
        self._play = ""

    def v2_playbook_on_play_start(self, play: Any) -> None:
        self._facts = dict(play.get_variable_manager().extra_vars)
        self._play = play.get_name()

    def v2_runner_on_start(self, host: Any, task: Any) -> None:
        self._write("began", host.get_name(), task)

    def v2_runner_on_ok(self, result: Any) -> None:
        self._write("changed" if result.result.get("changed") else "ok", result.host.get_name(), result.task)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        self._write("ignored" if ignore_errors else "failed", result.host.get_name(), result.task)

    def v2_runner_on_unreachable(self, result: Any) -> None:
        self._write("unreachable", result.host.get_name(), result.task)

    def v2_runner_on_skipped(self, result: Any) -> None:
        self._write("skipped", result.host.get_name(), result.task)

    def _write(self, what: str, host: str, task: Any) -> None:
        if self._file < 0:
            return
        line = {
            "wall": time.time(),
            "run": self._facts.get("bascule_run", ""),
            "step": self._facts.get("bascule_step", ""),
            "epoch": self._facts.get("bascule_epoch", 0),
            "attempt": os.environ.get("LC_BASCULE_ATTEMPT", ""),
            "process": os.getpid(),
            "play": self._play,
            "task": task.get_name(),
            "host": host,
            "what": what,
        }
        os.write(self._file, json.dumps(line).encode() + b"\n")
