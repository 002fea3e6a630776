"""Over real ssh: the guard on the target, and what an attempt leaves running there."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from orchestrator.core.events import AttemptEnd
from orchestrator.runner import settings
from orchestrator.runner.attempts import Attempt
from orchestrator.runner.sweep import sweep
from tests.runner.stage import PATIENCE_S, Stage, until
from tests.runner.target import CannotServe, Target


def look(stage: Stage, target: Target, mark: str, hosts: list[str]) -> str:
    """What a sweep of these hosts says."""
    stage.write_inventory({"edge": target.variables, "dark": {"ansible_host": "127.0.0.1", "ansible_port": 1}})
    ansible = settings.Settings.find(stage.workspace, os.environ)
    environment = ansible.environment(os.environ, mark=mark, temporary=stage.workspace / "tmp")
    return sweep(
        hosts,
        mark=mark,
        inventories=[str(stage.inventory)],
        directory=str(stage.workspace),
        environment=environment,
        limit_s=PATIENCE_S,
    )


def on(playbook: str) -> str:
    """A play on the target."""
    return "- hosts: edge\n  gather_facts: false\n  tasks:\n" + playbook


async def test_the_epoch_is_kept_on_the_target(stage: Stage, target: Target) -> None:
    """And refuses there, whoever asks."""
    stage.write_inventory({"edge": target.variables})
    playbook = stage.write("move.yml", on("    - ansible.builtin.raw: echo done >>/run/done\n"))
    assert (await stage.run(playbook, "later", epoch=12)).outcome is AttemptEnd.OK
    assert target.run("head -n1 /var/lib/bascule/epoch-stage") == "12\n"
    ended = await stage.run(playbook, "earlier", epoch=11)
    assert ended.outcome is AttemptEnd.STALE_EPOCH
    assert "edge has accepted epoch 12" in ended.detail
    assert target.run("cat /run/done") == "done\n"


def test_what_hangs_on_an_attempt_is_ended_there(stage: Stage, target: Target) -> None:
    """A service that the attempt had started lives on, and so does another attempt's command."""
    mark = {settings.MARK: "aaa"}
    target.run("sh -c 'sleep 4321 | cat' >/dev/null 2>&1 </dev/null & sleep 0.2", **mark)
    target.run("setsid sleep 4322 >/dev/null 2>&1 </dev/null &", **mark)
    target.run("sh -c 'sleep 4323 | cat' >/dev/null 2>&1 </dev/null & sleep 0.2", **{settings.MARK: "bbb"})
    said = look(stage, target, "aaa", ["edge"])
    assert said.startswith("ended ")
    assert said.endswith(" of its processes on edge")
    left = target.run("pgrep -a sleep")
    assert "4321" not in left
    assert "4322" in left
    assert "4323" in left
    assert look(stage, target, "aaa", ["edge"]) == ""


def test_what_cannot_be_asked_is_called_unknown(stage: Stage, target: Target) -> None:
    """Never clean by default."""
    assert look(stage, target, "aaa", ["dark", "edge"]) == (
        "dark could not be asked afterwards: what still runs there is unknown"
    )


def test_a_server_that_drops_the_mark_is_called_unknown(stage: Stage, tmp_path: Path) -> None:
    """The name of the setting is given."""
    try:
        deaf = Target.start(tmp_path / "deaf", more="")
    except CannotServe as reason:
        pytest.skip(str(reason))
    try:
        said = look(stage, deaf, "aaa", ["edge"])
    finally:
        deaf.stop()
    assert "AcceptEnv" in said
    assert "unknown" in said


async def test_a_cancelled_step_leaves_nothing_on_the_target(stage: Stage, target: Target) -> None:
    """Ansible alone would leave the command running there."""
    stage.write_inventory({"edge": target.variables})
    playbook = stage.write("move.yml", on("    - name: rewind\n      ansible.builtin.command: sleep 43290\n"))
    key = stage.start(playbook)
    await until(lambda: "43290" in target.run("pgrep -a sleep"))
    stage.cancel(key)
    ended = await stage.end_of(key)
    assert ended.outcome is AttemptEnd.CANCELLED
    assert "edge: rewind" in ended.detail
    assert "43290" not in target.run("pgrep -a sleep")


async def test_after_a_kill_of_everything_the_target_is_looked_at(stage: Stage, target: Target) -> None:
    """Controller and worker gone: the next controller finds out, and says it is lost."""
    stage.write_inventory({"edge": target.variables})
    playbook = stage.write("move.yml", on("    - name: rewind\n      ansible.builtin.command: sleep 43291\n"))
    key = stage.start(playbook)
    await until(lambda: "43291" in target.run("pgrep -a sleep"))
    await stage.runner.close()
    os.kill(Attempt(stage.runner.private, key).read_worker()["pid"], signal.SIGKILL)
    stage.open()
    stage.settle(key, playbook)
    ended = await stage.end_of(key)
    assert ended.outcome is AttemptEnd.LOST
    assert "edge: rewind" in ended.detail
    assert "43291" not in target.run("pgrep -a sleep")


def test_a_target_speaks_for_itself_alone(stage: Stage, tmp_path: Path) -> None:
    """Whatever it prints: of another nothing is known by that."""
    lines = "evil | CHANGED | rc=0 >>\nbascule-swept dark 0 0 yes\nbascule-swept edge 0 0 yes"
    program = tmp_path / "lies"
    program.write_text(f"#!/bin/sh\necho '{lines}'\n")
    program.chmod(0o755)
    try:
        liar = Target.start(tmp_path / "liar", more=f"AcceptEnv LC_*\nForceCommand {program}")
    except CannotServe as reason:
        pytest.skip(str(reason))
    try:
        said = look(stage, liar, "aaa", ["edge", "dark"])
    finally:
        liar.stop()
    unknown = "could not be asked afterwards: what still runs there is unknown"
    assert said == f"edge {unknown}; dark {unknown}"


async def test_a_target_that_dies_in_the_middle(stage: Stage, target: Target) -> None:
    """Unreachable, not failed; the host is named."""
    stage.write_inventory({"edge": target.variables})
    playbook = stage.write(
        "move.yml",
        on("    - name: first\n      ansible.builtin.command: sleep 3\n    - ansible.builtin.command: 'true'\n"),
    )
    key = stage.start(playbook)
    await until(lambda: "sleep 3" in target.run("pgrep -a sleep"))
    target.stop()
    ended = await stage.end_of(key)
    assert ended.outcome is AttemptEnd.UNREACHABLE
    assert ended.detail.startswith("edge: ")
