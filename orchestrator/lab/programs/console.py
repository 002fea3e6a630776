"""A site's out-of-band console: reports mains and outlets, switches outlets. HTTP with a bearer token.

    python -m orchestrator.lab.programs.console --listen ADDRESS --port PORT --token-file FILE --socket POWER_SOCKET

`GET /status`, `GET /outlets/NAME`, `PUT /outlets/NAME` with `{"power": "on"|"off", "latched": true|false}` (absent
`latched`: true for off, false for on). The one rule it keeps: it answers 200 to a PUT only after the power process said
that it has happened. If the power process cannot be asked, it answers 502 with the error, so that nobody takes silence
for a fence.
"""

from __future__ import annotations

import argparse
import asyncio
import hmac
from collections.abc import Sequence
from pathlib import Path

from orchestrator.lab.programs import http_server, power_protocol
from orchestrator.lab.programs.http_server import Request, Response

MODULE = "orchestrator.lab.programs.console"
TOKEN_FILE = "/etc/lab/console-token"  # noqa: S105


def argv(
    python: str,
    *,
    listen: str = "0.0.0.0",  # noqa: S104
    port: int = 8443,
    token_file: str = TOKEN_FILE,
    socket: str = power_protocol.POWER_SOCKET,
) -> tuple[str, ...]:
    """The command line that runs this program."""
    where = ("--listen", listen, "--port", str(port))
    return (python, "-m", MODULE, *where, "--token-file", token_file, "--socket", socket)


class Console:
    """The console's API in front of one power socket."""

    def __init__(self, token: str, socket: str) -> None:
        if not token:
            raise ValueError("the console's token is empty: anybody could switch outlets")
        self._token = token
        self._socket = socket

    async def answer(self, request: Request) -> Response:
        """Route one request."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(token.strip().encode(), self._token.encode()):
            return Response.of_json(401, {"error": "a bearer token is needed"}, {"WWW-Authenticate": "Bearer"})
        try:
            return await self._route(request)
        except power_protocol.PowerError as error:
            return Response.of_json(502, {"error": f"power process: {error}"})

    async def _route(self, request: Request) -> Response:
        if request.path == "/status":
            if request.method != "GET":
                return Response.of_json(405, {"error": "GET /status"})
            return Response.of_json(200, await power_protocol.status(self._socket))
        if not request.path.startswith("/outlets/"):
            return Response.of_json(404, {"error": "GET /status, GET or PUT /outlets/NAME"})
        name = request.path.removeprefix("/outlets/")
        outlet = await self._outlet(name)
        if outlet is None:
            return Response.of_json(404, {"error": f"no outlet {name!r} here"})
        if request.method == "GET":
            return Response.of_json(200, outlet)
        if request.method != "PUT":
            return Response.of_json(405, {"error": "GET or PUT /outlets/NAME"})
        try:
            wanted = request.json()
        except ValueError as error:
            return Response.of_json(400, {"error": str(error)})
        power = wanted.get("power")
        latched = wanted.get("latched", power == "off")
        if power not in {"on", "off"} or not isinstance(latched, bool) or set(wanted) - {"power", "latched"}:
            return Response.of_json(400, {"error": 'expected {"power": "on"|"off", "latched": true|false}'})
        await power_protocol.switch(self._socket, name, str(power), latched=latched)
        return Response.of_json(200, await self._outlet(name))

    async def _outlet(self, name: str) -> object:
        outlets = (await power_protocol.status(self._socket))["outlets"]
        return outlets.get(name) if isinstance(outlets, dict) else None


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(prog="console")
    parser.add_argument("--listen", default="0.0.0.0")  # noqa: S104
    parser.add_argument("--port", type=int, default=8443)
    parser.add_argument("--token-file", type=Path, default=Path(TOKEN_FILE))
    parser.add_argument("--socket", default=power_protocol.POWER_SOCKET)
    options = parser.parse_args(arguments)
    console = Console(options.token_file.read_text(encoding="utf-8").strip(), options.socket)
    asyncio.run(http_server.serve(console.answer, options.listen, [options.port]))


if __name__ == "__main__":
    main()
