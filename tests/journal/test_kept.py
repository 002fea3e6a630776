"""Journals that were written by a version of their time are kept here, and every later version reads them.

`kept/format-N.sql` is a whole journal, as the version that wrote format N wrote it. `kept/records.json` is one record
of each kind, a line each: what a line says is never changed. A new kind, or a new format, gets a line or a file:

    python -m tests.journal.test_kept    adds what lacks
"""

from __future__ import annotations

import sqlite3
import types
import typing
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import pytest

from orchestrator.core.codec import decode, decode_tagged, dumps, encode, encode_tagged, loads
from orchestrator.core.model import Json, Model
from orchestrator.core.records import RECORDS
from orchestrator.core.state.fold import fold
from orchestrator.journal import queries
from orchestrator.journal.journal import JournalUnwritable
from orchestrator.journal.lease import Lease, Refused
from orchestrator.journal.machine_lease import MachineLease
from orchestrator.journal.process import Process
from orchestrator.journal.sqlite import SqliteJournal
from orchestrator.reports.stories import Stories
from tests.journal.clocks import HandClocks
from tests.reports.sample import WALL, Tape, asked_act, first_act, second_act, small_model

KEPT = Path(__file__).parent / "kept"
RECORDS_KEPT = KEPT / "records.json"
BOOT = "6f0c2d1e-0000-4000-8000-000000000001"
HOLDER = Process(BOOT, "pid:[4026531836]", 4242, 90000)
MODEL_OF = {1: "b3654bbd2ab320cef13242d217dd6597", 2: "84872d20cb1d198b960ea6cd5194acf8"}
FORMATS = range(1, queries.VERSION + 1)

each_format = pytest.mark.parametrize("number", FORMATS)


def opened(path: Path, pid: int = 1, *, read_only: bool = False, clocks: HandClocks | None = None) -> SqliteJournal:
    """As another process of the same boot, a second after the last entry."""
    clocks = clocks or HandClocks(2000.0, WALL + 1000.0, BOOT)
    process = Process(BOOT, HOLDER.space, pid, 1)
    return SqliteJournal(path, read_only=read_only, clocks=clocks, process=process, gone=lambda _: False)


@pytest.fixture
def path(number: int, tmp_path: Path) -> Iterator[Path]:
    """The journal of this format, in a file of its own."""
    path = tmp_path / "journal.db"
    with closing(sqlite3.connect(path)) as db:
        db.executescript((KEPT / f"format-{number}.sql").read_text(encoding="utf-8"))
    return path


@each_format
class TestJournals:
    """Every format that there ever was."""

    def test_it_is_of_that_format(self, number: int, path: Path) -> None:
        with closing(sqlite3.connect(path)) as db:
            assert db.execute("PRAGMA user_version").fetchone() == (number,)

    def test_whoever_only_reads_finds_everything_and_changes_nothing(self, number: int, path: Path) -> None:
        reader = opened(path, read_only=True)
        before = path.read_bytes()
        assert reader.verify() == []
        entries = list(reader.entries())
        assert len(entries) == reader.last_seq() == 46 + number
        decided = fold(x for e in entries for x in e.records)
        stories = Stories(lambda _digest: small_model())
        stories.read(reader.story())
        assert list(stories.stories) == ["i1", "i2", "i3"]
        assert decided.epoch == 1
        assert set(reader.rows()) == {"acme/erp-transaction"}
        stored = reader.load_model(MODEL_OF[number])
        assert decode(Model, stored).checks.keys() == small_model().checks.keys()
        reader.close()
        assert path.read_bytes() == before

    def test_its_lease_and_its_axis_go_on(self, number: int, path: Path) -> None:
        journal = opened(path)
        held = journal.holder()
        assert isinstance(held, MachineLease)
        assert (held.holder, held.epoch, held.process, held.ttl_s, held.beat) == ("noc", 1, HOLDER, 20.0, 1)
        axis = journal.open_axis()
        last = list(journal.entries())[-1]
        assert (axis.same_boot, axis.now()) == (True, 1000.0)
        assert last.at < 1000.0
        assert journal.heard() is not None

    def test_it_is_refused_while_it_is_held(self, number: int, path: Path) -> None:
        held = opened(path).holder()
        assert isinstance(held, MachineLease)
        clocks = HandClocks(held.ends_boottime - 5.0, held.ends_wall - 5.0, BOOT)
        answer = opened(path, clocks=clocks).acquire("twin", 20.0)
        assert isinstance(answer, Refused)
        assert (answer.ends_in_s, "noc (process 4242)" in str(answer)) == (5.0, True)

    def test_it_is_taken_over_written_on_and_whole(self, number: int, path: Path) -> None:
        journal = opened(path)
        count = journal.last_seq()
        lease = journal.acquire("twin", 20.0)
        assert isinstance(lease, Lease)
        assert lease.epoch == 2
        assert journal.append(lease, 1000.0, WALL + 1000.0, [], {"acme/erp-transaction": None}).seq == count + 1
        list(journal.index())
        decided = fold(x for e in journal.entries() for x in e.records)
        journal.checkpoint(count + 1, encode(decided))
        assert journal.latest_checkpoint() == (count + 1, encode(decided))
        assert journal.verify() == []
        journal.close()
        with pytest.raises(JournalUnwritable):
            opened(path, read_only=True).acquire("reader", 20.0)


def test_the_present_format_is_kept() -> None:
    assert sorted(KEPT.glob("format-*.sql")) == sorted(KEPT / f"format-{n}.sql" for n in FORMATS)


def kept_records() -> list[str]:
    """The lines."""
    return RECORDS_KEPT.read_text(encoding="ascii").splitlines() if RECORDS_KEPT.exists() else []


@pytest.mark.parametrize("line", kept_records(), ids=lambda line: loads(line.encode())["kind"])  # type: ignore[index,call-overload]
def test_a_record_says_what_it_said(line: str) -> None:
    said = loads(line.encode())
    assert isinstance(said, dict)
    assert still_says(encode_tagged(decode_tagged(RECORDS, said)), said)


def still_says(now: Json, then: Json) -> bool:
    """Whether all of it is there; what it is made of may have got further fields since."""
    if isinstance(then, dict) and isinstance(now, dict):
        return all(key in now and still_says(now[key], value) for key, value in then.items())
    if isinstance(then, list) and isinstance(now, list):
        return len(now) == len(then) and all(map(still_says, now, then))
    return now == then


def test_what_is_kept_is_compared_to_its_depth() -> None:
    said: Json = {"steps": [{"name": "a"}], "at": 1.0}
    assert still_says({"steps": [{"name": "a", "simulated": False}], "at": 1.0, "more": 0}, said)
    assert not still_says({"steps": [{"name": "b"}], "at": 1.0}, said)
    assert not still_says({"steps": [], "at": 1.0}, said)


def test_every_kind_of_record_is_kept() -> None:
    kinds = {said["kind"] for said in (loads(line.encode()) for line in kept_records()) if isinstance(said, dict)}
    assert kinds >= RECORDS.keys(), "python -m tests.journal.test_kept"


# ---- what lacks is added


def some(hint: Any, name: str) -> Any:
    """A value of this type."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return some(next(x for x in arguments if x is not type(None)), name)
    if origin is tuple:
        return tuple(some(x, name) for x in arguments if x is not Ellipsis)
    if origin is not None and issubclass(origin, Mapping):
        return {some(arguments[0], name): some(arguments[1], name)}
    if origin is not None:  # a set
        return origin([some(arguments[0], name)])
    if is_dataclass(hint):
        hints = typing.get_type_hints(hint)
        return hint(**{x.name: some(hints[x.name], x.name) for x in fields(hint)})  # type: ignore[operator]
    if issubclass(hint, Enum):
        return next(iter(hint))
    return {bool: True, int: 3, float: 1.5, str: name}[hint]


def add_what_lacks() -> None:
    """A line for each new kind of record; the present format's journal."""
    there = kept_records()
    known = {said["kind"] for said in map(loads, (line.encode() for line in there)) if isinstance(said, dict)}
    new = [dumps(encode_tagged(some(cls, kind))).decode() for kind, cls in RECORDS.items() if kind not in known]
    RECORDS_KEPT.write_text("".join(f"{line}\n" for line in (*there, *new)), encoding="ascii")
    kept = KEPT / f"format-{queries.VERSION}.sql"
    if not kept.exists():
        write_journal(kept)


def write_journal(kept: Path) -> None:
    """As this version writes it."""
    path = kept.with_suffix(".db")
    clocks = HandClocks(1000.0, WALL, BOOT)
    journal = SqliteJournal(path, clocks=clocks, process=HOLDER, gone=lambda _: False)
    lease = journal.acquire("noc", 20.0)
    if not isinstance(lease, Lease):
        raise TypeError(str(lease))
    axis, tape = journal.open_axis(), Tape().begin().after(20.0)
    first_act(tape)
    second_act(tape.after(400.0))
    asked_act(tape.after(400.0))
    model = small_model()
    journal.store_model(model.digest, encode(model))
    for n, e in enumerate(tape.entries, 1):
        clocks.up, clocks.utc = 1000.0 + e.at, WALL + e.at
        journal.append(lease, e.at, e.wall, e.records, {"acme/erp-transaction": {"n": n}} if n % 5 == 0 else {})
        if n == len(tape.entries) // 2:
            done = (x for y in tape.entries[:n] for x in y.records)
            journal.checkpoint(journal.last_seq(), encode(fold(done)))
    axis.mark()
    journal.renew(lease)
    journal.close()
    with closing(sqlite3.connect(path)) as db:
        of_ours = f"PRAGMA application_id = {queries.APPLICATION_ID};\nPRAGMA user_version = {queries.VERSION};\n"
        kept.write_text("".join(f"{line}\n" for line in db.iterdump()) + of_ours, encoding="utf-8")
    for file in KEPT.glob(f"{path.name}*"):
        file.unlink()


if __name__ == "__main__":
    add_what_lacks()
