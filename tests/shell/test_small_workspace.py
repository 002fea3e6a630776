"""A workspace of one service, from the files to the end: a real daemon, a real playbook, a real journal."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orchestrator.core import records as r
from orchestrator.core.reasons import Reason
from orchestrator.journal.sqlite import SqliteJournal, journal_path

PATIENCE_S = 90.0  # a busy machine takes its time; nothing here waits for so long otherwise


class Web:
    """What is checked: it listens while its file is there. The playbook's work is to put the file there."""

    def __init__(self, file: Path) -> None:
        self.file = file
        held = socket.socket()
        held.bind(("127.0.0.1", 0))
        self.port = int(held.getsockname()[1])
        held.close()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._over.set()
        self._thread.join()

    def _serve(self) -> None:
        listening: socket.socket | None = None
        while not self._over.wait(0.05):
            if self.file.exists() and listening is None:
                listening = socket.socket()
                listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listening.bind(("127.0.0.1", self.port))
                listening.listen(64)
            elif not self.file.exists() and listening is not None:
                listening.close()
                listening = None
        if listening is not None:
            listening.close()


def write(path: Path, text: str) -> None:
    """A file, with the directories above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


SERVICES = """\
moves:
  restart:
    playbook: restart.yml
    viable_when: {all: [ref]}
    verify: {all: [web]}
    done_when: {all: [web]}
    safe_to_repeat: true
services:
  web:
    mode: auto
    rto: 5m
    healthy_when: {all: [web]}
    ladder: [restart]
"""


class Small:
    """The workspace, what it watches, and the programs of ours that run in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.web = Web(path / "up")
        self.ref = Web(path / "ref-up")
        self.started: list[subprocess.Popen[bytes]] = []
        (path / "up").touch()
        (path / "ref-up").touch()
        write(
            path / "inventories/acme/hosts.yml",
            f"all: {{hosts: {{here: {{ansible_connection: local, ansible_python_interpreter: {sys.executable}}}}}}}\n",
        )
        write(path / "inventories/acme/services.yml", SERVICES)
        write(
            path / "checks/web.yml",
            f"- {{name: web, hosts: here, probe: tcp, target: 127.0.0.1, port: {self.web.port}, every: 500ms}}\n"
            f"- {{name: ref, hosts: here, probe: tcp, target: 127.0.0.1, port: {self.ref.port}, every: 500ms,"
            " reference: true}\n",
        )
        write(
            path / "playbooks/restart.yml",
            "- hosts: here\n  gather_facts: false\n  tasks:\n    - name: start the web server\n"
            f"      ansible.builtin.file: {{path: {path}/up, state: touch, mode: '0644'}}\n",
        )

    def bascule(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """One command, to its end."""
        return subprocess.run(
            [sys.executable, "-m", "orchestrator.cli.main", *arguments, "--workspace", str(self.path)],
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            env=os.environ | {"BASCULE_OPERATOR": "Ada", "COLUMNS": "160"},
            check=False,
        )

    def daemon(self) -> subprocess.Popen[bytes]:
        """One more daemon; its log is `daemon-N.log`."""
        with (self.path / f"daemon-{len(self.started) + 1}.log").open("wb") as log:
            program = subprocess.Popen(
                [sys.executable, "-m", "orchestrator.cli.main", "daemon", "--workspace", str(self.path)],
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.started.append(program)
        return program

    def log(self, number: int = 1) -> str:
        """What the n-th daemon has said so far."""
        return (self.path / f"daemon-{number}.log").read_text(encoding="utf-8")

    def records(self, *kinds: type) -> list[r.Record]:
        """What the journal has of these kinds."""
        path = journal_path(self.path)
        if not path.exists():
            return []
        journal = SqliteJournal(path, read_only=True)
        try:
            return [x for entry in journal.entries() for x in entry.records if isinstance(x, kinds)]
        finally:
            journal.close()

    def until(self, what: Callable[[], object], says: str) -> None:
        """Wait for it."""
        ends = time.monotonic() + PATIENCE_S
        while not what():
            assert time.monotonic() < ends, f"{says}: not in time\n{self.log() if self.started else ''}"
            time.sleep(0.1)

    def is_up(self, check: str = "web") -> bool:
        """Whether the check's latest verdict is up."""
        found = [x for x in self.records(r.VerdictChanged) if isinstance(x, r.VerdictChanged) and check in x.check]
        return bool(found) and found[-1].verdict is r.Verdict.UP

    def close(self) -> None:
        for program in self.started:
            if program.poll() is None:
                program.kill()
            program.wait()
        self.web.close()
        self.ref.close()


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Small]:
    workspace = Small(tmp_path)
    yield workspace
    workspace.close()


def test_a_daemon_recovers_reloads_hands_over_and_ends(small: Small) -> None:
    first = small.daemon()
    small.until(lambda: "daemon is up" in small.log(), "the daemon is up")
    small.until(small.is_up, "the service is seen up")

    (small.path / "up").unlink()  # the service dies, and the playbook brings it back
    small.until(lambda: small.records(r.IncidentEnded), "the incident has ended")
    (ended,) = small.records(r.IncidentEnded)
    assert isinstance(ended, r.IncidentEnded)
    assert ended.reason is Reason.VERIFIED
    steps = [x for x in small.records(r.StepFinished) if isinstance(x, r.StepFinished)]
    assert [(x.step, x.state.value) for x in steps] == [("preflight", "done"), ("execute", "done"), ("verify", "done")]
    assert steps[1].tasks[-1].name == "start the web server"  # after the epoch guard
    shown = small.bascule("status")
    assert shown.returncode == 0, shown.stderr
    assert "acme/web" in shown.stdout

    configured = small.records(r.Configured)
    write(small.path / "inventories/acme/services.yml", SERVICES.replace("ladder: [restart]", "ladder: [restrat]"))
    first.send_signal(signal.SIGHUP)
    small.until(lambda: "the old one stays in force" in small.log(), "the invalid file is refused")
    assert "restrat" in small.log()
    assert small.records(r.Configured) == configured
    write(small.path / "inventories/acme/services.yml", SERVICES.replace("rto: 5m", "rto: 6m"))
    first.send_signal(signal.SIGHUP)
    small.until(lambda: len(small.records(r.Configured)) > len(configured), "the valid file is in force")

    second = small.daemon()
    small.until(lambda: "waiting for the lease" in small.log(2), "the second daemon waits")
    assert len(small.records(r.ControllerBegan)) == 1
    first.send_signal(signal.SIGTERM)
    assert first.wait(PATIENCE_S) == 0, small.log()
    small.until(lambda: "daemon is up" in small.log(2), "the second daemon takes over")
    assert [x.epoch for x in small.records(r.ControllerBegan) if isinstance(x, r.ControllerBegan)] == [1, 2]
    second.send_signal(signal.SIGTERM)
    assert second.wait(PATIENCE_S) == 0, small.log(2)
    assert "Traceback" not in small.log() + small.log(2)


def test_one_word_without_a_daemon(small: Small) -> None:
    (small.path / "up").unlink()
    dry = small.bascule("failover", "acme/web", "--dry-run")
    assert dry.returncode == 0, dry.stdout + dry.stderr
    assert "restart.yml" in dry.stdout
    assert "start the web server" in dry.stdout
    assert not (small.path / "up").exists()
    assert small.records(r.Configured) == []  # nothing was written

    done = small.bascule("failover", "acme/web", "--reason", "it is down")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (small.path / "up").exists()
    (started,) = small.records(r.RunStarted)
    assert isinstance(started, r.RunStarted)
    assert (started.who, started.why, started.origin) == ("Ada", "it is down", r.Origin.MANUAL)
    (ended,) = small.records(r.RunEnded)
    assert isinstance(ended, r.RunEnded)
    assert ended.ok


def test_a_refusal_without_a_daemon_names_the_guard(small: Small) -> None:
    (small.path / "ref-up").unlink()
    refused = small.bascule("failover", "acme/web")
    assert refused.returncode == 3, refused.stdout + refused.stderr
    assert "blind" in refused.stdout + refused.stderr
    assert small.records(r.RunStarted) == []
