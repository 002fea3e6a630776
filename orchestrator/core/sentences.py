"""What people are told of services and runs: every sentence of which a notice may consist, and how it is read back.

The one rule it keeps: a sentence that says that something is over, moved, fenced, proven or well again stands here. So
its judge (`sim/spoken_truth.py`) can compare each of its parts with the records. Free text (an evidence, a person's
reason) stands last in its sentence, or between fixed words.
"""

from __future__ import annotations

import re
from enum import StrEnum
from functools import cache

_SLOT = re.compile(r"\{(\w+)\}")
_SHAPES = {  # of a slot, by its name; anything else is free text
    "service": r"[^\s:,]+",
    "other": r"[^\s:,]+",
    "move": r"[^\s:,]+",
    "run": r"r\d+",
    "tier": r"\d+",
    "outages": r"\d+",
    "outage": r"(?:at most )?-?[\d:.]+s?",
    "together": r"(?:at most )?-?[\d:.]+s?",
    "down": r"(?:at most )?-?[\d:.]+s?",
    "rto": r"-?[\d:.]+s?",
    "mtd": r"-?[\d:.]+s?",
    "well": r"-?[\d:.]+s?",
    "incident": r"i\d+",
    "drill": r"d\d+",
    "about": r"[^\s:,]+",
    "schedule": r"[^\s:,]+",
    "when": r"[\d:TZ-]+",
    "until": r"[\d:TZ-]+",
    "times": r"\d+",
    "finding": r"f\d+",
    "due": r"[\d-]+",
    "kind": r"functional|full-scale",
    "client": r"[^\s:,/]*",
    "lack": r"[a-z][a-z ]*",
    "kept": r"(?:perhaps )?(?:within|beyond)",
    "near": r"(?:perhaps )?(?:near|over)",
}


_SEVERAL = " in {outages} outages of {incident}"  # of a relapse: what its figures include


class _Spoken(StrEnum):
    """A template; its slots are named in braces."""

    def say(self, **slots: object) -> str:
        """The sentence with these slots filled."""
        return self.value.format(**slots)

    def read(self, text: str) -> dict[str, str] | None:
        """The slots of a text that this template made, or None."""
        found = _pattern(self.value).fullmatch(text)
        return None if found is None else found.groupdict()


class Sentence(_Spoken):
    """All sentences of notices."""

    IS_DOWN = "{service} has been down at {place} for {outage}: {evidence}"
    IS_DOWN_AGAIN = "{service} has been down again at {place} for {outage}, {together}" + _SEVERAL + ": {evidence}"
    SEEN_DOWN = "{service} has been seen down for {outage}, but it is not known whether it is down: {evidence}"
    WORKS_AGAIN = "{service} works again {how} after {outage}, {kept} its RTO of {rto}"
    WORKS_AFTER_SEVERAL = (
        "{service} works again {how} after {outage}, {together}" + _SEVERAL + ", {kept} its RTO of {rto}"
    )
    MTD = "{service} has been down for {down}: its maximum tolerable downtime of {mtd} is {near}"
    MTD_OF_SEVERAL = (
        "{service} has been down for {down}" + _SEVERAL + ": its maximum tolerable downtime of {mtd} is {near}"
    )
    MTD_OPEN = "{incident} of {service} has been open for {down}: its maximum tolerable downtime of {mtd} is {near}"
    MTD_OPEN_OF_SEVERAL = (
        "{incident} of {service} has been open for {down} in {outages} outages: "
        "its maximum tolerable downtime of {mtd} is {near}"
    )
    TIER_CHOSEN = "{service}: tier {tier} {move} chosen ({run}), {prospect}"
    WOULD_RUN = "{service}: would run tier {tier} {move}{more}"
    TIER_FAILED = "{service}: tier {tier} {move} failed: {why}"
    TIER_NOT_MADE = "{service}: tier {tier} {move} was not made: {why}"
    NO_TIER_LEFT = "{service} is down and no tier is left: {why}"
    NOTHING_BY_ITSELF = "{service} is down and nothing is done automatically: {why}"
    NOT_KNOWN = "it is not known whether {service} is down, and nothing is done automatically: {why}"
    GOES_BACK = "{service} goes back automatically: {move} ({run}), after {well} in good health"
    WENT_BACK = "{service} went back automatically: {move} ({run}) done: {evidence}"
    NOT_GONE_BACK = "{service} did not go back: {move} ({run}) was not made: {why}"
    RUN_FAILED = "{service}: {move} ({run}) failed: {why}"
    DONE = "{service}: {move} done, asked by {who}: {evidence}"
    FAILED = "{service}: {move} failed, asked by {who}: {why}"
    NOT_MADE = "{service}: {move} was not made, asked by {who}: {why}"
    LEFT_FAILED = "{service}: {move} failed, and no incident is open: {why}"
    CANNOT_GO_ON = "{service}: run {run} ({move}) cannot go on: {why}"
    APPROVAL = "{service}: {move} needs a named approval: {why}"
    DRILL_BEGAN = "{service}: drill {drill} has begun: {kind}, {move} ({run}){by}"
    DRILL_DONE = "{service}: drill {drill} is over and showed what it was to show: {kind}, {move}: {why}"
    DRILL_FAILED = "{service}: drill {drill} is over and did not show what it was to show: {kind}, {move}: {why}"
    DRILL_LEFT = (
        "{service}: drill {drill} is over, and it is not shown that all is as it was before: {kind}, {move}: {why}"
    )
    CLEANED_BY_ANOTHER = "{service}: drill {drill} ({run}) is cleaned up by what was loaded since it was shown: {what}"
    DRILL_LATE = "{service}: drill {drill} should be over and is not: the service is {place}: {why}"
    DRILL_NOT_BACK = "{service}: {incident} is open, and the way back of drill {drill} failed: {move} ({run}): {why}"
    DRILL_AHEAD = "{about}: a {kind} drill is ahead, due {when} ({schedule}): {what}"
    DRILL_MISSED = "{about}: the drill of {schedule} due {when} was missed: {why}"
    DRILLS_MISSED = "{about}: {times} drills of {schedule} due {when} to {until} were missed: {why}"
    SURPRISE_MISSED = "{about}: the surprise of {schedule}, in its period from {when} on, was missed: {why}"
    SURPRISES_MISSED = "{about}: {times} surprises of {schedule}, in periods from {when} to {until}, were missed: {why}"
    FINDING_OVERDUE = "{service}: finding {finding} of {about} was due on {due}: {text}"
    SEES_AGAIN = "{client}: no longer so: {lack}: {what}"
    CANNOT_SEE = "{client}: {lack}: {what}"


class How(_Spoken):
    """How a service came back, as far as records tell: the slot `how` of `Sentence.WORKS_AGAIN`."""

    BY_ITSELF = "by itself"
    BY_RUN = "by {move} ({run})"
    DURING_RUN = "during {move} ({run}), which verified it,"
    NOT_VERIFIED = "with {move} ({run}) tried and not verified,"
    AFTER_ANOTHER = "with {move} ({run}), made for {other},"
    DURING_ANOTHER = "while {move} ({run}) for {other} has not ended,"


def heard(text: str) -> tuple[Sentence, dict[str, str]] | None:
    """Which sentence this is, with its slots; None: none of these."""
    for sentence in Sentence:
        slots = sentence.read(text)
        if slots is not None:
            return sentence, slots
    return None


def how_heard(text: str) -> tuple[How, dict[str, str]] | None:
    """The same of how a service came back."""
    for how in How:
        slots = how.read(text)
        if slots is not None:
            return how, slots
    return None


@cache
def _pattern(template: str) -> re.Pattern[str]:
    parts: list[str] = []
    at = 0
    for slot in _SLOT.finditer(template):
        name = slot.group(1)
        shape = _SHAPES.get(name, ".*?" if slot.end() < len(template) else ".*")
        parts += [re.escape(template[at : slot.start()]), f"(?P<{name}>{shape})"]
        at = slot.end()
    return re.compile("".join([*parts, re.escape(template[at:])]), re.DOTALL)
