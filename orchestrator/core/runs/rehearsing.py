"""The proof of a clean-up: what was at a rehearsal's target before is what is there after it.

The one rule it keeps: both lists are compared as they were published, line by line. What one of them lacks is named.
A survey that published nothing proves nothing.

A survey is a playbook that publishes, by `set_stats`, `bascule_survey`: by host, by what is listed (processes,
listening ports, routes, …), the lines of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from orchestrator.core.events import StepEnded
from orchestrator.core.model import Json
from orchestrator.core.state.decided import Run, Step

SURVEY = "bascule_survey"
TOLD = 6  # differences that are named
LENGTH = 120  # of what is told of one


def not_as_before(run: Run, step: Step, event: StepEnded) -> str:
    """Why a survey that ended well shows that something is left, or missing; empty: it shows nothing of the kind.

    Of the first survey: why it can be compared with nothing.
    """
    if not step.traits.surveys:
        return ""
    now = event.stats.get(SURVEY)
    if not isinstance(now, Mapping) or not now:
        return f"{step.name} published no {SURVEY}: nothing would show that all is as it was"
    first = next(s for s in run.steps if s.traits.surveys)
    if first is step:
        return ""
    before = first.stats.get(SURVEY)
    if not isinstance(before, Mapping):
        return f"{first.name} was not made: nothing shows what was there before"
    found = list(_differences(before, now))
    more = f"; and {len(found) - TOLD} more" if len(found) > TOLD else ""
    return "; ".join(found[:TOLD]) + more


def _differences(before: Mapping[str, Json], now: Mapping[str, Json]) -> Iterator[str]:
    for host in sorted(before.keys() | now.keys()):
        was, is_ = before.get(host), now.get(host)
        if not isinstance(was, Mapping) or not isinstance(is_, Mapping):
            yield f"{host}: surveyed {'before' if is_ is None else 'after'} the rehearsal alone"
            continue
        for what in sorted(was.keys() | is_.keys()):
            old, new = _lines(was.get(what)), _lines(is_.get(what))
            for line in sorted(new - old):
                yield f"{host}: {what}: left behind: {line[:LENGTH]}"
            for line in sorted(old - new):
                yield f"{host}: {what}: gone: {line[:LENGTH]}"


def _lines(listed: Json) -> set[str]:
    """Each line once, and how often where it stands several times."""
    lines = [str(x) for x in listed] if isinstance(listed, list | tuple) else str(listed or "").splitlines()
    seen: dict[str, int] = {}
    for line in lines:
        seen[line] = seen.get(line, 0) + 1
    return {line if n == 1 else f"{line} ({n} times)" for line, n in seen.items()}
