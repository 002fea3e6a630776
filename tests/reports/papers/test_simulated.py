"""Reports of simulated disasters: what a slice tells is what the whole journal tells, and no client is in another's."""

from __future__ import annotations

from random import Random

import pytest

from orchestrator.journal.chain import GENESIS, body_of, link
from orchestrator.journal.journal import Linked
from orchestrator.reports.account import account
from orchestrator.reports.papers.comparing import Kept, against
from orchestrator.reports.papers.composition import compose
from orchestrator.reports.papers.edition import for_client
from orchestrator.reports.papers.excerpt import Asked, cut, subject_of
from orchestrator.reports.papers.narrowing import Width, narrow
from orchestrator.reports.papers.printing import Papers, verified
from orchestrator.reports.papers.shape import ReportKind
from orchestrator.reports.stories import Stories
from orchestrator.sim.campaign import Campaign, Plan, changed
from tests.sim import models

BY = "bascule 0"


@pytest.mark.parametrize("seed", [5, 12])
def test_of_two_clients_with_the_same_names(seed: int) -> None:
    """Controllers killed, clocks set, models reloaded meanwhile."""
    model = models.twins()
    known = {x.digest: x for x in (model, changed(model, Random(f"reload/{seed}")))}
    entries = Campaign(Plan(model, hours=0.1, calm_s=300.0)).play(seed).entries
    links, before = [], GENESIS
    for e in entries:
        body = body_of(e.seq, e.at, e.wall, e.epoch, e.records, e.rows, e.binds)
        links.append(Linked(e, before, body, link(before, body)))
        before = links[-1].hash
    stories, last = Stories(known.get).read(entries), entries[-1]
    asked = Asked(last.at, last.wall, None, f"{last.seq}:{before.hex()}")
    assert stories.stories
    for story in stories.stories.values():
        kind = ReportKind.INCIDENT if story.episodes else ReportKind.PLANNED_MOVE
        whole = cut(subject_of([story], stories, last.at, kind, story.id), stories, lambda: iter(links), asked)
        found, _ = narrow(whole)
        assert found.subject.width == Width.NARROW
        assert compose(found).parts == (account(story, stories.clock, last.at),)
        assert verified(Papers(found, BY).file, BY).wrong == ()
        client = for_client(found)
        page = Papers(client, BY, "fr").html()
        assert verified(page, BY).wrong == ()
        (other,) = {"east", "west"} - {found.subject.client}
        assert other not in page
        assert against(client, Kept(stories, lambda: iter(links))) == []
