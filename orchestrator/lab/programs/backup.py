"""Ships backups of the local database to S3 while it is the primary.

    python -m orchestrator.lab.programs.backup --api URL --bucket acme-backups --prefix erp/ --host NAME --every 5
    --keep 20 --programs /opt/postgresql/bin [--socket /run/postgresql] [--port 5432] [--database erp]
    [--content erp-content/]

Objects are called `erp/<UTC timestamp>-<host>.dump` (`pg_dump -Fc`). The timestamp and the metadata `snapshot-time`
(epoch seconds) are taken before the dump's snapshot: data is never younger than it claims. The one rule it keeps: an
object is whole or not there. Nothing is shipped from a standby, nor from a database without the application's table (an
instance that waits for its restore would otherwise offer an empty dump as the newest). A missed beat is skipped, never
caught up.

Beside each dump lies what the source held at that instant, as `content.sql` has it, read in the very snapshot of the
dump: `erp-content/<the same name>.json`. A dump with a good hash may still be of the wrong thing, or of nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from orchestrator.lab.programs import aws_rest, http_server

MODULE = "orchestrator.lab.programs.backup"
CONTENT = Path(__file__).with_name("content.sql")
QUESTION = "SELECT NOT pg_is_in_recovery() AND to_regclass('transactions') IS NOT NULL"
TOOL_TIMEOUT_S = 30.0
NAME = re.compile(r"\d{8}T\d{6}(\.\d+)?Z-.+\.dump")


class ToolError(Exception):
    """psql or pg_dump failed; the message has its words."""


@dataclass(frozen=True)
class Source:
    """Where the database is and how to ask it."""

    programs: Path
    socket: str = "/run/postgresql"
    port: int = 5432
    database: str = "erp"

    def command(self, program: str, *options: str) -> tuple[str, ...]:
        """A client program's command line against this database, as the role `postgres`."""
        where = ("-h", self.socket, "-p", str(self.port), "-U", "postgres", "-w", "-d", self.database)
        return (str(self.programs / program), *where, *options)


def argv(
    python: str,
    *,
    host: str,
    api: str,
    bucket: str = "acme-backups",
    prefix: str = "erp/",
    programs: str = "/opt/postgresql/bin",
) -> tuple[str, ...]:
    """The command line that runs this program."""
    target = ("--api", api, "--bucket", bucket, "--prefix", prefix, "--host", host)
    return (python, "-m", MODULE, *target, "--every", "5", "--keep", "20", "--programs", programs)


async def _output(command: Sequence[str]) -> bytes:
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(TOOL_TIMEOUT_S):
            output, words = await process.communicate()
    except TimeoutError:
        raise ToolError(f"{command[0]}: no end within {TOOL_TIMEOUT_S:g} s") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        raise ToolError(f"{command[0]}: {words.decode(errors='replace').strip()[-300:]}")
    return output


def object_name(prefix: str, wall_s: float, host: str) -> str:
    """The object's key; keys sort by time."""
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(wall_s))
    return f"{prefix}{stamp}Z-{host}.dump"


async def _dumped(source: Source) -> tuple[bytes, dict[str, object]]:
    """A dump, and the content of its very snapshot."""
    session = await asyncio.create_subprocess_exec(
        *source.command("psql", "-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    if session.stdin is None or session.stdout is None:
        raise ToolError("psql: no pipes")
    try:
        async with asyncio.timeout(TOOL_TIMEOUT_S):
            session.stdin.write(b"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;\nSELECT pg_export_snapshot();\n")
            snapshot = (await session.stdout.readline()).decode().strip()
            session.stdin.write(CONTENT.read_bytes() + b"\n")
            tables = (await session.stdout.readline()).decode().strip()
            if not snapshot or not tables:
                raise ToolError("psql: it did not tell what the database holds")
            dump = await _output(source.command("pg_dump", "-Fc", "--lock-wait-timeout=2s", f"--snapshot={snapshot}"))
            return dump, json.loads(tables)
    except TimeoutError:
        raise ToolError(f"psql: no answer within {TOOL_TIMEOUT_S:g} s") from None
    finally:
        if session.returncode is None:
            session.kill()
            await session.wait()


class Shipper:
    """One database's way into one bucket."""

    def __init__(
        self,
        source: Source,
        api: aws_rest.Api,
        bucket: str,
        prefix: str,
        host: str,
        keep: int,
        content: str = "erp-content/",
    ) -> None:
        self._source = source
        self._api = api
        self._bucket = bucket
        self._prefix = prefix
        self._host = host
        self._keep = keep
        self._content = content

    async def ship(self) -> str | None:
        """Ship one backup; return its key, or None when this database has none to give.

        Raises:
            ToolError: the database cannot be asked or dumped.
            ApiError: S3 is away or refused.
        """
        answer = await _output(self._source.command("psql", "-X", "-A", "-t", "-c", QUESTION))
        if answer.strip() != b"t":
            return None
        wall_s = time.time()
        dump, tables = await _dumped(self._source)
        key = object_name(self._prefix, wall_s, self._host)
        headers = {"x-amz-meta-snapshot-time": f"{wall_s:.3f}", "Content-Type": "application/octet-stream"}
        held = json.dumps({"taken_at": round(wall_s, 3), "tables": tables}).encode()
        await self._api.call("s3", "PUT", f"/{self._bucket}/{quote(self._content_of(key))}", body=held, timeout_s=5.0)
        target = f"/{self._bucket}/{quote(key)}"
        await self._api.call("s3", "PUT", target, body=dump, headers=headers, timeout_s=5.0)
        await self._prune()
        return key

    def _content_of(self, key: str) -> str:
        return f"{self._content}{key.removeprefix(self._prefix)}.json"

    async def _prune(self) -> None:
        target = f"/{self._bucket}?list-type=2&prefix={quote(self._prefix)}"
        listed = aws_rest.parsed(await self._api.call("s3", "GET", target))
        keys = sorted(key.text or "" for key in aws_rest.elements(listed, "Key"))
        ours = [key for key in keys if NAME.fullmatch(key.removeprefix(self._prefix))]
        for key in ours[: -self._keep]:
            for gone in (key, self._content_of(key)):
                await self._api.call("s3", "DELETE", f"/{self._bucket}/{quote(gone)}")


async def follow(shipper: Shipper, every_s: float) -> None:
    """Ship on a beat, for ever; each trouble is said once."""
    said = ""
    while True:
        due = time.monotonic() + every_s
        try:
            now = "shipping" if await shipper.ship() else "standing by: the local database is no primary with the table"
        except (ToolError, aws_rest.ApiError, OSError) as error:
            now = f"not shipped: {error}"
        if now != said:
            print(f"backup: {now}", file=sys.stderr, flush=True)
        said = now
        await asyncio.sleep(max(0.0, due - time.monotonic()))


async def run(shipper: Shipper, every_s: float) -> None:
    """Ship until SIGTERM."""
    following = asyncio.get_running_loop().create_task(follow(shipper, every_s))
    await http_server.until_told_to_stop()
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Ship until SIGTERM."""
    parser = argparse.ArgumentParser(prog="backup")
    parser.add_argument("--api", required=True)
    parser.add_argument("--bucket", required=True)
    parser.add_argument("--prefix", default="erp/")
    parser.add_argument("--host", required=True)
    parser.add_argument("--every", type=float, default=5.0)
    parser.add_argument("--content", default="erp-content/")
    parser.add_argument("--keep", type=int, default=20)
    parser.add_argument("--programs", type=Path, default=Path("/opt/postgresql/bin"))
    parser.add_argument("--socket", default="/run/postgresql")
    parser.add_argument("--port", type=int, default=5432)
    parser.add_argument("--database", default="erp")
    given = parser.parse_args(arguments)
    source = Source(given.programs, given.socket, given.port, given.database)
    api = aws_rest.Api(given.api)
    shipper = Shipper(source, api, given.bucket, given.prefix, given.host, given.keep, given.content)
    asyncio.run(run(shipper, given.every))


if __name__ == "__main__":
    main()
