"""Every refusal ends with a command that works: it parses, and it changes the answer or shows what it is about."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest

from orchestrator.cli import refused
from orchestrator.cli.main import app
from orchestrator.cli.remedies import FAILED_TIERS, ROWS, Remedy, remedies
from orchestrator.core import events as e
from orchestrator.core.deciding import words
from orchestrator.core.durations import parse_duration
from orchestrator.core.events import Peer, WordKind, WordSpoken
from orchestrator.core.model import Playbook, Speaker, Tier
from orchestrator.core.reasons import Against, Part, Reason
from tests.core.stage import hq_loses_power, isp_a_dies, lab
from tests.core.world import World, acme, all_of, check

F, B, A, J, X = WordKind.FAILOVER, WordKind.FAILBACK, WordKind.APPROVE, WordKind.REJECT, WordKind.ABORT
LOOKS = ("status", "incidents", "report", "check", "validate", "ready", "reload")


@dataclass
class Story:
    """A world, and a word that is refused in it."""

    reason: Reason
    world: Callable[[], World]
    kind: WordKind
    subject: str
    options: dict[str, object] = field(default_factory=dict)
    who: str = "Ada"
    login: str = ""


def waiting() -> World:
    """Everything at hq is silent, and whether it has power is for a person to say."""
    world = lab()
    world.silent("erp-transaction", "hq-internet", "isp-b-path")
    world.run(30)
    return world


def edited(*, run: str = "", over: bool = False) -> Callable[[], World]:
    """A file of a plan was edited, unread: `run` waits for its approval, or (`over`) did until it was read."""

    def made() -> World:
        world = waiting() if run else lab()
        books = {move.playbook.digest: f"{move.playbook.path} was changed" for move in world.model.moves.values()}
        world.hears(e.PlaybooksRead(books))
        if over:
            moves = {n: replace(m, playbook=Playbook(m.playbook.path, "new")) for n, m in world.model.moves.items()}
            world.model = replace(world.model, digest="m2", moves=moves)
            world.hears(e.ConfigurationLoaded(world.model))
            world.run(1)
        return world

    return made


def failed() -> World:
    """The first tier failed, and has been mended since; nothing else is left."""
    world = lab()
    world.outcomes["backup-isp"] = e.AttemptEnd.FAILED
    world.bad("cloud-ready", "geo-ready")
    isp_a_dies(world)
    world.run(60)
    world.outcomes.clear()
    return world


def at_work() -> World:
    world = lab()
    world.hang.add("backup-isp")
    isp_a_dies(world)
    world.run(20)
    return world


def at_geo() -> World:
    world = lab()
    hq_loses_power(world)
    world.run(60)
    world.bad("hq-dark", "hq-off")
    world.good("isp-b-path", "hq-internet")
    world.run(60)
    return world


def blind() -> World:
    world = lab()
    world.silent("ref", "ref2", "erp-transaction")
    world.run(20)
    return world


def ended() -> World:
    world = waiting()
    world.say(J, "r1")
    return world


def engaged() -> World:
    world = lab()
    isp_a_dies(world)
    world.run(60)
    return world


def without(*names: str) -> Callable[[], World]:
    def made() -> World:
        world = lab()
        world.bad(*names)
        world.run(20)
        return world

    return made


def no_answer(*names: str) -> Callable[[], World]:
    def made() -> World:
        world = lab()
        world.nothing(*names)
        world.run(20)
        return world

    return made


def old_data() -> World:
    world = lab()
    world.measures["acme/geo-replica"] = {"data_age_s": 900.0}
    world.run(20)
    return world


def no_data() -> World:
    world = World(lab().model)
    world.effects = lab().effects
    world.measures.pop("acme/geo-replica")
    world.run(20)
    return world


def crowded() -> World:
    """One failover at a time, and one is under way."""
    world = lab()
    world.model = replace(world.model, digest="m2", limits=replace(world.model.limits, concurrent_failovers=1))
    world.hears(e.ConfigurationLoaded(world.model))
    world.hang.add("backup-isp")
    world.say(F, "acme/hq-internet", move="backup-isp", override=["already engaged"])
    return world


def nothing_declared() -> World:
    world = lab()
    services = dict(world.model.services)
    services["acme/erp"] = replace(services["acme/erp"], ladder=())
    world.model = replace(world.model, digest="m2", services=services)
    world.hears(e.ConfigurationLoaded(world.model))
    return world


def two_down() -> World:
    world = lab()
    services = dict(world.model.services)
    services["acme/erp"] = replace(services["acme/erp"], ladder=(Tier("acme/backup-isp"), Tier("acme/geo-site")))
    world.model = replace(world.model, digest="m2", services=services)
    world.hears(e.ConfigurationLoaded(world.model))
    world.bad("isp-b-path", "geo-ready")
    world.run(20)
    return world


def no_way_back() -> World:
    world = at_geo()
    services = dict(world.model.services)
    services["acme/erp"] = replace(services["acme/erp"], failback=())
    world.model = replace(world.model, digest="m2", services=services)
    world.hears(e.ConfigurationLoaded(world.model))
    return world


def with_people() -> World:
    """Alice speaks from her own login alone."""
    world = lab()
    people = (Speaker("acme/alice", "acme", "Alice Martin", ("alice",)), Speaker("acme/bob", "acme", "Bob Durand"))
    world.model = replace(world.model, digest="m2", speakers={x.id: x for x in people})
    world.hears(e.ConfigurationLoaded(world.model))
    return world


def relapsed() -> World:
    """It is down again, although a move is in effect that could be taken back."""
    world = engaged()
    world.bad("isp-b-path")
    isp_a_dies(world)
    world.run(60)
    return world


def half_way_back() -> World:
    """It was handed over, and its way home failed: no tier starts from there, and the way home does."""
    world = at_geo()
    world.outcomes["return-hq"] = e.AttemptEnd.FAILED
    world.bad("cloud-ready")
    world.say(B, "acme/erp")
    world.run(120)
    return world


def held() -> World:
    world = lab()
    world.say(WordKind.HOLD, "acme")
    return world


STORIES = [
    Story(Reason.NO_SUCH_SERVICE, lab, F, "acme/nosuch"),
    Story(Reason.NO_SUCH_MOVE, lab, F, "acme/erp", {"move": "nosuch"}),
    Story(Reason.NO_SUCH_GUARD, lab, F, "acme/erp", {"override": ["nosuch"]}),
    Story(Reason.NOT_OVERRIDABLE, lab, F, "acme/erp", {"override": ["fence unproven"]}),
    Story(Reason.BLIND, blind, F, "acme/erp", {"move": "backup-isp"}),
    Story(Reason.TOO_MANY_FAILOVERS, crowded, F, "acme/erp", {"move": "geo-site", "fence": True}),
    Story(Reason.RESOURCE_BUSY, at_work, F, "acme/hq-internet", {"move": "backup-isp"}),
    Story(Reason.RESOURCE_BUSY, at_work, F, "acme/erp", {"move": "backup-isp"}),
    Story(Reason.PLAYBOOK_FAILED, failed, F, "acme/hq-internet"),
    Story(Reason.PLAN_CHANGED, edited(), F, "acme/erp", {"move": "geo-site", "fence": True}),
    Story(Reason.PLAN_CHANGED, edited(run="r1"), A, "r1"),
    Story(Reason.PLAN_CHANGED, edited(run="r1", over=True), A, "r1"),
    Story(Reason.NO_TIER_LEFT, two_down, F, "acme/erp"),
    Story(Reason.NO_TIER_LEFT, nothing_declared, F, "acme/erp"),
    Story(Reason.NO_TIER_LEFT, half_way_back, F, "acme/erp"),
    Story(Reason.WRONG_PLACE, half_way_back, F, "acme/erp", {"move": "geo-site"}),
    Story(Reason.ALREADY_THERE, at_geo, F, "acme/erp", {"move": "geo-site"}),
    Story(Reason.ALREADY_THERE, at_geo, F, "acme/erp", {"move": "geo-site", "fenced": "acme/hq"}),
    Story(Reason.WRONG_PLACE, lab, F, "acme/erp", {"move": "geo-site", "fenced": "cloud"}),
    Story(Reason.WRONG_PLACE, waiting, A, "r1", {"fenced": "cloud"}),
    Story(Reason.NOT_VIABLE, without("isp-b-path"), F, "acme/erp", {"move": "backup-isp"}),
    Story(Reason.VIABILITY_UNKNOWN, no_answer("isp-b-path"), F, "acme/erp", {"move": "backup-isp"}),
    Story(Reason.ALREADY_ENGAGED, engaged, F, "acme/erp", {"move": "backup-isp"}),
    Story(Reason.RPO_EXCEEDED, old_data, F, "acme/erp", {"move": "geo-site", "fence": True}),
    Story(Reason.RPO_UNKNOWN, no_data, F, "acme/erp", {"move": "geo-site", "fence": True}),
    Story(Reason.FENCE_NOT_AUTOMATIC, lab, F, "acme/erp", {"move": "geo-site"}),
    Story(Reason.AT_HOME, lab, B, "acme/erp"),
    Story(Reason.IN_INCIDENT, waiting, B, "acme/erp"),
    Story(Reason.IN_INCIDENT, failed, B, "acme/erp"),
    Story(Reason.IN_INCIDENT, relapsed, B, "acme/hq-internet"),
    Story(Reason.NO_TIER_LEFT, edited(), F, "acme/erp"),
    Story(Reason.NOTHING_OF_THAT_ID, lab, WordKind.NO_FINDINGS, "i9"),
    Story(Reason.NO_SUCH_RUN, lab, A, "r9"),
    Story(Reason.NO_SUCH_RUN, lab, J, "r9"),
    Story(Reason.NO_SUCH_RUN, lab, X, "r9"),
    Story(Reason.ALREADY_ENDED, ended, A, "r1"),
    Story(Reason.ALREADY_ENDED, ended, X, "r1"),
    Story(Reason.ANOTHER_PLAN, waiting, A, "r1", {"plan": "0123456789abcdef"}),
    Story(Reason.NOT_WAITING, at_work, A, "r1"),
    Story(Reason.NOT_WAITING, at_work, J, "r1"),
    Story(Reason.NOT_WAITING, ended, J, "r1"),
    Story(Reason.NOT_HELD, lab, WordKind.RESUME, "acme/erp"),
    Story(Reason.NOT_HELD, held, WordKind.RESUME, "acme/erp"),
    Story(Reason.INCOMPLETE, lab, WordKind.MAINTENANCE, "acme/erp"),
    Story(Reason.NO_SUCH_SERVICE, lab, WordKind.HOLD, "nobody"),
    Story(Reason.NOBODY_NAMED, lab, F, "acme/erp", who=" "),
    Story(Reason.NO_WAY_BACK, no_way_back, B, "acme/erp"),
    Story(Reason.NO_SUCH_PERSON, with_people, WordKind.RESUME, "acme/erp", who="nobody-at-all"),
    Story(Reason.NOT_THAT_PERSON, with_people, F, "acme/erp", {"move": "geo-site"}, who="alice"),
    Story(Reason.NOT_THAT_PERSON, with_people, WordKind.MAINTENANCE, "acme/erp", {"for_s": 7200.0}, who="alice"),
    Story(Reason.NOT_THAT_PERSON, with_people, WordKind.MAINTENANCE_END, "acme/erp", who="alice"),
    Story(Reason.NO_SUCH_PERSON, with_people, WordKind.MAINTENANCE_END, "acme/erp", who="nobody-at-all"),
    Story(Reason.NOT_THAT_PERSON, with_people, F, "acme/erp", {"fence": True}, who="bob", login="alice"),
    Story(Reason.NO_SUCH_PERSON, with_people, WordKind.RESUME, "acme/erp", who="nobody-at-all", login="alice"),
    Story(Reason.NOBODY_NAMED, lab, WordKind.MAINTENANCE, "acme/erp", {"for_s": 7200.0}, who=" "),
]


def said(story: Story, world: World) -> WordSpoken:
    options = dict(story.options)
    return WordSpoken("refused", story.kind, story.who, story.subject, "", options, peer=peer(story))  # type: ignore[arg-type]


def peer(story: Story) -> Peer | None:
    """Who speaks, as the kernel says."""
    return Peer(1, 1000, story.login) if story.login else None


def in_words(command: str, said_by: Peer | None = None) -> WordSpoken | None:
    """The word that a command line says; None for one that only looks. The command line itself has to be right."""
    argv = shlex.split(command)
    assert argv[0] == "bascule"
    verb = argv[1]
    function, bound, _ = app.parse_args(argv[1:], exit_on_error=False, print_error=False)
    assert callable(function)
    if verb in LOOKS or "--dry-run" in argv:
        return None
    options: dict[str, object] = {}
    for key in ("move", "fence", "fenced", "override"):
        if (value := bound.arguments.get(key)) not in (None, False):
            options[key] = value
    if verb == "maintenance":
        assert ("--end" in argv) is not ("--for" in argv), command
        verb = WordKind.MAINTENANCE_END.value if "--end" in argv else verb
        options |= {"for_s": parse_duration(argv[argv.index("--for") + 1])} if "--for" in argv else {}
    who = argv[argv.index("--by") + 1] if "--by" in argv else "Ada"
    return WordSpoken("remedy", WordKind(verb), who, argv[2], "WHY", options, "--by" in argv, said_by)  # type: ignore[arg-type]


def test_nobody_is_led_to_state_a_thing_of_a_place_that_was_not_seen() -> None:
    """Two runs wait. Whoever saw one place dark named the other run: the remedy is the run that fences that place."""
    model = acme()
    erp = model.services["acme/erp"]
    crm = replace(
        erp, id="acme/crm", name="crm", home="acme/geo", healthy_when=all_of("crm"), depends_on=(), failback=()
    )
    crm = replace(crm, ladder=(Tier("acme/cloud-instance"),))
    world = World(
        replace(model, checks={**model.checks, "acme/crm": check("crm")}, services={**model.services, crm.id: crm})
    )
    world.run(20)
    world.silent("erp-transaction", "hq-internet", "isp-b-path", "crm")
    world.run(30)
    fences = {run.id: [s.place for s in run.fences] for run in world.decided().unfinished_runs()}
    erps, crms = sorted(fences, key=lambda x: fences[x] != ["acme/hq"])
    assert fences == {erps: ["acme/hq"], crms: ["acme/geo"]}
    word = WordSpoken("w", A, "Ada", erps, "", {"fenced": "acme/geo"})
    world.hears(word)
    assert world.answered[-1].reason == "wrong place"
    (found,) = remedies("wrong place", word, world.decided(), world.model)
    assert found.do == f"the run that fences acme/geo is {crms}"
    assert found.command.startswith(f"bascule approve {crms} ")
    assert found.command.endswith("--fenced acme/geo")


def there_is(command: str, world: World) -> bool:
    """Whether what a command is to show is there."""
    _, verb, *rest = shlex.split(command)
    named = [x for x in rest if not x.startswith("-")][:1] if verb != "check" else rest
    known = {*world.model.services, *world.model.checks, *world.decided().runs, "acme"}
    return all(x in known for x in named)


@pytest.mark.parametrize("story", STORIES, ids=lambda s: f"{s.reason.value}-{s.kind.value}")
def test_each_remedy_works(story: Story) -> None:
    world = story.world()
    word = said(story, world)
    world.hears(word)
    answer = world.answered[-1]
    assert (answer.accepted, answer.reason) == (False, story.reason.value), answer
    found = remedies(answer.reason, word, world.decided(), world.model)
    assert found, f"{answer.reason}: nothing to type"
    assert any(works(remedy, story) for remedy in found), [str(x) for x in found]
    for remedy in found:
        assert works(remedy, story), str(remedy)


def works(remedy: Remedy, story: Story) -> bool:
    """Told in a world of its own: it is done, or it meets another answer; or what it shows is there."""
    world = story.world()
    word = in_words(remedy.command, peer(story))
    if word is None:
        return there_is(remedy.command, world)
    world.hears(word)
    answer = world.answered[-1]
    return answer.accepted or (answer.reason != story.reason.value and answer.reason != "no such guard")


@pytest.mark.parametrize(
    ("story", "commands"),
    [
        (Story(Reason.IN_INCIDENT, waiting, B, "acme/erp"), ["bascule status acme/erp", "bascule abort r1"]),
        (Story(Reason.IN_INCIDENT, failed, B, "acme/erp"), ["bascule failover acme/erp"]),
        (Story(Reason.NO_TIER_LEFT, edited(), F, "acme/erp"), ["bascule reload"]),
        (
            Story(Reason.NO_TIER_LEFT, half_way_back, F, "acme/erp"),
            [
                "bascule status acme/erp",
                "bascule failover acme/erp --move cloud-instance",
                "bascule failback acme/erp --override 'in an incident' --reason WHY",
            ],
        ),
        (
            Story(Reason.WRONG_PLACE, half_way_back, F, "acme/erp", {"move": "geo-site"}),
            ["bascule status acme/erp", "bascule failback acme/erp --override 'in an incident' --reason WHY"],
        ),
        (
            Story(Reason.ALREADY_THERE, at_geo, F, "acme/erp", {"move": "geo-site"}),
            ["bascule status acme/erp", "bascule failback acme/erp"],
        ),
    ],
)
def test_nothing_is_advised_that_is_known_to_be_refused(story: Story, commands: list[str]) -> None:
    """A run is at work, there is nothing to take back, no tier may be played: that is known when it is refused."""
    world = story.world()
    word = said(story, world)
    world.hears(word)
    answer = world.answered[-1]
    assert [x.command for x in remedies(answer.reason, word, world.decided(), world.model)] == commands


def test_a_word_that_was_said_before_under_this_id_may_be_said_under_another() -> None:
    world = lab()
    world.say(WordKind.HOLD, "acme/erp", word="same")
    word = WordSpoken("same", F, "Ada", "acme/erp", "", {"move": "cloud-instance"})
    world.hears(word)
    assert world.answered[-1].reason == Reason.ID_IN_USE.value
    (remedy,) = remedies("id in use", word, world.decided(), world.model)
    again = in_words(remedy.command)
    assert again is not None
    assert again.options == {"move": "cloud-instance"}


@pytest.mark.parametrize(
    ("kind", "subject", "options"),
    [
        (WordKind.MAINTENANCE, "acme/erp", {"for_s": 5400.0}),
        (WordKind.MAINTENANCE, "acme/erp", {"for_s": 90.5}),
        (WordKind.MAINTENANCE, "acme", {"for_s": 1000001.0}),
        (WordKind.MAINTENANCE_END, "acme/erp", {}),
        (A, "r1", {"fenced": "acme/hq"}),
        (F, "acme/erp", {"fence": True, "override": ["already engaged"]}),
    ],
)
def test_what_is_to_be_said_again_is_the_same_word(kind: WordKind, subject: str, options: dict[str, object]) -> None:
    """By somebody who may: no place that was vouched for, no length and no guard is lost on the way."""
    world = waiting()
    world.model = replace(world.model, digest="m2", speakers=with_people().model.speakers)
    world.hears(e.ConfigurationLoaded(world.model))
    word = WordSpoken("refused", kind, "nobody-at-all", subject, "", options, True)  # type: ignore[arg-type]
    world.hears(word)
    assert world.answered[-1].reason == Reason.NO_SUCH_PERSON.value
    found = remedies(Reason.NO_SUCH_PERSON.value, word, world.decided(), world.model)
    again = in_words(found[0].command)
    assert again is not None
    assert (again.kind, again.subject, again.options) == (kind, subject, options)


def test_a_word_that_says_something_is_said_again_with_its_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """As its verb takes it: behind the subject, in one piece."""
    monkeypatch.setattr(refused, "SAYING", (*refused.SAYING, WordKind.HOLD))
    world = lab()
    word = WordSpoken("w", WordKind.HOLD, "nobody", "acme/erp", "the vendor's man is there")
    again = refused.Refused(Reason.NOBODY_NAMED, word, world.decided(), world.model).again("--by", "Ada")
    assert shlex.split(again) == ["bascule", "hold", "acme/erp", "the vendor's man is there", "--by", "Ada"]


def test_every_reason_that_can_refuse_a_word_has_a_story_or_is_a_tier_s_failure() -> None:
    told = {s.reason for s in STORIES} | {Reason.ID_IN_USE, Reason.CANNOT_ACT} | set(FAILED_TIERS)
    assert set(ROWS) == told


PERSONS = [r for r in Reason if r.against is Against.PERSON and r.part in (Part.GUARD, Part.TIER)]


@pytest.mark.parametrize("reason", PERSONS)
def test_a_guard_without_a_row_is_looked_at_or_gone_against(reason: Reason, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(ROWS, reason, raising=False)
    world = lab()
    word = WordSpoken("w", F, "Ada", "acme/erp", "", {"move": "geo-site"})
    look, against = remedies(reason.value, word, world.decided(), world.model)
    assert look.command == "bascule status acme/erp"
    again = in_words(against.command)
    assert again is not None
    assert again.options == {"move": "geo-site", "override": [reason.value]}


def test_a_remedy_that_can_never_show_is_not_there() -> None:
    """What stops automatic action alone refuses nobody's word."""
    source = words.policy.BY_HAND
    assert {g.__name__ for g in source} == {"blind", "too_many_failovers"}
    for reason in (Reason.HELD, Reason.IN_MAINTENANCE, Reason.FLAPPING, Reason.MASS_FAILURE, Reason.NO_QUORUM):
        assert not remedies(reason.value, WordSpoken("w", F, "Ada", "acme/erp"), lab().decided(), lab().model)
