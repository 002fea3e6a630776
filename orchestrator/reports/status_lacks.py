"""What cannot be seen or done, for a status: what the controller cannot know of itself first, then what it says.

The one rule it keeps: what nobody watches is said of the journal's end, and of nothing after it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from orchestrator.core.awareness.readiness import Item, Lack
from orchestrator.core.state import decided as d
from orchestrator.reports.status_parts import LackNow, Live

WallOf = Callable[[float], float]
"""From the journal's axis to seconds since 1970."""


def lacks(state: d.Decided, now: float, wall: float, live: Live, wall_of: WallOf) -> Iterable[LackNow]:
    """What the controller cannot know of itself first, then what it says."""
    if not live.daemon:
        who = state.controller.controller if state.controller else ""
        evidence = f"the last controller, {who}, has ended or is silent" if who else "no controller has ever run here"
        means = "nothing is asked, decided or told" + ("; what is shown is what was last written down" if who else "")
        since = None if live.silent_s is None else wall - live.silent_s
        yield LackNow(Lack.NOBODY.value, "", "workspace", since, live.silent_s, evidence, means, "bascule daemon")
    elif live.broken is not None:
        means = "nothing is decided or done, and nothing of what is shown is of now"
        yield LackNow(Lack.JOURNAL.value, "", "journal", None, None, live.broken, means, "df .bascule")
    if live.invalid:
        more = f" (and {len(live.invalid) - 1} more)" if len(live.invalid) > 1 else ""
        means = "the last valid configuration is in force"
        yield LackNow(
            Lack.CONFIGURATION.value, "", "files", None, None, live.invalid[0] + more, means, "bascule validate"
        )
    for way in live.lost_ways:
        evidence, means = (
            "it stands in a broken file as text and cannot be used",
            "whoever it reaches is not told by it",
        )
        yield LackNow(Lack.UNHEARD.value, "", way, None, None, evidence, means, "bascule validate")
    for client, why in live.untold.items():
        means = "nobody learns of an outage"
        yield LackNow(Lack.UNTOLD.value, client, client, None, None, why, means, "bascule validate")
    for where, why in live.unanchored.items():
        means = "nothing that is kept there vouches for the journal as it is now"
        yield LackNow(Lack.ANCHOR.value, "", where, None, None, why, means, "bascule journal head")
    for name, why in live.unscheduled.items():
        means = "nothing of this schedule begins, and none of its times is told"
        yield LackNow(Lack.SCHEDULE.value, name.partition("/")[0], name, None, None, why, means, "bascule validate")
    for client, why in live.unread.items():
        means = "its hosts and variables are those of then; what has changed there since is not known"
        yield LackNow(Lack.INVENTORY.value, client, "inventory", None, None, why, means, "bascule validate")
    if live.log:
        means = "what it does goes into the journal, and is not in the log"
        yield LackNow(Lack.LOG.value, "", "log", None, None, live.log, means, "bascule incidents")
    if live.daemon and live.broken is None and live.sight is not None:
        yield from (_lack_now(x, now, wall_of) for x in live.sight.items)


def _lack_now(x: Item, now: float, wall_of: WallOf) -> LackNow:
    for_s = None if x.since is None else max(0.0, now - x.since)
    since = None if x.since is None else wall_of(x.since)
    return LackNow(x.lack.value, x.client, x.subject, since, for_s, x.evidence, x.means, x.say, x.services, x.excused)
