"""Drills as an operator reads them."""

from __future__ import annotations

from orchestrator.reports.drills import DrillStep, DrillTold, StepMade, one_lines


def drill(*made: StepMade) -> DrillTold:
    """A rehearsal that ended well, with one step of each of these."""
    steps = tuple(DrillStep("r1", f"step{n}", x, 1.0, "", "") for n, x in enumerate(made, 1))
    return DrillTold(
        "d1", "functional", "acme/erp", "acme/geo-site", 0.0, 2.0, True, "conditions met", "", None, "over", "ann", "",
        "", ("r1",), steps,
    )  # fmt: skip


def test_how_many_steps_were_live_is_counted_in_words() -> None:
    def last(*made: StepMade) -> str:
        return "".join(part.text for part in one_lines(drill(*made), str, 100)[-1])

    assert last(StepMade.LIVE, StepMade.SIMULATED) == "  proves nothing of: step2 (simulated); live: 1 step"
    assert last(StepMade.LIVE, StepMade.LIVE, StepMade.SKIPPED).endswith("step3 (skipped); live: 2 steps")
    assert last(StepMade.SIMULATED).endswith("step1 (simulated); live: no step")
