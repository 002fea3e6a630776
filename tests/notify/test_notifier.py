"""People are told: over real HTTP, by real programs, once, and what cannot be delivered is said without secrets."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from orchestrator.core.commands import NoticeKind, TellPeople
from orchestrator.core.events import NOT_BY, NoticeDelivered, NoticeFailed
from orchestrator.core.people import AppriseWay, CommandWay, Deliver, NotifySettings, Person, Retry
from orchestrator.notify.notifier import Answer, PeopleNotifier
from tests.notify.receiver import HttpReceiver, http_receiver, until

QUICK = Retry(attempts=4, first_s=0.02, max_s=0.1)
SECRETS = ("passw0rd", "robot", "s3cret-token", "hush-hush")
APPROVE = TellPeople(
    "run-7/approval",
    NoticeKind.APPROVAL_NEEDED,
    "acme",
    "acme/erp",
    "HQ is dark and its console does not answer.",
    say="bascule approve run-7",
    details={"run": "run-7"},
)


@pytest.fixture
async def phone() -> AsyncIterator[HttpReceiver]:
    """Where people's messages arrive."""
    async with http_receiver() as receiver:
        yield receiver


@pytest.fixture
def answers() -> list[Answer]:
    return []


def ada(*ways: AppriseWay | CommandWay, deputy: str | None = None) -> Person:
    return Person("acme/ada", "acme", "Ada Lovelace", "ada@acme.example", "@ada", "+49 1", deputy, ways)


def settings_for(*people: Person, **others: object) -> NotifySettings:
    ids = {p.id: p for p in people}
    on_call = {"acme": tuple(ids)[:1]} if ids else {}
    return NotifySettings(**{"people": ids, "on_call": on_call, "retry": QUICK, **others})  # type: ignore[arg-type]


def noting(file: Path) -> CommandWay:
    """A program that appends what it is told to a file."""
    code = f"import sys; open({str(file)!r}, 'a').write(sys.stdin.read())"
    return CommandWay((sys.executable, "-c", code), name="pager")


def failing(said: str) -> CommandWay:
    code = f"import sys; sys.stdin.read(); sys.exit('first line\\n{said} ' + sys.argv[1])"
    return CommandWay((sys.executable, "-c", code, "hush-hush"), name="pager")


def runs(pid: int) -> bool:
    """Is there such a process, and not merely its remains?"""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


async def told(notifier: PeopleNotifier, answers: list[Answer], notice: TellPeople = APPROVE) -> Answer:
    """Carry one out and wait for its answer, then for the end of everything."""
    before = len(answers)
    notifier.carry_out(notice)
    await until(lambda: len(answers) > before)
    await notifier.close(5.0)
    assert len(answers) == before + 1
    return answers[-1]


class TestSomebodyIsTold:
    """What arrives, and where."""

    async def test_the_message_says_who_what_and_which_command_to_type(
        self, phone: HttpReceiver, answers: list[Answer]
    ) -> None:
        notifier = PeopleNotifier(settings_for(ada(AppriseWay(phone.apprise_url()))), answers.append)
        answer = await told(notifier, answers)
        assert answer == NoticeDelivered("run-7/approval", "Ada Lovelace by json")
        (message,) = phone.got
        assert message["title"] == "[bascule] acme/erp: approval needed"
        assert message["type"] == "warning"
        for part in ("HQ is dark", "Type:  bascule approve run-7", "For:  Ada Lovelace", "Notice:  run-7/approval"):
            assert part in message["message"]

    async def test_a_program_is_told_as_json_with_the_person_it_is_to_reach(
        self, tmp_path: Path, answers: list[Answer]
    ) -> None:
        said = tmp_path / "said"
        notifier = PeopleNotifier(settings_for(ada(noting(said)), ways=(noting(said),)), answers.append)
        await told(notifier, answers)
        messages = [json.loads(line) for line in said.read_text().splitlines()]
        assert len(messages) == 2
        (personal,) = [m for m in messages if m["to"]]
        assert personal["to"] == {
            "id": "acme/ada",
            "name": "Ada Lovelace",
            "email": "ada@acme.example",
            "chat": "@ada",
            "phone": "+49 1",
        }
        assert (personal["kind"], personal["say"]) == ("approval needed", "bascule approve run-7")
        assert personal["details"] == {"run": "run-7"}

    async def test_people_named_the_clients_ways_and_the_workspaces_each_get_it(
        self, phone: HttpReceiver, answers: list[Answer]
    ) -> None:
        bob = Person("acme/bob", "acme", "Bob", ways=(AppriseWay(phone.apprise_url("bob")),))
        settings = settings_for(
            ada(AppriseWay(phone.apprise_url("ada"))),
            bob,
            client_ways={
                "acme": (AppriseWay(phone.apprise_url("room")),),
                "bistro": (AppriseWay("json://127.0.0.1:1"),),
            },
            ways=(AppriseWay(phone.apprise_url("noc"), name="noc-room"),),
        )
        notice = TellPeople("n", NoticeKind.RECOVERED, "acme", "acme/erp", "Back at hq.", to=("acme/bob",))
        answer = await told(PeopleNotifier(settings, answers.append), answers, notice)
        assert sorted(phone.asked) == ["/bob", "/noc", "/room"]
        assert isinstance(answer, NoticeDelivered)
        assert set(answer.through.split(", ")) == {"Bob by json", "client acme by json", "workspace by noc-room"}

    async def test_one_way_in_several_lists_is_used_once(self, phone: HttpReceiver, answers: list[Answer]) -> None:
        way = AppriseWay(phone.apprise_url())
        settings = settings_for(ada(way), client_ways={"acme": (way,)}, ways=(way,))
        await told(PeopleNotifier(settings, answers.append), answers)
        assert len(phone.got) == 1

    async def test_a_name_that_no_file_defines_reaches_the_on_call_and_is_reported(
        self, phone: HttpReceiver, answers: list[Answer]
    ) -> None:
        notice = TellPeople("n", NoticeKind.HUMAN_NEEDED, "acme", "acme/erp", "…", to=("acme/adda",))
        notifier = PeopleNotifier(settings_for(ada(AppriseWay(phone.apprise_url()))), answers.append)
        answer = await told(notifier, answers, notice)
        assert answer == NoticeDelivered(
            "n", "Ada Lovelace by json; not, or not yet: person acme/adda (nobody of that id)"
        )

    async def test_what_concerns_the_whole_workspace_reaches_every_clients_people(
        self, phone: HttpReceiver, answers: list[Answer]
    ) -> None:
        bob = Person("bistro/bob", "bistro", "Bob", ways=(AppriseWay(phone.apprise_url("bob")),))
        settings = settings_for(
            ada(AppriseWay(phone.apprise_url("ada"))),
            bob,
            on_call={"acme": ("acme/ada",), "bistro": ("bistro/bob",)},
            client_ways={"acme": (AppriseWay(phone.apprise_url("room")),)},
        )
        notice = TellPeople("cannot act/3/1", NoticeKind.CANNOT_ACT, "", "", "The disk under the journal is full.")
        await told(PeopleNotifier(settings, answers.append), answers, notice)
        assert sorted(phone.asked) == ["/ada", "/bob", "/room"]
        assert {m["title"] for m in phone.got} == {"[bascule] workspace: cannot act"}

    async def test_carry_out_returns_at_once(self, tmp_path: Path, answers: list[Answer]) -> None:
        slow = CommandWay((sys.executable, "-c", "import time; time.sleep(2)"))
        notifier = PeopleNotifier(settings_for(ways=(slow,)), answers.append)
        loop = asyncio.get_running_loop()
        began = loop.time()
        notifier.carry_out(APPROVE)
        assert loop.time() - began < 1.0
        assert answers == []
        await until(lambda: answers)
        await notifier.close()


class TestNobodyIsToldTwice:
    """One notice id, one delivery."""

    async def test_the_same_notice_again_only_repeats_the_answer(
        self, phone: HttpReceiver, answers: list[Answer]
    ) -> None:
        notifier = PeopleNotifier(settings_for(ada(AppriseWay(phone.apprise_url()))), answers.append)
        notifier.carry_out(APPROVE)
        notifier.carry_out(APPROVE)  # while the first is under way
        await until(lambda: answers)
        notifier.carry_out(APPROVE)  # and after it
        assert len(answers) == 2
        assert answers[0] == answers[1]
        await notifier.close()
        assert len(phone.got) == 1

    async def test_what_the_journal_knows_to_be_delivered_is_not_sent_again(
        self, phone: HttpReceiver, answers: list[Answer]
    ) -> None:
        settings = settings_for(ada(AppriseWay(phone.apprise_url())))
        notifier = PeopleNotifier(settings, answers.append, delivered=[APPROVE.id])
        await told(notifier, answers)
        assert phone.got == []
        assert isinstance(answers[0], NoticeDelivered)

    async def test_a_way_that_worked_is_not_used_again_while_another_is_retried(
        self, phone: HttpReceiver, tmp_path: Path, answers: list[Answer]
    ) -> None:
        said = tmp_path / "said"
        phone.fail_next = 2
        settings = settings_for(ada(AppriseWay(phone.apprise_url()), noting(said)))
        await told(PeopleNotifier(settings, answers.append), answers)
        assert len(said.read_text().splitlines()) == 1
        assert (len(phone.asked), len(phone.got)) == (3, 1)


class TestItDoesNotWorkAtOnce:
    """Retries, order, deputies."""

    async def test_a_receiver_that_fails_then_recovers_is_told(
        self, phone: HttpReceiver, answers: list[Answer]
    ) -> None:
        phone.fail_next = 3
        notifier = PeopleNotifier(settings_for(ada(AppriseWay(phone.apprise_url()))), answers.append)
        assert await told(notifier, answers) == NoticeDelivered("run-7/approval", "Ada Lovelace by json")
        assert (len(phone.asked), len(phone.got)) == (4, 1)

    async def test_after_the_last_retry_it_has_failed_with_each_ways_reason(
        self, phone: HttpReceiver, answers: list[Answer]
    ) -> None:
        phone.fail_next = 99
        settings = settings_for(ada(AppriseWay(phone.apprise_url()), failing("gateway refused")))
        answer = await told(PeopleNotifier(settings, answers.append), answers)
        assert isinstance(answer, NoticeFailed)
        assert "Ada Lovelace by json (Failed to send JSON" in answer.detail
        assert "503" in answer.detail
        assert "Ada Lovelace by pager (exit code 1: gateway refused ***)" in answer.detail
        assert len(phone.asked) == QUICK.attempts

    async def test_failed_it_may_be_asked_for_again(self, phone: HttpReceiver, answers: list[Answer]) -> None:
        phone.fail_next = QUICK.attempts
        notifier = PeopleNotifier(settings_for(ada(AppriseWay(phone.apprise_url()))), answers.append)
        notifier.carry_out(APPROVE)
        await until(lambda: len(answers) == 1)
        notifier.carry_out(APPROVE)
        await until(lambda: len(answers) == 2)
        await notifier.close()
        assert [type(a) for a in answers] == [NoticeFailed, NoticeDelivered]

    async def test_in_order_the_second_way_is_used_only_if_the_first_fails(
        self, phone: HttpReceiver, tmp_path: Path, answers: list[Answer]
    ) -> None:
        said = tmp_path / "said"
        settings = settings_for(ada(AppriseWay(phone.apprise_url()), noting(said)), deliver=Deliver.FIRST)
        await told(PeopleNotifier(settings, answers.append), answers)
        assert (len(phone.got), said.exists()) == (1, False)
        phone.fail_next = 1
        again = TellPeople("n2", NoticeKind.RECOVERED, "acme", "acme/erp", "Back.")
        await told(PeopleNotifier(settings, answers.append), answers, again)
        assert (len(phone.got), said.exists()) == (1, True)

    async def test_a_deputy_is_told_when_none_of_a_persons_ways_worked(
        self, phone: HttpReceiver, answers: list[Answer]
    ) -> None:
        bob = Person("acme/bob", "acme", "Bob", ways=(AppriseWay(phone.apprise_url("bob")),))
        settings = settings_for(ada(failing("off"), deputy="acme/bob"), bob)
        answer = await told(PeopleNotifier(settings, answers.append), answers)
        assert isinstance(answer, NoticeDelivered)
        assert answer.through.startswith("Bob (deputy of Ada Lovelace) by json; not, or not yet: Ada Lovelace by pager")

    async def test_a_deputy_is_told_in_place_of_somebody_without_any_way(
        self, phone: HttpReceiver, answers: list[Answer]
    ) -> None:
        """And the deputy's deputy where that one has none either: `validate` calls such a client reachable."""
        bob = Person("acme/bob", "acme", "Bob", deputy="acme/eve")
        eve = Person("acme/eve", "acme", "Eve", ways=(AppriseWay(phone.apprise_url("eve")),))
        settings = settings_for(ada(deputy="acme/bob"), bob, eve)
        notifier = PeopleNotifier(settings, answers.append)
        assert notifier.untold(["acme", "bistro"]) == {"bistro": "nobody is on call"}
        answer = await told(notifier, answers)
        assert isinstance(answer, NoticeDelivered)
        assert answer.through == "Eve (deputy of Ada Lovelace) by json"

    async def test_people_without_a_way_are_named_where_others_were_told_and_that_is_no_failure(
        self, tmp_path: Path, answers: list[Answer]
    ) -> None:
        settings = settings_for(ada(), ways=(noting(tmp_path / "heard"),))
        notifier = PeopleNotifier(settings, answers.append)
        notifier.carry_out(APPROVE)
        await until(lambda: answers)
        assert isinstance(answers[0], NoticeDelivered)
        assert answers[0].through.endswith("(without a way of their own: Ada Lovelace)")
        assert NOT_BY not in answers[0].through
        await notifier.close()

    async def test_deputies_that_go_round_in_a_circle_reach_nobody(self, answers: list[Answer]) -> None:
        bob = Person("acme/bob", "acme", "Bob", deputy="acme/ada")
        notifier = PeopleNotifier(settings_for(ada(deputy="acme/bob"), bob), answers.append)
        assert notifier.untold(["acme"]) == {"acme": "nobody on call has a way (acme/ada)"}
        assert isinstance(await told(notifier, answers), NoticeFailed)

    async def test_nobody_is_configured(self, answers: list[Answer]) -> None:
        answer = await told(PeopleNotifier(NotifySettings(), answers.append), answers)
        assert isinstance(answer, NoticeFailed)
        assert "nobody is configured" in answer.detail

    async def test_a_hung_program_is_killed_with_all_it_started(self, tmp_path: Path, answers: list[Answer]) -> None:
        pid = tmp_path / "pid"
        hung = CommandWay(("/bin/sh", "-c", f"sleep 60 & echo $! >{pid}; wait"), timeout_s=1.0)
        settings = settings_for(ways=(hung,), retry=Retry(1))
        answer = await told(PeopleNotifier(settings, answers.append), answers)
        assert isinstance(answer, NoticeFailed)
        assert "no end within 1 s: killed" in answer.detail
        await until(lambda: not runs(int(pid.read_text())))

    @pytest.mark.parametrize(
        ("way", "said"),
        [
            (CommandWay(("/nowhere/pager", "hush-hush")), "pager (could not be started: No such file or directory)"),
            (AppriseWay("nosuch://hush-hush"), "nosuch (apprise does not understand its URL)"),
        ],
    )
    async def test_a_way_that_cannot_work(self, way: CommandWay | AppriseWay, said: str, answers: list[Answer]) -> None:
        answer = await told(PeopleNotifier(settings_for(ways=(way,), retry=Retry(1)), answers.append), answers)
        assert isinstance(answer, NoticeFailed)
        assert said in answer.detail

    async def test_a_slow_one_is_given_up_at_the_end_without_an_answer(self, answers: list[Answer]) -> None:
        notifier = PeopleNotifier(settings_for(ways=(CommandWay(("/bin/sleep", "60")),)), answers.append)
        notifier.carry_out(APPROVE)
        await asyncio.sleep(0.1)
        await notifier.close(grace_s=0.1)
        assert answers == []


class TestSecrets:
    """Apprise URLs contain passwords, commands tokens."""

    async def test_no_secret_is_in_answers_logs_or_representations(
        self, phone: HttpReceiver, answers: list[Answer], capfd: pytest.CaptureFixture[str]
    ) -> None:
        phone.fail_next = 99
        closed = AppriseWay("json://robot:passw0rd@127.0.0.1:9/s3cret-token?+X-Key=hush-hush")
        settings = settings_for(ada(AppriseWay(phone.apprise_url()), closed, failing("token")))
        with log_at_its_most_talkative() as talk, capture_logs() as logs:
            answer = await told(PeopleNotifier(settings, answers.append), answers)
        everything = " ".join([str(answer), str(logs), talk.getvalue(), *capfd.readouterr(), repr(settings)])
        assert isinstance(answer, NoticeFailed)
        assert [entry for entry in logs if entry["event"] == "notice_not_delivered_by"]
        for secret in SECRETS:
            assert secret not in everything, secret


def test_in_a_daemon_too_apprises_reason_is_told_and_stays_out_of_the_log() -> None:
    """Its logger is kept apart, not silenced: the reason comes from there."""
    code = (
        "from orchestrator.daemon.logs import set_up_logs\n"
        "from orchestrator.core.people import AppriseWay\n"
        "from orchestrator.notify import apprise_way\n"
        "from orchestrator.notify.message import Message\n"
        "out = set_up_logs('json')\n"
        "print(apprise_way.send(AppriseWay('json://127.0.0.1:1'), Message('n', 't', 'b', 'failure', {})))\n"
        "out.drain(60)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert "A Connection error occurred sending JSON" in done.stdout
    assert done.stderr == ""


@contextmanager
def log_at_its_most_talkative() -> Iterator[io.StringIO]:
    """What an operator would see who sets the root logger to everything (except the test's own server)."""
    root, talk = logging.getLogger(), io.StringIO()
    handler, level = logging.StreamHandler(talk), root.level
    handler.addFilter(lambda record: not record.name.startswith("aiohttp"))
    root.addHandler(handler)
    root.setLevel(0)
    try:
        yield talk
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
