"""What in the surroundings in which ssh is started decides where it leads, and by whose keys.

The one rule it keeps: two calls with the same arguments but different surroundings never share a connection, and nobody
makes a connection for another in surroundings of his own.

    what decides                          where
    ------------------------------------  -------------------------------------------------------------------------
    always                                the directory (relative paths), the namespaces of network and files
    always                                the agents of ssh and Kerberos, whose keys it uses and may forward
    what arguments and files name         `$NAME` and `${NAME}` in them
    where another program finds the way   all of the environment, but for what differs from call to call and says
    (a proxy, `Match exec`)               nothing: the terminal, the session, Ansible's and our own
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from orchestrator.runner.connections import SSH_PROGRAMS, Arguments
from orchestrator.runner.ssh_files import files_of_ssh, text_of

AGENTS = ("SSH_AUTH_SOCK", "SSH_SK_PROVIDER", "SSH_PKCS11_HELPER", "SSH_SK_HELPER", "KRB5CCNAME", "KRB5_CONFIG")
"""Variables of which ssh has its keys."""

_NAMESPACES = ("net", "mnt")
_NAMED = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
# A program that is not ssh itself and says where the connection leads, or which key its other end has.
_OTHERS = re.compile(
    r"(?:proxycommand(?![\s=]*\"?\s*(?:none\b|(?:exec\s+)?(?:/\S*/)?ssh\s))|knownhostscommand|\bexec\b)", re.IGNORECASE
)
_SAYS_NOTHING = re.compile(
    r"TERM|COLORTERM|COLUMNS|LINES|PWD|OLDPWD|SHLVL|_|LS_COLORS|WINDOWID|STY|TMUX\w*|DISPLAY|LANG|LANGUAGE"
    r"|SSH_(?:CLIENT|CONNECTION|TTY|ASKPASS\w*)|XDG_SESSION_\w+|DBUS_\w+|INVOCATION_ID|JOURNAL_STREAM|NOTIFY_SOCKET"
    r"|LISTEN_\w+|MAINPID|WATCHDOG_\w+|MEMORY_PRESSURE_\w+|SYSTEMD_EXEC_PID"
    r"|(?:LC|ANSIBLE|_ANSIBLE|BASCULE|AWX|RUNNER|MITOGEN|PYTHON)_?\w*"
)


def decides(arguments: Arguments, program: str, environment: Mapping[str, str]) -> list[str]:
    """All of it, in a stable order; `environment` and this process's directory and namespaces are ssh's."""
    return [_directory(), *map(_namespace, _NAMESPACES), *of_environment(arguments, program, environment)]


def of_environment(arguments: Arguments, program: str, environment: Mapping[str, str]) -> list[str]:
    """The part of it that a process may have otherwise than the one that it was forked from."""
    said = [f"{name} {value}" for name, value in arguments.options]
    said += [" ".join(words) for words in arguments.others]
    said += [_said(path) for path, _, _ in files_of_ssh(arguments.file)]
    if os.path.basename(program) not in SSH_PROGRAMS or any(_OTHERS.search(text) for text in said):
        names = {name for name in environment if not _SAYS_NOTHING.fullmatch(name)}
    else:
        names = set(AGENTS)
    names |= {found[1] or found[2] for text in said for found in _NAMED.finditer(text)}
    return [f"{name}={environment[name]}" for name in sorted(names & environment.keys())]


def _directory() -> str:
    try:
        return os.getcwd()
    except OSError:
        return ""


def _namespace(name: str) -> str:
    try:
        return os.readlink(f"/proc/self/ns/{name}")
    except OSError:
        return ""


def _said(path: str) -> str:
    """Without remarks, which name nothing."""
    return "\n".join(line for line in text_of(Path(path)).splitlines() if not line.lstrip().startswith("#"))
