# SPDX-License-Identifier: GPL-3.0-or-later
"""Has Ansible's ssh find a shared connection by everything that decides where it leads, and by the client.

The one rule it keeps: it changes the name of a connection and how long it may be silent, and nothing of how it is made.
Names are worked out in `orchestrator.runner.connections`, from the arguments that Ansible has put together and their
surroundings.
"""

from __future__ import annotations

import os
from typing import Any

from orchestrator.core.client_keys import kept_for
from orchestrator.runner import connections, first_reach, ssh_jumps, steering
from orchestrator.runner.warm.zygote import guarded_places


def install() -> None:
    """In every program that runs playbooks, once. Raises where this ansible-core's ssh is not as expected."""
    import ansible.executor.task_executor as task_executor
    from ansible.plugins.loader import connection_loader

    ssh = connection_loader.get("ssh", class_only=True)
    if getattr(ssh._build_command, "keeps_apart", False):
        return
    build, create = ssh._build_command, ssh._create_control_path

    def build_apart(self: Any, binary: Any, subsystem: str, *other_args: Any) -> list[bytes]:
        command = build(self, binary, subsystem, *other_args)
        end = len(command) - len(other_args)
        start = command.index(os.fsencode(binary)) + 1
        host, program = str(self.host or ""), os.fsdecode(binary)
        words = [os.fsdecode(word) for word in command[start:end]]
        made = apart(words, subsystem, host, program, _ansibles_own(self, create))
        return [*command[:start], *(os.fsencode(word) for word in made), *command[end:]]

    build_apart.keeps_apart = True  # type: ignore[attr-defined]
    ssh._build_command = build_apart

    start_connection = task_executor.start_connection

    def start_apart(play_context: Any, options: Any, task_uuid: Any) -> Any:
        """To a device without a shell: Ansible finds it by address, port, user and process."""
        before = os.environ.get(connections.PERSISTENT)
        if before is not None:
            whose = kept_for(str(sorted((str(k), str(v)) for k, v in dict(options).items())))
            os.environ[connections.PERSISTENT] = os.path.join(before, whose[:8])
        try:
            return start_connection(play_context, options, task_uuid)
        finally:
            if before is not None:
                os.environ[connections.PERSISTENT] = before

    task_executor.start_connection = start_apart
    guarded_places.install()


def apart(words: list[str], subsystem: str, host: str, program: str, ansibles_own: str) -> list[str]:
    """The same arguments, with a path of their own for what is shared, and an end to silence."""
    found = connections.read(words, is_ssh=subsystem == "ssh")
    leads_by = program if subsystem == "ssh" else "ssh"  # which is what sftp and scp connect with
    whom = os.environ.get(connections.KEPT_FOR, "")
    around = steering.decides(found, leads_by, os.environ)
    name = connections.name_of(found, host, leads_by, whom, around)
    path = connections.path_for(found, name, ansibles_own=ansibles_own, host=host)
    shared = ["-o", f'ControlPath="{path}"'] if path is not None else []
    ssh = first_reach.stands_for(program) if subsystem == "ssh" else "ssh"
    ssh_jumps.leave_unshared(found, ssh, host)
    return [*shared, *connections.aliveness(found, ssh if subsystem == "ssh" else program), *found.kept]


def _ansibles_own(connection: Any, create: Any) -> str:
    """The path that Ansible chooses where the author names none; empty where he does."""
    if connection.get_option("control_path"):
        return ""
    directory = connection.control_path_dir  # set where it has been chosen
    if not directory:
        return ""
    from ansible.utils.path import unfrackpath

    return str(create(connection.host, connection.port, connection.user) % {"directory": unfrackpath(directory)})
