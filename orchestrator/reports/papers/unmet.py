"""Objectives that cannot be met as things were at the end of what a report tells, in sentences of its own.

The one rule it keeps: they are judged by the slice alone (`feasibility.py`): by its runs and models, and by how old
data was, hour by hour, as it carries that. So whoever checks a report judges them again.
"""

from __future__ import annotations

from orchestrator.core.ages import Ages, Kept
from orchestrator.reports.feasibility import Finding, Lack, findings
from orchestrator.reports.papers.excerpt import AgesOfHour, Slice
from orchestrator.reports.papers.shape import Report, Said, Unmet
from orchestrator.reports.stories import Stories


def unmet(found: Slice, stories: Stories, told: Report) -> tuple[Unmet, ...] | None:
    """Those of the services told of. None: the configuration is not kept."""
    model = found.models.get(told.scope.configuration)
    if model is None:
        return None
    ages = {Kept(x.service, x.check, x.measure, x.hour): _ages(x) for x in found.ages}
    lacks = findings(model, stories.decided, ages, stories.clock.wall, lambda name: name in told.scope.services)
    return tuple(
        Unmet(
            x.service, x.tier, x.move, x.lack.value, _said(x),
            {name: value for name, value in x.figures.items() if name != "hour"},  # it is that of a time zone
            x.runs,
        )
        for x in lacks
    )  # fmt: skip


def _ages(x: AgesOfHour) -> Ages:
    return Ages(x.count, x.outside, most_s=x.most_s, first_at=x.first_at, last_at=x.last_at)


def _said(x: Finding) -> Said:
    slots: dict[str, str | float] = {"service": x.service, "move": x.move, "check": x.check, **x.figures}
    match x.lack:
        case Lack.TOO_SLOW:
            return _too_slow(x, slots)
        case Lack.DATA_TOO_OLD:
            return _too_old(x, slots)
        case Lack.BACKUPS_TOO_SELDOM:
            text = "RPO of {service} {rpo_s}, but the newest backup for {move} was up to {most_s} old ({check})"
            return Said(text, slots)
        case Lack.DETECTED_TOO_LATE:
            text = (
                "RTO of {service} {rto_s}, but detection alone takes {detection_s} where nothing answers ({check}:"
                " {fall} bad answers in a row, asked every {fast_s} then, time-out {timeout_s}), and up to {every_s}"
                " more until it is asked at all"
            )
            return Said(text, slots)
        case Lack.ASKS_A_PERSON:
            return _asks(x, slots)


def _too_slow(x: Finding, slots: dict[str, str | float]) -> Said:
    """One to three runs: as many as are looked at."""
    slots |= {"runs": ", ".join(x.runs)} | {f"took_{n}_s": x.figures[f"{run}_s"] for n, run in enumerate(x.runs, 1)}
    if len(x.runs) == 1:
        return Said("RTO of {service} {rto_s}, but {move} took {took_1_s} ({runs})", slots)
    if len(x.runs) == 2:
        return Said("RTO of {service} {rto_s}, but {move} took {took_1_s} and {took_2_s} ({runs})", slots)
    return Said("RTO of {service} {rto_s}, but {move} took {took_1_s}, {took_2_s} and {took_3_s} ({runs})", slots)


def _too_old(x: Finding, slots: dict[str, str | float]) -> Said:
    slots |= {"percent": x.figures["share"] * 100}
    text = (
        "RPO of {service} {rpo_s}, but the age of its data for {move} ({check}) was above it in {percent}% of the"
        " answers, {outside_s} in all, and up to {most_s}"
    )
    if x.figures["share"] < 0.001:
        text = (
            "RPO of {service} {rpo_s}, but the age of its data for {move} ({check}) was above it in less than 0.1% of"
            " the answers, {outside_s} in all, and up to {most_s}"
        )
    return Said(text, slots)


def _asks(x: Finding, slots: dict[str, str | float]) -> Said:
    if not x.runs:
        text = (
            "RTO of {service} {rto_s}, but its mode is ask: how long an approval takes is not known, and a question"
            " stays open for {approval_expires_s}"
        )
        return Said(text, slots)
    text = "RTO of {service} {rto_s}, but its mode is ask: the last approval took {longest_s} ({run})"
    if len(x.runs) > 1:
        text = (
            "RTO of {service} {rto_s}, but its mode is ask: the longest of the last {approvals} approvals took"
            " {longest_s} ({run})"
        )
    return Said(text, slots | {"run": x.runs[-1]})  # the longest is the last of them
