"""`bascule journal`: what it finds, what it says it cannot find, and its exit codes."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from orchestrator.core.codec import dumps, encode
from orchestrator.core.records import Verdict, VerdictChanged
from orchestrator.core.state.fold import fold
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
    kept = db.execute("SELECT name, sql FROM sqlite_master WHERE name IN ('entries_stay', 'entries_stand')").fetchall()
    for trigger, _ in kept:
        db.execute(f"DROP TRIGGER {trigger}")
    for statement in statements:
        db.execute(statement)
    for _, sql in kept:
        db.execute(sql.replace("CREATE TRIGGER", "CREATE TRIGGER IF NOT EXISTS"))
    db.commit()
    db.close()


CUT_OFF = (
    "DELETE FROM entries WHERE seq > 5",
    "DELETE FROM told WHERE seq > 5",
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
    assert "a journal that was cut off" in capsys.readouterr().out
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
    db.execute("INSERT INTO epochs VALUES (1, 'noc', 7, 1.0)")
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
    assert [x.split()[0] for x in capsys.readouterr().out.splitlines() if x[1:2].isdigit()] == ["i1", "i2", "i3"]
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


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        ("DROP TRIGGER entries_told", "trigger entries_told: missing"),
        ("DROP INDEX told_incident", "index told_incident: missing"),
        (
            "CREATE UNIQUE INDEX one ON entries (substr(body, 1, 1), seq)",
            "index one: altered: it is not one of bascule's",
        ),
        ("DROP TABLE axis", "table axis: missing"),
        ("ALTER TABLE models ADD COLUMN more TEXT", "table models: altered: it is not as bascule makes it"),
        ("UPDATE told_done SET until = 1000000000", "told_done: altered: it says that entries 0 to 1000000000"),
        ("UPDATE told_done SET done = 3", "told_done: altered"),
        ("INSERT INTO told VALUES (100000, 1)", "index of entry 100000: altered: there is no such entry"),
        ("DELETE FROM epochs", "lease: altered: its epoch is 1, and the latest one taken is 0"),
        ("INSERT INTO epochs VALUES (3, 'noc', 1, 1.0); UPDATE lease SET epoch = 3", "epochs: missing: 2 are kept"),
        ("UPDATE lease SET epoch = 9223372036854775807", "lease: altered: its epoch is 9223372036854775807"),
        ("UPDATE lease SET held = '{}'", "lease: altered: the journal's lease cannot be read"),
        ("UPDATE entries SET hash = 'abc' WHERE seq = 4", "entry 4: altered"),
        ("UPDATE entries SET body = x'ff' WHERE seq = 4", "entry 4: altered"),
        ("UPDATE models SET model = x'ff'", "model m1: altered: it was changed"),
        ("UPDATE models SET bound = NULL", "model m1: altered: the file does not say which entry names it"),
        ("UPDATE models SET bound = 'x'", "model m1: altered: the file does not say which entry names it"),
        ("UPDATE checkpoints SET bound = NULL", "checkpoint of entry 9: altered: the file does not say"),
        ("INSERT INTO detector_rows VALUES ('acme/web', '{')", "detector_rows, 'acme/web': altered"),
        ("INSERT INTO gaps VALUES (3, 5, x'00', x'00', 1)", "gap 3-5: altered: it stands for entries that are there"),
        ("INSERT INTO gaps VALUES (3, 'x', x'00', x'00', 1)", "gaps, 3: altered"),
        ("INSERT OR REPLACE INTO axis VALUES (1, 'b', 'x', 1, 1, 1)", "axis: altered"),
        ("INSERT OR REPLACE INTO axis VALUES (1, 'b', 9e999, 1, 1, 1)", "axis: altered"),
        ("PRAGMA user_version = 1", "table gaps: altered: it is not one of bascule's, or not of this format"),
        ("DELETE FROM head", "is damaged: what its table 'head' keeps is gone"),
        ("DELETE FROM lease", "is damaged: what its table 'lease' keeps is gone"),
        ("DELETE FROM told_done", "is damaged: what its table 'told_done' keeps is gone"),
        ("UPDATE head SET seq = 'x'", "is damaged: what its table 'head' keeps"),
        ("UPDATE told_done SET until = 'x'", "is damaged: what its table 'told_done' keeps"),
        ("UPDATE lease SET epoch = 'x'", "is damaged: what its table 'lease' keeps"),
    ],
)
def test_what_stands_beside_the_entries_is_as_bascule_makes_it(
    kept: Kept, workspace: Path, bascule: Bascule, capsys: CapSys, statement: str, fault: str
) -> None:
    """No entry covers these tables: a row that is gone, or of another kind, is named, and breaks no command."""
    tape = acts()
    kept.keep(tape)
    kept.journal.checkpoint(9, encode(fold(x for e in tape.entries[:9] for x in e.records)))
    kept.journal.close()
    tampered(workspace, *statement.split("; "))
    assert bascule("journal", "verify") == 1
    said = "".join(capsys.readouterr())
    assert fault in said
    assert "unexpected" not in said
    for verb in ("incidents", "status"):
        bascule(verb)
        assert "unexpected" not in "".join(capsys.readouterr())


def test_a_trigger_of_ours_that_is_gone_is_put_back(kept: Kept, workspace: Path) -> None:
    """Without it nothing that follows would be told of; what was written without it is found again."""
    tape = acts()
    kept.keep(tape)
    tampered(workspace, "DROP TRIGGER entries_told", "DELETE FROM told")
    kept.journal.close()
    journal = SqliteJournal(workspace / ".bascule" / "journal.db")
    assert list(journal.index()) == [0]
    assert len(list(journal.story())) == len(tape.entries)
    assert journal.verify() == []
    journal.close()
