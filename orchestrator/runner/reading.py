"""Reads ansible-runner's events: task times as they happen, and at the end what ended the playbook, in one line.

The one rule it keeps: it tells what ended the playbook. A failure that a rescue handled, or that the author ignored,
did not; Ansible's own counts by host show which failures those are. A result speaks for the host from which Ansible has
it, whatever stands in it. The values of extra variables that are named like secrets are removed, and credentials that
show by their form.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.core.events import AttemptEnd, TaskTime
from orchestrator.core.outside import evidence
from orchestrator.runner import guard
from orchestrator.runner.guard_answers import Answer, Verdict, answer_in
from orchestrator.runner.hidden import without_credentials
from orchestrator.runner.sentences import delegates_of, message_of, one_line

DETAIL_LIMIT = 600
UNGUARDED_MAX = 20  # hosts that are named as not guarded; the rest is counted
NAME_LIMIT = 200
OTHER_WAY = "it is not reached by ssh, and the guard asks by ssh alone"
MESSAGE_LIMIT = 500
_SECRET_NAME = re.compile(r"pass|secret|token|credential|private|(^|_)key", re.IGNORECASE)
_CONTROL = re.compile(r"\x1b\[[0-9;]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")
_ORIGIN = re.compile(r"\s*Origin: (\S+)(?: .*|$)")


@dataclass(frozen=True, slots=True)
class Started:
    """A task began on a host."""

    name: str
    host: str
    local: bool


@dataclass(frozen=True, slots=True)
class Bad:
    """A result that failed, or of a host that was not reached. `counted`: Ansible has not ignored it."""

    host: str
    unreachable: bool
    counted: bool
    sentence: str


@dataclass
class Reading:
    """What has been read of one attempt. `base` shortens file names; `secrets` are struck out."""

    base: Path
    secrets: tuple[str, ...] = ()
    guard_path: str = ""
    tasks: list[TaskTime] = field(default_factory=list)
    running: dict[tuple[str, str], float] = field(default_factory=dict)  # (task uuid, host) to its start
    running_names: dict[tuple[str, str], str] = field(default_factory=dict)
    bad: list[Bad] = field(default_factory=list)
    guard_epoch: int | None = None
    answers: dict[str, Answer] = field(default_factory=dict)  # to the epoch guard, by host
    silent: dict[str, str] = field(default_factory=dict)  # hosts that did not answer it, and how
    elsewhere: dict[str, str] = field(default_factory=dict)  # where tasks went in a host's name, and the guard did not
    acted_on: dict[str, None] = field(default_factory=dict)  # hosts that a task of the author's ran on, in order
    hosts_at: dict[str, set[str]] = field(default_factory=dict)  # by address
    guard_failed: list[str] = field(default_factory=list)
    begun: bool = False  # ansible-playbook got as far as the author's first play
    asked: str = ""  # the variable that vars_prompt asks for
    empty_plays: int = 0
    stats: dict[str, Any] | None = None
    refused: str = ""  # what ansible-playbook says of its command line
    says: list[str] = field(default_factory=list)  # last lines printed outside of any task

    def read(self, event: Mapping[str, Any], now_s: float) -> TaskTime | Started | None:
        """Take in one event; `now_s` is seconds since the start of the attempt."""
        kind = str(event.get("event", ""))
        data = event.get("event_data") or {}
        guarding = self._is_guard(data)
        if kind == "playbook_on_start":
            self.begun = not guarding
        elif kind == "playbook_on_no_hosts_matched" and not guarding:
            self.empty_plays += 1
        elif kind == "playbook_on_vars_prompt":
            self.asked = str(data.get("varname", "?"))
        elif kind == "playbook_on_stats":
            self.stats = dict(data)
        elif kind == "runner_on_start":
            return self._start(data, now_s)
        elif kind in ("runner_on_ok", "runner_on_failed", "runner_on_unreachable", "runner_on_skipped"):
            return self._end(kind.removeprefix("runner_on_"), data, now_s, guarding)
        elif kind in ("verbose", "error", "system_warning", "warning") and not data.get("task_uuid"):
            self._hear(str(event.get("stdout", "")))
        return None

    def _start(self, data: Mapping[str, Any], now_s: float) -> Started:
        key = (str(data.get("task_uuid")), str(data.get("host")))
        self.running[key] = now_s
        name = self._name(data)
        self.running_names[key] = name
        return Started(name, key[1], False)

    def _end(self, how: str, data: Mapping[str, Any], now_s: float, guarding: bool) -> TaskTime | None:
        host = str(data.get("host"))
        key = (str(data.get("task_uuid")), host)
        started_s = self.running.pop(key, None)
        self.running_names.pop(key, None)
        took = data.get("duration")
        took_s = max(0.0, float(took)) if isinstance(took, int | float) else now_s - (started_s or now_s)
        result = data.get("res") or {}
        self.hosts_at.setdefault(str(data.get("remote_addr")), set()).add(host)
        status = how
        if how == "ok" and result.get("changed"):
            status = "changed"
        elif how == "failed" and data.get("ignore_errors"):
            status = "ignored"
        if guarding:
            self._read_guard(how, host, result, data)
            if how == "skipped" or str(data.get("task_action", "")).endswith("set_fact"):
                return None
        else:
            if how in ("ok", "failed"):
                self.acted_on.update(dict.fromkeys([self._named(other) for other in delegates_of(result)] or [host]))
            if how in ("failed", "unreachable"):
                sentence = self._sentence(host, data, result)
                self.bad.append(Bad(host, how == "unreachable", status != "ignored", sentence))
        started_s = max(0.0, now_s - took_s) if started_s is None else started_s
        task = TaskTime(self._name(data), host, status, round(started_s, 3), round(took_s, 3))
        self.tasks.append(task)
        return task

    def _named(self, address: str) -> str:
        """The one host of this address, if there is one; else the address."""
        hosts = self.hosts_at.get(address, set())
        return next(iter(hosts)) if len(hosts) == 1 else address

    def _is_guard(self, data: Mapping[str, Any]) -> bool:
        return bool(self.guard_path) and str(data.get("playbook", "")) == self.guard_path

    def _read_guard(self, how: str, host: str, result: Mapping[str, Any], data: Mapping[str, Any]) -> None:
        if str(data.get("task_action", "")).rpartition(".")[2] != "raw":
            if how == "failed":
                self.guard_failed.append(self._sentence(host, data, result))
        elif how == "unreachable":
            self.silent[host] = message_of(result, self._strike)
        elif how == "skipped":
            if host not in self.silent:  # it was asked in the same way before, and has not answered
                self.answers.setdefault(host, Answer(Verdict.NOT_KEPT, OTHER_WAY))
        elif "rc" in result:
            self._take(host, answer_in(result, epoch=self.guard_epoch))
        elif how == "failed":
            self.guard_failed.append(self._sentence(host, data, result))

    def _take(self, host: str, answer: Answer) -> None:
        if answer.verdict is Verdict.SILENT:
            self.silent[host] = answer.text
            return
        before = self.answers.get(host)
        if before is None or answer.stops or before.verdict is Verdict.NOT_KEPT:
            self.answers[host] = Answer(answer.verdict, self._strike(answer.text))

    def heard_later(self, host: str, answer: Answer) -> None:
        """Take in what a host answered to the guard when the playbook reached it."""
        self.silent.pop(host, None)
        self._take(host, answer)

    def unguarded(self) -> tuple[str, ...]:
        """The hosts that were acted upon without the epoch being kept there, and why not; bounded."""
        found = []
        for host in self.acted_on:
            answer = self.answers.get(host)
            if host in self.elsewhere:
                where = evidence(self._strike(self.elsewhere[host]), NAME_LIMIT)
                found.append(f"{host}: a task went to {where} in its name, where the epoch was not asked")
                continue
            if answer is not None and answer.verdict is Verdict.KEPT and not answer.text:
                continue
            if answer is not None:
                why = answer.text
            elif host in self.silent:
                why = "it did not answer"
            else:
                why = "it is named only in the course of the playbook"
            found.append(f"{host}: {why}")
        more = len(found) - UNGUARDED_MAX
        return (*found[:UNGUARDED_MAX], *([f"{more} more hosts"] if more > 0 else []))

    def _hear(self, text: str) -> None:
        lines = [line.rstrip() for line in _CONTROL.sub("", text).splitlines() if line.strip()]
        self.refused = next((line for line in lines if line.startswith("ansible-playbook: error: ")), self.refused)
        self.says = (self.says + lines)[-60:]

    def _name(self, data: Mapping[str, Any]) -> str:
        name = str(data.get("task") or data.get("name") or "?")
        role = data.get("role")
        if self._is_guard(data):
            return f"{guard.PLAY}: {name}"
        return evidence(self._strike(f"{role} : {name}" if role else name), NAME_LIMIT)

    def _sentence(self, host: str, data: Mapping[str, Any], result: Mapping[str, Any]) -> str:
        where = self._shorten(str(data.get("task_path") or ""))
        elsewhere = [other for other in map(self._named, delegates_of(result)) if other != host]
        on = f"{host} (on {', '.join(elsewhere[:3])})" if elsewhere else host
        message = evidence(message_of(result, self._strike), MESSAGE_LIMIT)
        return f"{on}: {self._name(data)}: {message}" + (f" ({where})" if where else "")

    def _strike(self, text: str) -> str:
        for secret in self.secrets:
            text = text.replace(secret, "***")
        return without_credentials(text)

    def outcome(self, return_code: int | None) -> tuple[AttemptEnd, str]:
        """How the playbook ended by itself, and its own error."""
        if (refused := self.refused_by_guard()) is not None:
            return refused
        if self.asked:
            why = f"the playbook asks for {self.asked!r} (vars_prompt): give it as an extra variable"
            return AttemptEnd.FAILED if self.acted_on else AttemptEnd.COULD_NOT_START, why
        if return_code == 0:
            worked = any(not task.name.startswith(guard.PLAY) for task in self.tasks)
            if self.empty_plays and not worked:
                return AttemptEnd.COULD_NOT_START, f"no host matched, so nothing was done. {self._said()}".rstrip()
            return AttemptEnd.OK, ""
        failed, dark = self._what_ended_it()
        if not self.begun and not self.guard_failed and not self.bad:
            return (
                AttemptEnd.COULD_NOT_START,
                self._said() or f"ansible-playbook ended with {return_code} before any task",
            )
        if failed or self.guard_failed:
            return AttemptEnd.FAILED, self._join([*self.guard_failed, *failed, *dark])
        if dark:
            return AttemptEnd.UNREACHABLE, self._join(dark)
        return AttemptEnd.FAILED, self._said() or f"ansible-playbook ended with {return_code} and named no task"

    def refused_by_guard(self) -> tuple[AttemptEnd, str] | None:
        """What a host said that refuses this action, if one does."""
        for verdict, outcome in ((Verdict.STALE, AttemptEnd.STALE_EPOCH), (Verdict.REFUSED, AttemptEnd.FAILED)):
            said = [(host, answer.text) for host, answer in self.answers.items() if answer.verdict is verdict]
            if verdict is Verdict.STALE and said:
                return outcome, self._join(f"{host} {text.removeprefix('it ')}" for host, text in said)
            if said:
                done = "" if self.begun else "nothing was done: "
                return outcome, done + self._join(f"{host} refuses the action: {text}" for host, text in said)
        return None

    def _what_ended_it(self) -> tuple[list[str], list[str]]:
        """Failures and hosts not reached, without those that Ansible does not count against the playbook.

        Of a host's failures those that were rescued came first: Ansible counts both, but does not mark them.
        """
        counts = self.stats if self.stats is not None else {}
        ended: tuple[list[str], list[str]] = ([], [])
        for unreachable, name in ((False, "failures"), (True, "dark")):
            mine = [bad for bad in self.bad if bad.unreachable is unreachable and bad.counted]
            left = Counter(bad.host for bad in mine)
            given = counts.get(name)
            of_host = given if isinstance(given, Mapping) else {}
            for bad in mine:
                counted = left[bad.host] if self.stats is None else int(of_host.get(bad.host, 0))
                if left[bad.host] <= counted:
                    ended[unreachable].append(bad.sentence)
                left[bad.host] -= 1
        return ended

    def interrupted(self) -> str:
        """What was being done when it was stopped."""
        return self._join(f"{key[1]}: {self.running_names[key]}" for key in self.running)

    def _said(self) -> str:
        if self.refused:
            return self._strike(self.refused)
        start = next((n for n, line in enumerate(self.says) if "ERROR" in line), None)
        if start is None:
            wanted = [line for line in self.says if "WARNING" in line or line.strip()][-3:]
        else:
            wanted = [line for line in self.says[start:] if not line.startswith("[WARNING]")][:6]
        text = " ".join(line.strip() for line in wanted).replace("[ERROR]: ", "").replace("ERROR! ", "")
        text = _ORIGIN.sub(lambda found: f" ({self._shorten(found.group(1))})", one_line(text))
        return evidence(self._strike(text), DETAIL_LIMIT)

    def _shorten(self, path: str) -> str:
        return path.removeprefix(f"{self.base}/")

    @staticmethod
    def _join(sentences: Iterable[str]) -> str:
        unique = list(dict.fromkeys(sentences))
        more = f" (and {len(unique) - 3} more)" if len(unique) > 3 else ""
        return evidence("; ".join(unique[:3]) + more, DETAIL_LIMIT)


def is_secrets(name: str) -> bool:
    """Whether a variable of this name holds one."""
    return _SECRET_NAME.search(name) is not None


def secrets_in(variables: Mapping[str, Any]) -> tuple[str, ...]:
    """The values, however deep, of variables whose names sound secret; longest first."""
    found: set[str] = set()

    def walk(name: str, value: Any) -> None:
        if isinstance(value, Mapping):
            for key, inner in value.items():
                walk(f"{name}.{key}", inner)
        elif isinstance(value, list | tuple):
            for inner in value:
                walk(name, inner)
        elif isinstance(value, str) and len(value) >= 4 and is_secrets(name):
            found.add(value)

    walk("", dict(variables))
    return tuple(sorted(found, key=len, reverse=True))
