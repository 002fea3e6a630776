"""What can go wrong in a simulated world: one row for each kind of fault, with its wording.

The one rule it keeps: a fault is a value. A list of faults is a whole script: it can be kept, shortened, read by a
person and run again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from orchestrator.core.durations import show_duration
from orchestrator.core.model import Json

HOUR_MIN = 60


class FaultKind(StrEnum):
    """What goes wrong; the subject it takes is in the table `TOLD`."""

    POWER = "power cut"
    CUT = "cut off"
    FLAP = "flapping"
    LOSS = "packet loss"
    ONE_WAY = "replies lost"
    SLOW = "slow answers"
    BLIND = "controller's uplink"
    REFERENCES = "reference targets"
    CRASH = "program crashes"
    HANG = "program hangs"
    PLAYBOOK_FAILS = "playbook fails"
    PLAYBOOK_HANGS = "playbook hangs"
    PLAYBOOK_HALF = "playbook half done"
    PLAYBOOK_USELESS = "playbook without effect"
    PLAYBOOK_UNSEEN = "playbook's end unseen"
    BROKEN = "broken destination"
    LAG = "replica falls behind"
    MUTE = "probe cannot ask"
    LATE = "answers of long ago"
    DISK_SLOW = "slow journal"
    DISK_FULL = "full journal"
    KILLED = "controller killed"
    KILLED_AT = "controller killed at an entry"
    REBOOT = "controller's machine restarts"
    FROZEN = "controller stands still"
    FROZEN_AT = "controller stands still at an entry"
    CLOCK = "clock jump"
    PEOPLE = "nobody can be reached"
    WORD = "somebody says something"
    RELOAD = "configuration changes"
    DRILLS = "drills by the calendar"
    WORK = "work by the calendar"
    EVERYTHING = "everything down"


TOLD: dict[FaultKind, str] = {
    FaultKind.POWER: "{0} loses its power",
    FaultKind.CUT: "{0} is cut off",
    FaultKind.FLAP: "{0} fails for {1:g} s and comes back, again and again",
    FaultKind.LOSS: "{0} loses {1:.0%} of all packets",
    FaultKind.ONE_WAY: "{0} loses {1:.0%} of all replies",
    FaultKind.SLOW: "{0} answers {1:.1f} s late",
    FaultKind.BLIND: "the controller's own uplink fails",
    FaultKind.REFERENCES: "the reference targets fail, and nothing else",
    FaultKind.CRASH: "the program of {0} crashes",
    FaultKind.HANG: "the program of {0} hangs",
    FaultKind.PLAYBOOK_FAILS: "the playbooks of {0} fail",
    FaultKind.PLAYBOOK_HANGS: "the playbooks of {0} hang",
    FaultKind.PLAYBOOK_HALF: "the playbooks of {0} fail half way",
    FaultKind.PLAYBOOK_USELESS: "the playbooks of {0} end well and change nothing",
    FaultKind.PLAYBOOK_UNSEEN: "the playbooks of {0} end unseen",
    FaultKind.BROKEN: "the destination of {0} is broken",
    FaultKind.LAG: "the data behind {0} fall behind",
    FaultKind.MUTE: "the probe of {0} cannot ask",
    FaultKind.LATE: "the answers of {0} are {1:.0f} s old when they come",
    FaultKind.DISK_SLOW: "the journal's disk takes {1:.1f} s for each entry",
    FaultKind.DISK_FULL: "the journal's disk is full",
    FaultKind.KILLED: "the controller is killed",
    FaultKind.KILLED_AT: "the controller is to be killed at an entry",
    FaultKind.REBOOT: "the controller's machine restarts",
    FaultKind.FROZEN: "the controller stands still while another one waits for its lease",
    FaultKind.FROZEN_AT: "the controller is to stand still at an entry",
    FaultKind.CLOCK: "the controller's wall clock jumps by {1:.0f} s",
    FaultKind.PEOPLE: "nobody can be reached",
    FaultKind.WORD: "an operator says: {2} {0}",
    FaultKind.RELOAD: "the configuration changes",
    FaultKind.DRILLS: "{0} is to be drilled every {1:g} s",
    FaultKind.WORK: "work on {0} is announced every {1:g} s",
    FaultKind.EVERYTHING: "everything is down",
}


@dataclass(frozen=True, slots=True)
class Fault:
    """Something goes wrong at `at` seconds, for so long (`None`: it stays). `strength` as its kind says."""

    at: float
    kind: FaultKind
    subject: str = ""
    for_s: float | None = None
    strength: float = 1.0
    word: str = ""
    options: Mapping[str, Json] = field(default_factory=dict)
    entry: int = 0
    command: int = 0
    before: bool = False

    def __str__(self) -> str:
        told = TOLD[self.kind].format(self.subject, self.strength, self.word)
        if self.kind in (FaultKind.WORD, FaultKind.RELOAD, FaultKind.CLOCK):
            return told
        if self.entry:
            told += f" ({'before' if self.before else 'after'} entry {self.entry}, command {self.command})"
        if self.kind in (FaultKind.KILLED, FaultKind.KILLED_AT, FaultKind.REBOOT):
            return f"{told}, and is back after {show_duration(self.for_s if self.for_s is not None else 3.0)}"
        return f"{told}, for {show_duration(self.for_s)}" if self.for_s is not None else f"{told}, for good"


def fits(period_s: float) -> bool:
    """Whether times so far apart are those of an hour, over and over: then cron can name them."""
    minutes = round(period_s / 60.0)
    return minutes * 60.0 == period_s and 0 < minutes <= HOUR_MIN and HOUR_MIN % minutes == 0
