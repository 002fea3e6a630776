"""A controller and its files: what stays in force when they go wrong, and what is left behind when a start fails."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from orchestrator.config import ConfigurationInvalid, Loaded
from orchestrator.core import records as r
from orchestrator.core.events import WordKind, WordSpoken
from orchestrator.core.people import AppriseWay
from orchestrator.core.reasons import Reason
from orchestrator.journal.journal import JournalUnwritable
from orchestrator.journal.lease import Lease
from orchestrator.journal.sqlite import SqliteJournal, journal_path
from orchestrator.shell import waiting, wiring
from orchestrator.shell.identity import identity_for
from orchestrator.shell.lease import LeaseLost, LeaseRefused
from orchestrator.shell.wiring import Controller
from tests.shell.small import PATIENCE_S, SERVICES, Small, write

pytestmark = pytest.mark.usefixtures("nothing_warm")

ASKS_WITH_A_SECRET = (
    "- {name: door, hosts: here, probe: http, url: 'http://127.0.0.1:9/', token_secret: door_token, every: 60s}\n"
)


def vaulted_by(small: Small, token: str) -> None:
    """A check that needs a secret."""
    write(small.path / "checks/door.yml", ASKS_WITH_A_SECRET)
    write(small.path / "inventories/acme/group_vars/all.yml", f"door_token: {token}\n")


@pytest.fixture
async def controller(small: Small) -> AsyncIterator[Controller]:
    """Of the small workspace, started."""
    vaulted_by(small, "first")
    found = Controller(small.path)
    await found.start()
    yield found
    await found.close()


async def test_files_that_went_invalid_take_nothing_from_what_is_in_force(small: Small, controller: Controller) -> None:
    loaded, kept, model = controller.files.loaded, controller.files.secrets, controller.shell.engine.model
    assert list(kept.values()) == ["first"]
    write(small.path / "inventories/acme/services.yml", SERVICES.replace("ladder: [restart]", "ladder: [restrat]"))
    assert await controller.reload()
    assert controller.files.loaded is loaded
    assert controller.files.secrets == kept
    assert controller.shell.engine.model is model
    assert controller.files.not_in_force


async def test_a_configuration_that_the_engine_refuses_leaves_no_part_of_itself(
    small: Small, controller: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    vaulted_by(small, "second")
    write(small.path / "bascule.yml", "notify: {ways: [{apprise: 'json://192.0.2.1/'}]}\n")
    monkeypatch.setattr(controller.shell, "configure", lambda _model: ["acme/web has incident i1 open"])
    assert await controller.reload()
    assert list(controller.files.secrets.values()) == ["first"]
    assert controller.notifier.settings.ways == ()
    monkeypatch.undo()
    assert await controller.reload() == []
    assert list(controller.files.secrets.values()) == ["second"]
    assert isinstance(controller.notifier.settings.ways[0], AppriseWay)


async def test_a_heartbeat_is_the_one_in_force(small: Small, controller: Controller) -> None:
    """Begun, changed and ended by a reload."""
    heard: list[str] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append((await reader.readline()).decode().split()[1])
        writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
        writer.close()

    async def beats(path: str) -> None:
        heard.clear()
        async with asyncio.timeout(PATIENCE_S):
            while heard[-2:] != [path, path]:  # noqa: ASYNC110
                await asyncio.sleep(0.05)

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    for path in ("/one", "/two"):
        write(small.path / "bascule.yml", f"heartbeat: {{url: '{url}{path}', every: 1s}}\n")
        assert await controller.reload() == []
        await beats(path)
    write(small.path / "bascule.yml", "")
    assert await controller.reload() == []
    heard.clear()
    await asyncio.sleep(1.5)
    assert heard == []
    server.close()


async def test_a_configuration_that_cannot_be_kept_is_not_put_in_force(
    small: Small, controller: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_digest: str, _model: object) -> None:
        raise JournalUnwritable("no space is left for it", "Free some space.")

    vaulted_by(small, "second")
    monkeypatch.setattr(controller.journal, "store_model", full)
    assert await controller.reload()
    assert list(controller.files.secrets.values()) == ["first"]


async def test_what_was_read_before_does_not_overtake_what_was_read_later(
    small: Small, controller: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first reading is slow, the file is edited meanwhile, and somebody else reloads."""
    read, go_on, has_read = wiring.read_workspace, threading.Event(), threading.Event()

    def slow_at_first(workspace: Path) -> Loaded:
        found = read(workspace)
        if not has_read.is_set():
            has_read.set()
            go_on.wait(30.0)
        return found

    monkeypatch.setattr(wiring, "read_workspace", slow_at_first)
    vaulted_by(small, "second")
    first = asyncio.create_task(controller.reload())
    await asyncio.to_thread(has_read.wait, 30.0)
    vaulted_by(small, "third")
    second = asyncio.create_task(controller.reload())
    await asyncio.wait({second}, timeout=3.0)  # without a turn of its own it is through by now
    go_on.set()
    assert await asyncio.gather(first, second) == [[], []]
    assert list(controller.files.secrets.values()) == ["third"]


async def test_a_reading_that_breaks_is_no_end_and_says_why(
    small: Small, controller: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor is what was wrong some other time told in its place."""
    write(small.path / "inventories/acme/services.yml", SERVICES.replace("ladder: [restart]", "ladder: [restrat]"))
    assert "restrat" in " ".join(await controller.reload())
    write(small.path / "inventories/acme/services.yml", SERVICES)

    def broken(_workspace: Path) -> Loaded:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(wiring, "read_workspace", broken)
    assert await controller.reload() == ["internal fault: RuntimeError: can't start new thread"]
    monkeypatch.undo()
    small.path.chmod(0o777)
    assert "may write" in " ".join(await controller.reload())
    small.path.chmod(0o755)
    assert await controller.reload() == []


async def test_work_that_breaks_is_begun_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "BEGIN_AGAIN_S", 0.0)
    begun: list[int] = []

    async def work() -> None:
        begun.append(len(begun))
        if len(begun) < 3:
            raise ValueError("a fault of ours")

    await waiting.keep_going(work)
    assert begun == [0, 1, 2]


async def test_a_start_that_fails_gives_back_what_it_took(small: Small) -> None:
    """Invalid files, and a journal that knows no earlier model: the lease was taken to find that out."""
    SqliteJournal(journal_path(small.path)).close()
    write(small.path / "inventories/acme/services.yml", "services: {web: {rto: 5m}}\n")
    before = set(os.listdir("/proc/self/fd"))
    with pytest.raises(ConfigurationInvalid):
        await Controller(small.path).start()
    assert {x for x in before ^ set(os.listdir("/proc/self/fd")) if _is_ours(x, small.path)} == set()
    journal = SqliteJournal(journal_path(small.path), read_only=True)
    assert journal.holder() is None
    journal.close()


def _is_ours(fd: str, workspace: Path) -> bool:
    try:
        return str(workspace) in str(Path(f"/proc/self/fd/{fd}").readlink())
    except OSError:
        return False


async def test_an_end_that_breaks_keeps_nothing_else_from_ending(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that cannot be closed: the lease is given back all the same, and the next one need not wait for it."""
    first = Controller(small.path)
    await first.start()

    async def broken() -> None:
        raise OSError("not now")

    monkeypatch.setattr(first.files, "close", broken)
    with pytest.raises(OSError, match="not now"):
        await first.close()
    second = Controller(small.path, name="other")
    await second.start()
    await second.close()


async def test_a_second_controller_leaves_the_first_ones_lease_alone(small: Small, controller: Controller) -> None:
    with pytest.raises(LeaseRefused):
        await Controller(small.path, name="other").start()
    found = controller.journal.holder()
    assert isinstance(found, Lease)
    assert found.epoch == controller.lease.epoch


async def test_what_epochs_are_known_by_is_kept_in_the_journal_until_an_operator_says_otherwise(small: Small) -> None:
    known = []
    for new_epochs in (False, False, True, False):
        found = Controller(small.path, new_epochs=new_epochs)
        await found.start()
        known.append(found.shell.engine.decided.workspace)
        await found.close()
    assert known[0] == known[1] != known[2] == known[3]
    assert all(len(name) == 16 for name in known)
    assert not (small.path / ".bascule/identity").exists()


def test_what_older_versions_kept_in_a_file_is_kept_and_a_new_journal_has_a_new_name(tmp_path: Path) -> None:
    first = identity_for(tmp_path, 1)
    assert len(first) == 16
    assert identity_for(tmp_path, 1) != first
    write(tmp_path / ".bascule/identity", "of-old\n")
    assert identity_for(tmp_path, 7) == "of-old"
    assert identity_for(tmp_path, 1) != "of-old"  # a new journal, whose epochs begin again
    write(tmp_path / ".bascule/identity", "")
    assert len(identity_for(tmp_path, 7)) == 16


async def test_a_word_that_cannot_be_remembered_is_refused_at_once(
    controller: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise JournalUnwritable("no space is left for it", "Free some space.")

    monkeypatch.setattr(controller.journal, "append_all", full)
    monkeypatch.setattr("orchestrator.shell.answers.ANSWER_S", float("inf"))
    for word in ("w1", "w2"):  # the one that met the fault, and one that comes while it lasts
        answer = await controller.speak(WordSpoken(word, WordKind.HOLD, "Ada", "*"))
        assert (answer.word, answer.accepted, answer.reason) == (word, False, Reason.CANNOT_ACT.value)
        assert "no space is left for it" in answer.evidence
        assert f"--word-id {word}" in answer.evidence


async def test_a_refused_word_is_heard_when_it_is_repeated(
    controller: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise JournalUnwritable("no space is left for it", "Free some space.")

    word = WordSpoken("w1", WordKind.HOLD, "Ada", "*")
    with monkeypatch.context() as disk:
        disk.setattr(controller.journal, "append_all", full)
        assert not (await controller.speak(word)).accepted
    monkeypatch.setattr(controller.shell, "_retry_at", 0.0)
    assert (await controller.speak(word)).accepted
    kept = [x for entry in controller.journal.entries() for x in entry.records if isinstance(x, r.WordAccepted)]
    assert [x.word for x in kept] == ["w1"]


async def test_a_controller_that_lost_its_lease_refuses_words_at_once(controller: Controller) -> None:
    controller.journal.release(controller.lease)
    other = controller.journal.acquire("other", 20.0)
    assert isinstance(other, Lease)
    for word in ("w1", "w2"):  # the one that shows it, and one that comes later
        with pytest.raises(LeaseLost):
            await controller.speak(WordSpoken(word, WordKind.HOLD, "Ada", "*"))


async def test_of_two_words_under_one_id_each_has_its_own_answer(
    controller: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Said at the same moment, before either is heard: a tool may count its findings for each client from one."""
    with monkeypatch.context() as patch:
        patch.setattr(controller._intake, "take", lambda: None)
        about = ("acme", "acme/web")
        words = [WordSpoken("edr-1", WordKind.SUSPECT, "edr", subject) for subject in about]
        said = [asyncio.create_task(controller.speak(word)) for word in words]
        await asyncio.sleep(0.5)
    controller._intake.take()
    first, second = await asyncio.gather(*said)
    assert (first.accepted, second.accepted, second.reason) == (True, False, Reason.ID_IN_USE)
    assert controller._answers.waited_for == set()
