"""A drill on the lab while something is done to it: its steps, the instants in them, and what it has left.

The one rule it keeps: whether anything is left is asked of the hosts and of the cloud themselves, beside what the
drill's own surveys say.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.core import records as r
from orchestrator.core.commands import NoticeKind
from orchestrator.lab.account import ActAccount, Outage
from orchestrator.survey import cloud_account
from tests.lab import crash
from tests.lab.crash import Instant
from tests.lab.story import ERP, OPERATOR, Story

BUSY_S = 3.0
OVER_S = 480.0  # for what takes a minute on a quiet machine
ONCE = ("set-up", "rehearse")  # what nobody declares safe to repeat: where its end was not seen it has failed
PLAYED = (*ONCE, "survey", "clean-up", "survey-again", "hand-over", "execute", "prepare", "finish")

_CLEANED = ("clean-up", "survey-again")
_PLAIN = ("preflight", "survey", "set-up", "rehearse", "confirm", *_CLEANED)
_APART = ("preflight", "survey", "set-up", "apart", "rehearse", "confirm", *_CLEANED)
_IN_PLACE = ("preflight", "execute", "verify")
_THERE = ("preflight", "hand-over-hq", "proof-hq", "execute", "verify")


def _home(place: str) -> tuple[str, ...]:
    return ("preflight", "prepare", f"hand-over-{place}", f"proof-{place}", "execute", "verify", "finish")


@dataclass(frozen=True, slots=True)
class Drill:
    """One drill: the steps of each of its runs, by their moves, and how long it stays there, if it goes anywhere."""

    move: str
    runs: Mapping[str, tuple[str, ...]]
    stay: str = "4s"

    @property
    def full_scale(self) -> bool:
        """Whether the move itself is made, and led back."""
        return len(self.runs) == 2

    @property
    def words(self) -> tuple[str, ...]:
        """What an operator says after the service."""
        full = ("--full-scale", "--stay", self.stay, "--return-within", "8m") if self.full_scale else ()
        return ("--move", self.move, *full)

    def __str__(self) -> str:
        return f"{'full' if self.full_scale else 'rehearse'}-{self.move}"

    def boundaries(self) -> list[Instant]:
        """Each instant between two steps. A step's end and the next one's begin are one entry, so one instant."""
        found = []
        for of, steps in self.runs.items():
            of = of if self.full_scale else ""
            found += [Instant(step, "began", of=of) for step in steps]
            found += [Instant("", "over", of=of)] if self.full_scale else []
        return found

    def instants(self) -> list[Instant]:
        """The boundaries, and those in which a playbook has begun, or is at work."""
        found = self.boundaries()
        for kill in list(found):
            if played(kill.step):
                found.append(Instant(kill.step, "began", True, kill.of))
                found += [Instant(kill.step, "middle", with_workers, kill.of) for with_workers in (False, True)]
        return found


def noticed(user: ActAccount) -> list[Outage]:
    """What the end user noticed: an attempt has 250 ms, and on a busy machine many in a row take longer."""
    return [x for x in user.outages if x.seconds > BUSY_S]


def played(step: str) -> bool:
    """Whether the step is a playbook."""
    return step.startswith(PLAYED)


REHEARSALS = (
    Drill("backup-isp", {"backup-isp": _PLAIN}),
    Drill("geo-site", {"geo-site": _APART}),
    Drill("cloud-instance", {"cloud-instance": _PLAIN}),
)
FULL_SCALE = (
    Drill("backup-isp", {"backup-isp": _IN_PLACE, "backup-isp.back": _IN_PLACE}),
    Drill("geo-site", {"geo-site": _THERE, "return-hq": _home("geo")}),
    Drill("cloud-instance", {"cloud-instance": _THERE, "return-hq-from-cloud": _home("cloud")}),
)


@dataclass(slots=True)
class Made:
    """A drill as it went: `mark`, where the journal stood before it; `left`, what of its kind was there before it."""

    drill: Drill
    mark: int
    entry: int
    left: list[str]
    began_s: float = field(default_factory=time.time)

    def id(self, story: Story) -> str:
        """Its name in the journal."""
        return story.of(r.DrillBegan, self.mark)[0].drill

    def end(self, story: Story) -> r.DrillEnded:
        """Its end."""
        return story.of(r.DrillEnded, self.mark)[0]

    def steps(self, story: Story) -> list[r.StepFinished]:
        """How the steps of its own runs ended."""
        runs = {x.run for x in story.of(r.RunStarted, self.mark) if x.drill}
        return [x for x in story.of(r.StepFinished, self.mark) if x.run in runs]

    def surveys(self, story: Story) -> list[Any]:
        """What its surveys published."""
        return [x.stats.get("bascule_survey") for x in self.steps(story) if x.step.startswith("survey") and x.stats]


class _Asking:
    """`bascule drill run lab/erp …`, said again where it was refused: on a busy machine a check may be unknown."""

    def __init__(self, story: Story, made: Made) -> None:
        self._story, self._made = story, made
        self._said: subprocess.Popen[bytes] | None = None
        self._next_at = 0.0

    def go_on(self) -> None:
        """Say it, if it has not been said yet, or was refused."""
        if time.monotonic() < self._next_at or (self._said is not None and self._said.poll() is None):
            return
        self._next_at = time.monotonic() + 2.0
        self._story.read()
        if self._story.of(r.DrillBegan, self._made.mark):
            return
        self.end()
        argv = ["env", f"BASCULE_OPERATOR={OPERATOR}", "bascule", "drill", "run", ERP, *self._made.drill.words]
        with (self._story.workspace / "drill.log").open("ab") as log:
            self._said = self._story.lab.popen(
                "noc", argv, cwd=self._story.workspace, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )

    def end(self) -> None:
        """It may ask a controller that was killed; whatever it said, the journal tells."""
        if self._said is not None:
            self._said.kill()
            self._said.wait(30)


def make(
    story: Story, drill: Drill, instants: Iterable[Instant] = (), do: Callable[[Story, Instant], None] = crash.kill
) -> Made:
    """The drill, with this done in these instants, to its end."""
    made = Made(drill, story.mark(), len(story.entries), left(story))
    asking = _Asking(story, made)

    def over() -> bool:
        asking.go_on()
        return bool(story.of(r.DrillEnded, made.mark))

    try:
        with crash.meanwhile(story, instants, do, asking.go_on):
            asking.go_on()
        story.wait("the drill is over", over, OVER_S)
    finally:
        asking.end()
    return made


def left(story: Story) -> list[str]:
    """What rehearsals make, where they make it: whatever of it is there now. A host without power has nothing."""
    clone = "ls -d /run/rehearsal /var/lib/postgresql/rehearsal 2>/dev/null; pgrep -a postgres | grep rehearsal || true"
    wanted = json.dumps({"zones": ["acme.example."]})
    account = f"echo '{wanted}' | {sys.executable} {cloud_account.__file__}"
    works = story.lab.status().detail["hosts"]["geo-db"]["state"] == "up"
    found = story.at("geo-db", "sh", "-c", clone).stdout.splitlines() if works else []
    listed = story.at("noc", "sh", "-c", account, cwd=story.workspace)
    assert listed.returncode == 0, listed.stderr
    there = json.loads(listed.stdout)
    named = [x for x in (*there["instances"], *there["records"]) if "rehearsal" in x or "erp-drill" in x]
    return [*found, *named, *there["volumes"]]


def calls_for_people(story: Story, since: int) -> list[str]:
    """What a person was asked to see to."""
    return [x.text for x in story.of(r.NoticeDue, since) if x.kind is NoticeKind.HUMAN_NEEDED]


def shown(story: Story, drill: str) -> dict[str, Any]:
    """The drill as `bascule drill show` has it."""
    done = story.bascule("drill", "show", drill, "--json")
    found: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == (0 if found["ok"] else 1), done.stderr
    return found
