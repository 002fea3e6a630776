"""The shape of `rehearse` of a move: how it is rehearsed beside what serves.

As in `shapes.py`, a shape says what may be written, and not what it means.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator

from orchestrator.config.shape import Duration, Shape, Text
from orchestrator.config.shapes import ConditionShape, Flag, PlaybookRef


def _survey(value: Any) -> Any:
    return {"playbook": value} if isinstance(value, str) else value


class AccountShape(Shape):
    """A cloud account of AWS: which of it is listed. An empty one: all instances and volumes of the usual region."""

    region: Text | None = None
    profile: Text | None = None
    endpoint: Text | None = None
    tags: dict[str, Text] | None = None
    zones: list[Text] | None = None


class SurveyShape(Shape):
    """What is at the target: by the author's own playbook, or what the shipped one lists beside the usual.

    A bare path is short for `playbook`.
    """

    playbook: Text | None = None
    vars: dict[str, Any] | None = None
    limit: Text | None = None
    paths: list[Text] | None = None
    command: Text | None = None
    become: Flag | None = None
    aws: AccountShape | None = None


class RehearseShape(Shape):
    """How a move is rehearsed without touching what serves."""

    REQUIRED = ("hosts", "playbook", "clean_up")
    hosts: Text | None = None
    prepare: PlaybookRef | None = None
    apart_when: ConditionShape = None
    playbook: PlaybookRef | None = None
    verify: ConditionShape = None
    clean_up: PlaybookRef | None = None
    survey: Annotated[SurveyShape, BeforeValidator(_survey)] | None = None
    timeout: Duration | None = None
    verify_timeout: Duration | None = None
