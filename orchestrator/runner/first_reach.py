"""The epoch guard of a host that did not answer at the beginning: asked when the playbook first reaches it.

The one rule it keeps: the author's playbook meets such a host as it would without us. The author decides whether it
answers by then, how long that may take and as whom to log in. The guard goes before the first command, over the same
connection. A host that refuses ends the call.

A small program replaces ssh on such a host (`ansible_ssh_executable`). The first time it asks the guard:

    the host                          what the stand-in does
    -----------------------------    ------------------------------------------------------------------
    does not answer                  255, as ssh: unreachable now, asked anew when it is tried again
    keeps the epoch                  the command, and from then on ssh alone
    cannot keep it (no shell)        the same; recorded as not guarded
    refuses                          255, and the worker ends the call

    <directory>/
        command, epoch               the guard's command, and its number
        ssh                          the stand-in
        enter                        prints the stand-in's name for one host
        refused                      the answer that ends the call
        host.*/host, real, since     its name in the inventory, its ssh, when the guard had asked it in vain
        host.*/ssh, answer           link to the stand-in; what it answered
"""

from __future__ import annotations

import json
import os
import re
import select
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import IO

from orchestrator.runner.guard_answers import Answer, Verdict, answer_of

EARLY_S = 3  # how long the guard waits for a connection at the beginning; whoever is slower is asked when it is met
JUST_NOW_S = 2.0  # so soon after the guard, what it has waited counts
UNREACHABLE = 255
PRINTED_MAX = 65536  # bytes of a host's answer, which is in its first lines
LOOK_S = 0.05

_STAND_IN = """#!/bin/sh
here=${0%/*}
[ -e "$here/answer" ] && exec "$(cat "$here/real")" "$@"
exec PYTHON -P -m orchestrator.runner.first_reach "$here" "$@"
"""
_ENTER = """#!/bin/sh
d=$(mktemp -d "${0%/*}/host.XXXXXXXX") && printf %s "$1" >"$d/host" && printf %s "${2:-ssh}" >"$d/real" &&
  date +%s >"$d/since" && ln -s ../ssh "$d/ssh" && printf '%s\\n' "$d/ssh"
"""


def prepare(directory: Path, command: str, epoch: int) -> str:
    """Write what stands in for ssh; returns the command that prints its name for one host (its name, its own ssh)."""
    directory.mkdir(mode=0o700)
    (directory / "command").write_text(command)
    (directory / "epoch").write_text(str(epoch))
    for name, text in (("ssh", _STAND_IN.replace("PYTHON", shlex.quote(sys.executable))), ("enter", _ENTER)):
        path = directory / name
        path.write_text(text)
        path.chmod(0o700)
    return shlex.quote(str(directory / "enter"))


def stands_for(program: str) -> str:
    """The host's own ssh, where this is the stand-in; else the program itself."""
    here = Path(program).parent
    try:
        return (here / "real").read_text() if here.name.startswith("host.") and (here / "host").exists() else program
    except OSError:
        return program


def refused(directory: Path) -> tuple[str, Answer] | None:
    """The host that refused when it was reached, and what it answered."""
    return _read(directory / "refused")


def answers(directory: Path) -> Iterator[tuple[str, Answer]]:
    """What hosts answered when they were reached."""
    for path in directory.glob("host.*/answer"):
        if (found := _read(path)) is not None:
            yield found


def main(arguments: list[str]) -> None:
    """Stand in for ssh: directory of the host, then what ssh is to have. Does not return."""
    here, options, command = Path(arguments[0]), arguments[1:-1], arguments[-1]
    real = (here / "real").read_text()
    if len(options) < 1 or "-O" in options:  # it speaks to a connection, or asks for ssh's version
        _go_on(real, arguments[1:])
    answer = _ask(here, real, options)
    if answer is None:
        raise SystemExit(UNREACHABLE)
    host = (here / "host").read_text()
    if answer.stops:
        _write(here.parent / "refused", host, answer)
        print(f"refused by the epoch guard: {answer.text}", file=sys.stderr)
        raise SystemExit(UNREACHABLE)
    _write(here / "answer", host, answer)
    _go_on(real, [*options, command])


def _ask(here: Path, real: str, options: list[str]) -> Answer | None:
    """What the host answers; None if it does not, which is said as ssh says it."""
    words = [option for option in options if option not in ("-t", "-tt")]
    patience = _patience_s(here, options)
    first = ["-o", f"ConnectTimeout={patience}"] if patience else []
    guard = (here.parent / "command").read_text()
    with tempfile.TemporaryFile() as said:  # no pipe: a connection that persists would hold it open
        asked = [real, "-n", "-o", "LogLevel=VERBOSE", *first, *words, guard]
        code, printed = _bounded(asked, said)
        said.seek(0)
        lines = said.read(PRINTED_MAX).decode(errors="replace").splitlines()
    heard = [line for line in lines if not line.startswith(("Authenticated to ", "Transferred: ", "Bytes per "))]
    if code == UNREACHABLE:
        # A device that gives no status, or closes the connection, at a command that it does not know was logged in to.
        logged_in = len(heard) < len(lines) or _of_connection(real, "check", words)
        _of_connection(real, "stop", words)  # what is left of that connection must not take the author's command
        if not logged_in:
            print("\n".join(heard), file=sys.stderr)
            return None
    epoch = int((here.parent / "epoch").read_text())
    answer = answer_of(code, printed, "\n".join(heard), epoch=epoch)
    return None if answer.verdict is Verdict.SILENT else answer


def _bounded(asked: list[str], said: IO[bytes]) -> tuple[int | str, str]:
    """Exit code, and the beginning of what is printed. Whoever prints more than that, on either way, is ended."""
    printed, more = b"", True
    with subprocess.Popen(asked, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said) as program:
        if program.stdout is None:
            raise ValueError("its output is no pipe")
        while more or program.poll() is None:
            if max(len(printed), os.fstat(said.fileno()).st_size) > PRINTED_MAX:
                program.kill()
                return "none: it printed too much", printed.decode(errors="replace")
            if not more:
                time.sleep(LOOK_S)
            elif select.select([program.stdout], [], [], LOOK_S)[0]:
                printed += (got := os.read(program.stdout.fileno(), PRINTED_MAX))
                more = bool(got)
    return program.returncode, printed.decode(errors="replace")


def _of_connection(real: str, what: str, words: list[str]) -> bool:
    """Whether a connection that persists says yes to this (`ssh -O`)."""
    asked = [real, "-O", what, *words]
    nothing = subprocess.DEVNULL
    try:
        done = subprocess.run(asked, stdin=nothing, stdout=nothing, stderr=nothing, check=False, timeout=EARLY_S)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def _patience_s(here: Path, options: list[str]) -> int:
    """What is left of the author's time-out, if the guard has only just waited for this host; else 0: all of it."""
    try:
        since = float((here / "since").read_text())
        (here / "since").unlink()  # only the first time
    except (OSError, ValueError):
        return 0
    found = re.search(r"ConnectTimeout=(\d+)", " ".join(options))
    if found is None or time.time() - since > JUST_NOW_S:
        return 0
    return max(EARLY_S, int(found[1]) - EARLY_S)


def _go_on(real: str, options: list[str]) -> None:
    os.execvp(real, [real, *options])  # noqa: S606  (it is what Ansible would have started)


def _write(path: Path, host: str, answer: Answer) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(json.dumps({"host": host, **asdict(answer)}))
    temporary.rename(path)


def _read(path: Path) -> tuple[str, Answer] | None:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return found["host"], Answer(Verdict(found["verdict"]), found["text"])


if __name__ == "__main__":
    main(sys.argv[1:])
