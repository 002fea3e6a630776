"""A process that appends to a journal until something stops it, for the fault tests.

    python -m tests.journal.writer PATH [--file-limit BYTES] [--entries N] [--hold]

Prints a line for each entry that was acknowledged, and `unwritable: …` for the error that ended it.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from pathlib import Path

from orchestrator.core.records import StepBegan
from orchestrator.journal.journal import JournalError
from orchestrator.journal.lease import Lease
from orchestrator.journal.sqlite import SqliteJournal


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("path", type=Path)
    parser.add_argument("--file-limit", type=int, default=0)
    parser.add_argument("--entries", type=int, default=100_000)
    parser.add_argument("--hold", action="store_true")
    parser.add_argument("--race", action="store_true", help="ask for the lease once, say what came of it, end")
    wanted = parser.parse_args()
    if wanted.file_limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (wanted.file_limit, wanted.file_limit))
    journal = SqliteJournal(wanted.path)
    if wanted.race:
        sys.stdin.readline()  # everybody starts at once
        lease = journal.acquire("racer", 20.0)
        print(f"epoch {lease.epoch}" if isinstance(lease, Lease) else "refused", flush=True)
        sys.stdin.readline()  # alive until all have asked
        return 0
    lease = journal.acquire("writer", 20.0)
    if not isinstance(lease, Lease):
        print(f"refused: {lease}", flush=True)
        return 3
    for n in range(1, wanted.entries + 1):
        try:
            entry = journal.append(lease, float(n), time.time(), [StepBegan(float(n), "r" * 2000, "s", n)], {"c": n})
        except JournalError as error:
            print(f"{type(error).__name__}: {error}", flush=True)
            return 1
        print(f"seq {entry.seq}", flush=True)
    if wanted.hold:
        time.sleep(60)
    return 0


if __name__ == "__main__":
    sys.exit(main())
