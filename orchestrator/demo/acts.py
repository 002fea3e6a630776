"""The three acts: what fails, which tier is expected, and how their accounts are made from journal and meter.

The one rule it keeps: our figures come from the journal, the end user's from the meter's log, and neither is corrected
by the other.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from orchestrator.core import records as r
from orchestrator.demo.stage import Stage
from orchestrator.lab.account import Act, ActAccount, Attempt, Fence, account
from orchestrator.lab.lab import Lab
from orchestrator.reports.account import Account
from orchestrator.reports.account import account as report_account
from orchestrator.reports.stories import Stories
from orchestrator.reports.story import Episode, Story

SERVICE = "lab/erp"
STAFF = "lab/hq-internet"


@dataclass(frozen=True, slots=True)
class Scene:
    """One act as written: `ready` are the checks that must be up before it makes sense."""

    title: str
    happens: str
    fault: Callable[[Lab], None]
    tier: int
    place: str
    ready: tuple[str, ...]
    pause_s: float
    loses_data: bool


SCENES = (
    Scene(
        "ISP A dies silently",
        "the head office's first provider stops carrying packets; the line stays up",
        lambda lab: lab.cut("isp-a"),
        1,
        "lab/hq",
        ("isp-b-path", "geo-replica", "geo-ready", "hq-mains", "backup-age", "cloud-instance-there"),
        3.0,
        False,
    ),
    Scene(
        "Head office loses power",
        "every host of the head office goes dark; its console has a battery and an uplink of its own",
        lambda lab: lab.stop("hq"),
        2,
        "lab/geo",
        ("isp-b-path", "geo-replica", "geo-ready", "hq-mains", "hq-internet"),
        4.0,
        True,
    ),
    Scene(
        "The second site loses power too",
        "the second site goes dark while it serves; what is left is the cloud and the newest backup",
        lambda lab: lab.stop("geo"),
        3,
        "lab/cloud",
        ("geo-mains", "backup-age", "cloud-instance-there"),
        12.0,  # the second site, primary for a moment, has shipped backups of its own by then
        True,
    ),
)


@dataclass(slots=True)
class Played:
    """One act as it went. Times are epoch seconds."""

    scene: Scene
    began_s: float
    ended_s: float = 0.0
    existing: frozenset[str] | None = None
    failure: str = ""
    promised: int = 0  # transactions acknowledged until the act's end; any of them can be lost in it
    account: Account | None = None
    user: ActAccount | None = None
    staff: ActAccount | None = None

    @property
    def act(self) -> Act:
        """The act as the meter's account wants it."""
        lost_at_s = self.began_s if self.scene.loses_data else None
        return Act(self.scene.title, self.began_s, self.ended_s, lost_at_s)


def existing_ids(stage: Stage, since_s: float) -> frozenset[str] | None:
    """The ids of transactions that exist now, asked as an end user would; None: nobody answers."""
    argv = [sys.executable, "-P", "-m", "orchestrator.lab.programs.meter", "--mode", "ids"]
    argv += ["http://erp.acme.example/transactions", "--resolver", "198.51.100.53", "--since", str(since_s)]
    try:
        done = stage.lab.exec("client", argv, capture_output=True, text=True, timeout=60)
    except subprocess.TimeoutExpired:
        return None
    if done.returncode != 0:
        return None
    found = json.loads(done.stdout)
    return frozenset(found["ids"] if isinstance(found, dict) else found)


def settle_accounts(stage: Stage, played: list[Played], user: list[Attempt], staff: list[Attempt]) -> None:
    """Draw every act's account: ours from the journal, the user's and the staff's from their meters."""
    clock = stage.stories.clock
    fences = [
        Fence(x.place.rpartition("/")[2], clock.wall(x.at))
        for x in (story_record for s in stage.stories.stories.values() for story_record in s.placements)
        if isinstance(x, r.MayActRemoved)
    ]
    acts = [p.act for p in played]
    of_user = account(user, acts, [p.existing for p in played], fences)
    of_staff = account(staff, acts[:1], [None])
    for number, one in enumerate(played):
        one.user = of_user[number]
        one.promised = sum(a.acknowledged and a.ended_s < one.ended_s for a in user)
        one.staff = of_staff[0] if number == 0 else None
        found = _outage(stage.stories, one)
        if found is not None:
            story, episode = found
            alone = of_episode(story, episode)
            meter = _meter(one, one.user, clock.wall(alone.began_at))
            one.account = report_account(
                alone, clock, clock.axis(one.ended_s), meter, f"{number + 1}. {one.scene.title}"
            )


def of_episode(story: Story, episode: Episode) -> Story:
    """One outage of an incident as a story of its own; its clock starts at its own first bad answer."""
    first, last = episode.opened.first_bad_at, float("inf")
    if episode.ended is not None:
        last = max([episode.ended.at, *(x.ended.at for x in episode.runs if x.ended)])

    def within(at: float) -> bool:
        return first - 5.0 <= at <= last

    return replace(
        story,
        episodes=[episode],
        runs=list(episode.runs),
        words=[w for w in story.words if within(w.at)],
        notices=[(n, s) for n, s in story.notices if within(n.at)],
        checks=[c for c in story.checks if within(c.at)],
        placements=[p for p in story.placements if within(p.at)],
        controllers=[c for c in story.controllers if within(c.at)],
    )


def _outage(stories: Stories, played: Played) -> tuple[Story, Episode] | None:
    """The act's outage: the application's, or that of the service whose move brought both back."""
    found: list[tuple[Story, Episode]] = []
    for story in stories.stories.values():
        for episode in story.episodes:
            at_s = stories.clock.wall(episode.opened.first_bad_at)
            if story.service in (SERVICE, STAFF) and played.began_s - 1.0 <= at_s <= played.ended_s:
                found.append((story, episode))
    with_run = [x for x in found if any(run.ended and run.ended.ok for run in x[1].runs)]
    return min(with_run or found, key=lambda x: x[0].service != SERVICE, default=None)


def _meter(one: Played, user: ActAccount, zero_s: float) -> Mapping[str, object]:
    longest = max(user.outages, key=lambda o: o.seconds, default=None)
    return {
        "meter": "client",
        "outage_s": user.total_s,
        "longest_outage_s": user.longest_s,
        "acknowledged": one.promised,
        "lost": len(user.lost_ids) if user.loss_known else None,
        "oldest_lost_age_s": user.oldest_lost_age_s,
        "served_by": ", ".join(f"{k} ({v})" for k, v in user.served_by.items()),
        "outage_from_s": longest.began_s - zero_s if longest else None,
        "outage_to_s": longest.ended_s - zero_s if longest else None,
    }
