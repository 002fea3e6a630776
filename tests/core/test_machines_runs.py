"""Any run, ended in any way: what the world's own account of attempts and the records alone say of it.

The runner here is the truth: an attempt goes on while controllers die, its result is told late, twice or never, and a
worker may be gone without one. Statements 4, 5, 6, 7, 14 and 16 of `docs/architecture.md`, and what words do to runs.
"""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from orchestrator.core import events as e
from orchestrator.core import records as r
from orchestrator.core.events import WordKind
from orchestrator.core.model import Mode
from orchestrator.core.state.decided import Run
from tests.core.outside import NAMES, Outside, two_sites

ENDS = [
    e.AttemptEnd.OK,
    e.AttemptEnd.OK,
    e.AttemptEnd.OK,
    e.AttemptEnd.FAILED,
    e.AttemptEnd.UNREACHABLE,
    e.AttemptEnd.TIMED_OUT,
    e.AttemptEnd.LOST,
]


class Runs(RuleBasedStateMachine):
    """Disasters, words, deaths of controllers, and ends of attempts in any order."""

    @initialize(
        web_mode=st.sampled_from([Mode.AUTO, Mode.ASK]), down=st.sampled_from(["", "erp", "web", "web", "erp web"])
    )
    def a_morning(self, web_mode: Mode, down: str) -> None:
        """It begins well, not always for long; playbooks have their effects when they end well."""
        world = self.world = Outside(two_sites(web_mode))
        world.bad("uses-b", "at-geo", "handed", "geo-off", "hq-off")
        world.effects = {
            "reroute": lambda: world.good("erp"),
            "once": lambda: world.good("web"),
            "off-hq": lambda: world.good("hq-off"),
            "off-geo": lambda: world.good("geo-off"),
            "to-geo": lambda: world.good("erp", "at-geo"),
            "hand-over": lambda: world.good("handed"),
            "to-hq": lambda: world.good("erp"),
        }
        world.run(3)
        world.bad(*down.split())
        world.run(4)

    @rule(names=st.sampled_from([["erp"], ["web"], ["erp", "web"]]))
    def goes_down(self, names: list[str]) -> None:
        self.world.bad(*names)
        self.world.run(4)

    @rule(name=st.sampled_from([*NAMES, "at-geo"]), answer=st.sampled_from(list(e.Answer)))
    def answers(self, name: str, answer: e.Answer) -> None:
        self.world.answers[f"acme/{name}"] = answer

    @rule(for_s=st.sampled_from([0.2, 1.0, 4.0, 12.0, 40.0]))
    def time_passes(self, for_s: float) -> None:
        self.world.run(for_s)

    @precondition(lambda self: self.world.truly)
    @rule(data=st.data(), outcome=st.sampled_from(ENDS))
    def an_attempt_ends(self, data: st.DataObject, outcome: e.AttemptEnd) -> None:
        self.world.ends(data.draw(st.sampled_from(sorted(self.world.truly))), outcome)
        self.world.run(0.5)

    @precondition(lambda self: self.world.up)
    @rule(at_once=st.booleans())
    def the_controller_dies(self, at_once: bool) -> None:
        """Now, or the next time between an intent and its command."""
        if at_once:
            self.world.crash()
        else:
            self.world.dies_next = True

    @precondition(lambda self: self.world.up and any(x.step == "prepare" for x in self.world.truly))
    @rule(for_s=st.sampled_from([1.0, 40.0]))
    def a_preparation_ends_well(self, for_s: float) -> None:
        """After a while, in which much may have changed."""
        self.world.run(for_s)
        for key in [x for x in sorted(self.world.truly) if x.step == "prepare"]:
            self.world.ends(key, e.AttemptEnd.OK)
        self.world.run(1)

    @precondition(lambda self: self.world.up and self.world.truly)
    @rule(same_boot=st.booleans())
    def the_whole_machine_dies(self, same_boot: bool) -> None:
        """Controller and workers: what they began is over, and nobody knows how."""
        self.world.crash()
        for key in sorted(self.world.truly):
            self.world.ends(key, e.AttemptEnd.LOST)
        self.world.start(same_boot)
        self.world.run(1)

    @precondition(lambda self: self.world.up and self.waiting())
    @rule(hold=st.booleans())
    def somebody_approves(self, hold: bool) -> None:
        """Perhaps in the same minute in which somebody else says: leave it alone."""
        run = self.waiting()[0]
        if hold:
            self.world.speak(WordKind.HOLD, run.started.service)
        self.world.speak(WordKind.APPROVE, run.id)
        self.world.run(1)

    def waiting(self) -> list[Run]:
        """The runs that wait for an approval."""
        unfinished = self.world.decided().unfinished_runs()
        return [x for x in unfinished if (step := x.current()) is not None and step.kind is r.StepKind.APPROVAL]

    @precondition(lambda self: not self.world.up)
    @rule(same_boot=st.booleans(), for_s=st.sampled_from([0.0, 5.0, 60.0]))
    def another_takes_over(self, same_boot: bool, for_s: float) -> None:
        self.world.run(for_s)
        self.world.start(same_boot)
        self.world.run(0.5)

    @precondition(lambda self: self.world.up and self.world.book.begun)
    @rule(data=st.data(), outcome=st.sampled_from(list(e.AttemptEnd)))
    def old_news(self, data: st.DataObject, outcome: e.AttemptEnd) -> None:
        """News of an attempt that is not the present one, or that has been heard already, changes no run."""
        begun = [
            e.StepKey(run, step, n) for (run, step), last in self.world.book.begun.items() for n in range(1, last + 1)
        ]
        old = [key for key in begun if not self.is_live(key)]
        if not old:
            return
        self.hears_again(data.draw(st.sampled_from(sorted(old))), outcome)

    @precondition(lambda self: self.world.up and any(key.attempt > 1 for key in self.world.truly))
    @rule(outcome=st.sampled_from(list(e.AttemptEnd)))
    def old_news_of_the_attempt_before(self, outcome: e.AttemptEnd) -> None:
        """It is no news of the attempt that runs now."""
        key = next(k for k in sorted(self.world.truly) if k.attempt > 1)
        self.hears_again(e.StepKey(key.run, key.step, key.attempt - 1), outcome)

    def hears_again(self, key: e.StepKey, outcome: e.AttemptEnd) -> None:
        """An end that was heard, or that nobody waits for."""
        self.world.hears(e.Ticked())
        if not self.world.up or self.is_live(key):
            return
        before = len(self.world.entries)
        self.world.hears(e.StepEnded(key, outcome, "old news"))
        for record in (x for _, entry in self.world.entries[before:] for x in entry):
            assert getattr(record, "run", None) != key.run, f"{key} was over, and {record} came of it"

    def is_live(self, key: e.StepKey) -> bool:
        """Whether its end is still to be heard."""
        run = self.world.decided().runs[key.run]
        step = run.step(key.step)
        live = (r.StepState.RUNNING, r.StepState.UNSEEN)
        return run.ended is None and step.attempt == key.attempt and step.state in live

    @precondition(lambda self: self.world.up and self.world.decided().runs)
    @rule(kind=st.sampled_from([WordKind.ABORT, WordKind.APPROVE, WordKind.APPROVE, WordKind.REJECT]), data=st.data())
    def a_word_to_a_run(self, kind: WordKind, data: st.DataObject) -> None:
        unfinished = [x.id for x in self.world.decided().unfinished_runs()]
        self.world.speak(kind, data.draw(st.sampled_from(unfinished or sorted(self.world.decided().runs))))
        self.world.run(0.5)

    @precondition(lambda self: self.world.up)
    @rule(
        kind=st.sampled_from([WordKind.HOLD, WordKind.RESUME, WordKind.FAILOVER, WordKind.FAILBACK]),
        service=st.sampled_from(["acme/erp", "acme/erp", "acme/web"]),
        move=st.sampled_from([None, "to-geo", "to-hq"]),
    )
    def a_word_about_a_service(self, kind: WordKind, service: str, move: str | None) -> None:
        self.world.speak(kind, service, fence=True, move=move)
        self.world.run(0.5)

    @precondition(lambda self: self.world.up and self.world.decided().words)
    @rule(data=st.data())
    def a_word_is_repeated(self, data: st.DataObject) -> None:
        """The same id gets the same answer, and nothing happens."""
        said = self.world.decided().words[data.draw(st.sampled_from(sorted(self.world.decided().words)))]
        self.world.hears(e.Ticked())
        if not self.world.up:
            return
        before = len(self.world.entries)
        answer = self.world.say(said.kind, said.subject, said.word)
        assert (answer.accepted, answer.reason) == (isinstance(said, r.WordAccepted), said.reason.value)
        assert len(self.world.entries) == before

    def teardown(self) -> None:
        """However it ended: what was decided is the fold of its records, and everybody gets out of it."""
        world = getattr(self, "world", None)
        if world is None:
            return
        if world.up:
            world.crash()  # compares the fold
        world.dies_next = False
        world.start()
        world.run(1)
        world.say(WordKind.HOLD, "*")  # else the next tier would be tried
        for run in list(world.decided().unfinished_runs()):
            world.say(WordKind.ABORT, run.id)
        world.run(2)
        assert not world.decided().unfinished_runs(), "a run that cannot be stopped"
        assert not world.truly, "an attempt that nobody waits for"


TestRuns = Runs.TestCase
TestRuns.settings = settings(deadline=None, max_examples=50, stateful_step_count=40)
