"""Hands a message to a program: one JSON object on its standard input, no shell, exit 0 means delivered.

The one rule it keeps: a program that hangs is killed with everything it started.
"""

from __future__ import annotations

import asyncio
import os
import signal
from asyncio.subprocess import DEVNULL, PIPE, Process

from orchestrator.core.codec import dumps
from orchestrator.core.model import Json
from orchestrator.core.people import CommandWay
from orchestrator.notify.redaction import redacted


async def send(way: CommandWay, data: dict[str, Json]) -> str:
    """Run it; empty: delivered, else why not, without secrets."""
    try:
        process = await asyncio.create_subprocess_exec(
            *way.argv, stdin=PIPE, stdout=DEVNULL, stderr=PIPE, start_new_session=True
        )
    except (OSError, ValueError) as error:
        return redacted(f"could not be started: {getattr(error, 'strerror', None) or error}", way)
    try:
        _, said = await asyncio.wait_for(process.communicate(dumps(data) + b"\n"), way.timeout_s)
    except TimeoutError:
        return f"no end within {way.timeout_s:g} s: killed"
    finally:
        await _end(process)
    if process.returncode == 0:
        return ""
    lines = said.decode(errors="replace").strip().splitlines()
    return redacted(f"exit code {process.returncode}" + (f": {lines[-1]}" if lines else ""), way)


async def _end(process: Process) -> None:
    """Nothing of its session is left when this returns."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass  # it ended, with all it started
    await process.wait()
