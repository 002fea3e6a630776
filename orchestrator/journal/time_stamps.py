"""Has a time-stamping authority sign the journal's head (RFC 3161), and reads back what it signed.

The one rule it keeps: a head counts only with a token by the authority named, over that very line. So whoever rewrites
the journal cannot make one for another head of that time; to take tokens away is all that is left to them.

Of each head two files are kept: `NAME.NUMBER.head`, its line, and `NAME.NUMBER.tsr`, the token, as
`openssl ts -verify -data HEAD -in TSR -CAfile CERTIFICATE` takes them. It is OpenSSL that makes questions and verifies.
"""

from __future__ import annotations

import os
import re
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

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


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """An authority that sends one elsewhere is not the one that was named."""

    def redirect_request(self, *_given: object) -> None:
        """None: it is an error."""


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
        token.write_bytes(_answer(of.url, query.read_bytes(), timeout_s))
        if why := _refused(["-queryfile", str(query)], token, of, run):
            raise ValueError(f"{of.url} gave no stamp of it: {why}")
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


def _answer(url: str, query: bytes, timeout_s: float) -> bytes:
    opener = urllib.request.build_opener(_NoRedirect)
    asked = urllib.request.Request(url, query, {"Content-Type": "application/timestamp-query"})  # noqa: S310 -- checked
    try:
        with opener.open(asked, timeout=timeout_s) as reply:
            told: bytes = reply.read(TOKEN_MAX + 1)
    except urllib.error.HTTPError as error:
        raise ValueError(f"{url} answered {error.code} {error.reason}") from None
    except urllib.error.URLError as error:
        raise ValueError(f"{url}: {error.reason}") from None
    if len(told) > TOKEN_MAX:
        raise ValueError(f"{url} answered more than a time stamp")
    return told


def _put(path: Path, data: bytes) -> None:
    """Whole or not at all, and on the disk when this returns. Its folder has to be there: a mount may be missing."""
    made = path.with_suffix(f"{path.suffix}.new")
    with made.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    made.replace(path)
