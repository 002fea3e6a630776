"""`bascule playbook run`: any playbook, without a workspace."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from orchestrator.runner import leftovers


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory with an inventory, a good and a bad playbook."""
    variables = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    (tmp_path / "hosts.yml").write_text(json.dumps({"all": {"hosts": {"a": {}, "b": {}}, "vars": variables}}))
    play = "- hosts: all\n  gather_facts: false\n  tasks:\n    - name: the only task\n      ansible.builtin.shell: "
    (tmp_path / "play.yml").write_text(play + "\"{{ command | default('true') }}\"\n")
    (tmp_path / "broken.yml").write_text("- hosts: [\n")
    return tmp_path


def call(place: Path, *words: str) -> list[str]:
    """The command line; by a new ansible-playbook, so that nothing stays."""
    program = [sys.executable, "-m", "orchestrator.cli.main", "playbook", "run", "--executor=cold"]
    return [*program, *words, "-i", str(place / "hosts.yml")]


def bascule(place: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run it there."""
    return subprocess.run(call(place, *words), cwd=place, capture_output=True, text=True, check=False)


def test_times_and_results_of_each_task(place: Path) -> None:
    """As it happens, and as a table."""
    done = bascule(place, "play.yml")
    assert done.returncode == 0, done.stderr
    assert "TASK [the only task]" in done.stdout
    assert "changed: [a]" in done.stdout
    assert "Ansible itself" in done.stderr


def test_tasks_are_called_as_ansible_shows_them(place: Path) -> None:
    """One that includes a role and has no name of its own, too: its class names itself in another way."""
    (place / "roles/web/tasks").mkdir(parents=True)
    (place / "roles/web/tasks/main.yml").write_text("- name: inner\n  ansible.builtin.debug: {msg: x}\n")
    (place / "with_role.yml").write_text("- hosts: a\n  gather_facts: false\n  tasks: [{include_role: {name: web}}]\n")
    done = bascule(place, "with_role.yml", "--json")
    shown = [line.split("[")[1].split("]")[0] for line in done.stderr.splitlines() if line.startswith("TASK [")]
    assert [task["name"] for task in json.loads(done.stdout)["tasks"]] == shown == ["include_role : web", "web : inner"]
    assert "Callback" not in done.stderr


def test_a_playbook_that_a_task_starts_is_not_timed(place: Path) -> None:
    """Its tasks are none of this one's."""
    (place / "inner.yml").write_text("- hosts: localhost\n  gather_facts: false\n  tasks: [{debug: {msg: inner}}]\n")
    program = Path(sys.executable).parent / "ansible-playbook"
    done = bascule(place, "play.yml", "--json", "-l", "a", "-e", f"command='{program} inner.yml'")
    told = json.loads(done.stdout)
    assert (told["outcome"], [task["name"] for task in told["tasks"]]) == ("ok", ["the only task"]), done.stderr


def test_ansibles_own_options(place: Path) -> None:
    """Limit and check mode, as JSON."""
    done = bascule(place, "play.yml", "--json", "-l", "b", "--check")
    told = json.loads(done.stdout)
    assert (told["outcome"], told["exit_code"]) == ("ok", 0)
    assert [(task["host"], task["status"]) for task in told["tasks"]] == [("b", "skipped")]


def test_a_failure_has_ansibles_own_exit_code(place: Path) -> None:
    """Or ours, where that is wanted; the JSON says why."""
    words = ("play.yml", "-e", '{"command": "echo why >&2; exit 4"}', "-l", "a")
    done = bascule(place, *words)
    assert done.returncode == 2
    assert "fatal: [a]" in done.stdout
    told = bascule(place, *words, "--json", "--exit-codes", "bascule")
    assert told.returncode == 1
    found = json.loads(told.stdout)
    assert found["outcome"] == "failed"
    assert found["detail"].startswith("a: the only task: ")
    assert found["detail"].endswith("(play.yml:4)")


@pytest.mark.parametrize("words", [["broken.yml"], ["absent.yml"], ["play.yml", "--frobnicate"]])
def test_a_wrong_call(place: Path, words: list[str]) -> None:
    """Ansible's exit code and sentence, or ours: 2."""
    plain = [str(Path(sys.executable).with_name("ansible-playbook")), *words, "-i", str(place / "hosts.yml")]
    itself = subprocess.run(plain, cwd=place, capture_output=True, text=True, check=False)
    done = bascule(place, *words)
    assert (done.returncode, done.stdout, done.stderr) == (itself.returncode, itself.stdout, itself.stderr)
    assert words[-1] in done.stderr
    assert bascule(place, *words, "--exit-codes=bascule").returncode == 2


@pytest.mark.parametrize("words", [[], ["play.yml", "--exit-codes", "loud"]])
def test_a_call_that_is_wrong_for_us(place: Path, words: list[str]) -> None:
    """Exit 2, and what was expected."""
    words = [sys.executable, "-m", "orchestrator.cli.main", "playbook", "run", *words]
    done = subprocess.run(words, cwd=place, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "as in: bascule" in done.stderr or "expected ansible or bascule" in done.stderr


def test_what_only_prints_is_ansibles(place: Path) -> None:
    """As it is."""
    done = bascule(place, "play.yml", "--list-hosts")
    assert done.returncode == 0
    assert "hosts (2)" in done.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_interrupted_it_leaves_nothing(place: Path, number: signal.Signals) -> None:
    """Interrupted, or killed: the playbook does not go on."""
    words = call(place, "play.yml", "-l", "a", "-e", f'{{"command": "echo $$ >{place}/pid; exec sleep 600"}}')
    process = subprocess.Popen(  # killed, it cannot remove its own directory: that goes with the test's
        words,
        cwd=place,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(place)},
    )
    _until(lambda: (place / "pid").exists() and (place / "pid").read_text().strip() != "")
    pid = int((place / "pid").read_text())
    process.send_signal(number)
    _, said = process.communicate(timeout=120)
    _until(lambda: not leftovers.alive(pid))
    if number is signal.SIGINT:
        assert process.returncode == 99, said


def _until(condition: object) -> None:
    for _ in range(1200):
        if condition():  # type: ignore[operator]
            return
        time.sleep(0.1)
    raise AssertionError("it did not happen within two minutes")
