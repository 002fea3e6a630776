"""ssh: logging in to a real sshd, straight and by jump hosts."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.core.events import Answer
from orchestrator.probes.ssh import Hop, hops_of
from tests.probes.conftest import Ask, Login, free_port


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

    async def test_much_output_does_not_block(self, ask: Ask, sshd: Login) -> None:
        seen = await ask("ssh", **where(sshd, command="head -c 20000 /dev/zero | tr '\\0' x", match="^x+$"))
        assert seen.answer is Answer.GOOD, seen.detail

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
        seen = await ask("ssh", **where(sshd, jump=ways, jump_timeout="1s", check_host_key=False))
        assert seen.answer is Answer.GOOD, seen.detail

    async def test_dead_jump_hosts_mean_that_nobody_was_asked(self, ask: Ask, sshd: Login) -> None:
        seen = await ask("ssh", **where(sshd, jump=[f"127.0.0.1:{free_port()}"], check_host_key=False))
        assert (seen.answer, "jump host" in seen.detail) == (Answer.NONE, True), seen.detail

    async def test_a_target_that_refuses_behind_the_jump_host_has_answered(self, ask: Ask, sshd: Login) -> None:
        ways = [f"127.0.0.1:{sshd.port}"]
        seen = await ask("ssh", **where(sshd, port=free_port(), jump=ways, check_host_key=False))
        assert (seen.answer, "refused" in seen.detail) == (Answer.BAD, True), seen.detail


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
