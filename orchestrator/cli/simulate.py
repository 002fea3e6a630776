"""`bascule simulate`: thousands of seeded disasters on the workspace's own plan, before it is trusted.

The one rule it keeps: it touches nothing. What it finds about the plan stands apart from violations, which are defects
of bascule. Every result says what was not modelled or only assumed.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from shlex import join
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from orchestrator.cli.failures import CallWrong

if TYPE_CHECKING:
    from orchestrator.core.model import Model
    from orchestrator.sim.campaign import Plan, Summary
    from orchestrator.sim.simulation import Result


def simulate(
    *clients: str,
    seeds: Annotated[int, Parameter(name=["--seeds", "-n"])] = 200,
    first: int = 0,
    seed: int | None = None,
    script: Path | None = None,
    hours: float = 0.25,
    jobs: Annotated[int, Parameter(name=["--jobs", "-j"])] = 0,
    modes: Literal["as-written", "auto"] = "as-written",
    checks: bool = False,
    workspace: Annotated[Path | None, Parameter(name=["--workspace", "-w"])] = None,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> int:
    """Try the plan against seeded disasters, in a virtual world. Exit code 1 if bascule broke one of its statements.

    Parameters
    ----------
    clients
        Only these clients.
    seeds
        How many disasters, or mixtures of them.
    first
        The first seed.
    seed
        Replay one seed as a story.
    script
        Play the faults of this file as a story; see docs/simulation.md. Exit code 1 if a reason that it expects
        does not occur.
    hours
        Virtual hours in which things go wrong, for each seed; then everything must come to rest.
    jobs
        Processes; 0: one a core.
    modes
        `auto`: as if every service were in mode auto.
    checks
        In a story, show every check whose verdict changed, not only those by which services are judged.
    workspace
        The directory with playbooks/, inventories/ and checks/.
    as_json
        One JSON object on standard output.
    """
    from orchestrator.sim.campaign import as_auto

    if not 0 < hours < float("inf") or seeds < 1:  # nan is neither: a campaign of no time at all finds nothing
        raise CallWrong("there is nothing to simulate", "Give --seeds of at least 1 and --hours above 0")
    model, usual_s = _plan(workspace, clients)
    if not any(s.ladder for s in model.services.values()):
        raise CallWrong("no service has a ladder: there is nothing to simulate", "Declare services: services.yml")
    plan = _planned(as_auto(model) if modes == "auto" else model, hours, usual_s)
    if script is not None:
        return _scripted(plan, script, seed, checks, as_json)
    if seed is not None:
        return _seeded(plan, seed, checks, as_json)
    summary = _run(plan, range(first, first + seeds), jobs or os.cpu_count() or 1, quiet=as_json)
    of = [*(["--modes", modes] if modes == "auto" else ()), *(["-w", str(workspace)] if workspace is not None else ())]
    return _tell(plan, summary, as_json, join(["bascule", "simulate", *clients, *of, "--hours", str(hours)]))


def _plan(workspace: Path | None, clients: tuple[str, ...]) -> tuple[Model, Mapping[str, float]]:
    from orchestrator.cli.validate import probe_kinds
    from orchestrator.cli.workspace import find_workspace, reading
    from orchestrator.config import load
    from orchestrator.core.transaction import percentile
    from orchestrator.drills import judging

    found = find_workspace(workspace)
    model = load(found, probe_kinds=probe_kinds(), clients=clients or None, judge=judging).model
    with reading(found) as known:
        durations = known.state.decided.durations
    return model, {k: m for k, v in durations.items() if "/" in k and (m := percentile(v, 0.5)) is not None}


def _planned(model: Model, hours: float, usual_s: Mapping[str, float]) -> Plan:
    from orchestrator.core.kinds import TRAITS
    from orchestrator.sim.campaign import Plan

    played = [kind.value for kind, row in TRAITS.items() if row.played]
    steps = {f"{m}/{kind}" for m in model.moves for kind in played}
    return Plan(model, hours, {k: v for k, v in usual_s.items() if k in steps})


def _run(plan: Plan, seeds: range, jobs: int, quiet: bool) -> Summary:
    from orchestrator.sim.campaign import run

    if quiet or not sys.stderr.isatty():
        return run(plan, seeds, min(jobs, len(seeds)))
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from orchestrator.cli.simulation_text import virtual
    from orchestrator.core.durations import counted

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("seeds", total=len(seeds))

        def progress(so_far: Summary) -> None:
            found = len(so_far.violations)
            text = virtual(so_far.virtual_s / 3600) + (f", {counted(found, 'violation')}" if found else "")
            bar.update(task, completed=so_far.seeds, description=text)

        return run(plan, seeds, min(jobs, len(seeds)), progress)


def _tell(plan: Plan, summary: Summary, as_json: bool, again: str) -> int:
    """`again`: the command that simulates the same plan."""
    from orchestrator.cli.simulation_text import as_data, show_summary

    if as_json:
        print(json.dumps(as_data(plan, summary)))
    else:
        show_summary(plan, summary)
        for one, statement in sorted({(s, v.statement) for s, v in summary.violations})[:1]:
            _shortest(plan, one, statement, again)
    return 1 if summary.violations else 0


def _shortest(plan: Plan, seed: int, statement: int, again: str) -> None:
    """The shortest script that still breaks the statement, as a story."""
    from orchestrator.sim.campaign import CALM_S, Campaign
    from orchestrator.sim.shrink import shrink
    from orchestrator.sim.simulation import quiet

    quiet()
    campaign = Campaign(plan)
    print(f"\nThe shortest script of seed {seed} that still breaks statement {statement}:\n")
    result = shrink(campaign.script_player(seed), campaign.script(seed), statement, plan.length_s, CALM_S)
    _story(plan, result, seed, plan.length_s, checks=False, as_json=False)
    print(f"\nReplay the whole seed: {again} --seed {seed}")


def _seeded(plan: Plan, seed: int, checks: bool, as_json: bool) -> int:
    from orchestrator.sim.campaign import Campaign
    from orchestrator.sim.simulation import quiet

    quiet()
    _story(plan, (result := Campaign(plan).play(seed)), seed, plan.length_s, checks, as_json)
    return 1 if result.violations else 0


def _scripted(plan: Plan, file: Path, seed: int | None, checks: bool, as_json: bool) -> int:
    """Somebody's own disaster. `seed`: other chances than the file's."""
    from orchestrator.sim.campaign import Campaign
    from orchestrator.sim.scripts import ScriptInvalid, parse
    from orchestrator.sim.simulation import quiet

    campaign = Campaign(plan)
    try:
        script = parse(file.read_text(encoding="utf-8"), str(file), campaign.names)
    except ScriptInvalid as invalid:
        raise CallWrong(str(invalid), "How to write a script: docs/simulation.md") from None
    except UnicodeDecodeError as error:
        raise CallWrong(f"{file}: no text in UTF-8: {error}") from None
    quiet()
    chances = script.seed if seed is None else seed
    result = campaign.simulation(chances, script.faults).play(script.length_s, script.calm_s)
    _story(plan, result, chances, script.length_s, checks, as_json)
    text = [x for entry in result.entries for x in entry.records]
    missing = [reason for reason in script.expect if not any(_speaks(x, reason) for x in text)]
    for reason in missing:
        print(f"{file}: expected {reason!r}, and nothing was decided for that reason", file=sys.stderr)
    return 1 if result.violations or missing else 0


def _speaks(record: object, reason: str) -> bool:
    """Whether a record has this reason, or names it as what stands against something."""
    return getattr(record, "reason", None) == reason or f"{reason}: " in str(getattr(record, "evidence", ""))


def _story(plan: Plan, result: Result, seed: int, length_s: float, checks: bool, as_json: bool) -> None:
    """A script that can be kept and changed, and what came of it."""
    from orchestrator.sim.narration import tell, that_matter, wrapped
    from orchestrator.sim.scripts import CUT_HERE, write

    lines = tell(result, checks=True if checks else that_matter(plan.model))
    written = write(result.faults, seed, length_s)
    if as_json:
        told = {"seed": seed, "violations": [str(v) for v in result.violations], "story": list(lines)}
        print(json.dumps(told | {"script": written}))
        return
    print("\n".join(written), "", CUT_HERE, sep="\n")
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
    for line in wrapped(lines, max(width, 60)) if width else lines:
        print(line)
