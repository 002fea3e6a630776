"""Runs one monitoring plug-in, inside a fork.

The one rule it keeps: the plug-in and everything it starts share the fork's process group, so they are killed with it.
"""

from __future__ import annotations

import errno
import os
import select
import signal
import subprocess
import time
from collections.abc import Sequence

from orchestrator.probes.charsets import plain_text
from orchestrator.probes.forked import die_with_parent
from orchestrator.probes.forks import Call
from orchestrator.probes.nagios import Exited
from orchestrator.probes.results import NotAsked, Raw

_OUTPUT_MAX = 32768  # of its output that is looked at
_HEARD_MAX = 1 << 20  # of its output that is waited for: one that prints without end is no plug-in
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

    def begin(command: Sequence[str]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            preexec_fn=lambda: die_with_parent(own, signal.SIGKILL),  # noqa: PLW1509  # a fork has one thread
        )

    try:
        try:
            process = begin(options.command)
        except OSError as error:
            if error.errno != errno.ENOEXEC or "/" not in program:
                raise
            process = begin(["/bin/sh", *options.command])  # a script that does not say who reads it (execlp(3))
    except OSError as error:
        return NotAsked(f"cannot run {program}: {error.strerror}")
    output, ending = _heard(process, call.timeout_s)
    if ending:
        return NotAsked(f"{program} was killed: {ending}")
    if process.returncode < 0:
        return NotAsked(f"{program} was killed by signal {-process.returncode}")
    return Exited(process.returncode, plain_text(output))


def _heard(process: subprocess.Popen[bytes], timeout_s: float) -> tuple[bytes, str]:
    """The beginning of what it prints until it ends, and why it is to be killed instead, if it is.

    It is read until the plug-in itself has ended: what it leaves running may keep the pipe open for ever.
    """
    pipe = process.stdout
    if pipe is None:
        return b"", "it has no output"
    kept, heard = bytearray(), 0
    end = time.monotonic() + timeout_s
    os.set_blocking(pipe.fileno(), False)
    ended = os.pidfd_open(process.pid)
    poll = select.poll()
    poll.register(pipe, select.POLLIN | select.POLLHUP)
    poll.register(ended, select.POLLIN)
    open_, over = True, False
    while not over:
        left_s = end - time.monotonic()
        if left_s <= 0:
            return bytes(kept), f"it did not end within {timeout_s:g} s"
        ready = {descriptor for descriptor, _ in poll.poll(left_s * 1000)}
        over = ended in ready  # then what it has said is all in the pipe, whether or not it was there a moment before
        while open_ and (over or pipe.fileno() in ready):
            try:
                data = os.read(pipe.fileno(), _OUTPUT_MAX)
            except BlockingIOError:
                break
            if not data:
                poll.unregister(pipe)
                open_ = False
                break
            heard += len(data)
            kept += data[: _OUTPUT_MAX - len(kept)]
            if heard > _HEARD_MAX:
                return bytes(kept), f"it printed more than {_HEARD_MAX} bytes"
    process.wait()
    return bytes(kept), ""
