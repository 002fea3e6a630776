"""Writes the table of docs/benchmarks.md from the JSON of `make bench`: `python -m scripts.bench.readme out.json`.

The one rule it keeps: no figure in the documents is typed by hand. They come from one run of
`make bench ARGS="--json out.json"`, and the machine is named.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from orchestrator.lab.system import home
from scripts.bench.catalogue import MEASUREMENTS
from scripts.bench.machine import described
from scripts.bench.shape import Comparison
from scripts.bench.tables import markdown_table

BEGIN, END = "<!-- bench figures: begin", "<!-- bench figures: end -->"


def block(told: dict[str, Any]) -> str:
    """The block for docs/benchmarks.md."""
    comparisons = [Comparison.from_json(comparison) for comparison in told["comparisons"]]
    loads = told["loads"]
    busy = f"load average when they began: {min(loads):.1f}" + (f" to {max(loads):.1f}" if len(loads) > 1 else "")
    lines = [
        f"{BEGIN} (written by scripts.bench.readme.py from the JSON of make bench) -->",
        f"Measured by `make bench` on {described(told['machine'])};",
        f"{told['machine']['date']}; {busy}.",
        "",
        *markdown_table(comparisons),
        END,
    ]
    return "\n".join(lines)


def joined(runs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The comparisons of several runs in the catalogue's order; where several have the same one, the last one's."""
    found = {(c["measurement"], c["title"]): c for run in runs for c in run["comparisons"]}
    order = [m.name for m in MEASUREMENTS]
    return sorted(found.values(), key=lambda c: order.index(c["measurement"]))


def replaced(text: str, told: dict[str, Any]) -> str:
    """A document with its block of figures written anew. Raises ValueError unless it has exactly one."""
    pattern = re.compile(re.escape(BEGIN) + ".*?" + re.escape(END), re.DOTALL)
    new, count = pattern.subn(lambda _: block(told), text)
    if count != 1:
        raise ValueError(f"expected one block of figures between {BEGIN} … --> and {END}, found {count}")
    return new


def main() -> None:
    """Write it."""
    parser = argparse.ArgumentParser(description="Write the figures of `make bench` into docs/benchmarks.md.")
    parser.add_argument(
        "json", type=Path, nargs="+", help="of one run, or of several that measured one after the other"
    )
    given = parser.parse_args()
    runs = []
    for path in given.json:
        runs.append(json.loads(path.read_text(encoding="utf-8")))
        if runs[-1]["quick"]:
            parser.error(f"{path}: of a quick run, which is not to be quoted")
        for name, why in runs[-1]["failed"].items():  # what had been compared before it failed was compared whole
            print(f"{path}: {name}: not all was measured: {why}", file=sys.stderr)
    told = runs[-1] | {"comparisons": joined(runs), "loads": [run["machine"]["load_1min"] for run in runs]}
    page = home() / "docs" / "benchmarks.md"
    page.write_text(replaced(page.read_text(encoding="utf-8"), told), encoding="utf-8")


if __name__ == "__main__":
    main()
