"""`bascule playbook run` the second time: by a program that has Ansible loaded, and nobody notices."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

from orchestrator.runner.warm import alone, directories

PROGRAM = [sys.executable, "-m", "orchestrator.cli.main", "playbook", "run"]
HOSTS = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
PLAY = """
- hosts: a
  gather_facts: false
  tasks:
    - name: say
      ansible.builtin.debug: {msg: "{{ lookup('env', 'WORD') }} {{ lookup('file', said) }}"}
      when: said is defined
    - name: do
      ansible.builtin.command: "{{ command | default('true') }}"
    - name: wait
      ansible.builtin.pause: {prompt: press a key}
      register: typed
      when: ask is defined
    - name: tell
      ansible.builtin.debug: {msg: "typed {{ typed.user_input }}"}
      when: ask is defined
"""


class Place:
    """A directory with a program that has Ansible loaded for it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        (home / "run").mkdir(mode=0o700)
        kept = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
        self.environment = {**kept, "XDG_RUNTIME_DIR": str(home / "run"), "TMPDIR": str(home)}
        (home / "hosts.yml").write_text(json.dumps({"all": {"hosts": {"a": {}}, "vars": HOSTS}}))
        (home / "play.yml").write_text(PLAY)
        # A deprecated key: the configuration's own warning is to be seen each time.
        (home / "ansible.cfg").write_text("[defaults]\ninventory = hosts.yml\nallow_unsafe_lookups = false\n")

    @property
    def socket(self) -> Path | None:
        """Where calls are taken, once they are."""
        return next((self.home / "run" / "bascule-warm").glob("*.socket"), None)

    def pids(self) -> list[int]:
        """The program, and what it has forked."""
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = path.read_bytes().split(b"\0")
            except OSError:
                continue
            if b"orchestrator.runner.warm.zygote" in words and os.fsencode(self.home) in words:
                found.append(int(path.parent.name))
        return found

    def run(self, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Call it there."""
        environment = {**self.environment, **more}
        command = [*PROGRAM, *words]
        return subprocess.run(
            command, cwd=self.home, env=environment, capture_output=True, text=True, check=False, timeout=120
        )

    def told(self, *words: str, **more: str) -> dict[str, object]:
        """The JSON of a call."""
        found = json.loads(self.run("play.yml", "--json", *words, **more).stdout)
        assert isinstance(found, dict)
        return found

    def warm_up(self) -> None:
        """Wait until calls are served."""
        for _ in range(240):
            if self.told()["executor"] == "warm":
                return
            time.sleep(0.25)
        raise AssertionError(f"never warm: {self.told()}")

    def close(self) -> None:
        """End it."""
        for pid in self.pids():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """One that is warm."""
    found = Place(tmp_path_factory.mktemp("warm"))
    try:
        found.warm_up()
        yield found
    finally:
        found.close()


def test_the_same_words_and_the_same_exit_code(place: Place) -> None:
    """Warm and cold, well and badly; standard output, standard error, exit code."""
    for words in (("play.yml",), ("play.yml", "-e", "command=false"), ("play.yml", "-CDv"), ("absent.yml",)):
        warm, cold = place.run(*words, "--no-times"), place.run(*words, "--no-times", "--executor=cold")
        assert (warm.returncode, _steady(warm.stdout)) == (cold.returncode, _steady(cold.stdout)), words
        assert warm.stderr == cold.stderr
    assert "[DEPRECATION WARNING]: DEFAULT_ALLOW_UNSAFE_LOOKUPS option" in warm.stderr
    assert place.told()["executor"] == "warm"


def test_what_it_inherits(place: Place) -> None:
    """Standard input, further descriptors, the environment of this call."""
    reader, writer = os.pipe()
    os.write(writer, b"by a pipe")
    os.close(writer)
    try:
        os.set_inheritable(reader, True)
        words = [*PROGRAM, "play.yml", "-e", f"said=/dev/fd/{reader}", "--no-times"]
        done = subprocess.run(
            words,
            cwd=place.home,
            env={**place.environment, "WORD": "handed over"},
            capture_output=True,
            text=True,
            check=False,
            pass_fds=[reader],
        )
    finally:
        os.close(reader)
    assert "handed over by a pipe" in done.stdout, done.stdout + done.stderr


def test_a_password_that_is_piped(place: Place) -> None:
    """Asked for by ansible-playbook itself."""
    words = [*PROGRAM, "play.yml", "--json", "--vault-id", "me@prompt", "-CK"]
    done = subprocess.run(
        words, cwd=place.home, env=place.environment, input="one\ntwo\n", capture_output=True, text=True, check=False
    )
    assert json.loads(done.stdout)["outcome"] == "ok", done.stderr
    assert json.loads(done.stdout)["executor"] == "warm"


def test_keystrokes_colours_and_size_of_a_terminal(place: Place) -> None:
    """As at the terminal itself: a question is answered, an interruption is asked about."""
    words = ["play.yml", "-e", "ask=1", "--no-times"]
    child = pexpect.spawn(
        PROGRAM[0], [*PROGRAM[1:], *words], cwd=str(place.home), env=place.environment, encoding="utf-8", timeout=60,
        dimensions=(30, 60),
    )  # fmt: skip
    try:
        child.expect_exact("press a key")
        child.sendline("hello")
        child.expect_exact("typed hello")
        child.expect(pexpect.EOF)
        before = child.before or ""
    finally:
        child.close()
    assert child.exitstatus == 0
    assert "\x1b[0;3" in before, "no colours"
    assert f"PLAY RECAP {'*' * 49}" in before, "not as wide as the terminal"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 99), (signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_interrupted_it_leaves_nothing(place: Place, tmp_path: Path, number: signal.Signals, code: int) -> None:
    """Whoever started it is told, and what it had started does not go on."""
    script = tmp_path / "sleep"
    script.write_text(f"#!/bin/sh\necho $$ >{tmp_path}/pid\nexec sleep 600\n")
    script.chmod(0o755)
    process = subprocess.Popen(
        [*PROGRAM, "play.yml", "-e", f"command={script}"],
        cwd=place.home,
        env=place.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().strip() != "")
    pid = int((tmp_path / "pid").read_text())
    process.send_signal(number)
    assert process.wait(60) == code
    _until(lambda: not Path(f"/proc/{pid}").exists())


@pytest.mark.parametrize(
    "more",
    [
        {"ANSIBLE_GATHERING": "smart"},
        {"LANG": "C"},
        {"HOME": "/nonexistent"},
        {"LD_PRELOAD": "libm.so.6"},  # it would stay in the one that stays, for calls that do not say it
        {"OPENSSL_CONF": "/dev/null"},
    ],
    ids=lambda more: next(iter(more)),
)
def test_started_otherwise_it_is_another_ones(place: Place, more: dict[str, str]) -> None:
    """What Ansible, or the Python that it runs by, would have read once is not another call's."""
    assert place.told(**more)["executor"] == "cold"


def test_a_changed_configuration_counts_at_once(place: Place) -> None:
    """The next call is by the new one."""
    configuration = place.home / "ansible.cfg"
    before = configuration.read_text()
    try:
        configuration.write_text(before + "any_errors_fatal = true\n")
        told = place.told()
        assert (told["executor"], told["outcome"]) == ("cold", "ok")
        # Or it has seen so by itself by now, and is gone.
        assert any(why in str(told["because"]) for why in ("ansible.cfg has changed", "nothing warm stands here yet"))
    finally:
        configuration.write_text(before)
        place.warm_up()


def test_a_new_checkout(tmp_path_factory: pytest.TempPathFactory) -> None:
    """As by a new checkout of the same name: what was started in the old one says so, and the next one is warm."""
    tmp_path = tmp_path_factory.mktemp("new")  # a socket's path is short
    home, run = tmp_path / "home", tmp_path / "run"
    home.mkdir()
    run.mkdir(mode=0o700)
    found = Place(home)
    found.environment |= {"XDG_RUNTIME_DIR": str(run), "TMPDIR": str(tmp_path)}
    try:
        found.warm_up()
        shutil.copytree(home, tmp_path / "new")
        shutil.rmtree(home)
        (tmp_path / "new").rename(home)
        told = found.told()
        assert told["outcome"] == "ok"
        assert told["executor"] == "cold"
        assert told["because"] == f"{home} was removed or replaced"
        found.warm_up()
    finally:
        found.close()


def test_where_no_socket_can_be_bound_it_is_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path of more than 107 bytes: the next place is taken, and not none for ever."""
    deep = tmp_path / ("deep" * 20)
    deep.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(deep))
    found = alone.find({})
    assert found is not None
    assert not found.door.is_relative_to(deep)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(found.door))
        found.door.unlink()


@pytest.mark.skipif(os.geteuid() != 0, reason="a directory of another user's is wanted")
@pytest.mark.parametrize(("owner", "mode"), [(65534, 0o700), (0, 0o777)])
def test_where_somebody_else_can_replace_its_directory_it_is_elsewhere(
    monkeypatch: pytest.MonkeyPatch, owner: int, mode: int
) -> None:
    """What listens there then would get the environment, secrets and all, and the terminal."""
    with tempfile.TemporaryDirectory(dir="/tmp") as theirs:  # a socket's path is short
        Path(theirs).chmod(mode)
        os.chown(theirs, owner, owner)
        monkeypatch.setenv("XDG_RUNTIME_DIR", theirs)
        monkeypatch.setattr(tempfile, "tempdir", theirs)
        found = alone.find({})
        assert found is None or not found.home.is_relative_to(theirs)
        with directories.of_a_call() as temporary:
            assert not temporary.is_relative_to(theirs)
        assert os.listdir(theirs) == []


def test_the_one_that_stays_keeps_no_file_of_the_call_that_started_it(tmp_path: Path) -> None:
    """Its temporary files are its own, also where no socket fits into TMPDIR; that call leaves none."""
    found = Place(tmp_path)
    temporary = tmp_path / ("long" * 20)
    temporary.mkdir()
    found.environment |= {"TMPDIR": str(temporary)}
    try:
        found.warm_up()
        assert list(temporary.iterdir()) == []
    finally:
        found.close()


def test_what_a_killed_call_left_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the next one; not what a call still holds."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    left = tmp_path / "bascule-playbook-left"
    left.mkdir()
    with directories.of_a_call() as held:
        os.utime(left, (1, 1))
        os.utime(held, (1, 1))
        with directories.of_a_call():
            assert held.is_dir()
            assert not left.exists()
    assert list(tmp_path.iterdir()) == []


def _steady(text: str) -> str:
    """Without what differs from run to run."""
    return "\n".join(line for line in text.splitlines() if '"delta"' not in line and "discovered" not in line)


def _until(condition: object) -> None:
    for _ in range(600):
        if condition():  # type: ignore[operator]
            return
        time.sleep(0.1)
    raise AssertionError("it did not happen within a minute")
