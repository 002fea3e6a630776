"""Workspaces of other people's layout are valid in place, and Ansible itself takes what is found in them."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from orchestrator.config import Loaded, load
from orchestrator.config.ansible_programs import environment_to_ask, program
from orchestrator.config.faults import Faults, Position
from orchestrator.config.playbooks import Reader
from orchestrator.shell.wiring import option_models

PLACE = Path(__file__).parents[1] / "workspaces"
LAYOUTS = {
    "balanced": "site.yml",
    "house": "run.yaml",
    "cluster": "cluster.yml",
    "estate": "ansible/playbooks/service/mail.yml",
    "collected": "site.yml",
    "staged": "deploy/failover.yml",
    "assembled": "plays/network/swap.yaml",
}
HOSTS = {"cluster": 2, "staged": 2, "assembled": 3}
COVERED = {
    "balanced": {"site.yml", "roles/balancer/meta/main.yml", "roles/pages/tasks/main.yml"},
    "house": {"run.yaml", "roles/lamp/tasks/main.yaml", "group_vars/all.yaml"},
    "cluster": {"playbooks/inner/nodes.yml", "roles/kubelet/tasks/main.yml"},
    "estate": {"ansible/roles/mail/tasks/main.yml", "ansible/roles/users/tasks/main.yml"},
    "collected": {"site.yml", "collections/ansible_collections/acme/routes/roles/route/tasks/main.yml"},
    "staged": {"deploy/roles/edge/tasks/main.yml", "deploy/tasks/failover/backup.yml", "deploy/env/prod/vars.yml"},
    "assembled": {"galaxy_roles/acme.base/tasks/main.yml", "modules/wan_line.py", "plays/after.yaml"},
}


def loaded(workspace: Path) -> Loaded:
    return load(workspace, probe_kinds=option_models(), cache=False, starts=True)


@pytest.mark.parametrize("name", LAYOUTS)
def test_it_is_valid_in_place(name: str) -> None:
    """What a playbook consists of is found, wherever it is."""
    found = loaded(PLACE / name)
    assert found.hosts["shop"] == HOSTS.get(name, 1)
    covered = {part for m in found.manifests.values() for part in (*m.parts, *m.around)}
    assert COVERED[name] <= covered


@pytest.mark.parametrize("name", LAYOUTS)
def test_ansible_takes_it(name: str) -> None:
    """Started as we start it."""
    workspace = PLACE / name
    start, given = environment_to_ask(workspace, os.environ)
    sources = [part for source in loaded(workspace).inventories["shop"] for part in ("-i", str(source))]
    command = program("ansible-playbook")
    assert command is not None
    done = subprocess.run(
        [command, "--syntax-check", *sources, str(workspace / LAYOUTS[name])],
        cwd=start,
        env=given,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_both_endings_at_once_are_a_fault(tmp_path: Path) -> None:
    """Nobody could say which of them holds."""
    shutil.copytree(PLACE / "house", tmp_path / "house")
    (tmp_path / "house" / "bascule.yml").write_text("daemon: {playbooks: cold}\n")
    with pytest.raises(Exception, match=r"bascule\.yml is there, too"):
        loaded(tmp_path / "house")


def test_a_playbook_that_is_encrypted_as_a_whole_is_one(tmp_path: Path) -> None:
    """Ansible alone reads it; that it is empty is not said."""
    (tmp_path / "site.yml").write_text("$ANSIBLE_VAULT;1.1;AES256\n3132\n")
    reader = Reader(tmp_path, faults := Faults())
    assert reader.check("site.yml", Position("services.yml"))
    assert not faults.found
