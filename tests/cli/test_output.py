"""Output that is closed, full, or read by nobody: no traceback, and the exit code is the verb's where it has one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Bascule

VERBS = ("validate --schema", "status", "incidents")


def shell(script: str, workspace: Path) -> subprocess.CompletedProcess[str]:
    """A line of bash, `b` being the command."""
    begins = f'b() {{ "{sys.executable}" -m orchestrator.cli.main "$@"; }}\ncd "{workspace}"\n'
    return subprocess.run(["bash", "-c", begins + script], capture_output=True, text=True, check=False, timeout=120)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("workspace")
    (path / "inventories").mkdir()
    return path


@pytest.mark.parametrize("verb", VERBS)
def test_closed_output_is_no_fault(workspace: Path, verb: str) -> None:
    done = shell(f"b {verb} >&-; echo rc $? >&2", workspace)
    assert done.stderr == "rc 0\n"
    done = shell(f"b {verb} >&- 2>&- <&-; c=$?; echo rc $c", workspace)
    assert done.stdout == "rc 0\n"


@pytest.mark.parametrize("verb", VERBS)
def test_a_full_disk_is_told_in_a_sentence(workspace: Path, verb: str) -> None:
    done = shell(f"b {verb} >/dev/full; echo rc $?", workspace)
    assert done.stdout == "rc 1\n"
    assert done.stderr.endswith("cannot be written: No space left on device\n")
    assert done.stderr.count("\n") == 1


def test_a_reader_that_has_enough_is_no_fault_of_ours(workspace: Path) -> None:
    done = shell("b validate --schema | head -c 5 >/dev/null; echo rc ${PIPESTATUS[0]}", workspace)
    assert done.stdout == "rc 141\n"
    assert done.stderr == ""


def test_an_error_that_nobody_reads_keeps_its_exit_code(workspace: Path) -> None:
    done = shell("b status --workspace /nowhere 2>/dev/full; echo rc $?", workspace)
    assert done.stdout == "rc 2\n"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("statu", 'unknown command "statu". Did you mean "status"?'),
        ("maintenance west 10m", "10m: bascule maintenance takes no such word"),
        ("findings open i1", "TEXT is missing"),
        ("failover --move", "--move needs a value"),
        ("hold west --forever", "unknown option: --forever"),
    ],
)
def test_a_call_that_cannot_be_read_says_which_word_and_where_the_right_ones_stand(
    words: str, told: str, bascule: Bascule, capsys: pytest.CaptureFixture[str]
) -> None:
    """As every other fault of a call: no box, no Python's words."""
    assert bascule(*words.split()) == 2
    said = capsys.readouterr()
    verb = {"statu": "", "findings": " findings open"}.get(words.split()[0], f" {words.split()[0]}")
    assert said.err == f"bascule: {told}\n         bascule{verb} --help says what it takes\n"
    assert said.out == ""
