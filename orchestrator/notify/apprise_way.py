"""Sends a message through apprise: mail, chat, SMS and some hundred more, each named by a URL.

The one rule it keeps: what apprise and the HTTP library below it log about a delivery stays here, for it may show a URL
and so its password or token.
"""

from __future__ import annotations

import logging
from contextvars import ContextVar
from typing import Any

from orchestrator.core.people import AppriseWay
from orchestrator.notify.harmless import harmless
from orchestrator.notify.message import Message
from orchestrator.notify.redaction import redacted

TIMEOUT_S = 25.0

_sending: ContextVar[bool] = ContextVar("sending", default=False)  # apprise hands it on to threads of its own


def send(way: AppriseWay, message: Message) -> str:
    """Send it, in the calling thread; empty: it was accepted, else why not, without secrets."""
    _sending.set(True)
    try:
        service = _apprise().Apprise()
        if not service.add(way.url):
            return "apprise does not understand its URL"
        result = service.notify(
            title=harmless(message.title).replace("\n", " "),
            body=harmless(message.body),
            body_format="text",  # where a service wants HTML, apprise then escapes it
            interpret_escapes=False,
            notify_type=message.severity,
            timeout=TIMEOUT_S,
        )
    except Exception as error:  # a plug-in's own fault must not end the notifier
        return redacted(f"{type(error).__name__}: {error}", way)
    finally:
        _sending.set(False)
    if result:
        return ""
    said = "; ".join(entry.message for entry in result.logs()) if hasattr(result, "logs") else ""
    return redacted(said or "not accepted", way)


def is_understood(url: str) -> bool:
    """Would apprise take this URL? Reads nothing but the URL."""
    return bool(_apprise().Apprise().add(url))


def _apprise() -> Any:
    """Imported when first needed: it takes a third of a second."""
    import apprise

    logger = logging.getLogger("apprise")
    logger.propagate = False
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
    logging.getLogger("urllib3.connectionpool").addFilter(_is_not_ours)  # adding it again changes nothing
    return apprise


def _is_not_ours(record: logging.LogRecord) -> bool:
    return not _sending.get()
