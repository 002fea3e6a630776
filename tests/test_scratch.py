"""Temporary files of the tests: gone with the run, also of one that was killed."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests import scratch


def test_the_next_run_removes_what_a_killed_one_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    over = subprocess.Popen(["true"])
    over.wait()
    left, others = tmp_path / f"bt-{over.pid}-a", tmp_path / f"bt-{os.getppid()}-b"
    for folder in (left, others):
        (folder / "ansible_x_payload").mkdir(parents=True)
    mine = scratch.begin()
    assert tempfile.gettempdir() == os.environ["TMPDIR"] == str(mine)
    assert {x.name for x in tmp_path.iterdir()} == {others.name, mine.name}
    scratch.end(mine)
    assert {x.name for x in tmp_path.iterdir()} == {others.name}


def test_what_another_run_removes_at_the_same_time_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(Path, "glob", lambda *_: iter([tmp_path / "bt-1-gone"]))
    assert scratch.begin().is_dir()
