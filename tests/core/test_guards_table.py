"""One table of guards: the code, the document and the accidents tell the same story."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from orchestrator.config import shapes
from orchestrator.core.deciding import incident
from orchestrator.core.reasons import Against, Part, Reason
from orchestrator.core.rules import drilling, failback, ladder, overrides, policy
from orchestrator.core.runs import steps

PAGE = (Path(__file__).parents[2] / "docs" / "guards.md").read_text(encoding="utf-8")
TITLES = ("Reason", "Looks at", "Setting", "Accident", "Who can go against it")


def rows() -> list[list[str]]:
    """Each guard's section: its name, and what stands behind each title. Missing titles are empty."""
    found = []
    for section in re.split(r"^### ", PAGE, flags=re.MULTILINE)[1:]:
        name, _, body = section.partition("\n")
        said = dict(re.findall(r"^\* \*\*([^*]+):\*\* (.*(?:\n  .*)*)", body, re.MULTILINE))
        found.append([name.lower(), *(" ".join(said.get(title, "").split()) for title in TITLES)])
    return found


GUARDS = rows()
WORDS = {reason.value: reason for reason in Reason}
THREAD = re.compile(r"[\w./-]*#\d+|Git(?:Hub|Lab), \w+ \d{4}|AWS, \w+ \d{4}")
DOCSTRINGS = "\n".join(
    f.__doc__ or ""
    for f in (
        *policy.GUARDS,
        ladder._sighted,
        ladder._not_viable,
        ladder._too_late,
        ladder.data_loss,
        ladder.held_up,
        ladder._spend_budget,
        ladder.fence_asks,
        failback.too_soon,
        drilling.not_well,
        drilling._not_at_home,
        drilling._places_down,
        drilling._at_work,
        drilling.touches,
        steps._asked_too_long_ago,
        steps._still_open,
    )
)


@pytest.mark.parametrize("row", GUARDS, ids=lambda row: row[0])
def test_a_row_names_its_reason_its_setting_its_accident_and_who_may_go_against_it(row: list[str]) -> None:
    assert all(row[1:]), f"{row[0]}: each of {', '.join(TITLES)}"
    reasons = re.findall(r"`([^`]+)`", row[1])
    assert all(word in WORDS for word in reasons), f"{row[0]}: {reasons} is no reason"
    keys = {f.alias or name for s in vars(shapes).values() if isinstance(s, type) and issubclass(s, BaseModel)
            for name, f in s.model_fields.items()}  # fmt: skip
    named = {key.partition(":")[0] for key in re.findall(r"`([a-z_]+(?:: [a-z_]+)?)`", row[3])}
    assert named <= keys, f"{row[0]}: there is no setting {named - keys}"
    for word in re.findall(r"--override (?:'([^']+)'|(\w+))", row[5]):
        assert WORDS["".join(word)] in overrides.OVERRIDABLE


@pytest.mark.parametrize("guard", policy.GUARDS, ids=lambda guard: guard.__name__)
def test_every_guard_of_the_policy_says_what_it_prevents(guard: policy.Guard) -> None:
    assert guard.__doc__
    assert len(guard.__doc__) > 30


def test_a_run_that_a_guard_of_the_policy_ends_is_no_failure_of_its_tier() -> None:
    """Else the next tier would have its turn, although this one was never tried."""
    guards = {x for x in Reason if x.part is Part.GUARD}
    assert guards - set(incident.NOT_THE_TIERS_FAULT) == {Reason.STALE_EPOCH}


def test_every_thread_of_the_table_stands_with_its_guard() -> None:
    missing = [t for row in GUARDS for t in THREAD.findall(row[4]) if t not in DOCSTRINGS and row[0] != "hysteresis"]
    assert not missing, f"no guard's docstring names {missing}"


def test_every_reason_of_a_guard_has_a_row() -> None:
    told = {word for row in GUARDS for word in re.findall(r"`([^`]+)`", row[1])}
    wanted = {r.value for r in Reason if r.part in (Part.GUARD, Part.TIER, Part.DRILL)}
    elsewhere = {Reason.STALE_EPOCH.value}
    assert wanted - elsewhere <= told, f"docs/guards.md has no section for {wanted - elsewhere - told}"


@pytest.mark.parametrize("row", GUARDS, ids=lambda row: row[0])
def test_its_accident_is_that_of_its_reasons(row: list[str]) -> None:
    assert {WORDS[word].accident for word in re.findall(r"`([^`]+)`", row[1])} <= {row[4]}


@pytest.mark.parametrize("reason", [r for r in Reason if r.part in (Part.GUARD, Part.TIER, Part.DRILL)])
def test_every_guard_is_there_because_of_an_accident(reason: Reason) -> None:
    assert reason.accident, f"{reason.value}: what happened to somebody who had no such guard?"


@pytest.mark.parametrize("row", GUARDS, ids=lambda row: row[0])
def test_who_may_go_against_it_is_as_the_reason_says(row: list[str]) -> None:
    said = {
        Against.PERSON: lambda word: f"--override '{word}'" in row[5] or f"--override {word}`" in row[5],
        Against.AUTOMATIC_ONLY: lambda _word: "own word does not meet it" in row[5] or "whoever" in row[5],
        Against.NOBODY: lambda word: (
            ("nobody" in row[5] or "--fence" in row[5]) and f"--override '{word}'" not in row[5]
        ),
        Against.NOTHING: lambda _word: True,
    }
    for word in re.findall(r"`([^`]+)`", row[1]):
        assert said[WORDS[word].against](word), f"{row[0]}: {word}: {WORDS[word].against.value}, and not {row[5]}"
