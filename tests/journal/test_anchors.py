"""Heads are kept where they can be read back, and what fails is told and holds nothing up: real files and real git."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from orchestrator.journal.anchors import Anchors, heads_in, heads_of, keep, kept, line_of
from orchestrator.journal.journal import Head

HEAD = Head(7, "ab" * 32, 1_800_000_000.0)


def git(*arguments: str, at: Path) -> str:
    return subprocess.run(["git", "-C", str(at), *arguments], check=True, capture_output=True, text=True).stdout


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone of a bare repository, with one commit."""
    subprocess.run(["git", "init", "-q", "--bare", str(tmp_path / "far.git")], check=True)
    subprocess.run(["git", "clone", "-q", str(tmp_path / "far.git"), str(tmp_path / "near")], check=True)
    near = tmp_path / "near"
    (near / "README").write_text("heads\n")
    git("add", "README", at=near)
    git("-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", "begin", at=near)
    git("push", "-q", "origin", "HEAD", at=near)
    return near


def test_a_line_says_number_hash_time_and_whose_it_is() -> None:
    assert line_of(HEAD, "msp") == f"7:{'ab' * 32} 2027-01-15T08:00:00Z msp"
    assert heads_in(line_of(HEAD)) == [Head(7, "ab" * 32)]
    assert heads_in('{"seq": 7, "hash": "' + "ab" * 32 + '", "wall": 1.0}') == [Head(7, "ab" * 32)]
    assert heads_in("7:abcd and nothing else") == []


def test_two_workspaces_may_share_a_file(tmp_path: Path) -> None:
    file = tmp_path / "heads"
    for name in ("a", "b", "a"):
        assert keep(HEAD, Anchors(file=file), name) == {}
    assert len(file.read_text().splitlines()) == 3
    assert len(kept(Anchors(file=file), "a")) == 2
    assert len(heads_of(f"{HEAD}\n", "a")) == 1
    assert len(heads_of('{"seq": 7, "hash": "' + "ab" * 32 + '", "wall": 1.0}\n', "a")) == 1, "JSON names none"
    assert len(kept(Anchors(file=file), "b", "a")) == 1, "under its second name are another one's"
    assert len(kept(Anchors(file=file), "c", "a")) == 2


def test_in_git_it_is_committed_and_pushed(clone: Path, tmp_path: Path) -> None:
    assert keep(HEAD, Anchors(git=clone), "msp") == {}
    assert keep(Head(9, "cd" * 32), Anchors(git=clone), "msp") == {}
    branch = git("branch", "--show-current", at=clone).strip()
    far = git("show", f"{branch}:msp.heads", at=tmp_path / "far.git")
    assert [head.seq for head in heads_in(far)] == [7, 9]
    assert [head.seq for head in kept(Anchors(git=clone), "msp")] == [7, 9]


def test_what_fails_is_told_and_the_others_are_kept(clone: Path, tmp_path: Path) -> None:
    (tmp_path / "far.git").rename(tmp_path / "gone.git")
    file = tmp_path / "heads"
    failed = keep(HEAD, Anchors(file=file, git=clone, command=("false",)), "msp")
    assert sorted(failed) == ["command false", f"git {clone}"]
    assert "ended with 1" in failed["command false"]
    assert len(heads_in(file.read_text())) == 1
    assert keep(HEAD, Anchors(file=tmp_path / "none" / "heads"), "msp") == {
        f"file {tmp_path}/none/heads": "No such file or directory"
    }


def test_a_command_gets_the_line_and_is_ended_when_it_hangs(tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = (sys.executable, "-c", f"import sys; open({str(out)!r}, 'w').write(sys.stdin.read())")
    assert keep(HEAD, Anchors(command=command), "msp") == {}
    assert out.read_text() == line_of(HEAD, "msp") + "\n"
    began = time.monotonic()
    failed = keep(HEAD, Anchors(command=("sh", "-c", "sleep 600 & sleep 600"), timeout_s=0.5), "msp")
    assert failed == {"command sh": "sh did not end within 0.5 s"}
    assert time.monotonic() - began < 300
    assert keep(HEAD, Anchors(command=("/no/such/program",)), "msp") == {
        "command /no/such/program": "No such file or directory"
    }


def test_a_child_in_a_session_of_its_own_does_not_hold_it_up(tmp_path: Path) -> None:
    child = tmp_path / "child"
    script = f"setsid sh -c 'echo $$ >{child}; exec sleep 600' & sleep 600"
    failed = keep(HEAD, Anchors(command=("sh", "-c", script), timeout_s=1.0), "msp")
    assert failed == {"command sh": "sh did not end within 1 s"}
    os.kill(int(child.read_text()), signal.SIGKILL)


def test_half_a_line_does_not_stay(tmp_path: Path) -> None:
    """Where the disk is full in the middle of it, the next one would be read together with it."""
    file = tmp_path / "heads"
    assert keep(HEAD, Anchors(file=file), "msp") == {}
    before = file.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 5, hard))
    try:
        assert keep(HEAD, Anchors(file=file), "msp") == {f"file {file}": "No space left on device"}
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert file.read_bytes() == before
