"""What the core wants done: imperative, frozen, each carried out only after its entry is durable.

The one rule it keeps: a command is a value. Carrying it out again is safe, or is decided by the core. Whoever carries
one out returns at once; the result comes back as an event.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from orchestrator.core.events import StepKey
from orchestrator.core.model import Json, Playbook


@dataclass(frozen=True, slots=True)
class RunPlaybook:
    """Start one attempt of a playbook step; answer with `StepProgressed` and one `StepEnded`.

    The runner compares `playbook.digest` first (PLAN_CHANGED) and puts the epoch guard before the author's
    playbook. `facts` are given to the playbook as extra variables: `bascule_incident`, `bascule_run`,
    `bascule_epoch`, `bascule_move`, `bascule_drill`, `bascule_draw`, `bascule_deadline`, `bascule_place`,
    `bascule_from`, `bascule_to`.
    `beginning` tells the run from one that had the same id in another journal, or in a copy of this one: what is kept
    of that one's attempts says nothing of this one. Empty: not known. `workspace`: what its
    epochs are known by on targets. `simulated`: in check mode, as `ansible-playbook --check`. `stats`: answer with
    what the playbook publishes by `set_stats`.
    """

    key: StepKey
    client: str
    playbook: Playbook
    facts: Mapping[str, Json]
    epoch: int
    timeout_s: float
    beginning: str = ""
    workspace: str = ""
    simulated: bool = False
    stats: bool = False


@dataclass(frozen=True, slots=True)
class CancelStep:
    """Stop this attempt; its `StepEnded` says what came of it."""

    key: StepKey


@dataclass(frozen=True, slots=True)
class SettleStep:
    """After a restart: prove that this attempt has ended, here and on the target, or adopt it.

    Answer with `StepEnded` (the outcome on record, NEVER_BEGUN or LOST), or with `StepAdopted` and a later `StepEnded`.
    NEVER_BEGUN only where `machine`, which was to carry it out, is the one that answers: any other cannot know. Empty:
    not on record.
    """

    key: StepKey
    client: str
    playbook: Playbook
    timeout_s: float
    beginning: str = ""
    machine: str = ""


@dataclass(frozen=True, slots=True)
class ProbeNow:
    """Ask these checks at once, out of their beat; answers come as ordinary observations."""

    checks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class UseCadence:
    """Ask these checks at this interval from now on; sent only on a change."""

    cadence: Mapping[str, float]  # check id to seconds


class NoticeKind(StrEnum):
    """What people are told."""

    INCIDENT_OPENED = "incident opened"
    TIER_CHOSEN = "tier chosen"
    TIER_FAILED = "tier failed"
    NOT_MADE = "not made"  # a move, of which nothing had been begun
    MOVE_DONE = "move done"  # that was asked for, or a way back
    APPROVAL_NEEDED = "approval needed"
    RECOVERED = "recovered"
    HUMAN_NEEDED = "human needed"
    CANNOT_ACT = "cannot act"
    CANNOT_SEE = "cannot see"  # or reach, or do: see `readiness.py`
    SEES_AGAIN = "sees again"
    DRILL_BEGAN = "drill began"
    DRILL_CHANGED = "drill changed"  # it goes on by something that was loaded since it began
    DRILL_NOT_BACK = "drill not back"  # its way back failed while its service was down
    DRILL_ENDED = "drill ended"
    DRILL_AHEAD = "drill ahead"
    DRILL_MISSED = "drill missed"
    FINDING_OVERDUE = "finding overdue"


MUST_BE_HEARD = (
    NoticeKind.HUMAN_NEEDED,
    NoticeKind.APPROVAL_NEEDED,
    NoticeKind.CANNOT_SEE,
)  # told again until somebody was told


@dataclass(frozen=True, slots=True)
class TellPeople:
    """Deliver one notice; answer with `NoticeDelivered` or, after all retries, `NoticeFailed`.

    `id` is unique for the thing told, so that nobody is told twice. `say` is a command to type, if there is one.
    """

    id: str
    kind: NoticeKind
    client: str
    subject: str  # service or run id
    text: str
    say: str = ""
    to: tuple[str, ...] = ()  # person ids; empty: the client's on-call
    details: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answered:
    """The result of a word, for whoever waits for it."""

    word: str
    accepted: bool
    reason: str
    evidence: str
    run: str | None = None


Command = RunPlaybook | CancelStep | SettleStep | ProbeNow | UseCadence | TellPeople | Answered
