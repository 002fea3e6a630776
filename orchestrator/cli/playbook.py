"""`bascule playbook run FILE`: any playbook, with ansible-playbook's own options, each task timed.

The one rule it keeps: it is `ansible-playbook` with a stopwatch. Options, questions, output and exit code are those of
ansible-playbook. Inventory, configuration and vault are found as Ansible finds them, and no workspace is needed.

The times are printed at the end, on standard error. A call leaves a program behind that has Ansible loaded
(`runner/warm/alone.py`). The next calls from the same place are served by it, with the same outcome.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, NamedTuple

from cyclopts import App, Parameter

app = App(name="playbook", help="Playbooks: run one and time its tasks.")

# They print and end, or do not play: there is nothing to time.
_AS_IT_IS = {"--version", "-h", "--help", "--list-hosts", "--list-tasks", "--list-tags", "--syntax-check"}
_CHOICES = {"--executor": ("executor", ("fast", "warm", "cold")), "--exit-codes": ("codes", ("ansible", "bascule"))}
_INTERRUPTED = {99, 130, 143}


@app.command
def run(*arguments: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)]) -> int:
    """Run a playbook: `bascule playbook run FILE [-i …] [-e …] [-l …] [--check] [--diff] [-t …] [-v]`.

    Every option is ansible-playbook's own, except `--json` (times and outcome as one JSON object on standard output,
    Ansible's own output on standard error), `--no-times`, `--executor fast|warm|cold` (with Mitogen, without, or by a
    new ansible-playbook in any case) and `--exit-codes bascule` (0 done, 1 it failed, 2 the call or the playbook is
    wrong). Without the latter the exit codes are ansible-playbook's own: 0 done, 2 a task failed, 4 a host was
    unreachable or the playbook is wrong, 5 an option is wrong, 99 interrupted, 1 and 250 any other error.
    """
    own, options = split(arguments)
    if own.fault or not options:
        print(own.fault or "name a playbook file, as in: bascule playbook run site.yml -i hosts.yml", file=sys.stderr)
        return 2
    program = shutil.which("ansible-playbook", path=_path())
    if program is None:
        print("ansible-playbook is not there: pip install ansible-core, beside bascule", file=sys.stderr)
        return 2
    if _AS_IT_IS.intersection(options):
        os.execve(program, [program, *options], {**os.environ, "PATH": _path()})  # noqa: S606
    return Call(program, options, own).run()


@dataclass
class Own:
    """What was said to us, not to ansible-playbook."""

    json: bool = False
    times: bool = True
    executor: str = "fast"
    codes: str = "ansible"
    fault: str = ""


def split(arguments: Sequence[str]) -> tuple[Own, list[str]]:
    """Our own options, and what is ansible-playbook's; after `--` all is."""
    own, rest, left = Own(), [], list(arguments)
    while left:
        word = left.pop(0)
        if word == "--":
            rest += [word, *left]
            break
        if word == "--json":
            own.json = True
        elif word == "--no-times":
            own.times = False
        elif (name := word.partition("=")[0]) in _CHOICES:
            said = word.partition("=")[2] if "=" in word else (left.pop(0) if left else "nothing")
            attribute, choices = _CHOICES[name]
            setattr(own, attribute, said)
            if said not in choices:
                own.fault = f"{name} {said}: expected {' or '.join(choices)}"
        else:
            rest.append(word)
    return own, rest


def _path() -> str:
    return os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])


class Timed(NamedTuple):
    """One task on one host, as the stopwatch saw it; times in seconds, from the playbook's start."""

    name: str
    host: str
    status: str
    started_s: float
    took_s: float


@dataclass
class _Times:
    """What the stopwatch wrote down."""

    began: bool = False
    tasks: list[Timed] = field(default_factory=list)
    running: dict[tuple[str, str], None] = field(default_factory=dict)
    why: str = ""  # of the failure that was seen last

    @classmethod
    def read(cls, path: Path) -> _Times:
        """What there is; a line that is not whole is left out."""
        found = cls()
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return found
        for line in text.splitlines():
            try:
                said = json.loads(line)
            except ValueError:
                continue
            if "began" in said:
                found.began = True
            elif "running" in said:
                found.running[said["running"], said["task"]] = None
            else:
                task = Timed(said["name"], said["host"], said["status"], said["started_s"], said["took_s"])
                found.tasks.append(task)
                found.running.pop((task.host, task.name), None)
                if "why" in said:
                    found.why = f"{task.host}: {task.name}: {said['why']}" + _at(said.get("where", ""))
        return found


def _at(where: str) -> str:
    path, _, line = where.rpartition(":")
    return f" ({os.path.relpath(path)}:{line})" if path else ""


class Call:
    """One call, from its options to its exit code."""

    def __init__(self, program: str, options: Sequence[str], own: Own) -> None:
        self.argv = [program, *options]
        self.own = own
        self.mark = secrets.token_hex(12)
        self.mitogen = own.executor == "fast"
        self.why_cold = "--executor cold" if own.executor == "cold" else "nothing warm stands here yet"

    def run(self) -> int:
        """Run it to its end."""
        started = time.monotonic()
        with self.environment() as environment:
            code = self._play(environment)
            took_s = time.monotonic() - started
            found = _Times.read(Path(environment["BASCULE_TIMES"]))
            left = self._end_what_is_left(environment, found) if code in _INTERRUPTED else ""
        return self._tell(code, found, took_s, left)

    @contextmanager
    def environment(self) -> Iterator[Mapping[str, str]]:
        """The environment of ansible-playbook; a temporary private directory is all that there is meanwhile."""
        from orchestrator.runner.warm import directories

        with directories.of_a_call() as private:
            yield self._environment(private, private / "times")

    def _environment(self, private: Path, times: Path) -> Mapping[str, str]:
        """As worker and zygote have it, with the author's colours, and the stopwatch among the callbacks."""
        from orchestrator.runner import connections, settings
        from orchestrator.runner.environment import with_stopwatch

        temporary = private / "tmp"
        temporary.mkdir()
        directory = os.getcwd()
        found = settings.Settings.find(Path(directory), os.environ, directory)
        whom = connections.kept_for_call(self.argv[1:], directory, os.environ, found.inventory())
        given = found.environment(os.environ, mark=self.mark, temporary=temporary, kept_for=whom)
        for name in ("ANSIBLE_NOCOLOR", "ANSIBLE_FORCE_COLOR"):
            given.pop(name, None)
            if name in os.environ:
                given[name] = os.environ[name]
        return with_stopwatch(given, found.configuration, times)

    def _play(self, environment: Mapping[str, str]) -> int:
        from orchestrator.runner import attached
        from orchestrator.runner.warm import alone

        with _output_aside(self.own.json):
            place = alone.find(environment, self.mitogen) if self.own.executor != "cold" else None
            stream = place.call() if place is not None else None
            if stream is not None:
                try:
                    code = attached.play_warm(stream, self.argv, environment)
                    self.why_cold = ""
                    return code
                except attached.Cold as why:  # nothing has happened yet
                    self.why_cold = str(why)
            if place is not None:
                place.start(environment)
            return attached.play_cold(self.argv, environment)

    def _end_what_is_left(self, environment: Mapping[str, str], found: _Times) -> str:
        """After an interruption: here and on the targets."""
        from orchestrator.runner import leftovers, sweep

        leftovers.end_all(roots=[], mark=self.mark)
        hosts = sorted({host for host, _ in found.running} - {"localhost"})
        return sweep.sweep(
            hosts, mark=self.mark, inventories=_inventories(self.argv), directory=os.getcwd(), environment=environment
        )

    def _tell(self, code: int, found: _Times, took_s: float, left: str) -> int:
        ours = 0 if code == 0 else 1 if found.began else 2
        shown = ours if self.own.codes == "bascule" else code
        if left:
            print(left, file=sys.stderr)
        if self.own.json:
            outcome = "ok" if code == 0 else "could not start" if not found.began else "failed"
            outcome = "cancelled" if code in _INTERRUPTED else outcome
            whole = {"outcome": outcome, "detail": found.why if code else "", "took_s": round(took_s, 3)}
            executor = {"executor": "cold" if self.why_cold else "warm", "because": self.why_cold}
            print(
                json.dumps(
                    {**whole, **executor, "exit_code": shown, "tasks": [task._asdict() for task in found.tasks]},
                    indent=2,
                )
            )
        elif self.own.times and found.tasks:
            _table(found.tasks, took_s)
        return shown


@contextmanager
def _output_aside(wanted: bool) -> Iterator[None]:
    """Meanwhile what is written to standard output goes to standard error, where that is wanted."""
    sys.stdout.flush()
    kept = os.dup(1) if wanted else -1
    if wanted:
        os.dup2(2, 1)
    try:
        yield
    finally:
        if wanted:
            os.dup2(kept, 1)
            os.close(kept)


def _inventories(argv: Sequence[str]) -> tuple[str, ...]:
    """What `-i` named."""
    found = []
    for word, following in zip(argv, [*argv[1:], ""], strict=True):
        if word in ("-i", "--inventory", "--inventory-file"):
            found.append(following)
        elif word.startswith("--inventory="):
            found.append(word.partition("=")[2])
        elif word.startswith("-i") and len(word) > 2:
            found.append(word[2:])
    return tuple(found)


def _table(tasks: Sequence[Timed], took_s: float) -> None:
    """Each task once, in order, with its slowest host; what is left over is Ansible's own time."""
    from rich.console import Console
    from rich.table import Table

    from orchestrator.core.durations import counted

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name, justify in (
        ("task", "left"),
        ("hosts", "right"),
        ("result", "left"),
        ("took", "right"),
        ("share", "right"),
    ):
        table.add_column(name, justify="right" if justify == "right" else "left")
    by_name: dict[str, list[Timed]] = {}
    for task in tasks:
        by_name.setdefault(task.name, []).append(task)
    total_s = 0.0
    for name, group in by_name.items():
        took = max(task.took_s for task in group)
        total_s += took
        status = max((task.status for task in group), key=_ORDER.index)
        slowest = max(group, key=lambda task: task.took_s)
        hosts = slowest.host if len(group) == 1 else str(len(group))
        table.add_row(name, hosts, status, f"{took:.2f}s", f"{took / took_s:.0%}" if took_s else "")
    rest = max(0.0, took_s - total_s)
    table.add_row("(Ansible itself)", "", "", f"{rest:.2f}s", f"{rest / took_s:.0%}" if took_s else "")
    console = Console(highlight=False, stderr=True)
    console.print()
    console.print(table)
    console.print(f"{counted(len(tasks), 'result')} in {took_s:.2f}s")


_ORDER = ("skipped", "ok", "changed", "ignored", "failed", "unreachable")
