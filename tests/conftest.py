"""What all tests share: the lab's tests are skipped with a printed reason where it is not permitted, never in CI."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import structlog
from hypothesis import settings

from tests import scratch

settings.register_profile(
    "steady", derandomize=True
)  # the same examples each time; HYPOTHESIS_PROFILE=default draws others
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "steady"))

# What runs playbooks compiles Ansible once, and not once for each workspace of a test.
COMPILED = Path(__file__).parents[1] / ".bascule-cache" / "compiled"
COMPILED.mkdir(mode=0o755, parents=True, exist_ok=True)  # it counts where nobody else may write to it
os.environ.setdefault("PYTHONPYCACHEPREFIX", str(COMPILED))

# What is written is kept until somebody flushes it, as for most who start these programs.
os.environ.pop("PYTHONUNBUFFERED", None)

# Whoever starts the tests in the background of a shell has them ignore it; what they start must not.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_configure(config: pytest.Config) -> None:
    """Temporary files have a folder of this run's own; its worker processes have it from this one."""
    if not hasattr(config, "workerinput"):
        config.add_cleanup(partial(scratch.end, scratch.begin()))


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


def _broad() -> tuple[str, ...]:
    """How the names begin of tests that `make test` leaves to `make test-broad`; see `broad.txt`."""
    lines = (Path(__file__).parent / "broad.txt").read_text(encoding="utf-8").splitlines()
    return tuple(f"tests/{line}" for line in lines if line and not line.startswith("#"))


# Several processes take a file each: the long ones first, or the last to be begun is waited for alone.
LONG_FIRST = ("runner", "contract", "sim", "shell", "cli")


def _turn(item: pytest.Item) -> int:
    room = item.nodeid.removeprefix("tests/").partition("/")[0]
    return LONG_FIRST.index(room) if room in LONG_FIRST else len(LONG_FIRST)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The long ones first; skip the lab's tests where they cannot run, or fail instead where they must."""
    items.sort(key=_turn)
    broad = _broad()
    for item in items:
        if item.nodeid.startswith(broad):
            item.add_marker(pytest.mark.broad)
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
