"""The end user's meter: open-loop, a new transaction on a fixed beat, whatever the result of the last.

    python -m orchestrator.lab.programs.meter --mode transaction URL --resolver ADDRESS --log FILE [--beat 0.02]
    python -m orchestrator.lab.programs.meter --mode fetch URL --log FILE [--resolver ADDRESS] [--beat 0.02]
    python -m orchestrator.lab.programs.meter --mode ids URL --since EPOCH_S [--resolver ADDRESS]

Each attempt is a new connection with a 250 ms limit, name resolution included, and one line in FILE (`docs/lab.md`,
"Meter's log"): acknowledged, refused (certainly not done) or unknown (sent, and no clear answer). `ids` prints which
transactions exist now. The one rule it keeps: a slow service never slows the beat down. Otherwise the meter would not
look exactly when it matters.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO
from urllib.parse import urlsplit

from orchestrator.lab.programs import http_client
from orchestrator.lab.programs.stub_resolver import ResolveError, StubResolver

MODULE = "orchestrator.lab.programs.meter"
BEAT_S = 0.02
LIMIT_S = 0.25
FLUSH_EVERY_S = 0.2
IDS_LIMIT_S = 5.0
NOWHERE = "192.0.2.255"
"""Stands for the resolver where none was given: every URL has an address then."""


@dataclass(frozen=True)
class Target:
    """A URL taken apart once, not fifty times a second."""

    host: str
    port: int
    path: str

    @classmethod
    def of(cls, url: str) -> Target:
        """Take `http://HOST[:PORT]/PATH` apart.

        Raises:
            ValueError: it is no such URL.
        """
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname:
            raise ValueError(f"expected http://HOST[:PORT]/PATH, got {url!r}")
        return cls(parts.hostname, parts.port or 80, parts.path or "/")

    @property
    def host_header(self) -> str:
        """What the `Host` header says."""
        return self.host if self.port == 80 else f"{self.host}:{self.port}"


def transaction_argv(python: str, *, url: str, resolver: str, log: str, beat_s: float = BEAT_S) -> tuple[str, ...]:
    """The command line that measures transactions."""
    return (
        python,
        "-m",
        MODULE,
        "--mode",
        "transaction",
        url,
        "--resolver",
        resolver,
        "--log",
        log,
        "--beat",
        f"{beat_s}",
    )


def fetch_argv(python: str, *, url: str, log: str, beat_s: float = BEAT_S) -> tuple[str, ...]:
    """The command line that measures fetches of a page."""
    return (python, "-m", MODULE, "--mode", "fetch", url, "--log", log, "--beat", f"{beat_s}")


def ids_argv(python: str, *, url: str, resolver: str, since_s: float) -> tuple[str, ...]:
    """The command line that prints `{"ids": [...], "by": ...}`; exit 1 when nobody answers."""
    return (python, "-m", MODULE, "--mode", "ids", url, "--resolver", resolver, "--since", f"{since_s:.3f}")


def outcome_of(mode: str, status: int) -> str:
    """What a status says of a transaction: 500, 502 and 504 do not tell whether it was done."""
    if status == (201 if mode == "transaction" else 200):
        return "acknowledged"
    return "unknown" if status in {500, 502, 504} else "refused"


class Meter:
    """Makes attempts and writes what became of them."""

    def __init__(self, mode: str, target: Target, resolver: StubResolver, log: TextIO, beat_s: float) -> None:
        self._mode = mode
        self._target = target
        self._resolver = resolver
        self._log = log
        self._beat_s = beat_s
        self._run = f"{time.time_ns() // 1_000_000:x}"
        self._lines: list[str] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, stop: asyncio.Event) -> None:
        """Beat until told to stop, then wait for what is still under way."""
        self._lines.append(
            json.dumps(
                {
                    "meter": self._mode,
                    "run": self._run,
                    "url": f"http://{self._target.host_header}{self._target.path}",
                    "beat_s": self._beat_s,
                    "limit_s": LIMIT_S,
                    "wall": time.time(),
                    "mono": time.monotonic(),
                }
            )
        )
        loop = asyncio.get_running_loop()
        began = loop.time()
        flushed = began
        number = 0
        while not stop.is_set():
            while began + number * self._beat_s <= loop.time():
                task = loop.create_task(self._attempt(number))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
                number += 1
            if loop.time() - flushed >= FLUSH_EVERY_S:
                self._flush()
                flushed = loop.time()
            await asyncio.sleep(began + number * self._beat_s - loop.time())
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._flush()

    async def _attempt(self, number: int) -> None:
        loop = asyncio.get_running_loop()
        wall, begun = time.time(), loop.time()
        identity = f"{self._run}-{number:07d}"
        outcome, by, why, address = "refused", "", "", ""
        try:
            async with asyncio.timeout_at(begun + LIMIT_S):
                address = await self._resolver.resolve(self._target.host)
            answer = await http_client.exchange(
                address, self._target.port, self._request(identity), begun + LIMIT_S - loop.time()
            )
            by = answer.headers.get("x-served-by", "")
            outcome = outcome_of(self._mode, answer.status)
            if outcome != "acknowledged":
                why = f"{answer.status} {answer.body[:160].decode(errors='replace').strip()}"
        except TimeoutError:
            why = f"{self._target.host}: not resolved within {LIMIT_S:g} s"
        except ResolveError as error:
            why = str(error)
        except http_client.NoAnswerError as error:
            outcome, why = "unknown", str(error)
        except OSError as error:
            why = str(error)
        line = {
            "n": number,
            "id": identity,
            "wall": round(wall, 6),
            "mono": round(begun, 6),
            "took_s": round(loop.time() - begun, 6),
            "outcome": outcome,
            "by": by,
            "why": why,
            "address": address,
        }
        self._lines.append(json.dumps(line))

    def _request(self, identity: str) -> bytes:
        host = self._target.host_header
        if self._mode == "fetch":
            return http_client.encoded("GET", self._target.path, host, {}, b"")
        body = json.dumps({"id": identity}).encode()
        return http_client.encoded("POST", self._target.path, host, {"Content-Type": "application/json"}, body)

    def _flush(self) -> None:
        if self._lines:
            self._log.write("\n".join(self._lines) + "\n")
            self._log.flush()
            self._lines.clear()


async def existing_ids(target: Target, resolver: StubResolver, since_s: float) -> dict[str, object]:
    """Which transactions exist at the current place, and who says so.

    Raises:
        ResolveError, OSError: nobody answers.
        ValueError: what was answered is no list of ids.
    """
    address = await resolver.resolve(target.host)
    path = f"{target.path}?since={since_s:.3f}"
    request = http_client.encoded("GET", path, target.host_header, {}, b"")
    answer = await http_client.exchange(address, target.port, request, IDS_LIMIT_S)
    if answer.status != 200:
        raise ValueError(f"{answer.status} {answer.body[:160].decode(errors='replace').strip()}")
    ids = json.loads(answer.body)["ids"]
    return {"ids": ids, "by": answer.headers.get("x-served-by", ""), "address": address, "wall": time.time()}


async def _measure(mode: str, target: Target, resolver: StubResolver, path: Path, beat_s: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    with path.open("a", encoding="utf-8") as log:
        await Meter(mode, target, resolver, log, beat_s).run(stop)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure until SIGTERM, or print the ids."""
    parser = argparse.ArgumentParser(prog="meter")
    parser.add_argument("--mode", choices=("transaction", "fetch", "ids"), required=True)
    parser.add_argument("url")
    parser.add_argument("--resolver", default=NOWHERE, help="ADDRESS[:PORT] of the name server")
    parser.add_argument("--log", type=Path)
    parser.add_argument("--beat", type=float, default=BEAT_S)
    parser.add_argument("--since", type=float, default=0.0)
    given = parser.parse_args(arguments)
    if given.log is None and given.mode != "ids":
        parser.error("--log is needed")
    target = Target.of(given.url)
    server, _, port = given.resolver.partition(":")
    resolver = StubResolver(server, int(port or 53))
    if given.mode == "ids":
        try:
            print(json.dumps(asyncio.run(existing_ids(target, resolver, given.since))))
        except (ResolveError, OSError, ValueError, KeyError) as error:
            print(f"{given.url}: {error}", file=sys.stderr)
            sys.exit(1)
        return
    asyncio.run(_measure(given.mode, target, resolver, given.log, given.beat))


if __name__ == "__main__":
    main()
