"""The lab in small with drills: a hand-over at the head office, and rehearsals of its tiers."""

from __future__ import annotations

from dataclasses import replace

from orchestrator.core import records as r
from orchestrator.core.commands import Answered
from orchestrator.core.events import ConfigurationLoaded, WordKind, WordSpoken
from orchestrator.core.model import DrillKind, Fence, FenceBy, Mode, Model, Rehearsal
from orchestrator.core.state.decided import Drill
from tests.core.stage import lab
from tests.core.world import World, all_of, book, check, story

THERE = {"scratch": {"processes": ["root sshd"], "routes": ["default via 10.0.0.1"]}}


def rehearsal(**changes: object) -> Rehearsal:
    """How the second tier is rehearsed, beside what serves."""
    plain = Rehearsal(
        playbook=book("restore_scratch"),
        clean_up=book("clean_scratch"),
        survey=book("survey"),
        hosts="scratch",
        prepare=book("prepare_scratch"),
        apart_when=all_of("scratch-apart"),
        verify=all_of("scratch-answers"),
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def drilled(model: Model, **geo: object) -> Model:
    """This model with what drills need."""
    hand_over = Fence(book("hand_over_hq"), all_of("hq-handed-over"), FenceBy.ALWAYS)
    changes: dict[str, object] = {"hand_over": hand_over, "rehearse": rehearsal(), **geo}
    moves = {**model.moves, "acme/geo-site": replace(model.moves["acme/geo-site"], **changes)}  # type: ignore[arg-type]
    more = {f"acme/{x}": check(x) for x in ("hq-handed-over", "scratch-apart", "scratch-answers")}
    return replace(model, digest=f"{model.digest}+", checks={**model.checks, **more}, moves=moves)


def stage(mode: Mode = Mode.AUTO, **geo: object) -> World:
    """A healthy world in which drills can be made."""
    world = lab(mode)
    world.model = drilled(world.model, **geo)
    world.bad("hq-handed-over", "scratch-answers")
    left: list[str] = []

    def hand_over_hq() -> None:
        world.good("hq-handed-over")
        world.bad("erp-transaction", "geo-handed-over")

    def geo_site() -> None:
        world.good("erp-transaction", "erp-at-geo")

    def return_hq() -> None:
        world.good("erp-transaction", "hq-internet")
        world.bad("erp-at-geo", "hq-handed-over")

    def restore() -> None:
        left.append("postgres scratch")
        world.good("scratch-answers")

    def clean() -> None:
        left.clear()
        world.bad("scratch-answers")

    def survey() -> dict[str, object]:
        return {"bascule_survey": {"scratch": {"processes": ["root sshd", *left], "routes": ["default via 10.0.0.1"]}}}

    world.effects |= {
        "hand_over_hq": hand_over_hq,
        "geo-site": geo_site,
        "return-hq": return_hq,
        "restore_scratch": restore,
        "clean_scratch": clean,
    }
    world.stats["survey"] = survey  # type: ignore[assignment]
    world.hears(ConfigurationLoaded(world.model))
    for name in world.model.checks:
        world._every.setdefault(name, 1.0)
        if name.endswith(("hq-handed-over", "scratch-apart", "scratch-answers")):
            world.at(world.now, lambda name=name, life=world._life: world._beat(name, life))  # type: ignore[misc]
    world.run(20)
    return world


def drill(
    world: World, kind: DrillKind = DrillKind.FULL_SCALE, service: str = "acme/erp", **options: object
) -> Answered:
    """Ada wants a drill of the second tier, unless it is said otherwise."""
    said = {"move": "geo-site", "kind": kind.value, "stays_s": 10.0, "within_s": 300.0, **options}
    word = f"drill-{len(world.answered)}"
    world.hears(WordSpoken(word, WordKind.DRILL, "Ada", service, "a reason", said))  # type: ignore[arg-type]
    return world.answered[-1]


def rehearse(world: World, **options: object) -> Answered:
    """Ada wants a functional drill."""
    return drill(world, DrillKind.FUNCTIONAL, **options)


def the_drill(world: World, name: str = "d1") -> Drill:
    """The drill as it stands."""
    return world.decided().drills[name]


def over(world: World, name: str = "d1") -> r.DrillEnded:
    """How it ended."""
    ended = the_drill(world, name).ended
    assert ended is not None, "\n".join(story(world))
    return ended
