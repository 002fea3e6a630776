"""From an event to the first task's effect on a host behind SSH: ansible-rulebook, and ours.

What an event is differs, and is said: for ansible-rulebook a POST to its webhook; for ours the answer of a check that
completes a fall. Then each decides and runs a playbook whose one task touches a file. The one rule it keeps: the time
runs from the moment at which the bench has sent the event's last byte to the file's own time stamp.

Ours decides more on the way: diagnosis, guards, a preflight asked anew, and each intent made durable before it is
carried out, then the epoch guard on the host.
"""

from __future__ import annotations

import http.client
import http.server
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import yaml

from scripts.bench import peers, targets
from scripts.bench.cell import Cell
from scripts.bench.rounds import in_turns
from scripts.bench.shape import Comparison, Row

EFFECT_S, READY_S, BUDGET_S = 60.0, 90.0, 120.0
RULEBOOK, OURS = "ansible-rulebook", "bascule"
WEBHOOK_PORT = 5000
TASK = "    - {name: Effect, ansible.builtin.command: 'touch {{ effect }}', changed_when: true}\n"
PLAYBOOK = "- name: Measured\n  hosts: host1\n  gather_facts: false\n  tasks:\n" + TASK


def measure(cell: Cell) -> Iterator[Comparison]:
    """In turns; each has one host, its own ssh connections and its own inventory."""
    rounds = cell.rounds(15, 3)
    home = cell.directory / "targets"
    targets.start_server(home)
    effects = cell.directory / "effects"
    effects.mkdir()
    with ExitStack() as stack:
        place = targets.workspace(cell.directory / "rulebook", home, 1)
        theirs = stack.enter_context(_rulebook(place, effects))
        place = targets.workspace(cell.directory / "bascule", home, 1)
        ours = stack.enter_context(bascule(place, effects, rounds + 2))
        values = in_turns({RULEBOOK: theirs, OURS: ours}, rounds, budget_s=BUDGET_S, say=cell.say)
    yield Comparison(
        "event-to-effect",
        "event to the first task's effect over SSH",
        tuple(Row(name, found) for name, found in values.items()),
        ((OURS, RULEBOOK),),
        note="Event: a webhook's POST; for bascule the answer that completes a check's fall. bascule also asks a "
        "preflight, writes each intent down durably, and passes the epoch guard on the host.",
    )


@contextmanager
def _rulebook(place: Path, effects: Path) -> Iterator[Callable[[], float]]:
    """`ansible-rulebook` with its own webhook as source and `run_playbook` as action."""
    (place / "playbooks" / "act.yml").write_text(PLAYBOOK)
    rulebook = [
        {
            "name": "Measured",
            "hosts": "all",
            "sources": [{"eda.builtin.webhook": {"host": "127.0.0.1", "port": WEBHOOK_PORT}}],
            "rules": [
                {
                    "name": "Act",
                    "condition": "event.payload.effect is defined",
                    "action": {
                        "run_playbook": {
                            "name": str(place / "playbooks" / "act.yml"),
                            "extra_vars": {"effect": "{{ event.payload.effect }}"},
                        }
                    },
                }
            ],
        }
    ]
    (place / "rulebook.yml").write_text(yaml.safe_dump(rulebook, sort_keys=False))
    environment = {
        **os.environ,
        "PATH": f"{peers.VENV}/bin:{os.environ['PATH']}",
        "ANSIBLE_CONFIG": str(place / "ansible.cfg"),
        "JAVA_HOME": peers.java_home(),
    }
    argv = [str(peers.program("ansible-rulebook")), "--rulebook", str(place / "rulebook.yml")]
    argv += ["--inventory", str(place / "hosts.json")]
    with (place / "log").open("wb") as log:
        process = subprocess.Popen(argv, cwd=place, env=environment, stdout=log, stderr=log)
    numbers = iter(range(1_000_000))

    def once() -> float:
        effect = effects / f"rulebook-{next(numbers)}"
        connection = http.client.HTTPConnection("127.0.0.1", WEBHOOK_PORT, timeout=10)
        connection.request("POST", "/endpoint", json.dumps({"effect": str(effect)}))
        sent_s = time.time()
        connection.getresponse().read()
        connection.close()
        took_s = _effect(effect, process) - sent_s
        time.sleep(2.0)  # its playbook ends, and its runner with it
        return took_s

    try:
        _wait(lambda: _listens(WEBHOOK_PORT), READY_S, f"ansible-rulebook's webhook; its log: {place / 'log'}", process)
        yield once
    finally:
        _end(process, signal.SIGTERM)


class _Page(http.server.BaseHTTPRequestHandler):
    """`/good` and every other page that is not in `server.bad` is well."""

    protocol_version = "HTTP/1.1"
    server: _Pages

    def do_GET(self) -> None:
        """Answer, and remember when the first bad answer of a page was sent."""
        name = self.path.strip("/")
        bad = name in self.server.bad
        self.send_response(503 if bad else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()
        self.wfile.flush()
        if bad:
            self.server.answered.setdefault(name, time.time())
        self.server.asked.add(name)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the name that the library gives it)
        """Nothing."""


class _Pages(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Page)
        self.bad: set[str] = set()
        self.asked: set[str] = set()
        self.answered: dict[str, float] = {}


@contextmanager
def bascule(place: Path, effects: Path, services: int) -> Iterator[Callable[[], float]]:
    """The daemon on a workspace of so many services; each round another one of them falls."""
    with _served() as pages:
        write_workspace(place, effects, services, f"http://127.0.0.1:{pages.server_address[1]}")
        program = str(Path(sys.executable).parent / "bascule")
        with (place / "log").open("wb") as log:
            process = subprocess.Popen([program, "daemon"], cwd=place, stdout=log, stderr=log)
        names = iter([f"s{n}" for n in range(services)])

        def once() -> float:
            name = next(names)
            if (effects / name).exists():
                raise RuntimeError(f"{name} fell by itself: the machine is too busy to answer within 5 s")
            pages.bad.add(name)
            at_s = _effect(effects / name, process)
            pages.bad.discard(name)
            time.sleep(3.0)  # verified, and the next worker is ready
            return at_s - pages.answered[name]

        def ready() -> bool:
            done = subprocess.run([program, "status", "--json"], cwd=place, capture_output=True, text=True, check=False)
            return done.returncode == 0 and len(pages.asked) > services

        try:
            _wait(ready, READY_S, f"the daemon; its log: {place / 'log'}", process)
            time.sleep(3.0)
            yield once
        except Exception as error:
            error.add_note((place / "log").read_text()[-2000:])
            raise
        finally:
            _end(process, signal.SIGTERM)


def write_workspace(place: Path, effects: Path, services: int, url: str) -> None:
    """Services that are well as long as their page is; each one's only move touches its file on host1."""
    names = [f"s{n}" for n in range(services)]
    (place / "playbooks" / "act.yml").write_text(PLAYBOOK)
    client = place / "inventories" / "bench"
    client.mkdir(parents=True)
    (place / "checks").mkdir()
    shutil.copy(place / "hosts.json", client / "hosts.json")
    checks: list[dict[str, object]] = [
        {"name": name, "probe": "http", "url": f"{url}/{name}", "timeout": "5s", "fall": 1, "rise": 1} for name in names
    ]
    checks.append({"name": "good", "probe": "http", "url": f"{url}/good", "timeout": "5s", "reference": True})
    checks.append({"name": "viable", "probe": "tcp", "target": "127.0.1.1", "port": 22, "every": "500ms"})
    (place / "checks" / "all.yml").write_text(yaml.safe_dump(checks, sort_keys=False))
    moves = {
        f"move-{name}": {
            "playbook": "act.yml",
            "vars": {"effect": str(effects / name)},
            "viable_when": {"all": ["viable"]},
            "verify": {"all": [name]},
        }
        for name in names
    }
    described = {
        name: {"mode": "auto", "rto": "10m", "healthy_when": {"all": [name]}, "ladder": [f"move-{name}"]}
        for name in names
    }
    content = {"moves": moves, "services": described, "limits": {"failure_domains": 1000}}
    (client / "services.yml").write_text(yaml.safe_dump(content, sort_keys=False))
    (client / "people.yml").write_text("people:\n  ada: {name: Ada Bench}\non_call: [ada]\n")


@contextmanager
def _served() -> Iterator[_Pages]:
    pages = _Pages()
    threading.Thread(target=pages.serve_forever, daemon=True).start()
    try:
        yield pages
    finally:
        pages.shutdown()
        pages.server_close()


def _effect(path: Path, process: subprocess.Popen[bytes]) -> float:
    """When the file was touched, in epoch seconds."""
    _wait(path.exists, EFFECT_S, f"the effect {path.name}", process, 0.01)
    return path.stat().st_mtime_ns / 1e9


def _wait(
    condition: Callable[[], bool], limit_s: float, what: str, process: subprocess.Popen[bytes], beat_s: float = 0.1
) -> None:
    until = time.monotonic() + limit_s
    while not condition():
        if process.poll() is not None:
            raise RuntimeError(f"waited for {what}; the program ended with {process.returncode}")
        if time.monotonic() > until:
            raise TimeoutError(f"waited {limit_s:.0f} s for {what}")
        time.sleep(beat_s)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _end(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    process.send_signal(number)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
