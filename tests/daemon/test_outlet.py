"""A log, and the progress of a run, stop and delay nobody: a reader that is gone, a pipe that is full, a full disk."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.daemon import outlet as outlets
from orchestrator.daemon.outlet import Outlet


def until(condition: Callable[[], bool], timeout_s: float = 60.0) -> None:
    ends = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < ends, "it never came"
        time.sleep(0.01)


def read_all(fd: int) -> bytes:
    """What can be read without waiting."""
    os.set_blocking(fd, False)
    found = b""
    try:
        while data := os.read(fd, 65536):
            found += data
    except BlockingIOError:
        pass
    return found


def test_a_full_pipe_holds_up_nobody_and_what_is_missing_is_said_when_it_is_read_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(outlets, "KEPT_PIECES", 50)
    reads, writes = os.pipe()
    fcntl.fcntl(writes, fcntl.F_SETPIPE_SZ, 4096)
    out = Outlet(writes)
    for n in range(500):
        print(f"line {n} " + "x" * 200, file=out, flush=True)
    assert out.missing > 0
    seen = b""

    def told() -> tuple[int, int]:
        """Lines that were written, and how many are said to be missing."""
        lines = seen.decode(errors="replace").splitlines()
        missing = sum(int(x.split()[0].lstrip("[")) for x in lines if "could not be written" in x)
        return len([x for x in lines if x.startswith("line ")]), missing

    def all_told() -> bool:
        nonlocal seen
        seen += read_all(reads)
        return sum(told()) >= 500

    until(all_told)
    written, count = told()
    assert written + count == 500
    assert out.missing_in_all == count
    assert out.drain(30.0)


def test_long_and_short_lines_are_counted_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no room for a long one, nothing comes between it and the word of it; that word has room."""
    monkeypatch.setattr(outlets, "KEPT_BYTES", 2000)
    reads, writes = os.pipe()
    fcntl.fcntl(writes, fcntl.F_SETPIPE_SZ, 4096)
    out = Outlet(writes)
    for n in range(500):
        print(f"line {n} " + "x" * (n % 7) * 150, file=out, flush=True)
    seen = b""

    def all_out() -> bool:
        nonlocal seen
        seen += read_all(reads)
        return out.drain(0.0)

    until(all_out)
    seen += read_all(reads)
    expected = 0
    for line in seen.decode().splitlines():
        first, second = line.split()[:2]
        if first == "line":
            assert int(second) == expected
            expected += 1
        else:
            expected += int(first.lstrip("["))
    assert expected == 500
    os.close(reads)
    os.close(writes)


def test_a_reader_that_is_gone_is_no_end_and_another_one_gets_what_was_kept(tmp_path: Path) -> None:
    fifo = tmp_path / "log"
    os.mkfifo(fifo)
    reads = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    writes = os.open(fifo, os.O_WRONLY)
    out = Outlet(writes)
    os.close(reads)
    out.write("nobody reads this\n")
    until(lambda: out.trouble() == "Broken pipe")
    assert not out.drain(0.05)
    reads = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    seen = b""

    def came() -> bool:
        nonlocal seen
        seen += read_all(reads)
        return b"nobody reads this\n" in seen

    until(came)
    until(lambda: out.trouble() == "")


def test_a_full_disk_is_no_end() -> None:
    out = Outlet(os.open("/dev/full", os.O_WRONLY))
    out.write("a line\n")
    until(lambda: out.trouble() == "No space left on device")
    out.write("another\n")
    assert not out.drain(None), "given up, since it cannot be written"


def test_one_that_somebody_made_non_blocking_gets_everything() -> None:
    reads, writes = os.pipe()
    os.set_blocking(writes, False)
    out = Outlet(writes)
    text = "".join(f"{n} {'y' * 100}\n" for n in range(5000))
    out.write(text)
    seen = b""

    def all_read() -> bool:
        nonlocal seen
        seen += read_all(reads)
        return len(seen) >= len(text)

    until(all_read)
    assert seen.decode() == text


def test_the_programs_end_does_not_wait_for_a_reader_that_stands_still() -> None:
    code = (
        "import sys\n"
        "from orchestrator.daemon.logs import set_up_logs\n"
        "import structlog\n"
        "out = set_up_logs('json')\n"
        "log = structlog.get_logger()\n"
        "for n in range(3000): log.info('line', n=n, text='z' * 100)\n"
        "out.drain(0.2)\n"
    )
    reads, writes = os.pipe()
    process = subprocess.Popen([sys.executable, "-c", code], stderr=writes)
    os.close(writes)
    assert process.wait(60) == 0
    os.close(reads)


def test_a_log_says_in_its_own_form_how_many_lines_are_missing(tmp_path: Path) -> None:
    code = (
        "from orchestrator.daemon import outlet\n"
        "outlet.KEPT_PIECES = 10\n"
        "from orchestrator.daemon.logs import set_up_logs\n"
        "import structlog, sys\n"
        "out = set_up_logs('json')\n"
        "log = structlog.get_logger()\n"
        "for n in range(2000): log.info('line', n=n, text='z' * 100)\n"
        "print('full', flush=True)\n"
        "out.drain(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "full\n"
    _, text = process.communicate(timeout=60)
    rows = [json.loads(row) for row in text.splitlines()]
    told = [row for row in rows if "missing" in row["event"]]
    assert told
    assert sum(row["count"] for row in told) + len(rows) - len(told) == 2000
    assert all(row["level"] == "warning" for row in told)
