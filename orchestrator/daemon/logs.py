"""How the daemon logs: readable on a terminal, one JSON object a line otherwise; always to standard error.

The one rule it keeps: what is logged was recorded or is about to be noticed by a person; secrets are never handed to
it, since records and models hold none.
"""

from __future__ import annotations

import logging
import sys

import structlog


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
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    logging.getLogger("apprise").setLevel(logging.CRITICAL)  # its messages quote addresses
