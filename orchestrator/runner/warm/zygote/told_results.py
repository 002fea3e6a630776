# SPDX-License-Identifier: GPL-3.0-or-later
"""Strikes secrets of the inventory out of failed results, and of tasks' names, before ansible-runner is told of them.

The one rule it keeps: what was encrypted, or has a secret's name, goes no further than Ansible, whatever printed it.
The playbook itself, its registered results and the author's own callbacks have everything as it is.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from typing import Any

TOLD = ("runner_on_failed", "runner_on_unreachable", "runner_item_on_failed")
LEAST = 4  # characters: any word could hold a shorter one
_WHERE = re.compile(r"(?i)_(?:file|files|path|paths|dir|url)$")  # says where a secret is, and is none


def install() -> None:
    """In every program that runs playbooks, once; a program that tells ansible-runner nothing is left alone.

    Not before its playbook is begun: ansible-runner's callback looks when it is loaded where its events go.
    """
    from ansible.plugins.loader import callback_loader

    told = callback_loader.get("awx_display", class_only=True)
    if told is None or getattr(told.capture_event_data, "strikes", False):
        return
    capture, set_task = told.capture_event_data, told.set_task
    context = set_task.__globals__["event_context"]
    of_plays: dict[str, tuple[str, ...]] = {}

    def capture_struck(self: Any, event: str, **data: Any) -> Any:
        if event in TOLD and isinstance(data.get("res"), Mapping):
            data["res"] = without(data["res"], secrets_of(data.get("task"), str(data.get("host"))))
        return capture(self, event, **data)

    def set_task_struck(self: Any, task: Any, local: bool = False) -> None:
        set_task(self, task, local)
        if "{{" in _written(task):
            found = context.get_local() if local else context.get_global()
            found["task"] = without(found["task"], _secrets_for(task, of_plays))

    capture_struck.strikes = True  # type: ignore[attr-defined]
    told.capture_event_data, told.set_task = capture_struck, set_task_struck


def _written(task: Any) -> str:
    """Its name as it stands in the file; by the time it is told it is filled in."""
    given = getattr(task, "_ds", "{{")  # not kept by this ansible-core: it may be made of anything
    if isinstance(given, Mapping):
        return str(given.get("name", ""))
    return str(given or "")  # one of Ansible's own stands in no file


def _secrets_for(task: Any, of_plays: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Those of every host of its play, found once, and its own on the first of them: a name is told before a host."""
    play = task.get_play()
    with contextlib.suppress(Exception):
        hosts = [x.name for x in task.get_variable_manager()._inventory.get_hosts(play.hosts)]
        if play._uuid not in of_plays:
            of_plays[play._uuid] = tuple({x for host in hosts for x in secrets_of(task, host)})
        found = {*of_plays[play._uuid], *(secrets_of(task, hosts[0]) if hosts else ())}
        return tuple(sorted(found, key=len, reverse=True))
    return ()


def secrets_of(task: Any, host: str) -> tuple[str, ...]:
    """The secrets among the variables that the task had on this host, the longest first."""
    from ansible.parsing.vault import EncryptedString

    from orchestrator.runner.reading import is_secrets

    found: set[str] = set()

    def walk(name: str, value: Any) -> None:
        if isinstance(value, Mapping):
            for key, inner in value.items():
                walk(str(key), inner)
        elif isinstance(value, list | tuple):
            for inner in value:
                walk(name, inner)
        elif isinstance(value, EncryptedString):
            with contextlib.suppress(Exception):  # it cannot be opened here: then nothing could print it
                found.add(str(value))
        elif isinstance(value, str) and is_secrets(name) and not _WHERE.search(name) and "{{" not in value:
            found.add(str(value))

    with contextlib.suppress(Exception):  # a result is told, whatever has become of its variables
        known = task.get_variable_manager()
        of = known._inventory.get_host(host)
        walk("", known.get_vars(play=task.get_play(), host=of, task=task, include_hostvars=False))
    return tuple(sorted((x for x in found if len(x) >= LEAST), key=len, reverse=True))


def without(value: Any, secrets: tuple[str, ...]) -> Any:
    """The same with `***` in place of each secret, at any depth."""
    if not secrets:
        return value
    if isinstance(value, Mapping):
        return {key: without(inner, secrets) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [without(inner, secrets) for inner in value]
    if isinstance(value, str):
        for secret in secrets:
            value = value.replace(secret, "***")
    return value
