"""Has a time-stamping authority sign the journal's head (RFC 3161), and reads back what it signed.

The one rule it keeps: a head counts only with a token by the authority named, over that very line. So whoever rewrites
the journal cannot make one for another head of that time; to take tokens away is all that is left to them.

Of each head two files are kept: `NAME.NUMBER.head`, its line, and `NAME.NUMBER.tsr`, the token, as
`openssl ts -verify -data HEAD -in TSR -CAfile CERTIFICATE` takes them. It is OpenSSL that makes questions and verifies.
"""

from __future__ import annotations

import asyncio
import errno
import os
import re
import socket
import ssl
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import aiohttp

TOKEN_MAX = 1 << 20  # bytes
_REASON = re.compile(r":error:[0-9A-F]+:[^:]+:[^:]*:([^:]+):")
NEWEST = 20  # tokens of a workspace that are looked at
Run = Callable[[Sequence[str]], str]
"""Runs a program to its end; its output. Raises ValueError with what it said where it fails or takes too long."""


@dataclass(frozen=True, slots=True)
class TimeStamping:
    """`url`: of the authority; `certificate`: whom to trust (PEM); `folder`: where the tokens are kept."""

    url: str
    certificate: Path
    folder: Path

    @property
    def shown(self) -> str:
        """The address as it may be told: some authorities take a key in the query."""
        return self.url.partition("?")[0]


def stamp(line: str, name: str, of: TimeStamping, run: Run, timeout_s: float) -> None:
    """Have this line signed, and keep it with its token. Raises OSError, ValueError: then nothing is kept."""
    kept = of.folder / f"{name}.{line.partition(':')[0]}.head"
    there = kept.read_text(encoding="utf-8").split()[:1] if kept.is_file() else []
    if there == line.split()[:1] and not _wrong(kept, of, run):
        return  # of the same entry there is one, and it is older
    with tempfile.TemporaryDirectory(prefix="bascule-") as folder:
        said, query, token = (Path(folder) / x for x in ("head", "query", "token"))
        said.write_text(f"{line}\n", encoding="utf-8")
        run(["openssl", "ts", "-query", "-data", str(said), "-sha256", "-cert", "-out", str(query)])
        token.write_bytes(_answer(of, query.read_bytes(), timeout_s))
        if why := _refused(["-queryfile", str(query)], token, of, run):
            raise ValueError(f"{of.shown} gave no stamp of it: {why}")
        _put(kept.with_suffix(".tsr"), token.read_bytes())
        _put(kept, said.read_bytes())


def stamped(names: Sequence[str], of: TimeStamping, run: Run, failed: dict[str, str]) -> Iterator[str]:
    """The newest lines that the authority has signed. `failed` is told of those for which there is no such token."""
    for name in names:
        found = [x for x in of.folder.glob(f"{name}.*.head") if x.suffixes[-2][1:].isdigit()]
        for kept in sorted(found, key=lambda x: int(x.suffixes[-2][1:]))[-NEWEST:]:
            if why := _wrong(kept, of, run):
                failed[str(kept)] = why
            else:
                yield kept.read_text(encoding="utf-8", errors="replace")


def _wrong(kept: Path, of: TimeStamping, run: Run) -> str:
    """Why it is not signed by the authority; empty: it is."""
    token = kept.with_suffix(".tsr")
    why = _refused(["-data", str(kept)], token, of, run) if token.is_file() else "there is none"
    return why and f"its time stamp does not hold: {why}"


def _refused(over: Sequence[str], token: Path, of: TimeStamping, run: Run) -> str:
    """Why OpenSSL refuses a token; empty: it does not."""
    try:
        run(["openssl", "ts", "-verify", *over, "-in", str(token), "-CAfile", str(of.certificate)])
    except ValueError as error:
        named = _REASON.findall(str(error))  # of several the first: the others follow from it
        return named[0] if named else " ".join(str(error).split())[-200:]
    return ""


def _answer(of: TimeStamping, query: bytes, timeout_s: float) -> bytes:
    import aiohttp  # late: whoever only reads asks nobody

    try:
        return asyncio.run(_asked(of, query, aiohttp.ClientTimeout(total=timeout_s)))
    except TimeoutError:
        raise ValueError(f"{of.shown} did not answer within {timeout_s:g} s") from None
    except aiohttp.ClientConnectorError as error:
        raise ValueError(f"{of.shown}: {_no_connection(error.os_error)}") from None
    except aiohttp.ClientError as error:
        raise ValueError(f"{of.shown} gave no answer of HTTP: {type(error).__name__}") from None


def _no_connection(error: OSError) -> str:
    """In the system's words; of names and certificates those of whoever looked."""
    by_others = isinstance(error, (ssl.SSLError, socket.gaierror)) or error.errno not in errno.errorcode
    said = error.strerror if by_others or error.errno is None else os.strerror(error.errno)
    return said or type(error).__name__


async def _asked(of: TimeStamping, query: bytes, timeout: aiohttp.ClientTimeout) -> bytes:
    """What it answers, in this time in all. An authority that sends one elsewhere is not the one that was named."""
    import aiohttp

    about = {"Content-Type": "application/timestamp-query"}
    async with (
        aiohttp.ClientSession(timeout=timeout, trust_env=True) as session,
        session.post(of.url, data=query, headers=about, allow_redirects=False) as reply,
    ):
        if reply.status != HTTPStatus.OK:
            raise ValueError(f"{of.shown} answered {reply.status} {reply.reason}")
        told = bytearray()
        async for part in reply.content.iter_any():
            told += part
            if len(told) > TOKEN_MAX:
                raise ValueError(f"{of.shown} answered more than a time stamp")
        return bytes(told)


def _put(path: Path, data: bytes) -> None:
    """Whole or not at all, and on the disk when this returns. Its folder has to be there: a mount may be missing."""
    made = path.with_suffix(f"{path.suffix}.new")
    with made.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    made.replace(path)
