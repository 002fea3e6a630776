"""The shape of every file that an author writes: keys, types and units, one pydantic model for each mapping.

The one rule it keeps: a shape knows nothing of names. Every field is optional to pydantic, and the required ones stand
in `REQUIRED`. So the rest of a mapping with a broken key is still read, and its other faults are found as well.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, create_model

from orchestrator.config.cost_shapes import DowntimeCost, Monthly
from orchestrator.config.names import spoken
from orchestrator.config.shape import Count, Duration, Shape, Text
from orchestrator.core.durations import show_duration
from orchestrator.core.kinds import BESIDE, WAITED_FOR
from orchestrator.core.model import Check, Fence, Isolation, LatencyWindow, Move, Service, default_of
from orchestrator.core.state.retention import FELL_BEFORE_S

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def _share(value: Any) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*%", value.strip()) if isinstance(value, str) else None
    if found is None or not 0 <= float(found.group(1)) <= 100:
        raise ValueError(f"{value!r} is no percentage: write 0% to 100%, like 40%")
    return float(found.group(1)) / 100


def _name(value: Any) -> str:
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise ValueError(f"{value!r} is no name: letters, digits, '-', '_' and '.', beginning with a letter or digit")
    return value


def _remembered(window_s: float) -> float:
    if window_s > FELL_BEFORE_S:
        raise ValueError(f"{show_duration(window_s)} is too long: at most {show_duration(FELL_BEFORE_S)}")
    return window_s


def _short_for(key: str) -> Callable[[Any], Any]:
    """A bare text stands for a mapping with this one key."""
    return lambda value: {key: value} if isinstance(value, str) else value


_playbook, _move, _service, _secret = map(_short_for, ("playbook", "move", "service", "text"))


def written(seconds: float) -> str:
    """A duration as an author would write it: `15m`, `1h30m`, `250ms`."""
    if 0 < seconds < 1:
        return f"{seconds * 1000:g}ms"
    text = ""
    for unit, length in (("h", 3600), ("m", 60)):
        if seconds >= length:
            text, seconds = f"{text}{int(seconds // length)}{unit}", seconds % length
    return text + (f"{seconds:g}s" if seconds or not text else "")


Share = Annotated[float, BeforeValidator(_share), WithJsonSchema({"type": "string", "examples": ["40%"]})]
Name = Annotated[str, BeforeValidator(_name), WithJsonSchema({"type": "string", "pattern": _NAME.pattern})]
Spoken = Annotated[str, BeforeValidator(spoken), WithJsonSchema({"type": "string"})]
Flag = Annotated[bool, Field(strict=True)]
# Conditions are read apart (see `conditions`): each name in them has a position of its own.
ConditionShape = Annotated[Any, WithJsonSchema({"title": "Condition"})]


class LossShape(Shape):
    """Share of questions without a good answer over a sliding window."""

    REQUIRED = ("down", "up", "over")
    down: Share | None = None
    up: Share | None = None
    over: Duration | None = None


class LatencyShape(Shape):
    """Mean round trip over a sliding window."""

    REQUIRED = ("high", "low", "over")
    high: Duration | None = None
    low: Duration | None = None
    over: Duration | None = None
    fails: Flag = default_of(LatencyWindow, "fails")


class CheckShape(Shape):
    """One entry of a file under checks/; the probe's own options stand beside these keys."""

    REQUIRED = ("name", "probe")
    name: Name | None = None
    hosts: Text | None = None
    clients: list[Name] | None = None
    probe: Text | None = None
    every: Duration | None = None
    fast: Duration | None = None
    timeout: Duration | None = None
    rise: Count | None = None
    fall: Count | None = None
    loss: LossShape | None = None
    latency: LatencyShape | None = None
    via: Text | None = None
    vantage: Text | None = None
    reference: Flag = default_of(Check, "reference")


class ChecksFileShape(Shape):
    """A file under checks/ in its long form."""

    REQUIRED = ("checks",)
    clients: list[Name] | None = None
    checks: list[Any] | None = None


class PlaybookShape(Shape):
    """A playbook with its variables; a bare path is short for it."""

    REQUIRED = ("playbook",)
    playbook: Text | None = None
    vars: dict[str, Any] | None = None
    limit: Text | None = None


PlaybookRef = Annotated[PlaybookShape, BeforeValidator(_playbook)]


class FenceShape(Shape):
    """How a place is made unable to act, and what proves it."""

    REQUIRED = ("playbook", "proven_when")
    playbook: Text | None = None
    vars: dict[str, Any] | None = None
    limit: Text | None = None
    proven_when: ConditionShape = None
    automatic: Literal["never", "when_dark", "always"] = default_of(Fence, "automatic").value
    dark_when: ConditionShape = None
    timeout: Duration | None = None
    safe_to_repeat: Flag = default_of(Fence, "safe_to_repeat")


class HandOverShape(Shape):
    """How a healthy source is stopped cleanly in a planned move."""

    REQUIRED = ("playbook", "proven_when")
    playbook: Text | None = None
    vars: dict[str, Any] | None = None
    limit: Text | None = None
    proven_when: ConditionShape = None
    timeout: Duration | None = None
    safe_to_repeat: Flag = default_of(Fence, "safe_to_repeat")


class IsolateShape(Shape):
    """How a place is cut off when a compromise is suspected; a bare path is short for its playbook."""

    REQUIRED = ("playbook",)
    playbook: Text | None = None
    vars: dict[str, Any] | None = None
    limit: Text | None = None
    proven_when: ConditionShape = None
    timeout: Duration | None = None
    safe_to_repeat: Flag = default_of(Isolation, "safe_to_repeat")


class PlaceShape(Shape):
    """A domain a service can run in."""

    fence: FenceShape | None = None
    isolate: Annotated[IsolateShape, BeforeValidator(_playbook)] | None = None
    domains: list[Name] | None = None


class BackShape(Shape):
    """The way back of a move that stays in place; a bare path is short for its playbook."""

    REQUIRED = ("playbook",)
    playbook: Text | None = None
    vars: dict[str, Any] | None = None
    limit: Text | None = None
    viable_when: ConditionShape = None
    verify: ConditionShape = None
    done_when: ConditionShape = None
    holds: list[Name] | None = None
    via: Name | None = None
    safe_to_repeat: Flag | None = None
    timeout: Duration | None = None
    preflight_timeout: Duration | None = None
    verify_timeout: Duration | None = None


class MoveShape(Shape):
    """One way to bring services back; what the kinds of steps add to it, see `WHOLE_MOVE`."""

    REQUIRED = ("playbook", "verify")
    playbook: Text | None = None
    vars: dict[str, Any] | None = None
    limit: Text | None = None
    to: Name | None = None
    leaves: list[Name] | None = Field(default=None, alias="from")
    back: Annotated[BackShape, BeforeValidator(_playbook)] | None = None
    undoes: Name | None = None
    holds: list[Name] | None = None
    via: Name | None = None
    viable_when: ConditionShape = None
    verify: ConditionShape = None
    done_when: ConditionShape = None
    hand_over: HandOverShape | None = None
    rehearse: Any = None  # RehearseShape
    safe_to_repeat: Flag = default_of(Move, "safe_to_repeat")
    data_age: Text | None = None
    timeout: Duration | None = None
    preflight_timeout: Duration | None = None
    verify_timeout: Duration | None = None


_BY_KINDS: dict[str, Any] = {
    **dict.fromkeys(BESIDE, (PlaybookRef | None, None)),
    **dict.fromkeys(WAITED_FOR, (ConditionShape, None)),
    **dict.fromkeys(WAITED_FOR.values(), (Duration | None, None)),
}
WHOLE_MOVE: type[MoveShape] = create_model(
    MoveShape.__name__,
    __base__=MoveShape,
    __doc__="One way to bring services back.",
    **{key: x for key, x in _BY_KINDS.items() if key not in MoveShape.model_fields},
)


class TierShape(Shape):
    """One rung of a ladder; a bare move name is short for it."""

    REQUIRED = ("move",)
    move: Name | None = None
    accept_loss: Duration | None = None
    costs: Monthly | None = None


class DependencyShape(Shape):
    """A service that must work first; a bare service name is short for it."""

    REQUIRED = ("service",)
    service: Text | None = None
    at: list[Name] | None = None


class ServiceShape(Shape):
    """What the client would notice."""

    REQUIRED = ("healthy_when", "rto")
    mode: Literal["observe", "ask", "auto"] = default_of(Service, "mode").value
    priority: Annotated[int, Field(strict=True, ge=0)] | None = None
    home: Name | None = None
    exclusive: Flag = default_of(Service, "exclusive")
    rto: Duration | None = None
    rpo: Duration | None = None
    mtd: Duration | None = None
    downtime_cost: DowntimeCost | None = None
    depends_on: list[Annotated[DependencyShape, BeforeValidator(_service)]] | None = None
    healthy_when: ConditionShape = None
    ladder: list[Annotated[TierShape, BeforeValidator(_move)]] | None = None
    failback: list[Name] | None = None
    automatic_failback: Flag = default_of(Service, "automatic_failback")
    hold_down: Duration | None = None
    cool_down: Duration | None = None
    settle: Duration | None = None
    approval_expires: Duration | None = None
    owners: list[Name] | None = None


class LimitsShape(Shape):
    """Brakes on automatic action."""

    moves_per_service: Count | None = None
    moves_window: Duration | None = None
    concurrent_failovers: Count | None = None
    failure_domains: Count | None = None
    failure_window: Annotated[Duration, AfterValidator(_remembered)] | None = None
    relapse: Duration | None = None
    sighting: Duration | None = None
    preflight_fresh: Duration | None = None
    quorum: Annotated[int, Field(strict=True, ge=2)] | None = None
    doubt: Duration | None = None


class ServicesFileShape(Shape):
    """inventories/CLIENT/services.yml."""

    inventory: list[Text] | None = None
    domains: list[Name] | None = None
    places: dict[str, Any] | None = None
    moves: dict[str, Any] | None = None
    services: dict[str, Any] | None = None
    limits: LimitsShape | None = None


class SecretShape(Shape):
    """A text that may be secret: the text itself, or where it is kept. A bare text is short for `text`."""

    text: Text | None = None
    env: Text | None = None
    file: Text | None = None


Secretive = Annotated[SecretShape, BeforeValidator(_secret)]


class WayShape(Shape):
    """One way to tell people: an apprise URL or a command."""

    apprise: Secretive | None = None
    command: list[Text] | None = None
    name: Name | None = None
    timeout: Duration | None = None


class PersonShape(Shape):
    """A named person."""

    REQUIRED = ("name",)
    name: Spoken | None = None
    email: Spoken | None = None
    chat: Spoken | None = None
    phone: Spoken | None = None
    deputy: Name | None = None
    logins: list[str | int] | None = None
    tool: Flag = False
    ways: list[WayShape] | None = None


class PeopleFileShape(Shape):
    """inventories/CLIENT/people.yml."""

    people: dict[str, Any] | None = None
    on_call: list[Name] | None = None
    ways: list[WayShape] | None = None


class RetryShape(Shape):
    """How often one way is tried for one notice."""

    attempts: Count | None = None
    first: Duration | None = None
    max: Duration | None = None


class NotifyShape(Shape):
    """Telling people."""

    ways: list[WayShape] | None = None
    deliver: Literal["all", "first"] = "all"
    retry: RetryShape | None = None


class HeartbeatShape(Shape):
    """A URL fetched again and again, so that somebody else notices a dead controller."""

    REQUIRED = ("url",)
    url: Secretive | None = None
    every: Duration | None = None
    timeout: Duration | None = None


class DaemonShape(Shape):
    """The daemon's own name among points of view, and what runs its playbooks."""

    vantage: Name | None = None
    playbooks: Literal["fast", "warm", "cold"] | None = None
    logins: bool | None = None


class WorkspaceFileShape(Shape):
    """bascule.yml, at the top of the workspace."""

    limits: LimitsShape | None = None
    people: dict[str, Any] | None = None
    on_call: list[Name] | None = None
    notify: NotifyShape | None = None
    heartbeat: HeartbeatShape | None = None
    daemon: DaemonShape | None = None
    journal: dict[str, Any] | None = None  # JournalShape
