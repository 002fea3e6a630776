"""A report proves itself: whatever is changed in its file is refused, and named."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.core.codec import dumps
from orchestrator.journal.chain import link
from orchestrator.journal.journal import Head
from orchestrator.reports.account import account
from orchestrator.reports.papers.composition import compose
from orchestrator.reports.papers.edition import for_client
from orchestrator.reports.papers.sealing import Unreadable, check, plain_json, sealed, text_of
from orchestrator.reports.papers.shape import Edition
from tests.reports.papers.told import SECRET, sliced, stories_of, three_acts

BY = "bascule 0"
SOME = '{"format": "bascule report", "version": 1, "made_by": "", "report": {}, "seal": "", "proof": {"head": '
Path = tuple[str | int, ...]


@cache
def written(edition: Edition, name: str = "i3") -> str:
    """The file of one report."""
    found = sliced(three_acts(), name)
    return text_of(sealed(for_client(found) if edition is Edition.CLIENT else found, BY))


def leaves(value: Any, path: Path = ()) -> Iterator[Path]:
    """The way to every value that holds no others."""
    if isinstance(value, dict):
        for name, x in value.items():
            yield from leaves(x, (*path, name))
    elif isinstance(value, list):
        for n, x in enumerate(value):
            yield from leaves(x, (*path, n))
    else:
        yield path


def other(value: Any) -> Any:
    """Another value of the same kind, as near as can be."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    if value is None:
        return 1.0
    return value[:-1] + ("0" if value[-1:] != "0" else "1")


def changed(text: str, path: Path) -> str:
    """The file with this one value changed, written as bascule writes it."""
    data = json.loads(text)
    at = data
    for part in path[:-1]:
        at = at[part]
    at[path[-1]] = other(at[path[-1]])
    return text_of(data)


def resealed(data: dict[str, Any]) -> str:
    """The file with a seal that fits again, as a forger would write it."""
    data["proof"]["head_sum"] = hashlib.sha256(dumps(data["proof"]["head"])).hexdigest()
    data["seal"] = hashlib.sha256(dumps({n: v for n, v in data.items() if n != "seal"})).hexdigest()
    return text_of(data)


@pytest.mark.parametrize("name", ["i1", "i2", "i3"])
@pytest.mark.parametrize("edition", list(Edition))
def test_a_file_as_it_was_written_is_whole(edition: Edition, name: str) -> None:
    found = check(written(edition, name), BY)
    assert found.wrong == ()
    assert found.figures > 200


@pytest.mark.parametrize("name", ["i1", "i2", "i3"])
def test_the_slice_tells_what_the_whole_journal_tells(name: str) -> None:
    tape = three_acts()
    stories = stories_of(tape)
    told = account(stories.stories[name], stories.clock, tape.now)
    assert compose(sliced(tape, name)).parts == (told,)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), edition=st.sampled_from(list(Edition)))
def test_any_value_of_the_report_is_worked_out_again_even_if_the_seal_was_made_to_fit(
    data: st.DataObject, edition: Edition
) -> None:
    forged = json.loads(written(edition))
    paths = list(leaves(forged["report"]))
    assert len(paths) > 300
    path, at = data.draw(st.sampled_from(paths)), forged["report"]
    for part in path[:-1]:
        at = at[part]
    at[path[-1]] = other(at[path[-1]])
    named = "report" + "".join(f"[{x}]" if isinstance(x, int) else f".{x}" for x in path)
    assert [x.where for x in check(resealed(forged), BY).wrong] == [named]


@settings(max_examples=60, deadline=None)
@given(data=st.data(), edition=st.sampled_from(list(Edition)))
def test_any_value_of_the_proof_that_is_changed_is_named(data: st.DataObject, edition: Edition) -> None:
    text = written(edition)
    file = json.loads(text)
    path = data.draw(st.sampled_from([x for x in leaves(file) if x[0] not in ("report", "format", "version")]))
    wrong = [str(x) for x in check(changed(text, path), BY).wrong]
    assert wrong, f"{path} was changed and passes"
    if path[:2] == ("proof", "entries"):
        entry = file["proof"]["entries"][path[2]]
        number = entry["said"]["seq"] if edition is Edition.PROVIDER else entry["seq"]
        named = (f"entry {number}", f"entry {number + 1}", f"entry {int(path[2]) + 1} of the slice")
        assert any(x.startswith(named) for x in wrong), f"{path}: {wrong}"
    elif path[:2] == ("proof", "models"):
        assert any(x.startswith("model m") for x in wrong), f"{path}: {wrong}"


@settings(max_examples=100, deadline=None)
@given(data=st.data(), edition=st.sampled_from(list(Edition)))
def test_one_byte_changed_anywhere_is_refused(data: st.DataObject, edition: Edition) -> None:
    text = written(edition)
    at = data.draw(st.integers(0, len(text) - 1))
    put = data.draw(st.sampled_from('0123456789abcdefghijklmnopqrstuvwxyz ,.:{}[]"\\-\t\n'))
    if text[at] == put:
        return
    try:
        found = check(text[:at] + put + text[at + 1 :], BY)
    except Unreadable:
        return
    assert found.wrong


def test_an_entry_taken_out_or_put_elsewhere_is_noticed() -> None:
    data = json.loads(written(Edition.CLIENT))
    del data["proof"]["entries"][20]
    assert check(resealed(data), BY).wrong
    data = json.loads(written(Edition.PROVIDER))
    entries = data["proof"]["entries"]
    entries[20], entries[21] = entries[21], entries[20]
    assert any("stands behind" in x.why for x in check(resealed(data), BY).wrong)


def test_records_written_anew_from_some_entry_on_show_by_a_head_that_was_kept_elsewhere() -> None:
    """And by nothing else: which is said of the file before."""
    data = json.loads(written(Edition.PROVIDER))
    kept = Head(data["proof"]["entries"][-1]["said"]["seq"], data["proof"]["entries"][-1]["hash"])
    honest = check(written(Edition.PROVIDER), BY)
    assert "compared with no head kept elsewhere" in honest.not_shown[-1]
    assert "under the hash that was kept elsewhere" in check(written(Edition.PROVIDER), BY, [kept]).not_shown[-1]
    entries = data["proof"]["entries"]
    ended = entries[-1]
    ended["said"]["records"][-1]["recovered_at"] -= 10.0  # the RTA is to look better
    ended["said"]["records"][-1]["rta_s"] -= 10.0
    ended["hash"] = link(bytes.fromhex(ended["before"]), dumps(ended["said"])).hex()
    found = check(text_of(data), BY).slice
    assert found is not None
    forged = replace(found, head=f"{kept.seq}:{ended['hash']}")
    text = text_of(sealed(forged, BY))
    assert plain_json(compose(forged)) == json.loads(text)["report"]
    assert check(text, BY).wrong == ()
    assert [x.where for x in check(text, BY, [kept]).wrong] == [f"entry {kept.seq}"]


def _better(name: str) -> tuple[str, Head]:
    """The report of an incident whose end somebody wrote anew, in a journal that went on; and that journal's head."""
    data = json.loads(written(Edition.PROVIDER, name))
    number, _, kept = data["proof"]["head"]["journal"].partition(":")
    ended = data["proof"]["entries"][-1]
    assert ended["said"]["seq"] < int(number), "other entries came after it"
    ended["said"]["records"][-1]["recovered_at"] -= 2.0
    ended["said"]["records"][-1]["rta_s"] -= 2.0
    ended["hash"] = link(bytes.fromhex(ended["before"]), dumps(ended["said"])).hex()
    forged = check(text_of(data), BY).slice
    assert forged is not None
    return text_of(sealed(forged, BY)), Head(int(number), kept)


def test_a_head_of_an_entry_that_the_file_has_not_vouches_for_none_that_it_has() -> None:
    """Its hash does not follow from theirs by anything in the file: whoever wrote them anew could keep it."""
    text, kept = _better("i1")
    honest, forged = check(written(Edition.PROVIDER, "i1"), BY, [kept]), check(text, BY, [kept])
    assert forged.wrong == (), "so it cannot be seen here"
    assert honest.not_shown[-1] == forged.not_shown[-1]
    assert "could not be seen" in forged.not_shown[-1]
    assert f"entry {kept.seq}" in forged.not_shown[-1]


def test_it_is_said_which_entries_a_head_vouches_for() -> None:
    """Those that lead to it without a gap, and no others."""
    data = json.loads(written(Edition.PROVIDER))
    numbers = [x["said"]["seq"] for x in data["proof"]["entries"]]
    assert numbers[:7] == [1, 2, 3, 4, 5, 7, 8], "there is a gap"
    heads = [Head(x["said"]["seq"], x["hash"]) for x in data["proof"]["entries"]]
    told = check(written(Edition.PROVIDER), BY, [heads[8]]).not_shown[-1]
    assert told.startswith("entries 7 to 10 are under the hash that was kept elsewhere")
    assert "could not be seen" in told
    told = check(written(Edition.PROVIDER), BY, [heads[4], heads[-1]]).not_shown[-1]
    assert told == "every entry is under a hash that was kept elsewhere"


def test_the_hash_beside_an_extract_vouches_for_no_extract() -> None:
    data = json.loads(written(Edition.CLIENT))
    last = data["proof"]["entries"][-1]
    found = check(written(Edition.CLIENT), BY, [Head(last["seq"], last["hash"])])
    assert found.wrong == ()
    assert "says nothing of the extract" in found.not_shown[-1]
    assert [x.where for x in check(written(Edition.CLIENT), BY, [Head(last["seq"], "0" * 64)]).wrong] == [
        f"entry {last['seq']}"
    ]


@pytest.mark.parametrize("edition", list(Edition))
@pytest.mark.parametrize("by", [0, -1])
def test_a_report_ends_where_its_journal_ended(edition: Edition, by: int) -> None:
    """The end that it names is none of its own entries with another hash, and not before one of them."""
    data = json.loads(written(edition))
    number, _, _ = data["proof"]["head"]["journal"].partition(":")
    data["proof"]["head"]["journal"] = f"{int(number) + by}:{'0' * 64}"
    assert "proof.head.journal" in [x.where for x in check(resealed(data), BY).wrong]


def test_nothing_secret_is_in_any_file() -> None:
    for edition in Edition:
        for name in ("i1", "i2", "i3"):
            assert SECRET not in written(edition, name)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no JSON"),
        ("[1, 2]", "no report"),
        ('{"format": "something else"}', "no report"),
        ('{"format": "bascule report", "version": 99}', "its version is 99"),
        ('{"format": "bascule report", "version": 1}', "its members are not"),
        ("[" * 100_000, "nested"),
        ('{"format": "bascule report", "version": ' + "1" * 5000 + "}", "a number that no report has"),
        (f"{SOME}NaN}}}}", "a number that no report has"),
        (f"{SOME}-1e999}}}}", "a number that no report has"),
    ],
)
def test_what_is_no_report_is_said_to_be_none(text: str, why: str) -> None:
    with pytest.raises(Unreadable, match=why):
        check(text, BY)


@pytest.mark.parametrize(("name", "value"), [("seq", None), ("seq", "1"), ("epoch", []), ("at", 10**400), ("at", None)])
def test_an_entry_that_is_none_is_named(name: str, value: object) -> None:
    data = json.loads(written(Edition.CLIENT))
    data["proof"]["entries"][3][name] = value
    wrong = check(json.dumps(data), BY).wrong
    assert any("cannot be read" in x.why for x in wrong)
