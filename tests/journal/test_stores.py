"""Where a workspace's journal is: in a folder of its own, and in no other workspace's."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.journal.journal import JournalUnwritable
from orchestrator.journal.stores import open_journal, read_journal


def test_a_link_to_another_workspaces_journal_is_not_written_to(tmp_path: Path) -> None:
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
    open_journal(tmp_path / "one").close()
    (tmp_path / "other/.bascule").symlink_to(tmp_path / "one/.bascule")
    with pytest.raises(JournalUnwritable, match=r"other/\.bascule is a link to .*one/\.bascule"):
        open_journal(tmp_path / "other")
    found = read_journal(tmp_path / "other")
    assert found is not None, "to read it harms nobody"
    found.close()
