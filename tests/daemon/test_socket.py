"""The local socket: whoever may speak is answered, and nobody holds up the loop."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import stat
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from orchestrator.core import records as r
from orchestrator.core.codec import encode
from orchestrator.core.commands import Answered
from orchestrator.core.events import Peer, StepKey, StepProgressed, TaskTime, WordKind, WordSpoken
from orchestrator.core.model import Json
from orchestrator.core.reasons import Reason
from orchestrator.daemon import address, client
from orchestrator.daemon import socket as words
from orchestrator.daemon.address import UnsafeDirectory, where_to_listen, where_to_speak
from orchestrator.daemon.request_handler import Desk
from orchestrator.daemon.socket import Message, SocketInUse, WordsSocket
from tests.reports.sample import Tape, Written

WORD = WordSpoken("w1", WordKind.HOLD, "Ann", "acme/erp", "storm")


async def told(word: WordSpoken) -> Answered:
    """An engine that accepts everything."""
    return Answered(word.id, True, "asked by operator", f"hold: {word.subject}")


async def planned(word: WordSpoken) -> Json:
    """A plan of nothing."""
    return {"accepted": True, "service": word.subject}


@pytest_asyncio.fixture
async def desk(tmp_path: Path) -> AsyncIterator[tuple[Desk, WordsSocket]]:
    """A desk behind a socket."""
    found = Desk(told, planned, lambda: 12.5)
    listener = WordsSocket(where_to_listen(tmp_path), found.handle)
    found.publish = listener.publish
    await listener.start()
    yield found, listener
    await listener.stop()


async def ask(listener: WordsSocket, request: Message) -> Message:
    """As a command does it, in a thread of its own."""
    return await asyncio.to_thread(client.ask, listener.path, request, 5.0)


def left_by_another(connection: socket.socket, path: Path, reaped: bool) -> int:
    """A process makes the connection, and leaves it to us; its number."""
    process = os.fork()
    if not process:
        connection.connect(str(path))
        os._exit(0)
    os.waitid(os.P_PID, process, os.WEXITED | (0 if reaped else os.WNOWAIT))
    return process


@pytest.mark.parametrize("reaped", [True, False])
async def test_who_connects_and_ends_at_once_is_not_heard(desk: tuple[Desk, WordsSocket], reaped: bool) -> None:
    """Its session's login cannot be looked up any more: a word in it would be nobody's, or the next one's."""
    _, listener = desk
    with socket.socket(socket.AF_UNIX) as connection:
        connecting = left_by_another(connection, listener.path, reaped)
        connection.settimeout(5.0)
        connection.sendall(json.dumps({"op": "word", "word": encode(WORD)}).encode() + b"\n")
        answer = json.loads(await asyncio.to_thread(connection.recv, 65536))
    assert answer == {
        "error": f"process {connecting}, which connected, has ended: whose login speaks here cannot be told"
    }


async def test_a_word_gets_its_answer(desk: tuple[Desk, WordsSocket]) -> None:
    """Accepted, with reason and evidence."""
    reply = await ask(desk[1], {"op": "word", "word": encode(WORD)})
    assert reply["answer"] == encode(Answered("w1", True, "asked by operator", "hold: acme/erp"))


async def test_a_dry_run_gets_its_plan(desk: tuple[Desk, WordsSocket]) -> None:
    """And nothing is said to the engine."""
    assert (await ask(desk[1], {"op": "dry-run", "word": encode(WORD)}))["plan"] == {
        "accepted": True,
        "service": "acme/erp",
    }


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ({"op": "dance"}, "unknown op 'dance'"),
        ({"word": {}}, 'JSON object with an "op"'),
        ({"op": "word", "word": {"id": 3}}, "this is no word"),
        ({"op": "word"}, "this is no word"),
        ({"op": "word", "word": {**encode(WORD), "id": " "}}, "its id is empty"),  # type: ignore[dict-item]
        *(
            ({"op": op, "word": {**encode(WORD), "options": options}}, f"one of its options {why}")  # type: ignore[dict-item]
            for op in ("word", "dry-run")
            for options, why in (
                ({"due": "2026-12-31\x1b[2J"}, r"holds .x1b"),
                ({"override": ["blind", "x" * 5000]}, "is 5000 characters long"),
                ({"a\u202e": 1}, r"holds .u202e"),
            )
        ),
    ],
)
async def test_a_request_that_is_none_gets_an_error(
    desk: tuple[Desk, WordsSocket], request_: Message, said: str
) -> None:
    """And the daemon goes on."""
    with pytest.raises(client.Rejected, match=said):
        await ask(desk[1], request_)
    assert "status" in await ask(desk[1], {"op": "status"})


async def test_a_defect_in_one_request_concerns_that_request(tmp_path: Path) -> None:
    """Its text reaches the client, and the next one is served."""

    async def broken(_word: WordSpoken) -> Answered:
        raise RuntimeError("oh")

    listener = WordsSocket(tmp_path / "socket", Desk(broken, planned, lambda: 0.0).handle)
    await listener.start()
    with pytest.raises(client.Rejected, match="RuntimeError: oh"):
        await ask(listener, {"op": "word", "word": encode(WORD)})
    assert "status" in await ask(listener, {"op": "status"})
    await listener.stop()


async def test_running_tasks_are_known_until_their_step_ends(desk: tuple[Desk, WordsSocket]) -> None:
    """The journal does not have them."""
    key = StepKey("r1", "execute", 1)
    desk[0].progress(StepProgressed(key, TaskTime("Promote", "geo-db", "changed", 0.0, 1.0)))
    status = (await ask(desk[1], {"op": "status"}))["status"]
    assert isinstance(status, dict)
    assert status["now"] == 12.5
    assert isinstance(status["tasks"], list)
    assert len(status["tasks"]) == 1
    ended = r.StepFinished(1.0, "r1", "execute", 1, r.StepState.DONE, Reason.CONDITIONS_MET, "")
    desk[0].entry(Written(1, 1.0, 1.0, 1, (ended,)))
    assert (await ask(desk[1], {"op": "status"}))["status"] == {"now": 12.5, "tasks": [], "asking": None}


async def test_watchers_see_entries_as_they_happen(desk: tuple[Desk, WordsSocket]) -> None:
    """In order, from the moment "watching" was said."""
    reader, writer = await asyncio.open_unix_connection(str(desk[1].path))
    writer.write(b'{"op": "watch"}\n')
    assert json.loads(await reader.readline()) == {"watching": True}
    for entry in Tape().begin().entries[:3]:
        desk[0].entry(entry)
    seen = [json.loads(await reader.readline())["entry"] for _ in range(3)]
    assert [e["seq"] for e in seen] == [1, 2, 3]
    assert seen[0]["records"][0]["kind"] == "ControllerBegan"
    writer.close()


async def test_a_watcher_that_does_not_read_is_dropped(
    desk: tuple[Desk, WordsSocket], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Publishing returns at once all the while."""
    monkeypatch.setattr(words, "WAITING_MAX", 10)
    reader, writer = await asyncio.open_unix_connection(str(desk[1].path), limit=1024)
    writer.write(b'{"op": "watch"}\n')
    await reader.readline()
    large: Message = {"entry": "x" * 100_000}
    for _ in range(200):
        desk[1].publish(large)
        await asyncio.sleep(0)
    assert "status" in await ask(desk[1], {"op": "status"})
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await asyncio.wait_for(reader.readexactly(1 << 30), 20.0)
    writer.close()


async def test_a_line_without_an_end_is_cut(desk: tuple[Desk, WordsSocket]) -> None:
    """Nobody fills the daemon's memory."""
    reader, writer = await asyncio.open_unix_connection(str(desk[1].path))
    writer.write(b"x" * (words.REQUEST_BYTES_MAX + 4096))
    assert "bytes long" in json.loads(await asyncio.wait_for(reader.readline(), 5.0))["error"]
    writer.close()


async def test_who_says_half_a_request_and_stays_keeps_nobody_out(
    desk: tuple[Desk, WordsSocket], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tool that hangs, sixty-four times: the word that matters is heard all the same."""
    monkeypatch.setattr(words, "CLIENTS_MAX", 2)
    monkeypatch.setattr(words, "REQUEST_TIMEOUT_S", 0.2)
    hung = [await asyncio.open_unix_connection(str(desk[1].path)) for _ in range(2)]
    for _, writer in hung:
        writer.write(b'{"op": "st')
    for reader, _ in hung:
        assert await asyncio.wait_for(reader.read(), 20.0) == b""
    assert "status" in await ask(desk[1], {"op": "status"})
    for _, writer in hung:
        writer.close()


async def test_another_user_is_not_listened_to(desk: tuple[Desk, WordsSocket], monkeypatch: pytest.MonkeyPatch) -> None:
    """By the kernel's word, not by the file's mode alone."""
    monkeypatch.setattr(words, "_may_not", lambda _writer: "user 1234 may not speak to a daemon of user 0")
    with pytest.raises(client.Rejected, match="user 1234 may not"):
        await ask(desk[1], {"op": "status"})


async def test_the_socket_and_its_directory_are_private(desk: tuple[Desk, WordsSocket]) -> None:
    """0600 in 0700."""
    assert stat.S_IMODE(desk[1].path.stat().st_mode) == 0o600
    assert stat.S_IMODE(desk[1].path.parent.stat().st_mode) == 0o700


async def test_one_daemon_a_socket_and_what_a_killed_one_left_is_removed(tmp_path: Path) -> None:
    """A living daemon is never pushed aside."""
    path = tmp_path / "socket"
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(path))
    left.close()
    first = WordsSocket(path, Desk(told, planned, lambda: 0.0).handle)
    await first.start()
    with pytest.raises(SocketInUse):
        await WordsSocket(path, Desk(told, planned, lambda: 0.0).handle).start()
    assert "status" in await ask(first, {"op": "status"})
    await first.stop()
    assert not path.exists()


async def test_whoever_holds_the_lease_takes_the_socket_from_a_daemon_that_is_frozen(tmp_path: Path) -> None:
    """A stopped process keeps its socket and answers nobody; its successor must be heard all the same."""
    path = tmp_path / "socket"
    frozen = socket.socket(socket.AF_UNIX)
    frozen.bind(str(path))
    frozen.listen()
    heir = WordsSocket(path, Desk(told, planned, lambda: 0.0).handle)
    await heir.start(heir=True)
    assert "status" in await ask(heir, {"op": "status"})
    frozen.close()


async def test_a_daemon_that_lost_its_socket_leaves_its_successors_alone(tmp_path: Path) -> None:
    """It wakes up, learns that it lost the lease, and tidies up after itself only."""
    path = tmp_path / "socket"
    first, heir = (WordsSocket(path, Desk(told, planned, lambda: 0.0).handle) for _ in range(2))
    await first.start(heir=True)
    await heir.start(heir=True)
    await first.stop()
    assert "status" in await ask(heir, {"op": "status"})
    await heir.stop()
    assert not path.exists()


def test_nobody_listens_is_said_as_such(tmp_path: Path) -> None:
    """Also where a killed daemon left its socket."""
    with pytest.raises(client.NobodyListens):
        client.ask(tmp_path / "none", {"op": "status"})
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(tmp_path / "left"))
    left.close()
    with pytest.raises(client.NobodyListens):
        client.ask(tmp_path / "left", {"op": "status"})


def test_a_daemon_that_does_not_answer_is_no_reply(tmp_path: Path) -> None:
    """Whether it heard is unknown, and unknown is not refused."""
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.bind(str(tmp_path / "deaf"))
        deaf.listen()
        with pytest.raises(client.NoReply, match=r"within 0\.2s"):
            client.ask(tmp_path / "deaf", {"op": "status"}, timeout_s=0.2)


def test_a_workspace_too_deep_for_a_socket_gets_a_short_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both sides find it, whoever asks."""
    deep = tmp_path.joinpath(*["a-long-name-of-a-folder"] * 6)
    deep.mkdir(parents=True)
    monkeypatch.setattr(os, "getuid", os.getuid)
    path = where_to_listen(deep)
    try:
        assert len(os.fsencode(path)) <= 107
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert where_to_speak(deep) == path
        assert (deep / ".bascule" / "socket.path").read_text().strip() == str(path)
    finally:
        path.parent.rmdir()


def test_a_state_folder_on_another_disk_is_where_both_sides_meet(tmp_path: Path) -> None:
    workspace, disk = tmp_path / "workspace", tmp_path / "disk" / "state"
    workspace.mkdir()
    disk.mkdir(parents=True, mode=0o755)
    (workspace / ".bascule").symlink_to(disk)
    (tmp_path / "named").symlink_to(workspace)
    path = where_to_listen(workspace)
    assert path == disk / "socket"
    assert {where_to_speak(workspace), where_to_speak(tmp_path / "named")} == {path}
    assert stat.S_IMODE(disk.stat().st_mode) == 0o700
    address.leave(path, workspace)


def test_a_directory_that_others_own_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else's socket could lie there."""
    (tmp_path / ".bascule").mkdir()
    me: Callable[[], int] = os.getuid
    monkeypatch.setattr(os, "getuid", lambda: me() + 1)
    with pytest.raises(UnsafeDirectory, match="belongs to user"):
        where_to_listen(tmp_path)


def test_a_directory_that_somebody_else_took_keeps_no_daemon_from_starting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The usual name can be foreseen; what is there already is left to whoever made it."""
    deep = tmp_path / ("a-long-name-of-a-folder/" * 6)
    deep.mkdir(parents=True)
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "socket").touch()
    link = tmp_path / "link"
    link.symlink_to(taken)  # a link is no private directory, whoever made it
    monkeypatch.setattr(address, "_short_directory", lambda _workspace: link)
    path = where_to_listen(deep)
    try:
        assert path.parent != link
        assert path.parent.stat().st_mode & 0o077 == 0
        assert where_to_speak(deep) == path
        assert where_to_listen(deep) == path, "the same again, after it was killed"
        assert list(taken.iterdir()) == [taken / "socket"]
    finally:
        address.leave(path, deep)
    assert not path.parent.exists()
    assert not (deep / ".bascule" / "socket.path").exists()


def test_a_client_says_nothing_to_a_stranger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever listens must be root, this user, or the workspace's owner; the kernel says who it is."""
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stranger:
        stranger.bind(str(path))
        stranger.listen()
        stranger.settimeout(5.0)
        seen = Peer(4711, 61234, "mallory")
        monkeypatch.setattr(client, "peer_of", lambda _socket: seen)
        with pytest.raises(client.Rejected, match=r"user 61234 .mallory. listens"):
            client.ask(path, {"op": "word"})
        heard, _ = stranger.accept()
        with heard:
            assert heard.recv(10) == b"", "it was told something"
        with client.Connection(path, owner=61234):
            pass


async def test_who_speaks_is_what_the_kernel_says(tmp_path: Path) -> None:
    """A request may claim what it likes."""
    heard: list[WordSpoken] = []

    async def hear(word: WordSpoken) -> Answered:
        heard.append(word)
        return await told(word)

    listener = WordsSocket(tmp_path / "socket", Desk(hear, planned, lambda: 0.0).handle)
    await listener.start()
    claimed = replace(WORD, peer=Peer(1, 4242, "mallory", "mallory", "alice"))
    await ask(listener, {"op": "word", "word": encode(claimed)})
    await listener.stop()
    peer = heard[0].peer
    assert peer is not None
    assert (peer.pid, peer.uid, peer.claims) == (os.getpid(), os.getuid(), "alice")
    assert peer.login != "mallory"


async def test_a_reload_says_what_is_wrong(tmp_path: Path) -> None:
    """And that it was done."""
    why: list[str] = []

    async def reload() -> list[str]:
        return why

    listener = WordsSocket(tmp_path / "socket", Desk(told, planned, lambda: 0.0, reload=reload).handle)
    await listener.start()
    assert await ask(listener, {"op": "reload"}) == {"reloaded": True, "why": []}
    why.append("bascule.yml:1: unknown key")
    assert await ask(listener, {"op": "reload"}) == {"reloaded": False, "why": ["bascule.yml:1: unknown key"]}
    await listener.stop()
