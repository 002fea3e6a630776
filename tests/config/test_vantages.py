"""From where things are seen: an author is told what nobody asks, and which quorum nobody reaches."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import ClassVar

import pytest
from pydantic import BaseModel

from orchestrator.config import load
from tests.config.probe_kinds import PROBE_KINDS, Ssh

BASE = Path(__file__).parent.parent / "bad_configs" / "base"


class SshFromHost(Ssh):
    """As the real one says of itself."""

    FROM_HOST: ClassVar[bool] = True


@pytest.mark.parametrize(("kind", "lost"), [(Ssh, True), (SshFromHost, False)])
def test_a_check_of_another_vantage_that_nobody_asks_is_a_warning(
    tmp_path: Path, kind: type[BaseModel], lost: bool
) -> None:
    workspace = Path(shutil.copytree(BASE, tmp_path / "workspace"))
    warnings = [str(w) for w in load(workspace, probe_kinds={**PROBE_KINDS, "ssh": kind}).warnings]
    told = [w for w in warnings if "is asked by nobody" in w]
    assert bool(told) is lost
    if lost:
        assert "erp-from-branch of acme is asked by nobody: vantage 'acme/branch' is not the daemon's own" in told[0]
        assert "'probe: ssh', which asks from the host it logs in to" in told[0]


def test_limits_of_doubt_are_read(tmp_path: Path) -> None:
    workspace = Path(shutil.copytree(BASE, tmp_path / "workspace"))
    (workspace / "bascule.yml").write_text("limits: {quorum: 2, doubt: 90s, preflight_fresh: 45s}\n")
    limits = load(workspace, probe_kinds=PROBE_KINDS).model.limits
    assert (limits.quorum, limits.doubt_s, limits.preflight_fresh_s) == (2, 90.0, 45.0)


def test_one_name_is_another_vantage_with_each_client(tmp_path: Path) -> None:
    """What a branch of one client sees must not vouch for a branch of another, which may be cut off alone."""
    workspace = Path(shutil.copytree(BASE, tmp_path / "workspace"))
    shutil.copytree(workspace / "inventories/acme", workspace / "inventories/beta")
    with (workspace / "checks/all.yml").open("a") as checks:
        ssh = "probe: ssh, user: watch, target: 192.0.2.9, command: ping x"
        checks.write(f"- {{name: sees, vantage: branch, reference: true, {ssh}}}\n")
        checks.write("- {name: own, probe: icmp, vantage: local, target: 192.0.2.1, reference: true}\n")
    model = load(workspace, probe_kinds=PROBE_KINDS).model
    for client in ("acme", "beta"):
        branch = model.checks[f"{client}/erp-from-branch"].vantage
        assert model.references(branch) == (f"{client}/sees",)
    assert model.checks["acme/own"].vantage == model.checks["beta/own"].vantage == "local", "the daemon's own is one"
