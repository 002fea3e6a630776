"""The epoch guard: what it refuses, what it lets pass, and what it costs nobody."""

from __future__ import annotations

import fcntl
import os
import re
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from orchestrator.core.events import AttemptEnd
from orchestrator.runner import epoch_script, first_reach, guard, worker
from orchestrator.runner.guard_answers import Verdict, answer_of
from tests.runner.stage import Stage
from tests.runner.target import Target

NOBODY = 65534
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="another login is needed")


def ask(directory: Path, epoch: int, mark: str = "") -> subprocess.CompletedProcess[str]:
    """What the guard's script says on a target."""
    words = ["sh", "-c", guard.SCRIPT, guard.SCRIPT, str(directory), "epoch-test", str(epoch), mark]
    return subprocess.run(words, capture_output=True, text=True, check=False)


class TestScript:
    """It stores the largest epoch and refuses a smaller one."""

    def test_larger_equal_smaller(self, tmp_path: Path) -> None:
        """The same controller may come again; an earlier one may not."""
        assert ask(tmp_path, 3).returncode == 0
        assert ask(tmp_path, 3).returncode == 0
        assert ask(tmp_path, 10).returncode == 0
        refused = ask(tmp_path, 9)
        assert (refused.returncode, refused.stdout.splitlines()[-1]) == (79, f"{guard.STALE} 9 10")
        assert (tmp_path / "epoch-test").read_text() == "10\n"

    def test_the_same_epoch_is_that_of_whoever_brought_it_first(self, tmp_path: Path) -> None:
        """A controller on a copied journal has the same one, and no other has."""
        assert ask(tmp_path, 3, "aa").returncode == 0
        assert (tmp_path / "epoch-test").read_text() == "3\naa\n"
        assert ask(tmp_path, 3, "aa").returncode == 0
        refused = ask(tmp_path, 3, "bb")
        assert (refused.returncode, refused.stdout.splitlines()[-1]) == (79, f"{epoch_script.OTHER} 3")
        assert answer_of(79, refused.stdout, epoch=3).verdict is Verdict.STALE
        assert ask(tmp_path, 4, "bb").returncode == 0
        assert ask(tmp_path, 3, "aa").stdout.splitlines()[-1] == f"{guard.STALE} 3 4"
        assert (tmp_path / "epoch-test").read_text() == "4\nbb\n"

    @pytest.mark.parametrize("content", ["7\n", "7\n?\n", "7\nab"])
    def test_what_was_kept_without_a_mark_takes_the_first(self, tmp_path: Path, content: str) -> None:
        """As versions without one kept it."""
        (tmp_path / "epoch-test").write_text(content)
        assert ask(tmp_path, 7, "cd").returncode == 0
        assert (tmp_path / "epoch-test").read_text() == "7\ncd\n"
        assert ask(tmp_path, 7, "ef").returncode == 79
        assert ask(tmp_path, 7).returncode == 0  # a version without one

    def test_of_two_with_one_epoch_at_once_one_is_accepted(self, tmp_path: Path) -> None:
        """Compare and store are one act."""
        with ThreadPoolExecutor(8) as pool:
            codes = list(pool.map(lambda n: ask(tmp_path, 5, f"{n:x}").returncode, range(16)))
        assert sorted(codes) == [0, *[79] * 15]

    def test_a_mark_that_is_none_is_refused(self, tmp_path: Path) -> None:
        """It would be stored as another's words."""
        assert ask(tmp_path, 5, "$(id)").returncode == 79
        assert not (tmp_path / "epoch-test").exists()

    def test_many_at_once_leave_the_largest(self, tmp_path: Path) -> None:
        """Compare and store are one act."""
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda epoch: (epoch, ask(tmp_path, epoch).returncode), range(1, 33)))
        assert (tmp_path / "epoch-test").read_text() == "32\n"
        assert dict(answers)[32] == 0

    @pytest.mark.parametrize("content", ["", "nonsense\n", "12x\n", "-7\n", "9" * 40 + "\n", "3"])
    def test_a_damaged_file_is_replaced(self, tmp_path: Path, content: str) -> None:
        """A target's crash must not lock everybody out; that nothing was compared is said."""
        (tmp_path / "epoch-test").write_text(content)
        answer = ask(tmp_path, 5)
        assert answer.returncode == 0
        assert f"{guard.UNGUARDED} {tmp_path}/epoch-test held no whole number" in answer.stdout
        assert (tmp_path / "epoch-test").read_text() == "5\n"

    def test_what_is_left_of_a_torn_number_still_refuses(self, tmp_path: Path) -> None:
        """A number that was cut off was no smaller."""
        (tmp_path / "epoch-test").write_text("12")
        assert ask(tmp_path, 11).returncode == 79

    def test_a_smaller_one_is_refused_though_the_lock_is_held(self, tmp_path: Path) -> None:
        """And an equal one passes; only a larger one has to be written, and waits, and then refuses."""
        ask(tmp_path, 7)
        with (tmp_path / "epoch-test.lock").open() as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            assert ask(tmp_path, 6).returncode == 79
            assert ask(tmp_path, 7).returncode == 0
            assert (larger := ask(tmp_path, 8)).returncode == 79
        assert f"{epoch_script.BLOCKED} {tmp_path}/epoch-test.lock is held" in larger.stdout
        assert (tmp_path / "epoch-test").read_text() == "7\n"

    @pytest.mark.parametrize("mode", [0o755, 0o750, 0o777])
    def test_a_directory_that_others_can_open_is_closed(self, tmp_path: Path, mode: int) -> None:
        """And its lock made anew: whoever has opened it before holds nothing any more."""
        ask(tmp_path, 7)
        tmp_path.chmod(mode)
        with (tmp_path / "epoch-test.lock").open() as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            answer = ask(tmp_path, 8)
        assert answer.returncode == 0
        assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700
        assert ("others could write" in answer.stdout) is (mode == 0o777)

    @needs_root
    @pytest.mark.parametrize("thing", ["directory", "number", "lock", "link"])
    def test_what_belongs_to_another_login_refuses(self, tmp_path: Path, thing: str) -> None:
        """It may be theirs to hold, to fill or to empty."""
        directory = tmp_path / "kept"
        ask(directory, 7)
        named = {"directory": directory, "number": directory / "epoch-test", "lock": directory / "epoch-test.lock"}
        if thing == "link":
            directory.rename(tmp_path / "elsewhere")
            directory.symlink_to(tmp_path / "elsewhere")
        os.chown(named.get(thing, directory), NOBODY, NOBODY, follow_symlinks=False)
        answer = ask(directory, 8)
        assert answer.returncode == 79
        assert epoch_script.BLOCKED in answer.stdout
        assert f"belongs to user {NOBODY}" in answer.stdout

    def test_what_is_no_file_refuses(self, tmp_path: Path) -> None:
        """A pipe in its place would keep the guard for ever."""
        os.mkfifo(tmp_path / "epoch-test")
        assert "is no file" in ask(tmp_path, 5).stdout
        (tmp_path / "flat").write_text("")
        assert "is no directory" in ask(tmp_path / "flat", 5).stdout

    @needs_root
    def test_a_login_without_root_keeps_it_at_home(self, tmp_path: Path) -> None:
        """Where the usual directory is another's, and sudo asks for a password."""
        home = tmp_path / "home"
        home.mkdir()
        os.chown(home, NOBODY, NOBODY)
        own = (path for path in tmp_path.parents if path.name.startswith(("pytest-", "popen-")))
        for directory in (tmp_path, *own):
            directory.chmod(0o711)
        words = ["sh", "-c", guard.SCRIPT, guard.SCRIPT, "/var/lib/bascule-test", "epoch-test", "5"]
        as_nobody = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "env", f"HOME={home}"]
        done = subprocess.run([*as_nobody, *words], capture_output=True, text=True, check=False)
        assert (done.returncode, f"{epoch_script.KEPT} 5" in done.stdout) == (0, True)
        assert (home / ".bascule" / "epoch-test").read_text() == "5\n"

    def test_where_nothing_can_be_written_it_says_so(self) -> None:
        """A read-only target is still recovered."""
        answer = ask(Path("/proc/1"), 5)
        assert answer.returncode == 0
        assert guard.UNGUARDED in answer.stdout

    def test_who_finds_a_lock_that_is_held_is_waited_for(self) -> None:
        """Else the host would be taken for one that hangs, before it can say that it refuses."""
        tries, each = re.search(r"-le (\d+) .*\n  sleep ([\d.]+) ", guard.SCRIPT).groups()  # type: ignore[union-attr]
        assert int(tries) * float(each) == epoch_script.LOCK_S
        assert worker.HANGS_S > epoch_script.LOCK_S + first_reach.EARLY_S


class TestAnswers:
    """What a host said, and what it may not say."""

    @pytest.mark.parametrize(
        ("code", "printed", "verdict"),
        [
            (79, "bascule-epoch-begun\nbascule-stale-epoch 5 6\n", Verdict.STALE),
            (79, "bascule-stale-epoch 5 6\r\n", Verdict.STALE),
            (0, "bascule-stale-epoch 5 999999", Verdict.NOT_KEPT),  # it says the word and lets pass: it has no guard
            (79, "bascule-stale-epoch", Verdict.REFUSED),
            (79, "bascule-stale-epoch 5 five", Verdict.REFUSED),
            (79, "bascule-stale-epoch 5 4", Verdict.REFUSED),
            (79, "bascule-stale-epoch 3 6", Verdict.REFUSED),  # not our number
            (79, f"bascule-stale-epoch 5 {'9' * 400}", Verdict.REFUSED),
            (79, "bascule-other-holder 5", Verdict.STALE),
            (79, "bascule-other-holder 6", Verdict.REFUSED),  # not our number
            (0, "bascule-other-holder 5", Verdict.NOT_KEPT),
            (79, "bascule-blocked /x is held", Verdict.REFUSED),
            (79, None, Verdict.REFUSED),
            (0, "bascule-epoch-begun\nbascule-epoch-kept 5\n", Verdict.KEPT),
            (0, "bascule-epoch-kept 4\n", Verdict.NOT_KEPT),
            (0, "bascule-epoch-begun\nbascule-unguarded /var cannot be written\n", Verdict.NOT_KEPT),
            (137, "bascule-epoch-begun\n", Verdict.REFUSED),  # a shell began it, and somebody ended it
            (0, "bascule-epoch-begun\n", Verdict.REFUSED),
            (1, "bad command name (line 1 column 1)", Verdict.NOT_KEPT),
            (0, "% Invalid input detected", Verdict.NOT_KEPT),
            (0, "", Verdict.NOT_KEPT),
            (127, guard.SCRIPT, Verdict.NOT_KEPT),  # a device that repeats what it was told
            ("x", 17, Verdict.NOT_KEPT),
            (-15, "", Verdict.SILENT),  # ssh was ended here while it logged in
            (-15, "bascule-epoch-begun\n", Verdict.REFUSED),
        ],
    )
    def test_what_it_means(self, code: object, printed: object, verdict: Verdict) -> None:
        """Stale with 79 and two numbers, kept with a line of its own; anything else is neither."""
        assert answer_of(code, printed, "", epoch=5).verdict is verdict

    def test_what_a_device_says_is_told_in_one_short_line(self) -> None:
        """Whatever it says."""
        said = answer_of(1, "\x1b[31m\x07bad\u202e command\x00 " + "x" * 5000).text
        assert said.startswith("no shell answered (return code 1: bad command xxx")
        assert len(said) < 200


class TestPatterns:
    """It guards the hosts that the author's plays name."""

    def test_plain_ones_share_a_play(self, tmp_path: Path) -> None:
        """Patterns with exclusions, intersections or variables stay apart: together they would mean something else."""
        (tmp_path / "inner.yml").write_text("- hosts: databases\n  vars: {key: !vault x}\n")
        (tmp_path / "move.yml").write_text(
            "- import_playbook: inner.yml\n- hosts: [a, b]\n- hosts: a\n- hosts: all:!b\n- hosts: '{{ target }}'\n"
        )
        found = [aim.hosts for aim in guard.aims(tmp_path / "move.yml")]
        assert found == [["databases", "a", "b"], "all:!b", "{{ target }}"]

    def test_what_a_play_says_of_the_connection_holds_for_the_guard(self, tmp_path: Path) -> None:
        """A play that stays on the controller does not need its hosts to answer."""
        (tmp_path / "move.yml").write_text(
            "- hosts: a\n- {hosts: b, connection: local}\n- {hosts: c, remote_user: ops, port: 2222}\n- hosts: d\n"
        )
        assert guard.aims(tmp_path / "move.yml") == [
            (["a", "d"], ()),
            (["b"], (("connection", "local"),)),
            (["c"], (("remote_user", "ops"), ("port", "2222"))),
        ]

    def test_what_only_ansible_can_read_guards_every_host(self, tmp_path: Path) -> None:
        """Rather too many than one too few."""
        (tmp_path / "vaulted.yml").write_text("$ANSIBLE_VAULT;1.1;AES256\n6162\n")
        (tmp_path / "imports.yml").write_text("- import_playbook: acme.site.switch\n")
        for name in ("vaulted.yml", "imports.yml"):
            assert guard.aims(tmp_path / name) == [(["all", "localhost"], ())]


class TestTags:
    """The guard runs whatever of the author's is run or skipped."""

    @pytest.mark.parametrize("skip", [(), ("slow",), ("always",), ("always", "tagged"), ("always", "slow")])
    @pytest.mark.parametrize(
        "run", [(), ("all",), ("tagged",), ("untagged",), ("slow", "quick"), ("untagged", "quick")]
    )
    def test_ansible_itself_would_run_it(self, run: tuple[str, ...], skip: tuple[str, ...]) -> None:
        """As its rule is: what is skipped has precedence; `tagged` and `untagged` are what they say."""
        tags = set(guard.tags_of(run, skip)) or {"untagged"}
        only = set(run) or {"all"}
        runs = bool("all" in only or "always" in tags or tags & only or ("tagged" in only and tags != {"untagged"}))
        skipped = bool(tags & set(skip) or ("tagged" in skip and tags != {"untagged"} and "always" not in tags))
        if {"always", "tagged"} <= set(skip) and "untagged" not in only and "all" not in only:
            return  # nothing of the author's runs either
        assert runs
        assert not skipped


class TestInPlaybooks:
    """In the same call as the author's playbook."""

    async def test_a_stale_epoch_does_nothing(self, stage: Stage) -> None:
        """The earlier controller is refused, and told by whom; the later one goes on. Cold: `test_targets.py`."""
        stage.warm = True
        await stage.warmed()
        marker = stage.workspace / "done"
        playbook = stage.write("move.yml", f"    - ansible.builtin.shell: echo x >> {marker}\n")
        assert (await stage.run(playbook, "later", epoch=7)).outcome is AttemptEnd.OK
        ended = await stage.run(playbook, "earlier", epoch=6)
        assert ended.outcome is AttemptEnd.STALE_EPOCH
        assert "epoch 7" in ended.detail
        assert marker.read_text() == "x\n"
        assert (await stage.run(playbook, "again", epoch=7)).outcome is AttemptEnd.OK

    async def test_a_controller_on_a_copied_journal_is_refused(self, stage: Stage, tmp_path: Path) -> None:
        """Its epoch is the same, and it is another; the one that came first goes on. The copy's playbooks are cold."""
        playbook = stage.write("move.yml", "    - ansible.builtin.command: 'true'\n")
        stage.warm = True
        await stage.warmed()
        assert (await stage.run(playbook, "one", epoch=7)).outcome is AttemptEnd.OK
        assert (await stage.run(playbook, "two", epoch=7)).outcome is AttemptEnd.OK
        first = stage.runner
        stage.open()
        ended = await stage.run(playbook, "three", epoch=7)
        assert ended.outcome is AttemptEnd.STALE_EPOCH
        assert "has accepted epoch 7 from another controller: one on a copy of this journal acts, too" in ended.detail
        await stage.runner.close()
        stage.runner = first
        assert (await stage.run(playbook, "four", epoch=7)).outcome is AttemptEnd.OK

    async def test_another_workspace_counts_for_itself(self, stage: Stage) -> None:
        """Epochs of two workspaces are not compared."""
        playbook = stage.write("move.yml", "    - ansible.builtin.command: 'true'\n")
        assert (await stage.run(playbook, "one", epoch=7)).outcome is AttemptEnd.OK
        await stage.runner.close()
        stage.workspace_id = "other"
        stage.open()
        assert (await stage.run(playbook, "two", epoch=1)).outcome is AttemptEnd.OK

    async def test_what_the_author_has_ansible_skip_does_not_skip_the_guard(self, stage: Stage) -> None:
        """Not even `always`, by which it runs else."""
        (stage.workspace / "ansible.cfg").write_text("[tags]\nskip = slow, always\n")
        playbook = stage.write("move.yml", "    - ansible.builtin.command: 'true'\n")
        ended = await stage.run(playbook, "one", epoch=7)
        assert ended.outcome is AttemptEnd.OK
        assert ended.unguarded == ()

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
        assert ended.outcome is AttemptEnd.STALE_EPOCH
        assert "edge has accepted epoch 12" in ended.detail
        assert not marker.exists()
