"""What came of an attempt whose worker is gone and left no result.

The one rule it keeps: nothing of it runs on when it is called over, as far as this machine can reach: not here, and not
on the targets of the tasks that were under way.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from orchestrator.core.events import AttemptEnd
from orchestrator.runner import attempts, leftovers, sweep
from orchestrator.runner.attempts import Attempt, Result, task_of
from orchestrator.runner.settings import Settings

SETTLE_PATIENCE_S = 5  # how long a target may finish what a dead attempt left running there


def prove_over(attempt: Attempt, workspace: Path, machine: str, *, cancelled: bool, looking_back: bool) -> Result:
    """End what it left here and on the targets, and put its end on record.

    `machine`: the name of this one. `looking_back`: asked for what was begun once, not by whoever has just said "run".
    """
    found = attempt.read_worker()
    events = list(attempt.read_events())
    tasks = tuple(task for task in map(task_of, events) if task is not None)
    if not found:
        # A worker says who it is before it starts anything. For whoever has just said "run", that is a failure to
        # start; for whoever looks back, an end without a result, which is looked at and may be tried again.
        outcome = AttemptEnd.LOST if looking_back else AttemptEnd.COULD_NOT_START
        if cancelled:
            outcome = AttemptEnd.CANCELLED
        result = Result(outcome, "its worker ended before it had started anything", tasks)
        attempt.write_result(result)
        return result
    by = attempt.begun_by(machine)
    why = ["its worker was killed" if by == machine else f"it was begun by {by}, and no end of it is known here"]
    remain = leftovers.end_all(mark=found["mark"]) if found["boot"] == leftovers.boot_id() else 0
    if remain:
        why.append(f"{remain} of its processes on this machine could not be ended")
    running = attempts.unfinished(events)
    if running:
        why[0] += ", during " + "; ".join(f"{host}: {name}" for host, name in running.items())
    chosen = Settings.find(workspace, os.environ)
    temporary = attempt.path / "tmp"  # made by Ansible: nothing that fails here may keep targets from being swept
    why.append(
        sweep.sweep(
            sorted(running),
            mark=found["mark"],
            inventories=found["inventories"],
            directory=str(chosen.directory),
            environment=chosen.environment(
                os.environ, mark=found["mark"], temporary=temporary, kept_for=found.get("kept_for", "")
            ),
            patience_s=SETTLE_PATIENCE_S,
        )
    )
    shutil.rmtree(temporary, ignore_errors=True)
    attempt.drop_work()
    result = Result(AttemptEnd.LOST, "; ".join(filter(None, why)), tasks)
    attempt.write_result(result)
    return result
