"""The same result with the newest ansible-core, on a newer Python: the differential test, in that environment."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

HOME = Path(__file__).parents[2]
PYTHON = HOME / ".bascule-cache" / "newest" / "bin" / "python"


def play(*options: str) -> None:
    """Run the differential test there."""
    if not PYTHON.exists():
        pytest.skip("there is no environment with the newest ansible-core: scripts/newest-ansible makes one")
    command = [PYTHON, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/runner/test_same_result.py", *options]
    done = subprocess.run(command, cwd=HOME, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]


def test_a_sample() -> None:
    """Of the corpus, in every run of the tests."""
    play("-m", "not long", "-k", "plugins")


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_the_whole_corpus() -> None:
    """Playbook by playbook."""
    play()
