"""Under which name a connection is kept, and after how much silence it is given up.

The one rule it keeps: a kept connection is found by everything that decides where it leads, and by the client for which
it was made. Ansible names its shared connections by address, port and user alone; and two clients may have the same
address behind jump hosts of their own.

    what decides                              where it is found
    ----------------------------------------  -----------------------------------------------------------------------
    the client (else the inventories)         KEPT_FOR, in the environment of the playbook
    address, port, user, key, proxy or jump,  the arguments of ssh, all of them but those in `_NEUTRAL`
    known hosts, the author's own options
    what the operator's ssh files say         their size and time of change, of those that they include, too
    where, and by whose keys, ssh is started  `steering`, which whoever starts it asks

It depends on arguments alone: nothing of Ansible is imported here.
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
import stat
import subprocess
import tempfile
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.core.client_keys import CACHE_PREFIXES, cache_prefixes, kept_for
from orchestrator.runner import ssh_files

KEPT_FOR = "BASCULE_KEPT_FOR"
"""Stands in the environment of whatever runs Ansible: for whom connections, facts and the like are kept."""

NAME_LENGTH = 20  # hexadecimal digits: 80 bits
SOCKET_MAX = 107 - 17  # bytes of a socket's path; ssh binds a longer name first, and renames it
CONNECT_S = 10.0  # Ansible's own limit, where nobody set one
PERSISTENT = "ANSIBLE_PERSISTENT_CONTROL_PATH_DIR"  # where connections to devices without a shell are kept
OF_EACH_CLIENT = frozenset({KEPT_FOR, PERSISTENT, *CACHE_PREFIXES})
SSH_PROGRAMS = frozenset({"ssh", "sftp", "scp"})

# What says nothing of where a connection leads: how it looks, how long it lives, how patient it is.
_NEUTRAL = frozenset(
    {
        "batchmode", "compression", "connectionattempts", "connecttimeout", "controlmaster", "controlpath",
        "controlpersist", "loglevel", "numberofpasswordprompts", "requesttty", "sendenv", "serveralivecountmax",
        "serveraliveinterval", "setenv", "tcpkeepalive",
    }
)  # fmt: skip
_INVENTORY = re.compile(r"-[bkvCDJK]*i")  # behind letters of ansible-playbook that take no value
_NEUTRAL_FLAGS = frozenset({"-C", "-q", "-t", "-tt", "-T"})
_WITH_VALUE = frozenset("BbcDEeFIiJLlmOopQRSWwP")  # letters of ssh, scp and sftp that a word follows


def kept_for_call(options: Sequence[str], directory: str, environment: Mapping[str, str], configured: str) -> str:
    """For a call of `ansible-playbook` with these options: by its inventories, whoever named them."""
    named: list[str] = []
    words = iter(options)
    for word in words:
        name, said, value = word.partition("=")
        if name.startswith("--i") and "--inventory-file".startswith(name):  # in short, too
            named.append(value if said else next(words, ""))
        elif found := _INVENTORY.match(word):
            named.append(word[found.end() :] or next(words, ""))
    if not named:
        named = [environment.get("ANSIBLE_INVENTORY") or configured or "/etc/ansible/hosts"]
    places = [
        one if "," in one else os.path.normpath(os.path.join(directory, os.path.expanduser(one))) for one in named
    ]
    return kept_for("inventories", *([directory] if any("," in one for one in named) else []), *places)


def keep_apart(environment: MutableMapping[str, str], whom: str) -> None:
    """Have everything that Ansible keeps from call to call kept for `whom` alone. To be called once on it."""
    environment[KEPT_FOR] = whom
    environment.update(cache_prefixes(environment, whom))
    base = environment.get(PERSISTENT) or os.path.join(os.path.expanduser("~"), ".ansible", "pc")
    environment[PERSISTENT] = os.path.join(base, whom)


@dataclass(slots=True)
class Arguments:
    """What an ssh program is called with, without the host and what comes after it."""

    options: list[tuple[str, str]] = field(default_factory=list)  # of -o, the first of a name counts
    others: list[tuple[str, ...]] = field(default_factory=list)  # each with the word that follows it
    kept: list[str] = field(default_factory=list)  # all of it but the path of a shared connection
    file: str | None = None  # -F

    def first(self, name: str) -> str | None:
        """The value that counts."""
        return next((value for key, value in self.options if key == name), None)


def read(words: Sequence[str], *, is_ssh: bool = True) -> Arguments:
    """Take arguments apart. `is_ssh`: of ssh itself, whose -S names a shared connection."""
    found = Arguments()
    left = list(words)
    while left:
        word = left.pop(0)
        letter, value, taken = word[1:2], word[2:], [word]
        if word.startswith("-") and letter in _WITH_VALUE and not value and left:
            value = left.pop(0)
            taken.append(value)
        if word.startswith("-") and letter == "o":
            name, said = _option(value)
            found.options.append((name, said))
            if name != "controlpath":
                found.kept += taken
            continue
        if word.startswith("-S") and is_ssh:
            found.options.append(("controlpath", value))
            continue
        if word.startswith("-F"):
            found.file = value
        found.others.append(tuple(taken))
        found.kept += taken
    return found


def _option(text: str) -> tuple[str, str]:
    """`Name=value` or `Name value`, the name in small letters, the value without quotes around it."""
    text = text.strip()
    cut = min((at for at in (text.find("="), text.find(" "), text.find("\t")) if at >= 0), default=len(text))
    value = text[cut + 1 :].strip().removeprefix("=").strip()
    if len(value) > 1 and value[0] == value[-1] == '"':
        value = value[1:-1]
    return text[:cut].strip().lower(), value


def name_of(arguments: Arguments, host: str, program: str, whom: str, around: Sequence[str] = ()) -> str:
    """The name of a shared connection: two with one name lead to one place, for one client.

    `around`: what decides beside the arguments, see `steering`.
    """
    lead = [f"{name}={value}" for name, value in arguments.options if name not in _NEUTRAL]
    flags = [" ".join(words) for words in arguments.others if len(words) > 1 or not _is_neutral(words[0])]
    state = [f"{path} {size} {changed}" for path, size, changed in ssh_files.files_of_ssh(arguments.file)]
    parts = [
        whom,
        os.path.basename(program) if program in SSH_PROGRAMS else program,
        host,
        *lead,
        *flags,
        *state,
        *around,
    ]
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()[:NAME_LENGTH]


def _is_neutral(word: str) -> bool:
    return word in _NEUTRAL_FLAGS or (word.startswith("-") and not word.strip("-v"))


def path_for(arguments: Arguments, name: str, *, ansibles_own: str, host: str) -> str | None:
    """Where the shared connection is kept; None where the author wants none.

    `ansibles_own`: what Ansible would have chosen, if it has. An author's own path stands, with the name behind it: so
    it is where he wants it, and still two clients do not meet there.
    """
    said = arguments.first("controlpath")
    if said is None:
        said = as_ssh_has_it(arguments, host, "controlpath")  # a program around ssh reads its files, too
        if said is None:
            return None
    if said.lower() == "none":
        return "none"
    if ansibles_own and said == ansibles_own:
        directory = os.path.dirname(said)
        said = os.path.join(directory, name)
        return said if len(os.fsencode(said)) <= SOCKET_MAX and is_private(directory) else _elsewhere(name)
    said = f"{said}-{name}"
    # Of tokens as %h nobody knows the length; where ssh finds it too long, the author is told by ssh itself.
    return said if "%" in said or len(os.fsencode(said)) <= SOCKET_MAX else _elsewhere(name)


def as_ssh_has_it(arguments: Arguments, host: str, name: str) -> str | None:
    """The value of an option, asked of ssh itself; None where none of its files speaks of it."""
    if name not in ssh_files.said_in(files := ssh_files.files_of_ssh(arguments.file)):
        return None
    asked = tuple(word for word in arguments.kept if word not in ("-b", "-"))
    try:
        said = _asked_of_ssh(asked, host, tuple(files)).get(name)
    except (OSError, subprocess.SubprocessError):  # not kept: it may answer the next time
        return None
    return None if said in (None, "none") else said


@functools.lru_cache(maxsize=256)
def _asked_of_ssh(words: tuple[str, ...], host: str, _files: tuple[tuple[str, int, int], ...]) -> dict[str, str]:
    """Its options as `ssh -G` tells them; asked again when one of these files was changed.

    Raises OSError, subprocess.SubprocessError.
    """
    asked = ["ssh", *words, "-G", host]
    found = subprocess.run(asked, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=5, check=True)
    return {name: value for name, _, value in (line.partition(" ") for line in reversed(found.stdout.splitlines()))}


def is_private(directory: str) -> bool:
    """Whether nobody else can put anything there: whoever can may sit where a connection is looked for."""
    try:
        found = os.stat(directory)
        private = found.st_uid == os.geteuid() and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        return private and not replaceable(os.path.dirname(os.path.abspath(directory)))
    except OSError:
        return False


def replaceable(above: str | os.PathLike[str]) -> bool:
    """Whether somebody else could put another directory where one in here was found private.

    `su` keeps a runtime directory and a home. Raises OSError.
    """
    found = os.stat(above)
    if found.st_uid not in (0, os.geteuid()):
        return True
    return bool(found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)) and not found.st_mode & stat.S_ISVTX


def _elsewhere(name: str) -> str:
    """In a directory of our own with a short name, where the wanted one will not do."""
    directory = _own_directory()
    # Where there is none, no connection is kept: slower, and safe.
    return os.path.join(directory, name) if directory else "none"


def _own_directory() -> str:
    """A directory that nobody else can read or write, with room for a socket's name; empty: there is none."""
    for base in (os.environ.get("XDG_RUNTIME_DIR"), "/tmp", "/var/tmp"):  # noqa: S108  (looked at below)
        if not base or not os.path.isdir(base) or replaceable(base):
            continue
        directory = os.path.join(base, f"bascule-ssh-{os.geteuid()}")
        try:
            os.mkdir(directory, 0o700)
        except FileExistsError:
            pass
        except OSError:
            continue
        found = os.lstat(directory)
        private = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077
        if private and len(os.fsencode(directory)) + 1 + NAME_LENGTH <= SOCKET_MAX:
            return directory
    return ""


def aliveness(arguments: Arguments, program: str) -> list[str]:
    """Arguments that end a connection which has fallen silent, where neither author nor operator said when.

    No later than a new connection would have been given up. What stands on the command line comes first in ssh, then
    its files; so ours is a file that includes theirs and speaks last.
    """
    if os.path.basename(program) not in SSH_PROGRAMS:
        return []  # of the author's own: who knows what it takes
    interval_s, count = _patience(arguments)
    if arguments.file is None and (file := _speaking_last(interval_s, count)):
        return ["-F", file]
    if "serveralive" in ssh_files.said_in(ssh_files.files_of_ssh(arguments.file)):
        return []
    return ["-o", f"ServerAliveInterval={interval_s}", "-o", f"ServerAliveCountMax={count}"]


def _patience(arguments: Arguments) -> tuple[int, int]:
    said = arguments.first("connecttimeout")
    limit_s = float(said) if said is not None and said.isdigit() and int(said) > 0 else CONNECT_S
    return next(row for row in PATIENCE if limit_s >= row[0] * (row[1] + 1) or row is PATIENCE[-1])


def alive_as(arguments: Arguments) -> str:
    """The end of a file for ssh that ends a connection which has fallen silent."""
    return _alive(*_patience(arguments))


def _alive(interval_s: int, count: int) -> str:
    return f"Match all\n  ServerAliveInterval {interval_s}\n  ServerAliveCountMax {count}\n"


# Seconds from one question to the next, and how many may stay open; given up at the next one.
PATIENCE = ((2, 3), (1, 3), (1, 1))


def _speaking_last(interval_s: int, count: int) -> str:
    """A file that says what ssh's usual ones say, and then this; empty where there is no place for it.

    Written out for this user: an `Include` of ssh's would look for `~` where HOME says, and ssh itself does not.
    """
    return written(usual_files() + _alive(interval_s, count))


def usual_files() -> str:
    """What a file says that includes ssh's usual ones."""
    return f'Include "{ssh_files.home()}/.ssh/config"\nInclude /etc/ssh/ssh_config\n'


def written(text: str, name: str = "") -> str:
    """A file for ssh with this text, for nobody else to write to; empty where there is no place for it."""
    text = f"# Written by bascule. Of each option ssh takes the first value.\n{text}"
    path = place_of(name or f"config-{hashlib.sha256(os.fsencode(text)).hexdigest()[:12]}")
    if not path or ssh_files.text_of(Path(path)) == text:
        return path
    try:
        handle, temporary = tempfile.mkstemp(dir=os.path.dirname(path))
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(temporary, path)
    except OSError:
        return ""
    return path


def place_of(name: str) -> str:
    """Where a file of this name is kept for ssh; empty where there is no place for it."""
    directory = _own_directory()
    return os.path.join(directory, name) if directory else ""
