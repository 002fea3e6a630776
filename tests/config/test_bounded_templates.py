"""Strings of an inventory that others wrote: nothing of ours is reached, nothing large is made."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from orchestrator.config.faults import Faults
from orchestrator.config.inventory import Inventory, read_inventory
from orchestrator.config.inventory_values import Verbatim
from orchestrator.config.templates import RenderFailed, Variables

ESCAPES = [
    "{{ hostvars.hosts.variables.workspace.joinpath('OUT').write_text('x') }}",
    "{{ hostvars['web'].scope }}",
    "{{ _scope.variables.workspace }}",
    "{{ self._TemplateReference__context }}",
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ lookup.__self__.variables }}",
    "{{ lookup.__func__.__globals__ }}",
    "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
    "{{ '{0.__class__.__init__.__globals__}'.format(groups) }}",
    "{{ '%s' | format(hostvars.web.__class__) }}",
    "{{ groups | map(attribute='__class__') | join }}",
    "{{ namespace(a=1).__init__.__globals__ }}",
    "{% set x = groups.update({'hq': []}) %}{{ x }}",
    "{{ ['a'].append('b') }}",
    "{{ inventory_dir.joinpath('OUT') }}",
]
BOMBS = [
    "{{ 'a' * 99999999999 }}",
    "{{ [0] * 99999999 }}",
    "{{ 9 ** (9 ** 9) }}",
    "{{ '%99999999d' % 1 }}",
    "{{ '%*d' % (99999999, 1) }}",
    "{{ '{:>99999999}'.format(1) }}",
    "{{ 'a'.center(99999999) }}",
    "{{ 'a' | center(99999999) }}",
    "{{ 'a' | indent(99999999, true) }}",
    "{{ 'a'.ljust(99999999) }}",
    "{{ ('a' * 99999).replace('a', 'b' * 99999) }}",
    "{{ ('a' * 99999) | replace('a', 'b' * 99999) }}",
    "{{ ('b' * 99999).join('a' * 99999) }}",
    "{{ ('a' * 99999) | list | join('b' * 99999) }}",
    "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "{{ range(99999999) | list }}",
    "{% set n = namespace(x='ab') %}{% for i in range(60) %}{% set n.x = n.x + n.x %}{% endfor %}{{ n.x }}",
    "{% set n = namespace(x='ab') %}{% for i in range(60) %}{% set n.x = n.x ~ n.x %}{% endfor %}{{ n.x }}",
    "{% macro m(n) %}{{ m(n) }}{{ m(n) }}{% endmacro %}{{ m(1) }}",
]


def variables(**of_web: Any) -> Variables:
    """Host web of an inventory."""
    inventory = Inventory("acme", (Path("/nowhere/hosts.yml"),), ("web",), {"hq": ("web",), "all": ("web",)})
    inventory.host_vars["web"] = {"ansible_host": "192.0.2.1", **of_web}
    return Variables(inventory, "web", Path("/nowhere"))


@pytest.mark.parametrize("text", ESCAPES)
def test_plain_data_and_nothing_else(text: str) -> None:
    with pytest.raises(RenderFailed):
        variables().render(text)


@pytest.mark.parametrize("text", BOMBS)
def test_nothing_large_is_made(text: str) -> None:
    """In a process that may have little: what is refused was not made first."""
    program = (
        "import resource, sys\n"
        "from tests.config.test_bounded_templates import variables\n"
        "from orchestrator.config.templates import RenderFailed\n"
        "used = int(open('/proc/self/statm').read().split()[0]) * 4096\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + (300 << 20),) * 2)\n"
        "resource.setrlimit(resource.RLIMIT_CPU, (60, 60))\n"
        "try:\n    variables().render(sys.argv[1])\n"
        "except RenderFailed as refused:\n    print(refused)\n"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", program, text], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-300:]
    assert "may not take so much" in done.stdout or "it cannot be rendered: " in done.stdout, done.stdout
    assert "MemoryError" not in done.stdout


def test_variables_that_double_each_other() -> None:
    """A billion laughs."""
    doubling = {f"v{n}": f"{{{{ v{n + 1} }}}}{{{{ v{n + 1} }}}}" for n in range(30)}
    began = time.process_time()
    with pytest.raises(RenderFailed, match=r"steps|characters"):
        variables(**doubling, v30="x").render("{{ v0 }}")
    assert time.process_time() - began < 120


def test_what_authors_write_still_works() -> None:
    """Among them all that Ansible's users know."""
    for text, value in [
        ("{{ hostvars.web.ansible_host }}:{{ 5000 + 432 }}", "192.0.2.1:5432"),
        ("{{ hostvars['web']['ansible_host'].split('.')[0] }}", "192"),
        ("{{ groups['hq'] | map('upper') | join(',') }}", "WEB"),
        ("{% for host in groups.hq %}{{ host ~ loop.index }}{% endfor %}", "web1"),
        ("{{ 'x' * 3 }}", "xxx"),
        ("{{ '%s-%03d' % (inventory_hostname, 7) }}", "web-007"),
        ("{{ '{}:{}'.format('a', 1) }}", "a:1"),
        ("{{ ansible_host | replace('.', '-') }}", "192-0-2-1"),
        ("{{ absent | default('there') }}", "there"),
        ("{{ {'a': [1, 2]}.a | sum }}", 3),
        ("{{ 2 ** 10 }}", 1024),
    ]:
        assert variables().render(text)[0] == value


def test_what_ansible_does_not_template_is_left_alone(tmp_path: Path) -> None:
    """A text that an inventory plug-in composed of others' data."""
    (tmp_path / "hosts.yml").write_text("all: {hosts: {web: {tag: !unsafe '{{ 7 * 7 }}', own: '{{ 7 * 7 }}'}}}\n")
    composed = {"plugin": "ansible.builtin.constructed", "compose": {"url": "'http://' ~ inventory_hostname ~ '/'"}}
    (tmp_path / "z.constructed.yml").write_text(json.dumps(composed))
    sources = [tmp_path / "hosts.yml", tmp_path / "z.constructed.yml"]
    for _ in range(2):
        faults = Faults()
        inventory = read_inventory(tmp_path, "acme", sources, faults, cache=tmp_path / "cache")
        assert inventory is not None, faults
        of_web = inventory.host_vars["web"]
        assert isinstance(of_web["url"], Verbatim)
        assert variables(**of_web).render("{{ tag }} {{ own }} {{ url }}")[0] == "{{ 7 * 7 }} 49 http://web/"
