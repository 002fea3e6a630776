"""Asks apprise whether it accepts a URL, in a fork that imports apprise while this process reads the files.

The one rule it keeps: the answer is that of `apprise_way.trouble_of`, whoever asks it. A URL is a secret: it goes
through a pair of sockets that nobody else has, and into no file.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

Trouble = tuple[str, str] | None
AskUrl = Callable[[str], Trouble]


@contextlib.contextmanager
def asked_beside(workspace: Path) -> Iterator[AskUrl]:
    """What is wrong with a URL. The fork is made at once, where a file may name one, and ends with the block."""
    from orchestrator.notify import apprise_way

    if not _names_urls(workspace):
        yield apprise_way.trouble_of
        return
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        try:
            ours.close()
            _answer(theirs)
        finally:
            os._exit(0)
    theirs.close()
    answers = ours.makefile("r", encoding="utf-8")

    def ask(url: str) -> Trouble:
        try:
            ours.sendall(f"{json.dumps(url)}\n".encode())
            said = json.loads(answers.readline())
        except (OSError, ValueError):  # it is gone
            return apprise_way.trouble_of(url)
        return (str(said[0]), str(said[1])) if said is not None else None

    try:
        yield ask
    finally:
        answers.close()
        ours.close()
        os.waitpid(pid, 0)


def _names_urls(workspace: Path) -> bool:
    """Whether any file of those that name ways speaks of apprise at all."""
    for path in (*workspace.glob("bascule.y*ml"), *workspace.glob("inventories/*/people.y*ml")):
        with contextlib.suppress(OSError):
            if b"apprise" in path.read_bytes():
                return True
    return False


def _answer(stream: socket.socket) -> None:
    from orchestrator.notify import apprise_way

    apprise_way.trouble_of("json://127.0.0.1/")  # has it import what every question needs
    for line in stream.makefile("r", encoding="utf-8"):
        stream.sendall(f"{json.dumps(apprise_way.trouble_of(json.loads(line)))}\n".encode())
