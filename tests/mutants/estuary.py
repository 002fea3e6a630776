"""A workspace made for mutants: small, quick to simulate, and with whatever a guard needs to be the last one.

The one rule it keeps: every guard and rule of order has a place here where nothing else would stop the same mistake.

    service   what it is there for
    -------   --------------------------------------------------------------------------------------------------
    line      what `books` depends on; a detour, and a reload that changes its playbook
    books     exclusive, at three places: fenced when dark, always and never; data of an age; goes back by itself; hands
              over to the east and back, and rehearses that beside what serves
    desk      mode ask, and a move that nothing else stops; rehearsed without a place of its own
    mill      a slow tier before a quick one, a tight RTO; a resource shared with `kiln`; often fails
    kiln      a move that must take effect once
    lamp      seen from two vantages
    bell      mode observe
    chart     data whose age nobody measures
"""

from __future__ import annotations

from dataclasses import replace

from orchestrator.core.model import (
    Check,
    Combine,
    Condition,
    Dependency,
    Fence,
    FenceBy,
    Json,
    Limits,
    Mode,
    Model,
    Move,
    Place,
    Playbook,
    Rehearsal,
    Service,
    Tier,
)

CLIENT = "quay"
USUAL_S = {"quay/mill-slow/execute": 70.0, "quay/to-cloud/prepare": 60.0}


def all_of(*names: str) -> Condition:
    """All of these checks."""
    return Condition(Combine.ALL, tuple(f"{CLIENT}/{n}" for n in names))


def _check(name: str, *domains: str, **changes: object) -> Check:
    options: dict[str, Json] = {"command": ["check_it"]}
    plain = Check(f"{CLIENT}/{name}", CLIENT, name, name, "nagios", options, domains=frozenset(domains), fast_s=1.0)
    return replace(plain, **changes)  # type: ignore[arg-type]


def _checks() -> dict[str, Check]:
    slow = {"every_s": 5.0, "fast_s": 2.0}
    once = {"rise": 1, "fall": 1}
    found = [
        _check("ref", "world", reference=True),
        _check("witness-ref", "world", reference=True, vantage="witness"),
        _check("line-works", "west"),
        _check("line-b-path", "isp-b", via="isp-b", **slow),
        _check("line-a-path", "isp-a", via="isp-a", **slow),
        _check("line-on-b", "edge", **slow),
        _check("books-work", "front"),
        _check("west-dark", "console", every_s=15.0, fast_s=15.0, **once),  # often an old word of it
        _check("west-off", "console", **slow, **once),
        _check("west-seen", "west"),
        _check("east-off", "console", **slow, **once),
        _check("cloud-off", "console", **slow, **once),
        _check("east-ready", "east", **slow),
        _check("cloud-ready", "cloud", **slow),
        _check("east-data", "east", **slow),
        _check("cloud-data", "cloud", **slow),
        _check("west-ready", "console", **slow),
        _check("books-at-west", "front", **slow, **once),
        _check("books-at-east", "front", **slow, **once),
        _check("books-at-cloud", "front", **slow, **once),
        _check("books-stopped", "east", **slow, **once),
        _check("books-left-west", "west", **slow, **once),
        _check("scratch-apart", "scratch", **slow, **once),
        _check("scratch-works", "scratch", **slow, **once),
        _check("desk-works", "desk"),
        _check("mill-works", "mill"),
        _check("kiln-works", "kiln"),
        _check("lamp-works", "lamp"),
        _check("lamp-seen", "lamp", via="ferry", vantage="witness"),
        _check("bell-works", "bell"),
        _check("chart-works", "chart"),
    ]
    return {c.id: c for c in found}


def _book(name: str) -> Playbook:
    return Playbook(f"{name}.yml", f"digest of {name}")


def _places() -> dict[str, Place]:
    def place(name: str, by: FenceBy, dark: Condition | None = None) -> Place:
        fence = Fence(_book(f"{name}-off"), all_of(f"{name}-off"), by, dark, timeout_s=40.0)
        return Place(f"{CLIENT}/{name}", CLIENT, name, fence, frozenset({name}))

    found = [
        place("west", FenceBy.WHEN_DARK, all_of("west-dark")),
        place("east", FenceBy.ALWAYS),
        place("cloud", FenceBy.NEVER),
    ]
    return {p.id: p for p in found}


def _rehearsal(name: str, **changes: object) -> Rehearsal:
    books = (_book(f"{name}-try"), _book(f"{name}-clean"), _book(f"{name}-survey"))
    return replace(Rehearsal(*books, hosts="scratch", timeout_s=30.0, verify_timeout_s=15.0), **changes)  # type: ignore[arg-type]


def _moves() -> dict[str, Move]:
    def move(name: str, verify: Condition, **changes: object) -> Move:
        plain = Move(f"{CLIENT}/{name}", CLIENT, name, _book(name), verify, timeout_s=40.0, verify_timeout_s=15.0)
        return replace(plain, **changes)  # type: ignore[arg-type]

    found = [
        move(
            "detour",
            all_of("line-works"),
            via="isp-b",
            holds=(f"{CLIENT}/route",),
            viable_when=all_of("line-b-path"),
            done_when=all_of("line-on-b"),
            safe_to_repeat=True,
        ),
        move("detour-back", all_of("line-works"), undoes=f"{CLIENT}/detour", viable_when=all_of("line-a-path")),
        move(
            "to-east",
            all_of("books-work", "books-at-east"),
            to=f"{CLIENT}/east",
            hand_over=Fence(_book("hand-over-west"), all_of("books-left-west"), FenceBy.ALWAYS, timeout_s=40.0),
            viable_when=all_of("east-ready"),
            data_age=f"{CLIENT}/east-data",
            done_when=all_of("books-at-east"),
            rehearse=_rehearsal(
                "east",
                prepare=_book("east-set-up"),
                apart_when=all_of("scratch-apart"),
                verify=all_of("scratch-works"),
            ),
        ),
        move(
            "to-cloud",
            all_of("books-work", "books-at-cloud"),
            to=f"{CLIENT}/cloud",
            prepare=_book("make-cloud"),
            viable_when=all_of("cloud-ready"),
            data_age=f"{CLIENT}/cloud-data",
            timeout_s=100.0,
        ),
        move(
            "home",
            all_of("books-work", "books-at-west"),
            to=f"{CLIENT}/west",
            leaves=frozenset({f"{CLIENT}/east"}),
            hand_over=Fence(_book("hand-over"), all_of("books-stopped"), FenceBy.ALWAYS, timeout_s=40.0),
            viable_when=all_of("west-ready"),
            done_when=all_of("books-at-west"),
            safe_to_repeat=True,
        ),
        move("desk-restart", all_of("desk-works"), safe_to_repeat=True, rehearse=_rehearsal("desk")),
        move("mill-slow", all_of("mill-works"), holds=(f"{CLIENT}/crane",), timeout_s=90.0, safe_to_repeat=True),
        move("mill-quick", all_of("mill-works"), timeout_s=20.0, safe_to_repeat=True),
        move("kiln-mend", all_of("kiln-works"), holds=(f"{CLIENT}/crane",)),
        move("lamp-restart", all_of("lamp-works"), safe_to_repeat=True),
        move("bell-restart", all_of("bell-works"), safe_to_repeat=True),
        move("chart-to-east", all_of("chart-works"), to=f"{CLIENT}/east", safe_to_repeat=True),
    ]
    return {m.id: m for m in found}


def _services() -> dict[str, Service]:
    def service(name: str, healthy: Condition, *ladder: str, **changes: object) -> Service:
        tiers = tuple(Tier(f"{CLIENT}/{m}") for m in ladder)
        plain = Service(f"{CLIENT}/{name}", CLIENT, name, healthy, tiers, rto_s=600.0, mode=Mode.AUTO, settle_s=8.0)
        return replace(plain, **changes)  # type: ignore[arg-type]

    west = f"{CLIENT}/west"
    found = [
        service(
            "line",
            all_of("line-works"),
            "detour",
            home=west,
            priority=0,
            failback=(f"{CLIENT}/detour-back",),
            automatic_failback=True,
            hold_down_s=80.0,
            cool_down_s=30.0,
        ),
        service(
            "books",
            all_of("books-work"),
            home=west,
            exclusive=True,
            rpo_s=30.0,
            depends_on=(Dependency(f"{CLIENT}/line", frozenset({west})),),
            failback=(f"{CLIENT}/home",),
            automatic_failback=True,
            hold_down_s=60.0,
            cool_down_s=120.0,
            ladder=(Tier(f"{CLIENT}/to-east"), Tier(f"{CLIENT}/to-cloud", accept_loss_s=60.0)),
        ),
        service("desk", all_of("desk-works"), "desk-restart", mode=Mode.ASK, approval_expires_s=200.0),
        service("mill", all_of("mill-works"), "mill-slow", "mill-quick", rto_s=60.0),
        service("kiln", all_of("kiln-works"), "kiln-mend"),
        service("lamp", all_of("lamp-works", "lamp-seen"), "lamp-restart"),
        service("bell", all_of("bell-works"), "bell-restart", mode=Mode.OBSERVE),
        service("chart", all_of("chart-works"), "chart-to-east", rpo_s=30.0),
    ]
    return {s.id: s for s in found}


def estuary() -> Model:
    """The model."""
    limits = Limits(moves_per_service=3, concurrent_failovers=2, failure_domains=3, relapse_s=20.0)
    return Model("estuary", _checks(), _places(), _moves(), _services(), limits)
