"""Passes a message to a program: one JSON object on its standard input, no shell, exit 0 means delivered.

The one rule it keeps: nothing of a program outlasts its time. A program that hangs is killed with everything it
started. One that prints without end is read without being kept. One whose children live on is not waited for.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from asyncio.subprocess import DEVNULL, PIPE, Process

from orchestrator.core.codec import dumps
from orchestrator.core.model import Json
from orchestrator.core.people import CommandWay
from orchestrator.notify.redaction import redacted

SAID_BYTES_MAX = 8192  # of what it prints on standard error, the end
LAST_WORDS_S = 0.5  # after its end, for what it has printed still to be read
POLL_S = 0.02
REAP_S = 2.0  # a killed process that cannot even die is not waited for


async def send(way: CommandWay, data: dict[str, Json]) -> str:
    """Run it; empty: delivered, else why not, without secrets."""
    try:
        process = await asyncio.create_subprocess_exec(
            *way.argv, stdin=PIPE, stdout=DEVNULL, stderr=PIPE, start_new_session=True
        )
    except (OSError, ValueError) as error:
        return redacted(f"could not be started: {getattr(error, 'strerror', None) or error}", way)
    said = bytearray()
    reading = asyncio.create_task(_keep_the_end(process, said))
    giving = asyncio.create_task(_give(process, dumps(data) + b"\n"))
    try:
        async with asyncio.timeout(way.timeout_s):
            code = await _ended(process)
        await asyncio.wait({reading}, timeout=LAST_WORDS_S)
    except TimeoutError:
        return f"no end within {way.timeout_s:g} s: killed"
    finally:
        for task in (reading, giving):
            task.cancel()
        await _end(process)
    if code == 0:
        return ""
    lines = said.decode(errors="replace").strip().splitlines()
    ended = f"exit code {code}" if code >= 0 else f"ended by signal {-code}"
    return redacted(ended + (f": {lines[-1]}" if lines else ""), way)


async def _ended(process: Process) -> int:
    """Its exit code, once it has ended. (`Process.wait` would also wait for whoever still holds its pipes.)"""
    while (code := process.returncode) is None:  # noqa: ASYNC110 - nothing tells of it
        await asyncio.sleep(POLL_S)
    return code


async def _give(process: Process, text: bytes) -> None:
    """What it is told; one that does not read it is not made to."""
    if process.stdin is not None:
        with contextlib.suppress(ConnectionError):
            process.stdin.write(text)
            await process.stdin.drain()
        process.stdin.close()


async def _keep_the_end(process: Process, said: bytearray) -> None:
    """Read standard error as long as it comes; only its end is kept."""
    while process.stderr is not None and (data := await process.stderr.read(65536)):
        said += data
        del said[:-SAID_BYTES_MAX]


async def _end(process: Process) -> None:
    """Nothing of its session is left when this returns, or as good as nothing."""
    with contextlib.suppress(ProcessLookupError, PermissionError):  # it ended, with all it started
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(REAP_S):
            await _ended(process)
    transport = getattr(process, "_transport", None)  # a child of its own session may hold our pipe for ever
    if transport is not None:
        transport.close()
