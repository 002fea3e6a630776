"""What playbooks publish: as Ansible adds it up, bounded, and without what is secret."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestrator.core.commands import RunPlaybook
from orchestrator.core.events import AttemptEnd, StepAdopted, StepEnded, StepKey
from orchestrator.core.model import Playbook
from orchestrator.runner.published import Published, TooMuchPublished
from tests.runner.stage import Stage, until


def _event(data: dict[str, Any], **more: Any) -> dict[str, Any]:
    told = {"data": data, "per_host": False, "aggregate": True, **more}
    return {"event": "runner_on_ok", "event_data": {"res": {"ansible_stats": told}}}


def test_what_hosts_publish_goes_together() -> None:
    published = Published()
    published.read(_event({"survey": {"a": {"ports": ["22"]}}, "n": 1, "lines": ["x"], "kind": "one"}))
    published.read(_event({"survey": {"b": {"ports": ["80"]}}, "n": 2, "lines": ["y"], "kind": 3}))
    published.read(_event({"last": "a"}))
    published.read(_event({"last": "b"}, aggregate=False))
    published.read(_event({"each": 1}, per_host=True))
    assert published.found() == {
        "survey": {"a": {"ports": ["22"]}, "b": {"ports": ["80"]}},
        "n": 3,
        "lines": ["x", "y"],
        "kind": "one",
        "last": "b",
    }


def test_secrets_and_signs_that_act_are_written_out() -> None:
    published = Published(("hunter22",))
    published.read(_event({"a\x1b": ["it is hunter22", float("nan"), True, None, 1.5]}))
    assert published.found() == {"a\\x1b": ["it is ***", "nan", True, None, 1.5]}


def test_a_loop_publishes_each_time() -> None:
    published = Published()
    results = [{"ansible_stats": {"data": {"n": 1}, "aggregate": True}}] * 3
    published.read({"event": "runner_on_ok", "event_data": {"res": {"results": results}}})
    assert published.found() == {"n": 3}


@pytest.mark.parametrize("value", ["x" * 300_000, ["y" * 100] * 3000])
def test_too_much_is_no_record(value: Any) -> None:
    published = Published()
    published.read(_event({"survey": value}))
    with pytest.raises(TooMuchPublished, match=r"is \d+ KiB long, and at most 256 are kept: survey"):
        published.found()


async def test_a_playbook_that_publishes_too_much_fails(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    ended = await _asked(stage, stage.write("big.yml", """
    - ansible.builtin.set_stats: {data: {big: "{{ 'x' * 300000 }}"}}
"""))  # fmt: skip
    assert (ended.outcome, ended.stats) == (AttemptEnd.FAILED, {})
    assert "at most 256 are kept: big" in ended.detail
    await stage.runner.close()


async def test_what_was_published_before_a_failure_is_known(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    ended = await _asked(stage, stage.write("fails.yml", """
    - ansible.builtin.set_stats: {data: {found: 3}}
    - ansible.builtin.fail: {msg: not what it should be}
"""))  # fmt: skip
    assert (ended.outcome, ended.stats) == (AttemptEnd.FAILED, {"found": 3})
    await stage.runner.close()


async def test_an_attempt_that_another_controller_adopts_tells_it_too(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    go_on = tmp_path / "go-on"
    book = stage.write("adopted.yml", f"""
    - ansible.builtin.set_stats: {{data: {{found: 3}}}}
    - ansible.builtin.wait_for: {{path: {go_on}, timeout: 60, sleep: 1}}
""")  # fmt: skip
    key = StepKey("acme/run-1", "survey", 1)
    stage.runner.carry_out(RunPlaybook(key, "acme", book, {}, 1, 60.0, "", stage.workspace_id, stats=True))
    await until(lambda: len(stage.running(key)) >= 2)
    await stage.runner.close()
    stage.open()
    stage.settle(key, book)
    await until(lambda: StepAdopted(key) in stage.heard)
    go_on.touch()
    ended = await stage.end_of(key)
    assert (ended.outcome, ended.stats) == (AttemptEnd.OK, {"found": 3})
    await stage.runner.close()


async def _asked(stage: Stage, playbook: Playbook) -> StepEnded:
    key = StepKey("acme/run-1", "survey", 1)
    stage.runner.carry_out(RunPlaybook(key, "acme", playbook, {}, 1, 60.0, "", stage.workspace_id, stats=True))
    return await stage.end_of(key)
