"""Sends a message through apprise: mail, chat, SMS and some hundred more, each named by a URL.

The one rule it keeps: what apprise and its HTTP library log about a delivery stays here, because it may show a URL and
so its password or token.
"""

from __future__ import annotations

import difflib
import logging
from contextvars import ContextVar
from typing import Any
from urllib.parse import parse_qs, urlsplit

from orchestrator.core.people import AppriseWay
from orchestrator.notify.harmless import harmless
from orchestrator.notify.message import Message
from orchestrator.notify.redaction import redacted

MAILS = ("mailto", "mailtos")

_sending: ContextVar[bool] = ContextVar("sending", default=False)  # apprise hands it on to threads of its own


def send(way: AppriseWay, message: Message) -> str:
    """Send it, in the calling thread; empty: it was accepted, else why not, without secrets.

    It may take as long as the service lets it. Apprise's own time limit is switched off: it would send from a few
    threads that all calls of this program share, and dead services would delay the others.
    """
    _sending.set(True)
    try:
        apprise = _apprise()
        service = apprise.Apprise(asset=apprise.AppriseAsset(service_timeout=0, async_mode=False))
        if not service.add(way.url):
            return "apprise does not understand its URL"
        result = service.notify(
            title=harmless(message.title).replace("\n", " "),
            body=harmless(message.body),
            body_format="text",  # where a service wants HTML, apprise then escapes it
            interpret_escapes=False,
            notify_type=message.severity,
        )
    except Exception as error:  # a plug-in's own fault must not end the notifier
        return redacted(f"{type(error).__name__}: {error}", way)
    finally:
        _sending.set(False)
    if result:
        return ""
    said = "; ".join(entry.message for entry in result.logs()) if hasattr(result, "logs") else ""
    return redacted(said or "not accepted", way)


def trouble_of(url: str) -> tuple[str, str] | None:
    """What is wrong with a URL, and what was expected instead; None: apprise takes it. Shows its scheme alone."""
    scheme, colon, _ = url.partition("://")
    scheme = scheme.lower()
    if not colon:
        return "the way's apprise URL has no scheme", "something like mailto://… or json://…"
    apprise = _apprise()
    from apprise.manager_plugins import NotificationManager

    known = sorted(NotificationManager().schemas())  # type: ignore[no-untyped-call]
    if scheme not in known:
        near = difflib.get_close_matches(scheme, known, n=1, cutoff=0.6)
        return f"apprise knows no service {scheme}://", f"{near[0]}://" if near else "one of those that apprise lists"
    if not apprise.Apprise().add(url):
        needs = "mailto://user:password@host?to=ops@acme.example" if scheme in MAILS else "all that the service needs"
        return f"apprise refuses the URL of this way, {scheme}://…: something of it is missing or wrong", needs
    if scheme in MAILS and not _names_a_recipient(url):
        return f"the URL {scheme}://… names no recipient: mail would go to the sender alone", "?to=ops@acme.example"
    return None


def _names_a_recipient(url: str) -> bool:
    parts = urlsplit(url)
    return bool(parts.path.strip("/") or any(parse_qs(parts.query).get(key) for key in ("to", "cc", "bcc")))


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
