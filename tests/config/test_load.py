"""A sound workspace compiles to a whole model."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from orchestrator.config import ConfigurationInvalid, Loaded, load, playbook_digest
from orchestrator.config.ansible_programs import program
from orchestrator.core.codec import decode, dumps, encode
from orchestrator.core.model import Combine, Condition, Dependency, FenceBy, Mode, Model, Tier
from orchestrator.shell.wiring import option_models
from tests.config.probe_kinds import PROBE_KINDS

GOOD = Path(__file__).parent / "good"


def read(workspace: Path, **options: Any) -> Loaded:
    """Load with the stand-ins for the probes' options."""
    return load(workspace, probe_kinds=PROBE_KINDS, **options)


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One copy for the tests that change nothing."""
    return Path(shutil.copytree(GOOD, tmp_path_factory.mktemp("good") / "workspace"))


@pytest.fixture(scope="module")
def loaded(once: Path) -> Loaded:
    """The sound workspace, loaded."""
    return read(once)


class TestModel:
    """What the author wrote, and what was derived from it."""

    def test_a_check_is_asked_of_each_host_its_pattern_matches(self, loaded: Loaded) -> None:
        names = {c for c in loaded.model.checks if c.startswith("acme/app-ready")}
        assert names == {"acme/app-ready@hq-app", "acme/app-ready@geo-app"}

    def test_clients_may_have_hosts_of_the_same_name(self, loaded: Loaded) -> None:
        assert {"acme/sees-www@www", "bistro/sees-www@www"} <= loaded.model.checks.keys()
        assert loaded.model.references("local") == ("acme/sees-www@www", "bistro/sees-www@www")

    def test_options_are_rendered_over_the_hosts_variables(self, loaded: Loaded) -> None:
        assert loaded.model.checks["acme/isp-b-path@hq-edge"].options == {"target": "203.0.113.6"}
        assert loaded.model.checks["acme/app-ready@geo-app"].options == {"port": 8080, "target": "10.20.0.10"}
        assert loaded.model.checks["acme/erp-transaction"].options == {"url": "http://erp.acme.example/health"}

    def test_a_check_depends_on_its_hosts_domains_and_on_via(self, loaded: Loaded) -> None:
        assert loaded.model.checks["acme/isp-b-path@hq-edge"].domains == {"acme/hq", "acme/isp-b"}
        assert loaded.model.checks["acme/hq-dark@hq-oob"].domains == frozenset()

    def test_thresholds_have_units(self, loaded: Loaded) -> None:
        check = loaded.model.checks["acme/isp-a-path@hq-edge"]
        assert check.loss is not None
        assert (check.loss.down, check.loss.up, check.loss.over_s) == (0.4, 0.1, 30.0)
        assert check.latency is not None
        assert check.latency.high_s == 0.3
        assert (check.rise, check.fall, check.every_s, check.fast_s) == (5, 3, 1.0, 0.5)

    def test_a_bare_name_means_all_its_hosts(self, loaded: Loaded) -> None:
        tills = loaded.model.services["bistro/tills"].healthy_when
        assert tills == Condition(Combine.QUORUM, ("bistro/till@till-1", "bistro/till@till-2"), 1)

    def test_a_service_has_its_ladder_and_its_ways_back(self, loaded: Loaded) -> None:
        erp = loaded.model.services["acme/erp"]
        assert erp.ladder == (Tier("acme/backup-isp"), Tier("acme/geo-site", accept_loss_s=300.0))
        assert erp.failback == ("acme/backup-isp.back", "acme/hq-site")
        assert (erp.mode, erp.rto_s, erp.rpo_s, erp.downtime_cost, erp.currency) == (Mode.AUTO, 900, 30, 180, "EUR")
        assert loaded.model.services["acme/hq-internet"].failback == ("acme/backup-isp.back",)
        assert erp.depends_on == (Dependency("acme/hq-internet", frozenset({"acme/hq"})),)
        assert erp.owners == ("acme/alice", "dana")
        assert loaded.model.services["bistro/tills"].mode is Mode.OBSERVE

    def test_the_way_back_inherits_what_it_does_not_say(self, loaded: Loaded) -> None:
        forth, back = loaded.model.moves["acme/backup-isp"], loaded.model.moves["acme/backup-isp.back"]
        assert back.undoes == forth.id
        assert back.playbook.path == "wan/primary_isp.yml"
        assert (back.holds, back.verify, back.timeout_s) == (forth.holds, forth.verify, forth.timeout_s)
        assert back.via is None
        assert back.viable_when == Condition(Combine.ALL, ("acme/isp-a-path@hq-edge",))

    def test_a_move_home_hands_over(self, loaded: Loaded) -> None:
        home = loaded.model.moves["acme/hq-site"]
        assert home.leaves == {"acme/geo"}
        assert home.prepare is not None
        assert home.hand_over is not None
        assert home.hand_over.timeout_s == 30

    def test_fences_are_the_places(self, loaded: Loaded) -> None:
        hq, geo = loaded.model.places["acme/hq"].fence, loaded.model.places["acme/geo"].fence
        assert hq is not None
        assert hq.automatic is FenceBy.WHEN_DARK
        assert hq.dark_when == Condition(Combine.ALL, ("acme/hq-dark@hq-oob",))
        assert geo is not None
        assert geo.automatic is FenceBy.NEVER

    def test_people_and_ways(self, loaded: Loaded) -> None:
        assert loaded.people["acme/alice"].deputy == "dana"
        assert loaded.notify.on_call == {"acme": ("acme/alice", "dana"), "bistro": ("dana",)}
        assert loaded.heartbeat is not None
        assert loaded.heartbeat.every_s == 10
        assert [way.label for way in loaded.notify.ways] == ["log"]

    def test_limits(self, loaded: Loaded) -> None:
        assert loaded.model.limits.concurrent_failovers == 2
        assert loaded.model.limits.moves_per_service == 6

    def test_there_is_nothing_to_warn_of(self, loaded: Loaded) -> None:
        assert [str(w) for w in loaded.warnings] == [
            "inventories/acme/services.yml:14:3: move backup-isp acts in hq, and is tried too when erp is in geo; expected 'from: [hq]'",  # noqa: E501
        ]

    def test_one_client_can_be_read_alone(self, once: Path) -> None:
        alone = read(once, clients=["bistro"])
        assert alone.model.services.keys() == {"bistro/tills"}
        assert {c.client for c in alone.model.checks.values()} == {"bistro"}
        with pytest.raises(ConfigurationInvalid, match="did you mean 'bistro'"):
            read(once, clients=["bistrot"])


class TestStored:
    """The model is stored in the journal, under its digest."""

    def test_it_goes_to_json_and_back(self, loaded: Loaded) -> None:
        stored = dumps(encode(loaded.model))
        assert decode(Model, json.loads(stored)) == loaded.model

    def test_reading_again_gives_the_same_digest(self, once: Path, loaded: Loaded) -> None:
        assert read(once).model.digest == loaded.model.digest

    def test_a_secret_is_a_reference(self, loaded: Loaded) -> None:
        options = loaded.model.checks["acme/replica@geo-db"].options
        assert options["password_secret"] == "acme/replica@geo-db:password_secret"
        assert list(loaded.secrets) == ["acme/replica@geo-db:password_secret"]

    def test_without_the_password_it_is_unavailable_by_name(self, loaded: Loaded) -> None:
        clear, failed = loaded.secrets.reveal_all()
        assert clear == {}
        assert "ansible.cfg" in failed["acme/replica@geo-db:password_secret"]


class TestInventory:
    """Ansible reads inventories; unchanged ones are read once."""

    def test_an_unchanged_inventory_is_not_read_again(
        self, once: Path, loaded: Loaded, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        read(once)

        def refuse(*_: Any, **__: Any) -> None:
            raise AssertionError("ansible-inventory was started")

        monkeypatch.setattr(subprocess, "Popen", refuse)
        assert read(once).model == loaded.model

    def test_a_cache_that_is_damaged_is_none(self, once: Path, loaded: Loaded) -> None:
        (once / ".bascule" / "cache" / "inventory-bistro.json").write_text("{")
        assert read(once).model == loaded.model

    def test_secrets_are_decrypted_only_where_they_are_used(self, tmp_path: Path) -> None:
        """One variable is encrypted by itself (the password is `good`), another in a file encrypted as a whole."""
        workspace = Path(shutil.copytree(GOOD, tmp_path / "workspace", ignore=shutil.ignore_patterns(".bascule")))
        (workspace / "password").write_text("good\n")
        (workspace / "ansible.cfg").write_text("[defaults]\nvault_password_file = password\n")
        whole = workspace / "inventories" / "acme" / "group_vars" / "consoles.yml"
        whole.write_text("console_token: hunter2\n")
        command = [program("ansible-vault") or "", "encrypt", str(whole)]
        subprocess.run(command, cwd=workspace, check=True, capture_output=True)
        checks = workspace / "checks" / "sites.yml"
        checks.write_text(checks.read_text().replace('/status"}', '/status", token_secret: console_token}', 1))
        loaded = read(workspace, clients=["acme"])
        assert loaded.secrets.reveal_all() == (
            {"acme/replica@geo-db:password_secret": "sekret", "acme/hq-power-off@hq-oob:token_secret": "hunter2"},
            {},
        )
        assert b"hunter2" not in dumps(encode(loaded.model))
        assert b"sekret" not in dumps(encode(loaded.model))
        assert not (workspace / ".bascule").exists(), "what holds a secret in clear is not cached"

        (workspace / "ansible.cfg").unlink()
        with pytest.raises(ConfigurationInvalid, match=r"group_vars/consoles\.yml: .*cannot be decrypted"):
            read(workspace, clients=["acme"])

    def test_secrets_of_a_group_without_hosts_are_kept_in_no_file(self, tmp_path: Path) -> None:
        """Ansible tells its variables, and among the hosts it is not told."""
        workspace = Path(shutil.copytree(GOOD, tmp_path / "group_vars", ignore=shutil.ignore_patterns(".bascule")))
        (workspace / "password").write_text("good\n")
        (workspace / "ansible.cfg").write_text("[defaults]\nvault_password_file = password\n")
        hosts = workspace / "inventories" / "bistro" / "hosts.ini"
        hosts.write_text(f"{hosts.read_text()}\n[later]\n")
        whole = hosts.parent / "group_vars" / "later.yml"
        whole.parent.mkdir(exist_ok=True)
        whole.write_text("console_token: hunter2\n")
        command = [program("ansible-vault") or "", "encrypt", str(whole)]
        subprocess.run(command, cwd=workspace, check=True, capture_output=True)
        read(workspace, clients=["bistro"])
        kept = [p for p in workspace.rglob("*") if p.is_file() and b"hunter2" in p.read_bytes()]
        assert not kept, "what holds a secret in clear is not cached"

    def test_a_computed_inventory_is_asked_every_time(self, tmp_path: Path) -> None:
        workspace = Path(shutil.copytree(GOOD, tmp_path / "workspace", ignore=shutil.ignore_patterns(".bascule")))
        (workspace / "inventories" / "bistro" / "hosts.ini").unlink()
        script = workspace / "inventories" / "bistro" / "hosts.py"
        script.write_text(
            '#!/bin/sh\necho \'{"tills": {"hosts": ["till-1", "till-2"]},'
            ' "_meta": {"hostvars": {"till-1": {"ansible_host": "10.30.0.11"}}}}\'\n'
        )
        script.chmod(0o755)
        loaded = read(workspace, clients=["bistro"])
        assert loaded.model.checks["bistro/till@till-1"].options["target"] == "10.30.0.11"
        assert loaded.model.checks["bistro/till@till-2"].options["target"] == "till-2"
        assert not (workspace / ".bascule" / "cache" / "inventory-bistro.json").exists()


class TestPlaybooks:
    """A digest changes with whatever a playbook is made of, and with nothing else."""

    @pytest.mark.parametrize(
        ("changed", "different"),
        [
            ("playbooks/site/promote.yml", True),
            ("playbooks/roles/app/tasks/main.yml", True),
            ("playbooks/roles/app/templates/erp.env", True),
            ("inventories/acme/hosts.yml", True),
            ("inventories/acme/group_vars/all.yml", True),
            ("inventories/acme/services.yml", False),
            ("inventories/acme/people.yml", False),
            ("playbooks/wan/backup_isp.yml", False),
        ],
    )
    def test_digest(self, once: Path, loaded: Loaded, changed: str, different: bool) -> None:
        planned = loaded.model.moves["acme/geo-site"].playbook
        path = once / changed
        kept = path.read_bytes()
        assert playbook_digest(once, planned.path, loaded.inventories["acme"]) == planned.digest
        try:
            path.write_bytes(kept + b"\n# changed\n")
            assert (playbook_digest(once, planned.path, loaded.inventories["acme"]) != planned.digest) is different
        finally:
            path.write_bytes(kept)

    def test_included_tasks_belong_to_it(self, once: Path, loaded: Loaded) -> None:
        before = playbook_digest(once, "site/power_off.yml", loaded.inventories["acme"])
        tasks = once / "playbooks" / "site" / "outlets.yml"
        kept = tasks.read_bytes()
        try:
            tasks.write_bytes(kept + b"\n")
            assert playbook_digest(once, "site/power_off.yml", loaded.inventories["acme"]) != before
        finally:
            tasks.write_bytes(kept)

    def test_a_variable_called_roles_is_no_list_of_roles(self, once: Path, loaded: Loaded) -> None:
        tasks = once / "playbooks" / "roles" / "app" / "tasks" / "main.yml"
        kept = tasks.read_text()
        try:
            tasks.write_text(kept + "- ansible.builtin.debug: {msg: x}\n  vars: {roles: [erp, replicator]}\n")
            assert read(once).model.services.keys() == loaded.model.services.keys()
        finally:
            tasks.write_text(kept)

    def test_a_playbook_that_is_gone_has_none(self, once: Path, loaded: Loaded) -> None:
        assert playbook_digest(once, "site/gone.yml", loaded.inventories["acme"]) is None


@pytest.mark.parametrize(
    ("check", "doubtful"),
    [
        ("password_file: /etc/bascule/db", True),
        ("password_file: '/etc/bascule/{{ inventory_dir | basename }}'", False),
        ("clients: [acme, bistro], password_file: /etc/bascule/db", False),
        ("clients: [acme], password_file: /etc/bascule/db", False),
        ("password_secret: db_password", False),
    ],
)
def test_one_secrets_file_for_clients_that_nobody_named_is_a_warning(
    tmp_path: Path, check: str, doubtful: bool
) -> None:
    """A check applies wherever its pattern matches: to a client's hosts, too, that came later."""
    for client in ("acme", "bistro"):
        folder = tmp_path / "inventories" / client
        folder.mkdir(parents=True)
        (folder / "hosts.yml").write_text("all: {hosts: {db: {db_password: x}}}\n")
        (folder / "services.yml").write_text("services: {}\n")
    (tmp_path / "checks").mkdir()
    (tmp_path / "checks/db.yml").write_text(f"- {{name: db, hosts: db, probe: postgres, {check}}}\n")
    told = [str(w) for w in load(tmp_path, probe_kinds=option_models()).warnings if "checks/" in str(w)]
    expected = "checks/db.yml:1:57: check db: hosts of acme, bistro are all told what is in /etc/bascule/db"
    assert [w.partition(";")[0] for w in told] == ([expected] if doubtful else [])


def test_a_move_that_nothing_leads_to_is_a_warning(once: Path) -> None:
    services = once / "inventories" / "acme" / "services.yml"
    kept = services.read_text()
    try:
        services.write_text(
            kept.replace("ladder: [backup-isp, {move: geo-site, accept_loss: 5m}]", "ladder: [backup-isp]")
        )
        assert [str(warning) for warning in read(once).warnings] == [
            "inventories/acme/services.yml:25:3: move geo-site is on no ladder and leads nowhere back",
            "inventories/acme/services.yml:31:3: move hq-site is on no ladder and leads nowhere back",
        ]
    finally:
        services.write_text(kept)


def test_no_workspace_at_all(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationInvalid, match="there is no client"):
        read(tmp_path)
    with pytest.raises(ConfigurationInvalid, match="there is no such directory"):
        read(tmp_path / "nowhere")


def test_the_cost_of_a_minute_is_made_of_its_inputs(tmp_path: Path) -> None:
    """Each as it was written, with its source; a tier says what it costs to have."""
    place = Path(shutil.copytree(Path(__file__).parents[1] / "bad_configs" / "base", tmp_path / "workspace"))
    services = place / "inventories/acme/services.yml"
    text = services.read_text(encoding="utf-8").replace(
        "    rto: 15m\n",
        "    rto: 15m\n    downtime_cost:\n      revenue: 120 EUR/min\n      staff: {people: 12, each: 40 EUR/h}\n"
        "      penalty: {once: 2000 EUR, after: 4h}\n      source: contract 2026-14\n",
    )
    services.write_text(
        text.replace("ladder: [backup-isp]", "ladder: [{move: backup-isp, costs: 1200 EUR/year}]"), encoding="utf-8"
    )
    erp = load(place, probe_kinds=PROBE_KINDS).model.services["acme/erp"]
    assert (erp.downtime_cost, erp.currency, erp.ladder[0].monthly_cost) == (128.0, "EUR", 100.0)
    assert erp.cost is not None
    assert (dict(erp.cost.parts), erp.cost.once, erp.cost.once_after_s) == (
        {"revenue": 120.0, "staff": 8.0}, 2000.0, 14400.0,
    )  # fmt: skip
    assert (erp.cost.source, erp.cost.written["penalty, once"]) == ("contract 2026-14", "2000 EUR after 4h")


def test_a_number_that_a_template_gives_is_text_where_text_is_wanted(tmp_path: Path) -> None:
    """As Ansible has it. A number that somebody wrote as one is told."""
    place = Path(shutil.copytree(GOOD, tmp_path / "ws"))
    for path in (place / "checks").iterdir():
        path.write_text("[]\n")
    (place / "checks/wan.yml").write_text(
        """\
- {name: w, hosts: hq-edge, probe: http, url: "http://x", match: "{{ n }}", headers: {A: "{{ n }}"}, status: "{{ n }}"}
- {name: disk, hosts: hq-edge, probe: nagios, command: [/bin/true, -w, "{{ n }}", -c, "{{ 0.5 }}"]}
- {name: list, hosts: hq-edge, probe: nagios, command: "{{ ['/bin/true', n] }}"}
- {name: soa, hosts: hq-edge, probe: dns, record: x, server: 192.0.2.1, type: SOA, expect: "{{ n }}"}
- {name: tls, hosts: hq-edge, probe: http, url: "https://x/", tls_min_version: "{{ 1.2 }}"}
- {name: odd, hosts: hq-edge, probe: http, url: "http://x/", match: 204}
- {name: flag, hosts: hq-edge, probe: http, url: "http://x/", match: "{{ true }}"}
""".replace("{{ n }}", "{{ 200 + 4 }}").replace(", n]", ", 204]")
    )
    with pytest.raises(ConfigurationInvalid) as raised:
        load(place, probe_kinds=option_models(), cache=False)
    told = [str(fault) for fault in raised.value.faults if fault.file.startswith("checks/")]
    assert len(told) == 2
    assert "match is 204; expected text" in told[0]
    assert "match is true; expected text" in told[1]
