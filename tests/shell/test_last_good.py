"""The last good configuration acts: after a start with a slip in a file, or while an inventory's source is down."""

from __future__ import annotations

import asyncio
import json
import stat
import sys
import time
from pathlib import Path

import pytest

from orchestrator.config import beside_model, last_read
from orchestrator.core import records as r
from orchestrator.core.people import AppriseWay, CommandWay
from orchestrator.journal.lease import Lease
from orchestrator.journal.sqlite import SqliteJournal, journal_path
from orchestrator.reports.reader import Reader
from orchestrator.shell import unread
from orchestrator.shell.wiring import Controller
from tests.shell.small import SERVICES, Small, write

pytestmark = pytest.mark.usefixtures("nothing_warm")

SLIPS = {
    "another check": ("checks/other.yml", "- {name: other, hosts: here, probe: tcp, target: 127.0.0.1, prot: 1}\n"),
    "the services": ("inventories/acme/services.yml", SERVICES.replace("ladder: [restart]", "ladder: [restrat]")),
    "the settings": ("bascule.yml", "notify: {ways: [{command: [/bin/cat]}\n"),
    "the inventory": ("inventories/acme/hosts.yml", "all: {hosts: {here: {\n"),
    "another playbook": ("playbooks/roles/x/tasks/main.yml", "- {name: a, : b\n"),
    "another client": ("inventories/beta/services.yml", "services: {web: {rto: 5m}}\n"),
}


async def begun_once(small: Small) -> None:
    """A controller that put the configuration in force, and ended."""
    controller = Controller(small.path)
    await controller.start()
    await controller.close()


OFTEN = ("the services", "the inventory", "another playbook")


@pytest.mark.parametrize("slip", [x if x in OFTEN else pytest.param(x, marks=pytest.mark.broad) for x in SLIPS])
async def test_a_slip_in_a_file_takes_no_tier_from_what_was_in_force(small: Small, slip: str) -> None:
    await begun_once(small)
    write(small.path / SLIPS[slip][0], SLIPS[slip][1])
    done = small.bascule("failover", "acme/web", "--move", "restart")
    assert done.returncode == 0, done.stdout + done.stderr
    (ended,) = small.records(r.RunEnded)
    assert isinstance(ended, r.RunEnded)
    assert ended.ok, ended


async def test_an_inventory_that_is_played_as_it_was_is_told_with_the_step(small: Small) -> None:
    await begun_once(small)
    write(small.path / "inventories/acme/hosts.yml", "all: {hosts: {here: {\n")
    done = small.bascule("failover", "acme/web", "--move", "restart")
    assert done.returncode == 0, done.stdout + done.stderr
    told = [x.evidence for x in small.records(r.StepFinished) if isinstance(x, r.StepFinished)]
    assert any("with the inventory as it was read on" in text for text in told), told


async def test_a_client_may_be_called_as_what_is_kept_beside_it(small: Small) -> None:
    (small.path / "inventories/acme").rename(small.path / "inventories/kept")
    await begun_once(small)
    write(small.path / "inventories/kept/hosts.yml", "all: {hosts: {here: {\n")
    done = small.bascule("failover", "kept/web", "--move", "restart")
    assert done.returncode == 0, done.stdout + done.stderr
    assert any("with the inventory as it was read on" in x.evidence for x in small.records(r.StepFinished))  # type: ignore[attr-defined]


async def test_a_playbook_that_changed_itself_is_not_played_under_the_last_good_configuration(small: Small) -> None:
    await begun_once(small)
    write(small.path / "checks/other.yml", SLIPS["another check"][1])
    book = small.path / "playbooks/restart.yml"
    write(book, book.read_text() + "    - ansible.builtin.debug: {msg: more}\n")
    done = small.bascule("failover", "acme/web", "--move", "restart")
    assert done.returncode != 0
    assert "plan changed" in done.stdout + done.stderr
    assert not small.records(r.RunStarted), "the word is refused: nothing begins"


def computed(small: Small) -> Path:
    """The inventory is a program from now on; it answers while the file that is returned is there."""
    answers = small.path.with_name(small.path.name + "-answers")  # outside: what a program names counts
    answers.touch()
    (small.path / "inventories/acme/hosts.yml").unlink()
    host = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    said = json.dumps({"all": {"hosts": ["here"]}, "_meta": {"hostvars": {"here": host}}})
    program = small.path / "inventories/acme/hosts.sh"
    write(program, f"#!/bin/sh\n[ -e {answers} ] || {{ echo 'no answer from the API' >&2; exit 1; }}\necho '{said}'\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    write(small.path / "inventories/acme/services.yml", "inventory: [hosts.sh]\n" + SERVICES)
    return answers


async def test_while_the_inventorys_source_is_down_it_is_the_one_that_was_last_read(small: Small) -> None:
    answers = computed(small)
    await begun_once(small)
    answers.unlink()
    controller = Controller(small.path)
    await controller.start()
    try:
        assert controller.files.not_in_force == [], "the files are valid: they are in force"
        in_force = controller.condition()["configuration"]
        assert isinstance(in_force, dict)
        assert "as it was read on" in str(in_force["as_last_read"])
        answers.touch()
        assert await controller.reload() == []
        assert controller.files.beside.stale == {}
    finally:
        await controller.close()
    answers.unlink()
    done = small.bascule("failover", "acme/web", "--move", "restart")
    assert done.returncode == 0, done.stdout + done.stderr


def tells(small: Small) -> Path:
    """Somebody is on call from now on; what they are told is in this file."""
    told = small.path / "told"
    told.touch()
    write(small.path / "tell", f"#!/bin/sh\ncat >> {told}\n")
    (small.path / "tell").chmod(0o755)
    people = f"people: {{ada: {{name: Ada, ways: [{{name: file, command: [{small.path}/tell]}}]}}}}\non_call: [ada]\n"
    write(small.path / "inventories/acme/people.yml", people)
    return told


def breaks_out(small: Small) -> None:
    """The journal has an incident of acme/web, which goes on."""
    small.web.file.unlink()
    journal = SqliteJournal(journal_path(small.path))
    lease = journal.acquire("before", 20.0)
    assert isinstance(lease, Lease)
    at, digest = journal.open_axis().now(), next(iter(small.records(r.Configured))).digest  # type: ignore[attr-defined]
    opened = r.IncidentOpened(at, "i1", "acme/web", at - 1.0, None, "no reply", at - 2.0)
    journal.append(lease, at, time.time(), [opened], {})
    assert journal.load_model(digest) is not None
    journal.release(lease)
    journal.close()


async def test_what_stands_against_the_files_at_a_start_goes_on_with_its_own_people_and_inventory(small: Small) -> None:
    """While no daemon runs the folder is renamed, and another client takes the name: its outage is not theirs."""
    write(small.path / "inventories/acme/services.yml", watched := SERVICES.replace("mode: auto", "mode: observe"))
    tells(small)
    await begun_once(small)
    breaks_out(small)
    before = small.path / "inventories/acme"
    before.rename(small.path / "inventories/acme-sa")
    controller = Controller(small.path)
    await controller.start()
    try:
        (why,) = controller.files.not_in_force
        assert why == "acme/web has incident i1 open and cannot be removed"
        assert list(controller.shell.engine.model.services) == ["acme/web"]
        assert controller.files.beside.digest == controller.shell.engine.model.digest
        assert controller.notifier.settings.on_call["acme"] == ("acme/ada",)
        assert controller.notifier.settings.people["acme/ada"].name == "Ada"
        stale = controller.files.beside.stale["acme"]
        assert "hosts.yml is not there any more" in str(stale)
        assert controller.files.keeping is not None  # how the journal is kept is not in question
        assert await controller.reload() == [why]
        told = "the files cannot be put in force; the last journaled one is in force: `bascule status`"
        assert controller.files.say_older("") == told  # all clients' people are told: it names none
    finally:
        await controller.close()
    (small.path / "inventories/acme-sa").rename(before)
    write(before / "people.yml", "people: {ada: {name: Eve, ways: [{command: [/bin/cat]}]}}\non_call: [ada]\n")
    write(before / "services.yml", watched.replace("  web:\n", "  shop:\n"))
    controller = Controller(small.path)
    await controller.start()
    try:
        assert list(controller.shell.engine.model.services) == ["acme/web"]
        ada = controller.notifier.settings.people["acme/ada"]
        assert (ada.name, ada.ways) == ("Ada", (CommandWay((f"{small.path}/tell",), "file"),))
    finally:
        await controller.close()


async def test_a_start_in_an_outage_does_not_read_every_story(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a long journal that takes seconds, which an outage has not; and who stands by starts each second."""
    await begun_once(small)
    breaks_out(small)
    stories: list[object] = []
    monkeypatch.setattr(Reader, "pin_open", stories.append)
    controller = Controller(small.path)
    await controller.start()
    await controller.close()
    assert not stories


async def test_a_daemon_that_acts_on_older_files_says_so_in_ready_and_status(small: Small) -> None:
    await begun_once(small)
    write(small.path / "bascule.yml", "demon: {}\n")
    small.daemon()
    small.until(lambda: small.bascule("status").stdout.count("controller ") and "is up" in small.log(), "the daemon")
    ready = small.bascule("ready")
    assert ready.returncode == 1, ready.stdout
    assert "configuration invalid: files: bascule.yml:1:1" in ready.stdout
    assert small.bascule("status").stdout.startswith("the whole workspace: cannot see or do")


async def test_a_daemon_that_acts_on_an_older_inventory_says_so_and_tells_those_on_call(small: Small) -> None:
    answers, told = computed(small), tells(small)
    await begun_once(small)
    answers.unlink()
    small.daemon()
    small.until(lambda: "acme: inventory unread: it is served by" in told.read_text(), "a notice")
    ready = small.bascule("ready")
    assert ready.returncode == 1, ready.stdout
    assert "inventory unread: inventory: the inventory as it was read on" in ready.stdout


async def test_people_ways_and_secrets_are_kept_by_where_they_are_never_what_they_are(
    small: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PAGER_URL", "json://robot:hush-hush@127.0.0.1:9/")
    write(tmp_path / "kept-apart", "http://127.0.0.1:9/very-secret\n")
    write(
        small.path / "bascule.yml",
        "notify: {ways: [{apprise: {env: PAGER_URL}}, {apprise: 'json://robot:passw0rd@127.0.0.1:9/'}]}\n"
        f"heartbeat: {{url: {{file: {tmp_path}/kept-apart}}}}\n"
        "people: {ada: {name: Ada, ways: [{command: [/bin/cat]}]}}\non_call: [ada]\n",
    )
    write(
        small.path / "checks/door.yml",
        "- {name: door, hosts: here, probe: http, url: 'http://127.0.0.1:9/', token_secret: door_token, every: 60s}\n",
    )
    write(small.path / "inventories/acme/group_vars/all.yml", "door_token: \"{{ lookup('env', 'DOOR') }}\"\n")
    monkeypatch.setenv("DOOR", "open-sesame")
    await begun_once(small)
    write(small.path / "bascule.yml", "notify: {ways: [\n")
    controller = Controller(small.path)
    await controller.start()
    try:
        assert controller.files.not_in_force
        ways = controller.notifier.settings.ways
        assert ways == (AppriseWay("json://robot:hush-hush@127.0.0.1:9/"),)
        assert controller.notifier.settings.people["ada"].ways == (CommandWay(("/bin/cat",)),)
        assert controller.notifier.settings.heartbeat is not None
        assert controller.files.beside.lost == (), "a way of the same kind is there"
        assert list(controller.files.secrets.values()) == ["open-sesame"]
    finally:
        await controller.close()
    for file in (small.path / ".bascule").rglob("*"):
        if file.is_file():
            for secret in ("passw0rd", "hush-hush", "very-secret", "open-sesame"):
                assert secret.encode() not in file.read_bytes(), f"{secret} in {file}"


async def test_what_is_kept_is_for_its_owner_alone(small: Small) -> None:
    await begun_once(small)
    for folder in (beside_model.FOLDER, last_read.FOLDER):
        assert stat.S_IMODE((small.path / folder).stat().st_mode) == 0o700
        assert all(stat.S_IMODE(p.stat().st_mode) & 0o077 == 0 for p in (small.path / folder).iterdir())


def test_a_reading_becomes_an_inventory_with_its_groups_and_its_vaulted_and_unsafe_values() -> None:
    exported = {
        "_meta": {"hostvars": {"a": {"pin": {"__ansible_vault": "$ANSIBLE_VAULT;1.1;AES256\n61\n"}}}},
        "all": {"children": ["ungrouped", "hq"]},
        "hq": {"hosts": ["a", "b"], "vars": {"greeting": {"__ansible_unsafe": "{{ nobody }}"}}},
    }
    text = last_read.yaml.dump(last_read.static(exported), Dumper=last_read._Dumper, sort_keys=False)
    assert "pin: !vault |" in text
    assert "!unsafe '{{ nobody }}'" in text
    assert last_read.static(exported)["hq"]["hosts"] == {"a": None, "b": None}


async def test_an_inventory_that_answers_again_puts_no_edited_file_in_force(
    small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The daemon reads by itself only what it has read already: what was edited since waits for a word."""
    monkeypatch.setattr(unread, "ASK_EVERY_S", 0.2)
    answers = computed(small)
    await begun_once(small)
    answers.unlink()
    controller = Controller(small.path)
    await controller.start()
    try:
        digest, book = controller.shell.engine.model.digest, small.path / "playbooks/restart.yml"
        text, program = book.read_text(), small.path / "inventories/acme/hosts.sh"
        said, ran = program.read_text(), small.path.with_name(small.path.name + "-ran")
        program.write_text(said.replace("#!/bin/sh\n", f"#!/bin/sh\n: >{ran}\n"))
        book.write_text(text + "    - ansible.builtin.debug: {msg: half a thought}\n")
        answers.touch()
        for _ in range(80):
            await asyncio.sleep(0.1 if controller.files.beside.stale else 0.0)
        assert controller.shell.engine.model.digest == digest
        assert not ran.exists()
        program.write_text(said)
        book.write_text(text)
        async with asyncio.timeout(30.0):
            while controller.files.beside.stale:  # noqa: ASYNC110  (the daemon's own time)
                await asyncio.sleep(0.1)
        assert controller.shell.engine.model.digest == digest
    finally:
        await controller.close()


async def test_an_inventory_that_was_edited_does_not_run_before_a_step(small: Small) -> None:
    """It is asked before each step whether it still answers: as it was decided upon, or not at all."""
    computed(small)
    controller = Controller(small.path)
    await controller.start()
    try:
        ran, program = small.path.with_name(small.path.name + "-ran"), small.path / "inventories/acme/hosts.sh"
        program.write_text(program.read_text().replace("#!/bin/sh\n", f"#!/bin/sh\n: >{ran}\n"))
        reading = small.path / last_read.FOLDER / "acme.json"
        kept = json.loads(reading.read_text())
        reading.write_text(json.dumps({**kept, "at": kept["at"] - 3600}))  # it was not read just now
        (book,) = (m.playbook for m in controller.shell.engine.model.moves.values() if m.name == "restart")
        assert "hosts.sh was changed" in await asyncio.to_thread(controller._differs, "acme", book)
        assert not ran.exists()
    finally:
        await controller.close()


async def test_a_source_that_goes_down_under_a_running_daemon_stops_no_step(small: Small) -> None:
    """It was asked before; what it said then acts, and is told so with the step, in ready and to those on call."""
    answers, told = computed(small), tells(small)
    small.daemon()
    small.until(
        lambda: '"check": "acme/ref@here", "was": "unknown", "verdict": "up"' in small.log(), "the daemon to see"
    )
    reading = small.path / last_read.FOLDER / "acme.json"
    kept = json.loads(reading.read_text())
    reading.write_text(json.dumps({**kept, "at": kept["at"] - 3600}))  # it was not read just now
    answers.unlink()
    done = small.bascule("failover", "acme/web", "--move", "restart")
    assert done.returncode == 0, done.stdout + done.stderr
    small.until(lambda: bool(small.records(r.RunEnded)), "the run's end")
    (ended,) = small.records(r.RunEnded)
    assert isinstance(ended, r.RunEnded)
    assert ended.ok, ended
    steps = [x.evidence for x in small.records(r.StepFinished) if isinstance(x, r.StepFinished)]
    assert any("with the inventory as it was read on" in text for text in steps), steps
    small.until(lambda: "acme: inventory unread: it is served by" in told.read_text(), "a notice")
    assert "inventory unread: inventory: the inventory as it was read on" in small.bascule("ready").stdout
