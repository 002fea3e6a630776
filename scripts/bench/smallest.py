"""The smallest measurement there is, for the bench's own tests: how long `true` takes, started in two ways."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator

from scripts.bench.cell import Cell
from scripts.bench.rounds import in_turns
from scripts.bench.shape import Comparison, Row


def measure(cell: Cell) -> Iterator[Comparison]:
    """Direct, and through a shell."""

    def direct() -> float:
        began = time.perf_counter()
        subprocess.run(["true"], check=True)
        return time.perf_counter() - began

    def shell() -> float:
        began = time.perf_counter()
        subprocess.run(["sh", "-c", "true; true"], check=True)
        return time.perf_counter() - began

    values = in_turns({"shell": shell, "direct": direct}, cell.rounds(20, 3))
    rows = tuple(Row(name, found) for name, found in values.items())
    yield Comparison("smallest", "starting a program", rows, (("direct", "shell"),), readme=False)
    if os.environ.get("SMALLEST_STAYS"):
        subprocess.Popen(["sleep", "600"])
        time.sleep(600)
