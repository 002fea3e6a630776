"""nagios: plug-ins that behave, and others."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from orchestrator.core.events import Answer
from orchestrator.probes.nagios import performance
from tests.probes.conftest import Ask


def plugin(directory: Path, script: str, *, says_who: bool = True) -> list[str]:
    """A plug-in that is this shell script."""
    file = directory / "check_it"
    file.write_text(("#!/bin/sh\n" if says_who else "") + f"{script}\n")
    file.chmod(0o755)
    return [str(file)]


@pytest.mark.parametrize(
    ("script", "answer", "says"),
    [
        ("echo 'DISK OK - free'", Answer.GOOD, "DISK OK - free"),
        ("echo 'DISK WARNING - 10% left'; exit 1", Answer.GOOD, "10% left (exit 1, a warning: good)"),
        ("echo 'DISK CRITICAL - full'; exit 2", Answer.BAD, "full"),
        ("echo 'cannot see the disk'; exit 3", Answer.NONE, "cannot see"),
        ("exit 64", Answer.NONE, "ended with 64, which means nothing"),
        ("kill -SEGV $$", Answer.NONE, "signal 11"),
        ("exit 0", Answer.GOOD, "said nothing"),
        (r"printf 'CRITICAL - d\351faut'; exit 2", Answer.BAD, "défaut"),
        ("echo; echo 'DISK CRITICAL - full'; exit 2", Answer.BAD, "DISK CRITICAL - full"),
        ("exec >&- 2>&-; sleep 0.2; exit 2", Answer.BAD, "said nothing"),
    ],
)
async def test_the_exit_code_speaks(ask: Ask, tmp_path: Path, script: str, answer: Answer, says: str) -> None:
    seen = await ask("nagios", command=plugin(tmp_path, script))
    assert (seen.answer, says in seen.detail) == (answer, True), seen


async def test_a_script_that_does_not_say_who_reads_it(ask: Ask, tmp_path: Path) -> None:
    """A shell does, as where other programs start it."""
    command = plugin(tmp_path, 'test "$1" = "a b" && echo OK', says_who=False)
    seen = await ask("nagios", command=[*command, "a b"])
    assert (seen.answer, seen.detail) == (Answer.GOOD, "OK")


async def test_nothing_is_loaded_from_where_this_program_was_started(
    ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others may write there, as in /tmp: Python would take a module of theirs for its own."""
    started_in = tmp_path / "started_in"
    started_in.mkdir()
    (started_in / "pickle.py").write_text(f"open({str(tmp_path / 'loaded')!r}, 'w').close()\n")
    monkeypatch.chdir(started_in)
    seen = await ask("nagios", command=plugin(tmp_path, "echo OK"))
    assert ((tmp_path / "loaded").exists(), seen.answer, seen.detail) == (False, Answer.GOOD, "OK")


async def test_a_warning_can_be_bad(ask: Ask, tmp_path: Path) -> None:
    seen = await ask("nagios", command=plugin(tmp_path, "exit 1"), warning="bad")
    assert seen.answer is Answer.BAD


async def test_one_that_hangs_is_killed_with_its_children(ask: Ask, tmp_path: Path) -> None:
    mark = tmp_path / "alive"
    script = f"(while true; do date > {mark}; sleep 0.1; done) & sleep 600"
    seen = await ask("nagios", command=plugin(tmp_path, script), timeout_s=0.5)
    assert (seen.answer, "killed" in seen.detail) == (Answer.NONE, True), seen
    import asyncio

    for _ in range(100):
        mark.unlink(missing_ok=True)
        await asyncio.sleep(0.3)
        if not mark.exists():
            return
    pytest.fail("a child of the plug-in lives on")


async def test_one_that_is_not_there(ask: Ask) -> None:
    seen = await ask("nagios", command=["/nowhere/check_it"])
    assert (seen.answer, "/nowhere/check_it" in seen.detail) == (Answer.NONE, True)


async def test_secrets_reach_it_by_its_environment_only(
    ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = plugin(
        tmp_path, 'test "$PASSWORD" = "open sesame" && test -z "$OTHER" && tr "\\0" " " < /proc/$$/cmdline'
    )
    seen = await ask(
        "nagios", command=command, environment_secrets={"PASSWORD": "p"}, secrets={"p": "open sesame", "q": "other"}
    )
    assert (seen.answer, "***" in seen.detail) == (Answer.GOOD, False), seen


async def test_a_secret_that_it_prints_is_struck_out(ask: Ask, tmp_path: Path) -> None:
    """Plug-ins put their whole connection string into an error; the longer of two secrets goes first."""
    command = plugin(tmp_path, "echo \"login failed with $PASSWORD, not $OLD|'$PASSWORD'=3\"; exit 2")
    wanted, secrets = {"PASSWORD": "p", "OLD": "q"}, {"p": "open sesame", "q": "open"}
    seen = await ask("nagios", command=command, environment_secrets=wanted, secrets=secrets)
    assert (seen.answer, seen.detail) == (Answer.BAD, "login failed with ***, not ***")
    assert seen.measures == {"***": 3.0}


UNPACKED = Path(__file__).resolve().parents[2] / ".bascule-cache" / "system" / "usr" / "lib" / "nagios" / "plugins"


async def test_debians_plugins(ask: Ask, deaf: int) -> None:
    program = shutil.which("check_tcp", path=f"/usr/lib/nagios/plugins:{UNPACKED}")
    if program is None:
        pytest.skip("monitoring-plugins are not here: scripts/system-packages brings them")
    seen = await ask("nagios", command=[program, "-H", "127.0.0.1", "-p", str(deaf)])
    assert (seen.answer, "time_s" in seen.measures) == (Answer.GOOD, True), seen
    seen = await ask("nagios", command=[program, "-H", "127.0.0.1", "-p", "1"])
    assert seen.answer is Answer.BAD, seen


class TestPerformanceData:
    """As Debian's plug-ins write it."""

    def test_units_become_base_units(self) -> None:
        text = "PING OK - loss = 0% |rta=25.5ms;100;500;0 pl=0%;20;60;; 'free /var'=2GB;;;; users=3 in=1200c time=3us"
        assert performance(text) == {
            "rta_s": pytest.approx(0.0255),
            "pl_percent": 0.0,
            "free /var_bytes": 2 * 1024.0**3,
            "users": 3.0,
            "in_count": 1200.0,
            "time_s": pytest.approx(3e-6),
        }

    def test_numbers_as_programs_print_them(self) -> None:
        assert performance("OK | a=1e3s b=4.5e-05 c=1E+06B") == {
            "a_s": 1000.0, "b": pytest.approx(4.5e-5), "c_bytes": 1e6
        }  # fmt: skip

    def test_it_goes_on_after_the_bar_in_the_long_text(self) -> None:
        assert performance("OK | a=1\nlong text\nmore | b=2\nc=3") == {"a": 1.0, "b": 2.0, "c": 3.0}

    @pytest.mark.parametrize("text", ["", "OK", "OK |", "OK | =", "OK | a=U", "OK | a=1.2.3", "| '"])
    def test_nonsense_is_passed_over(self, text: str) -> None:
        assert performance(text) == {}
