"""Two clients of equal names, places, services and moves under one controller: nothing said to one names the other.

Random answers, ends of playbooks and words of both; then all that one client's people are told and shown is searched
for the other's name: notices, the client's status, reports of its incidents and moves.
"""

from __future__ import annotations

from dataclasses import asdict, replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.cli.remedies import remedies
from orchestrator.core import events as e
from orchestrator.core import records as r
from orchestrator.core.awareness.sight import sight
from orchestrator.core.codec import decode, dumps, encode, loads
from orchestrator.core.commands import NoticeKind, RunPlaybook
from orchestrator.core.events import WordKind
from orchestrator.core.model import Json, Limits, Model
from orchestrator.core.reasons import Reason
from orchestrator.journal.journal import Entry
from orchestrator.reports.account import account
from orchestrator.reports.status import only, status_now
from orchestrator.reports.status_parts import Live
from orchestrator.reports.stories import Stories
from tests.core.test_isolation import isolating
from tests.core.world import World

OTHER = {"acme": "bistro", "bistro": "acme"}
AT_HQ = ("erp-transaction", "hq-internet", "isp-b-path", "edge-uses-isp-b")
ENDS = (e.AttemptEnd.OK, e.AttemptEnd.OK, e.AttemptEnd.FAILED, e.AttemptEnd.PLAN_CHANGED)
SUBJECTS = ("{}", "{}/erp", "{}/hq-internet", "{}/nothing", "*")


def renamed(model: Model, client: str) -> Model:
    """The same of another client."""
    text = dumps(encode(model)).decode().replace("acme/", f"{client}/").replace('"acme"', f'"{client}"')
    return decode(Model, loads(text.replace('"digest-', f'"{client}-digest-')))


def both(model: Model, client: str = "bistro") -> Model:
    """Acme, and another client of equal names."""
    other = renamed(model, client)
    parts = ("checks", "places", "moves", "services")
    joined = {part: {**getattr(model, part), **getattr(other, part)} for part in parts}
    return replace(model, digest="both", limits=Limits(failure_domains=99, concurrent_failovers=99), **joined)


class TwoClients(World):
    """Playbooks of both have their effects, each at its own client."""

    def __init__(self) -> None:
        super().__init__(both(isolating().model))
        self.answers |= {name.replace("acme/", "bistro/"): answer for name, answer in self.answers.items()}
        self.measures |= {name.replace("acme/", "bistro/"): found for name, found in self.measures.items()}
        self.ends = e.AttemptEnd.OK
        for client in OTHER:
            self.answer(client, e.Answer.BAD, "hq-closed")
        self.run(20)

    def answer(self, client: str, answer: e.Answer, *names: str) -> None:
        """From now on these checks of the client answer so."""
        self.answers |= {f"{client}/{name}": answer for name in names}

    def _play(self, command: RunPlaybook) -> None:
        done = {"close_hq.yml": "hq-closed", "power_off_hq.yml": "hq-off", "geo-site.yml": "erp-transaction"}
        outcome = self.ends

        def end() -> None:
            if outcome is e.AttemptEnd.OK and command.playbook.path in done:
                self.answer(command.client, e.Answer.GOOD, done[command.playbook.path])
            self._step(e.StepEnded(command.key, outcome, f"{command.client}: {outcome.value}"))

        self.at(self.now + 2.0, end)


def told(world: World, client: str) -> list[str]:
    """All that this client's people are told and shown."""
    live = Live(True, 0.0, sight=sight(world.engine.transaction(world.now)))
    status = status_now(world.decided(), world.model, world.now, world.now, live)
    read = Stories(lambda _digest: world.model)
    read.read(Entry(n, at, at, 1, records, {}) for n, (at, records) in enumerate(world.entries, 1))
    own = [x for x in read.stories.values() if x.service.startswith(f"{client}/")]
    return [
        *(str(asdict(only(status, [subject]))) for subject in (client, f"{client}/erp")),
        *(str(x) for x in world.told if x.client == client),
        *(str(asdict(account(x, read.clock, world.now))) for x in own),
    ]


def nothing_crosses(world: World) -> None:
    """Nothing that is told or shown to one names the other."""
    for client, other in OTHER.items():
        for text in told(world, client):
            at = text.find(other)
            assert at < 0, f"of {client}: …{text[max(0, at - 300) : at + 100]}"


clients = st.sampled_from(list(OTHER))
answers = st.tuples(clients, st.sampled_from(list(e.Answer)), st.sampled_from((*AT_HQ, "geo-ready", "cloud-ready")))
dark = st.tuples(clients, st.sampled_from([e.Answer.SILENT, e.Answer.GOOD]), st.just("all of hq"))
words = st.tuples(clients, st.sampled_from(list(WordKind)), st.sampled_from(SUBJECTS))
ends = st.tuples(clients, st.just("ends"), st.sampled_from(ENDS))
waits = st.tuples(clients, st.just("waits"), st.sampled_from([0.5, 5.0, 40.0]))
script = st.lists(st.one_of(answers, dark, words, words, ends, waits, waits), max_size=30)


def play(world: TwoClients, step: tuple[str, object, object]) -> None:
    """One line of the script."""
    client, what, which = step
    if isinstance(what, e.Answer):
        world.answer(client, what, *(AT_HQ if which == "all of hq" else [str(which)]))
        if which == "all of hq":
            world.answer(client, e.Answer.GOOD if what is e.Answer.SILENT else e.Answer.BAD, "hq-dark")
    elif isinstance(what, WordKind):
        options: dict[str, Json] = {"for_s": 60.0} if what is WordKind.MAINTENANCE else {"fence": True}
        runs = [x.id for x in world.decided().unfinished_runs() if x.started.service.startswith(f"{client}/")]
        world.say(what, runs[0] if runs and what in e.OF_RUNS else str(which).format(client), **options)
    elif what == "ends":
        world.ends = which  # type: ignore[assignment]
    else:
        world.run(which)  # type: ignore[arg-type]


def is_down(world: TwoClients, *names: str) -> None:
    """The sites of these clients go dark."""
    for client in names:
        play(world, (client, e.Answer.SILENT, "all of hq"))
    world.run(30)


@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from([("acme",), ("acme", "bistro")]), st.booleans(), script)
def test_nothing_that_is_said_to_one_names_the_other(
    down: tuple[str, ...], suspected: bool, steps: list[tuple[str, object, object]]
) -> None:
    world = TwoClients()
    for client in OTHER if suspected else ():
        world.say(WordKind.SUSPECT, client)
    is_down(world, *down)
    for step in steps:
        play(world, step)
        if step[1] != "waits":
            nothing_crosses(world)
    world.run(70)
    nothing_crosses(world)


@pytest.mark.parametrize(
    ("said", "ends"),
    [
        (WordKind.HOLD, WordKind.RESUME),
        (WordKind.SUSPECT, WordKind.CLEAR),
        (WordKind.MAINTENANCE, WordKind.MAINTENANCE_END),
    ],
)
def test_a_word_that_ends_nothing_does_not_tell_what_stands_for_the_other(said: WordKind, ends: WordKind) -> None:
    world = TwoClients()
    is_down(world, "acme")
    play(world, ("bistro", said, "{}/erp"))
    refused = world.say(ends, "acme")
    assert not refused.accepted
    assert "bistro" not in refused.evidence
    word = e.WordSpoken("w", ends, "Ada", "acme")
    remedy = remedies(refused.reason, word, world.decided(), world.model)
    assert not [x for x in remedy if "bistro" in x.command], "nobody ends for acme what stands for bistro"
    assert "acme/erp is" in world.say(ends, "acme/nothing").evidence.replace("are acme/erp,", "acme/erp is")
    nothing_crosses(world)


def test_what_a_word_about_everything_was_answered_stands_in_no_clients_report() -> None:
    world = TwoClients()
    is_down(world, "acme")
    play(world, ("bistro", WordKind.HOLD, "{}/erp"))
    assert "bistro/erp" in world.say(WordKind.RESUME, "*").evidence, "whoever said it is told"
    nothing_crosses(world)
    assert any("resume *" in text for text in told(world, "acme")), "that it was said is shown"


def test_what_was_isolated_for_one_is_not_said_to_be_isolated_for_the_other() -> None:
    world = TwoClients()
    for client in OTHER:
        play(world, (client, WordKind.SUSPECT, "{}"))
    is_down(world, "bistro")
    assert any("bistro/hq was isolated by r1" in text for text in told(world, "bistro"))
    nothing_crosses(world)
    cleared = world.say(WordKind.CLEAR, "acme")
    assert cleared.accepted
    assert "bistro" not in cleared.evidence


def test_a_client_that_is_called_like_an_incident_or_a_run_of_another_is_told_of_by_itself() -> None:
    world = TwoClients()
    is_down(world, "acme")
    incident, run = (next(iter(x)) for x in (world.decided().incidents, world.decided().runs))
    for name in (incident, run):
        world.model = replace(both(world.model, name), digest=name)
        world.hears(e.ConfigurationLoaded(world.model))
        assert world.say(WordKind.HOLD, name).accepted
        text = f"{name}: blind"
        world.entries.append((world.now, (r.NoticeDue(world.now, name, NoticeKind.CANNOT_SEE, name, name, text, ""),)))
        assert not any(f"hold {name}" in x or text in x for x in told(world, "acme"))


@pytest.mark.parametrize(
    ("word", "named"), [(WordKind.FAILOVER, "bistro/geo-site"), (WordKind.FAILBACK, "bistro/return-hq")]
)
def test_a_move_of_the_other_is_none_of_its_own_of_that_name(word: WordKind, named: str) -> None:
    world = TwoClients()
    refused = world.say(word, "acme/erp", move=named, fence=True)
    assert refused.reason == Reason.NO_SUCH_MOVE
