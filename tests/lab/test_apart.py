"""The check that a rehearsal's network is apart: it says so where it has looked, and not where it could not."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

CHECKS = Path(__file__).parents[2] / "checks" / "service.yml"
HERE = "127.0.0.1"  # it is there in every network whose lo is up
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root makes a network, and enters it")


@pytest.fixture
def apart() -> Iterator[int]:
    """A process in a network of its own, without any way out."""
    with subprocess.Popen(["unshare", "--net", "sh", "-c", "echo; exec sleep 600"], stdout=subprocess.PIPE) as one:
        assert one.stdout is not None
        one.stdout.readline()
        yield one.pid
        one.kill()


def _answer(tmp_path: Path, pid: int | None, without: str = "", **programs: str) -> int:
    """The check's exit code on a host with these programs in place of its own, where this is the clone's process."""
    checks = yaml.safe_load(CHECKS.read_text())
    (command,) = (check["command"] for check in checks if check["name"] == "rehearsal-apart")
    data, bin_ = tmp_path / "data", tmp_path / "bin"
    data.mkdir()
    bin_.mkdir()
    if pid is not None:
        (data / "postmaster.pid").write_text(f"{pid}\n/data\n")
    command = command.replace("{{ rehearsal_clone.data }}", str(data))
    command = re.sub(r"\{\{ hostvars.*?\}\}", HERE, command)
    assert "{{" not in command
    for folder in ("/usr/sbin", "/sbin", "/usr/bin", "/bin"):
        for name in ("sh", "head", "nsenter", "ip"):
            if Path(folder, name).exists() and not (bin_ / name).exists() and name != without:
                (bin_ / name).symlink_to(Path(folder, name))
    for name, body in ({"sudo": 'shift; exec "$@"'} | programs).items():
        (bin_ / name).unlink(missing_ok=True)
        if name != without:
            (bin_ / name).write_text(f"#!/bin/sh\n{body}\n")
            (bin_ / name).chmod(0o755)
    words = ["/bin/sh", "-c", command]
    return subprocess.run(words, env=os.environ | {"PATH": str(bin_)}, capture_output=True, check=False).returncode


def test_a_network_without_any_way_out_is_apart(tmp_path: Path, apart: int) -> None:
    assert _answer(tmp_path, apart) == 0


def test_without_a_clone_there_is_nothing_to_be_apart(tmp_path: Path) -> None:
    assert _answer(tmp_path, None) == 0


def test_a_network_with_a_way_there_is_not(tmp_path: Path) -> None:
    assert _answer(tmp_path, os.getpid()) != 0


@pytest.mark.parametrize("what", ["sudo", "nsenter", "ip"])
def test_who_has_no_means_to_look_says_nothing_of_it(tmp_path: Path, apart: int, what: str) -> None:
    assert _answer(tmp_path, apart, without=what) != 0


@pytest.mark.parametrize("what", ["sudo", "nsenter", "ip"])
def test_who_may_not_look_says_nothing_of_it(tmp_path: Path, apart: int, what: str) -> None:
    assert _answer(tmp_path, apart, **{what: "echo not allowed >&2; exit 1"}) != 0


def test_of_a_clone_that_is_gone_nothing_is_said(tmp_path: Path) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    assert _answer(tmp_path, gone.pid) != 0
