"""`make mutants`: every mutant against seeds, and the table of what caught it.

Exit code 1 if any survives, 2 if any breaks the engine.

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


@dataclass(frozen=True, slots=True)
class Played:
    """What became of a task. `broken`: the defect by which the mutant broke the engine, so that nothing is shown."""

    task: Task
    found: list[Caught]
    took_s: float
    broken: str = ""

    def told(self) -> str:
        """In one line."""
        of = f"{self.task.mutant} ({self.task.by.value}, {self.took_s:.0f} s)"
        if self.broken:
            return f"{of}: BREAKS THE ENGINE, and is no mutant of a rule: {self.broken}"
        return f"{of}: {'; '.join(f'{c.world} {c.seed}: {c.violation}' for c in self.found) or 'SURVIVES'}"


def _play(task: Task) -> Played:
    """The first world in which a seed fails; or every world, each to its first."""
    began = time.process_time()
    mutant = next(m for m in MUTANTS if m.name == task.mutant)
    found: list[Caught] = []
    for world in task.worlds:
        campaign = _worlds.campaign(world)
        seeds = seeds_for(campaign, mutant, task.seeds)
        try:
            caught = hunt(campaign, mutant, world, seeds, task.by)
        except BreaksTheEngine as broken:
            return Played(task, found, time.process_time() - began, f"{world}: {broken}")
        if caught is not None:
            found.append(caught)
            if not task.everywhere:
                break
    return Played(task, found, time.process_time() - began)


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
    results: dict[tuple[str, By], Played] = {}
    with multiprocessing.get_context("fork").Pool(given.jobs) as pool:
        for played in pool.imap_unordered(_play, tasks, chunksize=1):
            results[played.task.mutant, played.task.by] = played
            print(played.told(), flush=True)
    _show(chosen, results)
    if broken := sorted({p.task.mutant for p in results.values() if p.broken}):
        print(f"These break the engine, so that nothing is shown of their rules: {', '.join(broken)}. Mend them.")
        return 2
    return 1 if any(not p.found for p in results.values()) else 0


def _show(mutants: list[Mutant], results: dict[tuple[str, By], Played]) -> None:
    ways = sorted({by for _, by in results}, key=list(By).index)
    columns = [c for by in ways for c in (by.value, "seed")]
    table = Table("mutant", "what it takes out", "expected", *columns)
    for mutant in mutants:
        cells = [c for by in ways for c in _cells(mutant, results.get((mutant.name, by)))]
        table.add_row(mutant.name, mutant.takes_out, ", ".join(_statement(n) for n in mutant.expected), *cells)
    Console(width=180).print(table)


def _cells(mutant: Mutant, played: Played | None) -> tuple[str, str]:
    if played is None:
        return "–", "–"  # not for this one to notice
    if played.broken:
        return "[bold red]BREAKS THE ENGINE[/]", "–"
    if not (found := played.found):
        return "[bold red]SURVIVES[/]", "–"
    statement = found[0].violation.statement
    unexpected = "" if statement in mutant.expected else " (another)"
    return f"{_statement(statement)}{unexpected}", f"{found[0].world} {found[0].seed} ({found[0].seeds})"


def _statement(number: int) -> str:
    return str(number) if number else "order"


if __name__ == "__main__":
    raise SystemExit(main())
