"""What a reader of two plays of one target would see of their difference.

The one rule it keeps: compared is what each call of ansible-playbook came to: its exit code, its recap, and for each
task which host it ended on and how. Times, addresses and numbers of processes are the moment's.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

_TITLE = re.compile(r"^(PLAY|TASK|RUNNING HANDLER|PLAY RECAP|NO MORE HOSTS LEFT|HANDLER)\b.*?(?=\s*\*+$|$)")
_OUTCOME = re.compile(
    r"^(ok|changed|skipping|fatal|failed|included|unreachable|ASYNC (?!POLL)\w+|\.\.\.ignoring)[^=>{]*"
)
_COUNT = re.compile(r"^(\S+)\s+: (ok=.*?)\s*$")
_HOST = re.compile(r"\[([^\]\s]+)")
OVER = 124  # the exit code of what was not done in time
_MOMENT = re.compile(r"0x[0-9a-f]+|/[\w./-]*(tmp|TMP)[\w./-]*|\d{4,}|\d+\.\d+|j\d+\.\d+")


@dataclass
class Play:
    """One way's play of a target."""

    code: int
    calls: list[dict[str, object]] = field(default_factory=list)
    out: str = ""  # the last of what the target's own script said
    took_s: float = 0.0

    @classmethod
    def read(cls, code: int, kept: Path, took_s: float) -> Play:
        """What the shim kept."""
        calls = [json.loads(path.read_text()) for path in sorted(kept.glob("call-*.json"))]
        out = (kept / "out").read_text(errors="replace").replace("\0", "") if (kept / "out").exists() else ""
        return cls(code, calls, out[-4000:], round(took_s, 1))

    @property
    def why_not(self) -> str:
        """Why nothing can be compared with it: here the target does not pass by ansible-playbook itself."""
        if self.code == 0:
            return "" if self.calls else "it does not call ansible-playbook"
        if self.code == OVER:
            return "it takes too long"
        lines = [line.strip() for line in self.out.splitlines() if line.strip()]
        told = [line for line in lines if re.match(r"fatal:|\[?ERROR|.*(not found|No such file|No module named)", line)]
        return f"exit code {self.code} by ansible-playbook itself: {(told or lines or ['it says nothing'])[-1][:200]}"

    @property
    def not_served(self) -> list[str]:
        """Why calls were not played the way that was asked for."""
        return sorted({str(call["executor"]) for call in self.calls if str(call["executor"]).startswith("cold: ")})


def differences(ours: Play, theirs: Play) -> list[str]:
    """In words; empty where there are none."""
    found = [f"exit code {ours.code}, not {theirs.code}"] if ours.code != theirs.code else []
    if len(ours.calls) != len(theirs.calls):
        found.append(f"{len(ours.calls)} calls of ansible-playbook, not {len(theirs.calls)}")
    for number, (mine, other) in enumerate(zip(ours.calls, theirs.calls, strict=False), 1):
        if mine["code"] != other["code"]:
            found.append(f"call {number}: exit code {mine['code']}, not {other['code']}")
        one, two = outline(str(mine["stdout"])), outline(str(other["stdout"]))
        if (_without_order(one) or _without_order(two)) and host_by_host(one) == host_by_host(two):
            continue
        for position, (left, right) in enumerate(zip([*one, ""], [*two, ""], strict=False)):
            if left != right:
                before = next((line for line in reversed(two[:position]) if line.startswith(("TASK", "RUNN"))), "")
                found.append(f"call {number}: {before}: {left or 'the end'}, not {right or 'the end'}")
                break
    return found


def _without_order(lines: list[str]) -> bool:
    """Whether titles come again, as where each host goes on at its own pace (`strategy: free`): two plays of that by
    ansible-playbook itself differ in which host was first."""
    titles = [line for line in lines if line.startswith(("TASK", "RUNN", "HANDLER"))]
    return len(set(titles)) < len(titles)


def host_by_host(lines: list[str]) -> dict[str, list[str]]:
    """What each host came to, in its own order; the recap is under no host's name."""
    found: dict[str, list[str]] = {}
    title = ""
    for line in lines:
        if _TITLE.match(line):
            title = line
            continue
        what, _, hosts = line.rpartition(" for ")
        if what.startswith("included:"):
            for host in hosts.split(", "):
                found.setdefault(host, []).append(what)  # it has no title of its own: below whatever came last
            continue
        named = _HOST.search(line)
        found.setdefault(named[1] if named else "", []).append(f"{title}: {line}")
    return found


def _together(included: str) -> str:
    """Of `included: FILE for HOST, HOST` the hosts sorted: those that were done first come first."""
    what, of, hosts = included.rpartition(" for ")
    return what + of + ", ".join(sorted(hosts.split(", "))) if what.startswith("included:") else included


def outline(text: str) -> list[str]:
    """Titles, how each host fared below each, sorted, and the recap."""
    lines: list[str] = []
    below: list[str] = []
    for line in text.splitlines():
        if (title := _TITLE.match(line)) is not None:
            lines += [*sorted(below), _MOMENT.sub("…", title.group().strip())]
            below = []
        elif (count := _COUNT.match(line)) is not None:
            below.append(" ".join(count.groups()))
        elif (outcome := _OUTCOME.match(line)) is not None:
            below.append(_MOMENT.sub("…", _together(outcome.group().strip())))
    return [*lines, *sorted(below)]
