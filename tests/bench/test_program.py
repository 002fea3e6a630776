"""`python -m scripts.bench` itself; what it measures is given here."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scripts.bench import __main__ as program
from scripts.bench import cell, peers
from scripts.bench.catalogue import MEASUREMENTS
from scripts.bench.shape import Comparison, Row

FOUND = Comparison(MEASUREMENTS[0].name, "three tasks", (Row("ours", (1.0, 2.0)),))


def run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, then: BaseException | None, *words: str
) -> tuple[int, dict[str, Any]]:
    """Its exit code and JSON, where the first measurement gives one comparison and then this happens."""

    def given(*_: object, **__: object) -> Iterator[Comparison]:
        yield FOUND
        if then is not None:
            raise then

    monkeypatch.setattr(cell, "refusal", lambda: None)
    monkeypatch.setattr(cell, "run", given)
    monkeypatch.setattr(peers, "missing", lambda name: "")  # nothing of theirs is run here
    file = tmp_path / "out.json"
    monkeypatch.setattr(sys, "argv", ["bench", MEASUREMENTS[0].name, "--json", str(file), *words])
    return program.main(), json.loads(file.read_text())


def test_what_was_measured_is_told_and_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, told = run(monkeypatch, tmp_path, None)
    assert (code, told["failed"]) == (0, {})
    assert [Comparison.from_json(c) for c in told["comparisons"]] == [FOUND]
    assert "1.50 s" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("then", "failed"),
    [(KeyboardInterrupt(), "interrupted"), (cell.MeasurementFailed("it broke"), MEASUREMENTS[0].name)],
)
def test_what_was_compared_before_an_end_that_came_early_is_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, then: BaseException, failed: str
) -> None:
    code, told = run(monkeypatch, tmp_path, then)
    assert code == 1
    assert list(told["failed"]) == [failed]
    assert [Comparison.from_json(c) for c in told["comparisons"]] == [FOUND]


def test_a_name_that_there_is_not_is_refused_with_those_there_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["bench", "nothing"])
    with pytest.raises(SystemExit) as ended:
        program.main()
    assert ended.value.code == 2
    assert MEASUREMENTS[0].name in capsys.readouterr().err
