"""The other end of the local socket, for commands: ask one thing, or watch.

The one rule it keeps: "nobody listens", "it said no" and "it did not answer in time" are told apart, because a command
does different things then.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from orchestrator.core.model import Json
from orchestrator.daemon.address import PATH_BYTES_MAX
from orchestrator.daemon.socket import LINE_BYTES_MAX, Message
from orchestrator.shell.peer import peer_of


class NobodyListens(Exception):
    """There is no daemon at this socket."""


class NoReply(Exception):
    """The daemon took the request and did not answer in time, or hung up: whether it was heard is unknown."""


class Rejected(Exception):
    """The daemon answered that the request was wrong, or that it may not take it."""


class Connection:
    """One connection; use it in a `with`. Raises NobodyListens when it cannot be made.

    Whoever listens must be root, this user, or the owner of the workspace (of `.bascule`): else what they answer is
    worth nothing, and what they are told is theirs. Raises Rejected then.
    """

    def __init__(self, path: Path, timeout_s: float = 10.0, owner: int | None = None) -> None:
        self.path, self.owner = path, owner
        self._timeout_s = timeout_s
        self._buffer = b""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(timeout_s)
        try:
            self._socket.connect(str(path))
            impostor = self._not_to_be_believed(owner)
        except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError) as error:
            self._socket.close()
            raise NobodyListens(f"no daemon listens at {path}") from error
        except PermissionError as error:
            self._socket.close()
            raise Rejected(f"{path}: you may not speak to this daemon; only its own user and root may") from error
        except OSError as error:
            self._socket.close()
            if len(os.fsencode(path)) > PATH_BYTES_MAX:  # no daemon can listen there either
                raise NobodyListens(f"no daemon listens at {path}") from error
            raise NoReply(f"{path}: {error}") from error
        if impostor:
            self._socket.close()
            raise Rejected(impostor)

    def _not_to_be_believed(self, owner: int | None) -> str:
        peer = peer_of(self._socket)
        if peer.uid in (0, os.getuid(), owner):
            return ""
        name = f" ({peer.login})" if peer.login else ""
        return (
            f"user {peer.uid}{name} listens at {self.path}: this is no daemon of yours, of root or of the workspace's "
            f"owner, and nothing was said to it. Look what process {peer.pid} is; root can remove {self.path.parent}"
        )

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def ask(self, request: Message, timeout_s: float | None = None) -> Message:
        """One reply to one request. Raises NoReply, Rejected."""
        self.send(request)
        reply = self.receive(self._timeout_s if timeout_s is None else timeout_s)
        if reply is None:
            raise NoReply(f"the daemon at {self.path} hung up without an answer")
        error = reply.get("error")
        if error is not None:
            raise Rejected(str(error))
        return reply

    def send(self, request: Message) -> None:
        """Send one request. Raises NoReply."""
        try:
            self._socket.settimeout(self._timeout_s)
            self._socket.sendall(json.dumps(request).encode() + b"\n")
        except OSError as error:
            raise NoReply(f"the daemon at {self.path} does not listen any more: {error}") from error

    def receive(self, timeout_s: float) -> Message | None:
        """The next message; None when the other side hung up. Raises NoReply after `timeout_s` of silence."""
        ends = time.monotonic() + timeout_s
        while b"\n" not in self._buffer:
            left = ends - time.monotonic()
            if left <= 0:
                raise NoReply(f"the daemon at {self.path} did not answer within {timeout_s:g}s")
            self._socket.settimeout(left)
            try:
                data = self._socket.recv(65536)
            except TimeoutError:
                continue
            except OSError:
                return None
            if not data:
                return None
            self._buffer += data
            if len(self._buffer) > 64 * LINE_BYTES_MAX:
                raise NoReply(f"the daemon at {self.path} sends a line without an end")
        line, _, self._buffer = self._buffer.partition(b"\n")
        message = json.loads(line)
        if not isinstance(message, dict):
            raise NoReply(f"the daemon at {self.path} sent something that is no message")
        return message

    def watch(self) -> None:
        """From here on `receive` gives what happens. Raises NoReply, Rejected."""
        self.ask({"op": "watch"})


def ask(path: Path, request: Message, timeout_s: float = 10.0, owner: int | None = None) -> Message:
    """One request, one reply. Raises NobodyListens, NoReply, Rejected."""
    with Connection(path, timeout_s, owner) as connection:
        return connection.ask(request)


def watch(path: Path, silence_s: float = 3600.0) -> Iterator[Message]:
    """What happens, until the daemon goes. Raises NobodyListens, NoReply, Rejected."""
    with Connection(path) as connection:
        connection.watch()
        while (message := connection.receive(silence_s)) is not None:
            yield message


def string(message: Message, key: str) -> str:
    """A text of a message; empty if it is not there."""
    value: Json = message.get(key)
    return value if isinstance(value, str) else ""
