"""A report says which objectives cannot be met, and whoever checks it judges them again."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from orchestrator.core import records as r
from orchestrator.core.ages import Ages, Hours, Kept
from orchestrator.core.model import Mode, Model
from orchestrator.core.reasons import Reason
from orchestrator.reports.papers.comparing import Kept as Journal
from orchestrator.reports.papers.comparing import against
from orchestrator.reports.papers.composition import compose
from orchestrator.reports.papers.edition import for_client
from orchestrator.reports.papers.excerpt import Slice, Subject, cut, subject_of
from orchestrator.reports.papers.narrowing import Width, narrow
from orchestrator.reports.papers.period import period_of
from orchestrator.reports.papers.printing import Papers
from orchestrator.reports.papers.sealing import check, sealed, text_of
from orchestrator.reports.papers.shape import Report, ReportKind
from orchestrator.reports.papers.tongue import LANGUAGES, Tongue
from tests.reports.papers.told import asked, linked, rich_model, stories_of
from tests.reports.sample import WALL, Tape
from tests.reports.test_feasibility import moved

BY = "bascule 0"
ERP, LAG = "acme/erp", "acme/geo-lag"
HOUR = int(WALL // 3600) + 1
SLOW = "RTO of acme/erp 2 h, but acme/geo-site took 6 h, 6 h 10 min and 5 h 40 min (r30, r31, r32)"
OLD = (
    "RPO of acme/erp 30 s, but the age of its data for acme/geo-site (acme/geo-lag) was above it in 3% of the answers,"
    " 1 min 46.9 s in all, and up to 1 d"
)


def model(**changes: Any) -> Model:
    known = rich_model()
    return replace(known, services={**known.services, ERP: replace(known.services[ERP], **changes)})


@cache
def played() -> Tape:
    """Three slow moves, and an incident of which none of them is a part."""
    tape = Tape().begin().after(20.0)
    for name, took_s in (("r30", 21600.0), ("r31", 22200.0), ("r32", 20400.0)):
        moved(tape, name, took_s, approval_s=9000.0)
    bad = tape.after(7200.0).now
    tape.after(2.0).incident("i9", "acme/hq", "no reply", first_bad=bad, last_good=bad - 1.0)
    tape.after(30.0)
    tape.write(r.IncidentEnded(tape.now, "i9", Reason.RECOVERED_BY_ITSELF, "good", tape.now, tape.now - bad))
    return tape.after(10.0)


def ages(outside: int = 3, service: str = ERP, hour: int = HOUR) -> Hours:
    one = Ages()
    for n in range(100):
        one.note(86400.0 if n < outside else 1.0, 30.0, hour * 3600.0 + n * 36.0)
    return {Kept(service, LAG, measure, hour): one for measure in ("data_age_s", "lag_s")}


def of(known: Model, hours: Hours, *, period: bool = False) -> Slice:
    tape = played()
    stories = stories_of(tape, known)
    subject: Subject = subject_of([stories.stories["i9"]], stories, tape.now, ReportKind.INCIDENT, "i9")
    if period:
        subject = period_of(stories, tape.now, "acme", [ERP, "acme/mail"], WALL, WALL + 2 * 86400.0)
    return cut(subject, stories, lambda: linked(tape), replace(asked(tape), ages=hours))


def said(found: Report, language: str = "en") -> list[str]:
    tongue = Tongue(language)
    return [tongue.say(x.said).replace("\N{NO-BREAK SPACE}", " ") for x in found.unmet or ()]


@pytest.mark.parametrize("period", [False, True], ids=["an incident", "a period"])
def test_runs_and_ages_and_the_plan_say_what_cannot_be_met(period: bool) -> None:
    found = compose(of(model(rto_s=7200.0, mode=Mode.ASK), ages(), period=period))
    slow, old, asks = said(found)
    assert (slow, old) == (SLOW, OLD)
    assert asks == (
        "RTO of acme/erp 2 h, but its mode is ask: the longest of the last 3 approvals took 2 h 30 min (r32)"
    ), "each took as long, and the last is named"
    assert (found.unmet or ())[0].figures == {"rto_s": 7200.0, "r30_s": 21600.0, "r31_s": 22200.0, "r32_s": 20400.0}
    assert all(x.unmet is None for x in found.inside)


def test_where_all_can_be_met_it_says_so_and_where_nobody_knows_too() -> None:
    fine = of(model(rto_s=90000.0), ages(outside=0))
    assert compose(fine).unmet == ()
    assert "none that a measurement or the plan itself shows" in Papers(fine, BY).markdown()
    unknown = replace(fine, models={})
    assert compose(unknown).unmet is None
    assert "not known: the configuration of that time is not kept" in Papers(unknown, BY).markdown()


def test_detection_and_an_approval_of_which_nothing_is_known() -> None:
    at_once = said(compose(of(model(rto_s=2.0, rpo_s=None), {})))
    assert any(x.startswith("RTO of acme/erp 2 s, but detection alone takes ") for x in at_once)
    known = model(rto_s=600.0, mode=Mode.ASK)
    tape = Tape().begin().after(20.0)
    bad = tape.now
    tape.after(2.0).incident("i9", "acme/hq", "no reply", first_bad=bad, last_good=None)
    stories = stories_of(tape, known)
    subject = subject_of([stories.stories["i9"]], stories, tape.now, ReportKind.INCIDENT, "i9")
    first = compose(cut(subject, stories, lambda: linked(tape), asked(tape)))
    assert said(first) == [
        "RTO of acme/erp 10 min, but its mode is ask: how long an approval takes is not known, and a question stays"
        " open for 15 min"
    ]


def test_ages_of_others_and_of_another_time_are_none_of_it() -> None:
    """Of a period, of a story: the week before its end. Of another service by the same check, of another week: none."""
    elsewhere = {**ages(service="bistro/erp"), **ages(hour=HOUR - 9 * 24), **ages(hour=HOUR + 24 * 30)}
    for period in (False, True):
        found = of(model(rto_s=90000.0), elsewhere, period=period)
        assert found.ages == ()
        assert compose(found).unmet == ()


def test_a_narrow_slice_judges_the_same_and_leaves_out_what_it_can() -> None:
    whole = of(model(rto_s=7200.0), ages())
    found, report = narrow(whole)
    assert found.subject.width == Width.NARROW.value
    assert report.unmet == compose(whole).unmet
    assert compose(found).unmet == report.unmet


@pytest.mark.parametrize("client", [False, True], ids=["provider", "client"])
def test_the_file_proves_it_offline_and_an_altered_figure_is_refused(client: bool) -> None:
    whole, _ = narrow(of(model(rto_s=7200.0), ages()))
    found = for_client(whole) if client else whole
    data = sealed(found, BY)
    looked = check(text_of(data), BY)
    assert looked.wrong == ()
    assert any("how old data was is noted beside the journal" in x for x in looked.not_shown)
    for where, value in (
        (("report", "unmet", 0, "figures", "r31_s"), 60.0),
        (("report", "unmet", 1, "figures", "share"), 0.0),
        (("proof", "head", "ages", 0, "outside"), 0),
    ):
        changed = json.loads(text_of(data))
        at = changed
        for key in where[:-1]:
            at = at[key]
        at[where[-1]] = value
        wrong = check(text_of(changed), BY).wrong
        named = "proof.head" if where[0] == "proof" else "report.unmet"
        assert any(x.where.startswith(named) for x in wrong), where


def test_taken_out_of_the_report_it_is_missed() -> None:
    data = json.loads(text_of(sealed(of(model(rto_s=7200.0), ages()), BY)))
    data["report"]["unmet"] = []
    assert any(x.where == "report.unmet" for x in check(text_of(data), BY).wrong)


def test_the_journal_says_the_same() -> None:
    known = model(rto_s=7200.0)
    found, _ = narrow(of(known, ages()))
    stories = stories_of(played(), known)
    assert against(found, Journal(stories, lambda: linked(played()))) == []
    assert against(for_client(found), Journal(stories, lambda: linked(played()))) == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_it_stands_on_every_paper_in_both_languages(language: str) -> None:
    found = of(model(rto_s=7200.0), ages())
    papers = Papers(found, BY, language)
    tongue = Tongue(language)
    for text in (papers.markdown(), papers.html()):
        plain = text.replace("\N{NO-BREAK SPACE}", " ").replace("&#39;", "'").replace("’", "'")
        assert tongue.text("Objectives that cannot be met as things are").replace("’", "'") in plain
    assert len(said(compose(found), language)) == 2
    assert language == "en" or not set(said(compose(found), "fr")) & set(said(compose(found), "en"))


def test_a_client_reads_no_host_of_the_providers() -> None:
    found = for_client(of(model(rto_s=7200.0), ages()))
    assert said(compose(found))[0] == SLOW
    assert "@noc" not in text_of(sealed(found, BY))
