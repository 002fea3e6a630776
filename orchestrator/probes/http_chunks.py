"""A body that comes in chunks (RFC 9112, 7.1).

The one rule it keeps: what stands between the chunks is bounded. A line of it that is longer than the limit is invalid.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from orchestrator.probes.http_head import NoResponse

_LINE_MAX_BYTES = 16384
_SIZE = re.compile(rb"[0-9A-Fa-f]{1,16}")


class Chunks:
    """Feed it what comes; it gives back what is of the body."""

    def __init__(self) -> None:
        self.complete = False
        self._rest = bytearray()  # the beginning of a line
        self._left = 0  # of the chunk
        self._between = False  # a chunk has ended, and its line has not
        self._trailers = False  # the last chunk has come

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Pieces of the body. Raises `NoResponse`."""
        at = 0
        while at < len(data) and not self.complete:
            if self._left:
                piece = data[at : at + self._left]
                at += len(piece)
                self._left -= len(piece)
                self._between = not self._left
                yield piece
                continue
            end = data.find(b"\n", at)
            self._rest += data[at : end + 1 or len(data)]
            if len(self._rest) > _LINE_MAX_BYTES:
                raise NoResponse("a line between its chunks does not end")
            if end < 0:
                return
            at = end + 1
            line = self._rest.strip()
            self._rest.clear()
            self._read(line)

    def _read(self, line: bytearray) -> None:
        if self._between:
            if line:
                raise NoResponse("a chunk is longer than it says")
            self._between = False
        elif self._trailers:
            self.complete = not line  # what a trailer says, nobody looks at
        else:
            size = line.partition(b";")[0].strip()
            if not _SIZE.fullmatch(size):
                raise NoResponse(f"the size of a chunk is no number: {bytes(size[:40])!r}")
            self._left = int(size, 16)
            self._trailers = not self._left
