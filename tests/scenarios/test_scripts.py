"""Scripts as people write them: what is printed is read again as the same fault, and what is wrong is said at once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.sim.faults import Fault, FaultKind
from orchestrator.sim.names import Names
from orchestrator.sim.scripts import CUT_HERE, PHRASES, ScriptInvalid, parse, show, write
from orchestrator.sim.swarm import script

NAMES = Names(
    places=("acme/hq",),
    domains=("acme/hq", "acme/isp-a"),
    hosts=("host acme/hq-app",),
    services=("acme/erp",),
    moves=("acme/backup-isp", "acme/hq"),
    measured=("acme/replica@db",),
    checks=("acme/page@app", "acme/replica@db"),
    vantages=("local",),
)


def wrong(text: str) -> tuple[str, ...]:
    with pytest.raises(ScriptInvalid) as invalid:
        parse(text, "flood.txt", NAMES)
    return invalid.value.faults


def test_every_kind_of_fault_has_its_phrase() -> None:
    assert set(PHRASES) == set(FaultKind)


def test_whatever_a_seed_draws_can_be_kept_in_a_file_and_played_again() -> None:
    for seed in range(300):
        faults = script(NAMES, seed, 900.0)
        if faults:
            again = parse("\n".join(write(faults, seed, 900.0)), "kept.txt", NAMES)
            assert (again.seed, again.length_s) == (seed, 900.0)
            assert list(again.faults) == [plain(fault) for fault in faults]


def plain(fault: Fault) -> Fault:
    """Without what means nothing for its kind."""
    if not any(part in PHRASES[fault.kind] for part in ("{by}", "{share}", "{often}", "{jump}")):
        fault = replace(fault, strength=1.0)
    if fault.kind is FaultKind.RELOAD:
        return replace(fault, for_s=None)
    if fault.kind is FaultKind.WORD and fault.word in ("reject", "abort"):
        return replace(fault, subject="", options={})
    if fault.kind is FaultKind.WORD and fault.word == "failover":
        return replace(fault, options={k: v for k, v in fault.options.items() if v})
    return replace(fault, command=0) if fault.before or "{moment}" not in PHRASES[fault.kind] else fault


def test_an_engineer_writes_a_flood() -> None:
    script_ = parse(
        "# The river.\nlength: 20 min\nexpect: not viable\n\n"
        "at 2 min:  cut the power of acme/hq for good\nat 10 s: cut off acme/isp-a for 1h30m\n"
        f"{CUT_HERE}\nat noon: this is no script any more\n",
        "flood.txt",
        NAMES,
    )
    assert [str(f) for f in script_.faults] == [
        "acme/isp-a is cut off, for 1:30:00",
        "acme/hq loses its power, for good",
    ]
    assert (script_.length_s, script_.expect) == (1200.0, ("not viable",))


def test_a_script_without_a_length_is_a_minute_longer_than_its_last_fault() -> None:
    assert parse("at 10 s: cut off acme/isp-a for 43 s", "flood.txt", NAMES).length_s == 113.0


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            "at 10 s: cut of acme/isp-a for 3 s",
            "is not understood; what comes near: `cut off NAME for 43 s`",
        ),
        ("at 10 s: cut off acme/isp-a", "is not understood"),
        ("at 10 s: cut off acme/isp-b for 3 s", "there is no 'acme/isp-b' here; did you mean 'acme/isp-a'?"),
        ("at 10 s: cut off acme/isp-a for 3", "is not understood"),
        ("at 10 s: lose 130% of all packets of acme/isp-a for 3 s", "130% is no share"),
        ("at 10 s: say hold", "`say hold` needs a service, a client or *"),
        ("at 10 s: say maintenance acme/erp", "maintenance needs its end"),
        ("at 10 s: say approve acme/erp", "is about what waits, or is under way: name nothing"),
        ("at 10 s: kill the controller before command 3 of entry 2, back after 3 s", "a command comes after its entry"),
        ("at ten: cut off acme/isp-a for 3 s", "is neither `at TIME: FAULT` nor a setting"),
        ("lenght: 3 min", "there is no setting 'lenght'"),
        ("length: 3", "is no duration"),
        ("expect: blnd", "there is no reason 'blnd'; did you mean 'blind'?"),
    ],
)
def test_what_cannot_be_understood_is_refused_with_its_line(line: str, said: str) -> None:
    (fault,) = wrong(f"# a flood\n{line}\nat 10 s: hang acme/erp for good")
    assert fault.startswith("flood.txt:2: ")
    assert said in fault


def test_every_fault_of_a_script_is_said_at_once() -> None:
    assert len(wrong("seed: one\nseed: 2\nat 1 s: x\nat 2 s: y")) == 3


def test_an_empty_script_says_what_to_write() -> None:
    assert "nothing goes wrong in it" in wrong("# to be done")[0]


def test_lines_read_as_an_operator_would_say_them() -> None:
    assert show(Fault(10.0, FaultKind.CUT, "acme/isp-a", 43.0)) == "at 10 s: cut off acme/isp-a for 43 s"
    assert show(Fault(90.0, FaultKind.KILLED_AT, "", 3.0, entry=7, command=2)) == (
        "at 90 s: kill the controller after command 2 of entry 7, back after 3 s"
    )
    assert show(Fault(120.0, FaultKind.CLOCK, strength=-30.0)) == "at 2 min: set the wall clock back by 30 s"
