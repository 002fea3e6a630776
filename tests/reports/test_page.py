"""The page and the text: self-contained, escaped, and the same figures."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from dataclasses import asdict, fields, is_dataclass, replace
from html.parser import HTMLParser

from orchestrator.core import records as r
from orchestrator.core.reasons import Reason
from orchestrator.reports.account import account
from orchestrator.reports.incident_text import account_lines, list_lines, summary_lines
from orchestrator.reports.page import page
from orchestrator.reports.shape import Account
from orchestrator.reports.text import plain
from orchestrator.reports.timeline import timeline
from tests.reports.sample import WALL, Tape, approve, asked_act, first_act, second_act

METER = {"outage_s": 12.9, "acknowledged": 900, "lost": 3, "oldest_lost_age_s": 0.4, "served_by": "geo", "other": 1}
NASTY = "<script>alert(1)</script> & \"'"


def three_acts() -> list[Account]:
    """As the demo tells them, the last still unsettled about data."""
    tape = Tape().begin().after(20.0)
    first_act(tape)
    second_act(tape.after(400.0))
    asked_act(tape.after(400.0))
    approve(tape.after(140.0))
    stories = tape.read()
    meters = (None, METER, None)
    return [account(s, stories.clock, tape.now, m) for s, m in zip(stories.stories.values(), meters, strict=True)]


class Outside(HTMLParser):
    """Collects everything that a browser would fetch or run, and checks that tags close."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """A tag opens."""
        if tag in ("script", "link", "img", "iframe", "object"):
            self.found.append(tag)
        self.found += [f"{k}={v}" for k, v in attrs if k in ("src", "href") and not (v or "").startswith("#")]
        self.found += [k for k, _ in attrs if k.startswith("on")]
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """A tag closes: the one that opened last."""
        if self.open and self.open[-1] == tag:
            self.open.pop()
        elif tag not in ("line", "rect", "circle"):
            self.found.append(f"</{tag}> where <{self.open[-1] if self.open else ''}> is open")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An empty tag."""


def test_the_page_fetches_and_runs_nothing() -> None:
    """It can be mailed, printed and read in ten years."""
    text = page(three_acts(), wall=WALL)
    reader = Outside()
    reader.feed(text)
    assert reader.found == []
    assert reader.open == []
    assert "url(" not in text
    assert "@import" not in text


def test_everything_that_came_from_outside_is_escaped() -> None:
    """A playbook's error, an operator's reason, a check's evidence may contain anything."""
    tape = Tape().begin().after(20.0)
    bad = tape.now
    tape.after(2.0).incident("i1", "acme/hq", NASTY, first_bad=bad, last_good=None)
    tape.tier("i1", 1, "backup-isp", r.TierState.INELIGIBLE, Reason.NOT_VIABLE, NASTY)
    tape.run("r1", NASTY, ((NASTY, r.StepKind.EXECUTE),), incident="i1", who=NASTY, why=NASTY, overrides=(NASTY,))
    tape.step("r1", NASTY, 2.0, NASTY)
    stories = tape.read()
    told = account(stories.stories["i1"], stories.clock, tape.now, {"meter": NASTY, "outage_s": 1.0}, NASTY)
    text = page([told, told], wall=WALL, title=NASTY)
    assert "<script" not in text
    assert "alert(1)</" not in text


def test_the_timeline_is_well_formed_and_describes_itself() -> None:
    """For a screen reader: a title, a description, and a title on each bar."""
    for told in three_acts():
        svg = ET.fromstring(timeline(told, "a1"))
        assert svg.attrib["aria-labelledby"].split() == ["a1-t", "a1-d"]
        about = [x.text for x in svg if x.attrib.get("id") == "a1-d"]
        assert about[0] is not None
        assert "execute" in about[0]
        assert all(g[0].tag == "title" for g in svg.iter("g"))


def test_nothing_in_the_timeline_lies_outside_of_it() -> None:
    """Also the meter's outage, which begins before ours and ends after."""
    told = three_acts()[1]
    for x in re.findall(r'\bx="([-\d.]+)"', timeline(told, "a")):
        assert -1.0 <= float(x) <= 1000.0


def test_ours_and_the_end_users_figures_stand_apart() -> None:
    """Named as what they are, in text and on the page."""
    told = three_acts()[1]
    text = plain(account_lines(told))
    assert "measured by the end user's meter (client)" in text
    assert "transactions lost: 3 of 900 acknowledged" in text
    assert "age of the oldest lost one: 0.4s, RPO 30s" in text
    assert "RTO 2:00   RTA 12.0s  met\n    measured: first bad answer to the good answer that ended it\n" in text
    assert "measured by the end user&#x27;s meter (client)" in page([told], wall=WALL)


def test_text_keeps_to_the_width() -> None:
    """At 80 columns no line is longer."""
    for told in three_acts():
        assert max(len(x) for x in plain(account_lines(told, 80)).splitlines()) <= 80


def test_a_tasks_name_is_not_cut_off() -> None:
    """What does not fit into the line goes on in the next one."""
    text = " ".join(plain(account_lines(three_acts()[0], 60)).split())
    assert "hq-edge: Forget connections of ISP A" in text
    assert "localhost: Point erp.acme.example at ISP B" in text


def test_the_summary_has_a_row_an_act() -> None:
    """Columns that nobody fills are left out."""
    lines = plain(summary_lines(three_acts())).splitlines()
    assert len(lines) == 4
    assert "wait for a human" in lines[0]
    assert "wait for a dependency" not in lines[0]
    assert "tier 2 geo-site" in lines[2]


def test_the_list_tells_place_and_miss() -> None:
    """One line each, the missed RTO in words."""
    lines = plain(list_lines(three_acts())).splitlines()
    assert "acme/hq → acme/geo" in lines[1]
    assert lines[2].endswith("RTO missed")


def test_an_account_is_plain_json() -> None:
    """Other tools read it."""
    told = json.loads(json.dumps(asdict(three_acts()[1])))
    assert told["rta"] == {
        "seconds": told["rta"]["seconds"],
        "known": "measured",
        "source": "first bad answer to the good answer that ended it",
        "at_most": False,
        "counted_s": None,
    }
    assert told["tiers"][0]["reason"] == "not viable"
    assert told["meter"]["lost"] == 3


def test_whatever_an_account_says_acts_on_nothing_in_the_page() -> None:
    """Each text of each account, whatever it is joined with: escaped, and without control or direction characters."""
    hostile = "<b>\x1b]0;OWNED\x07\u202eevil\u009b31m"

    def spoilt(value: object) -> object:
        if isinstance(value, str):
            return hostile
        if isinstance(value, tuple):
            return tuple(spoilt(x) for x in value)
        if is_dataclass(value) and not isinstance(value, type):
            keep = ("id", "phase", "known", "kind")  # ours, and looked up
            return replace(
                value, **{f.name: spoilt(getattr(value, f.name)) for f in fields(value) if f.name not in keep}
            )
        return value

    said = page([spoilt(a) for a in three_acts()], wall=WALL, title=hostile)  # type: ignore[misc]
    assert said.count("&lt;b&gt;") > 100
    assert "<b>\\x1b" not in said
    assert not [c for c in "\x1b\x07\u202e\u009b" if c in said]
