"""A second workspace, different from the repository's own: three sites, five services, no cloud; it stays valid."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.config import Loaded, load
from orchestrator.core.model import FenceBy, Mode
from orchestrator.shell.wiring import option_models

HARBOUR = Path(__file__).parents[1] / "workspaces" / "harbour"
PLAYBOOKS = sorted((HARBOUR / "playbooks").rglob("*.yml"))


@pytest.fixture(scope="module")
def loaded() -> Loaded:
    return load(HARBOUR, probe_kinds=option_models(), cache=False)


def test_it_is_valid_and_nothing_is_doubtful(loaded: Loaded) -> None:
    assert [str(w) for w in loaded.warnings] == [
        "inventories/seaport/services.yml:25:3: move second-carrier acts in quay, and is tried too when terminal-operations is in depot, office; expected 'from: [quay]'",  # noqa: E501
        "inventories/seaport/services.yml:89:3: move restart-gate acts in quay, and is tried too when gate-kiosks is in depot; expected 'from: [quay]'",  # noqa: E501
    ]


def test_its_services_share_moves_and_ways(loaded: Loaded) -> None:
    ladders = {s.name: [t.move for t in s.ladder] for s in loaded.model.services.values()}
    assert len(ladders) == 5
    assert [name for name, moves in ladders.items() if "seaport/site-to-depot" in moves] == [
        "yard-database",
        "terminal-operations",
    ]
    on_depot = [m.name for m in loaded.model.moves.values() if "seaport/depot-site" in m.holds]
    assert on_depot == ["site-to-depot", "gate-to-depot"]


def test_it_has_one_of_each_kind(loaded: Loaded) -> None:
    """What simulations of it are to meet: fences, modes, probes, brakes and ways back of every kind."""
    model = loaded.model
    assert {p.fence.automatic for p in model.places.values() if p.fence} == set(FenceBy)
    assert {s.mode for s in model.services.values()} == set(Mode)
    assert {s.exclusive for s in model.services.values()} == {True, False}
    assert {c.probe for c in model.checks.values()} == {"icmp", "tcp", "http", "ssh", "postgres", "dns", "nagios"}
    assert [s.name for s in model.services.values() if s.automatic_failback] == ["quay-network"]
    assert any(t.accept_loss_s for s in model.services.values() for t in s.ladder)
    assert any(c.loss for c in model.checks.values())
    assert len([c for c in model.checks.values() if c.reference]) == 2
    once = [m.name for m in model.moves.values() if m.to is None and not m.safe_to_repeat]
    assert "restart-gate" in once


def test_its_playbooks_are_ansible() -> None:
    program = Path(sys.executable).with_name("ansible-playbook")
    argv = [str(program), "--syntax-check", "-i", "inventories/seaport/hosts.yml", *map(str, PLAYBOOKS)]
    done = subprocess.run(
        argv, cwd=HARBOUR, capture_output=True, text=True, check=False, env=os.environ | {"ANSIBLE_NOCOLOR": "1"}
    )
    assert done.returncode == 0, done.stdout + done.stderr
