# SPDX-License-Identifier: GPL-3.0-or-later
"""Follows what is included when a playbook runs, as far as its name is known now.

The one rule it keeps: a file is read as Ansible reads it when it comes to it. What may never be included is no fault.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from orchestrator.syntax.found import Look, is_template, origin


def follow(look: Look, loader: Any, variables: Any) -> None:
    """What is included when it runs, by a name that is known now."""
    from ansible.errors import AnsibleError
    from ansible.playbook.role_include import IncludeRole

    seen: set[Any] = set()
    while look.included:
        task, soft = look.included.pop(0)
        if task.statically_loaded:
            continue
        look.soft = soft or bool(task.when)
        is_role = isinstance(task, IncludeRole)
        name = task._role_name if is_role else task.args.get("_raw_params")
        if not isinstance(name, str):
            continue
        where = name if origin(name) else task.get_ds()
        if is_template(name) or any(map(is_template, task._from_files.values() if is_role else ())):
            look.soft = False
            what = "role" if is_role else "tasks"
            look.fault(f"which {what} {name!s} includes, only Ansible can know when it runs", where, soft=True)
            continue
        key = (is_role, str(name), str(task._role), tuple(sorted(task._from_files.items())) if is_role else "",
               (origin(where) or [""])[0], look.soft)  # fmt: skip
        if key in seen:
            continue
        seen.add(key)
        try:
            (include_role if is_role else include_tasks)(look, task, loader, variables)
        except AnsibleError as error:
            look.error(error)
    look.soft = False


def play_of(task: Any) -> Any:
    """The play that a task is in."""
    parent = task._parent
    while parent is not None and getattr(parent, "_play", None) is None:
        parent = parent._parent
    return parent._play if parent is not None else None


def include_role(look: Look, task: Any, loader: Any, variables: Any) -> None:
    """Read the role as Ansible does when it comes to it."""
    task.get_block_list(play=play_of(task), variable_manager=variables, loader=loader)


def include_tasks(look: Look, task: Any, loader: Any, variables: Any) -> None:
    """Read the file as Ansible does when it comes to it; where it looks is from `IncludedFile`."""
    from ansible.playbook.handler import Handler
    from ansible.playbook.helpers import load_list_of_blocks

    name = str(task.args["_raw_params"])
    path = next((p for p in places_of(task, name, loader) if os.path.isfile(p)), None)
    if path is None:
        where = task.args["_raw_params"]
        look.fault(f"there are no tasks {name!r} now, which are included when it runs",
                   where if origin(where) else task.get_ds(), soft=True, lacks=True)  # fmt: skip
        return
    data = loader.load_from_file(path, trusted_as_template=True)
    if data is None:
        return
    if not isinstance(data, list):
        look.fault("included task files must contain a list of tasks", data)
        return
    load_list_of_blocks(
        data, play=play_of(task), parent_block=None, task_include=task, role=task._role,
        use_handlers=isinstance(task, Handler), variable_manager=variables, loader=loader,
    )  # fmt: skip


def places_of(task: Any, name: str, loader: Any) -> Iterator[str]:
    """Where included tasks may be."""
    subdir = "handlers" if type(task).__name__.startswith("Handler") else "tasks"
    written = origin(task.args.get("_raw_params")) or origin(task.get_ds())
    if written:
        yield os.path.join(os.path.dirname(written[0]), name)
    if task._role is not None:
        yield loader.path_dwim_relative(task._role._role_path, subdir, name)
    yield loader.path_dwim(name)
