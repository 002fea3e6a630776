"""Checks that nobody has to write: a login to each host that moves name."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from orchestrator.config import load
from orchestrator.config import logins as module
from orchestrator.core.model import Check
from orchestrator.shell.wiring import option_models, read_workspace

HARBOUR = Path(__file__).parents[1] / "workspaces" / "harbour"


def logins(workspace: Path) -> dict[str, Check]:
    """Those that the daemon would ask, by host."""
    return {x.host: x for x in read_workspace(workspace).model.checks.values() if x.probe == "login"}


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    return Path(shutil.copytree(HARBOUR, tmp_path / "harbour", ignore=shutil.ignore_patterns(".bascule")))


def test_every_target_of_a_move_is_logged_in_to(workspace: Path) -> None:
    """What a fence needs is proven by its own checks; patterns with variables are known when they are played."""
    found = logins(workspace)
    assert set(found) == {"quay-router", "depot-db", "office-server", "quay-db", "quay-gate", "depot-scratch"}
    router = found["quay-router"]
    assert (router.id, router.options) == (
        "seaport/login@quay-router",
        {"client": "seaport", "host": "quay-router", "become": True},
    )
    assert "seaport/quay" in router.domains


def test_a_plan_that_is_only_tried_has_none(workspace: Path) -> None:
    """`bascule validate` and `bascule simulate` read what was written."""
    checks = load(workspace, probe_kinds=option_models()).model.checks.values()
    assert not [x for x in checks if x.probe == "login"]


def test_the_controller_needs_no_login(workspace: Path) -> None:
    assert "controller" not in logins(workspace)


@pytest.mark.parametrize("said", ["daemon: {logins: false}", "daemon: {playbooks: cold}"])
def test_it_can_be_switched_off_and_needs_who_asks(workspace: Path, said: str) -> None:
    (workspace / "bascule.yml").write_text(said + "\n")
    assert not logins(workspace)


def test_an_authors_own_check_comes_first(workspace: Path) -> None:
    own = "- {name: key, hosts: quay-router, probe: login, every: 5s}\n"
    (workspace / "checks" / "keys.yml").write_text(own)
    found = logins(workspace)
    assert found["quay-router"].id == "seaport/key@quay-router"
    assert found["quay-db"].name == "login"


def test_many_targets_are_asked_seldom(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So many a second, of all clients together."""
    monkeypatch.setattr(module, "LOGINS_A_SECOND", 0.05)
    assert {(x.every_s, x.fast_s) for x in logins(workspace).values()} == {(120.0, 120.0)}


@pytest.mark.parametrize(
    "said",
    [
        "connection: local",
        "connection: ansible.netcommon.network_cli",
        "connection: '{{ way }}'",
        "remote_user: operator",
        "vars: {ansible_host: 10.9.9.9}",
    ],
)
def test_a_play_that_says_itself_how_it_logs_in_is_left_out(workspace: Path, said: str) -> None:
    """A login as the inventory alone has it would fail, again and again, where nothing is wrong."""
    play = workspace / "playbooks" / "gate" / "restart.yml"
    play.write_text(play.read_text().replace("  become: true\n", f"  {said}\n"))
    assert "quay-gate" not in logins(workspace)


@pytest.mark.parametrize(
    ("limit", "reached"),
    [("'quay-gate,!quay-db'", True), ("quay-db", False), ("'!quay-gate'", False), ("'{{ whom }}'", False)],
)
def test_nobody_logs_in_to_what_the_moves_limit_leaves_out(workspace: Path, limit: str, reached: bool) -> None:
    """Two clients may share an inventory: what the limit leaves out is the other one's."""
    services = workspace / "inventories" / "seaport" / "services.yml"
    named = "    playbook: gate/restart.yml\n"
    services.write_text(services.read_text().replace(named, f"{named}    limit: {limit}\n"))
    assert ("quay-gate" in logins(workspace)) is reached


def test_variables_beside_a_playbook_may_say_how(workspace: Path) -> None:
    """They are the playbook's alone."""
    (workspace / "playbooks" / "gate" / "host_vars").mkdir()
    assert "quay-gate" not in logins(workspace)


def test_ssh_by_its_full_name_is_ssh(workspace: Path) -> None:
    hosts = workspace / "inventories" / "seaport" / "hosts.yml"
    hosts.write_text(hosts.read_text().replace("10.1.0.30}", "10.1.0.30, ansible_connection: ansible.builtin.ssh}"))
    assert "quay-gate" in logins(workspace)


@pytest.mark.parametrize(
    ("said", "asked"),
    [
        ("become: true", True),
        ("become: true\n  become_user: root", True),
        ("become: true\n  become_user: postgres", False),
        ("become_user: postgres", False),
        ("become: false", False),
    ],
)
def test_only_who_becomes_root_is_asked_of_root(workspace: Path, said: str, asked: bool) -> None:
    """An account that may only become somebody else is no failed login."""
    play = workspace / "playbooks" / "gate" / "restart.yml"
    play.write_text(play.read_text().replace("  become: true\n", f"  {said}\n"))
    assert logins(workspace)["quay-gate"].options["become"] is asked


def test_what_becomes_root_elsewhere_asks_nothing_here(workspace: Path) -> None:
    """Neither another play of the playbook, nor a task that is delegated."""
    play = workspace / "playbooks" / "gate" / "restart.yml"
    other = "- name: Elsewhere\n  hosts: office-server\n  become: true\n  tasks: []\n"
    task = "    - {name: There, command: id, become: true, delegate_to: office-server}\n"
    play.write_text(play.read_text().replace("  become: true\n", "") + task + other)
    found = logins(workspace)
    assert (found["quay-gate"].options["become"], found["office-server"].options["become"]) == (False, True)
