"""What every journal promises, tested on each kind in turn. A new kind is one row in `JOURNALS`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.core.codec import CodecError, encode
from orchestrator.core.detector import Row
from orchestrator.core.reasons import Reason
from orchestrator.core.records import ControllerBegan, Record, ServiceFrozen, StepBegan, Verdict
from orchestrator.journal.journal import AxisState, Journal, StaleEpoch
from orchestrator.journal.lease import Lease, Process, Refused
from orchestrator.journal.memory import MemoryJournal
from orchestrator.journal.sqlite import SqliteJournal
from orchestrator.journal.taken import TakenRows
from tests.journal.clocks import HandClocks


class World:
    """One machine, one store, and any number of processes that open it."""

    def __init__(self, kind: str, directory: Path) -> None:
        self.clocks = HandClocks()
        self.gone: set[str] = set()
        self._kind, self._directory = kind, directory
        self._opened: list[Journal] = []
        self._memory = MemoryJournal(self.clocks, self._is_gone)

    def open(self, pid: int = 1) -> Journal:
        """The journal, as process `pid` sees it."""
        if self._kind == "memory":
            return self._memory
        process = Process(self.clocks.boot(), "simulated", pid, 0)
        path = self._directory / "journal.db"
        journal = SqliteJournal(path, clocks=self.clocks, process=process, gone=self._is_gone)
        self._opened.append(journal)
        return journal

    def close(self) -> None:
        for journal in self._opened:
            journal.close()

    def _is_gone(self, process: Process) -> bool:
        return process.boot in self.gone


@pytest.fixture(params=["memory", "sqlite"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    world = World(request.param, tmp_path)
    yield world
    world.close()


def taken(journal: Journal, world: World, holder: str = "noc", ttl_s: float = 20.0) -> Lease:
    """The lease, which the test expects to get."""
    lease = journal.acquire(holder, world.clocks.wall(), ttl_s)
    assert isinstance(lease, Lease), str(lease)
    return lease


def began(attempt: int = 1) -> Record:
    return StepBegan(1.0, "run-1", "fence:acme/hq", attempt)


class TestEntries:
    """An entry that was appended is read back as it was."""

    def test_a_new_journal_is_empty_and_whole(self, world: World) -> None:
        journal = world.open()
        assert list(journal.entries()) == []
        assert (journal.last_seq(), journal.rows(), journal.verify()) == (0, {}, [])

    def test_what_was_appended_is_read_back_by_whoever_opens_it_next(self, world: World) -> None:
        journal = world.open()
        lease = taken(journal, world)
        frozen = ServiceFrozen(2.5, "acme/erp", Reason.FLAPPING, "6 moves in 1 h — \udcff")
        first = journal.append(lease, 1.0, 1_800_000_000.5, [ControllerBegan(1.0, "noc", 1, "b", True, 0.0)], {})
        second = journal.append(lease, 2.5, 1_800_000_002.0, [began(), frozen], {"acme/icmp": {"bad": 3}})
        assert (first.seq, second.seq, second.epoch) == (1, 2, lease.epoch)
        again = world.open(pid=2)
        assert list(again.entries()) == [first, second]
        assert list(again.entries(after=1)) == [second]
        assert list(again.entries(after=2)) == []
        assert again.last_seq() == 2
        assert again.rows() == {"acme/icmp": {"bad": 3}}
        assert again.verify() == []

    def test_an_entry_without_records_counts(self, world: World) -> None:
        journal = world.open()
        entry = journal.append(taken(journal, world), 1.0, 2.0, [], {})
        assert list(journal.entries()) == [entry]

    def test_a_record_that_could_not_be_read_back_is_refused_and_leaves_nothing(self, world: World) -> None:
        journal = world.open()
        lease = taken(journal, world)
        with pytest.raises(CodecError, match=r"StepBegan\.at"):
            journal.append(lease, 1.0, 2.0, [StepBegan("now", "r", "s", 1)], {"acme/icmp": {"bad": 3}})  # type: ignore[arg-type]
        with pytest.raises(CodecError, match="not JSON"):
            journal.append(lease, 1.0, 2.0, [began()], {"acme/icmp": {"rtt": float("nan")}})
        assert (list(journal.entries()), journal.rows()) == ([], {})
        assert journal.append(lease, 1.0, 2.0, [began()], {}).seq == 1

    def test_many_entries_are_read_in_order(self, world: World) -> None:
        journal = world.open()
        lease = taken(journal, world)
        for n in range(60):
            journal.append(lease, float(n), float(n), [began(n)], {f"c{n % 7}": n})
        assert [e.seq for e in journal.entries()] == list(range(1, 61))
        assert [e.seq for e in journal.entries(after=57)] == [58, 59, 60]
        assert journal.rows() == {f"c{k}": max(n for n in range(60) if n % 7 == k) for k in range(7)}


class TestRows:
    """Detector rows: the latest of each check."""

    def test_rows_without_records_are_kept_without_an_entry(self, world: World) -> None:
        journal = world.open()
        lease = taken(journal, world)
        journal.write_rows(lease, {"a": {"n": 1}, "b": [1]})
        journal.write_rows(lease, {"a": {"n": 2}})
        assert world.open(2).rows() == {"a": {"n": 2}, "b": [1]}
        assert journal.last_seq() == 0

    def test_a_row_of_none_is_forgotten(self, world: World) -> None:
        journal = world.open()
        lease = taken(journal, world)
        journal.append(lease, 1.0, 1.0, [], {"a": 1, "b": 2})
        journal.append(lease, 1.0, 1.0, [], {"a": None})
        assert journal.rows() == {"b": 2}

    def test_rows_that_were_taken_are_read_as_they_were_then(self, world: World) -> None:
        journal = world.open()
        lease = taken(journal, world)
        row, rows = Row(Verdict.UP, window=[(1.0, 0.02)], measures={"rtt_s": 0.02}), TakenRows()
        rows.take({"a": row, "b": row})
        journal.write_rows(lease, rows)
        before = encode(row)
        row.bad_streak = 1
        row.window.append((2.0, -1.0))
        assert world.open(2).rows() == {"a": before, "b": before}
        later = TakenRows()
        later.take({"a": row, "b": None})
        journal.write_rows(lease, later)
        assert journal.rows() == world.open(2).rows() == {"a": encode(row)}
        journal.append(lease, 1.0, 1.0, [], {"a": None, "b": 1})
        assert journal.rows() == {"b": 1}


class TestLease:
    """One decider at a time."""

    def test_nobody_holds_a_new_journal(self, world: World) -> None:
        assert world.open().holder() is None

    def test_a_second_one_is_refused_and_told_who_holds_it_and_for_how_long(self, world: World) -> None:
        taken(world.open(1), world, "noc", ttl_s=20.0)
        world.clocks.pass_s(5.0)
        answer = world.open(2).acquire("laptop", world.clocks.wall(), 20.0)
        assert isinstance(answer, Refused)
        assert (answer.held_by.holder, answer.ends_in_s) == ("noc", 15.0)
        assert "noc" in str(answer)
        assert "15 s" in str(answer)

    def test_after_its_time_another_takes_it_and_the_first_can_write_nothing_more(self, world: World) -> None:
        first, second = world.open(1), world.open(2)
        old = taken(first, world, "noc")
        entry = first.append(old, 1.0, 1.0, [began()], {})
        world.clocks.pass_s(20.1)
        new = taken(second, world, "twin")
        assert new.epoch == old.epoch + 1
        with pytest.raises(StaleEpoch, match="twin holds it with epoch 2"):
            first.append(old, 2.0, 2.0, [began(2)], {})
        with pytest.raises(StaleEpoch):
            first.write_rows(old, {"a": 1})
        assert not first.renew(old, world.clocks.wall())
        first.release(old)  # must not take the twin's away
        holder = second.holder()
        assert holder is not None
        assert holder.holder == "twin"
        assert (list(second.entries()), second.rows()) == ([entry], {})

    def test_renewed_it_lasts(self, world: World) -> None:
        journal, other = world.open(1), world.open(2)
        lease = taken(journal, world)
        for _ in range(5):
            world.clocks.pass_s(15.0)
            assert journal.renew(lease, world.clocks.wall())
        assert isinstance(other.acquire("twin", world.clocks.wall(), 20.0), Refused)
        journal.append(lease, 1.0, 1.0, [began()], {})

    def test_lapsed_but_taken_by_nobody_it_goes_on(self, world: World) -> None:
        journal = world.open(1)
        lease = taken(journal, world)
        world.clocks.pass_s(3600.0)
        journal.append(lease, 1.0, 1.0, [began()], {})
        assert journal.renew(lease, world.clocks.wall())
        assert isinstance(world.open(2).acquire("twin", world.clocks.wall(), 20.0), Refused)

    def test_given_back_the_next_need_not_wait_and_the_epoch_grows(self, world: World) -> None:
        first, second = world.open(1), world.open(2)
        old = taken(first, world)
        first.release(old)
        assert second.holder() is None
        with pytest.raises(StaleEpoch, match="the latest epoch is 1"):
            first.append(old, 1.0, 1.0, [began()], {})
        assert taken(second, world, "laptop").epoch == 2

    def test_the_same_process_takes_its_own_again_with_a_larger_epoch(self, world: World) -> None:
        journal = world.open(1)
        assert [taken(journal, world).epoch for _ in range(3)] == [1, 2, 3]

    def test_of_a_process_that_is_gone_it_is_taken_at_once(self, world: World) -> None:
        taken(world.open(1), world)
        world.gone.add("boot-1")
        assert taken(world.open(2), world, "twin").epoch == 2

    def test_a_wall_clock_that_jumps_changes_nothing_within_a_boot(self, world: World) -> None:
        taken(world.open(1), world)
        world.clocks.utc += 86400.0
        assert isinstance(world.open(2).acquire("twin", world.clocks.wall(), 20.0), Refused)

    def test_after_a_reboot_the_wall_clock_says_when_it_is_over(self, world: World) -> None:
        taken(world.open(1), world)
        world.clocks.reboot(down_s=8.0)
        answer = world.open(2).acquire("twin", world.clocks.wall(), 20.0)
        assert isinstance(answer, Refused)
        assert answer.ends_in_s == pytest.approx(12.0)
        world.clocks.pass_s(12.1)
        taken(world.open(2), world, "twin")

    def test_after_a_reboot_into_the_past_it_is_over_when_nobody_renewed_it_for_its_own_length(
        self, world: World
    ) -> None:
        taken(world.open(1), world)
        world.clocks.reboot(down_s=-1e6)
        waiting = world.open(2)
        answer = waiting.acquire("twin", world.clocks.wall(), 20.0)
        assert isinstance(answer, Refused)
        assert answer.ends_in_s == pytest.approx(20.0)
        world.clocks.pass_s(20.0)
        assert isinstance(waiting.acquire("twin", world.clocks.wall(), 20.0), Lease)


class TestBesideTheEntries:
    """Checkpoints, models, and the time axis."""

    def test_the_latest_checkpoint_is_found(self, world: World) -> None:
        journal = world.open()
        lease = taken(journal, world)
        assert journal.latest_checkpoint() is None
        for n in range(1, 5):
            journal.append(lease, float(n), 1.0, [began(n)], {})
            journal.checkpoint(n, {"state": n})
        assert world.open(2).latest_checkpoint() == (4, {"state": 4})

    def test_a_model_is_kept_by_its_digest_and_stored_once(self, world: World) -> None:
        journal = world.open()
        assert journal.load_model("d1") is None
        journal.store_model("d1", {"checks": {"a": [1, None]}})
        journal.store_model("d1", {"checks": {}})
        journal.store_model("d2", {})
        assert journal.load_model("d1") == {"checks": {"a": [1, None]}}
        journal.append(taken(journal, world), 1.0, 1.0, [began()], {})  # which binds them
        assert world.open(2).load_model("d1") == {"checks": {"a": [1, None]}}
        assert journal.load_model("d2") == {}

    def test_the_axis_of_a_boot_is_decided_by_the_first_who_puts_it(self, world: World) -> None:
        journal = world.open()
        assert journal.axis() is None
        first = AxisState("boot-1", -100.0, 0.0, 1e9)
        assert journal.put_axis(first) == first
        assert world.open(2).put_axis(AxisState("boot-1", -99.0, 4.0, 1e9 + 4)).offset_s == -100.0
        assert journal.axis() == AxisState("boot-1", -100.0, 4.0, 1e9 + 4)
        later = AxisState("boot-2", 50.0, 60.0, 1e9 + 60, gap_s=10.0)
        assert journal.put_axis(later) == journal.axis() == later
