"""A controller killed in a chosen instant of a chosen act, and what must be true afterwards.

The one rule it keeps: the instant is found from outside, in the journal's file and in the attempts' own; nothing in
the program knows that it is tested. What is expected of playbooks is read from what the targets and Ansible itself
report, and the playbooks are the authors', unmodified.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.core import records as r
from orchestrator.core.reasons import Reason
from orchestrator.core.records import Record
from orchestrator.demo.acts import SCENES, Scene
from orchestrator.journal.sqlite import journal_path
from orchestrator.lab.account import Act, ActAccount, Fence, account
from orchestrator.runner.guard import PLAY
from tests.lab.story import ERP, NeverHappened, Story, told

WATCHING = Path(__file__).parent / "watching"
LEDGER = "ledger.jsonl"
INSTANT_S = 300.0  # for an instant that comes within seconds on a quiet machine
RECOVERY_S = 480.0
RPO_S = 30.0  # lab/erp's
PLAYBOOK_STEPS = ("fence", "execute")

# What an author lets happen again, and why: nobody is served by a database that is still being restored.
MAY_REPEAT = ("Fetch the backup", "Restore the backup", "Remove the fetched backup")


@dataclass(frozen=True, slots=True)
class Instant:
    """When the controller is killed: `when` is began, finished or middle; the worker processes too, or not."""

    step: str
    when: str
    with_workers: bool = False

    def __str__(self) -> str:
        said = f"in-the-middle-of-{self.step}" if self.when == "middle" else f"after-{self.step}-{self.when}"
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


class Eye:
    """Looks at the journal's file and at the attempts', often and from outside, for an instant."""

    def __init__(self, workspace: Path, after: int) -> None:
        self._workspace = workspace
        self._db = sqlite3.connect(f"file:{journal_path(workspace)}?mode=ro", uri=True, timeout=1.0)
        self._seen = after

    def close(self) -> None:
        self._db.close()

    def wait(self, step: str, when: str) -> None:
        """Returns right after the instant. Raises NeverHappened."""
        ends = time.monotonic() + INSTANT_S
        run = ""
        while time.monotonic() < ends:
            if not run:
                run = self._entry("StepFinished" if when == "finished" else "StepBegan", step)
            if run and (when != "middle" or self._first_task(step)):
                return
            time.sleep(0.001)
        raise NeverHappened(f"{step} {when}: not within {INSTANT_S:.0f} s")

    def _entry(self, kind: str, step: str) -> str:
        """The run whose step it is, once an entry says so; read on from where the last look ended."""
        with contextlib.suppress(sqlite3.OperationalError):  # busy: look again
            for seq, body in self._db.execute(
                "SELECT seq, body FROM entries WHERE seq > ? ORDER BY seq", (self._seen,)
            ):
                self._seen = seq
                for record in json.loads(body)["records"]:
                    if record.get("kind") == kind and record.get("step") == step:
                        return str(record["run"])
        return ""

    def _first_task(self, step: str) -> bool:
        """Whether the author's first task has been reported in this attempt."""
        for file in self._workspace.glob(f".bascule/runs/*/{step}.*/events.jsonl"):
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

    # ---- one act

    def play(self, story: Story, scene: Scene, kills: tuple[Instant, ...]) -> ActAccount:
        """The fault, the kills, the recovery; the end user's account of it. The daemon is started after each kill."""
        eye = Eye(story.workspace, story.stories.last.seq if story.stories.last else 0)
        began = time.time()
        try:
            scene.fault(story.lab)
            for kill in kills:
                eye.wait(kill.step, kill.when)
                story.kill_daemon(with_workers=kill.with_workers)
                story.start_daemon()
        except NeverHappened as missing:
            story.read()
            raise NeverHappened(f"{missing}\n{story.told()}") from missing
        finally:
            eye.close()
        return self.account_of(story, scene, began)

    def account_of(self, story: Story, scene: Scene, began: float) -> ActAccount:
        """Wait for the act's recovery; the end user's account of it."""
        story.wait(f"recovery at {scene.place}", lambda: recovered(story, scene, began), RECOVERY_S)
        story.wait("the end user is well", lambda: story.meter_is_well("client"))
        self.played.append(Act(scene.title, began, time.time() - 0.5, began if scene.loses_data else None))
        self.existing.append(story.existing_ids(0.0))
        user = story.meter("client")
        return account(user, self.played, self.existing, fences(story))[-1]


def _patient(story: Story) -> None:
    """A start takes seconds, on a busy machine a dozen, and its first questions as long again: data that age
    meanwhile, or a preflight of five seconds, would rule a tier out.

    What is really lost is counted by the meter, and bounded as before.
    """
    services = "inventories/lab/services.yml"
    story.edit(services, "rpo: 30s", "rpo: 10m")
    for viable in ("[isp-b-path]", "[geo-ready, geo-replica]", "[cloud-instance-there, backup-age]"):
        line = f"    viable_when: {{all: {viable}}}\n"
        story.edit(services, line, f"{line}    preflight_timeout: 90s\n")


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


# ---- what must be true of the journal


def begun_again(records: list[Record]) -> list[str]:
    """Steps that were begun although they had ended well."""
    done: set[tuple[str, str]] = set()
    again = []
    for record in records:
        if isinstance(record, r.StepFinished) and record.state in (r.StepState.DONE, r.StepState.SKIPPED):
            done.add((record.run, record.step))
        elif isinstance(record, r.StepBegan) and (record.run, record.step) in done:
            again.append(f"{record.run}/{record.step}.{record.attempt}")
    return again


def begun_without_a_look(records: list[Record]) -> list[str]:
    """Attempts that followed one whose end was not seen, without a look, and without proof that it never began."""
    open_: dict[tuple[str, str], bool] = {}  # the step's last attempt is accounted for
    found = []
    for record in records:
        if isinstance(record, r.StepLeftUnseen):
            open_[record.run, record.step] = False
        elif isinstance(record, r.StepLooked | r.StepFinished) or (
            isinstance(record, r.StepRetried) and record.reason is Reason.NEVER_BEGUN
        ):
            open_[record.run, record.step] = True
        elif isinstance(record, r.StepBegan) and not open_.get((record.run, record.step), True):
            found.append(f"{record.run}/{record.step}.{record.attempt}")
    return found


def acted(story: Story, since: int) -> list[r.RunEnded]:
    """How the runs ended of which a playbook was begun. One that stopped before has changed nothing: right after a
    start, before enough was asked again, a run may end as blind, and the next one begins.
    """
    begun = {x.run for x in story.of(r.StepBegan, since) if x.step.partition("-")[0] in PLAYBOOK_STEPS}
    return [x for x in story.of(r.RunEnded, since) if x.run in begun]


def unsettled(story: Story, since: int) -> list[str]:
    """Steps of the runs since then that are neither over nor with a person, in runs that are over or not."""
    found = []
    for started in story.of(r.RunStarted, since):
        run = story.decided.runs[started.run]
        if run.ended is None and run.human is None:
            found.append(f"{run.id} goes on")
        for step in run.steps:
            begun = step.attempt > 0 or (run.ended is not None and run.ended.ok)
            if begun and not step.over and run.human is None:
                found.append(f"{run.id}/{step.name} is {step.state}")
    return found


def apart(story: Story, since_seq: int) -> list[str]:
    """Steps whose end and whose successor's begin are not in one entry: a boundary between them would be untried.

    Of the controller that began the act: one that begins in its middle may have to look first, where it came late.
    """
    found = []
    since = [entry for entry in story.entries if entry.seq > since_seq]
    for entry in since:
        if entry.epoch != since[0].epoch:
            break
        finished = [x for x in entry.records if isinstance(x, r.StepFinished)]
        goes_on = [x for x in entry.records if isinstance(x, r.StepBegan | r.RunEnded | r.RunNeedsHuman)]
        if finished and not goes_on:
            found.append(f"entry {entry.seq}: {finished[-1].step} ends, and nothing begins")
    return found


# ---- what must be true of the targets


@dataclass(frozen=True, slots=True)
class Line:
    """What one task did on one host, as Ansible reported it."""

    run: str
    step: str
    attempt: str
    play: str
    task: str
    host: str
    what: str
    epoch: int
    process: int


def ledger(story: Story) -> list[Line]:
    """Every line of a run so far, the guard's own included, in the order they were written."""
    path = story.workspace / LEDGER
    lines = path.read_text().splitlines() if path.exists() else []
    names = Line.__dataclass_fields__
    return [Line(**{name: value[name] for name in names}) for value in map(json.loads, lines) if value["run"]]


def of_authors(lines: list[Line]) -> list[Line]:
    """Without the guard's."""
    return [line for line in lines if line.play != PLAY]


def played_twice(lines: list[Line]) -> list[str]:
    """Steps of which more than one `ansible-playbook` got as far as a task of the author's."""
    plays: dict[tuple[str, str], set[tuple[str, int]]] = {}
    for line in of_authors(lines):
        plays.setdefault((line.run, line.step), set()).add((line.attempt, line.process))
    return [f"{run}/{step}: {len(found)} times" for (run, step), found in plays.items() if len(found) > 1]


def two_at_one_attempt(lines: list[Line]) -> list[str]:
    """Attempts that were carried out by more than one `ansible-playbook`."""
    processes: dict[str, set[int]] = {}
    for line in lines:
        processes.setdefault(line.attempt, set()).add(line.process)
    return [f"{attempt}: {sorted(found)}" for attempt, found in processes.items() if len(found) > 1]


def changed_twice(lines: list[Line]) -> list[str]:
    """Tasks that changed something on a host although an earlier attempt of the same step had been seen to do it."""
    first: dict[tuple[str, str, str, str], str] = {}
    found = []
    for line in of_authors(lines):
        if line.what != "changed" or line.task.rpartition(" : ")[2] in MAY_REPEAT:
            continue
        key = (line.run, line.step, line.task, line.host)
        if first.setdefault(key, line.attempt) != line.attempt:
            found.append(f"{line.task} on {line.host} in {line.run}/{line.step}")
    return found


def restored_while_serving(lines: list[Line]) -> list[str]:
    """A restore that was done although the application had been started on what was restored before."""
    serving, found = False, []
    for line in of_authors(lines):
        if line.host != "cloud-app":
            continue
        task = line.task.rpartition(" : ")[2]
        serving = serving or (task == "The application is started" and line.what in ("changed", "ok"))
        if serving and task == "Restore the backup" and line.what in ("changed", "failed"):
            found.append(f"{line.run}/{line.step}")
    return found


def promotions(story: Story, host: str) -> int:
    """How often the database of a host was promoted, by its own record: it keeps a history of each timeline."""
    done = story.at(host, "sh", "-c", "ls /var/lib/postgresql/data/pg_wal/*.history 2>/dev/null | wc -l")
    return int(done.stdout.strip() or 0)


def latched(story: Story, site: str) -> Mapping[str, bool]:
    """The outlets of a site: off and latched?"""
    hosts = story.lab.status().detail["hosts"]
    return {
        name: host["power"] == "off" and host["latched"]
        for name, host in hosts.items()
        if name.startswith(f"{site}-") and not name.endswith("-oob")
    }
