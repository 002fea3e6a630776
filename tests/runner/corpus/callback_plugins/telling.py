"""An author's callback: it writes what it is told beside the run."""

import os

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = "{name: telling, type: notification, short_description: tells, description: tells}"


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "telling"

    def _tell(self, text):
        with open(os.environ["TOLD"], "a") as file:
            file.write(text + "\n")

    def v2_runner_on_ok(self, result):
        self._tell(f"ok {result._host.get_name()} {result._task.get_name()}")

    def v2_runner_on_failed(self, result, ignore_errors=False):
        self._tell(f"failed {result._host.get_name()} {result._task.get_name()}")

    def v2_playbook_on_stats(self, stats):
        self._tell("stats " + " ".join(f"{host}={stats.summarize(host)}" for host in sorted(stats.processed)))
