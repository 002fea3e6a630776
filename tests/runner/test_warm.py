"""The warm executor: a zygote forks for each playbook; whatever is wrong with it, the playbook runs all the same."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from orchestrator.core.events import AttemptEnd, StepKey
from orchestrator.runner import leftovers
from orchestrator.runner.attempts import Attempt
from orchestrator.runner.warm import keeper
from orchestrator.runner.warm.owner import ZygoteOwner
from orchestrator.runner.warm.zygote import local_modules
from tests.runner.stage import Stage, until

SAY = "    - name: say\n      ansible.builtin.command: echo done\n"


@pytest.fixture
async def warm(tmp_path: Path) -> AsyncIterator[Stage]:
    """A workspace whose runner has a zygote that takes calls."""
    stage = Stage(tmp_path, warm=True)
    await stage.warmed()
    yield stage
    await stage.runner.close()


def zygote_pid(stage: Stage) -> int:
    """Of the one that takes calls."""
    assert stage.runner.readied.zygote is not None
    assert stage.runner.readied.zygote.ready is not None
    return int(stage.runner.readied.zygote.ready["pid"])


def parent_of(pid: int) -> int:
    """Its parent's process id."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


async def test_a_playbook_is_forked(warm: Stage) -> None:
    """And several, one after another and at once."""
    playbook = warm.write("p.yml", SAY)
    assert (await warm.run(playbook)).outcome is AttemptEnd.OK
    keys = [warm.start(playbook, f"step {n}") for n in range(4)]
    ends = [await warm.end_of(key) for key in keys]
    assert [end.outcome for end in ends] == [AttemptEnd.OK] * 4
    for key in keys:
        assert warm.executors(key) == ["warm"]


async def test_variables_beside_the_inventory_are_read(warm: Stage) -> None:
    """Of groups and of hosts, as they are now."""
    (inventory,) = warm.runner.inventories["acme"]
    for folder, name in (("group_vars", "all"), ("host_vars", "here")):
        (inventory.parent / folder).mkdir(exist_ok=True)
        (inventory.parent / folder / f"{name}.yml").write_text(f"from_{folder}: read\n")
    said = "    - ansible.builtin.assert: {that: [from_group_vars == 'read', from_host_vars == 'read']}\n"
    key = warm.start(warm.write("p.yml", said))
    ended = await warm.end_of(key)
    assert (ended.outcome, warm.executors(key)) == (AttemptEnd.OK, ["warm"]), ended.detail


async def test_its_processes_carry_the_mark_of_the_attempt(warm: Stage) -> None:
    """The child's own environment in /proc shows it, so that whoever looks for an attempt's processes finds it."""
    key = warm.start(warm.write("p.yml", "    - ansible.builtin.command: sleep 60\n"))
    attempt = Attempt(warm.runner.private, key)
    await until(lambda: attempt.events.exists() and "started" in attempt.events.read_text())
    mark = attempt.read_worker()["mark"]
    parents = {parent_of(pid) for pid in leftovers.marked(mark)}
    assert zygote_pid(warm) in parents
    warm.cancel(key)
    assert (await warm.end_of(key)).outcome is AttemptEnd.CANCELLED
    assert leftovers.marked(mark) == []


async def test_a_killed_zygote_is_replaced_and_nobody_waits(warm: Stage) -> None:
    """The next playbook runs cold and says so, or is the new one's."""
    playbook = warm.write("p.yml", SAY)
    os.kill(zygote_pid(warm), signal.SIGKILL)
    key = warm.start(playbook)
    assert (await warm.end_of(key)).outcome is AttemptEnd.OK
    assert "cold" in warm.executors(key)[0]
    await warm.warmed()
    assert (await warm.run(playbook, "again")).outcome is AttemptEnd.OK
    assert warm.executors(StepKey("acme/run-1", "again", 1)) == ["warm"]


async def test_a_zygote_that_hangs_is_waited_for_briefly(warm: Stage) -> None:
    """Then the real program is started, and the step says why; another zygote takes its place."""
    playbook = warm.write("p.yml", SAY)
    stopped = zygote_pid(warm)
    os.kill(stopped, signal.SIGSTOP)
    try:
        ended = await warm.run(playbook)
        assert ended.outcome is AttemptEnd.OK
        assert "did not answer in time" in ended.detail
        await until(lambda: not leftovers.alive(stopped))
        await warm.warmed()
    finally:
        if leftovers.alive(stopped):
            os.kill(stopped, signal.SIGKILL)
    await warm.run(playbook, "again")
    assert warm.executors(StepKey("acme/run-1", "again", 1)) == ["warm"]


def spares_of(stage: Stage) -> list[int]:
    """Children that the zygote has forked before they are needed."""
    pid = zygote_pid(stage)
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in children if Path(f"/proc/{child}/comm").read_text() == "bascule-spare\n"]


async def spare_of(stage: Stage) -> int:
    """The one that is to serve the next call."""
    await until(lambda: bool(spares_of(stage)))
    (spare,) = spares_of(stage)
    return spare


async def test_the_child_was_there_before_the_call(warm: Stage) -> None:
    """And the next one is made; with the zygote it goes."""
    spare = await spare_of(warm)
    key = warm.start(warm.write("p.yml", "    - ansible.builtin.command: sleep 60\n"))
    attempt = Attempt(warm.runner.private, key)
    await until(lambda: attempt.events.exists() and "started" in attempt.events.read_text())
    assert spare in leftovers.marked(attempt.read_worker()["mark"])
    following = await spare_of(warm)
    warm.cancel(key)
    await warm.end_of(key)
    await warm.runner.close()
    await until(lambda: not leftovers.alive(following))


async def test_a_spare_child_that_was_killed_is_not_missed(warm: Stage) -> None:
    """The call is another one's, forked at once."""
    playbook = warm.write("p.yml", SAY)
    for step in ("once", "again"):
        killed = await spare_of(warm)
        os.kill(killed, signal.SIGKILL)
        await until(lambda killed=killed: killed not in spares_of(warm))
        key = warm.start(playbook, step)
        assert (await warm.end_of(key)).outcome is AttemptEnd.OK
        assert warm.executors(key) == ["warm"]


@pytest.mark.parametrize("end", ["closed", "killed"])
async def test_a_spare_child_that_hangs_ends_with_its_zygote(warm: Stage, end: str) -> None:
    """However that ends: a child that plays would go on, one that only waits is of no use to anybody."""
    spare = await spare_of(warm)
    os.kill(spare, signal.SIGSTOP)
    if end == "killed":
        os.kill(zygote_pid(warm), signal.SIGKILL)
    await warm.runner.close()
    await until(lambda: not leftovers.alive(spare))


async def test_a_changed_configuration_makes_it_stale(warm: Stage) -> None:
    """The playbook that comes first is played by the new ansible.cfg, cold; then there is a zygote of the new one."""
    playbook = warm.write(
        "p.yml", "    - ansible.builtin.debug: {msg: \"{{ lookup('config', 'DEFAULT_TIMEOUT') }}\"}\n"
    )
    (warm.workspace / "ansible.cfg").write_text("[defaults]\ntimeout = 77\n")
    key = warm.start(playbook)
    ended = await warm.end_of(key)
    assert ended.outcome is AttemptEnd.OK
    assert warm.executors(key)[0].startswith("cold")
    await warm.warmed()
    await warm.run(playbook, "again")
    assert warm.executors(StepKey("acme/run-1", "again", 1)) == ["warm"]


async def test_without_an_owner_it_ends(warm: Stage) -> None:
    """When the controller's end of the socket is closed: at once, or after the playbook that it plays."""
    key = warm.start(warm.write("p.yml", "    - ansible.builtin.command: sleep 3\n"))
    attempt = Attempt(warm.runner.private, key)
    await until(lambda: attempt.events.exists() and "started" in attempt.events.read_text())
    pid = zygote_pid(warm)
    await warm.runner.close()
    assert leftovers.alive(pid)
    await until(lambda: not leftovers.alive(pid))
    await until(lambda: attempt.read_result() is not None)
    result = attempt.read_result()
    assert result is not None
    assert result.outcome is AttemptEnd.OK


async def test_a_controller_that_is_killed_leaves_no_zygote(tmp_path: Path) -> None:
    """It ends by itself, and takes its directory with it."""
    program = (
        "import asyncio, sys, pathlib\n"
        "from orchestrator.runner.warm.owner import ZygoteOwner\n"
        "async def main():\n"
        "    zygote = ZygoteOwner(pathlib.Path(sys.argv[1])); zygote.start(); await zygote.until_ready(120)\n"
        "    print(zygote.ready['pid'], zygote._directory, flush=True); await asyncio.sleep(600)\n"
        "asyncio.run(main())\n"
    )
    controller = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, str(tmp_path), stdout=asyncio.subprocess.PIPE
    )
    assert controller.stdout is not None
    pid, directory = (await controller.stdout.readline()).decode().split()
    below = leftovers.descendants(int(pid))
    controller.kill()
    await controller.wait()
    await until(lambda: not any(map(leftovers.alive, [int(pid), *below])))
    await until(lambda: not os.path.exists(directory))


def standing_of(pids: list[int]) -> tuple[int, int, int]:
    """Open files, child processes and memory (pages of their own) of these processes together."""
    files = sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in pids)
    below = sum(len(leftovers.children(pid)) for pid in pids)
    pages = [Path(f"/proc/{pid}/statm").read_text().split() for pid in pids]
    return files, below, sum(int(p[1]) - int(p[2]) for p in pages)


def directories() -> set[str]:
    """Zygotes' own, but for those of zygotes that other programs of this machine have now."""
    found = {name for name in os.listdir(tempfile.gettempdir()) if name.startswith("bascule-warm-")}
    ours = {os.getpid(), *leftovers.descendants(os.getpid())}
    for process in Path("/proc").glob("[0-9]*"):
        if int(process.name) not in ours:
            with contextlib.suppress(OSError):
                words = (process / "cmdline").read_bytes().split(b"\0")
                found -= {os.path.basename(os.fsdecode(word)) for word in words}
    return found


async def many(warm: Stage, runs: int) -> None:
    """So many in a row, four at a time; nothing grows, and nothing is left."""
    playbook = warm.write("p.yml", "    - ansible.builtin.debug: {msg: here}\n")
    await warm.run(playbook, "first")
    zygote = zygote_pid(warm)
    pids = [os.getpid(), zygote, *(set(leftovers.children(zygote)) - {await spare_of(warm)})]
    before = directories()
    files, below, pages = standing_of(pids)
    for start in range(0, runs, 4):
        keys = [warm.start(playbook, f"step {n}") for n in range(start, min(start + 4, runs))]
        for key in keys:
            assert (await warm.end_of(key)).outcome is AttemptEnd.OK
            assert warm.executors(key) == ["warm"]
        warm.heard.clear()
    await until(lambda: standing_of(pids)[:2] <= (files + 2, below + 1))
    assert zygote_pid(warm) == zygote
    assert len(directories()) <= len(before)
    assert standing_of(pids)[2] - pages < 2048 + runs * 8  # pages of 4 KiB: 8 MiB, and what the journal of a test needs


async def test_no_room_for_a_zygote_is_a_reason_and_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full or missing temporary directory: it is said, tried again, and the daemon starts all the same."""
    monkeypatch.setattr(tempfile, "tempdir", "/no-such-directory")
    zygote = ZygoteOwner(tmp_path)
    zygote.start()
    assert zygote.call() is None
    assert "it cannot be started" in zygote.why_not
    await zygote.close()


async def test_ten_runs_in_a_row(warm: Stage) -> None:
    """Files, processes, sockets and memory are as before."""
    await many(warm, 10)


@pytest.mark.long
@pytest.mark.timeout(1800)
async def test_three_hundred_runs_in_a_row(warm: Stage) -> None:
    """Likewise."""
    await many(warm, 300)


WHERE = """
import os, sys
from ansible.module_utils.basic import AnsibleModule
module = AnsibleModule(argument_spec={"how": {"type": "str"}})
loaded = sorted({name.partition(".")[0] for name in sys.modules} & {"ansible", "mitogen", "orchestrator", "pexpect"})
if module.params["how"] == "raise":
    raise RuntimeError("on purpose")
if module.params["how"] == "exit":
    sys.exit("not as a module should")
if module.params["how"] == "kill":
    os.kill(os.getpid(), 9)
with open("/proc/self/cmdline") as file:
    program = file.read()
module.exit_json(program=program, argv=sys.argv, said=sys.stdin.read(), loaded=loaded,
                 controller="ansible.constants" in sys.modules, file=module.exit_json.__code__.co_filename,
                 open=sorted(map(int, os.listdir("/proc/self/fd")))[:4])
"""


THE_AUTHORS = """
from ansible.module_utils.basic import AnsibleModule
AnsibleModule(argument_spec={}).exit_json(whose="me")
"""


def has_module(stage: Stage, name: str, source: str) -> None:
    """An author's own module, beside the playbooks."""
    library = stage.workspace / "playbooks" / "library"
    library.mkdir()
    (library / f"{name}.py").write_text(source)


async def test_a_module_on_this_machine_is_forked_and_meets_what_a_new_interpreter_would_show(warm: Stage) -> None:
    """Nothing of ansible-core's controller, nor of ours; its own archive's `ansible.module_utils`."""
    has_module(warm, "where", WHERE)
    said = (
        "    - where:\n      register: forked\n"
        "    - where:\n      environment: {ANY: thing}\n      register: started\n"
        "    - ansible.builtin.assert:\n        that:\n"
        "          - \"'zygote' in forked.program and 'zygote' not in started.program\"\n"
        "          - forked.argv | length == started.argv | length\n"
        "          - forked.said == started.said == ''\n"
        "          - forked.loaded == started.loaded == ['ansible']\n"
        "          - not forked.controller\n"
        "          - \"'where_payload' in forked.file and 'where_payload' in started.file\"\n"
        "          - forked.open[:3] == [0, 1, 2]\n"
    )
    key = warm.start(warm.write("p.yml", said))
    ended = await warm.end_of(key)
    assert (ended.outcome, warm.executors(key)) == (AttemptEnd.OK, ["warm"]), ended.detail


async def test_collections_beside_the_playbook_come_first(tmp_path: Path) -> None:
    """Also before those that the zygote has looked at because a playbook names them."""
    stage = Stage(tmp_path, warm=True)
    names = {"amazon.aws": "route53", "community.general": "ini_file"}
    for collection, module in names.items():
        beside = tmp_path / "playbooks" / "collections" / "ansible_collections" / Path(*collection.split("."))
        (beside / "plugins" / "modules").mkdir(parents=True)
        (beside / "plugins" / "modules" / f"{module}.py").write_text(THE_AUTHORS)
    tasks = "".join(
        f"    - {collection}.{module}:\n      register: it\n    - ansible.builtin.assert: {{that: it.whose == 'me'}}\n"
        for collection, module in names.items()
    )
    playbook = stage.write("p.yml", tasks)
    await stage.warmed()
    key = stage.start(playbook)
    ended = await stage.end_of(key)
    await stage.runner.close()
    assert (ended.outcome, stage.executors(key)) == (AttemptEnd.OK, ["warm"]), ended.detail


async def test_a_forked_module_that_breaks_breaks_alone(warm: Stage) -> None:
    """Its own failure, told as ever; the playbook goes on to rescue."""
    has_module(warm, "where", WHERE)
    said = "".join(
        f"    - where: {{how: {how}}}\n      register: {how}_{way}\n      ignore_errors: true\n" + more
        for how in ("raise", "exit", "kill")
        for way, more in (("forked", ""), ("started", "      environment: {ANY: thing}\n"))
    )
    said += (
        "    - ansible.builtin.assert:\n        that:\n"
        "          - raise_forked.failed and exit_forked.failed\n"
        "          - raise_forked.msg == raise_started.msg\n"
        "          - exit_forked.msg == exit_started.msg\n"
        "          - exit_forked.rc | default(0) == exit_started.rc | default(0)\n"
        "          - kill_forked.failed and kill_forked.rc == kill_started.rc\n"
    )
    ended = await warm.run(warm.write("p.yml", said))
    assert ended.outcome is AttemptEnd.OK, ended.detail


async def test_a_host_that_does_not_answer_keeps_no_other_from_being_told(warm: Stage) -> None:
    """Each login is told as it is known."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        silent = {"ansible_host": "127.0.0.1", "ansible_port": mute.getsockname()[1]}
        warm.write_inventory({"here": {"ansible_connection": "local"}, "mute": silent})
        other = asyncio.ensure_future(warm.runner.can_log_in("acme", "mute"))
        assert await warm.runner.can_log_in("acme", "here") == (True, "")
        assert not other.done()
        assert (await other)[0] is False


async def test_a_login_that_hangs_leaves_nothing(warm: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither its processes nor its directory: it is asked again and again."""
    monkeypatch.setattr(keeper, "LIMIT_S", 4.0)
    hangs, hung = warm.workspace / "hangs", warm.workspace / "hung"
    hangs.write_text(f"#!/bin/sh\nsleep 600 & echo $$ $! >>{hung}\nwait\n")
    hangs.chmod(0o755)
    odd = {"ansible_host": "127.0.0.1", "ansible_connection": "ssh", "ansible_ssh_executable": str(hangs)}
    warm.write_inventory({"odd": odd})
    assert (await warm.runner.can_log_in("acme", "odd"))[0] is None
    pids = [int(pid) for pid in hung.read_text().split()]
    assert pids
    await until(lambda: not any(leftovers.alive(pid) for pid in pids))
    assert warm.runner.readied.zygote is not None
    directory = warm.runner.readied.zygote._directory
    assert directory is not None
    await until(lambda: not list(directory.glob("*/logins.yml")))


LEAVES = """
import logging, os, signal, sys, tempfile, threading, time
from ansible.module_utils.basic import AnsibleModule
module = AnsibleModule(argument_spec={"way": {"type": "str"}})
way = module.params["way"]
files = [open(f"{way}-{number}", "w") for number in range(20)]  # under the numbers of what was open before
logging.getLogger("library").info("not for these files")
for file in files:
    file.close()
sys.kept = tempfile.TemporaryDirectory(prefix=f"kept-{way}-", dir=".")
def late():
    time.sleep(0.2)
    with open(f"late-{way}", "w"):
        pass
threading.Thread(target=late).start()
module.exit_json(written=sum(os.path.getsize(file.name) for file in files), pwd=os.environ["PWD"],
                 hangs_up=signal.getsignal(signal.SIGHUP) == signal.SIG_DFL)
"""


async def test_a_forked_module_leaves_what_a_started_one_would(tmp_path: Path) -> None:
    """It waits for its threads and removes its temporary files; Ansible's own log is not written to its files."""
    tmp_path.joinpath("ansible.cfg").write_text(f"[defaults]\nlog_path = {tmp_path}/ansible.log\n")
    warm = Stage(tmp_path, warm=True)
    await warm.warmed()
    has_module(warm, "leaves", LEAVES)
    said = (
        "    - leaves: {way: forked}\n      register: forked\n"
        "    - leaves: {way: started}\n      environment: {ANY: thing}\n      register: started\n"
        "    - ansible.builtin.assert:\n        that:\n"
        "          - forked.written == started.written == 0\n"
        "          - forked.pwd == started.pwd\n"
        "          - forked.hangs_up == started.hangs_up\n"
    )
    assert await warm.runner.can_log_in("acme", "here") == (True, "")
    key = warm.start(warm.write("p.yml", said))
    ended = await warm.end_of(key)
    await warm.runner.close()
    assert (ended.outcome, warm.executors(key)) == (AttemptEnd.OK, ["warm"]), ended.detail
    assert "bascule: logins" not in (tmp_path / "ansible.log").read_text()
    left = [path.name for path in (tmp_path / "playbooks").iterdir() if path.name.startswith(("kept", "late"))]
    assert sorted(left) == ["late-forked", "late-started"]


def test_a_collection_that_is_named_and_not_there_is_left_to_whoever_needs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a comment; it is no reason to have no zygote."""
    monkeypatch.setattr(local_modules, "_named", ["nobody.at_home."])
    assert "basic.py" in [path.name for path in local_modules._sources()]


def test_a_library_that_is_broken_is_left_to_whoever_needs_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it raises when it is imported."""
    (tmp_path / "broken_library.py").write_text("raise AttributeError('as of another version')\n")
    for name in ("_named", "_fresh_path", "_fresh_finders", "_fresh_hooks"):
        monkeypatch.setattr(local_modules, name, [])
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(local_modules, "LIBRARIES", {"nobody.at_home.": ("broken_library",)})
    local_modules.prepare("# nobody.at_home.thing\n")
