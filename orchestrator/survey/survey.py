"""Lists what is on a host, on one line of JSON. It runs there, by whatever Python 3 there is, and changes nothing.

The one rule it keeps: twice on a quiet host gives the same. What comes and goes by itself, or belongs to a login (its
own above all), is left out, and each line says what a thing is and never which number it has today.

    left out                                       because
    ---------------------------------------------  -------------------------------------------------------------------
    what runs below a login, or below who asks     it ends with it; what outlives a login is not below it any more
    kernel threads; workers of a server            they are the kernel's; they are their parent's, which is listed
    a process that is younger than four seconds    unless it, or one like it, is there at each of four looks
    UDP ports of the range for clients             each question has another
    counters, life times, mounts of a login        they run; they end with it
    values that are named like secrets             what is listed is kept on record

Of what would be too long a sum is kept, so that a difference still shows.
"""

from __future__ import annotations

import base64
import glob
import grp
import hashlib
import json
import os
import pwd
import re
import signal
import socket
import stat
import struct
import subprocess
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # a target's Python may be an old one
    from collections.abc import Iterable, Iterator

LINE = 240  # characters
YOUNG_S = 4.0
LOOKS = 4
HASHED_MAX = 1 << 29  # bytes of files that are read; of those beyond, size and time count
FILES_MAX = 20000
COMMAND_S = 120
SERVERS = ("sshd", "sshd-session", "sshd-auth", "dropbear")
CRON = ("/etc/crontab", "/etc/cron.d/*", "/etc/cron.*ly/*", "/var/spool/cron/*", "/var/spool/cron/*/*")
# Sessions by their titles, connections that ssh keeps open or leads on, and what runs of bascule itself.
_LOGIN = re.compile(r"sshd(-session|-auth)?: (?!.*\[listener\])|ssh: .*\[mux\]|ssh\0(.*\0)?-W\0|\S*\(?mitogen:")
_OURS = re.compile(r"\0-m\0orchestrator\.(runner|syntax|probes)\b|^([^\0]*python[^\0]*\0(-\w+\0)*)?([^\0]*/)?bascule\0")
_SECRET = re.compile(
    r"(?i)(((?<=\0)-)?[\w.-]*(?:passw(?:or)?d|passphrase|secret|token|credential|api[_-]?key)[\w.-]*[=:\0 ]+)"
    r"(?(2)[^\0]+|(?:(?<=\0)[^\0]+|[^\0\s]+))"  # of an option, the whole word
)
_ADDRESS = re.compile(r"(\w+://[^\s/:@\0]*):[^\s/@\0]+@")
_RUNS = re.compile(r"\s*(?:expires|valid_lft|preferred_lft|age|users|used) \d+\w*")


# ---- processes


class Process:
    """One process, as far as it is told from others. Raises OSError, ValueError or IndexError where it has ended."""

    def __init__(self, pid: int) -> None:
        with open(f"/proc/{pid}/stat") as file:
            after = file.read().rpartition(")")[2].split()
        self.pid = pid
        self.parent = int(after[1])
        self.started_s = int(after[19]) / os.sysconf("SC_CLK_TCK")
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            self.words = file.read(65536).rstrip(b"\0 ").decode("utf-8", "replace")
        self.uid = os.stat(f"/proc/{pid}").st_uid
        try:
            self.program = os.readlink(f"/proc/{pid}/exe")
        except OSError:
            self.program = ""

    @property
    def titled(self) -> bool:
        """Whether it has written its own title."""
        return "\0" not in self.words and " " in self.words

    @property
    def takes_logins(self) -> bool:
        """Whether it is a server to which one logs in, or one of its sessions."""
        return os.path.basename(self.program.replace(" (deleted)", "")) in SERVERS

    def line(self) -> str:
        """What it is."""
        words = re.sub(r" \d+ of \d+-\d+ startups", "", self.words) if self.titled else self.words
        return _user(self.uid) + " " + _harmless(words).replace("\0", " ")


def processes() -> dict[int, Process]:
    """All that there are, by their numbers."""
    found = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            found[int(name)] = Process(int(name))
        except (OSError, ValueError, IndexError):
            continue  # it has just ended
    return found


def passing(known: dict[int, Process]) -> set[int]:
    """set[int] of those that belong to a login, or to whoever asks."""
    roots = set()
    here = os.getpid()
    while here in known and here != 1:
        roots.add(here)
        here = known[here].parent
    for one in known.values():
        above = known.get(one.parent)
        if one.takes_logins and (above is None or not above.takes_logins):
            roots.discard(one.pid)  # the server itself stays
        elif one.takes_logins or _LOGIN.match(one.words) or _OURS.search(one.words):
            roots.add(one.pid)
    found: set[int] = set()
    children: dict[int, list[int]] = {}
    for one in known.values():
        children.setdefault(one.parent, []).append(one.pid)
    wanted = list(roots)
    while wanted:
        pid = wanted.pop()
        if pid not in found:
            found.add(pid)
            wanted += children.get(pid, [])
    return found


def is_worker(one: Process, known: dict[int, Process]) -> bool:
    """Whether it is a part of its parent: the same program, that says the same, or its own title."""
    above = known.get(one.parent)
    same = above is not None and one.program and one.program == above.program
    return bool(same and above is not None and (one.titled or one.words == above.words))


def look() -> tuple[Counter[str], Counter[str], bool]:
    """What runs and what listens now, and whether anything of it is so young that it may be passing."""
    known = processes()
    left_out = passing(known)
    with open("/proc/uptime") as file:
        now_s = float(file.read().split()[0])
    shown = [x for x in known.values() if x.words and x.pid not in left_out and not is_worker(x, known)]
    young = any(now_s - one.started_s < YOUNG_S for one in shown)
    return Counter(one.line() for one in shown), Counter(ports(left_out)), young


def running_and_listening() -> tuple[list[str], list[str]]:
    """What is there at each look, as often as always."""
    running, listening, young = look()
    for _ in range(LOOKS - 1 if young else 1):
        time.sleep(YOUNG_S / (LOOKS - 1) if young else 0.3)
        again, ports_again, _young = look()
        running, listening = running & again, listening & ports_again
    return sorted(running.elements()), sorted(listening.elements())


# ---- ports


def ports(left_out: set[int]) -> Iterator[str]:
    """What listens, but for what belongs to a login alone."""
    owners = _owners()
    with open("/proc/sys/net/ipv4/ip_local_port_range") as file:
        low, high = map(int, file.read().split())
    for kind in ("tcp", "tcp6", "udp", "udp6"):
        listening = "0A" if kind.startswith("tcp") else "07"
        for words in _table("/proc/net/" + kind):
            address, _, port = words[1].rpartition(":")
            number = int(port, 16)
            if words[3] != listening or (listening == "07" and low <= number <= high):
                continue
            having = owners.get(words[9], set())
            if not having or having - left_out:
                yield f"{kind[:3]} {_address(address)} port {number}"


def _table(path: str) -> Iterator[list[str]]:
    try:
        with open(path) as file:
            lines = file.read().splitlines()[1:]
    except OSError:
        return
    yield from (words for words in (line.split() for line in lines) if len(words) > 9)


def _address(words: str) -> str:
    packed = b"".join(struct.pack("=I", int(words[n : n + 8], 16)) for n in range(0, len(words), 8))
    return socket.inet_ntop(socket.AF_INET if len(packed) == 4 else socket.AF_INET6, packed)


def _owners() -> dict[str, set[int]]:
    """Number of a socket to the processes that have it, as far as they may be looked into."""
    found: dict[str, set[int]] = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            for number in os.listdir(f"/proc/{name}/fd"):
                target = os.readlink(f"/proc/{name}/fd/{number}")
                if target.startswith("socket:["):
                    found.setdefault(target[8:-1], set()).add(int(name))
        except OSError:
            continue
    return found


# ---- network


def network() -> dict[str, list[str]]:
    """Addresses, routes and rules."""
    rules = [*_said("ip", "-4", "rule", "show"), *_said("ip", "-6", "rule", "show")]
    rules += ["nftables: " + line for line in _said("nft", "-s", "list", "ruleset")]
    for name, program in (("ip_tables_names", "iptables-save"), ("ip6_tables_names", "ip6tables-save")):
        try:
            with open("/proc/net/" + name) as file:
                used = bool(file.read().strip())
        except OSError:
            used = False  # to ask would load it
        lines = _said(program) if used else []
        rules += ["{}: {}".format(program, re.sub(r"\[\d+:\d+\]", "", x)) for x in lines if not x.startswith("#")]
    routes = [*_said("ip", "-4", "route", "show", "table", "all"), *_said("ip", "-6", "route", "show", "table", "all")]
    addresses = [re.sub(r"^\d+: ", "", line) for line in _said("ip", "-o", "addr", "show")]
    return {"addresses": addresses, "routes": routes, "rules": rules}


def _said(*words: str) -> list[str]:
    """The lines of a program's answer, without what runs in them; that it is not there is an answer too."""
    given = {"PATH": os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"]), "LC_ALL": "C"}
    pipe, null = subprocess.PIPE, subprocess.DEVNULL
    try:
        done = subprocess.run(words, stdout=pipe, stderr=null, env=given, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return [f"not listed: {words[0]}: {type(error).__name__}"]
    if done.returncode:
        return [f"not listed: {' '.join(words)}: it ended with {done.returncode}"]
    lines = done.stdout.decode("utf-8", "replace").splitlines()
    return [_RUNS.sub("", line.replace("\\", " ")).rstrip() for line in lines if line.strip()]


# ---- mounts, files, cron


def mounts() -> list[str]:
    """What is mounted, but for a login's own."""
    with open("/proc/self/mounts", errors="replace") as file:
        found = [" ".join(line.split()[:4]) for line in file]
    return [line for line in found if not re.match(r"\S+ /run/user/", line)]


def files(tops: Iterable[str]) -> list[str]:
    """Every file at or below these paths: mode, owner, size, and a sum of what is in it."""
    found: list[str] = []
    left = [HASHED_MAX]
    for path in _below(tops):
        if len(found) >= FILES_MAX:
            found.append(f"more than {FILES_MAX} files: those beyond are not listed")
            break
        found.append(_file(path, left))
    return found


def _below(tops: Iterable[str]) -> Iterator[str]:
    for top in tops:
        for path in sorted(glob.glob(top)) if glob.has_magic(top) else [top]:
            yield path
            for folder, folders, names in os.walk(path):
                folders.sort()
                yield from (os.path.join(folder, name) for name in sorted([*folders, *names]))


def _file(path: str, left: list[int]) -> str:
    try:
        is_ = os.lstat(path)
        told = f"{path} {stat.S_IMODE(is_.st_mode):04o} {_user(is_.st_uid)}:{_group(is_.st_gid)}"
        if stat.S_ISDIR(is_.st_mode):
            return told + " directory"
        if stat.S_ISLNK(is_.st_mode):
            return told + " -> " + os.readlink(path)
        if not stat.S_ISREG(is_.st_mode):
            return told + " " + stat.filemode(is_.st_mode)[0]
        if is_.st_size > left[0]:
            return f"{told} {is_.st_size} bytes, of {is_.st_mtime_ns}"
        left[0] -= is_.st_size
        return f"{told} {is_.st_size} bytes sha256 {_sum_of(path)}"
    except OSError as error:
        return f"{path}: {error.strerror or type(error).__name__}"


def _sum_of(path: str) -> str:
    made = hashlib.sha256()
    with open(path, "rb") as file:
        for piece in iter(lambda: file.read(1 << 20), b""):
            made.update(piece)
    return made.hexdigest()


def cron() -> list[str]:
    """What is to be started when: each line that is no remark."""
    found: list[str] = []
    for path in sorted({path for pattern in CRON for path in glob.glob(pattern) if os.path.isfile(path)}):
        if ".d/" not in path and "ly/" in path:
            found.append(f"{path}: sha256 {_sum_of(path)}")
            continue
        with open(path, errors="replace") as file:
            lines = [_harmless(line.strip()) for line in file]
        found += [f"{path}: {line}" for line in lines if line and not line.startswith("#")]
    return found


# ---- together


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def _group(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)


def _harmless(words: str) -> str:
    """Without the values of what is named like a secret."""
    return _ADDRESS.sub(r"\1:***@", _SECRET.sub(r"\1***", words))


def _short(line: str) -> str:
    if len(line) <= LINE:
        return line
    return line[: LINE - 24] + "... sha256 " + hashlib.sha256(line.encode("utf-8", "replace")).hexdigest()[:12]


def bounded(listed: dict[str, list[str]], size: int) -> dict[str, list[str]]:
    """The same in about so many bytes: of a long list the first lines, and a sum of all the others."""
    whole = {what: sorted(_short(line) for line in lines) for what, lines in listed.items()}
    left, found = size, {}
    by_size = sorted(whole, key=lambda what: sum(len(json.dumps(x)) + 2 for x in whole[what]))
    for number, what in enumerate(by_size):
        share = left // (len(by_size) - number)  # those that need less leave the rest to those that need more
        kept: list[str] = []
        used = 0
        for line in whole[what]:
            used += len(json.dumps(line)) + 2
            if used > share - 120:
                break
            kept.append(line)
        over = whole[what][len(kept) :]
        if over:
            made = hashlib.sha256("\n".join(over).encode("utf-8", "replace")).hexdigest()
            kept.append(f"{len(over)} more, sha256 {made}")
        left -= sum(len(json.dumps(x)) + 2 for x in kept)
        found[what] = kept
    return {what: found[what] for what in listed}


def own(command: str) -> list[str]:
    """What the author's command says. Raises RuntimeError where it fails, or says nothing in time."""
    words, null, pipe = ["/bin/sh", "-c", command], subprocess.DEVNULL, subprocess.PIPE  # the author's, for a shell
    with subprocess.Popen(words, stdin=null, stdout=pipe, stderr=pipe, start_new_session=True) as asked:
        try:
            told, why = asked.communicate(timeout=COMMAND_S)
        except subprocess.TimeoutExpired as late:
            os.killpg(asked.pid, signal.SIGKILL)  # with all that it began
            raise RuntimeError(f"the command of the survey gave no answer in {COMMAND_S} s") from late
    if asked.returncode:
        said = " ".join(why.decode("utf-8", "replace").split())[-300:]
        raise RuntimeError(f"the command of the survey ended with {asked.returncode}: {_harmless(said)}")
    return [line.rstrip() for line in told.decode("utf-8", "replace").splitlines() if line.strip()]


def survey(wanted: dict[str, Any]) -> dict[str, list[str]]:
    """Everything, by what it is."""
    running, listening = running_and_listening()
    listed = {"processes": running, "listening ports": listening, **network(), "mounts": mounts(), "cron": cron()}
    if wanted.get("paths"):
        listed["files"] = files(wanted["paths"])
    if wanted.get("command"):
        listed["own"] = own(wanted["command"])
    return bounded(listed, int(wanted.get("bytes", 100000)))


def main() -> None:
    """What is wanted comes as JSON in base64, so that no shell reads it."""
    wanted = json.loads(base64.b64decode(sys.argv[1])) if len(sys.argv) > 1 else {}
    try:
        sys.stdout.write(json.dumps(survey(wanted)) + "\n")
    except RuntimeError as why:
        sys.exit(str(why))


if __name__ == "__main__":
    main()
