"""What a console or the cloud's hypervisor says to the lab's power process, over a Unix socket.

Each request is a line of JSON, each reply is a line of JSON; `docs/lab.md` ("Power socket") is the contract. The one
rule it keeps: an answer other than the agreed one is an error, never read as success.
"""

from __future__ import annotations

import asyncio
import json

POWER_SOCKET = "/run/lab/power.sock"
LINE_BYTES_MAX = 1 << 16


class PowerError(Exception):
    """The power process cannot be reached, did not answer in time, or said no."""


async def ask(socket: str, message: dict[str, object], timeout_s: float = 10.0) -> dict[str, object]:
    """Ask one thing of the power process behind `socket`.

    Raises:
        PowerError: no such socket, no answer within `timeout_s`, or an answer that says `error`.
    """
    try:
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_unix_connection(socket, limit=LINE_BYTES_MAX)
            try:
                writer.write(json.dumps(message).encode() + b"\n")
                await writer.drain()
                line = await reader.readline()
            finally:
                writer.close()
        answer = json.loads(line)
    except TimeoutError:
        raise PowerError(f"{socket}: no answer to {message['op']!r} within {timeout_s:g} s") from None
    except (OSError, ValueError) as error:
        raise PowerError(f"{socket}: {error or 'closed without an answer'}") from error
    if not isinstance(answer, dict):
        raise PowerError(f"{socket}: expected a JSON object, got {line[:80]!r}")
    if "error" in answer:
        raise PowerError(str(answer["error"]))
    return answer


async def status(socket: str) -> dict[str, object]:
    """Mains and outlets, as `GET /status` of a console gives them.

    Raises:
        PowerError: see `ask`; also when the answer is not a status.
    """
    answer = await ask(socket, {"op": "status"}, timeout_s=3.0)
    if answer.get("mains") not in {"on", "off"} or not isinstance(answer.get("outlets"), dict):
        raise PowerError(f"{socket}: expected mains and outlets, got {sorted(answer)}")
    return answer


async def switch(socket: str, host: str, power: str, *, latched: bool) -> None:
    """Switch one outlet; returns once it has happened.

    Raises:
        PowerError: see `ask`.
    """
    await _done(socket, {"op": "outlet", "host": host, "power": power, "latched": latched})


async def start(socket: str, host: str) -> None:
    """Boot a host that has no outlet of its own (a cloud instance).

    Raises:
        PowerError: see `ask`.
    """
    await _done(socket, {"op": "start", "host": host})


async def stop(socket: str, host: str) -> None:
    """Cut such a host's power.

    Raises:
        PowerError: see `ask`.
    """
    await _done(socket, {"op": "stop", "host": host})


async def _done(socket: str, message: dict[str, object]) -> None:
    answer = await ask(socket, message)
    if answer.get("ok") is not True:
        raise PowerError(f'{socket}: expected {{"ok": true}} to {message["op"]!r}, got {answer}')
