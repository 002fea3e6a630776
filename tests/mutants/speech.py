"""The sentences: what is told or shown without its record, one false sentence a mutant.

The one rule it keeps: a mutant bends what is said and nothing that is done, so that only statement 22 can notice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace

from orchestrator.core import notices
from orchestrator.core import records as r
from orchestrator.core.deciding import incident, recovery
from orchestrator.core.model import Service
from orchestrator.core.reasons import UNSEEN, Reason
from orchestrator.core.sentences import How, Sentence
from orchestrator.core.state.decided import Decided, Incident, Run
from orchestrator.core.transaction import Transaction
from orchestrator.reports import account as accounts
from orchestrator.reports import claims, data_lost, phases, status, status_text, stories
from orchestrator.reports import evidence as ledger
from orchestrator.reports.claims import Fenced, Moved
from orchestrator.reports.shape import Figure, Known, OutageLine
from orchestrator.reports.status_parts import ServiceNow
from orchestrator.reports.story import RunStory, StepStory, Story
from orchestrator.sim import shown_status
from tests.mutants.mutant import DOWN, Mutant, put

SPOKEN = (22,)


def saying(where: object, name: str, instead: Callable[..., object]) -> Callable[[], AbstractContextManager[None]]:
    """Something else is said there."""

    @contextmanager
    def out() -> Iterator[None]:
        with put(where, name, instead):
            yield

    return out


def _over(steps: Iterable[StepStory]) -> float | None:
    return next((s.ended_at for s in steps if s.ended_at is not None), None)


def _nothing(_story: Story) -> frozenset[str]:
    return frozenset()


def _planned_is_done(story: Story) -> Moved | None:
    run = claims.telling(story.episodes[-1].runs if story.episodes else story.runs)
    if run is None or run.started.to_place in (None, run.started.from_place):
        return None
    return Moved(run.started.from_place, run.started.to_place or "", True)


def _over_is_fenced(run: RunStory) -> Fenced | None:
    ends = [s.ended_at for s in run.steps.values() if s.planned.kind in (r.StepKind.FENCE, r.StepKind.PROOF)]
    return Fenced(max(x for x in ends if x is not None), "") if ends and None not in ends else None


@contextmanager
def stated_is_proven() -> Iterator[None]:
    """What a person states is told as proven; no seed has it often enough: see `tests/sim/test_spoken_truth.py`."""
    fenced = claims.fenced

    def proven(run: RunStory) -> Fenced | None:
        out = fenced(run)
        return None if out is None else replace(out, by="")

    change = accounts._change

    def out_for_sure(x: object, zero: float) -> object:
        by_hand = isinstance(x, r.MayActRemoved) and x.reason is Reason.FENCED_BY_HAND
        return change(replace(x, reason=Reason.CONDITIONS_MET) if by_hand else x, zero)  # type: ignore[type-var,arg-type]

    with put(claims, "fenced", proven), put(accounts, "_change", out_for_sure):
        yield


@contextmanager
def somebody_stated() -> Iterator[None]:
    """What one person states is told as another's; the seeds have it as seldom as the one above."""
    fenced = claims.fenced

    def another(run: RunStory) -> Fenced | None:
        out = fenced(run)
        return replace(out, by="Somebody Else") if out is not None and out.by else out

    with put(claims, "fenced", another):
        yield


def _planned_data(run: RunStory | None) -> Figure:
    ages = [] if run is None else [s.measures["data_age_s"] for s in run.steps.values() if "data_age_s" in s.measures]
    return Figure(max(ages), Known.MEASURED, "found") if ages else Figure(None, Known.UNKNOWN, "not measured")


def _clock_runs_on(story: Story, outages: tuple[OutageLine, ...]) -> Figure:
    ended = story.episodes[-1].ended if story.episodes else None
    return Figure(ended.rta_s if ended else None, Known.MEASURED, "the clock ran on")


def _since_the_first(incident: Incident) -> float:
    return incident.first_bad_at


def _by_itself(tx: Transaction, service: Service, reason: Reason, by: Run) -> tuple[How, str]:
    return How.BY_ITSELF, ""


def _by_whatever_ran(tx: Transaction, service: Service, reason: Reason, by: Run) -> tuple[How, str]:
    return How.BY_RUN, ""


def _as_recorded(_story: Story, last: r.TierJudged, _over: bool) -> str:
    return last.state.value


@contextmanager
def needless_while_open() -> Iterator[None]:
    """A tier that nobody came to is not needed, whether or not the incident is open."""
    tiers = accounts._tiers

    def told(story: Story, zero: float) -> object:
        return [replace(t, state="not needed") if t.state == "not judged yet" else t for t in tiers(story, zero)]

    with put(accounts, "_tiers", told):
        yield


@contextmanager
def without_detection() -> Iterator[None]:
    """The seconds before an outage was seen belong to no phase."""
    cut = phases.episode_segments

    def later(episode: object, now: float) -> object:
        return tuple(s for s in cut(episode, now) if s.phase is not phases.Phase.DETECT)  # type: ignore[arg-type]

    with put(phases, "episode_segments", later):
        yield


@contextmanager
def never_stopped() -> Iterator[None]:
    """A run that was stopped before anything of it was begun is told as failed."""
    with put(Run, "failed", property(lambda _run: True)), put(claims, "failed", lambda _run: True):
        yield


@contextmanager
def everything_is_down() -> Iterator[None]:
    """A service in an incident is called down, whatever its checks say."""
    now_of = status.status_now

    def told(*given: object) -> object:
        found = now_of(*given)  # type: ignore[arg-type]
        services = (replace(s, condition="down") if s.incident else s for s in found.services)
        return replace(found, services=tuple(services))

    with put(shown_status, "status_now", told):
        yield


@contextmanager
def begun_when_over() -> Iterator[None]:
    """A step that was left out began when it was."""
    steps = accounts._steps

    def told(*given: object) -> object:
        never = {"from_s": 0.0, "to_s": 0.0, "took_s": 0.0}
        return [replace(s, **never) if s.from_s is None else s for s in steps(*given)]  # type: ignore[arg-type]

    with put(accounts, "_steps", told):
        yield


@contextmanager
def gone_back_in_silence() -> Iterator[None]:
    """Nobody learns how a way back by itself has ended."""
    tell = Transaction.tell

    def told(tx: Transaction, notice: str, *given: object, **more: object) -> None:
        run = tx.decided.runs.get(notice.partition("/")[0])
        ended = notice.endswith("/ended") and run is not None and run.started.origin is r.Origin.AUTOMATIC
        if not ended:
            tell(tx, notice, *given, **more)  # type: ignore[arg-type]

    with put(Transaction, "tell", told):
        yield


def _always_down(s: ServiceNow, _down_s: float) -> str:
    return f"UNKNOWN, down when last seen; {s.incident} not over"


def _dark_from_now_on(tx: Transaction, incident: Incident, reason: Reason) -> float | None:
    """What nobody saw before somebody looks again was down."""
    if reason not in UNSEEN:
        return None
    return tx.now() if incident.dark_since is None else incident.dark_since


SPEECH = (
    Mutant(
        "told: unheard",
        "it was down while nobody looked",
        SPOKEN,
        saying(recovery, "dark_since", _dark_from_now_on),
        needs=(DOWN, "controller killed|controller stands still"),
    ),
    Mutant("told: begun", "what never began has times", SPOKEN, begun_when_over),
    Mutant(
        "told: last seen", "down when last seen, whatever was", SPOKEN, saying(status_text, "_standing", _always_down)
    ),
    Mutant(
        "told: again",
        "what is not so any more is told again",
        SPOKEN,
        saying(notices, "over", lambda _decided, _due: ""),
        needs=("nobody can be reached",),
    ),
    Mutant(
        "told: unseen",
        "what nobody can see is told as down",
        SPOKEN,
        saying(incident, "_not_done", lambda *_: Sentence.NOTHING_BY_ITSELF),
    ),
    Mutant("told: moved", "what was planned is told as moved", SPOKEN, saying(claims, "moved", _planned_is_done)),
    Mutant("told: fenced", "a fence that is over is told as proven", SPOKEN, saying(claims, "fenced", _over_is_fenced)),
    Mutant("told: data", "an RPA without data opened elsewhere", SPOKEN, saying(data_lost, "rpa_of", _planned_data)),
    Mutant("told: RTA", "the RTA runs on between two outages", SPOKEN, saying(accounts, "_rta", _clock_runs_on)),
    Mutant("told: phases", "the phases are not all of the RTA", SPOKEN, without_detection),
    Mutant("told: acted", "a step that is over is told as done", SPOKEN, saying(claims, "_done_at", _over)),
    Mutant("told: by itself", "every recovery is told as by itself", SPOKEN, saying(recovery, "_how", _by_itself)),
    Mutant("told: by a run", "a recovery is put to whatever ran", SPOKEN, saying(recovery, "_how", _by_whatever_ran)),
    Mutant("told: running", "tiers are told as they were", SPOKEN, saying(accounts, "_tier_state", _as_recorded)),
    Mutant("told: needless", "a tier is not needed in an open incident", SPOKEN, needless_while_open, rest=True),
    Mutant("told: fell", "no check is told of", SPOKEN, saying(stories, "_relevant", _nothing)),
    Mutant("told: failed", "what was not made is told as failed", SPOKEN, never_stopped),
    Mutant("told: gone back", "how a way back has ended is told to nobody", SPOKEN, gone_back_in_silence),
    Mutant("told: down", "down, while the checks are good", SPOKEN, everything_is_down),
    Mutant(
        "told: relapse",
        "the clock runs on between outages",
        SPOKEN,
        saying(Incident, "clock_at", property(_since_the_first)),
    ),
    Mutant(
        "told: in vain", "a move proves what did not come back with it", SPOKEN,
        saying(claims, "in_vain", lambda _story, _run: False),
    ),
    Mutant(
        "told: tried before", "a tier is told by its run before a relapse", SPOKEN,
        saying(status, "_runs_of", lambda incident, move, state: [
            x for name in incident.runs if (x := state.runs.get(name)) is not None and x.started.move == move
        ]),
    ),
    Mutant(
        "told: rehearsal", "a rehearsal is at work for its service", SPOKEN,
        saying(Decided, "run_for", lambda state, name: next(
            (x for x in state.unfinished_runs() if x.started.service == name), None
        )),
    ),
    Mutant(
        "told: drill stopped", "a drill that was stopped has failed", SPOKEN,
        saying(ledger, "_failed", lambda run: run.ended is not None and not run.ended.ok),
    ),
    Mutant(
        "numbered", "a tier is shown as the one that had its number before a reload", SPOKEN,
        saying(status, "_ledger", lambda incident, number, _move: incident.tiers.get(number)),
        needs=("configuration changes",),
    ),
)  # fmt: skip
