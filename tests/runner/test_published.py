"""What playbooks publish: as Ansible adds it up, bounded, and without what is secret."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestrator.core.commands import RunPlaybook
from orchestrator.core.events import AttemptEnd, StepAdopted, StepEnded, StepKey
from orchestrator.core.model import Playbook
from orchestrator.runner.hidden import without_secrets
from orchestrator.runner.published import Published, TooMuchPublished
from tests.runner.stage import Stage, until


def _event(data: dict[str, Any], **more: Any) -> dict[str, Any]:
    told = {"data": data, "per_host": False, "aggregate": True, **more}
    return {"event": "runner_on_ok", "event_data": {"res": {"ansible_stats": told}}}


def test_what_hosts_publish_goes_together() -> None:
    published = Published()
    published.read(_event({"survey": {"a": {"ports": ["22"]}}, "n": 1, "lines": ["x"], "kind": "one"}))
    published.read(_event({"survey": {"b": {"ports": ["80"]}}, "n": 2, "lines": ["y"], "kind": 3}))
    published.read(_event({"last": "a"}))
    published.read(_event({"last": "b"}, aggregate=False))
    published.read(_event({"each": 1}, per_host=True))
    assert published.found() == {
        "survey": {"a": {"ports": ["22"]}, "b": {"ports": ["80"]}},
        "n": 3,
        "lines": ["x", "y"],
        "kind": "one",
        "last": "b",
    }


def test_secrets_and_signs_that_act_are_written_out() -> None:
    published = Published(("hunter22",))
    published.read(_event({"a\x1b": ["it is hunter22", float("nan"), True, None, 1.5]}))
    assert published.found() == {"a\\x1b": ["it is ***", "nan", True, None, 1.5]}


SECRET = "hunter22-xyz"
LISTED = (  # as a survey lists command lines
    "mysql -u root -p{}", "curl -u admin:{} http://x", "curl --user admin:{}", "curl -H Authorization: Bearer {}",
    "curl -H 'Authorization: Basic {}' http://x", "redis-server --requirepass {}", "redis-cli -a {}",
    "sshpass -p {} ssh x", "sshpass -p{} ssh x", "app --pass {}", "app --db-pass={}", "app --pwd={}",
    "env MYSQL_PWD={}",
    "smbclient //h/s -U user%{}", "openssl enc -k {}", "openssl rsa -passin pass:{}", "app --access-key {}",
    "app postgres://u:{}@h/db", "app amqp://u:p@{}@h", "git clone https://{}-0123456789@git/x", "app Server=x;Pwd={};",
    "app https://h/x?sig={}&b=1", "app https://hooks.slack.com/services/T0/B0/{}", 'app {{"password": "{}"}}',
    "app password: {}", "app --bearer {}", "app --jwt={}", "ldapsearch -w {}", "ipmitool -H bmc -U root -P {}",
    "fence_ipmilan -a bmc -p {}", "app --license-key={}", "xfreerdp /u:me /p:{}", "docker login -u me -p {}",
    "mount -t cifs //s/h /mnt -o username=x,password={},uid=0", "htpasswd -b /etc/htpasswd me {}", "snmpget -c {} h",
)  # fmt: skip
HARMLESS = (
    "root /usr/bin/python3 /usr/bin/networkd-dispatcher --run-startup-triggers", "root docker run -p 80:80 nginx",
    "postgres /usr/lib/postgresql/15/bin/postgres -D /var/lib/postgresql/15/main -c config_file=/etc/x",
    "/etc/erp/secret.conf 0640 root:root 2 bytes sha256 73cb38", "default via 10.0.0.1 dev eth0 proto dhcp metric 100",
    "root mongod --auth --port 27017", "fe80::/64 dev eth0 proto kernel metric 256 pref medium", "vol-1 8 GiB",
    "root sshd: /usr/sbin/sshd -D [listener]", "erp /opt/erp --monkey=3 --author=me --passive", "tcp :: port 22",
)  # fmt: skip


@pytest.mark.parametrize("line", LISTED)
def test_secrets_that_a_survey_lists_are_not_kept(line: str) -> None:
    published = Published()
    published.read(_event({"bascule_survey": {"web": {"own": [line.format(SECRET)]}}}))
    told = str(published.found())
    assert SECRET not in told
    assert "***" in told


def test_what_is_named_like_a_secret_is_not_kept_and_the_rest_is_as_it_was() -> None:
    published = Published()
    published.read(
        _event({"db_password": SECRET, "n": {"api-key": SECRET, "token-host": {"own": ["x"]}, "count": "3"}})
    )
    published.read(_event({"lines": list(HARMLESS)}))
    assert published.found() == {
        "db_password": "***",
        "n": {"api-key": "***", "token-host": {"own": ["x"]}, "count": "3"},
        "lines": list(HARMLESS),
    }


@pytest.mark.parametrize("part", ["secret", "x-", 'pw="', "a://b:", "-p ", "bbbb", "key ", "_key-"])
def test_a_text_that_was_made_to_be_slow_is_read_at_once(part: str) -> None:
    """A target says what is listed of it. Steps grow with the length: the square of it would take minutes."""
    assert without_secrets("htpasswd -" + part * (200_000 // len(part)))


def test_a_loop_publishes_each_time() -> None:
    published = Published()
    results = [{"ansible_stats": {"data": {"n": 1}, "aggregate": True}}] * 3
    published.read({"event": "runner_on_ok", "event_data": {"res": {"results": results}}})
    assert published.found() == {"n": 3}


@pytest.mark.parametrize("value", ["x" * 300_000, ["y" * 100] * 3000])
def test_too_much_is_no_record(value: Any) -> None:
    published = Published()
    published.read(_event({"survey": value}))
    with pytest.raises(TooMuchPublished, match=r"is \d+ KiB long, and at most 256 are kept: survey"):
        published.found()


async def test_a_playbook_that_publishes_too_much_fails(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    ended = await _asked(stage, stage.write("big.yml", """
    - ansible.builtin.set_stats: {data: {big: "{{ 'x' * 300000 }}"}}
"""))  # fmt: skip
    assert (ended.outcome, ended.stats) == (AttemptEnd.FAILED, {})
    assert "at most 256 are kept: big" in ended.detail
    await stage.runner.close()


async def test_what_was_published_before_a_failure_is_known(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    ended = await _asked(stage, stage.write("fails.yml", """
    - ansible.builtin.set_stats: {data: {found: 3}}
    - ansible.builtin.fail: {msg: not what it should be}
"""))  # fmt: skip
    assert (ended.outcome, ended.stats) == (AttemptEnd.FAILED, {"found": 3})
    await stage.runner.close()


async def test_an_attempt_that_another_controller_adopts_tells_it_too(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    go_on = tmp_path / "go-on"
    book = stage.write("adopted.yml", f"""
    - ansible.builtin.set_stats: {{data: {{found: 3}}}}
    - ansible.builtin.wait_for: {{path: {go_on}, timeout: 60, sleep: 1}}
""")  # fmt: skip
    key = StepKey("acme/run-1", "survey", 1)
    stage.runner.carry_out(RunPlaybook(key, "acme", book, {}, 1, 60.0, "", stage.workspace_id, stats=True))
    await until(lambda: len(stage.running(key)) >= 2)
    await stage.runner.close()
    stage.open()
    stage.settle(key, book)
    await until(lambda: StepAdopted(key) in stage.heard)
    go_on.touch()
    ended = await stage.end_of(key)
    assert (ended.outcome, ended.stats) == (AttemptEnd.OK, {"found": 3})
    await stage.runner.close()


async def _asked(stage: Stage, playbook: Playbook) -> StepEnded:
    key = StepKey("acme/run-1", "survey", 1)
    stage.runner.carry_out(RunPlaybook(key, "acme", playbook, {}, 1, 60.0, "", stage.workspace_id, stats=True))
    return await stage.end_of(key)
