"""A host's own init, process 1 of its PID namespace: mounts, network, services. Then it collects orphans.

The one rule it keeps: it never ends by itself. Killing it is the power cut: the kernel then kills everything on the
host at once. It is forked from the lab's supervisor rather than started as a program: nineteen Pythons would take
seconds and half a gigabyte, nineteen forks share one.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import traceback
from pathlib import Path

from orchestrator.lab import kernel, network
from orchestrator.lab.disk import Surroundings, mount_all
from orchestrator.lab.service import SEARCH_PATH
from orchestrator.lab.topology import HOSTS

_ENVIRONMENT = {"PATH": SEARCH_PATH, "LANG": "C.UTF-8", "HOME": "/root"}


def run(host: str, disk: Path, surroundings: Surroundings, plugged: int, booted: int) -> None:
    """Be init of `host`; never returns.

    `plugged` is a pipe that gives a byte once the host's cables are in; on `booted` one line is written: empty, or why
    the host did not come up.
    """
    try:
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)  # for init that means: not at all
        kernel.set_process_name("init")
        kernel.set_hostname(host)
        mount_all(disk, host, surroundings)
        os.chdir("/")
        log = os.open("/var/log/boot.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(log, 1)
        os.dup2(log, 2)
        for path, value in network.sysctls(HOSTS[host]).items():
            network.set_kernel(path, value)
        if os.read(plugged, 1) != b"g":
            raise RuntimeError("the lab ended before the host was connected")
        network.run("ip", ["-batch", "/etc/lab/interfaces"], "", _ENVIRONMENT)
        if os.path.exists("/etc/nftables.conf") and network.firewall(HOSTS[host]):
            network.run("nft", ["-f", "/etc/nftables.conf"], "", _ENVIRONMENT)
        failed = _start_services()
        os.write(booted, (f"services failed: {', '.join(failed)}\n" if failed else "\n").encode())
    except Exception as error:  # init cannot end: it says what is wrong, and stays
        traceback.print_exc()
        sys.stderr.flush()
        os.write(booted, (str(error).replace("\n", " ") + "\n").encode())
    os.close(booted)
    _reap()


def _start_services() -> list[str]:
    """Start what is enabled in runlevel 2, all at once; the names of those whose start failed."""
    links = sorted(name for name in os.listdir("/etc/rc2.d") if re.match(r"S\d\d", name))
    started = [
        (name, subprocess.Popen([f"/etc/rc2.d/{name}", "start"], env=_ENVIRONMENT, stdin=subprocess.DEVNULL))
        for name in links
    ]
    return [name[3:] for name, process in started if process.wait() != 0]


def _reap() -> None:
    """Collect orphans, for ever."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    while True:
        try:
            os.wait()
        except ChildProcessError:
            signal.sigwait({signal.SIGCHLD})
