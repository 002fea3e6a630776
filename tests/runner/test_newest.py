"""The same result with the newest ansible-core, on a newer Python, and as fast: those tests, in that environment."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

HOME = Path(__file__).parents[2]
PYTHON = HOME / ".bascule-cache" / "newest" / "bin" / "python"


def play(*tests: str) -> None:
    """Run these tests of this directory there."""
    if not PYTHON.exists():
        pytest.skip("there is no environment with the newest ansible-core: scripts/newest-ansible makes one")
    command = [PYTHON, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests]
    done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]


@pytest.mark.broad
def test_a_sample() -> None:
    """Of the corpus; and that Mitogen serves there: what it does not serve goes by ssh, with the same result."""
    play(
        "-m",
        "not broad",
        "-k",
        "plugins or test_a_connection_outlives_its_playbook",
        "test_same_result.py",
        "test_mitogen.py",
    )


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_the_whole_corpus() -> None:
    """Playbook by playbook; and what is particular to Mitogen."""
    play("test_same_result.py", "test_mitogen.py", "test_unforked.py")
