"""A journal as the demo would write it: a small model, and a builder that stamps records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from orchestrator.core import records as r
from orchestrator.core.commands import NoticeKind
from orchestrator.core.events import TaskTime, WordKind
from orchestrator.core.model import (
    Check,
    Combine,
    Condition,
    Fence,
    FenceBy,
    Mode,
    Model,
    Move,
    Place,
    Playbook,
    Service,
    Tier,
)
from orchestrator.core.reasons import Reason
from orchestrator.reports.stories import Stories

WALL = 1_795_000_000.0
K = r.StepKind


def all_of(*names: str) -> Condition:
    """Every one of these checks."""
    return Condition(Combine.ALL, names)


def small_model() -> Model:
    """acme: erp with three tiers, and a quiet service; bistro: one service of the same bare name as acme's."""

    def book(name: str) -> Playbook:
        return Playbook(name, "0" * 64)

    def move(name: str, to: str | None, viable: str, data_age: str | None = None) -> Move:
        return Move(
            f"acme/{name}", "acme", name, book(f"{name}.yml"), all_of("acme/erp-transaction"), to=to,
            viable_when=all_of(viable), data_age=data_age,
        )  # fmt: skip

    def place(name: str) -> Place:
        fence = Fence(book("power_off.yml"), all_of(f"acme/{name}-power-off"), FenceBy.WHEN_DARK)
        return Place(f"acme/{name}", "acme", name, fence)

    moves = [
        move("backup-isp", None, "acme/isp-b-path"),
        move("geo-site", "acme/geo", "acme/geo-ready", "acme/geo-lag"),
        move("cloud-instance", "acme/cloud", "acme/cloud-ready", "acme/backup-age"),
    ]
    names = ["erp-transaction", "isp-b-path", "geo-ready", "geo-lag", "cloud-ready", "backup-age", "hq-power-off"]
    checks = [Check(f"acme/{n}", "acme", n, n, "http", {}) for n in names]
    erp = Service(
        "acme/erp", "acme", "erp", all_of("acme/erp-transaction"), tuple(Tier(m.id) for m in moves),
        rto_s=120.0, rpo_s=30.0, mode=Mode.AUTO, priority=1, home="acme/hq", exclusive=True,
    )  # fmt: skip
    mail = Service("acme/mail", "acme", "mail", all_of("acme/mail-smtp"), (), rto_s=3600.0, home="acme/hq")
    till = Service("bistro/erp", "bistro", "erp", all_of("bistro/till"), (), rto_s=900.0)
    return Model(
        "m1",
        {c.id: c for c in checks},
        {p.id: p for p in (place("hq"), place("geo"))},
        {m.id: m for m in moves},
        {s.id: s for s in (erp, mail, till)},
    )


@dataclass(frozen=True)
class Written:
    """One entry."""

    seq: int
    at: float
    wall: float
    epoch: int
    records: tuple[r.Record, ...]


@dataclass
class Tape:
    """Writes entries; `now` moves forward by `after`."""

    now: float = 100.0
    entries: list[Written] = field(default_factory=list)
    epoch: int = 1

    def after(self, seconds: float) -> Tape:
        """Later."""
        self.now += seconds
        return self

    def write(self, *records: r.Record) -> None:
        """One entry at `now`."""
        self.entries.append(Written(len(self.entries) + 1, self.now, WALL + self.now, self.epoch, records))

    def begin(self) -> Tape:
        """A controller with the small model."""
        self.write(
            r.ControllerBegan(self.now, "noc", 1, "boot-1", False, 0.0),
            r.Configured(self.now, "m1", {"acme/erp": "acme/hq", "acme/mail": "acme/hq", "bistro/erp": None}),
        )
        for check in ("erp-transaction", "isp-b-path", "geo-ready", "cloud-ready"):
            self.verdict(f"acme/{check}", r.Verdict.UP, "good answers")
        self.verdict("acme/mail-smtp", r.Verdict.UP, "good answers")
        return self

    def verdict(
        self, check: str, verdict: r.Verdict, evidence: str, first_bad: float | None = None, **m: float
    ) -> None:
        """A check changed its mind."""
        was = r.Verdict.UP if verdict is r.Verdict.DOWN else r.Verdict.DOWN
        self.write(r.VerdictChanged(self.now, check, was, verdict, first_bad, evidence, m))

    def incident(self, name: str, place: str, evidence: str, *, first_bad: float, last_good: float | None) -> None:
        """erp is down."""
        self.verdict("acme/erp-transaction", r.Verdict.DOWN, evidence, first_bad)
        self.write(
            r.IncidentOpened(self.now, name, "acme/erp", first_bad, place, evidence, last_good),
            r.ServiceJudged(self.now, name, r.Decision.ACT, Reason.SERVICE_DOWN, evidence),
            self.notice(f"{name}-opened", NoticeKind.INCIDENT_OPENED, "erp is down: " + evidence, name),
        )

    def notice(self, name: str, kind: NoticeKind, text: str, incident: str, say: str = "") -> r.NoticeDue:
        """Somebody is to be told."""
        return r.NoticeDue(self.now, name, kind, "acme", "acme/erp", text, say, ("acme/ann",), {"incident": incident})

    def tier(self, incident: str, tier: int, move: str, state: r.TierState, reason: Reason, evidence: str) -> None:
        """A rung was judged."""
        self.write(r.TierJudged(self.now, incident, tier, f"acme/{move}", state, reason, evidence))

    def run(self, name: str, move: str, steps: Sequence[tuple[str, K]], **more: object) -> None:
        """A run starts."""
        planned = tuple(r.PlannedStep(n, k, n.partition(":")[2] or None, n.startswith("hand-over")) for n, k in steps)
        values: dict[str, object] = {"origin": r.Origin.AUTOMATIC, "reason": Reason.TIER_CHOSEN, **more}
        self.write(
            r.RunStarted(
                self.now,
                name,
                "acme/erp",
                f"acme/{move}",
                steps=planned,
                plan_digest="p",
                configuration="m1",
                **values,  # type: ignore[arg-type]
            )
        )

    def step(
        self, run: str, name: str, took: float, evidence: str = "", tasks: Sequence[TaskTime] = (), **measures: float
    ) -> None:
        """A step that worked."""
        self.write(r.StepBegan(self.now, run, name, 1))
        self.after(took).write(
            r.StepFinished(
                self.now, run, name, 1, r.StepState.DONE, Reason.CONDITIONS_MET, evidence, tuple(tasks), measures
            )
        )

    def recovered(self, incident: str, run: str, first_bad: float) -> None:
        """The run ended well, and so did the incident."""
        self.write(r.RunEnded(self.now, run, True, Reason.VERIFIED, "erp-transaction good"))
        self.write(
            r.IncidentEnded(
                self.now,
                incident,
                Reason.VERIFIED,
                "erp-transaction: HTTP 201 in 12 ms",
                self.now,
                self.now - first_bad,
            )
        )

    def read(self) -> Stories:
        """Everything told so far."""
        model = small_model()
        return Stories(lambda digest: model if digest == model.digest else None).read(self.entries)


FAILOVER = (
    ("preflight", K.PREFLIGHT),
    ("fence:acme/hq", K.FENCE),
    ("proof:acme/hq", K.PROOF),
    ("execute", K.EXECUTE),
    ("verify", K.VERIFY),
)


def first_act(tape: Tape) -> None:
    """ISP A dies: tier 1."""
    bad = tape.now
    tape.after(2.2)
    tape.incident("i1", "acme/hq", "erp-transaction: no reply 3 times", first_bad=bad, last_good=bad - 0.9)
    tape.after(0.1)
    tape.tier("i1", 1, "backup-isp", r.TierState.RUNNING, Reason.TIER_CHOSEN, "isp-b-path up")
    tape.run(
        "r1", "backup-isp", (("preflight", K.PREFLIGHT), ("execute", K.EXECUTE), ("verify", K.VERIFY)),
        incident="i1", tier=1, from_place="acme/hq", to_place="acme/hq", deadline=bad + 120.0,
    )  # fmt: skip
    tape.step("r1", "preflight", 0.2, "isp-b-path good")
    tasks = [
        TaskTime("Default route over ISP B", "hq-edge", "changed", 0.4, 0.6),
        TaskTime("Forget connections of ISP A", "hq-edge", "changed", 1.0, 0.3),
        TaskTime("Point erp.acme.example at ISP B", "localhost", "changed", 1.3, 0.9),
    ]
    tape.step("r1", "execute", 2.3, "4 ok, 3 changed", tasks)
    tape.step("r1", "verify", 1.1, "erp-transaction good")
    tape.tier("i1", 1, "backup-isp", r.TierState.RECOVERED, Reason.VERIFIED, "erp-transaction good")
    tape.recovered("i1", "r1", bad)


def second_act(tape: Tape) -> None:
    """Head office dark: tier 1 ineligible, tier 2 after a wait for nobody."""
    bad = tape.now
    tape.verdict("acme/isp-b-path", r.Verdict.DOWN, "no reply 3 times", bad)
    tape.after(2.0)
    tape.incident("i2", "acme/hq", "erp-transaction: no reply 3 times", first_bad=bad, last_good=bad - 0.8)
    tape.tier("i2", 1, "backup-isp", r.TierState.INELIGIBLE, Reason.NOT_VIABLE, "isp-b-path down (0/5 replies)")
    tape.tier("i2", 2, "geo-site", r.TierState.RUNNING, Reason.TIER_CHOSEN, "geo-ready up, data 1.2s old")
    tape.run(
        "r2", "geo-site", FAILOVER,
        incident="i2", tier=2, from_place="acme/hq", to_place="acme/geo", deadline=bad + 120.0,
    )  # fmt: skip
    tape.step("r2", "preflight", 0.3, "geo-ready good", data_age_s=0.9)
    tape.step(
        "r2",
        "fence:acme/hq",
        2.4,
        "outlets latched off",
        [TaskTime("Latch outlets off", "hq-oob", "changed", 0.5, 1.6)],
    )
    tape.step("r2", "proof:acme/hq", 0.6, "hq-power-off good")
    tape.write(
        r.MayActRemoved(tape.now, "acme/erp", "acme/hq", Reason.CONDITIONS_MET, "hq-power-off good"),
        r.MayActAdded(tape.now, "acme/erp", "acme/geo", "r2"),
    )
    tasks = [
        TaskTime("Promote the standby", "geo-db", "changed", 0.6, 2.1),
        TaskTime("Start the application", "geo-app", "changed", 2.7, 1.4),
        TaskTime("Point erp.acme.example at geo", "localhost", "changed", 4.1, 1.0),
    ]
    tape.step("r2", "execute", 5.4, "6 ok, 3 changed", tasks)
    tape.write(r.PlacementChanged(tape.now, "acme/erp", "acme/hq", "acme/geo", "r2"))
    tape.step("r2", "verify", 1.3, "erp-transaction good")
    tape.tier("i2", 2, "geo-site", r.TierState.RECOVERED, Reason.VERIFIED, "erp-transaction good")
    tape.recovered("i2", "r2", bad)


def asked_act(tape: Tape) -> None:
    """The console is dark too: a person is asked, and states that hq is off."""
    bad = tape.now
    tape.after(2.0)
    tape.incident("i3", "acme/hq", "erp-transaction: no reply 3 times", first_bad=bad, last_good=bad - 0.8)
    tape.tier("i3", 2, "geo-site", r.TierState.RUNNING, Reason.TIER_CHOSEN, "geo-ready up")
    steps = (("preflight", K.PREFLIGHT), ("approval", K.APPROVAL), *FAILOVER[1:])
    tape.run(
        "r3", "geo-site", steps,
        incident="i3", tier=2, from_place="acme/hq", to_place="acme/geo", deadline=bad + 120.0,
        asks=("hq may be alive: its console does not answer",),
    )  # fmt: skip
    tape.step("r3", "preflight", 0.3, "geo-ready good", data_age_s=0.9)
    tape.write(
        r.StepBegan(tape.now, "r3", "approval", 1),
        tape.notice("i3-ask", NoticeKind.APPROVAL_NEEDED, "approve r3", "i3", "bascule approve r3 --fenced acme/hq"),
    )


def approve(tape: Tape) -> None:
    """Ann has been there, and the rest runs."""
    bad = next(
        x.first_bad_at
        for e in tape.entries
        for x in e.records
        if isinstance(x, r.IncidentOpened) and x.incident == "i3"
    )
    tape.write(
        r.WordAccepted(
            tape.now, "w1", WordKind.APPROVE, "Ann Example", "r3", "seen dark", Reason.APPROVED, "plan p", "r3"
        ),
        r.RunApproved(tape.now, "r3", "Ann Example", "seen dark", "acme/hq"),
        r.StepFinished(tape.now, "r3", "approval", 1, r.StepState.DONE, Reason.APPROVED, "by Ann Example"),
    )
    tape.write(r.NoticeSettled(tape.now, "i3-ask", True, "mail"))
    tape.write(
        r.StepFinished(
            tape.now, "r3", "fence:acme/hq", 0, r.StepState.SKIPPED, Reason.FENCED_BY_HAND, "stated by Ann Example"
        )
    )
    tape.write(
        r.StepFinished(
            tape.now, "r3", "proof:acme/hq", 0, r.StepState.SKIPPED, Reason.FENCED_BY_HAND, "stated by Ann Example"
        )
    )
    tape.step("r3", "execute", 5.0, "6 ok")
    tape.step("r3", "verify", 1.0, "erp-transaction good")
    tape.recovered("i3", "r3", bad)
