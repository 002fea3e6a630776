"""What a daemon does for its journal: anchors its head, compares it at the next start, lets go of what nobody needs."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import structlog

from orchestrator.config.settings import JournalSettings
from orchestrator.core.commands import TellPeople
from orchestrator.core.records import Verdict, VerdictChanged
from orchestrator.journal.anchors import Anchors, heads_in
from orchestrator.journal.chain import Gap
from orchestrator.journal.journal import Draft, JournalUnreadable
from orchestrator.journal.lease import Lease
from orchestrator.journal.sqlite import SqliteJournal, journal_path
from orchestrator.notify.in_thread import in_thread
from orchestrator.shell import upkeep
from orchestrator.shell.upkeep import Upkeep
from orchestrator.shell.waiting import until
from orchestrator.shell.wiring import Controller
from tests.journal.test_forged_gaps import Forger
from tests.journal.test_time_stamps import Authority, authority
from tests.shell.small import PATIENCE_S, Small, write

__all__ = ["authority"]
pytestmark = pytest.mark.usefixtures("nothing_warm")


def cut_off(path: Path, after: int) -> None:
    """Take the end away, and say that it ended there."""
    db = sqlite3.connect(path)
    db.execute("DROP TRIGGER entries_stay")
    db.execute("DELETE FROM entries WHERE seq > ?", (after,))
    db.execute("UPDATE head SET seq = ?, hash = (SELECT hash FROM entries WHERE seq = ?)", (after, after))
    db.commit()
    db.close()


async def started_and_stopped(small: Small) -> None:
    controller = Controller(small.path)
    await controller.start()
    await controller.close()


async def held(small: Small) -> tuple[SqliteJournal, Lease]:
    """The journal of a controller that has ended, and the lease on it."""
    await started_and_stopped(small)
    journal = SqliteJournal(journal_path(small.path))
    lease = journal.acquire("test", 20.0)
    assert isinstance(lease, Lease)
    return journal, lease


async def test_a_graceful_end_anchors_the_last_entry(small: Small, tmp_path: Path) -> None:
    heads = tmp_path / "elsewhere"
    write(small.path / "bascule.yml", f"journal: {{anchor: {{file: {heads}}}}}\n")
    await started_and_stopped(small)
    journal = SqliteJournal(journal_path(small.path), read_only=True)
    assert [head.seq for head in heads_in(heads.read_text())] == [journal.last_seq()]
    assert journal.examine(heads_in(heads.read_text())).notes == ()
    journal.close()


async def test_a_journal_that_was_cut_off_is_not_acted_on(small: Small, tmp_path: Path) -> None:
    heads = tmp_path / "elsewhere"
    write(small.path / "bascule.yml", f"journal: {{anchor: {{file: {heads}}}}}\n")
    await started_and_stopped(small)
    cut_off(journal_path(small.path), 1)
    with pytest.raises(JournalUnreadable, match=f"not the one whose head was kept in {heads}: it ends at entry 1"):
        await Controller(small.path).start()
    heads.write_text("")  # as the message says, where an older copy was put back on purpose
    await started_and_stopped(small)


async def test_a_journal_that_was_cut_off_is_not_acted_on_where_its_head_was_signed(
    small: Small, tmp_path: Path, authority: Authority
) -> None:
    """Tokens of the authority vouch; a line that somebody wrote beside them does not."""
    stamps = tmp_path / "stamps"
    stamps.mkdir()
    of = f"{{url: '{authority.url}', certificate: {authority.place}/ca.pem, folder: {stamps}}}"
    write(small.path / "bascule.yml", f"journal: {{anchor: {{time_stamp: {of}}}}}\n")
    await started_and_stopped(small)
    (signed,) = stamps.glob("*.head")
    name, number, _ = signed.name.split(".")
    write(stamps / f"{name}.{int(number) + 100}.head", f"{int(number) + 100}:{'ab' * 32} 2027-01-15T08:00:00Z {name}\n")
    await started_and_stopped(small)
    cut_off(journal_path(small.path), 1)
    with pytest.raises(JournalUnreadable, match=f"not the one whose head was kept in {stamps}: it ends at entry 1"):
        await Controller(small.path).start()


async def test_a_place_that_could_not_be_read_at_the_start_is_compared_before_a_head_is_kept_there(
    small: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the next head would stand beside one that this journal never had, and all would look well."""
    monkeypatch.setattr(upkeep, "FIRST_AFTER_S", 0.0)
    heads, away = tmp_path / "elsewhere", tmp_path / "away"
    write(small.path / "bascule.yml", f"journal: {{anchor: {{file: {heads}}}}}\n")
    await started_and_stopped(small)
    before = heads.read_text()
    cut_off(journal_path(small.path), 1)
    heads.rename(away)
    journal = SqliteJournal(journal_path(small.path))
    lease = journal.acquire("test", 20.0)
    assert isinstance(lease, Lease)
    kept = Upkeep(small.path, journal, JournalSettings(anchor_file=heads), in_thread)
    away.rename(heads)
    told: list[TellPeople] = []
    task = asyncio.create_task(kept.run(lease, lambda: 1e6, told.append))
    while not told:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.wait({task})
    assert "the journal is not the one whose head is there: it ends at entry" in told[0].text
    assert list(kept.failed()) == [str(heads)]
    assert heads.read_text() == before
    journal.close()


async def test_a_journal_that_could_be_compared_with_nothing_is_told(small: Small, tmp_path: Path) -> None:
    """An archive that is not mounted looks like one in which nothing was ever kept."""
    heads = tmp_path / "elsewhere"
    write(small.path / "bascule.yml", f"journal: {{anchor: {{file: {heads}}}}}\n")
    await started_and_stopped(small)
    heads.unlink()
    with structlog.testing.capture_logs() as said:
        await started_and_stopped(small)
    assert [x["why"] for x in said if x["event"] == "the journal was compared with nothing"] == [
        f"no head of it is kept in {heads}"
    ]
    heads.unlink()
    heads.mkdir()
    controller = Controller(small.path)
    await controller.start()
    assert controller.upkeep.failed() == {
        str(heads): "Is a directory at the start: the journal was not compared with it"
    }
    await controller.close()


async def test_under_another_name_a_journal_that_was_cut_off_is_not_acted_on_either(
    small: Small, tmp_path: Path
) -> None:
    """Whoever can cut the journal off can write beside it what its heads were looked for by."""
    heads = tmp_path / "elsewhere"
    write(small.path / "bascule.yml", f"journal: {{anchor: {{file: {heads}}}}}\n")
    await started_and_stopped(small)
    cut_off(journal_path(small.path), 1)
    (small.path / ".bascule" / "identity").write_text("another\n")
    with pytest.raises(JournalUnreadable, match="it ends at entry 1"):
        await Controller(small.path).start()


async def test_an_end_that_is_said_to_have_been_let_go_of_is_not_acted_on(small: Small, tmp_path: Path) -> None:
    heads = tmp_path / "elsewhere"
    write(small.path / "bascule.yml", f"journal: {{anchor: {{file: {heads}}}}}\n")
    await started_and_stopped(small)
    (head,) = heads_in(heads.read_text())
    forger = Forger(journal_path(small.path))
    gap = Gap(2, head.seq, forger.hash(1), forger.hash(head.seq))
    forger.cut_off(1)
    forger.write(head.seq + 1, gap.after, (gap,))
    forger.let_go(gap, head.seq + 1)
    forger.end(head.seq + 1)
    with pytest.raises(JournalUnreadable, match=f"it says that entry {head.seq} was let go of"):
        await Controller(small.path).start()


async def test_an_altered_model_is_not_acted_on(small: Small) -> None:
    await started_and_stopped(small)
    db = sqlite3.connect(journal_path(small.path))
    db.execute("UPDATE models SET model = replace(model, '\"rto_s\":300.0', '\"rto_s\":3000.0')")
    assert db.total_changes == 1
    db.commit()
    db.close()
    with pytest.raises(JournalUnreadable, match="is refused: it was changed after it was stored"):
        await Controller(small.path).start()


async def test_the_head_is_anchored_once_a_day_and_after_a_failure_again_in_ten_minutes(
    small: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the time that passes, and not by a clock that is set. A restart anchors at once."""
    journal, lease = await held(small)
    heads = tmp_path / "elsewhere"
    passed, tries, asked = [0.0], list[float](), [0]

    def clock() -> float:
        asked[0] += 1
        return passed[0]

    def keep(*given: object) -> dict[str, str]:
        tries.append(passed[0])
        return kept_by(*given)  # type: ignore[arg-type]

    kept_by = upkeep.anchoring.keep
    monkeypatch.setattr(upkeep, "time", SimpleNamespace(monotonic=clock))
    monkeypatch.setattr(upkeep, "FIRST_AFTER_S", 0.0)
    monkeypatch.setattr(upkeep, "LOOK_EVERY_S", 0.002)
    monkeypatch.setattr(upkeep.anchoring, "keep", keep)
    told: list[TellPeople] = []

    async def until_s(moment: float, step_s: float = 300.0) -> None:
        while passed[0] < moment:
            passed[0] = min(moment, passed[0] + step_s)
            looks = asked[0] + 6  # it has looked twice since, whatever it had to do
            assert await until(lambda looks=looks: asked[0] >= looks, PATIENCE_S, asyncio.sleep)  # type: ignore[misc]

    for begins in (0.0, 1_000_000.0):
        passed[0] = begins
        tries.clear()
        of = Upkeep(small.path, journal, JournalSettings(anchor_file=heads), in_thread)
        task = asyncio.create_task(of.run(lease, lambda: 1e6, told.append))
        assert await until(lambda: len(tries) == 1, PATIENCE_S, asyncio.sleep)
        await until_s(begins + 86000.0, 1e4)
        assert tries == [begins]
        await until_s(begins + 86400.0 + 600.0)
        assert [x - begins for x in tries] == [0.0, pytest.approx(86400.0, abs=600.0)]
        assert not told
        task.cancel()
        await asyncio.wait({task})

    heads.unlink()
    heads.mkdir()  # nothing can be kept there
    passed[0], begins = 2_000_000.0, 2_000_000.0
    tries.clear()
    of = Upkeep(small.path, journal, None, in_thread)
    of.use(JournalSettings(anchor_file=heads))
    task = asyncio.create_task(of.run(lease, lambda: 1e6, told.append))
    assert await until(lambda: len(tries) == 1, PATIENCE_S, asyncio.sleep)
    await until_s(begins + 2700.0)
    assert 4 <= len(tries) <= 5, "each ten minutes"
    assert len(told) == 1, "one failure may pass by itself, and one notice is enough"
    heads.rmdir()
    await until_s(begins + 3600.0)
    so_far = len(tries)
    await until_s(begins + 80000.0, 1e4)
    assert (len(tries), of.failed()) == (so_far, {})
    task.cancel()
    await asyncio.wait({task})
    journal.close()


async def test_what_fails_is_told_to_people(small: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FIRST_AFTER_S", "AGAIN_S", "DAILY_S"):
        monkeypatch.setattr(upkeep, name, 0.0)
    said: list[TellPeople] = []
    journal, lease = await held(small)
    settings = JournalSettings(anchor_file=tmp_path / "none" / "heads")
    kept = Upkeep(small.path, journal, settings, in_thread)
    task = asyncio.create_task(kept.run(lease, lambda: 0.0, said.append))
    while not said:
        kept.use(settings)  # do not wait a minute
        await asyncio.sleep(0.05)
    task.cancel()
    where, why = f"file {tmp_path}/none/heads", "No such file or directory"
    assert said[0].text == f"the journal's head cannot be kept elsewhere: {where}: {why}"
    assert kept.told()["failed"] == {where: why}  # type: ignore[index,call-overload]
    journal.close()


async def test_a_running_daemon_lets_go_while_another_writes(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "FIRST_AFTER_S", 0.0)
    journal, lease = await held(small)
    drafts = []
    for n in range(6000):
        now, was = (Verdict.DOWN, Verdict.UP) if n % 2 else (Verdict.UP, Verdict.DOWN)
        drafts.append(Draft(float(n), float(n), [VerdictChanged(float(n), "acme/x", was, now, None, "")], {}))
    journal.append_all(lease, drafts)
    journal.checkpoint(journal.last_seq(), {})
    kept = Upkeep(small.path, journal, JournalSettings(keep_s=86400.0), in_thread)
    task = asyncio.create_task(kept.run(lease, lambda: 1e6, lambda _told: None))
    while kept.told()["let_go"] < 5900:  # type: ignore[index,call-overload,operator]
        journal.append(lease, 6000.0, 6000.0, [drafts[0].records[0]], {})
        await asyncio.sleep(0.02)
    task.cancel()
    await kept.end()
    assert journal.verify() == []
    assert len(list(journal.entries())) < journal.last_seq() - 5800
    journal.close()


async def test_while_no_head_can_be_kept_elsewhere_nothing_is_let_go_of(small: Small, tmp_path: Path) -> None:
    """The one that was kept last, and cannot be read now, may be of what would go."""
    journal, lease = await held(small)
    verdicts = [VerdictChanged(float(n), "acme/x", Verdict.UP, Verdict.DOWN, None, "") for n in range(600)]
    journal.append_all(lease, [Draft(x.at, x.at, [x], {}) for x in verdicts])
    journal.checkpoint(journal.last_seq(), {})
    away = tmp_path / "mount"
    kept = Upkeep(small.path, journal, JournalSettings(keep_s=1.0, anchor_file=away / "heads"), in_thread)
    kept._axis_now = lambda: 1e6
    assert await kept._anchor_within(kept._anchors)
    assert kept._thin(lease)
    assert kept.told()["let_go"] == 0  # type: ignore[index,call-overload]
    away.mkdir()
    assert not await kept._anchor_within(kept._anchors)
    assert kept._thin(lease)
    assert kept.told()["let_go"] > 500  # type: ignore[index,call-overload,operator]
    journal.close()


async def test_it_ends_though_its_settings_have_just_changed(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    """Told to end in each instant after a reload: what has just been heard does not make it forget that."""
    monkeypatch.setattr(upkeep, "FIRST_AFTER_S", 0.0)
    journal, lease = await held(small)
    kept = Upkeep(small.path, journal, None, in_thread)
    for instants in range(6):
        task = asyncio.create_task(kept.run(lease, lambda: 1e6, lambda _told: None))
        while kept._changed.is_set() or not kept._changed._waiters:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        kept.use(None)
        for _ in range(instants):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task}, timeout=5.0)
        assert task.done(), instants
    journal.close()


async def test_a_place_that_hangs_keeps_neither_a_start_nor_an_end(
    small: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pipe that nobody reads, as a mount that does not answer."""
    monkeypatch.setattr(upkeep, "AT_THE_END_S", 0.2)
    monkeypatch.setattr(upkeep, "READ_WITHIN_S", 0.2)
    heads = tmp_path / "elsewhere"
    os.mkfifo(heads)
    write(small.path / "bascule.yml", f"journal: {{anchor: {{file: {heads}}}}}\n")
    await started_and_stopped(small)
    _let_go_on(heads)


async def test_what_hangs_keeps_one_thread_and_not_one_more_at_each_try(small: Small, tmp_path: Path) -> None:
    """And the status says where."""
    heads = tmp_path / "elsewhere"
    await started_and_stopped(small)
    journal = SqliteJournal(journal_path(small.path))
    kept = Upkeep(small.path, journal, None, in_thread)
    os.mkfifo(heads)
    before = set(threading.enumerate())
    for _ in range(3):
        assert await kept._anchor_within(Anchors(file=heads, timeout_s=0.1), 0.5)
    assert kept.failed() == {"anchor": "a place did not come back in time"}
    ends = time.monotonic() + 30.0  # one that has given up needs a moment to be gone
    while len(left := [t for t in threading.enumerate() if t.name == "notify" and t not in before]) != 1:
        assert time.monotonic() < ends, left
        await asyncio.sleep(0.01)
    _let_go_on(heads)
    journal.close()


def _let_go_on(pipe: Path) -> None:
    """Whoever waits for somebody at the other end."""
    os.close(os.open(pipe, os.O_RDWR | os.O_NONBLOCK))
