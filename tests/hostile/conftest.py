"""One event loop a module, as the probes' tests have it: their fixtures live in it."""

from __future__ import annotations

from pathlib import Path

import pytest
import pytest_asyncio


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the async tests of this folder."""
    here = f"{Path(__file__).parent}/"
    for item in items:
        if str(item.path).startswith(here) and pytest_asyncio.is_async_test(item):
            item.add_marker(pytest.mark.asyncio(loop_scope="module"), append=False)
