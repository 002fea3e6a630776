"""What is remembered: the records whose fold is the decided state, and whose list is the story of an incident.

The one rule it keeps: a record says what happened or was decided, why (`reason`) and on what evidence, so that it can
be read years later without the program. It is never changed, and its fields only grow, with defaults. Every record is
stamped with `at`, seconds on the journal's axis. Wall stamps stand beside it in the entry.

Here are those of the controller, of words and of notices. Those of incidents, of runs and of drills have modules of
their own. Everybody else finds all of them here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from orchestrator.core.commands import NoticeKind
from orchestrator.core.events import Peer, WordKind
from orchestrator.core.kinds import StepKind as StepKind
from orchestrator.core.model import Json
from orchestrator.core.reasons import Reason
from orchestrator.core.records_of_drills import *  # noqa: F403 - all of them
from orchestrator.core.records_of_drills import OfDrills
from orchestrator.core.records_of_incidents import *  # noqa: F403
from orchestrator.core.records_of_incidents import OfIncidents
from orchestrator.core.records_of_runs import *  # noqa: F403
from orchestrator.core.records_of_runs import OfRuns


@dataclass(frozen=True, slots=True)
class ControllerBegan:
    """A controller took over with this epoch; steps that were running are unseen from now on.

    `machine`: the one that carries out what it begins. `workspace`: what its epochs are known by on targets; empty in
    records of versions that kept it in a file.
    """

    at: float
    controller: str
    epoch: int
    boot: str
    same_boot: bool
    assumed_gap_s: float
    machine: str = ""
    workspace: str = ""


@dataclass(frozen=True, slots=True)
class Configured:
    """A model is in force. `homes`: service id to its home place, for services that are new."""

    at: float
    digest: str
    homes: Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class WordAccepted:
    """An operator's word took effect."""

    at: float
    word: str
    kind: WordKind
    who: str
    subject: str
    why: str
    reason: Reason
    evidence: str
    run: str | None = None
    ends_at: float | None = None
    overrides: tuple[str, ...] = ()  # guards that the person goes against, by their reason words
    person: str = ""  # id of the person whom the name means; empty: it is nobody's of the people declared
    peer: Peer | None = None  # who it was said by, as the kernel says


@dataclass(frozen=True, slots=True)
class WordRefused:
    """An operator's word was refused, by this rule and on this evidence."""

    at: float
    word: str
    kind: WordKind
    who: str
    subject: str
    why: str
    reason: Reason
    evidence: str
    person: str = ""
    peer: Peer | None = None


@dataclass(frozen=True, slots=True)
class PlaybookSeen:
    """What the playbook of this digest is made of differs on disk: it is not run. Without evidence: no more."""

    at: float
    digest: str
    evidence: str


@dataclass(frozen=True, slots=True)
class WindowOpened:
    """An announced maintenance window began."""

    at: float
    subject: str
    window: str
    ends_at: float


@dataclass(frozen=True, slots=True)
class WindowClosed:
    """An announced maintenance window ended."""

    at: float
    subject: str
    window: str


@dataclass(frozen=True, slots=True)
class NoticeDue:
    """Somebody is to be told."""

    at: float
    notice: str
    kind: NoticeKind
    client: str
    subject: str
    text: str
    say: str = ""
    to: tuple[str, ...] = ()
    details: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NoticeSettled:
    """Somebody was told, or could not be."""

    at: float
    notice: str
    delivered: bool
    evidence: str


@dataclass(frozen=True, slots=True)
class NoticeRepeated:
    """A notice that reached nobody is being told again."""

    at: float
    notice: str


@dataclass(frozen=True, slots=True)
class NoticeDropped:
    """A notice that is not known to have reached anybody is told no more: what it says is not so any longer.

    `unseen`: somebody was at it when the controller ended, so it may have been delivered all the same.
    """

    at: float
    notice: str
    evidence: str
    unseen: bool = False


Record = (
    OfIncidents
    | OfRuns
    | OfDrills
    | ControllerBegan
    | Configured
    | WordAccepted
    | WordRefused
    | PlaybookSeen
    | WindowOpened
    | WindowClosed
    | NoticeDue
    | NoticeSettled
    | NoticeRepeated
    | NoticeDropped
)

RECORDS: dict[str, type] = {kind.__name__: kind for kind in Record.__args__}
