"""Whatever happens: random scripts of answers, playbooks, words, crashes and restarts keep the promises.

Exclusive means one place at a time; nothing runs twice on a resource; the brake holds; nothing is forgotten; and what
was decided is the fold of its records. A liveness phase without faults ends every script.
"""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.core import events as e
from orchestrator.core import records as r
from orchestrator.core.codec import decode_tagged, dumps, encode_tagged, loads
from orchestrator.core.commands import NoticeKind
from orchestrator.core.events import WordKind
from orchestrator.core.state.fold import fold
from tests.core.test_isolation import isolating
from tests.core.world import World, story

CHECKS = ["erp-transaction", "hq-internet", "isp-b-path", "hq-dark", "hq-off", "geo-dark", "geo-off", "geo-ready"]
CHECKS += ["cloud-ready", "geo-replica", "ref", "ref2", "edge-uses-isp-b", "erp-at-geo", "hq-ready"]
BOOKS = [
    "close_hq",
    "backup-isp",
    "power_off_hq",
    "power_off_geo",
    "geo-site",
    "cloud-instance",
    "return-hq",
    "hand_over",
]
ENDS = [
    e.AttemptEnd.OK,
    e.AttemptEnd.FAILED,
    e.AttemptEnd.UNREACHABLE,
    e.AttemptEnd.PLAN_CHANGED,
    e.AttemptEnd.COULD_NOT_START,
]
WORDS = [WordKind.FAILOVER, WordKind.FAILBACK, WordKind.HOLD, WordKind.RESUME, WordKind.SUSPECT, WordKind.CLEAR]

answers = st.tuples(st.just("answers"), st.sampled_from(CHECKS), st.sampled_from(list(e.Answer)))
ends = st.tuples(st.just("ends"), st.sampled_from(BOOKS), st.sampled_from(ENDS))
hangs = st.tuples(st.just("hangs"), st.sampled_from(BOOKS), st.booleans())
services = st.sampled_from(["acme/erp", "acme/hq-internet"])
says = st.tuples(st.just("says"), st.sampled_from(WORDS), services)
decides = st.tuples(st.just("decides"), st.sampled_from([WordKind.APPROVE, WordKind.REJECT, WordKind.ABORT]), st.none())
waits = st.tuples(st.just("waits"), st.sampled_from([0.3, 2.0, 7.0, 30.0]), st.none())
dies = st.tuples(st.just("dies"), st.booleans(), st.sampled_from([0.1, 5.0, 120.0]))
script = st.lists(st.one_of(answers, answers, waits, waits, ends, hangs, says, decides, dies), max_size=25)


def play(world: World, step: tuple[str, object, object]) -> None:
    """One line of the script."""
    what, first, second = step
    if what == "answers":
        world.answers[f"acme/{first}"] = second  # type: ignore[assignment]
    elif what == "ends":
        world.outcomes[str(first)] = second  # type: ignore[assignment]
    elif what == "hangs":
        (world.hang.add if second else world.hang.discard)(str(first))
    elif what == "says":
        world.say(first, str(second), fence=True)  # type: ignore[arg-type]
    elif what == "decides":
        for run in world.decided().unfinished_runs():
            world.say(first, run.id)  # type: ignore[arg-type]
    elif what == "waits":
        world.run(float(first))  # type: ignore[arg-type]
    else:
        world.crash()
        world.run(float(second))  # type: ignore[arg-type]
        world.start(same_boot=bool(first))


def only_one_place_acts(world: World) -> None:
    """Statement 16, from the records alone: no activation of one place while another might act."""
    may_act = {"acme/hq"}
    steps: dict[str, tuple[str | None, dict[str, r.StepKind]]] = {}
    for x in world.records():
        if isinstance(x, r.RunStarted) and x.service == "acme/erp":
            steps[x.run] = (x.to_place, {s.name: s.kind for s in x.steps})
        elif isinstance(x, r.MayActRemoved):
            may_act.discard(x.place)
        elif isinstance(x, r.StepBegan) and x.run in steps:
            to, kinds = steps[x.run]
            if to is not None and kinds[x.step] is r.StepKind.EXECUTE:
                assert may_act <= {to}, "\n".join(story(world))
        elif isinstance(x, r.MayActAdded):
            may_act.add(x.place)


def nothing_runs_twice(world: World) -> None:
    """Statements 5 and 7: one run a resource at any time; a step that is done is not begun again."""
    held: dict[str, str] = {}
    done: set[tuple[str, str]] = set()
    for x in world.records():
        if isinstance(x, r.RunStarted):
            for resource in x.resources:
                assert resource not in held, f"{x.run} wants {resource} of {held[resource]}"
                held[resource] = x.run
        elif isinstance(x, r.RunEnded):
            held = {k: v for k, v in held.items() if v != x.run}
        elif isinstance(x, r.StepFinished) and x.state is r.StepState.DONE:
            done.add((x.run, x.step))
        elif isinstance(x, r.StepBegan):
            assert (x.run, x.step) not in done


def the_brake_holds(world: World) -> None:
    """Statement 12: at most K automatic moves of a service within the window, unless a person resumed it."""
    limits = world.model.limits
    begun: dict[str, list[float]] = {}
    for x in world.records():
        if isinstance(x, r.RunStarted) and x.origin is r.Origin.AUTOMATIC:
            moves = begun.setdefault(x.service, [])
            moves.append(x.at)
            assert len([at for at in moves if at > x.at - limits.moves_window_s]) <= limits.moves_per_service
        elif isinstance(x, r.WordAccepted) and x.kind is WordKind.RESUME:
            begun.clear()


def nothing_is_forgotten(world: World) -> None:
    """Statement 20: once faults have stopped, whatever is not over is with a person who was told."""
    told = {t.subject for t in world.told if t.kind in (NoticeKind.HUMAN_NEEDED, NoticeKind.APPROVAL_NEEDED)}
    for incident in world.decided().open_incidents():
        assert incident.service in told or world.decided().holds, "\n".join(story(world))
    for run in world.decided().unfinished_runs():
        assert run.human is not None or run.started.service in told, "\n".join(story(world))


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(script)
def test_any_script_keeps_the_promises(steps: list[tuple[str, object, object]]) -> None:
    world = isolating()
    for step in steps:
        play(world, step)
    world.good("ref", "ref2", "isp-b-path", "geo-ready", "cloud-ready", "hq-ready", "erp-transaction", "hq-internet")
    world.outcomes.clear()
    world.hang.clear()
    world.run(400)
    only_one_place_acts(world)
    nothing_runs_twice(world)
    the_brake_holds(world)
    nothing_is_forgotten(world)
    records = [decode_tagged(r.RECORDS, loads(dumps(encode_tagged(x)))) for x in world.records()]
    assert fold(records) == world.decided()
