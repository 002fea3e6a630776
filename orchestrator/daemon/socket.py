"""The local socket: how words reach a running daemon, and how it shows what it is doing.

The one rule it keeps: nobody on the other side can hold up the loop, or keep others out. Lines are bounded. Who does
not finish a request, or does not keep up reading, is dropped. An invalid request gets an error. Only root and the
daemon's own user may speak.

One request a line, one reply a line, both JSON objects:

    {"op": "word", "word": {...}}      {"answer": {"word", "accepted", "reason", "evidence", "run"}}
    {"op": "dry-run", "word": {...}}   {"plan": {...}}
    {"op": "reload"}                   {"reloaded": true, "why": []}, or false and why not
    {"op": "status"}                   {"status": {...}}       what the journal does not know: now, tasks, asking
    {"op": "journal"}                  {"journal": {...}}      what was anchored of it, what fails, what was let go of
    {"op": "watch"}                    {"watching": true}, then {"entry": {...}} and {"progress": {...}} as they happen
    anything wrong                     {"error": "what is wrong"}

`word` and records are as `core.codec` writes them. What an op means is the business of `handle`. This file knows only
`watch`.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

from orchestrator.core.events import Peer
from orchestrator.core.model import Json
from orchestrator.shell.peer import has_ended, peer_of

Message = dict[str, Json]
Handle = Callable[[Message, Peer], Awaitable[Message]]

LINE_BYTES_MAX = 1 << 20
REQUEST_BYTES_MAX = 64 * 1024
WAITING_MAX = 2000  # messages a watcher may lag behind
SEND_TIMEOUT_S = 5.0
REQUEST_TIMEOUT_S = 10.0  # for a whole line: a program that hangs in the middle has the place of one that does not
CLIENTS_MAX = 64


class SocketInUse(Exception):
    """Another daemon of this workspace listens already."""


class WordsSocket:
    """Listens at `path`; every request but `watch` goes to `handle` with who sent it, and its reply is sent back.

    `handle` may take its time: each connection is a task of its own. If it raises, the client gets the error's text.
    """

    def __init__(self, path: Path, handle: Handle) -> None:
        self.path = path
        self._handle = handle
        self._server: asyncio.Server | None = None
        self._watchers: dict[asyncio.Queue[bytes | None], asyncio.StreamWriter] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._inode = 0

    async def start(self, *, heir: bool = False) -> None:
        """Listen. Raises SocketInUse, OSError.

        `heir`: the caller holds the lease. Whoever still listens here does not any more (a stopped or hung process
        keeps its socket, and answers nobody): its name goes to the one who decides now.
        """
        if heir:
            self.path.unlink(missing_ok=True)
        else:
            _remove_stale(self.path)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        before = os.umask(0o177)  # 0600 from the first instant on; no other thread makes files at start-up
        try:
            listener.bind(str(self.path))
        except OSError:
            listener.close()
            raise
        finally:
            os.umask(before)
        self._inode = self.path.stat().st_ino
        listener.setblocking(False)
        self._server = await asyncio.start_unix_server(self._accept, sock=listener, limit=REQUEST_BYTES_MAX)

    async def stop(self) -> None:
        """Stop listening, say goodbye to everybody, remove the socket."""
        if self._server is not None:
            self._server.close()
        for queue in list(self._watchers):
            self._drop(queue)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        try:
            if self.path.stat().st_ino == self._inode:  # never another daemon's
                self.path.unlink()
        except OSError:
            pass  # it is gone already

    def publish(self, message: Message) -> None:
        """Show this to every watcher. Returns at once; a watcher that lags too far behind is dropped."""
        if not self._watchers:
            return
        data = _line(message)
        for queue in list(self._watchers):
            try:
                queue.put_nowait(data)
            except asyncio.QueueFull:
                self._drop(queue)

    def _drop(self, queue: asyncio.Queue[bytes | None]) -> None:
        writer = self._watchers.pop(queue, None)
        if writer is not None:
            writer.transport.abort()
            if not queue.full():  # a full one wakes its reader by itself
                queue.put_nowait(None)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
        try:
            await self._converse(reader, writer)
        except (ConnectionError, TimeoutError):
            pass  # the other side has gone; what it asked for goes on
        finally:
            if task is not None:
                self._tasks.discard(task)
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = peer_of(writer.get_extra_info("socket"))
        refusal = _may_not(peer)
        if refusal is None and has_ended(writer.get_extra_info("socket"), peer):
            refusal = f"process {peer.pid}, which connected, has ended: whose login speaks here cannot be told"
        if refusal is None and len(self._tasks) > CLIENTS_MAX:
            refusal = f"{CLIENTS_MAX} clients are connected already"
        if refusal is not None:
            # a request left unread would cut our answer off
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await reader.read(REQUEST_BYTES_MAX)
            await _send(writer, {"error": refusal})
            return
        while True:
            try:
                async with asyncio.timeout(REQUEST_TIMEOUT_S):
                    line = await reader.readuntil(b"\n")
            except asyncio.IncompleteReadError:
                return
            except asyncio.LimitOverrunError:
                await _send(writer, {"error": f"a request may be {REQUEST_BYTES_MAX} bytes long"})
                return
            request = _request(line)
            if isinstance(request, str):
                await _send(writer, {"error": request})
                continue
            if request["op"] == "watch":
                await self._stream(reader, writer)
                return
            await _send(writer, await self._reply(request, peer))

    async def _reply(self, request: Message, peer: Peer) -> Message:
        try:
            return await self._handle(request, peer)
        except asyncio.CancelledError:
            raise
        except Exception as error:  # whatever it is, it concerns this request, not the loop
            return {"error": f"{type(error).__name__}: {error}"}

    async def _stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        queue: asyncio.Queue[bytes | None] = asyncio.Queue(WAITING_MAX)
        self._watchers[queue] = writer
        gone = asyncio.ensure_future(_hangs_up(reader))
        gone.add_done_callback(lambda _done: self._drop(queue))
        try:
            await _send(writer, {"watching": True})
            while (data := await queue.get()) is not None and queue in self._watchers:
                await _write(writer, data)
        finally:
            gone.cancel()
            self._drop(queue)


async def _hangs_up(reader: asyncio.StreamReader) -> None:
    """Returns when the other side is gone; what it says until then is thrown away."""
    try:
        while await reader.read(4096):
            pass
    except ConnectionError:
        pass


def _request(line: bytes) -> Message | str:
    try:
        request = json.loads(line)
    except ValueError:
        return "a request is one JSON object on one line"
    if not isinstance(request, dict) or not isinstance(request.get("op"), str):
        return 'a request is a JSON object with an "op": word, dry-run, reload, status or watch'
    return request


def _line(message: Message) -> bytes:
    return json.dumps(message, separators=(",", ":"), default=str).encode() + b"\n"


async def _send(writer: asyncio.StreamWriter, message: Message) -> None:
    await _write(writer, _line(message))


async def _write(writer: asyncio.StreamWriter, data: bytes) -> None:
    """Raises TimeoutError where the other side does not read."""
    writer.write(data)
    async with asyncio.timeout(SEND_TIMEOUT_S):
        await writer.drain()


def _may_not(peer: Peer) -> str | None:
    """Why this peer is not listened to; None if it is."""
    if peer.uid in (0, os.getuid()):
        return None
    return f"user {peer.uid} may not speak to a daemon of user {os.getuid()}"


def _remove_stale(path: Path) -> None:
    """Remove a socket that nobody listens at: what a killed daemon leaves behind."""
    if not path.is_socket():
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as trial:
        trial.settimeout(1.0)
        try:
            trial.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            path.unlink(missing_ok=True)
            return
        except OSError:
            pass  # full or slow: somebody is there
    raise SocketInUse(f"another daemon listens at {path}: one daemon a workspace")
