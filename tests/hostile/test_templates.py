"""Strings of an inventory are a stranger's program: what they may not reach, and what they may not take."""

from __future__ import annotations

import json
import stat
import time
from pathlib import Path
from typing import Any

import pytest

from orchestrator.config import budget
from orchestrator.config.faults import Faults
from orchestrator.config.inventory import Inventory, read_inventory
from orchestrator.config.inventory_values import Verbatim
from orchestrator.config.templates import RenderFailed, Variables


def variables(**given: Any) -> Variables:
    """Of one host, with these."""
    host_vars = {
        "app": {"ansible_host": "10.0.0.1", "words": ["b", "a"], "d": {"k": 1, "items": 2}, **given},
        "db": {"port": 5432},
    }
    inventory = Inventory(
        "acme", (Path("/ws/inventories/acme/hosts.yml"),), ("app", "db"), {"all": ("app", "db")}, host_vars, {}
    )
    return Variables(inventory, "app", Path("/ws"))


REACHING_OUT = [
    "{{ _scope }}",
    "{{ _scope.variables.workspace }}",
    "{{ hostvars.hosts }}",
    "{{ hostvars.scope.variables }}",
    "{{ hostvars['app'].variables }}",
    "{{ hostvars.hosts.variables.workspace.joinpath('PWNED').write_text('x') }}",
    "{{ hostvars._abc_impl }}",
    "{{ hostvars | attr('hosts') }}",
    "{{ [hostvars] | map('attr', 'hosts') | list }}",
    "{{ [hostvars] | map(attribute='hosts') | list }}",
    "{{ '{0.hosts}'.format(hostvars) }}",
    "{{ '{0.__class__}'.format(words) }}",
    "{{ words.__class__.__mro__ }}",
    "{{ ''['__class__'] }}",
    "{{ lookup.__globals__ }}",
    "{{ lookup._function }}",
    "{{ lookup.__self__.variables }}",
    "{{ range.__class__ }}",
    "{{ self.__init__ }}",
    "{{ self._TemplateReference__context }}",
    "{% macro m() %}{% endmacro %}{{ m._func.__globals__ }}",
    "{{ ''.join.__self__ }}",
    "{{ ''.join._bound.func }}",
    "{{ words.append('x') }}",
    "{{ d.update({'x': 1}) }}",
    "{{ d.pop('k') }}",
    "{{ cycler }}",
    "{{ joiner }}",
    "{{ lipsum.__globals__ }}",
    "{{ dict.fromkeys }}",
    "{{ dict.mro() }}",
    "{{ namespace.__init__ }}",
    "{% set n = namespace() %}{{ n._Namespace__attrs }}",
    "{% for x in words %}{{ loop._recurse }}{% endfor %}",
    "{% for x in words %}{{ loop._iterable }}{% endfor %}",
    "{% include '/etc/passwd' %}",
    "{% import 'x' as y %}",
    "{% extends 'x' %}",
    "{{ words | random }}",
    "{{ request }}",
    "{{ config }}",
    "{{ true.real }}",
    "{{ (1).to_bytes(2, 'big') }}",
    "{{ ''.encode() }}",
    "{{ ''.translate({}) }}",
    "{{ ''.format_map(hostvars) }}",
    "{{ words | map('each of') | map(attribute='gi_frame') | list }}",
    "{{ (words | map('upper')).gi_frame }}",
    "{{ lookup('pipe', 'id') }}",
    "{{ hostvars[0:1] }}",
    "{{ dict() ** 2 }}",
    "{{ ''() }}",
    "{{ words() }}",
]


@pytest.mark.parametrize("template", REACHING_OUT)
def test_no_template_reaches_an_object_of_ours_or_of_python(template: str, tmp_path: Path) -> None:
    with pytest.raises(RenderFailed) as failed:
        variables().render(template)
    assert "orchestrator" not in str(failed.value)
    assert "0x" not in str(failed.value)


NINES = "9" * 8
TAKING = [
    f"{{{{ 'x' * {NINES} }}}}",
    f"{{{{ [1] * {NINES} }}}}",
    f"{{{{ 9 ** {NINES} }}}}",
    "{{ 9 ** (9 ** 9) }}",
    f"{{{{ '%{NINES}d' % 1 }}}}",
    f"{{{{ '%*d' % ({NINES}, 1) }}}}",
    f"{{{{ '%{NINES}d' | format(1) }}}}",
    f"{{{{ '{{:>{NINES}}}'.format(1) }}}}",
    f"{{{{ '{{:{{}}}}'.format(1, {NINES}) }}}}",
    f"{{{{ 'x'.center({NINES}) }}}}",
    f"{{{{ 'x'.ljust({NINES}) }}}}",
    f"{{{{ 'x'.zfill({NINES}) }}}}",
    f"{{{{ 'x' | center({NINES}) }}}}",
    f"{{{{ range({NINES}) | list }}}}",
    f"{{{{ 1.5 | round({NINES}) }}}}",
    "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
    "{% for i in range(99999) %}{% for j in range(99999) %}x{% endfor %}{% endfor %}",
    "{{ big.replace('x', big) }}",
    "{{ big | replace('x', big) }}",
    "{{ big.join(big) }}",
    "{{ big | join(big) }}",
    "{{ big ~ big ~ big ~ big ~ big ~ big ~ big ~ big ~ big ~ big ~ big }}",
    "{{ big }}" * 20,
    "{{ big * 99 }}",
    "{{ big.split('x') | map('upper') | join(big) }}",
    "{% macro m() %}{{ m() }}{{ m() }}{% endmacro %}{{ m() }}",
    "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(60) }}",
    "{{ v0 }}",
    "{{ l0 }}",
    "{{ self_made }}",
    "".join(
        [
            "{% set a0 = ['x', 'x'] %}",
            *(f"{{% set a{n + 1} = [a{n}, a{n}] %}}" for n in range(60)),
            "{{ a60 == a60 | list }}",
        ]
    ),
    "{% set n = namespace(x='x') %}{% for i in range(99) %}{% set n.x = n.x + n.x %}{% endfor %}{{ n.x }}",
    "{% set n = namespace(x='x') %}{% for i in range(99) %}{% set n.x = n.x ~ n.x %}{% endfor %}{{ n.x }}",
    "{% set n = namespace(x=[]) %}{% for i in range(99) %}{% set n.x = [n.x, n.x] %}{% endfor %}{{ n.x }}",
    "{% set n = namespace(x=2) %}{% for i in range(99) %}{% set n.x = n.x * n.x %}{% endfor %}{{ n.x }}",
    "{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}",
    "x" * 70000 + "{{ 1 }}",
    "{% for x in range(99999) %}{% for y in range(999) %}{{ hostvars['db'].port }}{% endfor %}{% endfor %}",
]


@pytest.mark.parametrize("template", TAKING, ids=lambda text: text[:60])
def test_no_template_takes_more_than_its_share(template: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "CPU_MAX_S", 0.5)
    chain = {f"v{n}": f"{{{{ v{n + 1} }}}}{{{{ v{n + 1} }}}}" for n in range(30)} | {"v30": "x"}
    lists = {f"l{n}": [f"{{{{ l{n + 1} }}}}"] * 2 for n in range(30)} | {"l30": "x"}
    known = variables(big="x" * 100_000, self_made="{% for i in range(9999) %}{{ v3 }}{% endfor %}", **chain, **lists)
    began = time.thread_time()
    with pytest.raises(RenderFailed) as failed:
        known.render(template)
    assert time.thread_time() - began < 4
    assert len(str(failed.value)) < 1000


def test_the_variable_to_mend_is_named() -> None:
    known = variables(note="{{ 'x' * 99999999 }}", url="http://{{ note }}/")
    with pytest.raises(RenderFailed, match=r"^variable note of app makes a value of more than 1048576 characters$"):
        known.render("{{ url }}")
    with pytest.raises(RenderFailed, match=r"^it makes a value"):
        known.render("{{ 'x' * 99999999 }}")


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("{{ d.items() | list }}", [["k", 1], ["items", 2]]),
        ("{{ d['items'] }}", 2),
        ("{{ d.k }}", 1),
        ("{{ words | sort | join('-') }}", "a-b"),
        ("{{ words | map('upper') | list }}", ["B", "A"]),
        ("{{ words | map('upper') }}", ["B", "A"]),
        ("{{ '%s:%03d' % ('a', 7) }}", "a:007"),
        ("{{ '%s/%s' | format('a', 'b') }}", "a/b"),
        ("{{ '{}:{:>4}'.format('a', 7) }}", "a:   7"),
        ("{{ 'a-b'.split('-')[1] }}", "b"),
        ("{{ ('a' * 3) ~ (1 + 1) }}", "aaa2"),
        ("{{ words + ['c'] }}", ["b", "a", "c"]),
        ("{{ [1, 2, 3] | sum }}", 6),
        ("{{ 2 ** 10 }}", 1024),
        ("{% set n = namespace(x=0) %}{% for w in words %}{% set n.x = n.x + loop.index %}{% endfor %}{{ n.x }}", 3),
        ("{% for k, v in d | dictsort %}{{ k }}={{ v }};{% endfor %}", "items=2;k=1;"),
        ("{% macro m(x) %}<{{ x }}>{% endmacro %}{{ m('a') }}", "<a>"),
        ("{{ hostvars.db.port }}", 5432),
        ("{{ hostvars.get('db').get('port') }}", 5432),
        ("{{ hostvars | list }}", ["app", "db"]),
        ("{{ 'db' in hostvars }}", True),
        ("{{ [{'a': 2}, {'a': 1}] | map(attribute='a') | list }}", [2, 1]),
        ("{{ [{'a': 2}, {'a': 1}] | sort(attribute='a') | map(attribute='a') | join(',') }}", "1,2"),
        ("{{ 1 if words is defined and 'a' in words else 2 }}", 1),
        ("{{ ansible_host.split('.')[:3] | join('.') }}", "10.0.0"),
        ("{{ {'a': words} | tojson }}", '{"a": ["b", "a"]}'),
    ],
)
def test_what_people_write_goes_on(template: str, value: Any) -> None:
    given, _ = variables().render(template)
    assert json.loads(json.dumps(given)) == value


def test_what_ansible_leaves_alone_is_left_alone() -> None:
    known = variables(tag=Verbatim("{{ 1 + 1 }}"), deep={"x": [Verbatim("{{ lookup('env', 'HOME') }}")]})
    assert known.render("{{ tag }}|{{ deep.x[0] }}") == ("{{ 1 + 1 }}|{{ lookup('env', 'HOME') }}", False)


SCRIPT = """#!/usr/bin/env python3
import json
says = "{{ 1 + 1 }}"
known = {"plain": says, "unsafe": {"__ansible_unsafe": says}, "deep": [{"__ansible_unsafe": says}]}
print(json.dumps({"all": {"hosts": ["web"]}, "_meta": {"hostvars": {"web": known}}}))
"""
STATIC = 'all: {hosts: {web: {plain: "{{ 1 + 1 }}", unsafe: !unsafe "{{ 1 + 1 }}", deep: [!unsafe "{{ 1 + 1 }}"]}}}\n'
COMPOSED = """plugin: constructed
strict: true
compose: {unsafe: "'{' ~ '{ 1 + 1 }' ~ '}'"}
"""


@pytest.mark.parametrize("form", ["script", "static"])
def test_trust_is_as_ansible_gives_it(tmp_path: Path, form: str) -> None:
    folder = tmp_path / "inventories" / "acme"
    folder.mkdir(parents=True)
    source = folder / ("hosts.py" if form == "script" else "hosts.yml")
    source.write_text(SCRIPT if form == "script" else STATIC)
    source.chmod(source.stat().st_mode | (stat.S_IXUSR if form == "script" else 0))
    for _ in range(2):  # the second time from the cache, where there is one
        faults = Faults()
        inventory = read_inventory(tmp_path, "acme", [source], faults, cache=tmp_path / "cache")
        assert inventory is not None, faults.found
        known = Variables(inventory, "web", tmp_path)
        assert known.render("{{ plain }}|{{ unsafe }}|{{ deep[0] }}") == ("2|{{ 1 + 1 }}|{{ 1 + 1 }}", False)


def test_what_a_plug_in_sets_is_a_text(tmp_path: Path) -> None:
    folder = tmp_path / "inventories" / "acme"
    folder.mkdir(parents=True)
    (folder / "hosts.yml").write_text("all: {hosts: {web: {cidr: 10.0.0.7/8}}}\n")
    (folder / "hosts.names.yml").write_text(COMPOSED)
    faults = Faults()
    inventory = read_inventory(tmp_path, "acme", [folder / "hosts.yml", folder / "hosts.names.yml"], faults, cache=None)
    assert inventory is not None, faults.found
    assert Variables(inventory, "web", tmp_path).render("{{ unsafe }}") == ("{{ 1 + 1 }}", False)
