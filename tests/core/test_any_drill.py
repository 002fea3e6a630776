"""Whatever happens in the middle of a drill: random scripts, and what statement 23 promises at their end.

A drill leaves nothing behind, or a person was told; it ends, or a person was told; what was decided is the fold of its
records. Every script begins with a drill, of one kind or the other, and ends in a calm world.
"""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.core import records as r
from orchestrator.core.codec import decode_tagged, dumps, encode_tagged, loads
from orchestrator.core.commands import NoticeKind
from orchestrator.core.events import WordKind
from orchestrator.core.model import DrillKind
from orchestrator.core.state.fold import fold
from tests.core.drill_stage import drill, stage
from tests.core.test_any_script import (
    ENDS,
    dies,
    nothing_is_forgotten,
    nothing_runs_twice,
    only_one_place_acts,
    play,
    says,
    services,
    waits,
)
from tests.core.test_any_script import answers as lab_answers
from tests.core.test_any_script import decides as lab_decides
from tests.core.world import World, story

BOOKS = [
    "hand_over_hq",
    "geo-site",
    "rebuild_hq",
    "hand_over",
    "return-hq",
    "rebuild_geo",
    "backup-isp",
    "backup-isp.back",
    "survey",
    "prepare_scratch",
    "restore_scratch",
    "clean_scratch",
]
GOOD = ["ref", "ref2", "isp-b-path", "geo-ready", "cloud-ready", "hq-ready", "erp-transaction", "hq-internet"]
GOOD += ["geo-replica", "scratch-apart"]

ends = st.tuples(st.just("ends"), st.sampled_from(BOOKS), st.sampled_from(ENDS))
hangs = st.tuples(st.just("hangs"), st.sampled_from(BOOKS), st.booleans())
slow = st.tuples(st.just("slow"), st.sampled_from(BOOKS), st.sampled_from([0.5, 20.0, 200.0]))
drills = st.tuples(st.just("drills"), services, st.sampled_from(list(DrillKind)))
cancels = st.tuples(st.just("cancels"), st.none(), st.none())
announces = st.tuples(st.just("announces"), services, st.sampled_from([5.0, 60.0]))
line = st.one_of(
    lab_answers,
    lab_answers,
    waits,
    waits,
    ends,
    hangs,
    slow,
    says,
    lab_decides,
    dies,
    drills,
    cancels,
    announces,
)
script = st.tuples(drills, st.lists(line, max_size=20))


def go(world: World, step: tuple[str, object, object]) -> None:
    """One line of the script."""
    what, first, second = step
    if what == "drills":
        move = "geo-site" if first == "acme/erp" else "backup-isp"
        drill(world, second, str(first), move=move)  # type: ignore[arg-type]
    elif what == "cancels":
        for unfinished in world.decided().unfinished_drills():
            world.say(WordKind.DRILL_CANCEL, unfinished.id)
    elif what == "slow":
        world.takes[str(first)] = float(second)  # type: ignore[arg-type]
    elif what == "announces":
        world.say(WordKind.MAINTENANCE, str(first), for_s=second)
    else:
        play(world, step)


def nothing_is_left(world: World) -> None:
    """Statement 23, from the records alone: whatever a drill's end leaves, a person was asked in the same entry."""
    place, engaged = {"acme/erp": "acme/hq", "acme/hq-internet": "acme/hq"}, set[str]()
    began: dict[str, tuple[r.DrillBegan, str | None]] = {}
    asked = set[str]()
    for _, entry in world.entries:
        human = {x.subject for x in entry if isinstance(x, r.NoticeDue) and x.kind is NoticeKind.HUMAN_NEEDED}
        asked |= human
        for x in entry:
            if isinstance(x, r.PlacementChanged):
                place[x.service] = x.place
            elif isinstance(x, r.MoveEngaged):
                (engaged.add if x.engaged else engaged.discard)(x.move)
            elif isinstance(x, r.DrillBegan):
                began[x.drill] = x, place[x.service]
                asked.discard(x.service)
            elif isinstance(x, r.DrillEnded):
                drilled, was = began.pop(x.drill)
                full = drilled.kind is DrillKind.FULL_SCALE  # beside a rehearsal, a person may move it
                away = full and (place[drilled.service] != was or drilled.move in engaged)
                assert not away or (not x.ok and drilled.service in human), "\n".join(story(world))
    for drilled, _ in began.values():
        held = [*world.decided().holds, *world.decided().suspected]
        assert drilled.service in asked or held, f"{drilled.drill} goes on\n" + "\n".join(story(world))


@settings(deadline=None, max_examples=20, suppress_health_check=[HealthCheck.too_slow])
@given(script)
def test_whatever_happens_in_the_middle_of_a_drill(
    steps: tuple[tuple[str, object, object], list[tuple[str, object, object]]],
) -> None:
    world = stage()
    first, others = steps
    go(world, first)
    for step in others:
        go(world, step)
    world.good(*GOOD)
    world.outcomes.clear()
    world.hang.clear()
    world.takes.clear()
    world.run(700)
    only_one_place_acts(world)
    nothing_runs_twice(world)
    nothing_is_forgotten(world)
    nothing_is_left(world)
    records = [decode_tagged(r.RECORDS, loads(dumps(encode_tagged(x)))) for x in world.records()]
    assert fold(records) == world.decided()
