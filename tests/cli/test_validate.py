"""`bascule validate`, as it is typed."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml

from orchestrator.cli.failures import CallWrong
from orchestrator.cli.feasible import infeasible
from orchestrator.cli.validate import _alone_lines, probe_kinds, validate
from orchestrator.config import load
from orchestrator.core.records import ControllerBegan
from orchestrator.journal.lease import Lease
from orchestrator.journal.sqlite import SqliteJournal, journal_path

ROOT = Path(__file__).parents[2]
SOUND = ROOT / "tests" / "bad_configs" / "base"


def bascule(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command."""
    return subprocess.run(
        [sys.executable, "-m", "orchestrator.cli.main", *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sound workspace."""
    return Path(shutil.copytree(SOUND, tmp_path_factory.mktemp("cli") / "workspace"))


def test_a_sound_workspace_is_summed_up(workspace: Path) -> None:
    done = bascule("validate", "--workspace", str(workspace))
    assert done.returncode == 0, done.stderr
    assert "acme: 5 hosts, 5 checks, 2 places, 2 moves, 1 person\n" in done.stdout
    assert "acme/erp" in done.stdout
    told = json.loads(bascule("validate", "--workspace", str(workspace), "--json").stdout)
    assert told["valid"] is True
    assert told["clients"]["acme"]["services"]["erp"]["rto_s"] == 900


def test_it_finds_its_workspace_as_every_command_does(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """From below it, and by its variable."""
    monkeypatch.delenv("BASCULE_WORKSPACE", raising=False)
    monkeypatch.chdir(workspace / "playbooks")
    assert validate() == 0
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CallWrong, match="no workspace at"):
        validate()
    monkeypatch.setenv("BASCULE_WORKSPACE", str(workspace))
    assert validate() == 0
    assert capsys.readouterr().out.count("acme: 5 hosts") == 2


def test_faults_are_told_all_at_once_with_exit_code_2(workspace: Path) -> None:
    bad = workspace / "checks" / "bad.yml"
    bad.write_text("- {name: spare, hosts: hq-ap, probe: icmp}\n- {name: other, hosts: hq-app, probe: icpm}\n")
    try:
        done = bascule("validate", "-w", str(workspace))
        assert done.returncode == 2
        assert "Traceback" not in done.stderr
        assert "checks/bad.yml:1:24: there is no host or group 'hq-ap'; did you mean 'hq-app'?" in done.stderr
        assert "checks/bad.yml:2:39: check other: there is no probe 'icpm'; did you mean 'icmp'?" in done.stderr
        assert done.stderr.endswith("2 faults: nothing of this is put in force\n")
        told = json.loads(bascule("validate", "-w", str(workspace), "--json").stdout)
        assert [(f["file"], f["line"], f["column"]) for f in told["faults"]] == [
            ("checks/bad.yml", 1, 24),
            ("checks/bad.yml", 2, 39),
        ]
    finally:
        bad.unlink()


def test_editors_get_schemas_that_accept_what_is_sound() -> None:
    schemas = json.loads(bascule("validate", "--schema").stdout)
    for file, name in (
        ("inventories/acme/services.yml", "services.yml"),
        ("inventories/acme/people.yml", "people.yml"),
        ("checks/all.yml", "checks.yml"),
    ):
        jsonschema.validate(yaml.safe_load((SOUND / file).read_text()), schemas[name])
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"services": {"erp": {"rtoo": "15m"}}}, schemas["services.yml"])


def test_where_a_service_is_now_is_not_said_by_who_reads_files_alone() -> None:
    """It may have moved since: its checks count for where it was when they fell."""
    (told,) = _alone_lines("acme", {"shop": ["acme/hq"]})
    assert told == "acme: no hosts, no via, in a mass failure counted for where their service is, at home acme/hq: shop"


def test_what_the_journal_says_against_an_objective_is_a_warning_where_it_stands(tmp_path: Path) -> None:
    """Without a journal nothing is said."""
    place = Path(shutil.copytree(SOUND, tmp_path / "workspace"))
    services = place / "inventories/acme/services.yml"
    text = services.read_text(encoding="utf-8").replace("    rto: 15m\n", "    rto: 10m\n    mode: ask\n")
    services.write_text(text, encoding="utf-8")
    loaded = load(place, probe_kinds=probe_kinds())
    assert infeasible(loaded) == ()
    journal = SqliteJournal(journal_path(place))
    lease = journal.acquire("test", 20.0)
    assert isinstance(lease, Lease)
    journal.append(lease, 1.0, 1.0, (ControllerBegan(1.0, "noc", lease.epoch, "boot", False, 0.0),), {})
    journal.close()
    (told,) = infeasible(loaded)
    line = 1 + next(n for n, x in enumerate(text.splitlines()) if "mode: ask" in x)
    assert str(told) == (
        f"inventories/acme/services.yml:{line}:11: service erp: mode ask, also at night: how long an approval takes is"
        " not known, and a question stays open for 15:00, the RTO is 10:00"
    )
