"""What every journal promises, tested on each kind in turn. A new kind is opened by `World`."""

from __future__ import annotations

import sqlite3
import typing
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from orchestrator.core.codec import CodecError, dumps, encode
from orchestrator.core.health.detector import Row
from orchestrator.core.model import Json
from orchestrator.core.reasons import Reason
from orchestrator.core.records import (
    Configured,
    ControllerBegan,
    IncidentEnded,
    IncidentOpened,
    Record,
    ServiceFrozen,
    StepBegan,
    Verdict,
    VerdictChanged,
)
from orchestrator.core.state.fold import fold
from orchestrator.journal.anchors import heads_in, line_of
from orchestrator.journal.chain import GENESIS, Gap, body_of, entry_of, link, no_gaps, sha256
from orchestrator.journal.examining import Beside, Examination, KeptCheckpoint
from orchestrator.journal.journal import (
    Bound,
    Draft,
    Fault,
    Head,
    Journal,
    JournalUnreadable,
    StaleEpoch,
)
from orchestrator.journal.lease import Heard, Lease, Refused
from orchestrator.journal.machine_axis import AxisState
from orchestrator.journal.memory import MemoryJournal
from orchestrator.journal.process import Process
from orchestrator.journal.row_changes import TakenRows
from orchestrator.journal.sqlite import SqliteJournal
from orchestrator.journal.stores import STORES
from tests.journal.clocks import HandClocks
from tests.journal.shared import SharedJournal


class World:
    """One store, and any number of processes that open it: of one machine, but of a store that is shared by several."""

    def __init__(self, kind: str, directory: Path) -> None:
        self.clocks = HandClocks()
        self.gone: set[str] = set()
        self._kind, self._directory = kind, directory
        self._opened: list[Journal] = []
        self._taken: list[tuple[Any, ...]] = []
        shared = kind == "shared"
        self._memory = SharedJournal(self.clocks.wall) if shared else MemoryJournal(self.clocks, self._is_gone)

    def open(self, pid: int = 1) -> Journal:
        """The journal, as process `pid` sees it."""
        if self._kind != "sqlite":
            return self._memory
        process = Process(self.clocks.boot(), "simulated", pid, 0)
        path = self._directory / "journal.db"
        journal = SqliteJournal(path, clocks=self.clocks, process=process, gone=self._is_gone)
        self._opened.append(journal)
        return journal

    def close(self) -> None:
        for journal in self._opened:
            journal.close()

    # ---- what somebody does who can write where the journal is

    def alter_checkpoint(self, seq: int, state: bytes) -> None:
        """Another state, with a hash of its own that fits."""
        if self._kind != "sqlite":
            kept = self._memory.checkpoints[seq]
            self._memory.checkpoints[seq] = replace(kept, state=state, own=bytes.fromhex(sha256(state)))
        else:
            own = bytes.fromhex(sha256(state))
            self._sql("UPDATE checkpoints SET state = ?, digest = ? WHERE seq = ?", (state.decode(), own, seq))

    def add_checkpoint(self, seq: int, state: bytes) -> None:
        """A checkpoint that nobody made."""
        own = bytes.fromhex(sha256(state))
        if self._kind != "sqlite":
            self._memory.checkpoints[seq] = KeptCheckpoint(seq, self._memory._links[seq - 1][2], own, state)
        else:
            with_hash = "SELECT ?, ?, hash, ? FROM entries WHERE seq = ?"
            query = "INSERT INTO checkpoints (seq, state, hash, digest) " + with_hash
            self._sql(query, (seq, state.decode(), own, seq))

    def alter_model(self, digest: str, model: bytes | None) -> None:
        """Other bytes under the same digest; None: taken away."""
        if self._kind != "sqlite":
            self._memory.models.pop(digest)
            if model is not None:
                self._memory.models[digest] = model
        elif model is None:
            self._sql("DELETE FROM models WHERE digest = ?", (digest,))
        else:
            self._sql("UPDATE models SET model = ? WHERE digest = ?", (model.decode(), digest))

    def alter_hash(self, seq: int) -> None:
        """Another body, with the hash that it would have: what follows does not fit any more."""
        if self._kind != "sqlite":
            at = [x[0] for x in self._memory._links].index(seq)
            previous = self._memory._links[at - 1][2] if at else GENESIS
            body = self._memory._links[at][1].replace(b'"wall":1', b'"wall":2')
            self._memory._links[at] = (seq, body, link(previous, body))
        else:
            ((body,),) = self._sql("SELECT body FROM entries WHERE seq = ?", (seq,))
            found = self._sql("SELECT hash FROM entries WHERE seq = ?", (seq - 1,))
            found = found or self._sql("SELECT after FROM gaps WHERE last = ?", (seq - 1,))
            other = body.replace('"wall":1', '"wall":2')
            digest = link(found[0][0] if found else GENESIS, other.encode())
            self._sql("UPDATE entries SET body = ?, hash = ? WHERE seq = ?", (other, digest, seq))

    def take_away(self, first: int, last: int) -> None:
        """Entries, without a trace."""
        if self._kind != "sqlite":
            self._taken = [x for x in self._memory._links if first - 1 <= x[0] <= last]
            self._memory._links = [x for x in self._memory._links if not first <= x[0] <= last]
        else:
            self._taken = self._sql("SELECT seq, body, hash FROM entries WHERE seq BETWEEN ? AND ?", (first - 1, last))
            self._sql("DELETE FROM entries WHERE seq BETWEEN ? AND ?", (first, last))

    def add_gap(self, first: int, last: int) -> None:
        """As if they had been let go of."""
        before, after = self._taken[0][2], self._taken[-1][2]
        if self._kind != "sqlite":
            self._memory._gaps[first] = Gap(first, last, before, after)
        else:
            query = "INSERT INTO gaps (first, last, before, after, bound) VALUES (?, ?, ?, ?, 1)"
            self._sql(query, (first, last, before, after))

    def _sql(self, query: str, arguments: tuple[object, ...]) -> list[tuple[Any, ...]]:
        db = sqlite3.connect(self._directory / "journal.db")
        kept = db.execute("SELECT name, sql FROM sqlite_master WHERE name LIKE 'entries_sta%'").fetchall()
        for trigger, _ in kept:
            db.execute(f"DROP TRIGGER {trigger}")
        found = db.execute(query, arguments).fetchall()
        for _, sql in kept:
            db.execute(sql)
        db.commit()
        db.close()
        return found

    def _is_gone(self, process: Process) -> bool:
        return process.boot in self.gone


KINDS = ("memory", "sqlite")


def test_every_kind_of_store_is_held_to_the_promise() -> None:
    assert set(STORES) <= set(KINDS), "give it a place in KINDS, and in each method of World"


@pytest.fixture(params=KINDS)
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    world = World(request.param, tmp_path)
    yield world
    world.close()


each_store = pytest.mark.parametrize("world", [*KINDS, "shared"], indirect=True)
"""Also one that no machine's processes and clocks mean anything to."""


def taken(journal: Journal, holder: str = "noc", ttl_s: float = 20.0) -> Lease:
    """The lease, which the test expects to get."""
    lease = journal.acquire(holder, ttl_s)
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
        lease = taken(journal)
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
        entry = journal.append(taken(journal), 1.0, 2.0, [], {})
        assert list(journal.entries()) == [entry]

    def test_a_record_that_could_not_be_read_back_is_refused_and_leaves_nothing(self, world: World) -> None:
        journal = world.open()
        lease = taken(journal)
        with pytest.raises(CodecError, match=r"StepBegan\.at"):
            journal.append(lease, 1.0, 2.0, [StepBegan("now", "r", "s", 1)], {"acme/icmp": {"bad": 3}})  # type: ignore[arg-type]
        with pytest.raises(CodecError, match="not JSON"):
            journal.append(lease, 1.0, 2.0, [began()], {"acme/icmp": {"rtt": float("nan")}})
        assert (list(journal.entries()), journal.rows()) == ([], {})
        assert journal.append(lease, 1.0, 2.0, [began()], {}).seq == 1

    def test_many_entries_are_read_in_order(self, world: World) -> None:
        journal = world.open()
        lease = taken(journal)
        for n in range(60):
            journal.append(lease, float(n), float(n), [began(n)], {f"c{n % 7}": n})
        assert [e.seq for e in journal.entries()] == list(range(1, 61))
        assert [e.seq for e in journal.entries(after=57)] == [58, 59, 60]
        assert journal.rows() == {f"c{k}": max(n for n in range(60) if n % 7 == k) for k in range(7)}


class TestRows:
    """Detector rows: the latest of each check."""

    def test_rows_without_records_are_kept_without_an_entry(self, world: World) -> None:
        journal = world.open()
        lease = taken(journal)
        journal.write_rows(lease, {"a": {"n": 1}, "b": [1]})
        journal.write_rows(lease, {"a": {"n": 2}})
        assert world.open(2).rows() == {"a": {"n": 2}, "b": [1]}
        assert journal.last_seq() == 0

    def test_a_row_of_none_is_forgotten(self, world: World) -> None:
        journal = world.open()
        lease = taken(journal)
        journal.append(lease, 1.0, 1.0, [], {"a": 1, "b": 2})
        journal.append(lease, 1.0, 1.0, [], {"a": None})
        assert journal.rows() == {"b": 2}

    def test_rows_that_were_taken_are_read_as_they_were_then(self, world: World) -> None:
        journal = world.open()
        lease = taken(journal)
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


@each_store
class TestLease:
    """One decider at a time."""

    def test_nobody_holds_a_new_journal(self, world: World) -> None:
        assert world.open().holder() is None

    def test_a_second_one_is_refused_and_told_who_holds_it_and_for_how_long(self, world: World) -> None:
        taken(world.open(1), "noc", ttl_s=20.0)
        world.clocks.pass_s(5.0)
        answer = world.open(2).acquire("laptop", 20.0)
        assert isinstance(answer, Refused)
        assert (answer.held_by.holder, answer.ends_in_s) == ("noc", 15.0)
        assert "noc" in str(answer)
        assert "15 s" in str(answer)

    def test_after_its_time_another_takes_it_and_the_first_can_write_nothing_more(self, world: World) -> None:
        first, second = world.open(1), world.open(2)
        old = taken(first, "noc")
        entry = first.append(old, 1.0, 1.0, [began()], {})
        world.clocks.pass_s(20.1)
        new = taken(second, "twin")
        assert new.epoch == old.epoch + 1
        with pytest.raises(StaleEpoch, match="twin holds it with epoch 2"):
            first.append(old, 2.0, 2.0, [began(2)], {})
        with pytest.raises(StaleEpoch):
            first.write_rows(old, {"a": 1})
        assert not first.renew(old)
        first.release(old)  # must not take the twin's away
        holder = second.holder()
        assert holder is not None
        assert holder.holder == "twin"
        assert (list(second.entries()), second.rows()) == ([entry], {})

    def test_renewed_it_lasts(self, world: World) -> None:
        journal, other = world.open(1), world.open(2)
        lease = taken(journal)
        for _ in range(5):
            world.clocks.pass_s(15.0)
            assert journal.renew(lease)
        assert isinstance(other.acquire("twin", 20.0), Refused)
        journal.append(lease, 1.0, 1.0, [began()], {})

    def test_lapsed_but_taken_by_nobody_it_goes_on(self, world: World) -> None:
        journal = world.open(1)
        lease = taken(journal)
        world.clocks.pass_s(3600.0)
        journal.append(lease, 1.0, 1.0, [began()], {})
        assert journal.renew(lease)
        assert isinstance(world.open(2).acquire("twin", 20.0), Refused)

    def test_given_back_the_next_need_not_wait_and_the_epoch_grows(self, world: World) -> None:
        first, second = world.open(1), world.open(2)
        old = taken(first)
        first.release(old)
        assert second.holder() is None
        with pytest.raises(StaleEpoch, match="the latest epoch is 1"):
            first.append(old, 1.0, 1.0, [began()], {})
        assert taken(second, "laptop").epoch == 2

    def test_the_same_process_takes_its_own_again_with_a_larger_epoch(self, world: World) -> None:
        journal = world.open(1)
        assert [taken(journal).epoch for _ in range(3)] == [1, 2, 3]

    def test_who_was_refused_can_have_it_when_it_was_told_that_it_ends(self, world: World) -> None:
        lease = taken(world.open(1), ttl_s=30.0)
        world.clocks.pass_s(12.0)
        assert world.open(1).renew(lease)
        world.clocks.pass_s(4.0)
        answer = world.open(2).acquire("twin", 20.0)
        assert isinstance(answer, Refused)
        assert 0.0 < answer.ends_in_s <= 30.0
        world.clocks.pass_s(answer.ends_in_s)
        assert taken(world.open(2), "twin").epoch == lease.epoch + 1

    def test_epochs_grow_whoever_takes_it_and_however_it_ended(self, world: World) -> None:
        epochs = []
        for n in range(1, 7):
            journal = world.open(n)
            lease = taken(journal, f"c{n}")
            epochs.append(lease.epoch)
            if n % 2:
                journal.release(lease)
            else:
                world.clocks.pass_s(lease.ttl_s + 0.1)
        assert epochs == list(range(1, 7))

    def test_under_a_lease_that_was_lost_nothing_at_all_is_written(self, world: World) -> None:
        first, second = world.open(1), world.open(2)
        old = taken(first, "noc")
        world.clocks.pass_s(20.1)
        new = taken(second, "twin")
        for write in (
            lambda: first.append(old, 1.0, 1.0, [began()], {}),
            lambda: first.append_all(old, [Draft(1.0, 1.0, [began()], {"a": 1})]),
            lambda: first.append_all(old, []),
            lambda: first.write_rows(old, {"a": 1}),
        ):
            with pytest.raises(StaleEpoch):
                write()
        assert (second.last_seq(), second.rows()) == (0, {})
        second.append(new, 1.0, 1.0, [began()], {})

    def test_given_back_it_is_neither_renewed_nor_given_back_again(self, world: World) -> None:
        journal = world.open(1)
        lease = taken(journal)
        for _ in range(2):
            journal.release(lease)
            assert not journal.renew(lease)
            assert journal.holder() is None

    def test_when_its_holder_was_last_heard_of(self, world: World) -> None:
        journal, reader = world.open(1), world.open(2)
        assert reader.heard() is None
        lease = taken(journal)
        assert reader.heard() == Heard(0.0, True)
        world.clocks.pass_s(5.0)
        assert reader.heard() == Heard(5.0, True)
        assert journal.renew(lease)
        assert reader.heard() == Heard(0.0, True)
        world.clocks.pass_s(21.0)
        assert reader.heard() == Heard(21.0, False)
        journal.release(lease)
        assert reader.heard() is None


class TestLeaseOfOneMachine:
    """What a machine knows of its own processes and clocks."""

    def test_of_a_process_that_is_gone_nobody_hears_any_more(self, world: World) -> None:
        taken(world.open(1))
        world.gone.add("boot-1")
        assert world.open(2).heard() == Heard(0.0, False)

    def test_the_process_is_named_to_whoever_is_refused(self, world: World) -> None:
        taken(world.open(1), "noc")
        assert "noc (process " in str(world.open(2).acquire("laptop", 20.0))

    def test_of_a_process_that_is_gone_it_is_taken_at_once(self, world: World) -> None:
        taken(world.open(1))
        world.gone.add("boot-1")
        assert taken(world.open(2), "twin").epoch == 2

    def test_a_wall_clock_that_jumps_changes_nothing_within_a_boot(self, world: World) -> None:
        taken(world.open(1))
        world.clocks.utc += 86400.0
        assert isinstance(world.open(2).acquire("twin", 20.0), Refused)

    def test_after_a_reboot_the_wall_clock_says_when_it_is_over(self, world: World) -> None:
        taken(world.open(1))
        world.clocks.reboot(down_s=8.0)
        answer = world.open(2).acquire("twin", 20.0)
        assert isinstance(answer, Refused)
        assert answer.ends_in_s == pytest.approx(12.0)
        world.clocks.pass_s(12.1)
        taken(world.open(2), "twin")

    def test_after_a_reboot_into_the_past_it_is_over_when_nobody_renewed_it_for_its_own_length(
        self, world: World
    ) -> None:
        taken(world.open(1))
        world.clocks.reboot(down_s=-1e6)
        waiting = world.open(2)
        answer = waiting.acquire("twin", 20.0)
        assert isinstance(answer, Refused)
        assert answer.ends_in_s == pytest.approx(20.0)
        world.clocks.pass_s(20.0)
        assert isinstance(waiting.acquire("twin", 20.0), Lease)


class TestBesideTheEntries:
    """Checkpoints, models, and the time axis."""

    def test_the_latest_checkpoint_is_found(self, world: World) -> None:
        journal = world.open()
        lease = taken(journal)
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
        journal.append(taken(journal), 1.0, 1.0, [began()], {})  # which binds them
        assert world.open(2).load_model("d1") == {"checks": {"a": [1, None]}}
        assert journal.load_model("d2") == {}


@each_store
class TestTheAxis:
    """Seconds that never fall, whoever opens it."""

    def test_it_begins_at_zero_with_the_workspace(self, world: World) -> None:
        axis = world.open().open_axis()
        assert (axis.now(), axis.assumed_gap_s, axis.same_boot) == (0.0, 0.0, False)
        world.clocks.pass_s(7.5)
        assert axis.now() == 7.5

    def test_whoever_opens_it_meanwhile_has_the_same(self, world: World) -> None:
        daemon = world.open(1).open_axis()
        world.clocks.pass_s(3.0)
        reader = world.open(2).open_axis(keep=False)
        world.clocks.pass_s(4.0)
        assert daemon.now() == reader.now() == 7.0
        assert daemon.wall() == world.clocks.wall()

    @pytest.mark.parametrize("noted", ["mark", "entry"])
    @pytest.mark.parametrize("down_s", [-1e6, 0.0, 60.0])
    def test_it_never_falls_over_a_restart(self, world: World, noted: str, down_s: float) -> None:
        journal = world.open(1)
        axis, lease = journal.open_axis(), taken(journal)
        world.clocks.pass_s(100.0)
        if noted == "mark":
            axis.mark()
        else:
            journal.append(lease, axis.now(), world.clocks.wall(), [began()], {})
        world.clocks.reboot(down_s)
        after = world.open(2).open_axis()
        assert 100.0 <= after.now() <= 100.0 + max(0.0, down_s)
        before = after.now()
        world.clocks.pass_s(1.0)
        assert after.now() >= before
        assert not after.same_boot

    def test_it_never_falls_while_it_is_open(self, world: World) -> None:
        axis = world.open().open_axis()
        seen = [axis.now()]
        for clock, by_s in [("up", -50.0), ("utc", -1e6), ("up", 30.0), ("utc", 1e6), ("up", -3.0)]:
            setattr(world.clocks, clock, getattr(world.clocks, clock) + by_s)
            seen.append(axis.now())
            world.clocks.pass_s(1.0)
            seen.append(axis.now())
        assert seen == sorted(seen)

    def test_a_mark_of_one_whose_clock_was_set_back_takes_nothing_back(self, world: World) -> None:
        one, other = world.open(1).open_axis(), world.open(2).open_axis()
        world.clocks.pass_s(100.0)
        one.mark()
        world.clocks.up -= 50.0
        other.mark()
        world.clocks.reboot(0.0)
        assert world.open(3).open_axis().now() >= 100.0

    def test_who_only_reads_keeps_nothing(self, world: World) -> None:
        reader = world.open(1).open_axis(keep=False)
        reader.mark()
        world.clocks.pass_s(5.0)
        assert world.open(2).open_axis().now() == 0.0


class TestAxisOfOneMachine:
    """What is kept of a boot."""

    def test_the_axis_of_a_boot_is_decided_by_the_first_who_puts_it(self, world: World) -> None:
        journal: Any = world.open()
        other: Any = world.open(2)
        assert journal.axis() is None
        first = AxisState("boot-1", -100.0, 0.0, 1e9)
        assert journal.put_axis(first) == first
        assert other.put_axis(AxisState("boot-1", -99.0, 4.0, 1e9 + 4)).offset_s == -100.0
        assert journal.axis() == AxisState("boot-1", -100.0, 4.0, 1e9 + 4)
        later = AxisState("boot-2", 50.0, 60.0, 1e9 + 60, gap_s=10.0)
        assert journal.put_axis(later) == journal.axis() == later


FIRST = 1_800_000_000.0


def verdict(n: int, check: str = "acme/web@web") -> VerdictChanged:
    """The `n`th change of a check that flaps: down at odd numbers."""
    now, was = (Verdict.DOWN, Verdict.UP) if n % 2 else (Verdict.UP, Verdict.DOWN)
    return VerdictChanged(float(n), check, was, now, float(n) - 1.0 if n % 2 else None, f"change {n}")


def opened(n: int, name: str = "i1") -> Record:
    return IncidentOpened(float(n), name, "acme/erp", float(n) - 2.0, None, "down")


def ended(n: int, name: str = "i1") -> Record:
    return IncidentEnded(float(n), name, Reason.RECOVERED_BY_ITSELF, "up", float(n), 5.0)


class TestUnderTheChain:
    """Checkpoints and models are used only where an entry names their bytes."""

    def test_a_checkpoint_has_an_entry_that_names_it(self, world: World) -> None:
        journal = world.open()
        lease = taken(journal)
        journal.append(lease, 1.0, 1.0, [began()], {})
        journal.checkpoint(1, {"state": 1})
        entry = list(journal.entries())[-1]
        assert [(b.kind, b.name, len(b.sha256)) for b in entry.binds] == [(Bound.CHECKPOINT, "1", 64)]
        assert (entry.seq, entry.records, entry.epoch) == (2, (), lease.epoch)
        assert journal.verify() == []

    def test_a_checkpoint_is_kept_under_a_lease_alone(self, world: World) -> None:
        journal = world.open()
        with pytest.raises(ValueError, match="under a lease"):
            journal.checkpoint(0, {})

    def test_an_altered_checkpoint_is_passed_over_and_found(self, world: World) -> None:
        journal = world.open()
        lease = taken(journal)
        for n in (1, 2):
            entry = journal.append(lease, float(n), 1.0, [began(n)], {})
            journal.checkpoint(entry.seq, {"state": n})
        world.alter_checkpoint(3, b'{"state":7}')
        why: list[str] = []
        assert world.open(2).latest_checkpoint(why.append) == (1, {"state": 1})
        assert why == ["the checkpoint of entry 3 is not used: it was changed after it was written"]
        (fault,) = world.open(2).verify()
        assert (fault.fault, fault.seq) == (Fault.ALTERED, 3)
        assert "checkpoint of entry 3" in str(fault)

    def test_a_checkpoint_put_there_from_outside_is_passed_over(self, world: World) -> None:
        journal = world.open()
        lease = taken(journal)
        for n in (1, 2):
            journal.append(lease, float(n), 1.0, [began(n)], {})
        journal.checkpoint(1, {"state": 1})
        world.add_checkpoint(2, b'{"state":7}')
        why: list[str] = []
        assert world.open(2).latest_checkpoint(why.append) == (1, {"state": 1})
        assert why == ["the checkpoint of entry 2 is not used: the chain does not name it"]
        assert [f.fault for f in world.open(2).verify()] == [Fault.ALTERED]

    def test_an_altered_model_is_refused_and_found(self, world: World) -> None:
        journal = world.open()
        journal.store_model("d1", {"checks": {}})
        journal.append(taken(journal), 1.0, 1.0, [began()], {})
        world.alter_model("d1", b'{"checks":{"a":1}}')
        with pytest.raises(JournalUnreadable, match="d1 in the journal is refused: it was changed"):
            world.open(2).load_model("d1")
        assert [str(f) for f in world.open(2).verify()] == [
            "model d1: altered: it was changed after it was stored; it is refused"
        ]

    def test_a_model_that_was_stored_by_its_contents_vouches_for_itself(self, world: World) -> None:
        model: dict[str, Json] = {"digest": "", "checks": {"a": 1}}
        digest = sha256(dumps(model))[:32]
        journal = world.open()
        journal.store_model(digest, {**model, "digest": digest})
        assert world.open(2).load_model(digest) == {**model, "digest": digest}

    def test_a_model_that_the_chain_names_is_missed(self, world: World) -> None:
        journal = world.open()
        journal.store_model("d1", {})
        journal.append(taken(journal), 1.0, 1.0, [began()], {})
        world.alter_model("d1", None)
        assert [f.fault for f in world.open(2).verify()] == [Fault.MISSING]

    def test_epochs_never_fall(self, world: World) -> None:
        journal = world.open()
        first = taken(journal)
        second = taken(journal)
        journal.append(second, 1.0, 1.0, [began()], {})
        look = Examination(Beside(epoch=9), no_gaps, ())
        bodies = [body_of(1, 1.0, 1.0, second.epoch, [], {}), body_of(2, 1.0, 1.0, first.epoch, [], {})]
        one = link(GENESIS, bodies[0])
        look.look([(1, bodies[0], one), (2, bodies[1], link(one, bodies[1]))])
        assert "its epoch 1 follows epoch 2" in str(look.faults[0])


class TestTheHead:
    """What is kept elsewhere tells a journal that was cut off, or written anew."""

    def test_it_is_the_latest_entry(self, world: World) -> None:
        journal = world.open()
        assert journal.head() == Head(0, bytes(32).hex())
        journal.append(taken(journal), 1.0, FIRST, [began()], {})
        head = world.open(2).head()
        assert (head.seq, len(head.hash), head.wall) == (1, 64, FIRST)
        assert heads_in(line_of(head)) == [Head(1, head.hash)]

    def test_an_earlier_head_of_the_same_journal_is_found_in_it(self, world: World) -> None:
        journal = world.open()
        lease = taken(journal)
        journal.append(lease, 1.0, 1.0, [began()], {})
        head = journal.head()
        journal.append(lease, 2.0, 2.0, [began(2)], {})
        found = journal.examine([head])
        assert (found.faults, journal.differs(head)) == ((), None)
        assert "up to entry 1 it is the journal whose head was kept elsewhere" in found.notes[0]
        assert journal.examine([journal.head()]).notes == ()

    def test_of_another_journals_head_nothing_is_said_to_fit(self, world: World) -> None:
        journal = world.open()
        lease = taken(journal)
        journal.append(lease, 1.0, 1.0, [began()], {})
        head = journal.head()
        journal.append(lease, 2.0, 2.0, [began(2)], {})
        for other in (Head(1, "ab" * 32), Head(9, "ab" * 32)):
            found = journal.examine([other])
            assert [fault.seq for fault in found.faults], "it is a fault"
            assert found.notes == ("at no entry is it shown to be the journal whose head was kept elsewhere",)
            assert journal.examine([head, other]).notes == (
                "up to entry 1 it is the journal whose head was kept elsewhere",
            )

    def test_without_one_it_says_what_cannot_be_seen(self, world: World) -> None:
        journal = world.open()
        journal.append(taken(journal), 1.0, 1.0, [began()], {})
        assert "compared with no head kept elsewhere" in journal.examine().notes[0]

    def test_a_journal_that_ends_before_it_was_cut_off(self, world: World) -> None:
        journal = world.open()
        journal.append(taken(journal), 1.0, 1.0, [began()], {})
        gone = Head(3, "ab" * 32)
        (fault,) = journal.examine([gone]).faults
        assert (fault.fault, fault.seq) == (Fault.SHORT, 3)
        assert journal.differs(gone) == "it ends at entry 1, and entry 3 was there"

    def test_another_entry_of_its_number_is_a_rewritten_chain(self, world: World) -> None:
        journal = world.open()
        journal.append(taken(journal), 1.0, 1.0, [began()], {})
        (fault,) = journal.examine([Head(1, "ab" * 32)]).faults
        assert (fault.fault, fault.seq) == (Fault.REWRITTEN, 1)
        assert journal.differs(Head(1, "ab" * 32)) == "entry 1 is not the one that it was"


def test_several_entries_are_written_all_of_them_or_none(world: World) -> None:
    """The second cannot be written: the first is not there either, nor are its rows."""
    journal = world.open()
    lease = taken(journal)
    broken = replace(verdict(2), evidence=typing.cast(str, object()))
    for drafts in (
        [Draft(1.0, 1.0, [verdict(1)], {"a": 1}), Draft(2.0, 2.0, [broken], {})],
        [Draft(1.0, 1.0, [verdict(1)], {"a": 1}), Draft(2.0, 2.0, [verdict(2)], {"b": typing.cast(Json, object())})],
    ):
        with pytest.raises(CodecError):
            journal.append_all(lease, drafts)
        assert (journal.last_seq(), dict(journal.rows())) == (0, {})
    with pytest.raises(TypeError):  # whatever is wrong with it
        journal.append_all(lease, [drafts[0], Draft(2.0, 2.0, typing.cast(list[Record], None), {})])
    assert (journal.last_seq(), dict(journal.rows())) == (0, {})
    assert [x.seq for x in journal.append_all(lease, [Draft(3.0, 3.0, [verdict(1)], {"a": 1})])] == [1]


class TestGrowth:
    """A check that flaps for months: what is read of it, and what is kept."""

    def flapped(self, world: World) -> tuple[Journal, Lease]:
        """Three thousand changes, an incident in their midst, and as many changes while it is open."""
        journal = world.open()
        lease = taken(journal)
        n = 0

        def flap(times: int) -> None:
            nonlocal n
            drafts = []
            for _ in range(times):
                n += 1
                drafts.append(Draft(float(n), FIRST + n, [verdict(n)], {}))
            journal.append_all(lease, drafts)

        def told(record: Record) -> None:
            nonlocal n
            n += 1
            journal.append(lease, float(n), FIRST + n, [record], {})

        told(Configured(0.5, "m1", {"acme/erp": None}))
        flap(3000)
        told(opened(n + 1))
        flap(3000)
        told(ended(n + 1))
        flap(3000)
        journal.checkpoint(journal.last_seq(), {})
        return journal, lease

    def test_a_story_is_read_without_what_tells_of_none(self, world: World) -> None:
        journal, _ = self.flapped(world)
        story = list(journal.story())
        assert [e.seq for e in story] == sorted({e.seq for e in story})
        assert len(story) < 1000
        seqs = {e.seq for e in story}
        assert seqs >= {1, *range(2802, 3053), *range(5953, 6004), journal.last_seq()}
        assert [type(x) for e in journal.naming(Configured, IncidentEnded) for x in e.records] == [
            Configured,
            IncidentEnded,
        ]
        assert [e.seq for e in journal.story(6003)] == [s for s in sorted(seqs) if s > 6003]
        stored = list(journal.told())
        assert [x.entry for x in stored] == story
        assert all(link(x.before, x.body) == x.hash and entry_of(x.body) == x.entry for x in stored)
        assert all(b.before == a.hash for a, b in pairwise(stored) if b.entry.seq == a.entry.seq + 1)

    def test_thinning_changes_no_state_and_no_story(self, world: World) -> None:
        journal, lease = self.flapped(world)
        before, told = fold(x for e in journal.entries() for x in e.records), list(journal.story())
        count = len(list(journal.entries()))
        gone = sum(journal.thin(lease, before=1e9))
        left = list(journal.entries())
        assert gone > 8000
        assert len(left) < count - 8000 + 10
        assert fold(x for e in left for x in e.records) == before
        again = list(journal.story())
        assert again[: len(told) - 1] == told[:-1]  # the latest entry is always read
        assert journal.verify() == []
        assert sum(journal.thin(lease, before=1e9)) < 100  # of each block the latest falls stay, until the next time
        assert journal.verify() == []
        assert fold(x for e in world.open(2).entries() for x in e.records) == before

    def test_what_is_younger_stays(self, world: World) -> None:
        journal, lease = self.flapped(world)
        sum(journal.thin(lease, before=1000.0))
        left = [e.seq for e in journal.entries()]
        assert [s for s in left if s >= 1000] == list(range(1000, journal.last_seq() + 1))
        assert len(left) < journal.last_seq() - 900

    def test_without_a_checkpoint_nothing_goes(self, world: World) -> None:
        journal = world.open()
        lease = taken(journal)
        for n in range(1, 50):
            journal.append(lease, float(n), float(n), [verdict(n)], {})
        for below in (None, 40):
            assert sum(journal.thin(lease, before=1e9, below=below)) == 0
        assert len(list(journal.entries())) == 49

    def test_reading_goes_on_from_an_entry_that_was_let_go_of(self, world: World) -> None:
        journal, lease = self.flapped(world)
        sum(journal.thin(lease, before=1e9))
        there = {e.seq for e in journal.entries()}
        assert 500 not in there
        assert next(iter(journal.entries(after=500))).seq == min(s for s in there if s > 500)

    def test_an_anchored_head_survives(self, world: World) -> None:
        journal, lease = self.flapped(world)
        heads = [Head(e.seq, h) for e, h in zip(journal.entries(), hashes(journal), strict=True)][::400]
        sum(journal.thin(lease, before=1e9))
        found = journal.examine(heads)
        assert [fault.seq for fault in found.faults] == [heads[-1].seq], "anybody could have put a gap over it"
        found = journal.examine([*heads, journal.head()])
        assert found.faults == ()
        assert any("was let go of: compare with a later head" in note for note in found.notes)
        assert [journal.differs(head) for head in heads] == [None] * len(heads)
        assert "was let go of" in (journal.differs(heads[-1], newest=True) or "")
        assert journal.differs(journal.head(), newest=True) is None

    def test_from_the_latest_head_that_was_kept_elsewhere_on_nothing_goes(self, world: World) -> None:
        journal, lease = self.flapped(world)
        sum(journal.thin(lease, before=1e9, below=1500))
        left = [e.seq for e in journal.entries()]
        assert [s for s in left if s >= 1500] == list(range(1500, journal.last_seq() + 1))
        assert len(left) < journal.last_seq() - 1400

    def test_what_is_beside_a_gap_cannot_be_changed(self, world: World) -> None:
        journal, lease = self.flapped(world)
        sum(journal.thin(lease, before=1e9))
        left = [e.seq for e in journal.entries()]
        for seq in (s for s, following in pairwise(left) if following > s + 1):
            world.alter_hash(seq)
            assert any(f.seq in (seq, seq + 1) for f in world.open(2).verify())
            break
        else:
            pytest.fail("no gap was left")

    def test_entries_that_somebody_else_took_away_are_missed(self, world: World) -> None:
        journal, _ = self.flapped(world)
        world.take_away(100, 200)
        assert any(f.fault is Fault.MISSING for f in world.open(2).verify())
        world.add_gap(100, 200)
        assert any("no entry says that they were let go of" in str(f) for f in world.open(2).verify())
        assert journal.last_seq()


def hashes(journal: Journal) -> list[str]:
    """The hash of every entry, worked out anew."""
    found, previous = [], GENESIS
    for e in journal.entries():
        previous = link(previous, body_of(e.seq, e.at, e.wall, e.epoch, e.records, e.rows, e.binds))
        found.append(previous.hex())
    return found
