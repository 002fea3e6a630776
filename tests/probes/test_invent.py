"""Invented replies: what a target would say, made up so well that the kind's own judgement takes it for what it is."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from orchestrator.config import load
from orchestrator.core.events import Answer
from orchestrator.core.model import Check
from orchestrator.probes.example_texts import differing, matching, matching_all
from orchestrator.probes.kinds import KINDS
from orchestrator.probes.results import CannotInvent, Judged, Refusal
from tests.probes.conftest import ROOT

NO_FACTS: Mapping[str, float] = {}


def judged(name: str, written: Mapping[str, Any], so: bool, facts: Mapping[str, float] = NO_FACTS) -> Judged:
    """What production makes of the invented reply of a check written so."""
    kind = KINDS[name]
    options = kind.options.model_validate(dict(written))
    return kind.classify(options, kind.invent(options, so, facts))


@lru_cache
def checks_of_ours() -> dict[str, Check]:
    """Every check of this repository's own workspace."""
    loaded = load(Path(ROOT), probe_kinds={name: kind.options for name, kind in KINDS.items()})
    return dict(loaded.model.checks)


def test_every_check_of_this_workspace_is_so_or_is_not() -> None:
    """All clients: power consoles with wildcards, outputs of commands, expected addresses."""
    checks = checks_of_ours()
    assert len(checks) > 20
    for check in checks.values():
        assert judged(check.probe, check.options, True).answer is Answer.GOOD, check
        found = judged(check.probe, check.options, False)
        assert (found.answer, bool(found.detail)) == (Answer.BAD, True), check


ODD: list[tuple[str, dict[str, Any]]] = [
    ("login", {"client": "acme", "host": "hq-edge"}),
    ("icmp", {"target": "192.0.2.1", "count": 10, "need": 10}),
    ("icmp", {"target": "192.0.2.1", "count": 100}),
    ("tcp", {"target": "a", "port": 25}),
    ("tcp", {"target": "a", "port": 25, "send": "EHLO us"}),
    ("tcp", {"target": "a", "port": 22, "expect": r"^SSH-2\.0-"}),
    ("tcp", {"target": "a", "port": 22, "expect": ".*"}),
    ("tcp", {"target": "a", "port": 22, "expect": "^(?!.*(?:busy|full))"}),
    ("http", {"url": "https://a/"}),
    ("http", {"url": "https://a/", "status": 503}),
    ("http", {"url": "https://a/", "status": [503, 500, 404]}),
    ("http", {"url": "https://a/", "status": list(range(100, 600))}),
    ("http", {"url": "https://a/", "status": list(range(100, 600)), "match": "a*"}),
    ("http", {"url": "https://a/", "match": r"(?i)version: \d+\.\d+"}),
    ("http", {"url": "https://a/", "match": r'"status": ?"ok"', "json": {"ready": True}}),
    ("http", {"url": "https://a/", "match": r"ready", "json": {"state": "ready"}}),
    ("http", {"url": "https://a/", "match": r'^\{"state":"ready"\}$', "json": {"state": "ready"}}),
    ("http", {"url": "https://a/", "match": r"plain words", "json": {"a.b.c": None, "a.b.d": 1.5, "a.e": False}}),
    ("http", {"url": "https://a/", "json": {"outlets.*.power": "off", "outlets.*.latched": True}}),
    ("http", {"url": "https://a/", "json": {"*.*.x": 0, "a.b.y": "", "a.*.z": "ü"}}),
    ("http", {"url": "https://a/", "json": {"*": True}}),
    ("http", {"url": "https://a/", "json": {'"a.b".*': 1, '"a.b".c': 1, 'a."*"': 2}}),
    ("http", {"url": "https://a/", "json": {"nodes.0.up": 1, "nodes.*.up": 1}}),
    ("http", {"url": "https://a/", "header_matches": {"Server": "^nginx", "X-Ready": r"\d+"}}),
    ("http", {"url": "https://a/", "header_matches": {"X-A": "one", "x-a": "two"}}),
    ("dns", {"record": "a.example", "server": "192.0.2.1"}),
    ("dns", {"record": "a.example", "server": "192.0.2.1", "expect": ["192.0.2.1", "192.0.2.2"]}),
    ("dns", {"record": "a.example", "server": "192.0.2.1", "type": "TXT", "expect": '"v=spf1 -all"'}),
    ("dns", {"record": "a.example", "server": "192.0.2.1", "expect": [f"192.0.2.{n}" for n in range(256)]}),
    *[
        ("dns", {"record": "a.example", "server": "192.0.2.1", "type": kind, "expect": expect})
        for kind in ("AAAA", "CNAME", "MX", "NS", "PTR", "SOA", "SRV", "TXT", "CAA")
        for expect in ([], ["host1.example"])
    ],
    ("ssh", {"target": "a"}),
    ("ssh", {"target": "a", "exit_code": 3}),
    ("ssh", {"target": "a", "exit_code": 255, "match": "cluster state: +shut down"}),
    ("ssh", {"target": "a", "exit_code": 1, "match": ".*"}),
    ("postgres", {"target": "a"}),
    ("postgres", {"target": "a", "role": "primary"}),
    ("postgres", {"target": "a", "role": "primary", "max_lag": "1s", "max_lag_bytes": 0}),
    ("postgres", {"target": "a", "role": "standby"}),
    ("postgres", {"target": "a", "streaming": True}),
    ("postgres", {"target": "a", "max_lag": "30s"}),
    ("postgres", {"target": "a", "max_lag": "0s", "max_lag_bytes": 0, "role": "standby", "streaming": True}),
    ("postgres", {"target": "a", "max_lag_bytes": 1024}),
    ("postgres", {"target": "a", "query": "select 1", "expect": "1"}),
    ("postgres", {"target": "a", "query": "select ''", "expect": ""}),
    ("aws", {"what": "instance", "id": "i-1"}),
    ("aws", {"what": "instance", "tags": {"role": "app"}, "state": "any"}),
    ("aws", {"what": "instance", "tags": {"role": "app"}, "state": ["stopped", "stopping"]}),
    ("aws", {"what": "object", "bucket": "b"}),
    ("aws", {"what": "object", "bucket": "b", "max_age": "1h", "min_bytes": 0}),
    ("aws", {"what": "object", "bucket": "b", "max_age": "0s"}),
    ("aws", {"what": "snapshot", "volume": "vol-1", "max_age": "1d"}),
    ("aws", {"what": "record", "record": "a.example"}),
    ("aws", {"what": "record", "record": "a.example", "expect": ["192.0.2.1", "192.0.2.2"]}),
    ("aws", {"what": "record", "record": "a.example", "type": "TXT", "expect": ['"x"']}),
    ("nagios", {"command": ["check_disk"]}),
    ("nagios", {"command": ["check_disk"], "warning": "bad"}),
]


@pytest.mark.parametrize(("name", "written"), ODD, ids=[f"{name}-{n}" for n, (name, _) in enumerate(ODD)])
def test_odd_options(name: str, written: dict[str, Any]) -> None:
    """Whatever an author writes: it is so, it is not so, and the time that the answer took comes back."""
    for so, wanted in ((True, Answer.GOOD), (False, Answer.BAD)):
        found = judged(name, written, so, {"rtt_s": 0.25, "some_other_world": 1.0})
        assert (found.answer, bool(found.detail)) == (wanted, True), found
    kind = KINDS[name]
    options = kind.options.model_validate(written)
    assert kind.invent(options, True, {}) == kind.invent(options, True, {}), "the same question, the same answer"
    assert judged(name, written, True, {"rtt_s": 0.25}).measures["rtt_s"] == pytest.approx(0.25)


def test_the_odd_ones_are_of_every_kind() -> None:
    assert {name for name, _ in ODD} == set(KINDS)


class TestWhatTheOperatorReads:
    """An invented answer names what is not so, as a real one would."""

    def test_power_that_is_on(self) -> None:
        """The console says of an outlet that it is not off."""
        written = {"url": "http://console/status", "json": {"outlets.*.power": "off", "outlets.*.latched": True}}
        detail = judged("http", written, False).detail
        assert (
            detail
            == "HTTP 200, outlets.1.power is 'not off', expected 'off'; outlets.1.latched is False, expected True"
        )

    def test_a_service_that_is_unwell(self) -> None:
        assert judged("http", {"url": "http://a/"}, False).detail.startswith("HTTP 503")

    def test_a_name_that_leads_elsewhere(self) -> None:
        written = {"record": "a.example", "server": "192.0.2.53", "expect": "192.0.2.1"}
        assert judged("dns", written, False).detail == "a.example A is 192.0.2.2, expected 192.0.2.1"

    def test_a_standby_that_is_a_primary(self) -> None:
        assert judged("postgres", {"target": "a", "role": "standby"}, False).detail == "primary: expected standby"

    def test_where_nothing_said_could_be_bad_it_is_refused(self) -> None:
        """A port that need say nothing, a host that need only answer."""
        for name, written in (("tcp", {"target": "a", "port": 25}), ("icmp", {"target": "a"})):
            kind = KINDS[name]
            assert isinstance(kind.invent(kind.options.model_validate(written), False, {}), Refusal)


class TestFacts:
    """Measures that the world gives come back as they were given."""

    @pytest.mark.parametrize(
        ("name", "written", "facts"),
        [
            ("postgres", {"target": "a"}, {"data_age_s": 12.3}),
            ("postgres", {"target": "a", "role": "standby"}, {"data_age_s": 1e-3}),
            ("postgres", {"target": "a", "role": "standby"}, {"data_age_s": 3.7e8}),
            ("postgres", {"target": "a", "role": "standby"}, {"data_age_s": 4.0, "lag_bytes": 0.0, "lag_s": 4.0}),
            ("postgres", {"target": "a", "role": "standby"}, {"data_age_s": 4.0, "lag_bytes": 123.0, "lag_s": 60.5}),
            ("postgres", {"target": "a", "role": "standby"}, {"data_age_s": 4.0, "lag_s": 60.5}),
            ("postgres", {"target": "a", "streaming": True}, {"lag_bytes": 4096.0}),
            ("postgres", {"target": "a", "max_lag": "1m", "max_lag_bytes": 4096}, {"lag_s": 7.0, "lag_bytes": 0.0}),
            ("postgres", {"target": "a", "role": "primary"}, {"data_age_s": 0.0}),
            ("aws", {"what": "object", "bucket": "b"}, {"data_age_s": 5400.25, "size_bytes": 1e9}),
            ("aws", {"what": "snapshot", "volume": "v", "max_age": "2h"}, {"data_age_s": 7200.0}),
            ("aws", {"what": "instance", "tags": {"a": "b"}}, {"instances": 3.0}),
            ("aws", {"what": "record", "record": "a.example"}, {"ttl_s": 5.0}),
            ("http", {"url": "http://a/", "status": [200, 429]}, {"status": 429.0}),
            ("icmp", {"target": "a", "count": 10}, {"loss": 0.3}),
            ("nagios", {"command": ["x"]}, {"rta_s": 1e-7, "pl_percent": 20.0, "free_bytes": 2.5e13, "users": 3.0}),
            ("nagios", {"command": ["x"]}, {"it's odd=1 |_s": 1.5, "_s": -2.0, "n_count": 12.0}),
        ],
    )
    def test_what_was_given_comes_back(self, name: str, written: dict[str, Any], facts: dict[str, float]) -> None:
        found = judged(name, written, True, {"rtt_s": 0.125, **facts})
        assert found.answer is Answer.GOOD
        assert {key: found.measures.get(key) for key in facts} == pytest.approx(facts, rel=1e-12)

    @given(st.floats(0, 1e9), st.one_of(st.none(), st.floats(0, 1e9)), st.one_of(st.none(), st.floats(0, 1e15)))
    def test_the_age_of_data_is_never_understated(
        self, age_s: float, lag_s: float | None, lag_bytes: float | None
    ) -> None:
        """Whatever else is said of the standby, good or bad: an age that is measured is at least the given one."""
        given_facts = {"data_age_s": age_s, "lag_s": lag_s, "lag_bytes": lag_bytes}
        facts = {key: value for key, value in given_facts.items() if value is not None}
        for written in ({"role": "standby"}, {"streaming": True}, {"max_lag": "1m"}, {"max_lag_bytes": 9}):
            so = judged("postgres", {"target": "a", **written}, True, facts)
            assert so.measures["data_age_s"] == age_s
            not_so = judged("postgres", {"target": "a", **written}, False, facts)
            assert not_so.answer is Answer.BAD
            assert not_so.measures.get("data_age_s", age_s) >= age_s

    def test_an_age_that_nobody_gave_is_not_measured(self) -> None:
        """Unknown blocks; an invented 0 would let a promotion pass."""
        assert "data_age_s" not in judged("postgres", {"target": "a", "role": "standby"}, True).measures

    @pytest.mark.parametrize(
        ("name", "written"),
        [
            ("postgres", {"target": "a", "max_lag": "30s"}),
            ("aws", {"what": "object", "bucket": "b", "max_age": "30s"}),
            ("aws", {"what": "snapshot", "volume": "v", "max_age": "30s"}),
        ],
    )
    def test_data_that_is_too_old_is_bad_whatever_else_is_so(self, name: str, written: dict[str, Any]) -> None:
        """A fact is not bent to fit an answer."""
        found = judged(name, written, True, {"data_age_s": 31.0})
        assert (found.answer, found.measures["data_age_s"]) == (Answer.BAD, 31.0)

    def test_a_host_that_loses_packets(self) -> None:
        """As near as so many packets can show it, and enough of them where enough is asked for."""
        written = {"target": "a", "count": 5, "need": 4}
        assert judged("icmp", written, True, {"loss": 0.9}).measures["loss"] == pytest.approx(0.2)
        assert judged("icmp", written, False, {"loss": 0.0}).measures["loss"] == pytest.approx(0.4)
        assert judged("icmp", written, False, {"loss": 1.0}).measures["loss"] == pytest.approx(0.8)


class TestWhatCannotBeInvented:
    """A limit of ours is told with its place, and not papered over."""

    @pytest.mark.parametrize(
        ("name", "written", "option"),
        [
            ("tcp", {"target": "a", "port": 1, "expect": "a(?!)"}, "expect"),
            ("ssh", {"target": "a", "match": r"x\bx"}, "match"),
            ("http", {"url": "http://a/", "match": "(?!)"}, "match"),
            ("http", {"url": "http://a/", "match": "^no JSON$", "json": {"a": 1}}, "match with json"),
            ("http", {"url": "http://a/", "json": {"a": 1, "a.b": 2}}, "json"),
            ("http", {"url": "http://a/", "json": {"a": 1, "*": True}}, "json"),
            ("http", {"url": "http://a/", "header_matches": {"X": "^a$", "x": "^b$"}}, "header_matches"),
        ],
    )
    def test_it_says_which_option(self, name: str, written: dict[str, Any], option: str) -> None:
        with pytest.raises(CannotInvent, match=f"no reply of {name} can be invented for its option {option}: ") as told:
            judged(name, written, True)
        assert (told.value.kind, told.value.option) == (name, option)
        assert judged(name, written, False).answer is Answer.BAD, "what can never be so is not so"


def test_inventing_needs_no_heavy_library() -> None:
    """The simulator asks nobody, and so imports nothing that asking needs."""
    code = (
        "import sys; from orchestrator.probes.kinds import KINDS\n"
        "ssh = KINDS['ssh']; ssh.invent(ssh.options(target='a', match='x+'), True, {})\n"
        "heavy = {'aiohttp', 'boto3', 'paramiko', 'psycopg', 'dns'} & set(sys.modules)\n"
        "sys.exit(f'imported: {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


PATTERNS = [
    r"via 192\.0\.2\.1 ",
    r"cluster state: +shut down",
    r"^(?=.*\d)(?=.*[a-z]).{8,}$",
    r"^(?!.*ERROR)",
    r"(?i)^HTTP/1\.[01] 200",
    r"\b\d{1,3}(?:\.\d{1,3}){3}\b",
    r"(?m)^ready$",
    r"(?!0)\d",
    r"(?<=foo)bar",
    r"(?<!a)b",
    r"(a|b)(?<=b)c",
    r"(?P<q>['\"])on(?P=q)",
    r"^[^\n]*$",
    r"(?x) a b # c",
    r"\bfoo\B.",
    r"(a)|b(?(1)c|d)",
    r"(a)?b(?(1)c|d)$",
    r"(?>a+)b++",
    r"x{5000}",
    r"[^a-z\d\s_]",
    r"\A\S+\s\W\D\Z",
    r"(?s)^a.b$",
    r"é|ü",
]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_text_is_found(pattern: str) -> None:
    """Patterns as people write them have one that matches and one that does not."""
    text, other = matching(pattern), differing(pattern)
    assert text is not None
    assert other is not None
    assert re.search(pattern, text)
    assert not re.search(pattern, other)


def test_a_text_reads_as_plainly_as_the_pattern_allows() -> None:
    assert matching(r"cluster state: +shut down") == "cluster state: shut down"
    assert matching(r"(?i)^HTTP/1\.[01] 200") == "HTTP/1.0 200"
    assert differing(r"cluster state: +shut down") == "something else"
    assert matching_all((r"^ok", r"ready$")) == "ok ready"


PIECES = st.recursive(
    st.sampled_from(
        ["a", "ü", ".", r"\d", r"\D", r"\w", r"\W", r"\s", r"\S", "[a-f]", "[^a-f]", r"[\d_-]", r"\.", " "]
    ),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "{1,3}", "*?", "+?"])).map(
            lambda p: f"(?:{p[0]}){p[1]}"
        ),
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map(lambda p: f"(?:{p[0]}|{p[1]})"),
        inner.map(lambda p: f"({p})"),
    ),
    max_leaves=8,
)


@settings(deadline=None)
@given(PIECES)
def test_a_text_is_found_for_any_pattern_without_conditions(pattern: str) -> None:
    """Nothing in such a pattern can contradict itself, so there is a text, and it is found."""
    text = matching(pattern)
    assert text is not None
    assert re.search(pattern, text)


@pytest.mark.filterwarnings("ignore:Possible:FutureWarning")  # patterns that people would not write
@settings(deadline=None)
@given(st.text(st.sampled_from(list("ab01 \n.^$*+?()[]{}|\\dDwWsSbBAZ=!<:-,")), max_size=14))
def test_whatever_is_found_was_tried(pattern: str) -> None:
    """Also of patterns that can never match; what options refuse is no pattern."""
    kind = KINDS["ssh"]
    try:
        options = kind.options.model_validate({"target": "a", "match": pattern})
    except ValidationError:
        return
    text, other = matching(pattern), differing(pattern)
    assert text is None or re.search(pattern, text)
    assert other is None or not re.search(pattern, other)
    assert kind.classify(options, kind.invent(options, False, {})).answer is Answer.BAD
