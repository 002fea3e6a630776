"""Fixtures of the runner's tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.runner.stage import Stage


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """A workspace and its runner, closed at the end."""
    stage = Stage(tmp_path)
    yield stage
    await stage.runner.close()
