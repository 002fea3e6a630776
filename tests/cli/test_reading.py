"""The commands that read: they leave no trace, work without a daemon, and say plainly what is not there."""

from __future__ import annotations

import json
import re
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.core import records as r
from orchestrator.core.codec import encode
from orchestrator.core.events import Answer
from orchestrator.core.health.detector import Row
from orchestrator.core.records import Verdict
from orchestrator.core.state.fold import fold
from tests.cli.conftest import Bascule, Kept, Straw
from tests.drills.plans import plan
from tests.reports.papers.drills import functional
from tests.reports.sample import WALL, Tape, asked_act, first_act, second_act, small_model


def acts() -> Tape:
    """Two incidents that ended, and one that waits for a person."""
    tape = Tape().begin().after(20.0)
    first_act(tape)
    second_act(tape.after(400.0))
    asked_act(tape.after(400.0))
    return tape


def test_an_empty_workspace_says_so_and_stays_empty(
    workspace: Path, bascule: Bascule, capsys: pytest.CaptureFixture[str]
) -> None:
    """No journal is made by looking for one."""
    assert bascule("status") == 0
    assert "no controller has ever run here; start one: bascule daemon" in capsys.readouterr().out
    assert bascule("incidents") == 0
    assert capsys.readouterr().out == "nothing has happened here yet\n"
    assert not (workspace / ".bascule").exists()


READ = ("status", "incidents", "ready", "report r1", "journal verify", "drill due")


@pytest.mark.parametrize("words", [*READ, "daemon", "hold acme --reason x", "reload"])
def test_what_another_workspaces_journal_and_daemon_say_is_said_of_none(
    kept: Kept, straw: Straw, tmp_path: Path, bascule: Bascule, capsys: pytest.CaptureFixture[str], words: str
) -> None:
    """Nor is a word said to that daemon: a client of the same name is another one there."""
    kept.keep(acts())
    other = tmp_path / "other"
    (other / "inventories").mkdir(parents=True)
    (other / ".bascule").symlink_to(tmp_path / ".bascule")
    assert bascule(*words.split(), "--workspace", str(other)) == 2
    told = " ".join(capsys.readouterr().err.split())
    assert f"{other}/.bascule is a link to {tmp_path}/.bascule, which is another workspace's" in told
    assert straw.heard == []


def test_status_without_a_daemon_is_a_fold_of_the_journal(
    kept: Kept, bascule: Bascule, capsys: pytest.CaptureFixture[str]
) -> None:
    """And it says that nobody watches."""
    kept.keep(acts())
    assert bascule("status") == 0
    text = capsys.readouterr().out
    assert "acme/erp  UNKNOWN, down when last seen" in text
    assert "nobody watches. Start it: bascule daemon" in text.replace("\n", " ")
    assert "approval, which nobody gave within 15:00: it is not made" in " ".join(text.split())  # days ago, by now


def test_status_with_a_daemon(kept: Kept, straw: Straw, bascule: Bascule, capsys: pytest.CaptureFixture[str]) -> None:
    """Then somebody does."""
    kept.keep(acts())
    assert bascule("status", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["daemon"] is True
    assert told["services"][0]["incident"] == "i3"
    assert straw.heard == []


def test_what_no_journal_has_is_shown_to_whoever_watches_through_a_pipe(
    kept: Kept, straw: Straw, bascule: Bascule, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that is full is written nowhere; what is as it was is shown once."""
    kept.keep(acts())
    looks = iter(range(6))

    def later(_seconds: float) -> None:
        look = next(looks)
        straw.sees = {"broken": "no space is left on the disk"} if look >= 3 else straw.sees
        if look == 5:
            raise KeyboardInterrupt

    monkeypatch.setattr("orchestrator.cli.status.time.sleep", later)
    bascule("status", "--watch", "--json")
    told = [json.loads(x)["cannot"] for x in capsys.readouterr().out.splitlines()]
    assert [[x["kind"] for x in each] for each in told] == [[], ["cannot write"]]


def test_incidents_lists_and_tells(kept: Kept, bascule: Bascule, capsys: pytest.CaptureFixture[str]) -> None:
    """Oldest first; one in full by its id, or by its run's."""
    kept.keep(acts())
    assert bascule("incidents") == 0
    assert [x.split()[0] for x in capsys.readouterr().out.splitlines()][:3] == ["i1", "i2", "i3"]
    assert bascule("incidents", "r2") == 0
    assert "RTA 12.0s" in capsys.readouterr().out
    assert bascule("incidents", "i2", "--json") == 0
    assert json.loads(capsys.readouterr().out)["id"] == "i2"


def test_an_unknown_incident_is_a_wrong_call(kept: Kept, bascule: Bascule, capsys: pytest.CaptureFixture[str]) -> None:
    """With the newest ones named."""
    kept.keep(acts())
    assert bascule("report", "i7") == 2
    assert "there is no incident or run i7" in (told := capsys.readouterr().err)
    assert "i3, i2, i1" in told


def test_a_report_as_text_with_the_end_users_meter(
    kept: Kept, workspace: Path, bascule: Bascule, capsys: pytest.CaptureFixture[str]
) -> None:
    """Several in one; a meter's file is no record, so it is in no file."""
    kept.keep(acts())
    meter, page = workspace / "meter.json", workspace / "out.html"
    meter.write_text(json.dumps({"i2": {"outage_s": 12.9, "lost": 3, "acknowledged": 900}}))
    assert bascule("report", "i1", "i2", "--meter", str(meter)) == 0
    assert "transactions lost: 3 of 900 acknowledged" in capsys.readouterr().out
    assert bascule("report", "i2", "--html", str(page), "--meter", str(meter)) == 2
    assert "a meter's file is no record" in capsys.readouterr().err
    assert bascule("report", "i1", "i2", "--html", str(page)) == 2
    assert "a file holds one report" in capsys.readouterr().err
    assert not page.exists()


def test_a_report_on_paper_proves_itself_without_the_workspace(
    kept: Kept, workspace: Path, tmp_path: Path, bascule: Bascule, capsys: pytest.CaptureFixture[str]
) -> None:
    """As its own file and as a page, for provider and client; with one figure changed it is refused, and named."""
    kept.keep(acts())
    for edition in ("provider", "client"):
        page, data = tmp_path / f"{edition}.html", tmp_path / f"{edition}.json"
        assert bascule("report", "i2", "--html", str(page), "--json", str(data), "--for", edition) == 0
        for file in (page, data):
            assert bascule("report", "verify", str(file), "--workspace", str(workspace)) == 0, capsys.readouterr().out
            told = capsys.readouterr().out
            assert "values worked out again" in told
            assert "each entry is the one that the journal has" in told
        forged = json.loads(data.read_text())
        forged["report"]["objectives"][0]["actual"]["seconds"] = 11.0
        data.write_text(json.dumps(forged))
        assert bascule("report", "verify", str(data)) == 1
        told = capsys.readouterr().out
        assert "refused" in told
        assert "report.objectives[0].actual.seconds: the file says 11.0" in told
    assert bascule("report", "verify", str(meter_free(tmp_path))) == 1
    assert "it is no report" in capsys.readouterr().out
    assert sorted(x.name for x in workspace.iterdir() if x.name.startswith(".")) == [".bascule"]


def meter_free(directory: Path) -> Path:
    """A file that is JSON, and no report."""
    path = directory / "other.json"
    path.write_text("{}")
    return path


def test_a_clients_period(kept: Kept, tmp_path: Path, bascule: Bascule, capsys: pytest.CaptureFixture[str]) -> None:
    """By its days; a day that is none, and a client that is none, are wrong calls."""
    kept.keep(acts())
    data = tmp_path / "acme.json"
    days = ("--from", "2026-11-01", "--to", "2026-11-30")
    assert bascule("report", "acme", *days, "--json", str(data), "--markdown", str(tmp_path / "acme.md")) == 0
    assert capsys.readouterr().err == f"{data}: written\n{tmp_path / 'acme.md'}: written\n"
    told = json.loads(data.read_text())["report"]
    assert [x["id"] for x in told["inside"]] == ["i1", "i2", "i3"]
    erp = next(x for x in told["totals"] if x["service"] == "acme/erp")
    assert (erp["incidents"], erp["met"]) == (3, sum(x["met"] for x in told["totals"]))
    assert erp["down_s"] == sum(o["seconds"] for x in told["inside"] for a in x["parts"] for o in a["outages"])
    assert bascule("report", "verify", str(data)) == 0
    assert bascule("report", "acme", "--from", "2026-10-01", "--to", "2026-10-31", "--markdown", "-") == 0
    assert "no incident, planned move or drill that began in this time is on record" in capsys.readouterr().out
    assert bascule("report", "acme", "--from", "yesterday", "--to", "2026-12-31") == 2
    assert "--from yesterday is no day" in capsys.readouterr().err
    assert bascule("report", "acme", "--from", "2126-12-01", "--to", "2126-12-31", "--markdown", "-") == 2
    assert "--from 2126-12-01 has not begun yet (UTC)" in capsys.readouterr().err
    assert bascule("report", "nobody", *days) == 2
    assert "there is no client nobody" in capsys.readouterr().err
    assert bascule("report", "acme") == 2
    assert "from when to when?" in capsys.readouterr().err


def test_without_the_extra_a_pdf_is_refused_with_what_to_install(
    kept: Kept, tmp_path: Path, bascule: Bascule, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And written where it is there."""
    kept.keep(acts())
    paper = tmp_path / "i2.pdf"
    assert bascule("report", "i2", "--pdf", str(paper), "--lang", "fr") == 0
    assert paper.read_bytes().startswith(b"%PDF-")
    paper.unlink()
    monkeypatch.setitem(sys.modules, "typst", None)
    assert bascule("report", "i2", "--pdf", str(paper)) == 2
    assert "pip install 'bascule[pdf]'" in capsys.readouterr().err
    assert not paper.exists()


def test_the_schema_is_printed(bascule: Bascule, capsys: pytest.CaptureFixture[str]) -> None:
    """As it is published."""
    assert bascule("report", "--schema") == 0
    assert json.loads(capsys.readouterr().out)["$schema"].startswith("http://json-schema.org/draft-07")


def test_a_report_that_cannot_be_written_says_where(
    kept: Kept, workspace: Path, bascule: Bascule, capsys: pytest.CaptureFixture[str]
) -> None:
    """The file, not a traceback."""
    kept.keep(acts())
    assert bascule("report", "i1", "--html", str(workspace / "none" / "out.html")) == 1
    assert f"{workspace}/none/out.html: No such file or directory" in capsys.readouterr().err


def test_a_damaged_journal_is_told_not_traced(
    kept: Kept, workspace: Path, bascule: Bascule, capsys: pytest.CaptureFixture[str]
) -> None:
    """With what can be done about it."""
    kept.journal.close()
    for name in ("journal.db-wal", "journal.db-shm"):
        (workspace / ".bascule" / name).unlink(missing_ok=True)
    (workspace / ".bascule" / "journal.db").write_bytes(b"this is no database" * 100)
    assert bascule("status") == 1
    told = capsys.readouterr().err
    assert told.startswith("bascule: ")
    assert "unexpected" not in told


def test_outside_of_any_workspace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bascule: Bascule, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a workspace is, and how to name one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BASCULE_WORKSPACE", raising=False)
    assert bascule("status") == 2
    assert "a workspace has a folder inventories/" in capsys.readouterr().err


def test_status_begins_at_a_checkpoint_and_says_the_same(
    kept: Kept, bascule: Bascule, capsys: pytest.CaptureFixture[str]
) -> None:
    """A journal of years is not read to say how things are; a checkpoint of another version is no obstacle."""
    tape = acts()
    kept.keep(tape)
    bascule("status", "--json")
    before = json.loads(capsys.readouterr().out)
    seq = len(tape.entries) - 5
    kept.journal.checkpoint(seq, encode(fold(x for e in tape.entries[:seq] for x in e.records)))
    bascule("status", "--json")
    with_checkpoint = json.loads(capsys.readouterr().out)
    kept.journal.checkpoint(seq + 1, {"of": "another version"})
    bascule("status", "--json")
    without = json.loads(capsys.readouterr().out)
    assert [x["tiers"] for x in before["services"]] == [x["tiers"] for x in with_checkpoint["services"]]
    assert [x["run"]["id"] if x["run"] else "" for x in with_checkpoint["services"]] == ["r3", "", ""]
    assert [x["tiers"] for x in without["services"]] == [x["tiers"] for x in before["services"]]


def test_a_list_claims_no_miss_that_nobody_saw(
    kept: Kept, bascule: Bascule, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether i3 came back in time while nobody looked is not known: the list says no more than the report."""
    tape = acts()
    kept.keep(tape)
    monkeypatch.setattr("orchestrator.cli.incidents.time.time", lambda: WALL + tape.now + 3600.0)
    monkeypatch.setattr("orchestrator.reports.reader.Reader.unwatched_s", lambda _self, _wall: 3600.0)
    assert bascule("incidents") == 0
    *_, last, below = capsys.readouterr().out.splitlines()
    assert last.startswith("i3 ")
    assert "RTO missed" not in last
    assert below == "nobody has watched for 1:00:00: what is open or running here was so then"
    assert bascule("incidents", "--json") == 0
    (listed,) = (x for x in json.loads(capsys.readouterr().out) if x["id"] == "i3")
    assert bascule("incidents", "i3", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    for name in ("rto_met", "remarks", "state"):
        assert listed[name] == told[name]


def test_the_last_none_are_none(kept: Kept, bascule: Bascule, capsys: pytest.CaptureFixture[str]) -> None:
    """Not all of them."""
    kept.keep(acts())
    assert bascule("incidents", "--last", "1") == 0
    assert capsys.readouterr().out.startswith("i3 ")
    for number in ("0", "-1"):
        assert bascule("incidents", f"--last={number}") == 2


def test_a_daemon_that_was_stopped_had_watched_until_then(
    kept: Kept, bascule: Bascule, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All was well for an hour, so that it wrote no entry: the answers that it kept say how long it was there."""
    tape = Tape().begin()
    kept.keep(tape)
    row = Row(last_sent_at=tape.now + 3000.0, last_answer=Answer.GOOD)
    kept.journal.write_rows(kept.lease, {"acme/erp-transaction": encode(row)})
    kept.journal.release(kept.lease)
    monkeypatch.setattr("orchestrator.cli.status.time.time", lambda: WALL + tape.now + 3600.0)
    assert bascule("status") == 0
    assert "silent for 10:00" in capsys.readouterr().out
    assert bascule("ready", "--json") == 1
    (nobody,) = (x for x in json.loads(capsys.readouterr().out)["cannot"] if x["kind"] == "nobody watches")
    assert nobody["for_s"] == pytest.approx(600.0)


def test_evidence_says_what_is_proven(kept: Kept, bascule: Bascule, capsys: pytest.CaptureFixture[str]) -> None:
    """Of each tier; only of those who are asked for; as data too; where nothing was in force, a sentence."""
    assert bascule("evidence") == 2
    assert "no configuration was ever in force here" in capsys.readouterr().err
    kept.keep(acts())
    assert bascule("evidence", "acme/erp") == 0
    told = capsys.readouterr().out
    assert "1 backup-isp: measured since" in told
    assert ", within its RTO" in told
    assert "RTO: RTA 5.9s in i1" in told
    assert "3 cloud-instance: unproven" in told
    assert bascule("evidence", "bistro", "--json") == 0
    (till,) = json.loads(capsys.readouterr().out)
    assert (till["tier"], till["rto"], till["rto_said"]) == (0, "unproven", "it has no ladder: nothing restores it")
    assert bascule("evidence", "nobody") == 2
    assert "there is no service or client nobody" in capsys.readouterr().err


@pytest.mark.parametrize("checkpoint", [False, True])
def test_status_and_incidents_show_the_same_second(
    kept: Kept, bascule: Bascule, capsys: pytest.CaptureFixture[str], checkpoint: bool
) -> None:
    """Also where the wall clock was steered meanwhile, and where one of them begins at a checkpoint."""
    tape = Tape().begin().after(20.0)
    bad = tape.now
    tape.after(2.0)
    tape.incident("i1", "acme/hq", "no reply", first_bad=bad, last_good=bad - 1.0)
    tape.after(3600.0).verdict("acme/isp-b-path", Verdict.DOWN, "no reply", tape.now)
    tape.after(3600.0).verdict("acme/geo-ready", Verdict.DOWN, "no reply", tape.now)
    tape.entries = [replace(e, wall=e.wall + 0.3 * n) for n, e in enumerate(tape.entries)]
    kept.keep(tape)
    if checkpoint:
        seq = len(tape.entries) - 1
        kept.journal.checkpoint(seq, encode(fold(x for e in tape.entries[:seq] for x in e.records)))
    assert bascule("status", "--json") == 0
    (since,) = (x["since_wall"] for x in json.loads(capsys.readouterr().out)["services"] if x["incident"])
    assert bascule("incidents", "--json") == 0
    (one,) = json.loads(capsys.readouterr().out)
    assert since == one["began_wall"]


DAYTIME = re.compile(
    r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(?::\d\d)?(?: until(?: [\d-]+)? \d\d:\d\d)?(?: UTC(?:\+\d+)?|Z)?"
    r"|since \d\d:\d\d:\d\d(?: UTC\+1)?"
)
SHOWN = (
    "status", "status acme/erp", "incidents", "incidents i1", "report i1", "evidence", "drill list", "drill show d1",
    "drill due", "findings", "ready", "journal head", "calendar",
)  # fmt: skip


@pytest.mark.parametrize("words", SHOWN)
def test_each_time_of_day_says_its_zone(
    kept: Kept, bascule: Bascule, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    """Of every command that shows one."""
    tape = acts()
    functional(tape.after(400.0))
    plans = {"acme/geo": plan()}
    kept.journal.store_model("m2", encode(replace(small_model(), drills=plans)))
    tape.write(r.Configured(tape.now, "m2", {}))
    kept.keep(tape)
    monkeypatch.setenv("TZ", "Etc/GMT-1")
    time.tzset()
    try:
        bascule(*words.split())
    finally:
        monkeypatch.undo()
        time.tzset()
    shown = " ".join(capsys.readouterr().out.split())
    times = DAYTIME.findall(shown)
    assert [x for x in times if not x.endswith((" UTC+1", "Z"))] == []
    assert bool(times) is (words not in ("findings", "calendar"))
