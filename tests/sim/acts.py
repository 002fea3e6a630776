"""The scenarios that stories of the simulator share: what happens, and what a person waits for and says.

The one rule it keeps: an act waits for what came of the one before, and never for a time.
"""

from __future__ import annotations

from orchestrator.core.events import WordKind
from orchestrator.sim.faults import FaultKind
from tests.sim.stage import Stage

ERP, STAFF = "lab/erp", "lab/hq-internet"
NEEDED = ("erp-transaction", "hq-internet", "isp-a-path", "isp-b-path", "geo-ready", "geo-replica", "hq-mains")


def healthy(stage: Stage) -> None:
    """Both services of the lab are up, what the first two tiers need is known, nothing is under way."""
    stage.wait("all is well", lambda: stage.up(*NEEDED) and stage.settled())


def failover_story(stage: Stage) -> None:
    """The acts of tests/lab/test_failover_story.py, in the same order, waiting for the same things."""
    healthy(stage)
    stage.begin(FaultKind.CUT, "lab/isp-a")
    stage.wait("the other provider is used", lambda: "lab/backup-isp" in stage.decided.engaged and stage.settled())
    stage.end(FaultKind.CUT, "lab/isp-a")
    stage.wait("the first provider is well", lambda: stage.up("isp-a-path"))
    stage.insist(WordKind.FAILBACK, STAFF)
    stage.wait("the first provider is used", lambda: not stage.decided.engaged and stage.settled())
    healthy(stage)
    stage.begin(FaultKind.POWER, "lab/hq")
    stage.wait("the second site serves", lambda: stage.at(ERP, "lab/geo"))
    stage.end(FaultKind.POWER, "lab/hq")
    stage.wait("mains are back", lambda: stage.up("hq-mains"))
    stage.insist(WordKind.FAILBACK, ERP)
    stage.wait("home again", lambda: stage.at(ERP, "lab/hq") and stage.settled())


def ladder(stage: Stage) -> None:
    """The acts of the demo: a silent provider, then a dark head office, then a dark second site."""
    healthy(stage)
    stage.begin(FaultKind.CUT, "lab/isp-a")
    stage.wait("the other provider is used", lambda: "lab/backup-isp" in stage.decided.engaged and stage.settled())
    stage.begin(FaultKind.POWER, "lab/hq")
    stage.wait("the second site serves", lambda: stage.at(ERP, "lab/geo"))
    stage.begin(FaultKind.POWER, "lab/geo")
    stage.wait("the cloud serves", lambda: stage.at(ERP, "lab/cloud"))


def asked(stage: Stage) -> None:
    """A head office that is unreachable and not dark: a person switches it off by hand, says so and approves."""
    healthy(stage)
    stage.begin(FaultKind.CUT, "lab/hq")
    stage.wait("somebody is asked", lambda: stage.waiting_approval() is not None)
    stage.approve(fenced="lab/hq")
    stage.wait("the second site serves", lambda: stage.at(ERP, "lab/geo"))


def switchover(stage: Stage) -> None:
    """A planned switchover from a healthy head office, and the way home."""
    healthy(stage)
    stage.insist(WordKind.FAILOVER, ERP, move="lab/geo-site", fence=True)
    stage.wait("the second site serves", lambda: stage.at(ERP, "lab/geo"))
    stage.insist(WordKind.FAILBACK, ERP)
    stage.wait("home again", lambda: stage.at(ERP, "lab/hq") and stage.settled())


def drilled(stage: Stage) -> None:
    """The second site at full scale and back, then the other provider."""
    for service, move in ((ERP, "lab/geo-site"), (STAFF, "lab/backup-isp")):
        healthy(stage)
        stage.insist(WordKind.DRILL, service, move=move, kind="full-scale", stays_s=5.0)
        stage.wait("the drill is over", lambda: not stage.decided.unfinished_drills() and stage.settled())
    stage.wait("home again", lambda: stage.at(ERP, "lab/hq") and not stage.decided.engaged)


def given_up(stage: Stage) -> None:
    """The other provider fails while a drill stays with it: the first one is used again, and nobody is asked."""
    healthy(stage)
    stage.insist(WordKind.DRILL, STAFF, move="lab/backup-isp", kind="full-scale", stays_s=600.0)
    stage.wait("the other provider is used", lambda: "lab/backup-isp" in stage.decided.engaged and stage.settled())
    stage.begin(FaultKind.CUT, "lab/isp-b")
    stage.wait("the first provider is used", lambda: not stage.decided.engaged and stage.settled())
    stage.wait("the drill is over", lambda: not stage.decided.unfinished_drills())


def rehearsed(stage: Stage) -> None:
    """Each tier rehearsed beside what serves."""
    for move in ("lab/backup-isp", "lab/geo-site", "lab/cloud-instance"):
        healthy(stage)
        stage.insist(WordKind.DRILL, ERP, move=move, kind="functional")
        stage.wait("the drill is over", lambda: not stage.decided.unfinished_drills() and stage.settled())
    stage.wait("nobody has noticed", lambda: stage.at(ERP, "lab/hq"))


def unseen(stage: Stage) -> None:
    """The playbook of the second site takes effect, and nobody sees how it ends."""
    healthy(stage)
    stage.begin(FaultKind.PLAYBOOK_UNSEEN, "lab/geo-site")
    stage.begin(FaultKind.POWER, "lab/hq")
    stage.wait("the second site serves", lambda: stage.at(ERP, "lab/geo"))


def restarted(stage: Stage) -> None:
    """The till's program crashes; it is restarted, once."""
    stage.wait("the till works", lambda: stage.up("till") and stage.settled())
    stage.begin(FaultKind.CRASH, "lab/till")
    stage.wait("the till works again", lambda: stage.at("lab/till", "lab/hq") and stage.settled())
