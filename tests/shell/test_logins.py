"""A login check goes where the inventory in force leads, and nowhere that an edit alone has led it."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from orchestrator.core.events import Answer
from orchestrator.shell.files import Files
from orchestrator.shell.logins import EDITED, NO_ANSWER, Logins
from orchestrator.shell.wiring import read_workspace
from tests.probes.test_login import asked as answered
from tests.shell.small import Small, write

pytestmark = pytest.mark.usefixtures("nothing_warm")

ELSEWHERE = "all: {hosts: {here: {ansible_connection: local, ansible_ssh_common_args: -o ProxyCommand=/tmp/program}}}\n"


async def ready(small: Small) -> tuple[Files, Logins, list[str]]:
    """Files in force, whoever asks, and the hosts that were logged in to."""
    asked: list[str] = []

    async def ask(client: str, host: str, become: bool) -> tuple[bool | None, str]:
        asked.append(host)
        return True, ""

    files = Files(small.path, lambda: read_workspace(small.path))
    await files.begin(lambda: False)
    return files, Logins(files.leads_elsewhere, ask), asked


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("inventories/acme/hosts.yml", ELSEWHERE),
        ("inventories/acme/host_vars/here.yml", "ansible_host: 192.0.2.7\n"),
        ("inventories/acme/group_vars/all.yml", "ansible_host: 192.0.2.7\n"),
        ("ansible.cfg", "[ssh_connection]\nssh_executable = /tmp/program\n"),
    ],
)
async def test_nobody_logs_in_by_what_was_edited_and_not_put_in_force(small: Small, file: str, text: str) -> None:
    files, logins, asked = await ready(small)
    assert await logins.ask("acme", "here", False) == (True, "")
    write(small.path / file, text)
    assert await logins.ask("acme", "here", False) == (None, EDITED)
    assert asked == ["here"]
    assert await files.reload(lambda loaded, found, also: files.use(loaded, found, also) or []) == []  # type: ignore[func-returns-value]
    assert await logins.ask("acme", "here", False) == (True, "")


async def test_what_a_login_does_not_depend_on_may_be_edited(small: Small) -> None:
    _, logins, asked = await ready(small)
    services = small.path / "inventories/acme/services.yml"
    write(services, services.read_text().replace("rto: 5m", "rto: 6m"))
    write(small.path / "playbooks/notes.md", "text\n")
    write(Path(small.path / "checks/more.yml"), "[]\n")
    assert await logins.ask("acme", "here", False) == (True, "")
    assert asked == ["here"]


async def test_files_that_do_not_answer_cost_their_own_client_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mount under one client's inventory hangs: each question would wait for ever, in a thread of those of all."""
    monkeypatch.setattr("orchestrator.shell.logins.LOOK_S", 0.3)
    mounted, looks = threading.Event(), []

    def elsewhere(client: str) -> bool:
        looks.append(client)
        return client == "west" and not mounted.wait(60)

    async def ask(_client: str, _host: str, _become: bool) -> tuple[bool | None, str]:
        return True, ""

    logins = Logins(elsewhere, ask)
    try:
        hung = await asyncio.gather(*(logins.ask("west", f"host-{n}", False) for n in range(40)))
        assert set(hung) == {(None, NO_ANSWER)}
        assert looks == ["west"]
        async with asyncio.timeout(5):
            assert await logins.ask("east", "host-1", False) == (True, "")
    finally:
        mounted.set()
    await asyncio.sleep(0.1)
    assert await logins.ask("west", "host-1", False) == (True, "")


async def test_files_that_do_not_answer_are_no_silence_of_the_host() -> None:
    """Nobody was asked: not even where the check waits a second, as a check does of itself."""
    mounted = threading.Event()

    async def ask(_client: str, _host: str, _become: bool) -> tuple[bool | None, str]:
        return True, ""

    try:
        seen = await answered(Logins(lambda _client: not mounted.wait(60), ask).ask, 1.0)
        assert (seen.answer, NO_ANSWER in seen.detail) == (Answer.NONE, True), seen
    finally:
        mounted.set()
