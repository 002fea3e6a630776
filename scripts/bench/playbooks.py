"""A no-op, a three-task and a ten-task playbook, over SSH on one, ten and 100 hosts, and here; by Ansible, and by ours.

The one rule it keeps: the same files, hosts and settings for all, with what makes ansible-playbook quick (pipelining,
shared connections that stay) switched on for all; and ours does all that it does for a controller: epoch guard, lock,
durable result. Beside them, on one host or here, `ansible-playbook` without any of these settings, as whoever types it
has it.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

from scripts.bench import targets
from scripts.bench.cell import Cell
from scripts.bench.rounds import in_turns
from scripts.bench.shape import Comparison, Row, Target

HEAD = "- name: Measured\n  hosts: all\n  gather_facts: false\n  tasks:\n"
NO_OP = HEAD + "    - ansible.builtin.ping:\n"
THREE = HEAD + (
    "    - {name: Read, ansible.builtin.command: cat /proc/net/route, changed_when: false}\n"
    "    - {name: Change, ansible.builtin.command: touch changed, changed_when: true}\n"
    "    - {name: Keep, ansible.builtin.lineinfile: "
    '{path: "~/kept-{{ inventory_hostname }}", line: uplink b, create: true, mode: "0644"}}\n'
)
TEN = THREE + (
    '    - {name: Look, ansible.builtin.stat: {path: "~/kept-{{ inventory_hostname }}"}, register: kept}\n'
    "    - {name: Insist, ansible.builtin.assert: {that: kept.stat.exists}}\n"
    "    - {name: Remember, ansible.builtin.set_fact: {size: '{{ kept.stat.size }}'}}\n"
    "    - {name: Copy, ansible.builtin.copy: "
    '{dest: "~/copy-{{ inventory_hostname }}", content: "{{ size }}", mode: "0644"}}\n'
    "    - {name: Place, ansible.builtin.file: "
    '{path: "~/d-{{ inventory_hostname }}", state: directory, mode: "0755"}}\n'
    '    - {name: Fetch, ansible.builtin.slurp: {src: "~/copy-{{ inventory_hostname }}"}, register: copy}\n'
    "    - {name: Prove, ansible.builtin.command: cat /proc/uptime, changed_when: false}\n"
)
PLAYBOOKS = {"no-op": NO_OP, "three tasks": THREE, "ten tasks": TEN}

HERE = 0  # no host: `ansible_connection: local`

# (playbook, hosts): rounds, and rounds of a quick run
SETTINGS: dict[tuple[str, int], tuple[int, int]] = {
    ("no-op", 1): (5, 2),
    ("three tasks", 1): (11, 3),
    ("ten tasks", 1): (5, 0),
    ("no-op", 10): (3, 0),
    ("three tasks", 10): (5, 1),
    ("ten tasks", 10): (3, 0),
    ("no-op", 100): (3, 0),
    ("three tasks", 100): (3, 1),
    ("ten tasks", 100): (0, 0),
    ("no-op", HERE): (5, 2),
    ("three tasks", HERE): (11, 3),
    ("ten tasks", HERE): (5, 0),
}
PLAYBOOK, RUNNER = "ansible-playbook", "ansible-runner"
AS_IT_COMES = "ansible-playbook, as it comes"
WARM, FAST = "bascule, warm", "bascule, warm with Mitogen"

READY_S = 60.0
BUDGET_S = 60.0  # of one playbook on up to ten hosts; ten times of it on 100
BETWEEN_S = 1.0  # a controller has that long between two steps to make the next worker ready

Run = Callable[[str], float]


def one_host(cell: Cell) -> Iterator[Comparison]:
    """Each playbook on one host."""
    yield from _on(cell, 1)


def ten_hosts(cell: Cell) -> Iterator[Comparison]:
    """Each playbook on ten."""
    yield from _on(cell, 10)


def hundred_hosts(cell: Cell) -> Iterator[Comparison]:
    """The shorter ones on a hundred."""
    yield from _on(cell, 100)


def here(cell: Cell) -> Iterator[Comparison]:
    """Each on this machine, without any ssh."""
    yield from _on(cell, HERE)


def _on(cell: Cell, count: int) -> Iterator[Comparison]:
    home = cell.directory / "targets"
    targets.start_server(home)
    os.environ["HOME"] = str(home / "root")  # where tasks here write
    with ExitStack() as stack:
        contenders: dict[str, Run] = {}
        for name, contender in CONTENDERS.items():
            if name == AS_IT_COMES and count > 1:
                continue
            place = targets.workspace(cell.directory / f"w{len(contenders)}", home, count or 1, here=count == HERE)
            for title, text in PLAYBOOKS.items():
                (place / "playbooks" / f"{title.replace(' ', '-')}.yml").write_text(text)
            contenders[name] = stack.enter_context(contender(place))
        for title in PLAYBOOKS:
            rounds = cell.rounds(*SETTINGS[title, count])
            if rounds:
                cell.say(f"{title}, {_where(count)}")
                yield _compared(cell, title, count, contenders, rounds)


def _where(count: int) -> str:
    return "here" if count == HERE else f"{count} host{'s' * (count > 1)} over SSH"


def _compared(cell: Cell, title: str, count: int, contenders: dict[str, Run], rounds: int) -> Comparison:
    file = f"{title.replace(' ', '-')}.yml"
    runs = {name: lambda run=run: run(file) for name, run in contenders.items()}
    values = in_turns(runs, rounds, budget_s=BUDGET_S * max(1.0, count / 10), say=cell.say)
    rows = tuple(Row(name, values[name]) for name in contenders)
    ours = [name for name in contenders if name.startswith("bascule")]
    ratios = tuple((name, peer) for name in ours for peer in (AS_IT_COMES, PLAYBOOK, RUNNER) if peer in values)
    wanted = TARGETS if (title, count) == ("three tasks", 1) else ()
    return Comparison(
        "playbooks" if count == 1 else "playbooks-here" if count == HERE else f"playbooks-{count}",
        f"playbook, {title}, {_where(count)}",
        rows,
        ratios,
        tuple(target for target in wanted if target.ours in ours),
    )


@contextmanager
def _ansible_playbook(place: Path, **settings: str) -> Iterator[Run]:
    """The program, as typed at a prompt; `settings` are environment variables that stand before ansible.cfg."""
    program = str(Path(sys.executable).parent / "ansible-playbook")
    environment = {**os.environ, **settings}

    def run(file: str) -> float:
        command = [program, f"playbooks/{file}"]
        began = time.perf_counter()
        done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, check=False)
        took_s = time.perf_counter() - began
        if done.returncode != 0:
            raise RuntimeError(f"exit code {done.returncode}: {done.stdout[-500:]}{done.stderr[-500:]}")
        return took_s

    yield run


@contextmanager
def _ansible_runner(place: Path) -> Iterator[Run]:
    """`ansible_runner.run`, as a Python program calls it that has imported it long ago."""
    import ansible_runner

    environment = {
        "ANSIBLE_CONFIG": str(place / "ansible.cfg"),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }

    def run(file: str) -> float:
        began = time.perf_counter()
        done = ansible_runner.run(
            private_data_dir=str(place),
            project_dir=str(place),
            playbook=f"playbooks/{file}",
            inventory=str(place / "hosts.json"),
            envvars=environment,
            quiet=True,
            rotate_artifacts=2,
        )
        took_s = time.perf_counter() - began
        if done.rc != 0:
            raise RuntimeError(f"{done.status}: {done.stdout.read()[-500:]}")
        return took_s

    yield run


@contextmanager
def _bascule(place: Path, executor: str) -> Iterator[Run]:
    """From the command to run a step to the word that it has ended, in a process that lives as a controller does.

    `executor` as in `daemon: {playbooks: …}`.
    """
    from orchestrator.core.commands import RunPlaybook
    from orchestrator.core.events import AttemptEnd, StepEnded, StepKey
    from orchestrator.core.model import Playbook
    from orchestrator.runner.attempts import Attempt
    from orchestrator.runner.playbooks import PlaybookRunner

    numbers = iter(range(1, 1_000_000))
    ended: asyncio.Queue[StepEnded] = asyncio.Queue()

    def digest(path: str) -> str:
        return hashlib.sha256((place / "playbooks" / path).read_bytes()).hexdigest()

    def differs(_client: str, playbook: Playbook) -> str:
        return "" if digest(playbook.path) == playbook.digest else f"{playbook.path} was changed"

    async def open_runner() -> PlaybookRunner:
        runner = PlaybookRunner(
            place,
            {"bench": (place / "hosts.json",)},
            lambda event: ended.put_nowait(event) if isinstance(event, StepEnded) else None,
            differs=differs,
        )
        runner.warm_up(executor)
        if runner.zygote is None or not await runner.zygote.until_ready(READY_S):
            raise RuntimeError(f"there is no zygote: {runner.zygote.why_not if runner.zygote else executor}")
        return runner

    async def once(file: str) -> float:
        run_id = f"bench/run-{next(numbers)}"
        key = StepKey(run_id, "execute", 1)
        book, facts = Playbook(file, digest(file)), {"bascule_run": run_id}
        command = RunPlaybook(key, "bench", book, facts, 1, 120.0, workspace="bench")
        began = time.perf_counter()
        runner.carry_out(command)
        end = await ended.get()
        took_s = time.perf_counter() - began
        if end.outcome is not AttemptEnd.OK:
            raise RuntimeError(f"{end.outcome.value}: {end.detail}")
        attempt = Attempt(runner.private, key)
        cold = [event.get("because") for event in attempt.read_events() if event.get("executor") == "cold"]
        if cold:
            raise RuntimeError(f"it was not played warm: {cold[0]}")
        runner.forget(run_id)
        await asyncio.sleep(BETWEEN_S)
        return took_s

    with asyncio.Runner() as loop:
        runner = loop.run(open_runner())
        try:
            yield lambda file: loop.run(once(file))
        finally:
            loop.run(runner.close())


CONTENDERS: dict[str, Callable[[Path], AbstractContextManager[Run]]] = {
    AS_IT_COMES: lambda place: _ansible_playbook(
        place, ANSIBLE_PIPELINING="0", ANSIBLE_SSH_ARGS="-C -o ControlMaster=auto -o ControlPersist=60s"
    ),
    PLAYBOOK: _ansible_playbook,
    RUNNER: _ansible_runner,
    WARM: lambda place: _bascule(place, "warm"),
    FAST: lambda place: _bascule(place, "fast"),
}
TARGETS = (
    Target(WARM, PLAYBOOK, 1.6),
    Target(FAST, PLAYBOOK, 10.0),
    Target(FAST, RUNNER, 10.0),
)
