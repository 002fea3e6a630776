# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible's own syntax check of many playbooks: ansible-core is imported once, and each playbook is checked in a fork.

    python -m orchestrator.syntax < questions.json > answers.json

    questions  {"parallel": N, "inventories": {CLIENT: {GROUP: [HOST, …]}}, "empty": DIRECTORY,
                "books": [{"client": …, "path": …, "vars": {…}}, …]}
    answers    [{"faults": [{"message", "at", "soft", "lacks", "near", "wanted"}], "plays": [{"hosts", "at"}],
                 "added": [PATTERN], "late": WHY}, …]

The one rule it keeps: it is `ansible-playbook --syntax-check`, with Ansible's own code for it. What it adds: it goes on
after a fault, follows what is included by a plain name, and tells which hosts the plays name. Nothing is run. Each
playbook has a process of its own, since a role's modules and plug-ins would else be there for the next one.

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
from collections.abc import Mapping
from typing import Any

from orchestrator.syntax import following, watching
from orchestrator.syntax.found import Look

BOOK_S = 60  # for one playbook
OFTEN = ("assert", "command", "copy", "debug", "fail", "file", "lineinfile", "meta", "package", "service", "set_fact",
         "shell", "stat", "systemd_service", "template", "uri", "wait_for")  # fmt: skip


def trusted(value: Any) -> Any:
    """An author's value, in which templates are read, as of a file given with `-e`."""
    from ansible.template import trust_as_template

    if isinstance(value, dict):
        return {key: trusted(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [trusted(inner) for inner in value]
    return trust_as_template(value) if isinstance(value, str) else value


def inventory_of(groups: Mapping[str, list[str]]) -> Any:
    """With hosts and groups that were read already: an inventory is not asked twice."""
    from ansible.inventory.manager import InventoryManager
    from ansible.parsing.dataloader import DataLoader

    inventory = InventoryManager(loader=DataLoader(), sources=None, parse=False)
    for group, hosts in groups.items():
        inventory.add_group(group)
        for host in hosts:
            inventory.add_host(host, group)
    inventory._inventory.reconcile_inventory()
    return inventory


def check(book: Mapping[str, Any], inventory: Any, empty: str) -> dict[str, Any]:
    """One playbook, in a process of its own."""
    from ansible import constants, context
    from ansible.cli.playbook import PlaybookCLI
    from ansible.errors import AnsibleError
    from ansible.vars.manager import VariableManager

    look = Look(empty)
    loader = inventory._loader
    cli = PlaybookCLI(["ansible-playbook", "--syntax-check", "--", book["path"]])
    kept: list[Any] = []

    def prerequisites() -> Any:
        secrets = cli.setup_vault_secrets(
            loader,
            vault_ids=list(constants.DEFAULT_VAULT_IDENTITY_LIST),
            vault_password_files=list(context.CLIARGS["vault_password_files"]),
            ask_vault_pass=False,
            auto_prompt=False,
        )
        loader.set_vault_secrets(secrets)
        variables = VariableManager(loader=loader, inventory=inventory, version_info=cli.version_info(False))
        variables._extra_vars = trusted(book["vars"])
        kept.append(variables)
        return loader, inventory, variables

    cli._play_prereqs = prerequisites
    watching.watch(look)
    try:
        cli.run()
        following.follow(look, loader, *kept)
    except AnsibleError as error:
        look.error(error)
    return look.answer()


def in_a_fork(book: Mapping[str, Any], inventory: Any, empty: str) -> tuple[int, int]:
    """Its process, and where its answer comes from."""
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            signal.alarm(BOOK_S)
            os.close(ours)
            try:
                answer = check(book, inventory, empty)
            except (Exception, SystemExit) as error:
                answer = {"broken": f"{type(error).__name__}: {error}"[:600]}
            with open(theirs, "wb") as stream:
                stream.write(json.dumps(answer, default=str).encode())
        finally:
            os._exit(0)
    os.close(theirs)
    return pid, ours


def all_of(asked: Mapping[str, Any]) -> list[Any]:
    """Every answer, in the order of the questions; so many at a time."""
    books, answers = list(asked["books"]), [{"broken": "it ended in the middle"}] * len(asked["books"])
    inventories = {client: inventory_of(groups) for client, groups in asked["inventories"].items()}
    gc.freeze()
    waiting = list(range(len(books)))
    running: dict[int, tuple[int, int, bytearray]] = {}
    with selectors.DefaultSelector() as selector:
        while waiting or running:
            while waiting and len(running) < asked["parallel"]:
                index = waiting.pop(0)
                pid, stream = in_a_fork(books[index], inventories[books[index]["client"]], asked["empty"])
                running[stream] = (index, pid, bytearray())
                selector.register(stream, selectors.EVENT_READ)
            for key, _ in selector.select():
                index, pid, told = running[key.fd]
                if data := os.read(key.fd, 65536):
                    told += data
                    continue
                selector.unregister(key.fd)
                os.close(key.fd)
                del running[key.fd]
                os.waitpid(pid, 0)
                if told:
                    answers[index] = json.loads(told)
    return answers


def load() -> None:
    """Import what every check needs, and have Ansible look up what every check would look up."""
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


def main() -> None:
    """Import while the questions are being made; then answer them."""
    told = os.dup(1)
    quiet = os.open(os.devnull, os.O_RDWR)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    sys.argv = ["ansible-playbook"]
    load()
    questions = sys.stdin.buffer.read()
    os.dup2(quiet, 0)
    if questions:
        answers = json.dumps(all_of(json.loads(questions)))
        with open(told, "w", encoding="utf-8") as stream:
            stream.write(answers)


if __name__ == "__main__":
    main()
