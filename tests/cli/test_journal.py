"""`bascule journal`: what it finds, what it says it cannot find, and its exit codes."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from orchestrator.core.codec import dumps, encode
from orchestrator.core.decided import fold
from orchestrator.core.records import Verdict, VerdictChanged
from orchestrator.journal import chain, queries
from orchestrator.journal.journal import JournalError
from orchestrator.journal.sqlite import SqliteJournal
from tests.cli.conftest import Bascule, Kept
from tests.cli.test_reading import acts
from tests.reports.sample import small_model

CapSys = pytest.CaptureFixture[str]


def tampered(workspace: Path, *statements: str) -> None:
    """Somebody who can write there was at it."""
    db = sqlite3.connect(workspace / ".bascule" / "journal.db")
    for trigger in ("entries_stay", "entries_stand"):
        db.execute(f"DROP TRIGGER IF EXISTS {trigger}")
    for statement in statements:
        db.execute(statement)
    db.commit()
    db.close()


CUT_OFF = (
    "DELETE FROM entries WHERE seq > 5",
    "UPDATE head SET seq = 5, hash = (SELECT hash FROM entries WHERE seq = 5)",
)


def test_where_there_is_none(workspace: Path, bascule: Bascule, capsys: CapSys) -> None:
    assert bascule("journal", "verify") == 0
    assert "there is no journal yet" in capsys.readouterr().out
    assert bascule("journal", "verify", "--head", f"5:{'ab' * 32}") == 1
    assert "there is none in" in capsys.readouterr().out
    assert bascule("journal", "head") == 2


def test_one_that_is_whole(kept: Kept, bascule: Bascule, capsys: CapSys) -> None:
    kept.keep(acts())
    assert bascule("journal", "verify") == 0
    said = capsys.readouterr().out
    assert f"{kept.written} entries, each as it was written" in said
    assert "compared with no head kept elsewhere" in said
    assert bascule("journal", "verify", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["entries"], told["faults"]) == (kept.written, [])


def test_a_head_in_a_file_or_as_text(
    kept: Kept, workspace: Path, tmp_path: Path, bascule: Bascule, capsys: CapSys
) -> None:
    kept.keep(acts())
    assert bascule("journal", "head") == 0
    line = capsys.readouterr().out
    heads = tmp_path / "heads"
    heads.write_text(line)
    assert bascule("journal", "verify", "--head", str(heads)) == 0
    assert "compared with no head" not in capsys.readouterr().out
    assert bascule("journal", "verify", "--head", line.split()[0]) == 0
    heads.write_text(line.replace(line.split()[2], "another-workspace"))
    assert bascule("journal", "verify", "--head", str(heads)) == 2
    assert "holds no head of this workspace" in capsys.readouterr().err
    assert bascule("journal", "verify", "--head", str(tmp_path / "none")) == 2


def test_a_tail_that_was_cut_off_is_found_by_the_head_alone(
    kept: Kept, workspace: Path, bascule: Bascule, capsys: CapSys
) -> None:
    kept.keep(acts())
    bascule("journal", "head")
    head = capsys.readouterr().out.split()[0]
    kept.journal.close()
    tampered(workspace, *CUT_OFF)
    assert bascule("journal", "verify") == 0
    assert "that its end was cut off" in capsys.readouterr().out
    assert bascule("journal", "verify", "--head", head) == 1
    assert "cut off: the journal ends at entry 5" in capsys.readouterr().out


def test_every_fault_at_once(kept: Kept, workspace: Path, bascule: Bascule, capsys: CapSys) -> None:
    tape = acts()
    kept.keep(tape)
    kept.journal.checkpoint(9, encode(fold(x for e in tape.entries[:9] for x in e.records)))
    kept.journal.close()
    tampered(
        workspace,
        "UPDATE entries SET body = replace(body, 'acme', 'emca') WHERE seq = 4",
        "DELETE FROM entries WHERE seq = 7",
        "UPDATE checkpoints SET state = replace(state, 'geo', 'hq')",
        "UPDATE models SET model = replace(model, 'erp', 'pre')",
        "DELETE FROM told WHERE seq = 9",
        "UPDATE lease SET epoch = 0",
        "DELETE FROM epochs",
    )
    assert bascule("journal", "verify") == 1
    said = capsys.readouterr().out
    for fault in (
        "entry 4: altered",
        "entry 7: missing: it was removed",
        "checkpoint of entry 9: altered: it was changed after it was written; it is not used",
        "model m1: altered: it was changed after it was stored; it is refused",
        "index of entry 9: altered",
        "lease: altered: the largest epoch that was given is 0",
    ):
        assert fault in said


def test_a_checkpoint_that_somebody_put_there_is_a_fault_and_not_of_an_earlier_version(
    kept: Kept, workspace: Path, bascule: Bascule, capsys: CapSys
) -> None:
    kept.keep(acts())
    kept.journal.close()
    tampered(workspace, "INSERT INTO checkpoints (seq, state, hash, digest) SELECT seq, '{}', hash, x'00' FROM entries")
    assert bascule("journal", "verify") == 1
    assert "checkpoint of entry 9: altered: the chain does not name it; it is not used" in capsys.readouterr().out


def test_status_says_that_it_passes_over_an_altered_checkpoint(
    kept: Kept, workspace: Path, bascule: Bascule, capsys: CapSys
) -> None:
    tape = acts()
    kept.keep(tape)
    kept.journal.checkpoint(9, encode(fold(x for e in tape.entries[:9] for x in e.records)))
    kept.journal.close()
    bascule("status", "--json")
    plain = json.loads(capsys.readouterr().out)["services"]
    tampered(workspace, "UPDATE checkpoints SET state = '{}', digest = x'00'")
    assert bascule("status", "--json") == 0
    told = capsys.readouterr()
    assert "the checkpoint of entry 9 is not used: it was changed" in told.err
    assert [x["id"] for x in json.loads(told.out)["services"]] == [x["id"] for x in plain]


def test_incidents_does_not_read_what_tells_of_none(
    kept: Kept, workspace: Path, bascule: Bascule, capsys: CapSys
) -> None:
    """A thousand verdict changes after the last incident: the list is the same, and they are not even looked at."""
    tape = acts()
    kept.keep(tape)
    bascule("incidents", "i1", "--json")
    before = capsys.readouterr().out
    last = tape.entries[-1]
    for n in range(1000):
        changed = VerdictChanged(last.at + n, "acme/other", Verdict.UP, Verdict.DOWN, None, "")
        kept.journal.append(kept.lease, last.at + n, last.wall + n, [changed], {})
    read = list(kept.journal.story())
    assert len(read) < kept.written + 200
    bascule("incidents", "i1", "--json")
    assert json.loads(capsys.readouterr().out)["checks"] == json.loads(before)["checks"]


def test_an_older_files_journal_is_read_verified_and_brought_up_to_date(
    workspace: Path, bascule: Bascule, capsys: CapSys
) -> None:
    """Format 1 had nothing under the chain but entries."""
    tape = acts()
    path = workspace / ".bascule" / "journal.db"
    path.parent.mkdir(mode=0o700)
    db = sqlite3.connect(path)
    db.executescript(queries.SCHEMA)
    previous = chain.GENESIS
    for seq, e in enumerate(tape.entries, 1):
        body = chain.body_of(seq, e.at, e.wall, 1, e.records, {})
        previous = chain.link(previous, body)
        db.execute(queries.ADD_ENTRY, (seq, body.decode(), previous))
    last = len(tape.entries)
    db.execute("INSERT INTO head VALUES (1, ?, ?)", (last, previous))
    db.execute("INSERT INTO lease VALUES (1, 1, NULL)")
    state = dumps(encode(fold(x for e in tape.entries[:9] for x in e.records)))
    with_hash = "INSERT INTO checkpoints SELECT 9, ?, hash, ? FROM entries WHERE seq = 9"
    db.execute(with_hash, (state.decode(), bytes.fromhex(chain.sha256(state))))
    model = {**encode(small_model()), "digest": ""}
    digest = chain.sha256(dumps(model))[:32]
    db.execute("INSERT INTO models VALUES (?, ?)", (digest, dumps({**model, "digest": digest}).decode()))
    db.execute(f"PRAGMA application_id = {queries.APPLICATION_ID}")
    db.execute("PRAGMA user_version = 1")
    db.commit()
    db.close()

    assert bascule("journal", "verify") == 0
    assert "checkpoint of entry 9 is not under the chain: an earlier version kept it" in capsys.readouterr().out
    assert bascule("status") == 0
    assert bascule("incidents") == 0
    assert [x.split()[0] for x in capsys.readouterr().out.splitlines() if x.startswith("i")] == ["i1", "i2", "i3"]
    journal = SqliteJournal(path)
    assert journal.latest_checkpoint() is None
    assert journal.load_model(digest) == {**model, "digest": digest}
    before = list(journal.story())
    assert [e.seq for e in before] == list(range(1, last + 1))
    assert list(journal.index()) == [0]
    assert [e.seq for e in journal.story()] == [e.seq for e in before]
    assert journal.verify() == []
    journal.close()


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TRIGGER mine AFTER INSERT ON entries BEGIN DELETE FROM told; END",
        "CREATE TRIGGER entries_stand BEFORE UPDATE ON entries BEGIN DELETE FROM told; END",
        "CREATE TRIGGER mine BEFORE UPDATE ON head BEGIN UPDATE lease SET held = NULL; END",
        "CREATE VIEW mine AS SELECT * FROM entries",
    ],
)
def test_a_program_that_somebody_put_into_the_file_is_refused(
    kept: Kept, workspace: Path, bascule: Bascule, capsys: CapSys, statement: str
) -> None:
    """It would run with each entry that is written, or answer in a table's place."""
    kept.keep(acts())
    kept.journal.close()
    tampered(workspace, statement)
    assert bascule("journal", "verify") == 1
    assert "that is not one of bascule's" in "".join(capsys.readouterr())
    with pytest.raises(JournalError, match="not one of bascule's"):
        SqliteJournal(workspace / ".bascule" / "journal.db")


@pytest.mark.parametrize("incident", [0, 1])
def test_an_index_that_hides_or_invents_incidents_is_found(
    kept: Kept, workspace: Path, bascule: Bascule, capsys: CapSys, incident: int
) -> None:
    """What happened in the course of an incident would be let go of as if nobody needed it."""
    kept.keep(acts())
    tampered(workspace, f"UPDATE told SET incident = {incident}")
    assert bascule("journal", "verify") == 1
    assert "of an incident, and the index says otherwise" in "".join(capsys.readouterr())
