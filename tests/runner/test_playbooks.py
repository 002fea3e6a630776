"""Real playbooks on a local connection: how they end, and what they leave."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from pathlib import Path

import pytest

from orchestrator.core.events import AttemptEnd, StepKey
from orchestrator.core.model import Playbook
from orchestrator.runner import leftovers, playbooks
from orchestrator.runner.attempts import Attempt
from tests.runner.stage import Stage, until


def running_command(words: str) -> list[int]:
    """Processes on this machine whose command line has these words."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid():
            try:
                line = Path(f"/proc/{name}/cmdline").read_bytes().replace(b"\0", b" ")
            except OSError:
                continue
            if words.encode() in line and leftovers.alive(int(name)):
                found.append(int(name))
    return found


class TestEndings:
    """How a playbook ends is told apart, in the playbook's own words."""

    async def test_done_with_its_task_times(self, stage: Stage) -> None:
        """Tasks are shown while it runs, and stand in its end with host, result and time."""
        playbook = stage.write(
            "move.yml",
            """
    - name: look
      ansible.builtin.command: "true"
      changed_when: false
    - name: switch
      ansible.builtin.command: echo {{ bascule_run }}
    - name: not here
      ansible.builtin.command: "false"
      when: false
    - name: may fail
      ansible.builtin.command: "false"
      ignore_errors: true
""",
        )
        ended = await stage.run(playbook)
        assert (ended.outcome, ended.detail) == (AttemptEnd.OK, "")
        told = {task.name: (task.host, task.status) for task in ended.tasks}
        assert told["look"] == ("here", "ok")
        assert told["switch"] == ("here", "changed")
        assert told["not here"] == ("here", "skipped")
        assert told["may fail"] == ("here", "ignored")
        assert stage.progress(ended.key) == [task.name for task in ended.tasks]
        assert all(task.took_s >= 0 and task.started_s >= 0 for task in ended.tasks)
        starts = [task.started_s for task in ended.tasks]
        assert starts == sorted(starts)

    async def test_failed_says_host_task_reason_and_line(self, stage: Stage) -> None:
        """No stack trace, no arguments."""
        playbook = stage.write(
            "move.yml",
            """
    - name: promote the standby
      ansible.builtin.shell: echo "standby is not in recovery" >&2; exit 3
""",
        )
        ended = await stage.run(playbook)
        assert ended.outcome is AttemptEnd.FAILED
        assert ended.detail == (
            "here: promote the standby: return code 3: standby is not in recovery (playbooks/move.yml:5)"
        )

    async def test_unreachable_is_not_failed(self, stage: Stage) -> None:
        """A host that does not answer ends the step as unreachable; the others were served."""
        playbook = stage.write(
            "move.yml",
            """
- hosts: dark,here
  gather_facts: false
  tasks:
    - name: switch
      ansible.builtin.command: "true"
""",
        )
        ended = await stage.run(playbook)
        assert ended.outcome is AttemptEnd.UNREACHABLE
        assert "dark" in ended.detail
        assert "refused" in ended.detail or "could not be sent" in ended.detail  # ssh may be gone before it is told
        assert ("here", "changed") in {(task.host, task.status) for task in ended.tasks if task.name == "switch"}

    async def test_the_authors_handling_of_an_unreachable_host_holds(self, stage: Stage) -> None:
        """`ignore_unreachable` works as without a guard, and a play on dark hosts alone still ends the playbook."""
        tolerant = stage.write(
            "tolerant.yml",
            """
- hosts: dark,here
  gather_facts: false
  ignore_unreachable: true
  tasks:
    - ansible.builtin.command: "true"
""",
        )
        assert (await stage.run(tolerant, "tolerant")).outcome is AttemptEnd.OK
        strict = stage.write(
            "strict.yml",
            """
- hosts: dark
  gather_facts: false
  tasks:
    - name: stop the old primary
      ansible.builtin.command: "true"
- hosts: here
  gather_facts: false
  tasks:
    - name: promote
      ansible.builtin.command: "true"
""",
        )
        ended = await stage.run(strict, "strict")
        assert ended.outcome is AttemptEnd.UNREACHABLE
        assert "promote" not in {task.name for task in ended.tasks}

    async def test_what_ansible_cannot_read_could_not_start(self, stage: Stage) -> None:
        """Its own message, with the place; nothing had run."""
        playbook = stage.write("move.yml", "    - name: [unclosed\n")
        ended = await stage.run(playbook, "syntax")
        assert ended.outcome is AttemptEnd.COULD_NOT_START
        assert "playbooks/move.yml:" in ended.detail
        playbook = stage.write("move.yml", "    - no_such_module_here: {}\n")
        ended = await stage.run(playbook, "module")
        assert ended.outcome is AttemptEnd.COULD_NOT_START
        assert "no_such_module_here" in ended.detail

    async def test_no_host_is_no_success(self, stage: Stage) -> None:
        """Ansible calls it a success when nothing matched; a step that did nothing has not succeeded."""
        playbook = stage.write("move.yml", "- hosts: nowhere\n  tasks:\n    - ansible.builtin.command: 'true'\n")
        ended = await stage.run(playbook)
        assert ended.outcome is AttemptEnd.COULD_NOT_START
        assert "no host matched" in ended.detail

    async def test_a_question_is_not_waited_for(self, stage: Stage) -> None:
        """`vars_prompt` has nobody to answer it: nothing acts with no value."""
        playbook = stage.write(
            "move.yml",
            """
- hosts: here
  gather_facts: false
  vars_prompt:
    - name: target
  tasks:
    - ansible.builtin.command: "true"
""",
        )
        ended = await stage.run(playbook)
        assert ended.outcome is AttemptEnd.COULD_NOT_START
        assert "target" in ended.detail
        assert ended.tasks == ()

    @pytest.mark.parametrize("known", [{}, {"acme": ()}])
    async def test_without_an_inventory_of_its_own_nothing_is_played(
        self, stage: Stage, known: dict[str, tuple[Path, ...]]
    ) -> None:
        """Ansible would take its usual one, which may be another client's."""
        (stage.workspace / "ansible.cfg").write_text("[defaults]\ninventory = usual.ini\n")
        (stage.workspace / "usual.ini").write_text("here ansible_connection=local\nedge ansible_connection=local\n")
        done = stage.workspace / "done"
        playbook = stage.write("move.yml", f"    - ansible.builtin.command: touch {done}\n")
        stage.runner.use_inventories(known)
        ended = await stage.run(playbook)
        assert not done.exists()
        assert (ended.outcome, ended.detail) == (AttemptEnd.COULD_NOT_START, "client acme has no inventory")

    async def test_an_inventory_that_is_put_in_force_during_the_look_is_looked_at(
        self, stage: Stage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A reload may come between the look and the run: what is played is what was looked at."""
        playbook = stage.write("move.yml", "    - ansible.builtin.command: 'true'\n")
        looks: list[str] = []

        def differs(client: str, book: Playbook) -> str:
            looks.append(client)
            if len(looks) > 1:
                return "hosts.yml was added since it was loaded"
            stage.runner.use_inventories({client: [stage.workspace / "other.yml"]})
            return ""

        monkeypatch.setattr(stage.runner, "_differs", differs)
        assert (await stage.run(playbook)).outcome is AttemptEnd.PLAN_CHANGED
        assert len(looks) == 2

    async def test_files_that_hang_do_not_hang_the_step(self, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
        """A mount whose server is gone: it could not start, and says why."""
        goes_on = threading.Event()
        monkeypatch.setattr(playbooks, "FILES_S", 0.3)
        monkeypatch.setattr(stage.runner, "_differs", lambda _client, _book: str(goes_on.wait(60)))
        playbook = stage.write("move.yml", "    - ansible.builtin.command: 'true'\n")
        try:
            ended = await stage.run(playbook)
        finally:
            goes_on.set()
        assert ended.outcome is AttemptEnd.COULD_NOT_START
        assert ended.detail == "the files of its plan do not answer within 0.3 s, as on a mount that hangs"

    async def test_a_changed_playbook_is_not_run(self, stage: Stage) -> None:
        """What was decided is what is run."""
        playbook = stage.write("move.yml", "    - ansible.builtin.command: 'true'\n")
        stage.write("move.yml", "    - ansible.builtin.command: 'false'\n")
        assert (await stage.run(playbook)).outcome is AttemptEnd.PLAN_CHANGED
        gone = await stage.run(Playbook("gone.yml", "digest"), "gone")
        assert gone.outcome is AttemptEnd.PLAN_CHANGED
        assert "gone.yml" in gone.detail

    async def test_vault_and_configuration_are_the_authors(self, stage: Stage) -> None:
        """A vaulted file opens with the password that the workspace's ansible.cfg names; a wrong one is said so."""
        password = stage.workspace / "password"
        password.write_text("one")
        (stage.workspace / "ansible.cfg").write_text(f"[defaults]\nvault_password_file = {password}\n")
        secret = stage.workspace / "playbooks" / "secret.yml"
        secret.write_text("greeting: hello from the vault\n")
        vault = await asyncio.create_subprocess_exec(
            Path(sys.executable).parent / "ansible-vault",
            *("encrypt", "--vault-password-file", str(password), str(secret)),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            cwd=stage.workspace / "playbooks",  # away from any other ansible.cfg
        )
        assert await vault.wait() == 0
        playbook = stage.write(
            "move.yml",
            """
- hosts: here
  gather_facts: false
  vars_files: [secret.yml]
  tasks:
    - name: "{{ greeting }}"
      ansible.builtin.command: "true"
""",
        )
        ended = await stage.run(playbook, "right")
        assert ended.outcome is AttemptEnd.OK
        password.write_text("another")
        ended = await stage.run(playbook, "wrong")
        assert ended.outcome in (AttemptEnd.FAILED, AttemptEnd.COULD_NOT_START)
        assert "decrypt" in ended.detail.lower()


class TestStopping:
    """A step that is stopped leaves nothing running here."""

    async def test_a_time_out_ends_everything(self, stage: Stage) -> None:
        """Also what the playbook had put in the background."""
        playbook = stage.write(
            "move.yml", "    - name: wait\n      ansible.builtin.shell: sleep 43210 & setsid sleep 43211\n"
        )
        ended = await stage.run(playbook, timeout_s=6.0)
        assert ended.outcome is AttemptEnd.TIMED_OUT
        assert "6s" in ended.detail
        assert running_command("sleep 4321") == []

    async def test_cancel_ends_everything(self, stage: Stage) -> None:
        """The end names what was being done."""
        playbook = stage.write(
            "move.yml", "    - name: rewind\n      ansible.builtin.shell: sleep 43220 & sleep 43221\n"
        )
        key = stage.start(playbook)
        await until(lambda: running_command("sleep 43221"))
        stage.cancel(key)
        ended = await stage.end_of(key)
        assert ended.outcome is AttemptEnd.CANCELLED
        assert "here: rewind" in ended.detail
        assert running_command("sleep 4322") == []
        names = {path.name for path in Attempt(stage.runner.private, key).path.iterdir()}
        assert names == {"lock", "machine", "worker.json", "events.jsonl", "result.json"}

    async def test_cancelled_before_it_began(self, stage: Stage) -> None:
        """Nothing is started for an attempt that is no longer wanted."""
        playbook = stage.write("move.yml", f"    - ansible.builtin.command: touch {stage.workspace}/done\n")
        key = stage.start(playbook)
        stage.cancel(key)
        assert (await stage.end_of(key)).outcome is AttemptEnd.CANCELLED
        assert not (stage.workspace / "done").exists()


class TestCrashes:
    """Killed at any instant, an attempt is accounted for and never begun twice."""

    async def test_a_restarted_controller_adopts_what_runs(self, stage: Stage) -> None:
        """The playbook does not notice, and its tasks are all there."""
        playbook = stage.write(
            "move.yml",
            f"""
    - name: first
      ansible.builtin.shell: echo once >> {stage.workspace}/done; sleep 2
    - name: second
      ansible.builtin.command: "true"
""",
        )
        key = stage.start(playbook)
        await until(lambda: (stage.workspace / "done").exists())
        await stage.runner.close()
        stage.heard.clear()
        stage.open()
        stage.settle(key, playbook)
        ended = await stage.end_of(key)
        assert type(stage.heard[0]).__name__ == "StepAdopted"
        assert ended.outcome is AttemptEnd.OK
        assert [task.name for task in ended.tasks][-2:] == ["first", "second"]
        assert (stage.workspace / "done").read_text() == "once\n"

    async def test_a_killed_controller_takes_nothing_with_it(self, stage: Stage) -> None:
        """SIGKILL to the whole controller: the playbook runs on, and the next controller tells its end."""
        playbook = stage.write(
            "move.yml", f"    - ansible.builtin.shell: echo once >> {stage.workspace}/done; sleep 2\n"
        )
        program = (
            "import asyncio, sys; from pathlib import Path; from tests.runner.stage import Stage\n"
            "from orchestrator.core.model import Playbook\n"
            "async def main():\n"
            "    stage = Stage(Path(sys.argv[1]))\n"
            "    stage.start(Playbook(*sys.argv[2:4]))\n"
            "    await asyncio.sleep(600)\n"
            "asyncio.run(main())\n"
        )
        words = [sys.executable, "-c", program, str(stage.workspace), playbook.path, playbook.digest]
        controller = await asyncio.create_subprocess_exec(*words, cwd=Path(__file__).parents[2])
        await until(lambda: (stage.workspace / "done").exists())
        controller.kill()
        await controller.wait()
        key = StepKey("acme/run-1", "go", 1)
        stage.settle(key, playbook)
        ended = await stage.end_of(key)
        assert type(stage.heard[0]).__name__ == "StepAdopted"
        assert ended.outcome is AttemptEnd.OK
        assert (stage.workspace / "done").read_text() == "once\n"

    async def test_a_controller_that_was_away_finds_the_end(self, stage: Stage) -> None:
        """The end that nobody saw is on record; the same command again does not begin again."""
        playbook = stage.write("move.yml", f"    - ansible.builtin.shell: echo once >> {stage.workspace}/done\n")
        key = stage.start(playbook)
        await until(lambda: Attempt(stage.runner.private, key).worker.exists())
        await stage.runner.close()
        await until(lambda: Attempt(stage.runner.private, key).result.exists())
        stage.heard.clear()
        stage.open()
        stage.settle(key, playbook)
        assert (await stage.end_of(key)).outcome is AttemptEnd.OK
        stage.heard.clear()
        stage.start(playbook)
        assert (await stage.end_of(key)).outcome is AttemptEnd.OK
        assert (stage.workspace / "done").read_text() == "once\n"

    async def test_what_another_run_of_this_id_has_left_says_nothing_of_this_one(self, stage: Stage) -> None:
        """A journal that was put back gives ids again, to a run of another client perhaps."""
        playbook = stage.write("move.yml", f"    - ansible.builtin.shell: echo done >> {stage.workspace}/done\n")
        key = stage.start(playbook, beginning="acme/web before")
        await stage.end_of(key)
        stage.heard.clear()
        stage.settle(key, playbook, beginning="acme/erp afterwards")
        ended = await stage.end_of(key)
        assert ended.outcome is AttemptEnd.LOST
        assert "is of another run that had the same id" in ended.detail
        stage.heard.clear()
        stage.start(playbook, beginning="acme/erp afterwards")
        assert (await stage.end_of(key)).outcome is AttemptEnd.OK
        assert (stage.workspace / "done").read_text() == "done\n" * 2, "it has run"
        stage.heard.clear()
        stage.start(playbook, beginning="acme/erp afterwards")
        await stage.end_of(key)
        assert (stage.workspace / "done").read_text() == "done\n" * 2, "said again, its own end is told"
        stage.runner.forget(key.run)
        assert not (stage.runner.private / "acme%2Frun-1").exists()

    async def test_nothing_begins_while_another_run_of_its_id_still_runs(self, stage: Stage) -> None:
        """Which of the two is to go on is for a person to say."""
        slow = stage.write("slow.yml", "    - ansible.builtin.command: sleep 100\n")
        key = stage.start(slow, beginning="acme/web before")
        await until(lambda: Attempt(stage.runner.private, key).worker.exists())
        await stage.runner.close()
        stage.heard.clear()
        stage.open()
        stage.start(slow, beginning="acme/erp afterwards")
        ended = await stage.end_of(key)
        assert ended.outcome is AttemptEnd.COULD_NOT_START
        assert "which this journal does not know, still runs here (process " in ended.detail
        stage.heard.clear()
        stage.cancel(key)
        await stage.end_of(key)

    async def test_a_killed_worker_is_lost_and_leaves_nothing(self, stage: Stage) -> None:
        """Its Ansible processes are found by their mark and ended before the end is told."""
        playbook = stage.write(
            "move.yml", "    - name: rewind\n      ansible.builtin.shell: sleep 43230 & sleep 43231\n"
        )
        key = stage.start(playbook)
        await until(lambda: running_command("sleep 43231"))
        os.kill(Attempt(stage.runner.private, key).read_worker()["pid"], signal.SIGKILL)
        ended = await stage.end_of(key)
        assert ended.outcome is AttemptEnd.LOST
        assert "here: rewind" in ended.detail
        assert running_command("sleep 4323") == []

    async def test_worker_killed_while_nobody_looked(self, stage: Stage) -> None:
        """The next controller proves that it is over."""
        playbook = stage.write(
            "move.yml", "    - name: rewind\n      ansible.builtin.shell: sleep 43240 & sleep 43241\n"
        )
        key = stage.start(playbook)
        await until(lambda: running_command("sleep 43241"))
        await stage.runner.close()
        os.kill(Attempt(stage.runner.private, key).read_worker()["pid"], signal.SIGKILL)
        stage.open()
        stage.settle(key, playbook)
        assert (await stage.end_of(key)).outcome is AttemptEnd.LOST
        assert running_command("sleep 4324") == []

    async def test_killed_between_its_directory_and_its_worker(self, stage: Stage) -> None:
        """Nobody holds the lock, so no worker runs or ever will."""
        playbook = stage.write("move.yml", f"    - ansible.builtin.shell: echo once >> {stage.workspace}/done\n")
        key = StepKey("acme/run-1", "go", 1)
        Attempt(stage.runner.private, key).create()
        stage.settle(key, playbook)
        assert (await stage.end_of(key)).outcome is AttemptEnd.LOST
        stage.heard.clear()
        stage.start(playbook)
        assert (await stage.end_of(key)).outcome is AttemptEnd.LOST
        assert not (stage.workspace / "done").exists()

    async def test_a_hung_worker_is_ended(self, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
        """A worker that does not obey is killed, and what it left is ended."""
        monkeypatch.setattr(playbooks, "STUCK_S", 1.0)
        playbook = stage.write("move.yml", "    - ansible.builtin.shell: sleep 43251\n")
        key = stage.start(playbook)
        await until(lambda: running_command("sleep 43251"))
        os.kill(Attempt(stage.runner.private, key).read_worker()["pid"], signal.SIGSTOP)
        stage.cancel(key)
        assert (await stage.end_of(key)).outcome is AttemptEnd.LOST
        assert running_command("sleep 43251") == []


class TestSecrets:
    """A secret is in no record, log, process list or left-over file."""

    async def test_a_canary_is_nowhere(self, stage: Stage) -> None:
        """While it runs, not on any command line; afterwards, in no file that we keep and no event."""
        canary = "CANARY-83b1f0"
        playbook = stage.write(
            "move.yml",
            """
    - name: hidden
      ansible.builtin.shell:
        cmd: cat
        stdin: "{{ db_password }}"
      no_log: true
    - name: careless, on {{ db_password }}
      ansible.builtin.fail:
        msg: "cannot log in with {{ db_password }}"
""",
        )
        playbook = Playbook(playbook.path, playbook.digest, {"db_password": canary})
        key = stage.start(playbook)
        seen: list[int] = []
        while not Attempt(stage.runner.private, key).result.exists():
            seen += running_command(canary)
            await asyncio.sleep(0.02)
        ended = await stage.end_of(key)
        assert ended.outcome is AttemptEnd.FAILED
        assert seen == []
        assert canary not in repr(stage.heard)
        kept = b"".join(path.read_bytes() for path in stage.runner.private.rglob("*") if path.is_file())
        assert canary.encode() not in kept
        assert Attempt(stage.runner.private, key).path.stat().st_mode & 0o077 == 0, "others on the machine can look in"
        assert "cannot log in with ***" in ended.detail

    async def test_secrets_of_the_inventory_are_struck_out_of_what_failed(self, stage: Stage) -> None:
        """A vaulted one whatever its name, another by its name; the playbook itself has them as they are."""
        password = stage.workspace / "password"
        password.write_text("one")
        (stage.workspace / "ansible.cfg").write_text(f"[defaults]\nvault_password_file = {password}\n")
        vault = await asyncio.create_subprocess_exec(
            Path(sys.executable).parent / "ansible-vault",
            *("encrypt", "--vault-password-file", str(password), "--output", "-", "-"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            cwd=stage.workspace / "playbooks",  # away from any other ansible.cfg
        )
        told, _ = await vault.communicate(b"CANARY-vaulted")
        here = {
            "ansible_connection": "local",
            "dsn": {"__ansible_vault": told.decode()},
            "db_password": "CANARY-named",
            "key_file": "/etc/erp/key.pem",
        }
        stage.write_inventory({"here": here})
        stage.open()
        playbook = stage.write(
            "move.yml",
            """
    - ansible.builtin.shell: "echo '{{ dsn }} and {{ db_password }}, not {{ key_file }}'; exit 1"
      register: tried
      ignore_errors: true
    - ansible.builtin.assert: {that: "tried.stdout == 'CANARY-vaulted and CANARY-named, not /etc/erp/key.pem'"}
    - name: log in with {{ dsn }} and {{ db_password }}, not {{ key_file }}
      ansible.builtin.fail: {msg: "{{ tried.stdout }}"}
""",
        )
        await stage.warmed()
        ended = await stage.run(playbook)
        name = "log in with *** and ***, not /etc/erp/key.pem"
        assert f"{name}: *** and ***, not /etc/erp/key.pem" in ended.detail
        assert ended.tasks[-1].name == name
        kept = b"".join(path.read_bytes() for path in stage.runner.private.rglob("*") if path.is_file())
        assert b"CANARY" not in kept + repr(stage.heard).encode()

    async def test_no_log_stays_hidden(self, stage: Stage) -> None:
        """A failing task with no_log says that it failed, and nothing more."""
        playbook = stage.write(
            "move.yml",
            """
    - name: set the password
      ansible.builtin.shell: echo CANARY-55 >&2; exit 1
      no_log: true
""",
        )
        ended = await stage.run(playbook)
        assert ended.outcome is AttemptEnd.FAILED
        assert "set the password" in ended.detail
        assert "CANARY-55" not in repr(stage.heard)
        assert "no_log" in ended.detail

    async def test_directories_are_private(self, stage: Stage) -> None:
        """Nobody else on the machine can look in."""
        attempt = Attempt(stage.runner.private, StepKey("acme/run-1", "go", 1))
        attempt.create()
        assert attempt.path.stat().st_mode & 0o077 == 0
        stage.runner.forget("acme/run-1")
        assert not attempt.path.exists()


class TestTogether:
    """Several attempts at once do not know of each other."""

    async def test_several_at_once(self, stage: Stage) -> None:
        """One fails, one is cancelled, two succeed; no thread stays."""
        before = {thread.name.split("_")[0] for thread in threading.enumerate()}
        good = stage.write("good.yml", "    - ansible.builtin.command: 'true'\n")
        bad = stage.write("bad.yml", "    - ansible.builtin.command: 'false'\n")
        slow = stage.write("slow.yml", "    - ansible.builtin.shell: sleep 43261\n")
        stage.runner.warm_up()
        keys = [stage.start(*one) for one in ((good, "a"), (bad, "b"), (slow, "c"), (good, "d"))]
        await until(lambda: running_command("sleep 43261"))
        stage.cancel(keys[2])
        ends = [(await stage.end_of(key)).outcome for key in keys]
        assert ends == [AttemptEnd.OK, AttemptEnd.FAILED, AttemptEnd.CANCELLED, AttemptEnd.OK]
        assert {thread.name.split("_")[0] for thread in threading.enumerate()} <= before | {"asyncio"}
