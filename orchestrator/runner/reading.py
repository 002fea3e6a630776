"""Reads ansible-runner's events: task times as they happen, and at the end the playbook's own error in one line.

The one rule it keeps: of a result only its message is taken, never its arguments, facts or output as a whole; what
`no_log` hides stays hidden, and the values of extra variables that are named like secrets are struck out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.core.events import Outcome, TaskTime
from orchestrator.core.outside import evidence
from orchestrator.runner import guard

DETAIL_LIMIT = 600
NAME_LIMIT = 200
_SECRET_NAME = re.compile(r"pass|secret|token|credential|private|(^|_)key", re.IGNORECASE)
_CONTROL = re.compile(r"\x1b\[[0-9;]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")
_WRAPPED = re.compile(r"^(Task failed: |Action failed: |Module failed: )+")
_ORIGIN = re.compile(r"\s*Origin: (\S+)(?: .*|$)")
_CENSORED = "its output is hidden by no_log"


@dataclass(frozen=True, slots=True)
class Started:
    """A task began on a host."""

    name: str
    host: str
    local: bool


@dataclass
class Reading:
    """What has been read of one attempt. `base` shortens file names; `secrets` are struck out."""

    base: Path
    secrets: tuple[str, ...] = ()
    guard_path: str = ""
    tasks: list[TaskTime] = field(default_factory=list)
    running: dict[tuple[str, str], float] = field(default_factory=dict)  # (task uuid, host) to its start
    running_names: dict[tuple[str, str], str] = field(default_factory=dict)
    errors: list[tuple[str, str]] = field(default_factory=list)  # (failed | unreachable, sentence)
    guard_errors: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    stale: str = ""
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
        guarding = bool(self.guard_path) and str(data.get("playbook", "")) == self.guard_path
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
        status = how
        if how == "ok" and result.get("changed"):
            status = "changed"
        elif how == "failed" and data.get("ignore_errors"):
            status = "ignored"
        if guarding:
            self._read_guard(how, host, result, data)
            if how == "skipped" or data.get("task_action", "").endswith("set_fact"):
                return None
        elif status in ("failed", "unreachable"):
            self.errors.append((status, self._sentence(host, data, result)))
        started_s = max(0.0, now_s - took_s) if started_s is None else started_s
        task = TaskTime(self._name(data), host, status, round(started_s, 3), round(took_s, 3))
        self.tasks.append(task)
        return task

    def _read_guard(self, how: str, host: str, result: Mapping[str, Any], data: Mapping[str, Any]) -> None:
        printed = str(result.get("stdout", ""))
        if guard.STALE in printed:
            ours, theirs = printed.split(guard.STALE, 1)[1].split()[:2]
            self.stale = f"{host} has accepted epoch {theirs}; this action has epoch {ours}: a later controller acts"
        elif guard.UNGUARDED in printed:
            self.notes.append(f"{host}: epoch not kept: {printed.split(guard.UNGUARDED, 1)[1].strip()}")
        elif how == "unreachable":
            self.guard_errors.append(f"{host}: {self._message(result)}")
        elif how == "failed":
            self.errors.append(("failed", self._sentence(host, data, result)))

    def _hear(self, text: str) -> None:
        lines = [line.rstrip() for line in _CONTROL.sub("", text).splitlines() if line.strip()]
        self.refused = next((line for line in lines if line.startswith("ansible-playbook: error: ")), self.refused)
        self.says = (self.says + lines)[-60:]

    def _name(self, data: Mapping[str, Any]) -> str:
        name = str(data.get("task") or data.get("name") or "?")
        role = data.get("role")
        if str(data.get("playbook", "")) == self.guard_path and self.guard_path:
            return f"{guard.PLAY}: {name}"
        return evidence(self._strike(f"{role} : {name}" if role else name), NAME_LIMIT)

    def _sentence(self, host: str, data: Mapping[str, Any], result: Mapping[str, Any]) -> str:
        where = self._shorten(str(data.get("task_path") or ""))
        return f"{host}: {self._name(data)}: {self._message(result)}" + (f" ({where})" if where else "")

    def _message(self, result: Mapping[str, Any]) -> str:
        if "censored" in result:
            return _CENSORED
        items = result.get("results")
        if isinstance(items, list):
            bad = [item for item in items if isinstance(item, dict) and (item.get("failed") or item.get("unreachable"))]
            if bad:
                return self._message(bad[0])
        message = _WRAPPED.sub("", _one_line(result.get("msg")))
        said = _last_line(result.get("stderr")) or _last_line(result.get("stdout"))
        if "rc" in result and (not message or "non-zero return code" in message or "MODULE FAILURE" in message.upper()):
            message = f"return code {result['rc']}" + (f": {said}" if said else "")
        elif printed := _last_line(result.get("module_stderr")) or _last_line(result.get("module_stdout")):
            message = f"{message}: {printed}"  # the module itself could not run
        return evidence(self._strike(message or said or "it gave no reason"), 300)

    def _strike(self, text: str) -> str:
        for secret in self.secrets:
            text = text.replace(secret, "***")
        return text

    def outcome(self, return_code: int | None) -> tuple[Outcome, str]:
        """How the playbook ended by itself, and its own error."""
        if self.stale:
            return Outcome.STALE_EPOCH, self.stale
        if self.asked:
            why = f"the playbook asks for {self.asked!r} (vars_prompt): give it as an extra variable"
            return Outcome.COULD_NOT_START, why
        if return_code == 0:
            worked = any(not task.name.startswith(guard.PLAY) for task in self.tasks)
            if self.empty_plays and not worked:
                return Outcome.COULD_NOT_START, f"no host matched, so nothing was done. {self._said()}".rstrip()
            return Outcome.OK, self._join(self.notes)
        if not self.begun and not self.errors and not self.guard_errors:
            return Outcome.COULD_NOT_START, self._said() or f"ansible-playbook ended with {return_code} before any task"
        failed = [sentence for kind, sentence in self.errors if kind == "failed"]
        if failed:
            return Outcome.FAILED, self._join(failed)
        dark = [*self.guard_errors, *(s for kind, s in self.errors if kind == "unreachable" and not self.guard_errors)]
        if dark:
            return Outcome.UNREACHABLE, self._join(dark)
        return Outcome.FAILED, self._said() or f"ansible-playbook ended with {return_code} and named no task"

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
        text = _ORIGIN.sub(lambda found: f" ({self._shorten(found.group(1))})", _one_line(text))
        return evidence(self._strike(text), DETAIL_LIMIT)

    def _shorten(self, path: str) -> str:
        return path.removeprefix(f"{self.base}/")

    @staticmethod
    def _join(sentences: Iterable[str]) -> str:
        unique = list(dict.fromkeys(sentences))
        more = f" (and {len(unique) - 3} more)" if len(unique) > 3 else ""
        return evidence("; ".join(unique[:3]) + more, DETAIL_LIMIT)


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
        elif isinstance(value, str) and len(value) >= 4 and _SECRET_NAME.search(name):
            found.add(value)

    walk("", dict(variables))
    return tuple(sorted(found, key=len, reverse=True))


def _one_line(value: Any) -> str:
    return " ".join(_CONTROL.sub("", str(value or "")).split())


def _last_line(value: Any) -> str:
    lines = [line for line in _CONTROL.sub("", str(value or "")).splitlines() if line.strip()]
    return lines[-1].strip() if lines else ""
