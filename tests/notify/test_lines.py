"""No way to tell people waits for another one: dead, hanging, refusing and flooded ways, beside one that works."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from orchestrator.core.commands import NoticeKind, TellPeople
from orchestrator.core.events import NoticeDelivered, NoticeFailed
from orchestrator.core.model import Json
from orchestrator.core.people import AppriseWay, CommandWay, Deliver, NotifySettings, Person, Retry
from orchestrator.notify import apprise_way
from orchestrator.notify.in_thread import in_thread
from orchestrator.notify.line import COMBINE_FROM, Line
from orchestrator.notify.message import Message
from orchestrator.notify.notifier import Answer, PeopleNotifier
from tests.notify.receiver import HttpReceiver, http_receiver, until

ONCE = Retry(attempts=1, first_s=0.02, max_s=0.1)
QUICK = Retry(attempts=4, first_s=0.02, max_s=0.1)


def notice(number: int) -> TellPeople:
    return TellPeople(f"n{number}", NoticeKind.INCIDENT_OPENED, "acme", "acme/erp", f"It is down, said {number}.")


@contextmanager
def black_hole() -> Iterator[int]:
    """A port that takes every connection and never says a word."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(500)
        kept: list[socket.socket] = []

        def take() -> None:
            while True:
                try:
                    kept.append(listener.accept()[0])
                except OSError:
                    return

        threading.Thread(target=take, daemon=True).start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            for one in kept:
                one.close()


@pytest.fixture
async def phone() -> AsyncIterator[HttpReceiver]:
    async with http_receiver() as receiver:
        yield receiver


@pytest.fixture
def answers() -> list[Answer]:
    return []


def notices_in(message: dict[str, object]) -> int:
    return str(message["message"]).count("Notice:  ")


class TestADeadWayDelaysNoOther:
    """Ten that never answer, and one that does."""

    async def test_all_notices_come_by_the_good_way_while_ten_dead_ones_still_wait_for_their_first_answer(
        self, phone: HttpReceiver, answers: list[Answer]
    ) -> None:
        with black_hole() as port:
            dead = tuple(AppriseWay(f"json://127.0.0.1:{port}/{n}") for n in range(10))
            settings = NotifySettings(ways=(*dead, AppriseWay(phone.apprise_url(), "pager")), retry=ONCE)
            notifier = PeopleNotifier(settings, answers.append)
            for n in range(20):
                notifier.carry_out(notice(n))
            await until(lambda: len(phone.got) == 20)
            waiting = [told for told in notifier.told() if isinstance(told, dict) and told["way"] == "json"]
            assert len(waiting) == 10
            assert all(told["waiting"] == 20 and told["failing_for_s"] is None for told in waiting), (
                "not one has failed"
            )
            await notifier.close(0.1)
        assert [m["message"].partition(".")[0] for m in phone.got] == [f"It is down, said {n}" for n in range(20)]

    async def test_one_notice_of_a_client_does_not_wait_for_all_of_another(
        self, answers: list[Answer], tmp_path: Path
    ) -> None:
        said = f"cat >>{tmp_path / 'said'}; while [ ! -e {tmp_path / 'go'} ]; do sleep 0.01; done"
        way = CommandWay(("/bin/sh", "-c", said), "pager", timeout_s=60)
        notifier = PeopleNotifier(NotifySettings(ways=(way,), retry=ONCE), answers.append)
        for n in range(12):
            notifier.carry_out(notice(n))
        notifier.carry_out(TellPeople("other", NoticeKind.INCIDENT_OPENED, "globex", "globex/erp", "It is down."))
        await until(lambda: (tmp_path / "said").exists())
        (tmp_path / "go").touch()
        await until(lambda: len(answers) == 13)
        await notifier.close(0.1)
        told = [json.loads(line)["id"] for line in (tmp_path / "said").read_text().splitlines()]
        assert told == ["n0", "other", *(f"n{n}" for n in range(1, 12))]

    async def test_each_is_answered_and_says_which_ways_did_not_take_it(
        self, phone: HttpReceiver, answers: list[Answer], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("orchestrator.notify.line.ATTEMPT_S", 0.5)
        with black_hole() as port:
            settings = NotifySettings(
                ways=(AppriseWay(f"json://127.0.0.1:{port}/"), AppriseWay(phone.apprise_url(), "pager")), retry=QUICK
            )
            notifier = PeopleNotifier(settings, answers.append)
            for n in range(30):
                notifier.carry_out(notice(n))
            await until(lambda: len(answers) == 30)
            await notifier.close(0.1)
        assert all(isinstance(a, NoticeDelivered) and a.through.startswith("workspace by pager") for a in answers)
        assert "workspace by json (no end within 0.5 s: given up)" in answers[-1].through  # type: ignore[union-attr]

    async def test_without_any_way_that_works_every_notice_fails_after_the_tries_of_one(
        self, answers: list[Answer], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("orchestrator.notify.line.ATTEMPT_S", 0.2)
        with black_hole() as port:
            settings = NotifySettings(ways=(AppriseWay(f"json://127.0.0.1:{port}/"),), retry=QUICK)
            notifier = PeopleNotifier(settings, answers.append)
            for n in range(500):
                notifier.carry_out(notice(n))
            await until(lambda: len(answers) == 500)
            await notifier.close(0.1)
        assert all(isinstance(a, NoticeFailed) for a in answers)
        assert {a.notice for a in answers} == {f"n{n}" for n in range(500)}

    async def test_a_call_that_never_comes_back_is_given_up_and_its_thread_keeps_nobody_alive(self) -> None:
        """As a name server that does not answer holds a look-up: in a program of its own, which ends."""
        code = (
            "import asyncio, threading\n"
            "from orchestrator.notify.in_thread import in_thread\n"
            "async def main():\n"
            "    try: await in_thread(threading.Event().wait, 0.1)\n"
            "    except TimeoutError: print('given up')\n"
            "asyncio.run(main())\n"
        )
        done = await asyncio.to_thread(
            subprocess.run, [sys.executable, "-c", code], capture_output=True, text=True, timeout=50, check=True
        )
        assert done.stdout == "given up\n"

    async def test_tries_that_hang_for_ever_cost_three_threads_at_most(
        self, answers: list[Answer], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("orchestrator.notify.line.ATTEMPT_S", 0.05)
        never = threading.Event()
        monkeypatch.setattr(apprise_way, "send", lambda _way, _message: never.wait())  # a library that hangs
        before = threading.active_count()
        retry = Retry(attempts=9, first_s=0.01, max_s=0.02)
        notifier = PeopleNotifier(NotifySettings(ways=(AppriseWay("json://x/"),), retry=retry), answers.append)
        notifier.carry_out(notice(1))
        await until(lambda: answers)
        assert threading.active_count() - before <= 3
        assert "3 tries before this one have not come back" in answers[0].detail  # type: ignore[union-attr]
        never.set()
        await notifier.close(0.1)

    async def test_what_a_call_raises_is_raised(self) -> None:
        with pytest.raises(ZeroDivisionError):
            await in_thread(lambda: 1 / 0, 10.0)


class TestALineKeepsItsOrder:
    """One way, several notices."""

    async def test_after_a_dead_time_what_waits_comes_in_order(
        self, phone: HttpReceiver, answers: list[Answer]
    ) -> None:
        phone.fail_next = 2
        notifier = PeopleNotifier(NotifySettings(ways=(AppriseWay(phone.apprise_url()),), retry=QUICK), answers.append)
        for n in range(10):
            notifier.carry_out(notice(n))
        await until(lambda: len(answers) == 10)
        await notifier.close()
        got = [m["message"].partition(".")[0] for m in phone.got]
        assert sorted(got[1:], key=lambda text: int(text.rpartition(" ")[2])) == got[1:], "but the one that was tried"

    async def test_a_notice_that_the_way_refuses_holds_up_none_behind_it(
        self, tmp_path: Path, answers: list[Answer]
    ) -> None:
        said = tmp_path / "said"
        code = "import sys; text = sys.stdin.read(); 'said 0' in text and sys.exit(9); "
        code += f"open({str(said)!r}, 'a').write(text)"
        way = CommandWay((sys.executable, "-c", code))
        notifier = PeopleNotifier(NotifySettings(ways=(way,), retry=QUICK), answers.append)
        for n in range(4):
            notifier.carry_out(notice(n))
        await until(lambda: len(answers) == 4)
        await notifier.close()
        assert [json.loads(line)["id"] for line in said.read_text().splitlines()] == ["n1", "n2", "n3"]
        (failed,) = [a for a in answers if isinstance(a, NoticeFailed)]
        assert failed.notice == "n0"
        assert "exit code 9" in failed.detail

    async def test_in_order_of_ways_a_dead_first_way_is_left_out_once_it_is_known(
        self, phone: HttpReceiver, answers: list[Answer], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("orchestrator.notify.line.ATTEMPT_S", 0.3)
        with black_hole() as port:
            ways = (AppriseWay(f"json://127.0.0.1:{port}/"), AppriseWay(phone.apprise_url(), "pager"))
            settings = NotifySettings(ways=ways, retry=QUICK, deliver=Deliver.FIRST)
            notifier = PeopleNotifier(settings, answers.append)
            notifier.carry_out(notice(1))
            await until(lambda: len(answers) == 1)
            notifier.carry_out(notice(2))
            await until(lambda: len(answers) == 2)
            await notifier.close(0.1)
        assert "not, or not yet: workspace by json" in answers[0].through  # type: ignore[union-attr]
        assert answers[1] == NoticeDelivered("n2", "workspace by pager")


class TestOneProgramForTheClientsOfAll:
    """A pager that takes what is for one person, and not what is for another."""

    def notifier(self, code: str, answers: list[Answer], retry: Retry, deliver: Deliver) -> PeopleNotifier:
        way = CommandWay((sys.executable, "-c", code))
        people = {
            name: Person(name, name.partition("/")[0], name, phone=phone, ways=(way,))
            for name, phone in (("acme/alice", "+00 7"), ("globex/carol", "+33 1"))
        }
        on_call = {"acme": ("acme/alice",), "globex": ("globex/carol",)}
        settings = NotifySettings(people=people, on_call=on_call, retry=retry, deliver=deliver)
        return PeopleNotifier(settings, answers.append)

    @pytest.mark.parametrize("deliver", list(Deliver))
    @pytest.mark.parametrize("retry", [ONCE, QUICK])
    async def test_a_client_whose_number_is_wrong_keeps_no_notice_from_another(
        self, answers: list[Answer], retry: Retry, deliver: Deliver
    ) -> None:
        code = "import sys; '+33' in sys.stdin.read() or sys.exit('no such number')"
        notifier = self.notifier(code, answers, retry, deliver)
        for n, client in enumerate(("acme", "acme", "acme", "globex")):
            notifier.carry_out(TellPeople(f"n{n}", NoticeKind.INCIDENT_OPENED, client, f"{client}/erp", "It is down."))
        await until(lambda: len(answers) == 4)
        await notifier.close()
        assert [a for a in answers if a.notice == "n3"] == [NoticeDelivered("n3", "globex/carol by python")]
        assert all(isinstance(a, NoticeFailed) for a in answers if a.notice != "n3")

    async def test_why_it_was_refused_for_one_client_is_not_told_of_another(
        self, answers: list[Answer], tmp_path: Path
    ) -> None:
        code = "import json, sys; sys.exit('no such number: ' + json.load(sys.stdin)['to']['phone'])"
        notifier = self.notifier(code, answers, QUICK, Deliver.ALL)
        for n, client in enumerate(("acme", "acme", "globex")):
            notifier.carry_out(TellPeople(f"n{n}", NoticeKind.INCIDENT_OPENED, client, f"{client}/erp", "It is down."))
        await until(lambda: len(answers) == 3)
        await notifier.close()
        told = {a.notice: a.detail for a in answers if isinstance(a, NoticeFailed)}
        assert "+00 7" in told["n0"]
        assert "+00 7" not in told["n2"]
        assert "+33 1" in told["n2"], "what it was told of its own"

    async def test_what_was_refused_before_something_was_taken_does_not_count_against_the_way(
        self, tmp_path: Path
    ) -> None:
        """One client's wrong number, a day ago, and another's one refusal today: the third is tried all the same."""
        once = tmp_path / "once"
        code = (
            "import pathlib, sys; to = sys.stdin.read(); once = pathlib.Path(sys.argv[1]); "
            "'+00' in to and sys.exit('no such number'); "
            "'+33' in to and once.exists() and (once.unlink(), sys.exit('busy'))"
        )
        way = CommandWay((sys.executable, "-c", code, str(once)))
        line = Line(way, lambda: ONCE)

        async def send(number: int, client: str, phone: str) -> str:
            data: dict[str, Json] = {"client": client}
            person = Person(f"{client}/on-call", client, "On call", phone=phone, ways=(way,))
            return await line.send(Message(f"n{number}", "title", "body", "info", data), person, 1)

        assert "no such number" in await send(0, "acme", "+00 7")
        assert await send(1, "globex", "+33 1") == ""
        once.touch()
        refused, taken = await asyncio.gather(send(2, "globex", "+33 1"), send(3, "initech", "+44 1"))
        await line.close()
        assert "busy" in refused
        assert taken == ""

    async def test_a_flood_of_two_clients_is_not_mixed(self, answers: list[Answer], tmp_path: Path) -> None:
        """A program sends on what it is given to whom it is given for."""
        said = tmp_path / "said"
        way = CommandWay((sys.executable, "-c", f"import sys; open({str(said)!r}, 'a').write(sys.stdin.read())"))
        settings = NotifySettings(client_ways={"acme": (way,), "globex": (way,)}, retry=QUICK)
        notifier = PeopleNotifier(settings, answers.append)
        for n in range(120):
            client = ("acme", "globex")[n % 60 // 30]
            notifier.carry_out(TellPeople(f"n{n}", NoticeKind.INCIDENT_OPENED, client, f"{client}/erp", "It is down."))
        await until(lambda: len(answers) == 120)
        await notifier.close()
        told = [json.loads(line) for line in said.read_text().splitlines()]
        assert len(told) < 100
        assert all(len({x["client"] for x in m.get("notices", [m])}) == 1 for m in told)

    async def test_of_a_flood_before_each_of_two_clients_both_go_combined(self, tmp_path: Path) -> None:
        said = tmp_path / "said"
        way = CommandWay((sys.executable, "-c", f"import sys; open({str(said)!r}, 'a').write(sys.stdin.read())"))
        line = Line(way, lambda: ONCE)
        sent = [
            line.send(Message(f"{client}{n}", "title", "body", "info", {"client": client}), None, 1, receiver=client)
            for client, many in (("acme", 500), ("globex", 50))
            for n in range(many)
        ]
        assert set(await asyncio.gather(*sent)) == {""}
        await line.close()
        told = [json.loads(each) for each in said.read_text().splitlines()]
        clients = [[x["client"] for x in m.get("notices", [m])] for m in told]
        assert clients[1] == 50 * ["globex"]


class TestAFlood:
    """Thousands at once."""

    async def test_thousands_come_combined_each_whole_and_each_is_answered(
        self, phone: HttpReceiver, answers: list[Answer]
    ) -> None:
        notifier = PeopleNotifier(NotifySettings(ways=(AppriseWay(phone.apprise_url()),), retry=QUICK), answers.append)
        for n in range(2000):
            notifier.carry_out(notice(n))
        await until(lambda: len(answers) == 2000)
        await notifier.close()
        assert {a.notice for a in answers if isinstance(a, NoticeDelivered)} == {f"n{n}" for n in range(2000)}
        assert sum(notices_in(m) for m in phone.got) == 2000
        assert len(phone.got) < 400
        assert "notices at once" in phone.got[1]["title"]
        assert all(len(m["message"]) < 4000 for m in phone.got)

    async def test_a_few_come_one_by_one(self, phone: HttpReceiver, answers: list[Answer]) -> None:
        notifier = PeopleNotifier(NotifySettings(ways=(AppriseWay(phone.apprise_url()),), retry=QUICK), answers.append)
        for n in range(COMBINE_FROM):
            notifier.carry_out(notice(n))
        await until(lambda: len(answers) == COMBINE_FROM)
        await notifier.close()
        assert len(phone.got) == COMBINE_FROM

    async def test_a_program_gets_all_of_them_as_one_object(self, tmp_path: Path, answers: list[Answer]) -> None:
        said = tmp_path / "said"
        way = CommandWay((sys.executable, "-c", f"import sys; open({str(said)!r}, 'a').write(sys.stdin.read())"))
        notifier = PeopleNotifier(NotifySettings(ways=(way,), retry=QUICK), answers.append)
        for n in range(100):
            notifier.carry_out(notice(n))
        await until(lambda: len(answers) == 100)
        await notifier.close()
        told = [json.loads(line) for line in said.read_text().splitlines()]
        ids = [x["id"] for m in told for x in m.get("notices", [m])]
        assert ids == [f"n{n}" for n in range(100)]
        assert told[1]["kind"] == "several notices"


class TestPrograms:
    """What a program may do without harm."""

    async def said_of(self, answers: list[Answer], way: CommandWay) -> Answer:
        notifier = PeopleNotifier(NotifySettings(ways=(way,), retry=ONCE), answers.append)
        notifier.carry_out(notice(1))
        await until(lambda: answers)
        await notifier.close(1.0)
        return answers[0]

    async def test_one_that_prints_without_end_is_killed_and_nothing_of_it_kept(self, answers: list[Answer]) -> None:
        answer = await self.said_of(answers, CommandWay(("/bin/sh", "-c", "yes hello >&2"), timeout_s=1.0))
        assert isinstance(answer, NoticeFailed)
        assert "no end within 1 s: killed" in answer.detail

    async def test_the_last_line_of_much_output_is_the_reason(self, answers: list[Answer]) -> None:
        code = "import sys; sys.stderr.write('x' * 3000000 + '\\nno credit left\\n'); sys.exit(3)"
        answer = await self.said_of(answers, CommandWay((sys.executable, "-c", code)))
        assert isinstance(answer, NoticeFailed)
        assert "exit code 3: no credit left" in answer.detail

    async def test_one_that_leaves_a_child_with_its_output_open_has_ended_all_the_same(
        self, tmp_path: Path, answers: list[Answer]
    ) -> None:
        pid = tmp_path / "pid"
        script = f"setsid sh -c 'echo $$ >{pid}; exec sleep 60' & while [ ! -s {pid} ]; do sleep 0.05; done; exit 0"
        answer = await self.said_of(answers, CommandWay(("/bin/sh", "-c", script), timeout_s=50.0))
        assert isinstance(answer, NoticeDelivered)
        os.kill(int(pid.read_text()), 9)

    async def test_one_that_does_not_read_what_it_is_told_may_still_say_yes(self, answers: list[Answer]) -> None:
        assert isinstance(await self.said_of(answers, CommandWay(("/bin/true",))), NoticeDelivered)

    async def test_a_hanging_program_delays_no_other(self, phone: HttpReceiver, answers: list[Answer]) -> None:
        hanging = CommandWay(("/bin/sleep", "600"), timeout_s=500.0)
        settings = NotifySettings(ways=(hanging, AppriseWay(phone.apprise_url())), retry=ONCE)
        notifier = PeopleNotifier(settings, answers.append)
        for n in range(5):
            notifier.carry_out(notice(n))
        await until(lambda: len(phone.got) == 5)
        await notifier.close(0.1)
