"""`make mutants`: every mutant against seeds, and the table of what caught it. Exit code 1 if any survives.

The one rule it keeps: a mutant counts as caught by the oracles only where the core's own invariants were switched
off, and as caught by the core only where the oracles were not listened to.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import time
from dataclasses import dataclass
from itertools import product

from rich.console import Console
from rich.table import Table

from orchestrator.sim.simulation import quiet
from tests.mutants.brakes import BRAKES
from tests.mutants.drills import DRILLS
from tests.mutants.guards import GUARDS
from tests.mutants.hunt import BreaksTheEngine, By, Caught, Worlds, hunt, seeds_for, worlds
from tests.mutants.mutant import Mutant
from tests.mutants.ordering import ORDERING
from tests.mutants.schedules import SCHEDULES
from tests.mutants.speech import SPEECH

MUTANTS: tuple[Mutant, ...] = (*GUARDS, *BRAKES, *ORDERING, *SPEECH, *DRILLS, *SCHEDULES)
_worlds = Worlds()


@dataclass(frozen=True, slots=True)
class Task:
    """One mutant, and who is to notice it."""

    mutant: str
    by: By
    seeds: int
    worlds: tuple[str, ...]
    everywhere: bool


def _play(task: Task) -> tuple[Task, list[Caught], float]:
    """The first world in which a seed fails; or every world, each to its first."""
    began = time.process_time()
    mutant = next(m for m in MUTANTS if m.name == task.mutant)
    found = []
    for world in task.worlds:
        campaign = _worlds.campaign(world)
        seeds = seeds_for(campaign, mutant, task.seeds)
        try:
            caught = hunt(campaign, mutant, world, seeds, task.by)
        except BreaksTheEngine as broken:
            print(f"{mutant.name} is no mutant of a rule, it breaks the engine: {broken}", flush=True)
            caught = None
        if caught is not None:
            found.append(caught)
            if not task.everywhere:
                break
    return task, found, time.process_time() - began


def main() -> int:
    """Play them and print the table."""
    asked = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    asked.add_argument("names", nargs="*", help="only these mutants")
    asked.add_argument(
        "--seeds", type=int, default=300, help="at most so many that give a mutant a chance, in each world"
    )
    asked.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    asked.add_argument(
        "--world", action="append", choices=worlds(), help="only these; the first that catches is enough"
    )
    asked.add_argument("--by", action="append", choices=[b.value for b in By], help="who is to notice; all if not said")
    asked.add_argument("--everywhere", action="store_true", help="each world, and not only the first that catches")
    given = asked.parse_args()
    chosen = [m for m in MUTANTS if not given.names or m.name in given.names]
    tried = tuple(given.world or worlds())
    quiet()
    for world in tried:
        _worlds.campaign(world)  # once, before the processes part
    ways = [By(x) for x in given.by] if given.by else list(By)
    pairs = [(by, m) for by, m in product(ways, chosen) if by is not By.CORE or m.of_the_core]
    tasks = [Task(m.name, by, given.seeds, tried, given.everywhere) for by, m in pairs]
    results: dict[tuple[str, By], list[Caught]] = {}
    with multiprocessing.get_context("fork").Pool(given.jobs) as pool:
        for task, found, took_s in pool.imap_unordered(_play, tasks, chunksize=1):
            results[task.mutant, task.by] = found
            told = "; ".join(f"{c.world} {c.seed}: {c.violation}" for c in found) or "SURVIVES"
            print(f"{task.mutant} ({task.by.value}, {took_s:.0f} s): {told}", flush=True)
    _show(chosen, results)
    return 1 if any(not found for found in results.values()) else 0


def _show(mutants: list[Mutant], results: dict[tuple[str, By], list[Caught]]) -> None:
    ways = sorted({by for _, by in results}, key=list(By).index)
    columns = [c for by in ways for c in (by.value, "seed")]
    table = Table("mutant", "what it takes out", "expected", *columns)
    for mutant in mutants:
        cells = [c for by in ways for c in _cells(mutant, results.get((mutant.name, by)))]
        table.add_row(mutant.name, mutant.takes_out, ", ".join(_statement(n) for n in mutant.expected), *cells)
    Console(width=180).print(table)


def _cells(mutant: Mutant, found: list[Caught] | None) -> tuple[str, str]:
    if found is None:
        return "–", "–"  # not for this one to notice
    if not found:
        return "[bold red]SURVIVES[/]", "–"
    statement = found[0].violation.statement
    unexpected = "" if statement in mutant.expected else " (another)"
    return f"{_statement(statement)}{unexpected}", f"{found[0].world} {found[0].seed} ({found[0].seeds})"


def _statement(number: int) -> str:
    return str(number) if number else "order"


if __name__ == "__main__":
    raise SystemExit(main())
