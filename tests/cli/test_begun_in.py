"""A command works in its workspace, wherever it was given."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from orchestrator.cli.workspace import begun_in

NOBODY = 65534
SAYS_WHERE = """
import os
from pathlib import Path
from orchestrator.cli.workspace import begun_in
os.chmod(".", 0)
if os.getuid() == 0:
    os.setuid({nobody})
with begun_in(Path("/")):
    print(os.getcwd())
"""


def test_a_command_works_that_was_given_where_its_login_may_not_be(tmp_path: Path) -> None:
    """As with `sudo -u bascule bascule daemon` in a directory of one's own."""
    private = tmp_path / "private"
    private.mkdir()
    program = [sys.executable, "-c", SAYS_WHERE.format(nobody=NOBODY)]
    done = subprocess.run(program, cwd=private, capture_output=True, text=True, check=False)
    private.chmod(0o700)
    assert (done.stdout, done.returncode) == ("/\n", 0), done.stderr


def test_what_comes_after_it_is_where_it_was_given(tmp_path: Path) -> None:
    before = Path.cwd()
    with begun_in(tmp_path):
        assert Path.cwd() == tmp_path
    assert Path.cwd() == before
