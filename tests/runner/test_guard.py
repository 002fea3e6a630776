"""The epoch guard: what it refuses, what it lets pass, and what it costs nobody."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from orchestrator.core.events import Outcome
from orchestrator.runner import guard
from tests.runner.stage import Stage
from tests.runner.target import Target


def ask(directory: Path, epoch: int) -> subprocess.CompletedProcess[str]:
    """What the guard's script says on a target."""
    words = ["sh", "-c", guard.SCRIPT, guard.SCRIPT, str(directory), "epoch-test", str(epoch)]
    return subprocess.run(words, capture_output=True, text=True, check=False)


class TestScript:
    """It stores the largest epoch and refuses a smaller one."""

    def test_larger_equal_smaller(self, tmp_path: Path) -> None:
        """The same controller may come again; an earlier one may not."""
        assert ask(tmp_path, 3).returncode == 0
        assert ask(tmp_path, 3).returncode == 0
        assert ask(tmp_path, 10).returncode == 0
        refused = ask(tmp_path, 9)
        assert (refused.returncode, refused.stdout.split()) == (79, [guard.STALE, "9", "10"])
        assert (tmp_path / "epoch-test").read_text() == "10\n"

    def test_many_at_once_leave_the_largest(self, tmp_path: Path) -> None:
        """Compare and store are one act."""
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda epoch: (epoch, ask(tmp_path, epoch).returncode), range(1, 33)))
        assert (tmp_path / "epoch-test").read_text() == "32\n"
        assert dict(answers)[32] == 0

    @pytest.mark.parametrize("content", ["", "nonsense\n", "12x\n"])
    def test_a_damaged_file_is_replaced(self, tmp_path: Path, content: str) -> None:
        """A target's crash must not lock everybody out."""
        (tmp_path / "epoch-test").write_text(content)
        assert ask(tmp_path, 5).returncode == 0
        assert (tmp_path / "epoch-test").read_text() == "5\n"

    def test_where_nothing_can_be_written_it_says_so(self) -> None:
        """A read-only target is still recovered."""
        answer = ask(Path("/proc/1"), 5)
        assert answer.returncode == 0
        assert guard.UNGUARDED in answer.stdout


class TestPatterns:
    """It guards the hosts that the author's plays name."""

    def test_plain_ones_share_a_play(self, tmp_path: Path) -> None:
        """Patterns with exclusions, intersections or variables stay apart: together they would mean something else."""
        (tmp_path / "inner.yml").write_text("- hosts: databases\n  vars: {key: !vault x}\n")
        (tmp_path / "move.yml").write_text(
            "- import_playbook: inner.yml\n- hosts: [a, b]\n- hosts: a\n- hosts: all:!b\n- hosts: '{{ target }}'\n"
        )
        assert guard.host_patterns(tmp_path / "move.yml") == [["databases", "a", "b"], "all:!b", "{{ target }}"]

    def test_what_only_ansible_can_read_guards_every_host(self, tmp_path: Path) -> None:
        """Rather too many than one too few."""
        (tmp_path / "vaulted.yml").write_text("$ANSIBLE_VAULT;1.1;AES256\n6162\n")
        (tmp_path / "imports.yml").write_text("- import_playbook: acme.site.switch\n")
        for name in ("vaulted.yml", "imports.yml"):
            assert guard.host_patterns(tmp_path / name) == [["all", "localhost"]]


class TestInPlaybooks:
    """In the same call as the author's playbook."""

    async def test_a_stale_epoch_does_nothing(self, stage: Stage) -> None:
        """The earlier controller is refused, and told by whom; the later one goes on."""
        marker = stage.workspace / "done"
        playbook = stage.write("move.yml", f"    - ansible.builtin.shell: echo x >> {marker}\n")
        assert (await stage.run(playbook, "later", epoch=7)).outcome is Outcome.OK
        ended = await stage.run(playbook, "earlier", epoch=6)
        assert ended.outcome is Outcome.STALE_EPOCH
        assert "epoch 7" in ended.detail
        assert marker.read_text() == "x\n"
        assert (await stage.run(playbook, "again", epoch=7)).outcome is Outcome.OK

    async def test_another_workspace_counts_for_itself(self, stage: Stage) -> None:
        """Epochs of two workspaces are not compared."""
        playbook = stage.write("move.yml", "    - ansible.builtin.command: 'true'\n")
        assert (await stage.run(playbook, "one", epoch=7)).outcome is Outcome.OK
        await stage.runner.close()
        stage.workspace_id = "other"
        stage.open()
        assert (await stage.run(playbook, "two", epoch=1)).outcome is Outcome.OK

    @pytest.mark.lab
    @pytest.mark.long
    @pytest.mark.crash
    async def test_one_host_that_refuses_saves_all_of_them(self, stage: Stage, target: Target) -> None:
        """Also where other hosts accept, and where the guard has a later play in which nobody refuses."""
        local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
        stage.write_inventory({"edge": target.variables, "here": local})
        target.run("mkdir -p /var/lib/bascule; echo 12 >/var/lib/bascule/epoch-stage")
        marker = stage.workspace / "done"
        act = f"  gather_facts: false\n  tasks:\n    - ansible.builtin.raw: echo x >>{marker}\n"
        playbook = stage.write("move.yml", f"- hosts: [edge, here]\n{act}- hosts: here:!edge\n{act}")
        ended = await stage.run(playbook, "late", epoch=11)
        assert ended.outcome is Outcome.STALE_EPOCH
        assert "edge has accepted epoch 12" in ended.detail
        assert not marker.exists()
