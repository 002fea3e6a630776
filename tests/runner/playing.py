"""Plays a playbook cold, warm, or warm with Mitogen, and keeps what can be compared of it."""

from __future__ import annotations

import asyncio
import json
import os
import re
import secrets
import shlex
import shutil
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_runner import runner as ansible_runner_runner

from orchestrator.runner import environment, settings
from orchestrator.runner.warm import calling
from orchestrator.runner.warm.owner import ZygoteOwner
from tests.runner.target import Target

CORPUS = Path(__file__).parent / "corpus"
WAYS = ("cold", "warm", "fast")
READY_S = 120.0
IDLE_S = 120  # a playbook that says nothing for so long waits for an answer that nobody gives

# What differs from run to run, whatever plays them.
_OF_THE_MOMENT = {
    "_original_basename",
    "_ansible_tmpdir", "ansible_job_id", "atime", "counter", "created", "ctime", "delta", "duration", "elapsed", "end",
    "end_line", "finished", "inode", "jid", "mtime", "parent_uuid", "pid", "play_uuid", "playbook_uuid",
    "results_file", "runner_ident", "start", "start_line", "started", "task_uuid", "uuid", "version",
}  # fmt: skip
_VARYING = (
    (re.compile(r"/[\w./-]*ansible[-_](tmp|local|mitogen)[\w.@-]*(/[\w.-]+)*"), "TEMPORARY"),
    (re.compile(r"\bansible-tmp-[\d.-]+"), "TEMPORARY"),
    (re.compile(r"j\d+\.\d+|\b[0-9a-f]{8}-[0-9a-f-]{27}\b"), "ID"),
    (re.compile(r"/[\w/.-]*/ansible\.[\w]+\w*\.corpus"), "TEMPORARY"),
    (re.compile(r"Data could not be sent to remote host.*", re.DOTALL), "NO CONNECTION"),  # ssh's words, or the pipe's
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?"), "DATE"),
    (re.compile(r"\d+\.\d+ ?s(econds)?\b|\d:\d\d:\d\d\.\d+"), "TIME"),
    (re.compile(r"\"elapsed\": \d+|ETag: \w+|port \d+"), "NUMBER"),
    (re.compile(r"(\.\d+)?\.\d{4}-\d\d-\d\d@[\d:]+~"), ".TIME~"),
)


@dataclass
class Account:
    """What one run came to."""

    code: int
    events: dict[str, list[tuple[str, Any]]] = field(default_factory=dict)  # by host; "" is the playbook's own
    printed: list[str] = field(default_factory=list)  # lines; which host's is first is chance
    told: list[str] = field(default_factory=list)  # by the author's callback


class House:
    """A workspace with the corpus, a target, and a zygote of each kind. `close` ends everything."""

    def __init__(self, workspace: Path, target: Target) -> None:
        self.workspace = workspace
        self.target = target
        self.played = 0
        shutil.copytree(CORPUS, workspace / "playbooks")
        (workspace / "ansible.cfg").write_text("[defaults]\ntimeout = 5\nhost_key_checking = False\n")
        here = {"ansible_connection": "local"}
        hosts = {
            "edge": target.variables,
            "other": target.variables,
            "here": here,
            "dark": {"ansible_host": "127.0.0.1", "ansible_port": 1},
        }
        variables = {"ansible_python_interpreter": target.variables["ansible_python_interpreter"]}
        (workspace / "group_vars").mkdir()
        (workspace / "group_vars" / "all.yml").write_text("of_the_inventory: beside the inventory\n")
        (workspace / "hosts.yml").write_text(json.dumps({"all": {"hosts": hosts, "vars": variables}}))
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.zygotes: dict[str, ZygoteOwner] = {}

    def zygote(self, way: str) -> ZygoteOwner:
        """The one that plays this way; started when it is first wanted."""
        if way not in self.zygotes:
            self.zygotes[way] = ZygoteOwner(self.workspace, mitogen=way == "fast")
            self._in_loop(self._start(self.zygotes[way]))
        found = self.zygotes[way]
        assert self._in_loop(found.until_ready(READY_S)), found.why_not
        return found

    @staticmethod
    async def _start(zygote: ZygoteOwner) -> None:
        zygote.start()

    def _in_loop(self, work: Any) -> Any:
        waiting: Future[Any] = asyncio.run_coroutine_threadsafe(work, self.loop)
        return waiting.result(READY_S)

    def close(self) -> None:
        """End the zygotes."""
        for zygote in self.zygotes.values():
            self._in_loop(zygote.close())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()

    def play(self, name: str, way: str) -> Account:
        """Play one of the corpus. Raises AssertionError where it was not played this way."""
        path = self.workspace / "playbooks" / name
        options = _head(path)
        self.target.run("rm -rf /run/corpus*")
        self.played += 1
        work = self.workspace / f"work-{self.played}"
        for part in ("env", "tmp", "scratch"):
            (work / part).mkdir(parents=True)
        told = work / "told"
        found = settings.Settings.find(self.workspace, os.environ)
        base = {**os.environ, "TOLD": str(told)}
        given = found.environment(base, mark=secrets.token_hex(12), temporary=work / "tmp")
        with _environ(given):
            config = environment.prepared(work, found.directory, given)
            config.idle_timeout = IDLE_S
            extra = json.dumps({"remote": "/run/corpus", "scratch": str(work / "scratch")})
            config.command[1:] = ["-i", str(self.workspace / "hosts.yml"), "-e", extra, *options, str(path)]
            events: list[dict[str, Any]] = []
            served: list[str] = []
            stream = self.zygote(way).call() if way != "cold" else None
            ansible_runner_runner.pexpect = calling.Pexpect(
                calling.spawner(stream, lambda pid: served.append("warm"), lambda why: served.append(f"cold {why}"))
            )
            runner = ansible_runner_runner.Runner(config, event_handler=lambda event: bool(events.append(event)))
            runner.run()
        assert served == ["cold " if way == "cold" else "warm"]
        account = Account(runner.rc, told=told.read_text().splitlines() if told.exists() else [])
        for event in events:
            data = event.get("event_data") or {}
            host = str(data.get("host", ""))
            account.events.setdefault(host, []).append((event["event"], self._plain(data, work)))
            account.printed.extend(self._plain(event.get("stdout", ""), work).splitlines())
        shutil.rmtree(work)
        return account

    def _plain(self, value: Any, work: Path) -> Any:
        if isinstance(value, Mapping):
            kept = {key: inner for key, inner in value.items() if key not in _OF_THE_MOMENT}
            return {key: self._plain(inner, work) for key, inner in sorted(kept.items())}
        if isinstance(value, list | tuple):
            return [self._plain(inner, work) for inner in value]
        if isinstance(value, str):
            value = value.replace(str(work), "WORK")
            for pattern, name in _VARYING:
                value = pattern.sub(name, value)
        return value


def differences(ours: Account, theirs: Account) -> list[str]:
    """What a reader of the two would see."""
    found: list[str] = []
    if ours.code != theirs.code:
        found.append(f"exit code {ours.code}, not {theirs.code}")
    if sorted(ours.told) != sorted(theirs.told):
        found.append(f"the callback was told {ours.told}, not {theirs.told}")
    for host in sorted({*ours.events, *theirs.events}):
        mine, other = ours.events.get(host, []), theirs.events.get(host, [])
        kinds, other_kinds = [event[0] for event in mine], [event[0] for event in other]
        if kinds != other_kinds:
            found.append(f"{host}: events {kinds}, not {other_kinds}")
            continue
        for (kind, data), (_, other_data) in zip(mine, other, strict=True):
            where = f"{host}: {kind} {data.get('task', '')}"
            found.extend(f"{where}: {line}" for line in _differ(data, other_data))
    mine_only, theirs_only = Counter(ours.printed), Counter(theirs.printed)
    found.extend(f"printed {line!r}" for line in (mine_only - theirs_only).elements())
    found.extend(f"did not print {line!r}" for line in (theirs_only - mine_only).elements())
    return found


def _differ(mine: Any, other: Any, path: str = "") -> Iterator[str]:
    if isinstance(mine, dict) and isinstance(other, dict):
        for key in sorted({*mine, *other}):
            yield from _differ(mine.get(key, "(absent)"), other.get(key, "(absent)"), f"{path}.{key}")
    elif isinstance(mine, list) and isinstance(other, list) and len(mine) == len(other):
        for number, (one, two) in enumerate(zip(mine, other, strict=True)):
            yield from _differ(one, two, f"{path}[{number}]")
    elif mine != other:
        yield f"{path} is {mine!r:.300}, not {other!r:.300}"


def _head(path: Path) -> list[str]:
    """Options from a playbook's first comments."""
    options: list[str] = []
    for line in path.read_text().splitlines():
        if line.startswith("# options: "):
            options = shlex.split(line.removeprefix("# options: "))
    words = {"files/": f"{path.parent}/files/", "@files/": f"@{path.parent}/files/"}
    for start, instead in words.items():
        options = [instead + o.removeprefix(start) if o.startswith(start) else o for o in options]
    return options


@contextmanager
def _environ(given: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(given)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
