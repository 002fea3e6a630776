"""`bascule notify test`, as it is typed: what each way answered, and an exit code."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from orchestrator.cli.main import main


class Chat(http.server.ThreadingHTTPServer):
    """Takes messages, and notes them."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.got: list[dict[str, str]] = []


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        text = self.rfile.read(int(self.headers["content-length"]))
        assert isinstance(self.server, Chat)
        self.server.got.append(json.loads(text))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def chat() -> Iterator[Chat]:
    server = Chat()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


@pytest.fixture
def workspace(tmp_path: Path, chat: Chat) -> Path:
    """Two clients, each with a person of the same name."""
    for client in ("acme", "beta"):
        write(tmp_path / f"inventories/{client}/services.yml", "services: {}\n")
        write(tmp_path / f"inventories/{client}/hosts.yml", "all: {hosts: {h: {}}}\n")
        url = f"json://robot:passw0rd@127.0.0.1:{chat.server_port}/{client}"
        people = f"people: {{alice: {{name: Alice of {client}, ways: [{{apprise: '{url}'}}]}}}}\non_call: [alice]\n"
        write(tmp_path / f"inventories/{client}/people.yml", people)
    return tmp_path


@dataclass(frozen=True)
class Done:
    """How a command ended, and what it said."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def bascule(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Done]:
    """One command line, to its end."""
    monkeypatch.setenv("BASCULE_OPERATOR", "marie")
    monkeypatch.setenv("COLUMNS", "100")

    def run(workspace: Path, *arguments: str) -> Done:
        with pytest.raises(SystemExit) as ended:
            main([*arguments, "--workspace", str(workspace)])
        said = capfd.readouterr()
        return Done(int(ended.value.code or 0), said.out, said.err)

    return run


Bascule = Callable[..., Done]


def test_every_way_gets_a_message_that_says_it_is_a_test_and_who_sent_it(
    workspace: Path, bascule: Bascule, chat: Chat
) -> None:
    done = bascule(workspace, "notify", "test")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "acme/alice by json  delivered after" in done.stdout
    assert "2 of 2 ways took the message" in done.stdout
    assert {m["title"] for m in chat.got} == {"[bascule] TEST: nothing has happened"}
    assert all("marie sent it" in m["message"] for m in chat.got)
    assert not (workspace / ".bascule" / "journal.db").exists(), "it is no word, and leaves no record"


def test_one_of_two_people_of_the_same_name_is_named_with_the_client(
    workspace: Path, bascule: Bascule, chat: Chat
) -> None:
    unclear = bascule(workspace, "notify", "test", "alice")
    assert unclear.returncode == 2
    assert "Say which: acme/alice, beta/alice" in unclear.stderr
    assert bascule(workspace, "notify", "test", "beta/alice").returncode == 0
    (message,) = chat.got
    assert "Alice of beta" in message["message"]
    nobody = bascule(workspace, "notify", "test", "alise")
    assert nobody.returncode == 2
    assert "there is no person alise" in nobody.stderr


def test_a_way_that_fails_a_person_without_one_and_a_url_that_is_not_there_are_no_success(
    workspace: Path, bascule: Bascule, chat: Chat
) -> None:
    write(
        workspace / "bascule.yml",
        "notify: {ways: [{name: pager, command: [/bin/sh, -c, 'echo no credit >&2; exit 4']}]}\n"
        "people: {bob: {name: Bob}}\non_call: [bob]\n",
    )
    done = bascule(workspace, "notify", "test", "--json")
    assert done.returncode == 1
    told = {(row["receiver"], row["way"]): row for row in json.loads(done.stdout)["ways"]}
    assert told["workspace", "pager"]["why"] == "exit code 4: no credit"
    assert told["acme/alice", "json"]["delivered"] is True
    assert told["acme/alice", "json"]["took_s"] >= 0
    bob = bascule(workspace, "notify", "test", "bob")
    assert bob.returncode == 1
    assert "bob failed: no way is configured" in " ".join(bob.stdout.split())
    write(workspace / "bascule.yml", "notify: {ways: [{apprise: {env: NOT_SET_HERE}}]}\n")
    missing = bascule(workspace, "notify", "test")
    assert missing.returncode == 1
    assert "the environment variable NOT_SET_HERE is not set" in missing.stderr
    assert "passw0rd" not in done.stdout + done.stderr + missing.stdout + missing.stderr


def test_a_fault_elsewhere_keeps_nobody_from_trying(workspace: Path, bascule: Bascule) -> None:
    write(workspace / "checks/a.yml", "- {nonsense: 1}\n")
    assert bascule(workspace, "notify", "test", "acme/alice").returncode == 0


@pytest.mark.parametrize(
    ("ways", "place", "said"),
    [
        ("[{apprise: 'jsn://hunter2/'}]", "bascule.yml:1:27", "apprise knows no service jsn://; expected json://"),
        ("[{apprise: 'slack://hunter2'}]", "bascule.yml:1:27", "apprise refuses the URL of this way, slack://…"),
        ("[{apprise: 'mailto://u:hunter2@x.example'}]", "bascule.yml:1:27", "names no recipient"),
    ],
)
def test_validate_finds_a_url_that_cannot_work(
    workspace: Path, bascule: Bascule, ways: str, place: str, said: str
) -> None:
    write(workspace / "bascule.yml", f"notify: {{ways: {ways}}}\n")
    done = bascule(workspace, "validate")
    assert done.returncode == 2
    assert f"{place}: " in done.stderr
    assert said in done.stderr
    assert "hunter2" not in done.stderr


def test_validate_warns_of_what_reaches_nobody(workspace: Path, bascule: Bascule, tmp_path: Path) -> None:
    write(tmp_path / "empty", "")
    write(
        workspace / "inventories/acme/people.yml",
        "people:\n"
        "  ada: {name: Ada, deputy: bob}\n"
        "  bob: {name: Bob, deputy: ada}\n"
        f"  carl: {{name: Carl, ways: [{{command: [/nowhere/page]}}, {{command: [{tmp_path}/empty]}}, "
        f"{{apprise: {{file: {tmp_path}/empty}}}}]}}\n"
        "on_call: [ada]\n",
    )
    write(workspace / "checks/a.yml", "- {name: web, probe: nagios, command: [/bin/true], clients: [acme]}\n")
    write(
        workspace / "inventories/acme/services.yml",
        "services: {web: {healthy_when: web, rto: 5m, owners: [ada]}}\n",
    )
    done = bascule(workspace, "validate")
    assert done.returncode == 0, done.stderr
    for said in (
        "people.yml:2:3: person acme/ada has no way of their own that can be used, and the deputies go round in a"
        " circle: acme/ada > acme/bob > acme/ada",
        "people.yml:4:39: there is no program /nowhere/page here",
        "is not executable; expected a program: chmod +x",
        "is empty: what it is for cannot be used here",
        "client acme: nobody on call has a way (acme/ada): its notices reach nobody",
        "service web: no owner has a way of their own (acme/ada)",
    ):
        assert said in done.stderr, done.stderr
    assert "each counted for itself: web" in done.stdout, "it says which checks stand alone"
