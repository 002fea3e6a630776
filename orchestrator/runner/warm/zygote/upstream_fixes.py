# SPDX-License-Identifier: GPL-3.0-or-later
"""Corrects one line of ansible-core and one of Mitogen, in what hosts are given of them; and how a worker is ended.

`AnsibleModule.run_command` looks twice whether its program has ended, once its pipes are closed. If a program ends
between the two looks, it is neither running nor ended. Ansible then waits its whole second for pipes that do not exist.
This was seen in 1 to 4 of 100 playbooks with two commands, target and controller on the same processors. One look is
enough: to wait for a program that has ended takes no time.

If a module breaks, Ansible's wrapper around it reports a result with the error in it. Mitogen has no wrapper, and
leaves a stack trace. It is given Ansible's own words instead.

An interrupted playbook has its workers ended: by SIGINT, then at once by SIGTERM, twice. A worker hands the signal on
to what it has started, but only after it has given up its own handler. So the next signal of that kind ends it before
it has told anybody, and its module goes on. This was seen in 1 to 3 of 100 interrupted playbooks.

The one rule it keeps: nothing is changed except these lines of these files, and that handler. An author's `basic` is
left as it is.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from typing import Any, NoReturn

BASIC = "ansible.module_utils.basic"
LOOKS_TWICE = b"elif not selector.get_map() and cmd.poll() is None:"
LOOKS_ONCE = b"elif not selector.get_map():"

RUNNER = "ansible_mitogen.runner"
LEAVES_A_TRACE = b"""
                # This writes to stderr by default.
                traceback.print_exc()
                rc = 1
"""
TELLS_AS_ANSIBLE = b"""
                exc = sys.exc_info()[1]
                rc = 1
                try:
                    from ansible.module_utils._internal._ansiballz._loader import _handle_exception
                    _handle_exception(exc, 'legacy')
                except SystemExit:
                    pass
"""

LINES = {BASIC: (LOOKS_TWICE, LOOKS_ONCE), RUNNER: (LEAVES_A_TRACE, TELLS_AS_ANSIBLE)}


@cache
def path(module: str = BASIC) -> str:
    """Of the file of one of `LINES`, as it is installed; empty where it is not."""
    try:
        spec = find_spec(module)
    except ImportError:
        return ""
    return spec.origin or "" if spec is not None else ""


def mended(file: str, source: bytes) -> bytes:
    """The source of a file as hosts are given it."""
    for module, (before, after) in LINES.items():
        if file == path(module):
            return source.replace(before, after)
    return source


def end_workers_whole() -> None:
    """Once, in the zygote: a worker that is ended tells all that it has started, however often it is told so."""
    from ansible.executor.process.worker import WorkerProcess

    if hasattr(WorkerProcess, "_term"):  # else it has no group of its own
        WorkerProcess._term = end_whole


def end_whole(_worker: Any, number: int, _frame: Any) -> NoReturn:
    """In the place of a worker's own handler."""
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)
    with suppress(ProcessLookupError):
        os.killpg(os.getpid(), number)
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)  # as a worker's own does: who asks sees by what it ended
    os._exit(1)
