"""The private directory of one attempt: what a later controller finds of it.

The one rule it keeps: the lock is taken before the worker exists and is held until the worker is gone. So if nobody
holds the lock, no worker runs or ever will. Process ids alone cannot prove that: they are reused, and a controller may
die before it has written one down.

    <private>/<run>/<step>.<attempt>/   mode 0700
        beginning     of which run it is, where ids were given twice
        lock          flock'ed by the worker (inherited from the controller through a socket)
        worker.json   pid of the worker, start time, token of the attempt, inventory
        events.jsonl  what happened, as it happened; no results, so no secrets
        result.json   how it ended; written last, atomically
        work          all that Ansible needs meanwhile (extra variables, events, temporary files), removed at the end:
                      a link to a directory in memory, where there is room; else a directory
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from orchestrator.core.events import AttemptEnd, StepKey, TaskTime
from orchestrator.core.model import Json

MEMORY = Path("/dev/shm")  # noqa: S108  (names in it cannot be guessed, and must be new)
ROOM = 2**30  # bytes that have to be free there
SYSTEM_USERS = 999  # whoever is above may lose what is there when he logs out (RemoveIPC of systemd-logind)
PREFIX = "bascule-work-"


def safe_name(text: str) -> str:
    """A file name for any id; distinct ids get distinct names."""
    return quote(text, safe=" @+,=").replace(".", "%2E") or "%"


@dataclass(frozen=True, slots=True)
class Result:
    """How an attempt ended."""

    outcome: AttemptEnd
    detail: str
    tasks: tuple[TaskTime, ...]
    unguarded: tuple[str, ...] = ()  # hosts acted upon without the epoch guard, and why
    stats: Mapping[str, Json] = field(default_factory=dict)  # what it published, where that was wanted


class Attempt:
    """The directory of one attempt. Nothing is created before `create`."""

    def __init__(self, private: Path, key: StepKey) -> None:
        self.key = key
        self.path = private / safe_name(key.run) / f"{safe_name(key.step)}.{key.attempt}"
        self.beginning = self.path / "beginning"
        self.machine = self.path / "machine"
        self.lock = self.path / "lock"
        self.worker = self.path / "worker.json"
        self.events = self.path / "events.jsonl"
        self.result = self.path / "result.json"
        self.work = self.path / "work"
        self._made: Path | None = None

    def exists(self) -> bool:
        """Whether this attempt has been begun here."""
        return self.path.is_dir()

    def is_of(self, beginning: str) -> bool:
        """Whether what is kept here is of the run that began so; where nothing says so, it is taken to be.

        So it is after a loss of power, too, that has left the file and not what was in it.
        """
        try:
            known = self.beginning.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return True
        return not beginning or not known.strip("\0") or known == beginning

    def set_aside(self) -> None:
        """Make room for an attempt of another run of this id; what is here goes when that run is forgotten."""
        for number in range(1, 1000):
            aside = self.path.with_name(f"{self.path.name}.aside.{number}")
            if not aside.exists():
                self.path.rename(aside)
                return

    def begun_by(self, here: str) -> str:
        """The machine that carried it out; `here` where nothing says which."""
        try:
            known = self.machine.read_text(encoding="utf-8", errors="replace").strip("\0")
        except OSError:
            known = ""
        return known or here

    def create(self, beginning: str = "", machine: str = "") -> None:
        """Make the directory, durably. Raises FileExistsError if the attempt has been begun before."""
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.path.mkdir(mode=0o700)
        if beginning:
            self.beginning.write_text(beginning, encoding="utf-8")
        if machine:
            self.machine.write_text(machine, encoding="utf-8")
        for directory in (self.path.parent.parent, self.path.parent):
            sync_directory(directory)

    def take_lock(self) -> int | None:
        """The lock as an open file descriptor, or None while a worker holds it."""
        descriptor = os.open(self.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        return descriptor

    def read_worker(self) -> dict[str, Any]:
        """What the worker wrote of itself; empty if it has not."""
        return _read_object(self.worker)

    def read_result(self) -> Result | None:
        """How it ended, if that is on record."""
        found = _read_object(self.result)
        if not found:
            return None
        tasks = tuple(TaskTime(**task) for task in found["tasks"])
        unguarded = tuple(found.get("unguarded", ()))
        return Result(AttemptEnd(found["outcome"]), found["detail"], tasks, unguarded, found.get("stats", {}))

    def write_result(self, result: Result) -> None:
        """Put the end on record, atomically and durably."""
        content = {
            "outcome": result.outcome.value,
            "detail": result.detail,
            "tasks": [asdict(task) for task in result.tasks],
            "unguarded": list(result.unguarded),
            "stats": dict(result.stats),
        }
        write_atomically(self.result, content)

    def read_events(self) -> Iterator[dict[str, Any]]:
        """Every whole line of the event file."""
        try:
            text = self.events.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return
        for line in text.splitlines():
            try:
                event = json.loads(line)
            except ValueError:  # the last line of a killed worker
                continue
            if isinstance(event, dict):
                yield event

    def make_work(self) -> Path:
        """A new, empty directory for all that Ansible needs meanwhile; what was there is removed.

        In memory where it can be: some forty files come and go with each playbook, at up to a millisecond each on a
        disk. Raises OSError where there is no room for it, or where what was there cannot be removed.
        """
        drop_work(self.work)
        if not _has_room(MEMORY):
            self.work.mkdir(mode=0o700)
            return self.work
        place = MEMORY / f"{PREFIX}{secrets.token_hex(16)}"
        self.work.symlink_to(place)  # first, so that whoever looks back finds whatever there is
        self._made = place
        place.mkdir(mode=0o700)
        return place

    def drop_work(self) -> None:
        """Remove everything that could hold a secret."""
        drop_work(self.work)
        if self._made is not None:  # whoever removed the link meanwhile has not removed this
            shutil.rmtree(self._made, ignore_errors=True)


def drop_work(work: Path) -> None:
    """Remove a `work`, whichever it is. The link goes last, and only if there is nothing left that it leads to."""
    if work.is_symlink():
        shutil.rmtree(work.readlink(), ignore_errors=True)
        if not work.exists():
            work.unlink(missing_ok=True)
    else:
        shutil.rmtree(work, ignore_errors=True)


def forget(private: Path, run: str) -> None:
    """Remove what is kept of all attempts of a run."""
    directory = private / safe_name(run)
    left = False
    for work in directory.glob("*/work"):
        drop_work(work)
        left |= work.is_symlink()
    if not left:
        shutil.rmtree(directory, ignore_errors=True)


def _has_room(place: Path) -> bool:
    """Whether programs and files of a playbook may lie there."""
    if os.geteuid() > SYSTEM_USERS:
        return False
    try:
        found = os.statvfs(place)
    except OSError:
        return False
    wanted = os.access(place, os.W_OK | os.X_OK) and not found.f_flag & (os.ST_NOEXEC | os.ST_RDONLY)
    return wanted and found.f_bavail * found.f_frsize >= ROOM


def task_of(event: Mapping[str, Any]) -> TaskTime | None:
    """The task time that a line of the event file carries, if it is such a line."""
    task = event.get("task")
    return TaskTime(**task) if isinstance(task, dict) else None


def write_once(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON to a file that must not be there yet; torn, it reads as empty. Raises FileExistsError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(content, file)
        file.flush()
        os.fsync(file.fileno())
    sync_directory(path.parent)


def unfinished(events: list[dict[str, object]]) -> dict[str, str]:
    """Host to the task that had begun there and was not seen to end."""
    running: dict[str, str] = {}
    for event in events:
        started, task = event.get("started"), event.get("task")
        if isinstance(started, dict):
            running[started["host"]] = started["name"]
        elif isinstance(task, dict):
            running.pop(task["host"], None)
    return running


def write_atomically(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON so that a reader, or a crash, sees all of it or nothing."""
    temporary = path.with_name(path.name + ".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(content, file)
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read_object(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
