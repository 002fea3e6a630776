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
_OUTCOME = re.compile(r"^(ok|changed|skipping|fatal|failed|included|unreachable|ASYNC \w+|\.\.\.ignoring)[^=>{]*")
_COUNT = re.compile(r"^(\S+)\s+: (ok=.*?)\s*$")
_MOMENT = re.compile(r"0x[0-9a-f]+|/[\w./-]*(tmp|TMP)[\w./-]*|\d{4,}|\d+\.\d+|j\d+\.\d+")


@dataclass
class Play:
    """One way's play of a target."""

    code: int
    calls: list[dict[str, object]] = field(default_factory=list)

    @classmethod
    def read(cls, code: int, kept: Path) -> Play:
        """What the shim kept."""
        return cls(code, [json.loads(path.read_text()) for path in sorted(kept.glob("call-*.json"))])

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
        for position, (left, right) in enumerate(zip([*one, ""], [*two, ""], strict=False)):
            if left != right:
                before = next((line for line in reversed(two[:position]) if line.startswith(("TASK", "RUNN"))), "")
                found.append(f"call {number}: {before}: {left or 'the end'}, not {right or 'the end'}")
                break
    return found


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
            below.append(_MOMENT.sub("…", outcome.group().strip()))
    return [*lines, *sorted(below)]
