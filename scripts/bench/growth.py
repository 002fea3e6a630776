"""Growth: CPU a question from 10 to 10,000 checks, and the start on journals of 1,000 to 1,000,000 records.

The one rule it keeps: a journal is written by the code that writes journals, and read by the code that a daemon starts
with; with a checkpoint as a daemon leaves it, and without any.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from scripts.bench.cell import Cell
from scripts.bench.many import Mix, daemon_on, write_workspace
from scripts.bench.responders import Responders
from scripts.bench.shape import Comparison, Row

ENTRIES_AT_ONCE = 1000
CHECKS = 1000  # that the journal's verdicts are about


def measure(cell: Cell) -> Iterator[Comparison]:
    """Checks first, then journals."""
    yield _of_checks(cell)
    yield _of_journals(cell)


def _of_checks(cell: Cell) -> Comparison:
    rows = []
    for count in (10, 100, 1000) if cell.quick else (10, 100, 1000, 5000, 10000):
        workspace = cell.directory / f"checks-{count}"
        with Responders() as responders:
            write_workspace(workspace, Mix(icmp=count), responders.ports)
            with daemon_on(workspace) as daemon:
                up_s = daemon.wait_until_up()
                time.sleep(8.0 + count / 400)
                before, asked, began = daemon.cpu_s(), daemon.asking()["asked"], time.monotonic()
                time.sleep(5.0 if cell.quick else 15.0)
                used_s, took_s = daemon.cpu_s() - before, time.monotonic() - began
                asked = daemon.asking()["asked"] - asked
                memory_mib = daemon.memory_mib()
        rows += [
            Row(f"{count} ICMP checks at 1 s: CPU", (100 * used_s / took_s,), "% of a core"),
            Row(f"{count} ICMP checks at 1 s: CPU a question", (1e6 * used_s / asked,), "us"),
            Row(f"{count} ICMP checks at 1 s: memory", (memory_mib,), "MiB"),
            Row(f"{count} ICMP checks at 1 s: start", (up_s,), "s"),
        ]
        cell.say(f"{count} checks: {100 * used_s / took_s:.1f} % of a core, {1e6 * used_s / asked:.0f} us a question")
    return Comparison("growth", "a daemon with more and more checks", tuple(rows), readme=False)


def _of_journals(cell: Cell) -> Comparison:
    from orchestrator.shell.loop import rebuild

    rows = []
    for records in (1000, 10_000) if cell.quick else (1000, 10_000, 100_000, 1_000_000):
        path = cell.directory / f"journal-{records}.db"
        journal = _written(path, records)
        began = time.perf_counter()
        whole = rebuild(journal)
        without_s = time.perf_counter() - began
        _checkpoint(journal, whole)
        began = time.perf_counter()
        rebuild(journal)
        with_s = time.perf_counter() - began
        journal.close()
        rows += [
            Row(f"{records} records: without any checkpoint", (without_s,), "s"),
            Row(f"{records} records: from a checkpoint", (with_s,), "s"),
            Row(f"{records} records: file", (path.stat().st_size / 2**20,), "MiB"),
        ]
        cell.say(f"{records} records: {without_s:.2f} s, from a checkpoint {with_s:.3f} s")
    return Comparison("growth", "start on a journal of so many records", tuple(rows), readme=False)


def _written(path: Path, records: int) -> Any:
    """A journal of verdicts that change to and fro, as many entries share a commit as is quick."""
    from orchestrator.core.records import ControllerBegan, Verdict, VerdictChanged
    from orchestrator.journal.journal import Draft
    from orchestrator.journal.lease import Lease
    from orchestrator.journal.sqlite import SqliteJournal

    journal = SqliteJournal(path)
    lease = journal.acquire("bench", 3600.0)
    if not isinstance(lease, Lease):
        raise RuntimeError(str(lease))
    journal.append(lease, 0.0, time.time(), [ControllerBegan(0.0, "bench", lease.epoch, "boot", True, 0.0)], {})
    done = 1
    while done < records:
        drafts = []
        for number in range(done, min(records, done + ENTRIES_AT_ONCE)):
            check, turn = f"bench/check-{number % CHECKS}", number // CHECKS
            now = Verdict.DOWN if turn % 2 else Verdict.UP
            was = (Verdict.UP if turn % 2 else Verdict.DOWN) if turn else Verdict.UNKNOWN
            evidence = f"{check}: 0/1 replies from 192.0.2.1 (3 bad in a row)"
            first_bad_at = number - 3.0 if now is Verdict.DOWN else None
            record = VerdictChanged(float(number), check, was, now, first_bad_at, evidence, {"loss": 1.0})
            drafts.append(Draft(float(number), 1.8e9 + number, [record], {}))
        journal.append_all(lease, drafts)
        done += len(drafts)
    return journal


def _checkpoint(journal: Any, engine: Any) -> None:
    from orchestrator.core.codec import encode

    journal.checkpoint(journal.last_seq(), encode(engine.decided))
