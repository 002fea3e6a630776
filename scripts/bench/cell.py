"""Where a measurement runs: processes, mounts, network and files of its own, which end with it, however it ends.

A cell is a child in new PID, mount, network and IPC namespaces. The one rule it keeps: **nothing of a measurement
outlives it**. Whatever kills it, or whoever started it, the kernel kills all its processes and takes back its
namespaces, mounts and addresses; its files are on the disk (a journal's fsync must cost what it costs), below
.bascule-cache, and are removed by whoever started it, or by the next one that starts.

In a cell, 127.0.0.0/8 is its own: a server on any port of it disturbs nobody.
"""

from __future__ import annotations

import fcntl
import importlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.lab import kernel
from orchestrator.lab.permitted import why_not
from orchestrator.lab.system import find as find_system
from orchestrator.lab.system import home

if TYPE_CHECKING:
    from scripts.bench.shape import Comparison, Measurement

RUNS = home() / ".bascule-cache" / "bench" / "runs"
INSIDE = Path("/run/bench")  # short: paths of Unix sockets have 107 bytes


class MeasurementFailed(Exception):
    """It gave no figures, or not all; the text says why."""


@dataclass(frozen=True, slots=True)
class Cell:
    """What a measurement is given. `directory` is empty, on the disk, and gone afterwards."""

    quick: bool
    directory: Path

    def say(self, text: str) -> None:
        """Progress, for whoever watches."""
        print(f"    {text}", file=sys.stderr, flush=True)

    def rounds(self, full: int, quick: int) -> int:
        """How many rounds."""
        return quick if self.quick else full


def refusal() -> str | None:
    """Why no cell can be made here, as text for a person; None if it can."""
    return why_not()


def run(measurement: Measurement, *, quick: bool) -> Generator[Comparison, None, None]:
    """Run a measurement in a cell; its comparisons as they come.

    Raises MeasurementFailed if it fails, or takes longer than its limit. Closing the generator ends the cell.
    """
    from scripts.bench.shape import Comparison

    limit_s = measurement.quick_limit_s if quick else measurement.limit_s
    with _directory() as directory:
        read_end, write_end = os.pipe()
        outer = os.fork()
        if outer == 0:
            os.close(read_end)
            _make(measurement, quick, directory, write_end)
        os.close(write_end)
        try:
            with os.fdopen(read_end, "rb", buffering=0) as said:
                for told in _lines(said.fileno(), time.monotonic() + limit_s, measurement.name, limit_s):
                    if "failed" in told:
                        raise MeasurementFailed(told["failed"])
                    yield Comparison.from_json(told)
        finally:
            _end(outer)


def _lines(descriptor: int, until: float, name: str, limit_s: float) -> Iterator[dict[str, Any]]:
    """What is said on a pipe, up to the line that says that it was all."""
    pending = b""
    while True:
        left_s = until - time.monotonic()
        if left_s <= 0 or not select.select([descriptor], [], [], left_s)[0]:
            raise MeasurementFailed(f"{name} took longer than {limit_s:.0f} s")
        data = os.read(descriptor, 65536)
        if not data:
            raise MeasurementFailed(f"{name} ended without a word")
        pending += data
        while b"\n" in pending:
            line, _, pending = pending.partition(b"\n")
            told: dict[str, Any] = json.loads(line)
            if told.get("over"):
                return
            yield told


def _end(outer: int) -> None:
    """End the cell and return when nothing of it is left."""
    try:
        os.kill(
            outer, signal.SIGTERM
        )  # it ends the first process of the cell, and returns when the kernel has ended all
    except ProcessLookupError:
        pass
    os.waitpid(outer, 0)


@contextmanager
def _directory() -> Iterator[Path]:
    """A directory of its own; those that a killed program has left are removed first."""
    RUNS.mkdir(parents=True, exist_ok=True, mode=0o755)
    for old in RUNS.iterdir():
        with _locked(old) as ours:
            if ours:
                shutil.rmtree(old, ignore_errors=True)
    directory = Path(tempfile.mkdtemp(prefix="", dir=RUNS))
    directory.chmod(0o755)
    try:
        with _locked(directory):
            yield directory
    finally:
        for _ in range(50):  # the kernel may still be ending what had files open here
            shutil.rmtree(directory, ignore_errors=True)
            if not directory.exists():
                break
            time.sleep(0.1)


@contextmanager
def _locked(directory: Path) -> Iterator[bool]:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield True
    except BlockingIOError:
        yield False
    finally:
        os.close(descriptor)


# --- in the child ----------------------------------------------------------------------------------------------------


def _make(measurement: Measurement, quick: bool, directory: Path, write_end: int) -> None:
    """The outer process: makes the namespaces, starts their first process, waits for it. Never returns."""
    try:
        kernel.die_with_parent(signal.SIGKILL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started us ends us
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        environment = find_system(home()).environment()
        kernel.unshare(kernel.NEW_PID | kernel.NEW_MOUNT | kernel.NEW_NETWORK | kernel.NEW_IPC)
        first = os.fork()
        if first == 0:
            kernel.die_with_parent(signal.SIGKILL)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            _furnish(directory, environment)
            _reap(_work(measurement, quick, write_end))
        signal.signal(signal.SIGTERM, lambda *_: os.kill(first, signal.SIGKILL))
        os.waitpid(first, 0)
    except BaseException as error:
        _tell(write_end, {"failed": f"no cell could be made: {error}"})
    finally:
        os._exit(0)


def _furnish(directory: Path, environment: dict[str, str]) -> None:
    kernel.mount("none", "/", "", kernel.PRIVATE | kernel.RECURSIVE)
    kernel.mount("proc", "/proc", "proc")
    kernel.mount("sysfs", "/sys", "sysfs")
    kernel.mount("tmpfs", "/run", "tmpfs", 0, "mode=0755")
    kernel.mount("tmpfs", "/dev/shm", "tmpfs", 0, "mode=1777")  # noqa: S108
    INSIDE.mkdir()
    kernel.bind(str(directory), str(INSIDE))
    for name in ("home", "tmp", "work", "kept", "keeping"):
        (INSIDE / name).mkdir()
    kept = f"lowerdir=/var/lib,upperdir={INSIDE}/kept,workdir={INSIDE}/keeping"
    kernel.mount("overlay", "/var/lib", "overlay", 0, kept)  # targets keep the epoch there
    (INSIDE / "tmp").chmod(0o1777)
    os.chdir(INSIDE / "work")
    for name in [n for n in os.environ if n.startswith(("ANSIBLE_", "BASCULE_", "SSH_", "XDG_", "PG", "AWS_"))]:
        del os.environ[name]
    os.environ.update(environment)
    os.environ.update(HOME=str(INSIDE / "home"), TMPDIR=str(INSIDE / "tmp"), LANG="C.UTF-8", LC_ALL="C.UTF-8")
    os.environ["PYTHONPATH"] = str(home())
    # Programs start from byte code, as installed ones do, whatever whoever measures has switched off.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = str(INSIDE / "home" / "bytecode")
    tempfile.tempdir = None
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


def _work(measurement: Measurement, quick: bool, write_end: int) -> int:
    """Fork the process that measures; its process id."""
    worker = os.fork()
    if worker:
        return worker
    try:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        module, _, function = measurement.module.partition(":")
        measure = getattr(importlib.import_module(module), function or "measure")
        for comparison in measure(Cell(quick, INSIDE / "work")):
            _tell(write_end, comparison.as_json())
        _tell(write_end, {"over": True})
    except BaseException as error:
        traceback.print_exc()
        notes = "; ".join(getattr(error, "__notes__", ()))
        text = f"{type(error).__name__}: {error}" + (f" ({notes})" if notes else "")
        _tell(write_end, {"failed": " ".join(text.split())[:500]})
    finally:
        os._exit(0)


def _reap(worker: int) -> None:
    """Be process 1 of the cell: collect orphans until the work is done; then the kernel ends what is left."""
    while True:
        pid, _ = os.wait()
        if pid == worker:
            os._exit(0)


def _tell(descriptor: int, told: dict[str, Any]) -> None:
    data = json.dumps(told).encode() + b"\n"
    while data:
        data = data[os.write(descriptor, data) :]
