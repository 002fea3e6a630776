"""A report against the journal: whoever left out what was bad is found, and so is a report of a time that was not."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from orchestrator.reports.papers.comparing import Kept, against
from orchestrator.reports.papers.edition import for_client
from orchestrator.reports.papers.excerpt import Asked, Slice, Subject
from orchestrator.reports.papers.narrowing import carried
from orchestrator.reports.papers.period import period_of
from orchestrator.reports.papers.printing import Papers, verified
from orchestrator.reports.stories import Stories
from tests.reports.papers.test_sealing import resealed
from tests.reports.papers.told import asked, linked, rich_model, stories_of, three_acts
from tests.reports.sample import WALL, Tape

BY = "bascule 0"
SERVICES = [x for x in rich_model().services if x.startswith("acme/")]


def period(tape: Tape, stories: Stories) -> Subject:
    """All of acme's."""
    return period_of(stories, tape.now, "acme", SERVICES, WALL, WALL + tape.now)


def made(tape: Tape, stories: Stories, subject: Subject, at: Asked) -> list[Slice]:
    """A report of this, made by whoever likes: both editions. Each fits itself."""
    found = carried(
        subject, stories, lambda: (x for x in linked(tape) if x.entry.seq <= int(at.head.split(":")[0])), at
    )
    both = [found, for_client(found)]
    for one in both:
        assert verified(Papers(one, BY).file, BY).wrong == ()
    return both


def test_a_period_without_the_incident_that_was_bad_is_found_by_the_journal() -> None:
    tape = three_acts()
    stories = stories_of(tape)
    kept, whole = Kept(stories, lambda: linked(tape)), period(tape, stories)
    assert [against(one, kept) for one in made(tape, stories, whole, asked(tape))] == [[], []]
    without = replace(whole, stories=tuple(x for x in whole.stories if x not in ("i3", "r3")))
    for one in made(tape, stories, without, asked(tape)):
        assert [x.id for x in Papers(one, BY).report.inside] == ["i1", "i2"]
        told = [str(x) for x in against(one, kept)]
        assert told == [f"{name}: it was taken out of what the report is of" for name in ("i3", "r3")]
    fewer = replace(whole, services=("acme/hq",), stories=())
    for one in made(tape, stories, fewer, asked(tape)):
        assert "service acme/erp: it was taken out of what the report is of" in map(str, against(one, kept))


def test_a_report_that_ends_before_what_was_bad_cannot_say_that_it_was_made_later() -> None:
    """The quarter is over, and the journal of its last month is left out."""
    tape = three_acts()
    stories, links = stories_of(tape), list(linked(tape))
    (bad,) = [e.seq for e in tape.entries for x in e.records if getattr(x, "incident", "") == "i3"][:1]
    early = next(x for x in links if x.entry.seq == bad - 1)
    then = Stories(stories.model_of).read(x.entry for x in links if x.entry.seq < bad)
    at = replace(asked(tape), head=f"{bad - 1}:{early.hash.hex()}")
    for one in made(tape, then, period(tape, then), at):
        (wrong,) = against(one, Kept(stories, lambda: iter(links)))
        assert str(wrong) == (f"proof.head.now: entry {bad} was written before that, and the report ends at {bad - 1}")
        honest = replace(one, now=early.entry.at + 5.0, wall=one.wall)
        told = [x.where for x in against(honest, Kept(stories, lambda: iter(links)))]
        assert "proof.head.wall" in told


@pytest.mark.parametrize("changed", [{"now": 1e6}, {"wall": 1e6}, {"unwatched_s": 5000.0}])
def test_a_report_was_made_when_its_journal_can_have_ended(changed: dict[str, float]) -> None:
    tape = three_acts()
    stories, at = stories_of(tape), asked(tape)
    later = replace(at, **{n: (getattr(at, n) or 0.0) + x for n, x in changed.items()})
    for one in made(tape, stories, period(tape, stories), later):
        told = {x.where for x in against(one, Kept(stories, lambda: linked(tape), asked=at))}
        assert f"proof.head.{next(iter(changed))}" in told


def test_an_end_that_the_journal_never_had_is_refused() -> None:
    tape = three_acts()
    stories, at = stories_of(tape), asked(tape)
    (one, _) = made(tape, stories, period(tape, stories), at)
    kept = Kept(stories, lambda: linked(tape), differs=lambda head: "it ends at entry 30" if head.seq > 30 else None)
    forged = replace(one, head=f"99999:{'0' * 64}")
    assert [str(x) for x in against(forged, kept)] == [
        "proof.head: the journal is not the one that it was made from: it ends at entry 30"
    ]


@pytest.mark.parametrize("head", ["x:00", "\u00b2:00", "", "7", f"{'9' * 5000}:{'0' * 64}"])
def test_an_end_that_is_none_is_named(head: str) -> None:
    tape = three_acts()
    stories = stories_of(tape)
    (one, _) = made(tape, stories, period(tape, stories), asked(tape))
    forged = replace(one, head=head)
    assert "proof.head.journal: it is no end of a journal: NUMBER:HASH" in map(
        str, verified(Papers(forged, BY).file, BY).wrong
    )
    assert against(forged, Kept(stories, lambda: linked(tape)))


def test_a_report_of_one_client_is_of_no_other_ones_services() -> None:
    tape = three_acts()
    stories = stories_of(tape)
    (one, _) = made(tape, stories, period(tape, stories), asked(tape))
    forged = replace(one, subject=replace(one.subject, client="bistro"))
    told = [str(x) for x in verified(Papers(forged, BY).file, BY).wrong]
    assert told[: len(SERVICES)] == [f"proof.head.subject: {x} is nothing of bistro" for x in sorted(SERVICES)]


def test_a_time_of_no_calendar_is_named() -> None:
    tape = three_acts()
    stories = stories_of(tape)
    (one, _) = made(tape, stories, period(tape, stories), asked(tape))
    data = json.loads(Papers(one, BY).file)
    data["proof"]["head"]["subject"]["to_wall"] = 1e17
    assert [x.where for x in verified(resealed(data), BY).wrong] == ["proof"]
