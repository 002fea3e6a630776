"""Runs a command on a host: in all of its namespaces, with its environment, the caller's terminal and exit code.

    python enter.py PID DIRECTORY PROGRAM ARGUMENT...

The one rule it keeps: the command ends with its caller. Signals sent to the caller's side are passed on. If that side
is killed outright, so is the command. It is a program of its own because joining namespaces changes a whole process,
and a test or a demo with threads must not be changed.
"""

from __future__ import annotations

import os
import signal
import sys

from orchestrator.lab import kernel

_NAMESPACES = (
    ("net", kernel.NEW_NETWORK),
    ("ipc", kernel.NEW_IPC),
    ("uts", kernel.NEW_HOSTNAME),
    ("mnt", kernel.NEW_MOUNT),
)
_PASSED_ON = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGQUIT, signal.SIGWINCH)


def run(pid: int, directory: str, argv: list[str], environment: dict[str, str]) -> int:
    """Run `argv` on the host whose init is `pid` (seen from here); return its exit code, 128 + N if signal N ended it.

    The working directory is `directory` if the host has it, /root otherwise. Raises OSError if the host is gone.
    """
    kernel.enter(f"/proc/{pid}/ns/pid", kernel.NEW_PID)
    blocked = {*_PASSED_ON, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, blocked)
    child = os.fork()
    if child == 0:
        _become_command(pid, directory, argv, environment, blocked)

    def pass_on(number: int, _: object) -> None:
        try:
            os.kill(child, number)
        except ProcessLookupError:
            pass

    for number in _PASSED_ON:
        signal.signal(number, pass_on)
    # A terminal sends its interrupt to the command too; only without one is it ours to pass on.
    signal.signal(signal.SIGINT, signal.SIG_IGN if os.isatty(0) else pass_on)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, blocked)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _become_command(
    pid: int, directory: str, argv: list[str], environment: dict[str, str], blocked: set[signal.Signals]
) -> None:
    """In the child: join the rest and execute; 127 and 126 mean what they mean in a shell."""
    try:
        kernel.die_with_parent(signal.SIGKILL)
        # Opened first: after the mount namespace is joined, /proc shows other processes.
        for kind, flag in _NAMESPACES:
            kernel.enter(f"/proc/{pid}/ns/{kind}", flag)
        try:
            os.chdir(directory)
        except OSError:
            os.chdir("/root")
        signal.pthread_sigmask(signal.SIG_UNBLOCK, blocked)
        os.execvpe(argv[0], argv, environment)  # noqa: S606  no shell is what we want
    except FileNotFoundError:
        print(f"{argv[0]}: no such program on this host", file=sys.stderr)
        os._exit(127)
    except BaseException as error:
        print(f"{argv[0]}: {error}", file=sys.stderr)
        os._exit(126)


def environment() -> dict[str, str]:
    """What a command on a host finds in its environment."""
    passed = {
        name: os.environ[name] for name in ("TERM", "COLORTERM", "NO_COLOR", "COLUMNS", "LINES") if name in os.environ
    }
    passed |= {name: value for name, value in os.environ.items() if name.startswith("BASCULE_")}
    return {
        "PATH": "/opt/lab/venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/root",
        "USER": "root",
        "LOGNAME": "root",
        "SHELL": "/bin/sh",
        "LANG": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
        **passed,
    }


if __name__ == "__main__":
    try:
        sys.exit(run(int(sys.argv[1]), sys.argv[2], sys.argv[3:], environment()))
    except OSError as error:
        print(f"the host is gone: {error}", file=sys.stderr)
        sys.exit(126)
