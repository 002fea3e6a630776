"""Papers of one report say the same, in both languages, and nothing in them acts or is fetched."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest

from orchestrator.core import records as r
from orchestrator.core.model import DowntimeCost
from orchestrator.reports.evidence import evidence
from orchestrator.reports.papers import typeset
from orchestrator.reports.papers.blocks import Cells, Column, Title, Words
from orchestrator.reports.papers.edition import for_client
from orchestrator.reports.papers.excerpt import Slice, cut, subject_of
from orchestrator.reports.papers.markdown import plain
from orchestrator.reports.papers.period import period_of
from orchestrator.reports.papers.printing import Papers, verified
from orchestrator.reports.papers.shape import ReportKind
from orchestrator.reports.papers.tongue import LANGUAGES, Tongue
from scripts.report_files import CATALOGUES, compiled, sentences
from tests.reports.papers.drills import functional, of
from tests.reports.papers.told import asked, linked, rich_model, sliced, stories_of, three_acts
from tests.reports.sample import WALL, Tape, second_act

BY = "bascule 0"
NASTY = "<script>alert(1)</script></script> & \"' | *x* [y](http://e.x) #set page() \u202e"


class Asking(Tongue):
    """Remembers what it was asked to say: our own words, and sentences that were composed elsewhere."""

    def __init__(self) -> None:
        super().__init__("fr")
        self.asked: set[str] = set()
        self.composed: set[str] = set()

    def text(self, english: str) -> str:
        self.asked.add(english)
        return super().text(english)

    def known(self, english: str) -> str:
        self.composed.add(english)
        return english


def quarter() -> Slice:
    """acme's quarter, of the sample."""
    tape = three_acts()
    stories = stories_of(tape)
    subject = period_of(stories, tape.now, "acme", ["acme/erp", "acme/mail"], WALL - 1.0, WALL + tape.now + 1.0)
    return cut(subject, stories, lambda: linked(tape), asked(tape))


def nasty() -> Tape:
    """Evidence that would act, if it could."""
    tape = Tape().begin().after(20.0)
    second_act(tape)
    tape.entries = [
        replace(e, records=tuple(replace(x, evidence=NASTY) if hasattr(x, "evidence") else x for x in e.records))
        for e in tape.entries
    ]
    return tape


def test_every_sentence_of_ours_has_its_french() -> None:
    (catalogue,) = [x for x in CATALOGUES if x.parts[-3] == "fr"]
    from babel.messages.pofile import read_po

    with catalogue.open("rb") as file:
        found = read_po(file)
    there = {name for m in found if m.id for name in (m.id if isinstance(m.id, tuple) else (m.id,))}
    empty = [m.id for m in found if m.id and not all(m.string if isinstance(m.string, tuple) else (m.string,))]
    assert empty == []
    assert sentences() - there == set(), "write their French in bascule.po, then: python -m scripts.report_files"
    slots = re.compile(r"\{\w+\}")
    for m in found:
        ids, strings = ((x,) if isinstance(x, str) else x for x in (m.id, m.string))
        for text in strings if m.id else ():
            assert set(slots.findall(text)) == set(slots.findall(ids[-1])), f"{ids[-1]} has other slots in French"


def rehearsed() -> Slice:
    """A functional drill."""
    tape = Tape().begin().after(20.0)
    functional(tape)
    return of(tape.after(60.0))


@pytest.mark.parametrize(
    "found", [sliced(three_acts(), "i3"), for_client(sliced(three_acts(), "i2")), quarter(), rehearsed()]
)
def test_nothing_that_a_report_says_lacks_its_french(found: Slice, monkeypatch: pytest.MonkeyPatch) -> None:
    asking = Asking()
    monkeypatch.setattr("orchestrator.reports.papers.printing.Tongue", lambda _language: asking)
    assert Papers(found, BY, "fr").blocks
    catalogue = asking._catalogue._catalog  # type: ignore[attr-defined]
    assert {x for x in asking.asked if x and x not in catalogue} == set()
    names = {"bascule", "Ann Example", "acme/ann", "noc"}
    assert {x for x in asking.composed - names if Tongue("fr").known(x) == x} == set()


def test_a_catalogue_is_read_as_it_was_written() -> None:
    for catalogue in CATALOGUES:
        assert catalogue.with_suffix(".mo").read_bytes() == compiled(catalogue), "python -m scripts.report_files"


@pytest.mark.parametrize(
    ("seconds", "english", "french"),
    [
        (8.5, "8.5 s", "8,5 s"),
        (0.04, "0 s", "0 s"),
        (59.96, "1 min", "1 min"),
        (120.4, "2 min 00.4 s", "2 min 00,4 s"),
        (65.0, "1 min 05 s", "1 min 05 s"),
        (599.96, "10 min", "10 min"),
        (3725.0, "1 h 02 min 05 s", "1 h 02 min 05 s"),
        (7200.0, "2 h", "2 h"),
        (90000.0, "1 d 1 h", "1 j 1 h"),
        (91830.0, "1 d 1 h 30 min", "1 j 1 h 30 min"),
        (172790.0, "2 d", "2 j"),
        (-0.04, "0 s", "0 s"),
        (-3.7, "-3.7 s", "-3,7 s"),
    ],
)
def test_durations_as_each_language_has_them(seconds: float, english: str, french: str) -> None:
    said = [Tongue(x).duration(seconds).replace("\N{NO-BREAK SPACE}", " ") for x in LANGUAGES]
    assert said == [english, french]


def test_numbers_money_and_plurals() -> None:
    from orchestrator.reports.papers.shape import Said

    assert Tongue("fr").money(1234.5, "EUR") == "1\u202f234,50\u00a0EUR"
    assert Tongue("en").money(1234.5, "EUR") == "1,234.50\u00a0EUR"
    assert Tongue("fr").share(0.017) == "1,7\u00a0%"
    said = [Said("{n} notice reached nobody", {"n": n}, "{n} notices reached nobody") for n in (0, 1, 2)]
    assert [Tongue("en").say(x).split()[1] for x in said] == ["notices", "notice", "notices"]
    assert [Tongue("fr").say(x).split()[2] for x in said] == ["n’a", "n’a", "n’ont"]  # in French none is one


@pytest.mark.parametrize(
    ("english", "french"),
    [
        ("the playbook of the fence of hq", "le playbook de la mise à l’écart de hq"),
        ("the playbook of the fence of hq site/off.yml", "le playbook site/off.yml de la mise à l’écart de hq"),
        ("the playbook wan/use.yml", "le playbook wan/use.yml"),
        (
            "its checks had been good for 4.2s by then, and what was at work for it had not ended; for 1:02 too few"
            " vantages saw it down, none saw anything, or nobody looked, of 2 outages (9.3s, 1:02); it worked for"
            " at most 40.0s in between",
            "ses contrôles étaient bons depuis 4,2s, et ce qui était à l’œuvre pour lui n’était pas terminé ; pendant"
            " 1:02, trop peu de points de vue l’ont vu en panne, aucun ne voyait rien, ou personne ne regardait, pour 2"
            " pannes (9,3s, 1:02) ; entre elles, le service a fonctionné pendant au plus 40,0s",
        ),
        (
            "nothing was heard of its checks for 3.0s before the first good answer",
            "rien n’a été entendu de ses contrôles pendant 3,0s avant la première bonne réponse",
        ),
        ("r2 (a/b): not measured; before it 10.6s", "r2 (a/b) : non mesuré ; avant elle 10,6s"),
        ("r2: not measured", "r2 : non mesuré"),
        ("r4 is at work", "r4 est en cours"),
        (
            "controller of the provider took over with epoch 2",
            "le contrôleur du prestataire a pris la main avec l’époque 2",
        ),
    ],
)
def test_a_sentence_that_was_composed_is_french_to_its_end(english: str, french: str) -> None:
    assert Tongue("fr").known(english) == french


def test_who_is_not_named_to_the_client_is_not_named_in_english() -> None:
    from orchestrator.reports.papers.shape import Said

    said = Said(
        "{who}'s word, {what}, was refused: {reason}", {"who": "the provider", "what": "drill", "reason": "held"}
    )
    assert Tongue("fr").say(said) == "le prestataire a dit drill, ce qui a été refusé : held"
    assert Tongue("en").say(said) == "the provider's word, drill, was refused: held"


def test_the_journals_own_words_are_not_translated() -> None:
    page = Papers(sliced(three_acts(), "i2"), BY, "fr").html()
    assert "isp-b-path down (0/5 replies)" in page
    assert "not viable" in page
    assert "ne pouvait pas aider" in page


def texts(page: str) -> str:
    """What a reader sees of a page."""
    found: list[str] = []

    class Reading(HTMLParser):
        hidden = 0

        def handle_starttag(self, tag: str, attrs: Any) -> None:
            names = dict(attrs)
            assert not [n for n in names if n.startswith("on") or n in ("src", "href")], f"<{tag}> acts: {names}"
            if tag == "script":
                assert names.get("type") == "application/json"
            self.hidden += tag in ("script", "style")

        def handle_endtag(self, tag: str) -> None:
            self.hidden -= tag in ("script", "style")

        def handle_data(self, data: str) -> None:
            if not self.hidden:
                found.append(data)

    Reading().feed(page)
    return " ".join(found)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_page_is_self_contained_and_acts_on_nothing(language: str) -> None:
    found = sliced(nasty(), "i2")
    page = Papers(found, BY, language).html()
    assert page.count("<script") == 1
    assert "\u202e" not in page
    assert "alert(1)" in texts(page)
    assert verified(page, BY).wrong == ()


def test_markdown_takes_no_text_for_markup() -> None:
    text = Papers(sliced(nasty(), "i2"), BY).markdown()
    assert "<script>" not in text
    assert "](" not in text.replace("\\](", "")
    assert all(line.count("|") - line.count("\\|") in (0, *range(4, 20)) for line in text.splitlines())
    assert plain("1. a") == "1\\. a"
    assert plain("48.3 s") == "48.3 s"


def test_page_and_markdown_say_the_same() -> None:
    papers = Papers(sliced(three_acts(), "i3"), BY, "fr")
    shown = re.sub(r"\s+", " ", texts(papers.html()))
    for line in papers.markdown().splitlines():
        for cell in re.sub(r"^[#*]+ *|\*\*", "", line).replace("\\", "").split("|"):
            if cell.strip() and not set(cell.strip()) <= set("-:"):
                for word in cell.split():
                    assert word.strip(":()") in shown, f"{word!r} stands in the Markdown alone: {line}"


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_pdf_is_the_same_each_time(language: str) -> None:
    pytest.importorskip("typst")
    papers = Papers(sliced(nasty(), "i2"), BY, language)
    made = papers.pdf()
    assert made.startswith(b"%PDF-")
    assert made == papers.pdf()


def test_a_pdf_writes_out_what_none_of_its_fonts_has() -> None:
    pytest.importorskip("typst")
    tape = Tape().begin().after(20.0)
    second_act(tape)
    found = sliced(tape.after(60.0), "i2")
    plain_one, foreign = Papers(found, BY), Papers(found, BY)
    foreign.blocks.append(Words("\u65e5\u672c \U0001f600 caf\xe9"))
    plain_one.blocks.append(Words("\\u65e5\\u672c \\U0001f600 caf\xe9"))
    assert foreign.pdf() == plain_one.pdf()
    assert foreign.pictures() == plain_one.pictures()


def test_a_mark_that_no_font_puts_on_its_letter_is_written_out() -> None:
    """Each of the two is there: any answer of a target could have kept a PDF from being made."""
    pytest.importorskip("typst")
    keycap, plain_one = (Papers(sliced(three_acts(), "i2"), BY) for _ in range(2))
    keycap.blocks.append(Words("1\u20e3 caf\xe9"))
    plain_one.blocks.append(Words("1\\u20e3 caf\xe9"))
    assert keycap.pdf() == plain_one.pdf()


def test_a_page_of_another_script_takes_typst_a_few_questions(monkeypatch: pytest.MonkeyPatch) -> None:
    """It names one character at a time: four hundred took it twenty seconds."""
    pytest.importorskip("typst")
    questions: list[str] = []
    there = typeset._there

    def counted(chars: str) -> bool:
        questions.append(chars)
        return there(chars)

    monkeypatch.setattr(typeset, "_there", counted)
    signs = "".join(map(chr, range(0x4E00, 0x4F90)))
    assert "".join(typeset._lacking(f"\xe9\u2014{signs}")) == signs
    assert len(questions) <= 6


def test_a_figure_changed_on_the_page_alone_is_found() -> None:
    page = Papers(sliced(three_acts(), "i3"), BY).html()
    assert verified(page, BY).wrong == ()
    shown = "48.3\N{NO-BREAK SPACE}s</td>"
    at = page.index(shown)
    (wrong,) = verified(page[:at] + "18.3" + page[at + 4 :], BY).wrong
    assert wrong.where.startswith("page, line")
    assert "18.3" in wrong.why
    assert "48.3" in wrong.why


@pytest.mark.parametrize("wall", [1e300, -1e18])
def test_a_page_of_a_time_that_no_calendar_has_is_refused(wall: float) -> None:
    file = Papers(replace(sliced(three_acts(), "i3"), wall=wall), BY).file.replace("<", "\\u003c")
    page = f'<!DOCTYPE html>\n<html lang="en"><script type="application/json" id="bascule-report">{file}</script>'
    (wrong,) = verified(page, BY).wrong
    assert "no page follows from its file" in wrong.why


def test_a_changed_figure_in_the_file_within_a_page_is_named() -> None:
    page = Papers(sliced(three_acts(), "i3"), BY).html()
    at = page.index('"amount": ') + len('"amount": ')
    wrong = verified(page[:at] + "9" + page[at + 1 :], BY).wrong
    assert "report.cost.amount" in [x.where for x in wrong]


def test_a_period_tells_each_thing_in_it_and_sums_them() -> None:
    found = quarter()
    papers = Papers(found, BY)
    report = papers.report
    assert [x.id for x in report.inside] == ["i1", "i2", "i3"]
    erp, mail = report.totals
    downs = [o.seconds for x in report.inside for a in x.parts for o in a.outages]
    assert (erp.service, erp.incidents, erp.down_s, erp.longest_s) == ("acme/erp", 3, sum(downs), max(downs))
    assert (erp.met, erp.missed, erp.unknown) == (3, 0, 0)
    assert (mail.service, mail.incidents, mail.down_s, mail.rto_s) == ("acme/mail", 0, 0.0, 3600.0)
    assert verified(papers.file, BY).wrong == ()
    assert json.loads(papers.file)["report"]["draft"] is True
    assert "i1: findings" in report.empty


def test_a_report_and_the_ledger_say_the_same_cost_penalty_included() -> None:
    model = rich_model()
    cost = DowntimeCost({"revenue": 180.0}, {"revenue": "180 EUR/min"}, 2000.0, 10.0, "contract")
    model = replace(
        model,
        services={**model.services, "acme/erp": replace(model.services["acme/erp"], cost=cost)},
    )
    tape = three_acts()
    stories = stories_of(tape, model)
    row = next(x for x in evidence(stories, model, tape.now, lambda s: s == "acme/erp") if x.move == "acme/geo-site")
    subject = subject_of([stories.stories["i3"]], stories, tape.now, ReportKind.INCIDENT, "i3")
    found = Papers(cut(subject, stories, lambda: linked(tape), asked(tape)), BY)
    price = found.report.cost
    assert price is not None
    assert row.outage_cost is not None
    assert row.proof is not None
    assert row.proof.incident == "i3"
    assert (price.amount, price.once) == (pytest.approx(row.outage_cost.amount), 2000.0)
    assert "penalty that is due once" in found.markdown()


def test_a_period_that_is_not_over_is_a_draft() -> None:
    tape = three_acts()
    stories = stories_of(tape)
    subject = period_of(stories, tape.now, "acme", ["acme/erp"], WALL + tape.now - 1.0, WALL + tape.now + 86400.0)
    report = Papers(cut(subject, stories, lambda: linked(tape), asked(tape)), BY).report
    assert report.empty == ("end",)
    assert report.scope.to_wall == WALL + tape.now


def test_an_incident_that_goes_on_is_a_draft_without_an_end() -> None:
    tape = Tape().begin().after(20.0)
    bad = tape.now
    tape.after(2.0)
    tape.incident("i9", "acme/hq", "erp-transaction: no reply 3 times", first_bad=bad, last_good=bad - 0.8)
    report = Papers(sliced(tape.after(30.0), "i9"), BY).report
    assert report.draft
    assert "end" in report.empty
    assert report.scope.to_wall is None
    assert report.objectives[0].actual.seconds is None
    assert [p.name for p in report.participants] == ["bascule", "Ann Example"]


def test_what_no_record_says_is_not_in_it() -> None:
    """An automatic run that nobody verified proves nothing and worked in nothing."""
    tape = Tape().begin().after(20.0)
    bad = tape.now
    tape.after(2.0)
    tape.incident("i9", "acme/hq", "no reply", first_bad=bad, last_good=bad - 0.8)
    tape.run(
        "r9", "geo-site", (("preflight", r.StepKind.PREFLIGHT), ("execute", r.StepKind.EXECUTE)), incident="i9", tier=2,
        from_place="acme/hq", to_place="acme/geo",
    )  # fmt: skip
    tape.step("r9", "preflight", 0.3, "geo-ready good")
    report = Papers(sliced(tape.after(5.0), "i9"), BY).report
    assert [x.text for x in report.proven] == ["nothing: no move was verified"]
    assert report.until == ()
    assert [(s.step, s.done.value) for s in report.steps] == [("preflight", "live")]
    assert not [x for x in report.worked if "verified" in x.text or "proven" in x.text]


def test_a_period_is_named_by_its_first_day_and_its_last() -> None:
    tape = Tape().begin()
    day = WALL - WALL % 86400.0
    subject = period_of(stories_of(tape), tape.now, "acme", ["acme/erp"], day, day + 2 * 86400.0)
    stories = stories_of(tape)
    late = replace(asked(tape), wall=day + 9 * 86400.0)
    found = cut(subject, stories, lambda: linked(tape), late)
    first, last = Tongue().date(day), Tongue().date(day + 86400.0)
    papers = Papers(found, BY)
    assert papers.markdown().splitlines()[0] == f"# What happened at acme, {first} – {last}"
    assert "no incident, planned move or drill that began in this time is on record" in papers.markdown()


def test_what_a_draft_lacks_is_named_as_the_language_has_it() -> None:
    french, english = (Papers(quarter(), BY, x).markdown().splitlines()[2] for x in ("fr", "en"))
    assert french.replace("\N{NO-BREAK SPACE}", " ").endswith("i2 : constats, i3 : constats.")
    assert english.endswith("i2: findings, i3: findings.")


@pytest.mark.parametrize("name", ["_".join(["platform"] * 6), "Platform" * 9])
def test_a_long_name_is_not_set_over_the_figure_beside_it(name: str) -> None:
    """It goes on below: sixty such rows are more than the two pages that they were in one line each."""
    columns = (Column("service"), *(Column("without the service", number=True) for _ in range(5)))
    rows = tuple((name, *["1 min 06.2 s"] * 5) for _ in range(60))
    made = typeset.pictures([Title(1, "Services"), Cells(columns, rows)], heading="x", by="b", language="en", wall=WALL)
    assert len(made) > 2
