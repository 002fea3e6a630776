"""Takes Ansible's events out of printed output, and leaves what a target has printed that looks like one.

The one rule it keeps: an event is what stands in a file of the attempt that the callback has written. In the output the
callback prints only the event's id, between signs that a terminal does not show; so does whoever has a warning printed.
ansible-runner would take a whole event from the output if it finds no file.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ansible_runner.utils import OutputEventFilter


class OwnEvents(OutputEventFilter):  # type: ignore[misc]
    """In the place of ansible-runner's own: the same for every event that the callback has told."""

    # an id is short; what is longer is nobody's, and is not unpacked
    EVENT_DATA_RE = re.compile(r"\x1b\[K((?:[A-Za-z0-9+/=]{1,100}\x1b\[\d{1,3}D){1,2})\x1b\[K")

    def __init__(self, handle: Any, event_callback: Callable[[dict[str, Any]], None], *more: Any, **named: Any) -> None:
        super().__init__(handle, event_callback, *more, **named)
        config = getattr(event_callback, "__self__").config  # noqa: B009  # of the Runner whose method it is
        self._files = Path(config.artifact_dir, "job_events")

    def _emit_event(self, buffered_stdout: str, next_event_data: Any = None) -> Any:
        return super()._emit_event(buffered_stdout, self._told(next_event_data))

    def _told(self, given: Any) -> dict[str, Any] | None:
        """What was printed of an event, if the callback has written it."""
        name = given.get("uuid") if isinstance(given, dict) else None
        if not isinstance(name, str):
            return None
        try:
            known = str(uuid.UUID(name)) == name and (self._files / f"{name}-partial.json").is_file()
        except ValueError:
            known = False
        return {"uuid": name} if known else None
