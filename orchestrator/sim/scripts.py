"""Scripts of faults that a person writes and reads: one line a fault, `at 10 s: cut off lab/isp-a for 43 s`.

The one rule it keeps: what is printed can be parsed again and is the same fault. A line that cannot be understood is an
error with file, line and the forms that would be understood. No fault is left out silently.

    # A line that begins with # is a comment.
    seed: 1                 chances (noise of durations, lost packets); 0 if not said
    length: 5 min           how long things may go wrong; if not said, a minute longer than the script is
    calm: 2 min             how long everything is given to come to rest afterwards; 20 min if not said
    workspace: lab          which of the tests' workspaces it is for; the command line plays it where it is called
    expect: not viable      a reason that must occur; may be said several times

    at 10 s: cut off lab/isp-a for 43 s

    --- what came of it ---
    Everything below is a transcript: it is kept, and not read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from orchestrator.core.durations import parse_duration
from orchestrator.core.events import OF_DRILLS, OF_RUNS, WordKind
from orchestrator.core.model import DrillKind, Json
from orchestrator.core.reasons import Reason
from orchestrator.sim.faults import Fault, FaultKind, fits
from orchestrator.sim.names import Names

CUT_HERE = "--- what came of it ---"
CALM_S = 1200.0
UNNAMED = (*OF_RUNS, *OF_DRILLS)  # words about what waits, or is under way, when they are said
LONGER_S = 60.0

# What each kind is called. {what}: the subject. {for}: "for 43 s" or "for good". {back}, {by}: durations. {share}: 30%.
# {often}: nothing, or ", 50% of the time". {stays}: nothing, or ", at full scale for 10 s".
# {moment}: before or after an entry of the journal, or a command of it.
PHRASES: dict[FaultKind, str] = {
    FaultKind.POWER: "cut the power of {what} {for}",
    FaultKind.CUT: "cut off {what} {for}",
    FaultKind.FLAP: "flap {what} every {by} {for}",
    FaultKind.LOSS: "lose {share} of all packets of {what} {for}",
    FaultKind.ONE_WAY: "lose {share} of all replies of {what} {for}",
    FaultKind.SLOW: "slow down {what} by {by} {for}",
    FaultKind.BLIND: "blind the vantage {what} {for}",
    FaultKind.REFERENCES: "cut off every reference target {for}",
    FaultKind.CRASH: "crash {what} {for}",
    FaultKind.HANG: "hang {what} {for}",
    FaultKind.PLAYBOOK_FAILS: "fail the playbooks of {what}{often} {for}",
    FaultKind.PLAYBOOK_HANGS: "hang the playbooks of {what}{often} {for}",
    FaultKind.PLAYBOOK_HALF: "fail the playbooks of {what} half way{often} {for}",
    FaultKind.PLAYBOOK_USELESS: "let the playbooks of {what} change nothing{often} {for}",
    FaultKind.PLAYBOOK_UNSEEN: "lose sight of the playbooks of {what}{often} {for}",
    FaultKind.BROKEN: "break the destination of {what} {for}",
    FaultKind.LAG: "age the data of {what} by {by} a second {for}",
    FaultKind.MUTE: "mute {what} {for}",
    FaultKind.LATE: "delay the answers of {what} by {by} {for}",
    FaultKind.DISK_SLOW: "slow down the journal's disk by {by} {for}",
    FaultKind.DISK_FULL: "fill the journal's disk {for}",
    FaultKind.KILLED: "kill the controller, back after {back}",
    FaultKind.KILLED_AT: "kill the controller {moment}, back after {back}",
    FaultKind.REBOOT: "restart the controller's machine, back after {back}",
    FaultKind.FROZEN: "freeze the controller {for}",
    FaultKind.FROZEN_AT: "freeze the controller {moment}, {for}",
    FaultKind.CLOCK: "set the wall clock {jump}",
    FaultKind.PEOPLE: "let nobody be reached {for}",
    FaultKind.WORD: "say {word}",
    FaultKind.RELOAD: "reload a changed configuration",
    FaultKind.EVERYTHING: "cut off everything at once {for}",
    FaultKind.DRILLS: "schedule drills of {what} by {move} every {by}, within {within}{stays}, {for}",
    FaultKind.WORK: "announce work on {what} every {by}, {lasts} each, {for}",
}

# Which names a kind's subject is one of.
SUBJECTS: dict[FaultKind, Callable[[Names], Iterable[str]]] = {
    FaultKind.POWER: lambda n: n.places,
    FaultKind.CUT: lambda n: (*n.domains, *n.hosts),
    FaultKind.FLAP: lambda n: (*n.domains, *n.hosts),
    FaultKind.LOSS: lambda n: (*n.domains, *n.hosts),
    FaultKind.ONE_WAY: lambda n: (*n.domains, *n.hosts),
    FaultKind.SLOW: lambda n: (*n.domains, *n.hosts),
    FaultKind.BLIND: lambda n: n.vantages,
    FaultKind.CRASH: lambda n: n.services,
    FaultKind.HANG: lambda n: n.services,
    FaultKind.PLAYBOOK_FAILS: lambda n: n.moves,
    FaultKind.PLAYBOOK_HANGS: lambda n: n.moves,
    FaultKind.PLAYBOOK_HALF: lambda n: n.moves,
    FaultKind.PLAYBOOK_USELESS: lambda n: n.moves,
    FaultKind.PLAYBOOK_UNSEEN: lambda n: n.moves,
    FaultKind.BROKEN: lambda n: n.moves,
    FaultKind.LAG: lambda n: n.measured,
    FaultKind.MUTE: lambda n: n.checks,
    FaultKind.LATE: lambda n: n.checks,
    FaultKind.DRILLS: lambda n: [s for s, _ in n.tiers],
    FaultKind.WORK: lambda n: (*n.services, *{s.partition("/")[0] for s in n.services}),
}

_DURATION = r"\d[\d.]* ?[a-z]+(?: ?\d[\d.]* ?[a-z]+)*"
_WORDS = "|".join(sorted((re.escape(k.value) for k in WordKind), key=len, reverse=True))
_PARTS: dict[str, str] = {
    "what": r"(?P<what>(?:host )?[^\s,]+)",
    "for": rf"for (?P<for>good|{_DURATION})",
    "back": rf"(?P<back>{_DURATION})",
    "by": rf"(?P<by>{_DURATION})",
    "share": r"(?P<share>\d[\d.]*)%",
    "often": r"(?:, (?P<often>\d[\d.]*)% of the time)?",
    "moment": r"(?P<side>before|after) (?:command (?P<command>\d+) of )?(?:the next entry|entry (?P<entry>\d+))",
    "move": r"(?P<move>[^\s,]+)",
    "within": rf"(?P<within>{_DURATION})",
    "stays": rf"(?:, at full scale for (?P<stays>{_DURATION}))?",
    "lasts": rf"(?P<lasts>{_DURATION})",
    "jump": rf"(?P<jump>forward|back) by (?P<by>{_DURATION})",
    "word": rf"(?P<word>{_WORDS})(?: (?P<what>[^\s,]+))??(?: by (?P<move>[^\s,]+))?"
    rf"(?: for (?P<for>{_DURATION}))?"
    r"(?P<byhand>, having fenced the place by hand)?(?P<fence>, and fence the place left)?(?P<full>, at full scale)?",
}
_PLACEHOLDER = re.compile(r"\{(\w+)\}")


class ScriptInvalid(ValueError):
    """A script that cannot be understood. `faults`: every fault at once, each with file and line."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = tuple(faults)


@dataclass(frozen=True, slots=True)
class Script:
    """What a file says."""

    faults: tuple[Fault, ...]
    seed: int = 0
    length_s: float = LONGER_S
    calm_s: float = CALM_S
    workspace: str = ""
    expect: tuple[str, ...] = ()
    head: str = ""  # everything above the transcript, as it was written
    told: str = ""  # the transcript, as it was written


def _compiled(template: str) -> re.Pattern[str]:
    pieces, at = [], 0
    for found in _PLACEHOLDER.finditer(template):
        pieces += [re.escape(template[at : found.start()]), _PARTS[found.group(1)]]
        at = found.end()
    return re.compile("".join([*pieces, re.escape(template[at:])]))


_COMPILED = {kind: _compiled(template) for kind, template in PHRASES.items()}
_LINE = re.compile(rf"at ({_DURATION}): *(.*)")
_SETTING = re.compile(r"([a-z]+): *(.*)")


# ---- reading


def parse(text: str, file: str, names: Names | None = None) -> Script:
    """A script. With `names`, what it names has to be there. Raises ScriptInvalid with every fault at once."""
    head, cut, told = text.partition(CUT_HERE + "\n")
    faults: list[Fault] = []
    settings: dict[str, list[str]] = {}
    wrong: list[str] = []
    for number, line in enumerate(head.splitlines(), 1):
        plain = " ".join(line.split())
        if not plain or plain.startswith("#"):
            continue
        try:
            if found := _LINE.fullmatch(plain):
                fault = _fault(parse_duration(found.group(1)), found.group(2))
                if names is not None:
                    _known(fault, names)
                faults.append(fault)
            elif (said := _SETTING.fullmatch(plain)) and not plain.startswith("at "):
                _setting(said.group(1), said.group(2), settings)
            else:
                raise ValueError(f"{plain!r} is neither `at TIME: FAULT` nor a setting like `length: 5 min`")
        except ValueError as error:
            wrong.append(f"{file}:{number}: {error}")
    if not faults and not wrong:
        wrong.append(f"{file}: nothing goes wrong in it: write lines like `at 10 s: cut off lab/isp-a for 43 s`")
    if wrong:
        raise ScriptInvalid(wrong)
    faults.sort(key=lambda f: f.at)
    ends = max(f.at + (f.for_s or 0.0) for f in faults) + LONGER_S
    one = {key: values[0] for key, values in settings.items()}
    return Script(
        tuple(faults),
        int(one.get("seed", "0")),
        parse_duration(one["length"]) if "length" in one else ends,
        parse_duration(one["calm"]) if "calm" in one else CALM_S,
        one.get("workspace", ""),
        tuple(settings.get("expect", ())),
        head + cut,
        told,
    )


def _setting(key: str, value: str, into: dict[str, list[str]]) -> None:
    if key not in ("seed", "length", "calm", "workspace", "expect"):
        raise ValueError(f"there is no setting {key!r}: seed, length, calm, workspace and expect are known")
    if key in into and key != "expect":
        raise ValueError(f"{key} is said twice")
    if key == "seed" and not value.isdigit():
        raise ValueError(f"seed: {value!r} is no whole number")
    if key in ("length", "calm"):
        parse_duration(value)
    if key == "expect" and value not in set(Reason):
        raise ValueError(f"expect: there is no reason {value!r}{_near(value, [r.value for r in Reason])}")
    into.setdefault(key, []).append(value)


def _fault(at: float, phrase: str) -> Fault:
    for kind, pattern in _COMPILED.items():
        found = pattern.fullmatch(phrase)
        if found:
            return _made(at, kind, {k: v for k, v in found.groupdict().items() if v is not None})
    begun = [PHRASES[k] for k in PHRASES if phrase.split(" ")[0] == PHRASES[k].split(" ")[0]]
    shown = get_close_matches(phrase, begun or list(PHRASES.values()), 3, 0.0)
    raise ValueError(f"{phrase!r} is not understood; what comes near: " + "; ".join(map(_model_line, shown)))


def _made(at: float, kind: FaultKind, parts: Mapping[str, str]) -> Fault:
    lasts = parts.get("for") or parts.get("back")
    for_s = parse_duration(lasts) if lasts and lasts != "good" else None
    strength = 1.0
    if "by" in parts:
        strength = parse_duration(parts["by"]) * (-1.0 if parts.get("jump") == "back" else 1.0)
    share = parts.get("share") or parts.get("often")
    if share is not None:
        strength = float(share) / 100.0
        if not 0.0 < strength <= 1.0:
            raise ValueError(f"{share}% is no share: above 0% and at most 100%")
    if kind is FaultKind.WORD:
        return Fault(at, kind, parts.get("what", ""), None, 1.0, parts["word"], _options(parts, for_s))
    if kind in (FaultKind.DRILLS, FaultKind.WORK):
        return Fault(at, kind, parts["what"], for_s, strength, "", _scheduled(parts, strength))
    moment = {"entry": int(parts.get("entry", 0)), "command": int(parts.get("command", 0))}
    before = parts.get("side") == "before"
    if before and moment["command"]:
        raise ValueError("a command comes after its entry: write `after command N of …`")
    return Fault(at, kind, parts.get("what", ""), for_s, strength, "", {}, **moment, before=before)


def _scheduled(parts: Mapping[str, str], period_s: float) -> dict[str, Json]:
    """When, of drills or work by the calendar."""
    if not fits(period_s):
        raise ValueError(f"every {parts['by']}: say whole minutes, so many that they divide an hour: `every 5 min`")
    if "lasts" in parts:
        return {"lasts_s": parse_duration(parts["lasts"])}
    found: dict[str, Json] = {"move": parts["move"], "window_s": parse_duration(parts["within"])}
    return found | ({"stays_s": parse_duration(parts["stays"])} if "stays" in parts else {})


def _options(parts: Mapping[str, str], for_s: float | None) -> dict[str, Json]:
    word = parts["word"]
    of = {
        "for": ("maintenance", "drill"),
        "move": ("failover", "drill"),
        "byhand": ("approve",),
        "fence": ("failover",),
        "full": ("drill",),
    }
    odd = next((k for k, those in of.items() if parts.get(k) and word not in those), None)
    if odd is not None:
        raise ValueError(f"`say {word}` takes nothing of the kind: that is for `say {' or '.join(of[odd])}`")
    if word == WordKind.MAINTENANCE and for_s is None:
        raise ValueError("maintenance needs its end: `say maintenance SERVICE for 10 min`")
    if (word in UNNAMED) == ("what" in parts):
        wants = (
            "is about what waits, or is under way: name nothing"
            if word in UNNAMED
            else "needs a service, a client or *"
        )
        raise ValueError(f"`say {word}` {wants}")
    if word == WordKind.APPROVE:
        return {"fence": "byhand" in parts}
    if word == WordKind.DRILL:
        found: dict[str, Json] = {"kind": (DrillKind.FULL_SCALE if "full" in parts else DrillKind.FUNCTIONAL).value}
        found |= {"move": parts["move"]} if "move" in parts else {}
        return found | ({"stays_s": for_s} if for_s is not None else {})
    if for_s is not None:
        return {"for_s": for_s}
    return ({"move": parts["move"]} if "move" in parts else {}) | ({"fence": True} if "fence" in parts else {})


def _known(fault: Fault, names: Names) -> None:
    of = SUBJECTS.get(fault.kind)
    known = sorted(of(names)) if of is not None else []
    if fault.kind is FaultKind.WORD and fault.subject:
        known = [*names.services, *sorted({s.partition("/")[0] for s in names.services}), "*"]
    if fault.kind is FaultKind.DRILLS and fault.subject in known:
        of_it = [m for s, m in names.tiers if s == fault.subject]
        if (move := str(fault.options["move"])) not in of_it:
            raise ValueError(f"{fault.subject} has no tier {move!r}{_near(move, of_it)}")
    if known and fault.subject not in known:
        raise ValueError(f"there is no {fault.subject!r} here{_near(fault.subject, known)}")


def _near(name: str, known: Sequence[str]) -> str:
    found = get_close_matches(name, known, 1, 0.6)
    return f"; did you mean {found[0]!r}?" if found else f"; there are: {', '.join(known)}"


# ---- writing


def show(fault: Fault) -> str:
    """The line that `parse` reads as this fault."""
    parts = {
        "what": fault.subject,
        "for": "for good" if fault.for_s is None else f"for {seconds(fault.for_s)}",
        "back": seconds(fault.for_s if fault.for_s is not None else 3.0),
        "by": seconds(fault.strength),
        "share": f"{_number(round(fault.strength * 100.0, 6))}%",
        "often": "" if fault.strength == 1.0 else f", {_number(round(fault.strength * 100.0, 6))}% of the time",
        "moment": _moment(fault),
        "jump": f"{'forward' if fault.strength >= 0 else 'back'} by {seconds(abs(fault.strength))}",
        "move": str(fault.options.get("move", "")),
        "within": _length(fault, "window_s"),
        "stays": f", at full scale for {_length(fault, 'stays_s')}" if "stays_s" in fault.options else "",
        "lasts": _length(fault, "lasts_s"),
        "word": _word(fault) if fault.kind is FaultKind.WORD else "",
    }
    return f"at {seconds(fault.at)}: {_PLACEHOLDER.sub(lambda m: parts[m.group(1)], PHRASES[fault.kind])}"


def write(faults: Iterable[Fault], seed: int, length_s: float) -> list[str]:
    """A whole script, to be kept in a file."""
    return [f"seed: {seed}", f"length: {seconds(length_s)}", *map(show, faults)]


def seconds(value: float) -> str:
    """A duration that is parsed as the same number again."""
    for unit, size in (("h", 3600.0), ("min", 60.0)):
        if value >= size and value % size == 0.0:
            return f"{_number(value / size)} {unit}"
    return f"{_number(value)} s"


def _number(value: float) -> str:
    short = f"{value:g}"
    return short if float(short) == value and "e" not in short else repr(value)


def _length(fault: Fault, option: str) -> str:
    said = fault.options.get(option)
    return seconds(said) if isinstance(said, int | float) else ""


def _moment(fault: Fault) -> str:
    entry = f"entry {fault.entry}" if fault.entry else "the next entry"
    of = f"command {fault.command} of " if fault.command and not fault.before else ""
    return f"{'before' if fault.before else 'after'} {of}{entry}"


def _word(fault: Fault) -> str:
    told = fault.word if fault.word in UNNAMED else f"{fault.word} {fault.subject}"
    if move := fault.options.get("move"):
        told += f" by {move}"
    for_s = fault.options.get("stays_s" if fault.word == WordKind.DRILL else "for_s")
    if isinstance(for_s, int | float):
        told += f" for {seconds(for_s)}"
    how = ", having fenced the place by hand" if fault.word == WordKind.APPROVE else ", and fence the place left"
    full = ", at full scale" if fault.options.get("kind") == DrillKind.FULL_SCALE.value else ""
    return told + (how if fault.options.get("fence") else "") + full


def _model_line(template: str) -> str:
    example = {"for": "for 43 s", "back": "3 s", "by": "2 s", "share": "30%", "often": "", "what": "NAME"}
    example |= {"moment": "after the next entry", "jump": "forward by 1 h", "word": "hold SERVICE"}
    example |= {"move": "MOVE", "within": "2 min", "stays": "", "lasts": "1 min"}
    return "`" + _PLACEHOLDER.sub(lambda m: example[m.group(1)], template) + "`"
