"""What an author wrote is what is read, and it is known where it stands."""

from __future__ import annotations

import pytest

from orchestrator.config.faults import Faults, Position
from orchestrator.config.strict_yaml import Document, parse_yaml


def read(text: str) -> tuple[Document | None, list[str]]:
    """The document, and its faults as text."""
    faults = Faults()
    document = parse_yaml(text, "f.yml", faults)
    return document, [str(f) for f in faults.sorted()]


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("15", 15),
        ("-3", -3),
        ("0", 0),
        ("1.5", 1.5),
        ("true", True),
        ("False", False),
        ("~", None),
        ("", None),
        ("15m", "15m"),
        ("40%", "40%"),
        ("10.0.0.1", "10.0.0.1"),
        ("2001:db8::1", "2001:db8::1"),
        ("2026-11-01", "2026-11-01"),
        ('"010"', "010"),
        ("'no'", "no"),
        ('"1e3"', "1e3"),
        ("|\n  a\n  b\n", "a\nb\n"),
    ],
)
def test_plain_values(written: str, value: object) -> None:
    document, faults = read(f"key: {written}")
    assert faults == []
    assert document is not None
    assert document.data == {"key": value}


@pytest.mark.parametrize(
    "written", ["010", "0o17", "1e3", "1_000", "0x1F", ".5", "12:30", ".inf", "yes", "Off", "!!str 5", "!x y"]
)
def test_values_that_read_differently_elsewhere_are_refused(written: str) -> None:
    document, faults = read(f"key: {written}\nother: 1")
    assert len(faults) == 1
    assert faults[0].startswith("f.yml:1:6: ")
    assert document is not None
    assert document.data == {"other": 1}


@pytest.mark.parametrize("key", ["no", "Yes", "on", "true", "null", "~"])
def test_keys_that_are_no_text_are_refused(key: str) -> None:
    _, faults = read(f"{key}: 1")
    assert len(faults) == 1


def test_positions_of_keys_and_values() -> None:
    document, _ = read("a:\n  - b: 1\n    c:   x\n")
    assert document is not None
    assert document.key("a", 0, "c") == Position("f.yml", 3, 5)
    assert document.at("a", 0, "c") == Position("f.yml", 3, 10)
    assert document.at("a", 0, "c", "not there") == Position("f.yml", 3, 10)


def test_anchors_and_merge_keys() -> None:
    document, faults = read("one: &d {a: 1, b: 2}\ntwo: {<<: *d, b: 3}\nthree: *d\n")
    assert faults == []
    assert document is not None
    assert document.data["two"] == {"a": 1, "b": 3}
    assert document.data["three"] == {"a": 1, "b": 2}
    assert document.at("two", "a") == Position("f.yml", 1, 13)


def test_aliases_that_multiply_without_bound_are_refused_soon() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]
    _, faults = read("\n".join(lines))
    assert any("grows without bound" in fault for fault in faults)


def test_a_byte_order_mark_and_an_empty_file_are_fine() -> None:
    document, faults = read("# nothing here\n")
    assert faults == []
    assert document is not None
    assert document.data is None


def test_control_characters_are_refused() -> None:
    _, faults = read("a: \x07\n")
    assert faults == ["f.yml:1:1: the character U+0007 is not allowed in YAML; expected printable text"]
