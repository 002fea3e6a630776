"""`bascule check`: which checks a name stands for, and what is shown of their answers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchestrator.cli.check import check, chosen
from orchestrator.cli.failures import CallWrong
from orchestrator.core.model import Check


def one(client: str, name: str, host: str = "") -> Check:
    """A check of nothing."""
    return Check(
        id=f"{client}/{name}" + (f"@{host}" if host else ""),
        client=client,
        name=name,
        host=host,
        probe="icmp",
        options={},
    )


CHECKS = [one("acme", "path", "edge"), one("acme", "path", "spare"), one("acme", "web"), one("bistro", "path", "edge")]


@pytest.mark.parametrize(
    ("names", "ids"),
    [
        ((), ["acme/path@edge", "acme/path@spare", "acme/web", "bistro/path@edge"]),
        (("acme/path@edge",), ["acme/path@edge"]),
        (("path@edge",), ["acme/path@edge", "bistro/path@edge"]),
        (("acme/path",), ["acme/path@edge", "acme/path@spare"]),
        (("bistro",), ["bistro/path@edge"]),
        (("web", "spare"), ["acme/path@spare", "acme/web"]),
    ],
)
def test_what_a_name_stands_for(names: tuple[str, ...], ids: list[str]) -> None:
    assert [found.id for found in chosen(names, CHECKS)] == ids


def test_a_name_that_nothing_has_is_told_with_the_nearest() -> None:
    with pytest.raises(CallWrong, match=r"Nearest: .*path"):
        chosen(("pth",), CHECKS)


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """One client, one host, three checks: good, bad and impossible."""
    (tmp_path / "inventories" / "acme").mkdir(parents=True)
    (tmp_path / "inventories" / "acme" / "hosts.yml").write_text("all: {hosts: {here: {ansible_host: 127.0.0.1}}}\n")
    (tmp_path / "inventories" / "acme" / "services.yml").write_text("services: {}\n")
    (tmp_path / "checks").mkdir()
    (tmp_path / "playbooks").mkdir()
    (tmp_path / "checks" / "all.yml").write_text(
        "- {name: fine, hosts: here, probe: nagios, command: [sh, -c, echo fine], timeout: 20s, every: 60s}\n"
        "- {name: ill, hosts: here, probe: nagios, command: [sh, -c, echo ill; exit 2], timeout: 20s, every: 60s}\n"
        "- {name: odd, hosts: here, probe: nagios, command: [/nowhere/check], timeout: 20s, every: 60s}\n"
    )
    return tmp_path


def test_answers_of_real_checks(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check("fine", workspace=workspace, as_json=True) == 0
    row = json.loads(capsys.readouterr().out)["checks"][0]
    assert (row["check"], row["answer"], row["detail"]) == ("acme/fine@here", "good", "fine")
    assert check("fine", "ill", workspace=workspace) == 1
    assert "bad" in capsys.readouterr().out
    assert check(workspace=workspace) == 1
    shown = capsys.readouterr().out
    assert "1 good, 1 bad, 1 no answer" in shown


def test_a_plug_in_that_is_named_from_the_workspace_is_the_workspaces(
    workspace: Path,
    tmp_path_factory: pytest.TempPathFactory,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Wherever the command is given: others may write there."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    for place, said in ((workspace, "the workspace's own"), (elsewhere, "another's")):
        plugin = place / "checks" / "check_it"
        plugin.parent.mkdir(exist_ok=True)
        plugin.write_text(f"#!/bin/sh\necho {said!r}\n")
        plugin.chmod(0o755)
    own = "- {name: own, hosts: here, probe: nagios, command: [checks/check_it], timeout: 20s, every: 60s}\n"
    (workspace / "checks" / "all.yml").write_text(own)
    monkeypatch.chdir(elsewhere)
    assert check("acme/own@here", workspace=workspace, as_json=True) == 0
    assert json.loads(capsys.readouterr().out)["checks"][0]["detail"] == "the workspace's own"
    assert Path.cwd() == elsewhere


def test_a_check_that_nobody_here_can_ask_is_there_all_the_same(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`bascule ready` says to ask it: nobody is told then that there is none of this name."""
    with (workspace / "checks" / "all.yml").open("a") as file:
        file.write("- {name: far, hosts: here, probe: tcp, port: 22, vantage: branch}\n")
    assert check("acme/far@here", workspace=workspace, as_json=True) == 1
    row = json.loads(capsys.readouterr().out)["checks"][0]
    told = "vantage acme/branch is not here (local), and tcp asks from here alone"
    assert (row["check"], row["answer"], row["detail"]) == ("acme/far@here", "none", told)
