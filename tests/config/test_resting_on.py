"""One file edited voids exactly the proofs that rest on it; a remark in YAML voids none.

What rests on what is worked out here a second time, from what the files import, and compared with what becomes void.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.config import load
from orchestrator.config.said import said
from orchestrator.core.codec import decode, encode
from orchestrator.core.model import Model, Playbook
from orchestrator.reports.proofs import basis, changed
from orchestrator.shell.wiring import option_models

OWN = Path(__file__).parents[2]
Proof = tuple[str, str]  # a service and a move


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def model_of(workspace: Path) -> Model:
    return load(workspace, probe_kinds=option_models()).model


def void(before: Model, now: Model) -> set[Proof]:
    """Every proof that there could be under the one, and that the other leaves void."""
    return {
        (service.id, move.id)
        for service in before.services.values()
        for move in before.moves.values()
        if move.client == service.client
        and changed(basis(before, service.id, move.id), basis(now, service.id, move.id))
    }


# ---- a second reading of what a playbook is made of


class _Any(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Tags (a vaulted value) are of no interest here."""


_Any.add_multi_constructor("!", lambda _loader, _suffix, node: str(node.value))


def values(data: Any) -> Iterator[tuple[str, Any]]:
    for key, value in data.items() if isinstance(data, dict) else [("", x) for x in data if isinstance(data, list)]:
        yield str(key), value
        if isinstance(value, dict | list):
            yield from values(value)


@cache
def parsed(content: str) -> Any:
    return yaml.load(content, _Any)


@dataclass
class Reading:
    """What each playbook of a workspace is made of, by its imports, its roles, and names of files in its texts."""

    workspace: Path

    def made_of(self, playbook: Path, found: set[Path] | None = None) -> set[Path]:
        found = set() if found is None else found
        if playbook in found or not playbook.is_file():
            return found
        found.add(playbook)
        content = playbook.read_text(encoding="utf-8")
        data = parsed(content) if playbook.suffix == ".yml" else None
        for key, value in values(data) if isinstance(data, list | dict) else []:
            plain = key.removeprefix("ansible.builtin.")
            if plain in ("include_role", "import_role") and isinstance(value, dict):
                self.role(str(value["name"]), found)
            elif plain == "role":
                self.role(str(value), found)
            elif plain == "roles":
                for item in value:
                    self.role(item, found) if isinstance(item, str) else None
            elif isinstance(value, str) and not (plain == "name" and " " in value):
                for name in re.findall(r"[\w./-]+\.(?:yml|j2|sh)", value):
                    for top in (playbook.parent, playbook.parent.parent / "templates", self.workspace / "playbooks"):
                        if (path := (top / name).resolve()).is_file():
                            self.made_of(path, found)
        return found

    def role(self, name: str, found: set[Path]) -> None:
        for path in sorted((self.workspace / "playbooks/roles" / name).rglob("*")):
            self.made_of(path, found)

    def resting_on(self, model: Model, edited: Path) -> set[Proof]:
        found: set[Proof] = set()
        for service in model.services.values():
            for move in model.moves.values():
                if move.client != service.client:
                    continue
                books: list[Playbook | None] = [move.playbook, move.prepare, move.finish]
                books.append(move.hand_over.playbook if move.hand_over else None)
                if move.to is not None and service.exclusive:
                    places = [p for p in model.places.values() if p.client == move.client and p.id != move.to]
                    books += [place.fence.playbook for place in places if place.fence]
                files = {f for b in books if b for f in self.made_of((self.workspace / "playbooks" / b.path).resolve())}
                if edited.resolve() in files:
                    found.add((service.id, move.id))
        return found


def edited(path: Path) -> str:
    """The file with something in it that says something else."""
    content = path.read_text(encoding="utf-8")
    data = parsed(content) if path.suffix == ".yml" else None
    if isinstance(data, list) and any("hosts" in x or any("import_playbook" in key for key in x) for x in data):
        return f"{content}\n- name: More\n  hosts: localhost\n  gather_facts: false\n  tasks: []\n"
    if isinstance(data, list):
        return f"{content}\n- name: More\n  ansible.builtin.debug:\n    msg: more\n"
    if path.suffix == ".yml":
        return f"{content}\nsomething_more: 1\n"
    return f"{content}\nmore\n"


def remarked(path: Path, how: int) -> str:
    """The same file with remarks and blank lines where they say nothing."""
    content = path.read_text(encoding="utf-8")
    if how == 0:
        return f"# power_off.yml and roles/erp of {path.name}: a remark\n\n{content}"
    if how == 1:
        return f"{content}\n\n# a remark\n"
    lines = content.splitlines()
    at = next((i for i, x in enumerate(lines) if x.startswith(("- ", "---"))), 0)
    return "\n".join([*lines[: at + 1], "  # a remark", *lines[at + 1 :], ""])


# ---- the workspace that this repository is


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("own")
    for name in ("inventories", "playbooks", "checks"):
        shutil.copytree(OWN / name, place / name)
    for name in ("ansible.cfg", "bascule.yml"):
        shutil.copy(OWN / name, place / name)
    model_of(place)
    return place


OWN_FILES = sorted(
    str(p.relative_to(OWN)) for p in (OWN / "playbooks").rglob("*") if p.is_file() and p.suffix in (".yml", ".j2")
)


def restoring(workspace: Path) -> Iterator[Path]:
    """The workspace; afterwards it is as it was."""

    def files() -> list[Path]:
        return [p for p in workspace.rglob("*.*") if p.is_file() and ".bascule" not in p.parts]

    were = {p: p.read_text(encoding="utf-8") for p in files()}
    yield workspace
    for path in files():
        if path not in were:
            path.unlink()
    for path, text in were.items():
        if path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


@pytest.mark.broad
@pytest.mark.parametrize("name", OWN_FILES)
def test_each_file_edited_voids_exactly_the_proofs_that_rest_on_it(own: Path, name: str) -> None:
    test_an_edit_voids_exactly_the_proofs_that_rest_on_the_file.hypothesis.inner_test(own, name)  # type: ignore[attr-defined]


@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(OWN_FILES))
def test_an_edit_voids_exactly_the_proofs_that_rest_on_the_file(own: Path, name: str) -> None:
    before, path = model_of(own), own / name
    was = path.read_text(encoding="utf-8")
    try:
        expected = Reading(own).resting_on(before, path)
        path.write_text(edited(path), encoding="utf-8")
        assert void(before, model_of(own)) == expected
    finally:
        path.write_text(was, encoding="utf-8")


@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from([x for x in OWN_FILES if x.endswith(".yml")]), how=st.integers(0, 2))
def test_a_remark_or_a_blank_line_voids_none(own: Path, name: str, how: int) -> None:
    before, path = model_of(own), own / name
    was = path.read_text(encoding="utf-8")
    try:
        path.write_text(remarked(path, how), encoding="utf-8")
        now = model_of(own)
        assert void(before, now) == set()
        books = {m.playbook.path: m.playbook.digest for m in before.moves.values()}
        used = name.removeprefix("playbooks/") in books
        assert not used or books != {m.playbook.path: m.playbook.digest for m in now.moves.values()}, "approvals bind"
    finally:
        path.write_text(was, encoding="utf-8")


# ---- two clients with the same names

SERVICES = """\
places:
  hq: {fence: {playbook: off.yml, proven_when: {all: [dark]}}}
  spare: {}
moves:
  one: {playbook: one.yml, to: spare, viable_when: {all: [up]}, verify: {all: [up]}, data_age: up}
  two: {playbook: two.yml, verify: {all: [up]}, vars: {colour: blue}}
  three: {playbook: three.yml, verify: {all: [up]}}
  four: {playbook: four.yml, verify: {all: [up]}}
services:
  shop: {home: hq, exclusive: true, rto: 5m, healthy_when: {all: [up]}, ladder: [one, two, three, four]}
  till: {home: hq, rto: 5m, healthy_when: {all: [up]}, ladder: [two, four]}
"""
CHECKS = """\
- {name: sees, probe: tcp, target: 192.0.2.1, port: 53, reference: true}
- {name: up, hosts: web, probe: tcp, target: "{{ ansible_host }}", port: 80}
- {name: dark, hosts: web, probe: tcp, target: "{{ ansible_host }}", port: 81}
"""
HOSTS = """\
all:
  vars: {everywhere: 1}
  children:
    hq: {hosts: {web: {ansible_host: 192.0.2.2}, desk: {ansible_host: 192.0.2.3}}}
    spare: {hosts: {other: {ansible_host: 192.0.2.4}, idle: {ansible_host: 192.0.2.5}}}
"""


@pytest.fixture(scope="module")
def two_clients(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tmp_path = tmp_path_factory.mktemp("twins")
    for client in ("east", "west"):
        write(tmp_path / f"inventories/{client}/services.yml", SERVICES)
        write(tmp_path / f"inventories/{client}/hosts.yml", HOSTS)
        write(tmp_path / f"inventories/{client}/host_vars/other.yml", "deep: {er: [1, 2]}\n")
    write(tmp_path / "checks/all.yml", CHECKS)
    books = tmp_path / "playbooks"
    write(books / "off.yml", "- hosts: desk\n  roles: [power]\n")
    write(books / "one.yml", "- hosts: other\n  roles: [web]\n")
    write(books / "two.yml", "- hosts: web\n  roles: [{role: web}]\n  tasks:\n    - include_tasks: steps/more.yml\n")
    write(books / "three.yml", "- hosts: web\n  tasks:\n    - ansible.builtin.copy: {src: conf.yml, dest: /etc/conf}\n")
    write(books / "four.yml", "- hosts: web\n  tasks:\n    - debug: {msg: \"{{ hostvars['idle'].ansible_host }}\"}\n")
    write(books / "steps/more.yml", "- debug: {msg: more}\n")
    write(books / "files/conf.yml", "a: 1\n")
    for role in ("web", "power"):
        write(books / f"roles/{role}/tasks/main.yml", "- ansible.builtin.template: {src: page.j2, dest: /tmp/page}\n")
        write(books / f"roles/{role}/templates/page.j2", "page\n")
        write(books / f"roles/{role}/defaults/main.yml", f"{role}_colour: red\n")
    return tmp_path


@pytest.fixture(scope="module")
def at_first(two_clients: Path) -> Model:
    return model_of(two_clients)


@pytest.fixture
def twins(two_clients: Path) -> Iterator[Path]:
    yield from restoring(two_clients)


def of_both(*found: Proof) -> set[Proof]:
    return {(f"{client}/{service}", f"{client}/{move}") for client in ("east", "west") for service, move in found}


ONE, TWO, TWO_T = ("shop", "one"), ("shop", "two"), ("till", "two")
THREE, FOUR = ("shop", "three"), ("shop", "four")
ONE_T, THREE_T, FOUR_T = ("till", "one"), ("till", "three"), ("till", "four")


@pytest.mark.parametrize(
    ("file", "text", "expected"),
    [
        ("playbooks/roles/web/tasks/main.yml", "- debug: {msg: else}\n", of_both(ONE, ONE_T, TWO, TWO_T)),
        ("playbooks/roles/web/templates/page.j2", "page {# a remark #}\n", of_both(ONE, ONE_T, TWO, TWO_T)),
        ("playbooks/roles/web/defaults/main.yml", "web_colour: blue\n", of_both(ONE, ONE_T, TWO, TWO_T)),
        ("playbooks/roles/web/defaults/main.yml", "# remark\nweb_colour:   'red'\n", set()),
        ("playbooks/roles/power/tasks/main.yml", "- debug: {msg: else}\n", of_both(ONE)),  # by the fence of hq
        ("playbooks/steps/more.yml", "- debug: {msg: else}\n", of_both(TWO, TWO_T)),
        ("playbooks/steps/more.yml", "---\n# one.yml\n- debug:\n    msg: more\n", set()),
        ("playbooks/files/conf.yml", "a: 1 # it is copied as it is\n", of_both(THREE, THREE_T)),
        ("playbooks/three.yml", "- hosts: web\n  tasks: []\n", of_both(THREE, THREE_T)),
        ("playbooks/one.yml", "- hosts: other\n  roles: [web]\n  tags: ['1']\n", of_both(ONE, ONE_T)),
    ],
)
def test_a_file_edited(twins: Path, at_first: Model, file: str, text: str, expected: set[Proof]) -> None:
    write(twins / file, text)
    assert void(at_first, model_of(twins)) == expected


@pytest.mark.parametrize(
    ("file", "was", "now", "expected"),
    [
        # of one host: what plays there, and what asks for other hosts' variables; of the other client nothing
        ("hosts.yml", "192.0.2.4", "192.0.2.44", {ONE, ONE_T, FOUR, FOUR_T}),
        ("hosts.yml", "192.0.2.5", "192.0.2.55", {FOUR, FOUR_T}),
        ("hosts.yml", "192.0.2.3", "192.0.2.33", {ONE, FOUR, FOUR_T}),  # the fence of hq plays there
        ("host_vars/other.yml", "er: [1, 2]", "er: [2, 1]", {ONE, ONE_T, FOUR, FOUR_T}),
        ("hosts.yml", "everywhere: 1", "everywhere: 2", {ONE, ONE_T, TWO, TWO_T, THREE, THREE_T, FOUR, FOUR_T}),
        ("hosts.yml", "all:\n", "# a remark\nall:\n\n", set()),
        ("host_vars/other.yml", "{er: [1, 2]}", "\n  er:\n    - 1 # one\n    - 2", set()),
        ("services.yml", "colour: blue", "colour: red", {TWO, TWO_T}),
    ],
)
def test_a_variable_voids_what_plays_where_it_is_read_and_nothing_of_the_other_client(
    twins: Path, at_first: Model, file: str, was: str, now: str, expected: set[Proof]
) -> None:
    path = twins / "inventories/east" / file
    content = path.read_text(encoding="utf-8")
    assert was in content
    path.write_text(content.replace(was, now), encoding="utf-8")
    found = void(at_first, model_of(twins))
    assert found == {(f"east/{service}", f"east/{move}") for service, move in expected}


@pytest.mark.parametrize(
    "inner",
    [
        "- hosts: web\n  roles: [power]\n",
        "- hosts: web\n  roles: [{role: power}]\n",
        "- hosts: web\n  tasks:\n    - ansible.builtin.include_role: {name: power}\n",
        "- ansible.builtin.import_playbook: off.yml\n",
    ],
)
def test_the_roles_of_a_playbook_that_a_task_starts_count(twins: Path, inner: str) -> None:
    """It is no part that Ansible loads with the plays, and what it loads in turn decides what is done all the same."""
    write(twins / "playbooks/inner.yml", inner)
    book = (twins / "playbooks/two.yml").read_text(encoding="utf-8")
    task = 'ansible.builtin.command: ansible-playbook "{{ playbook_dir }}/inner.yml"'
    write(twins / "playbooks/two.yml", f"{book}    - {task}\n")
    before = model_of(twins)
    write(twins / "playbooks/roles/power/tasks/main.yml", "- debug: {msg: else}\n")
    assert void(before, model_of(twins)) == of_both(ONE, TWO, TWO_T)  # of the first by the fence of hq


def test_what_is_void_is_told_by_its_name(twins: Path) -> None:
    before = model_of(twins)
    write(twins / "playbooks/roles/web/tasks/main.yml", "- debug: {msg: else}\n")
    write(twins / "inventories/east/host_vars/other.yml", "deep: 2\n")
    told = changed(basis(before, "east/shop", "east/one"), basis(model_of(twins), "east/shop", "east/one"))
    assert told == ("role web, of the playbook one.yml", "the variables of its hosts, of the playbook one.yml")


def test_a_model_of_an_older_version_is_compared_by_its_digests(twins: Path) -> None:
    """It knows no parts, and no versions."""
    now = model_of(twins)
    stored = encode(now)
    older = decode(Model, _without(stored, {"rests_on", "versions"}))
    assert void(older, now) == set()
    write(twins / "playbooks/one.yml", "# a remark\n- hosts: other\n  roles: [web]\n")
    assert void(older, model_of(twins)) == of_both(ONE, ONE_T)
    assert void(now, model_of(twins)) == set()


def _without(data: Any, names: set[str]) -> Any:
    if isinstance(data, dict):
        return {key: _without(value, names) for key, value in data.items() if key not in names}
    return [_without(x, names) for x in data] if isinstance(data, list) else data


def test_another_version_of_bascule_or_of_ansible_voids_every_proof(twins: Path) -> None:
    now = model_of(twins)
    assert now.versions["bascule"]
    assert re.fullmatch(r"2\.\d+\.\d+.*", now.versions["ansible-core"])
    stored = encode(now)
    stored["versions"]["ansible-core"] = "2.0.0"  # type: ignore[index, call-overload]
    told = changed(basis(decode(Model, stored), "east/shop", "east/two"), basis(now, "east/shop", "east/two"))
    assert told == ("the version of ansible-core",)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("a: 1\n", "# x\n\na:    1\n", True),
        ("a: yes\n", "a: 'yes'\n", False),  # a word in quotes is another type
        ("a: b\n", "a: 'b'\n", True),
        ("a: 1\n", "a: 1.0\n", False),
        ("a: |\n  # not a remark\n", "a: |\n  # another\n", False),
        ("- a\n- b\n", "- b\n- a\n", False),
        ("a: !vault x\n", "a: x\n", False),
        ("a: &x {b: 1}\nc: *x\n", "a: {b: 1}\nc: {b: 1}\n", True),
        ("a: [1\n", "# x\na: [1\n", False),  # no YAML: its bytes
        ("$ANSIBLE_VAULT;1.1;AES256\n61\n", "$ANSIBLE_VAULT;1.1;AES256\n61\n\n", False),
    ],
)
def test_what_yaml_says_and_how_it_is_written(tmp_path: Path, one: str, other: str, same: bool) -> None:
    found = [said(write(tmp_path / f"{i}.yml", text)).meaning for i, text in enumerate((one, other))]
    assert (found[0] == found[1]) is same


@pytest.mark.parametrize(
    "task",
    [
        "ansible.builtin.copy: {src: steps/more.yml, dest: /tmp/x}",
        "ansible.builtin.shell: cat {{ playbook_dir }}/steps/more.yml",
        "ansible.builtin.shell: cat {{ playbook_dir }}/steps/*.yml",
        "ansible.builtin.debug: {msg: \"{{ lookup('file', 'steps/more.yml') }}\"}",
    ],
)
def test_a_file_that_something_reads_by_itself_counts_by_its_bytes(twins: Path, task: str) -> None:
    book = (twins / "playbooks/two.yml").read_text(encoding="utf-8")
    write(twins / "playbooks/two.yml", f"{book}    - {task}\n")
    before = model_of(twins)
    write(twins / "playbooks/steps/more.yml", "- debug: {msg: more} # a remark\n")
    assert void(before, model_of(twins)) == of_both(TWO, TWO_T)
