"""Keeps the chain's head outside the journal: in a file elsewhere, in a git repository, by a command, time-stamped.

The one rule it keeps: each way may fail without anything else waiting for it, and a failure is told. An anchor is worth
something only if the journal's owner cannot rewrite it.
"""

from __future__ import annotations

import errno
import os
import re
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from orchestrator.journal.journal import Head
from orchestrator.journal.time_stamps import TimeStamping, stamp, stamped

_HEAD = re.compile(r"(?<![0-9])([0-9]{1,18}):([0-9a-f]{64})(?![0-9a-f])")
TOLD_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class Anchors:
    """Where heads are kept. `git`: a clone, in which a file is committed, and pushed where it has a remote.

    `time_stamp`: the authority that signs them.
    """

    file: Path | None = None
    git: Path | None = None
    command: Sequence[str] = ()
    time_stamp: TimeStamping | None = None
    timeout_s: float = 30.0

    def __bool__(self) -> bool:
        """Whether there is any."""
        return self.readable is not None or bool(self.command)

    @property
    def readable(self) -> Path | None:
        """The first place in which heads can be read back."""
        return self.file or self.git or (self.time_stamp.folder if self.time_stamp is not None else None)


def line_of(head: Head, name: str = "") -> str:
    """A head as one line: number, hash, time, and whose it is."""
    when = datetime.fromtimestamp(head.wall, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return f"{head} {when}" + (f" {name}" if name else "")


def heads_in(text: str) -> list[Head]:
    """Every head that a text holds, in its order; lines of JSON as `bascule journal head --json` prints them too."""
    plain = re.sub(r'"seq":\s*([0-9]+),\s*"hash":\s*"([0-9a-f]{64})"', r"\1:\2", text)
    return [Head(int(seq), digest) for seq, digest in _HEAD.findall(plain)]


def keep(head: Head, anchors: Anchors, name: str) -> dict[str, str]:
    """Keep the head in every place; the ones where that failed, each with why. `name` tells workspaces apart."""
    line = line_of(head, name)
    failed: dict[str, str] = {}
    if anchors.file is not None:
        _try(failed, f"file {anchors.file}", partial(_append, anchors.file, line))
    if anchors.git is not None:
        _try(failed, f"git {anchors.git}", partial(_commit, anchors.git, name, line, anchors.timeout_s))
    if anchors.command:
        _try(failed, f"command {anchors.command[0]}", lambda: _run(anchors.command, line + "\n", anchors.timeout_s))
    if (of := anchors.time_stamp) is not None:
        run = partial(_run, said="", timeout_s=anchors.timeout_s)
        _try(failed, f"time stamp {of.shown}", lambda: stamp(line, plain(name), of, run, anchors.timeout_s))
    return failed


def heads_of(text: str, *names: str) -> list[Head]:
    """The heads of this workspace: of lines that name none, and of those that name it, by the first name that is there.

    A later name may be another workspace's as well.
    """
    lines = [(line, "" if line.startswith("{") else "".join(line.split()[2:3])) for line in text.splitlines()]
    named = next((name for name in names if any(name == of for _, of in lines)), "")
    return heads_in("\n".join(line for line, of in lines if of in ("", named)))


def kept(anchors: Anchors, *names: str, failed: dict[str, str] | None = None) -> list[Head]:
    """The heads of this workspace that can be read back: from the file, the clone's, and those that were signed.

    `failed` is told what cannot be read though it is there, and why.
    """
    found: list[str] = []
    for path in (anchors.file, *(anchors.git / file_name(name) for name in names if anchors.git)):
        try:
            found += path.read_text(encoding="utf-8", errors="replace").splitlines() if path else []
        except FileNotFoundError:
            continue  # not yet
        except OSError as error:
            (failed if failed is not None else {})[str(path)] = error.strerror or str(error)
    if anchors.time_stamp is not None:
        run, files = partial(_run, said="", timeout_s=anchors.timeout_s), [plain(name) for name in names]
        found += "".join(stamped(files, anchors.time_stamp, run, failed if failed is not None else {})).splitlines()
    return sorted(heads_of("\n".join(found), *names), key=lambda head: head.seq)


def name_of(workspace: Path) -> str:
    """What tells this workspace's heads from another's in one file: its identity, else its folder's name."""
    return names_of(workspace)[0]


def names_of(workspace: Path) -> list[str]:
    """Every name that its heads may stand under: whoever can write the journal can write its identity, too."""
    try:
        found = (workspace / ".bascule" / "identity").read_text(encoding="utf-8").split()[:1]
    except (OSError, ValueError):
        found = []
    return list(dict.fromkeys([*found, "".join(workspace.name.split()) or "workspace"]))


def file_name(name: str) -> str:
    """The file of a workspace in a git repository."""
    return f"{plain(name)}.heads"


def plain(name: str) -> str:
    """A name as one of a file."""
    return re.sub(r"[^A-Za-z0-9._-]", "-", name)


def _try(failed: dict[str, str], what: str, act: Callable[[], object]) -> None:
    try:
        act()
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        file = str(error.filename or "") if isinstance(error, OSError) else ""
        why = f"{file}: {why}" if file and file not in what else why
        failed[what] = " ".join(why.split())[:TOLD_CHARACTERS]


def _append(path: Path, line: str) -> None:
    """One more line, on the disk when this returns. Its directory has to be there: a mount may be missing."""
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
    data, before = (line + "\n").encode(), os.fstat(handle).st_size
    try:
        if os.write(handle, data) < len(data):
            os.ftruncate(handle, before)  # half a line would run into the next one
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(handle)
    finally:
        os.close(handle)


def _commit(repository: Path, name: str, line: str, timeout_s: float) -> None:
    git = ["git", "-C", str(repository)]
    identity = ["-c", "user.name=bascule", "-c", "user.email=bascule@localhost", "-c", "commit.gpgsign=false"]
    environment = {**os.environ, "GIT_TERMINAL_PROMPT": "0"}
    environment.setdefault("GIT_SSH_COMMAND", "ssh -o BatchMode=yes -o ConnectTimeout=10")
    file = file_name(name)
    _append(repository / file, line)
    _run([*git, "add", "--", file], "", timeout_s, environment)
    _run([*git, *identity, "commit", "-q", "-m", f"{name}: {line.split()[0]}", "--", file], "", timeout_s, environment)
    if _run([*git, "remote"], "", timeout_s, environment).strip():
        _run([*git, "push", "-q"], "", timeout_s, environment)


def _run(argv: Sequence[str], said: str, timeout_s: float, environment: Mapping[str, str] | None = None) -> str:
    """Run a program to its end; its output. Raises ValueError with what it said where it failed or took too long."""
    with subprocess.Popen(
        list(argv),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment,
        start_new_session=True,
    ) as process:
        try:
            out, _ = process.communicate(said.encode(), timeout_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            with suppress(subprocess.TimeoutExpired):  # a child in a session of its own may hold the pipe
                process.communicate(timeout=1.0)
            raise ValueError(f"{argv[0]} did not end within {timeout_s:g} s") from None
    text = out.decode(errors="replace")
    if process.returncode:
        told = text.strip()[-TOLD_CHARACTERS:]
        raise ValueError(f"{argv[0]} ended with {process.returncode}: {told}")
    return text
