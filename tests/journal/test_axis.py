"""The time axis on one machine: by the boot clock within a boot, and across boots what the wall clock says, assumed."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.core.records import StepBegan
from orchestrator.journal.journal import Journal
from orchestrator.journal.lease import Lease
from orchestrator.journal.memory import MemoryJournal
from orchestrator.journal.sqlite import SqliteJournal
from tests.journal.clocks import HandClocks


@pytest.fixture
def clocks() -> HandClocks:
    return HandClocks()


@pytest.fixture(params=["memory", "sqlite"])
def journal(clocks: HandClocks, request: pytest.FixtureRequest, tmp_path: Path) -> Journal:
    return MemoryJournal(clocks) if request.param == "memory" else SqliteJournal(tmp_path / "j.db", clocks=clocks)


def test_it_starts_at_zero_with_the_workspace_and_advances_with_the_boot_clock(
    clocks: HandClocks, journal: Journal
) -> None:
    axis = journal.open_axis()
    assert (axis.now(), axis.assumed_gap_s, axis.same_boot) == (0.0, 0.0, False)
    clocks.pass_s(7.5)
    assert axis.now() == 7.5


def test_a_restart_within_the_boot_goes_on_as_if_nothing_had_been(clocks: HandClocks, journal: Journal) -> None:
    journal.open_axis()
    clocks.pass_s(30.0)
    again = journal.open_axis()
    assert (again.now(), again.assumed_gap_s, again.same_boot) == (30.0, 0.0, True)


def test_a_wall_clock_that_jumps_does_not_move_it(clocks: HandClocks, journal: Journal) -> None:
    axis = journal.open_axis()
    clocks.utc -= 1e6
    clocks.pass_s(1.0)
    assert axis.now() == 1.0
    assert journal.open_axis().now() == 1.0


def test_two_processes_of_one_boot_see_the_same_axis(clocks: HandClocks, journal: Journal) -> None:
    daemon = journal.open_axis()
    clocks.pass_s(3.0)
    reader = journal.open_axis(keep=False)
    clocks.pass_s(4.0)
    assert daemon.now() == reader.now() == 7.0


def test_across_a_reboot_it_advances_by_the_wall_clock_and_says_so(clocks: HandClocks, journal: Journal) -> None:
    before = journal.open_axis()
    clocks.pass_s(100.0)
    before.mark()
    clocks.reboot(down_s=60.0)
    after = journal.open_axis()
    assert (after.now(), after.assumed_gap_s, after.same_boot) == (160.0, 60.0, False)
    clocks.pass_s(1.0)
    assert after.now() == 161.0


def test_the_gap_counts_from_the_latest_entry_where_that_is_later_than_the_mark(
    clocks: HandClocks, journal: Journal
) -> None:
    axis = journal.open_axis()
    lease = journal.acquire("noc", 20.0)
    assert isinstance(lease, Lease)
    clocks.pass_s(500.0)
    journal.append(lease, axis.now(), clocks.wall(), [StepBegan(500.0, "r", "s", 1)], {})
    clocks.reboot(down_s=10.0)
    after = journal.open_axis()
    assert (after.now(), after.assumed_gap_s) == (510.0, 10.0)


def test_a_wall_clock_that_went_back_over_a_reboot_adds_nothing(clocks: HandClocks, journal: Journal) -> None:
    before = journal.open_axis()
    clocks.pass_s(100.0)
    before.mark()
    clocks.reboot(down_s=-1e6)
    after = journal.open_axis()
    assert (after.now(), after.assumed_gap_s) == (100.0, 0.0)


def test_it_never_falls_not_even_when_a_virtual_machine_is_set_back(clocks: HandClocks, journal: Journal) -> None:
    axis = journal.open_axis()
    clocks.pass_s(100.0)
    assert axis.now() == 100.0
    clocks.up -= 50.0  # a snapshot was restored: same boot id, older boot clock
    assert axis.now() == 100.0
    clocks.pass_s(1.0)
    assert axis.now() == 101.0


def test_set_back_and_started_again_it_does_not_fall_below_the_latest_entry(
    clocks: HandClocks, journal: Journal
) -> None:
    axis = journal.open_axis()
    lease = journal.acquire("noc", 20.0)
    assert isinstance(lease, Lease)
    clocks.pass_s(100.0)
    journal.append(lease, axis.now(), clocks.wall(), [], {})
    clocks.up -= 50.0
    assert journal.open_axis().now() == 100.0


def test_a_reader_after_a_reboot_writes_nothing_and_the_daemon_decides(clocks: HandClocks, tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    writer = SqliteJournal(path, clocks=clocks)
    writer.open_axis()
    clocks.reboot(down_s=60.0)
    reader = SqliteJournal(path, read_only=True, clocks=clocks).open_axis(keep=False)
    assert reader.assumed_gap_s == 60.0
    reader.mark()
    clocks.pass_s(5.0)
    assert writer.open_axis().assumed_gap_s == 65.0


def test_a_process_that_was_carried_over_to_another_boot_says_so_and_marks_nothing() -> None:
    """Restored elsewhere, its offset belongs to a clock that it does not have any more."""
    clocks = HandClocks()
    journal = MemoryJournal(clocks)
    axis = journal.open_axis()
    axis.mark()
    kept = journal.axis()
    assert not axis.carried_over
    clocks.reboot(down_s=60.0)
    axis.mark()
    assert axis.carried_over
    assert journal.axis() == kept
