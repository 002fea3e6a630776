"""A controller killed in a chosen instant of a chosen act, or of a drill, on a lab that is used again and again.

The one rule it keeps: the instant is found from outside, in the journal's file and in the attempts' own; nothing in
the program knows that it is tested, and the playbooks are the authors', unmodified. What must be true afterwards is
asked in `crash_truth.py`.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.core import records as r
from orchestrator.demo.acts import SCENES, Scene
from orchestrator.journal.sqlite import journal_path
from orchestrator.lab.account import Act, ActAccount, Fence, account
from orchestrator.lab.equipment import METER_LOG, METERS
from orchestrator.runner.guard import PLAY
from tests.lab.crash_truth import LEDGER, PLAYBOOK_STEPS
from tests.lab.story import ERP, FOR_DRILLS, NeverHappened, Story, told

WATCHING = Path(__file__).parent / "watching"
INSTANT_S = 300.0  # for an instant that comes within seconds on a quiet machine
RECOVERY_S = 480.0
RPO_S = 30.0  # lab/erp's
BEAT_S = 0.1  # of the users' meters


@dataclass(frozen=True, slots=True)
class Instant:
    """When the controller is killed: `when` is began, finished or middle; the worker processes too, or not.

    `of`: of a run of this move; empty: of any. Without a step: when that run is over.
    """

    step: str
    when: str
    with_workers: bool = False
    of: str = ""

    def __str__(self) -> str:
        what = "-".join(filter(None, (self.of, self.step)))
        said = f"in-the-middle-of-{what}" if self.when == "middle" else f"after-{what}-{self.when}"
        return said + ("-with-its-workers" if self.with_workers else "")


def steps_of(number: int) -> tuple[str, ...]:
    """The steps of an act's run, in their order."""
    fenced = {1: None, 2: "hq", 3: "geo"}[number]
    fence = (f"fence-{fenced}", f"proof-{fenced}") if fenced else ()
    return ("preflight", *fence, "execute", "verify")


def instants(number: int) -> list[Instant]:
    """Every instant of an act. A step's end and the next one's begin are one entry, so one instant
    (`shares_entries` checks it).
    """
    found = [Instant(step, "began") for step in steps_of(number)]
    found.append(Instant("verify", "finished"))
    for step in steps_of(number):
        if step.partition("-")[0] in PLAYBOOK_STEPS:
            found.append(Instant(step, "began", with_workers=True))
            found += [Instant(step, "middle", with_workers) for with_workers in (False, True)]
    return found


_ENTRIES = "SELECT seq, body FROM entries WHERE seq > ? ORDER BY seq"
_SAID = {"began": "StepBegan", "middle": "StepBegan", "finished": "StepFinished", "over": "RunEnded"}


class Eye:
    """Looks at the journal's file and at the attempts', often and from outside, for an instant."""

    def __init__(self, workspace: Path, after: int) -> None:
        self._workspace = workspace
        self._db = sqlite3.connect(f"file:{journal_path(workspace)}?mode=ro", uri=True, timeout=1.0)
        self._seen = after
        self._unread: deque[dict[str, Any]] = deque()
        self._moves: dict[str, str] = {}  # by run

    def close(self) -> None:
        self._db.close()

    def wait(self, instant: Instant, each: Callable[[], None] = lambda: None) -> None:
        """Returns right after the instant; `each` is called at every look. Raises NeverHappened."""
        ends = time.monotonic() + INSTANT_S
        run = ""
        while time.monotonic() < ends:
            run = run or self._record(instant)
            if run and (instant.when != "middle" or self._first_task(run, instant.step)):
                return
            each()
            time.sleep(0.001)
        raise NeverHappened(f"{instant}: not within {INSTANT_S:.0f} s")

    def _record(self, instant: Instant) -> str:
        """The run of the record that says so, once one does; read on from where the last look ended."""
        with contextlib.suppress(sqlite3.OperationalError):  # busy: look again
            for seq, body in self._db.execute(_ENTRIES, (self._seen,)):
                self._seen = seq
                self._unread.extend(json.loads(body)["records"])
        while self._unread:
            record = self._unread.popleft()
            run = str(record.get("run", ""))
            if record.get("kind") == "DrillEnded":
                raise NeverHappened(f"{instant}: the drill is over: {record['reason']}: {record['evidence']}")
            if record.get("kind") == "RunStarted":
                self._moves[run] = str(record["move"]).rpartition("/")[2]
            of = instant.of in ("", self._moves.get(run))
            if of and record.get("kind") == _SAID[instant.when] and record.get("step", "") == instant.step:
                return run
        return ""

    def _first_task(self, run: str, step: str) -> bool:
        """Whether the author's first task has been reported in an attempt of this step."""
        for file in self._workspace.glob(f".bascule/runs/{run}/{step}.*/events.jsonl"):
            with contextlib.suppress(OSError):
                for line in file.read_text(errors="replace").splitlines():
                    if '"task"' in line and PLAY not in line:
                        return True
        return False


@dataclass
class Ground:
    """A lab with its daemon, used for one act after the other as long as all is well, and then built anew.

    `place` is where the application runs; empty: there is no lab. `played` and `existing` are what the end user's
    account needs of the acts so far.
    """

    make: Callable[[], Path]
    name: str
    place: str = ""
    built: int = 0
    played: list[Act] = field(default_factory=list)
    existing: list[frozenset[str] | None] = field(default_factory=list)
    _stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    _story: Story | None = None

    @property
    def story(self) -> Story:
        """The lab that stands."""
        if self._story is None:
            raise RuntimeError("no lab stands")
        return self._story

    @contextlib.contextmanager
    def act(self, number: int) -> Iterator[tuple[Story, Scene]]:
        """The lab, ready for this act. Whatever goes wrong within, the next act gets a new lab."""
        scene = SCENES[number - 1]
        try:
            self._stand_at({1: "start", 2: "hq", 3: "geo"}[number])
            self._ready(scene)
            yield self.story, scene
            self.place = scene.place.rpartition("/")[2]
        except BaseException:
            self.clear()
            raise

    def clear(self) -> None:
        """Take it down."""
        self.place, self._story = "", None
        stack, self._stack = self._stack, contextlib.ExitStack()
        stack.close()

    def _stand_at(self, wanted: str) -> None:
        if wanted == self.place or (wanted == "hq" and self.place == "start"):
            return
        if wanted != "geo" or self.place not in ("start", "hq"):
            self._build()
        if wanted == "geo":  # the second act, undisturbed
            with self.act(2) as (story, scene):
                self.play(story, scene, ())

    def _build(self) -> None:
        self.clear()
        workspace = self.make()
        environment = {
            "ANSIBLE_CALLBACK_PLUGINS": str(WATCHING),
            "ANSIBLE_CALLBACKS_ENABLED": "bascule_ledger",
            "BASCULE_TEST_LEDGER": str(workspace / LEDGER),
        }
        self.built += 1
        lab = told(f"{self.name}{self.built}", workspace, environment=environment, prepare=_patient)
        self._story = self._stack.enter_context(lab)
        _measure_less_often(self._story)
        self.place, self.played, self.existing = "start", [], []

    def _ready(self, scene: Scene) -> None:
        story = self.story
        story.wait(f"ready for: {scene.title}", lambda: story.up(*scene.ready) and story.meter_is_well("client"))
        if scene.tier == 3:
            story.wait("the second site has shipped a backup", self._shipped_from_geo)

    def _shipped_from_geo(self) -> bool:
        """Whether the newest backup is the second site's: what follows loses what came after it, and no more."""
        listed = self.story.at("noc", "python3", "-c", _NEWEST)
        return listed.returncode == 0 and "geo-db" in listed.stdout

    @contextlib.contextmanager
    def drill(self) -> Iterator[Story]:
        """The lab with the service at home and all that a drill wants. What goes wrong within: as of an act."""
        try:
            self._stand_at("start")
            self.story.wait_healthy()
            self.story.wait("all that a drill wants is there", lambda: self.story.up(*FOR_DRILLS))
            yield self.story
        except BaseException:
            self.clear()
            raise

    # ---- one act

    def play(self, story: Story, scene: Scene, kills: tuple[Instant, ...]) -> ActAccount:
        """The fault, the kills, the recovery; the end user's account of it. The daemon is started after each kill."""
        began = time.time()
        with meanwhile(story, kills):
            scene.fault(story.lab)
        return self.account_of(story, scene, began)

    def account_of(self, story: Story, scene: Scene, began: float) -> ActAccount:
        """Wait for the act's recovery; the end user's account of it."""
        story.wait(f"recovery at {scene.place}", lambda: recovered(story, scene, began), RECOVERY_S)
        story.wait("the end user is well", lambda: story.meter_is_well("client"))
        self.played.append(Act(scene.title, began, time.time() - 0.5, began if scene.loses_data else None))
        self.existing.append(story.existing_ids(0.0))
        user = story.meter("client")
        return account(user, self.played, self.existing, fences(story))[-1]


def _measure_less_often(story: Story) -> None:
    """Fifty times a second is half of a lab's load, and whoever plays two hundred crashes needs no such figures."""
    for host in METERS:
        story.at(host, "sed", "-i", f"s#--log {METER_LOG}#& --beat {BEAT_S}#", "/etc/init.d/meter").check_returncode()
        story.at(host, "/etc/init.d/meter", "restart").check_returncode()


def kill(story: Story, instant: Instant) -> None:
    """The controller is killed, and started again."""
    story.kill_daemon(with_workers=instant.with_workers)
    story.start_daemon()


@contextlib.contextmanager
def meanwhile(
    story: Story,
    instants: Iterable[Instant],
    do: Callable[[Story, Instant], None] = kill,
    each: Callable[[], None] = lambda: None,
) -> Iterator[None]:
    """Of what is begun within, these instants are waited for at the end of the block, and this is done in each."""
    story.read()
    eye = Eye(story.workspace, story.stories.last.seq if story.stories.last else 0)
    try:
        yield
        for instant in instants:
            eye.wait(instant, each)
            do(story, instant)
    except NeverHappened as missing:
        story.read()
        raise NeverHappened(f"{missing}\n{story.told()}") from missing
    finally:
        eye.close()


def _patient(story: Story) -> None:
    """A start takes seconds, on a busy machine a dozen, and its first questions as long again: data that age
    meanwhile, or a preflight of five seconds, would rule a tier out.

    What is really lost is counted by the meter, and bounded as before.
    """
    services = "inventories/lab/services.yml"
    story.edit(services, "rpo: 30s", "rpo: 10m")
    for timeout in ("60s", "90s", "2m", "3m", "4m"):
        story.edit(services, f"timeout: {timeout}\n", "timeout: 5m\n")
    ways = ("hq-mains", "geo-mains", "isp-b-path", "geo-ready, geo-replica", "cloud-instance-there, backup-age")
    for viable in ways:
        line = f"    viable_when: {{all: [{viable}]}}\n"
        story.edit(services, line, f"{line}    preflight_timeout: 90s\n    verify_timeout: 3m\n")
    for verify in ways[2:]:  # of rehearsals
        told = verify if "geo" not in verify else "geo-replica, geo-ready"
        line = f"      verify: {{all: [{told}]}}\n"
        story.edit(services, line, f"{line}      verify_timeout: 3m\n")


_NEWEST = (
    "import boto3;"
    "found = boto3.client('s3').list_objects_v2(Bucket='acme-backups', Prefix='erp/');"
    "print(max(x['Key'] for x in found['Contents']))"
)


def fences(story: Story) -> list[Fence]:
    """Which places were proven out, and until when."""
    found = []
    for out in story.of(r.MayActRemoved):
        again = next((x for x in story.of(r.MayActAdded) if x.place == out.place and x.at > out.at), None)
        until = story.wall(again.at) if again else None
        found.append(Fence(out.place.rpartition("/")[2], story.wall(out.at), until))
    return found


def recovered(story: Story, scene: Scene, began: float) -> bool:
    """The application runs where the act ends, its incident of this act has ended, and nothing is under way."""
    service = story.decided.services[ERP]
    if service.place != scene.place or service.incident is not None or story.decided.unfinished_runs():
        return False
    mine = ("lab/hq-internet", ERP) if scene.tier == 1 else (ERP,)
    if any(x.service in mine for x in story.decided.open_incidents()):
        return False
    return any(x.ok and story.wall(x.at) > began for x in story.of(r.RunEnded))
