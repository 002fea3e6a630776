"""The workspace that `validate` is measured on is one that an author could have written: nothing is said of it."""

from __future__ import annotations

from pathlib import Path

from orchestrator.config import load
from orchestrator.shell.wiring import option_models
from scripts.bench.validating import write


def test_it_is_valid_and_of_the_size_that_is_said(tmp_path: Path) -> None:
    write(tmp_path, hosts=40, playbooks=12, clients=2)
    found = load(tmp_path, probe_kinds=option_models(), starts=True, cache=False)
    assert list(found.warnings) == []
    assert sum(found.hosts.values()) == 40
    assert len({move.playbook.path for move in found.model.moves.values() if move.playbook}) == 12
