"""Ansible's own second of waiting for nothing is not given to hosts; an ended worker ends what it has started."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.runner.warm.zygote import upstream_fixes

# A program whose pipes are closed is found running at the first look, and ended at the second.
RUN = """
import selectors, subprocess, sys
from orchestrator.runner.warm.zygote import upstream_fixes
source = open(upstream_fixes.path(), "rb").read()
if sys.argv[1] == "mended":
    source = upstream_fixes.mended(upstream_fixes.path(), source)
from ansible.module_utils import basic
from ansible.module_utils.testing import patch_module_args
exec(compile(source, "basic.py", "exec"), basic.__dict__)
looks, polled, selected = [], subprocess.Popen.poll, selectors.PollSelector.select

def poll(self):
    looks.append(1)
    return None if len(looks) == 1 else self.wait()

def select(self, timeout=None):
    if not self.get_map():
        print("it waits for nothing")
        sys.exit(3)
    looks.clear()
    return selected(self, timeout)

subprocess.Popen.poll, selectors.PollSelector.select = poll, select
with patch_module_args():
    module = basic.AnsibleModule(argument_spec={})
print(module.run_command(["echo", "said"]))
"""


def run_command(way: str) -> subprocess.CompletedProcess[str]:
    """By the `basic` that hosts are given, or Ansible's own."""
    return subprocess.run([sys.executable, "-c", RUN, way], capture_output=True, text=True, check=False)


def test_a_program_that_ends_between_two_looks_costs_no_second() -> None:
    """It did: Ansible went to wait, for a second, for pipes of which there were none."""
    done = run_command("mended")
    assert (done.returncode, "'said\\n'" in done.stdout) == (0, True), done.stdout + done.stderr


def test_ansible_itself_still_needs_it() -> None:
    """If this fails, Ansible has been mended, and what mends it here can go."""
    assert run_command("as it is").returncode == 3


def test_nothing_else_is_changed() -> None:
    """One line of ansible-core's own file; not a file of the author's that looks like it."""
    source = Path(upstream_fixes.path()).read_bytes()
    changed = [
        (before.strip(), after.strip())
        for before, after in zip(
            source.splitlines(), upstream_fixes.mended(upstream_fixes.path(), source).splitlines(), strict=True
        )
        if before != after
    ]
    assert changed == [(upstream_fixes.LOOKS_TWICE, upstream_fixes.LOOKS_ONCE)]
    assert upstream_fixes.mended("/home/author/module_utils/basic.py", source) == source


# A worker with something that it has started. It is told to end once more in the very middle of being ended.
WORKER = """
import os, signal, sys, time
from types import SimpleNamespace
from ansible.executor.process.worker import WorkerProcess
from orchestrator.runner.warm.zygote import upstream_fixes
if sys.argv[1] == "mended":
    upstream_fixes.end_workers_whole()
number, told = int(sys.argv[2]), os.killpg

def killpg(group, number):
    os.kill(os.getpid(), number)
    told(group, number)

os.killpg = killpg
os.setsid()
worker = SimpleNamespace(pid=os.getpid())
for each in (signal.SIGINT, signal.SIGTERM):
    signal.signal(each, lambda *told: WorkerProcess._term(worker, *told))
if os.fork() == 0:
    signal.signal(number, signal.SIG_DFL)
    print("started", os.getpid(), flush=True)
    time.sleep(600)
time.sleep(600)
"""


def end_a_worker(way: str, number: signal.Signals) -> tuple[int, bool]:
    """How it ended, and whether what it had started did within a moment: it holds the pipe open as long as it lives."""
    process = subprocess.Popen([sys.executable, "-c", WORKER, way, str(int(number))], stdout=subprocess.PIPE)
    assert process.stdout is not None
    with process.stdout as output:
        _, pid = output.readline().split()  # without it, it has ended, and said why
        process.send_signal(number)
        code = process.wait(60)
        ended = bool(select.select([output], [], [], 60 if way == "mended" else 0.5)[0])
        if not ended:
            os.kill(int(pid), signal.SIGKILL)
    return code, ended


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_worker_that_is_told_twice_ends_what_it_has_started(number: signal.Signals) -> None:
    assert end_a_worker("mended", number) == (-number, True)


def test_ansible_itself_still_leaves_it() -> None:
    """If this fails, Ansible has been mended, and what mends it here can go."""
    assert end_a_worker("as it is", signal.SIGINT) == (-signal.SIGINT, False)
