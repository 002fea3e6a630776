"""The client's edition: nothing of the provider's own, and nothing of a client whose services bear the same names."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import MISSING, field, fields, make_dataclass, replace
from typing import Any

import pytest

from orchestrator.core import records as r
from orchestrator.core.commands import NoticeKind
from orchestrator.core.events import WordKind
from orchestrator.core.model import (
    Check,
    Dependency,
    DowntimeCost,
    Fence,
    Isolation,
    Model,
    Move,
    Place,
    Rehearsal,
    Service,
    Speaker,
    Tier,
)
from orchestrator.core.reasons import Reason
from orchestrator.core.records import RECORDS
from orchestrator.reports.papers import edition
from orchestrator.reports.papers.comparing import Kept, against
from orchestrator.reports.papers.edition import beyond, for_client
from orchestrator.reports.papers.excerpt import Slice, cut, subject_of
from orchestrator.reports.papers.narrowing import carried
from orchestrator.reports.papers.period import period_of
from orchestrator.reports.papers.printing import Papers, verified
from orchestrator.reports.papers.shape import ReportKind
from orchestrator.reports.stories import Stories
from tests.reports.papers.told import asked, linked, rich_model, stories_of, three_acts
from tests.reports.sample import WALL, Tape, Written, all_of

BY = "bascule 0"
INTERNAL = ("10.0.0.7", "promote_geo", "hq-oob", "geo-db", "Nora Night", "edge-01", "noc")


def twin(model: Model) -> Model:
    """bistro, with the same names of services, moves, places and checks as acme; its client's own marks differ."""
    mine = {c.replace("acme/", "bistro/"): replace(x, id=c.replace("acme/", "bistro/"), client="bistro")
            for c, x in model.checks.items() if c.startswith("acme/")}  # fmt: skip
    moves = {
        m.replace("acme/", "bistro/"): replace(
            x, id=m.replace("acme/", "bistro/"), client="bistro", to=x.to and x.to.replace("acme/", "bistro/"),
            verify=all_of("bistro/erp-transaction"), viable_when=None, data_age=None,
        )
        for m, x in model.moves.items() if m.startswith("acme/")
    }  # fmt: skip
    erp = model.services["acme/erp"]
    ladder = tuple(replace(t, move=t.move.replace("acme/", "bistro/")) for t in erp.ladder)
    theirs = replace(
        erp, id="bistro/erp", client="bistro", healthy_when=all_of("bistro/erp-transaction"), ladder=ladder,
        home="bistro/hq", rto_s=777.0, owners=("bistro/bo",),
    )  # fmt: skip
    places = {p.replace("acme/", "bistro/"): replace(x, id=p.replace("acme/", "bistro/"), client="bistro", fence=None)
              for p, x in model.places.items()}  # fmt: skip
    return replace(
        model, checks=model.checks | mine, moves=model.moves | moves, places=model.places | places,
        services=model.services | {"bistro/erp": theirs},
    )  # fmt: skip


def both() -> Tape:
    """acme's three acts, and bistro's own at the same instants, in the same entries; a word and notices about all."""
    tape = three_acts()
    entries = []
    for x in tape.entries:
        theirs = tuple(_theirs(y) for y in x.records if not isinstance(y, r.ControllerBegan | r.Configured))
        mine = tuple(
            replace(y, homes={**y.homes, "bistro/erp": "bistro/hq"}) if isinstance(y, r.Configured) else y
            for y in x.records
        )
        entries.append(Written(x.seq, x.at, x.wall, x.epoch, (*mine, *theirs)))
    tape.entries = entries
    at = tape.entries[10].at
    hold = r.WordAccepted(
        at, "w9", WordKind.HOLD, "Nora Night", "*", "bistro and acme rest", Reason.ASKED_BY_OPERATOR,
        "acme/erp, bistro/erp are held", person="noc",
    )  # fmt: skip
    tape.entries[10] = replace(tape.entries[10], records=(*tape.entries[10].records, hold))
    return tape


def _theirs(x: Any) -> Any:
    """The same of bistro, with its own ids and a mark in each text."""

    def other(name: str, value: Any) -> Any:
        if isinstance(value, str) and type(value) is str:
            if name in ("incident", "run", "word", "notice") and value:
                return f"b{value}"
            if name == "before":
                return value
            marked = value.replace("acme", "bistro")
            return f"{marked} BISTRO-ONLY" if name in ("evidence", "text", "why") else marked
        if isinstance(value, dict):
            return {k: other("incident" if k == "incident" else k, v) for k, v in value.items()}
        if name == "steps":
            return tuple(replace(s, name=s.name.replace("acme", "bistro"), place=None) for s in value)
        return tuple(other(name, v) for v in value) if isinstance(value, tuple) and name in ("to", "asks") else value

    if isinstance(x, r.WordAccepted | r.WordRefused) and x.subject.startswith("r"):
        x = replace(x, subject=f"b{x.subject}")
    return replace(x, **{f.name: other(f.name, getattr(x, f.name)) for f in fields(x)})


def slices(client: str) -> Iterator[Slice]:
    """Every incident of this client, and its whole time."""
    tape, model = both(), twin(rich_model())
    stories = stories_of(tape, model)
    for story in stories.stories.values():
        if story.service.startswith(f"{client}/"):
            subject = subject_of([story], stories, tape.now, ReportKind.INCIDENT, story.id)
            yield cut(subject, stories, lambda: linked(tape), asked(tape))
    services = [x for x in model.services if x.startswith(f"{client}/")]
    period = period_of(stories, tape.now, client, services, WALL, WALL + tape.now + 1)
    yield cut(period, stories, lambda: linked(tape), asked(tape))


@pytest.mark.parametrize(("client", "other"), [("acme", "bistro"), ("bistro", "acme")])
def test_a_client_never_shows_in_anothers(client: str, other: str) -> None:
    """In none of the papers, nor in the records that the file carries."""
    found = [for_client(x) for x in slices(client)]
    assert len(found) == 4
    for one in found:
        papers = Papers(one, BY)
        for text in (papers.file, papers.html(), papers.markdown(), Papers(one, BY, "fr").html()):
            assert other not in text.lower()
            assert f"{client}/erp" in text
        assert verified(papers.file, BY).wrong == ()


def test_the_clients_figures_are_the_providers() -> None:
    for whole in slices("acme"):
        mine, theirs = Papers(for_client(whole), BY).report, Papers(whole, BY).report
        assert [(x.of_s, x.actual.seconds, x.met) for x in mine.objectives] == [
            (x.of_s, x.actual.seconds, x.met) for x in theirs.objectives
        ]
        assert mine.cost == theirs.cost
        assert [s.took_s for s in mine.steps] == [s.took_s for s in theirs.steps]
        assert mine.totals == theirs.totals
        assert [a.phases for a in mine.parts] == [a.phases for a in theirs.parts]


def test_the_providers_internals_are_left_out() -> None:
    """Addresses, playbooks, hosts, its people; the client's own people stay."""
    for whole in slices("acme"):
        for text in (Papers(for_client(whole), BY).file, Papers(for_client(whole), BY).html()):
            shown = text.replace("Ann Example", "")
            assert not [x for x in INTERNAL if x in shown]
    told = Papers(for_client(next(x for x in slices("acme") if x.subject.id == "i3")), BY).markdown()
    assert "Ann Example" in told
    assert "Ann Example stated that the place left cannot act" in told


def test_a_service_of_another_client_that_it_stands_on_is_not_named() -> None:
    whole = next(x for x in slices("acme") if x.subject.id == "i1")

    def leaning(model: Model) -> Model:
        needs = (Dependency("bistro/erp"), Dependency("acme/mail"))
        return replace(model, services={n: replace(s, depends_on=needs) for n, s in model.services.items()})

    whole = replace(whole, models={n: leaning(m) for n, m in whole.models.items()})
    mine = Papers(for_client(whole), BY)
    assert '"bistro/erp"' in Papers(whole, BY).file
    assert "bistro" not in mine.file
    assert "acme/mail" in mine.file
    assert verified(mine.file, BY).wrong == ()


def test_the_id_of_a_word_which_its_speaker_chose_stays_with_the_provider() -> None:
    """It may be a ticket's, or name the host on which a sensor saw something."""
    whole = next(x for x in slices("acme") if x.subject.id == "i3")

    def spoken(x: r.Record) -> r.Record:
        return replace(x, word="edr-hq-oob-10.0.0.7") if isinstance(x, r.WordAccepted) and x.word == "w1" else x

    whole = replace(whole, pieces=tuple(replace(p, records=tuple(spoken(x) for x in p.records)) for p in whole.pieces))
    mine = for_client(whole)
    assert "edr-hq-oob" not in Papers(mine, BY).file
    words = [x.word for p in mine.pieces for x in p.records if isinstance(x, r.WordAccepted)]
    assert len(set(words)) == len(words) >= 1


FOUND = (
    "As at bistro: edge-01 (10.0.0.7/24, fd00::7) came back at 12:30:45, says Nora Night; 1.2.3 of it was old, and"
    " pre-edge-01 was not"
)


def test_a_finding_that_the_client_reads_names_no_host_address_other_client_or_person_of_the_provider() -> None:
    tape, model = both(), twin(rich_model())
    at, due = tape.now, tape.now + 100.0
    host = replace(model.checks["acme/isp-b-path"], id="acme/way@edge-01", host="edge-01")
    model = replace(model, checks=model.checks | {host.id: host, "acme/isp-b-path": host})
    tape.write(r.FindingOpened(at, "f1", "i1", "acme/erp", FOUND, "acme/ann", "2026-12-31", due, "Nora Night"))
    tape.write(r.FindingClosed(at, "f1", "i1", "acme/erp", "Ann Example", "as for bistro/erp on edge-01"))
    stories = stories_of(tape, model)
    subject = subject_of([stories.stories["i1"]], stories, tape.now, ReportKind.INCIDENT, "i1")
    whole = cut(subject, stories, lambda: linked(tape), asked(tape))
    (line,) = Papers(whole, BY).report.findings
    assert line.text == FOUND
    mine = for_client(whole)
    (line,) = Papers(mine, BY).report.findings
    assert line.text == (
        "As at another client: a host (an address, an address) came back at 12:30:45, says the provider; 1.2.3 of it"
        " was old, and pre-edge-01 was not"
    )
    assert line.closed_why == "as for another client on a host"
    assert against(mine, Kept(stories, lambda: linked(tape))) == []


def test_who_and_what_came_after_the_incident_is_not_named_in_a_finding_either() -> None:
    """Most are written days later: of a client, a person or a host that no record of the incident knows."""
    tape, model = both(), twin(rich_model())
    gamma = replace(model.services["bistro/erp"], id="gamma/erp", client="gamma")
    mail = replace(model.checks["bistro/till"], id="bistro/mail@mx-07", host="mx-07")
    later = replace(
        model,
        digest="m2",
        checks=model.checks | {mail.id: mail},
        services=model.services | {gamma.id: gamma},
        speakers=model.speakers | {"olga": Speaker("olga", "", "Olga Ops")},
    )
    tape.after(9000.0).write(r.Configured(tape.now, "m2", {"acme/erp": "hq", "gamma/erp": None}))
    text = "as at gamma and gamma/erp: mx-07 was full, ask Olga Ops, or ann"
    tape.after(9000.0).write(
        r.FindingOpened(tape.now, "f1", "i1", "acme/erp", text, "acme/ann", "2026-12-31", 9e9, "noc")
    )
    stories = Stories({"m1": model, "m2": later}.get).read(tape.entries)
    subject = subject_of([stories.stories["i1"]], stories, tape.now, ReportKind.INCIDENT, "i1")
    whole = carried(subject, stories, lambda: linked(tape), asked(tape))
    mine = for_client(whole, beyond(whole, stories))
    (line,) = Papers(mine, BY).report.findings
    assert line.text == "as at another client and another client: a host was full, ask the provider, or ann"
    assert against(mine, Kept(stories, lambda: linked(tape))) == []


def test_what_a_tier_costs_to_have_and_who_says_what_an_outage_costs_stay_with_the_provider() -> None:
    whole = next(x for x in slices("acme") if x.subject.id == "i2")
    cost = DowntimeCost({"revenue": 180.0}, {"revenue": "as Nora reckons"}, 2000.0, 10.0, "a contract of ours")

    def priced(model: Model) -> Model:
        erp = model.services["acme/erp"]
        tiers = tuple(replace(t, monthly_cost=417.25) for t in erp.ladder)
        return replace(model, services={**model.services, "acme/erp": replace(erp, cost=cost, ladder=tiers)})

    whole = replace(whole, models={n: priced(m) for n, m in whole.models.items()})
    mine, theirs = Papers(for_client(whole), BY), Papers(whole, BY)
    assert mine.report.cost == theirs.report.cost
    for inner in ("417.25", "as Nora reckons", "a contract of ours"):
        assert inner in theirs.file
        assert inner not in mine.file


def test_every_field_of_every_record_has_its_treatment() -> None:
    """What is not known is left out; so that nothing is by mistake, each field is one of these."""
    known = edition.KEPT | edition.PEOPLE | edition.CHECKS | edition.BLANK | edition.AS_IT_IS | edition.WORDS
    known |= {"homes", "services"}
    for kind in RECORDS.values():
        for f in fields(kind):
            text = str(f.type)
            if text.startswith(("str", "tuple", "Mapping", "Peer")) and f.name not in known:
                pytest.fail(f"{kind.__name__}.{f.name}: may a client see it? Say so in reports/papers/edition.py")


@pytest.mark.parametrize("kind", [Place, Move, Service, Tier, Dependency, Check, Fence, Isolation, Rehearsal])
def test_a_text_of_a_model_that_nobody_named_as_fit_is_left_out(kind: type[Any]) -> None:
    """A new key of the configuration goes to no client by mistake."""
    new = [("console", str, field(default="")), ("ports", tuple, field(default=())), ("weight", int, field(default=0))]
    later = make_dataclass("Later", new, bases=(kind,), frozen=True, kw_only=True)
    required = {f.name: None for f in fields(kind) if f.default is MISSING and f.default_factory is MISSING}
    one = later(**required, console="hq-oob", ports=("edge-01",), weight=7)
    made = edition._fit(one, **required)
    assert (made.console, made.ports, made.weight) == ("", (), 7)


def test_an_extract_is_compared_with_the_journal_itself() -> None:
    tape, model = both(), twin(rich_model())
    stories = stories_of(tape, model)
    for whole in slices("acme"):
        for one in (whole, for_client(whole)):
            kept = Kept(stories, lambda: linked(tape))
            assert against(one, kept) == []
            named = {x.where for x in against(replace(one, pieces=one.pieces[:-1]), kept)}
            assert named == {f"entry {one.pieces[-1].seq}"}
            forged = replace(one.pieces[-1], at=one.pieces[-1].at + 1.0)
            (wrong,) = against(replace(one, pieces=(*one.pieces[:-1], forged)), kept)
            assert wrong.why == "the journal says otherwise"


def test_a_notice_that_reached_only_the_provider_names_nobody() -> None:
    tape = Tape().begin().after(20.0)
    bad = tape.now
    tape.after(2.0)
    tape.incident("i9", "acme/hq", "no reply", first_bad=bad, last_good=bad - 0.8)
    tape.write(
        r.NoticeDue(
            tape.now, "i9.1/x", NoticeKind.HUMAN_NEEDED, "acme", "acme/erp", "ring edge-01", "", ("noc",),
            {"incident": "i9"},
        )
    )  # fmt: skip
    stories = stories_of(tape)
    subject = subject_of([stories.stories["i9"]], stories, tape.now, ReportKind.INCIDENT, "i9")
    text = Papers(for_client(cut(subject, stories, lambda: linked(tape), asked(tape))), BY).file
    assert "human needed" in text
    assert "noc" not in text
    assert "edge-01" not in text


def test_a_person_of_the_clients_is_named_however_they_named_themselves() -> None:
    """By id, by the last part of it, or in full; where that part is a provider's person too, it is nobody's."""
    model = rich_model()
    mask = edition.Mask("acme", [model])
    assert [mask.person(x) for x in ("acme/ann", "ann", "Ann Example", "noc", "bo", "Nora Night")] == [
        "acme/ann", "ann", "Ann Example", *["the provider"] * 3,
    ]  # fmt: skip
    both_ann = replace(model, speakers=model.speakers | {"ann": replace(model.speakers["noc"], id="ann")})
    assert edition.Mask("acme", [both_ann]).person("ann") == "the provider"
