"""What to type when a word was refused: one row a reason.

The one rule it keeps: a remedy is a command or an act that really changes the answer, never "try again".
"""

from __future__ import annotations

REMEDIES: dict[str, str] = {
    "held": "release it: bascule resume {subject}",
    "in maintenance": "end the window: bascule maintenance {subject} --end",
    "flapping": "look why it goes to and fro, then: bascule resume {subject}",
    "compromise suspected": "when it has been cleared up: bascule clear {subject}",
    "resource busy": "wait for that run, or end it: bascule status, then bascule abort RUN",
    "already there": "name another move: --move MOVE, or go back: bascule failback {subject}",
    "already engaged": "name another move: --move MOVE, or take it back: bascule failback {subject}",
    "seen alive": "the place answers: a planned switch needs a move with hand_over, or state it fenced: --fence",
    "not viable": "mend what the evidence names, or name another move: --move MOVE",
    "viability unknown": "find out why those checks do not answer: bascule check",
    "RPO unknown": "find out why the age of the data is not measured: bascule check; or --override 'RPO unknown'",
    "RPO exceeded": "if this loss is acceptable, say so: --override 'RPO exceeded' --reason '...'",
    "fence unproven": "fence it by hand, look that it is dark, then: bascule approve RUN --fenced PLACE",
    "fence not automatic": "if the place may be fenced although people may be working there: --fence",
    "no fence": "declare a fence for the place in services.yml, or fence by hand and approve with --fenced PLACE",
    "no such move": "see its moves: bascule status {subject}, or inventories/CLIENT/services.yml",
    "no such service": "see what there is: bascule status",
    "no such run": "see what runs: bascule status",
    "not waiting for approval": "see what it does: bascule status",
    "already ended": "see how: bascule report {subject}",
    "at home": "nothing has to go back",
    "not held": "see what is held: bascule status",
    "in an incident": "wait for its end, or choose a move yourself: bascule failover {subject} --move MOVE",
    "id in use": "leave --word-id out, or give another: it is for the same word said once more",
    "nobody named": "say who you are: --by NAME, or set BASCULE_OPERATOR",
    "cannot act": "mend what the evidence names; bascule tries again every two seconds by itself",
    "cooling down": "it failed a moment ago; to go there all the same: --override 'cooling down'",
    "hold down": "it goes back by itself when that time is over; to go now: bascule failback {subject}",
    "blind": "check this controller's own uplink; if you know what it cannot see: --override blind --reason '...'",
    "no quorum": "find out which vantage is right: bascule check; a person may move it: bascule failover {subject}",
    "health unknown": "find out why its checks do not answer: bascule check; or move it: bascule failover {subject}",
    "too many failovers": "wait for one to end: bascule status",
    "mass failure": "look at the checks first; then: bascule resume {subject}",
    "no such guard": "name one of those, as a refusal or a dry run names it",
    "not overridable": "do what it says instead of the override",
    "plan changed": "put back what changed, or have it read and be asked anew: bascule reload",
    "no such person": "say who you are by a name of people.yml: --by NAME; or add yourself there: bascule reload",
    "not that person": "say it from that person's own login, or change their logins in people.yml: bascule reload",
}


def remedy(reason: str, subject: str) -> str:
    """What to do about this refusal; empty where nothing helps but reading the evidence."""
    return REMEDIES.get(reason, "").format(subject=subject)
