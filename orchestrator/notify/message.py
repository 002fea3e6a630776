"""What a notice says, as a subject and a body for people, and as JSON for programs.

It tells which client and service, what happened, for whom it is, and what to type.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.core.commands import NoticeKind, TellPeople
from orchestrator.core.model import Json
from orchestrator.core.outside import visible
from orchestrator.core.people import Person

# How apprise paints it.
SEVERITY = {
    NoticeKind.INCIDENT_OPENED: "warning",
    NoticeKind.TIER_CHOSEN: "info",
    NoticeKind.TIER_FAILED: "warning",
    NoticeKind.NOT_MADE: "warning",
    NoticeKind.MOVE_DONE: "success",
    NoticeKind.APPROVAL_NEEDED: "warning",
    NoticeKind.RECOVERED: "success",
    NoticeKind.HUMAN_NEEDED: "failure",
    NoticeKind.CANNOT_ACT: "failure",
    NoticeKind.CANNOT_SEE: "warning",
    NoticeKind.SEES_AGAIN: "success",
    NoticeKind.DRILL_AHEAD: "info",
    NoticeKind.DRILL_CHANGED: "warning",
    NoticeKind.DRILL_NOT_BACK: "warning",
    NoticeKind.DRILL_MISSED: "warning",
    NoticeKind.FINDING_OVERDUE: "warning",
}


@dataclass(frozen=True, slots=True)
class Message:
    """One notice, ready to be sent."""

    id: str
    title: str
    body: str
    severity: str  # info, success, warning, failure
    data: dict[str, Json]


def message_of(notice: TellPeople, people: Sequence[Person]) -> Message:
    """The message; `people` are those it is for, by name."""
    title = f"[bascule] {_about(notice)}: {notice.kind}"
    lines = [notice.text]
    if notice.say:
        lines += ["", f"Type:  {notice.say}"]
    lines.append("")
    if people:
        lines.append(f"For:  {', '.join(p.name for p in people)}")
    lines.append(f"Notice:  {notice.id}")
    data: dict[str, Json] = {
        "id": notice.id,
        "kind": notice.kind.value,
        "client": notice.client,
        "subject": notice.subject,
        "title": title,
        "text": notice.text,
        "say": notice.say,
        "for": [p.name for p in people],
        "details": dict(notice.details),
    }
    data = {key: _shown(value) for key, value in data.items()}
    return Message(notice.id, title, "\n".join(lines), SEVERITY.get(notice.kind, "info"), data)


def _shown(value: Json) -> Json:
    """For a program that may show it anywhere."""
    if isinstance(value, str):
        return visible(value, "\n")
    if isinstance(value, list | tuple):
        return [_shown(one) for one in value]
    return {visible(key): _shown(one) for key, one in value.items()} if isinstance(value, dict) else value


def data_for(message: Message, person: Person | None) -> dict[str, Json]:
    """The message for a program, with the person that it is to reach, if there is one."""
    if person is None:
        return {**message.data, "to": None}
    to: Json = {"id": person.id, "name": person.name, "email": person.email, "chat": person.chat, "phone": person.phone}
    return {**message.data, "to": to}


def _about(notice: TellPeople) -> str:
    """Client and subject, the client not said twice (ids are `client/name`); without either, all of it."""
    if not notice.client and not notice.subject:
        return "workspace"
    if f"{notice.subject}/".startswith(f"{notice.client}/") or not notice.client:
        return notice.subject or notice.client
    return f"{notice.client} {notice.subject}".strip()
