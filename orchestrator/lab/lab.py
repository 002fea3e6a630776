"""A lab from the outside: up, down, faults, power, commands on its hosts. For `bascule lab`, the demo and tests.

Everything of a lab called NAME is below /run/bascule-lab/NAME and lives in one process, the supervisor. The one rule
this side keeps: it remembers nothing. The supervisor holds a lock, and the kernel tells whether it is held: then the
lab is there. So every call can be repeated, also after a crash of the last caller.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.lab import enter, equipment, permitted, running
from orchestrator.lab.errors import LabError, LabUsageError
from orchestrator.lab.spec import Spec
from orchestrator.lab.system import home
from orchestrator.lab.topology import HOSTS

LABS = Path("/run/bascule-lab")
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,30}")
_ANSWER_TIMEOUT_S = 120.0
_UP_TIMEOUT_S = 120.0
_READY_TIMEOUT_S = 60.0

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Status:
    """What `bascule lab status` tells. `missing` has a line for everything that should be there and is not."""

    name: str
    up: bool
    detail: dict[str, Any]
    missing: tuple[str, ...]


class Lab:
    """One lab, there or not. Methods raise LabError (or LabUsageError) with a text for a person."""

    def __init__(self, name: str = "lab", workspace: Path | str = ".", *, bound: bool = False) -> None:
        """`bound`: the lab that this object brings up ends with this process, however that ends, and leaves nothing."""
        if not _NAME.fullmatch(name):
            raise LabUsageError(f"A lab's name is up to 31 of a-z, 0-9 and -; not {name!r}")
        self.name = name
        self.workspace = Path(workspace).resolve()
        self.directory = LABS / name
        self._bound = bound
        self._life: int | None = None  # a pipe's end that closes when this process ends

    # --- life --------------------------------------------------------------------------------------------------------

    def up(self, progress: Progress = lambda text: None) -> None:
        """Build the lab; if it is there, boot what has power and does not run.

        Returns when every host has booted and every service that starts with it listens, at the latest after 60 s;
        `status` then tells what is missing.
        """
        refusal = permitted.why_not()
        if refusal:
            raise LabError(refusal)
        with self._lock() as descriptor:
            if descriptor is None:
                self._wait_built()
                self._ask({"op": "mend"})
            else:
                self._clear()
                self._start_supervisor(descriptor, progress)
        self._wait_ready()
        progress(f"Lab {self.name} is up")

    def down(self) -> bool:
        """End the lab and leave nothing of it; False if there was none."""
        if not self.directory.exists():
            return False
        with self._lock() as descriptor:
            if descriptor is None:
                self._kill()
        self._unbind()
        with self._lock(wait_s=15) as descriptor:
            if descriptor is None:
                raise LabError(f"Lab {self.name} does not end; see {self.directory}")
            shutil.rmtree(self.directory, ignore_errors=True)
        with contextlib.suppress(OSError):
            LABS.rmdir()  # unless there are other labs
        return True

    def status(self) -> Status:
        """What is there and what is missing."""
        if not self.directory.exists():
            return Status(self.name, False, {}, (f"lab {self.name} is not up: there is no {self.directory}",))
        with self._lock() as descriptor:
            if descriptor is not None:
                text = f"lab {self.name} is not up: its process has ended (what is left: {self.directory})"
                return Status(self.name, False, {}, (text,))
        if not (self.directory / "control.sock").exists():
            return Status(
                self.name, False, {}, (f"lab {self.name} is still being built; its log: {self.directory}/log",)
            )
        try:
            detail = self._ask({"op": "status"})
        except LabError as error:
            return Status(self.name, False, {}, (str(error),))
        missing: list[str] = []
        for name, host in detail["hosts"].items():
            if host["power"] == "on" and host["state"] != "up":
                missing.append(f"{name}: {host['state']}" + (f" ({host['trouble']})" if host["trouble"] else ""))
                continue
            if host["trouble"]:
                missing.append(f"{name}: {host['trouble']}")
            if host["state"] == "up":
                missing += [f"{name}: {trouble}" for trouble in running.troubles(name, host["pid"])]
        return Status(self.name, True, detail, tuple(missing))

    # --- faults and power --------------------------------------------------------------------------------------------

    def cut(self, link: str, how: str = "silent") -> None:
        """Cut a link: `silent` (drops, carrier up), `carrier` (unplugged), `upstream` (dead beyond the first hop)."""
        self._ask({"op": "cut", "link": link, "how": how, "percent": 0})

    def lossy(self, link: str, percent: int) -> None:
        """Lose this percentage of a link's packets in each direction."""
        self._ask({"op": "cut", "link": link, "how": "lossy", "percent": percent})

    def heal(self, link: str) -> None:
        """Undo what was done to a link."""
        self._ask({"op": "heal", "link": link})

    def stop(self, target: str) -> None:
        """Cut the power of a site or of one host."""
        self._ask({"op": "stop", "target": target})

    def start(self, target: str) -> None:
        """Give a site its mains back (latched outlets stay off), or switch one host on; returns when it has booted."""
        self._ask({"op": "start", "target": target})

    # --- on a host ---------------------------------------------------------------------------------------------------

    def find(self, host: str) -> int:
        """The process id of a running host's init."""
        found = self._ask({"op": "find", "host": host})
        if not found["pid"]:
            raise LabError(
                f"Host {host} of lab {self.name} is {found['state']}; expected up (`bascule lab start {host}`)"
            )
        return int(found["pid"])

    def popen(self, host: str, argv: Sequence[str], **options: Any) -> subprocess.Popen[Any]:
        """Start a command on a host; `options` are subprocess.Popen's, `env` adds to the host's. Passes signals on."""
        return subprocess.Popen(self._command(host, argv, options), **options)

    def exec(self, host: str, argv: Sequence[str], **options: Any) -> subprocess.CompletedProcess[Any]:
        """Run a command on a host to its end; `options` are subprocess.run's (by default text is captured)."""
        if not {"stdout", "stderr", "capture_output"} & set(options):
            options["capture_output"] = True
        check = options.pop("check", False)
        return subprocess.run(self._command(host, argv, options), **{"text": True, **options}, check=check)

    def replace_by(self, host: str, argv: Sequence[str]) -> int:
        """Run a command on a host with this process's terminal; its exit code. For `bascule lab exec`."""
        try:
            return enter.run(self.find(host), os.getcwd(), list(argv), enter.environment())
        except OSError as error:
            raise LabError(f"Host {host} of lab {self.name} is gone: {error}") from error

    def file(self, host: str, path: str) -> Path:
        """Where a file of a running host can be read from outside."""
        return Path(f"/proc/{self.find(host)}/root") / path.lstrip("/")

    def meter_log(self, host: str) -> Path:
        """The log of a meter; its host must be running."""
        if host not in equipment.METERS:
            raise LabUsageError(f"There is no meter on {host!r}. There are meters on: {', '.join(equipment.METERS)}")
        return self.file(host, equipment.METER_LOG)

    # --- underneath --------------------------------------------------------------------------------------------------

    def _command(self, host: str, argv: Sequence[str], options: dict[str, Any]) -> list[str]:
        if host not in HOSTS:
            raise LabUsageError(f"There is no host {host!r}. There are: {', '.join(HOSTS)}")
        given = options.pop("env", None) or {}
        if given:
            argv = ["env", *(f"{name}={value}" for name, value in given.items()), *argv]
        options["env"] = {**os.environ, "PYTHONPATH": str(home())}
        directory = str(options.pop("cwd", None) or os.getcwd())
        # -S: the few lines that join the namespaces need no site-packages, and start three times sooner.
        return [sys.executable, "-S", "-P", "-m", "orchestrator.lab.enter", str(self.find(host)), directory, *argv]

    @contextlib.contextmanager
    def _lock(self, wait_s: float = 0) -> Iterator[int | None]:
        """The lab's lock, None if its supervisor (or somebody else's `up`) holds it."""
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o711)
        descriptor = os.open(self.directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline = time.monotonic() + wait_s
        try:
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        yield None
                        return
                    time.sleep(0.02)
            yield descriptor
        finally:
            os.close(descriptor)

    def _wait_built(self) -> None:
        """Somebody else is building it, or has: wait until it answers."""
        deadline = time.monotonic() + _UP_TIMEOUT_S
        while not (self.directory / "control.sock").exists() and time.monotonic() < deadline:
            with self._lock() as free:
                if free is not None:
                    raise LabError(f"Lab {self.name} was being built by somebody else, who gave up; try again")
            time.sleep(0.1)

    def _wait_ready(self) -> None:
        """Wait for the boots, then for the services."""
        self._ask({"op": "settle"})
        deadline = time.monotonic() + _READY_TIMEOUT_S
        waiting = {name: host["pid"] for name, host in self._ask({"op": "status"})["hosts"].items() if host["pid"]}
        while waiting and time.monotonic() < deadline:
            # Only of those that were not ready the last time: each look makes the kernel walk its table of connections.
            waiting = {name: pid for name, pid in waiting.items() if running.troubles(name, pid)}
            time.sleep(0.2 if waiting else 0)

    def _clear(self) -> None:
        """Remove what a dead supervisor has left, the lock apart."""
        for name in ("control.sock", "pid", "pid.new", "log"):
            (self.directory / name).unlink(missing_ok=True)
        (self.directory / "disks").mkdir(exist_ok=True)

    def _start_supervisor(self, lock: int, progress: Progress) -> None:
        """Start the supervisor, which inherits the lock; return when it has built the lab and answers."""
        progress("Preparing PostgreSQL")
        spec = Spec.here(self.name, self.directory, self.workspace, _prepare_postgresql())
        progress(f"Building lab {self.name}")
        with (self.directory / "log").open("w") as log, self._bond() as bond:
            process = subprocess.Popen(
                [sys.executable, "-m", "orchestrator.lab.supervisor", self.name, *map(str, bond)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                pass_fds=(lock, *bond),
                start_new_session=True,
                cwd="/",
                env={**os.environ, "PYTHONPATH": str(home())},
            )
        line = _tell_and_hear(process, spec.to_json().encode(), _UP_TIMEOUT_S)
        told = json.loads(line) if line else {"error": f"its process ended or hangs; see {self.directory / 'log'}"}
        if "error" in told:
            raise LabError(f"Lab {self.name} could not be built: {told['error']}")

    @contextlib.contextmanager
    def _bond(self) -> Iterator[tuple[int, ...]]:
        """What the supervisor has to watch, if it is to end with this process."""
        if not self._bound:
            yield ()
            return
        self._unbind()
        theirs, self._life = os.pipe()
        try:
            yield (theirs,)
        finally:
            os.close(theirs)

    def _unbind(self) -> None:
        if self._life is not None:
            os.close(self._life)
            self._life = None

    def _kill(self) -> None:
        """End the supervisor, and with it everything; return when the kernel has done so."""
        pid = self._supervisor_pid()
        if pid is None:
            return
        try:
            handle = os.pidfd_open(pid)
        except ProcessLookupError:
            return
        try:
            signal.pidfd_send_signal(handle, signal.SIGKILL)
            select.select([handle], [], [], 15)
        finally:
            os.close(handle)

    def _supervisor_pid(self) -> int | None:
        """The number the supervisor has written, waiting for one that is just starting."""
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            try:
                return int((self.directory / "pid").read_text())
            except (FileNotFoundError, ValueError):
                with self._lock() as free:
                    if free is not None:
                        return None
                time.sleep(0.05)
        return None

    def _ask(self, question: dict[str, Any]) -> dict[str, Any]:
        """Say one thing to the supervisor."""
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.settimeout(_ANSWER_TIMEOUT_S)
                connection.connect(str(self.directory / "control.sock"))
                connection.sendall(json.dumps(question).encode() + b"\n")
                with connection.makefile("rb") as stream:
                    line = stream.readline()
        except TimeoutError as error:
            raise LabError(f"Lab {self.name} does not answer; see {self.directory / 'log'}") from error
        except OSError as error:
            raise LabError(f"Lab {self.name} is not up ({error}); expected `bascule lab up` first") from error
        if not line:
            raise LabError(f"Lab {self.name} ended while it was asked; see {self.directory / 'log'}")
        reply: dict[str, Any] = json.loads(line)
        if "error" in reply:
            raise LabUsageError(reply["error"]) if reply.get("usage") else LabError(reply["error"])
        return reply


def _tell_and_hear(process: subprocess.Popen[bytes], text: bytes, timeout_s: float) -> bytes:
    """Give a process its standard input and return the first line of its output, empty if it ends or takes too long."""
    if process.stdin is None or process.stdout is None:
        raise LabError("the supervisor was started without pipes")
    try:
        process.stdin.write(text)
        process.stdin.close()
    except BrokenPipeError:
        pass  # it has ended; its silence says so too
    with process.stdout as said:
        ready, _, _ = select.select([said], [], [], timeout_s)
        line = said.readline() if ready else b""
    process.wait()  # the child we started ends as soon as it has made the supervisor proper
    return line


def _prepare_postgresql() -> Path | None:
    """The prepared clusters and programs."""
    from orchestrator.lab.programs import postgres_setup

    return postgres_setup.prepare(home() / ".bascule-cache" / "postgresql")
