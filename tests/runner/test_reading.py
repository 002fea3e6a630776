"""What is taken of ansible-runner's events, and what is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestrator.core.events import AttemptEnd
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
    assert outcome is AttemptEnd.FAILED
    return detail


@pytest.mark.parametrize(
    ("result", "sentence"),
    [
        ({"msg": "Task failed: Module failed: no such route"}, "edge: switch: no such route"),
        (
            {"msg": "non-zero return code", "rc": 3, "stderr": "a\nlast words\n"},
            "edge: switch: return code 3: a / last words",
        ),
        ({"msg": "wrong password s3cret"}, "edge: switch: wrong password ***"),
        ({"msg": "cannot reach https://me:hunter22@git/x"}, "edge: switch: cannot reach https://me:***@git/x"),
        ({"msg": "refused: Authorization: Bearer abc.def"}, "edge: switch: refused: Authorization: ***"),
        ({"msg": "password: wrong; basic authentication"}, "edge: switch: password: wrong; basic authentication"),
        ({"censored": "the output has been hidden"}, "edge: switch: its output is hidden by no_log"),
        ({"msg": "One or more items failed", "results": [{}, {"failed": True, "msg": "b"}]}, "edge: switch: b"),
        (
            {"rc": 1, "stderr": "cat: /run/x.pid: No such file\nsh: kill: usage: …\n  more\nor kill -l\n"},
            "edge: switch: return code 1: cat: /run/x.pid: No such file … or kill -l",
        ),
        (
            {"rc": 1, "stderr": 'Traceback (most recent call last):\n  File "x", line 1\nValueError: no key\n'},
            "edge: switch: return code 1: ValueError: no key",
        ),
        (
            {"rc": 2, "stderr": "no route\nShared connection to 10.0.0.1 closed.\n"},
            "edge: switch: return code 2: no route",
        ),
        (
            {"results": [{"item": "a"}, {"item": "b", "failed": True, "msg": "no"}, {"item": "c", "failed": True}]},
            "edge: switch: item b: no (2 of 3 items failed)",
        ),
        (
            {"results": [{"failed": True, "msg": "no", "item": {"name": "db", "secret_word": "x"}}]},
            "edge: switch: item db: no",
        ),
        (
            {"results": [{"failed": True, "item": "hidden", "censored": "…", "_ansible_no_log": True}]},
            "edge: switch: its output is hidden by no_log",
        ),
        ({"assertion": "lag < 30", "msg": "Assertion failed"}, "edge: switch: assertion failed: lag < 30"),
        ({"assertion": "lag < 30", "msg": "too late"}, "edge: switch: too late (assertion: lag < 30)"),
        (
            {"failed_when_result": True, "rc": 0, "stdout": "standby"},
            "edge: switch: its failed_when says so: standby",
        ),
        ({"msg": "x" * 298 + "s3cret"}, "edge: switch: " + "x" * 298 + "**"),  # no part of it stays
        (
            {"msg": "no", "_ansible_delegated_vars": {"ansible_host": "10.0.0.7", "ansible_connection": "ssh"}},
            "edge (on 10.0.0.7): switch: no",
        ),
        ({"msg": "x" * 2000}, "edge: switch: " + "x" * 300),
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


def stats(**counts: dict[str, int]) -> dict[str, Any]:
    """Ansible's own counts by host."""
    return {"event": "playbook_on_stats", "event_data": {"failures": {}, "dark": {}, **counts}}


def told_at_the_end(*events: dict[str, Any]) -> tuple[AttemptEnd, str]:
    """AttemptEnd and sentence of a playbook with these events."""
    reading = Reading(base=Path("/w"))
    reading.read({"event": "playbook_on_start", "event_data": {"playbook": "/w/p.yml"}}, 0.0)
    for event in events:
        reading.read(event, 1.0)
    return reading.outcome(2)


def dark(host: str) -> dict[str, Any]:
    """A host that was not reached."""
    return {**failed({"msg": "timed out", "unreachable": True}, host=host), "event": "runner_on_unreachable"}


def test_a_failure_that_was_rescued_did_not_end_it() -> None:
    """What came after it did."""
    quick, slow = failed({"msg": "no"}, task="quick"), failed({"msg": "nor this"}, task="slow")
    assert told_at_the_end(quick, dark("far"), stats(dark={"far": 1}, rescued={"edge": 1})) == (
        AttemptEnd.UNREACHABLE,
        "far: switch: timed out",
    )
    assert told_at_the_end(quick, slow, stats(failures={"edge": 1}, rescued={"edge": 1})) == (
        AttemptEnd.FAILED,
        "edge: slow: nor this",
    )


def test_a_host_that_was_ignored_did_not_end_it() -> None:
    """Neither a failure that was."""
    ignored = failed({"msg": "no"}, task="try", ignore_errors=True)
    assert told_at_the_end(dark("far"), ignored, failed({"msg": "no"}), stats(failures={"edge": 1})) == (
        AttemptEnd.FAILED,
        "edge: switch: no",
    )


def test_a_playbook_that_was_killed_tells_all_it_knows() -> None:
    """There are no counts then."""
    assert told_at_the_end(failed({"msg": "no"}), dark("far"))[1] == "edge: switch: no; far: switch: timed out"


def guard_event(kind: str, result: dict[str, Any], **more: Any) -> dict[str, Any]:
    """What Ansible has of the guard's task on a host."""
    data = {"host": "evil", "task": "refuse", "task_action": "ansible.builtin.raw", "playbook": "/g/guard.yml"}
    return {"event": f"runner_on_{kind}", "event_data": {**data, "task_uuid": "g", "res": result, **more}}


@pytest.mark.parametrize(
    "printed", ["bascule-stale-epoch", "bascule-stale-epoch 1 99", "bascule-stale-epoch x y", "bascule-epoch-kept 9"]
)
def test_what_a_host_prints_is_no_refusal(printed: str) -> None:
    """Ansible says that it let the action pass; the author's tasks have run, and that is what is told."""
    reading = Reading(base=Path("/w"), guard_path="/g/guard.yml", guard_epoch=1)
    reading.read(guard_event("ok", {"rc": 0, "stdout": printed}), 1.0)
    reading.read({"event": "playbook_on_start", "event_data": {"playbook": "/w/p.yml"}}, 1.0)
    for host in ("evil", "good"):
        reading.read({**failed({"changed": True}, host=host), "event": "runner_on_ok"}, 2.0)
    assert reading.outcome(0) == (AttemptEnd.OK, "")
    assert [said.partition(":")[0] for said in reading.unguarded()] == ["evil", "good"]


def test_hosts_without_the_guard_are_named_and_counted() -> None:
    """Not a thousand of them."""
    reading = Reading(base=Path("/w"), guard_path="/g/guard.yml", guard_epoch=1)
    for number in range(30):
        reading.read({**failed({}, host=f"h{number}"), "event": "runner_on_ok"}, 1.0)
    assert len(reading.unguarded()) == 21
    assert reading.unguarded()[-1] == "10 more hosts"


def test_ansible_that_is_missing_could_not_start() -> None:
    """What pexpect says in its place."""
    reading = Reading(base=Path("/w"))
    reading.read(
        {"event": "verbose", "stdout": "The command was not found or was not executable: ansible-playbook."}, 0.0
    )
    outcome, detail = reading.outcome(127)
    assert outcome is AttemptEnd.COULD_NOT_START
    assert "ansible-playbook" in detail


def test_values_that_are_named_like_secrets() -> None:
    """However deep; short ones would strike out half the alphabet."""
    found = secrets_in({"db": {"password": "hunter22"}, "api_token": "abcd1234", "name": "edge", "pin_key": "1"})
    assert set(found) == {"hunter22", "abcd1234"}


def test_whether_there_is_a_shell_is_not_said_of_a_host_that_was_not_asked(tmp_path: Path) -> None:
    """Nor of one that was asked by the play before, in the same way, and has not answered."""
    reading = Reading(base=tmp_path, guard_path="guard.yml", guard_epoch=1)
    of_a_guard = {"task_action": "ansible.builtin.raw"}
    reading._read_guard("skipped", "box", {}, of_a_guard)
    assert reading.answers["box"].text == "it is not reached by ssh, and the guard asks by ssh alone"
    reading._read_guard("unreachable", "edge", {"msg": "no route to host"}, of_a_guard)
    reading._read_guard("skipped", "edge", {}, of_a_guard)
    assert "edge" not in reading.answers
    assert reading.silent["edge"] == "no route to host"
