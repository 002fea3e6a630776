"""A host as its supervisor sees it: off, booting, up, or dead though it has power.

The one rule it keeps: a host that is off is nothing but its disk. Its network namespace ends with its processes. So it
answers no ping, and forgets routes and rules that were only in the kernel, as a real machine does.

    off --boot--> booting --booted--> up
    booting, up --power_off--> off
    booting, up --(its init died)--> dead --boot--> booting
"""

from __future__ import annotations

import os
import re
import signal
import traceback
from dataclasses import dataclass
from pathlib import Path

from orchestrator.lab import init, kernel
from orchestrator.lab.disk import Surroundings
from orchestrator.lab.errors import LabError

_NAMESPACES = kernel.NEW_MOUNT | kernel.NEW_HOSTNAME | kernel.NEW_IPC | kernel.NEW_PID | kernel.NEW_NETWORK


@dataclass
class Machine:
    """One host: `pid` in the supervisor's PID namespace, `outer_pid` in that of whoever called `lab up`."""

    name: str
    disk: Path
    state: str = "off"
    pid: int = 0
    outer_pid: int = 0
    booted: int = -1
    plugged: int = -1
    trouble: str = ""

    def boot(self, surroundings: Surroundings) -> None:
        """Start its init, which then waits for its cables (`connected`)."""
        if self.state not in ("off", "dead"):
            raise LabError(f"{self.name} cannot boot: it is {self.state}; expected off or dead")
        plugged_read, self.plugged = os.pipe()
        self.booted, booted_write = os.pipe()
        told_read, told_write = os.pipe()
        child = os.fork()
        if child == 0:
            _become_host(self, surroundings, plugged_read, booted_write, told_write)
        os.close(plugged_read)
        os.close(booted_write)
        os.close(told_write)
        with os.fdopen(told_read) as told:
            said = told.read().split()
        os.waitpid(child, 0)
        numbers = dict(word.split("=", 1) for word in said if re.fullmatch(r"(inner|outer)=\d+", word))
        if len(numbers) != 2:
            self._close()
            raise LabError(f"{self.name} did not boot: {' '.join(said) or 'its init did not start'}")
        self.pid, self.outer_pid = int(numbers["inner"]), int(numbers["outer"])
        self.state, self.trouble = "booting", ""

    def connected(self) -> None:
        """Its cables are in: init may go on."""
        try:
            os.write(self.plugged, b"g")
        except BrokenPipeError:
            pass  # init has died; its pipe tells why
        os.close(self.plugged)
        self.plugged = -1

    def finish_boot(self) -> None:
        """Read what init says at the end of its boot (its pipe is readable)."""
        said = os.read(self.booted, 4096).decode(errors="replace")
        os.close(self.booted)
        self.booted = -1
        self.trouble = said.strip() if said else "init died while it booted"
        self.state = "up" if said else "dead"

    def power_off(self) -> None:
        """Cut the power. When this returns, none of the host's processes exists any more."""
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        self.died("")
        self.state = "off"

    def died(self, why: str) -> None:
        """Its init is gone and has been collected."""
        self._close()
        self.pid = self.outer_pid = 0
        self.state, self.trouble = "dead", why

    def _close(self) -> None:
        for descriptor in (self.booted, self.plugged):
            if descriptor >= 0:
                os.close(descriptor)
        self.booted = self.plugged = -1


def _become_host(machine: Machine, surroundings: Surroundings, plugged: int, booted: int, told: int) -> None:
    """In a child of the supervisor: make the namespaces, fork the init, report both of its process ids, end."""
    try:
        kernel.unshare(_NAMESPACES)
        child = os.fork()
        if child:
            os.write(told, f"inner={child} ".encode())
            os._exit(0)
        # /proc is still that of the outside, so its "self" is this process as seen from there.
        outer = os.readlink("/proc/self")
        os.write(told, f"outer={outer} ".encode())
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        _close_all_but(plugged, booted)
        init.run(machine.name, machine.disk, surroundings, plugged, booted)
    except BaseException as error:
        traceback.print_exc()
        os.write(told, str(error).encode())
    os._exit(1)


def _close_all_but(*keep: int) -> None:
    """Let go of the supervisor's sockets and pipes."""
    low = 3
    for number in sorted(keep):
        os.closerange(low, number)
        low = number + 1
    os.closerange(low, 4096)
