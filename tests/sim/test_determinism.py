"""The same seed tells the same story, byte by byte: whoever plays it, whatever was played before."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys

from orchestrator.core.canonical import dumps
from orchestrator.core.codec import decode, encode
from orchestrator.core.model import Model
from orchestrator.sim.campaign import Campaign, Plan
from orchestrator.sim.faults import FaultKind
from orchestrator.sim.names import names_of
from orchestrator.sim.narration import tell
from orchestrator.sim.nature import nature_of
from orchestrator.sim.simulation import Result, Simulation, quiet
from tests.lab.story import REPOSITORY
from tests.sim import models
from tests.sim.kinds import all_kinds

SEEDS = (2, 7, 11)  # mixtures of many kinds
ELSEWHERE = """
import json, sys
from orchestrator.core.codec import decode
from orchestrator.core.model import Model
from tests.sim.test_determinism import everything_goes_wrong, fingerprint, played
plan = decode(Model, json.loads(sys.stdin.read()))
for seed in sys.argv[1].split(","):
    print(fingerprint(played(int(seed), plan)))
print(fingerprint(everything_goes_wrong(plan)))
"""


def short(plan: Model) -> Plan:
    """Three minutes of faults, three of calm."""
    return Plan(plan, hours=0.05, calm_s=180.0)


def played(seed: int, plan: Model | None = None) -> Result:
    quiet()
    return Campaign(short(plan or models.lab())).play(seed)


def everything_goes_wrong(plan: Model | None = None) -> Result:
    """One fault of each kind, one after the other."""
    quiet()
    plan = plan or models.lab()
    nature = nature_of(plan)
    faults = all_kinds(names_of(plan, nature), apart_s=9.0, for_s=25.0)
    return Simulation(plan, faults, "all", nature=nature).play(300.0, 60.0)


def fingerprint(result: Result) -> str:
    """Of the journal's bytes, and of the story as it is told."""
    told = repr([*tell(result), *result.happened, result.observations, sorted(result.commands.items())])
    return hashlib.sha256(result.transcript + told.encode()).hexdigest()


def test_a_seed_is_the_same_again_and_after_others() -> None:
    once = {seed: fingerprint(played(seed)) for seed in SEEDS}
    again = {seed: fingerprint(played(seed)) for seed in reversed(SEEDS)}
    assert again == once
    assert len(set(once.values())) == len(SEEDS)


def test_a_campaign_of_many_seeds_gives_each_what_it_gives_alone() -> None:
    quiet()
    campaign = Campaign(short(models.lab()))
    assert [fingerprint(campaign.play(seed)) for seed in SEEDS] == [fingerprint(played(seed)) for seed in SEEDS]


def test_another_process_with_another_order_of_sets_tells_the_same() -> None:
    written = dumps(encode(models.lab())).decode()  # the very plan: its digests cover what this machine has and sets
    plan = decode(Model, json.loads(written))
    here = [*(fingerprint(played(seed, plan)) for seed in SEEDS), fingerprint(everything_goes_wrong(plan))]
    for hashes in ("1", "2"):
        told = subprocess.run(
            [sys.executable, "-c", ELSEWHERE, ",".join(map(str, SEEDS))],
            env={**os.environ, "PYTHONHASHSEED": hashes},
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            input=written,
            check=True,
        )
        assert told.stdout.split() == here


def test_all_kinds_of_faults_were_in_it() -> None:
    assert set(everything_goes_wrong().by_kind) == {kind.value for kind in FaultKind}
