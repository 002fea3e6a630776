"""How the daemon logs: readable on a terminal, one JSON object a line otherwise; always to standard error.

The one rule it keeps: a log never stops or delays anything (`outlet.py`), and it never gets a secret: what is logged
was recorded, or a person is about to be told of it, and records and models hold no secrets.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, TextIO, cast

import structlog

from orchestrator.core.outside import visible
from orchestrator.daemon.outlet import Outlet

LAST_LINES_S = 2.0  # at the end, for what is still to be written


def set_up_logs(form: str) -> Outlet:
    """`form`: text or json. From here on everything that is written to standard error goes through the outlet."""
    renderer: structlog.types.Processor = (
        structlog.processors.JSONRenderer() if form == "json" else structlog.dev.ConsoleRenderer(pad_event_to=24)
    )
    processors: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _shown,
        renderer,
    ]

    def missing(count: int, why: str) -> str:
        """A line of the log like any other."""
        event: structlog.types.EventDict = {"event": "lines of this log are missing", "count": count, "why": why}
        for processor in processors:
            event = processor(None, "warning", event)  # type: ignore[assignment]
        return f"{event}\n"

    outlet = Outlet(2, missing)
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(cast("TextIO", outlet)),
        cache_logger_on_first_use=False,
    )
    sys.stderr = outlet
    libraries = logging.StreamHandler(outlet)
    libraries.setFormatter(_Lines())
    logging.basicConfig(level=logging.WARNING, handlers=[libraries], force=True)
    return outlet


def _shown(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Whatever was said by others acts on no terminal that shows the log; a traceback keeps its lines."""
    for name, value in event.items():
        event[name] = _value(value, "\n\t" if name in ("exception", "stack") else "")
    return event


def _value(value: Any, keep: str = "") -> Any:
    if isinstance(value, str):
        return visible(value, keep)
    if isinstance(value, Mapping):
        return {visible(str(k)): _value(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_value(v) for v in value]
    return value


class _Lines(logging.Formatter):
    """What libraries log, shown in the same way."""

    def format(self, record: logging.LogRecord) -> str:
        return visible(super().format(record), "\n\t")
