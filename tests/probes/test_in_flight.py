"""One question in the air, and one more for whoever cannot wait."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.probes.in_flight import IN_AIR_MAX, InFlight


def test_a_target_that_answers_is_asked_on_every_beat() -> None:
    air = InFlight()
    for _ in range(3):
        assert air.beat()
        assert not air.ended()
    assert (air.in_air, air.skipped) == (0, 0)


def test_a_beat_that_finds_a_question_in_the_air_waits_for_its_end() -> None:
    air = InFlight()
    assert air.beat()
    assert not air.beat()
    assert air.ended(), "the beat that waited is asked now"
    assert not air.ended(), "once"
    assert air.skipped == 0


def test_further_beats_are_skipped_and_counted() -> None:
    """A target that takes ten beats to answer is asked twice, and not eleven times."""
    air = InFlight()
    assert air.beat()
    assert [air.beat() for _ in range(10)] == [False] * 10
    assert air.skipped == 9
    assert air.ended()
    assert not air.ended()


def test_who_cannot_wait_is_asked_beside_a_question_that_hangs() -> None:
    air = InFlight()
    assert air.beat()
    assert air.now()
    assert air.in_air == IN_AIR_MAX
    assert not air.now(), "but no third one"
    assert air.skipped == 0, "it is not skipped: it is sent as soon as there is room"
    assert air.ended()
    assert not air.ended()
    assert not air.ended()
    assert air.in_air == 0


def test_asked_for_out_of_the_beat() -> None:
    """Nothing is in the air: it goes out at once, and the beat that follows waits for it."""
    air = InFlight()
    assert air.now()
    assert not air.beat()
    assert air.ended()


def test_an_end_without_a_question_is_told() -> None:
    with pytest.raises(ValueError, match="none was in the air"):
        InFlight().ended()


@given(st.lists(st.sampled_from(["beat", "now", "ended"])))
def test_never_more_than_two_and_nobody_waits_for_nothing(script: list[str]) -> None:
    """Whatever comes in whatever order."""
    air = InFlight()
    sent = ended = beats = 0
    for word in script:
        if word == "ended" and not air.in_air:
            continue
        before = air.in_air
        asks = getattr(air, word)()
        sent += asks
        ended += word == "ended"
        beats += word == "beat"
        assert air.in_air == sent - ended
        assert air.in_air <= IN_AIR_MAX
        assert air.in_air or not air.waits, "what waits, waits for an end that comes"
        assert not (word == "beat" and asks and before), "a beat never makes a second question"
    assert air.skipped <= beats
