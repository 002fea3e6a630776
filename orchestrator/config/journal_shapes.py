"""The shape of `journal` in `bascule.yml`: how long it keeps what, and where its head is kept as well.

As in `shapes.py`, a shape says what may be written, and not what it means.
"""

from __future__ import annotations

from orchestrator.config.shape import Duration, Shape, Text


class TimeStampShape(Shape):
    """A time-stamping authority (RFC 3161) that signs the head, and where its tokens are kept."""

    REQUIRED = ("url", "certificate", "folder")
    url: Text | None = None
    certificate: Text | None = None
    folder: Text | None = None


class AnchorShape(Shape):
    """Where the journal's head is kept as well: a file elsewhere, a clone of a git repository, a command, signed."""

    file: Text | None = None
    git: Text | None = None
    command: list[Text] | None = None
    time_stamp: TimeStampShape | None = None


class JournalShape(Shape):
    """How long verdict changes that no incident needs, and ages of data, are kept; where the head is anchored."""

    keep: Duration | None = None
    ages: Duration | None = None
    anchor: AnchorShape | None = None
