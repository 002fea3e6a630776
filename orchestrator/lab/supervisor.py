"""The lab's one process outside its hosts: it lays the wires, switches the power, and answers commands on sockets.

It is process 1 of a PID namespace that contains the whole lab, and has the mount and network namespaces that hold the
lab's disks and wires. The one rule it keeps: **nothing of the lab outlives it**. Whatever kills it, at whatever moment,
the kernel kills all hosts and takes back every namespace, mount and cable. Only the lab's directory remains.
"""

from __future__ import annotations

import json
import os
import selectors
import shutil
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.lab import kernel, network
from orchestrator.lab.disk import Surroundings, write
from orchestrator.lab.errors import LabError, LabUsageError
from orchestrator.lab.host import Machine
from orchestrator.lab.network import Fault
from orchestrator.lab.power import PowerBoard
from orchestrator.lab.spec import Spec, make_keys
from orchestrator.lab.topology import CONSOLES, HOSTS, HYPERVISOR, INSTANCE, SCRATCH
from orchestrator.lab.words import answer_control, answer_power

REQUEST_BYTES_MAX = 1 << 16


@dataclass
class Line:
    """One connection: what it may talk about (None: everything), bytes not yet a whole line."""

    connection: socket.socket
    scope: frozenset[str] | None
    pending: bytes = b""


@dataclass
class Supervisor:
    """Everything the lab remembers."""

    spec: Spec
    environment: dict[str, str]
    surroundings: Surroundings
    machines: dict[str, Machine]
    power: PowerBoard = field(default_factory=PowerBoard)
    faults: dict[str, Fault] = field(default_factory=dict)
    selector: selectors.BaseSelector = field(default_factory=selectors.DefaultSelector)
    waiting: list[tuple[frozenset[str], Line, dict[str, Any]]] = field(default_factory=list)

    def listen(self, path: Path, scope: frozenset[str] | None) -> None:
        """Answer on a Unix socket."""
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        path.unlink(missing_ok=True)
        listener.bind(str(path))
        path.chmod(0o600)
        listener.listen(64)
        self.selector.register(listener, selectors.EVENT_READ, lambda: self._accept(listener, scope))

    def follow_power(self) -> None:
        """Bring every host to the state its power says: boot what is energised and off, cut what is not."""
        for name, machine in self.machines.items():
            if not self.power.energised(name) and machine.state != "off":
                self._forget_boot(machine)
                machine.power_off()
                network.unplug(name, self.environment)
        self.boot([name for name in self.machines if self.power.energised(name) and self.machines[name].state == "off"])

    def boot(self, names: list[str]) -> None:
        """Start hosts together; they finish their boots in their own time."""
        started: dict[str, int] = {}
        for name in names:
            machine = self.machines[name]
            try:
                machine.boot(self.surroundings)
                started[name] = machine.pid
            except (OSError, LabError) as error:
                machine.state, machine.trouble = "dead", str(error)
        if not started:
            return
        network.plug_in(started, self.environment)
        network.apply_faults(self.faults, self.environment)
        for name in started:
            machine = self.machines[name]
            self.selector.register(machine.booted, selectors.EVENT_READ, self._booted(machine))
            machine.connected()

    def answer(self, line: Line, reply: dict[str, Any], once_settled: frozenset[str] = frozenset()) -> None:
        """Answer now, or once these hosts have finished their boots."""
        if any(self.machines[name].state == "booting" for name in once_settled):
            self.waiting.append((once_settled, line, reply))
            return
        try:
            line.connection.sendall(json.dumps(reply).encode() + b"\n")
        except OSError:
            pass  # whoever asked is gone; what it asked for has happened all the same

    def end_with(self, bond: int) -> None:
        """End, and leave no directory either, when the other end of this pipe is closed: who wanted the lab is gone."""

        def over() -> None:
            kernel.unmount(str(self.spec.directory / "disks"))
            shutil.rmtree(self.spec.directory, ignore_errors=True)
            os._exit(0)

        self.selector.register(bond, selectors.EVENT_READ, over)

    def serve(self) -> None:
        """For ever."""
        while True:
            for key, _ in self.selector.select(timeout=5):
                key.data()
            self._collect_dead()

    def _booted(self, machine: Machine) -> Callable[[], None]:
        def finish() -> None:
            self.selector.unregister(machine.booted)
            machine.finish_boot()
            self._answer_waiting()

        return finish

    def _forget_boot(self, machine: Machine) -> None:
        if machine.booted >= 0 and machine.booted in self.selector.get_map():
            self.selector.unregister(machine.booted)

    def _answer_waiting(self) -> None:
        waiting, self.waiting = self.waiting, []
        for names, line, reply in waiting:
            self.answer(line, reply, names)

    def _accept(self, listener: socket.socket, scope: frozenset[str] | None) -> None:
        connection, _ = listener.accept()
        line = Line(connection, scope)
        self.selector.register(connection, selectors.EVENT_READ, lambda: self._read(line))

    def _read(self, line: Line) -> None:
        try:
            data = line.connection.recv(65536)
        except OSError:
            data = b""
        line.pending += data
        while b"\n" in line.pending:
            request, _, line.pending = line.pending.partition(b"\n")
            self._handle(line, request)
        if not data or len(line.pending) > REQUEST_BYTES_MAX:
            self.selector.unregister(line.connection)
            line.connection.close()

    def _handle(self, line: Line, request: bytes) -> None:
        try:
            asked = json.loads(request)
            if not isinstance(asked, dict):
                raise LabError(f"expected a JSON object, not {request[:80]!r}")
            if line.scope is None:
                reply, hosts = answer_control(self, asked)
            else:
                reply, hosts = answer_power(self, asked, line.scope)
        except (LabError, ValueError) as error:
            reply, hosts = {"error": str(error), "usage": isinstance(error, LabUsageError)}, frozenset()
        except Exception as error:  # one bad request must not take the whole lab down
            traceback.print_exc()
            reply, hosts = {"error": f"{type(error).__name__}: {error}"}, frozenset()
        self.answer(line, reply, hosts)

    def _collect_dead(self) -> None:
        """Reap; a host whose init has died without our doing is dead, and its cables are gone."""
        while True:
            try:
                pid, _ = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for machine in self.machines.values():
                if machine.pid == pid:
                    self._forget_boot(machine)
                    machine.died("its init died although it has power")
                    network.unplug(machine.name, self.environment)
                    self._answer_waiting()


def build(spec: Spec) -> Supervisor:
    """Disks, keys, wires: everything but power."""
    disks = spec.directory / "disks"
    kernel.mount("tmpfs", str(disks), "tmpfs", kernel.NO_DEVICES, "mode=0711")
    keys = disks / "keys"
    sockets = disks / "power"
    keys.mkdir(mode=0o700)
    sockets.mkdir(mode=0o700)
    environment = spec.system().environment()
    make_keys(keys, ["noc", *(name for name, host in HOSTS.items() if host.ssh)], environment)
    surroundings = spec.surroundings(keys, sockets)
    network.lay_wires(environment)
    machines = {}
    for name in HOSTS:
        write(disks / name, name, surroundings)
        machines[name] = Machine(name, disks / name)
    supervisor = Supervisor(spec, environment, surroundings, machines)
    for console, site in CONSOLES.items():
        supervisor.listen(
            sockets / f"{console}.sock", frozenset(name for name, host in HOSTS.items() if host.site == site)
        )
    supervisor.listen(sockets / f"{HYPERVISOR}.sock", frozenset({INSTANCE, SCRATCH}))
    return supervisor


def main() -> None:
    """Started by `lab up`: the specification comes on standard input, one line on standard output says how it went.

    Arguments: the lab's name, for whoever looks at a process list; perhaps the descriptor of a pipe to end with.
    """
    spec = Spec.from_json(sys.stdin.read())
    os.chdir("/")
    kernel.unshare(kernel.NEW_PID | kernel.NEW_MOUNT | kernel.NEW_NETWORK | kernel.NEW_IPC | kernel.NEW_HOSTNAME)
    if os.fork():
        os._exit(0)
    outer_pid = os.readlink("/proc/self")
    temporary = spec.directory / "pid.new"
    temporary.write_text(outer_pid + "\n")
    temporary.rename(spec.directory / "pid")
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    kernel.mount("none", "/", "", kernel.PRIVATE | kernel.RECURSIVE)
    began = time.monotonic()
    try:
        supervisor = build(spec)
        wakeup_read, wakeup_write = socket.socketpair()
        wakeup_read.setblocking(False)
        wakeup_write.setblocking(False)
        signal.set_wakeup_fd(wakeup_write.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        supervisor.selector.register(wakeup_read, selectors.EVENT_READ, lambda: wakeup_read.recv(4096))
        supervisor.follow_power()
        supervisor.listen(spec.directory / "control.sock", None)
        if len(sys.argv) > 2:
            supervisor.end_with(int(sys.argv[2]))
    except Exception as error:
        traceback.print_exc()
        print(json.dumps({"error": str(error)}), flush=True)
        os._exit(1)
    print(json.dumps({"built": round(time.monotonic() - began, 2)}), flush=True)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    supervisor.serve()


if __name__ == "__main__":
    main()
