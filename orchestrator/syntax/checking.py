# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible's own syntax check of one playbook, with the hosts and groups that it will have.

The one rule it keeps: it is `ansible-playbook --syntax-check`, with Ansible's own code for it. In addition it goes on
after a fault, follows what is included by a plain name, and tells which hosts the plays name.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from orchestrator.syntax import following, watching
from orchestrator.syntax.found import Look

BOOK_S = 60  # for one playbook


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


def check(books: Sequence[Mapping[str, Any]], inventory: Any, tell: Callable[[Mapping[str, Any], Any], None]) -> None:
    """Playbooks of one folder, one after the other, in a process of their own.

    It ends early where one of them has brought plug-ins: what is not told of is to be asked elsewhere.
    """
    watching.read_alone()
    checking = Checking(inventory, books[0]["path"])
    for book in books:
        signal.alarm(BOOK_S)
        try:
            told = checking.of(book)
        except (Exception, SystemExit) as error:
            told = {"broken": f"{type(error).__name__}: {error}"[:600]}
        tell(book, told)
        if watching.plug_ins(os.path.dirname(book["path"])):
            return


class Checking:
    """`ansible-playbook --syntax-check`, of which options and vault secrets are read once."""

    def __init__(self, inventory: Any, first: str) -> None:
        from ansible.cli.playbook import PlaybookCLI

        self.inventory = inventory
        self.cli = PlaybookCLI(["ansible-playbook", "--syntax-check", "--", first])
        self.cli._play_prereqs = self._prerequisites
        self.has_secrets = False
        self.extra_vars: Mapping[str, Any] = {}
        self.variables: Any = None

    def of(self, book: Mapping[str, Any]) -> dict[str, Any]:
        """What is found in one playbook."""
        from ansible import context
        from ansible.errors import AnsibleError
        from ansible.utils.context_objects import CLIArgs

        look, self.extra_vars = Look(book["empty"]), book["vars"]
        if context.CLIARGS.get("args"):  # it is not the first
            context.CLIARGS = CLIArgs({**context.CLIARGS, "args": (book["path"],)})
            self.cli.parse = lambda: None
        with watching.watch(look):
            try:
                self.cli.run()
                following.follow(look, self.inventory._loader, self.variables)
            except AnsibleError as error:
                look.error(error)
        return look.answer()

    def _prerequisites(self) -> Any:
        from ansible import constants, context
        from ansible.vars.manager import VariableManager

        loader = self.inventory._loader
        if not self.has_secrets:
            secrets = self.cli.setup_vault_secrets(
                loader,
                vault_ids=list(constants.DEFAULT_VAULT_IDENTITY_LIST),
                vault_password_files=list(context.CLIARGS["vault_password_files"]),
                ask_vault_pass=False,
                auto_prompt=False,
            )
            loader.set_vault_secrets(secrets)
            self.has_secrets = True
        self.variables = VariableManager(
            loader=loader, inventory=self.inventory, version_info=self.cli.version_info(False)
        )
        self.variables._extra_vars = trusted(self.extra_vars)
        return loader, self.inventory, self.variables
