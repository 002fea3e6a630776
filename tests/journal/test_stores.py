"""Where a workspace's journal is: its own, on whichever disk, and no other workspace's."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.journal.journal import JournalUnreadable, JournalUnwritable
from orchestrator.journal.stores import open_journal, read_journal


def workspace(path: Path) -> Path:
    """A folder that has a journal's neighbours."""
    (path / "inventories").mkdir(parents=True)
    return path


def test_a_link_to_another_workspaces_journal_is_neither_written_to_nor_read(tmp_path: Path) -> None:
    one, other = workspace(tmp_path / "one"), workspace(tmp_path / "other")
    open_journal(one).close()
    (other / ".bascule").symlink_to(one / ".bascule")
    wrong = "other/.bascule is a link to .*one/.bascule, which is another workspace's"
    with pytest.raises(JournalUnwritable, match=wrong):
        open_journal(other)
    with pytest.raises(JournalUnreadable, match=wrong):
        read_journal(other)


@pytest.mark.parametrize("there", ["var/lib/bascule/acme", "mnt/disk/.bascule"])
def test_a_journal_may_lie_on_another_disk(tmp_path: Path, there: str) -> None:
    acme = workspace(tmp_path / "acme")
    (tmp_path / there).mkdir(parents=True)
    (acme / ".bascule").symlink_to(tmp_path / there)
    open_journal(acme).close()
    found = read_journal(acme)
    assert found is not None
    found.close()
    assert (tmp_path / there / "journal.db").exists()


def test_a_workspace_that_is_itself_named_by_a_link_is_no_other(tmp_path: Path) -> None:
    open_journal(workspace(tmp_path / "acme")).close()
    (tmp_path / "current").symlink_to(tmp_path / "acme")
    found = read_journal(tmp_path / "current")
    assert found is not None
    found.close()
