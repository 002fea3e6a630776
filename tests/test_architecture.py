"""The house as a failing test: who may import whom, what the core must not touch, how long a module may be.

Each message names the better place, so that whoever meets it knows what to do.
"""

from __future__ import annotations

import ast
import itertools
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import pytest

from orchestrator.core.commands import NoticeKind
from orchestrator.core.reasons import Against, Part, Reason

PACKAGE = Path(__file__).parents[1] / "orchestrator"
Thing = TypeVar("Thing")
MODULES = sorted(PACKAGE.rglob("*.py"))
CORE = sorted((PACKAGE / "core").rglob("*.py"))

# Room: the rooms it may import, beside itself.
MAY_IMPORT: dict[str, set[str]] = {
    "core": set(),
    "config": {"core"},
    "probes": {"core"},
    "runner": {"core"},
    "notify": {"core"},
    "journal": {"core"},
    "reports": {"core", "journal"},  # to read it: `reader.py`
    "drills": {"core"},
    "sim": {"core", "shell", "journal", "runner", "probes", "reports", "drills"},  # what is shown is tried, too
    "testing": {"core", "shell"},  # for people who test their own: nothing here imports it
    "shell": {"core", "journal"},
    "lab": set(),
    "survey": set(),  # it runs on targets
    "syntax": set(),
    "demo": {"core", "journal", "reports", "lab"},
    "daemon": {"core", "shell", "journal"},
    "cli": {
        "core",
        "shell",
        "daemon",
        "reports",
        "lab",
        "config",
        "journal",
        "probes",
        "runner",
        "notify",
        "drills",
        "sim",
        "demo",
    },
}
BETTER_PLACE: dict[str, str] = {
    "core": "the core is pure: pass what it needs in an event, or compute it in shell/ and hand it in",
    "config": "what config and another room share belongs in core/model.py; what joins them, in shell/wiring.py",
    "probes": "what probes and another room share belongs in core/; what joins them, in shell/wiring.py",
    "runner": "what the runner and another room share belongs in core/; what joins them, in shell/wiring.py",
    "notify": "what notify and another room share belongs in core/people.py; what joins them, in shell/wiring.py",
    "journal": "what the journal and another room share belongs in core/; what joins them, in shell/wiring.py",
    "reports": "a report is a fold over entries, which `reports/reader.py` reads: take what else it needs as arguments",
    "drills": "drills choose and schedule: take what they need as arguments, and join rooms in shell/wiring.py",
    "sim": "the simulator takes a model and knows no files: read files in cli/",
    "testing": "it is what others import: the engine, and a workspace's model as shell/wiring.py reads it",
    "shell": "only shell/wiring.py joins implementations; take a port or a protocol here",
    "demo": "the demo plays acts on the lab and reads the journal as anybody may; it runs bascule as a program",
    "lab": "the lab is the world outside: it imports nothing of ours, or it would prove us with ourselves",
    "survey": "it runs on targets, where nothing else of ours is: it needs the standard library alone",
    "syntax": "it is a program of its own, and Ansible's: what it needs comes by its standard input",
    "daemon": "the daemon is a face: what it needs of another room comes through shell/",
    "cli": "there is no such room",
}
# Where implementations are joined, and why there.
JOINS: dict[str, str] = {
    "shell/wiring.py": "this is what it is for",
    "shell/files.py": "it reads the configuration again and again, and knows what of it is in force",
    "shell/calendar.py": "it has drills/ and what reports/ knows of proofs work out what is due",
    "shell/dry_run.py": "it reads the journal and asks, without taking the lease as a controller does",
}
LONG: dict[str, str] = {
    "core/reasons.py": "the table of named reasons, one row after another: it is looked up, not read through",
}
LINES_MAX = 400
NO_NAMES = {"utils", "util", "manager", "managers", "common", "helpers", "helper", "base", "misc"}
IMPURE = {
    "time": "the core is told what time it is",
    "datetime": "the core is told what time it is",
    "random": "the core does not throw dice: draw in the shell, and pass the value in an event",
    "secrets": "the core does not throw dice: draw in the shell, and pass the value in an event",
    "uuid": "ids come from counts in the decided state",
    "asyncio": "the core returns commands; shell/ carries them out",
    "threading": "the core returns commands; shell/ carries them out",
    "logging": "what is worth a log line is worth a record",
    "os": "files, processes and the environment belong in shell/, runner/ or config/",
    "io": "files belong in config/ or journal/",
    "pathlib": "files belong in config/ or journal/",
    "shutil": "files belong in config/ or journal/",
    "tempfile": "files belong in config/ or journal/",
    "socket": "the network belongs in probes/, notify/ or daemon/",
    "subprocess": "programs are started in runner/ or probes/",
    "sqlite3": "storage belongs in journal/",
    "sys": "the core knows no process",
}
IMPURE_CALLS = {
    **dict.fromkeys(("open", "print", "input", "breakpoint"), "the core returns commands"),
    **dict.fromkeys(("exec", "eval", "compile"), "the core is what is written there, and makes no program"),
}


def name_of(path: Path) -> str:
    """Its path below orchestrator/."""
    return path.relative_to(PACKAGE).as_posix()


def of_each(things: Sequence[Thing]) -> Callable[[Callable[[Thing], None]], Callable[[], None]]:
    """A rule that holds of each of them, as one test: every one that breaks it is told, each with its message."""

    def test_of(rule: Callable[[Thing], None]) -> Callable[[], None]:
        def test() -> None:
            assert things, "nothing is looked at"
            broken = []
            for thing in things:
                try:
                    rule(thing)
                except AssertionError as error:
                    broken.append(str(error))
            assert not broken, "\n".join(broken)

        test.__doc__ = rule.__doc__
        return test

    return test_of


@cache
def tree(path: Path) -> ast.Module:
    """The module's syntax tree. It is read only: parsed once for all tests."""
    return ast.parse(text(path), str(path))


@cache
def nodes(path: Path) -> list[ast.AST]:
    """All of its nodes: walked once for all tests."""
    return list(ast.walk(tree(path)))


@cache
def text(path: Path) -> str:
    """What is in the module."""
    return path.read_text(encoding="utf-8")


@cache
def imported(path: Path) -> list[tuple[int, str]]:
    """Line and dotted name of every import, late ones too; those for type checking alone as well."""
    return list(_imported(path))


def _imported(path: Path) -> Iterator[tuple[int, str]]:
    for node in nodes(path):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            dots = ".".join(["orchestrator", *path.relative_to(PACKAGE).parts[:-1]][: -node.level + 1 or None])
            module = f"{dots}.{node.module or ''}".rstrip(".") if node.level else node.module or ""
            yield node.lineno, module
            if module == "orchestrator":
                yield from ((node.lineno, f"orchestrator.{alias.name}") for alias in node.names)


def rooms(path: Path) -> Iterator[tuple[int, str]]:
    """Line and room of every import of ours."""
    for line, module in imported(path):
        if module.startswith("orchestrator."):
            yield line, module.split(".")[1]


@of_each(MODULES)
def test_rooms_import_only_what_they_may(path: Path) -> None:
    if len(path.relative_to(PACKAGE).parts) == 1:
        assert not list(rooms(path)), f"{name_of(path)} is the package itself and imports nothing of ours"
        return
    room = path.relative_to(PACKAGE).parts[0]
    assert room in MAY_IMPORT, (
        f"{room}/ is a new room: say in MAY_IMPORT what it may import, and in docs/architecture.md"
    )
    for line, other in rooms(path):
        if other in (room, *MAY_IMPORT[room]) or (name_of(path) in JOINS and other not in ("cli", "daemon", "lab")):
            continue
        place = "nothing imports the faces" if other in ("cli", "daemon") else BETTER_PLACE[room]
        raise AssertionError(f"{name_of(path)}:{line} imports {other}: {place}")


def modules_imported(path: Path) -> set[str]:
    """The modules of ours that this one needs, for type checking alone as well."""
    known = {f"orchestrator.{name_of(p)[:-3].replace('/', '.')}" for p in MODULES}
    found = set()
    for node in nodes(path):
        if isinstance(node, ast.ImportFrom):
            found |= {node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)} & known
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names} & known
    return found


def test_no_module_needs_one_that_needs_it() -> None:
    """Rooms' faces (`__init__.py`) apart, which bring together what is in them."""
    needs = {f"orchestrator.{name_of(p)[:-3].replace('/', '.')}": modules_imported(p) for p in MODULES}
    sorter = TopologicalSorter(needs)
    try:
        sorter.prepare()
    except CycleError as error:
        circle = error.args[1]
        pytest.fail(
            f"{' needs '.join(reversed(circle))}: what {circle[0]} and {circle[1]} share belongs in a module apart,"
            " or the lower one says in a Protocol what it needs of the other"
        )


def test_a_store_is_named_in_one_place() -> None:
    """Every other module asks `journal/stores.py` for a journal, so that another kind of store is one row there."""
    named = {
        name_of(path) for path in MODULES for _, module in imported(path) if module == "orchestrator.journal.sqlite"
    }
    assert named == {"journal/stores.py"}, "ask journal/stores.py for a journal"


# What one machine knows of its boots and processes, and the stores that are kept on one.
OF_A_MACHINE = {"process", "machine_lease", "machine_axis"}
ON_A_MACHINE = {"form", "memory", "sqlite"}


@of_each(MODULES)
def test_only_stores_on_a_machine_ask_for_its_boots_and_processes(path: Path) -> None:
    """So that a store which several machines share owes nobody a process or a boot."""
    if name_of(path) in {f"journal/{name}.py" for name in OF_A_MACHINE | ON_A_MACHINE}:
        return
    theirs = tuple(f"orchestrator.journal.{name}" for name in OF_A_MACHINE)
    for line, module in imported(path):
        assert not module.startswith(theirs), (
            f"{name_of(path)}:{line} imports {module}: what every store tells stands in journal/lease.py and axis.py"
        )


def test_one_module_of_the_reports_reads_a_journal() -> None:
    readers = {
        name_of(path)
        for path in MODULES
        if name_of(path).startswith("reports/")
        for _, room in rooms(path)
        if room == "journal"
    }
    papers = {f"reports/papers/{name}.py" for name in ("sealing", "printing", "heads", "comparing")}
    assert readers == {"reports/reader.py", *papers}, (
        "a report is a fold over what `reports/reader.py` has read; the others read none, and only check hashes"
    )


# The core's rooms, each of which may need only those before it. What stands in no room is what all of them speak of
# (`model`, `events`, `records`, …), or what runs them (`engine`, `transaction`, `resting`, `cadence`, the invariants).
CORE_ROOMS = ("state", "health", "rules", "runs", "deciding", "awareness")


@of_each([p for p in CORE if p.parent.name in CORE_ROOMS])
def test_the_cores_rooms_are_needed_one_way(path: Path) -> None:
    mine = CORE_ROOMS.index(path.parent.name)
    for line, module in imported(path):
        room = module.split(".")[2] if module.startswith("orchestrator.core.") else ""
        assert room not in CORE_ROOMS[mine + 1 :], (
            f"{name_of(path)}:{line} needs core/{room}/, which stands above core/{path.parent.name}/: what both need"
            " belongs lower, or this belongs higher"
        )


def test_the_core_has_no_other_rooms() -> None:
    assert {p.parent.name for p in CORE} == {"core", *CORE_ROOMS}


@of_each(CORE)
def test_the_core_needs_the_standard_library_alone(path: Path) -> None:
    for line, module in imported(path):
        top = module.split(".")[0]
        assert top == "orchestrator" or top in sys.stdlib_module_names, (
            f"{name_of(path)}:{line} imports {module}: {BETTER_PLACE['core']}"
        )


@of_each(CORE)
def test_the_core_is_pure(path: Path) -> None:
    for line, module in imported(path):
        top = module.split(".")[0]
        assert top not in IMPURE, f"{name_of(path)}:{line} imports {module}: {IMPURE[top]}"
    for node in nodes(path):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            name = node.func.id
            assert name not in IMPURE_CALLS, f"{name_of(path)}:{node.lineno} calls {name}(): {IMPURE_CALLS[name]}"
        assert not isinstance(node, ast.AsyncFunctionDef | ast.Await | ast.AsyncFor | ast.AsyncWith), (
            f"{name_of(path)}: async belongs in shell/"
        )


# Who may name a kind of step: where they are declared, their rows, their order in a plan; the simulator's statements,
# which are a second opinion on the rows.
NAME_KINDS = ("core/kinds.py", "core/runs/plan.py", "core/records_of_runs.py", "sim/")


@of_each(MODULES)
def test_what_differs_between_kinds_of_steps_stands_in_their_rows(path: Path) -> None:
    if name_of(path).startswith(NAME_KINDS):
        return
    for node in nodes(path):
        named = isinstance(node, ast.Attribute) and ast.unparse(node.value).endswith("StepKind")
        assert not named, (
            f"{name_of(path)}:{getattr(node, 'lineno', 0)} names a kind of step: ask its row (core/kinds.py),"
            " which may need a column"
        )


@of_each(MODULES)
def test_what_must_hold_is_raised_and_not_asserted(path: Path) -> None:
    found = [node.lineno for node in nodes(path) if isinstance(node, ast.Assert)]
    assert not found, (
        f"{name_of(path)}:{found} asserts, which `python -O` drops: raise an exception that names the state"
    )


@of_each(MODULES)
def test_modules_bear_the_noun_of_what_they_hold(path: Path) -> None:
    for part in path.relative_to(PACKAGE).with_suffix("").parts:
        assert part not in NO_NAMES, f"{name_of(path)}: {part!r} says nothing: name it for the thing it holds"


@of_each(MODULES)
def test_modules_are_short_enough_to_be_read(path: Path) -> None:
    lines = len(text(path).splitlines())
    assert lines <= LINES_MAX or name_of(path) in LONG, (
        f"{name_of(path)} has {lines} lines, {LINES_MAX} allowed: split it where a reader would pause, "
        "or give it a row with a reason in LONG"
    )


def test_no_exception_outlives_its_reason() -> None:
    for name in LONG:
        assert len((PACKAGE / name).read_text().splitlines()) > LINES_MAX, (
            f"{name} is short by now: take it out of LONG"
        )
    for name in JOINS:
        assert (PACKAGE / name).exists(), f"{name} is gone: take it out of JOINS"


@of_each([p for p in MODULES if p.name != "__init__.py"])
def test_a_module_opens_with_what_it_is_for(path: Path) -> None:
    assert ast.get_docstring(tree(path)), f"{name_of(path)} has no head: say what it is for and the one rule it keeps"


@of_each(list(Reason))
def test_every_reason_has_its_sentence(reason: Reason) -> None:
    assert reason.text, f"{reason.name} has no sentence: say in one what an operator should read"


def test_no_two_reasons_read_alike() -> None:
    assert len({reason.text for reason in Reason}) == len(Reason)


@cache
def source_besides(name: str) -> str:
    """All that is written in the package, but for one module."""
    return "\n".join(text(path) for path in MODULES if name_of(path) != name)


@of_each(list(Reason))
def test_every_reason_is_used(reason: Reason) -> None:
    assert f"Reason.{reason.name}" in source_besides("core/reasons.py"), (
        f"nothing happens, and nothing stops, for {reason.name}: take its row out"
    )


@of_each(list(Reason))
def test_who_may_go_against_it_is_said_in_full(reason: Reason) -> None:
    """What a person goes against says what that does; what nobody may, why, and what to do instead."""
    wanted = reason.against in (Against.PERSON, Against.NOBODY)
    assert bool(reason.told) is wanted, f"{reason.name}: {reason.against.value}"
    if reason.part in (Part.GUARD, Part.TIER) and reason is not Reason.PREFLIGHT_FAILED:  # that one ends a run
        assert reason.against is not Against.NOTHING, f"{reason.name} is a guard: say who may go against it"


def test_every_kind_of_notice_is_told_by_somebody() -> None:
    source = source_besides("core/commands.py")
    silent = [kind.name for kind in NoticeKind if f"NoticeKind.{kind.name}" not in source]
    assert not silent, f"nobody tells {', '.join(silent)}: remove the kind, or tell it where it happens"


# Programs of their own, with the licence of what they import; nothing else of ours may import them.
OF_ANSIBLE = ("runner/warm/zygote/", "syntax/")
GPL = "# SPDX-License-Identifier: GPL-3.0-or-later"


@of_each(MODULES)
def test_ansible_core_is_never_imported_into_our_processes(path: Path) -> None:
    if name_of(path).startswith(OF_ANSIBLE):
        assert text(path).startswith(GPL), f"{name_of(path)} imports GPL code: it begins with {GPL!r}"
        return
    assert GPL not in text(path), (
        f"{name_of(path)} is Apache-2.0; what imports ansible-core lives in {', '.join(OF_ANSIBLE)}"
    )
    for line, module in imported(path):
        assert module.split(".")[0] not in ("ansible", "ansible_mitogen", "mitogen"), (
            f"{name_of(path)}:{line} imports {module}: run Ansible's programs instead"
        )
        theirs = tuple(f"orchestrator.{name.replace('/', '.')}" for name in OF_ANSIBLE)
        assert not f"{module}.".startswith(theirs), (
            f"{name_of(path)}:{line} imports {module}: it is a program of its own; speak to it as warm/calling.py does"
        )


# Where text leaves the process, and nowhere else; `cli/terminal.py` stands behind all of them.
SPEAKS = {
    "cli",
    "demo",
    "lab",
    "daemon/logs.py",
    "daemon/serve.py",
    "reports/text.py",
    "runner/first_reach.py",
    "runner/warm/zygote",
    "runner/worker.py",
    "survey/cloud_account.py",  # to the task that has it run
    "survey/survey.py",  # to whoever has it run there
    "syntax/reading.py",  # to a file, which its caller reads
}


@of_each(MODULES)
def test_only_the_faces_write_to_a_terminal(path: Path) -> None:
    if any(name_of(path) == place or name_of(path).startswith(f"{place}/") for place in SPEAKS):
        return
    for node in nodes(path):
        printed = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
        stream = (
            isinstance(node, ast.Attribute) and node.attr in ("stdout", "stderr") and ast.unparse(node.value) == "sys"
        )
        assert not printed | stream, (
            f"{name_of(path)}:{getattr(node, 'lineno', 0)} writes to a terminal: give it to cli/ or reports/text.py,"
            " where what strangers wrote is made harmless"
        )


_TYPED = re.compile(r"bascule (?:[a-z]+ )+$")
_BARE = re.compile(r"(?:.*\.)?(?:client|subject|service|asked|check)|(?:service|s|check)\.id")


@of_each(MODULES)
def test_a_command_that_is_shown_names_a_client_as_a_shell_reads_it(path: Path) -> None:
    """A client's folder may have a space in its name, or an `&`."""
    for node in nodes(path):
        for before, value in pairwise(node.values) if isinstance(node, ast.JoinedStr) else ():
            if not isinstance(before, ast.Constant) or not isinstance(value, ast.FormattedValue):
                continue
            bare = _TYPED.search(str(before.value)) and _BARE.fullmatch(ast.unparse(value.value))
            assert not bare, f"{name_of(path)}:{node.lineno}: {ast.unparse(value.value)}: quote it (shlex.quote)"


PROBES = sorted((PACKAGE / "probes").glob("*.py"))


@of_each(PROBES)
def test_what_others_say_is_searched_in_linear_time(path: Path) -> None:
    if path.name == "expressions.py":
        return
    for node in nodes(path):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and ast.unparse(node.func.value) == "re":
            assert isinstance(next(iter(node.args), None), ast.Constant), (
                f"{name_of(path)}:{node.lineno} looks for a pattern that somebody wrote: use expressions.found,"
                " or one hostile page stops everything for minutes"
            )


@of_each(PROBES)
def test_every_answer_comes_in_by_one_way(path: Path) -> None:
    if path.name in ("kind.py", "asking.py"):
        return
    for node in nodes(path):
        if isinstance(node, ast.FunctionDef) and node.name == "classify":
            raise AssertionError(
                f"{name_of(path)}:{node.lineno}: what an answer means is Kind.classify's, which bounds it"
            )
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("Observed"):
            assert path.name == "prober.py", f"{name_of(path)}:{node.lineno} observes past Kind.classify"


def test_what_is_left_to_the_broad_run_is_there() -> None:
    """A row that names no test any more would hide that another one is in the short run."""
    missing = []
    for line in (PACKAGE.parent / "tests" / "broad.txt").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            file, *names = line.partition("[")[0].split("::")
            source = (PACKAGE.parent / "tests" / file).read_text(encoding="utf-8")
            missing += [line for name in names if name and not re.search(rf"\b(def|class) {name}\w*\(?", source)]
    assert missing == []


def test_whatever_is_no_long_story_is_run_before_a_change_lands() -> None:
    """Nothing is left out quietly: by its marks, each test is in exactly one of the runs that `.ci/run` makes."""
    repository = PACKAGE.parent
    made = (repository / "Makefile").read_text(encoding="utf-8")
    calls = re.findall(r"^make (.+)$", (repository / ".ci/run").read_text(encoding="utf-8"), re.MULTILINE)
    assert {"test", "test-broad"} <= set(" ".join(calls).split()), "`.ci/run` leaves out a part of the tests"
    assert re.search(r"^test:.* test-unit test-lab\b", made, re.MULTILINE), "`make test` leaves out a part of itself"
    runs = ("unit", "lab", "broad")
    chosen = [re.search(rf'^test-{run}:.*\n.* -m "([a-z ]+)"', made, re.MULTILINE) for run in runs]
    for bears in itertools.product((False, True), repeat=3):
        marks = dict(zip(("lab", "long", "broad"), bears, strict=True))
        in_runs = [run for run, by in zip(runs, chosen, strict=True) if by and eval(by[1], {}, marks)]
        told = " and ".join(mark for mark, there in marks.items() if there) or "no mark"
        assert len(in_runs) == (0 if marks["long"] else 1), f"a test with {told} is in {in_runs} of the runs"


def test_every_test_of_the_lab_is_in_the_labs_run() -> None:
    """It looks only there, because to read all tests takes as long as some of them."""
    repository = PACKAGE.parent
    listed = re.search(r"^LAB = (.+)$", (repository / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert listed
    places = [repository / place for place in listed[1].split()]
    bears = re.compile(r"\bmark\.lab\b")
    of_the_lab = [p for p in (repository / "tests").rglob("test_*.py") if bears.search(p.read_text(encoding="utf-8"))]
    assert of_the_lab
    left = [p.relative_to(repository).as_posix() for p in of_the_lab if not {p, *p.parents} & set(places)]
    assert not left, f"{', '.join(left)}: name it in LAB of the Makefile, or `make test-lab` does not run it"


def test_no_two_public_classes_of_one_name_in_a_room() -> None:
    """A reader who meets the one must not take it for the other."""
    found: dict[tuple[str, str], list[str]] = {}
    for path in MODULES:
        inside = path.relative_to(PACKAGE)
        for node in tree(path).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found.setdefault((inside.parts[0], node.name), []).append(str(inside))
    found.pop(("runner", "CallbackModule"), None)  # Ansible asks for this name
    assert {f"{room}: {name}": where for (room, name), where in found.items() if len(where) > 1} == {}
