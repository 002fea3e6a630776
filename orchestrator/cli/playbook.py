"""`bascule playbook run FILE`: any playbook, with ansible-playbook's own options, each task timed as it happens.

The one rule it keeps: it is `ansible-playbook` with a stopwatch. What it does not know it hands on; inventory,
configuration and vault are found as Ansible finds them, and no workspace is needed.
"""

from __future__ import annotations

import getpass
import json
import os
import re
import secrets
import select
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

from cyclopts import App, Parameter

from orchestrator.core.durations import show_duration
from orchestrator.core.events import Outcome, StepKey, TaskTime
from orchestrator.core.outside import visible
from orchestrator.runner.attempts import Attempt, Result, forget, task_of
from orchestrator.runner.workers import Job, Waiting, start_worker

app = App(name="playbook", help="Playbooks: run one and time its tasks.")

# These only print, or need the terminal for themselves: ansible-playbook does it best.
_AS_IT_IS = {"--version", "-h", "--help", "--list-hosts", "--list-tasks", "--list-tags", "--syntax-check", "--step"}
# Asked here, then typed for ansible-playbook when it asks: option, our question, its prompt.
_PASSWORDS = (
    (("-k", "--ask-pass"), "SSH password: ", r"^SSH password:\s*$"),
    (("-K", "--ask-become-pass"), "BECOME password: ", r"^BECOME password.*:\s*$"),
    (("-J", "--ask-vault-pass", "--ask-vault-password"), "Vault password: ", r"^Vault password.*:\s*$"),
)
_SIGNS = {"ok": "ok", "changed": "changed", "failed": "FAILED", "unreachable": "UNREACHABLE", "ignored": "ignored"}
_WORTH_READING = ("runner_on_failed", "runner_on_unreachable", "error", "warning")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_EXIT = {Outcome.OK: 0, Outcome.COULD_NOT_START: 2}


@app.command
def run(*arguments: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)]) -> int:
    """Run a playbook: `bascule playbook run FILE [-i …] [-e …] [-l …] [--check] [--diff] [-t …] [-v] [--json]`.

    Every option is ansible-playbook's own, except `--json`: the times and the outcome as one JSON object.
    Exit codes: 0 done, 1 it failed, 2 the call or the playbook is wrong.
    """
    options = [argument for argument in arguments if argument != "--json"]
    as_json = len(options) != len(arguments)
    if not options:
        print("bascule playbook run: name a playbook file, as in: bascule playbook run site.yml -i hosts.yml")
        return 2
    if _AS_IT_IS.intersection(options):
        program = shutil.which("ansible-playbook", path=_path()) or "ansible-playbook"
        os.execve(program, [program, *options], {**os.environ, "PATH": _path()})  # noqa: S606
    return _Call(options, as_json).run()


def _path() -> str:
    return os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])


class _Call:
    """One call, from its options to its exit code."""

    def __init__(self, options: Sequence[str], as_json: bool) -> None:
        self.options = options
        self.as_json = as_json
        self.chatty = any(option == "--diff" or option == "-D" or _is_verbose(option) for option in options)
        self.interrupts = 0
        self.running: dict[tuple[str, str], float] = {}
        self.live = sys.stdout.isatty() and not as_json

    def run(self) -> int:
        """Run it to its end; a temporary private directory is all it leaves meanwhile."""
        private = Path(tempfile.mkdtemp(prefix="bascule-playbook-"))
        try:
            passwords = dict(self._ask())
            attempt = Attempt(private, StepKey("playbook", "run", 1))
            attempt.create()
            job = Job(
                private=str(private),
                key=("playbook", "run", 1),
                mark=secrets.token_hex(12),
                workspace=os.getcwd(),
                playbook="",
                options=tuple(self.options),
                passwords=passwords,
                attached=True,
                directory=os.getcwd(),
            )
            started = time.monotonic()
            result = self._follow(attempt, job)
            return self._tell(result, time.monotonic() - started)
        finally:
            forget(private, "playbook")
            shutil.rmtree(private, ignore_errors=True)

    def _ask(self) -> Iterator[tuple[str, str]]:
        for names, question, prompt in _PASSWORDS:
            if any(option in names for option in self.options):
                yield prompt, getpass.getpass(question)
        for name in _vault_prompts(self.options):
            yield rf"^Vault password \({re.escape(name)}\):\s*$", getpass.getpass(f"Vault password ({name}): ")

    def _follow(self, attempt: Attempt, job: Job) -> Result:
        lock = attempt.take_lock()
        if lock is None:
            raise RuntimeError(f"{attempt.lock} is held, although its directory was made a moment ago")
        worker = start_worker()
        worker.hand_over(job, lock)
        os.close(lock)

        def interrupt(number: int, frame: FrameType | None) -> None:
            self.interrupts += 1
            if self.interrupts == 1:
                self._line("cancelling …")
            worker.process.send_signal(signal.SIGTERM)

        before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
        try:
            self._watch(attempt, worker)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        return attempt.read_result() or Result(Outcome.LOST, "its worker was killed", ())

    def _watch(self, attempt: Attempt, worker: Waiting) -> None:
        descriptor = os.pidfd_open(worker.process.pid)
        position = 0
        try:
            ended = False
            while not ended:
                ended = bool(select.select([descriptor], [], [], 0.1)[0])
                position = self._show_new(attempt, position)
                self._show_running()
        finally:
            os.close(descriptor)
            worker.process.wait()

    def _show_new(self, attempt: Attempt, position: int) -> int:
        with attempt.events.open("rb") if attempt.events.exists() else open(os.devnull, "rb") as file:
            file.seek(position)
            data = file.read()
        whole = data.rfind(b"\n") + 1
        for line in data[:whole].splitlines():
            self._show(json.loads(line))
        return position + whole

    def _show(self, event: dict[str, Any]) -> None:
        if (task := task_of(event)) is not None:
            self.running.pop((task.host, task.name), None)
            if task.status != "skipped" or self.chatty:
                self._line(f"{_clock(task.started_s + task.took_s)}  {_describe(task)}")
        elif started := event.get("started"):
            self.running[(started["host"], started["name"])] = time.monotonic()
        elif self.chatty or event.get("event") in _WORTH_READING:
            self._line(str(event.get("text", "")).strip("\r\n"), sys.stderr)

    def _show_running(self) -> None:
        if not self.live or not self.running:
            return
        (host, name), since = next(iter(self.running.items()))
        more = f" (and {len(self.running) - 1} more)" if len(self.running) > 1 else ""
        text = visible(f"   … {show_duration(time.monotonic() - since)}  {host}: {name}{more}")
        print("\r\x1b[K" + text[: shutil.get_terminal_size().columns - 1], end="", flush=True)

    def _line(self, text: str, to: Any = None) -> None:
        if self.live:
            print("\r\x1b[K", end="")
        text = visible(_COLOUR.sub("", text), "\n\t")  # a playbook's output is its targets'
        print(text, file=to or (sys.stderr if self.as_json else sys.stdout), flush=True)

    def _tell(self, result: Result, took_s: float) -> int:
        code = _EXIT.get(result.outcome, 1)
        if self.live:
            print("\r\x1b[K", end="")
        if self.as_json:
            tasks = [asdict(task) for task in result.tasks]
            whole = {"outcome": result.outcome.value, "detail": result.detail, "took_s": round(took_s, 3)}
            print(json.dumps({**whole, "exit_code": code, "tasks": tasks}, indent=2))
            return code
        if result.tasks:
            _table(result.tasks, took_s)
        if result.outcome is not Outcome.OK:
            print(visible(f"{result.outcome.value}: {result.detail}"), file=sys.stderr)
        return code


def _vault_prompts(options: Sequence[str]) -> Iterator[str]:
    """The names of `--vault-id NAME@prompt`, whose passwords Ansible asks for."""
    for option, value in zip(options, [*options[1:], ""], strict=True):
        given = value if option == "--vault-id" else option.removeprefix("--vault-id=")
        name, _, source = given.rpartition("@")
        if option.startswith("--vault-id") and source == "prompt" and name:
            yield name


def _is_verbose(option: str) -> bool:
    return option == "--verbose" or (option.startswith("-v") and set(option[1:]) == {"v"})


def _clock(seconds: float) -> str:
    return f"{seconds:7.2f}s"


def _describe(task: TaskTime) -> str:
    return f"{_SIGNS.get(task.status, task.status):<11}  {task.host}: {task.name}  ({show_duration(task.took_s)})"


def _table(tasks: Sequence[TaskTime], took_s: float) -> None:
    """Each task once, in order, with its slowest host; what is left over is Ansible's own time."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name, justify in (
        ("task", "left"),
        ("hosts", "right"),
        ("result", "left"),
        ("took", "right"),
        ("share", "right"),
    ):
        table.add_column(name, justify="right" if justify == "right" else "left")
    by_name: dict[str, list[TaskTime]] = {}
    for task in tasks:
        by_name.setdefault(task.name, []).append(task)
    total_s = 0.0
    for name, group in by_name.items():
        took = max(task.took_s for task in group)
        total_s += took
        status = max((task.status for task in group), key=_ORDER.index)
        slowest = max(group, key=lambda task: task.took_s)
        hosts = slowest.host if len(group) == 1 else str(len(group))
        table.add_row(Text(visible(name)), hosts, status, f"{took:.2f}s", f"{took / took_s:.0%}" if took_s else "")
    rest = max(0.0, took_s - total_s)
    table.add_row("(Ansible itself)", "", "", f"{rest:.2f}s", f"{rest / took_s:.0%}" if took_s else "")
    console = Console(highlight=False)
    console.print()
    console.print(table)
    console.print(f"{len(tasks)} results in {took_s:.2f}s")


_ORDER = ("skipped", "ok", "changed", "ignored", "failed", "unreachable")
