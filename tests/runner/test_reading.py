"""What is taken of ansible-runner's events, and what is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestrator.core.events import Outcome
from orchestrator.runner.reading import Reading, secrets_in


def failed(result: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A task's failure as ansible-runner tells it."""
    data = {"host": "edge", "task": "switch", "task_uuid": "t", "res": result, "duration": 0.2, **more}
    return {"event": "runner_on_failed", "event_data": data}


def told(result: dict[str, Any], **more: Any) -> str:
    """The sentence of a playbook that failed with it."""
    reading = Reading(base=Path("/w"), secrets=("s3cret",))
    reading.read({"event": "playbook_on_start", "event_data": {"playbook": "/w/p.yml"}}, 0.0)
    reading.read(failed(result, **more), 1.0)
    outcome, detail = reading.outcome(2)
    assert outcome is Outcome.FAILED
    return detail


@pytest.mark.parametrize(
    ("result", "sentence"),
    [
        ({"msg": "Task failed: Module failed: no such route"}, "edge: switch: no such route"),
        (
            {"msg": "non-zero return code", "rc": 3, "stderr": "a\nlast words\n"},
            "edge: switch: return code 3: last words",
        ),
        ({"msg": "wrong password s3cret"}, "edge: switch: wrong password ***"),
        ({"censored": "the output has been hidden"}, "edge: switch: its output is hidden by no_log"),
        ({"msg": "One or more items failed", "results": [{}, {"failed": True, "msg": "b"}]}, "edge: switch: b"),
        ({"msg": "x" * 2000}, "edge: switch: " + "x" * 299 + "…"),
        ({}, "edge: switch: it gave no reason"),
        ({"msg": "\x1b[31mred\x1b[0m\nand two lines"}, "edge: switch: red and two lines"),
    ],
)
def test_one_sentence_of_a_failure(result: dict[str, Any], sentence: str) -> None:
    """Host, task and reason."""
    assert told(result) == sentence


def test_the_place_is_named_from_the_workspace() -> None:
    """Role and line."""
    detail = told({"msg": "no"}, role="router", task_path="/w/roles/router/tasks/main.yml:12")
    assert detail == "edge: router : switch: no (roles/router/tasks/main.yml:12)"


def test_many_failures_are_counted() -> None:
    """Three are told."""
    reading = Reading(base=Path("/w"))
    for number in range(5):
        reading.read(failed({"msg": "no"}, host=f"h{number}"), 1.0)
    assert reading.outcome(2)[1] == "h0: switch: no; h1: switch: no; h2: switch: no (and 2 more)"


def test_ansible_that_is_missing_could_not_start() -> None:
    """What pexpect says in its place."""
    reading = Reading(base=Path("/w"))
    reading.read(
        {"event": "verbose", "stdout": "The command was not found or was not executable: ansible-playbook."}, 0.0
    )
    outcome, detail = reading.outcome(127)
    assert outcome is Outcome.COULD_NOT_START
    assert "ansible-playbook" in detail


def test_values_that_are_named_like_secrets() -> None:
    """However deep; short ones would strike out half the alphabet."""
    found = secrets_in({"db": {"password": "hunter22"}, "api_token": "abcd1234", "name": "edge", "pin_key": "1"})
    assert set(found) == {"hunter22", "abcd1234"}
