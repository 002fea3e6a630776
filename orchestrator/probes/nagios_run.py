"""Runs one monitoring plug-in, inside a fork.

The one rule it keeps: the plug-in and everything it starts share the fork's process group, so they are killed with it.
"""

from __future__ import annotations

import os
import signal
import subprocess

from orchestrator.probes.forked import die_with_parent
from orchestrator.probes.forks import Call
from orchestrator.probes.kind import NotAsked, Raw
from orchestrator.probes.nagios import Exited

_OUTPUT_MAX = 65536
_PATH = "/usr/lib/nagios/plugins:/usr/lib64/nagios/plugins:/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"


def answer(call: Call) -> Raw:
    """Run it to its end or to the time-out; the caller kills what is left."""
    options = call.options
    environment = {
        "PATH": _PATH,
        "LANG": "C.UTF-8",
        "HOME": os.environ.get("HOME", "/"),
        **options.environment,
        **{name: secret for name, secret in call.secrets.items() if secret is not None},
    }
    program = options.command[0]
    own = os.getpid()
    try:
        process = subprocess.Popen(
            options.command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            preexec_fn=lambda: die_with_parent(own, signal.SIGKILL),  # noqa: PLW1509  # a fork has one thread
        )
    except OSError as error:
        return NotAsked(f"cannot run {program}: {error.strerror}")
    try:
        output, _ = process.communicate(timeout=call.timeout_s)
    except subprocess.TimeoutExpired:
        return NotAsked(f"{program} was killed: it did not end within {call.timeout_s:g} s")
    if process.returncode < 0:
        return NotAsked(f"{program} was killed by signal {-process.returncode}")
    return Exited(process.returncode, output[:_OUTPUT_MAX].decode("utf-8", "replace"))
