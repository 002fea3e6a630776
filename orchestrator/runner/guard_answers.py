"""What a host answered to the epoch guard.

The one rule it keeps: an answer speaks for the host that gave it, and says no more than it holds in the guard's own
form. *Stale* is exit code 79 with two whole numbers, or with one that another controller has, too; *kept* a line of
its own. If a shell began the guard and did not end it, somebody may have stopped it: refused. If no shell began it (a
router, a console), nothing could be kept: not guarded, and the author's task runs. If ssh itself was ended here by a
signal, the host has not answered, and is asked when it is met.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from orchestrator.runner import epoch_script

SAID_MAX = 120  # characters of what a host said
_STALE = re.compile(rf"{epoch_script.STALE} (\d{{1,18}}) (\d{{1,18}})")
_OTHER = re.compile(rf"{epoch_script.OTHER} (\d{{1,18}})")
_TERMINAL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Verdict(StrEnum):
    """What an answer means for the playbook."""

    KEPT = "kept"
    STALE = "stale"  # ends the call
    REFUSED = "refused"  # ends the call
    NOT_KEPT = "not kept"
    SILENT = "silent"  # it has not answered yet


@dataclass(frozen=True, slots=True)
class Answer:
    """`text`: for STALE the sentence, for REFUSED and NOT_KEPT why, for KEPT a remark or nothing."""

    verdict: Verdict
    text: str = ""

    @property
    def stops(self) -> bool:
        """Whether no task of the author's may run."""
        return self.verdict in (Verdict.STALE, Verdict.REFUSED)


def answer_of(return_code: object, printed: object, said: object = "", *, epoch: int | None = None) -> Answer:
    """Read what the guard's command came to on one host: exit code, standard output, standard error. Never raises."""
    lines = [line.strip() for line in str(printed or "").splitlines()]
    remarks = "; ".join(dict.fromkeys(_after(lines, epoch_script.UNGUARDED)))
    if str(return_code) == str(epoch_script.REFUSES):
        for line in lines:
            if (found := _STALE.fullmatch(line)) is not None:
                ours, theirs = int(found[1]), int(found[2])
                if theirs > ours and epoch in (None, ours):
                    why = f"it has accepted epoch {theirs}; this action has epoch {ours}: a later controller acts"
                    return Answer(Verdict.STALE, why)
            elif (found := _OTHER.fullmatch(line)) is not None and epoch in (None, int(found[1])):
                why = (
                    f"it has accepted epoch {found[1]} from another controller: one on a copy of this journal acts, too"
                )
                return Answer(Verdict.STALE, why)
        blocked = _after(lines, epoch_script.BLOCKED)
        return Answer(Verdict.REFUSED, blocked[0] if blocked else "its epoch guard refuses and does not say why")
    if return_code in (0, "0"):
        for line in lines:
            if line.startswith(f"{epoch_script.KEPT} ") and epoch in (None, _number(line)):
                return Answer(Verdict.KEPT, remarks)
        if remarks:
            return Answer(Verdict.NOT_KEPT, remarks)
    heard = _first(lines) or _first(str(said or "").splitlines())
    if epoch_script.BEGUN in lines:
        return Answer(Verdict.REFUSED, f"its epoch guard broke off (return code {return_code}{_quoted(heard)})")
    if isinstance(return_code, int) and return_code < 0:
        return Answer(Verdict.SILENT, f"it had not answered when ssh was ended by signal {-return_code}")
    return Answer(Verdict.NOT_KEPT, f"no shell answered (return code {return_code}{_quoted(heard)})")


def answer_in(result: Mapping[str, Any], *, epoch: int | None = None) -> Answer:
    """The same, of the result that Ansible has for one host."""
    return answer_of(result.get("rc"), result.get("stdout"), result.get("stderr"), epoch=epoch)


def _after(lines: list[str], word: str) -> list[str]:
    return [_clean(line.removeprefix(word)) for line in lines if line.startswith(f"{word} ")]


def _first(lines: list[str]) -> str:
    words = (epoch_script.BEGUN, epoch_script.STALE, epoch_script.OTHER, epoch_script.KEPT)
    return next((text for line in lines if (text := _clean(line)) and not text.startswith(words)), "")


def _quoted(heard: str) -> str:
    return f": {heard}" if heard else ""


def _number(line: str) -> int | None:
    found = line.rpartition(" ")[2]
    return int(found) if re.fullmatch(r"[0-9]{1,18}", found) else None


def _clean(text: str) -> str:
    shown = (mark if mark.isprintable() else " " for mark in _TERMINAL.sub("", text[: SAID_MAX * 10]))
    return " ".join("".join(shown).split())[:SAID_MAX]
