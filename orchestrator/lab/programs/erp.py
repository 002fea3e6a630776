"""The application `erp`: HTTP in front of PostgreSQL. One POST is one committed transaction.

    python -m orchestrator.lab.programs.erp --settings /etc/erp/erp.env --listen ADDRESS --port PORT [--port PORT]
    python -m orchestrator.lab.programs.erp --settings /etc/erp/erp.env --ready

`POST /transactions`, `GET /transactions/ID`, `GET /transactions?since=EPOCH_S`, `GET /health`, `GET /ready`, as
`docs/lab.md` has them. The one rule it keeps: 201 is said only after COMMIT came back. What certainly did not happen is
503, what may have happened is 504. Settings are read at the start; a changed file takes effect at the next start.
`--ready` prints what `GET /ready` would say, and ends.
"""

from __future__ import annotations

import argparse
import asyncio
import secrets
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.lab.programs import http_server
from orchestrator.lab.programs.erp_database import Database, InDoubtError, UnavailableError
from orchestrator.lab.programs.http_server import Request, Response

MODULE = "orchestrator.lab.programs.erp"
SETTINGS = "/etc/erp/erp.env"
ID_LENGTH_MAX = 200


class SettingsError(Exception):
    """The settings file is missing or wrong; the message names the file and the line."""


@dataclass(frozen=True)
class Settings:
    """What `/etc/erp/erp.env` says."""

    host: str
    port: int
    password: str
    served_by: str


def argv(
    python: str,
    *,
    settings: str = SETTINGS,
    listen: str = "0.0.0.0",  # noqa: S104
    ports: Sequence[int] = (8080,),
) -> tuple[str, ...]:
    """The command line that runs this program."""
    where = [word for port in ports for word in ("--port", str(port))]
    return (python, "-m", MODULE, "--settings", settings, "--listen", listen, *where)


def ready_argv(python: str, *, settings: str = SETTINGS) -> tuple[str, ...]:
    """The command line that tells whether this program could start; exit 0 or 1."""
    return (python, "-m", MODULE, "--settings", settings, "--ready")


def read_settings(path: Path) -> Settings:
    """Read `NAME=VALUE` lines; blank lines and `#` comments are skipped, one pair of quotes around a value is dropped.

    Raises:
        SettingsError: the file cannot be read, a line is no setting, a setting is missing, or the port is no number.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}") from error
    values: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        name, equals, value = line.strip().partition("=")
        if not name or name.startswith("#"):
            continue
        if not equals:
            raise SettingsError(f"{path}:{number}: expected NAME=VALUE")
        quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
        values[name.strip()] = value[1:-1] if quoted else value
    return _settings(path, values)


def _settings(path: Path, values: Mapping[str, str]) -> Settings:
    needed = ("DATABASE_HOST", "DATABASE_PASSWORD", "SERVED_BY")
    missing = [name for name in needed if not values.get(name)]
    if missing:
        raise SettingsError(f"{path}: {', '.join(missing)} not set")
    port = values.get("DATABASE_PORT", "5432")
    if not port.isdigit() or not 0 < int(port) < 65536:
        raise SettingsError(f"{path}: DATABASE_PORT={port!r}: expected a port number")
    return Settings(values["DATABASE_HOST"], int(port), values["DATABASE_PASSWORD"], values["SERVED_BY"])


class Application:
    """Routes in front of one database."""

    def __init__(self, database: Database, served_by: str) -> None:
        self._database = database
        self._served_by = served_by

    async def answer(self, request: Request) -> Response:
        """Route one request; every answer says who gave it."""
        try:
            return await self._route(request)
        except UnavailableError as error:
            return self._say(503, {"error": str(error)})
        except InDoubtError as error:
            return self._say(504, {"error": str(error)})

    async def _route(self, request: Request) -> Response:
        path = request.path.rstrip("/")
        match (request.method, path):
            case ("POST", "/transactions"):
                return await self._post(request)
            case ("GET", "/transactions"):
                return await self._list(request)
            case ("GET", "/health"):
                value = secrets.token_hex(8)
                try:
                    await self._database.beat(self._served_by, value)
                except InDoubtError as error:
                    return self._say(503, {"error": str(error)})  # nobody relies on this row
                return self._say(200, {"status": "ok", "value": value})
            case ("GET", "/ready"):
                return self._say(200, {"status": "ready", "database": await self._database.role()})
            case ("GET", _) if path.startswith("/transactions/"):
                found = await self._database.read(path.removeprefix("/transactions/"))
                return self._say(404, {"error": "no such transaction"}) if found is None else self._say(200, found)
        return self._say(404, {"error": f"no {request.method} {request.path} here"})

    async def _post(self, request: Request) -> Response:
        try:
            identity = request.json().get("id")
        except ValueError as error:
            return self._say(400, {"error": str(error)})
        if not isinstance(identity, str) or not identity or len(identity) > ID_LENGTH_MAX or "\0" in identity:
            return self._say(400, {"error": f'expected {{"id": "1 to {ID_LENGTH_MAX} characters"}}'})
        await self._database.write(identity, self._served_by)
        return self._say(201, {"id": identity})

    async def _list(self, request: Request) -> Response:
        try:
            since_s = float(request.query.get("since", "0"))
        except ValueError:
            return self._say(400, {"error": "since: expected seconds since 1970"})
        return self._say(200, {"ids": await self._database.ids(since_s)})

    def _say(self, status: int, value: object) -> Response:
        return Response.of_json(status, value, {"X-Served-By": self._served_by})


async def _ready(settings: Settings) -> str:
    database = Database(settings.host, settings.port, settings.password)
    try:
        return await database.role()
    finally:
        await database.close()


async def _serve(settings: Settings, listen: str, ports: Sequence[int]) -> None:
    database = Database(settings.host, settings.port, settings.password)
    database.connect_soon()
    try:
        await http_server.serve(Application(database, settings.served_by).answer, listen, ports)
    finally:
        await database.close()


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until SIGTERM, or answer `--ready`."""
    parser = argparse.ArgumentParser(prog="erp")
    parser.add_argument("--settings", type=Path, default=Path(SETTINGS))
    parser.add_argument("--listen", default="0.0.0.0")  # noqa: S104
    parser.add_argument("--port", type=int, action="append")
    parser.add_argument("--ready", action="store_true")
    options = parser.parse_args(arguments)
    try:
        settings = read_settings(options.settings)
        if options.ready:
            print(f"ready: database {settings.host}:{settings.port} is a {asyncio.run(_ready(settings))}")
            return
    except (SettingsError, UnavailableError, InDoubtError) as error:
        print(f"not ready: {error}", file=sys.stderr)
        sys.exit(1)
    asyncio.run(_serve(settings, options.listen, options.port or [8080]))


if __name__ == "__main__":
    main()
