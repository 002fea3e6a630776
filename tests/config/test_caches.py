"""What is kept below `.bascule` to read a workspace sooner does not grow with the times that it is read."""

from __future__ import annotations

import shutil
from pathlib import Path

from orchestrator.config import load
from tests.config.probe_kinds import PROBE_KINDS

BASE = Path(__file__).parents[1] / "bad_configs" / "base"


def kept(place: Path) -> list[str]:
    return sorted(str(p.relative_to(place)) for p in (place / ".bascule").rglob("*") if p.is_file())


def test_edits_and_clients_that_are_gone_leave_nothing(tmp_path: Path) -> None:
    place = Path(shutil.copytree(BASE, tmp_path / "workspace"))
    load(place, probe_kinds=PROBE_KINDS)
    before = kept(place)
    assert ".bascule/cache/inventory-acme.json" in before
    playbook = place / "playbooks/backup_isp.yml"
    for edit in range(3):
        playbook.write_text(f"{playbook.read_text(encoding='utf-8')}# {edit}\n", encoding="utf-8")
        load(place, probe_kinds=PROBE_KINDS)
        assert kept(place) == before
    for name in ("inventory-gone.json", "syntax-gone.json"):
        (place / ".bascule/cache" / name).write_text("{}", encoding="utf-8")
    load(place, probe_kinds=PROBE_KINDS)
    assert kept(place) == before


def test_of_a_client_that_was_only_not_asked_for_everything_stays(tmp_path: Path) -> None:
    place = Path(shutil.copytree(BASE, tmp_path / "workspace"))
    load(place, probe_kinds=PROBE_KINDS)
    shutil.copytree(place / "inventories/acme", place / "inventories/other")
    cached = place / ".bascule/cache/inventory-other.json"
    cached.write_text("{}", encoding="utf-8")
    load(place, probe_kinds=PROBE_KINDS, clients=["acme"])
    assert cached.exists()
