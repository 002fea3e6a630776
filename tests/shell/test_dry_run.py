"""What a dry run lists: the hosts of its own client, by the settings that the playbook would be run with."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.core.model import Playbook
from orchestrator.shell.dry_run import listed
from tests.runner.test_clients_apart import KEEPING
from tests.shell.small import write

TOLD = """
        open({told!r}, "a").write(open("/proc/self/cmdline").read())
        inventory.add_host(f"app-of-{{owner}}")
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """Two clients whose inventories come from a plug-in that keeps what it was told under one name."""
    place = tmp_path.resolve()
    write(place / "playbooks/wan/go.yml", "- hosts: all\n  gather_facts: false\n  tasks: [{name: go, ping: }]\n")
    write(place / "playbooks/plugins/keeping.py", KEEPING + TOLD.format(told=str(place / "told")))
    write(
        place / "playbooks/ansible.cfg",
        "[defaults]\ninventory_plugins = plugins\n[inventory]\nenable_plugins = keeping\ncache = true\n"
        f"cache_plugin = jsonfile\ncache_connection = {place}/kept\n",
    )
    for client in ("east", "west"):
        write(place / f"inventories/{client}/hosts.keeping.yml", f"plugin: keeping\nowner: {client}\n")
    return place


def test_it_lists_the_hosts_of_its_own_client_and_shows_no_variable_to_the_machine(workspace: Path) -> None:
    book = Playbook("wan/go.yml", "", {"token": "hush"})
    for client in ("east", "west", "east"):
        source = workspace / f"inventories/{client}/hosts.keeping.yml"
        hosts, tasks = listed(workspace, client, book, [source], {})
        assert (set(hosts), tasks) == ({"app", f"app-of-{client}"}, ("go",))
    assert "hush" not in (workspace / "told").read_text()
