"""The lines of a report as they are read back: what each looks like, and in which section it stands.

It knows how a report is written, and not what it says.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

BUT = r"(?: \((not verified)?(?:, )?(?:out by now)?\))?"  # what is added to where it was led
MOVED = re.compile(rf"  from (\S+|no place) to (\S+?){BUT}")
FIGURE = re.compile(r"  (?:RTO \S+   )?RTA ((?:at most )?\S+|not known)(  met|  MISSED)?")
DATA = re.compile(r"  (?:RPO \S+   )?RPA ((?:at most )?\S+|not known)(  met|  MISSED)?")
PHASE = re.compile(r"    ([a-z ]+?)  +≤?(-?[\d:.]+s?)(?: .*)?")
INSTANT = re.compile(r"    ([a-z ]+?)  +([-+][\d:.]+)")
TIER = re.compile(r"    (\d+) (\S+) +(\S.*?)(?:  .*)?")
RUN = re.compile(r"  run (\S+)  (\S+) \(.*\)  (running|done|failed|stopped|with a person)")
STEP = re.compile(r"    (\S+) +(–|[-+][\d:.]+) +(?:–|[-+][\d:.]+) +(?:–|≤?[\d:.]+s?) .*")
LISTED = re.compile(r"(\S+)  \S+ \S+ UTC\S*  \S+ +(?:planned )?(\S.*?)  (.*)")
PLACED = re.compile(r" +\S+  placed at (\S+) \(was at (\S+|no place): by (\S+)\)")
OUT = re.compile(r" +\S+  (\S+) (cannot act any more|is stated to be unable to act) \(.*")
MAY = re.compile(r" +\S+  (\S+) may be acting \(.*")
ENGAGED = re.compile(r" +\S+  (\S+) (in effect|taken back)")
NOTE = re.compile(r" {14,}\S.*")


def parts_of(lines: list[str]) -> dict[str, list[str]]:
    """The lines of each section of a report, by its title."""
    parts: dict[str, list[str]] = {}
    title = ""
    for line in lines:
        head = re.fullmatch(r"  (phases|instants|tiers|decisions|checks|placement|words|notices)([, ].*)?", line)
        if head is not None:
            title = head.group(1)
        elif not line or re.match(r"  \S", line):
            title = title if line == "" and title else ""
        elif title:
            parts.setdefault(title, []).append(line)
        if not line:
            title = ""
    return parts


def seconds_of(text: str) -> float:
    """A shown duration in seconds."""
    value = 0.0
    for part in text.lstrip("-").removesuffix("s").split(":"):
        value = value * 60 + float(part)
    return -value if text.startswith("-") else value


def same_move(shown: tuple[str, str, bool] | None, led: tuple[str | None, str, bool] | None) -> Iterator[str]:
    """Whether the move that is shown is the one on record."""
    if shown is None and led is None:
        return
    true = None if led is None else (led[0] or (shown[0] if shown else ""), led[1], led[2])
    if shown is None or true is None or shown != true:
        yield f"shown as led {shown}, on record is {true}"
