# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks Ansible many things at once: ansible-core is imported once, and each question is answered in a fork.

    python -m orchestrator.syntax < questions > answers          one JSON object a line

    {"id", "program": "inventory", "arguments", "environment"}   {"id", "code", "out", "err"}
    {"cancel": ID}                                               (none: nobody waits for this answer any more)
    {"client", "groups": {GROUP: [HOST, …]}}                     (none: the playbooks of this client have these)
    {"id", "client", "path", "vars", "empty"}                    {"id", "faults": [{"message", "at", "soft", "lacks",
                                                                  "near", "wanted"}], "plays": [{"hosts", "at"}],
                                                                  "added": [PATTERN], "late": WHY}

An answer {"id", "broken": WHY} says that there is none. Answers come in the order in which they are ready.

The one rule it keeps: it is Ansible's own code, `ansible-inventory` (`reading.py`) and
`ansible-playbook --syntax-check` (`checking.py`). Nothing is run. Each question has a process of its own. Otherwise
what one question has Ansible load (a role's modules and plug-ins) would be there for the next one.

It is a program of its own, with the licence of the ansible-core that it imports; no other part of bascule imports it.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import selectors
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from orchestrator.syntax import checking, reading, watching

AT_ONCE = max(2, len(os.sched_getaffinity(0)))
READ_AT_ONCE = 8  # these wait for others most of the time
OFTEN = ("assert", "command", "copy", "debug", "fail", "file", "lineinfile", "meta", "package", "service", "set_fact",
         "shell", "stat", "systemd_service", "template", "uri", "wait_for")  # fmt: skip

Question = dict[str, Any]
Tell = Callable[[Mapping[str, Any], Mapping[str, Any]], None]


@dataclass(slots=True)
class Fork:
    """Questions that are being answered, one after the other."""

    pid: int
    questions: list[Question]
    told: bytearray = field(default_factory=bytearray)  # of an answer that has begun


def in_a_fork(answer: Callable[[Tell], None]) -> tuple[int, int]:
    """Its process, and where its answers come from."""
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1  # what breaks has no answer: it must not look like a share that ended early, and be asked for ever
        try:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.close(ours)
            with open(theirs, "wb") as stream:

                def tell(question: Mapping[str, Any], told: Mapping[str, Any]) -> None:
                    stream.write(json.dumps({"id": question["id"], **told}, default=str).encode() + b"\n")
                    stream.flush()

                answer(tell)
            code = 0
        finally:
            os._exit(code)
    os.close(theirs)
    return pid, ours


class Answering:
    """The questions that wait, and those that are being answered."""

    def __init__(self, questions: int, answers: int) -> None:
        self.questions, self.answers = questions, answers
        self.waiting: list[Question] = []
        self.running: dict[int, Fork] = {}
        self.inventories: dict[str, Any] = {}
        self.begun = bytearray()  # of a line
        self.asked = True  # there may come more

    def run(self) -> None:
        """Until nothing is asked any more."""
        with selectors.DefaultSelector() as selector:
            selector.register(self.questions, selectors.EVENT_READ)
            while self.asked or self.waiting or self.running:
                for stream in self._begin():
                    selector.register(stream, selectors.EVENT_READ)
                for key, _ in selector.select():
                    data = os.read(key.fd, 1 << 18)
                    if key.fd == self.questions:
                        self._hear(data)
                    else:
                        self._told(self.running[key.fd], data)
                    if not data:
                        selector.unregister(key.fd)
                        self._end(key.fd)

    def _hear(self, data: bytes) -> None:
        self.begun += data
        *lines, rest = self.begun.split(b"\n")
        self.begun = bytearray(rest)
        for line in lines:
            question = json.loads(line)
            if "cancel" in question:
                self._cancel(question["cancel"])
            elif "groups" in question:
                self.inventories[question["client"]] = checking.inventory_of(question["groups"])
            else:
                self.waiting.append(question)

    def _begin(self) -> Iterator[int]:
        """Fork for what may be answered now."""
        while self.waiting and len(self.running) < (READ_AT_ONCE if "program" in self.waiting[0] else AT_ONCE):
            gc.freeze()
            questions = self._next()
            answer = partial(reading.read, questions[0])
            if "program" not in questions[0]:
                answer = partial(checking.check, questions, self.inventories[questions[0]["client"]])
            pid, stream = in_a_fork(answer)
            self.running[stream] = Fork(pid, questions)
            yield stream

    def _next(self) -> list[Question]:
        """What one fork answers: a reading, or a share of the playbooks of a folder."""
        first = self.waiting[0]
        if "program" in first:
            return [self.waiting.pop(0)]
        alike = [q for q in self.waiting if "program" not in q and _folder(q) == _folder(first)]
        share = alike[: max(1, len(self.waiting) // (2 * AT_ONCE))]
        self.waiting = [q for q in self.waiting if q not in share]
        return share

    def _cancel(self, number: Any) -> None:
        self.waiting = [question for question in self.waiting if question["id"] != number]
        for fork in self.running.values():
            if any(question["id"] == number for question in fork.questions):
                os.kill(fork.pid, signal.SIGKILL)

    def _told(self, fork: Fork, data: bytes) -> None:
        """Hand on whole answers."""
        whole, end, rest = (fork.told + data).rpartition(b"\n")
        fork.told = bytearray(rest)
        del fork.questions[: len(whole.splitlines())]
        line = bytes(whole + end)
        while line:
            line = line[os.write(self.answers, line) :]

    def _end(self, stream: int) -> None:
        if stream == self.questions:
            self.asked = False
            return
        os.close(stream)
        fork = self.running.pop(stream)
        _, how = os.waitpid(fork.pid, 0)
        if how and fork.questions:
            broken = json.dumps({"id": fork.questions[0]["id"], "broken": "it ended in the middle"})
            self._told(fork, f"{broken}\n".encode())
        self.waiting = [*fork.questions, *self.waiting]


def _folder(question: Mapping[str, Any]) -> tuple[str, str]:
    return question["client"], os.path.dirname(question["path"])


def load() -> None:
    """Import what every check needs, and have Ansible look up what every check would look up."""
    import ansible.cli.inventory
    import ansible.cli.playbook
    import ansible.executor.task_queue_manager
    import ansible.playbook.handler_task_include
    from ansible.cli.arguments import option_helpers
    from ansible.parsing import mod_args
    from ansible.parsing.dataloader import DataLoader
    from ansible.plugins import loader
    from ansible.template import Templar, trust_as_template

    loader.init_plugin_loader()
    ansible.cli.init_plugin_loader = lambda *_: None  # it has been done, with the same configuration
    for plugins in (loader.connection_loader, loader.shell_loader, loader.become_loader):
        list(plugins.all(class_only=True))
    with contextlib.suppress(Exception):  # it is only done earlier
        Templar(loader=DataLoader()).template(trust_as_template("{{ 1 }}"))
        option_helpers.version("ansible-playbook")
        for name in OFTEN:
            mod_args._get_action_context(f"ansible.builtin.{name}", None)
    watching.remember()
    gc.collect()
    gc.freeze()


def main() -> None:
    """Import while the questions are being made; then answer them."""
    questions, answers = os.dup(0), os.dup(1)
    quiet = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(quiet, stream)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # by Python's way out: Ansible then removes its directory
    sys.argv = ["ansible-playbook"]
    load()
    Answering(questions, answers).run()


if __name__ == "__main__":
    main()
