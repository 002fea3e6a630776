# SPDX-License-Identifier: GPL-3.0-or-later
"""Where tasks go, compared with where the epoch guard has asked.

The one rule it keeps: a host's name does not say where it leads. Variables of a play, a role or a task, a fact, or a
file of variables may have it lead elsewhere than when the guard was there. So the place of each task is compared with
the guard's. A task that goes elsewhere is recorded before it begins.

    ASKED, a directory:
        PLACE         empty: the guard has asked there
        PLACE.met     JSON: in which host's name, and where: a task went there, and the guard has not asked
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from typing import Any

from orchestrator.runner import guard

# Of two names Ansible takes the first of these, whichever was said later.
_DECIDE = (
    ("ansible_ssh_host", "ansible_host"),
    ("ansible_ssh_port", "ansible_port"),
    ("ansible_ssh_executable",),
    ("ansible_ssh_common_args",),
    ("ansible_ssh_args",),
    ("ansible_ssh_extra_args",),
    ("ansible_paramiko_host",),
    ("ansible_paramiko_port",),
    ("ansible_paramiko_proxy_command",),
)


def install() -> None:
    """In every program that runs playbooks, once."""
    from ansible.executor.task_executor import TaskExecutor

    get = TaskExecutor._get_connection

    def get_connection(self: Any, cvars: Any, templar: Any, current_connection: Any) -> Any:
        if directory := os.environ.get(guard.ASKED):
            note(directory, self, cvars, templar, str(current_connection))
        return get(self, cvars, templar, current_connection)

    TaskExecutor._get_connection = get_connection


def note(directory: str, executor: Any, variables: Any, templar: Any, connection: str) -> None:
    """Put a task's place on record. Raises OSError: what could not be recorded does not run."""
    task, host = executor._task, executor._host.name
    if task.delegate_to or connection in guard.HERE or guard.asks_again(variables):
        return  # on record by its own name, under the controller's own number, or asked by ssh itself
    said = [_first(variables, names, templar) for names in _DECIDE]
    address, port = said[0] or host, said[1] or str(executor._play_context.port or "")
    kind = "" if connection in guard.SHELLS else connection
    text = "\0".join([address, port, *said[2:], kind])
    place = os.path.join(directory, hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:24])
    if os.path.exists(place):
        return
    if getattr(getattr(task._parent, "_play", None), "name", None) == guard.PLAY:
        _write(place, "")
    else:
        by = kind or said[2]
        where = address + (f" port {port}" if port else "") + (f" by {by}" if by else "")
        _write(f"{place}.met", json.dumps({"host": host, "where": where}))


def _first(variables: Any, names: tuple[str, ...], templar: Any) -> str:
    for name in names:
        if (value := variables.get(name)) is not None:
            with contextlib.suppress(Exception):  # Ansible says what is wrong with it
                value = templar.template(value)
            return str(value)
    return ""


def _write(path: str, text: str) -> None:
    with contextlib.suppress(FileExistsError), open(path, "x", encoding="utf-8") as file:
        file.write(text)
