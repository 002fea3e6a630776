"""What every kind of probe keeps: the same tests for each row of the table."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from orchestrator.config.shapes import CheckShape
from orchestrator.core.events import Answer
from orchestrator.core.model import Check
from orchestrator.probes.asking import ask_once, explain
from orchestrator.probes.aws import Instances, Newest, Record
from orchestrator.probes.dns import Resolved
from orchestrator.probes.http import Responded
from orchestrator.probes.icmp import Echoed
from orchestrator.probes.kind import Secrets
from orchestrator.probes.kinds import KINDS
from orchestrator.probes.login import LoggedIn
from orchestrator.probes.nagios import Exited
from orchestrator.probes.postgres import State
from orchestrator.probes.prober import Prober
from orchestrator.probes.results import Judged, NotAsked, Refusal, Silence
from orchestrator.probes.ssh import Ran
from orchestrator.probes.tcp import Accepted
from orchestrator.probes.tools import Tools

NOBODY = "192.0.2.1"  # TEST-NET-1: routed nowhere


@dataclass(frozen=True)
class Example:
    """One kind, as little as it needs, and a reply of each sort."""

    options: dict[str, Any]
    good: Any
    bad: Any
    hung: Answer  # what a target that never answers means
    deaf: dict[str, Any] = field(default_factory=dict)  # options that lead to such a target; PORT stands for its port


EXAMPLES = {
    "icmp": Example({"target": NOBODY}, Echoed(1, (0.01,)), Echoed(3, (0.01,)), Answer.SILENT),
    "tcp": Example(
        {"target": NOBODY, "port": 1, "expect": "x"},
        Accepted(0.1, "x"),
        Accepted(0.1, "y"),
        Answer.SILENT,
        {"target": "127.0.0.1", "port": "PORT"},
    ),
    "http": Example(
        {"url": f"http://{NOBODY}/"},
        Responded(200, "", 0.1),
        Responded(500, "", 0.1),
        Answer.SILENT,
        {"url": "http://127.0.0.1:PORT/"},
    ),
    "dns": Example(
        {"record": "a.example", "server": NOBODY},
        Resolved("NOERROR", ("192.0.2.9",), 0.1),
        Resolved("NXDOMAIN", (), 0.1),
        Answer.SILENT,
        {"server": "127.0.0.1", "port": "UDP"},
    ),
    "ssh": Example(
        {"target": NOBODY},
        Ran(0, "", "", 0.1),
        Ran(1, "", "", 0.1),
        Answer.SILENT,
        {"target": "127.0.0.1", "port": "PORT", "check_host_key": False},
    ),
    "postgres": Example(
        {"target": NOBODY, "role": "primary"},
        State(False, 1.0),
        State(True, 1.0),
        Answer.SILENT,
        {"target": "127.0.0.1", "port": "PORT"},
    ),
    "aws": Example(
        {"what": "instance", "id": "i-1", "region": "eu-central-1"},
        Instances({"i-1": "running"}, 0.1),
        Instances({}, 0.1),
        Answer.SILENT,
        {"endpoint": "http://127.0.0.1:PORT"},
    ),
    "nagios": Example(
        {"command": ["sh", "-c", "sleep 600"]}, Exited(0, "OK"), Exited(2, "BAD"), Answer.NONE, {"warning": "good"}
    ),
    "login": Example(
        {"client": "acme", "host": "edge"}, LoggedIn(0.1), Refusal("edge: permission denied"), Answer.SILENT
    ),
}
KIND_NAMES = sorted(KINDS)

each_kind = pytest.mark.parametrize("name", KIND_NAMES)


def test_every_kind_has_an_example() -> None:
    assert sorted(EXAMPLES) == KIND_NAMES


@each_kind
class TestOptions:
    """What an author writes."""

    def test_what_is_needed_is_enough(self, name: str) -> None:
        KINDS[name].options.model_validate(EXAMPLES[name].options)

    def test_an_unknown_option_is_told_by_its_name(self, name: str) -> None:
        with pytest.raises(ValidationError) as caught:
            KINDS[name].options.model_validate({**EXAMPLES[name].options, "colour": "blue"})
        assert "colour" in explain(caught.value)

    def test_nothing_at_all_is_told(self, name: str) -> None:
        with pytest.raises(ValidationError) as caught:
            KINDS[name].options.model_validate({})
        assert explain(caught.value)

    def test_no_option_is_called_as_a_key_that_every_check_has(self, name: str) -> None:
        fields = KINDS[name].options.model_fields
        ours = {key for option, field in fields.items() for key in (option, field.alias)}
        assert ours & set(CheckShape.model_fields) == set()

    def test_no_option_holds_a_secret(self, name: str) -> None:
        words = ("password", "token", "passphrase")
        bare = [o for o in KINDS[name].options.model_fields if any(w in o for w in words)]
        assert [o for o in bare if not o.endswith(("_secret", "_secrets", "_file"))] == []

    def test_every_option_has_json_schema(self, name: str) -> None:
        assert KINDS[name].options.model_json_schema()["properties"]


@each_kind
def test_what_asks_a_name_server_is_imported_before_the_first_question(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the first look-up by a `resolver` holds up every other question for as long as the import takes."""
    imported: list[str] = []
    monkeypatch.setattr("orchestrator.probes.kind.import_module", imported.append)
    KINDS[name].warm()
    assert "dns.message" in imported or "resolver" not in KINDS[name].options.model_fields


@each_kind
class TestJudging:
    """Pure, and the same for everybody."""

    def test_shared_results_mean_the_same_everywhere(self, name: str) -> None:
        kind = KINDS[name]
        options = kind.options.model_validate(EXAMPLES[name].options)
        assert kind.classify(options, Silence("a")) == Judged(Answer.SILENT, {}, "a")
        assert kind.classify(options, Refusal("b")) == Judged(Answer.BAD, {}, "b")
        assert kind.classify(options, NotAsked("c")) == Judged(Answer.NONE, {}, "c")

    def test_good_is_good_and_bad_is_bad_with_a_text_for_the_operator(self, name: str) -> None:
        kind = KINDS[name]
        example = EXAMPLES[name]
        options = kind.options.model_validate(example.options)
        if name == "icmp":
            options = kind.options.model_validate({**example.options, "count": 3, "need": 2})
            good = kind.classify(options, Echoed(3, (0.01, 0.01)))
        else:
            good = kind.classify(options, example.good)
        bad = kind.classify(options, example.bad)
        assert (good.answer, bad.answer) == (Answer.GOOD, Answer.BAD)
        assert good.detail
        assert bad.detail
        assert good == kind.classify(options, example.good if name != "icmp" else Echoed(3, (0.01, 0.01)))

    def test_what_is_invented_is_judged_as_if_it_had_been_said(self, name: str) -> None:
        """So, not so, and how long it took; more of it in tests/probes/test_invent.py."""
        kind = KINDS[name]
        options = kind.options.model_validate(EXAMPLES[name].options)
        for so, answer in ((True, Answer.GOOD), (False, Answer.BAD)):
            judged = kind.classify(options, kind.invent(options, so, {"rtt_s": 0.5}))
            assert (judged.answer, bool(judged.detail)) == (answer, True)
        assert kind.classify(options, kind.invent(options, True, {"rtt_s": 0.5})).measures["rtt_s"] == 0.5

    def test_another_kinds_reply_is_refused(self, name: str) -> None:
        kind = KINDS[name]
        with pytest.raises(TypeError, match=f"{name} cannot judge a str"):
            kind.classify(kind.options.model_validate(EXAMPLES[name].options), "hello")


@pytest.fixture
async def deaf() -> AsyncIterator[int]:
    """The port of a server that accepts and says nothing."""
    held = []

    async def hold(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        held.append(writer)

    server = await asyncio.start_server(hold, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    for writer in held:
        writer.transport.abort()
    server.close()


@pytest.fixture
def deaf_udp() -> Iterator[int]:
    """The port of a UDP socket that nobody reads."""
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]


def _with_ports(value: Any, tcp: int, udp: int) -> Any:
    if value == "UDP":
        return udp
    if value == "PORT":
        return tcp
    return value.replace("PORT", str(tcp)) if isinstance(value, str) else value


@pytest.mark.parametrize("name", [name for name in KIND_NAMES if EXAMPLES[name].deaf])
async def test_a_target_that_never_answers(
    name: str, deaf: int, deaf_udp: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends by itself, as the table of outcomes says, and the answer carries the time of the question."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    example = EXAMPLES[name]
    options = {**example.options, **{k: _with_ports(v, deaf, deaf_udp) for k, v in example.deaf.items()}}
    seen: asyncio.Queue[Any] = asyncio.Queue()
    prober = Prober(seen.put_nowait, time.monotonic)
    check = Check(id="a/b", client="a", name="b", host="", probe=name, options=options, every_s=3600, timeout_s=1.0)
    prober.use([check])
    for _ in range(20):
        before = time.monotonic()
        prober.ask_now(["a/b"])
        async with asyncio.timeout(120):
            observed = await seen.get()
        if not ("late itself" in observed.detail or "the probe hung" in observed.detail):
            break  # else this machine is starved, and the probe said so
    await prober.close()
    assert observed.answer is example.hung, observed.detail
    assert before <= observed.sent_at <= time.monotonic() - 0.9, "a late answer is an answer to an old question"


@each_kind
async def test_a_kind_that_breaks_is_no_answer(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever `ask` raises or returns: one observation, and it is none."""
    kind = KINDS[name]
    options = kind.options.model_validate(EXAMPLES[name].options)
    tools = Tools()
    import dataclasses

    async def crashes(_: Any) -> Any:
        raise ZeroDivisionError("division by zero")

    async def babbles(_: Any) -> Any:
        return object()

    def crashes_at_once(*_: Any) -> Any:
        raise ZeroDivisionError("division by zero")

    def babbles_at_once(_: Any, done: Any) -> Any:
        done(object())
        return lambda: None

    ways: list[dict[str, Any]] = [{"ask": ask, "launch": None} for ask in (crashes, babbles)]
    for way in (*ways, {"launch": crashes_at_once}, {"launch": babbles_at_once}):
        broken = dataclasses.replace(kind, **way)
        judged = await ask_once(broken, options, 1.0, secrets=Secrets({}), tools=tools)
        assert (judged.answer, bool(judged.detail)) == (Answer.NONE, True)
    await tools.close()


@given(st.text(), st.integers(-5, 999), st.floats(-1e12, 1e12), st.booleans())
def test_judging_never_raises(text: str, number: int, size: float, flag: bool) -> None:
    """Whatever came back."""
    replies = {
        "icmp": [Echoed(max(1, number), (size,) * min(max(0, number), 3), (text,))],
        "tcp": [Accepted(size, text, flag), Accepted(size)],
        "http": [Responded(number, text, size, {text: text}, flag)],
        "dns": [Resolved(text, (text,) * (number % 3), size)],
        "ssh": [Ran(number if flag else None, text, text, size, text)],
        "postgres": [State(flag, size, size, *([size] * 3), text, flag, *([size] * 4), text)],
        "aws": [
            Instances({text: text}, size),
            Newest(text if flag else None, size, size, flag, size),
            Record((text,), size, size),
        ],
        "nagios": [Exited(number, text)],
        "login": [LoggedIn(size)],
    }
    for name, given_replies in replies.items():
        kind = KINDS[name]
        options = kind.options.model_validate(EXAMPLES[name].options)
        for reply in given_replies:
            assert isinstance(kind.classify(options, reply), Judged)
