"""Tasks on one host in their playbook's own process: which those are, and that nothing of them stays in it."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from importlib.metadata import version
from pathlib import Path

import pytest

from orchestrator.core.events import AttemptEnd
from tests.runner.stage import Stage, until
from tests.runner.target import Target
from tests.runner.test_mitogen import standing

PID = "{{ lookup('ansible.builtin.file', '/proc/self/stat').split()[0] }}"  # of whoever reads the template

IN_HERE = {
    "a command": "",
    "conditions of its own result": "register: said\nfailed_when: said.rc not in [0, 1]\nchanged_when: false",
    "filters and tests of Ansible": "register: said\nfailed_when: said.rc | default(1) | int != 0 or said is skipped",
    "a condition before": "when: inventory_hostname == 'edge'",
    "an environment": "environment: {SAYS: something}",
    "a harmless look-up": "vars: {more: \"{{ lookup('ansible.builtin.vars', 'inventory_hostname') }}\"}",
}
IN_A_FORK = {
    "a loop": "loop: [1]",
    "a task that is tried again": "register: said\nuntil: said.rc == 0\nretries: 1",
    "an asynchronous one": "async: 60\npoll: 1",
    "a time-out": "timeout: 600",
    "a delegated one": "delegate_to: edge",
    "defaults of a module": "module_defaults: {ansible.builtin.shell: {chdir: /}}",
    "a filter of the author in a condition": "register: said\nfailed_when: said.stdout | own == 'no'",
    "another variable in a condition": "failed_when: inventory_hostname != 'edge'",
    "a call in a condition": "register: said\nfailed_when: said.stdout.find('no') >= 0",
    "a filter of the author": "vars: {more: \"{{ 'x' | own }}\"}",
    "a test of the author": "when: \"'x' is owned\"",
    "a look-up of the author": "vars: {more: \"{{ lookup('own') }}\"}",
    "one of the author that is called as one of Ansible": "vars: {more: \"{{ lookup('env', 'HOME') }}\"}",
    "a look-up that acts": "vars: {more: \"{{ lookup('ansible.builtin.pipe', 'true') }}\"}",
    "a look-up of what can be read once": "vars: {more: \"{{ lookup('file', '/dev/null') }}\"}",
    "a host that is reached by ssh": "vars: {ansible_shell_executable: /bin/sh}",
    "no pipelining": "vars: {ansible_ssh_pipelining: false}",
}
if tuple(map(int, version("ansible-core").split(".")[:2])) >= (2, 21):
    IN_A_FORK["something that the author makes of its result"] = 'register: {said: "_task.result.rc | own"}'
PLUGINS = {
    "filter_plugins/own.py": "class FilterModule:\n    def filters(self):\n        return {'own': str}\n",
    "test_plugins/own.py": "class TestModule:\n    def tests(self):\n        return {'owned': bool}\n",
    **dict.fromkeys(
        ("lookup_plugins/own.py", "lookup_plugins/env.py"),
        "from ansible.plugins.lookup import LookupBase\n\n\nclass LookupModule(LookupBase):\n"
        "    def run(self, terms, variables=None, **named):\n        return ['mine']\n",
    ),
}


@pytest.fixture
async def stage(tmp_path: Path, target: Target) -> AsyncIterator[Stage]:
    """A workspace with a zygote, plug-ins of the author's, and two names of one target."""
    stage = Stage(tmp_path, warm=True)
    for name, text in PLUGINS.items():
        path = stage.workspace / "playbooks" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    stage.write_inventory({"edge": target.variables, "other": target.variables})
    await stage.warmed()
    yield stage
    await stage.runner.close()


def telling(what: str, more: str = "") -> str:
    """A task that tells the target which process has read its template."""
    lines = [f"ansible.builtin.shell: \"echo {what}={PID}{{{{ more | default('') and '' }}}} >>/run/told\""]
    return "    - " + "\n      ".join(lines + more.splitlines()) + "\n"


def play(tasks: str, hosts: str = "edge") -> str:
    """A play of them."""
    return f"- hosts: {hosts}\n  gather_facts: false\n  tasks:\n" + tasks


async def told(stage: Stage, target: Target, text: str, step: str) -> list[tuple[str, str]]:
    """What the tasks of a playbook told: name and process."""
    target.run("rm -f /run/told")
    ended = await stage.run(stage.write(f"{step}.yml", text), step)
    assert ended.outcome is AttemptEnd.OK, ended.detail
    return [(what, pid) for what, _, pid in (line.partition("=") for line in target.run("cat /run/told").splitlines())]


async def test_which_tasks_are_forked_and_which_are_not(stage: Stage, target: Target) -> None:
    """Each of these in one playbook, after one that is not forked; those that are, are processes of their own."""
    await standing(stage)
    tasks = "".join(telling(what, more) for what, more in (IN_HERE | IN_A_FORK).items())
    found = await told(stage, target, play(tasks), "which")
    assert [what for what, _ in found] == [*IN_HERE, *IN_A_FORK]
    its_own = found[0][1]
    assert [what for what, pid in found if pid == its_own] == [*IN_HERE]
    forked = [pid for what, pid in found if what in IN_A_FORK]
    assert len(set(forked)) == len(forked)


async def test_where_a_play_has_two_hosts_each_task_is_forked(stage: Stage, target: Target) -> None:
    """They do not wait for each other; with one at a time, they did anyway."""
    await standing(stage)
    assert await stage.runner.can_log_in("acme", "other") == (True, "")
    both = await told(stage, target, play(telling("first") + telling("then"), "edge:other"), "both")
    assert len({pid for _, pid in both}) == 4
    one_by_one = play(telling("first") + telling("then"), "edge:other").replace("  tasks:", "  serial: 1\n  tasks:")
    found = await told(stage, target, one_by_one, "serially")
    assert len(found) == 4
    assert len({pid for _, pid in found}) == 1


async def test_what_is_interrupted_is_ended_on_its_host(stage: Stage, target: Target) -> None:
    """As by the end of a fork: its connection goes, and with it what runs there."""
    await standing(stage)
    before = set(target.run("pgrep -f mitogen").split())
    waits = "    - ansible.builtin.wait_for: {path: /run/never, timeout: 600}\n"
    target.run("rm -f /run/told")
    key = stage.start(stage.write("long.yml", play(telling("me") + waits)), "long")
    await until(lambda: "wait_for" in str(stage.running(key)))
    player = int(target.run("cat /run/told").strip().removeprefix("me="))
    os.kill(player, signal.SIGINT)
    assert (await stage.end_of(key)).outcome is not AttemptEnd.OK
    await until(lambda: not before & set(target.run("pgrep -f mitogen").split()))
