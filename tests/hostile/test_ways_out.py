"""Every way out: whatever a record holds (old ones too), nothing of it acts on what shows it."""

from __future__ import annotations

import io
import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, fields, is_dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any, TextIO

import pytest
import structlog

from orchestrator.cli.terminal import Shown, shown
from orchestrator.core.commands import NoticeKind, TellPeople
from orchestrator.core.people import AppriseWay, Person
from orchestrator.daemon.logs import set_up_logs
from orchestrator.notify import apprise_way
from orchestrator.notify.harmless import harmless
from orchestrator.notify.message import data_for, message_of
from orchestrator.reports.account import account
from orchestrator.reports.incident_text import account_lines, list_lines, summary_lines
from orchestrator.reports.page import page
from orchestrator.reports.status import Live, status_now
from orchestrator.reports.status_text import status_lines
from orchestrator.reports.text import Line, line, plain, show
from tests.hostile.corpus import CORPUS, WORDS, acts
from tests.reports.sample import WALL, Tape, asked_act, first_act
from tests.reports.test_page import Outside

TEXTS = pytest.mark.parametrize("text", CORPUS.values(), ids=CORPUS)
FREE = {"evidence", "text", "detail", "why", "who", "name", "host", "holder", "said", "through", "status"}


def stained(value: Any, text: str, name: str = "") -> Any:
    """The same record with the text in every field that somebody else may have written."""
    if isinstance(value, Enum):
        return value
    if isinstance(value, str):
        return f"{value} {text}" if name in FREE else value
    if is_dataclass(value) and not isinstance(value, type):
        known = {f.name: stained(getattr(value, f.name), text, f.name) for f in fields(value)}
        steps = type(value).__name__ in ("StepBegan", "StepFinished", "PlannedStep")  # their name is a key
        return replace(value, **known | ({"name": value.name} if steps and hasattr(value, "name") else {}))
    if isinstance(value, tuple):
        return tuple(stained(inner, text, name) for inner in value)
    return value


def told(text: str) -> tuple[list[Line], str, str]:
    """All that is shown of a story which strangers wrote: lines, page and JSON."""
    tape = Tape().begin().after(20.0)
    first_act(tape)
    asked_act(tape.after(400.0))
    tape.entries = [replace(x, records=tuple(stained(record, text) for record in x.records)) for x in tape.entries]
    stories = tape.read()
    accounts = [account(s, stories.clock, tape.now, None) for s in stories.stories.values()]
    now = status_now(stories.decided, stories.model, tape.now, WALL, Live(daemon=True))
    lines = [*status_lines(now, 100), *list_lines(accounts), *summary_lines(accounts)]
    for one in accounts:
        lines += account_lines(one)
    data = json.dumps([asdict(now), *map(asdict, accounts)])
    return lines, page(accounts, wall=WALL, title=text), data


class Terminal(io.StringIO):
    """Says that a person looks on."""

    def isatty(self) -> bool:
        return True


def uncoloured(text: str) -> str:
    """Without what rich says to a terminal."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


SHORT = {name: text for name, text in CORPUS.items() if len(text) < 2000}
SHORT_TEXTS = pytest.mark.parametrize("text", SHORT.values(), ids=SHORT)


@SHORT_TEXTS
def test_status_reports_and_pages(text: str) -> None:
    lines, html, data = told(text)
    assert not acts(plain(lines), "\n")
    terminal = Terminal()
    show(lines, terminal)
    assert not acts(uncoloured(terminal.getvalue()), "\n")
    assert "OWNED" not in text or "OWNED" in plain(lines), "it is not told at all"
    reader = Outside()
    reader.feed(html)
    assert (reader.found, reader.open) == ([], [])
    assert not acts(html, "\n")
    assert not acts(data)
    json.loads(data)


@SHORT_TEXTS
def test_a_story_has_as_many_lines_whatever_it_quotes(text: str) -> None:
    assert plain([line("evidence: ", text, " end")]).count("\n") == 1


@TEXTS
@pytest.mark.parametrize("terminal", [True, False])
def test_whoever_prints(text: str, terminal: bool) -> None:
    out = Terminal() if terminal else io.StringIO()
    stream: TextIO = Shown(out)  # type: ignore[assignment]
    print("says", text, file=stream)
    printed = uncoloured(out.getvalue()) if terminal else out.getvalue()
    printed = re.sub(r"\x1b\[[0-9;]*[KABCDGH]", "", printed) if terminal else printed
    assert not acts(printed, "\n\r\t" if terminal else "\n\t")
    assert "\x1b[2J" not in out.getvalue()
    assert "\x1b]" not in out.getvalue()


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
def test_a_terminal_that_knows_few_letters(encoding: str) -> None:
    raw = io.BytesIO()
    stream: TextIO = Shown(io.TextIOWrapper(raw, encoding=encoding))  # type: ignore[assignment]
    print(*CORPUS.values(), *WORDS, "✓", file=stream)
    stream.flush()
    raw.getvalue().decode(encoding)


def test_the_streams_are_put_back() -> None:
    before = sys.stdout, sys.stderr
    with shown():
        assert isinstance(sys.stdout, Shown)
        with shown():
            assert isinstance(sys.stdout, Shown)
    assert (sys.stdout, sys.stderr) == before


def test_the_command_itself(tmp_path: Path) -> None:
    evil = "no\x1b]0;OWNED\x07\x1b[2J\u202ewhere"
    calls = ["check", evil, "--workspace", evil], [evil], ["validate", "--workspace", evil], ["status", f"--{evil}"]
    for argv in calls:
        done = subprocess.run(
            [sys.executable, "-m", "orchestrator.cli.main", *argv], capture_output=True, cwd=tmp_path, check=False
        )
        said = (done.stdout + done.stderr).decode()
        assert done.returncode == 2, said
        assert not acts(said, "\n\t"), acts(said, "\n\t")


@pytest.fixture
def log() -> Iterator[None]:
    """The daemon's log, as it was before, afterwards."""
    root = logging.getLogger()
    before = root.handlers[:]
    root.handlers = []
    yield
    root.handlers = before
    structlog.reset_defaults()


@pytest.mark.usefixtures("log")
@SHORT_TEXTS
@pytest.mark.parametrize("form", ["text", "json"])
def test_the_log(text: str, form: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(os.fdopen(2, "wb", closefd=False), "utf-8", write_through=True))
    outlet = set_up_logs(form)
    structlog.get_logger().warning("told", why=text, ways=[text], more={"x": {text: text}})
    try:
        raise RuntimeError(text)
    except RuntimeError:
        structlog.get_logger().exception("broke")
        logging.getLogger("asyncio").exception("Task %s", text)
    outlet.drain(5.0)
    said = uncoloured(capfd.readouterr().err)
    assert "told" in said
    assert not acts(said, "\n\t"), acts(said, "\n\t")


def notice(text: str) -> TellPeople:
    """Quotes a stranger in all its parts."""
    said = f"erp is down: {text}"
    return TellPeople("i1/opened", NoticeKind.INCIDENT_OPENED, "acme", "acme/erp", said, details={text[:50]: text})


@SHORT_TEXTS
def test_mail_and_chat(text: str) -> None:
    said = harmless(text)
    assert not acts(said, "\n")
    assert not re.search(r"[<>`]|\]\(|://|(?i:(?<!\w/)\bwww\.)|(?<![\w.+-])@\w", said), said
    message = message_of(notice(text), [Person("acme/ann", "acme", f"Ann {text}")])
    assert not acts(harmless(message.body), "\n")
    data = data_for(message, None)
    assert not acts(json.dumps(data, ensure_ascii=False), "\n")


def test_addresses_and_checks_stay_what_they_are() -> None:
    told = ("tell ann@acme.example: 5 s", "acme/login@web-1 is down", "bascule resume acme/www.shop")
    for plain_text in told:
        assert harmless(plain_text) == plain_text
    assert harmless("see www.evil.example, //www.evil.example") == "see www[.]evil.example, //www[.]evil.example"
    assert harmless("HTTP 503 from http://erp/") == "HTTP 503 from http[:]//erp/"
    for words in WORDS:
        assert harmless(words) == words.replace("<", "‹").replace(">", "›")


@pytest.mark.parametrize("service", ["slack", "discord", "tgram", "json", "mmost"])
def test_what_apprise_hands_on(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import requests

    urls = {
        "slack": "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#ops",
        "discord": "discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js",
        "tgram": "tgram://123456789:abcdefg_hijklmnop/12315544/",
        "json": "json://127.0.0.1:9/x",
        "mmost": "mmost://127.0.0.1:9/3ccdd113474722377935511fc85d3dd4",
    }
    sent: list[str] = []

    def post(*args: Any, **kwargs: Any) -> Any:
        sent.append(json.dumps([str(kwargs.get("data")), kwargs.get("json")], ensure_ascii=False, default=str))
        answer = requests.Response()
        answer.status_code, answer._content = 200, b'{"ok": true, "result": {}}'
        return answer

    for verb in ("post", "request", "get"):
        monkeypatch.setattr(requests, verb, post)
    monkeypatch.setattr(requests.Session, "request", post)
    evil = " ".join(text for text in SHORT.values() if not acts(text))
    apprise_way.send(AppriseWay(urls[service]), message_of(notice(evil), []))
    assert sent
    for body in sent:
        quoted = body.split("erp is down", 1)[-1]
        for wrong in ("<!", "<@", "<script", "<img", "](http", "://evil", " @channel", " @everyone", "<http"):
            assert wrong not in quoted, (wrong, quoted[:2000])
