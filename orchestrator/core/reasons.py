"""Why: the one table of named reasons. A row has the word, its part, its sentence, and who may go against it.

The one rule it keeps: every decision, refusal and ending carries a member of `Reason`, whose word is shown everywhere.
From a guard's row follow what may be overridden, what the simulator counts, and what docs/guards.md has to say.
"""

from __future__ import annotations

from enum import Enum, StrEnum


class Part(Enum):
    """The part that a reason plays."""

    CAUSE = "why something happens"
    GUARD = "may we act?"
    TIER = "may this tier?"
    DRILL = "may this drill?"
    ENDING = "how things end"
    REFUSAL = "a word refused for what it says"


class Against(Enum):
    """Who may go against it."""

    NOTHING = "nobody is asked"
    PERSON = "a named person, on record"
    AUTOMATIC_ONLY = "nobody has to: a person's own word does not meet it"
    NOBODY = "nobody: a proof, another word or another move lifts it"


_FENCE = "say --fence to fence the place, or --fenced PLACE to state that it cannot act"


class Reason(StrEnum):
    """One named reason. `text` is its sentence.

    `told`: what a person does who goes against it; where nobody may, why, and what to do instead.
    `accident`: of a guard, what happened to somebody who had none, with the source.
    """

    part: Part
    text: str
    against: Against
    told: str
    accident: str

    def __new__(
        cls,
        word: str,
        part: Part = Part.CAUSE,
        text: str = "",
        against: Against = Against.NOTHING,
        told: str = "",
        accident: str = "",
    ) -> Reason:
        """A row of the table. The defaults are those of what stops nothing, and are not for guards."""
        member = str.__new__(cls, word)
        member._value_ = word
        member.part, member.text, member.against, member.told, member.accident = part, text, against, told, accident
        return member

    # why something happens
    SERVICE_DOWN = "service down", Part.CAUSE, "the service's checks say it is down"
    TIER_CHOSEN = "tier chosen", Part.CAUSE, "first tier of the ladder that can help"
    ASKED_BY_OPERATOR = "asked by operator", Part.CAUSE, "a named operator asked for it"
    CONDITIONS_MET = "conditions met", Part.CAUSE, "the conditions that were waited for hold"
    APPROVED = "approved", Part.CAUSE, "a named person approved it"
    FENCED_BY_HAND = "fenced by hand", Part.CAUSE, "a named person states that the place cannot act any more"
    OVERRIDDEN = "overridden", Part.CAUSE, "a named person goes against it, on record"
    ALREADY_DONE = "already done", Part.CAUSE, "a look at the target showed that it was done"
    NOT_NEEDED = "not needed", Part.CAUSE, "nothing to be done here"
    # guards: may we act?
    BLIND = (
        "blind",
        Part.GUARD,
        "no reference target answered: this vantage itself may be cut off",
        Against.PERSON,
        "you know what this controller cannot see",
        "the controller itself was cut off (openark/orchestrator#737, #808; Checkmate#3937; gatus#1722)",
    )
    NO_QUORUM = (
        "no quorum",
        Part.GUARD,
        "too few vantages see it down: one alone never triggers",
        Against.AUTOMATIC_ONLY,
        "",
        "a witness that was cut off alone (Checkmate#3937, gatus#1722)",
    )
    HEALTH_UNKNOWN = (
        "health unknown",
        Part.GUARD,
        "the checks of the service's health have no answer: unknown is not down",
        Against.AUTOMATIC_ONLY,
        "",
        "streaks lost at a restart (gatus#1792)",
    )
    SEEN_ALIVE = (
        "seen alive",
        Part.GUARD,
        "the place to be left gave a good answer a moment ago",
        Against.NOBODY,
        f"two places might act at once; {_FENCE}",
        "the witness had seen the primary 1 s before; promoted anyway (repmgr#821)",
    )
    OBSERVE_ONLY = (
        "observe only",
        Part.GUARD,
        "the service is in mode observe",
        Against.AUTOMATIC_ONLY,
        "",
        "it acted before anybody trusted it",
    )
    IN_MAINTENANCE = (
        "in maintenance",
        Part.GUARD,
        "an announced maintenance window is open",
        Against.AUTOMATIC_ONLY,
        "",
        "announced work was taken for a disaster",
    )
    HELD = (
        "held",
        Part.GUARD,
        "a named person holds automatic action",
        Against.AUTOMATIC_ONLY,
        "",
        "somebody was at work on it, and the machine acted as well",
    )
    COOLING_DOWN = (
        "cooling down",
        Part.GUARD,
        "the place failed too recently to go back to it",
        Against.AUTOMATIC_ONLY,
        "",
        "load, failover, overload, failback, again (GitHub, September 2012)",
    )
    HOLD_DOWN = (
        "hold down",
        Part.GUARD,
        "the service has not been healthy for long enough for an automatic failback",
        Against.AUTOMATIC_ONLY,
        "",
        "failback flapping (opnsense/core#5786)",
    )
    FLAPPING = (
        "flapping",
        Part.GUARD,
        "too many automatic moves in the window: frozen until a person resumes",
        Against.AUTOMATIC_ONLY,
        "",
        "load, failover, overload of the new node, failback, again (GitHub, September 2012)",
    )
    MASS_FAILURE = (
        "mass failure",
        Part.GUARD,
        "too many unexplained failure domains at once: the checks themselves may be wrong",
        Against.AUTOMATIC_ONLY,
        "",
        "the health checks themselves failed (AWS, October 2025)",
    )
    TOO_MANY_FAILOVERS = (
        "too many failovers",
        Part.GUARD,
        "too many failovers are under way",
        Against.PERSON,
        "one more run at a time than the limit",
        "four recoveries at once on one cluster (openark/orchestrator#1217)",
    )
    DEPENDENCY_RECOVERING = (
        "dependency recovering",
        Part.GUARD,
        "something this service depends on comes first",
        Against.AUTOMATIC_ONLY,
        "",
        "one host down, thirty alerts (uptime-kuma#1089, gatus#1708)",
    )
    SETTLING = (
        "settling",
        Part.GUARD,
        "a move has just ended: the service's own checks are given time",
        Against.AUTOMATIC_ONLY,
        "",
        "one host down, thirty alerts (uptime-kuma#1089, gatus#1708)",
    )
    RESOURCE_BUSY = (
        "resource busy",
        Part.GUARD,
        "another run holds the resource",
        Against.NOBODY,
        "two runs would work on one thing; wait for the other, or abort it: bascule abort RUN",
        "recoveries outlived the block: four at once on one cluster (openark/orchestrator#1217)",
    )
    COMPROMISE_SUSPECTED = (
        "compromise suspected",
        Part.GUARD,
        "a compromise is suspected: isolate and ask",
        Against.AUTOMATIC_ONLY,
        "",
        "the failover carried the intruder along",
    )
    # guards: may this tier?
    NOT_VIABLE = (
        "not viable",
        Part.TIER,
        "the move's own preconditions do not hold",
        Against.PERSON,
        "the move goes on although its preconditions do not hold",
        "failed over to nothing viable, and killed states on the only working link (opnsense/core#9789, #4160)",
    )
    VIABILITY_UNKNOWN = (
        "viability unknown",
        Part.TIER,
        "the move's preconditions could not be checked",
        Against.PERSON,
        "the move goes on although nothing answers for its preconditions",
        "failed over to nothing viable, and killed states on the only working link (opnsense/core#9789, #4160)",
    )
    ALREADY_ENGAGED = (
        "already engaged",
        Part.TIER,
        "the move is in effect already",
        Against.PERSON,
        "the same move once more",
        "the same failover twice",
    )
    ALREADY_THERE = (
        "already there",
        Part.TIER,
        "the service is placed there already",
        Against.NOBODY,
        "there is nowhere to go; name another move",
        "the same failover twice",
    )
    WRONG_PLACE = (
        "wrong place",
        Part.TIER,
        "the move starts from another place, or fences another than was named",
        Against.NOBODY,
        "the move is written for another place; name another move",
        "the same failover twice",
    )
    RPO_UNKNOWN = (
        "RPO unknown",
        Part.TIER,
        "the age of the data found there was not measured",
        Against.PERSON,
        "data of an age that nobody measured",
        "43 s network cut, cross-country promotion, a day to repair (GitHub, October 2018)",
    )
    RPO_EXCEEDED = (
        "RPO exceeded",
        Part.TIER,
        "the data found there is older than the RPO allows",
        Against.PERSON,
        "the loss of what is newer than the data found",
        "43 s network cut, cross-country promotion, a day to repair (GitHub, October 2018)",
    )
    FENCE_UNPROVEN = (
        "fence unproven",
        Part.TIER,
        "the place to be left may still act",
        Against.NOBODY,
        f"two places might act at once; {_FENCE}",
        "a paused process wakes up and acts (keepalived#2066, #2238)",
    )
    FENCE_NOT_AUTOMATIC = (
        "fence not automatic",
        Part.TIER,
        "the place to be left may be alive: a person must decide to fence it",
        Against.NOBODY,
        f"two places might act at once; {_FENCE}",
        "nodes shot each other after a 90 s freeze (GitHub, December 2012)",
    )
    NO_FENCE = (
        "no fence",
        Part.TIER,
        "no fence is declared for a place that may still act",
        Against.NOBODY,
        "two places might act at once; say --fenced PLACE to state that it cannot act",
        "nodes shot each other after a 90 s freeze (GitHub, December 2012)",
    )
    APPROVAL_NEEDED = (
        "approval needed",
        Part.TIER,
        "a named approval is needed",
        Against.AUTOMATIC_ONLY,
        "",
        "it acted before anybody trusted it",
    )
    BUDGET_TOO_SMALL = (
        "budget too small",
        Part.TIER,
        "it may take longer than the budget left, and another tier fits",
        Against.AUTOMATIC_ONLY,
        "",
        "the RTO was missed waiting for a restore that everybody knew takes hours",
    )
    # guards: may a drill begin, and go on?
    NOT_WELL = (
        "not well",
        Part.DRILL,
        "a drill begins only when every check of the service is good",
        Against.NOBODY,
        "a drill must not meet a service that ails already; wait until its checks are good",
        "the experiment broke the application and was told as successful (chaostoolkit-lib#94)",
    )
    NOT_AT_HOME = (
        "not at home",
        Part.DRILL,
        "a drill begins where the service belongs, with no move in effect",
        Against.NOBODY,
        "there would be no state to return to; bring the service home first",
        "a drill left its firewall rules behind (azure-docs#35970)",
    )
    PLACE_DOWN = (
        "place down",
        Part.DRILL,
        "a place that the service may need is down",
        Against.NOBODY,
        "if the drill went wrong there would be nowhere to go; wait until it is up",
        "the replica was out of step when the primary was lost (GitLab, January 2017)",
    )
    DRILL_UNDER_WAY = (
        "drill under way",
        Part.DRILL,
        "another drill of this client, or too many in all, are under way",
        Against.NOBODY,
        "two drills at once tell nothing of each; wait, or cancel the other: bascule drill cancel DRILL",
        "four recoveries at once on one cluster (openark/orchestrator#1217)",
    )
    TOUCHES_WHAT_SERVES = (
        "touches what serves",
        Part.DRILL,
        "the rehearsal would play on a host of the place where the service is",
        Against.NOBODY,
        "a rehearsal needs hosts of its own: see `rehearse: hosts:` of the move",
        "the data of the primary were removed, and not the replica's (GitLab, January 2017)",
    )
    # how things end
    VERIFIED = "verified", Part.ENDING, "verified by a good answer after the last step"
    RECOVERED_BY_ITSELF = (
        "recovered by itself",
        Part.ENDING,
        "the checks are good again, and no move of this service was tried",
    )
    RECOVERED_WITH_ANOTHER = (
        "recovered with another service",
        Part.ENDING,
        "the checks are good again after or during a move that another service shares",
    )
    RECOVERED_UNVERIFIED = (
        "recovered, not verified",
        Part.ENDING,
        "the checks are good again; a move was tried, and nothing verified it",
    )
    PREFLIGHT_OLD = (
        "preflight too old",
        Part.ENDING,
        "the preconditions were asked too long ago: they are asked again",
        Against.NOTHING,
        "",
        "the same: what was viable before a long preparation is not viable after it",
    )
    PREFLIGHT_FAILED = (
        "preflight failed",
        Part.TIER,
        "the preconditions did not hold when asked again",
        Against.NOTHING,
        "",
        "failed over to nothing viable, and killed states on the only working link (opnsense/core#9789, #4160)",
    )
    NOT_CONTAINED = (
        "not contained",
        Part.ENDING,
        "nothing shows that the place is cut off from the others",
        Against.NOTHING,
        "",
        "the failover carried the intruder along",
    )
    PLAYBOOK_FAILED = "playbook failed", Part.ENDING, "the playbook failed"
    UNREACHABLE = "unreachable", Part.ENDING, "the playbook could not reach a host"
    TIMED_OUT = "timed out", Part.ENDING, "it took longer than its time-out"
    VERIFY_FAILED = "verify failed", Part.ENDING, "no good answer came after the move"
    CANCELLED = "cancelled", Part.ENDING, "cancelled"
    ABORTED = "aborted", Part.ENDING, "it was aborted; the record says by whom"
    NOT_APPROVED = "not approved", Part.ENDING, "a named person said no"
    APPROVAL_EXPIRED = "approval expired", Part.ENDING, "nobody approved in time: no reply is no"
    SAID_LONG_AGO = (
        "said long ago",
        Part.ENDING,
        "a named person wanted it long before this controller began",
        Against.NOBODY,
        "it was meant for another hour; look at it with --dry-run and say it again",
    )
    PLAN_CHANGED = (
        "plan changed",
        Part.ENDING,
        "the playbook, or something it uses, has changed since the decision",
        Against.NOBODY,
        "nobody has seen the new plan; look at it with --dry-run and say it again",
    )
    STALE_EPOCH = (
        "stale epoch",
        Part.GUARD,
        "another controller has acted on the target",
        Against.NOBODY,
        "another controller has acted since; this one must not",
        "a paused process wakes up and acts (keepalived#2066, #2238)",
    )
    END_NOT_SEEN = "end not seen", Part.ENDING, "the end of the step was not seen"
    NEVER_BEGUN = "never begun", Part.ENDING, "the controller stopped before the step was carried out"
    UNDETERMINED = "undetermined", Part.ENDING, "it could not be determined whether the step had its effect"
    NO_EFFECT = "no effect", Part.ENDING, "an answer asked for afterwards says that the step had no effect"
    COULD_NOT_START = "could not start", Part.ENDING, "the step could not be started"
    NO_TIER_LEFT = "no tier left", Part.ENDING, "no tier of the ladder is left"
    DRILL_DUE = "drill due", Part.CAUSE, "its schedule says that it is due"
    SCHEDULE_CHANGED = "schedule changed", Part.ENDING, "the schedule that it was of is another by now"
    WINDOW_UNSEEN = "window unseen", Part.ENDING, "no controller saw the window in which it might have begun"
    NOTHING_TO_DRILL = "nothing to drill", Part.ENDING, "its schedule has nothing that it could choose"
    STAYED = "stayed", Part.ENDING, "the drill has stayed there for as long as it was to"
    HARM = "harm", Part.ENDING, "something failed that the drill had not announced"
    OVERTAKEN = "overtaken", Part.ENDING, "a real incident took over: the service is recovered as such"
    RETURNED = "returned", Part.ENDING, "everything is as it was before, and the checks are good"
    NOT_RETURNED = "not returned", Part.ENDING, "it is not shown that everything is as it was before"
    NOT_APART = "not apart", Part.ENDING, "it is not shown that the rehearsal cannot reach what serves"
    NOT_CONFIRMED = "not confirmed", Part.ENDING, "no good answer came of what was rehearsed"
    NOT_CLEAN = "not clean", Part.ENDING, "the target is not as it was before the rehearsal"
    # words refused for what they say
    NO_SUCH_SERVICE = "no such service", Part.REFUSAL, "there is no service of this name"
    NO_SUCH_MOVE = "no such move", Part.REFUSAL, "the service's ladder and failback have no such move"
    NO_SUCH_DRILL = "no such drill", Part.REFUSAL, "there is no drill of this id"
    NOTHING_OF_THAT_ID = "nothing of that id", Part.REFUSAL, "there is no incident, run, drill or finding of this id"
    NO_SUCH_RUN = "no such run", Part.REFUSAL, "there is no run of this id"
    ANOTHER_PLAN = "another plan", Part.REFUSAL, "the run of this id is not the one that was shown"
    NOT_WAITING = "not waiting for approval", Part.REFUSAL, "the run is not waiting for an approval"
    INCOMPLETE = "incomplete", Part.REFUSAL, "something that the word needs is missing, or cannot be"
    FINDINGS_OPEN = "findings open", Part.REFUSAL, "something that is to be improved after it is on record, and open"
    ALREADY_ENDED = "already ended", Part.REFUSAL, "it has ended already"
    AT_HOME = "at home", Part.REFUSAL, "the service is where it belongs and no move is in effect"
    NO_WAY_BACK = "no way back", Part.REFUSAL, "no declared way back starts from where the service is now"
    NOT_HELD = "not held", Part.REFUSAL, "nothing of that name was held, in maintenance or suspected"
    IN_INCIDENT = (
        "in an incident",
        Part.REFUSAL,
        "an incident is open, and comes first",
        Against.PERSON,
        "going back although the service is not recovered",
    )
    NOBODY_NAMED = "nobody named", Part.REFUSAL, "a word needs the name of the person who says it"
    NO_SUCH_PERSON = "no such person", Part.REFUSAL, "none of the declared people has this name"
    NOT_THAT_PERSON = "not that person", Part.REFUSAL, "this login does not speak for that person"
    ID_IN_USE = "id in use", Part.REFUSAL, "another word was said under this id"
    NO_SUCH_GUARD = "no such guard", Part.REFUSAL, "there is no guard of this name to go against"
    NOT_OVERRIDABLE = "not overridable", Part.REFUSAL, "nobody may go against this guard"
    CANNOT_ACT = (
        "cannot act",
        Part.REFUSAL,
        "the journal cannot be written, the files do not answer, or the engine met a defect: nothing is done",
    )


IN_THE_DARK = (Reason.BLIND, Reason.HEALTH_UNKNOWN)
"""What is to be looked at is what cannot be seen; a move would be refused, or made in the dark."""
UNSEEN = (*IN_THE_DARK, Reason.NO_QUORUM)
"""Nobody can say that it is down; but too few vantages are a person's to overrule."""
