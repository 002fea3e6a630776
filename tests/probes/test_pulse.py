"""What this program slept through is not held against a target, even in several naps."""

from __future__ import annotations

import asyncio
import time

from orchestrator.core.events import Answer
from orchestrator.probes.pulse import Pulse
from tests.probes.conftest import Ask


async def test_hold_ups_add_up() -> None:
    pulse = Pulse()
    before = pulse.held_s()
    await asyncio.sleep(0.06)
    for _ in range(3):
        time.sleep(0.2)  # noqa: ASYNC251 - the point of the test
        await asyncio.sleep(0.06)
    held_s = pulse.held_s() - before
    pulse.close()
    assert held_s >= 0.4


async def test_a_silence_in_several_naps_is_none_of_the_targets(ask: Ask, deaf: int) -> None:
    question = asyncio.ensure_future(ask("tcp", target="127.0.0.1", port=deaf, expect="x", timeout_s=1.0))
    for _ in range(3):
        await asyncio.sleep(0.06)
        time.sleep(0.3)  # noqa: ASYNC251
    seen = await question
    assert (seen.answer, "late itself" in seen.detail) == (Answer.NONE, True), seen
