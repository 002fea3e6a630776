"""The smallest measurement, in a real cell: it gives figures, and leaves nothing, however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from scripts.bench import cell
from scripts.bench.shape import Comparison, Measurement

pytestmark = pytest.mark.lab

ROOT = Path(__file__).parents[2]


def smallest(module: str = "scripts.bench.smallest", limit_s: float = 60) -> Measurement:
    return Measurement("smallest", "starting a program", module, limit_s, limit_s)


def of_a_cell() -> set[int]:
    """The processes of this machine whose parents are cells: their directory is one."""
    found = set()
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and str(cell.INSIDE) in os.readlink(entry / "cwd"):
                found.add(int(entry.name))
        except OSError:
            continue
    return found


@pytest.fixture(autouse=True)
def _runs_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cell, "RUNS", tmp_path / "runs")


def left() -> list[Path]:
    return list(cell.RUNS.iterdir())


def test_it_gives_figures_and_leaves_nothing() -> None:
    [found] = cell.run(smallest(), quick=True)
    assert isinstance(found, Comparison)
    assert [row.name for row in found.rows] == ["shell", "direct"]
    assert all(len(row.values) == 3 and min(row.values) > 0 for row in found.rows)
    assert not left()


def test_one_that_takes_too_long_is_ended_with_all_that_it_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMALLEST_STAYS", "yes")
    before = of_a_cell()
    with pytest.raises(cell.MeasurementFailed, match="took longer than 2 s"):
        list(cell.run(smallest(limit_s=2), quick=True))
    assert of_a_cell() <= before
    assert not left()


def test_one_that_cannot_be_imported_says_so() -> None:
    with pytest.raises(cell.MeasurementFailed, match=r"No module named 'scripts\.bench\.nowhere'"):
        list(cell.run(smallest("scripts.bench.nowhere"), quick=True))
    assert not left()


def test_what_a_killed_program_left_is_removed_by_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMALLEST_STAYS", "yes")
    before = of_a_cell()
    code = (
        "from pathlib import Path; from scripts.bench import cell; from scripts.bench.shape import Measurement; "
        f"cell.RUNS = Path({str(cell.RUNS)!r}); "
        "run = cell.run(Measurement('smallest', '', 'scripts.bench.smallest', 60, 60), quick=True); "
        "next(run); print('measured', flush=True); next(run)"
    )
    program = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert program.stdout is not None
        assert program.stdout.readline() == "measured\n"
        assert of_a_cell() - before
    finally:
        program.send_signal(signal.SIGKILL)
        program.wait()
    deadline = time.monotonic() + 10
    while of_a_cell() - before and time.monotonic() < deadline:
        time.sleep(0.02)
    assert of_a_cell() <= before, "the kernel ends a cell with whoever made it"
    assert left()
    monkeypatch.delenv("SMALLEST_STAYS")
    deadline = time.monotonic() + 20  # what was mounted there may be let go of a moment after the last process
    while left() and time.monotonic() < deadline:
        list(cell.run(smallest(), quick=True))
    assert not left()
