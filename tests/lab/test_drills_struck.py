"""A disaster in the middle of a drill: it is recovered as it would be without one, and the drill gives way.

The one rule every case checks: the end user's meter shows the outage, and that it was over within the RTO; the drill's
record says that it was interrupted; what it had set up is gone, by what the hosts and the cloud say.

A case is a phase of a drill and what strikes in it. One is in `make test`; the others in `make test-long`.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import pytest

from orchestrator.core import records as r
from orchestrator.core.commands import NoticeKind
from orchestrator.core.reasons import Reason
from orchestrator.lab.lab import Lab
from tests.lab import crash, drills
from tests.lab.crash import Ground, Instant
from tests.lab.drills import FULL_SCALE, REHEARSALS, Drill, Made
from tests.lab.story import ERP, Story

pytestmark = [pytest.mark.lab, pytest.mark.timeout(1800)]
SAMPLE = ("rehearse-geo-site-survey-head-office-dark",)


@dataclass(frozen=True, slots=True)
class Strike:
    """What happens, and where the service is well afterwards. `loses`: data may be lost, by the RPO's measure.

    `asks`: a person has to say that it may go there, since a place that works may act.
    """

    name: str
    happens: Callable[[Lab], None]
    place: str
    loses: bool = True
    asks: bool = False


HQ_DARK = Strike("head-office-dark", lambda lab: lab.stop("hq"), "lab/geo")
HQ_DARK_LATE = Strike("head-office-dark", lambda lab: lab.stop("hq"), "lab/cloud")
GEO_DARK = Strike("second-site-dark", lambda lab: lab.stop("geo"), "lab/cloud")
GEO_DARK_LATE = Strike("second-site-dark", lambda lab: lab.stop("geo"), "lab/cloud", asks=True)  # hq was prepared
ISP_A = Strike("first-provider-silent", lambda lab: lab.cut("isp-a"), "lab/hq", loses=False)
ISP_B = Strike("second-provider-silent", lambda lab: lab.cut("isp-b"), "lab/hq", loses=False)

_IN_PLACE, _GEO, _CLOUD = REHEARSALS
_FULL_IN_PLACE, _FULL_GEO, _FULL_CLOUD = FULL_SCALE
_STAYS_IN_PLACE, _STAYS_AT_GEO = (replace(x, stay="5m") for x in (_FULL_IN_PLACE, _FULL_GEO))


def _rehearsed(drill: Drill, strike: Strike) -> list[tuple[Drill, Instant, Strike]]:
    steps = drill.runs[drill.move][1:]
    return [(drill, Instant(x, "middle" if drills.played(x) else "began"), strike) for x in steps]


CASES = [
    *_rehearsed(_IN_PLACE, ISP_A),
    *_rehearsed(_GEO, HQ_DARK),
    *_rehearsed(_CLOUD, HQ_DARK),
    # the move there, the stay, the way back
    (_FULL_IN_PLACE, Instant("execute", "middle", of="backup-isp"), HQ_DARK),
    (_STAYS_IN_PLACE, Instant("", "over", of="backup-isp"), HQ_DARK),
    (_STAYS_IN_PLACE, Instant("", "over", of="backup-isp"), ISP_B),
    (_FULL_IN_PLACE, Instant("execute", "middle", of="backup-isp.back"), HQ_DARK),
    (_FULL_GEO, Instant("hand-over-hq", "began", of="geo-site"), HQ_DARK),
    (_FULL_GEO, Instant("execute", "middle", of="geo-site"), GEO_DARK),
    (_STAYS_AT_GEO, Instant("", "over", of="geo-site"), GEO_DARK),
    (_FULL_GEO, Instant("prepare", "middle", of="return-hq"), GEO_DARK_LATE),
    (_FULL_GEO, Instant("execute", "middle", of="return-hq"), HQ_DARK_LATE),
    (_FULL_CLOUD, Instant("hand-over-hq", "began", of="cloud-instance"), HQ_DARK),
    (_FULL_CLOUD, Instant("finish", "middle", of="return-hq-from-cloud"), ISP_A),
]


def _case(drill: Drill, instant: Instant, strike: Strike) -> object:
    where = instant.step or "stay"
    leg = f"{instant.of}-" if instant.of not in ("", drill.move) else ""
    name = f"{drill}-{leg}{where}-{strike.name}"
    return pytest.param(drill, instant, strike, id=name, marks=() if name in SAMPLE else pytest.mark.long)


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """A lab for each case."""
    one = Ground(lambda: tmp_path_factory.mktemp("struck"), "struck")
    yield one
    one.clear()


@pytest.mark.parametrize(("drill", "instant", "strike"), [_case(*x) for x in CASES])
def test_struck(ground: Ground, drill: Drill, instant: Instant, strike: Strike) -> None:
    """One phase."""
    with ground.drill() as story:
        made = drills.make(story, drill, (instant,), lambda story, _instant: strike.happens(story.lab))
        if strike.asks:
            _approve(story, made)
        place = strike.place.rpartition("/")[2]
        over = f"the incident is over, and {ERP} at {strike.place}"
        story.wait(over, lambda: story.of(r.IncidentEnded, made.mark) and story.recovered_at(place), drills.OVER_S)
        _it_was_recovered_as_an_incident(story, made, strike)
        _the_drill_gave_way(story, made)
        assert drills.left(story) == made.left
        ground.clear()


def _approve(story: Story, made: Made) -> None:
    """An operator types what they were told to."""

    def asked() -> list[r.NoticeDue]:
        return [x for x in story.of(r.NoticeDue, made.mark) if x.kind is NoticeKind.APPROVAL_NEEDED]

    story.wait("an approval is asked for", asked, drills.OVER_S)
    story.must(*shlex.split(asked()[-1].say)[1:], "--reason", "the second site is dark, and nobody works here")


def _it_was_recovered_as_an_incident(story: Story, made: Made, strike: Strike) -> None:
    """Within the RTO, by records and by the meter."""
    rto_s = story.stories.model.services[ERP].rto_s  # type: ignore[union-attr]
    state = story.decided.services[ERP]
    assert (state.place, state.may_act) == (strike.place, {strike.place}), story.told()
    ended = story.of(r.IncidentEnded, made.mark)
    assert ended, story.told()
    assert max(x.rta_s for x in ended) < rto_s
    story.wait("the end user is well", lambda: story.meter_is_well("client"))
    user = story.account_of(f"{made.drill} and {strike.name}", made.began_s)
    assert user.outages, "the end user has noticed nothing"
    assert user.recovered
    assert user.longest_s < rto_s
    assert user.loss_known
    assert user.fenced_acknowledgements == ()
    assert (user.oldest_lost_age_s or 0.0) <= (crash.RPO_S if strike.loses else 0.0)


def _the_drill_gave_way(story: Story, made: Made) -> None:
    """It tells of the incident; unless it had shown all before anybody noticed, and was only cleaning up."""
    ended, turned = made.end(story), story.of(r.DrillTurnedBack, made.mark)
    told = [x for x in story.of(r.NoticeDue, made.mark) if x.notice == f"{made.id(story)}/ended"]
    assert [x.kind for x in told] in ([NoticeKind.DRILL_ENDED], [NoticeKind.HUMAN_NEEDED])
    assert drills.shown(story, made.id(story))["ok"] is ended.ok
    noticed_at = story.of(r.IncidentOpened, made.mark)[0].at
    last = "verify" if made.drill.full_scale else "confirm"
    shown = [x for x in made.steps(story) if x.step == last and x.state is r.StepState.DONE and x.at < noticed_at]
    if len(shown) < len(made.drill.runs):
        assert not ended.ok, story.told()
        assert turned or ended.reason is Reason.OVERTAKEN
