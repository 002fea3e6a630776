"""A report carries what it rests on, and not the service's whole history; it is checked as before, old ones too."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache

import pytest

from orchestrator.core import records as r
from orchestrator.core.events import WordKind
from orchestrator.core.reasons import Reason
from orchestrator.journal.journal import Linked
from orchestrator.reports.papers.comparing import Kept, against, not_compared
from orchestrator.reports.papers.composition import compose
from orchestrator.reports.papers.edition import for_client
from orchestrator.reports.papers.excerpt import Asked, Slice, cut, subject_of
from orchestrator.reports.papers.narrowing import Width, carried, narrow, narrowed
from orchestrator.reports.papers.printing import Papers, verified
from orchestrator.reports.papers.sealing import sealed, text_of
from orchestrator.reports.papers.shape import ReportKind
from orchestrator.reports.stories import Stories
from tests.reports.papers.told import linked, rich_model
from tests.reports.sample import FAILOVER, WALL, K, Tape

BY = "bascule 0"
DAY_S = 86400.0


def outage(tape: Tape, n: int) -> None:
    """The first tier ends it, each time in another time; every third one goes to the second tier, and home by hand."""
    name, run, bad = f"i{n}", f"r{n}", tape.now
    tape.after(2.0)
    tape.incident(name, "acme/hq", "erp-transaction: no reply", first_bad=bad, last_good=bad - 1.0)
    far = n % 3 == 0
    move, to = ("geo-site", "acme/geo") if far else ("backup-isp", "acme/hq")
    tier = 2 if far else 1
    tape.tier(name, tier, move, r.TierState.RUNNING, Reason.TIER_CHOSEN, "up")
    steps = FAILOVER if far else (("preflight", K.PREFLIGHT), ("execute", K.EXECUTE), ("verify", K.VERIFY))
    tape.run(run, move, steps, incident=name, tier=tier, from_place="acme/hq", to_place=to, deadline=bad + 120.0)
    for step, kind in steps:
        if far and kind is K.EXECUTE:
            tape.write(r.MayActRemoved(tape.now, "acme/erp", "acme/hq", Reason.CONDITIONS_MET, "off"))
            tape.write(r.MayActAdded(tape.now, "acme/erp", "acme/geo", run))
        tape.step(run, step, 0.1 + n % 7, "good")
    if far:
        tape.write(r.PlacementChanged(tape.now, "acme/erp", "acme/hq", "acme/geo", run))
    tape.tier(name, tier, move, r.TierState.RECOVERED, Reason.VERIFIED, "good")
    tape.recovered(name, run, bad)
    tape.after(1.0).verdict("acme/erp-transaction", r.Verdict.UP, "good")
    if far:
        home(tape, n)


def home(tape: Tape, n: int) -> None:
    """A person leads it back."""
    run = f"h{n}"
    tape.after(600.0).run(
        run, "return", (("execute", K.EXECUTE), ("verify", K.VERIFY)), origin=r.Origin.MANUAL, who="Nora Night",
        from_place="acme/geo", to_place="acme/hq", reason=Reason.ASKED_BY_OPERATOR,
    )  # fmt: skip
    tape.step(run, "execute", 4.0)
    tape.write(
        r.MayActAdded(tape.now, "acme/erp", "acme/hq", run),
        r.MayActRemoved(tape.now, "acme/erp", "acme/geo", Reason.CONDITIONS_MET, "stopped"),
        r.PlacementChanged(tape.now, "acme/erp", "acme/geo", "acme/hq", run),
    )
    tape.step(run, "verify", 1.0)
    tape.write(r.RunEnded(tape.now, run, True, Reason.VERIFIED, "good"))


@dataclass(frozen=True)
class Told:
    """A history of so many outages, a few days apart, with restarts and reloads."""

    links: Sequence[Linked]
    stories: Stories
    now: float

    def read(self) -> Iterator[Linked]:
        return iter(self.links)

    @property
    def asked(self) -> Asked:
        last = self.links[-1]
        return Asked(self.now, WALL + self.now, None, f"{last.entry.seq}:{last.hash.hex()}")

    def whole(self, name: str) -> Slice:
        story = self.stories.stories[name]
        kind = ReportKind.INCIDENT if story.episodes else ReportKind.PLANNED_MOVE
        subject = subject_of([story], self.stories, self.now, kind, name)
        return cut(subject, self.stories, self.read, self.asked)


@cache
def history(outages: int) -> Told:
    tape = Tape().begin().after(100.0)
    for n in range(1, outages + 1):
        outage(tape, n)
        tape.after(3 * DAY_S)
        if n % 5 == 0:
            tape.write(r.ControllerBegan(tape.now, "noc", 1 + n, f"boot-{n}", False, 3.0))
            tape.write(r.Configured(tape.now, "m1", {}))
            tape.verdict("acme/erp-transaction", r.Verdict.UP, "good")
        tape.write(r.WordRefused(tape.now, f"w{n}", _HOLD, "Nora", "acme/erp", "", Reason.HELD, "x"))
    model = rich_model()
    back = replace(model.moves["acme/geo-site"], id="acme/return", name="return", to="acme/hq", viable_when=None)
    erp = replace(model.services["acme/erp"], failback=("acme/return",))
    model = replace(model, moves=model.moves | {back.id: back}, services=model.services | {erp.id: erp})
    stories = Stories(lambda digest: model if digest == "m1" else None).read(tape.entries)
    return Told(list(linked(tape)), stories, tape.now)


_HOLD = WordKind.HOLD


@pytest.mark.parametrize("back", [0, 1])
def test_it_does_not_grow_with_history(back: int) -> None:
    """Beyond as many runs as durations are kept of (50), more outages add nothing to the last ones' reports."""
    sizes = {}
    for outages in (80, 110):
        told = history(outages)
        whole = told.whole(f"i{outages - back}")
        found, report = narrow(whole)
        assert found.subject.width == Width.NARROW
        assert report == compose(whole) == compose(found)
        sizes[outages] = (len(found.pieces), len(whole.pieces))
    (few, many), (still_few, more) = sizes.values()
    assert still_few <= few + 2
    assert more > many + 300
    assert few < many / 2


def test_of_each_kind_of_story_the_narrow_one_tells_the_same() -> None:
    told = history(18)
    for name in ("i1", "i2", "h3", "i16", "i18", "h18"):
        whole = told.whole(name)
        found, report = narrow(whole)
        assert found.subject.width == Width.NARROW, name
        assert compose(found) == report
        assert verified(Papers(found, BY).file, BY).wrong == ()
        client = for_client(found)
        assert compose(client) == compose(for_client(whole))
        assert verified(Papers(client, BY, "fr").html(), BY).wrong == ()
        for edition in (found, client):
            assert against(edition, Kept(told.stories, told.read)) == []


def test_a_value_that_rests_on_what_was_left_out_has_the_wider_slice_carried(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is tried, and not believed: without the runs that a forecast rests on, the whole is carried."""
    whole = history(18).whole("i17")
    monkeypatch.setattr("orchestrator.reports.papers.narrowing._Kept._take_basis", lambda *_: None)
    assert compose(narrowed(whole, Width.NARROW)) != compose(whole)
    assert narrow(whole)[0] is whole


def test_with_a_clock_that_drifts_all_the_time_it_tells_the_same_times() -> None:
    told = history(18)
    whole = told.whole("i17")
    drifting = tuple(replace(x, wall=x.wall + x.at * 1e-5) for x in whole.pieces)
    found, report = narrow(replace(whole, pieces=drifting))
    assert found.subject.width in (Width.NARROW, Width.STAMPED)
    assert compose(found) == report


def test_whoever_leaves_out_more_is_found_by_the_journal() -> None:
    told = history(18)
    found, _ = narrow(told.whole("i17"))
    at = next(n for n, x in enumerate(found.pieces) if len(x.records) > 1)
    more = {**found.subject.left_out, str(found.pieces[at].seq): (1,)}
    forged = replace(found, subject=replace(found.subject, left_out=more))
    assert [x.where for x in against(forged, Kept(told.stories, told.read))] == ["proof.head"]
    shorter = replace(found, pieces=found.pieces[:3] + found.pieces[4:])
    assert any("taken out" in x.why for x in against(shorter, Kept(told.stories, told.read)))
    wider = replace(found, subject=replace(found.subject, width=Width.WHOLE))
    assert against(wider, Kept(told.stories, told.read))


@pytest.mark.parametrize("name", ["width", "left_out"])
def test_one_byte_of_what_is_left_out_is_refused(name: str) -> None:
    found = carried_by("i17")
    data = json.loads(text_of(sealed(found, BY)))
    subject = data["proof"]["head"]["subject"]
    if name == "width":
        subject[name] = "narrows"
    else:
        seq = next(iter(subject[name]), "7")
        subject[name][seq] = [9]
    assert [x.where for x in verified(text_of(data), BY).wrong][:1] == ["proof.head"]


def test_a_configuration_that_the_journal_keeps_no_more_is_not_told_as_another() -> None:
    told = history(18)
    found, _ = narrow(told.whole("i17"))
    without = Stories(lambda _digest: None).read(x.entry for x in told.links)
    assert against(found, Kept(without, told.read)) == []
    assert not_compared(found, without) == ["m1"]
    assert not_compared(found, told.stories) == []


def carried_by(name: str) -> Slice:
    told = history(18)
    return carried(told.whole(name).subject, told.stories, told.read, told.asked)


def test_a_report_of_the_whole_history_is_written_and_checked_as_it_always_was() -> None:
    """One of before this: no member of its file is another."""
    told = history(18)
    whole = told.whole("i17")
    text = text_of(sealed(whole, BY))
    assert set(json.loads(text)["proof"]["head"]["subject"]) == {
        "kind", "id", "client", "stories", "services", "until", "from_wall", "to_wall",
    }  # fmt: skip
    assert verified(text, BY).wrong == ()
    for language in ("en", "fr"):
        page = Papers(whole, BY, language).html()
        assert verified(page, BY).wrong == ()
        assert verified(page.replace("acme/erp", "acme/erq", 1), BY).wrong
    assert against(whole, Kept(told.stories, told.read)) == []
