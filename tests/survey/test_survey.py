"""The shipped survey: the same twice, what was left behind shows, and what is a login's own does not."""

from __future__ import annotations

import base64
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from orchestrator.config.shipped import SURVEY
from orchestrator.core.commands import RunPlaybook
from orchestrator.core.events import AttemptEnd, StepKey
from orchestrator.core.model import Playbook
from orchestrator.survey import survey
from tests.runner.stage import Stage

PROGRAM = Path(SURVEY).with_suffix(".py")


def _survey(**wanted: Any) -> dict[str, list[str]]:
    given = base64.b64encode(json.dumps(wanted).encode()).decode()
    done = subprocess.run([sys.executable, PROGRAM, given], capture_output=True, text=True, check=True)
    found: dict[str, list[str]] = json.loads(done.stdout)
    return found


@pytest.fixture
def left_behind(tmp_path: Path) -> Iterator[tuple[int, str]]:
    """A server that has outlived whoever began it: the port that it listens on, and its command line."""
    program = tmp_path / "left_behind.py"
    program.write_text(
        "import os, signal, socket, sys\n"
        "if os.fork(): sys.exit()\n"
        "os.setsid()\n"
        "made = socket.create_server(('127.0.0.1', 0))\n"
        "print(os.getpid(), made.getsockname()[1], flush=True)\n"
        "os.close(1)\n"
        "signal.pause()\n"
    )
    made = subprocess.Popen([sys.executable, program, "--password=hunter22"], stdout=subprocess.PIPE, text=True)
    assert made.stdout is not None
    pid, port = map(int, made.stdout.readline().split())
    made.stdout.close()
    made.wait()
    yield port, str(program)
    os.kill(pid, 9)


def test_what_a_rehearsal_leaves_shows(left_behind: tuple[int, str], tmp_path: Path) -> None:
    port, program = left_behind
    (tmp_path / "left.conf").write_text("x\n")
    (tmp_path / "left.conf").chmod(0o640)
    found = _survey(paths=[str(tmp_path)], command="echo volume-1")
    mine = [line for line in found["processes"] if program in line]
    user = survey._user(os.getuid())
    assert mine == [f"{user} {sys.executable} {program} --password=***"]
    assert f"tcp 127.0.0.1 port {port}" in found["listening ports"]
    sum_of_x = "73cb3858a687a8494ca3323053016282f3dad39d42cf62ca4e79dda2aac7d9ac"
    assert any(line.startswith(f"{tmp_path}/left.conf 0640 {user}:") for line in found["files"])
    assert any(line.endswith(f" 2 bytes sha256 {sum_of_x}") for line in found["files"])
    assert found["own"] == ["volume-1"]
    assert {"addresses", "routes", "rules", "mounts", "cron"} <= found.keys()


def test_whoever_asks_is_not_listed() -> None:
    """Neither the program, nor what began it, nor what that has begun."""
    with subprocess.Popen(["sleep", "4321"]) as beside:
        try:
            found = _survey()
        finally:
            beside.kill()
    assert not [line for line in found["processes"] if "sleep 4321" in line or "survey.py" in line]


def test_what_a_login_runs_is_not_listed() -> None:
    """As seen on a host with a server for logins, a session of another's, and one of a server with workers."""

    def process(pid: int, parent: int, words: str, program: str) -> survey.Process:
        made = object.__new__(survey.Process)
        made.pid, made.parent, made.words, made.program = pid, parent, words, program
        made.uid, made.started_s = 0, 0.0
        return made

    sshd, postgres = "/usr/sbin/sshd", "/usr/bin/postgres"
    known = {
        p.pid: p
        for p in (
            process(1, 0, "init", "/sbin/init"),
            process(10, 1, "sshd: /usr/sbin/sshd -D [listener] 1 of 10-100 startups", sshd),
            process(11, 10, "sshd: alice [priv]", sshd),
            process(12, 11, "sshd: alice@pts/0", sshd),
            process(13, 12, "-bash", "/bin/bash"),
            process(14, 13, "vim\0notes", "/usr/bin/vim"),
            process(15, 1, "ssh: /root/.ansible/cp/abc [mux]", "/usr/bin/ssh"),
            process(17, 1, "ssh\0-q\0-W\0[10.0.0.9]:22\0jump", "/usr/bin/ssh"),
            process(18, 1, "ssh\0-N\0-L\08080:db:80\0jump", "/usr/bin/ssh"),
            process(16, 1, "python3\0-m\0http.server", "/usr/bin/python3"),
            process(20, 1, "postgres\0-D\0/data", postgres),
            process(21, 20, "postgres: walsender repl 10.0.0.9(4711) streaming 0/3000148", postgres),
            process(30, 1, "/usr/bin/python3\0/opt/bin/bascule\0daemon", "/usr/bin/python3"),
            process(31, 30, "ansible-playbook\0site.yml", "/usr/bin/python3"),
            process(32, 1, "/opt/bin/python3\0-P\0/opt/bin/bascule\0drill\0run\0lab/erp", "/usr/bin/python3"),
            process(33, 1, "tail\0-f\0/var/log/bascule\0/var/log/syslog", "/usr/bin/tail"),
        )
    }
    assert survey.passing(known) == {11, 12, 13, 14, 15, 17, 30, 31, 32}
    assert [p.pid for p in known.values() if survey.is_worker(p, known)] == [11, 12, 21]
    assert known[10].line() == "root sshd: /usr/sbin/sshd -D [listener]"


def test_what_passes_is_waited_for(left_behind: tuple[int, str]) -> None:
    """A process that is young is looked at for four seconds; the server lives on, and is listed."""
    _port, program = left_behind
    began = time.monotonic()
    assert any(program in line for line in _survey()["processes"])
    assert time.monotonic() - began >= survey.YOUNG_S


def test_what_is_too_long_is_summed_up() -> None:
    lines = [f"file-{n:05}" for n in range(5000)]
    found = survey.bounded({"files": lines, "ports": ["22"], "own": []}, 4000)
    assert (found["ports"], found["own"]) == (["22"], [])
    assert len(json.dumps(found)) < 4100
    kept, last = found["files"][:-1], found["files"][-1]
    assert kept == lines[: len(kept)]
    assert last.startswith(f"{5000 - len(kept)} more, sha256 ")
    other = survey.bounded({"files": [*lines[:-1], "file-left"], "ports": ["22"], "own": []}, 4000)
    assert other["files"][-1] != last
    assert other["files"][:-1] == kept


def test_a_long_line_keeps_its_difference() -> None:
    one, other = ("/opt/app " + "x" * 400 + end for end in "ab")
    assert survey.bounded({"processes": [one]}, 9999) != survey.bounded({"processes": [other]}, 9999)
    assert len(survey.bounded({"processes": [one]}, 9999)["processes"][0]) < 260


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("app\0--db-password\0hunter22\0-v", "app\0--db-password\0***\0-v"),
        ("env PGPASSWORD=hunter22 psql", "env PGPASSWORD=*** psql"),
        ("app\0postgres://erp:hunter22@db/erp", "app\0postgres://erp:***@db/erp"),
        ("app\0--passive\0--tokens-file=/etc/x", "app\0--passive\0--tokens-file=***"),
        ("tar\0-C\0/srv", "tar\0-C\0/srv"),
        ("app\0--passphrase\0correct horse battery\0-v", "app\0--passphrase\0***\0-v"),
        ("app\0--passphrase=correct horse battery\0-v", "app\0--passphrase=***\0-v"),
        ("sh\0-c\0PGPASSWORD=hunter22 pg_dump erp", "sh\0-c\0PGPASSWORD=*** pg_dump erp"),
    ],
)
def test_secrets_on_command_lines_are_not_kept(said: str, shown: str) -> None:
    assert survey._harmless(said) == shown


def test_a_command_that_fails_says_why() -> None:
    given = base64.b64encode(json.dumps({"command": "echo no access >&2; exit 3"}).encode()).decode()
    done = subprocess.run([sys.executable, PROGRAM, given], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "the command of the survey ended with 3: no access" in done.stderr


def test_of_a_command_that_says_nothing_in_time_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it had begun ends with it: a survey leaves nothing behind."""
    monkeypatch.setattr(survey, "COMMAND_S", 0.5)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        os.set_inheritable(theirs.fileno(), True)
        monkeypatch.setattr(survey.subprocess, "Popen", partial(subprocess.Popen, pass_fds=[theirs.fileno()]))
        with pytest.raises(RuntimeError, match="gave no answer in"):
            survey.own("sleep 600; true")
        theirs.close()
        ours.settimeout(5)
        assert ours.recv(1) == b""  # nobody has the other end any more


def test_an_address_is_told_as_people_write_it() -> None:
    assert survey._address(f"{int.from_bytes(socket.inet_aton('10.20.0.1'), sys.byteorder):08X}") == "10.20.0.1"


async def test_as_a_step_it_is_published_by_host(tmp_path: Path) -> None:
    """By an ordinary playbook, on the hosts that the rehearsal is limited to; twice, it finds the same."""
    stage = Stage(tmp_path)
    stage._differs = lambda _client, _playbook: ""  # type: ignore[method-assign]
    stage.open()
    told = {
        "bascule_survey_paths": [str(tmp_path / "playbooks")],
        "bascule_survey_command": "echo {{ inventory_hostname }} '{'",
    }
    book = Playbook(SURVEY, "", {**told, "bascule_survey_become": False}, "here:there")
    found = []
    for step in ("survey", "survey-again"):
        key = StepKey("acme/run-1", step, 1)
        stage.runner.carry_out(RunPlaybook(key, "acme", book, {}, 1, 120.0, "", stage.workspace_id, stats=True))
        ended = await stage.end_of(key)
        assert (ended.outcome, ended.detail) == (AttemptEnd.OK, "")
        found.append(ended.stats["bascule_survey"])
    assert found[0].keys() == {"here", "there"}
    steady = ("routes", "rules", "addresses", "mounts", "cron", "files", "own")
    assert [found[0]["here"][what] for what in steady] == [found[1]["here"][what] for what in steady]
    assert (found[0]["here"]["own"], found[0]["there"]["own"]) == (["here {"], ["there {"])
    await stage.runner.close()
