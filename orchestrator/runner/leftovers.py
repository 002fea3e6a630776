"""Finds and ends what an attempt left running: here by /proc, on targets by one short look through Ansible.

The one rule it keeps: only processes of the attempt are ended, and only those that still depend on it. Every process of
an attempt carries its mark in the environment. A service that the playbook started carries it too. So on a target only
those count whose standard files are pipes, sockets or terminals: a service has let go of them. Shared ssh masters are
left alone.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import signal
import time
from collections.abc import Iterable
from pathlib import Path

from orchestrator.runner.settings import MARK

NONCE = "BASCULE_SWEEP"

# Arguments: mark, seconds to wait before anything is ended, the word that only this host knows. Prints how many there
# were, how many remain, and whether the mark's variable reaches this host at all (then it has a value in this shell
# too).
SWEEP = r"""
m=$1 patience=$2 word=$3 arrived=${4:-${MARK:+yes}}
[ "$(id -u)" = 0 ] || { [ -z "$5" ] && command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null &&
  exec sudo -n sh -c "$0" "$0" "$m" "$patience" "$word" "${arrived:-no}" s; }
look() {
  found=
  for e in $(grep -l "MARK=$m" /proc/[0-9]*/environ 2>/dev/null); do
    p=${e#/proc/}; p=${p%/environ}
    for n in 0 1 2; do
      case "$(readlink "/proc/$p/fd/$n" 2>/dev/null)" in pipe:*|socket:*|/dev/pts/*) found="$found $p"; break;; esac
    done
  done
}
look; first=$found; i=0
while [ -n "$found" ] && [ $i -lt $((patience * 5)) ]; do sleep 0.2; i=$((i + 1)); look; done
for s in TERM KILL; do
  [ -n "$found" ] || break
  kill -s $s $found 2>/dev/null; i=0
  while [ -n "$found" ] && [ $i -lt 10 ]; do sleep 0.1; i=$((i + 1)); look; done
done
set -- $first; there=$#; set -- $found; echo "bascule-swept $word $there $# ${arrived:-no}"
""".replace("MARK", MARK)


def sweep_command(mark: str, patience_s: int) -> str:
    """The shell command that looks for an attempt's processes on a target and ends them.

    Each host is given a word of its own (`word_of`), made of a secret in the environment of Ansible.
    """
    script = shlex.quote(SWEEP)
    word = f"{{{{ (lookup('ansible.builtin.env', '{NONCE}') ~ inventory_hostname) | hash('sha256') }}}}"
    return f"sh -c {script} {script} {shlex.quote(mark)} {patience_s} {word}"


def word_of(secret: str, host: str) -> str:
    """The word by which this host's answer is known: no other host can have it."""
    return hashlib.sha256(f"{secret}{host}".encode()).hexdigest()


def marked(mark: str) -> list[int]:
    """Processes on this machine that carry the mark, shared ssh masters left out."""
    wanted = f"{MARK}={mark}".encode()
    return [pid for pid in _pids() if wanted in _read(pid, "environ").split(b"\0") and not _is_master(pid)]


def children(pid: int) -> list[int]:
    """The processes that `pid` has started and that are still there."""
    return _children().get(pid, [])


def _children() -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for pid in _pids():
        fields = _read(pid, "stat").rpartition(b")")[2].split()
        if len(fields) > 1 and fields[0] not in (b"Z", b"X"):
            found.setdefault(int(fields[1]), []).append(pid)
    return found


def descendants(root: int) -> list[int]:
    """Every process below `root`, shared ssh masters left out."""
    below = _children()
    found: list[int] = []
    todo = [root]
    while todo:
        for child in below.get(todo.pop(), []):
            if child not in found:
                found.append(child)
                todo.append(child)
    return [pid for pid in found if not _is_master(pid)]


def saying(words: str, roots: Iterable[int]) -> list[int]:
    """Processes below `roots` that have these words on their command line."""
    below = [pid for root in roots for pid in descendants(root)]
    return [pid for pid in below if words.encode() in _read(pid, "cmdline")]


def end_all(
    find: Iterable[int] | None = None, *, roots: Iterable[int] = (), mark: str = "", grace_s: float = 0.5
) -> int:
    """End the processes below `roots` and those that carry `mark`, asking first; returns how many remain."""
    seen: dict[int, int] = {}  # pid to start time: a root that has ended does not show what was below it any more

    def look() -> set[int]:
        found = {pid for pid, started in seen.items() if started_at(pid) == started}
        found |= set(find or ())
        for root in roots:
            found |= set(descendants(root))
        if mark:
            found |= set(marked(mark))
        there = {pid for pid in found if pid != os.getpid() and alive(pid)}
        seen.update((pid, started_at(pid)) for pid in there)
        return there

    for number, patience_s in ((signal.SIGTERM, grace_s), (signal.SIGKILL, 3.0)):
        until = time.monotonic() + patience_s
        told: set[int] = set()
        while there := look():
            for pid in there - told if number is signal.SIGTERM else there:
                tell(pid, number)
            told |= there
            if time.monotonic() > until:
                break
            time.sleep(0.02)
        else:
            return 0
    return len(look())


def alive(pid: int) -> bool:
    """Whether the process exists and is not a zombie."""
    state = _read(pid, "stat").rpartition(b")")[2].split()
    return bool(state) and state[0] not in (b"Z", b"X")


def started_at(pid: int) -> int:
    """The start time of a process in clock ticks since boot (0: there is none); with the id, it names a process."""
    fields = _read(pid, "stat").rpartition(b")")[2].split()
    return int(fields[19]) - _shift_ticks() if len(fields) > 19 else 0


def _shift_ticks() -> int:
    """By how much /proc shows start times later than the machine has them: see time_namespaces(7).

    So a process is known again from another time namespace, as long as both are shifted by whole ticks.
    """
    for line in _read_text("/proc/self/timens_offsets").splitlines():
        clock, _, rest = line.partition(" ")
        if clock == "boottime":
            seconds, nanoseconds = rest.split()
            return (int(seconds) * 1_000_000_000 + int(nanoseconds)) // (1_000_000_000 // os.sysconf("SC_CLK_TCK"))
    return 0


def _read_text(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def boot_id() -> str:
    """Names this boot of the machine."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def tell(pid: int, number: signal.Signals) -> None:
    """Send it a signal, if it is still there and ours."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass  # ended meanwhile
    except PermissionError:
        pass  # a local `become`: its sudo passes the signal on; what remains is counted


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _is_master(pid: int) -> bool:
    return re.match(rb"ssh: .*\[mux\]", _read(pid, "cmdline")) is not None


def _read(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""
