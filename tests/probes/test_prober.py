"""The prober: every question one observation, stamped when it went out."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from orchestrator.core.events import Answer, Observed
from orchestrator.core.model import Check
from orchestrator.probes.kind import Kind, Question
from orchestrator.probes.options import Options
from orchestrator.probes.prober import Prober
from orchestrator.probes.results import Judged, Raw, Silence
from tests.probes.conftest import ROOT


class Script(Options):
    """What the stand-in of a probe does."""

    wait_s: float = 0.0
    does: str = "good"


RELEASED: list[bool] = []


@dataclasses.dataclass
class Said:
    """Its reply."""

    what: str


async def play(question: Question[Script]) -> Raw:
    """Wait, then behave as told."""
    question.stamp()
    await asyncio.sleep(question.options.wait_s)
    match question.options.does:
        case "crash":
            raise RuntimeError("oops")
        case "silent":
            return Silence("not a word")
        case "hang":
            while not RELEASED:
                try:
                    await asyncio.sleep(0.1)
                except asyncio.CancelledError:
                    continue  # will not be cancelled
            return Said("good")
        case what:
            return Said(what)


def judge(_: Script, said: Said) -> Judged:
    """Good is good."""
    return Judged(Answer(said.what))


def invent(_: Script, so: bool, measures: Mapping[str, float]) -> Said:
    """As it was told."""
    return Said("good" if so else "bad")


KINDS = {"script": Kind("script", Script, play, Said, judge, invent)}


def check(name: str, *, every_s: float = 0.05, timeout_s: float = 5.0, probe: str = "script", **options: Any) -> Check:
    """One check of the stand-in."""
    return Check(
        id=f"acme/{name}",
        client="acme",
        name=name,
        host="",
        probe=probe,
        options=options,
        every_s=every_s,
        timeout_s=timeout_s,
    )


class Seen:
    """Observations as they come."""

    def __init__(self) -> None:
        self.all: list[Observed] = []
        self._more = asyncio.Event()

    def __call__(self, observed: Observed) -> None:
        self.all.append(observed)
        self._more.set()

    def of(self, name: str) -> list[Observed]:
        """Those of one check."""
        return [observed for observed in self.all if observed.check == f"acme/{name}"]

    async def until(self, fits: Callable[[], bool]) -> None:
        """Wait for it."""
        async with asyncio.timeout(60):
            while not fits():
                self._more.clear()
                await self._more.wait()


@pytest.fixture
def seen() -> Seen:
    """Nothing yet."""
    return Seen()


async def test_checks_are_asked_again_and_again(seen: Seen) -> None:
    prober = Prober(seen, time.monotonic, kinds=KINDS)
    prober.use([check("a"), check("b", does="bad")])
    await seen.until(lambda: len(seen.of("a")) >= 3 and len(seen.of("b")) >= 3)
    await prober.close()
    assert {observed.answer for observed in seen.of("a")} == {Answer.GOOD}
    assert {observed.answer for observed in seen.of("b")} == {Answer.BAD}
    count = len(seen.all)
    await asyncio.sleep(0.2)
    assert len(seen.all) == count, "nothing comes after close"


async def test_an_answer_carries_when_its_question_went_out(seen: Seen) -> None:
    prober = Prober(seen, time.monotonic, kinds=KINDS)
    prober.use([check("slow", wait_s=0.3)])
    await seen.until(lambda: bool(seen.all))
    assert time.monotonic() - seen.all[0].sent_at >= 0.3
    await prober.close()


async def test_a_hung_question_holds_up_nobody_and_ends_as_no_answer(seen: Seen) -> None:
    prober = Prober(seen, time.monotonic, kinds=KINDS)
    prober.use([check("hangs", does="hang", timeout_s=0.2), check("good")])
    await seen.until(lambda: bool(seen.of("hangs")) and len(seen.of("good")) >= 3)
    assert seen.of("hangs")[0].answer is Answer.NONE
    assert "hung" in seen.of("hangs")[0].detail
    async with asyncio.timeout(30):
        await prober.close()
    RELEASED.append(True)


async def test_a_crash_and_nonsense_are_no_answers(seen: Seen) -> None:
    prober = Prober(seen, time.monotonic, kinds=KINDS)
    prober.use([check("crash", does="crash"), check("odd", what=1), check("unknown", probe="telepathy")])
    await seen.until(lambda: len({observed.check for observed in seen.all}) == 3)
    await prober.close()
    assert {observed.answer for observed in seen.all} == {Answer.NONE}
    assert "oops" in seen.of("crash")[0].detail
    assert "what" in seen.of("odd")[0].detail
    assert "there is no probe 'telepathy'" in seen.of("unknown")[0].detail


async def test_one_question_in_the_air_and_one_more_on_demand(seen: Seen) -> None:
    prober = Prober(seen, time.monotonic, kinds=KINDS)
    prober.use([check("slow", wait_s=0.5, every_s=0.01)])
    await asyncio.sleep(0.1)
    assert prober.measured.asked == 1
    asked_at = time.monotonic()
    prober.ask_now(["acme/slow", "acme/stranger"])
    prober.ask_now(["acme/slow"])
    assert prober.measured.asked == 2
    await seen.until(lambda: any(observed.sent_at >= asked_at for observed in seen.all))
    await prober.close()


async def test_asking_now_does_not_move_the_beat(seen: Seen) -> None:
    prober = Prober(seen, time.monotonic, kinds=KINDS)
    prober.use([check("rare", every_s=3600)])
    prober.ask_now(["acme/rare"])
    await seen.until(lambda: len(seen.all) == 1)
    prober.ask_now(["acme/rare"])
    await seen.until(lambda: len(seen.all) == 2)
    await prober.close()


async def test_a_cadence_and_what_it_is_not_for(seen: Seen) -> None:
    prober = Prober(seen, time.monotonic, kinds=KINDS)
    prober.use([check("rare", every_s=3600), check("other", every_s=3600)])
    prober.cadence({"acme/rare": 0.05, "acme/stranger": 1.0})
    prober.ask_now(["acme/rare"])
    await seen.until(lambda: len(seen.of("rare")) >= 1)
    await prober.close()
    assert seen.of("other") == []


async def test_other_checks_from_now_on(seen: Seen) -> None:
    prober = Prober(seen, time.monotonic, kinds=KINDS)
    kept = check("kept", every_s=3600)
    prober.use([kept, check("gone", wait_s=0.2)])
    prober.ask_now(["acme/gone"])
    await asyncio.sleep(0.01)
    prober.use([kept, check("new")])
    await seen.until(lambda: len(seen.of("new")) >= 3)
    assert seen.of("gone") == [], "a question about a check that is gone has no answer"
    await prober.close()
    with pytest.raises(RuntimeError, match="closed"):
        prober.use([])


async def test_what_is_wanted_after_the_end_is_passed_over(seen: Seen) -> None:
    """The last answers are taken in when nobody asks any more, and what comes of them may want more."""
    prober = Prober(seen, time.monotonic, kinds=KINDS)
    prober.use([check("rare", every_s=3600)])
    await prober.close()
    prober.ask_now(["acme/rare"])
    prober.cadence({"acme/rare": 0.01})
    await asyncio.sleep(0.05)
    assert seen.all == []


async def test_a_receiver_that_fails_stops_nothing(seen: Seen) -> None:
    told: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context["message"]))

    def fails(observed: Observed) -> None:
        seen(observed)
        raise OSError("disk full")

    prober = Prober(fails, time.monotonic, kinds=KINDS)
    prober.use([check("a")])
    await seen.until(lambda: len(seen.all) >= 3)
    await prober.close()
    asyncio.get_running_loop().set_exception_handler(None)
    assert "acme/a" in told[0]


async def test_a_silence_that_this_program_slept_through_is_none_of_the_targets(seen: Seen) -> None:
    prober = Prober(seen, time.monotonic, kinds=KINDS)
    prober.use([check("silent", does="silent", wait_s=0.2, timeout_s=0.2, every_s=3600)])
    prober.ask_now(["acme/silent"])
    await asyncio.sleep(0.1)
    time.sleep(1.0)  # noqa: ASYNC251  # the point of the test
    await seen.until(lambda: bool(seen.all))
    await prober.close()
    assert (seen.all[0].answer, "late itself" in seen.all[0].detail) == (Answer.NONE, True)


class TestProcesses:
    """Nothing is left behind."""

    SCRIPT = textwrap.dedent(
        """
        import asyncio, sys, time
        from orchestrator.core.model import Check
        from orchestrator.probes.prober import Prober

        async def main():
            prober = Prober(lambda observed: None, time.monotonic)
            command = ["sh", "-c", f"echo $$ >> {sys.argv[1]}; sleep 600 & echo $! >> {sys.argv[1]}; wait"]
            prober.use([Check(id="a/b", client="a", name="b", host="", probe="nagios", timeout_s=600,
                              options={"command": command}, every_s=3600)])
            prober.ask_now(["a/b"])
            await asyncio.sleep(0.5)
            while len(open(sys.argv[1], "a+").read() or open(sys.argv[1]).read().split()) < 2:
                await asyncio.sleep(0.05)
            print("there", flush=True)
            if sys.argv[2] == "close":
                await prober.close()
            else:
                await asyncio.sleep(600)

        asyncio.run(main())
        """
    )

    @pytest.mark.parametrize("how", ["close", "killed", "interrupted"])
    def test_no_process_survives(self, how: str, tmp_path: Any) -> None:
        file = tmp_path / "pids"
        process = subprocess.Popen(
            [sys.executable, "-c", self.SCRIPT, str(file), how],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=ROOT,
            preexec_fn=_hear_interrupts,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == b"there\n"
        pids = [int(word) for word in file.read_text().split()]
        assert len(pids) == 2
        if how == "killed":
            process.kill()
        elif how == "interrupted":
            process.send_signal(signal.SIGINT)
        process.wait(60)
        process.stdout.close()
        for _ in range(600):
            left = [pid for pid in pids if _is_alive(pid)]
            if not left:
                return
            time.sleep(0.05)
        pytest.fail(f"still alive: {left}")


def _hear_interrupts() -> None:
    """What a shell starts in the background ignores SIGINT, and so does all that it starts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _is_alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(") ")[2][0] != "Z"
    except FileNotFoundError:
        return False


async def test_a_template_that_dies_is_replaced(seen: Seen) -> None:
    prober = Prober(seen, time.monotonic)
    prober.use([check("plug-in", probe="nagios", every_s=3600, timeout_s=30, command=["sh", "-c", "exit 0"])])
    prober.ask_now(["acme/plug-in"])
    await seen.until(lambda: len(seen.all) == 1)
    template = prober._tools.forks("orchestrator.probes.nagios_run")._process
    assert template is not None
    os.kill(template.pid, signal.SIGKILL)
    for count in range(2, 30):
        prober.ask_now(["acme/plug-in"])
        await seen.until(lambda wanted=count: len(seen.all) >= wanted)  # type: ignore[misc]
        if seen.all[-1].answer is Answer.GOOD:
            break
        await asyncio.sleep(0.1)
    await prober.close()
    assert seen.all[-1].answer is Answer.GOOD, seen.all[-1]
