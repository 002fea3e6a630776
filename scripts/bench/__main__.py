"""`python -m scripts.bench [NAME…] [--json FILE] [--quick]`: measures, tells, and with `--json` keeps it all.

Exit codes: 0 every measurement gave its figures, 1 one did not, 2 the call is wrong or it cannot run here. A missed
target is a figure like any other and no failure.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

from scripts.bench import cell, machine, peers
from scripts.bench.catalogue import MEASUREMENTS
from scripts.bench.shape import Measurement
from scripts.bench.tables import text_table


def main() -> int:
    """Run what was named, else everything."""
    given = _arguments()
    chosen = [m for m in MEASUREMENTS if m.name in given.names or not given.names]
    if (why := cell.refusal()) is not None:
        print(why, file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, _interrupt)
    began, (stolen, all_of_it) = time.monotonic(), machine.stolen_share()
    told: dict[str, Any] = {"machine": machine.facts(), "quick": given.quick, "comparisons": [], "failed": {}}
    try:
        for measurement in chosen:
            failure = _measured(measurement, told["comparisons"], quick=given.quick)
            if failure:
                told["failed"][measurement.name] = failure
    except KeyboardInterrupt:
        told["failed"]["interrupted"] = "not everything was measured"
        print("interrupted; everything of it is gone", file=sys.stderr)
    told["took_s"] = round(time.monotonic() - began, 1)
    stolen_now, all_now = machine.stolen_share()
    told["machine"]["stolen_share"] = round((stolen_now - stolen) / max(1e-9, all_now - all_of_it), 4)
    if given.json is not None:
        given.json.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    print(f"\n{machine.described(told['machine'])}; took {told['took_s'] / 60:.1f} min")
    for name, failure in told["failed"].items():
        print(f"{name}: not all was measured: {failure}")
    return 1 if told["failed"] else 0


def _measured(measurement: Measurement, found: list[dict[str, Any]], *, quick: bool) -> str:
    """Tell a measurement's comparisons as they come, and add them to those that were found; why there are not all."""
    print(f"\n{measurement.name}: {measurement.what}", file=sys.stderr, flush=True)
    missing = [text for name in measurement.peers if (text := peers.missing(name))]
    if missing:
        return "; ".join(missing)
    running = cell.run(measurement, quick=quick)
    try:
        for comparison in running:
            found.append(comparison.as_json())
            print("\n" + text_table(comparison), flush=True)
    except cell.MeasurementFailed as failed:
        print(f"    {failed}", file=sys.stderr, flush=True)
        return str(failed)
    finally:
        running.close()  # ends the cell
    return ""


def _arguments() -> argparse.Namespace:
    rows = "\n".join(f"  {m.name:<22}{m.what}" for m in MEASUREMENTS)
    parser = argparse.ArgumentParser(
        prog="python -m scripts.bench",
        description="Measure bascule and its peers side by side.\n\n" + rows,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="measurements; all if none is named")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep every value there")
    parser.add_argument("--quick", action="store_true", help="few rounds: to see that it works, not to quote")
    given = parser.parse_args()
    unknown = set(given.names) - {m.name for m in MEASUREMENTS}
    if unknown:
        known = ", ".join(m.name for m in MEASUREMENTS)
        parser.error(f"there is no measurement {', '.join(sorted(unknown))}; there are: {known}")
    if given.json is not None and not given.json.parent.is_dir():
        parser.error(f"there is no directory {given.json.parent}")
    return given


def _interrupt(_number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
