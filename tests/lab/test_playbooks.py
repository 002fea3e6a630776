"""The lab's playbooks, as an engineer runs them: `ansible-playbook` at the operations centre, each of them twice.

The one rule every story checks: what a playbook did, its second run finds done (`changed=0`).
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

WORKSPACE = Path(__file__).resolve().parents[2]
PLAYBOOKS = sorted(
    path for folder in ("wan", "site", "cloud", "drill") for path in (WORKSPACE / "playbooks" / folder).glob("*.yml")
)
BIN = Path(sys.executable).parent
LAB = f"pb{os.getpid() % 1000}"
RESOLVER = "198.51.100.53"
IDENTITY = "SELECT system_identifier FROM pg_control_system()"


def test_ansible_understands_every_playbook() -> None:
    """`ansible-playbook --syntax-check` has nothing to say, whether or not variables of the controller are given."""
    done = subprocess.run(
        [BIN / "ansible-playbook", "--syntax-check", *PLAYBOOKS],
        cwd=WORKSPACE,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_inventory_is_read_without_the_vault_password() -> None:
    """Only using a secret needs the password; reading the inventory does not."""
    done = subprocess.run(
        [BIN / "ansible-inventory", "--list"],
        cwd=WORKSPACE,
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "BASCULE_VAULT_PASSWORD_FILE": "/nowhere"},
    )
    hosts = json.loads(done.stdout)["_meta"]["hostvars"]
    assert "__ansible_vault" in hosts["hq-db"]["vault_replicator_password"]
    assert "of-the-lab" not in done.stdout


class Lab:
    """The lab of these tests, by its command line."""

    def bascule(self, *words: str, timeout_s: float = 120) -> str:
        """`bascule lab WORDS --lab NAME`, which must succeed."""
        done = subprocess.run(
            [BIN / "bascule", "lab", words[0], "--lab", LAB, *words[1:]],
            cwd=WORKSPACE,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        assert done.returncode == 0, f"lab {' '.join(words)}:\n{done.stdout}{done.stderr}"
        return done.stdout

    def at(self, host: str, *command: str) -> str:
        """What a command on a host says."""
        return self.bascule("exec", host, "--", *command).strip()

    def play(self, playbook: str, *arguments: str) -> dict[str, int]:
        """Run a playbook at the operations centre; the sums of its recap."""
        line = [str(BIN / "ansible-playbook"), f"playbooks/{playbook}", *arguments]
        began = time.monotonic()
        done = subprocess.run(
            [BIN / "bascule", "lab", "exec", "--lab", LAB, "noc", "--", *line],
            cwd=WORKSPACE,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        text = done.stdout + done.stderr
        print(f"{playbook} {' '.join(arguments)}: {time.monotonic() - began:.1f} s")
        assert done.returncode == 0, text
        sums = {"changed": 0, "failed": 0, "unreachable": 0}
        for word, number in re.findall(r"\b(changed|failed|unreachable)=(\d+)", text):
            sums[word] += int(number)
        return sums

    def play_twice(self, playbook: str, *arguments: str) -> None:
        """The first run does it, the second finds it done."""
        assert self.play(playbook, *arguments)["changed"] > 0
        assert self.play(playbook, *arguments)["changed"] == 0, f"{playbook} changes something every time"

    def sql(self, host: str, statement: str) -> str:
        """One value from a host's database."""
        return self.at(host, "psql", "-U", "postgres", "-AtXc", statement, "erp")

    def named_address(self) -> str:
        """Where the public name points, asked at the name server until a change has arrived there."""
        time.sleep(1.5)
        program = (
            "import dns.resolver as r; x = r.Resolver(configure=False);"
            f"x.nameservers = ['{RESOLVER}']; print(x.resolve('erp.acme.example', 'A')[0])"
        )
        return self.at("noc", sys.executable, "-c", program)

    def healthy(self, address: str) -> bool:
        """Does the application answer there?"""
        program = f"import urllib.request as u; print(u.urlopen('http://{address}/health', timeout=3).status)"
        return self.at("noc", sys.executable, "-c", program) == "200"


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """A lab that is up."""
    if os.geteuid() != 0:
        pytest.skip("the lab needs root")
    found = Lab()
    found.bascule("up")
    yield found
    found.bascule("down")


@pytest.mark.lab
@pytest.mark.long
@pytest.mark.timeout(1200)  # a return is some sixty tasks; a busy machine takes minutes for them
class TestStory:
    """One client's bad week, in order: each test begins where the one before ended."""

    def test_check_mode_changes_nothing(self, lab: Lab) -> None:
        lab.play("wan/backup_isp.yml", "--check")
        lab.play("site/power_off.yml", "--check", "-e", "bascule_place=hq")
        lab.play("site/promote_geo.yml", "--check")
        assert "wan-a" in lab.at("hq-edge", "ip", "route", "show", "default")
        assert lab.sql("geo-db", "SELECT pg_is_in_recovery()") == "t"
        assert lab.named_address() == "203.0.113.2"

    def test_the_backup_provider_takes_over(self, lab: Lab) -> None:
        lab.bascule("cut", "isp-a")
        lab.play_twice("wan/backup_isp.yml")
        assert "wan-b" in lab.at("hq-edge", "ip", "route", "show", "default")
        assert lab.named_address() == "203.0.113.6"
        assert lab.healthy("203.0.113.6")

    def test_and_gives_back(self, lab: Lab) -> None:
        lab.bascule("heal", "isp-a")
        lab.play_twice("wan/primary_isp.yml")
        assert "wan-a" in lab.at("hq-edge", "ip", "route", "show", "default")
        assert lab.named_address() == "203.0.113.2"

    def test_the_dark_head_office_is_fenced_and_the_second_site_serves(self, lab: Lab) -> None:
        lab.bascule("stop", "hq")
        lab.play_twice("site/power_off.yml", "-e", "bascule_place=hq")
        lab.play_twice("site/promote_geo.yml")
        assert lab.sql("geo-db", "SELECT pg_is_in_recovery()") == "f"
        assert lab.named_address() == "198.51.100.2"
        assert lab.healthy("198.51.100.2")

    def test_the_uplink_playbook_leaves_a_service_that_moved_where_it_is(self, lab: Lab) -> None:
        lab.bascule("start", "hq")  # mains are back, the outlets stay latched
        lab.play("wan/primary_isp.yml", "--tags", "dns")
        assert lab.named_address() == "198.51.100.2"

    def test_the_return_to_the_head_office_loses_nothing(self, lab: Lab) -> None:
        written = int(lab.sql("geo-db", "SELECT count(*) FROM transactions"))
        lab.play_twice("site/return_hq.yml", "-e", "bascule_from=geo", "-e", "bascule_to=hq")
        assert lab.sql("hq-db", "SELECT pg_is_in_recovery()") == "f"
        assert lab.sql("geo-db", "SELECT pg_is_in_recovery()") == "t"
        assert int(lab.sql("hq-db", "SELECT count(*) FROM transactions")) >= written
        assert lab.named_address() == "203.0.113.2"
        assert lab.healthy("203.0.113.2")

    def test_both_sites_dark_the_cloud_serves_from_the_newest_backup(self, lab: Lab) -> None:
        time.sleep(8)  # a backup of the head office
        lab.bascule("stop", "hq")
        lab.bascule("stop", "geo")
        lab.play("site/power_off.yml", "-e", "bascule_place=hq")
        lab.play("site/power_off.yml", "-e", "bascule_place=geo")
        lab.play_twice("cloud/start_instance.yml")
        assert lab.named_address() == "198.51.100.35"
        assert lab.healthy("198.51.100.35")

    def test_from_the_cloud_back_to_the_second_site(self, lab: Lab) -> None:
        lab.bascule("start", "geo")
        written = int(lab.sql("cloud-app", "SELECT count(*) FROM transactions"))
        lab.play("site/return_geo.yml", "-e", "bascule_from=cloud", "-e", "bascule_to=geo")
        assert int(lab.sql("geo-db", "SELECT count(*) FROM transactions")) >= written
        assert lab.named_address() == "198.51.100.2"
        assert lab.play("cloud/stop_instance.yml")["changed"] == 0  # the return gave it back

    def test_and_home_again(self, lab: Lab) -> None:
        lab.bascule("start", "hq")
        lab.play("site/return_hq.yml", "-e", "bascule_from=geo", "-e", "bascule_to=hq")
        assert lab.named_address() == "203.0.113.2"
        assert lab.healthy("203.0.113.2")

    def test_the_cloud_that_gave_back_serves_a_second_time(self, lab: Lab) -> None:
        """Its database was left as a standby; it gets another identity: the site that was returned to has that one."""
        was = lab.sql("geo-db", IDENTITY)
        lab.play("cloud/ship_and_stop.yml", "-e", "bascule_from=hq")
        lab.play_twice("cloud/start_instance.yml")
        assert lab.named_address() == "198.51.100.35"
        assert lab.healthy("198.51.100.35")
        assert lab.sql("cloud-app", "SELECT pg_is_in_recovery()") == "f"
        assert lab.sql("cloud-app", IDENTITY) != was

    def test_and_gives_back_what_was_written_there(self, lab: Lab) -> None:
        """No site takes its own data for a part of it."""
        lab.sql("cloud-app", "INSERT INTO transactions (id, served_by) VALUES ('written-there', 'cloud')")
        lab.play("site/return_hq.yml", "-e", "bascule_from=cloud", "-e", "bascule_to=hq")
        for host in ("hq-db", "geo-db"):
            assert lab.sql(host, "SELECT served_by FROM transactions WHERE id = 'written-there'") == "cloud"
        assert lab.healthy("203.0.113.2")
