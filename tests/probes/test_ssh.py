"""ssh: logging in to a real sshd, straight and by jump hosts."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import paramiko
import pytest

from orchestrator.core.events import Answer
from orchestrator.probes.forks import Forks
from orchestrator.probes.kind import Question, Secrets
from orchestrator.probes.ssh import Hop, Ran, SshOptions, hops_of
from orchestrator.probes.tools import Tools
from tests.ports import free_port
from tests.probes.conftest import UNHURRIED_S, Ask, Login


def where(sshd: Login, **more: Any) -> dict[str, Any]:
    """Options to log in to the tests' sshd."""
    return {
        "target": "127.0.0.1",
        "port": sshd.port,
        "user": "root",
        "key_file": str(sshd.key_file),
        "known_hosts": str(sshd.known_hosts),
        **more,
    }


class _Listening(paramiko.ServerInterface):
    """A jump host that notes each password that it is offered, and lets nobody in."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def __enter__(self) -> _Listening:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()

    def _serve(self) -> None:
        key = paramiko.ECDSAKey.generate()
        with contextlib.suppress(OSError):  # it is closed
            while True:
                transport = paramiko.Transport(self._socket.accept()[0])
                transport.add_server_key(key)
                with contextlib.suppress(EOFError, paramiko.SSHException):  # who asked has gone already: the next one
                    transport.start_server(server=self)

    def check_auth_password(self, username: str, password: str) -> int:
        """Note it."""
        self.heard.append(password)
        return paramiko.AUTH_FAILED

    def get_allowed_auths(self, username: str) -> str:
        """Passwords alone."""
        return "password"


class TestLogin:
    """Straight to the target."""

    async def test_a_command_runs_and_its_output_is_compared(self, ask: Ask, sshd: Login) -> None:
        good = await ask("ssh", **where(sshd, command="echo default via 192.0.2.1", match="via 192"))
        assert good.answer is Answer.GOOD, good.detail
        other = await ask("ssh", **where(sshd, command="echo none", match="via 192"))
        assert (other.answer, "'none'" in other.detail) == (Answer.BAD, True)

    async def test_the_exit_code_counts(self, ask: Ask, sshd: Login) -> None:
        bad = await ask("ssh", **where(sshd, command="echo oops >&2; exit 3"))
        assert (bad.answer, "ended with 3" in bad.detail, "oops" in bad.detail) == (Answer.BAD, True, True)
        good = await ask("ssh", **where(sshd, command="exit 3", exit_code=3))
        assert good.answer is Answer.GOOD, good.detail

    async def test_a_command_that_hangs_is_a_bad_answer_of_a_host_that_let_us_in(self, ask: Ask, sshd: Login) -> None:
        seen = await ask("ssh", **where(sshd, command="sleep 60"), timeout_s=4.0)
        assert (seen.answer, "did not end" in seen.detail) == (Answer.BAD, True), seen.detail

    async def test_a_host_that_greets_and_says_no_more_has_greeted(self, ask: Ask, sshd: Login) -> None:
        async def greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"SSH-2.0-OpenSSH_9.2\r\n")
            await asyncio.sleep(60)

        server = await asyncio.start_server(greet, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        seen = await ask("ssh", **where(sshd, port=port, check_host_key=False), timeout_s=1.0)
        server.close()
        told = f"127.0.0.1 port {port}: connected and greeted, no SSH session in time"
        assert (seen.answer, seen.detail) == (Answer.SILENT, told)

    async def test_much_output_does_not_block(self, ask: Ask, sshd: Login) -> None:
        seen = await ask("ssh", **where(sshd, command="head -c 20000 /dev/zero | tr '\\0' x", match="^x+$"))
        assert seen.answer is Answer.GOOD, seen.detail

    @pytest.mark.parametrize("keep", [False, True])
    async def test_output_without_end_is_told_as_that(self, ask: Ask, sshd: Login, keep: bool) -> None:
        """Nobody has waited for its end, so nothing is said of its time."""
        seen = await ask("ssh", **where(sshd, command="yes", keep=keep))
        assert (seen.answer, seen.detail) == (Answer.BAD, "logged in, but 'yes' printed more than 32768 bytes")

    async def test_an_unknown_host_key_is_our_own_gap(self, ask: Ask, sshd: Login, tmp_path: Any) -> None:
        (tmp_path / "known").write_text("")
        seen = await ask("ssh", **where(sshd, known_hosts=str(tmp_path / "known")))
        assert (seen.answer, "not known" in seen.detail) == (Answer.NONE, True), seen.detail
        anyway = await ask("ssh", **where(sshd, known_hosts=str(tmp_path / "known"), check_host_key=False))
        assert anyway.answer is Answer.GOOD, anyway.detail

    async def test_another_host_key_is_an_answer_of_somebody_else(self, ask: Ask, sshd: Login, tmp_path: Any) -> None:
        own = sshd.key_file.with_suffix(".pub").read_text().split()[:2]
        (tmp_path / "known").write_text(f"[127.0.0.1]:{sshd.port} {' '.join(own)}\n")
        seen = await ask("ssh", **where(sshd, known_hosts=str(tmp_path / "known")))
        assert (seen.answer, "another host key" in seen.detail) == (Answer.BAD, True), seen.detail

    async def test_a_key_that_is_not_accepted(self, ask: Ask, sshd: Login) -> None:
        seen = await ask("ssh", **where(sshd, user="nobody"))
        assert (seen.answer, "login refused" in seen.detail) == (Answer.BAD, True), seen.detail

    async def test_a_missing_key_file_is_our_own_gap(self, ask: Ask, sshd: Login) -> None:
        seen = await ask("ssh", **where(sshd, key_file="/nowhere/key"))
        assert (seen.answer, "/nowhere/key" in seen.detail) == (Answer.NONE, True), seen.detail

    async def test_nobody_listens_or_nobody_greets(self, ask: Ask, sshd: Login, deaf: int, tmp_path: Any) -> None:
        port = free_port()
        refused = await ask("ssh", **where(sshd, port=port))
        assert refused.answer is Answer.BAD, refused.detail
        silent = await ask("ssh", **where(sshd, port=deaf, check_host_key=False), timeout_s=1.0)
        assert silent.answer is Answer.SILENT, silent.detail


class TestJump:
    """By other hosts."""

    async def test_by_a_jump_host(self, ask: Ask, sshd: Login) -> None:
        jump = f"root@127.0.0.1:{sshd.port}"
        seen = await ask("ssh", **where(sshd, jump=jump))
        assert (seen.answer, jump in seen.detail) == (Answer.GOOD, True), seen.detail

    async def test_a_dead_way_is_left_for_the_next(self, ask: Ask, sshd: Login) -> None:
        ways = [f"127.0.0.1:{free_port()}", f"127.0.0.1:{sshd.port},127.0.0.1:{sshd.port}"]
        seen = await ask("ssh", **where(sshd, jump=ways))
        assert (seen.answer, ways[1] in seen.detail) == (Answer.GOOD, True), seen.detail

    async def test_a_hung_way_is_left_for_the_next(self, ask: Ask, sshd: Login, deaf: int) -> None:
        ways = [f"127.0.0.1:{deaf}", "direct"]
        seen = await ask("ssh", **where(sshd, jump=ways, jump_timeout="4s", check_host_key=False))
        assert seen.answer is Answer.GOOD, seen.detail

    async def test_a_jump_host_is_never_offered_the_targets_password(self, ask: Ask) -> None:
        with _Listening() as jump:
            options = {"target": "192.0.2.1", "user": "root", "check_host_key": False, "jump": f"127.0.0.1:{jump.port}"}
            options |= {"jump_timeout": "60s", "timeout_s": 90.0}  # who listens is a thread of this busy process
            secrets = {"own": "of the target", "way": "of the way"}
            seen = await ask("ssh", **options, password_secret="own", secrets=secrets)
            assert (seen.answer, jump.heard) == (Answer.NONE, []), seen.detail
            assert "jump_password_secret" in seen.detail
            seen = await ask("ssh", **options, password_secret="own", jump_password_secret="way", secrets=secrets)
            assert (seen.answer, jump.heard) == (Answer.NONE, ["of the way"]), seen.detail

    async def test_dead_jump_hosts_mean_that_nobody_was_asked(self, ask: Ask, sshd: Login) -> None:
        seen = await ask("ssh", **where(sshd, jump=[f"127.0.0.1:{free_port()}"], check_host_key=False))
        assert (seen.answer, "jump host" in seen.detail) == (Answer.NONE, True), seen.detail

    async def test_a_target_that_refuses_behind_the_jump_host_has_answered(self, ask: Ask, sshd: Login) -> None:
        ways = [f"127.0.0.1:{sshd.port}"]
        seen = await ask("ssh", **where(sshd, port=free_port(), jump=ways, check_host_key=False))
        assert (seen.answer, "refused" in seen.detail) == (Answer.BAD, True), seen.detail


class TestKept:
    """One login for all questions: nothing may be good, bad or silent that a login of its own would not find so."""

    WHO = "echo $SSH_CONNECTION; echo $PPID"
    """Who is asked: another login has another source port and another process of sshd."""

    async def test_questions_share_a_login(self, ask: Ask, sshd: Login) -> None:
        options = where(sshd, keep=True, command=self.WHO, match="^nobody$")
        first, second = [await ask("ssh", **options) for _ in range(2)]
        assert first.answer is second.answer is Answer.BAD  # the detail then shows what it said
        assert "127.0.0.1" in first.detail
        assert first.detail == second.detail

    async def test_a_question_does_not_wait_for_one_that_hangs(self, ask: Ask, sshd: Login) -> None:
        options = where(sshd, keep=True, command="mkdir /run/$PPID.first 2>/dev/null && sleep 60; true")
        assert (await ask("ssh", **{**options, "command": "true"})).answer is Answer.GOOD
        hangs = asyncio.create_task(ask("ssh", **options, timeout_s=6.0))
        await asyncio.sleep(0.5)
        other = await ask("ssh", **{**options, "command": "true"})
        assert (other.answer, hangs.done()) == (Answer.GOOD, False), other.detail
        seen = await hangs
        assert (seen.answer, "did not end" in seen.detail) == (Answer.BAD, True), seen.detail
        again = await ask("ssh", **options)
        assert again.answer is Answer.GOOD, again.detail  # in the same login: the directory is there

    async def test_a_login_that_broke_is_made_anew(self, ask: Ask, sshd: Login) -> None:
        options = where(sshd, keep=True, command="true # broken")
        assert (await ask("ssh", **options)).answer is Answer.GOOD
        for session in _sessions(sshd):
            os.kill(session, signal.SIGKILL)
        seen = await ask("ssh", **options)
        assert seen.answer is Answer.GOOD, seen.detail

    async def test_a_host_that_takes_no_question_any_more_is_silent(self, ask: Ask, sshd: Login) -> None:
        options = where(sshd, keep=True, command="true # frozen")
        assert (await ask("ssh", **options)).answer is Answer.GOOD
        with frozen(sshd):
            seen = await ask("ssh", **options, timeout_s=1.0)
            assert (seen.answer, "no SSH greeting" in seen.detail) == (Answer.SILENT, True), seen.detail
        assert (await ask("ssh", **options)).answer is Answer.GOOD

    async def test_a_jump_host_that_carries_nothing_any_more_means_that_nobody_was_asked(
        self, ask: Ask, sshd: Login
    ) -> None:
        options = where(sshd, keep=True, command="true # behind", jump=f"127.0.0.1:{sshd.port}")
        assert (await ask("ssh", **options)).answer is Answer.GOOD
        with frozen(sshd):
            seen = await ask("ssh", **options, timeout_s=1.0)
            assert (seen.answer, "jump host" in seen.detail) == (Answer.NONE, True), seen.detail
        assert (await ask("ssh", **options)).answer is Answer.GOOD

    async def test_a_login_that_is_refused_is_no_login(self, ask: Ask, sshd: Login) -> None:
        for _ in range(2):
            seen = await ask("ssh", **where(sshd, keep=True, user="nobody"))
            assert (seen.answer, "login refused" in seen.detail) == (Answer.BAD, True), seen.detail

    async def test_nothing_is_left_of_it(self, sshd: Login) -> None:
        forks = Forks("orchestrator.probes.ssh_login")
        options = SshOptions.model_validate(where(sshd, keep=True, command="true # left"))
        question = Question(options, UNHURRIED_S, Secrets({}), Tools(), lambda: None)
        before = set(_sessions(sshd))
        assert isinstance(await forks.ask_kept(question, {}), Ran)
        assert set(_sessions(sshd)) - before
        await forks.close()
        for _ in range(100):
            if not set(_sessions(sshd)) - before:
                return
            await asyncio.sleep(0.05)
        raise AssertionError("the login is still there")


def _sessions(sshd: Login) -> list[int]:
    """Processes of the tests' sshd that serve a connection."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(stat.read_text().rpartition(")")[2].split()[1]) == sshd.process.pid:
                found.append(int(stat.parent.name))
        except OSError:
            continue  # it has just ended
    return found


@contextlib.contextmanager
def frozen(sshd: Login) -> Iterator[None]:
    """The sshd and all its connections do nothing: as if the host had been pulled out, without a word."""
    stopped = [*_sessions(sshd), sshd.process.pid]
    try:
        for process in stopped:
            os.kill(process, signal.SIGSTOP)
        yield
    finally:
        for process in reversed(stopped):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGCONT)


class TestWays:
    """How a way is written."""

    def test_as_openssh_writes_them(self) -> None:
        assert hops_of("admin@a:2222,b") == (Hop("a", 2222, "admin"), Hop("b", 22, None))
        assert hops_of("[2001:db8::1]:22") == (Hop("2001:db8::1", 22, None),)
        assert hops_of("direct") == ()

    @pytest.mark.parametrize("way", ["", "a:b", "a:99999", "a,,b", "a b"])
    def test_nonsense_is_told(self, way: str) -> None:
        with pytest.raises(ValueError, match="is no way"):
            hops_of(way)
