"""What all tests share: the lab's tests are skipped with a printed reason where it is not permitted, never in CI."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import settings

settings.register_profile(
    "steady", derandomize=True
)  # the same examples each time; HYPOTHESIS_PROFILE=default draws others
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "steady"))

# Whoever starts the tests in the background of a shell has them ignore it; what they start must not.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _logs_as_they_were() -> Iterator[None]:
    """What one test makes of the log (a simulation is silent) is no business of the next."""
    yield
    structlog.reset_defaults()


def _not_permitted() -> str | None:
    """Why the lab cannot run here; None if it can."""
    if os.geteuid() != 0:
        return "the lab needs root (network and mount namespaces)"
    from orchestrator.lab.permitted import why_not

    return why_not()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip the lab's tests where they cannot run; fail instead where they must."""
    lab = [item for item in items if item.get_closest_marker("lab")]
    if not lab:
        return
    why = _not_permitted()
    if why is None:
        return
    if os.environ.get("BASCULE_REQUIRE_LAB"):
        raise pytest.UsageError(f"the lab's tests must run here, and cannot: {why}")
    for item in lab:
        item.add_marker(pytest.mark.skip(reason=why))
