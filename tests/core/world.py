"""The lab in small, as a model, and a world of it (`orchestrator.testing`) in which all is well."""

from __future__ import annotations

from dataclasses import replace

from orchestrator.core.events import Answer
from orchestrator.core.model import (
    Check,
    Combine,
    Condition,
    Dependency,
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
from orchestrator.testing import World as PlainWorld
from orchestrator.testing import story

__all__ = ["World", "acme", "all_of", "book", "check", "story"]

NOT_YET = (
    "hq-dark",
    "hq-off",
    "geo-dark",
    "geo-off",
    "edge-uses-isp-b",
    "erp-at-geo",
    "erp-at-cloud",
    "geo-handed-over",
)


def all_of(*names: str) -> Condition:
    """All of these checks of client acme."""
    return Condition(Combine.ALL, tuple(f"acme/{n}" for n in names))


def check(name: str, **changes: object) -> Check:
    """A check asked every second, fall 3, rise 2."""
    plain = Check(f"acme/{name}", "acme", name, "", "tcp", {}, domains=frozenset({f"acme/{name}"}))
    return replace(plain, **changes)  # type: ignore[arg-type]


def book(name: str) -> Playbook:
    """A playbook of this name."""
    return Playbook(f"{name}.yml", f"digest-{name}")


def acme(mode: Mode = Mode.AUTO, **erp_changes: object) -> Model:
    """The lab in small: two uplinks, hq, geo and cloud, one exclusive service `erp` that depends on `hq-internet`."""
    names = ["erp-transaction", "hq-internet", "isp-b-path", "edge-uses-isp-b", "hq-dark", "hq-off", "geo-dark"]
    names += ["geo-off", "geo-ready", "geo-replica", "cloud-ready", "backup", "erp-at-geo", "erp-at-cloud"]
    names += ["geo-handed-over", "hq-ready"]
    checks = {f"acme/{n}": check(n) for n in names}
    for name in ("hq-dark", "hq-off", "geo-dark", "geo-off"):
        checks[f"acme/{name}"] = check(name, rise=1)
    checks["acme/ref"] = check("ref", reference=True)
    checks["acme/ref2"] = check("ref2", reference=True)

    def fence(place: str) -> Fence:
        return Fence(book(f"power_off_{place}"), all_of(f"{place}-off"), FenceBy.WHEN_DARK, all_of(f"{place}-dark"))

    places = {
        "acme/hq": Place("acme/hq", "acme", "hq", fence("hq")),
        "acme/geo": Place("acme/geo", "acme", "geo", fence("geo")),
        "acme/cloud": Place("acme/cloud", "acme", "cloud"),
    }

    def move(name: str, verify: Condition, **changes: object) -> Move:
        plain = Move(f"acme/{name}", "acme", name, book(name), verify, safe_to_repeat=True)
        return replace(plain, **changes)  # type: ignore[arg-type]

    moves = [
        move(
            "backup-isp",
            all_of("hq-internet"),
            holds=("acme/route",),
            viable_when=all_of("isp-b-path"),
            done_when=all_of("edge-uses-isp-b"),
        ),
        move("backup-isp.back", all_of("hq-internet"), holds=("acme/route",), undoes="acme/backup-isp"),
        move(
            "geo-site",
            all_of("erp-transaction"),
            to="acme/geo",
            viable_when=all_of("geo-ready"),
            data_age="acme/geo-replica",
            done_when=all_of("erp-at-geo"),
        ),
        move(
            "cloud-instance",
            all_of("erp-transaction"),
            to="acme/cloud",
            viable_when=all_of("cloud-ready"),
            data_age="acme/backup",
            done_when=all_of("erp-at-cloud"),
        ),
        move(
            "return-hq",
            all_of("erp-transaction"),
            to="acme/hq",
            prepare=book("rebuild_hq"),
            hand_over=Fence(book("hand_over"), all_of("geo-handed-over"), FenceBy.ALWAYS),
            finish=book("rebuild_geo"),
            viable_when=all_of("hq-ready"),
        ),
    ]
    erp = Service(
        "acme/erp",
        "acme",
        "erp",
        all_of("erp-transaction"),
        (Tier("acme/backup-isp"), Tier("acme/geo-site"), Tier("acme/cloud-instance")),
        rto_s=900.0,
        rpo_s=30.0,
        mode=mode,
        priority=1,
        home="acme/hq",
        exclusive=True,
        depends_on=(Dependency("acme/hq-internet", frozenset({"acme/hq"})),),
        failback=("acme/backup-isp.back", "acme/return-hq"),
    )
    internet = Service(
        "acme/hq-internet",
        "acme",
        "hq-internet",
        all_of("hq-internet"),
        (Tier("acme/backup-isp"),),
        rto_s=300.0,
        mode=mode,
        priority=0,
        home="acme/hq",
        failback=("acme/backup-isp.back",),
    )
    services = {"acme/erp": replace(erp, **erp_changes), "acme/hq-internet": internet}  # type: ignore[arg-type]
    return Model("model-1", checks, places, {m.id: m for m in moves}, services)


class World(PlainWorld):
    """A world of the lab in small, or of another model of client acme."""

    def __init__(self, model: Model | None = None) -> None:
        answers = {f"acme/{name}": Answer.BAD for name in NOT_YET}
        super().__init__(
            model or acme(),
            answers=answers,
            measures={"acme/geo-replica": {"data_age_s": 0.2}, "acme/backup": {"data_age_s": 4.0}},
        )

    def id_of(self, name: str) -> str:
        return f"acme/{name}"  # also of a check that a test's model has not, or not yet
