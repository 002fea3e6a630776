"""How the daemon logs: readable on a terminal, one JSON object a line otherwise; always to standard error.

The one rule it keeps: what is logged was recorded or is about to be noticed by a person; secrets are never handed to
it, since records and models hold none.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any

import structlog

from orchestrator.core.outside import visible


def set_up_logs(form: str) -> None:
    """`form`: text or json."""
    renderer: structlog.types.Processor = (
        structlog.processors.JSONRenderer() if form == "json" else structlog.dev.ConsoleRenderer(pad_event_to=24)
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _shown,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    libraries = logging.StreamHandler(sys.stderr)
    libraries.setFormatter(_Lines())
    logging.basicConfig(level=logging.WARNING, handlers=[libraries])
    logging.getLogger("apprise").setLevel(logging.CRITICAL)  # its messages quote addresses


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
