"""The bench's arithmetic and its tables. Nothing is measured here."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

from scripts.bench.catalogue import MEASUREMENTS
from scripts.bench.figures import percentile, ratios, reached, summary
from scripts.bench.peers import PROGRAMS
from scripts.bench.readme import BEGIN, END, joined, replaced
from scripts.bench.rounds import in_turns
from scripts.bench.shape import Comparison, Row, Target
from scripts.bench.tables import markdown_table, shown, text_table

OURS = Row("ours", (1.0, 2.0, 1.0, 2.0))
PEER = Row("peer", (10.0, 10.0, 20.0, 10.0))
BESIDE = Comparison(
    "playbooks", "three tasks", (PEER, OURS), (("ours", "peer"),), (Target("ours", "peer", 7.0), Target("ours", "", 1))
)


def test_the_middle_half_and_the_extremes() -> None:
    found = summary((5.0, 1.0, 2.0, 4.0, 3.0))
    assert (found.median, found.low, found.high, found.least, found.most, found.count) == (3, 2, 4, 1, 5, 5)


def test_of_few_values_the_middle_half_is_all_of_them() -> None:
    assert (summary((2.0, 9.0)).low, summary((2.0, 9.0)).high) == (2, 9)
    assert (summary((2.0,)).low, summary((2.0,)).high) == (2, 2)


def test_no_values_are_no_figure() -> None:
    with pytest.raises(ValueError, match="no value"):
        summary(())
    with pytest.raises(ValueError, match="no value"):
        percentile((), 99)


def test_ratios_are_taken_round_by_round() -> None:
    assert ratios(OURS, PEER) == (10.0, 5.0, 20.0, 5.0)


def test_more_of_a_rate_is_better() -> None:
    fast, slow = Row("a", (200.0, 300.0), "probes/s", True), Row("b", (100.0, 100.0), "probes/s", True)
    assert ratios(fast, slow) == (2.0, 3.0)


@pytest.mark.parametrize(
    ("other", "why"),
    [
        (Row("peer", (1.0,)), "had 4 rounds"),
        (Row("peer", (1.0, 1.0, 1.0, 1.0), "MiB"), "cannot be compared"),
        (Row("peer", (1.0, 0.0, 1.0, 1.0)), "not above 0"),
    ],
)
def test_what_cannot_be_compared_is_refused(other: Row, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        ratios(OURS, other)


def test_targets_against_a_peer_and_against_a_number() -> None:
    assert reached(BESIDE, BESIDE.targets[0]) == (7.5, True)
    assert reached(BESIDE, BESIDE.targets[1]) == (1.5, False)
    rate = Comparison("p", "t", (Row("ours", (5.0,), "probes/s", True),))
    assert reached(rate, Target("ours", "", 4.0)) == (5.0, True)


def test_a_percentile_is_a_value_that_was_seen() -> None:
    values = [float(n) for n in range(1, 101)]
    assert (percentile(values, 50), percentile(values, 99), percentile(values, 100)) == (50, 99, 100)
    assert percentile([7.0], 99) == 7


def test_contenders_take_turns_and_the_warm_rounds_do_not_count() -> None:
    order: list[str] = []

    def contender(name: str) -> float:
        order.append(name)
        return float(len(order))

    found = in_turns({"a": lambda: contender("a"), "b": lambda: contender("b")}, 2, warm=1)
    assert order == ["a", "b"] * 3
    assert found == {"a": (3.0, 5.0), "b": (4.0, 6.0)}


def test_on_a_slow_machine_there_are_fewer_rounds_but_three() -> None:
    assert len(in_turns({"a": lambda: 1.0}, 10, warm=0, budget_s=0.0)["a"]) == 3
    assert len(in_turns({"a": lambda: 1.0}, 2, warm=0, budget_s=0.0)["a"]) == 2


def test_a_round_in_which_one_fails_is_no_round() -> None:
    def fails() -> float:
        raise RuntimeError("it broke")

    with pytest.raises(RuntimeError) as caught:
        in_turns({"a": lambda: 1.0, "b": fails}, 3)
    assert caught.value.__notes__ == ["in b, round 0 of 3"]


def test_a_comparison_survives_being_written() -> None:
    assert Comparison.from_json(BESIDE.as_json()) == BESIDE


def test_a_comparison_names_the_rows_that_it_has() -> None:
    with pytest.raises(KeyError, match="there are: peer, ours"):
        BESIDE.row("theirs")


def test_a_table_for_a_terminal() -> None:
    assert text_table(BESIDE).splitlines() == [
        "three tasks",
        "        median  middle half   min   max  rounds  times better",
        "  peer  10.0 s    10.0–12.5  10.0  20.0       4",
        "  ours  1.50 s    1.00–2.00  1.00  2.00       4  7.50× (5.00–12.5) vs peer",
        "  met: ours: at least 7.00× peer: 7.50×",
        "  MISSED: ours: at most 1.00 s: 1.50 s",
    ]


def test_a_table_for_a_document() -> None:
    assert markdown_table([BESIDE])[2:] == [
        "| three tasks | peer | 10.0 (10.0–12.5) s |  |",
        "|  | ours | 1.50 (1.00–2.00) s | 7.50× (5.00–12.5) vs peer |",
        "",
        "Targets:",
        "",
        "* three tasks: met: ours: at least 7.00× peer: 7.50×",
        "* three tasks: MISSED: ours: at most 1.00 s: 1.50 s",
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.00123, "0.0012"), (0.123, "0.12"), (1.234, "1.23"), (12.34, "12.3"), (123.4, "123"), (1234, "1,234")],
)
def test_numbers_as_a_person_writes_them(value: float, text: str) -> None:
    assert shown(value) == text


def test_the_block_of_a_document_is_written_anew() -> None:
    machine = {"cores": 2, "processor": "P", "memory_gib": 8, "kernel": "6.1", "distribution": "D", "python": "3.11"}
    told = {"machine": {**machine, "date": "2026-01-02"}, "comparisons": [BESIDE.as_json()], "loads": [0.25]}
    page = f"before\n{BEGIN} -->\nold\n{END}\nafter"
    new = replaced(page, told)
    assert new.startswith("before\n")
    assert new.endswith("\nafter")
    assert "old" not in new
    assert "7.50× (5.00–12.5) vs peer" in new
    assert "load average when they began: 0.2." in new
    assert replaced(new, told) == new
    with pytest.raises(ValueError, match="found 0"):
        replaced("nothing", told)


def test_the_page_has_its_block() -> None:
    page = (Path(__file__).parents[2] / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    assert page.count(BEGIN) == page.count(END) == 1


def test_figures_of_several_runs_are_joined_in_the_catalogues_order() -> None:
    first, second = MEASUREMENTS[0].name, MEASUREMENTS[1].name

    def run(*rows: tuple[str, str, str]) -> dict[str, Any]:
        return {"comparisons": [{"measurement": m, "title": t, "note": note} for m, t, note in rows]}

    found = joined([run((second, "x", "old"), (first, "a", "")), run((second, "x", "new"), (first, "b", ""))])
    assert [(c["measurement"], c["title"], c["note"]) for c in found] == [
        (first, "a", ""),
        (first, "b", ""),
        (second, "x", "new"),
    ]


def test_every_measurement_can_be_found_and_is_explained() -> None:
    page = (Path(__file__).parents[2] / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    assert len({m.name for m in MEASUREMENTS}) == len(MEASUREMENTS)
    for measurement in MEASUREMENTS:
        module, _, function = measurement.module.partition(":")
        assert callable(getattr(importlib.import_module(module), function or "measure"))
        assert set(measurement.peers) <= set(PROGRAMS), measurement.name
        assert measurement.quick_limit_s <= measurement.limit_s
        assert f"`{measurement.name}`" in page, f"docs/benchmarks.md does not say what {measurement.name} is"
