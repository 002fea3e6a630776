"""What the stories of the shell share: a small workspace of real files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.shell.small import Small


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Small]:
    """See `Small`."""
    workspace = Small(tmp_path)
    yield workspace
    workspace.close()
