"""Fixtures of the runner's tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.runner.stage import Stage
from tests.runner.target import CannotServe, Target


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """A workspace and its runner, closed at the end."""
    stage = Stage(tmp_path)
    yield stage
    await stage.runner.close()


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Target]:
    """A host behind a real ssh server."""
    try:
        target = Target.start(tmp_path / "target")
    except CannotServe as reason:
        pytest.skip(str(reason))
    yield target
    target.stop()
