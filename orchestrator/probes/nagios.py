"""nagios: any monitoring plug-in, by its protocol (exit 0 to 3, one line of text, performance data).

The one rule it keeps: a plug-in speaks about its target only by its exit code. If it is killed by time or signal, is
not there, or has any other exit code, that is our fault and no answer. (A plug-in's own time-out is its own answer.
Give the check more time than the plug-in's.)

    exit 0 OK        good
    exit 1 WARNING   good, or bad with `warning: bad`
    exit 2 CRITICAL  bad
    exit 3 UNKNOWN   none
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field

from orchestrator.core.events import Answer
from orchestrator.probes.kind import Kind, Question
from orchestrator.probes.options import Options, Text
from orchestrator.probes.results import Judged, Raw

_NUMBER = re.compile(r"(-?[0-9.,]{1,40}(?:[eE][+-]?[0-9]{1,3})?)([^;\s0-9]{0,40})(?:;|$)")
_DATA_MAX = 8192  # characters of performance data that are looked at
_UNITS = {
    "": ("", 1.0),
    "s": ("_s", 1.0),
    "ms": ("_s", 1e-3),
    "us": ("_s", 1e-6),
    "%": ("_percent", 1.0),
    "B": ("_bytes", 1.0),
    "KB": ("_bytes", 1024.0),
    "MB": ("_bytes", 1024.0**2),
    "GB": ("_bytes", 1024.0**3),
    "TB": ("_bytes", 1024.0**4),
    "c": ("_count", 1.0),
}
_ANSWERS = {0: Answer.GOOD, 2: Answer.BAD, 3: Answer.NONE}


class NagiosOptions(Options):
    """Options of `probe: nagios`."""

    command: Annotated[tuple[Text, ...], Field(min_length=1)] = Field(
        description="program and its arguments, as a list; no shell reads it"
    )
    warning: Literal["good", "bad"] = "good"
    environment: Mapping[str, str] = Field(default_factory=dict)
    environment_secrets: Mapping[str, str] = Field(
        default_factory=dict, description="variable, to the name of the secret it gets"
    )


@dataclass(frozen=True, slots=True)
class Exited:
    """A plug-in ended by itself."""

    code: int
    output: str


async def ask(question: Question[NagiosOptions]) -> Raw:
    """Run the plug-in in a process group of its own."""
    wanted = question.options.environment_secrets
    secrets = {variable: question.secret(name, None) for variable, name in wanted.items()}
    return await question.tools.forks("orchestrator.probes.nagios_run").ask(question, secrets)


def performance(output: str) -> dict[str, float]:
    """Measures of a plug-in's output: `'label'=value[unit];warn;crit;min;max` after the bars, in base units."""
    measures: dict[str, float] = {}
    lines = output.splitlines()
    data = [lines[0].partition("|")[2]] if lines else []
    _text, bar, rest = "\n".join(lines[1:]).partition("|")
    if bar:
        data.append(rest)
    for part in data:
        for label, value in _items(part[:_DATA_MAX]):
            number = _NUMBER.match(value)
            if number is None:
                continue
            suffix, factor = _UNITS.get(number[2], (f"_{number[2]}", 1.0))
            try:
                measures[label + suffix] = float(number[1].replace(",", ".")) * factor
            except ValueError:
                continue
    return measures


def _items(data: str) -> Iterator[tuple[str, str]]:
    """Each `label=value`, read once from left to right: whatever a plug-in prints, that takes no longer than it is."""
    at = 0
    while at < len(data):
        if data[at].isspace():
            at += 1
            continue
        label = ""
        if data[at] == "'":
            label, at = _quoted(data, at + 1)
        end = next((n for n in range(at, len(data)) if data[n].isspace()), len(data))
        plain, equals, value = data[at:end].partition("=")
        label, at = label + plain, end
        if equals and label:
            yield label, value


def _quoted(data: str, at: int) -> tuple[str, int]:
    """What stands between quotes from here on, a doubled one being one of its letters, and where it ends."""
    told: list[str] = []
    while at < len(data):
        if data[at] != "'":
            told.append(data[at])
        elif data[at + 1 : at + 2] == "'":
            told.append("'")
            at += 1
        else:
            return "".join(told), at + 1
        at += 1
    return "".join(told), at


def judge(options: NagiosOptions, reply: Exited) -> Judged:
    """By the exit code alone."""
    lines = reply.output.lstrip().splitlines()
    text = lines[0].partition("|")[0].strip() if lines else ""
    measures = performance(reply.output)
    program = options.command[0].rpartition("/")[2]
    if reply.code == 1:
        answer = Answer.GOOD if options.warning == "good" else Answer.BAD
    elif reply.code in _ANSWERS:
        answer = _ANSWERS[reply.code]
    else:
        return Judged(Answer.NONE, measures, f"{program} ended with {reply.code}, which means nothing: {text}")
    said = text or f"{program} said nothing"
    if reply.code == 1 and answer is Answer.GOOD:  # or a test of the shell that failed
        said += " (exit 1, a warning: good)"
    elif not text:
        said += f", exit {reply.code}"
    return Judged(answer, measures, said)


def invent(options: NagiosOptions, so: bool, measures: Mapping[str, float]) -> Exited:
    """Exit 0 or 2, and the measures as performance data, whatever they are called."""
    said = " ".join(item for name, value in measures.items() if (item := _item(name, value)))
    text = "OK" if so else "CRITICAL"
    return Exited(0 if so else 2, f"{text} - invented{' | ' + said if said else ''}")


def _item(name: str, value: float) -> str:
    """One measure as plug-ins write it; empty if they cannot."""
    if not name or not math.isfinite(value) or name.splitlines() != [name]:
        return ""
    suffixes = [(suffix, unit) for unit, (suffix, factor) in _UNITS.items() if suffix and factor == 1.0]
    label, unit = next(((name.removesuffix(s), u) for s, u in suffixes if name.endswith(s)), (name, ""))
    if not label:
        label, unit = name, ""
    quoted = label.replace("'", "''")
    return f"'{quoted}'={Decimal(repr(value)):f}{unit}"


KIND = Kind("nagios", NagiosOptions, ask, Exited, judge, invent, grace_s=60.0, forks=True)
