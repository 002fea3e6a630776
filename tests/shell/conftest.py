"""What the stories of the shell share: a small workspace of real files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.runner.playbooks import PlaybookRunner
from tests.shell.small import Small


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Small]:
    """See `Small`."""
    workspace = Small(tmp_path)
    yield workspace
    workspace.close()


@pytest.fixture
def nothing_warm(monkeypatch: pytest.MonkeyPatch) -> None:
    """For a controller that no playbook is asked of: Ansible is not loaded for the next one."""
    monkeypatch.setattr(PlaybookRunner, "warm_up", lambda _self, _how: None)
