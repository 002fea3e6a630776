"""What fell together, counted in the failure domains that would explain it.

The one rule it keeps: everything that nothing explains is counted, and one dark site is one.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator
from heapq import heapify, heappop, heapreplace

from orchestrator.core.health.diagnosis import USABLE
from orchestrator.core.model import Service
from orchestrator.core.records import Verdict, VerdictChanged
from orchestrator.core.transaction import FOREVER, Transaction

MOMENT_S = 0.001  # after the last moment in which something counts


def together(tx: Transaction, asked: tuple[str, float, float, str]) -> tuple[int, dict[str, list[str]], float]:
    """How many `unexplained_domains` there are, which by client, and when something of it counts no more."""
    if asked not in tx.fallen():  # no verdict changes while deciding: the same for every service that asks
        leave_at = (x.at + asked[1] for x, _ in _falls(tx))
        leaves_at = min((at for at in leave_at if at >= tx.now()), default=FOREVER) + MOMENT_S
        domains, of = unexplained_domains(tx, *asked), defaultdict[str, list[str]](list)
        for name in domains:
            of[name.partition("/")[0]].append(name)
        tx.fallen()[asked] = len(domains), dict(of), leaves_at
    return tx.fallen()[asked]


def _falls(tx: Transaction) -> Iterator[tuple[VerdictChanged, bool]]:
    """When what fell, and whether that was over before it fell once more."""
    yield from ((latest, False) for latest in tx.decided.fell.values())
    yield from ((earlier, True) for before in tx.decided.fell_before.values() for earlier in before)


def unexplained_domains(tx: Transaction, client: str, window_s: float, since: float, beside: str = "") -> list[str]:
    """The most failure domains that fell within one window, of what fell after `since`: down still, or a moment ago.

    `client`: of this one alone; empty: of all. `beside`: of what fell with others only what fell lately, or within a
    window with something of this one: what is down for days at one client is no sign that another's checks fail.

    What is down still counts however long ago it fell: letting go after the window would only delay the mistake.
    What came back counts for the window, also where it fell again: that it fell with others is not undone by that.
    Only checks that a service's health rests on count: others may well be down in good times ("HQ's power is
    off"). For what a fall counts is told by `_depended_on`.
    """
    fell: list[tuple[float, frozenset[str]]] = []
    own: list[float] = []  # when something of `beside` fell
    watched: dict[str, list[Service]] = {}
    for service in tx.model.services.values():
        for name in service.healthy_when.checks() if client in ("", service.client) else ():
            watched.setdefault(name, []).append(service)
    for verdict, over in _falls(tx):
        lately = tx.now() - verdict.at <= window_s
        counts = lately or (not over and tx.decided.verdicts[verdict.check].verdict is Verdict.DOWN)
        if counts and verdict.at > since and verdict.check in watched:
            if not (verdict.was in USABLE if over else tx.worked_before(verdict)):
                continue  # never seen working: not a failure that has just happened
            fell.append((verdict.at, _depended_on(tx, verdict, watched[verdict.check])))
            if any(s.client == beside for s in watched[verdict.check]):
                own.append(verdict.at)
    fell.sort(key=lambda fall: fall[0])
    if beside:
        own.sort()
        fell = [x for x in fell if tx.now() - x[0] <= window_s or _near(own, x[0], window_s)]
    most: list[str] = []
    ends = 0
    for n, (at, _) in enumerate(fell):
        ended = ends
        while ends < len(fell) and fell[ends][0] - at <= window_s:
            ends += 1
        if ends > ended and ends - n > len(most):  # else it is a part of the window before
            most = max(most, _explaining([domains for _, domains in fell[n:ends]]), key=len)
    return most


def _near(times: list[float], at: float, within_s: float) -> bool:
    """Whether one of these, which are in order, is so near."""
    next_ = bisect_left(times, at)
    return any(abs(at - other) <= within_s for other in times[max(0, next_ - 1) : next_ + 1])


def _depended_on(tx: Transaction, fell: VerdictChanged, services: list[Service]) -> frozenset[str]:
    """The failure domains of which each would explain that this check fell.

    Those of its host, and what it is asked through. A check that is asked of no host, as an end user asks, also
    depends on where its services were at that moment: four services of one dark site are one failure. What has
    neither counts for itself.
    """
    check = tx.model.checks[fell.check]
    domains = check.domains
    if not check.host:
        places = {p for s in services if (p := tx.state(s).place_at(fell.at) or s.home) and p in tx.model.places}
        domains |= {d for p in places for d in tx.model.places[p].domains or {p}}
    return domains or frozenset({f"{check.client}/{check.host or check.name}"})


def _explaining(failures: list[frozenset[str]]) -> list[str]:
    """The fewest domains, greedily, that explain all of these: one dark site is one.

    Always the one that explains most of what is left, the first by name of several. In a queue that is put right as it
    is read: a thousand failures at once are found a thousand causes.
    """
    of = defaultdict[str, list[int]](list)
    for n, domains in enumerate(failures):
        for name in domains:
            of[name].append(n)
    queue = [(-len(numbers), name) for name, numbers in of.items()]
    heapify(queue)
    found: list[str] = []
    left = set(range(len(failures)))
    while left:
        counted, name = queue[0]
        mine = left.intersection(of[name])
        if len(mine) < -counted:  # others have explained some of them since
            heapreplace(queue, (-len(mine), name))
            continue
        found.append(name)
        left -= mine
        heappop(queue)
    return found
