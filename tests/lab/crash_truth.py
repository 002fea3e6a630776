"""What must be true after a controller was killed: of the journal, and of the targets.

The one rule it keeps: what is expected of playbooks is read from what the targets and Ansible itself report. Each
question gives what speaks against it; nothing is well.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from orchestrator.core import records as r
from orchestrator.core.reasons import Reason
from orchestrator.core.records import Record
from orchestrator.runner.guard import PLAY
from tests.lab.story import Story

LEDGER = "ledger.jsonl"
PLAYBOOK_STEPS = ("fence", "execute")

# What an author lets happen again, and why: nobody is served by a database that is still being restored.
MAY_REPEAT = ("Fetch the backup", "Restore the backup", "Remove the fetched backup")


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
