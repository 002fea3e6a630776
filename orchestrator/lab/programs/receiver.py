"""Receives notifications and heartbeats, so that the lab can show who was told what, and when.

    python -m orchestrator.lab.programs.receiver --listen ADDRESS --port PORT --log FILE

`POST /notify` (any body, any path below it) and `GET|POST /heartbeat/NAME` are appended to FILE as JSON lines and
answered 200. `GET /log` returns them all, `GET /heartbeats` when each name was last heard. The one rule it keeps: an
entry is in the file before the sender is told that it was received.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections.abc import Sequence
from pathlib import Path

from orchestrator.lab.programs import http_server
from orchestrator.lab.programs.http_server import Request, Response

MODULE = "orchestrator.lab.programs.receiver"


def argv(python: str, *, log: str, listen: str = "0.0.0.0", port: int = 8080) -> tuple[str, ...]:  # noqa: S104
    """The command line that runs this program."""
    return (python, "-m", MODULE, "--listen", listen, "--port", str(port), "--log", log)


class Receiver:
    """The log and the last heartbeat of each name."""

    def __init__(self, log: Path) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        self._log = log
        self._heard: dict[str, float] = {}

    async def answer(self, request: Request) -> Response:
        """Route one request."""
        path = request.path.rstrip("/")
        if path == "/log" and request.method == "GET":
            return Response(200, self._log.read_bytes() if self._log.exists() else b"", "application/x-ndjson")
        if path == "/heartbeats" and request.method == "GET":
            return Response.of_json(200, self._heard)
        if path.startswith("/heartbeat/") and request.method in {"GET", "HEAD", "POST"}:
            name = path.removeprefix("/heartbeat/")
            self._heard[name] = self._keep("heartbeat", name, "")
            return Response(200, b"ok\n")
        if (path == "/notify" or path.startswith("/notify/")) and request.method in {"POST", "PUT"}:
            self._keep("notification", path.removeprefix("/notify").strip("/"), request.body.decode(errors="replace"))
            return Response(200, b"ok\n")
        return Response(404, b"POST /notify, GET or POST /heartbeat/NAME, GET /heartbeats, GET /log\n")

    def _keep(self, kind: str, name: str, body: str) -> float:
        now = time.time()
        entry: dict[str, object] = {"wall": round(now, 6), "kind": kind, "name": name}
        if body:
            entry["body"] = body
            try:
                entry["json"] = json.loads(body)
            except ValueError:
                pass  # plain text is as good
        with self._log.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
        return now


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(prog="receiver")
    parser.add_argument("--listen", default="0.0.0.0")  # noqa: S104
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--log", type=Path, required=True)
    options = parser.parse_args(arguments)
    asyncio.run(http_server.serve(Receiver(options.log).answer, options.listen, [options.port]))


if __name__ == "__main__":
    main()
