"""The streams to which every verb writes: where text leaves for a terminal or a pipe.

The one rule it keeps: text that somebody else wrote never acts on the terminal that shows it. On a terminal, bascule's
own colours and cursor movements (rich's) pass, and every other control character is written out. Into a pipe or a file,
all control characters are written out. All printing passes here, so this also holds for code that did not think of it.
"""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from orchestrator.core.outside import visible

# What rich and this program say to a terminal: colours, erase, cursor up or to the side, cursor shown or not.
_OURS = re.compile(r"(\x1b\[[0-9;]*[mKABCDGH]|\x1b\[\?(?:25|1049)[lh]|[\r\n\t])")


class Shown(io.TextIOBase):
    """A stream in front of another one: the same, but for what must not reach it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write the text so that it acts on nothing; counts what was given."""
        if not (text.isascii() and text.isprintable()):
            shown = self._shown(text)
            encoding = self._stream.encoding or "utf-8"
            text_out = shown.encode(encoding, "backslashreplace").decode(encoding)  # a terminal may know no ✓
        else:
            text_out = text
        self._stream.write(text_out)
        return len(text)

    def _shown(self, text: str) -> str:
        if not self._stream.isatty():
            return visible(text, "\n\t")
        pieces = _OURS.split(text)
        return "".join(piece if n % 2 else visible(piece) for n, piece in enumerate(pieces))

    def flush(self) -> None:
        """Hand everything on."""
        self._stream.flush()

    def isatty(self) -> bool:
        """Whether a person looks on."""
        return self._stream.isatty()

    def fileno(self) -> int:
        """The descriptor behind."""
        return self._stream.fileno()

    def writable(self) -> bool:
        """Always."""
        return True

    def reconfigure(self, **settings: object) -> None:
        """Pass on what is asked of the stream behind."""
        getattr(self._stream, "reconfigure")(**settings)  # noqa: B009  # only a real text stream has it

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """That of the stream behind."""
        return self._stream.encoding

    @property
    def errors(self) -> str | None:  # type: ignore[override]
        """That of the stream behind."""
        return self._stream.errors

    @property
    def buffer(self) -> object:
        """Bytes written there are nobody's text: whoever copies a file."""
        return self._stream.buffer


@contextmanager
def shown() -> Iterator[None]:
    """For one call of the command: both streams are `Shown`."""
    before = sys.stdout, sys.stderr
    # the streams may be missing altogether (closed by whoever started us)
    sys.stdout, sys.stderr = (Shown(x) if x is not None and not isinstance(x, Shown) else x for x in before)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
