"""Many notices as one message, for a way with very many waiting notices.

The one rule it keeps: each notice stands in it whole, with its own id. Nothing is cut off and nothing left out.
"""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.core.model import Json
from orchestrator.notify.message import Message

CHARACTERS_MAX = 3500  # what the narrowest of the usual chats takes as one message

_WORST_FIRST = ("failure", "warning", "info", "success")


def length(message: Message) -> int:
    """What it adds to a combined message."""
    return len(message.title) + len(message.body) + 4


def combined(messages: Sequence[Message]) -> Message:
    """One message of all of these, in their order; one alone stays as it is."""
    if len(messages) == 1:
        return messages[0]
    first = messages[0]
    title = f"[bascule] {len(messages)} notices at once"
    body = "\n\n".join(f"{n}. {m.title}\n{m.body}" for n, m in enumerate(messages, start=1))
    severity = min((m.severity for m in messages), key=_WORST_FIRST.index)
    all_of_them: list[Json] = [dict(m.data) for m in messages]
    data: dict[str, Json] = {
        **first.data,
        "kind": "several notices",
        "client": "",
        "subject": "",
        "title": title,
        "text": body,
        "say": "",
        "details": {},
        "notices": all_of_them,
    }
    return Message(first.id, title, body, severity, data)
