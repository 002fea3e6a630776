"""Templates see what Ansible would show them, and secrets stay out of what they give."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestrator.config.inventory import Inventory
from orchestrator.config.inventory_values import Vaulted
from orchestrator.config.templates import RenderFailed, Secrets, SecretUnavailable, Variables


def variables(host: str = "app", **given: Any) -> Variables:
    """The variables of one host of two."""
    inventory = Inventory(
        "acme",
        (Path("/ws/inventories/acme/hosts.yml"),),
        ("app", "db"),
        {"all": ("app", "db"), "hq": ("app",)},
        {"app": {"ansible_host": "10.0.0.1", **given}, "db": {"ansible_host": "10.0.0.2", "port": "{{ 5000 + 432 }}"}},
        {"all": {"zone": "acme.example"}},
    )
    return Variables(inventory, host, Path("/ws"))


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("{{ ansible_host }}", "10.0.0.1"),
        ("http://{{ ansible_host }}:{{ 8000 + 80 }}/", "http://10.0.0.1:8080/"),
        ("{{ ports }}", [1, 2]),
        ("{{ ports[1] }}", 2),
        ("{{ url }}", "http://10.0.0.1"),
        ("{{ text }}", "080"),
        ("{{ missing | default('x') }}", "x"),
        ("{{ inventory_hostname }} {{ group_names }}", "app ['hq']"),
        ("{{ groups['all'] | join(',') }}", "app,db"),
        ("{{ hostvars['db'].port }}", 5432),
        ("{{ hostvars[groups['all'][1]]['ansible_host'] }}", "10.0.0.2"),
        ("{{ inventory_dir }}", "/ws/inventories/acme"),
        ("{% for p in ports %}{{ p }};{% endfor %}", "1;2;"),
        ({"a": ["{{ text }}"]}, {"a": ["080"]}),
    ],
)
def test_rendering(template: Any, value: Any) -> None:
    known = variables(ports=[1, 2], url="http://{{ ansible_host }}", text="080")
    assert known.render(template) == (value, False)


def test_a_variable_that_nobody_reads_may_be_beyond_us() -> None:
    assert variables(other="{{ x | ansible.utils.ipaddr }}").render("{{ ansible_host }}") == ("10.0.0.1", False)


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{ nowhere }}", "'nowhere' is undefined"),
        ("{{ nowhere.x }}", "'nowhere' is undefined"),
        ("{{ ports.x }}", "has no attribute 'x'"),
        ("{{ ring }}", "through itself"),
        ("{{ 1 / 0 }}", "ZeroDivisionError"),
        ("{{ ''.__class__ }}", "unsafe"),
        ("{{ lookup('pipe', 'id') }}", "works in playbooks only"),
        ("{{ hostvars['nobody'].x }}", "nobody"),
    ],
)
def test_what_cannot_be_rendered_says_why(template: str, message: str) -> None:
    with pytest.raises(RenderFailed, match=message.replace("(", r"\(")):
        variables(ports=[1], ring="{{ ring }}").render(template)


def test_without_a_host_the_variables_of_all_are_seen() -> None:
    assert variables(host="").render("{{ zone }}") == ("acme.example", False)
    with pytest.raises(RenderFailed):
        variables(host="").render("{{ inventory_hostname }}")


def test_a_secret_is_touched_and_not_shown() -> None:
    known = variables(password=Vaulted(clear="hunter2"), url="postgres://x:{{ password }}@db")
    for template in ("{{ password }}", "{{ url }}", "{{ hostvars['app'].url }}", "{{ lookup('env', 'HOME') }}"):
        rendered, touched = known.render(template)
        assert touched
        assert "hunter2" not in str(rendered)
    assert "hunter2" not in repr(known)
    assert "hunter2" not in repr(known.raw("password"))


def test_a_secret_is_had_by_its_reference_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = variables(password=Vaulted(clear="hunter2"))
    token = tmp_path / "token"
    token.write_text("abc\n")
    monkeypatch.setenv("CHAT", "xyz")
    secrets = Secrets(tmp_path)
    secrets.refer("acme/a:password_secret", "{{ password }}", known)
    secrets.refer("acme/b:token_secret", f"{{{{ lookup('ansible.builtin.file', '{token}') }}}}", known)
    secrets.refer("acme/c:token_secret", "Bearer {{ lookup('env', 'CHAT') }}", known)
    secrets.refer("acme/d:token_secret", "{{ lookup('env', 'NOT_SET_ANYWHERE') }}", known)
    assert secrets["acme/a:password_secret"] == "hunter2"
    clear, failed = secrets.reveal_all()
    assert clear == {
        "acme/a:password_secret": "hunter2",
        "acme/b:token_secret": "abc",
        "acme/c:token_secret": "Bearer xyz",
    }
    assert failed == {
        "acme/d:token_secret": "acme/d:token_secret: the environment variable NOT_SET_ANYWHERE is not set"
    }
    assert "hunter2" not in repr(secrets)
    with pytest.raises(SecretUnavailable, match="NOT_SET_ANYWHERE"):
        secrets["acme/d:token_secret"]
    with pytest.raises(KeyError):
        secrets["acme/e"]


@pytest.mark.parametrize(
    "template",
    [
        "{{ places[pin] }}",
        "{{ places[pin | upper] }}",
        "{{ hostvars[pin].x }}",
        "{{ hostvars.web.places[hostvars.web.pin] }}",
        "{{ places[lookup('env', 'PIN')] }}",
        "{{ lookup('file', '/nowhere/' ~ pin) }}",
        "{{ lookup('env', pin) }}",
    ],
)
def test_why_a_secret_cannot_be_had_holds_no_secret(template: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is logged, and shown by `bascule check`."""
    monkeypatch.setenv("PIN", "Hush-hush")
    variables = {"pin": Vaulted(clear="Hush-hush"), "places": {"a": 1}}
    inventory = Inventory("acme", (Path("/ws"),), ("web",), {"all": ("web",)}, {"web": variables}, {"all": {}})
    secrets = Secrets(Path("/ws"))
    secrets.refer("it", template, Variables(inventory, "web", Path("/ws")))
    clear, failed = secrets.reveal_all()
    assert clear == {}
    assert failed["it"].startswith("it: ")
    assert "hush" not in failed["it"].lower()
