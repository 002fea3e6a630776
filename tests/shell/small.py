"""A workspace of one service, its files, what it watches, and the programs of ours that run in it."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from orchestrator.core import records as r
from orchestrator.journal.sqlite import SqliteJournal, journal_path
from tests.ports import free_port
from tests.tied import tied

PATIENCE_S = 90.0  # a busy machine takes its time; nothing here waits for so long otherwise


class Web:
    """What is checked: it listens while its file is there. The playbook's work is to put the file there."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.port = free_port()
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
                listening.setblocking(False)
            elif not self.file.exists() and listening is not None:
                listening.close()
                listening = None
            elif listening is not None:  # else its queue is full after a while
                with contextlib.suppress(BlockingIOError):
                    while True:
                        listening.accept()[0].close()
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
                [*tied("TERM"), sys.executable, "-m", "orchestrator.cli.main", "daemon", "--workspace", str(self.path)],
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
