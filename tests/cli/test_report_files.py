"""Where a report's file is put: whole or not at all, and nothing is left beside it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchestrator.cli.output import put_file


def test_a_file_is_put_there_whole_in_place_of_what_was_there(tmp_path: Path) -> None:
    for text in ("one", "another"):
        put_file(tmp_path / "i1.json", text)
    assert (tmp_path / "i1.json").read_text(encoding="utf-8") == "another"
    assert [x.name for x in tmp_path.iterdir()] == ["i1.json"]


def test_a_pipe_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    """So is a device: what `/dev/stdout` is."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    end = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        put_file(pipe, "told")
        assert os.read(end, 100) == b"told"
    finally:
        os.close(end)
    assert pipe.is_fifo()


def test_what_cannot_be_written_names_the_file_that_was_asked_for(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept", encoding="utf-8")
    for path in (tmp_path / "file" / "i1.json", tmp_path / "nowhere" / "i1.json"):
        with pytest.raises(OSError, match=r"i1\.json") as caught:
            put_file(path, "text")
        assert caught.value.filename == str(path)


def test_a_full_disk_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = tmp_path / "i1.json"
    put_file(kept, "old")
    real = Path.write_bytes

    def half(path: Path, data: bytes) -> int:
        real(path, data[:2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", half)
    with pytest.raises(OSError, match="No space left"):
        put_file(kept, "new text")
    assert kept.read_text(encoding="utf-8") == "old"
    assert [x.name for x in tmp_path.iterdir()] == ["i1.json"]
