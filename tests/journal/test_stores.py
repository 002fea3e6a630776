"""Where a workspace's journal is: its own, on whichever disk, and no other workspace's."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.core.records import StepBegan
from orchestrator.journal.journal import JournalUnreadable, JournalUnwritable
from orchestrator.journal.lease import Lease
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


def test_who_has_seen_a_journal_makes_no_other_one_and_takes_none(tmp_path: Path) -> None:
    """A stand-by, say: one that was moved away, or made anew meanwhile, has forgotten every hold."""
    acme = workspace(tmp_path / "acme")
    journal = open_journal(acme)
    lease = journal.acquire("noc", 20.0)
    assert isinstance(lease, Lease)
    journal.append(lease, 1.0, 1.0, [StepBegan(1.0, "r1", "fence", 1)], {})
    head = journal.head()
    journal.close()
    open_journal(acme, head).close()
    (acme / ".bascule").rename(tmp_path / "aside")
    for again in (lambda: open_journal(acme, head), lambda: open_journal(acme, make=False)):
        with pytest.raises(JournalUnwritable, match="removed while it was in use"):
            again()
        assert not (acme / ".bascule").exists()
    open_journal(acme).close()
    with pytest.raises(JournalUnwritable, match="not the one that was in use: it ends at entry 0, and entry 1 was"):
        open_journal(acme, head)
