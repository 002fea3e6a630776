"""What the documents say is so: verbs, links, commands, examples.

The one rule it keeps: a document that was not read again after a change fails here, with a sentence that says what
to do.
"""

from __future__ import annotations

import importlib
import re
import subprocess
import xml.etree.ElementTree as ET
from functools import cache
from pathlib import Path

import pytest
import yaml
from cyclopts import App

from orchestrator.cli.main import app
from orchestrator.config import ConfigurationInvalid, load
from orchestrator.core.commands import NoticeKind
from orchestrator.core.reasons import Reason
from orchestrator.core.runs.plan import facts_for
from orchestrator.shell.wiring import option_models
from scripts import diagrams

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")


@cache
def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def prose(page: Path) -> str:
    """Without blocks of code."""
    return FENCED.sub("", text_of(page))


def blocks(page: Path, language: str) -> list[str]:
    return [body for found, body in FENCED.findall(text_of(page)) if found == language]


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


WRITTEN_BY_A_PROGRAM = re.compile(r"^<!-- [\w ]+: begin .*?^<!-- [\w ]+: end -->$", re.MULTILINE | re.DOTALL)
LINE_LENGTH_MAX = 140


@pytest.mark.parametrize("page", [p for p in PAGES if p.name != "CHANGELOG.md"], ids=name_of)
def test_lines_are_short_enough_to_be_read(page: Path) -> None:
    """A table that does not fit is a list."""
    for line in WRITTEN_BY_A_PROGRAM.sub("", prose(page)).splitlines():
        assert len(line) <= LINE_LENGTH_MAX, f"{name_of(page)}: longer than {LINE_LENGTH_MAX} characters:\n{line}"


def verbs() -> list[str]:
    """Every verb, and every verb of a family: "status", "playbook run"."""
    found: list[str] = []
    for verb in app:
        if verb.startswith("-"):
            continue
        below = app[verb]
        inner = [name for name in below if not name.startswith("-")] if isinstance(below, App) else []
        found += [f"{verb} {name}" for name in inner] or [verb]
    return found


@pytest.mark.parametrize("verb", verbs())
def test_every_verb_is_mentioned(verb: str) -> None:
    family, _, inner = verb.partition(" ")
    said = re.compile(rf"bascule {family}\b[^\n]*\b{inner}\b" if inner else rf"bascule {verb}\b")
    assert any(said.search(text_of(page)) for page in PAGES), (
        f"`bascule {verb}` stands in no document: mention it in README.md or docs/operating.md"
    )


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives to headings."""
    headings = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    for link in LINK.findall(prose(page)):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{name_of(page)}: {link} leads to no file"
        if anchor:
            assert anchor in anchors(target), f"{name_of(page)}: {link} leads to no heading of {target.name}"


def test_every_document_can_be_found_from_the_readme() -> None:
    seen, todo = set(), [ROOT / "README.md"]
    while todo:
        page = todo.pop()
        if page in seen or page.suffix != ".md":
            continue
        seen.add(page)
        links = [link.partition("#")[0] for link in LINK.findall(prose(page)) if not re.match(r"[a-z]+:", link)]
        todo += [(page.parent / link).resolve() for link in links if link]
    lost = [name_of(page) for page in PAGES if page not in seen]
    assert not lost, f"no link leads to {', '.join(lost)}: add one to README.md"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_examples_in_yaml_are_yaml(page: Path) -> None:
    for body in blocks(page, "yaml"):
        try:
            yaml.safe_load(body)
        except yaml.YAMLError as error:
            pytest.fail(f"{name_of(page)}: an example is no YAML: {error}\n{body}")


def test_the_readmes_commands_are_targets_of_the_makefile() -> None:
    targets = set(re.findall(r"^([a-z-]+):", text_of(ROOT / "Makefile"), re.MULTILINE))
    for page in PAGES:
        code = [
            *re.findall(r"`([^`\n]+)`", prose(page)),
            *(line for b in blocks(page, "sh") for line in b.splitlines()),
        ]
        for command in code:
            if not re.match(r"\s*make [a-z]", command):
                continue
            named = command.partition("#")[0].partition("ARGS=")[0].split()[1:]
            unknown = set(named) - targets
            assert not unknown, f"{name_of(page)}: the Makefile has no target {', '.join(unknown)}"


def test_the_readmes_example_is_a_valid_workspace(tmp_path: Path) -> None:
    """Each example that begins with its path is that file; together they are what a newcomer writes."""
    for body in blocks(ROOT / "README.md", "yaml"):
        path = tmp_path / body.splitlines()[0].removeprefix("# ")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(body, encoding="utf-8")
    try:
        loaded = load(tmp_path, probe_kinds=option_models(), cache=False)
    except ConfigurationInvalid as invalid:
        pytest.fail("the README's example is invalid:\n" + "\n".join(map(str, invalid.faults)))
    service = loaded.model.services["acme/shop"]
    assert service.mode.value == "observe", "a newcomer begins in mode observe"
    assert loaded.model.references("local"), "the example needs a reference, else a blind controller believes itself"


def test_every_notice_is_explained() -> None:
    page = text_of(ROOT / "docs" / "operating.md")
    # Named in the core, and sent by nothing yet.
    silent: set[NoticeKind] = set()
    missing = [kind.value for kind in NoticeKind if kind not in silent and f"* **{kind.value}**:" not in page]
    assert not missing, f"docs/operating.md does not say what to do on: {', '.join(missing)}"


def test_every_variable_that_playbooks_receive_is_explained() -> None:
    source = Path(facts_for.__code__.co_filename).read_text(encoding="utf-8")
    given = set(re.findall(r'"(bascule_\w+)"', source))
    assert given, "core/runs/plan.py was expected to name the variables of playbooks"
    missing = given - set(re.findall(r"`(bascule_\w+)`", text_of(ROOT / "docs" / "playbooks.md")))
    assert not missing, f"docs/playbooks.md does not explain {', '.join(sorted(missing))}"


def test_guards_that_can_be_overridden_by_example_exist() -> None:
    names = {reason.value for reason in Reason}
    for page in PAGES:
        for guard in re.findall(r"--override '([^']+)'", text_of(page)):
            assert guard in names, f"{name_of(page)}: there is no guard {guard!r}"


def test_the_statements_are_all_there() -> None:
    page = text_of(ROOT / "docs" / "architecture.md")
    assert re.findall(r"^### (\d+)\. ", page, re.MULTILINE) == [str(n) for n in range(1, 24)]
    for test in re.findall(r"`(tests/[^`]+)`", page):
        assert (ROOT / test).exists(), f"docs/architecture.md names {test}, which is not there"


def test_modules_named_in_the_architecture_exist() -> None:
    """`policy.frozen`, `Transaction.verdict`, `SqliteJournal.acquire`: what guards a statement is found by its name."""
    page = text_of(ROOT / "docs" / "architecture.md")
    for module, name in re.findall(r"`(detector|policy|ladder|incident|steps|words|looking|endings)\.(\w+)`", page):
        if name == "py":
            continue
        (path,) = (ROOT / "orchestrator" / "core").rglob(f"{module}.py")
        found = importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
        assert hasattr(found, name), f"docs/architecture.md names {module}.{name}, which is not there"


def test_the_picture_is_a_picture() -> None:
    assert ET.parse(ROOT / "docs" / "demo.svg").getroot().tag.endswith("svg")


def test_the_unit_names_what_the_daemon_needs() -> None:
    """KillMode and the start's time-out are no matter of taste: see docs/operating.md."""
    unit = text_of(ROOT / "docs" / "bascule.service")
    for line in ("Type=notify", "KillMode=process", "TimeoutStartSec=infinity", "ExecReload=/bin/kill -HUP $MAINPID"):
        assert line in unit.splitlines(), f"docs/bascule.service lacks {line}"


def test_the_readmes_verbs_take_the_readmes_options() -> None:
    """Every option that a document shows after `bascule VERB` is one that the verb's help names."""
    shown: dict[str, set[str]] = {}
    for page in PAGES:
        code = [
            *re.findall(r"`([^`\n]+)`", prose(page)),
            *(line for b in blocks(page, "sh") for line in b.splitlines()),
        ]
        for command in code:
            for verb, rest in re.findall(r"\bbascule ([a-z]+)((?: [^\n#|]*)?)", command):
                if verb not in ("playbook", "lab"):  # these hand options on
                    shown.setdefault(verb, set()).update(re.findall(r"(?<![\w-])--[a-z][a-z-]+", rest))
    for verb, options in shown.items():
        if verb not in verbs() or not options:
            continue
        parameters = app[verb].assemble_argument_collection()
        known = {name for argument in parameters for name in argument.names}
        assert options <= known | {"--help"}, f"bascule {verb} has no {', '.join(sorted(options - known))}"


def test_the_service_file_is_understood_by_systemd(tmp_path: Path) -> None:
    unit = text_of(ROOT / "docs" / "bascule.service").replace("/opt/bascule/.venv/bin/bascule", "/bin/true")
    (tmp_path / "bascule.service").write_text(unit, encoding="utf-8")
    try:
        done = subprocess.run(
            ["systemd-analyze", "verify", str(tmp_path / "bascule.service")],
            capture_output=True, text=True, timeout=30, check=False,
        )  # fmt: skip
    except FileNotFoundError:
        pytest.skip("systemd-analyze is not on this machine")
    assert "bascule.service" not in done.stderr, done.stderr


def test_the_diagrams_are_those_of_the_tables() -> None:
    page = text_of(diagrams.PAGE)
    assert diagrams.renewed(page) == page, "the tables have changed: run python -m scripts.diagrams"
