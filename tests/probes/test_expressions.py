"""Patterns of authors over texts of others: the same meaning as Python's own, in a time that no text stretches."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.core.events import Answer
from orchestrator.probes import patience
from orchestrator.probes.expressions import TookTooLong, _engines, fault, found
from orchestrator.probes.http import KIND, HttpOptions, Responded

PATTERNS = (
    r"\B",
    "(?=a)a{s",
    "a{d}(?!x)",
    "x{e<=1}$|b",
    r"\N{LATIN SMALL LETTER A}(?=b)",
    "ok",
    "erp.*ok",
    "^ok$",
    r"^\d+ rows?$",
    r"(?i)ready",
    r"(?m)^b$",
    r"(?s)a.b",
    r"\bok\b",
    r"a\Bb",
    r"[^\W_]+",
    r"[\W\d]",
    r"\w+\s\w+",
    r"\S+@\S+",
    r"[^\s]x",
    r"(a|b)+c",
    r"(?:ab){2,3}",
    r"a{2}",
    r"x*",
    r"(?P<n>a)b",
    r"[^a-c]",
    r"a$|b$",
    r"(a$)?b",
    r"a$\n",
    r"\Aab\Z",
    r"(?!.*error)^ok",
    r"(a)\1",
    r"a(?=b)",
    r"(?<=a)b",
    r"(?i:A)b",
    r"(?x) a  b # words",
    "é+",
    "[à-ü]",
    r"\D",
    r"(?a)\w+$",
    r"a.c",
    r"\.",
    r"[.\]\-^]",
    r"\x41|\u0042",
    r"(?>a+)b",
    r"a++b",
    r"$",
    r"^",
    "",
    r"(?i)straße",
    r"[\s\S]b",
    r"\t",
)
TEXTS = (
    "",
    "ok",
    "ok\n",
    "ok\n\n",
    "erp\nok",
    "erp x ok",
    "READY",
    "a\nb\nc",
    "a\nb",
    "not ok!",
    "ab",
    "aab",
    "ababab",
    "_",
    "1",
    " ",
    "x y",
    "me@there",
    "bc",
    "aabc",
    "d",
    "a\n",
    "12 rows",
    "12 row\n",
    "aa",
    "error ok",
    "okerror",
    "é",
    "ü",
    "٣",
    "wörd ok",
    "añb",
    "A",
    "B",
    "abc",
    "a-c",
    "]",
    "^",
    "STRASSE",
    "straße",
    "\u2003",
    "\x1c",
    "\x85",
    "a\tb",
    "ab\nab",
    "\U0001f600",
)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_means_what_it_means_to_python(pattern: str) -> None:
    assert fault(pattern) is None
    for text in TEXTS:
        assert found(pattern, text) is (re.search(pattern, text) is not None), (pattern, text)


CHARS = st.sampled_from("ab \n\té٣_1$-]K\u017f\u2003\xa0")


@st.composite
def patterns(draw: st.DrawFn) -> str:
    """Patterns as people write them, of every regular part."""
    atoms = st.sampled_from(
        ["a", "b", ".", r"\d", r"\w", r"\s", r"\S", r"\D", "[ab]", "[^a]", r"[\w-]", "^", "$", r"\b", "é", r"\n", " "]
    )
    tails = st.sampled_from(["", "", "*", "+", "?", "{2}", "{1,2}", "*?"])
    pieces = []
    for atom in draw(st.lists(atoms, min_size=1, max_size=4)):
        tail = "" if atom in ("^", "$", r"\b") else draw(tails)
        pieces.append(atom + tail)
    whole = "".join(pieces)
    if draw(st.booleans()):
        whole = f"({whole})|{draw(atoms)}"
    return draw(st.sampled_from(["", "(?s)", "(?m)", "(?i)"])) + whole


@settings(deadline=None, max_examples=150)
@given(patterns(), st.text(CHARS, max_size=8))
def test_any_regular_pattern_means_the_same(pattern: str, text: str) -> None:
    assert found(pattern, text) is (re.search(pattern, text) is not None)


@pytest.mark.parametrize(
    ("pattern", "text", "there"),
    [
        ("erp.*ok", "erp" * 350_000, False),
        ("(a+)+$", "a" * 1_000_000 + "b", False),
        ("(a|aa)+$", "a" * 1_000_000 + "b", False),
        (r"(\w+\s?)+!", "word " * 200_000, False),
        (".*.*.*=", "x" * 1_000_000, False),
        (r"^(\d+,)+ok$", "1," * 500_000, False),
        ("erp.*ok", "erp" * 350_000 + "ok", True),
    ],
)
def test_no_text_keeps_a_pattern_busy(pattern: str, text: str, there: bool) -> None:
    began = time.thread_time()
    assert found(pattern, text) is there
    assert time.thread_time() - began < 5  # hundredths of a second; with backtracking it is minutes to centuries
    assert _engines(pattern)[0] is not None


@pytest.mark.parametrize(("pattern", "text"), [(r"(?!x)(a+)+$", "a" * 5000 + "b"), (r"(a+)+\1[xb]$", "a" * 5000 + "!")])
def test_what_only_backtracking_finds_is_given_up(pattern: str, text: str) -> None:
    with pytest.raises(TookTooLong, match="could not be looked for"):
        found(pattern, text)


def test_what_keeps_patterns_busy_is_paid_by_its_own_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "_purses", {})
    monkeypatch.setattr(patience, "_SHARE", 0.0)  # it does not fill meanwhile
    pattern, text, told = r"(?!x)(a+)+$", "a" * 5000 + "b", []
    for client in [*["alpha"] * 12, "bravo"]:
        with patience.PaidBy(client), pytest.raises(TookTooLong) as why:
            found(pattern, text)
        told.append(str(why.value))
    assert "busy for 50 ms" in told[0]
    assert "busy for 0.5 ms; it gets no longer" in told[11]
    assert told[12] == told[0]
    with patience.PaidBy("alpha"):  # what is not kept busy, is found
        assert found(r"^(?!.*error).*ok", "all is ok")


def test_a_document_that_takes_long_is_paid_by_its_own_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "_purses", {})
    monkeypatch.setattr(patience, "_SHARE", 0.0)
    monkeypatch.setattr(patience, "PURSE_S", 0.01)
    options = HttpOptions.model_validate({"url": "http://192.0.2.1/", "json": {"state": "on"}})
    large, small = Responded(200, f"[{'[],' * 340_000}1]", 0.1), Responded(200, '{"state": "on"}', 0.1)
    with patience.PaidBy("alpha"):
        assert KIND.classify(options, large).answer is Answer.BAD
        refused = KIND.classify(options, large)
        assert (refused.answer, refused.detail[:45]) == (Answer.NONE, "a body of 1020003 characters was not read as ")
        assert KIND.classify(options, small).answer is Answer.GOOD
    with patience.PaidBy("bravo"):
        assert KIND.classify(options, large).answer is Answer.BAD


def test_half_a_character_in_a_text_is_no_crash() -> None:
    assert found("ok", "\ud800 ok")
    assert not found(r"\bno\b", "\udfff é")


@pytest.mark.parametrize("pattern", ["(", "a{2", "[z-a]", "(?P<x>a)(?P<x>b)", "*a"])
def test_what_is_no_pattern_is_said(pattern: str) -> None:
    try:
        re.compile(pattern)
    except re.error:
        assert "no regular expression" in str(fault(pattern))
    else:
        assert fault(pattern) is None
