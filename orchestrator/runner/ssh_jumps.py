"""The way to a host by other hosts: what ssh starts in order to reach them.

The one rule it keeps: nothing on the way is shared by a name alone. Behind jump hosts of their own two clients have
jump hosts of one address; and what ssh starts to reach them knows only the operator's files, by which it may share
(ControlPath).

    what starts ssh on the way                      how that is kept from sharing
    ----------------------------------------------  ------------------------------------------------------------------
    ssh itself (`-J`, `ProxyJump`)                  it hands `-F` on: a file of ours, which includes the operator's
    a proxy command                                 `-o ControlPath=none`, and such a file if ssh may jump from there
    one that a file says for a host on the way      the file of ours says the same first, with both of these
    a program that is in neither list here          not at all: nobody knows what it makes of its words
    a program in place of ssh that says -F itself   its proxy commands alone
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.runner import connections, ssh_files

# What starts the program behind it: as this user, before the same files; or perhaps otherwise.
_HERE = frozenset(
    {
        "bash", "chrt", "dash", "env", "exec", "ionice", "ip", "nice", "nohup", "proxychains", "proxychains4",
        "setpriv", "setsid", "sh", "sshpass", "stdbuf", "taskset", "timeout", "torsocks",
    }
)  # fmt: skip
_ELSEWHERE = frozenset({"chroot", "doas", "firejail", "nsenter", "runuser", "sudo", "systemd-run", "unshare"})
_WORD = re.compile(r"[\"']|[^\s\"'=]+=?")
_NO_PORT = re.compile(r"\s+(?!(?:\d+|%p)(?:\s|$))\S")  # behind `ssh`: else it is the name of a host
_OWN_FILE = re.compile(r"(\s-F\s*)([^\s\"'\\$%]+)(?=[\s\"']|$)")
_OWN_PATH = re.compile(r"(\s-[46AaCfGgKkMNnqsTtVvXxYy]*)S\s*\S+")  # it would count before any -o
_OWN_WORDS = re.compile(r"(?:[^\"';|&]|\"[^\"']*\"|'[^\"']*')*")  # up to a quote that began before, or holds another
_QUOTED = re.compile(r"\"[^\"]*\"|'[^']*'")
_MAY_JUMP = re.compile(r"\s-J|proxyjump", re.IGNORECASE)
_MATCHED_BY = ("host", "match", "hostname", "user", "port", "hostkeyalias", "tag")  # lines that Match goes by
_SAID = re.compile(r"\s*(\w+)(?:\s*=\s*|\s+)(.*?)\s*$")
_DEPTH_MAX = 16  # of files that include others
_PROGRAM_MAX = 1 << 20  # bytes of a program that are looked at


def leave_unshared(arguments: connections.Arguments, program: str, host: str) -> None:
    """Have ssh make the way to the jump hosts anew, whatever the operator's files share by name.

    What stands on the command line comes first, so the connection itself is shared as it was. To be called when the
    connection has its name and its path.
    """
    ours = _Ours(connections.alive_as(arguments))
    arguments.kept = [ours.option(word) for word in arguments.kept]
    if arguments.first("proxycommand") is None and (said := connections.as_ssh_has_it(arguments, host, "proxycommand")):
        made = ours.unshared(said)
        arguments.kept = [*(["-o", f"ProxyCommand={made}"] if made != said else []), *arguments.kept]
    jumps = any(words[0].startswith("-J") for words in arguments.others) or arguments.first("proxyjump") is not None
    if arguments.file is None and _names_a_file(program):
        return
    if not jumps and "proxyjump" not in ssh_files.said_in(ssh_files.files_of_ssh(arguments.file)):
        return
    if file := ours.file(arguments.file):
        left, arguments.kept = iter(arguments.kept), ["-F", file]
        for word in left:
            if not word.startswith("-F"):
                arguments.kept.append(word)
            elif word == "-F":
                next(left, None)
        arguments.file = file


def _names_a_file(program: str) -> bool:
    """Whether the author's own program around ssh may say -F itself: of two, the one that comes later counts."""
    if os.path.basename(program) in connections.SSH_PROGRAMS:
        return False
    try:
        with open(shutil.which(program) or program, "rb") as file:
            return re.search(rb"[\s\"'\0]-F", file.read(_PROGRAM_MAX)) is not None
    except OSError:
        return True


@dataclass(slots=True)
class _Ours:
    """Files of ours for one connection, each in place of one of the operator's; `alive` ends each of them."""

    alive: str
    made: dict[str | None, str] = field(default_factory=dict)

    def option(self, word: str) -> str:
        """An argument of ssh: one that says a proxy command, with that sharing nothing."""
        found = re.match(r"(?:-o)?\s*proxycommand\s*[= ]\s*", word, re.IGNORECASE)
        return found[0] + self.unshared(word[found.end() :]) if found else word

    def unshared(self, command: str) -> str:
        """A proxy command, with every ssh in it sharing nothing."""
        for end, here in reversed([*_programs(command)]):
            options = _unnamed(command[end:])
            options = self._by_file(options) if here else options
            command = f"{command[:end]} -o ControlPath=none{options}"
        return command

    def _by_file(self, options: str) -> str:
        """What follows `ssh`, with a file of ours where it may jump to another host in turn."""
        own = _OWN_FILE.search(words := _own_words(options))
        if own is None and re.search(r"\s-F", words):
            return options  # written so that only a shell knows which it is
        files = ssh_files.said_in(ssh_files.files_of_ssh(own[2] if own else None))
        if "controlpath" not in files or not (_MAY_JUMP.search(options) or "proxy" in files):
            return options
        file = self.file(own[2] if own else None)
        if own is None or not file:
            return f" -F {file}{options}" if file else options
        return f"{options[: own.end(1)]}{file}{options[own.end() :]}"

    def file(self, given: str | None) -> str:
        """A file that says what this one says (None: ssh's usual ones), and shares nothing; empty: there is none."""
        if given in self.made:
            return self.made[given]  # perhaps still to be written: a command in it may name it
        path = None if given is None else os.path.abspath(os.path.expanduser(given))
        if path is not None and given != "none" and not os.path.isfile(path):
            return ""  # ssh says that it is not there
        state = repr((path, self.alive, ssh_files.files_of_ssh(given)))
        name = f"config-{hashlib.sha256(os.fsencode(state)).hexdigest()[:12]}"
        self.made[given] = connections.place_of(name)
        included = "" if given == "none" else f'Include "{path}"\n' if path else connections.usual_files()
        if "proxycommand" in ssh_files.said_in(ssh_files.files_of_ssh(given)):
            tops = [path] if path is not None else ssh_files.usual()
            included = "".join(_proxies(top, self.unshared, _DEPTH_MAX) for top in tops) + included
        self.made[given] = connections.written(f"ControlPath none\n{included}{self.alive}", name)
        return self.made[given]


def _unnamed(options: str) -> str:
    """What follows `ssh` without a path of its own to share a connection by."""
    made, done = "", 0
    for found in _OWN_PATH.finditer(_own_words(options)):
        made, done = f"{made}{options[done : found.end(1)]}S none", found.end()
    return made + options[done:]


def _own_words(options: str) -> str:
    """The words behind `ssh` that are its own for sure; what is quoted is blotted out: it may be another program's."""
    found = _OWN_WORDS.match(options)
    return _QUOTED.sub(lambda x: '"' * len(x[0]), found[0] if found else "")


def _programs(command: str) -> Iterator[tuple[int, bool]]:
    """Where in a command ssh is started: the end of its name, and whether as this user before these files."""
    begins, started, here, quotes, assigned = True, False, True, "", -1
    for found in _WORD.finditer(command):
        word, name = found[0], os.path.basename(found[0])
        if word in ("'", '"'):
            quotes = quotes[:-1] if quotes.endswith(word) else quotes + word
            begins = quotes.endswith(word) or started
        elif name == "ssh" and (begins or started) and _NO_PORT.match(command, found.end()):
            yield found.end(), here
            begins = started = False
        elif word.lower() in ("proxycommand", "proxycommand="):
            begins = True
        elif word.endswith("="):
            assigned = found.end()
        elif begins and name in _HERE | _ELSEWHERE:
            started, here = name != "exec", here and name in _HERE
        elif found.start() != assigned and word != "\\":
            begins = False


def _proxies(path: str, unshared: Callable[[str], str], depth: int) -> str:
    """What a file of ssh says of the way to its hosts, each ssh in there sharing nothing: for these hosts alone."""
    made, says = [], False
    for line in ssh_files.text_of(Path(path)).splitlines():
        said = _SAID.match(line)
        word = said[1].lower() if said else ""
        if word in _MATCHED_BY:
            made.append(line)
        elif said and word in ("proxycommand", "proxyjump"):
            made.append(f"ProxyCommand {unshared(said[2])}" if word == "proxycommand" else line)
            says = True
        elif word == "include" and depth:
            inner = [_proxies(name, unshared, depth - 1) for name in ssh_files.included(path, line)]
            made += [f'Include "{file}"' for text in inner if text and (file := connections.written(text))]
            says = says or any(inner)
    return "\n".join([*made, "Match all\n"]) if says else ""
