"""How a move is rehearsed: limited to hosts that do not serve, and covered by everything that covers a playbook."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from orchestrator.config import ConfigurationInvalid, Loaded, load
from orchestrator.config.beside_model import playbooks
from orchestrator.config.comparing import differences
from orchestrator.config.schema import schemas
from orchestrator.config.shipped import SURVEY
from orchestrator.core.kinds import rehearsed_by
from orchestrator.core.model import Combine, Condition, Rehearsal
from tests.config.probe_kinds import PROBE_KINDS

BASE = Path(__file__).parents[1] / "bad_configs" / "base"
MOVES = """
domains: [isp-b]
places:
  hq: {}
  geo: {}
moves:
  backup-isp:
    playbook: backup_isp.yml
    back: primary_isp.yml
    verify: erp-transaction
    rehearse:
REHEARSE
services:
  erp:
    home: hq
    rto: 15m
    healthy_when: erp-transaction
    ladder: [backup-isp]
"""
PLAIN = "{hosts: geo, playbook: rehearse.yml, clean_up: rehearse.yml}"


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    return Path(shutil.copytree(BASE, tmp_path / "workspace"))


def _loaded(workspace: Path, rehearse: str, **options: bool) -> Loaded:
    said = "\n".join(f"      {line}" for line in rehearse.splitlines())
    (workspace / "inventories/acme/services.yml").write_text(MOVES.replace("REHEARSE", said))
    return load(workspace, probe_kinds=PROBE_KINDS, cache=False, **options)


def _rehearsal(loaded: Loaded) -> Rehearsal:
    found = loaded.model.moves["acme/backup-isp"].rehearse
    assert found is not None
    return found


def test_everything_that_an_author_can_say(workspace: Path) -> None:
    said = """
hosts: geo:consoles
prepare: {playbook: rehearse.yml, vars: {scratch: /srv/scratch}}
apart_when: {all: [hq-power-off]}
playbook: {playbook: rehearse.yml, limit: "geo-app:hq-oob:hq-app"}
verify: app-ready@geo-app
clean_up: rehearse.yml
survey: {paths: [/srv/scratch, /etc/erp, /srv/scratch], command: "ls /srv", become: false}
timeout: 2m
verify_timeout: 10s
"""
    loaded = _loaded(workspace, said)
    found = _rehearsal(loaded)
    assert (found.hosts, found.places) == ("geo:consoles", frozenset({"acme/geo"}))
    assert found.playbook.limit == "geo-app,hq-oob"  # the author's own, and of it only what is the rehearsal's
    assert found.prepare is not None
    assert found.prepare.extra_vars == {"scratch": "/srv/scratch"}
    assert {book.limit for book in (found.prepare, found.clean_up, found.survey)} == {"geo:consoles:!hq"}
    assert found.apart_when == Condition(Combine.ALL, ("acme/hq-power-off@hq-oob",))
    assert found.verify == Condition(Combine.ALL, ("acme/app-ready@geo-app",))
    assert (found.timeout_s, found.verify_timeout_s) == (120.0, 10.0)
    assert found.survey.path == SURVEY
    assert found.survey.extra_vars == {
        "bascule_survey_paths": ["/srv/scratch", "/etc/erp"],
        "bascule_survey_command": "ls /srv",
        "bascule_survey_become": False,
    }
    assert found.asked == ("acme/hq-power-off@hq-oob", "acme/app-ready@geo-app")


def test_a_cloud_account_is_surveyed_too(workspace: Path) -> None:
    """An empty one: all of the usual account; nothing is handed to playbooks of whoever names none."""
    some = "{region: eu-west-1, tags: {drill: 'yes'}, zones: [acme.example, acme.example]}"
    found = _rehearsal(_loaded(workspace, f"{PLAIN[:-1]}, survey: {{aws: {some}}}}}"))
    assert found.survey.extra_vars["bascule_survey_aws"] == {
        "region": "eu-west-1", "tags": {"drill": "yes"}, "zones": ["acme.example"],
    }  # fmt: skip
    assert _rehearsal(_loaded(workspace, PLAIN[:-1] + ", survey: {aws: {}}}")).survey.extra_vars["bascule_survey_aws"]
    assert "bascule_survey_aws" not in _rehearsal(_loaded(workspace, PLAIN)).survey.extra_vars
    of_ansible = {"endpoint": "{{ api }}", "zones": ["{{ service_zone }}"]}
    templates = _rehearsal(_loaded(workspace, f"{PLAIN[:-1]}, survey: {{aws: {json.dumps(of_ansible)}}}}}"))
    assert templates.survey.extra_vars["bascule_survey_aws"] == of_ansible


def test_little_is_enough(workspace: Path) -> None:
    found = _rehearsal(_loaded(workspace, PLAIN))
    assert (found.prepare, found.apart_when, found.verify) == (None, None, None)
    assert (found.timeout_s, found.verify_timeout_s) == (300.0, 30.0)
    assert found.survey.extra_vars["bascule_survey_become"] is True


def test_hosts_that_serve_nothing_may_be_of_the_same_move(workspace: Path) -> None:
    """Where the service is not at home, the core looks at the places: see `Rehearsal.places`."""
    assert _rehearsal(_loaded(workspace, PLAIN.replace("geo", "consoles"))).places == frozenset()


def test_an_own_survey_takes_the_place_of_the_shipped_one(workspace: Path) -> None:
    found = _rehearsal(_loaded(workspace, PLAIN[:-1] + ", survey: rehearse.yml}"))
    assert (found.survey.path, found.survey.limit) == ("rehearse.yml", "geo:!hq")


def test_a_host_that_is_made_by_the_rehearsal_can_be_left_out_of_the_survey(workspace: Path) -> None:
    found = _rehearsal(_loaded(workspace, PLAIN[:-1] + ", survey: {limit: geo-edge}}"))
    assert (found.survey.path, found.survey.limit) == (SURVEY, "geo-edge")


def test_this_machine_is_a_host_too(workspace: Path) -> None:
    (workspace / "playbooks/here.yml").write_text("- hosts: localhost\n  tasks: []\n")
    found = _rehearsal(_loaded(workspace, "{hosts: localhost, playbook: here.yml, clean_up: here.yml}"))
    assert found.playbook.limit == "localhost:!hq"


def test_a_play_for_hosts_that_are_known_later_is_no_fault(workspace: Path) -> None:
    (workspace / "playbooks/later.yml").write_text('- hosts: "{{ bascule_to }}"\n  tasks: []\n')
    _rehearsal(_loaded(workspace, PLAIN.replace("playbook: rehearse", "playbook: later")))


def test_ansible_is_asked_whether_they_can_start(workspace: Path) -> None:
    loaded = _loaded(workspace, PLAIN, starts=True)
    assert not [w for w in loaded.warnings if "rehearse" in str(w) or "survey" in str(w)]


def test_an_edit_of_one_is_seen(workspace: Path) -> None:
    loaded = _loaded(workspace, PLAIN)
    move = loaded.model.moves["acme/backup-isp"]
    books = {book.path: book for book in rehearsed_by(move)}
    assert books.keys() == {SURVEY, "rehearse.yml"}
    assert {SURVEY, "rehearse.yml"} <= {book.path for book in playbooks(loaded.model, "acme")}
    manifest = loaded.manifests[books[SURVEY].digest]
    assert {SURVEY, SURVEY.replace(".yml", ".py")} <= manifest.parts.keys()
    wanted = [(book.path, loaded.inventories["acme"], book.digest) for book in books.values()]
    assert set(differences(workspace, wanted, loaded.manifests).values()) == {""}
    (workspace / "playbooks/rehearse.yml").write_text("- hosts: all\n  tasks: []\n")
    found = differences(workspace, wanted, loaded.manifests)
    assert "rehearse.yml" in found[books["rehearse.yml"].digest]
    assert found[books[SURVEY].digest] == ""


def test_others_may_not_write_to_one(workspace: Path) -> None:
    (workspace / "playbooks/rehearse.yml").chmod(0o666)
    with pytest.raises(Exception, match=r"playbooks/rehearse\.yml: everybody may write to it"):
        _loaded(workspace, PLAIN)


def test_its_hosts_are_logged_in_to_for_its_own_sake(workspace: Path) -> None:
    """A host of the rehearsal alone says nothing of the move."""
    checks = _loaded(workspace, PLAIN, logins=True).model.checks
    assert checks["acme/login@geo-app"].needed_by == ("the rehearsal of acme/backup-isp",)
    assert checks["acme/login@hq-edge"].needed_by == ("acme/backup-isp", "acme/backup-isp.back")


def test_no_author_names_a_playbook_elsewhere(workspace: Path) -> None:
    with pytest.raises(Exception, match="is outside of the workspace"):
        _loaded(workspace, PLAIN.replace("playbook: rehearse.yml", "playbook: /etc/rehearse.yml"))


def test_editors_know_its_keys() -> None:
    found = schemas(PROBE_KINDS)["services.yml"]["$defs"]
    assert found["MoveShape"]["properties"]["rehearse"] == {"$ref": "#/$defs/RehearseShape"}
    assert {"hosts", "apart_when", "clean_up", "survey"} <= found["RehearseShape"]["properties"].keys()


INVENTORY = """
all:
  children:
    hq: {hosts: {hq-app: {ansible_host: 10.10.0.10}, hq-edge: {ansible_host: 10.10.0.1, public_address: 203.0.113.2},
      hq-spare: {}, hq-here: {ansible_host: localhost}}}
    geo:
      hosts:
        geo-edge: {ansible_host: 10.20.0.1, public_address: 198.51.100.2}
        geo-app: GEO_APP
    consoles: {hosts: {hq-oob: {ansible_host: 198.51.100.10}}}
"""


@pytest.mark.parametrize(
    ("geo_app", "why"),
    [
        ("{ansible_host: 10.10.0.10}", "geo-app is the machine of hq-app in hq, where erp serves"),
        ("{ansible_host: 10.10.0.10, ansible_port: 22, ansible_user: other}", "geo-app is the machine of hq-app"),
        ("{ansible_host: '::ffff:10.10.0.10'}", "geo-app is the machine of hq-app"),
        ("{ansible_host: 10.10.10}", "geo-app is the machine of hq-app"),
        ("{ansible_host: HQ-app.}", "geo-app is the machine of hq-app"),
        ("{ansible_host: hq-spare}", "geo-app is the machine of hq-spare"),
        ("{ansible_host: '127.0.0.1'}", "geo-app is the machine of hq-here"),
        ("{ansible_host: 10.10.0.10, ansible_ssh_common_args: -J geo-jump}", ""),  # an isolated network is often a copy
        ("{ansible_host: 10.10.0.10, ansible_port: 2222}", ""),
        ("{ansible_host: '{{ other }}', other: 10.10.0.10}", ""),  # only Ansible can tell
        ("{ansible_host: 10.20.0.10}", ""),
    ],
)
def test_a_machine_that_serves_is_not_rehearsed_on_by_another_name(workspace: Path, geo_app: str, why: str) -> None:
    (workspace / "inventories/acme/hosts.yml").write_text(INVENTORY.replace("GEO_APP", geo_app))
    if not why:
        assert _rehearsal(_loaded(workspace, PLAIN)).hosts == "geo"
        return
    with pytest.raises(ConfigurationInvalid, match=why):
        _loaded(workspace, PLAIN)
