"""Why: the one enum of named reasons, each with the sentence an operator reads.

The one rule it keeps: every decision, refusal and ending carries a member of `Reason`; the journal, the command
line, the reports and the messages all show this word. A new guard starts with a row here.
"""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """One named reason. `text` is its sentence."""

    # why something happens
    SERVICE_DOWN = "service down"
    TIER_CHOSEN = "tier chosen"
    ASKED_BY_OPERATOR = "asked by operator"
    CONDITIONS_MET = "conditions met"
    APPROVED = "approved"
    FENCED_BY_HAND = "fenced by hand"
    OVERRIDDEN = "overridden"
    ALREADY_DONE = "already done"
    NOT_NEEDED = "not needed"
    # guards: may we act?
    BLIND = "blind"
    NO_QUORUM = "no quorum"
    HEALTH_UNKNOWN = "health unknown"
    SEEN_ALIVE = "seen alive"
    OBSERVE_ONLY = "observe only"
    IN_MAINTENANCE = "in maintenance"
    HELD = "held"
    COOLING_DOWN = "cooling down"
    HOLD_DOWN = "hold down"
    FLAPPING = "flapping"
    MASS_FAILURE = "mass failure"
    TOO_MANY_FAILOVERS = "too many failovers"
    DEPENDENCY_RECOVERING = "dependency recovering"
    SETTLING = "settling"
    RESOURCE_BUSY = "resource busy"
    COMPROMISE_SUSPECTED = "compromise suspected"
    # guards: may this tier?
    NOT_VIABLE = "not viable"
    VIABILITY_UNKNOWN = "viability unknown"
    ALREADY_ENGAGED = "already engaged"
    ALREADY_THERE = "already there"
    WRONG_PLACE = "wrong place"
    RPO_UNKNOWN = "RPO unknown"
    RPO_EXCEEDED = "RPO exceeded"
    FENCE_UNPROVEN = "fence unproven"
    FENCE_NOT_AUTOMATIC = "fence not automatic"
    NO_FENCE = "no fence"
    APPROVAL_NEEDED = "approval needed"
    BUDGET_TOO_SMALL = "budget too small"
    # how things end
    VERIFIED = "verified"
    RECOVERED_BY_ITSELF = "recovered by itself"
    RECOVERED_WITH_ANOTHER = "recovered with another service"
    RECOVERED_UNVERIFIED = "recovered, not verified"
    PREFLIGHT_OLD = "preflight too old"
    PREFLIGHT_FAILED = "preflight failed"
    NOT_CONTAINED = "not contained"
    PLAYBOOK_FAILED = "playbook failed"
    UNREACHABLE = "unreachable"
    TIMED_OUT = "timed out"
    VERIFY_FAILED = "verify failed"
    CANCELLED = "cancelled"
    ABORTED = "aborted"
    NOT_APPROVED = "not approved"
    APPROVAL_EXPIRED = "approval expired"
    PLAN_CHANGED = "plan changed"
    STALE_EPOCH = "stale epoch"
    END_NOT_SEEN = "end not seen"
    NEVER_BEGUN = "never begun"
    UNDETERMINED = "undetermined"
    COULD_NOT_START = "could not start"
    NO_TIER_LEFT = "no tier left"
    # words refused for what they say
    NO_SUCH_SERVICE = "no such service"
    NO_SUCH_MOVE = "no such move"
    NO_SUCH_RUN = "no such run"
    NO_INCIDENT = "no incident"
    NOT_WAITING = "not waiting for approval"
    ALREADY_ENDED = "already ended"
    AT_HOME = "at home"
    NO_WAY_BACK = "no way back"
    NOT_HELD = "not held"
    IN_INCIDENT = "in an incident"
    NOBODY_NAMED = "nobody named"
    NO_SUCH_PERSON = "no such person"
    NOT_THAT_PERSON = "not that person"
    ID_IN_USE = "id in use"
    NO_SUCH_GUARD = "no such guard"
    NOT_OVERRIDABLE = "not overridable"
    CANNOT_ACT = "cannot act"

    @property
    def text(self) -> str:
        """The sentence behind the word."""
        return TEXTS[self]


TEXTS: dict[Reason, str] = {
    Reason.SERVICE_DOWN: "the service's checks say it is down",
    Reason.TIER_CHOSEN: "first tier of the ladder that can help",
    Reason.ASKED_BY_OPERATOR: "a named operator asked for it",
    Reason.CONDITIONS_MET: "what was waited for has been answered well",
    Reason.APPROVED: "a named person approved it",
    Reason.FENCED_BY_HAND: "a named person states that the place cannot act any more",
    Reason.OVERRIDDEN: "a named person goes against it, on record",
    Reason.ALREADY_DONE: "a look at the target showed that it is done",
    Reason.NOT_NEEDED: "nothing to be done here",
    Reason.BLIND: "no reference target answered: it may be this vantage that is cut off",
    Reason.NO_QUORUM: "too few vantages see it down: one alone never triggers",
    Reason.HEALTH_UNKNOWN: "what the service's health rests on is not answered: unknown is not down",
    Reason.SEEN_ALIVE: "the place to be left gave a good answer a moment ago",
    Reason.OBSERVE_ONLY: "the service is in mode observe",
    Reason.IN_MAINTENANCE: "an announced maintenance window is open",
    Reason.HELD: "a named person holds automatic action",
    Reason.COOLING_DOWN: "the place failed too recently to go back to it",
    Reason.HOLD_DOWN: "the service has not been healthy for long enough to go back by itself",
    Reason.FLAPPING: "too many automatic moves in the window: frozen until a person resumes",
    Reason.MASS_FAILURE: "too many unexplained failure domains at once: it may be the checks",
    Reason.TOO_MANY_FAILOVERS: "too many failovers are under way",
    Reason.DEPENDENCY_RECOVERING: "something this service depends on is recovering first",
    Reason.SETTLING: "a move has just ended: the service's own checks are given time",
    Reason.RESOURCE_BUSY: "another run holds the resource",
    Reason.COMPROMISE_SUSPECTED: "a compromise is suspected: isolate and ask",
    Reason.NOT_VIABLE: "the move's own preconditions do not hold",
    Reason.VIABILITY_UNKNOWN: "the move's preconditions could not be checked",
    Reason.ALREADY_ENGAGED: "the move is in effect already",
    Reason.ALREADY_THERE: "the service is placed there already",
    Reason.WRONG_PLACE: "the move starts from another place, or fences another than was named",
    Reason.RPO_UNKNOWN: "the age of the data found there was not measured",
    Reason.RPO_EXCEEDED: "the data found there is older than the RPO allows",
    Reason.FENCE_UNPROVEN: "the place to be left may still act",
    Reason.FENCE_NOT_AUTOMATIC: "the place to be left may be alive: a person must decide to fence it",
    Reason.NO_FENCE: "no fence is declared for a place that may still act",
    Reason.APPROVAL_NEEDED: "a named approval is needed",
    Reason.BUDGET_TOO_SMALL: "it usually takes longer than the budget left, and another tier fits",
    Reason.VERIFIED: "verified by a good answer after the last step",
    Reason.RECOVERED_BY_ITSELF: "the checks are good again, and no move of this service was tried",
    Reason.RECOVERED_WITH_ANOTHER: "the checks are good again after or during a move that another service shares",
    Reason.RECOVERED_UNVERIFIED: "the checks are good again; a move was tried, and nothing verified it",
    Reason.PREFLIGHT_OLD: "the preconditions were asked too long ago: they are asked again",
    Reason.PREFLIGHT_FAILED: "the preconditions did not hold when asked again",
    Reason.NOT_CONTAINED: "nothing shows that the place is cut off from the others",
    Reason.PLAYBOOK_FAILED: "the playbook failed",
    Reason.UNREACHABLE: "the playbook could not reach a host",
    Reason.TIMED_OUT: "it took longer than its time-out",
    Reason.VERIFY_FAILED: "no good answer came after the move",
    Reason.CANCELLED: "cancelled",
    Reason.ABORTED: "it was aborted; the record says by whom",
    Reason.NOT_APPROVED: "a named person said no",
    Reason.APPROVAL_EXPIRED: "nobody approved in time: no reply is no",
    Reason.PLAN_CHANGED: "the playbook, or something it uses, is not what was decided upon",
    Reason.STALE_EPOCH: "a later controller has acted on the target",
    Reason.END_NOT_SEEN: "the end of the step was not seen",
    Reason.NEVER_BEGUN: "the controller stopped before the step was carried out",
    Reason.UNDETERMINED: "whether the step had its effect could not be determined",
    Reason.COULD_NOT_START: "the step could not be started",
    Reason.NO_TIER_LEFT: "no tier of the ladder is left",
    Reason.NO_SUCH_SERVICE: "there is no service of this name",
    Reason.NO_SUCH_MOVE: "the service's ladder and failback have no such move",
    Reason.NO_SUCH_RUN: "there is no run of this id",
    Reason.NO_INCIDENT: "the service has no open incident",
    Reason.NOT_WAITING: "the run is not waiting for an approval",
    Reason.ALREADY_ENDED: "it has ended already",
    Reason.AT_HOME: "the service is where it belongs and no move is in effect",
    Reason.NO_WAY_BACK: "no declared way back of the service starts from how it is now",
    Reason.NOT_HELD: "nothing of that name was held, in maintenance or suspected",
    Reason.IN_INCIDENT: "the service has an open incident",
    Reason.ID_IN_USE: "another word was said under this id",
    Reason.NO_SUCH_GUARD: "there is no guard of this name to go against",
    Reason.NOT_OVERRIDABLE: "nobody may go against this guard",
    Reason.NOBODY_NAMED: "a word needs the name of the person who says it",
    Reason.NO_SUCH_PERSON: "nobody of this name is among the people declared",
    Reason.NOT_THAT_PERSON: "this login does not speak for that person",
    Reason.CANNOT_ACT: "the journal cannot be written, or the engine met a defect: nothing is done",
}
