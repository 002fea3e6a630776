"""Drills as the engine records them: a full-scale one there and back, and a rehearsal that cleans up."""

from __future__ import annotations

from dataclasses import replace

from orchestrator.core import records as r
from orchestrator.core.commands import NoticeKind
from orchestrator.core.model import Model, Playbook, Rehearsal
from orchestrator.core.reasons import Reason
from orchestrator.core.schedules import DrillKind, DrillPlan, Schedule
from orchestrator.reports.papers.drill import of_drill
from orchestrator.reports.papers.excerpt import Slice, cut, subject_of
from orchestrator.reports.papers.shape import ReportKind
from tests.reports.papers.told import SECRET, asked, linked, rich_model, stories_of
from tests.reports.sample import FAILOVER, K, Tape, all_of


def drilled_model() -> Model:
    """The sample's, with a way back and a rehearsal."""
    model = rich_model()
    geo, erp = model.moves["acme/geo-site"], model.services["acme/erp"]

    def book(name: str) -> Playbook:
        return Playbook(f"drill/{name}.yml", "2" * 64, {"token": SECRET})

    rehearsal = Rehearsal(
        book("restore"), book("clean"), book("look"), "scratch_hosts", verify=all_of("acme/scratch-ready"),
        prepare=book("prepare"),
    )  # fmt: skip
    back = replace(geo, id="acme/home", name="home", to="acme/hq", viable_when=None, data_age=None)
    return replace(
        model,
        moves=model.moves | {geo.id: replace(geo, rehearse=rehearsal), back.id: back},
        services=model.services | {"acme/erp": replace(erp, failback=("acme/home",))},
    )


def full_scale(tape: Tape, name: str = "d1", first: int = 1) -> None:
    """There, a minute, and back."""
    began = r.DrillBegan(
        tape.now, name, DrillKind.FULL_SCALE, "acme/erp", "acme/geo-site", "m1", Reason.ASKED_BY_OPERATOR, "acme/hq",
        "acme/home", 60.0, 1800.0, "Nora Night", "the yearly one",
    )  # fmt: skip
    tape.write(began)
    _run(tape, f"r{first}", "geo-site", "acme/hq", "acme/geo", name)
    tape.after(60.0)
    tape.write(r.DrillTurnedBack(tape.now, name, Reason.STAYED, "it stayed for 1:00"))
    _run(tape, f"r{first + 1}", "home", "acme/geo", "acme/hq", name)
    tape.after(3.0)
    tape.write(
        r.DrillEnded(tape.now, name, True, Reason.RETURNED, "every check is good", True),
        r.NoticeDue(
            tape.now, f"{name}/ended", NoticeKind.DRILL_ENDED, "acme", "acme/erp", "over", "", ("acme/ann",), {}
        ),
    )
    tape.after(1.0).write(r.NoticeSettled(tape.now, f"{name}/ended", True, "mail"))


def _run(tape: Tape, run: str, move: str, from_place: str, to_place: str, drill: str) -> None:
    steps = [(n.replace("acme/hq", from_place), k) for n, k in FAILOVER]
    tape.run(
        run, move, steps, origin=r.Origin.DRILL, reason=Reason.ASKED_BY_OPERATOR, from_place=from_place,
        to_place=to_place, drill=drill,
    )  # fmt: skip
    for (step, _), took in zip(steps, (0.3, 2.0, 0.5, 4.0, 1.2), strict=True):
        tape.step(run, step, took, f"{step} good", **({"data_age_s": 0.0} if step == "preflight" else {}))
        if step.startswith("proof"):
            tape.write(
                r.MayActRemoved(tape.now, "acme/erp", from_place, Reason.CONDITIONS_MET, "off"),
                r.MayActAdded(tape.now, "acme/erp", to_place, run),
            )
        if step == "execute":
            tape.write(r.PlacementChanged(tape.now, "acme/erp", from_place, to_place, run))
    tape.write(r.RunEnded(tape.now, run, True, Reason.VERIFIED, "erp-transaction good"))


REHEARSAL = (
    ("preflight", K.PREFLIGHT), ("survey", K.SURVEY), ("set up", K.SET_UP), ("rehearse", K.REHEARSE),
    ("confirm", K.CONFIRM), ("clean up", K.CLEAN_UP), ("survey again", K.RESURVEY),
)  # fmt: skip


def functional(tape: Tape, name: str = "d1", run: str = "r1", *, ok: bool = True, simulated: bool = False) -> None:
    """A rehearsal; `simulated`: in check mode, for want of one of the author's."""
    plan = DrillPlan("weekly", "", "weekly", DrillKind.FUNCTIONAL, Schedule("0 11 * * *", 3600.0), (), digest="w1")
    tape.write(
        r.ScheduleInForce(tape.now, "weekly", "2026-11-01T00:00:00Z", plan),
        r.DrillCameDue(tape.now, "weekly", "2026-11-18T11:00:00Z", tape.now + 3600.0, ()),
    )
    tape.write(
        r.DrillBegan(
            tape.now, name, DrillKind.FUNCTIONAL, "acme/erp", "acme/geo-site", "m1", Reason.ASKED_BY_OPERATOR,
            "acme/hq", scheduled="weekly", occurrence="2026-11-18T11:00:00Z",
        )
    )  # fmt: skip
    planned = [
        r.PlannedStep(n, k, simulated=simulated and k is K.REHEARSE)
        for n, k in REHEARSAL
        if not simulated or k in (K.PREFLIGHT, K.REHEARSE)
    ]
    tape.run(
        run, "geo-site", [], origin=r.Origin.DRILL, reason=Reason.ASKED_BY_OPERATOR, from_place="acme/hq", drill=name
    )
    entry = tape.entries[-1]
    started = entry.records[0]
    assert isinstance(started, r.RunStarted)
    tape.entries[-1] = replace(entry, records=(replace(started, steps=tuple(planned)),))
    for step in planned:
        if step.name == "confirm" and not ok:
            tape.write(r.StepBegan(tape.now, run, step.name, 1))
            tape.after(30.0).write(
                r.StepFinished(tape.now, run, step.name, 1, r.StepState.FAILED, Reason.NOT_CONFIRMED, "empty"),
                r.RunBroken(tape.now, run, Reason.NOT_CONFIRMED, "empty"),
            )
        else:
            tape.step(run, step.name, 2.0, f"{step.name} well")
    reason = Reason.CONDITIONS_MET if ok else Reason.NOT_CONFIRMED
    tape.write(
        r.RunEnded(tape.now, run, ok, reason, ""),
        r.DrillEnded(tape.now, name, ok, reason, "the scratch data are right"),
    )


def of(tape: Tape, name: str = "d1") -> Slice:
    """The provider's slice of a drill."""
    stories = stories_of(tape, drilled_model())
    subject = subject_of(of_drill(stories, name), stories, tape.now, ReportKind.DRILL, name)
    return cut(subject, stories, lambda: linked(tape), asked(tape))
