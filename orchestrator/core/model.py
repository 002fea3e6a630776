"""What a configuration compiles to: checks, places, moves, services and limits, all frozen.

The one rule it keeps: a model is complete and consistent before the core sees it: every name resolved, every duration
in seconds, every playbook with its digest. So the core never has to ask whether something exists. Ids are
`client/name`; a check on several hosts is `client/name@host` each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any

from orchestrator.core.schedules import DrillKind as DrillKind
from orchestrator.core.schedules import DrillPlan, MaintenancePlan

REHEARSAL = "the rehearsal of"  # before the id of a move, where it is not the move itself
Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]


class Mode(StrEnum):
    """What bascule may do for a service by itself."""

    OBSERVE = "observe"  # decide and record, do nothing
    ASK = "ask"  # prepare, then wait for a named approval
    AUTO = "auto"


class Combine(StrEnum):
    """How a condition joins its terms."""

    ALL = "all"
    ANY = "any"
    QUORUM = "quorum"


def default_of(cls: type, name: str) -> Any:
    """What a field of a class of this module is where an author writes nothing: the one place of each default."""
    return next(f.default for f in fields(cls) if f.name == name)


@dataclass(frozen=True, slots=True)
class Condition:
    """A three-valued question over checks: all, any, or at least `need` of its terms.

    A term is a check id or another condition. `all` of nothing is true, and is written `None` instead.
    """

    combine: Combine
    terms: tuple[str | Condition, ...]
    need: int = 0  # quorum only

    def checks(self) -> tuple[str, ...]:
        """Every check id it mentions, in the author's order."""
        found: list[str] = []
        for term in self.terms:
            found += term.checks() if isinstance(term, Condition) else (term,)
        return tuple(found)


@dataclass(frozen=True, slots=True)
class LossWindow:
    """Share of questions without a good answer, over a sliding window (as dpinger and mwan3 do)."""

    down: float  # share in 0..1 at or above which the check is down
    up: float  # share at or below which it is up again; between the two it is degraded
    over_s: float


@dataclass(frozen=True, slots=True)
class LatencyWindow:
    """Mean round-trip over a sliding window. Degrades a check; takes it down only with `fails`."""

    high_s: float
    low_s: float
    over_s: float
    fails: bool = False


@dataclass(frozen=True, slots=True)
class Check:
    """One question, asked again and again.

    `options` are the probe's own (target, port, …), already rendered; the core never reads them.
    `domains` are the failure domains that the answer depends on: the host's, and `via`.
    """

    id: str
    client: str
    name: str
    host: str
    probe: str
    options: Mapping[str, Json]
    every_s: float = 1.0
    fast_s: float = 0.5  # interval while something looks wrong or somebody waits for the answer
    timeout_s: float = 1.0
    rise: int = 2
    fall: int = 3
    loss: LossWindow | None = None
    latency: LatencyWindow | None = None
    via: str | None = None
    domains: frozenset[str] = frozenset()
    vantage: str = "local"
    reference: bool = False  # answers "is it me?" for its vantage
    needed_by: tuple[str, ...] = ()  # of a login: ids of the moves whose playbooks go to its host; `REHEARSAL`, id

    @property
    def stale_after_s(self) -> float:
        """Without any answer for so long, the verdict is unknown."""
        return (self.fall if self.fall > 3 else 3) * (self.every_s + self.timeout_s)  # asked at every answer


@dataclass(frozen=True, slots=True)
class Playbook:
    """A playbook file as it was when the configuration was read.

    `digest` covers the file, everything it imports by static reference (roles, tasks, templates) and the
    inventory; the runner compares it again before a step starts. `rests_on`: part by part, a digest of what a proof of
    it rests on (what is read, not its bytes); empty: of an older version, and `digest` stands for it.
    """

    path: str  # relative to the workspace's playbooks/, or absolute: one that is part of bascule
    digest: str
    extra_vars: Mapping[str, Json] = field(default_factory=dict)
    limit: str | None = None
    rests_on: Mapping[str, str] = field(default_factory=dict)


class FenceBy(StrEnum):
    """When bascule may fence a place without a human."""

    NEVER = "never"
    WHEN_DARK = "when_dark"  # only when `dark_when` says that its power is gone
    ALWAYS = "always"


@dataclass(frozen=True, slots=True)
class Fence:
    """How the place left is made unable to act, and what proves it."""

    playbook: Playbook
    proven_when: Condition
    automatic: FenceBy = FenceBy.NEVER
    dark_when: Condition | None = None
    timeout_s: float = 60.0
    safe_to_repeat: bool = True  # switching off twice is switching off


@dataclass(frozen=True, slots=True)
class Isolation:
    """How a place is cut off when a compromise is suspected, and what proves it. It contains; it is no fence."""

    playbook: Playbook
    proven_when: Condition | None = None
    timeout_s: float = 60.0
    safe_to_repeat: bool = True  # closing what is closed changes nothing


@dataclass(frozen=True, slots=True)
class Place:
    """A domain that a service can run in."""

    id: str
    client: str
    name: str
    fence: Fence | None = None
    domains: frozenset[str] = frozenset()
    isolate: Isolation | None = None


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """How a move is rehearsed without touching what serves: a functional drill.

    Steps: preflight, `survey` (what is at the target), `prepare`, `apart_when` (that nothing of what serves can be
    reached from there), `playbook`, `verify`, `clean_up`, and `survey` again, which must find the same. The last two
    are made whatever became of those before. Every playbook of it is limited to `hosts`, an Ansible pattern; `places`:
    ids of the places that some of these are in.
    """

    playbook: Playbook
    clean_up: Playbook
    survey: Playbook
    hosts: str
    places: frozenset[str] = frozenset()
    prepare: Playbook | None = None
    apart_when: Condition | None = None
    verify: Condition | None = None
    timeout_s: float = 300.0
    verify_timeout_s: float = 30.0

    @property
    def asked(self) -> tuple[str, ...]:
        """The checks that it waits for."""
        return tuple(c for x in (self.apart_when, self.verify) if x is not None for c in x.checks())


@dataclass(frozen=True, slots=True)
class Move:
    """One way to bring services back; failback is a move too.

    Steps: isolation of the place where a compromise is suspected, preflight (`viable_when`), approval where asked,
    `prepare` (nothing stops yet), fence of the place left (`hand_over` when the source is healthy, else the place's
    own fence), `playbook`, verify, `finish`.
    """

    id: str
    client: str
    name: str
    playbook: Playbook
    verify: Condition
    to: str | None = None  # place id; None: the services stay where they are
    leaves: frozenset[str] = frozenset()  # place ids it may start from; empty: any
    undoes: str | None = None  # id of the move whose effect it takes back
    holds: tuple[str, ...] = ()  # resources: `client/name`
    via: str | None = None
    viable_when: Condition | None = None
    done_when: Condition | None = None
    prepare: Playbook | None = None
    hand_over: Fence | None = None
    finish: Playbook | None = None
    safe_to_repeat: bool = False
    data_age: str | None = None  # check whose `data_age_s` measurement is the age of the data found at `to`
    timeout_s: float = 300.0
    preflight_timeout_s: float = 5.0
    verify_timeout_s: float = 30.0
    rehearse: Rehearsal | None = None

    @property
    def plays(self) -> dict[str, Playbook]:
        """Every playbook that it declares itself, by its key: not its hand-over's, nor its rehearsal's."""
        return {key: book for key in _PLAYS if (book := getattr(self, key)) is not None}

    @property
    def asks(self) -> dict[str, Condition]:
        """Every condition that it declares itself, by its key: not its hand-over's, nor its rehearsal's."""
        return {key: condition for key in _ASKS if (condition := getattr(self, key)) is not None}


# By their declared types, so that who shows, hides or compares what a move declares forgets no field of it.
_PLAYS = tuple(f.name for f in fields(Move) if str(f.type).partition(" ")[0] == Playbook.__name__)
_ASKS = tuple(f.name for f in fields(Move) if str(f.type).partition(" ")[0] == Condition.__name__)


@dataclass(frozen=True, slots=True)
class Tier:
    """One rung: a move, and the loss that the author accepts there although it exceeds the RPO."""

    move: str
    accept_loss_s: float | None = None
    monthly_cost: float | None = None  # what it costs to have it, in the service's currency


@dataclass(frozen=True, slots=True)
class DowntimeCost:
    """Where the cost of a minute comes from: `parts` of it by name, each as it was written. `once`: a penalty that is
    due when an outage has lasted for `once_after_s`. Amounts are in the service's currency.
    """

    parts: Mapping[str, float] = field(default_factory=dict)
    written: Mapping[str, str] = field(default_factory=dict)
    once: float = 0.0
    once_after_s: float = 0.0
    source: str = ""


@dataclass(frozen=True, slots=True)
class Dependency:
    """A service that must work first; `at` limits it to some places (empty: everywhere)."""

    service: str
    at: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Service:
    """What the client would notice: objectives, placement and ladder."""

    id: str
    client: str
    name: str
    healthy_when: Condition
    ladder: tuple[Tier, ...]
    rto_s: float
    rpo_s: float | None = None
    mtd_s: float | None = None
    mode: Mode = Mode.OBSERVE
    priority: int = 100  # smaller is restored earlier
    downtime_cost: float = 0.0  # per minute, in `currency`
    currency: str = "EUR"
    cost: DowntimeCost | None = None  # where `downtime_cost` comes from
    home: str | None = None
    exclusive: bool = False
    depends_on: tuple[Dependency, ...] = ()
    failback: tuple[str, ...] = ()  # moves that lead back, in order
    automatic_failback: bool = False
    hold_down_s: float = 300.0  # healthy for so long before any automatic failback
    cool_down_s: float = 900.0  # no automatic return to a place that failed less long ago
    settle_s: float = 15.0  # after a dependency recovered, time for this service's own checks
    approval_expires_s: float = 900.0
    owners: tuple[str, ...] = ()  # person ids, asked by name


@dataclass(frozen=True, slots=True)
class Limits:
    """Brakes on automatic action. One set a client, and one for the whole workspace."""

    moves_per_service: int = 6  # K automatic moves ...
    moves_window_s: float = 3600.0  # ... within this
    concurrent_failovers: int = 3  # B at once
    failure_domains: int = 3  # more than P unexplained ...
    failure_window_s: float = 60.0  # ... within W: no automatic action at all
    relapse_s: float = 300.0  # a relapse sooner reopens the incident and its clock
    sighting_s: float = 2.0  # a good answer from the place left, more recent than this, vetoes
    quorum: int | None = None  # vantages that must see a service down, where it has several; None: the majority
    doubt_s: float = 60.0  # blind, or without a quorum, for so long in an incident: a named human is told
    preflight_fresh_s: float = 30.0  # a preflight older than this is asked again before the first destructive step


@dataclass(frozen=True, slots=True)
class Speaker:
    """Who may say words: a person, or a tool. `client` is empty for those of the whole workspace.

    `logins`: names or numbers of the users that may speak for them, and for nobody else; empty: whoever may speak.
    """

    id: str
    client: str
    name: str
    logins: tuple[str, ...] = ()
    tool: bool = False


@dataclass(frozen=True, slots=True)
class Model:
    """A whole workspace, all clients."""

    digest: str
    checks: Mapping[str, Check] = field(default_factory=dict)
    places: Mapping[str, Place] = field(default_factory=dict)
    moves: Mapping[str, Move] = field(default_factory=dict)
    services: Mapping[str, Service] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    client_limits: Mapping[str, Limits] = field(default_factory=dict)
    speakers: Mapping[str, Speaker] = field(default_factory=dict)
    drills: Mapping[str, DrillPlan] = field(default_factory=dict)
    maintenance: Mapping[str, MaintenancePlan] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)  # of bascule, and of what plays its playbooks

    def lasts(self, move: str) -> bool:
        """Whether a move in place has an effect that stays until it is taken back; a restart is over when it ends."""
        found = self.moves[move]
        taken_back = any(m.undoes == move for m in self.moves.values())
        return found.to is None and (found.via is not None or found.done_when is not None or taken_back)

    def references(self, vantage: str) -> tuple[str, ...]:
        """Ids of the checks that tell whether this vantage sees anything at all."""
        return tuple(c.id for c in self.checks.values() if c.reference and c.vantage == vantage)
