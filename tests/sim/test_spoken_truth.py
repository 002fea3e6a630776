"""Statement 22: true sentences pass, and each false one is noticed, in stories that give it its chance."""

from __future__ import annotations

from contextlib import AbstractContextManager, ExitStack, nullcontext
from functools import cache

import pytest

from orchestrator.cli.validate import probe_kinds
from orchestrator.config import load
from orchestrator.core import records as r
from orchestrator.core.sentences import Sentence
from orchestrator.sim import spoken_drills
from orchestrator.sim.campaign import Campaign, Plan
from orchestrator.sim.scripts import parse
from orchestrator.sim.simulation import Result, quiet
from orchestrator.sim.spoken_truth import _JUDGES, IN_THE_DARK
from tests.mutants.speech import SPEECH, gone_back_in_silence, somebody_stated, stated_is_proven
from tests.sim import models

STORIES = {
    "fenced by hand": """
        at 10 s: cut off lab/hq for 10 min
        at 22 s: say approve, having fenced the place by hand
    """,
    "rejected": """
        at 10 s: cut off lab/hq for 3 min
        at 60 s: say reject
    """,
    "aborted": """
        at 10 s: cut off lab/hq for 3 min
        at 60 s: say abort
    """,
    "a fence fails": """
        at 0 s: fail the playbooks of lab/hq for good
        at 10 s: cut the power of lab/hq for 5 min
    """,
    "the move changes nothing": """
        at 0 s: let the playbooks of lab/geo-site change nothing for good
        at 10 s: cut the power of lab/hq for 5 min
    """,
    "over before anybody was reached": """
        at 5 s: let nobody be reached for 5 min
        at 10 s: cut off lab/hq for 50 s
    """,
    "two short outages": """
        at 10 s: crash lab/erp for 9 s
        at 60 s: crash lab/erp for 9 s
    """,
    "back while its playbook hangs": """
        at 0 s: hang the playbooks of lab/backup-isp for good
        at 10 s: cut off lab/isp-a for 60 s
    """,
    "passes while a person is asked": """
        at 10 s: cut off lab/hq for 60 s
    """,
    "nobody comes": """
        at 10 s: cut off lab/isp-a for 5 min 30 s
        at 10 s: cut off lab/isp-b for 5 min 30 s
    """,
    "machine restarts": """
        at 10 s: cut the power of lab/hq for 5 min
        at 25 s: restart the controller's machine, back after 40 s
    """,
    "down again while its way back finishes": """
        at 10 s: cut the power of lab/hq for 2 min
        at 240 s: say failback lab/erp
        at 300 s: crash lab/erp for 20 s
    """,
    "fails while its way back is prepared": """
        at 10 s: cut the power of lab/hq for 2 min
        at 200 s: say failback lab/erp
        at 206 s: crash lab/erp for 40 s
    """,
    "blind in an incident": """
        at 10 s: say hold lab/erp
        at 12 s: crash lab/erp for 5 min
        at 30 s: blind the vantage local for 3 min
        at 40 s: say resume lab/erp
    """,
    "nobody looks in an outage": """
        at 10 s: say hold lab/erp
        at 12 s: crash lab/erp for 5 min
        at 60 s: kill the controller, back after 2 min
    """,
    "held in a run": """
        at 10 s: cut the power of lab/hq for 5 min
        at 17 s: say hold lab/erp
    """,
    "a tier that helps nothing": """
        at 10 s: say drill lab/erp by lab/geo-site for 10 s, at full scale
        at 20 s: say abort
        at 200 s: crash lab/hq-internet for 9 s
    """,
    "down again after somebody was asked": """
        at 0 s: fail the playbooks of lab/backup-isp for good
        at 10 s: crash lab/erp for 40 s
        at 80 s: crash lab/erp for 40 s
    """,
    "falls while a move hangs that was asked for": """
        at 0 s: hang the playbooks of lab/geo-site for good
        at 10 s: say failover lab/erp by lab/geo-site, and fence the place left
        at 90 s: cut off lab/isp-b for 10 s
    """,
    "an outage in a rehearsal": """
        at 10 s: say drill lab/erp by lab/geo-site
        at 36 s: cut the power of lab/hq for 3 min
    """,
    "a rehearsal is cancelled": """
        at 10 s: say drill lab/erp by lab/geo-site
        at 14 s: say drill cancel
        at 200 s: crash lab/erp for 9 s
    """,
}
BENT = {
    "told: again": "over before anybody was reached",
    "told: unseen": "blind in an incident",
    "told: moved": "rejected",
    "told: fenced": "a fence fails",
    "told: data": "rejected",
    "told: acted": "a fence fails",
    "told: phases": "a fence fails",
    "told: failed": "rejected",
    "told: running": "passes while a person is asked",
    "told: by itself": "back while its playbook hangs",
    "told: by a run": "back while its playbook hangs",
    "told: unheard": "nobody looks in an outage",
    "told: begun": "rejected",
    "told: last seen": "back while its playbook hangs",
    "told: RTA": "two short outages",
    "told: relapse": "two short outages",
    "told: in vain": "a tier that helps nothing",
    "told: tried before": "down again after somebody was asked",
    "told: rehearsal": "an outage in a rehearsal",
    "told: drill stopped": "a rehearsal is cancelled",
}


@cache
def campaign() -> Campaign:
    quiet()
    return Campaign(Plan(models.lab()))


def played(story: str, *bent: AbstractContextManager[None]) -> Result:
    text = "workspace: lab\nlength: 6 min\ncalm: 4 min\n" + "\n".join(x.strip() for x in STORIES[story].splitlines())
    script = parse(text, story, campaign().names)
    with ExitStack() as stack:
        for each in bent:
            stack.enter_context(each)
        return campaign().simulation(script.seed, script.faults).play(script.length_s, script.calm_s)


@pytest.mark.parametrize("story", STORIES)
def test_what_is_said_of_it_is_true(story: str) -> None:
    result = played(story)
    assert [str(v) for v in result.violations] == []
    assert any(isinstance(x, r.IncidentOpened) for entry in result.entries for x in entry.records)


@pytest.mark.parametrize("name", BENT)
def test_a_false_sentence_is_noticed(name: str) -> None:
    mutant = next(m for m in SPEECH if m.name == name)
    found = {v.statement for v in played(BENT[name], mutant.out()).violations}
    assert 22 in found, f"nobody noticed: {mutant.takes_out}"


def test_a_statement_told_as_a_proof_is_noticed() -> None:
    found = [v for v in played("fenced by hand", stated_is_proven()).violations if v.statement == 22]
    assert any("no record says: " in v.evidence and "lab/hq cannot act any more" in v.evidence for v in found)


def test_a_statement_told_as_somebody_elses_is_noticed() -> None:
    found = [v for v in played("fenced by hand", somebody_stated()).violations if v.statement == 22]
    assert any("Somebody Else stated that the place left" in v.evidence for v in found)


@pytest.mark.parametrize("told", [True, False])
def test_how_a_way_back_has_ended_is_told(told: bool) -> None:
    quiet()
    known = Campaign(Plan(load(models.WORKSPACES / "chain", probe_kinds=probe_kinds()).model))
    script = parse(
        "workspace: chain\nlength: 4 min\ncalm: 1 min\nat 10 s: cut off chain/line-a for 20 s", "", known.names
    )
    with nullcontext() if told else gone_back_in_silence():
        result = known.simulation(script.seed, script.faults).play(script.length_s, script.calm_s)
    found = [v.rule for v in result.violations if v.statement == 22]
    assert found == ([] if told else [IN_THE_DARK])
    assert any(isinstance(x, r.RunEnded) and x.run == "r2" for entry in result.entries for x in entry.records)


def test_every_sentence_has_its_judge() -> None:
    assert set(_JUDGES) | set(spoken_drills.JUDGES) == set(Sentence)
