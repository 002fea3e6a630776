"""Mitogen in the zygote: only over connections that stand, and nothing of a cancelled step stays on the target."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from orchestrator.core.events import AttemptEnd, StepKey
from orchestrator.core.model import Playbook
from orchestrator.runner import leftovers
from tests.runner.stage import Stage, until
from tests.runner.target import CannotServe, Target

pytest.importorskip("mitogen", reason="Mitogen is not installed: pip install 'bascule[fast]'")

# The parent of a command that Mitogen runs is Mitogen's Python there.
BY_MITOGEN = """\
- hosts: edge
  gather_facts: false
  tasks:
    - ansible.builtin.command: cat /proc/self/stat
      register: itself
    - ansible.builtin.command: "cat /proc/{{ itself.stdout.split()[3] }}/cmdline"
      register: parent
    - ansible.builtin.debug: {msg: "{{ ('mitogen' in parent.stdout) | ternary('by mitogen', 'by ssh') }}"}
      failed_when: "'mitogen' not in parent.stdout"
"""


@pytest.fixture
async def stage(tmp_path: Path, target: Target) -> AsyncIterator[Stage]:
    """A workspace with a zygote, and a target behind an ssh server."""
    stage = Stage(tmp_path, warm=True)
    stage.write_inventory({"edge": target.variables, "dark": {"ansible_host": "127.0.0.1", "ansible_port": 1}})
    await stage.warmed()
    yield stage
    await stage.runner.close()


async def standing(stage: Stage) -> None:
    """Run something until Mitogen serves it: its connection is made while the first tasks go by ssh."""
    playbook = stage.write("who.yml", BY_MITOGEN)
    for number in range(20):
        ended = await stage.run(playbook, f"who {number}")
        if ended.outcome is AttemptEnd.OK:
            return
    pytest.fail(f"Mitogen serves nothing: {ended.detail}")


def on(tasks: str) -> str:
    """A play on the target."""
    return "- hosts: edge\n  gather_facts: false\n  tasks:\n" + tasks


async def cancelled(stage: Stage, target: Target, playbook: Playbook, sign: str) -> str:
    """Cancel it once its sign is seen on the target; returns what the step says of it."""
    key = stage.start(playbook, "long")
    await until(lambda: sign in target.run("ps -eo args"))
    stage.cancel(key)
    ended = await stage.end_of(key)
    assert ended.outcome is AttemptEnd.CANCELLED
    return ended.detail


async def test_a_connection_outlives_its_playbook(stage: Stage, target: Target) -> None:
    """The second playbook on a host finds Mitogen's connection; so does its guard, patient as it is, and makes none."""
    await standing(stage)
    began = [args for args in target.run("ps -eo args").splitlines() if args.startswith("sh -c") and "zlib" in args]
    assert len(began) == 1, "one login"


async def test_a_connection_that_was_reset_is_not_used_again(stage: Stage) -> None:
    """By this playbook: a new login has what has changed since the old one, such as groups."""
    await standing(stage)
    again = BY_MITOGEN.replace("  tasks:\n", "  tasks:\n    - ansible.builtin.meta: reset_connection\n")
    ended = await stage.run(stage.write("reset.yml", again), "reset")
    assert ended.outcome is AttemptEnd.FAILED, "its commands' parent is Mitogen's"
    assert (await stage.run(stage.write("who.yml", BY_MITOGEN), "then")).outcome is AttemptEnd.OK


async def test_the_epoch_guard_goes_by_it_too_and_refuses_as_ever(stage: Stage, target: Target) -> None:
    """Its shell there is Mitogen's; what it stores and what it refuses is the same."""
    await standing(stage)
    playbook = stage.write("p.yml", on("    - ansible.builtin.command: touch /run/acted\n"))
    assert (await stage.run(playbook, "later", epoch=12)).outcome is AttemptEnd.OK
    assert target.run("head -n1 /var/lib/bascule/epoch-stage") == "12\n"
    target.run("rm /run/acted")
    ended = await stage.run(playbook, "earlier", epoch=11)
    assert ended.outcome is AttemptEnd.STALE_EPOCH
    assert "edge has accepted epoch 12" in ended.detail
    assert target.run("ls /run/acted") == ""


async def test_a_cancelled_pipeline_is_ended_on_the_target(stage: Stage, target: Target) -> None:
    """A shell, its pipeline and a grandchild: all of it carries the mark, although ssh did not bring it."""
    await standing(stage)
    pipeline = "(sleep 43210; true) | cat & sh -c 'sleep 43211; true'"
    playbook = stage.write("long.yml", on(f'    - name: rewind\n      ansible.builtin.shell: "{pipeline}"\n'))
    detail = await cancelled(stage, target, playbook, "sleep 43211")
    assert "edge: rewind" in detail
    assert "4321" not in target.run("pgrep -a sleep")
    await standing(stage)  # and the host is served again


async def test_a_cancelled_module_is_ended_on_the_target(stage: Stage, target: Target) -> None:
    """It runs inside Mitogen's Python there, which ends with its connection."""
    await standing(stage)
    before = set(target.run("pgrep -f mitogen").split())
    playbook = stage.write(
        "long.yml",
        on("    - name: wait\n      ansible.builtin.wait_for: {path: /run/never, timeout: 600}\n"),
    )
    key = stage.start(playbook, "long")
    await until(lambda: "wait" in str(stage.running(key)))
    stage.cancel(key)
    assert (await stage.end_of(key)).outcome is AttemptEnd.CANCELLED
    await until(lambda: not before & set(target.run("pgrep -f mitogen").split()))


def multiplexer_of(zygote: int) -> int:
    """The child that is not there for the next playbook."""
    [found] = [pid for pid in leftovers.children(zygote) if Path(f"/proc/{pid}/comm").read_text() != "bascule-spare\n"]
    return found


async def test_a_multiplexer_that_dies_is_no_failure(stage: Stage) -> None:
    """Tasks go by ssh, or the playbook is played cold; then there is another zygote."""
    await standing(stage)
    assert stage.runner.readied.zygote is not None
    assert stage.runner.readied.zygote.ready is not None
    zygote = int(stage.runner.readied.zygote.ready["pid"])
    multiplexer = multiplexer_of(zygote)
    os.kill(multiplexer, signal.SIGKILL)
    playbook = stage.write("p.yml", on("    - ansible.builtin.command: 'true'\n"))
    assert (await stage.run(playbook, "after")).outcome is AttemptEnd.OK
    await until(lambda: not leftovers.alive(zygote))
    await standing(stage)


def test_a_multiplexer_that_cannot_listen_is_not_waited_for() -> None:
    """Then there is none, its process has ended, and tasks go by ssh."""
    program = """if True:
        import mitogen.unix
        from orchestrator.runner.warm.zygote import multiplexer
        mitogen.unix.make_socket_path = lambda: "/tmp/" + "x" * 200
        print(multiplexer.start())
        print(multiplexer.os.waitpid(-1, multiplexer.os.WNOHANG))
    """
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=120)
    assert done.stdout.strip() == "None", done.stdout + done.stderr
    assert "ChildProcessError" in done.stderr
    assert "AF_UNIX path too long" in done.stderr


async def test_a_multiplexer_that_hangs_is_no_failure(stage: Stage) -> None:
    """It is waited for briefly, then the task goes by ssh."""
    await standing(stage)
    assert stage.runner.readied.zygote is not None
    assert stage.runner.readied.zygote.ready is not None
    multiplexer = multiplexer_of(int(stage.runner.readied.zygote.ready["pid"]))
    os.kill(multiplexer, signal.SIGSTOP)
    try:
        playbook = stage.write("p.yml", on("    - ansible.builtin.command: 'true'\n"))
        assert (await stage.run(playbook, "after")).outcome is AttemptEnd.OK
        assert stage.executors(StepKey("acme/run-1", "after", 1)) == ["warm"]
    finally:
        os.kill(multiplexer, signal.SIGCONT)


async def test_a_dark_host_is_unreachable_as_ever(stage: Stage) -> None:
    """Mitogen is not asked to connect to it while the task waits."""
    playbook = stage.write("p.yml", on("    - ansible.builtin.command: 'true'\n").replace("edge", "dark"))
    for number in range(2):
        ended = await stage.run(playbook, f"dark {number}")
        assert ended.outcome is AttemptEnd.UNREACHABLE, ended.detail
        assert "dark" in ended.detail


async def test_hosts_are_kept_ready(stage: Stage, target: Target) -> None:
    """A login works, or does not, or could not be asked; and the first task on the host goes by Mitogen."""
    assert await stage.runner.can_log_in("acme", "edge") == (True, "")
    both = await asyncio.gather(*(stage.runner.can_log_in("acme", host) for host in ("edge", "dark")))
    assert [fine for fine, _ in both] == [True, False]
    assert "Connection refused" in both[1][1]
    assert (await stage.runner.can_log_in("acme", "no such host"))[0] is None
    await until(lambda: "mitogen" in target.run("ps -eo args"))
    await asyncio.sleep(3.0)  # it has begun there, and is sent the rest of itself
    assert (await stage.run(stage.write("who.yml", BY_MITOGEN))).outcome is AttemptEnd.OK


TELLER = """
from ansible.plugins.callback import CallbackBase
DOCUMENTATION = "name: teller\\ntype: notification\\nshort_description: tells\\ndescription: tells"
class CallbackModule(CallbackBase):
    CALLBACK_TYPE, CALLBACK_NAME = "notification", "teller"
    def v2_playbook_on_play_start(self, play):
        with open(%r, "a") as file:
            file.write(play.get_name() + "\\n")
"""


async def test_the_authors_callbacks_are_not_told_of_logins(
    tmp_path: Path, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are told of playbooks, as ever."""
    told, plugins = tmp_path / "told", tmp_path / "plugins"
    plugins.mkdir()
    (plugins / "teller.py").write_text(TELLER % str(told))
    monkeypatch.setenv("ANSIBLE_CALLBACK_PLUGINS", str(plugins))
    stage = Stage(tmp_path / "stage", warm=True)
    try:
        stage.write_inventory({"edge": target.variables})
        await stage.warmed()
        assert await stage.runner.can_log_in("acme", "edge") == (True, "")
        assert not told.exists()
        assert (await stage.run(stage.write("p.yml", on("    - ansible.builtin.raw: ':'\n")))).outcome is AttemptEnd.OK
        assert "edge" in told.read_text()
    finally:
        await stage.runner.close()


async def test_whether_tasks_may_become_somebody_is_asked_too(tmp_path: Path) -> None:
    """Where they may not, it is said why; a login works there all the same."""
    try:
        target = Target.start(tmp_path / "sshd", sudo=True)
    except CannotServe as why:
        pytest.skip(str(why))
    stage = Stage(tmp_path / "stage", warm=True)
    try:
        if not target.has_sudo:
            pytest.skip("there is no sudo for the target; scripts/system-packages gets one")
        users = {"edge": "nobody", "odd": "nobody-of-this-name"}  # root is root already
        stage.write_inventory({host: {**target.variables, "ansible_become_user": who} for host, who in users.items()})
        await stage.warmed()
        edge, odd = await asyncio.gather(*(stage.runner.can_log_in("acme", host, become=True) for host in users))
        assert edge == (True, "")
        assert (odd[0], "unknown user" in odd[1]) == (False, True), odd
        assert await stage.runner.can_log_in("acme", "odd") == (True, "")
    finally:
        await stage.runner.close()
        target.stop()
