"""Files that are there as a whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchestrator.config.whole_file import write_whole


def test_it_is_for_its_owner_alone_and_replaces_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "below" / "kept.json"
    for text in ("one", "twö"):
        write_whole(path, text)
        assert path.read_text(encoding="utf-8") == text
    assert path.stat().st_mode & 0o777 == 0o600
    assert [x.name for x in path.parent.iterdir()] == ["kept.json"]


def test_folders_that_are_made_for_it_are_for_its_owner_alone_too(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        write_whole(tmp_path / "state" / "below" / "kept.json", "text")
    finally:
        os.umask(before)
    assert {x.stat().st_mode & 0o777 for x in (tmp_path / "state", tmp_path / "state" / "below")} == {0o700}


def test_of_a_write_that_failed_nothing_is_left(tmp_path: Path) -> None:
    path = tmp_path / "kept.json"
    path.mkdir()
    with pytest.raises(IsADirectoryError):
        write_whole(path, "text")
    assert [x.name for x in tmp_path.iterdir()] == ["kept.json"]
