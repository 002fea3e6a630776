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
    assert set(found) == {"quay-router", "depot-db", "office-server", "quay-db", "quay-gate"}
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
    assert {x.every_s for x in logins(workspace).values()} == {100.0}
