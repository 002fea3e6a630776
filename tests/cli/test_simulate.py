"""`bascule simulate` as its reader sees it: figures with their counts at any width, and disasters of one's own."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from orchestrator.cli.failures import CallWrong
from orchestrator.cli.simulate import simulate
from orchestrator.cli.simulation_text import as_data, closing, report, virtual
from orchestrator.config import ConfigurationInvalid, load
from orchestrator.shell.wiring import option_models
from orchestrator.sim.campaign import Plan, Summary
from orchestrator.sim.episodes import LEFT, SEVERAL, Episode
from orchestrator.sim.violation import Violation

CHAIN = Path(__file__).parents[1] / "workspaces" / "chain"


@cache
def plan() -> Plan:
    return Plan(load(CHAIN, probe_kinds=option_models()).model)


def outage(disaster: str, rta_s: float | None, tier: int | None = None, **more: object) -> Episode:
    fields: dict[str, object] = {
        "service": "chain/web", "disaster": disaster, "alone": True, "harder": False, "began_at": 40.0, "tier": tier,
        "move": "chain/web-to-south" if tier else "", "how": "verified" if tier else LEFT, "rta_s": rta_s,
        "rto_s": 600.0, "person": tier is None,
    }  # fmt: skip
    return Episode(**(fields | more))  # type: ignore[arg-type]


def summary() -> Summary:
    found = [(4 * n, outage("chain/north: power cut", 10.0 + n, 1)) for n in range(11)]
    found += [(44, outage("chain/web: program hangs", None))]
    found += [
        (45, outage(SEVERAL, 700.0, 1, alone=False)),
        (46, outage("chain/north: power cut", 20.0, 1, harder=True)),
    ]
    return Summary(
        60, 72000.0, 60.0, 30.0, 900_000, [], found, Counter({"not viable": 3}), Counter({"power cut": 12}), ("caches",)
    )


@pytest.mark.parametrize("width", [80, 120])
def test_no_line_is_wider_than_the_terminal_and_no_cell_is_broken(width: int) -> None:
    lines = [line for line, _ in report(plan(), summary(), width)]
    assert max(map(len, lines)) <= width
    row = next(line for line in lines if line.startswith("  north: power cut"))
    assert row.split() == ["north:", "power", "cut", "11", "11", "15s", "19s", "20s", "11/11", "–"]
    assert "      by tier 1 web-to-south 11; worst: seeds 40, 36, 32" in lines


def test_mixtures_stand_apart_by_what_they_are() -> None:
    lines = [line for line, _ in report(plan(), summary(), 100)]
    mixtures = lines.index("  mixtures")
    told = [line.strip().split("  ")[0] for line in lines[mixtures + 1 :] if line.startswith("  ") and line[2] != " "]
    assert told[:2] == ["one, and something else went wrong", "several disasters at once"]


def test_what_no_tier_ends_is_a_list_of_its_own() -> None:
    lines = [line for line, _ in report(plan(), summary(), 100)]
    assert "  chain/web: program hangs (1)" in lines


def test_the_closing_sentence_counts_everything() -> None:
    assert closing(summary()) == (
        "Of 14 outages 12 ended within their RTO, 1 later, 1 was left to a person; "
        "none of the statements of what must never happen was violated."
    )
    one = summary()
    one.episodes = [x for x in one.episodes if x[1].kept][:1]
    assert closing(one).startswith("Of 1 outage 1 ended within its RTO; ")
    broken = summary()
    broken.violations.append((7, Violation(16, "an exclusive service acts at one place", "chain/stock", 50.0)))
    assert closing(broken).endswith("1 violation of what must never happen: a defect of bascule, not of the plan.")


def test_data_say_the_same() -> None:
    told = as_data(plan(), summary())
    web = told["services"]["chain/web"]
    assert told["violations"] == []
    assert web["alone"]["chain/north: power cut"]["outages"] == 11
    assert set(web["mixtures"]) == {"one, and something else went wrong", SEVERAL}
    assert json.loads(json.dumps(told)) == told


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "flood.txt"
    path.write_text(text, encoding="utf-8")
    return path


def test_an_engineers_own_disaster_is_told_and_tried(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flood = write(tmp_path, "at 10 s: cut off chain/line-a for 1 min\nlength: 2 min\ncalm: 1 min\nexpect: verified\n")
    assert simulate("chain", script=flood, workspace=CHAIN) == 0
    told = capsys.readouterr().out
    assert "at 10 s: cut off chain/line-a for 1 min" in told
    assert "chain/line works again after" in told


def test_what_was_expected_and_did_not_come_is_a_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flood = write(tmp_path, "at 10 s: cut off chain/line-a for 5 s\nlength: 1 min\ncalm: 1 min\nexpect: seen alive\n")
    assert simulate("chain", script=flood, workspace=CHAIN, as_json=True) == 1
    out, err = capsys.readouterr()
    assert json.loads(out)["violations"] == []
    assert "expected 'seen alive', and nothing was decided for that reason" in err


def test_a_script_that_names_what_is_not_there_is_refused(tmp_path: Path) -> None:
    flood = write(tmp_path, "at 10 s: cut off chain/line-c for 5 s\n")
    with pytest.raises(CallWrong, match=r"flood.txt:1: there is no 'chain/line-c' here; did you mean 'chain/line-b'"):
        simulate("chain", script=flood, workspace=CHAIN)


@pytest.mark.parametrize("hours", [0.0, -1.0, float("nan"), float("inf")])
def test_a_campaign_of_no_time_at_all_is_no_campaign(hours: float) -> None:
    with pytest.raises(CallWrong, match="nothing to simulate"):
        simulate(hours=hours, seeds=1, workspace=CHAIN)


@pytest.mark.parametrize(
    ("hours", "told"), [(0.4, "0.4 virtual hours"), (0.97, "1 virtual hour"), (1200.0, "1,200 virtual hours")]
)
def test_one_is_one(hours: float, told: str) -> None:
    assert virtual(hours) == told


def test_what_is_to_be_typed_again_simulates_the_same_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    """It left out the clients, the modes and the workspace: the same seed of another plan is another disaster."""
    typed: list[str] = []
    broken = replace(summary(), violations=[(7, Violation(1, "at most one decider acts at any time", "two", 3.0))])
    monkeypatch.setattr("orchestrator.cli.simulate._run", lambda *_, **__: broken)
    monkeypatch.setattr(
        "orchestrator.cli.simulate._shortest", lambda _plan, _seed, _statement, again: typed.append(again)
    )
    assert simulate("chain", seeds=1, hours=0.125, modes="auto", workspace=CHAIN) == 1
    assert typed == [f"bascule simulate chain --modes auto -w {CHAIN} --hours 0.125"]


def test_a_schedule_in_a_zone_that_there_is_not_is_a_fault_as_in_validate(tmp_path: Path) -> None:
    """It ended with a traceback."""
    at = Path(shutil.copytree(CHAIN, tmp_path / "chain"))
    (at / "inventories/chain/schedules.yml").write_text(
        "time_zone: Europe/Pariss\ndrills:\n  nightly: {service: web, schedule: 0 2 * * *}\n", encoding="utf-8"
    )
    with pytest.raises(ConfigurationInvalid) as invalid:
        simulate(hours=0.01, seed=1, workspace=at)
    (fault,) = invalid.value.faults
    assert str(fault).startswith("inventories/chain/schedules.yml:1:12: there is no time zone 'Europe/Pariss'")
