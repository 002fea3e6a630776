"""Reports of drills that the engine has played: what is recorded is told, on each paper and in each language."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache

import jsonschema
import pytest

from orchestrator.core import records as r
from orchestrator.core.events import WordKind, WordSpoken
from orchestrator.core.model import Mode, Model
from orchestrator.core.reasons import Reason
from orchestrator.journal.chain import GENESIS, body_of, entry_of, link
from orchestrator.journal.journal import Linked
from orchestrator.reports.papers.comparing import Kept, against
from orchestrator.reports.papers.drill import frames, of_drill
from orchestrator.reports.papers.edition import for_client
from orchestrator.reports.papers.excerpt import Asked, Slice, subject_of
from orchestrator.reports.papers.narrowing import Width, carried
from orchestrator.reports.papers.printing import Papers, verified
from orchestrator.reports.papers.schema import schema
from orchestrator.reports.papers.shape import Report, ReportKind
from orchestrator.reports.papers.tongue import LANGUAGES, Tongue
from orchestrator.reports.stories import Stories
from tests.core.drill_stage import drill, rehearsal, rehearse, stage
from tests.core.world import World
from tests.drills.plans import Desk, plan

BY = "bascule 0"
WALL = 1_795_000_000.0


@dataclass(frozen=True)
class Journal:
    """What the journal of a world holds."""

    links: tuple[Linked, ...]
    stories: Stories
    now: float

    def read(self) -> Iterator[Linked]:
        return iter(self.links)

    def slice(self, name: str) -> Slice:
        asked = Asked(self.now, WALL + self.now, None, f"{len(self.links)}:{self.links[-1].hash.hex()}")
        told = of_drill(self.stories, name)
        subject = subject_of(told, self.stories, self.now, ReportKind.DRILL, name)
        return carried(subject, self.stories, self.read, asked)


def journal(world: World, *models: Model) -> Journal:
    """The world's entries as a journal stores them. `models`: that were in force before the last."""
    kept = {m.digest: m for m in (*models, world.model)}
    links: list[Linked] = []
    before = GENESIS
    for seq, (at, records) in enumerate(((at, x) for at, x in world.entries if x), 1):
        body = body_of(seq, at, WALL + at, world.decided().epoch, records, {})
        links.append(Linked(entry_of(body), before, body, link(before, body)))
        before = links[-1].hash
    return Journal(tuple(links), Stories(kept.get).read(x.entry for x in links), world.now)


def full_scale() -> World:
    """There, ten seconds, and back, wanted by Ada."""
    world = stage()
    assert drill(world).accepted
    world.run(200)
    return world


def rehearsed() -> World:
    """Beside what serves, by a schedule, and cleaned up."""
    world = stage()
    Desk(world, "2026-11-03T20:55", replace(plan(), digest="p")).run(600)
    return world


def in_check_mode() -> World:
    world = stage(rehearse=None)
    assert rehearse(world).accepted
    world.run(120)
    return world


def left_behind() -> World:
    """A rehearsal whose clean-up cleans nothing."""
    world = stage()
    world.effects["clean_scratch"] = lambda: None
    assert rehearse(world).accepted
    world.run(200)
    return world


def approved() -> World:
    """A scheduled one of a service in mode ask."""
    world = stage(Mode.ASK)
    desk = Desk(world, "2026-11-03T20:55", replace(plan(), digest="p"))
    desk.run(420)
    world.hears(WordSpoken("yes", WordKind.APPROVE, "Ada", "r1", "go on"))
    desk.run(200)
    return world


def struck() -> World:
    """An incident opens while it stays there."""
    world = stage()
    assert drill(world, stays_s=600.0).accepted
    world.run(60)
    world.bad("hq-internet", "erp-transaction", "erp-at-geo")
    world.run(400)
    return world


PLAYED: dict[str, Callable[[], World]] = {
    "full scale": full_scale,
    "rehearsed by a schedule": rehearsed,
    "in check mode": in_check_mode,
    "left behind": left_behind,
    "approved": approved,
    "struck by an incident": struck,
}


@cache
def told(name: str) -> tuple[Journal, Slice]:
    found = journal(PLAYED[name]())
    return found, found.slice("d1")


def sentences(found: Report, language: str = "en") -> dict[str, list[str]]:
    t = Tongue(language)
    parts = {"scenario": found.scenario, "worked": found.worked, "failed": found.failed, "proven": found.proven}
    return {n: [t.say(x).replace("\N{NO-BREAK SPACE}", " ") for x in each] for n, each in parts.items()}


@pytest.mark.parametrize("name", PLAYED)
def test_each_paper_in_each_language_is_what_its_file_says(name: str) -> None:
    found, slice_ = told(name)
    assert slice_.subject.width == Width.NARROW
    for edition in (slice_, for_client(slice_)):
        assert against(edition, Kept(found.stories, found.read)) == []
        for language in LANGUAGES:
            papers = Papers(edition, BY, language)
            jsonschema.Draft7Validator(schema()).validate(json.loads(papers.file))
            assert verified(papers.file, BY).wrong == ()
            page, text = papers.html(), papers.markdown()
            assert verified(page, BY).wrong == ()
            assert papers.report.id in papers.heading
            for shown in (page, text):
                assert "acme/geo-site" in shown
                assert "None" not in text
                assert "{" not in text


@pytest.mark.parametrize("name", PLAYED)
def test_one_byte_of_a_record_is_refused(name: str) -> None:
    _, slice_ = told(name)
    text = Papers(slice_, BY).file
    record = text.index('"drill":"d1"')
    assert verified(text[:record] + text[record:].replace('"d1"', '"d2"', 1), BY).wrong
    took = next(x for x in json.loads(text)["report"]["steps"] if x["took_s"])
    forged = text.replace(json.dumps(took["took_s"]), json.dumps(took["took_s"] / 2), 1)
    assert forged != text
    assert verified(forged, BY).wrong


@pytest.mark.parametrize("name", PLAYED)
def test_a_french_page_has_no_sentence_of_ours_in_english(name: str) -> None:
    """What is ours is translated; what the journal says is not."""
    _, slice_ = told(name)
    report = Papers(slice_, BY).report
    english, french = sentences(report), sentences(report, "fr")
    same = [x for part in english for x, y in zip(english[part], french[part], strict=True) if x == y]
    assert same == []
    client = Papers(for_client(slice_), BY, "fr")
    for shown in (client.html().partition("<script")[0], client.markdown()):
        assert "the provider" not in shown


def test_of_a_full_scale_drill_it_tells_there_and_back_live() -> None:
    _, slice_ = told("full scale")
    report = Papers(slice_, BY).report
    said = sentences(report)
    assert [a.id for a in report.parts] == ["r1", "r2"]
    assert {s.done.value for s in report.steps} == {"live"}
    assert "acme/erp is back at acme/hq" in said["worked"]
    assert said["proven"][0].startswith("acme/geo-site restores acme/erp: verified in ")
    back = next(x for x in report.objectives if x.objective == "return")
    assert (back.of_s, back.met) == (300.0, True)
    assert back.actual.known.value == "measured"
    assert said["failed"] == ["r2: whether the RPO of 30 s was met is not known"]  # nothing measured an age there
    assert report.empty == ("findings",)


def test_of_a_rehearsal_by_a_schedule_it_tells_the_schedule_and_no_rto() -> None:
    _, slice_ = told("rehearsed by a schedule")
    report = Papers(slice_, BY).report
    said = sentences(report)
    assert "it was due by the schedule acme/geo: 2026-11-03T21:00:00Z" in said["scenario"]
    assert said["proven"] == [x for x in said["proven"] if x.startswith("acme/geo-site was rehearsed beside")]
    assert "r1: after the clean-up the same was found at the target as before" in said["worked"]
    assert not [x for x in report.objectives if x.met is not None]
    assert Tongue().say(report.last_said) == "acme/geo-site was rehearsed for acme/erp for the first time"
    assert ("bascule", "began the drill by its schedule") in [(p.name, p.did.text) for p in report.participants]


def _restored(data_age_s: float, took_s: float) -> World:
    """A rehearsal of the second tier, whose newest data are so old, and which takes so long."""
    world = stage(rehearse=rehearsal(timeout_s=3600.0))
    world.measures["acme/geo-replica"] = {"data_age_s": data_age_s}
    world.takes["restore_scratch"] = took_s
    world.run(20)
    assert rehearse(world).accepted
    world.run(2000)
    return world


def test_a_rehearsal_is_judged_by_what_it_took_and_by_the_age_of_its_data() -> None:
    """Beyond an objective it is told as missed. Within, that is no more than a forecast: nothing was moved."""
    lines, said = _judged(_restored(data_age_s=6000.0, took_s=1200.0))
    assert lines["RTO"] == (pytest.approx(1200.0), "predicted", False)
    assert lines["RPO"] == (pytest.approx(6000.0, abs=2), "predicted", False)
    assert "what was rehearsed took 20 min, and the RTO is 15 min" in said["failed"]
    assert "the data that were there for it were 1 h 40 min old, and the RPO is 30 s" in said["failed"]
    lines, said = _judged(_restored(data_age_s=6.0, took_s=60.0))
    assert lines["RTO"] == (pytest.approx(60.0), "predicted", None)
    assert lines["RPO"] == (pytest.approx(6.0, abs=2), "predicted", None)
    assert said["failed"] == []


def test_what_was_only_simulated_is_judged_by_no_time() -> None:
    lines, _ = _judged(in_check_mode())
    assert lines["RTO"] == (None, "unknown", None)


def _judged(world: World) -> tuple[dict[str, tuple[float | None, str, bool | None]], dict[str, list[str]]]:
    report, said = of(world)
    return {x.objective: (x.actual.seconds, x.actual.known.value, x.met) for x in report.objectives}, said


def test_in_check_mode_next_to_nothing_is_proven() -> None:
    report = Papers(told("in check mode")[1], BY).report
    assert [(s.step, s.done.value) for s in report.steps] == [("preflight", "live"), ("rehearse", "simulated")]
    assert sentences(report)["proven"] == [
        "that the playbook of acme/geo-site can be played in check mode; no more"
    ]  # fmt: skip


def test_what_was_left_behind_proves_nothing() -> None:
    report = Papers(told("left behind")[1], BY).report
    said = sentences(report)
    assert said["proven"] == ["nothing: the drill did not show what it was to show"]
    assert "the drill did not show what it was to show: not clean" in said["failed"]
    assert not [x for x in said["worked"] if "the same was found" in x]


def test_who_approved_a_scheduled_one_is_among_its_people() -> None:
    report = Papers(told("approved")[1], BY).report
    assert "Ada" in [p.name for p in report.participants]
    assert [s.step for s in report.steps][:3] == ["preflight", "approval", "recheck"]


def test_of_one_that_an_incident_struck_it_says_so() -> None:
    found, slice_ = told("struck by an incident")
    said = sentences(Papers(slice_, BY).report)
    opened = [x for e in found.links for x in e.entry.records if isinstance(x, r.IncidentOpened)]
    assert opened
    assert any(x.startswith("it was turned back: ") for x in said["failed"])
    assert any("was open while the drill went on" in x for x in said["failed"])
    report = Papers(slice_, BY).report
    assert len(report.parts) >= 3  # there, a way back that was broken off, and the way back
    asked = [(p.name, p.did.text) for p in report.participants if p.did.text.startswith("asked")]
    assert asked == [("Ada", "asked for the drill")]  # the way back she did not ask for
    assert "down" not in Tongue().say(report.cost_said)  # i2 was an outage, and is told elsewhere


def of(world: World, until_s: float = 0.0) -> tuple[Report, dict[str, list[str]]]:
    """The provider's report of its first drill, after so long."""
    world.run(until_s)
    report = Papers(journal(world).slice("d1"), BY).report
    return report, sentences(report)


def test_a_rehearsal_that_nobody_approved_has_not_failed_it_was_not_made() -> None:
    world = stage(Mode.ASK)
    Desk(world, "2026-11-03T20:55", replace(plan(), digest="p")).run(1500)
    _, said = of(world)
    assert "r1: the rehearsal of acme/geo-site was not made: approval expired" in said["failed"]
    told = [x for x in world.records(r.NoticeSettled) if x.delivered]  # type: ignore[attr-defined]
    assert [x for x in said["worked"] if "reached somebody" in x] == [f"{len(told)} notices reached somebody"]


def test_only_what_has_moved_is_turned_back() -> None:
    world = stage()
    assert rehearse(world).accepted
    world.run(5)
    world.say(WordKind.DRILL_CANCEL, "d1")
    assert "it was called off: aborted: by Ada: a reason" in of(world, 60)[1]["failed"]
    world = stage()
    assert drill(world, stays_s=600.0).accepted
    world.run(60)
    world.say(WordKind.DRILL_CANCEL, "d1")
    assert "it was turned back: aborted: by Ada: a reason" in of(world, 100)[1]["failed"]


def test_what_was_cancelled_while_it_was_cleaned_up_and_showed_everything_was_not_called_off() -> None:
    world = stage()
    assert rehearse(world).accepted
    while "clean_scratch" not in world.played:
        world.run(0.5)
    world.say(WordKind.DRILL_CANCEL, "d1")
    report, said = of(world, 60)
    assert "the drill showed what it was to show: conditions met" in said["worked"]
    assert said["failed"] == []
    assert report.kind is ReportKind.DRILL


def test_a_return_that_is_over_its_time_is_missed_also_while_it_goes_on() -> None:
    world = stage()
    assert drill(world, within_s=60.0).accepted
    world.run(10)
    world.say(WordKind.HOLD, "acme/erp")
    for wait_s, met in ((30.0, None), (60.0, False)):
        report, _ = of(world, wait_s)
        back = next(x for x in report.objectives if x.objective == "return")
        assert (back.met, back.actual.seconds) == (met, None)
        assert back.actual.source == "it has moved, and none of the runs of the drill led it back"


@pytest.mark.parametrize(
    ("kind", "over", "what"),
    [
        (WordKind.HOLD, WordKind.RESUME, "Ada held acme/erp"),
        (WordKind.SUSPECT, WordKind.CLEAR, "Ada suspected a compromise of acme/erp"),
        (WordKind.MAINTENANCE, WordKind.MAINTENANCE_END, "work on acme/erp was announced"),
    ],
)
def test_what_kept_it_from_going_back_is_told(kind: WordKind, over: WordKind, what: str) -> None:
    """It had said only that it was late. What was over before it was to go back is none of it."""
    told = f"while it was to go back, {what}"
    of_kind = {"for_s": 7200.0} if kind is WordKind.MAINTENANCE else {}
    world = stage()
    assert drill(world, within_s=60.0).accepted
    world.run(10)
    assert world.say(kind, "acme/erp", **of_kind).accepted
    world.run(200)
    assert told in of(world)[1]["failed"]
    assert world.say(over, "acme/erp").accepted
    report, said = of(world, 200)
    assert next(x for x in report.objectives if x.objective == "return").met is False
    assert said["failed"].count(told) == 1
    early = stage()
    assert drill(early, stays_s=100.0).accepted
    early.run(20)
    assert early.say(kind, "acme/erp", **of_kind).accepted
    early.run(10)
    assert early.say(over, "acme/erp").accepted
    assert not any("while it was to go back" in x for x in of(early, 200)[1]["failed"])


def test_what_stood_before_it_was_to_go_back_is_told_at_once() -> None:
    """Also where its turning back is the last record that the report sees."""
    found = r.WordAccepted(45.0, "w1", WordKind.HOLD, "Ada", "acme/erp", "", Reason.ASKED_BY_OPERATOR, "")
    records = [x for _, xs in full_scale().entries for x in xs]
    at = next(n for n, x in enumerate(records) if isinstance(x, r.DrillTurnedBack))
    (frame,) = frames([*records[:at], found, records[at]]).values()
    assert [x.slots for x in frame.stood.values()] == [{"who": "Ada", "subject": "acme/erp"}]


def test_a_surprise_was_due_at_no_time_of_its_schedule() -> None:
    world = stage()
    drawn = plan(surprise=True)
    Desk(world, "2026-11-03T20:55", replace(drawn, digest="p")).run(1500)
    _, said = of(world)
    told = "it was drawn at random in a period of the schedule acme/geo, from 2026-11-03T21:00:00Z on"
    assert told in said["scenario"]


def test_what_is_told_of_an_rpo_says_of_which_run() -> None:
    _, slice_ = told("struck by an incident")
    said = sentences(Papers(slice_, BY).report)
    assert "r1: the RPO of 30 s was met: at most 0.7 s" in said["worked"]
    assert "r4: whether the RPO of 30 s was met is not known" in said["failed"]
    french = Papers(slice_, BY, "fr").markdown().replace("\N{NO-BREAK SPACE}", " ")
    assert "inconnu : r3 : acme/return-hq n’a pas été faite" in french


def test_its_return_counts_from_the_end_of_its_stay_also_where_nobody_was_there_to_lead_it() -> None:
    world = stage()
    assert drill(world).accepted
    world.run(8)
    world.crash()
    world.run(300)
    world.start()
    report, _ = of(world, 100)
    back = next(x for x in report.objectives if x.objective == "return")
    assert back.actual.seconds is not None
    assert back.actual.seconds > 290.0  # of ten seconds it was to stay, and then nobody led it back
    assert back.met is (back.actual.seconds <= 300.0)


def test_what_a_person_led_back_was_led_back_by_no_run_of_the_drill() -> None:
    world = stage()
    assert drill(world, stays_s=600.0).accepted
    world.run(20)
    assert world.say(WordKind.FAILBACK, "acme/erp").accepted
    report, _ = of(world, 60)
    back = next(x for x in report.objectives if x.objective == "return")
    assert (back.met, back.actual.source) == (None, "it has moved, and none of the runs of the drill led it back")
